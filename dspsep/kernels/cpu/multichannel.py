"""Spatial models: weighted covariances of channels, and updates of demixing matrices.

Spectra are split into real and imaginary parts, so that all loops over frames are vector instructions.
"""

from __future__ import annotations

import math

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = [
    "fastmnmf_covariances",
    "fastmnmf_sweep",
]

# Frequencies per unit of work.
_FREQS = 16
# Frames whose numbers in double precision stay in the nearest cache.
_FRAMES = 128


def fastmnmf_covariances(parts: Array, weights: Array) -> Array:
    """See `dspsep.kernels.Kernels.fastmnmf_covariances`."""
    parts, weights = readonly(parts), readonly(weights)
    n_freqs, n_parts, _ = parts.shape
    n_channels = n_parts // 2
    V = np.empty((n_freqs, weights.shape[0], n_channels, n_channels), np.complex128)
    jobs = []
    for start in range(0, n_freqs, _FREQS):
        part = slice(start, start + _FREQS)
        jobs.append((parts[part], weights[:, part], V[part]))
    _parallel.run(_covariances_of_two if n_channels == 2 else _covariances, jobs)
    return V


@kernel
def _covariances_of_two(parts: Array, weights: Array, V: Array) -> None:
    """Do it for two channels, whose products need no room."""
    for f in range(parts.shape[0]):
        a, b, c, d = parts[f, 0], parts[f, 2], parts[f, 1], parts[f, 3]
        for m in range(weights.shape[0]):
            row = weights[m, f]
            one = two = real = imaginary = 0.0
            for t in range(a.size):
                w, p, q = np.float64(row[t]), np.float64(a[t]), np.float64(b[t])
                r, s = np.float64(c[t]), np.float64(d[t])
                one += w * (p * p + q * q)
                two += w * (r * r + s * s)
                real += w * (r * p + s * q)
                imaginary += w * (s * p - r * q)
            V[f, m, 0, 0], V[f, m, 1, 1] = one, two
            V[f, m, 1, 0], V[f, m, 0, 1] = complex(real, imaginary), complex(real, -imaginary)


@kernel
def _covariances(parts: Array, weights: Array, V: Array) -> None:
    n_freqs, n_parts, n_frames = parts.shape
    n_channels, n_weights = n_parts // 2, weights.shape[0]
    exact = np.empty((n_parts, _FRAMES), np.float64)
    # Rows are summed in pairs: an odd number has one of zeros.
    rows = np.zeros((n_weights + n_weights % 2, _FRAMES), np.float64)
    products = np.empty((2, _FRAMES), np.float64)
    for f in range(n_freqs):
        V[f] = 0
        for start in range(0, n_frames, _FRAMES):
            n = min(_FRAMES, n_frames - start)
            for c in range(n_parts):
                for t in range(n):
                    exact[c, t] = parts[f, c, start + t]
            for m in range(n_weights):
                for t in range(n):
                    rows[m, t] = weights[m, f, start + t]
            for i in range(n_channels):
                for j in range(i + 1):
                    for t in range(n):
                        a, b = exact[i, t], exact[n_channels + i, t]
                        c, d = exact[j, t], exact[n_channels + j, t]
                        products[0, t] = a * c + b * d
                        if j < i:
                            products[1, t] = b * c - a * d
                    for m in range(0, rows.shape[0], 2):
                        one = two = three = four = 0.0
                        for t in range(n):
                            one += rows[m, t] * products[0, t]
                            three += rows[m + 1, t] * products[0, t]
                        if j < i:
                            for t in range(n):
                                two += rows[m, t] * products[1, t]
                                four += rows[m + 1, t] * products[1, t]
                        V[f, m, i, j] += complex(one, two)
                        if m + 1 < n_weights:
                            V[f, m + 1, i, j] += complex(three, four)
        for m in range(n_weights):
            for i in range(n_channels):
                for j in range(i):
                    V[f, m, j, i] = V[f, m, i, j].conjugate()


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
        gain = 0.0
        for m in range(n):
            for i in range(n):
                column[i] = A[i, m]
            _solve(V[f, m], factor, column)
            square = 0.0
            for i in range(n):
                square += (A[i, m].conjugate() * column[i]).real
            norm = math.sqrt(max(square, 1e-300))
            gain += math.log(norm)
            for i in range(n):
                row[i] = column[i].conjugate() / norm
                Q[f, m, i] = row[i]
            # The inverse after a row has changed: Sherman and Morrison.
            for i in range(n):
                A[i, m] = A[i, m] / norm
            for j in range(n):
                if j != m:
                    along = 0j
                    for i in range(n):
                        along += row[i] * A[i, j]
                    for i in range(n):
                        A[i, j] -= A[i, m] * along
        gains[f] = gain
