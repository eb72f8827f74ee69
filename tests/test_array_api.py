"""What arrives on a device stays there: `array_api_strict`'s second device stands in for a GPU."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dspsep
from dspsep import (
    DUET,
    FDICA,
    FT2D,
    HPSS,
    ILRMA,
    JADE,
    KAM,
    NMF,
    NMFD,
    PROJET,
    RPCA,
    SOBI,
    STFT,
    ADRess,
    AuxIVA,
    BackendError,
    Cross,
    FastICA,
    Horizontal,
    Infomax,
    InputError,
    MidSide,
    OnlineNMF,
    OverIVA,
    Pattern,
    Periodic,
    Picard,
    Pipeline,
    Regroup,
    SemiSupervisedNMF,
    Sources,
    SupervisedNMF,
    Templates,
    Vertical,
    Wiener,
    _backend,
    adress_nulls,
    alpha_wiener,
    center_mask,
    duet_histogram,
    ft2d,
    hpss_masks,
    kam,
    projet,
    rpca,
    wiener_em,
)
from dspsep.kernels import generic, kernels_for
from dspsep.masks import hard_mask, soft_mask
from dspsep.metrics import MDX, MIREX, BSSEval, ScaleInvariant, evaluate
from tests.test_stft import noise

xp = pytest.importorskip("array_api_strict")
DEVICE = xp.Device("device1")
SMALL = STFT(64)
SEPARATORS = [
    HPSS(stft=SMALL),
    HPSS(stft=SMALL, power=1.0, harmonic_frames=9, percussive_bins=5),
    HPSS(stft=SMALL, power=3.5, margin=2.0),
    HPSS(stft=SMALL, margin=(1.0, 3.0)),
    HPSS(stft=SMALL, mask="hard"),
    HPSS(stft=SMALL, mask="hard", margin=(2.0, 1.5)),
    HPSS(stft=STFT(63, 20, "hamming"), harmonic_seconds=0.05, percussive_hertz=500.0),
]


def on_device(values):
    return xp.asarray(np.ascontiguousarray(values), device=DEVICE)


def check_near(array, expected, tolerance):
    assert type(array).__module__.startswith("array_api_strict")
    assert array.device == DEVICE
    assert str(array.dtype).rpartition(".")[2] == expected.dtype.name
    assert tuple(array.shape) == expected.shape
    host = _backend.to_host(array)
    assert np.abs(host - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


@pytest.fixture
def exits():
    """Return a function that tells how often data went to the host since the last call."""
    before = _backend.host_exits()

    def since():
        nonlocal before
        count = _backend.host_exits() - before
        before = _backend.host_exits()
        return count

    return since


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_channels", [None, 2])
@pytest.mark.parametrize("stft", [SMALL, STFT(15, 4, "hamming"), STFT(16, 8), STFT(8, 8, "boxcar")], ids=repr)
def test_transform(stft, n_channels, dtype, exits):
    for n_samples in (1, 7, 300):
        audio = noise(n_samples, dtype, n_channels)
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        expected = stft.forward(audio, 8000)
        spectrogram = stft.forward(on_device(audio), 8000)
        assert exits() == 1  # the peak, to refuse what is not finite
        mask = np.abs(noise(expected.values.size, dtype)).reshape(expected.values.shape)
        back = stft.inverse(spectrogram)
        masked = stft.inverse(spectrogram, mask=on_device(mask))
        magnitude = spectrogram.magnitude()
        assert exits() == 0
        check_near(spectrogram.values, expected.values, tolerance)
        check_near(magnitude, np.abs(expected.values), tolerance)
        check_near(back, audio, tolerance)
        check_near(masked, stft.inverse(expected, mask=mask), tolerance)
        exits()


@pytest.mark.core
@pytest.mark.parametrize("name", ["median_over_time", "median_over_frequency"])
def test_medians(name, exits):
    for shape, length in (((1, 1, 1), 3), ((2, 9, 7), 5), ((1, 3, 4), 31)):
        values = noise(int(np.prod(shape))).reshape(shape)
        medians = getattr(generic, name)(on_device(values), length)
        assert exits() == 0
        check_near(medians, getattr(generic, name)(values, length), 0)
        exits()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("separator", "most"),
    [
        (FastICA(n_iter=5), 10),
        (FastICA(algorithm="deflation", contrast="exp", n_iter=5), 15),
        (Infomax(n_iter=5), 20),
        (Picard(ortho=True, n_sources=2, n_iter=5), 20),
        (JADE(), 6),
        (SOBI(), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_instantaneous_separators(separator, most, dtype, exits):
    """Small matrices go to the host, a few times each iteration; signals do not."""
    audio = np.linalg.qr(noise(9).reshape(3, 3))[0] @ np.random.default_rng(0).laplace(size=(3, 2000))
    audio = audio.astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dspsep.DspsepWarning)
        expected = separator.separate(audio, 8000)
        exits()
        sources = separator.separate(on_device(audio), 8000)
        assert exits() <= most
    for name in sources:
        check_near(sources[name], expected[name], 1e-9 if dtype == "float64" else 2e-3)
    model = sources.model
    assert isinstance(model.demixing, np.ndarray)
    outputs = model.unmix(on_device(audio))
    check_near(outputs, model.unmix(audio), 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.core
def test_masks(exits):
    values, rival = np.abs(noise(60)).reshape(1, 6, 10), np.abs(noise(60, seed=1)).reshape(1, 6, 10)
    values[0, :2] = rival[0, :2] = 0
    soft = soft_mask(on_device(values), on_device(rival), power=1.7, margin=1.2, tie=0.25)
    hard = hard_mask(on_device(values), on_device(rival), margin=1.2)
    assert exits() == 0
    check_near(soft, soft_mask(values, rival, power=1.7, margin=1.2, tie=0.25), 1e-14)
    check_near(hard, hard_mask(values, rival, margin=1.2), 0)


def test_hpss_masks(exits):
    V = np.abs(noise(400)).reshape(20, 20)
    harmonic, percussive = hpss_masks(on_device(V), 5, 7, margin=1.5)
    assert exits() == 1  # the range of V
    for found, expected in zip((harmonic, percussive), hpss_masks(V, 5, 7, margin=1.5), strict=True):
        check_near(found, expected, 1e-14)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("separator", SEPARATORS, ids=lambda s: f"{s.mask}-{s.power}-{s.margin}")
def test_hpss(separator, dtype, exits):
    audio = noise(1500, dtype, 2)
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    mixture = sources.mixture()
    assert exits() == 1  # the peak
    check_near(mixture, audio, 1e-14 if dtype == "float64" else 1e-6)
    assert sources.names == expected.names
    if separator.mask == "hard" and dtype == "float32":
        return  # one bin that falls on the other side is a difference in all of its frame
    for name in sources:
        check_near(sources[name], expected[name], 1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.core
def test_pipelines(exits):
    pipeline = (
        HPSS(stft=SMALL, margin=2.0)
        >> {"percussive": HPSS(stft=STFT(32))}
        >> Regroup(drums=["percussive"], rest=["harmonic", "residual"])
    )
    assert isinstance(pipeline, Pipeline)
    audio = noise(1000, "float64", 2)
    sources = pipeline.separate(on_device(audio), 8000)
    assert exits() == 2  # the peaks of the mixture and of the source that is split
    expected = pipeline.separate(audio, 8000)
    assert sources.names == ("drums", "rest")
    for name in sources:
        check_near(sources[name], expected[name], 1e-12)


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [None, 2, 3])
@pytest.mark.parametrize(
    "refiner",
    [
        Wiener(stft=SMALL, alpha=2.0),
        Wiener(stft=SMALL, n_iter=3),
        Wiener(stft=SMALL, n_iter=3, posterior=True),
    ],
    ids=repr,
)
def test_wiener(refiner, n_channels, exits):
    given = {name: noise(600, "float64", n_channels) * gain for name, gain in (("a", 1.0), ("b", 0.5))}
    given["b"] = given["b"][..., ::-1]
    mixture = given["a"] + given["b"]
    expected = refiner.refine(mixture, Sources.from_dict(given, 8000))
    exits()
    sources = Sources.from_dict({name: on_device(audio) for name, audio in given.items()}, 8000)
    found = refiner.refine(on_device(mixture), sources)
    # Three peaks of audio and two of estimates; with steps the largest bin of the mixture.
    assert exits() == 5 + (refiner.n_iter > 0)
    for name in given:
        check_near(found[name], expected[name], 1e-9)


def test_spectra_of_wiener():
    x, y = noise(2 * 33 * 9).reshape(2, 33, 9) + 0j, noise(3 * 2 * 33 * 9).reshape(3, 2, 33, 9) + 1j
    check_near(wiener_em(on_device(y), on_device(x), n_iter=2), wiener_em(y, x, n_iter=2), 1e-9)
    V = np.abs(y)
    check_near(alpha_wiener(on_device(V), on_device(x)), alpha_wiener(V, x), 1e-12)


KNOWN = Templates(values=np.abs(noise(33 * 3)).reshape(33, 3), sample_rate=8000, stft=SMALL)
FACTORISATIONS = [
    NMF(stft=SMALL, n_components=3, n_iter=5, tol=0),
    NMF(stft=SMALL, n_components=3, n_iter=5, tol=0, beta=2.0, init="nndsvda", exponent=2.0),
    NMF(stft=SMALL, n_components=3, n_iter=5, tol=0, beta=0.0, l1=0.1, continuity=0.1),
    NMFD(stft=SMALL, start="random", n_iter=5, tol=0),
    SupervisedNMF(templates={"one": KNOWN, "two": KNOWN}, n_iter=5, tol=0),
    SemiSupervisedNMF(templates={"one": KNOWN}, n_free=2, n_iter=5, tol=0),
    OnlineNMF(stft=SMALL, n_components=3, n_iter=5, tol=0, batch_seconds=0.1),
    OnlineNMF(
        templates={"one": KNOWN}, adapt=True, n_components=1, n_iter=5, tol=0, batch_seconds=0.1, beta=0
    ),
]


@pytest.mark.parametrize("separator", FACTORISATIONS, ids=lambda s: f"{type(s).__name__}-{s.beta}")
def test_factorisations(separator, exits):
    audio = noise(1500, "float64", 2)
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    # The peak; then numbers of each batch, and of each iteration, that decide how to go on: no arrays.
    n_batches = 2 if isinstance(separator, OnlineNMF) else 1
    assert exits() <= 1 + n_batches * (5 + 5 * separator.n_iter)
    assert sources.names == expected.names
    for name in sources:
        check_near(sources[name], expected[name], 1e-7)


BACKGROUNDS = [
    (RPCA(stft=SMALL), lambda n_iter: 2 + 3 + 6 * n_iter),
    (RPCA(stft=STFT(512), max_rank=4, weights=np.linspace(1, 2, 257)), lambda n_iter: 2 + 3 + 6 * n_iter),
    (FT2D(stft=SMALL), lambda _: 1),
    (FT2D(stft=SMALL, peaks="threshold", neighbourhood=(3, 5)), lambda _: 1),
]


@pytest.mark.parametrize(("separator", "most"), BACKGROUNDS, ids=lambda s: type(s).__name__)
def test_low_rank_and_peaks(separator, most, exits):
    audio = noise(8000, "float64", 2)
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    # The peak; then numbers of each iteration that decide how to go on: no arrays.
    assert exits() <= most(len(getattr(expected.model, "residuals", ())))
    for name in sources:
        check_near(sources[name], expected[name], 1e-7)


KERNELS = {
    "one": [Periodic(), Periodic(period_seconds=0.05, n_repeats=None), Horizontal(frames=7)],
    "two": [Cross(frames=3, bins=5), Pattern(values=np.eye(3)), Vertical(bins=5)],
}


@pytest.mark.parametrize("exponent", [1.0, 2.0, 1.3])
def test_kernels(exponent, exits):
    separator = KAM(stft=SMALL, sources=KERNELS, min_period_seconds=0.05, exponent=exponent, low="one")
    audio = noise(3000, "float64", 2)
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    # The peak, that of the spectrogram twice, and the beat spectrum, which periods are read from.
    assert exits() == 4
    for name in sources:
        check_near(sources[name], expected[name], 1e-7)


DEMIXING = [
    AuxIVA(stft=SMALL, n_iter=4),
    AuxIVA(stft=SMALL, n_iter=3, update="ip2", contrast="gauss"),
    AuxIVA(stft=SMALL, n_iter=3, update="iss"),
    OverIVA(stft=SMALL, n_iter=3),
    ILRMA(stft=SMALL, n_iter=3, n_starts=2),
    FDICA(stft=SMALL, n_iter=3),
    FDICA(stft=SMALL, n_iter=3, permutation="score"),
]


@pytest.mark.parametrize("separator", DEMIXING, ids=lambda s: type(s).__name__)
def test_demixing(separator, exits):
    audio = noise(1500, "float64", 3) * (
        1 + np.sin(np.arange(1500) / 90)[None] * np.array([[1], [-1], [0.3]])
    )
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    # The peak; covariances of few channels and what depends on them; losses; the order of bins, in rounds.
    assert exits() <= 24
    for name in sources:
        check_near(sources[name], expected[name], 1e-7)


def test_kernels_of_spectrograms(exits):
    V = np.abs(noise(3000)).reshape(50, 60)
    masks = kam(on_device(V), KERNELS["two"])
    assert exits() == 2
    for mask, expected in zip(masks, kam(V, KERNELS["two"]), strict=True):
        check_near(mask, expected, 1e-10)


def test_low_rank_and_peaks_of_spectrograms(exits):
    V = np.abs(noise(3000)).reshape(50, 60)
    for function in (ft2d, rpca):
        found = function(on_device(V))
        for array, expected in zip(found[:2], function(V)[:2], strict=True):
            check_near(array, expected, 1e-7)


STEREO = [
    # The peak; and the sums of each block of frames, of which there is one here.
    (MidSide(stft=SMALL, cutoff_hertz=200), 1),
    (ADRess(stft=SMALL, n_sources=2), 1 + 2),
    (ADRess(stft=SMALL, positions=(-0.5, 0.3), mask="hard"), 1 + 2),
    (DUET(stft=SMALL, n_sources=2), 1 + 4),
    (DUET(stft=SMALL, n_sources=2, mask="soft"), 1 + 4),
    (PROJET(stft=SMALL, n_iter=5), 1 + 2),
]


@pytest.mark.filterwarnings(r"ignore:\[W_(NOT_PANNED|FEW_SOURCES|PHASE)\]")
@pytest.mark.parametrize(("separator", "most"), STEREO, ids=lambda s: type(s).__name__)
def test_stereo(separator, most, exits):
    audio = noise(4000, "float64", 2)
    expected = separator.separate(audio, 8000)
    sources = separator.separate(on_device(audio), 8000)
    assert exits() == most
    for name in sources:
        check_near(sources[name], expected[name], 1e-9)
    masks = sources.model.masks(separator.stft.forward(on_device(audio), 8000))
    of_host = expected.model.masks(separator.stft.forward(audio, 8000))
    for name, mask in masks.items():
        check_near(mask, of_host[name], 1e-9)


def test_stereo_spectra(exits):
    L, R = noise(300).reshape(20, 15) + 1j, noise(300, seed=1).reshape(20, 15) - 0.3j
    for function in (center_mask, lambda *pair: adress_nulls(*pair)[0], lambda *pair: adress_nulls(*pair)[1]):
        check_near(function(on_device(L), on_device(R)), function(L, R), 1e-12)
    omega = np.arange(20) / 20
    H, *_ = duet_histogram(on_device(L), on_device(R), omega, max_delay=3.0)
    np.testing.assert_allclose(H, duet_histogram(L, R, omega, max_delay=3.0)[0], atol=1e-9)
    V, K, Q = np.abs(L), np.abs(noise(120)).reshape(15, 8), 1 + np.abs(noise(24)).reshape(8, 3)
    for beta in (0.0, 1.0, 1.5):
        found = projet(on_device(V), on_device(K), on_device(Q), beta=beta, n_iter=5)
        for array, expected in zip(found[:2], projet(V, K, Q, beta=beta, n_iter=5)[:2], strict=True):
            check_near(array, expected, 1e-9)


def test_pcm_quiet_and_loud_audio(exits):
    pcm = (noise(500) * 20000).astype(np.int16)
    for values in (pcm, noise(500) * 1e-20, noise(500) * 1e20):
        sources = HPSS(stft=SMALL).separate(on_device(values), 8000)
        assert exits() == 1
        expected = HPSS(stft=SMALL).separate(values, 8000)
        scale = np.abs(expected.mixture()).max()
        for name in sources:
            assert sources[name].device == DEVICE
            assert np.abs(_backend.to_host(sources[name]) - expected[name]).max() <= 1e-5 * scale
        exits()


def test_infinite_samples_are_found_on_the_device():
    audio = noise(50, n_channels=2)
    audio[1, 7] = np.inf
    with pytest.raises(InputError, match=r"1 NaN or infinite samples, the first in channel 1 at sample 7"):
        HPSS().separate(on_device(audio), 8000)


def test_sources_from_device_arrays():
    values = noise(40)
    sources = Sources.from_dict({"a": on_device(values), "b": on_device(2 * values)}, 8000)
    check_near(sources.mixture(), 3 * values, 1e-14)


def test_short_audio_stays_on_the_device():
    for n_samples in (1, 2):
        sources = HPSS(stft=SMALL).separate(on_device(np.ones(n_samples)), 8000)
        assert all(source.device == DEVICE for source in sources.values())


def test_device_arrays_cannot_slip_to_the_host():
    with pytest.raises((RuntimeError, TypeError)):
        np.asarray(on_device(np.ones(3)))
    assert kernels_for(on_device(np.ones(3))) is generic


@pytest.mark.core
def test_mixing_libraries_names_both():
    here, there = np.ones((1, 2, 2)), on_device(np.ones((1, 2, 2)))
    with pytest.raises(
        BackendError, match=r"array_api_strict\..* and numpy\.ndarray|numpy\.ndarray and array_api"
    ):
        soft_mask(here, there)
    spectrogram = SMALL.forward(on_device(noise(100)), 8000)
    with pytest.raises(BackendError, match=r"numpy\.ndarray"):
        SMALL.inverse(spectrogram, mask=np.ones(spectrogram.values.shape))
    with pytest.raises(BackendError, match=r"numpy\.ndarray"):
        Sources.from_dict({"a": np.ones(3), "b": on_device(np.ones(3))}, 8000)


def test_mixing_devices_is_refused():
    here, there = xp.asarray([[1.0]]), on_device([[1.0]])
    with pytest.raises(BackendError, match=r"device"):
        Sources.from_dict({"a": here, "b": there}, 8000)


@pytest.mark.core
@pytest.mark.parametrize(
    ("module", "conversion"),
    [
        ("torch", "array.detach().cpu().numpy()"),
        ("jax", "numpy.asarray(array)"),
        ("jaxlib.xla_extension", "numpy.asarray(array)"),
        ("tensorflow.python.framework.ops", "array.numpy()"),
        ("pandas.core.series", "array.to_numpy()"),
        ("dask.array.core", "array.compute()"),
        ("mlx.core", "numpy.asarray(array)"),
    ],
)
def test_other_libraries_are_refused_with_the_way_out(module, conversion):
    class Tensor:
        shape, ndim, dtype = (100,), 1, "float32"

        def __array__(self, dtype=None, copy=None):
            raise AssertionError("converted without being asked")

    Tensor.__module__ = module
    for use in (
        lambda: HPSS().separate(Tensor(), 8000),
        lambda: STFT().forward(Tensor(), 8000),
        lambda: hpss_masks(Tensor()),
        lambda: (HPSS() >> Regroup(a=["harmonic"])).separate(Tensor(), 8000),
        lambda: Sources.from_dict({"a": Tensor()}, 8000),
    ):
        with pytest.raises(BackendError) as info:
            use()
        assert f"{module}." in str(info.value)
        assert conversion in str(info.value)


def test_an_unknown_library_with_a_namespace_is_refused():
    class Foreign:
        def __array_namespace__(self):
            raise AssertionError

    with pytest.raises(BackendError, match=r"Foreign"):
        HPSS().separate(Foreign(), 8000)


def test_objects_that_offer_an_array_are_taken():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.ones(100)

    assert dspsep.HPSS(stft=SMALL).separate(Wrapped(), 8000).n_samples == 100


def test_numpy_never_leaves_the_host(exits):
    HPSS(stft=SMALL).separate(noise(500), 8000)
    hpss_masks(np.ones((5, 5)))
    assert exits() == 0


@pytest.mark.core
@pytest.mark.parametrize(
    ("protocol", "n_exits"),
    [
        (BSSEval(n_taps=8), 2),  # the inner products, and the energies of all windows
        (BSSEval(version="v3_sources", n_taps=8), 2),
        (BSSEval(version="v3_images", n_taps=8, window_seconds=0.5), 2 * 3),  # filters for each window
        (ScaleInvariant(zero_mean=True), 4),  # means, inner products, energies, errors
        (MDX(), 1),
        (MIREX(n_taps=8), 3),  # and the peak of the mixture
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_metrics(protocol, n_exits, exits):
    references = {"a": noise(1200, "float32", 2), "b": noise(1200, "float32", 2)[:, ::-1] * 0.5}
    errors = 0.1 * references["a"] + 0.01 * np.roll(references["b"], 300)
    estimates = {name: audio + errors for name, audio in references.items()}
    expected = evaluate(references, estimates, 800, protocol)
    there = [{name: on_device(audio) for name, audio in each.items()} for each in (references, estimates)]
    found = evaluate(*there, 800, protocol)
    assert exits() == 4 + n_exits  # the peaks of the signals, and
    np.testing.assert_allclose(found.tracks[0].values, expected.tracks[0].values, atol=1e-9)
    padded = evaluate(there[0], {name: x[:, :-5] for name, x in there[1].items()}, 800, protocol, pad=True)
    assert np.isfinite(padded.tracks[0].values).all()
