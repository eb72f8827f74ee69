"""Demixing matrices: covariances with a block for each bin, powers with a thread for each frame.

What bounds them, as estimates, for F bins, T frames, N channels and K sources in single precision:

* `weighted_covariances`, `bin_covariances`: the spectra are read once, 8 F N T bytes, if N <= 4, and once for
  every group of sources beyond that; some ``2 K N**2`` operations for 8 N bytes, below what a GPU can do
  meanwhile up to four channels.
* `demixed_powers`: the same bytes once. Sums over 16 bins at a time are kept, ``K T F / 4`` bytes.

An iteration of AuxIVA is four launches beside what becomes of powers: few numbers, of which the loss stays on
the device.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._covariances import covariance_source
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS, THREADS, source_of
from dspsep.kernels.gpu.sweeps import projection_sweep, steering_sweep

__all__ = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "sum_of_parts",
    "weighted_covariances",
]

# Bins that a thread of `demixed_powers` goes through.
_BINS = 16
# Outputs of a block that adds parts up, and rows of threads that share them.
_OUTPUTS, _ROWS = 32, 8


def weighted_covariances(spectra: Array, weights: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.weighted_covariances`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources = weights.shape[0]
    if max(n_channels, n_sources) > MOST_CHANNELS:
        return generic.weighted_covariances(spectra, weights, ridge)
    _backend.namespace(spectra, weights)  # which refuses arrays of two places
    spectra, weights = contiguous(spectra), contiguous(weights, "float64")
    covariances = empty((n_freqs, n_sources, n_channels, n_channels), "complex128", spectra)
    source, per_bin = covariance_source(
        spectra.dtype.name,
        n_channels,
        n_sources,
        "const double *weights, ",
        "w[k] = (REAL)weights[source * n_frames + t];",
    )
    if n_freqs:
        sizes = np.float64(ridge), np.int64(n_freqs), np.int64(n_frames)
        launch(source, "covariances", (n_freqs * per_bin,), (THREADS,), weights, spectra, covariances, *sizes)
    return covariances


# Rows of the demixing matrix of a bin in the precision of the spectra, and the noise in what they make.
_ROWS_OF_BIN = r"""
    __shared__ REAL rows[K][2 * N], noise[K];
    for (int i = threadIdx.x; i < K * N; i += THREADS) {
        rows[i / N][2 * (i % N)] = (REAL)demixing[f * K * N + i].x;
        rows[i / N][2 * (i % N) + 1] = (REAL)demixing[f * K * N + i].y;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < K; k += THREADS) {
        REAL size = 0;
        for (int i = 0; i < 2 * N; i++) size += rows[k][i] * rows[k][i];
        noise[k] = (REAL)ridge * size;
    }
"""
_OWN_WEIGHT = r"""
                REAL u = 0, v = 0;
                #pragma unroll
                for (int c = 0; c < N; c++) {
                    u += rows[source][2 * c] * x[c] - rows[source][2 * c + 1] * y[c];
                    v += rows[source][2 * c] * y[c] + rows[source][2 * c + 1] * x[c];
                }
                const REAL radius = sqrt(noise[source] + u * u + v * v);
                own[k * SUMS + N * N + 1] += radius;
                w[k] = 1 / radius;
"""
_OWN_NORMS = r"""
    if (threadIdx.x < TOGETHER && first + threadIdx.x < K)
        norms[f * K + first + threadIdx.x] = totals[threadIdx.x * SUMS + N * N + 1] / n_frames;
