"""FastICA: outputs as far from Gaussian as they can be, by a fixed point that Newton's method leads to.

With white signals z and a function g, odd, the derivative of a contrast, an iteration is (Hyvärinen 1999)

    w <- E[z g(w'z)] - E[g'(w'z)] w

for each row w of W, which is then made orthogonal again: all rows alike, W <- (W W')^(-1/2) W ("symmetric"),
or each to those before it ("deflation"). Its fixed points are those of the contrast on the sphere, whatever
the sign: sources may be flatter than a Gaussian, or more peaked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from dspsep import _checks
from dspsep._typing import Array
from dspsep.separators.ica._core import InstantaneousSeparator
from dspsep.separators.ica._iterations import (
    PublicCallback,
    Report,
    Solution,
    check_iterations,
    random_rotation,
    reporter,
    white_signals,
)
from dspsep.separators.ica._moments import CONTRASTS, fixed_point_moments

__all__ = ["FastICA", "fastica"]

_ALGORITHMS = ("symmetric", "deflation")
# Where an iteration after these moves further than the one before, they go round in circles.
_PATIENCE = 10
# Rows that have less than this of their length beside others are as good as dependent.
_FAINT = 1e-6


@final
@dataclass(frozen=True, kw_only=True)
class FastICA(InstantaneousSeparator):
    """Separation of instantaneous mixtures by outputs that are as far from Gaussian as they can be.

    For recordings in which each source is in all channels at once, at levels that do not change: mixing
    desks, line signals, pan pots. Not for rooms, whose sound arrives late and again.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for, in the directions with the most energy; the rest is a ``residual``. None
        for as many as there are channels.
    algorithm : {"symmetric", "deflation"}, default="symmetric"
        All sources at once, or one after the other, which lets errors of the first add up in the last.
    contrast : {"logcosh", "exp", "cube"}, default="logcosh"
        What g is: tanh u, u exp(-u^2 / 2), or u^3. The last is kurtosis: fast, and at the mercy of a few loud
        samples.
    n_iter : int, default=200
        The most iterations; in deflation, for each source.
    tol : float, default=1e-7
        They end where ``1 - |cos|`` of the angle that any row has turned by is at most this.
    seed : int, default=0
        Of the rotation they begin with.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    fastica : The algorithm as a function of white signals.
    Picard : The same contrast, and a descent that cannot go astray.

    Notes
    -----
    Sources are named ``source_0``, ``source_1``, ..., by the energy of their images, loudest first. The
    losses of the model are the largest of ``1 - |cos|`` after each iteration.

    Deviation from the paper: where iterations begin to go in circles, they go half the way.

    Cost: O(n_iter n_sources^2 n_samples). Peak memory beside the input and the sources: one array of the size
    of the mixture, and about two megabytes.

    References
    ----------
    A. Hyvärinen, "Fast and robust fixed-point algorithms for independent component analysis", IEEE
    Transactions on Neural Networks 10(3), 1999, pp. 626-634. doi:10.1109/72.761722

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> from dspsep.metrics import amari_index
    >>> rng = np.random.default_rng(0)
    >>> mixing = np.array([[1.0, 0.6], [0.4, 1.0]])
    >>> sources = dspsep.FastICA().separate(mixing @ rng.laplace(size=(2, 16000)), 16000)
    >>> list(sources), amari_index(sources.model.demixing, mixing) < 0.02
    (['source_0', 'source_1'], True)
    """

    algorithm: Literal["symmetric", "deflation"] = "symmetric"
    contrast: Literal["logcosh", "exp", "cube"] = "logcosh"
    n_iter: int = 200
    tol: float = 1e-7
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("algorithm", "contrast", "n_iter", "tol", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _check(self.algorithm, self.contrast, self.n_iter, self.tol, self.seed)
        object.__setattr__(self, "tol", float(self.tol))

    def _most_iterations(self, rank: int) -> int:
        return self.n_iter * (rank - 1 if self.algorithm == "deflation" else 1)

    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        return _solve(Z, self.algorithm, self.contrast, (self.n_iter, self.tol, self.seed), report)


def fastica(
    Z: Array,
    *,
    algorithm: str = "symmetric",
    contrast: str = "logcosh",
    n_iter: int = 200,
    tol: float = 1e-7,
    seed: int = 0,
    callback: PublicCallback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return a rotation of white signals whose outputs are as far from Gaussian as they can be.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        White signals, as from `whiten`. Never changed.
    algorithm : {"symmetric", "deflation"}, default="symmetric"
        See `FastICA`.
    contrast : {"logcosh", "exp", "cube"}, default="logcosh"
        See `FastICA`.
    n_iter : int, default=200
        The most iterations; in deflation, for each row.
    tol : float, default=1e-7
        They end where ``1 - |cos|`` of the angle that any row has turned by is at most this.
    seed : int, default=0
        Of the rotation they begin with.
    callback : callable, optional
        Called with the number of iterations and the largest of ``1 - |cos|`` after each. Returning True ends
        them.

    Returns
    -------
    W : array of shape (n, n)
        Orthogonal, in double precision, on the host: the outputs are ``W @ Z``.
    losses : tuple of float
        The largest of ``1 - |cos|`` after each iteration.

    Raises
    ------
    InputError
        If `Z` is not white, or a setting is out of range.

    See Also
    --------
    FastICA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import fastica, whiten
    >>> rng = np.random.default_rng(0)
    >>> Z, K, m = whiten(np.array([[1.0, 0.6], [0.4, 1.0]]) @ rng.laplace(size=(2, 5000)))
    >>> W, losses = fastica(Z)
    >>> bool(abs(W @ W.T - np.eye(2)).max() < 1e-12), losses[-1] < 1e-7
    (True, True)
    """
    _check(algorithm, contrast, n_iter, tol, seed)
    Z = white_signals(Z)
    W, losses, _, _ = _solve(Z, algorithm, contrast, (n_iter, tol, seed), reporter(callback))
    return W, losses


