"""Expectation and maximisation of the mixtures of directions of `cacgmm.py`, frequency by frequency."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.spatial._multichannel import NOISE, Split, blocks, powers_behind
from dspsep.separators.spatial._multichannel_alignment import alignment

__all__ = ["Mixtures", "learned", "shares_of"]

Report = Callable[[int, float], bool]

# A source that has less than this of all frames together keeps its B.
_NOBODY = 1e-30
# How uneven the shares are at the start: the exponent of random numbers.
_UNEVEN = 2.0


class Mixtures(NamedTuple):
    """B (n_sources, n_freqs, n_channels, n_channels) and the weights a (n_sources, n_freqs), in double."""

    B: Array
    a: Array


def learned(
    data: Split, n_sources: int, n_iter: int, seed: int, report: Report | None, *, align: bool
) -> tuple[Mixtures, tuple[float, ...]]:
    """Return the mixtures after some iterations, and the objective at the start and after each."""
    mixtures = _start(data, n_sources, seed)
    losses: list[Array] = []
    while True:
        done = len(losses)
        last = done == (0 if data.silent else n_iter)
        found, loss = _step(data, mixtures, update=not last)
        losses.append(loss)
        # What was found in this pass is not used if the iterations end here.
        if last or (report is not None and done and report(done, _backend.scalar(loss))):
            break
        mixtures = found
    host = _backend.to_host(_backend.namespace(data.parts).stack(losses))
    return (_aligned(data, mixtures) if align else mixtures), tuple(host.tolist())


def _start(data: Split, n_sources: int, seed: int) -> Mixtures:
    """Return what random shares lead to, which are alike in all frequencies.

    So most frequencies begin, and end, in the same order.
    """
    xp = _backend.namespace(data.parts)
    drawn = np.random.default_rng(seed).random((n_sources, data.n_frames)) ** _UNEVEN + 1e-3
    drawn = _backend.asarray_like(drawn / drawn.sum(axis=0), data.parts)
    shares = xp.astype(drawn, data.parts.dtype)
    n = data.n_channels
    identity = xp.eye(n, dtype=xp.complex128, device=data.parts.device)
    B = xp.broadcast_to(identity, (n_sources, 1, n, n))
    found = []
    for part in blocks(data, n * n_sources):
        parts = data.parts[part, :, :]
        own = xp.broadcast_to(shares[:, None, :], (n_sources, parts.shape[0], data.n_frames))
        old = Mixtures(xp.broadcast_to(B, (n_sources, parts.shape[0], n, n)), own[:, :, 0])
        level = _levels(data, parts)
        found.append(_maximised(data, parts, level, own, xp.full_like(own, 1.0), old))
    return _joined(found)


def _joined(found: list[Mixtures]) -> Mixtures:
    xp = _backend.namespace(found[0].B)
    B, a = (xp.concat([getattr(one, name) for one in found], axis=1) for name in ("B", "a"))
    return Mixtures(B, a)


def _levels(data: Split, parts: Array) -> tuple[Array, Array]:
    """Return the power of the noise in every bin, and that of the bin with it: (bins, n_frames)."""
    xp = _backend.namespace(parts)
    power = xp.sum(parts * parts, axis=1)
    noise = NOISE * (power / data.n_channels + (data.mean or 1.0))
    return noise, power + data.n_channels * noise


def _step(data: Split, mixtures: Mixtures, *, update: bool) -> tuple[Mixtures, Array]:
    """Return the mixtures after one iteration, and the objective before it, a number where the arrays are."""
    xp = _backend.namespace(data.parts)
    loss: Array = xp.zeros((), dtype=xp.float64, device=data.parts.device)
    found = []
    for part in blocks(data, data.n_channels * int(mixtures.a.shape[0])):
        parts, own = data.parts[part, :, :], Mixtures(mixtures.B[:, part, :, :], mixtures.a[:, part])
        level = _levels(data, parts)
        shares, q, logarithms = _expected(parts, level, own)
        loss = loss - xp.sum(logarithms, dtype=xp.float64)
        if update:
            found.append(_maximised(data, parts, level, shares, q, own))
    return (_joined(found) if update else mixtures), loss


def _expected(parts: Array, level: tuple[Array, Array], own: Mixtures) -> tuple[Array, Array, Array]:
    """Return M and q (n_sources, bins, n_frames), and the logarithm of the density (bins, n_frames)."""
    xp = _backend.namespace(parts)
    n_sources, n_bins, n, _ = own.B.shape
    noise, power = level
    factor = xp.linalg.cholesky(own.B)
    identity = xp.broadcast_to(xp.eye(n, dtype=own.B.dtype, device=own.B.device), own.B.shape)
    inverse = xp.linalg.solve(factor, identity)
    # All rows of all sources are outputs of one demixing matrix in each bin.
    rows = xp.reshape(xp.permute_dims(inverse, (1, 0, 2, 3)), (n_bins, n_sources * n, n))
    q = powers_behind(rows, parts, xp.zeros_like(xp.real(rows[:, :, 0])))
    q = xp.sum(xp.reshape(q, (n_sources, n, n_bins, -1)), axis=1)
    trace = xp.sum(xp.real(inverse) ** 2 + xp.imag(inverse) ** 2, axis=(2, 3))
    q += xp.astype(trace, q.dtype)[:, :, None] * noise
    q /= power
    diagonal = xp.stack([xp.real(factor[:, :, m, m]) for m in range(n)])
    constant = xp.log(own.a) - 2 * xp.sum(xp.log(diagonal), axis=0)
    shares = xp.astype(constant, q.dtype)[:, :, None] - n * xp.log(q)
    largest = xp.max(shares, axis=0)
    shares = xp.exp(shares - largest)
    total = xp.sum(shares, axis=0)
    shares /= total
    return shares, q, largest + xp.log(total)


def _maximised(
    data: Split, parts: Array, level: tuple[Array, Array], shares: Array, q: Array, old: Mixtures
) -> Mixtures:
    xp = _backend.namespace(parts)
    noise, power = level
    n = data.n_channels
    weights = shares / (q * power)
    V = xp.permute_dims(kernels_for(parts).fastmnmf_covariances(parts, weights), (1, 0, 2, 3))
    identity = xp.eye(n, dtype=V.dtype, device=V.device)
    V = V + xp.sum(weights * noise, axis=2, dtype=xp.float64)[:, :, None, None] * identity
    sums = xp.sum(shares, axis=2, dtype=xp.float64)
    trace = sum(xp.real(V[:, :, m, m]) for m in range(n))
    heard = (sums > _NOBODY) & (trace > 0)
    size = n / xp.where(heard, trace, xp.ones_like(trace))
    B = xp.where(heard[:, :, None, None], V * size[:, :, None, None], old.B)
    a = xp.clip(sums / data.n_frames, _NOBODY, None)
    return Mixtures(B, a / xp.sum(a, axis=0))


def _aligned(data: Split, mixtures: Mixtures) -> Mixtures:
    """Return the mixtures with their sources in one order over all frequencies."""
    xp = _backend.namespace(data.parts)
    n_sources, n_freqs = mixtures.a.shape
    shares = xp.concat([shares_of(data, mixtures, part) for part in blocks(data, n_sources)], axis=1)
    order = _backend.asarray_like(alignment(shares) * n_freqs + np.arange(n_freqs)[:, None], data.parts)
    index = xp.reshape(xp.permute_dims(order, (1, 0)), (-1,))
    B, a = (
        xp.reshape(
            xp.take(xp.reshape(values, (n_sources * n_freqs, *values.shape[2:])), index, axis=0), values.shape
        )
        for values in mixtures
    )
    return Mixtures(B, a)


def shares_of(data: Split, mixtures: Mixtures, part: slice) -> Array:
    """Return the probabilities of the sources in some frequencies, (n_sources, bins, n_frames)."""
    parts, own = data.parts[part, :, :], Mixtures(mixtures.B[:, part, :, :], mixtures.a[:, part])
    return _expected(parts, _levels(data, parts), own)[0]
