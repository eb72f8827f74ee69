"""DUET: histogram and masks by loops, sources that share no bin, phases that go round, real speech."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import DUET, STFT, DspsepWarning, DUETModel, InputError, duet_histogram, from_json
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case
from tests.test_stft import noise

RATE = 16000
SMALL = STFT(256)


def complex_noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def later(audio, samples):
    """Return audio that is some samples later, between samples, going round."""
    turns = np.fft.rfftfreq(audio.size) * samples
    return np.fft.irfft(np.fft.rfft(audio) * np.exp(-2j * np.pi * turns), audio.size)


def one_after_the_other(n_sources):
    """Return sources with silence that is longer than a frame between them."""
    sources = [np.zeros(8000 * n_sources) for _ in range(n_sources)]
    for number, source in enumerate(sources):
        source[1000 + 8000 * number : 6000 + 8000 * number] = noise(5000, seed=number)
    return sources


def at_two_microphones(sources, gains, delays):
    """Return the images of sources whose second channel is louder and later."""
    return [
        np.stack([source, gain * later(source, delay)])
        for source, gain, delay in zip(sources, gains, delays, strict=True)
    ]


@pytest.mark.core
@pytest.mark.parametrize(("p", "q"), [(1.0, 0.0), (0.5, 1.0), (2.0, 2.0)])
def test_the_histogram_is_that_of_the_paper(p, q):
    omega = np.linspace(0, np.pi, 20)
    X1, X2 = complex_noise((20, 300)), complex_noise((20, 300), 1)
    limits = {"max_attenuation": 1.5, "max_delay": 1.7}
    H, attenuations, delays = duet_histogram(X1, X2, omega, **limits, n_bins=(7, 12), p=p, q=q)
    sure = slice(1, np.count_nonzero(omega * 1.7 < np.pi))
    ratio = X2[sure] / X1[sure]
    alpha = np.abs(ratio) - 1 / np.abs(ratio)
    delta = -np.angle(ratio) / omega[sure, None]
    weights = np.abs(X1[sure] * X2[sure]) ** p * omega[sure, None] ** q
    expected, edges, other_edges = np.histogram2d(
        alpha.ravel(), delta.ravel(), (7, 12), ((-1.5, 1.5), (-1.7, 1.7)), weights=weights.ravel()
    )
    np.testing.assert_allclose(H, expected, rtol=1e-10)
    np.testing.assert_allclose(attenuations, (edges[1:] + edges[:-1]) / 2, atol=1e-12)
    np.testing.assert_allclose(delays, (other_edges[1:] + other_edges[:-1]) / 2, atol=1e-12)


def by_loops(X1, X2, peaks, omega):
    """Return the distances of each bin to each source (n_sources, n_freqs, n_frames)."""
    distances = np.zeros((len(peaks), *X1.shape))
    for j, f, t in np.ndindex(distances.shape):
        a, delta = peaks[j]
        distances[j, f, t] = abs(a * np.exp(-1j * delta * omega[f]) * X1[f, t] - X2[f, t]) ** 2 / (1 + a**2)
    return distances


@pytest.mark.core
@pytest.mark.parametrize("mask", ["binary", "soft"])
def test_masks_are_those_of_the_nearest_sources(mask):
    spectrogram = STFT(32).forward(noise(600, "float64", 2), RATE)
    peaks = ((0.7, -1e-4), (1.0, 2e-5), (1.5, 5e-5))
    model = DUETModel(peaks=peaks, n_sources=4, mask=mask, histogram=np.zeros((3, 3)), limits=(1.0, 1e-3))
    masks = np.concatenate(list(model.masks(spectrogram).values()))
    distances = by_loops(*spectrogram.values, peaks, 2 * np.pi * spectrogram.frequencies())
    if mask == "binary":
        expected = distances.argmin(axis=0) == np.arange(3)[:, None, None]
    else:
        expected = 1 / distances / (1 / distances).sum(axis=0)
    np.testing.assert_allclose(masks[:3], expected, atol=1e-10)
    assert not masks[3].any()


@pytest.mark.parametrize("mask", ["binary", "soft"])
def test_sources_that_share_no_bin_are_exact(mask):
    gains, delays = (0.8, 1.0, 1.3), (-2.3, 0.0, 1.6)
    sources = one_after_the_other(3)
    images = at_two_microphones(sources, gains, delays)
    found = DUET(stft=STFT(1024), mask=mask).separate(sum(images), RATE)
    for peak, gain, delay in zip(found.model.peaks, gains, delays, strict=True):
        assert peak == pytest.approx((gain, delay / RATE), rel=0.02, abs=2e-6)
    for image, source in zip(images, found.values(), strict=True):
        # Frames see delays that go round at their ends, and that is all that is lost.
        same = np.array_equal(image[0], image[1])
        assert si_sdr(image, source) > (100 if same and mask == "binary" else 25)


def test_the_model_has_the_histogram():
    images = at_two_microphones([noise(16000)], [0.9], [1.0])
    model = DUET(n_sources=1).separate(images[0], RATE).model
    assert model.histogram.shape == (35, 50)
    assert model.histogram.sum() == pytest.approx(1, abs=0.02)
    assert model.limits == (0.7, 0.000225)


def test_long_delays_are_warned_of():
    sources = one_after_the_other(2)
    for delays, far in (((-3.0, 3.0), False), ((-12.0, 11.0), True)):
        mixture = sum(at_two_microphones(sources, (0.8, 1.2), delays))
        if far:
            with pytest.warns(DspsepWarning, match=r"\[W_PHASE\] \d+ % of what is heard") as caught:
                DUET(n_sources=2).separate(mixture, RATE)
            assert caught[0].filename == __file__
        else:
            DUET(n_sources=2).separate(mixture, RATE)
    # A range that holds them, but leaves too few frequencies that tell.
    with pytest.warns(DspsepWarning, match=r"\[W_PHASE\] only 3 frequencies lie below"):
        DUET(n_sources=2, stft=SMALL, max_delay_seconds=0.0025).separate(mixture, RATE)
    with pytest.warns(DspsepWarning, match=r"\[W_PHASE\] only 0 frequencies lie below"):
        sources = DUET(n_sources=2, stft=SMALL, max_delay_seconds=1.0).separate(mixture, RATE)
    np.testing.assert_allclose(sources["source_0"], mixture, atol=1e-12)
    wide = DUET(n_sources=2, stft=STFT(4096), max_delay_seconds=0.001).separate(mixture, RATE)
    np.testing.assert_allclose([RATE * delay for _, delay in wide.model.peaks], (-12, 11), atol=0.3)


def test_fewer_peaks_than_sources():
    one = noise(8000)
    with pytest.warns(DspsepWarning, match=r"\[W_FEW_SOURCES\]"):
        sources = DUET().separate(np.stack([one, 0.9 * one]), RATE)
    np.testing.assert_allclose(sources["source_0"], [one, 0.9 * one], atol=1e-12)
    # A channel that is silent tells nothing: all goes to the first source.
    dead = DUET().separate(np.stack([one, np.zeros_like(one)]), RATE)
    np.testing.assert_allclose(dead["source_0"][0], one, atol=1e-12)
    assert dead.model.peaks == ()


def test_settings_are_values():
    separator = DUET(n_bins=[np.int64(9), 11], p=np.float32(1), n_sources=np.int64(2))
    assert separator == DUET(n_bins=(9, 11), p=1.0, n_sources=2)
    assert from_json(separator.to_json()) == separator


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_delay_seconds": 0}, "max_delay_seconds"),
        ({"max_attenuation": -1}, "max_attenuation"),
        ({"n_bins": 5}, "n_bins"),
        ({"n_bins": (5, 1)}, "n_bins"),
        ({"p": -1}, "p"),
        ({"q": 3}, "q"),
        ({"mask": "hard"}, "mask"),
        ({"n_sources": 101}, "n_sources"),
    ],
)
def test_settings_out_of_range(settings, name):
    with pytest.raises(InputError, match=f"^{name} must be"):
        DUET(**settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"peaks": ((1.0,),)},
        {"peaks": ((-1.0, 0.0),)},
        {"peaks": ((1e200, 0.0),)},
        {"peaks": ((1.0, 1e308),)},
        {"histogram": np.full((3, 3), np.nan)},
        {"histogram": np.full((3, 3), 1j)},
        {"histogram": np.full((3, 3), "a")},
        {"peaks": ((1.0, 0.0),) * 3},
        {"limits": (1.0, -1.0)},
        {"histogram": np.zeros(3)},
        {"mask": "hard"},
        {"n_sources": 0},
    ],
)
def test_models_out_of_range(changes):
    good = {"peaks": ((1.0, 0.0),), "n_sources": 2, "mask": "soft", "limits": (1.0, 1.0)}
    (name,) = changes
    with pytest.raises(InputError, match=f"^{name} must be"):
        DUETModel(**{**good, "histogram": np.zeros((3, 3)), **changes})


def test_spectra_out_of_range():
    X = np.ones((4, 5))
    for bad in (
        (X, X[:, 1:], np.arange(4)),
        (X[0], X[0], np.arange(5)),
        (X, X, np.arange(5)),
        (X, X, -np.arange(4)),
    ):
        with pytest.raises(InputError):
            duet_histogram(*bad, max_delay=1.0)


@pytest.mark.parametrize("mask", ["binary", "soft"])
def test_speech_is_nearer_to_the_truth(mask):
    case = real_case(case_names("d_duet")[0])
    if not case.real:
        pytest.skip("the scenes have no delays")
    sources = DUET(mask=mask).separate(case.mixture, case.sample_rate)
    facts = sorted(zip(case.facts["right_gain"], case.facts["right_delay_samples"], strict=True))
    np.testing.assert_allclose(
        [(gain, delay * RATE) for gain, delay in sources.model.peaks], facts, atol=0.05
    )
    order = np.argsort(case.facts["right_gain"])
    truths = [list(case.references.values())[index] for index in order]
    gains = [
        si_sdr(truth, source) - si_sdr(truth, case.mixture)
        for truth, source in zip(truths, sources.values(), strict=True)
    ]
    # Half a decibel below what is measured: 12.5 dB, and 10.5 for the worst.
    assert np.mean(gains) > 12.0, gains
    assert min(gains) > 10.0, gains
