"""Demixing matrices: covariances with a block for each bin, matrices with a thread for each bin.

What bounds them, as estimates, for F bins, T frames, N channels and K sources in single precision:

* `weighted_covariances`, `bin_covariances`: the spectra are read once, 8 F N T bytes, if N <= 4, and once for
  every group of sources beyond that; some ``2 K N**2`` operations for 8 N bytes, below what a GPU can do
  meanwhile up to four channels.
* `demixed_powers`: the same bytes once. Sums over 16 bins at a time are kept, ``K T F / 4`` bytes.
* sweeps: some ``30 K N**3`` operations in double precision for each bin, one after the other in a thread.
  With 2049 bins most of a GPU is idle: what bounds them is how long operations take that wait for one
  another, some ten microseconds, about what the spectra of a minute take to read.

An iteration of AuxIVA is four launches beside what becomes of powers: few numbers, of which the loss stays on
the device.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._covariances import covariance_source
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS, THREADS, contiguous, empty, source_of

__all__ = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "pair_projection",
    "projection_sweep",
    "steering_sweep",
    "sum_of_parts",
    "swept",
    "weighted_covariances",
]

# Bins that a thread of `demixed_powers` goes through.
_BINS = 16
# Bins of a block of small matrices: a warp, so that a few thousand bins come to all processors.
_MATRICES = 32
# Outputs of a block that adds parts up, and rows of threads that share them.
_OUTPUTS, _ROWS = 32, 8


def weighted_covariances(spectra: Array, weights: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.weighted_covariances`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources = weights.shape[0]
    if max(n_channels, n_sources) > MOST_CHANNELS:
        return generic.weighted_covariances(spectra, weights, ridge)
    xp = _backend.namespace(spectra, weights)
    spectra, weights = contiguous(xp, spectra), contiguous(xp, weights, "float64")
    covariances = empty(xp, (n_freqs, n_sources, n_channels, n_channels), "complex128", spectra)
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
    xp = _backend.namespace(spectra, demixing)
    spectra, demixing = contiguous(xp, spectra), contiguous(xp, demixing)
    covariances = empty(xp, (n_freqs, n_sources, n_channels, n_channels), "complex128", spectra)
    norms = empty(xp, (n_freqs, n_sources), "float64", spectra)
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
    xp = _backend.namespace(parts)
    sums = empty(xp, parts.shape[1:], "float64", parts)
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
    xp = _backend.namespace(spectra, demixing)
    spectra, demixing = contiguous(xp, spectra), contiguous(xp, demixing)
    n_groups, n_runs = -(-n_freqs // _BINS), blocks(n_frames, THREADS)
    parts = empty(xp, (n_groups, n_sources, n_frames), spectra.dtype.name, spectra)
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


_BEGIN = r"""
#define BIN \
    const long long f = (long long)blockIdx.x * blockDim.x + threadIdx.x; \
    if (f >= n_freqs) return; \
    double2 W[K][N], A[N][K]; \
    for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) W[k][c] = demixing[(f * K + k) * N + c];
