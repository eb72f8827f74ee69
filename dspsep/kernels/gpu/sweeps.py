"""Sweeps through demixing matrices on the GPU: a thread for each bin, whose matrices it holds.

What bounds them, as an estimate: some ``30 K N**3`` operations in double precision for each bin, one after
the other. With 2049 bins most of a GPU is idle, so what counts is how long operations take that wait for one
another: tens of microseconds, about what the spectra of a minute take to read.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS, source_of

__all__ = ["pair_projection", "projection_sweep", "steering_sweep", "swept"]

# Bins of a block: a warp, so that a few thousand bins come to all processors.
_BINS = 32

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
    UNROLL for (int k = 0; k < K; k++) {
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
    _backend.namespace(demixing, covariances)  # which refuses arrays of two places
    n_freqs, n_sources, n_channels = demixing.shape
    demixing, covariances = contiguous(demixing), contiguous(covariances)
    found = empty(demixing.shape, "complex128", demixing)
    logarithms = empty((n_freqs,), "float64", demixing)
    if n_freqs:
        source = _sweep_source(name, n_channels, n_sources)
        arrays = demixing, covariances, found, logarithms
        grid = (blocks(n_freqs, _BINS),)
        launch(source, name, grid, (_BINS,), *arrays, np.int64(n_freqs), *options)
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
