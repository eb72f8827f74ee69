"""CascadedHPSS: two passes by hand, the paper's settings, what it refuses, and its quality on real songs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dspsep import HPSS, STFT, CascadedHPSS, InputError, IterativeHPSS, Pipeline, Reach, from_json
from dspsep.metrics import sdr, si_sdr
from tests.cases import case_names, real_case
from tests.test_stft import noise
from tests.toys import Patient

LONG, SHORT = HPSS(stft=STFT(512)), HPSS(stft=STFT(64))
PAPER = {"harmonic_seconds": 0.2, "percussive_hertz": 500.0, "mask": "hard", "margin": 2.0}


def by_hand(mixture, rate, cascade):
    """Return harmonic, between, percussive and residual from the two passes."""
    first = cascade.first.separate(mixture, rate)
    second = cascade.second.separate(mixture - first["harmonic"], rate)
    residual = second["residual"] if "residual" in second else np.zeros_like(mixture)
    return first["harmonic"], second["harmonic"], second["percussive"], residual


@pytest.mark.core
@pytest.mark.parametrize("first", [LONG, LONG.replace(margin=1.5), IterativeHPSS(stft=STFT(256), n_iter=5)])
@pytest.mark.parametrize("second", [SHORT, SHORT.replace(mask="hard", margin=2.0)])
@pytest.mark.parametrize("between", ["harmonic", "residual"])
def test_it_is_the_two_passes_run_by_hand(first, second, between):
    cascade = CascadedHPSS(first=first, second=second, between=between)
    mixture = noise(3000, n_channels=2)
    harmonic, middle, percussive, residual = by_hand(mixture, 8000, cascade)
    expected = {"harmonic": harmonic, "percussive": percussive, "residual": residual}
    expected[between] = expected[between] + middle
    sources = cascade.separate(mixture, 8000)
    assert sources.names == cascade.source_names
    for name in sources:
        np.testing.assert_allclose(sources[name], expected[name], atol=1e-14)
    if "residual" not in sources:
        assert not residual.any()


@pytest.mark.core
def test_there_is_a_residual_where_the_settings_leave_one():
    two, three = ("harmonic", "percussive"), ("harmonic", "percussive", "residual")
    for names, options in (
        (two, {}),
        (two, {"first": HPSS(margin=2.0)}),  # what the first leaves is split again
        (three, {"second": HPSS(margin=2.0)}),
        (three, {"between": "residual"}),
    ):
        assert CascadedHPSS(**options).source_names == names


def reference(mixture, rate, n_fft):
    """Return harmonic, percussive and residual as the paper has them, from SciPy's median filters."""
    stft = STFT(n_fft)
    spectrogram = stft.forward(mixture, rate)
    V = np.abs(spectrogram.values[0])
    frames, bins = (
        length + 1 - length % 2 for length in (round(0.2 * rate / stft.hop_length), round(500 * n_fft / rate))
    )
    H, P = ndimage.median_filter(V, (1, frames)), ndimage.median_filter(V, (bins, 1))
    masks = H > 2 * P, P > 2 * H
    harmonic, percussive = (stft.inverse(spectrogram, mask=mask.astype(float)) for mask in masks)
    return harmonic, percussive, mixture - harmonic - percussive


@pytest.mark.core
def test_the_settings_of_the_paper():
    rate = 22050
    mixture = noise(rate // 2) + np.sin(0.3 * np.arange(rate // 2))
    mixture[5000] += 30
    cascade = CascadedHPSS(
        first=HPSS(stft=STFT(4096, 1024), **PAPER),
        second=HPSS(stft=STFT(256, 64), **PAPER),
        between="residual",
    )
    sources = cascade.separate(mixture, rate)
    h1, p1, r1 = reference(mixture, rate, 4096)
    h2, p2, r2 = reference(p1 + r1, rate, 256)
    for name, expected in (("harmonic", h1), ("percussive", p2), ("residual", h2 + r2)):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(sources[name], expected, atol=1e-9)


@pytest.mark.core
def test_a_tone_goes_to_the_first_and_clicks_to_the_second():
    rate = 44100
    time = np.arange(3 * rate) / rate
    tone, clicks = 0.3 * np.sin(2 * np.pi * 440 * time), np.zeros(3 * rate)
    clicks[rate // 4 :: rate // 2] = 10.0
    cascade = CascadedHPSS(between="residual")
    sources = cascade.separate(tone + clicks, rate)
    inner = slice(rate // 2, -rate // 2)  # the tone itself begins and ends with a click
    assert sdr(tone[inner], sources["harmonic"][inner]) > 25
    assert sdr(clicks[inner], sources["percussive"][inner]) > 12
    assert np.square(sources["residual"][inner]).sum() < 0.05 * np.square(clicks[inner]).sum()


@pytest.mark.core
def test_defaults_are_those_that_were_measured():
    long, short = (
        HPSS(stft=STFT(n_fft), harmonic_seconds=0.4, percussive_hertz=500, power=1) for n_fft in (8192, 2048)
    )
    assert CascadedHPSS() == CascadedHPSS(first=long, second=short, between="harmonic")


@pytest.mark.core
def test_it_is_a_value_that_is_stored_whole():
    cascade = CascadedHPSS(first=LONG, second=IterativeHPSS(harmonic_weight=0.2), between="residual")
    assert from_json(cascade.to_json()) == cascade
    assert cascade.replace(second=SHORT) != cascade
    assert len({cascade, cascade.replace(), CascadedHPSS()}) == 2


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[
            (name, {name: bad})
            for name in ("first", "second")
            for bad in (None, 4096, STFT(), HPSS, "hpss", CascadedHPSS(), Pipeline([LONG]))
        ],
        *[("between", {"between": bad}) for bad in ("percussive", "", None, True, ["residual"])],
    ],
    ids=lambda value: str(value)[:60],
)
def test_wrong_settings_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=r" must be .+; got .+") as info:
        CascadedHPSS(**options)
    assert info.value.name == name