#define DONE for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) found[(f * K + k) * N + c] = W[k][c];
"""

_PROJECT = r"""
extern "C" __global__ void project(const double2 *demixing, const double2 *covariances, double2 *found,
        double *logarithms, long long n_freqs, int gains) {
    BIN
    double2 w[N];
    double logarithm = left_inverse(W, A);
    if (gains) logarithm = 0;
    for (int k = 0; k < K; k++) {
        const double gain = sqrt(hermitian_solve(covariances + (f * K + k) * N * N, A, k, w));
        const double per_gain = 1 / gain;
        for (int c = 0; c < N; c++) W[k][c] = conjugate(w[c]) * per_gain;
        if (K != N) { logarithm = left_inverse(W, A); continue; }
        logarithm += log(gain);
        for (int j = 0; j < K; j++) if (j != k) {
            double2 share = make_double2(0.0, 0.0);
            for (int c = 0; c < N; c++) share = share + W[k][c] * A[c][j];
            share = share * per_gain;
            for (int c = 0; c < N; c++) A[c][j] = A[c][j] - share * A[c][k];
        }
        for (int c = 0; c < N; c++) A[c][k] = A[c][k] * per_gain;
    }
    DONE
    logarithms[f] = logarithm;
}
"""

_STEER = r"""
extern "C" __global__ void steer(const double2 *demixing, const double2 *covariances, double2 *found,
        double *logarithms, long long n_freqs) {
    BIN
    double2 step[K];
    double logarithm = left_inverse(W, A);
    for (int s = 0; s < K; s++) {
        double size = 0;
        for (int c = 0; c < N; c++) size += square(W[s][c]);
        for (int k = 0; k < K; k++) {
            const double2 *V = covariances + (f * K + k) * N * N;
            double2 across = make_double2(0.0, 0.0);
            double own = 0, trace = 0;
            for (int a = 0; a < N; a++) {
                double2 image = make_double2(0.0, 0.0);
                trace += V[a * N + a].x;
                for (int b = 0; b < N; b++) image = image + V[a * N + b] * conjugate(W[s][b]);
                across = across + W[k][a] * image;
                own += (W[s][a] * image).x;
            }
            if (own <= 0) own = ROUNDING * trace * size;  // by rounding alone
            if (k == s) {
                const double root = sqrt(own);
                step[k] = make_double2(1 - 1 / root, 0.0);
                logarithm -= log(root);
            } else {
                step[k] = across * (1 / own);
            }
        }
        double2 row[N];
        for (int c = 0; c < N; c++) row[c] = W[s][c];
        for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) W[k][c] = W[k][c] - step[k] * row[c];
    }
    DONE
    logarithms[f] = logarithm;
}
"""

_PAIR = r"""
// The two generalised eigenvectors of G h = value S h, the larger value first: h^H G h = 1, h^H S h = 1.
__device__ inline void pair_step(const double2 (&G)[2][2], const double2 (&S)[2][2], double2 (&h)[2][2]) {
    const double root = sqrt(S[0][0].x);
    const double2 lower = S[1][0] * (1 / root);
    double left = S[1][1].x - square(lower);
    if (left < ROUNDING * S[1][1].x) left = ROUNDING * S[1][1].x;
    const double last = sqrt(left), first = 1 / root, second = 1 / last;
    const double2 across = lower * (-1 / (root * last));
    const double p = G[0][0].x * first * first;
    const double2 q = (conjugate(across) * G[0][0].x + G[0][1] * second) * first;
    const double r = square(across) * G[0][0].x + 2 * (across * G[0][1]).x * second
        + G[1][1].x * second * second;
    const double half = (p - r) / 2, split = sqrt(half * half + square(q));
    double2 x = half >= 0 ? make_double2(half + split, 0.0) : q;
    double2 y = half >= 0 ? conjugate(q) : make_double2(split - half, 0.0);
    double size = sqrt(square(x) + square(y));
    if (size == 0) { x = make_double2(1.0, 0.0); y = make_double2(0.0, 0.0); size = 1; }
    const double per_value = 1 / sqrt((p + r) / 2 + split);
    x = x * (1 / size);
    y = y * (1 / size);
    h[0][0] = (x * first + conjugate(across) * y) * per_value;
    h[0][1] = y * (second * per_value);
    h[1][0] = conjugate(across) * conjugate(x) - conjugate(y) * first;
    h[1][1] = conjugate(x) * second;
}
extern "C" __global__ void project_pair(const double2 *demixing, const double2 *covariances, double2 *found,
        double *logarithms, long long n_freqs, int first, int second) {
    BIN
    const int places[2] = {first, second};
    double2 P[2][2][N], G[2][2][2], h[2][2];
    left_inverse(W, A);
    for (int m = 0; m < 2; m++) {
        for (int j = 0; j < 2; j++) hermitian_solve(covariances + (f * 2 + m) * N * N, A, places[j], P[m][j]);
        for (int i = 0; i < 2; i++) for (int j = 0; j < 2; j++) {
            double2 total = make_double2(0.0, 0.0);
            for (int c = 0; c < N; c++) total = total + conjugate(A[c][places[i]]) * P[m][j][c];
            G[m][i][j] = total;
        }
    }
    pair_step(G[0], G[1], h);
    for (int m = 0; m < 2; m++) {
        const double2 across = G[m][m][0] * h[m][0] + G[m][m][1] * h[m][1];
        const double size = sqrt(square(across));
        const double2 turn = size > 0 ? conjugate(across) * (1 / size) : make_double2(1.0, 0.0);
        h[m][0] = h[m][0] * turn;
        h[m][1] = h[m][1] * turn;
        for (int c = 0; c < N; c++) W[places[m]][c] = conjugate(P[m][0][c] * h[m][0] + P[m][1][c] * h[m][1]);
    }
    DONE
    logarithms[f] = left_inverse(W, A);
}
"""


_SWEEPS = {"project": _PROJECT, "steer": _STEER, "project_pair": _PAIR}


@cache
def _sweep_source(name: str, n_channels: int, n_sources: int) -> str:
    return source_of(_BEGIN + _SWEEPS[name], "float64", n_channels, n_sources, matrices=True)


def swept(name: str, demixing: Array, covariances: Array, *options: np.generic) -> tuple[Array, Array]:
    """Return matrices and a number of each bin, from the kernel `name`, a thread for each bin."""
    xp = _backend.namespace(demixing, covariances)
    n_freqs, n_sources, n_channels = demixing.shape
    demixing, covariances = contiguous(xp, demixing), contiguous(xp, covariances)
    found = empty(xp, demixing.shape, "complex128", demixing)
    logarithms = empty(xp, (n_freqs,), "float64", demixing)
    if n_freqs:
        source = _sweep_source(name, n_channels, n_sources)
        arrays = demixing, covariances, found, logarithms
        grid = (blocks(n_freqs, _MATRICES),)
        launch(source, name, grid, (_MATRICES,), *arrays, np.int64(n_freqs), *options)
    return found, logarithms


def projection_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.projection_sweep`."""
    if demixing.shape[2] > MOST_CHANNELS:
        return generic.projection_sweep(demixing, covariances)
    return swept("project", demixing, covariances, np.int32(0))


def steering_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.steering_sweep`."""
    if demixing.shape[2] > MOST_CHANNELS:
        return generic.steering_sweep(demixing, covariances)
    return swept("steer", demixing, covariances)


def pair_projection(demixing: Array, covariances: Array, first: int, second: int) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.pair_projection`."""
    if demixing.shape[2] > MOST_CHANNELS:
        return generic.pair_projection(demixing, covariances, first, second)
    return swept("project_pair", demixing, covariances, np.int32(first), np.int32(second))
