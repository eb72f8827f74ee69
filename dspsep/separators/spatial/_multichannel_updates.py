"""The iteration of FastMNMF2: two passes over the frequencies, each block of which stays in the cache.

With x the channels of bin (f, t) and variances L[n, f, t] = sum_k W[n, f, k] H[n, k, t], what is minimised is
the negative log-likelihood of the mixture and the noise of `_multichannel.py`, of power e_f,

    sum_{f, t, m} ( P[m, f, t] / Y[m, f, t] + log Y[m, f, t] ) - 2 T sum_f log |det Q_f|,
    P[m, f, t] = |q_mf x|^2 + e_f |q_mf|^2,        Y[m, f, t] = sum_n g[n, m] L[n, f, t].

As a function of each of W, H and g it is majorised by a sum of A z_old^2 / z + B z over the elements z, which
is least where z / z_old is the root of A / B (Sekiguchi et al. 2020). As a function of each row of Q it is
quadratic but for the determinant: iterative projection (Ono 2011). Each factor sees what is newest of the
others, so that the objective never rises. Without the root steps are longer, and nearly always lower it; they
are taken until it rises, and then this iteration and all after it have the root. Those of H are longer
usually: where a bin is too loud or too soft by a factor, W takes its root, and a root of what is left would
leave H behind. Those of W and g are longer only if all shall be. In joint steps W and H take roots of ratios
of the same sums, as if neither moved: nothing says that the objective falls then, and they, too, are taken
until it rises. They begin with W and H, the others with Q.

Three changes of scale leave it as it is, and are made in every iteration: the mean square of the rows of Q_f
is one, the directivity of a source sums to one, and so does each of its spectra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.spatial._multichannel import Split, blocks, powers_behind

__all__ = ["STEPS", "Factors", "iterate", "matched", "model_of"]


class _Steps(NamedTuple):
    """The power of the ratio of sums by which each factor is multiplied, and whether W and H move at once."""

    W: float
    H: float
    g: float
    joint: bool = False


# Those of the paper, in turn, with which the objective cannot rise, and those that are tried until it does.
_SAFE = _Steps(0.5, 0.5, 0.5)
STEPS = {
    "usual": _Steps(0.5, 1.0, 0.5),
    "long": _Steps(1.0, 1.0, 1.0),
    "joint": _Steps(0.5, 0.5, 0.5, joint=True),
}

#: Told how many iterations are done and the objective; ends them by returning True.
Report = Callable[[int, float], bool]


class Factors(NamedTuple):
    """Q (n_freqs, n, n) and g (n_sources, n), in double precision; W and H.

    These are (n_sources, n_freqs, n_components) and (n_sources, n_components, n_frames).
    """

    Q: Array
    g: Array
    W: Array
    H: Array


class _Pass(NamedTuple):
    """What a pass over the frequencies finds; `gains` is what log |det Q| gained in each."""

    loss: Array
    Q: Array
    W: Array
    gains: Array
    numerator: Array
    denominator: Array


def iterate(
    data: Split,
    start: Factors,
    n_iter: int,
    report: Report | None = None,
    *,
    steps: str = "usual",
) -> tuple[Factors, tuple[float, ...]]:
    """Return the factors after some iterations, and the objective at the start and after each."""
    xp = _backend.namespace(data.parts)
    factors, P = start, _all_powers(data, start)
    determinants = xp.linalg.slogdet(factors.Q)[1]
    losses: list[float] = []
    step, before = STEPS[steps], (factors, determinants)
    while True:
        # What a pass finds is not used if the iterations end with it.
        turned = bool(losses) or not step.joint
        found = _spectra(data, factors, P, step, turned=turned, update=len(losses) < n_iter)
        # The one number of an iteration that leaves the device: whether steps may stay long depends on it.
        loss = _backend.scalar(found.loss - 2 * data.n_frames * xp.sum(determinants))
        if losses and step != _SAFE and not loss <= losses[-1]:
            step = _SAFE
            factors, determinants = before
            P = _all_powers(data, factors)
            found = _spectra(data, factors, P, step, turned=True, update=True)
        else:
            losses.append(loss)
            if len(losses) > n_iter or (report and len(losses) > 1 and report(len(losses) - 1, loss)):
                return factors, tuple(losses)
        before = factors, determinants
        determinants = determinants + found.gains
        H = _floored(factors.H * _ratio(found.numerator, found.denominator, step.H))
        factors = _directivity(data, Factors(found.Q, factors.g, found.W, H), P, step.g)


def matched(data: Split, factors: Factors) -> Factors:
    """Return factors whose model has the mean of the powers behind Q."""
    xp = _backend.namespace(data.parts)
    P = _all_powers(data, factors)
    total = _backend.scalar(xp.sum(P, dtype=xp.float64))
    levels = [
        xp.sum(factors.W[:, part, :] @ factors.H, axis=(1, 2)) for part in blocks(data, data.n_channels)
    ]
    model = xp.sum(xp.stack(levels), axis=0)
    size = _backend.scalar(xp.sum(xp.astype(model, xp.float64)[:, None] * factors.g))
    return factors._replace(H=factors.H * (total / size if size else 1.0))


def _all_powers(data: Split, factors: Factors) -> Array:
    """Return P of all frequencies."""
    xp = _backend.namespace(data.parts)
    shape = (data.n_channels, data.n_freqs, data.n_frames)
    P: Array = xp.empty(shape, dtype=data.parts.dtype, device=data.parts.device)
    for part in blocks(data, data.n_channels):
        P[:, part, :] = _powers(data, factors.Q[part, :, :], part)
    return P


def _powers(data: Split, Q: Array, part: slice) -> Array:
    """Return |q x|^2 and what the noise adds."""
    xp = _backend.namespace(Q)
    parts = data.parts[part, :, :]
    norms = xp.sum(xp.real(Q) ** 2 + xp.imag(Q) ** 2, axis=2)
    return powers_behind(Q, parts, norms * data.noise[part][:, None])


def _spectra(data: Split, factors: Factors, P: Array, step: _Steps, *, turned: bool, update: bool) -> _Pass:
    """Return the objective, less determinants; Q, W, and sums for H.

    The powers behind the new Q replace those in `P`. Unless it is `turned`, Q only comes on its scale.
    """
    xp = _backend.namespace(P)
    _, g, _, H = factors
    numerator, denominator = xp.zeros_like(H), xp.zeros_like(H)
    transposed = xp.permute_dims(H, (0, 2, 1))
    loss: Array = xp.zeros((), dtype=xp.float64, device=P.device)
    rows = []
    for part in blocks(data, max(data.n_channels, int(g.shape[0]))):
        W = factors.W[:, part, :]
        Y = model_of(W @ H, g)
        inverse = 1 / Y
        terms = xp.log(Y)
        terms += P[:, part, :] * inverse
        loss = loss + xp.sum(terms, dtype=xp.float64)
        if not update:
            continue
        project = _projected if turned else _scaled
        Q, squares, gains = project(data, factors.Q[part, :, :], inverse, part)
        P[:, part, :] = own = _powers(data, Q, part)
        scale = 1 / xp.astype(squares, P.dtype)[:, None]
        inverse /= scale
        terms_of_L = tuple(_back(own, inverse, g))
        above, below = (values @ transposed for values in terms_of_L)
        W = _floored(W * scale * _ratio(above, below, step.W))
        if not step.joint:
            terms_of_L = tuple(_back(own, 1 / model_of(W @ H, g), g))
        upright = xp.permute_dims(W, (0, 2, 1))
        numerator += upright @ terms_of_L[0]
        denominator += upright @ terms_of_L[1]
        rows.append((Q, W, gains))
    if not update:
        return _Pass(loss, factors.Q, factors.W, data.noise, numerator, denominator)
    Q, W, gains = (
        xp.concat(found, axis=axis) for found, axis in zip(zip(*rows, strict=True), (0, 1, 0), strict=True)
    )
    return _Pass(loss, Q, W, gains, numerator, denominator)


def model_of(L: Array, g: Array) -> Array:
    """Return Y (n_channels, bins, n_frames)."""
    xp = _backend.namespace(L)
    g = xp.permute_dims(xp.astype(g, L.dtype), (1, 0))
    return xp.reshape(g @ xp.reshape(L, (L.shape[0], -1)), (-1, *L.shape[1:]))  # type: ignore[no-any-return]


def _back(P: Array, inverse: Array, g: Array) -> Iterator[Array]:
    """Yield ``sum_m g P / Y^2`` and ``sum_m g / Y`` for each source, `inverse` being 1 / Y."""
    xp = _backend.namespace(P)
    g = xp.astype(g, P.dtype)
    for values in (_over_squares(P, inverse), inverse):
        yield xp.reshape(g @ xp.reshape(values, (P.shape[0], -1)), (-1, *P.shape[1:]))


def _over_squares(P: Array, inverse: Array) -> Array:
    weighted = P * inverse  # not the square of the inverse alone, which may be too large
    weighted *= inverse
    return weighted


def _projected(data: Split, Q: Array, inverse: Array, part: slice) -> tuple[Array, Array, Array]:
    """Return Q after iterative projection, by what squares were divided, and what log |det Q| gained."""
    xp = _backend.namespace(Q)
    n = data.n_channels
    V = kernels_for(inverse).fastmnmf_covariances(data.parts[part, :, :], inverse)
    sums = xp.permute_dims(xp.sum(inverse, axis=2, dtype=xp.float64), (1, 0))
    identity = xp.eye(n, dtype=V.dtype, device=V.device)
    V = V + (sums * data.noise[part][:, None])[:, :, None, None] * identity
    Q, gains = kernels_for(inverse).fastmnmf_sweep(Q, V / data.n_frames)
    Q, squares, scaled = _scaled(data, Q, inverse, part)
    return Q, squares, gains + scaled


def _scaled(data: Split, Q: Array, _inverse: Array, _part: slice) -> tuple[Array, Array, Array]:
    """Return the same of Q as it is: nothing but its scale is put right."""
    xp = _backend.namespace(Q)
    n = data.n_channels
    squares = xp.sum(xp.real(Q) ** 2 + xp.imag(Q) ** 2, axis=(1, 2)) / n
    return Q / xp.sqrt(squares)[:, None, None], squares, -n / 2 * xp.log(squares)


def _directivity(data: Split, factors: Factors, P: Array, exponent: float) -> Factors:
    """Return the factors with new directivities, and W and H on their scales."""
    xp = _backend.namespace(P)
    above = below = xp.zeros_like(factors.g)
    for part in blocks(data, max(data.n_channels, int(factors.g.shape[0]))):
        L = factors.W[:, part, :] @ factors.H
        inverse = 1 / model_of(L, factors.g)
        L = xp.reshape(L, (L.shape[0], -1))
        sums = (
            xp.astype(L @ xp.permute_dims(xp.reshape(values, (data.n_channels, -1)), (1, 0)), xp.float64)
            for values in (_over_squares(P[:, part, :], inverse), inverse)
        )
        above, below = (total + more for total, more in zip((above, below), sums, strict=True))
    g = xp.clip(factors.g * _ratio(above, below, exponent), _least(P), None)
    size = xp.sum(g, axis=1, keepdims=True)
    height = xp.sum(factors.W, axis=1, keepdims=True)
    H = factors.H * (xp.permute_dims(height, (0, 2, 1)) * xp.astype(size, height.dtype)[:, :, None])
    return Factors(factors.Q, g / size, factors.W / height, H)


def _ratio(above: Array, below: Array, exponent: float) -> Array:
    """Return a power of the ratio of sums; 1 where both are nothing."""
    xp = _backend.namespace(above)
    there = below > 0
    ratio = above / xp.where(there, below, xp.ones_like(below))
    ratio = xp.where(there, ratio, xp.ones_like(ratio))
    return ratio if exponent == 1 else ratio**exponent  # type: ignore[no-any-return]


def _floored(values: Array) -> Array:
    """Return values without zeros, and without those that are slow to compute with."""
    floored: Array = _backend.namespace(values).clip(values, _least(values), None)
    return floored


def _least(like: Array) -> float:
    return math.ldexp(float(_backend.namespace(like).finfo(like.dtype).smallest_normal), 20)