@pytest.mark.core
def test_a_pass_with_other_sources_is_refused():
    # Their sound would be lost.
    for names in (("harmonic", "percussive", "other"), ("harmonic",), ("first", "second")):
        with pytest.raises(InputError, match=r"^second must be a spectral separator"):
            CascadedHPSS(second=Patient(names=names))
    assert CascadedHPSS(second=Patient(names=("percussive", "harmonic"))).source_names


@pytest.mark.core
def test_its_reach_is_the_sum():
    one, two = HPSS(stft=STFT(512, 100), harmonic_frames=9), HPSS(stft=STFT(64, 30), harmonic_frames=5)
    reach = CascadedHPSS(first=one, second=two).reach(8000)
    assert reach == Reach(samples=512 + 4 * 100 + 64 + 2 * 30, step=300)


@pytest.mark.core
def test_progress_says_which_pass():
    seen = []
    sources = CascadedHPSS(first=LONG, second=SHORT).separate(noise(900), 8000, callback=seen.append)
    stages = ("transform", "fit", "harmonic")
    assert [progress.stage for progress in seen] == [
        f"{which}: {stage}" for which in ("first", "second") for stage in stages
    ]
    assert sources.model == {"first": seen[2].model, "second": seen[-1].model}
    assert sources.provenance.settings.startswith("CascadedHPSS(")


@pytest.mark.core
def test_ending_the_iterations_of_a_pass_ends_them():
    cascade = CascadedHPSS(first=LONG, second=IterativeHPSS(stft=STFT(128), n_iter=30))
    sources = cascade.separate(noise(900), 8000, callback=lambda progress: progress.loss is not None)
    assert sources.model["second"].n_iter == 10


@pytest.mark.core
def test_what_arrives_on_a_device_stays_there():
    xp = pytest.importorskip("array_api_strict")
    device = xp.Device("device1")
    mixture = noise(1500, n_channels=2)
    cascade = CascadedHPSS(first=LONG, second=SHORT, between="residual")
    sources = cascade.separate(xp.asarray(mixture, device=device), 8000)
    expected = cascade.separate(mixture, 8000)
    for name in expected:
        assert sources[name].device == device
        host = np.asarray(xp.asarray(sources[name], device=xp.Device("CPU_DEVICE")))
        np.testing.assert_allclose(host, expected[name], atol=1e-12)


# ---- how good it is


def scores(separator, name):
    """Return SDR and SI-SDR, each averaged over the harmonic and the percussive part, in decibels."""
    case = real_case(name)
    sources = separator.separate(case.mixture, case.sample_rate)
    truth = {"harmonic": case.references["harmonic"], "percussive": case.references["drums"]}
    return [
        float(np.mean([metric(truth[part], sources[part]) for part in truth])) for metric in (sdr, si_sdr)
    ]


def test_it_beats_every_single_window_by_a_decibel():
    # HPSS at its defaults scores as librosa's does (`test_hpss_peers`), and takes a tenth of the time.
    names = case_names("b_")
    single = [
        np.mean([scores(HPSS(stft=STFT(n_fft)), name) for name in names], 0) for n_fft in (1024, 2048, 4096)
    ]
    cascaded = np.mean([scores(CascadedHPSS(), name) for name in names], 0)
    if not real_case(names[0]).real:
        # The synthetic song has nothing but long notes and short strokes, which one window tells apart.
        assert cascaded[0] > 5
        return
    assert (cascaded - np.max(single, 0) > 1.5).all(), (cascaded, single)


@pytest.mark.parametrize("name", case_names("b_"))
def test_the_second_pass_takes_notes_out_of_the_drums(name):
    case = real_case(name)
    cascade = CascadedHPSS()
    leak = {}
    for separator in (cascade.first, cascade):
        percussive = separator.separate(case.references["harmonic"], case.sample_rate)["percussive"]
        leak[separator] = float(np.square(percussive).sum())
    assert leak[cascade] < 0.9 * leak[cascade.first]
