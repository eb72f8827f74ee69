"""Peaks of the 2-D transform: a plain loop, symmetry, planted combs, odd spectrograms, real voices."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import FT2D, STFT, DspsepWarning, FT2DModel, InputError, from_json, ft2d, load_model
from dspsep.metrics import sdr, si_sdr
from tests.cases import case_names, real_case
from tests.separators.test_rpca import BACKGROUND, FOREGROUND, lead_and_backing
from tests.test_stft import noise

RATE = 8000
SMALL = STFT(256)


def by_loops(V, neighbourhood, peaks):
    """Return the background and the weights, looking at the whole plane one bin after the other."""
    transform = np.fft.fft2(V)
    P = np.abs(transform)
    M = np.zeros(V.shape)
    scales, rates = (np.arange(-(size // 2), size // 2 + 1) for size in neighbourhood)
    for k in range(V.shape[0]):
        for t in range(V.shape[1]):
            near = P[np.ix_((k + scales) % V.shape[0], (t + rates) % V.shape[1])]
            # Mirror images are equal but for rounding.
            if P[k, t] < near.max() * (1 - 1e-12):
                continue
            if peaks == "threshold":
                M[k, t] = near.max() - near.min() > P.std()
            else:
                M[k, t] = (P[k, t] - near.mean()) / near.std() / np.sqrt(near.size - 1)
    return np.maximum(np.real(np.fft.ifft2(M * transform)), 0), M


def mirrored(M):
    """Return M[-k, -l]."""
    return np.roll(M[::-1, ::-1], 1, axis=(0, 1))


@pytest.mark.core
@pytest.mark.parametrize("peaks", ["local_std", "threshold"])
@pytest.mark.parametrize("neighbourhood", [(1, 25), (3, 5), (5, 1), (1, 3)])
@pytest.mark.parametrize("shape", [(33, 60), (32, 61), (7, 40)])
def test_it_is_what_loops_find(shape, neighbourhood, peaks):
    V = np.random.default_rng(0).random(shape)
    B, M = ft2d(V, neighbourhood=neighbourhood, peaks=peaks)
    expected = by_loops(V, neighbourhood, peaks)
    np.testing.assert_allclose(B, expected[0], atol=1e-11)
    np.testing.assert_allclose(M, expected[1], atol=1e-9)
    assert 0 <= M.min() < M.max() <= 1


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("peaks", ["local_std", "threshold"])
@pytest.mark.parametrize("neighbourhood", [(1, 25), (5, 9), (3, 1)])
@pytest.mark.parametrize("shape", [(64, 100), (65, 101), (64, 101), (1, 30), (2, 30), (30, 1), (30, 2)])
def test_peaks_are_symmetric(shape, neighbourhood, peaks, dtype):
    for seed in range(3):
        V = np.random.default_rng(seed).random(shape).astype(dtype)
        B, M = ft2d(V, neighbourhood=neighbourhood, peaks=peaks)
        np.testing.assert_array_equal(M, mirrored(M))
        assert B.dtype == M.dtype == V.dtype
        whole = np.fft.ifft2(M.astype(np.float64) * np.fft.fft2(V.astype(np.float64)))
        assert np.abs(whole.imag).max() < 1e-12
        np.testing.assert_allclose(B, np.maximum(whole.real, 0), atol=1e-5 if dtype == "float32" else 1e-12)


def test_a_comb_is_background_and_a_single_bin_is_not():
    V = np.zeros((60, 200))
    V[20:30, ::10] = 1
    V[40, 73] = 1
    B, _ = ft2d(V)
    comb = V[20:30, ::10] > 0
    assert B[20:30, ::10][comb].min() > 0.5
    assert B[40, 73] < 0.2


@pytest.mark.core
@pytest.mark.parametrize("peaks", ["local_std", "threshold"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize(
    "V",
    [
        np.zeros((5, 30)),
        np.ones((5, 30)),
        np.ones((1, 1)),
        np.eye(50),
        np.pad(np.ones((1, 1)), 20),
        np.tile(np.random.default_rng(0).random((20, 6)), (1, 10)),
    ],
    ids=lambda V: f"{V.shape}",
)
def test_odd_spectrograms(V, scale, dtype, peaks):
    V = (V * scale).astype(dtype)
    before = V.copy()
    B, M = ft2d(V, peaks=peaks)
    assert np.isfinite(B).all()
    assert (B >= 0).all()
    assert ((M >= 0) & (M <= 1)).all()
    np.testing.assert_array_equal(V, before)


def test_scales_change_nothing():
    V = np.random.default_rng(0).random((40, 80))
    B, M = ft2d(V)
    for scale in (2.0**-40, 2.0**30):
        scaled = ft2d(V * scale)
        np.testing.assert_array_equal(scaled[0], B * scale)
        np.testing.assert_array_equal(scaled[1], M)


@pytest.mark.core
def test_each_channel_has_the_share_of_its_background():
    audio = noise(8000, "float64", 2)
    spectrogram = SMALL.forward(audio, RATE)
    model = FT2D(stft=SMALL, cutoff_hertz=None).fit(spectrogram)
    masks = model.masks(spectrogram)
    for V, mask in zip(spectrogram.magnitude(), masks[BACKGROUND], strict=True):
        B, _ = ft2d(V)
        np.testing.assert_allclose(mask, np.minimum(B, V) / V, atol=1e-12)
    ruled = FT2D(stft=SMALL).fit(spectrogram).masks(spectrogram)
    assert (ruled[BACKGROUND][:, :4] == 1).all()
    assert (masks[BACKGROUND][:, :4] < 1).any()
    np.testing.assert_array_equal(ruled[BACKGROUND][:, 4:], masks[BACKGROUND][:, 4:])


def test_mixtures_of_fewer_frames_than_neighbours_are_too_short():
    with pytest.warns(DspsepWarning, match="W_TOO_SHORT"):
        sources = FT2D(stft=SMALL).separate(np.ones(24 * 64 - 1), RATE)
    assert not sources[FOREGROUND].any()
    assert FT2D(stft=SMALL).separate(noise(24 * 64), RATE).model is not None


def test_settings_and_models_are_values(tmp_path):
    separator = FT2D(neighbourhood=[3, np.int64(9)], peaks="threshold")
    assert separator.neighbourhood == (3, 9)
    assert from_json(separator.to_json()) == separator
    model = FT2DModel(neighbourhood=(3, 9), peaks="threshold", cutoff_hertz=None)
    model.save(tmp_path / "model.npz")
    assert load_model(tmp_path / "model.npz") == model


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"neighbourhood": (1, 24)}, "neighbourhood"),
        ({"neighbourhood": (1, 1)}, "neighbourhood"),
        ({"neighbourhood": (1,)}, "neighbourhood"),
        ({"neighbourhood": 25}, "neighbourhood"),
        ({"neighbourhood": "25"}, "neighbourhood"),
        ({"neighbourhood": (1, 2.5)}, "neighbourhood"),
        ({"peaks": "all"}, "peaks"),
    ],
)
def test_settings_out_of_range(settings, name):
    with pytest.raises(InputError, match=f"^{name} must be"):
        FT2D(**settings)
    with pytest.raises(InputError, match=f"^{name} must be"):
        ft2d(np.ones((5, 30)), **settings)
    with pytest.raises(InputError, match=f"^{name} must be"):
        FT2DModel(**{"neighbourhood": (1, 25), "peaks": "local_std", "cutoff_hertz": None, **settings})


@pytest.mark.parametrize("V", [np.ones(5), np.ones((0, 5)), -np.ones((3, 3)), np.full((3, 3), np.inf)])
def test_matrices_out_of_range(V):
    with pytest.raises(InputError, match=r"^V must be"):
        ft2d(V)


#: Mean gains over the mixture on real cases, SDR and SI-SDR in dB; half a decibel below what is measured.
FLOORS = ((5.4, 2.6), (1.5, 0.6))


def test_voices_are_nearer_to_the_truth_than_the_mixture():
    gains = []
    for name in case_names("a_"):
        case = real_case(name)
        sources = FT2D().separate(case.mixture, case.sample_rate)
        gains.append(
            [
                [metric(truth, sources[part]) - metric(truth, case.mixture) for metric in (sdr, si_sdr)]
                for part, truth in lead_and_backing(case).items()
            ]
        )
    if real_case(case_names("a_")[0]).real:
        assert (np.mean(gains, axis=0) > np.array(FLOORS)).all(), np.mean(gains, axis=0)
    else:
        assert (np.mean(gains, axis=0)[0] > 0).all(), np.mean(gains, axis=0)
