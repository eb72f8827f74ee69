"""The multichannel Wiener filter: its equations bin by bin, and what it can that masks cannot."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT
from dspsep.data import scenes
from dspsep.metrics import sdr
from dspsep.oracle import IWM, MWF
from dspsep.oracle.wiener import spatial_covariance
from tests.oracle.test_oracles import references_and_mixture

SMALL = STFT(128, 32)


def _by_the_equations(references, mixture, regularisation):
    """Return the spectra of the estimates, one bin after the other, with matrices of NumPy."""
    Y = [SMALL.forward(audio, 8000).values for audio in references.values()]
    X = SMALL.forward(mixture, 8000).values
    Y.append(X - sum(Y))
    C, F, T = X.shape
    estimates = np.zeros((len(references), C, F, T), complex)
    for f in range(F):
        R = []
        for y in Y:
            observed = sum(
                np.outer(y[:, f, t], y[:, f, t].conj()) / np.vdot(y[:, f, t], y[:, f, t]) for t in range(T)
            )
            R.append(C * observed / np.trace(observed) + regularisation * np.eye(C))
        for t in range(T):
            v = [
                np.vdot(y[:, f, t], np.linalg.solve(r, y[:, f, t])).real / C
                for y, r in zip(Y, R, strict=True)
            ]
            whole = sum(loud * place for loud, place in zip(v, R, strict=True))
            for j in range(len(references)):
                estimates[j, :, f, t] = v[j] * R[j] @ np.linalg.solve(whole, X[:, f, t])
    return estimates


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
@pytest.mark.parametrize("regularisation", [1e-10, 0.1])
def test_filters_by_its_equations(n_channels, regularisation):
    references, mixture = references_and_mixture(3, n_samples=300, n_channels=n_channels, noise=0.1)
    sources = MWF(references=references, stft=SMALL, regularisation=regularisation).separate(mixture, 8000)
    spectrogram = SMALL.forward(mixture, 8000)
    expected = _by_the_equations(references, mixture, regularisation)
    for name, values in zip(references, expected, strict=True):
        audio = SMALL.inverse(spectrogram.with_values(values))
        np.testing.assert_allclose(sources[name], audio, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_in_one_channel_it_is_the_mask_of_energies(noise):
    references, mixture = references_and_mixture(3, n_channels=None, noise=noise)
    filtered = MWF(references=references, stft=SMALL).separate(mixture, 8000)
    masked = IWM(references=references, stft=SMALL).separate(mixture, 8000)
    for name in filtered:
        np.testing.assert_allclose(filtered[name], masked[name], atol=1e-8)


def test_two_places_in_two_channels_are_told_apart_exactly():
    scene = scenes.panned(duration=1.0)
    first, second = list(scene.sources.values())[:2]
    references = {"first": first, "second": second}
    mixture = first + second
    filtered = MWF(references=references).separate(mixture, scene.sample_rate)
    masked = IWM(references=references).separate(mixture, scene.sample_rate)
    for name, reference in references.items():
        assert sdr(reference, filtered[name]) > 90
        assert sdr(reference, masked[name]) < 30


@pytest.mark.parametrize("regularisation", [1e-12, 1e-10, 1e-6])
@pytest.mark.parametrize("n_channels", [3, 4])
def test_as_many_places_as_channels_are_told_apart(n_channels, regularisation):
    scene = scenes.instantaneous(n_sources=n_channels, duration=1.0)
    images = {name: np.asarray(audio, np.float64) for name, audio in scene.sources.items()}
    oracle = MWF(references=images, regularisation=regularisation)
    sources = oracle.separate(sum(images.values()), scene.sample_rate)
    for name, image in images.items():
        assert sdr(image, sources[name]) > 50


def test_mono_saved_as_stereo_is_masked_as_mono():
    references, mixture = references_and_mixture(2, n_channels=None)
    twice = {name: np.stack([audio, audio]) for name, audio in references.items()}
    filtered = MWF(references=twice, stft=SMALL).separate(np.stack([mixture, mixture]), 8000)
    masked = IWM(references=references, stft=SMALL).separate(mixture, 8000)
    for name in references:
        np.testing.assert_allclose(filtered[name][0], masked[name], atol=1e-5)
        np.testing.assert_allclose(filtered[name][1], masked[name], atol=1e-5)


def test_covariances_are_normalised_and_regular():
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((3, 4, 50)) + 1j * rng.standard_normal((3, 4, 50))
    Y[:, 1] = np.array([1, 2j, 0])[:, None] * Y[0, 1]  # of rank one
    Y[:, 2] = 0
    R = spatial_covariance(Y, regularisation=1e-6)
    np.testing.assert_allclose(R, R.conj().transpose(0, 2, 1), atol=1e-15)
    np.testing.assert_allclose(np.trace(R, axis1=1, axis2=2), 3 * (1 + 1e-6), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(R[1]), [1e-6, 1e-6, 3], rtol=1e-3)
    np.testing.assert_allclose(R[2], np.eye(3) * (1 + 1e-6))
    np.testing.assert_allclose(spatial_covariance(1e-140 * Y, regularisation=1e-6), R, rtol=1e-9, atol=1e-15)


def test_all_frames_count_alike():
    Y = np.zeros((2, 1, 2), complex)
    Y[:, 0, 0] = [100, 0]
    Y[:, 0, 1] = [0, 1]
    np.testing.assert_allclose(spatial_covariance(Y)[0], np.eye(2), atol=1e-7)


def test_matrices_are_solved_in_parts_of_any_size(monkeypatch):
    references, mixture = references_and_mixture(2, n_samples=700)
    expected = MWF(references=references, stft=SMALL).separate(mixture, 8000)
    monkeypatch.setattr("dspsep.oracle.wiener._SOLVED_VALUES", 65 * 4 * 5)
    parts = MWF(references=references, stft=SMALL).separate(mixture, 8000)
    for name in expected:
        np.testing.assert_allclose(parts[name], expected[name], atol=1e-13)
