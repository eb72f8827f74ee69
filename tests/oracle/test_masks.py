"""The masks of the oracles are those of their equations, bin by bin, and within their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dspsep import STFT, InputError, load_model
from dspsep.oracle import IBM, IRM, IWM, PSM
from tests.oracle.test_oracles import references_and_mixture

STFT_ = STFT(128, 32)


def _by_the_equations(kind, S, N, X, settings):
    """Return the mask of each source in one bin, from complex numbers."""
    everything = [*S, N]
    if kind is IBM:
        p, theta = settings.get("exponent", 1.0), settings.get("threshold", 0.5)
        return [float(abs(s) ** p >= theta * abs(X) ** p) for s in S]
    if kind is PSM:
        low, high = settings.get("lowest", 0.0), settings.get("highest", 1.0)
        return [min(max((s * X.conjugate()).real / abs(X) ** 2, low), high) for s in S]
    p = settings.get("exponent", 2.0 if kind is IWM else 1.0)
    return [abs(s) ** p / math.fsum(abs(other) ** p for other in everything) for s in S]


@pytest.mark.core
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (IBM, {}),
        (IBM, {"exponent": 2.0}),
        (IBM, {"threshold": 0.8, "exponent": 1.5}),
        (IRM, {}),
        (IRM, {"exponent": 0.5}),
        (IWM, {}),
        (IWM, {"exponent": 7.0}),
        (PSM, {}),
        (PSM, {"lowest": -0.5, "highest": 2.0}),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_masks_are_those_of_the_equations(kind, settings, noise):
    references, mixture = references_and_mixture(n_sources=3, n_samples=500, noise=noise)
    oracle = kind(references=references, stft=STFT_, **settings)
    spectrogram = STFT_.forward(mixture, 8000)
    masks = oracle.fit(spectrogram).masks(spectrogram)
    assert tuple(masks) == oracle.source_names == (*references, "residual")
    spectra = [STFT_.forward(audio, 8000).values for audio in references.values()]
    X = spectrogram.values
    for where in np.ndindex(X.shape):
        S = [complex(values[where]) for values in spectra]
        rest = complex(X[where]) - sum(S) if noise else 0.0
        expected = _by_the_equations(kind, S, rest, complex(X[where]), settings)
        found = [float(masks[name][where]) for name in references]
        assert found == pytest.approx(expected, abs=1e-9), where
    rest = 1 - sum(masks[name] for name in references)
    np.testing.assert_allclose(masks["residual"], rest, atol=1e-12)


def test_ratio_masks_are_shares():
    references, mixture = references_and_mixture(n_sources=2, noise=0.2)
    spectrogram = STFT_.forward(mixture, 8000)
    for exponent in (1e-3, 1.0, 1000.0):
        masks = IRM(references=references, stft=STFT_, exponent=exponent).fit(spectrogram).masks(spectrogram)
        for mask in masks.values():
            assert mask.min() >= -1e-12
            assert mask.max() <= 1 + 1e-12
        assert masks["residual"].max() > 0.33


def test_rounding_is_nobody():
    # What is left by rounding must not compete for bins, which small exponents would let it do.
    references, mixture = references_and_mixture(n_sources=2)
    spectrogram = STFT_.forward(mixture, 8000)
    for exponent in (1e-3, 1.0):
        oracle = IRM(references=references, stft=STFT_, exponent=exponent)
        assert np.abs(oracle.fit(spectrogram).masks(spectrogram)["residual"]).max() < 1e-12
        residual = oracle.separate(mixture, 8000)["residual"]
        assert np.abs(residual).max() < 1e-12


def test_large_exponents_make_ratio_masks_binary():
    references, mixture = references_and_mixture(n_sources=2)
    spectrogram = STFT_.forward(mixture, 8000)
    masks = IRM(references=references, stft=STFT_, exponent=1000.0).fit(spectrogram).masks(spectrogram)
    first, second = (STFT_.forward(audio, 8000).magnitude() for audio in references.values())
    clear = np.abs(np.log(first / second)) > 0.05
    np.testing.assert_allclose(masks["a"][clear], (first > second)[clear], atol=1e-9)


def test_wide_limits_make_phase_sensitive_masks_sum_to_one():
    references, mixture = references_and_mixture(n_sources=3)
    spectrogram = STFT_.forward(mixture, 8000)
    oracle = PSM(references=references, stft=STFT_, lowest=-1e6, highest=1e6)
    masks = oracle.fit(spectrogram).masks(spectrogram)
    assert np.abs(masks["residual"]).max() < 1e-9
    assert min(mask.min() for mask in masks.values()) < -0.5


def test_no_real_mask_is_nearer_to_a_source_in_its_bin():
    references, mixture = references_and_mixture(n_sources=2)
    spectrogram = STFT_.forward(mixture, 8000)
    S = STFT_.forward(references["a"], 8000).values

    def error(mask):
        return np.abs(S - mask * spectrogram.values)

    best = PSM(references=references, stft=STFT_).fit(spectrogram).masks(spectrogram)["a"]
    for kind in (IBM, IRM, IWM):
        other = kind(references=references, stft=STFT_).fit(spectrogram).masks(spectrogram)["a"]
        assert (error(best) <= error(other) + 1e-12).all()
    for nudged in (best - 0.01, best + 0.01):
        inside = (nudged >= 0) & (nudged <= 1)
        assert (error(best) <= error(nudged) + 1e-12)[inside].all()


def test_two_claims_of_a_bin_are_taken_back_by_the_residual():
    time = np.arange(2000)
    a, b = np.sin(0.3 * time), -0.9 * np.sin(0.3 * time)  # nearly cancel: both are louder than their sum
    oracle = IBM(references={"a": a, "b": b}, stft=STFT_)
    spectrogram = STFT_.forward(a + b, 8000)
    assert oracle.fit(spectrogram).masks(spectrogram)["residual"].min() == -1
    sources = oracle.separate(a + b, 8000)
    np.testing.assert_allclose(sources["residual"], -(a + b), atol=0.05)


@pytest.mark.parametrize("threshold", [1.0, 0.5, 0.25])
def test_a_source_that_just_reaches_the_threshold_has_the_bin(threshold):
    _, mixture = references_and_mixture()
    spectrogram = STFT_.forward(mixture, 8000)
    oracle = IBM(references={"a": threshold * mixture}, stft=STFT_, threshold=threshold)
    assert oracle.fit(spectrogram).masks(spectrogram)["a"].min() == 1


@pytest.mark.parametrize("kind", [IBM, IRM, IWM, PSM])
def test_silence_is_nobodys(kind):
    silence = np.zeros((2, 500))
    spectrogram = STFT_.forward(silence, 8000)
    masks = kind(references={"a": silence, "b": silence}, stft=STFT_).fit(spectrogram).masks(spectrogram)
    assert masks["residual"].min() == 1


def test_binary_masks_of_extreme_settings():
    references, mixture = references_and_mixture()
    for threshold, exponent, claimed in ((1e6, 1e-3, 0.0), (1e-6, 1e-3, 1.0), (1e6, 1000.0, None)):
        oracle = IBM(references=references, stft=STFT_, threshold=threshold, exponent=exponent)
        spectrogram = STFT_.forward(mixture, 8000)
        mask = oracle.fit(spectrogram).masks(spectrogram)["a"]
        assert claimed is None or (mask == claimed).all()


def test_small_sources_can_all_fail_the_vote():
    time = np.arange(2000)
    tone = np.sin(0.3 * time)
    sources = IBM(references=dict.fromkeys("abc", tone), stft=STFT_).separate(3 * tone, 8000)
    np.testing.assert_allclose(sources["residual"], 3 * tone, atol=1e-12)


@pytest.mark.parametrize("kind", [IBM, IRM, IWM, PSM])
def test_a_stored_model_gives_the_same_masks(kind, tmp_path):
    references, mixture = references_and_mixture(n_sources=2)
    oracle = kind(references=references, stft=STFT_)
    model = oracle.separate(mixture, 8000).model
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert again == model
    spectrogram = STFT_.forward(mixture, 8000)
    masks, stored = model.masks(spectrogram), again.masks(spectrogram)
    for name in masks:
        np.testing.assert_array_equal(stored[name], masks[name])


def test_a_model_fits_one_mixture_and_one_transform():
    references, mixture = references_and_mixture(n_sources=2)
    oracle = IRM(references=references, stft=STFT_)
    with pytest.raises(InputError, match=r"^spectrogram must be made by this transform"):
        oracle.fit(STFT(64).forward(mixture, 8000))
    with pytest.raises(
        InputError, match=r"^spectrogram must be of the shape of the references, \(2, 1500\); got"
    ):
        oracle.fit(STFT_.forward(mixture[:, :-1], 8000))
    model = oracle.fit(STFT_.forward(mixture, 8000))
    with pytest.raises(InputError, match=r"^spectrogram must be of the shape of the references"):
        next(model.iter_masks(STFT_.forward(mixture[0], 8000)))
    with pytest.raises(InputError, match=r"^oracle must be an oracle that masks"):
        type(model)(oracle=None)
