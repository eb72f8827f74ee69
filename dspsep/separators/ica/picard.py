"""Picard: the objective of Infomax, minimised in few iterations by what its Hessian nearly is.

Near independence the Hessian of the negative log-likelihood couples an entry e_ij with e_ji alone, and is

    H_ij = E[f''_i(y_i) y_j^2],    1 between (i, j) and (j, i)

in the symbols of `_likelihood.py`: inverting it takes no more than inverting 2 x 2 matrices. Made definite,
it is what L-BFGS begins with in every iteration; the memory of past gradients does the rest, where sources
are not as independent as that (Ablin, Cardoso & Gramfort 2018a).

Among rotations (Picard-O, 2018b) directions are skew, W <- exp(alpha D) W, and the Hessian is diagonal:

    H_ij = (k_i + k_j) / 2,    k_i = s_i (E[psi'(y_i)] - E[psi(y_i) y_i])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _checks
from dspsep._typing import Array
from dspsep.separators.ica._core import InstantaneousSeparator
from dspsep.separators.ica._iterations import (
    PublicCallback,
    Report,
    Solution,
    check_flag,
    check_iterations,
    least_tolerance,
    random_rotation,
    reporter,
    stalled,
    white_signals,
)
from dspsep.separators.ica._likelihood import Likelihood, Point, precondition
from dspsep.separators.ica._whitening import signals

__all__ = ["Picard", "picard"]

# Past gradients that are remembered, and the least eigenvalue of the approximate Hessian: as in the paper.
_MEMORY, _LEAST = 7, 0.01
_HALVINGS = 10


@final
@dataclass(frozen=True, kw_only=True)
class Picard(InstantaneousSeparator):
    """Separation of instantaneous mixtures by largest likelihood, in few iterations.

    For recordings in which each source is in all channels at once, at levels that do not change.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for, in the directions with the most energy; the rest is a ``residual``. None
        for as many as there are channels.
    ortho : bool, default=False
        Whether outputs must be without any correlation, as those of `FastICA` are: Picard-O.
    extended : bool, default=True
        Whether sources may be flatter than a Gaussian. Speech and music hardly ever are; steady tones are.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=1e-6
        They end where no entry of the relative gradient exceeds this; in single precision, 4e-6.
    seed : int, default=0
        Of the rotation they begin with.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    picard : The algorithm as a function of white signals.
    Infomax : The same objective without second derivatives.
    FastICA : The same solution as with ``ortho=True``, by a fixed point.

    Notes
    -----
    Sources are named ``source_0``, ``source_1``, ..., by the energy of their images, loudest first. The
    losses of the model are the negative log-likelihood for each sample, but for a constant; they never rise,
    but where a source is found to be flat or peaked after all: then it is another loss, and ``switches`` of
    the model says when.

    Deviations from the papers: pairs of step and gradient with no positive curvature are forgotten; a step is
    accepted if the loss does not rise by more than rounding; a source may change its sign four times.

    Cost: O(n_iter n_sources^2 n_samples). Peak memory beside the input and the sources: one array of the size
    of the mixture, and about two megabytes.

    References
    ----------
    P. Ablin, J.-F. Cardoso, A. Gramfort, "Faster independent component analysis by preconditioning with
    Hessian approximations", IEEE Transactions on Signal Processing 66(15), 2018, pp. 4040-4049.
    doi:10.1109/TSP.2018.2844203

    P. Ablin, J.-F. Cardoso, A. Gramfort, "Faster ICA under orthogonal constraint", IEEE International
    Conference on Acoustics, Speech and Signal Processing (ICASSP), 2018, pp. 4464-4468.
    doi:10.1109/ICASSP.2018.8461662

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> from dspsep.metrics import amari_index
    >>> rng = np.random.default_rng(0)
    >>> mixing = np.array([[1.0, 0.6], [0.4, 1.0]])
    >>> true = np.stack([rng.laplace(size=16000), rng.uniform(-1, 1, 16000)])
    >>> model = dspsep.Picard().separate(mixing @ true, 16000).model
    >>> amari_index(model.demixing, mixing) < 0.02, len(model.losses) < 20
    (True, True)
    """

    ortho: bool = False
    extended: bool = True
    n_iter: int = 200
    tol: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("ortho", "extended", "n_iter", "tol", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _check(self.ortho, self.extended, self.n_iter, self.tol, self.seed)
        object.__setattr__(self, "tol", float(self.tol))

    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        return _solve(Z, (self.ortho, self.extended), (self.n_iter, self.tol, self.seed), report)


def picard(
    Z: Array,
    *,
    ortho: bool = False,
    extended: bool = True,
    n_iter: int = 200,
    tol: float = 1e-6,
    seed: int = 0,
    callback: PublicCallback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return the matrix, or the rotation, of largest likelihood by preconditioned L-BFGS.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        Signals without mean; with `ortho` they must be white, as from `whiten`. Never changed.
    ortho : bool, default=False
        Whether W is a rotation.
    extended : bool, default=True
        Whether sources may be flatter than a Gaussian.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=1e-6
        They end where no entry of the relative gradient exceeds this; in single precision, 4e-6.
    seed : int, default=0
        Of the rotation they begin with.
    callback : callable, optional
        Called with the number of iterations and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n, n)
        In double precision, on the host: the outputs are ``W @ Z``.
    losses : tuple of float
        The negative log-likelihood after each iteration, but for a constant.

    Raises
    ------
    InputError
        If `Z` or a setting is out of range.

    See Also
    --------
    Picard : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import picard, whiten
    >>> rng = np.random.default_rng(0)
    >>> Z, K, m = whiten(np.array([[1.0, 0.6], [0.4, 1.0]]) @ rng.laplace(size=(2, 5000)))
    >>> W, losses = picard(Z, ortho=True)
    >>> bool(abs(W @ W.T - np.eye(2)).max() < 1e-12), losses[-1] <= losses[0]
    (True, True)
    """
    _check(ortho, extended, n_iter, tol, seed)
    Z = white_signals(Z) if ortho else signals("Z", Z)
    W, losses, _, _ = _solve(Z, (ortho, extended), (n_iter, tol, seed), reporter(callback))
    return W, losses


