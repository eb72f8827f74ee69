"""Spatial models: weighted covariances of channels, and updates of demixing matrices.

Spectra are split into real and imaginary parts, so that loops over frames are vector instructions.
"""

from __future__ import annotations

import math

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["fastmnmf_covariances", "fastmnmf_sweep"]

# Frequencies per unit of work.
_FREQS = 16


def fastmnmf_covariances(parts: Array, weights: Array) -> Array:
    """See `dspsep.kernels.Kernels.fastmnmf_covariances`."""
    parts, weights = readonly(parts), readonly(weights)
    n_freqs, n_parts, _ = parts.shape
    n_channels = n_parts // 2
    V = np.empty((n_freqs, weights.shape[0], n_channels, n_channels), np.complex128)
    starts = range(0, n_freqs, _FREQS)
    jobs = [(parts, weights, V, start, min(start + _FREQS, n_freqs)) for start in starts]
    # Whole arrays, not slices of them: of those the compiler cannot tell that frames lie side by side.
    _parallel.run(_covariances, jobs)
    return V


@kernel
def _covariances(parts: Array, weights: Array, V: Array, start: int, stop: int) -> None:
    _, n_parts, n_frames = parts.shape
    n = n_parts // 2
    for f in range(start, stop):
        for m in range(weights.shape[0]):
            row = weights[m, f]
            for i in range(n):
                a, b = parts[f, i], parts[f, n + i]
                total = 0.0
                for t in range(n_frames):
                    p, q = np.float64(a[t]), np.float64(b[t])
                    total += row[t] * (p * p + q * q)
                V[f, m, i, i] = total
                for j in range(i):
                    c, d = parts[f, j], parts[f, n + j]
                    real = imaginary = 0.0
                    for t in range(n_frames):
                        p, q = np.float64(a[t]), np.float64(b[t])
                        r, s = np.float64(c[t]), np.float64(d[t])
                        w = np.float64(row[t])
                        real += w * (p * r + q * s)
                        imaginary += w * (q * r - p * s)
                    V[f, m, i, j], V[f, m, j, i] = complex(real, imaginary), complex(real, -imaginary)


def fastmnmf_sweep(Q: Array, V: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.fastmnmf_sweep`."""
    V = readonly(V)
    found, inverse = np.array(Q, order="C"), np.linalg.inv(Q)
    gains = np.empty(Q.shape[0])
    jobs = []
    for start in range(0, Q.shape[0], 8 * _FREQS):
        part = slice(start, start + 8 * _FREQS)
        jobs.append((V[part], found[part], inverse[part], gains[part]))
    _parallel.run(_sweep, jobs)
    return found, gains


@inlined
def _solve(matrix: Array, factor: Array, column: Array) -> None:
    """Solve a Hermitian, positive definite system in place of its right side, by Cholesky factors."""
    n = column.size
    for j in range(n):
        for i in range(j, n):
            total = matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k].conjugate()
            if i == j:
                factor[j, j] = math.sqrt(max(total.real, 1e-300))
            else:
                factor[i, j] = total / factor[j, j].real
    for i in range(n):
        total = column[i]
        for k in range(i):
            total -= factor[i, k] * column[k]
        column[i] = total / factor[i, i].real
    for back in range(n):
        i = n - 1 - back
        total = column[i]
        for k in range(i + 1, n):
            total -= factor[k, i].conjugate() * column[k]
        column[i] = total / factor[i, i].real


@kernel
def _sweep(V: Array, Q: Array, inverse: Array, gains: Array) -> None:
    n_freqs, n, _ = Q.shape
    factor = np.empty((n, n), np.complex128)
    column, row = np.empty(n, np.complex128), np.empty(n, np.complex128)
    for f in range(n_freqs):
        A = inverse[f]
        gains[f] = 0
        for m in range(n):
            for i in range(n):
                column[i] = A[i, m]
            _solve(V[f, m], factor, column)
            square = 0.0
            for i in range(n):
                square += (A[i, m].conjugate() * column[i]).real
            norm = math.sqrt(max(square, 1e-300))
            gains[f] += math.log(norm)
            for i in range(n):
                row[i] = column[i].conjugate() / norm
                Q[f, m, i] = row[i]
                A[i, m] = A[i, m] / norm
            _adapt(A, row, m)


@inlined
def _adapt(A: Array, row: Array, m: int) -> None:
    """Adapt an inverse, but for its column m, to a new row: Sherman and Morrison."""
    n = row.size
    for j in range(n):
        if j != m:
            along = 0j
            for i in range(n):
                along += row[i] * A[i, j]
            for i in range(n):
                A[i, j] -= A[i, m] * along