"""


def bin_covariances(spectra: Array, demixing: Array, ridge: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.bin_covariances`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources = demixing.shape[1]
    if n_channels > MOST_CHANNELS:
        return generic.bin_covariances(spectra, demixing, ridge)
    _backend.namespace(spectra, demixing)  # which refuses arrays of two places
    spectra, demixing = contiguous(spectra), contiguous(demixing)
    covariances = empty((n_freqs, n_sources, n_channels, n_channels), "complex128", spectra)
    norms = empty((n_freqs, n_sources), "float64", spectra)
    source, per_bin = covariance_source(
        spectra.dtype.name,
        n_channels,
        n_sources,
        "const double2 *demixing, double *norms, ",
        _OWN_WEIGHT,
        before=_ROWS_OF_BIN,
        after=_OWN_NORMS,
        more=2,
    )
    if n_freqs:
        arrays = demixing, norms, spectra, covariances
        sizes = np.float64(ridge), np.int64(n_freqs), np.int64(n_frames)
        launch(source, "covariances", (n_freqs * per_bin,), (THREADS,), *arrays, *sizes)
    return covariances, norms


_POWERS = r"""
extern "C" __global__ void powers(const REAL *spectra, const double2 *demixing, double ridge, REAL *parts,
        long long n_freqs, long long n_frames, long long n_runs) {
    __shared__ REAL rows[BINS][K][2 * N], noise[BINS][K];
    const long long group = blockIdx.x / n_runs;
    const long long t = blockIdx.x % n_runs * THREADS + threadIdx.x;
    const long long begin = group * BINS;
    const int n = (int)(begin + BINS < n_freqs ? BINS : n_freqs - begin);
    for (int i = threadIdx.x; i < n * K * N; i += THREADS) {
        const double2 entry = demixing[begin * K * N + i];
        rows[i / (K * N)][i / N % K][2 * (i % N)] = (REAL)entry.x;
        rows[i / (K * N)][i / N % K][2 * (i % N) + 1] = (REAL)entry.y;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n * K; i += THREADS) {
        REAL size = 0;
        for (int j = 0; j < 2 * N; j++) size += rows[i / K][i % K][j] * rows[i / K][i % K][j];
        noise[i / K][i % K] = (REAL)ridge * size;
    }
    __syncthreads();
    if (t >= n_frames) return;
    REAL sums[K] = {};
    for (int f = 0; f < n; f++) {
        const REAL *bin = spectra + (begin + f) * 2 * N * n_frames + t;
        REAL x[N], y[N];
        #pragma unroll
        for (int c = 0; c < N; c++) { x[c] = bin[2 * c * n_frames]; y[c] = bin[(2 * c + 1) * n_frames]; }
        #pragma unroll
        for (int k = 0; k < K; k++) {
            const REAL *row = rows[f][k];
            REAL u = 0, v = 0;
            #pragma unroll
            for (int c = 0; c < N; c++) {
                u += row[2 * c] * x[c] - row[2 * c + 1] * y[c];
                v += row[2 * c] * y[c] + row[2 * c + 1] * x[c];
            }
            sums[k] += noise[f][k] + u * u + v * v;
        }
    }
    #pragma unroll
    for (int k = 0; k < K; k++) parts[(group * K + k) * n_frames + t] = sums[k];
}
"""

_ADD = r"""
extern "C" __global__ void add_parts(const REAL *parts, double *sums, long long n, long long n_parts) {
    __shared__ double rows[ROWS][OUTPUTS];
    const long long i = (long long)blockIdx.x * OUTPUTS + threadIdx.x;
    double own = 0;
    if (i < n) for (long long p = threadIdx.y; p < n_parts; p += ROWS) own += parts[p * n + i];
    rows[threadIdx.y][threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.y || i >= n) return;
    double total = 0;
    for (int row = 0; row < ROWS; row++) total += rows[row][threadIdx.x];
    sums[i] = total;
}
"""


@cache
def _adding(dtype: str) -> str:
    return source_of(_ADD, dtype, 1, 1, OUTPUTS=_OUTPUTS, ROWS=_ROWS)


def sum_of_parts(parts: Array) -> Array:
    """Return the sum over the first axis, in double precision and a fixed order."""
    sums = empty(parts.shape[1:], "float64", parts)
    n = sums.size
    if n:
        grid, sizes = (blocks(n, _OUTPUTS),), (np.int64(n), np.int64(parts.shape[0]))
        launch(_adding(parts.dtype.name), "add_parts", grid, (_OUTPUTS, _ROWS), parts, sums, *sizes)
    return sums


@cache
def _powers_source(dtype: str, n_channels: int, n_sources: int) -> str:
    return source_of(_POWERS, dtype, n_channels, n_sources, BINS=_BINS)


def demixed_powers(spectra: Array, demixing: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.demixed_powers`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources = demixing.shape[1]
    if max(n_channels, n_sources) > MOST_CHANNELS:
        return generic.demixed_powers(spectra, demixing, ridge)
    _backend.namespace(spectra, demixing)  # which refuses arrays of two places
    spectra, demixing = contiguous(spectra), contiguous(demixing)
    n_groups, n_runs = -(-n_freqs // _BINS), blocks(n_frames, THREADS)
    parts = empty((n_groups, n_sources, n_frames), spectra.dtype.name, spectra)
    if n_groups:
        source = _powers_source(spectra.dtype.name, n_channels, n_sources)
        sizes = np.int64(n_freqs), np.int64(n_frames), np.int64(n_runs)
        launch(
            source, "powers", (n_groups * n_runs,), (THREADS,),
            spectra, demixing, np.float64(ridge), parts, *sizes,
        )  # fmt: skip
    return sum_of_parts(parts)


def contrast_step(
    spectra: Array, weights: Array, demixing: Array, ridge: float, steers: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.contrast_step`."""
    covariances = weighted_covariances(spectra, weights, ridge)
    W, logarithms = (steering_sweep if steers else projection_sweep)(demixing, covariances)
    return W, logarithms, demixed_powers(spectra, W, ridge)