def _solve(
    Z: Array, algorithm: str, contrast: str, limits: tuple[int, float, int], report: Report
) -> Solution:
    n_iter, tol, seed = limits
    W = random_rotation(int(Z.shape[0]), seed)
    find = _deflation if algorithm == "deflation" else _symmetric
    return find(W, Z, contrast, (n_iter, tol), report)


def _symmetric(W: Array, Z: Array, contrast: str, limits: tuple[int, float], report: Report) -> Solution:
    """Return all rows, found together."""
    n_iter, tol = limits
    losses: list[float] = []
    damped = False
    while True:
        new = _orthogonal(_fixed_point(W, Z, contrast))
        # Up to its sign, which turns with each iteration for sources flatter than a Gaussian.
        new = new * np.where(np.sum(new * W, axis=1, keepdims=True) < 0, -1, 1)
        if damped:
            new = _orthogonal(W + new)
        losses.append(float(np.max(np.abs(1 - np.sum(new * W, axis=1)))))
        W = new
        converged = losses[-1] <= tol
        if report(len(losses), losses[-1], W) or converged:
            return Solution(W, tuple(losses), True)
        if len(losses) == n_iter:
            return Solution(W, tuple(losses), False)
        damped = damped or (len(losses) > _PATIENCE and losses[-1] > losses[-2])


def _deflation(start: Array, Z: Array, contrast: str, limits: tuple[int, float], report: Report) -> Solution:
    """Return rows found one after the other, each orthogonal to those before it."""
    n_iter, tol = limits
    W, losses, all_converged = start, [], True
    # The last row is what the others leave: nothing is to be found there.
    for k in range(W.shape[0] - 1):
        W = np.concatenate([W[:k], _completed(W[:k], start[k:])])
        before, damped, converged = W[:k], False, False
        for count in range(1, n_iter + 1):
            new = _fixed_point(W[k : k + 1], Z, contrast)[0]
            new = _unit(new - (new @ before.T) @ before, W[k])
            if damped:
                new = _unit(W[k] + new, W[k])
            losses.append(abs(1 - float(new @ W[k])))
            W = np.concatenate([before, new[None, :], _completed(np.vstack([before, new]), start[k + 1 :])])
            if report(len(losses), losses[-1], W):
                return Solution(W, tuple(losses), True)
            converged = losses[-1] <= tol
            if converged:
                break
            damped = damped or (count > _PATIENCE and losses[-1] > losses[-2])
        all_converged = all_converged and converged
    return Solution(W, tuple(losses), all_converged)


def _fixed_point(W: Array, Z: Array, contrast: str) -> Array:
    """Return E[g(y) z'] - diag(E[g'(y)]) W."""
    correlation, slope = fixed_point_moments(W, Z, contrast)
    return np.asarray(correlation - slope[:, None] * W)


def _orthogonal(W: Array) -> Array:
    """Return (W W')^(-1/2) W: the orthogonal matrix that is nearest."""
    U, _, Vt = np.linalg.svd(W)
    return np.asarray(U @ Vt)


def _unit(w: Array, before: Array) -> Array:
    """Return a row of length one, on the side of the one before; that one, if nothing is left."""
    norm = float(np.linalg.norm(w))
    if not norm > 0:
        return before
    return w / (norm if float(w @ before) >= 0 else -norm)


def _completed(rows: Array, others: Array) -> Array:
    """Return orthonormal rows, as many as `others`, orthogonal to the rows given and near the others."""
    rest = others - (others @ rows.T) @ rows
    U, values, Vt = np.linalg.svd(rest, full_matrices=False)
    if not len(rest) or values[-1] > _FAINT:
        return np.asarray(U @ Vt)
    return np.asarray(np.linalg.svd(rows)[2][len(rows) :])


def _check(algorithm: object, contrast: object, n_iter: object, tol: object, seed: object) -> None:
    _checks.choice("algorithm", algorithm, _ALGORITHMS)
    _checks.choice("contrast", contrast, CONTRASTS)
    check_iterations(n_iter, tol, seed)
