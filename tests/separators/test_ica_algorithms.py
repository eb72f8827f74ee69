"""Algorithms of independent component analysis as functions: other libraries, optimality, exact answers."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dspsep import (
    InputError,
    fastica,
    infomax,
    jade,
    picard,
    sobi,
    whiten,
)
from dspsep.metrics import amari_index
from dspsep.separators.ica._doubts import largest_delayed_correlation
from dspsep.separators.ica._joint_diagonalisation import jointly_diagonalise
from dspsep.separators.ica._likelihood import Likelihood, precondition
from dspsep.separators.ica.jade import cumulant_matrices
from dspsep.separators.ica.sobi import lagged_correlations
from tests.separators.oracles.make_ica import MIXING, mixture
from tests.separators.test_ica import mixed

ORACLE = np.load(Path(__file__).with_name("oracles") / "ica.npz")


def same_rows(found, expected):
    """Return how far rows are from others, whatever their order, sign and length."""
    found, expected = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, expected))
    order = np.abs(found @ expected.T).argmax(axis=1)
    assert sorted(order) == list(range(len(found)))
    signs = np.sign(np.sum(found * expected[order], axis=1, keepdims=True))
    return np.abs(found - signs * expected[order]).max()


@pytest.mark.parametrize("kind", ["peaked", "mixed"])
@pytest.mark.parametrize("contrast", ["logcosh", "exp", "cube"])
def test_fastica_finds_what_scikit_learn_finds(kind, contrast):
    Z, K, _ = whiten(mixture(kind))
    W, losses = fastica(Z, contrast=contrast, tol=1e-14)
    assert losses[-1] <= 1e-14
    assert same_rows(W @ K, ORACLE[f"{kind}_sklearn_{contrast}"]) < 1e-7
    # One by one they come to nearly the same.
    one_by_one, _ = fastica(Z, algorithm="deflation", contrast=contrast)
    assert same_rows(one_by_one @ K, ORACLE[f"{kind}_sklearn_{contrast}"]) < 0.1


@pytest.mark.parametrize(
    ("kind", "ortho", "extended"),
    [("peaked", False, False), ("peaked", False, True), ("peaked", True, True), ("mixed", False, True),
     ("mixed", True, True)],
)  # fmt: skip
def test_picard_and_infomax_find_what_picard_finds(kind, ortho, extended):
    Z, K, _ = whiten(mixture(kind))
    expected = ORACLE[f"{kind}_picard_{ortho}_{extended}"]
    W, _ = picard(Z, ortho=ortho, extended=extended, tol=1e-10)
    assert same_rows(W @ K, expected) < 1e-7
    if not ortho:
        np.testing.assert_allclose(
            np.linalg.norm(W @ K, axis=1).sum(), np.linalg.norm(expected, axis=1).sum()
        )
        W, _ = infomax(Z, extended=extended, tol=1e-10)
        assert same_rows(W @ K, expected) < 1e-7


def planes(n):
    return [(p, q) for p in range(n) for q in range(p + 1, n)]


def turned(W, p, q, angle):
    rotation = np.eye(len(W))
    rotation[[p, q], [p, q]] = np.cos(angle)
    rotation[p, q], rotation[q, p] = np.sin(angle), -np.sin(angle)
    return rotation @ W


def cumulants_one_by_one(Z):
    """Return the cumulants of every pair, by their definition."""
    n, n_samples = Z.shape
    matrices = np.empty((n, n, n, n))
    second = Z @ Z.T / n_samples
    for i, j, k, m in np.ndindex(n, n, n, n):
        matrices[i, j, k, m] = np.mean(Z[i] * Z[j] * Z[k] * Z[m]) - (
            second[i, j] * second[k, m] + second[i, k] * second[j, m] + second[i, m] * second[j, k]
        )
    return matrices.reshape(n * n, n, n)


def off_diagonal(matrices, W):
    rotated = W @ matrices @ W.T
    return np.sum(rotated**2) - np.sum(np.einsum("kii->ki", rotated) ** 2)


def test_jade_makes_all_cumulants_as_diagonal_as_they_can_be():
    Z, K, _ = whiten(mixed(4000, n=3))
    W, losses = jade(Z)
    explicit = cumulants_one_by_one(Z)
    assert np.sum(cumulant_matrices(Z) ** 2) == pytest.approx(np.sum(explicit**2))
    least = off_diagonal(explicit, W)
    assert losses[-1] == pytest.approx(least / np.sum(explicit**2))
    for p, q in planes(3):
        for angle in (-0.3, -1e-3, 1e-3, 0.3):
            assert off_diagonal(explicit, turned(W, p, q, angle)) > least
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert off_diagonal(explicit, np.linalg.qr(rng.standard_normal((3, 3)))[0]) > least
    assert amari_index(W @ K, MIXING[:3, :3]) < 0.05


def test_sobi_makes_all_correlations_as_diagonal_as_they_can_be():
    Z, _, _ = whiten(mixed(4000, n=2))
    W, losses = sobi(Z, n_lags=12)
    explicit = np.array([Z[:, :-lag] @ Z[:, lag:].T / (4000 - lag) for lag in range(1, 13)])
    explicit = 0.5 * (explicit + explicit.transpose(0, 2, 1))
    np.testing.assert_allclose(lagged_correlations(Z, 12), explicit, atol=1e-13)
    angles = np.linspace(0, np.pi / 2, 20001)
    least = min(off_diagonal(explicit, turned(np.eye(2), 0, 1, angle)) for angle in angles[::10])
    assert off_diagonal(explicit, W) <= least * (1 + 1e-9)
    assert losses[-1] == pytest.approx(off_diagonal(explicit, W) / np.sum(explicit**2))


def test_the_largest_correlation_is_that_of_all_lags():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((2, 2**13))
    Z[1, 70:] += Z[0, :-70]
    whole = [
        np.sum(Z[0, : 2**13 - lag] * Z[1, lag:]) / np.sqrt(np.sum(Z[0] ** 2) * np.sum(Z[1] ** 2))
        for lag in range(1, 101)
    ]
    for order in ([0, 1], [1, 0]):
        found = largest_delayed_correlation(np.eye(2)[order], Z, 100)
        assert found == pytest.approx(max(np.abs(whole)))
    assert largest_delayed_correlation(np.eye(2), Z, 60) < 0.1
    assert largest_delayed_correlation(np.eye(2), Z[:, :100], 60) == 0


def test_correlations_of_many_signals_do_not_exist_at_once():
    Z = np.random.default_rng(0).standard_normal((20, 2**13))
    Z[19, 9:] += Z[3, :-9]
    tracemalloc.start()
    found = largest_delayed_correlation(np.eye(20), Z, 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(largest_delayed_correlation(np.eye(2), Z[[3, 19]], 50))
    assert peak < 40e6  # all pairs have 52 MB of spectra, and as much again of correlations


@pytest.mark.core
@pytest.mark.parametrize("n", [2, 3, 6])
def test_joint_diagonalisation_is_exact_where_there_is_one(n):
    rng = np.random.default_rng(n)
    rotation = np.linalg.qr(rng.standard_normal((n, n)))[0]
    matrices = np.array([(rotation.T * rng.standard_normal(n)) @ rotation for _ in range(9)])
    found = jointly_diagonalise(matrices, 50, 1e-12, lambda *_: False)
    assert found.converged
    assert same_rows(found.W, rotation) < 1e-12
    assert found.losses[-1] < 1e-24
    assert (np.diff(found.losses) <= 1e-15).all()
    # At the worst of all angles a rotation by nothing is no way out.
    swap = jointly_diagonalise(np.array([[[0.0, 1.0], [1.0, 0.0]]]), 50, 1e-12, lambda *_: False)
    assert swap.losses[-1] < 1e-24
    # Nothing to turn, but for rounding.
    alike = np.array([(rotation.T * level) @ rotation for level in (0.1, 0.7, 1.3)])
    assert jointly_diagonalise(
        0.5 * (alike + alike.transpose(0, 2, 1)), 50, 1e-12, lambda *_: False
    ).converged


def test_gradients_are_zero_where_iterations_end():
    Z, _, _ = whiten(mixture("mixed"))
    for W in (picard(Z, tol=1e-9)[0], infomax(Z, tol=1e-9)[0]):
        Y = W @ Z
        signs = np.sign(
            np.mean(1 - np.tanh(Y) ** 2, axis=1) * np.mean(Y**2, axis=1) - np.mean(np.tanh(Y) * Y, axis=1)
        )
        assert sorted(signs) == [-1, -1, 1, 1]
        G = (signs[:, None] * np.tanh(Y) + Y) @ Y.T / Y.shape[1]
        assert np.abs(G - np.eye(4)).max() < 2e-9


@pytest.mark.core
def test_whitening():
    X = mixed(3000) + np.array([[3.0], [-1.0], [0.0], [0.5]])
    Z, K, m = whiten(X)
    np.testing.assert_allclose(Z @ Z.T / 3000, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(m, X.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(K @ (X - m[:, None]), Z, atol=1e-10)
    assert whiten(X, n_components=2)[0].shape == (2, 3000)
    for level in (1.0, 0.1):  # whose sum is rounded
        assert whiten(np.full((3, 1000), level))[0].shape == (0, 1000)
    quiet = np.stack([X[0], X[0] + 1e-4 * X[1], X[0] + 1e-7 * X[2]])
    assert whiten(quiet)[0].shape == (2, 3000)  # 140 dB below the rest there is nothing
    single = whiten(X.astype(np.float32))[0]
    for factor in (1e-290, 1e-200, 1e200, 1e300):
        scaled, matrix, mean = whiten(X * factor)
        np.testing.assert_allclose(scaled, Z, atol=1e-10)
        np.testing.assert_allclose(matrix * factor, K, rtol=1e-9)
        np.testing.assert_allclose(mean / factor, m, atol=1e-12)
    assert whiten(X * 1e-310)[0].shape == (0, 3000)  # with a matrix that would be infinite
    assert single.dtype == np.float32
    np.testing.assert_allclose(single @ single.T / 3000, np.eye(4), atol=1e-5)


def test_functions_refuse_what_they_cannot_use():
    X = mixed(1000)
    for function in (fastica, jade, sobi, lambda Z: picard(Z, ortho=True)):
        with pytest.raises(InputError, match=r"^Z must be white"):
            function(X)
    for function in (whiten, infomax, picard):
        for bad in (np.full((2, 100), np.nan), np.ones(5), np.ones((2, 0))):
            with pytest.raises(InputError, match=r"^[XZ] must be"):
                function(bad)
    with pytest.raises(InputError, match=r"^Z must be neither silent"):
        infomax(np.full((2, 100), 1e300))
    for function in (infomax, picard):
        for lacking in (np.zeros((2, 100)), 1e-200 * X, X[[0, 0]]):
            with pytest.raises(InputError, match=r"^Z must be neither silent nor of less rank"):
                function(lacking)
    with pytest.raises(InputError, match=r"^Z must be white"):
        jade(X * 1e300)
    with pytest.raises(InputError, match=r"^n_lags must be"):
        sobi(whiten(X)[0], n_lags=1000)
    before = X.copy()
    infomax(X, n_iter=3)  # need not be white
    np.testing.assert_array_equal(X, before)
    assert len(jade(whiten(X)[0], callback=lambda count, _: count == 1)[1]) == 1


def test_fastica_does_not_go_in_circles():
    """Of short signals, one in six makes the undamped iteration go round for ever."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        true = np.stack([rng.laplace(size=200), rng.uniform(-1, 1, 200), *rng.standard_normal((2, 200))])
        W, losses = fastica(whiten(rng.standard_normal((4, 4)) @ true)[0], n_iter=400)
        assert losses[-1] <= 1e-7, len(losses)
        assert np.abs(W @ W.T - np.eye(4)).max() < 1e-12


def test_the_approximate_hessian_is_definite_and_what_it_is_divided_by():
    Z, _, _ = whiten(mixture("mixed"))
    rng = np.random.default_rng(0)
    for extended in (False, True):
        likelihood = Likelihood(Z, extended=extended)
        for _ in range(10):
            point = likelihood.start(np.diag(rng.uniform(0.1, 3, 4)) @ rng.standard_normal((4, 4)))
            point, _ = likelihood.decide_signs(point)
            H, diagonal = likelihood.newton(point, 0.01)
            assert (diagonal >= 0.01).all()
            D, G = np.zeros((4, 4)), rng.standard_normal((4, 4))
            for p, q in planes(4):
                block = np.array([[H[p, q], 1], [1, H[q, p]]])
                assert np.linalg.eigvalsh(block)[0] >= 0.01 - 1e-12
                D[p, q], D[q, p] = np.linalg.solve(block, [G[p, q], G[q, p]])
            np.fill_diagonal(D, np.diag(G) / diagonal)
            np.testing.assert_allclose(precondition((H, diagonal), G), D, rtol=1e-9)
