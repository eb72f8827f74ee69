"""On a GPU, the contract holds, and what comes out is what the CPU gives.

Marked `gpu`, and skipped with the reason where there is no CuPy or no device. Some run on the second device
of `array_api_strict` as well, so that these lines are known to be right before they meet a GPU.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import dspsep
from dspsep import STFT, DspsepWarning, _backend, _registry
from dspsep.kernels import kernels_for
from dspsep.testing import contract
from tests.contract.test_contract import SEPARATORS
from tests.gpu.places import PLACES, Elsewhere, place

RATE = 16000
FINE = STFT(512)
#: What single precision on a device may differ by from that of the CPU, in decibels below the mixture.
SMOOTH, ITERATIVE, DOUBLE = 60, 40, 80
#: The least share of bins in which a hard decision is the same.
SAME = 0.998

_SMOOTH = {
    "HPSS": dspsep.HPSS(stft=FINE),
    "CascadedHPSS": dspsep.CascadedHPSS(),
    "TwoStageHPSS": dspsep.TwoStageHPSS(),
    "IterativeHPSS": dspsep.IterativeHPSS(stft=FINE, n_iter=10),
    "REPET": dspsep.REPET(stft=FINE, min_period_seconds=0.05),
    "REPETExtended": dspsep.REPETExtended(
        stft=FINE, min_period_seconds=0.05, segment_seconds=1.0, step_seconds=0.5
    ),
    "AdaptiveREPET": dspsep.AdaptiveREPET(
        stft=FINE, min_period_seconds=0.05, window_seconds=1.0, step_seconds=0.5, order=5
    ),
    "KAM": dspsep.KAM(stft=FINE, min_period_seconds=0.05, n_iter=2),
    "MidSide": dspsep.MidSide(stft=FINE),
    "MixtureAsEstimate": dspsep.MixtureAsEstimate(),
    "HighLowPass": dspsep.HighLowPass(),
}
_ITERATIVE = {
    "NMF": dspsep.NMF(stft=FINE, n_components=4, n_iter=30),
    "NMFD": dspsep.NMFD(n_iter=15),
    "OnlineNMF": dspsep.OnlineNMF(stft=FINE, n_components=4, n_iter=10, batch_seconds=0.5),
    # Which frames are alike is decided, too: where two are equally so, rounding chooses.
    "REPETSim": dspsep.REPETSim(stft=FINE, distance_seconds=0.1),
    "NearestNeighborMedian": dspsep.NearestNeighborMedian(stft=FINE, distance_seconds=0.1),
    "RPCA": dspsep.RPCA(stft=FINE, n_iter=30),
    "PROJET": dspsep.PROJET(stft=FINE, n_iter=20),
    "FastICA": dspsep.FastICA(),
    "Infomax": dspsep.Infomax(),
    "Picard": dspsep.Picard(),
    "JADE": dspsep.JADE(),
    "SOBI": dspsep.SOBI(),
    "AuxIVA": dspsep.AuxIVA(stft=FINE, n_iter=10),
    "OverIVA": dspsep.OverIVA(stft=FINE, n_iter=10),
    "ILRMA": dspsep.ILRMA(stft=FINE, n_iter=10),
    "FDICA": dspsep.FDICA(stft=FINE, n_iter=10),
    "FastMNMF2": dspsep.FastMNMF2(stft=FINE, n_components=2, n_iter=5, init="random"),
    "CACGMM": dspsep.CACGMM(stft=FINE, n_iter=10),
}
_HARD = {
    "ADRess": dspsep.ADRess(stft=FINE, mask="hard", n_sources=2),
    "DUET": dspsep.DUET(stft=FINE, n_sources=2),
    "FT2D": dspsep.FT2D(stft=FINE),
    "HPSS": dspsep.HPSS(stft=FINE, mask="hard"),
    "RPCA": dspsep.RPCA(stft=FINE, mask="binary", n_iter=20),
}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        yield


def audio(dtype, n_channels=2, seconds=2.0):
    """Return notes, clicks and noise that are panned, loud and soft at different times."""
    rng = np.random.default_rng(4)
    time = np.arange(round(seconds * RATE)) / RATE
    notes = sum(np.sin(2 * np.pi * hertz * time) / k for k, hertz in ((1, 220), (2, 441), (3, 1333)))
    clicks = np.zeros_like(time)
    clicks[:: RATE // 6] = 3
    parts = np.stack([notes * (1 + np.sin(3 * time)), np.convolve(clicks, [1, 0.7, -0.4], "same"),
                      rng.laplace(size=time.size) * (0.3 + 0.3 * np.sin(7 * time))])  # fmt: skip
    gains = rng.uniform(0.2, 1, (n_channels, 3))
    return (0.1 * gains @ parts).astype(dtype)


def channels_of(separator):
    return 3 if isinstance(separator, dspsep.OverIVA) else 2


def snr(found, expected, mixture):
    """Return how far the difference of two lots of sources is below the mixture, in decibels."""
    worst = max(
        float(np.square(np.asarray(found[name], np.float64) - expected[name]).mean()) for name in expected
    )
    return (
        math.inf if not worst else 10 * math.log10(float(np.square(mixture, dtype=np.float64).mean()) / worst)
    )


def difference(separator, where, dtype):
    mixture = audio(dtype, channels_of(separator))
    found = Elsewhere(separator, where).separate(mixture, RATE)
    return snr(found, separator.separate(mixture, RATE), mixture)


def test_every_method_has_a_row():
    assert {*_SMOOTH, *_ITERATIVE, *_HARD} == set(_registry.METHODS)


def cases(table, *, everywhere):
    """Yield all of a table for a GPU, and those `everywhere` for the stand-in, where all would take long."""
    for library in PLACES:
        for name, separator in table.items():
            if library != "array_api_strict" or name in everywhere:
                marks = () if library == "array_api_strict" else library.marks
                value = library if library == "array_api_strict" else library.values[0]
                yield pytest.param(separator, value, id=f"{name}-{value}", marks=marks)


@pytest.mark.parametrize(("separator", "library"), list(cases(_SMOOTH, everywhere=("MidSide",))))
def test_smooth_masks_agree(separator, library):
    where = place(library)
    assert difference(separator, where, np.float32) >= SMOOTH
    assert difference(separator, where, np.float64) >= DOUBLE


@pytest.mark.parametrize(("separator", "library"), list(cases(_ITERATIVE, everywhere=("SOBI",))))
def test_iterative_methods_agree(separator, library):
    where = place(library)
    assert difference(separator, where, np.float32) >= ITERATIVE
    assert difference(separator, where, np.float64) >= DOUBLE


@pytest.mark.parametrize(("separator", "library"), list(cases(_HARD, everywhere=("DUET",))))
def test_hard_decisions_agree(separator, library):
    where = place(library)
    mixture = audio(np.float32)
    here, there = (separator.stft.forward(x, RATE) for x in (mixture, where.put(mixture)))
    expected, found = separator.fit(here).masks(here), separator.fit(there).masks(there)
    for name, mask in expected.items():
        same = np.abs(_backend.to_host(found[name]) - mask) < 1e-3
        assert same.mean() >= SAME, name


REFINERS = {
    "Wiener": dspsep.HPSS(stft=FINE) >> dspsep.Wiener(stft=FINE, n_iter=2),
    "ConsistentWiener": dspsep.HPSS(stft=FINE) >> dspsep.ConsistentWiener(stft=FINE, n_iter=5),
    "MISI": dspsep.HPSS(stft=FINE) >> dspsep.MISI(stft=FINE, n_iter=5),
    "Split": dspsep.HPSS(stft=FINE) >> {"harmonic": dspsep.HPSS(stft=STFT(256))},
    "Regroup": dspsep.HPSS(stft=FINE) >> dspsep.Regroup(all=["harmonic", "percussive"]),
    "Ensemble": dspsep.Ensemble([dspsep.HPSS(stft=FINE), dspsep.HPSS(stft=STFT(1024))], method="log-opinion",
                                stft=FINE),
}  # fmt: skip


@pytest.mark.parametrize(("separator", "library"), list(cases(REFINERS, everywhere=("Regroup",))))
def test_compositions_agree(separator, library):
    where = place(library)
    assert difference(separator, where, np.float32) >= ITERATIVE
    assert difference(separator, where, np.float64) >= DOUBLE


def test_every_refiner_has_a_row():
    assert set(_registry.REFINERS) <= set(REFINERS)


def test_a_difference_is_seen():
    mixture = audio(np.float32)
    sources = dspsep.HPSS(stft=FINE).separate(mixture, RATE)
    louder = {name: source * np.float32(1.01) for name, source in sources.items()}
    assert snr(sources, sources, mixture) == math.inf
    assert snr(louder, sources, mixture) < SMOOTH


def _contracts():
    """Yield the clauses for the first settings of each class, on a GPU; some on the stand-in."""
    for library in PLACES:
        seen = set()
        for name, (separator, options) in SEPARATORS.items():
            first = type(separator) not in seen
            seen.add(type(separator))
            if library == "array_api_strict":
                if name == "mid-side":
                    yield pytest.param(separator, options, library, id=f"{name}-{library}")
            elif first:
                yield pytest.param(separator, options, "cupy", id=f"{name}-cupy", marks=library.marks)


@pytest.mark.filterwarnings(r"ignore:\[W_(NOT_PANNED|FEW_SOURCES|PHASE)\]")
@pytest.mark.parametrize(("separator", "options", "library"), list(_contracts()))
def test_contract(separator, options, library):
    where = place(library)
    elsewhere = Elsewhere(separator, where)
    broken = []
    for clause in contract(elsewhere, **options):
        try:
            clause()
        except AssertionError as error:
            broken.append(str(error))
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("n_fft", [512, 375])
@pytest.mark.parametrize("library", PLACES)
def test_inverse_transforms_pass_over_imaginary_parts_that_no_frame_has(library, n_fft):
    # Of the first bin, and for even lengths of the last: cuFFT does not say what it makes of them.
    where, stft = place(library), STFT(n_fft, n_fft // 3)
    spectrogram = stft.forward(audio(np.float64, seconds=0.2), RATE)
    rng = np.random.default_rng(5)
    values = spectrogram.values * np.exp(2j * np.pi * rng.uniform(size=spectrogram.values.shape))
    expected = {"all": stft.inverse(spectrogram.with_values(values))}
    there = stft.forward(where.put(audio(np.float64, seconds=0.2)), RATE).with_values(where.put(values))
    found = {"all": _backend.to_host(stft.inverse(there))}
    assert snr(found, expected, expected["all"]) >= DOUBLE


@pytest.mark.parametrize("library", PLACES)
def test_scores_are_those_of_the_host(library):
    where = place(library)
    mixture = audio(np.float64)
    true = {"a": 0.4 * mixture, "b": 0.6 * mixture[::-1]}
    made = {name: x + 0.05 * np.roll(x[::-1], 7, axis=1) for name, x in true.items()}
    there = [{name: where.put(x) for name, x in each.items()} for each in (true, made)]
    for protocol in (dspsep.metrics.BSSEval(n_taps=16), dspsep.metrics.ScaleInvariant()):
        expected = dspsep.metrics.evaluate(true, made, RATE, protocol)
        found = dspsep.metrics.evaluate(*there, RATE, protocol)
        # Above 100 dB they measure rounding.
        values = [np.minimum(scores.tracks[0].values, 100) for scores in (found, expected)]
        np.testing.assert_allclose(*values, atol=1e-6)


@pytest.mark.parametrize("library", PLACES)
def test_files_pictures_and_pages_take_arrays_of_a_device(library, tmp_path):
    where = place(library)
    mixture = where.put(audio(np.float32, seconds=0.5))
    sources = dspsep.HPSS(stft=FINE).separate(mixture, RATE)
    paths = sources.save(tmp_path / "stems", format="wav")
    back, rate = dspsep.load(paths["harmonic"])
    assert rate == RATE
    np.testing.assert_array_equal(back, _backend.to_host(sources["harmonic"]))
    dspsep.save(tmp_path / "mixture.wav", mixture, RATE)
    dspsep.display.write_page(
        tmp_path / "page.html", title="Test", mixture=mixture, sources=sources, sample_rate=RATE
    )
    dspsep.display.plot_spectrogram(mixture, RATE)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_the_second_device_is_used_if_there_is_one():
    place("cupy")
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device only")
    with cupy.cuda.Device(1):
        mixture = cupy.asarray(audio(np.float32))
    sources = dspsep.HPSS(stft=FINE).separate(mixture, RATE)
    assert all(source.device.id == 1 for source in sources.values())


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_what_does_not_fit_is_done_in_blocks_or_refused():
    place("cupy")
    import cupy

    pool = cupy.get_default_memory_pool()
    separator = dspsep.HPSS(stft=FINE)
    mixture = cupy.asarray(audio(np.float32, seconds=60))
    expected = separator.separate(mixture, RATE)
    pool.free_all_blocks()
    before = pool.get_limit()
    try:
        pool.set_limit(size=pool.used_bytes() + 6 * mixture.nbytes)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DspsepWarning)
            with pytest.raises(DspsepWarning, match=r"^\[W_BLOCKS\]"):
                separator.separate(mixture, RATE)
        sources = separator.separate(mixture, RATE)
        with pytest.raises(dspsep.DeviceMemoryError, match=r"a request for .* MB"):
            dspsep.RPCA(stft=FINE).separate(mixture, RATE)
    finally:
        pool.set_limit(size=before)
    for name, source in sources.items():
        assert float(abs(source - expected[name]).max()) <= 1e-6 * float(abs(mixture).max())


@pytest.mark.gpu
def test_there_are_kernels_for_it():
    where = place("cupy")
    assert kernels_for(where.put(np.ones(3))).__name__.startswith("dspsep.kernels")


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_the_page_works(tmp_path, monkeypatch):
    place("cupy")
    page = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
    monkeypatch.chdir(tmp_path)
    dspsep.save("song.wav", audio(np.float32), RATE)
    names = {}
    for code in re.findall(r"```py\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, names)
    assert type(names["sources"]["harmonic"]).__module__.startswith("cupy")
    assert isinstance(names["harmonic"], np.ndarray)
