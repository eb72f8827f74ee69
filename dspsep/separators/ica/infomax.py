"""Infomax: the demixing matrix of largest likelihood, by relative gradient descent.

With the gradient G of `_likelihood.py`, an iteration is

    W <- (I - alpha G) W

(Bell & Sejnowski 1995, with the natural gradient), where each source is taken for peaked or flat as its
outputs are (Lee, Girolami & Sejnowski 1999).
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
)
from dspsep.separators.ica._likelihood import Likelihood, Point
from dspsep.separators.ica._whitening import signals

__all__ = ["Infomax", "infomax"]

# The first step, and the shortest and longest guess of a later one; how often it is halved.
_FIRST, _SHORTEST, _LONGEST, _HALVINGS = 0.5, 0.1, 10.0, 20


@final
@dataclass(frozen=True, kw_only=True)
class Infomax(InstantaneousSeparator):
    """Separation of instantaneous mixtures by largest likelihood: extended Infomax.

    For recordings in which each source is in all channels at once, at levels that do not change.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for, in the directions with the most energy; the rest is a ``residual``. None
        for as many as there are channels.
    extended : bool, default=True
        Whether sources may be flatter than a Gaussian. Speech and music hardly ever are; steady tones are.
    n_iter : int, default=500
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
    infomax : The algorithm as a function of signals.
    Picard : The same objective, minimised in fewer iterations.

    Notes
    -----
    Sources are named ``source_0``, ``source_1``, ..., by the energy of their images, loudest first. The
    losses of the model are the negative log-likelihood for each sample, but for a constant; where a source is
    found to be flat or peaked after all, it is another one, and ``switches`` of the model says when.

    Deviations from the papers: all samples in each iteration, not one or a few of them with rates that fall;
    the length of a step is that of Barzilai and Borwein, halved until the loss does not rise. So there is
    nothing to tune, and no noise in the result. No bias, since the signals have no mean. A source may change
    its sign four times.

    Cost: O(n_iter n_sources^2 n_samples). Peak memory beside the input and the sources: one array of the size
    of the mixture, and about two megabytes.

    References
    ----------
    A. J. Bell, T. J. Sejnowski, "An information-maximization approach to blind separation and blind
    deconvolution", Neural Computation 7(6), 1995, pp. 1129-1159. doi:10.1162/neco.1995.7.6.1129

    T.-W. Lee, M. Girolami, T. J. Sejnowski, "Independent component analysis using an extended infomax
    algorithm for mixed subgaussian and supergaussian sources", Neural Computation 11(2), 1999, pp. 417-441.
    doi:10.1162/089976699300016719

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> from dspsep.metrics import amari_index
    >>> rng = np.random.default_rng(0)
    >>> mixing = np.array([[1.0, 0.6], [0.4, 1.0]])
    >>> true = np.stack([rng.laplace(size=16000), rng.uniform(-1, 1, 16000)])
    >>> sources = dspsep.Infomax().separate(mixing @ true, 16000)
    >>> amari_index(sources.model.demixing, mixing) < 0.02
    True
    """

    extended: bool = True
    n_iter: int = 500
    tol: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("extended", "n_iter", "tol", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_flag("extended", self.extended)
        check_iterations(self.n_iter, self.tol, self.seed)
        object.__setattr__(self, "tol", float(self.tol))

    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        return _solve(Z, self.extended, (self.n_iter, self.tol, self.seed), report)


def infomax(
    Z: Array,
    *,
    extended: bool = True,
    n_iter: int = 500,
    tol: float = 1e-6,
    seed: int = 0,
    callback: PublicCallback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return the matrix of largest likelihood by relative gradient descent.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        Signals without mean. They need not be white, but those of `whiten` take the fewest iterations. Never
        changed.
    extended : bool, default=True
        Whether sources may be flatter than a Gaussian.
    n_iter : int, default=500
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
    Infomax : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import infomax, whiten
    >>> rng = np.random.default_rng(0)
    >>> Z, K, m = whiten(np.array([[1.0, 0.6], [0.4, 1.0]]) @ rng.laplace(size=(2, 5000)))
    >>> W, losses = infomax(Z, extended=False)
    >>> bool(abs(np.tanh(W @ Z) @ (W @ Z).T / 5000 - np.eye(2)).max() < 1e-6)
    True
    """
    check_flag("extended", extended)
    check_iterations(n_iter, tol, seed)
    W, losses, _, _ = _solve(signals("Z", Z), extended, (n_iter, tol, seed), reporter(callback))
    return W, losses


def _solve(Z: Array, extended: bool, limits: tuple[int, float, int], report: Report) -> Solution:
    n_iter, tol, seed = limits
    tol = least_tolerance(tol, Z)
    likelihood = Likelihood(Z, extended=extended)
    point, step = likelihood.start(random_rotation(int(Z.shape[0]), seed)), _FIRST
    losses: list[float] = []
    switches: list[int] = []
    while True:
        point, switched = likelihood.decide_signs(point)
        if switched:
            switches.append(len(losses))
            step = _FIRST
        G = likelihood.gradient(point)
        largest = float(np.abs(G).max())
        if largest <= tol or len(losses) == n_iter:
            return Solution(point.W, tuple(losses), largest <= tol, tuple(switches))
        lower, step = _descend(likelihood, point, G, step)
        if lower is None:
            return Solution(point.W, tuple(losses), stalled(largest, Z), tuple(switches))
        bend = float(np.sum(G * (G - likelihood.gradient(lower))))
        step = step * float(np.sum(G * G)) / bend if bend > 0 else _LONGEST
        step = min(max(step, _SHORTEST), _LONGEST)
        point = lower
        losses.append(point.loss)
        if report(len(losses), point.loss, point.W):
            return Solution(point.W, tuple(losses), True, tuple(switches))


def _descend(likelihood: Likelihood, point: Point, G: Array, step: float) -> tuple[Point | None, float]:
    """Return a point whose loss is not above that of the present one, and the step that leads there."""
    for _ in range(_HALVINGS):
        lower = likelihood.at(point.W - step * G @ point.W)
        if lower is not None and lower.loss <= point.loss + point.rounding:
            return lower, step
        step *= 0.5
    return None, step
