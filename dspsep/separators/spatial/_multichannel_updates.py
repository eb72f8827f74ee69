"""The iteration of FastMNMF2: two passes over the frequencies, each block of which stays in the cache.

With x the channels of bin (f, t) and the variances L[n, f, t] = sum_k W[n, f, k] H[n, k, t], what is minimised
is the negative log-likelihood of the mixture and the noise of `_multichannel.py`, of power e_f,

    sum_{f, t, m} ( P[m, f, t] / Y[m, f, t] + log Y[m, f, t] ) - 2 T sum_f log |det Q_f|,
    P[m, f, t] = |q_mf x|^2 + e_f |q_mf|^2,        Y[m, f, t] = sum_n g[n, m] L[n, f, t].

It is majorised as a function of each of W, H and g by a sum of A / z + B z over its elements, which is least
at z sqrt(A_old / B_old): Sekiguchi et al. 2020, equations of section IV. It is quadratic but for the
determinant as a function of each row of Q: iterative projection. Each factor sees what is newest of the
others, so that the objective never rises.

Three changes of scale leave it as it is, and are made in every iteration: the mean square of the rows of Q_f
is one, the directivity of a source sums to one, and so does each of its spectra.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.spatial._multichannel import Split, blocks

__all__ = ["Factors", "iterate", "matched"]

#: Told how many iterations are done and the objective; ends them by returning True.
Report = Callable[[int, float], bool]


class Factors(NamedTuple):
    """Q (n_freqs, n, n) and g (n_sources, n) in double precision; W (n_sources, n_freqs, k), H (…, k, n_frames)."""

    Q: Array
    g: Array
    W: Array
    H: Array


class _Sums(NamedTuple):
    """What a pass over the frequencies finds."""

    loss: float
    Q: Array
    W: Array
    numerator: Array
    denominator: Array


def iterate(
    data: Split, start: Factors, n_iter: int, report: Report | None = None
) -> tuple[Factors, tuple[float, ...]]:
    """Return the factors after some iterations, and the objective at the start and after each."""
    factors = start
    xp = _backend.namespace(data.parts)
    P = xp.empty(
        (data.n_channels, data.n_freqs, data.n_frames), dtype=data.parts.dtype, device=data.parts.device
    )
    for part in blocks(data, data.n_channels):
        P[:, part, :] = _powers(data, factors.Q[part, :, :], part)
    determinants = xp.linalg.slogdet(factors.Q)[1]
    losses: list[float] = []
    while True:
        done = len(losses)
        last = done == n_iter
        found, gains = _spectra(data, factors, P, update=not last)
        losses.append(found.loss - 2 * data.n_frames * _backend.scalar(xp.sum(determinants)))
        # What was found in this pass is not used if the iterations end here.
        if last or (report is not None and done and report(done, losses[-1])):
            return factors, tuple(losses)
        determinants = determinants + gains
        H = factors.H * _root(found.numerator, found.denominator)
        factors = _directivity(data, Factors(found.Q, factors.g, found.W, _floored(H)), P)


def matched(data: Split, factors: Factors) -> Factors:
    """Return factors whose model has the mean of the powers behind Q."""
    total = model = 0.0
    xp = _backend.namespace(data.parts)
    for part in blocks(data, data.n_channels):
        total += _backend.scalar(xp.sum(_powers(data, factors.Q[part, :, :], part), dtype=xp.float64))
        model += _backend.scalar(xp.sum(_model(factors, part)[1], dtype=xp.float64))
    return factors._replace(H=factors.H * (total / model if model else 1.0))


def _powers(data: Split, Q: Array, part: slice) -> Array:
    """Return |q x|^2 and what the noise adds."""
    xp = _backend.namespace(Q)
    parts = data.parts[part, :, :]
    P = kernels_for(parts).fastmnmf_powers(Q, parts)
    norms = xp.sum(xp.real(Q) ** 2 + xp.imag(Q) ** 2, axis=2)
    noise = xp.permute_dims(norms * data.noise[part][:, None], (1, 0))
    P += xp.astype(noise, P.dtype)[:, :, None]
    return P


def _model(factors: Factors, part: slice) -> tuple[Array, Array]:
    """Return L (n_sources, bins, frames) and Y (n_channels, bins, frames) of some frequencies."""
    xp = _backend.namespace(factors.W)
    L = factors.W[:, part, :] @ factors.H
    n_sources, *shape = L.shape
    g = xp.astype(factors.g, L.dtype)
    Y = xp.permute_dims(g, (1, 0)) @ xp.reshape(L, (n_sources, -1))
    return L, xp.reshape(Y, (-1, *shape))


def _back(factors: Factors, P: Array, inverse: Array) -> tuple[Array, Array]:
    """Return ``sum_m g P / Y^2`` and ``sum_m g / Y`` for each source."""
    xp = _backend.namespace(P)
    n_channels, *shape = P.shape
    g = xp.astype(factors.g, P.dtype)
    weighted = P * inverse
    weighted *= inverse
    return tuple(  # type: ignore[return-value]
        xp.reshape(g @ xp.reshape(values, (n_channels, -1)), (-1, *shape)) for values in (weighted, inverse)
    )


def _spectra(data: Split, factors: Factors, P: Array, *, update: bool) -> tuple[_Sums, Array]:
    """Return the objective, less determinants, and Q, W, and sums for H; and what log |det Q| gained.

    The powers behind the new Q replace those in `P`.
    """
    xp = _backend.namespace(P)
    g, H = factors.g, factors.H
    numerator, denominator = xp.zeros_like(H), xp.zeros_like(H)
    transposed = xp.permute_dims(H, (0, 2, 1))
    loss, all_Q, all_W, all_gains = 0.0, [], [], []
    for part in blocks(data, max(data.n_channels, int(g.shape[0]))):
        _, Y = _model(factors, part)
        own = P[:, part, :]
        inverse = 1 / Y
        terms = own * inverse
        terms += xp.log(Y)
        loss += _backend.scalar(xp.sum(terms, dtype=xp.float64))
        if not update:
            continue
        Q, scale, gains = _projected(data, factors.Q[part, :, :], inverse, part)
        P[:, part, :] = own = _powers(data, Q, part)
        scale = xp.astype(scale, P.dtype)[:, None]
        inverse *= scale
        local = Factors(Q, g, factors.W[:, part, :] / scale, H)
        above, below = (values @ transposed for values in _back(local, own, inverse))
        local = local._replace(W=_floored(local.W * _root(above, below)))
        above, below = _back(local, own, 1 / _model(local, slice(None))[1])
        W = xp.permute_dims(local.W, (0, 2, 1))
        numerator += W @ above
        denominator += W @ below
        all_Q.append(Q)
        all_W.append(local.W)
        all_gains.append(gains)
    if not update:
        return _Sums(loss, factors.Q, factors.W, numerator, denominator), xp.zeros_like(data.noise)
    found = _Sums(loss, xp.concat(all_Q, axis=0), xp.concat(all_W, axis=1), numerator, denominator)
    return found, xp.concat(all_gains, axis=0)


def _projected(data: Split, Q: Array, inverse: Array, part: slice) -> tuple[Array, Array, Array]:
    """Return Q after iterative projection, by what squares were divided, and what log |det Q| gained."""
    xp = _backend.namespace(Q)
    n = data.n_channels
    V = kernels_for(inverse).fastmnmf_covariances(data.parts[part, :, :], inverse)
    sums = xp.permute_dims(xp.sum(inverse, axis=2, dtype=xp.float64), (1, 0))
    identity = xp.eye(n, dtype=V.dtype, device=V.device)
    V = V + (sums * data.noise[part][:, None])[:, :, None, None] * identity
    Q, gains = kernels_for(inverse).fastmnmf_sweep(Q, V / data.n_frames)
    squares = xp.sum(xp.real(Q) ** 2 + xp.imag(Q) ** 2, axis=(1, 2)) / n
    return Q / xp.sqrt(squares)[:, None, None], squares, gains - n / 2 * xp.log(squares)


def _directivity(data: Split, factors: Factors, P: Array) -> Factors:
    """Return the factors with new directivities, and W and H on their scales."""
    xp = _backend.namespace(P)
    above = below = xp.zeros_like(factors.g)
    for part in blocks(data, max(P.shape[0], int(factors.g.shape[0]))):
        L, Y = _model(factors, part)
        inverse = 1 / Y
        weighted = P[:, part, :] * inverse
        weighted *= inverse
        L = xp.reshape(L, (L.shape[0], -1))
        sums = (
            L @ xp.permute_dims(xp.reshape(values, (values.shape[0], -1)), (1, 0))
            for values in (weighted, inverse)
        )
        more, less = (xp.astype(value, xp.float64) for value in sums)
        above, below = above + more, below + less
    g = _floored(factors.g * _root(above, below), like=factors.H)
    size = xp.sum(g, axis=1, keepdims=True)
    g = g / size
    height = xp.sum(factors.W, axis=1, keepdims=True)
    H = factors.H * (xp.permute_dims(height, (0, 2, 1)) * xp.astype(size, height.dtype)[:, :, None])
    return Factors(factors.Q, g, factors.W / height, H)


def _root(above: Array, below: Array) -> Array:
    """Return the root of a ratio of sums; 1 where both are nothing."""
    xp = _backend.namespace(above)
    there = below > 0
    ratio = above / xp.where(there, below, xp.ones_like(below))
    root: Array = xp.sqrt(xp.where(there, ratio, xp.ones_like(ratio)))
    return root


def _floored(values: Array, like: Array | None = None) -> Array:
    """Return values without zeros, and without those that are slow to compute with."""
    xp = _backend.namespace(values)
    least = math.ldexp(float(xp.finfo((values if like is None else like).dtype).smallest_normal), 20)
    floored: Array = xp.clip(values, least, None)
    return floored
