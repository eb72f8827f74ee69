"""The factorisation of `PROJET`: how much of each source is in a bin, and where each source is.

With S = P (K Q)^T + floor, and w the weights of the bins, the objective is sum_n w[n] sum_m d(V[n, m] | S[n,
m]), d being a beta-divergence. S is linear in P and in Q, so both have the updates of factorisations (Fevotte
& Idier 2011), which lower a bound of it,

    P <- P ((V S^(beta - 2)) K Q / (S^(beta - 1) K Q))^gamma
    Q <- Q (K^T (V S^(beta - 2))^T w P / (K^T (S^(beta - 1))^T w P))^gamma

with gamma = 1 / (2 - beta) below beta 1, 1 / (beta - 1) above 2, and 1 between: then the objective never
rises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dspsep import _backend, _checks
from dspsep._audio import times_power_of_two
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress

__all__ = ["factor", "matrix", "projet"]

#: What the model has everywhere, in parts of the mean of V.
_FLOOR = 2.0**-33
_LARGEST = float(np.finfo(np.float64).max)


def projet(
    V: Array,
    K: Array,
    Q: Array,
    *,
    P: Array | None = None,
    weights: Array | None = None,
    beta: float = 1.0,
    n_iter: int = 500,
    callback: Callback | None = None,
) -> tuple[Array, Array, tuple[float, ...]]:
    """Find sources in the projections of a mixture: how much of each is in every bin, and where each is.

    The algorithm of `PROJET` for those who have their own transform, or other places and projections.

    Parameters
    ----------
    V : array of shape (n_bins, n_projections)
        Magnitudes of the projections, to a power: finite, not negative. Not changed.
    K : array of shape (n_projections, n_places)
        The same of a source at each place. Not changed.
    Q : array of shape (n_places, n_sources)
        How much of each source is at each place, to begin with. Not changed.
    P : array of shape (n_bins, n_sources), optional
        How much of each source is in each bin, to begin with; by default the same in all, of the size of V.
    weights : array of shape (n_bins,), optional
        How often each bin counts; once by default.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, 1 Kullback-Leibler, 0 Itakura-Saito.
    n_iter : int, default=500
        How many iterations.
    callback : callable, optional
        Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

    Returns
    -------
    P : array of shape (n_bins, n_sources)
        How much of each source is in each bin.
    Q : array of shape (n_places, n_sources)
        Where each source is; columns sum to one.
    losses : tuple of float
        The objective at the start and after each iteration; never rises.

    Raises
    ------
    InputError
        If an array or a setting cannot be used.

    See Also
    --------
    PROJET : From audio to audio.

    Notes
    -----
    2**-33 of the mean of V is added to the model in place of an epsilon in each division; for beta of 0 and
    below, smaller values of V are raised to it, since the divergence of zero is infinite.

    Cost: O(n_iter n_bins n_projections n_sources). Peak memory: five arrays of the size of V.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import projet
    >>> theta, phi = np.linspace(0, np.pi / 2, 10), np.linspace(0, np.pi / 2, 5)
    >>> K = np.abs(np.sin(phi[:, None] - theta))
    >>> V = np.repeat(K[:, [2, 7]].T, 50, axis=0)  # fifty bins of a source at place 2, fifty at place 7
    >>> Q = 1 + np.random.default_rng(0).random((10, 2))
    >>> P, Q, losses = projet(V, K, Q)
    >>> sorted(Q.argmax(axis=0).tolist()), losses[-1] < 1e-3 * losses[0]
    ([2, 7], True)
    """
    V, K, Q = (matrix(name, array) for name, array in (("V", V), ("K", K), ("Q", Q)))
    xp = _backend.namespace(V, K, Q)
    n_bins, n_sources = V.shape[0], Q.shape[1]
    if tuple(K.shape) != (V.shape[1], Q.shape[0]):
        wanted = f"of shape ({V.shape[1]}, {Q.shape[0]}), as V and Q are"
        raise InputError("K", wanted, f"{tuple(K.shape)}")
    beta = _checks.number("beta", _checks.plain(beta), minimum=-1, maximum=3)
    n_iter = _checks.integer("n_iter", _checks.plain(n_iter), minimum=0)
    if weights is not None:
        weights = matrix("weights", _backend.as_array("weights", weights)[:, None])
        if weights.shape[0] != n_bins:
            raise InputError("weights", f"of shape ({n_bins},)", f"({weights.shape[0]},)")
    # Powers of what is loud or faint leave the range of single precision.
    exponent = -math.frexp(_backend.scalar(xp.max(V)))[1]
    V = times_power_of_two(V, exponent)
    if P is not None:
        P = matrix("P", P)
        if tuple(P.shape) != (n_bins, n_sources):
            raise InputError("P", f"of shape ({n_bins}, {n_sources})", f"{tuple(P.shape)}")
        P = times_power_of_two(P, exponent)
    else:
        P = xp.ones((n_bins, n_sources), dtype=V.dtype, device=V.device)
    losses = []
    # The start is the first of the states.
    states = factor(V, K, P, Q, weights=weights, beta=beta, n_iter=n_iter)
    for found in states:
        P, Q, loss = found
        # The divergence of k V is k^beta times that of V.
        with np.errstate(over="ignore"):
            loss = float(min(loss * np.exp2(-exponent * beta), _LARGEST))
        losses.append(loss)
        told = Progress(stage="fit", iteration=len(losses) - 1, n_iterations=n_iter, loss=loss)
        if callback is not None and len(losses) > 1 and callback(told):
            break
    return times_power_of_two(P, -exponent), Q, tuple(losses)


def factor(
    V: Array,
    K: Array,
    P: Array,
    Q: Array,
    *,
    weights: Array | None,
    beta: float,
    n_iter: int,
    learn: bool = True,
) -> Iterator[tuple[Array, Array, float]]:
    """Yield P, Q and the objective at the start and after each iteration; without `learn`, Q stays."""
    xp = _backend.namespace(V, K, P, Q)
    mean = _backend.scalar(xp.sum(V, dtype=xp.float64)) / max(1, math.prod(V.shape))
    floor = _FLOOR * mean or 1.0
    if beta <= 0:
        V = xp.clip(V, floor, None)
    gamma = 1 / (2 - beta) if beta < 1 else 1 / max(beta - 1, 1)
    P, Q = _balanced(P, Q)
    profiles = K @ Q
    S = P @ _flipped(profiles) + floor
    constant = _constant_part(V, weights, beta) if learn else math.nan
    yield P, Q, constant + (_varying_part(V, S, weights, beta) if learn else 0)
    for _ in range(n_iter):
        N, D = _slopes(V, S, beta)
        below = xp.sum(profiles, axis=0, keepdims=True) if D is None else D @ profiles
        P = P * _ratio(N @ profiles, below, gamma)
        if learn:
            S = P @ _flipped(profiles) + floor
            N, D = _slopes(V, S, beta)
            K_t, weighted = _flipped(K), P if weights is None else weights * P
            ones_below = xp.sum(K_t, axis=1, keepdims=True) * xp.sum(weighted, axis=0, keepdims=True)
            below = ones_below if D is None else K_t @ (_flipped(D) @ weighted)
            P, Q = _balanced(P, Q * _ratio(K_t @ (_flipped(N) @ weighted), below, gamma))
            profiles = K @ Q
        S = P @ _flipped(profiles) + floor
        yield P, Q, constant + (_varying_part(V, S, weights, beta) if learn else 0)


def _slopes(V: Array, S: Array, beta: float) -> tuple[Array, Array | None]:
    """Return V S^(beta - 2) and S^(beta - 1), the two parts of the gradient; None is ones."""
    if beta == 1:
        return V / S, None
    if beta == 0:
        inverse = 1 / S
        return V * inverse * inverse, inverse
    if beta == 2:
        return V, S
    return V * S ** (beta - 2), S ** (beta - 1)


def _flipped(matrix: Array) -> Array:
    return _backend.namespace(matrix).permute_dims(matrix, (1, 0))  # type: ignore[no-any-return]


def _ratio(N: Array, D: Array, gamma: float) -> Array:
    """Return what a factor is multiplied by; what nothing depends on vanishes."""
    xp = _backend.namespace(N, D)
    ratio: Array = N / xp.where(D > 0, D, xp.ones_like(D))
    return ratio if gamma == 1 else ratio**gamma


def _balanced(P: Array, Q: Array) -> tuple[Array, Array]:
    """Return factors of the same product, with columns of Q that sum to one, or are zero."""
    xp = _backend.namespace(P, Q)
    size = xp.sum(Q, axis=0)
    return P * size, Q / xp.where(size > 0, size, xp.ones_like(size))


def _constant_part(V: Array, weights: Array | None, beta: float) -> float:
    """Return what of the objective does not change."""
    xp = _backend.namespace(V)
    if beta == 1:
        part = V * xp.log(xp.where(V > 0, V, xp.ones_like(V))) - V
    elif beta == 0:
        part = -xp.log(V) - 1
    else:
        part = V**beta / (beta * (beta - 1))
    return _weighted_sum(part, weights)


def _varying_part(V: Array, S: Array, weights: Array | None, beta: float) -> float:
    xp = _backend.namespace(V, S)
    if beta == 1:
        part = S - V * xp.log(S)
    elif beta == 0:
        part = V / S + xp.log(S)
    else:
        part = S**beta / beta - V * S ** (beta - 1) / (beta - 1)
    return _weighted_sum(part, weights)


def _weighted_sum(part: Array, weights: Array | None) -> float:
    xp = _backend.namespace(part)
    return _backend.scalar(xp.sum(part if weights is None else weights * part, dtype=xp.float64))


def matrix(name: str, value: Any) -> Array:
    """Return `value` if it is a matrix of finite numbers that are not negative."""
    array = _backend.real_floating(name, value)
    xp = _backend.namespace(array)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(name, "a matrix with at least one entry", f"shape {tuple(array.shape)}")
    lowest, largest = _backend.to_host(xp.stack([xp.min(array), xp.max(array)])).tolist()
    if not (lowest >= 0 and largest < math.inf):
        raise InputError(name, "finite and not negative", f"values from {lowest:g} to {largest:g}")
    return array