def _solve(Z: Array, kind: tuple[bool, bool], limits: tuple[int, float, int], report: Report) -> Solution:
    (ortho, extended), (n_iter, tol, seed) = kind, limits
    tol = least_tolerance(tol, Z)
    likelihood = Likelihood(Z, extended=extended, ortho=ortho)
    point = likelihood.start(random_rotation(int(Z.shape[0]), seed))
    losses: list[float] = []
    switches: list[int] = []
    memory = _Memory()
    while True:
        point, switched = likelihood.decide_signs(point)
        if switched:
            switches.append(len(losses))
            memory = _Memory()
        G = likelihood.gradient(point)
        largest = float(np.abs(G).max())
        if largest <= tol or len(losses) == n_iter:
            return Solution(point.W, tuple(losses), largest <= tol, tuple(switches))
        direction = memory.direction(G, likelihood.newton(point, _LEAST))
        lower, step = _search(likelihood, point, direction, ortho)
        if lower is None:
            memory = _Memory()
            lower, step = _search(likelihood, point, -G, ortho)
        if lower is None:
            return Solution(point.W, tuple(losses), stalled(largest, Z), tuple(switches))
        memory.add(step, likelihood.gradient(lower) - G)
        point = lower
        losses.append(point.loss)
        if report(len(losses), point.loss, point.W):
            return Solution(point.W, tuple(losses), True, tuple(switches))


def _search(
    likelihood: Likelihood, point: Point, direction: Array, ortho: bool
) -> tuple[Point | None, Array]:
    """Return a point in a direction whose loss is not above that of the present one, and the step there."""
    step = direction
    for _ in range(_HALVINGS):
        move = _exponential(step) if ortho else np.eye(len(step)) + step
        lower = likelihood.at(move @ point.W)
        if lower is not None and lower.loss <= point.loss + point.rounding:
            return lower, step
        step = 0.5 * step
    return None, step


def _exponential(D: Array) -> Array:
    """Return exp(D), a rotation, of a skew matrix."""
    values, vectors = np.linalg.eigh(1j * D)
    return np.real((vectors * np.exp(-1j * values)) @ vectors.conj().T)


class _Memory:
    """Past steps and what the gradient did, newest last: the two loops of L-BFGS."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Array, Array, float]] = []

    def add(self, step: Array, change: Array) -> None:
        """Remember a step, if the objective was curved upwards along it."""
        curvature = float(np.sum(step * change))
        if curvature > 0:
            self._pairs = [*self._pairs, (step, change, 1 / curvature)][-_MEMORY:]

    def direction(self, G: Array, hessian: tuple[Array, Array | None]) -> Array:
        """Return where to go."""
        q = G.copy()
        weights = []
        for step, change, scale in reversed(self._pairs):
            weights.append(scale * float(np.sum(step * q)))
            q -= weights[-1] * change
        z = precondition(hessian, q)
        for (step, change, scale), weight in zip(self._pairs, reversed(weights), strict=True):
            z += (weight - scale * float(np.sum(change * z))) * step
        return -z


def _check(ortho: object, extended: object, n_iter: object, tol: object, seed: object) -> None:
    check_flag("ortho", ortho)
    check_flag("extended", extended)
    check_iterations(n_iter, tol, seed)
