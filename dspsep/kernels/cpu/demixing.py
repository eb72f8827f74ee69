"""Demixing matrices: weighted covariances with frames in lanes, and small matrices bin by bin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._covariances import FRAMES, accumulate, blocks, finish, noise_of, power_of
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.cpu._matrices import ROUNDING, hermitian_solve, inverse, pair_step, pseudoinverse

__all__ = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "pair_projection",
    "projection_sweep",
    "steering_sweep",
    "weighted_covariances",
]


def weighted_covariances(spectra: Array, weights: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.weighted_covariances`."""
    spectra, weights = readonly(spectra), readonly(weights.astype(spectra.dtype, copy=False))
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, len(weights), n_channels, n_channels), np.complex128)
    parts = blocks(n_freqs)
    _parallel.run(_covariances, [(spectra[part], weights, ridge, covariances[part]) for part in parts])
    return covariances


def demixed_powers(spectra: Array, demixing: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.demixed_powers`."""
    spectra, demixing = readonly(spectra), readonly(demixing)
    n_freqs, _, _, n_frames = spectra.shape
    parts = blocks(n_freqs)
    # One place for each job, added up in their order: the same bytes on any number of threads.
    powers = np.zeros((len(parts), demixing.shape[1], n_frames), spectra.dtype)
    jobs = [(spectra[part], demixing[part], power) for part, power in zip(parts, powers, strict=True)]
    _parallel.run(_powers, jobs)
    return _withnoise_of(powers, demixing, ridge)


def contrast_step(
    spectra: Array, weights: Array, demixing: Array, ridge: float, steers: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.contrast_step`."""
    spectra, weights = readonly(spectra), readonly(weights.astype(spectra.dtype, copy=False))
    n_freqs, _, _, n_frames = spectra.shape
    result = np.array(demixing, np.complex128, order="C")
    logarithms, parts = np.empty(n_freqs), blocks(n_freqs)
    powers = np.zeros((len(parts), demixing.shape[1], n_frames), spectra.dtype)
    jobs = [
        (spectra[part], weights, ridge, steers, result[part], logarithms[part], power)
        for part, power in zip(parts, powers, strict=True)
    ]
    _parallel.run(_step, jobs)
    return result, logarithms, _withnoise_of(powers, result, ridge)


def _withnoise_of(powers: Array, demixing: Array, ridge: float) -> Array:
    """Add the powers of jobs up, in their order, and what noise adds to them."""
    parts = demixing.view(np.float64)
    # Several times as fast as sums of squares, of which rows are short.
    squares = np.einsum("fkc,fkc->k", parts, parts)
    total: Array = powers.sum(axis=0, dtype=np.float64) + ridge * squares[:, None]
    return total


def bin_covariances(spectra: Array, demixing: Array, ridge: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.bin_covariances`."""
    spectra, demixing = readonly(spectra), readonly(demixing)
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, demixing.shape[1], n_channels, n_channels), np.complex128)
    norms = np.empty((n_freqs, demixing.shape[1]))
    jobs = [
        (spectra[part], demixing[part], ridge, covariances[part], norms[part]) for part in blocks(n_freqs)
    ]
    _parallel.run(_own_covariances, jobs)
    return covariances, norms


def projection_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.projection_sweep`."""
    return _swept(_sweep, demixing, covariances, False)


def steering_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.steering_sweep`."""
    return _swept(_sweep, demixing, covariances, True)


def pair_projection(demixing: Array, covariances: Array, first: int, second: int) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.pair_projection`."""
    return _swept(_project_pair, demixing, covariances, first, second)


def _swept(sweep: Any, demixing: Array, covariances: Array, *options: Any) -> tuple[Array, Array]:
    result = np.array(demixing, np.complex128, order="C")
    logarithms = np.empty(len(result))
    covariances = readonly(covariances)
    parts = blocks(len(result))
    _parallel.run(sweep, [(covariances[part], *options, result[part], logarithms[part]) for part in parts])
    return result, logarithms


@kernel
def _covariances(spectra: Array, weights: Array, ridge: float, covariances: Array) -> None:
    for f in range(spectra.shape[0]):
        covariances[f] = 0
        accumulate(spectra[f], weights, covariances[f])
        finish(weights, ridge, covariances[f])


@kernel
def _powers(spectra: Array, demixing: Array, powers: Array) -> None:
    n_frames = spectra.shape[3]
    y, power = np.empty((2, n_frames), spectra.dtype), np.empty(n_frames, spectra.dtype)
    for f in range(spectra.shape[0]):
        for k in range(demixing.shape[1]):
            power_of(spectra[f], demixing[f, k], y, power)
            total = powers[k]
            for t in range(n_frames):
                total[t] += power[t]


@kernel
def _own_covariances(spectra: Array, demixing: Array, ridge: float, covariances: Array, norms: Array) -> None:
    n_frames, n_sources = spectra.shape[3], demixing.shape[1]
    y = np.empty((2, n_frames), spectra.dtype)
    weights = np.empty((n_sources, n_frames), spectra.dtype)
    one, zero = spectra.dtype.type(1), spectra.dtype.type(0)
    for f in range(spectra.shape[0]):
        for k in range(n_sources):
            weight = weights[k]
            power_of(spectra[f], demixing[f, k], y, weight)
            noise = spectra.dtype.type(noise_of(demixing[f, k], ridge))
            for t in range(n_frames):
                weight[t] = np.sqrt(weight[t] + noise)
            total = 0.0
            for start in range(0, n_frames, FRAMES):
                piece = weight[start : min(start + FRAMES, n_frames)]
                part = zero
                for t in range(piece.size):
                    part += piece[t]
                total += part
            norms[f, k] = total / n_frames
            for t in range(n_frames):
                weight[t] = one / weight[t]
        covariances[f] = 0
        accumulate(spectra[f], weights, covariances[f])
        finish(weights, ridge, covariances[f])


