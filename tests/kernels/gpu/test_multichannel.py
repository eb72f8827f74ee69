"""GPU kernels of low-rank and full-rank models of several channels: equal to `generic`."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from dspsep import auxiva, cacgmm, fastmnmf2, fdica, ilrma
from dspsep.kernels import generic, gpu
from dspsep.kernels.gpu import _launch
from tests.kernels.gpu.test_demixing import (  # noqa: F401 - fixtures
    SNR,
    assert_equal,
    matrices,
    no_launches,
    spectra_of,
    unwritten,
)

pytestmark = pytest.mark.usefixtures("on_host", "unwritten")


def models(n_sources, n_freqs, n_components, n_frames, dtype):
    rng = np.random.default_rng(4)
    T = rng.exponential(size=(n_sources, n_freqs, n_components)) + 0.05
    V = rng.exponential(size=(n_sources, n_components, n_frames)) + 0.05
    return T.astype(dtype), V.astype(dtype)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(("n_channels", "n_sources", "n_components", "dtype"),
                         [(2, 2, 2, "float64"), (4, 3, 5, "float32")])  # fmt: skip
def test_low_rank_models(n_channels, n_sources, n_components, dtype, ridge):
    x, W = spectra_of(n_channels, dtype), matrices(19, n_sources, n_channels)
    T, V = models(n_sources, 19, n_components, x.shape[3], dtype)
    expected, found = (each.low_rank_covariances(x, T, V, ridge) for each in (generic, gpu))
    assert_equal(expected, found, SNR[dtype])
    expected, found = (each.low_rank_terms(x, W, T, V, ridge) for each in (generic, gpu))
    assert_equal(expected, found, SNR[dtype])


def test_components_that_are_silent_stay():
    x, W = spectra_of(2, "float64", 3), matrices(3, 2, 2)
    T, V = models(2, 3, 2, x.shape[3], "float64")
    V[:, 1] = 0
    expected, found = (each.low_rank_terms(x, W, T, V, 0.1) for each in (generic, gpu))
    assert_equal(expected, found, 250)
    np.testing.assert_array_equal(found[0][:, :, 1], T[:, :, 1])


@pytest.mark.usefixtures("no_launches")
def test_many_components_are_left_to_products_of_matrices():
    x, W = spectra_of(2, "float32", 3, 40), matrices(3, 2, 2)
    T, V = models(2, 3, 17, 40, "float32")
    assert_equal(generic.low_rank_terms(x, W, T, V, 0.1), gpu.low_rank_terms(x, W, T, V, 0.1), 250)
    expected, found = (each.low_rank_covariances(x, T, V, 0.1) for each in (generic, gpu))
    assert_equal(expected, found, 250)


@pytest.mark.parametrize(("n_channels", "n_weights", "dtype"), [(2, 2, "float64"), (5, 5, "float32")])
def test_covariances_of_fastmnmf(n_channels, n_weights, dtype):
    rng = np.random.default_rng(5)
    parts = rng.standard_normal((7, 2 * n_channels, 130)).astype(dtype)
    weights = rng.exponential(size=(n_weights, 7, 130)).astype(dtype)
    expected, found = (each.fastmnmf_covariances(parts, weights) for each in (generic, gpu))
    assert_equal(expected, found, 250)


@pytest.fixture
def run_on(monkeypatch):
    """Return a function that has everything run on some kernels, whatever its arrays."""

    def chosen(level):
        monkeypatch.setattr("dspsep.kernels.level_for", lambda _=None: level)

    return chosen


@cache
def mixed(dtype, n_channels):
    """Return spectra (n_channels, n_freqs, n_frames) of as many sources, each loud in frames of its own."""
    rng = np.random.default_rng(6)
    loud = rng.exponential(size=(n_channels, 1, 60)) ** 2
    s = loud * matrices(n_channels, 9, 60, seed=7)
    return np.einsum("fcn,nft->cft", matrices(9, n_channels, n_channels), s).astype(dtype)


METHODS = {
    "AuxIVA, projection": lambda X, n: auxiva(X, n_iter=n),
    "AuxIVA, steering": lambda X, n: auxiva(X, update="iss", contrast="gauss", n_iter=n),
    "AuxIVA, pairs": lambda X, n: auxiva(X, update="ip2", n_iter=n),
    "ILRMA": lambda X, n: ilrma(X, n_iter=n),
    "FastMNMF2": lambda X, n: fastmnmf2(X, n_sources=2, n_components=2, n_iter=n),
    "CACGMM": lambda X, n: cacgmm(X, n_sources=2, n_iter=n),
    "FDICA": lambda X, n: fdica(X, n_iter=n),
}


@pytest.mark.parametrize(("dtype", "least"), [("complex64", 40.0), ("complex128", 80.0)])
@pytest.mark.parametrize("method", METHODS)
def test_methods_end_where_they_do_on_the_processor(method, dtype, least, run_on):
    X = mixed(dtype, 2)
    run_on("generic")  # the same as the others, which take a while to compile
    *expected, before = METHODS[method](X, 5)
    run_on("gpu")
    *found, losses = METHODS[method](X, 5)
    assert_equal(tuple(expected), tuple(found), least)
    np.testing.assert_allclose(losses, before, rtol=1e-4 if dtype == "complex64" else 1e-9)
    if dtype == "complex128":
        assert np.all(np.diff(losses) <= 1e-10 * abs(losses[0]))


# Kernels of ours in an iteration: covariances, a sweep, and sums of powers or of what activations need.
LAUNCHES = {
    "AuxIVA, projection": 4,
    "AuxIVA, steering": 4,
    "AuxIVA, pairs": 2 * 4 + 2,
    "ILRMA": 5,
    "FastMNMF2": 2,
    "CACGMM": 1,
}


@pytest.mark.parametrize("method", LAUNCHES)
def test_an_iteration_is_a_handful_of_launches(method, run_on, monkeypatch):
    X, names, compiled = mixed("complex64", 2), [], _launch._compiled

    def counted(source, name):
        names.append(name)
        return compiled(source, name)

    monkeypatch.setattr(_launch, "_compiled", counted)
    run_on("gpu")
    counts = []
    for n_iter in (2, 4):
        names.clear()
        METHODS[method](X, n_iter)
        counts.append(len(names))
    assert counts[1] - counts[0] == 2 * LAUNCHES[method]
