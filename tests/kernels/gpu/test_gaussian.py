"""GPU kernels of Gaussian sources: equal to `generic`, also where covariances are all but singular."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.kernels import generic, gpu
from tests.kernels.gpu.test_demixing import (  # noqa: F401 - fixtures
    SNR,
    assert_equal,
    no_launches,
    unwritten,
)

pytestmark = pytest.mark.usefixtures("on_host", "unwritten")

# Channels, sources, precision, and frames and bins beside the sizes of blocks: few, as each is compiled.
ONE, TWO, THREE = (1, 2, "complex128", 33, 65), (2, 3, "complex64", 40, 70), (3, 2, "complex128", 32, 9)


def case(n_channels, n_sources, dtype, n_frames, n_freqs):
    rng = np.random.default_rng(0)
    shape = (n_channels, n_frames, n_freqs)
    spectra = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    real = "float32" if dtype == "complex64" else "float64"
    v = rng.exponential(size=(n_sources, n_frames, n_freqs)).astype(real)
    A = rng.standard_normal((n_sources, n_freqs, n_channels, n_channels, 2)) @ np.array([1, 1j])
    R = A @ A.conj().swapaxes(2, 3) + 0.01 * np.eye(n_channels)
    return spectra, v, R, SNR[real]


@pytest.mark.parametrize("size", [ONE, TWO])
def test_models(size):
    spectra, _, _, least = case(*size)
    assert_equal(generic.gaussian_model(spectra, 0.5), gpu.gaussian_model(spectra, 0.5), least)


@pytest.mark.parametrize(("size", "posterior"), [(ONE, True), (TWO, False), (THREE, True)])
def test_steps(size, posterior):
    spectra, v, R, least = case(*size)
    expected, found = (
        each.gaussian_step(spectra, v, R, 0.5, 1e-3, posterior, True) for each in (generic, gpu)
    )
    assert_equal(expected, found, least)


def test_no_loss_is_nothing():
    spectra, v, R, _ = case(*TWO)
    assert gpu.gaussian_step(spectra, v, R, 0.5, 1e-3, False, False)[2] == 0


@pytest.mark.parametrize("source", [None, 1])
@pytest.mark.parametrize("size", [TWO, THREE])
def test_estimates(size, source):
    spectra, v, R, least = case(*size)
    v[:, 3] = 0  # silence is shared equally
    expected, found = (each.gaussian_estimates(spectra, v, R, 1e-3, source) for each in (generic, gpu))
    assert_equal(expected, found, least)


def test_silence_and_what_is_too_loud():
    spectra, _, _, _ = case(*TWO[:3], 8, 5)
    spectra[:, :, 0] = 0
    spectra[:, :, 1] *= 1e18
    v, R = gpu.gaussian_model(spectra, 1e3)
    assert np.all(R[0] == 0)
    assert np.all(v[:, 0] == 0)
    assert v.max() == np.finfo(v.dtype).max


def test_places_that_are_points():
    """Without noise the covariance of one source is singular: what comes of it are numbers."""
    spectra, v, _, _ = case(*TWO)
    d = spectra[:, 0, :].T.astype(complex)
    R = np.stack([d[:, :, None] * d[:, None, :].conj()] * 3)
    for result in gpu.gaussian_step(spectra, v, R, 1.0, 1e-25, False, True):
        assert np.isfinite(result).all()
    Y = gpu.gaussian_estimates(spectra, v, R, 1e-25, None)
    np.testing.assert_allclose(Y.sum(axis=0), spectra, atol=1e-5)


@pytest.mark.usefixtures("no_launches")
def test_many_sources_run_through_generic():
    spectra, v, R, _ = case(4, 5, "complex64", 3, 4)
    expected, found = (each.gaussian_step(spectra, v, R, 0.5, 1e-3, False, True) for each in (generic, gpu))
    assert_equal(expected, found, 250)