@inlined
def _project_bin(V: Array, W: Array, A: Array, w: Array, work: Array) -> float:
    """Project each row of W (n_sources, n_channels) in turn, and return log |det W|."""
    n_sources, n_channels = W.shape
    square = n_sources == n_channels
    logarithm = inverse(W, A, work) if square else pseudoinverse(W, A, work)
    for k in range(n_sources):
        gain = math.sqrt(hermitian_solve(V[k], A[:, k], w, work))
        per_gain = 1 / gain
        for c in range(n_channels):
            W[k, c] = w[c].conjugate() * per_gain
        if not square:
            logarithm = pseudoinverse(W, A, work)
            continue
        logarithm += math.log(gain)
        # The inverse of what differs in one row; the new row times the old column is the gain.
        for j in range(n_sources):
            if j != k:
                share = 0j
                for c in range(n_channels):
                    share += W[k, c] * A[c, j]
                share *= per_gain
                for c in range(n_channels):
                    A[c, j] -= share * A[c, k]
        for c in range(n_channels):
            A[c, k] *= per_gain
    return logarithm


@inlined
def _steer_bin(V: Array, W: Array, A: Array, image: Array, work: Array) -> float:  # noqa: C901 - loops over a few channels
    """Steer along each row of W (n_sources, n_sources) in turn, and return log |det W|."""
    n = W.shape[0]
    logarithm = inverse(W, A, work)
    step = A[0]
    for s in range(n):
        size = 0.0
        for c in range(n):
            size += W[s, c].real ** 2 + W[s, c].imag ** 2
        for k in range(n):
            # V w of the source that steers, then its products with both rows.
            across, own, trace = 0j, 0.0, 0.0
            for a in range(n):
                trace += V[k, a, a].real
                image[a] = 0
                for b in range(n):
                    image[a] += V[k, a, b] * W[s, b].conjugate()
                across += W[k, a] * image[a]
                own += (W[s, a] * image[a]).real
            if own <= 0:  # by rounding alone
                own = ROUNDING * trace * size
            if k == s:
                root = math.sqrt(own)
                step[k] = 1 - 1 / root
                logarithm -= math.log(root)
            else:
                step[k] = across * (1 / own)
        for k in range(n):
            if k != s:
                for c in range(n):
                    W[k, c] -= step[k] * W[s, c]
        for c in range(n):
            W[s, c] -= step[s] * W[s, c]
    return logarithm


@kernel
def _sweep(covariances: Array, steers: bool, demixing: Array, logarithms: Array) -> None:
    n_sources, n_channels = demixing.shape[1], demixing.shape[2]
    A, work = (
        np.empty((n_channels, n_sources), np.complex128),
        np.empty((n_channels, n_channels), np.complex128),
    )
    w = np.empty(n_channels, np.complex128)
    for f in range(demixing.shape[0]):
        if steers:
            logarithms[f] = _steer_bin(covariances[f], demixing[f], A, w, work)
        else:
            logarithms[f] = _project_bin(covariances[f], demixing[f], A, w, work)


@kernel
def _step(
    spectra: Array, weights: Array, ridge: float, steers: bool, demixing: Array, logarithms: Array,
    powers: Array,
) -> None:  # fmt: skip
    n_sources, n_channels = demixing.shape[1], demixing.shape[2]
    n_frames = spectra.shape[3]
    V = np.empty((n_sources, n_channels, n_channels), np.complex128)
    A, work = (
        np.empty((n_channels, n_sources), np.complex128),
        np.empty((n_channels, n_channels), np.complex128),
    )
    w = np.empty(n_channels, np.complex128)
    y, power = np.empty((2, n_frames), spectra.dtype), np.empty(n_frames, spectra.dtype)
    for f in range(spectra.shape[0]):
        V[:] = 0
        accumulate(spectra[f], weights, V)
        finish(weights, ridge, V)
        if steers:
            logarithms[f] = _steer_bin(V, demixing[f], A, w, work)
        else:
            logarithms[f] = _project_bin(V, demixing[f], A, w, work)
        for k in range(n_sources):
            power_of(spectra[f], demixing[f, k], y, power)
            total = powers[k]
            for t in range(n_frames):
                total[t] += power[t]


@kernel
def _project_pair(covariances: Array, first: int, second: int, demixing: Array, logarithms: Array) -> None:
    n = demixing.shape[1]
    A, work = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    P, G = np.empty((2, 2, n), np.complex128), np.empty((2, 2, 2), np.complex128)
    h = np.empty((2, 2), np.complex128)
    rows = np.array([first, second])
    for f in range(demixing.shape[0]):
        W = demixing[f]
        inverse(W, A, work)
        for m in range(2):
            for j in range(2):
                hermitian_solve(covariances[f, m], A[:, rows[j]], P[m, j], work)
            for i in range(2):
                for j in range(2):
                    total = 0j
                    for c in range(n):
                        total += A[c, rows[i]].conjugate() * P[m, j, c]
                    G[m, i, j] = total
        pair_step(G[0], G[1], h)
        for m in range(2):
            # Of all phases the one that makes the new row times the old column positive, as projection does.
            across = G[m, m, 0] * h[m, 0] + G[m, m, 1] * h[m, 1]
            size = math.sqrt(across.real**2 + across.imag**2)
            if size > 0:
                turn = across.conjugate() * (1 / size)
                h[m, 0] *= turn
                h[m, 1] *= turn
            for c in range(n):
                W[rows[m], c] = (P[m, 0, c] * h[m, 0] + P[m, 1, c] * h[m, 1]).conjugate()
        logarithms[f] = inverse(W, A, work)
