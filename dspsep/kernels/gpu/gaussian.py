"""Sources that are Gaussian in every bin, on the GPU: a thread for each frequency and some frames of it.

Frequencies lie side by side, so neighbouring threads read neighbouring numbers; the places of the sources in
a frequency, and the sums over its frames, stay with the thread. What runs of frames sum to is added up in a
second launch, in their order.

What bounds it, as an estimate for F frequencies, T frames, N channels and K sources in single precision: a
step reads the mixture and powers and writes powers, ``(8 N + 8 K) F T`` bytes. The operations in double
precision, some ``10 K N**2 F T`` and, where posterior covariances count, ``10 K N**3 F T``, are about even
with that for two channels on GPUs of data centres, and take longer on others.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._matrices import source_of

__all__ = ["gaussian_estimates", "gaussian_model", "gaussian_step"]

# Frequencies of a block, and frames of a thread: enough blocks for a GPU, and sums short beside the spectra.
_LANES, _FRAMES = 64, 32
# A thread has so many numbers of places, and as many sums, at most. Compiled for an H100 half as many are in
# registers; of all of them 1 kB is in memory, and 5 kB are with eight channels, whose matrices are larger.
_MOST = 64

_COMMON = r"""
#define NOTHING 1e-290
#define ROUNDING 8.881784197001252e-16  // 2**-50
#define BEGIN \
    const long long n_blocks = (n_freqs + LANES - 1) / LANES; \
    const long long f = blockIdx.x % n_blocks * LANES + threadIdx.x, run = blockIdx.x / n_blocks; \
    const long long end = (run + 1) * FRAMES < n_frames ? (run + 1) * FRAMES : n_frames; \
    if (f >= n_freqs) return;
// Of Hermitian matrices what is above the diagonal is never used.
__device__ inline double2 entry(const double2 (&R)[N][N], int a, int b) {
    return a >= b ? R[a][b] : conjugate(R[b][a]);
}
__device__ inline void load_places(const double2 *R, long long f, long long n_freqs,
        double2 (&places)[K][N][N]) {
    #pragma unroll
    for (int j = 0; j < K; j++) for (int a = 0; a < N; a++) for (int b = 0; b <= a; b++)
        places[j][a][b] = R[((j * n_freqs + f) * N + a) * N + b];
}
__device__ inline void load_channels(const COMPLEX *spectra, double gain, long long at, long long apart,
        double2 (&x)[N]) {
    #pragma unroll
    for (int c = 0; c < N; c++) {
        const COMPLEX value = spectra[c * apart + at];
        x[c] = make_double2(value.x * gain, value.y * gain);
    }
}
__device__ inline void times(const double2 (&R)[N][N], const double2 (&z)[N], double2 (&found)[N]) {
    for (int a = 0; a < N; a++) {
        found[a] = entry(R, a, 0) * z[0];
        for (int b = 1; b < N; b++) found[a] = found[a] + entry(R, a, b) * z[b];
    }
}
// L and D of the covariance of the mixture, L D L^H.
__device__ inline void factorise(const double (&v)[K], const double2 (&R)[K][N][N], double noise,
        double2 (&L)[N][N], double (&D)[N]) {
    double2 mixture[N][N];
    for (int a = 0; a < N; a++) for (int b = 0; b <= a; b++) {
        double2 total = R[0][a][b] * v[0];
        #pragma unroll
        for (int j = 1; j < K; j++) total = total + R[j][a][b] * v[j];
        if (a == b) total.x += noise;
        mixture[a][b] = total;
    }
    for (int j = 0; j < N; j++) {
        double pivot = mixture[j][j].x;
        for (int i = 0; i < j; i++) pivot -= square(L[j][i]) * D[i];
        if (pivot < ROUNDING * mixture[j][j].x) pivot = ROUNDING * mixture[j][j].x;
        D[j] = pivot;
        for (int k = j + 1; k < N; k++) {
            double2 total = mixture[k][j];
            for (int i = 0; i < j; i++) total = total - L[k][i] * conjugate(L[j][i]) * D[i];
            L[k][j] = total * (1 / pivot);
        }
    }
}
__device__ inline void solve(const double2 (&L)[N][N], const double (&D)[N], double2 (&z)[N]) {
    for (int k = 0; k < N; k++) for (int i = 0; i < k; i++) z[k] = z[k] - L[k][i] * z[i];
    for (int k = N - 1; k >= 0; k--) {
        z[k] = z[k] * (1 / D[k]);
        for (int i = k + 1; i < N; i++) z[k] = z[k] - conjugate(L[i][k]) * z[i];
    }
}
// Of pairs (a, b) the real parts of sums are at a * N + b, b <= a, and the imaginary ones at b * N + a.
__device__ inline void add_product(double (&sums)[SUMS], const double2 (&y)[N]) {
    for (int a = 0; a < N; a++) for (int b = 0; b <= a; b++) {
        const double2 product = y[a] * conjugate(y[b]);
        sums[a * N + b] += product.x;
        if (b < a) sums[b * N + a] += product.y;
    }
}
"""

_MODEL = r"""
extern "C" __global__ void learn(const COMPLEX *spectra, REAL *powers, double *parts, double gain,
        long long n_frames, long long n_freqs) {
    BEGIN
    const double largest = sizeof(REAL) == 4 ? 3.4028234663852886e38 : 1.7976931348623157e308;
    double sums[SUMS] = {};
    for (long long t = run * FRAMES; t < end; t++) {
        double2 y[N];
        load_channels(spectra, gain, t * n_freqs + f, n_frames * n_freqs, y);
        double power = 0;
        for (int c = 0; c < N; c++) power += square(y[c]);
        power /= N;
        powers[t * n_freqs + f] = (REAL)(power > largest ? largest : power);
        add_product(sums, y);
    }
    for (int q = 0; q < SUMS; q++) parts[(run * SUMS + q) * n_freqs + f] = sums[q];
}
"""

_STEP = r"""
#if POSTERIOR
// What maximises the expected likelihood of a source, as in kernels/_gaussian.py.
__device__ inline double update(double v, const double2 (&R)[N][N], const double2 (&L)[N][N],
        const double (&D)[N], const double2 (&z)[N], double (&sums)[SUMS]) {
    double2 along[N], columns[N][N];
    double energy = 0, spread = 0;
    times(R, z, along);
    for (int c = 0; c < N; c++) {
        for (int row = 0; row < N; row++) columns[c][row] = entry(R, row, c);
        solve(L, D, columns[c]);
        energy += (conjugate(z[c]) * along[c]).x;
        spread += columns[c][c].x;
    }
    double power = v + v * v * (energy - spread) / N;
    if (power < ROUNDING * v) power = ROUNDING * v;
    const double ratio = power > NOTHING ? v / power : 1.0;
    for (int a = 0; a < N; a++) for (int b = 0; b <= a; b++) {
        double2 change = along[a] * conjugate(along[b]);
        for (int c = 0; c < N; c++) change = change - entry(R, a, c) * columns[b][c];
        sums[a * N + b] += ratio * v * change.x;
        if (b < a) sums[b * N + a] += ratio * v * change.y;
    }
    sums[N * N] += ratio;
    return power;
}
#else
__device__ inline double update(double v, const double2 (&R)[N][N], const double2 (&L)[N][N],
        const double (&D)[N], const double2 (&z)[N], double (&sums)[SUMS]) {
    double2 y[N];
    double power = 0;
    times(R, z, y);
    for (int c = 0; c < N; c++) {
        y[c] = y[c] * v;
        power += square(y[c]);
    }
    add_product(sums, y);
    return power / N;
}
#endif
extern "C" __global__ void renew(const COMPLEX *spectra, const REAL *powers, const double2 *R, REAL *found,
        double *parts, double *losses, double gain, double noise, int with_loss, long long n_frames,
        long long n_freqs) {
    BEGIN
    double2 places[K][N][N];
    double sums[K][SUMS] = {}, loss = 0;
    load_places(R, f, n_freqs, places);
    for (long long t = run * FRAMES; t < end; t++) {
        const long long at = t * n_freqs + f, apart = n_frames * n_freqs;
        double2 x[N], z[N], L[N][N];
        double v[K], D[N];
        load_channels(spectra, gain, at, apart, x);
        #pragma unroll
        for (int j = 0; j < K; j++) v[j] = powers[j * apart + at];
        factorise(v, places, noise, L, D);
        for (int c = 0; c < N; c++) z[c] = x[c];
        solve(L, D, z);
        if (with_loss) for (int c = 0; c < N; c++) loss += (conjugate(x[c]) * z[c]).x + log(D[c]);
        #pragma unroll
        for (int j = 0; j < K; j++) found[j * apart + at] = (REAL)update(v[j], places[j], L, D, z, sums[j]);
    }
    #pragma unroll
    for (int j = 0; j < K; j++)
        for (int q = 0; q < SUMS; q++) parts[((run * K + j) * SUMS + q) * n_freqs + f] = sums[j][q];
    losses[run * n_freqs + f] = loss;
}
"""

# A thread for each source and frequency adds runs up.
_PLACES = r"""
extern "C" __global__ void finish(const double *parts, const double2 *R, double2 *found, long long n_sources,
        long long n_frames, long long n_freqs) {
    const long long place = (long long)blockIdx.x * LANES + threadIdx.x;
    if (place >= n_sources * n_freqs) return;
    const long long j = place / n_freqs, f = place % n_freqs;
    double sums[SUMS] = {};
    for (long long run = 0; run * FRAMES < n_frames; run++)
        for (int q = 0; q < SUMS; q++) sums[q] += parts[((run * n_sources + j) * SUMS + q) * n_freqs + f];
    double weight = 0;
    for (int c = 0; c < N; c++) weight += sums[c * N + c] / N;
    const double scale = POSTERIOR ? 1.0 / n_frames : weight > NOTHING ? 1 / weight : 0.0;
    for (int a = 0; a < N; a++) for (int b = 0; b <= a; b++) {
        double2 sum = make_double2(sums[a * N + b], a == b ? 0.0 : sums[b * N + a]);
        if (POSTERIOR) sum = sum + R[(place * N + a) * N + b] * sums[SUMS - 1];
        found[(place * N + a) * N + b] = sum * scale;
        found[(place * N + b) * N + a] = conjugate(sum) * scale;
    }
}
"""

_ESTIMATES = r"""
extern "C" __global__ void estimate(const COMPLEX *spectra, const REAL *powers, const double2 *R,
        COMPLEX *found, double noise, int source, long long n_frames, long long n_freqs) {
    BEGIN
    double2 places[K][N][N];
    load_places(R, f, n_freqs, places);
    for (long long t = run * FRAMES; t < end; t++) {
        const long long at = t * n_freqs + f, apart = n_frames * n_freqs;
        double2 x[N], z[N], rest[N], L[N][N];
        double v[K], D[N], level = 0;
        load_channels(spectra, 1.0, at, apart, x);
        #pragma unroll
        for (int j = 0; j < K; j++) { v[j] = powers[j * apart + at]; level += v[j]; }
        factorise(v, places, noise, L, D);
        for (int c = 0; c < N; c++) { z[c] = x[c]; rest[c] = x[c]; }
        solve(L, D, z);
        #pragma unroll
        for (int j = 0; j < K; j++) {
            if (source >= 0 && j != source) continue;
            double2 y[N];
            times(places[j], z, y);
            for (int c = 0; c < N; c++) {
                // What is left is noise z: the sources share it as they share the power.
                if (level > NOTHING) y[c] = y[c] * v[j] + z[c] * (v[j] / level * noise);
                else y[c] = x[c] * (1.0 / K);
                if (source < 0 && j == K - 1) y[c] = rest[c];
                rest[c] = rest[c] - y[c];
                COMPLEX value;
                value.x = (REAL)y[c].x;
                value.y = (REAL)y[c].y;
                found[((source < 0 ? j : 0) * N + c) * apart + at] = value;
            }
        }
    }
}
"""

_KERNELS = {"learn": _MODEL, "renew": _STEP, "finish": _PLACES, "estimate": _ESTIMATES}


@cache
def _source(name: str, dtype: str, n_channels: int, n_sources: int, posterior: bool = False) -> str:
    kernel = (_COMMON + _KERNELS[name]).replace("COMPLEX", {"float32": "float2", "float64": "double2"}[dtype])
    sizes = {"LANES": _LANES, "FRAMES": _FRAMES, "POSTERIOR": int(posterior)}
    return source_of(kernel, dtype, n_channels, n_sources, SUMS=n_channels**2 + posterior, **sizes)


def _fits(spectra: Array, n_sources: int) -> bool:
    return n_sources * spectra.shape[0] ** 2 <= _MOST and 0 not in spectra.shape


def _grid(spectra: Array) -> tuple[int]:
    return (blocks(spectra.shape[1], _FRAMES) * blocks(spectra.shape[2], _LANES),)


def _real(spectra: Array) -> str:
    return "float32" if spectra.dtype.name == "complex64" else "float64"


def _places(parts: Array, R: Array, spectra: Array, posterior: bool) -> Array:
    """Return the places that sums of runs of frames make."""
    n_channels, n_frames, n_freqs = spectra.shape
    n_sources = parts.shape[1]
    found = empty((n_sources, n_freqs, n_channels, n_channels), "complex128", spectra)
    sizes = np.int64(n_sources), np.int64(n_frames), np.int64(n_freqs)
    source, grid = (
        _source("finish", "float64", n_channels, 1, posterior),
        (blocks(n_sources * n_freqs, _LANES),),
    )
    launch(source, "finish", grid, (_LANES,), parts, R, found, *sizes)
    return found


def gaussian_model(spectra: Array, gain: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_model`."""
    if not _fits(spectra, 1):
        return generic.gaussian_model(spectra, gain)
    n_channels, n_frames, n_freqs = spectra.shape
    spectra, dtype = contiguous(spectra), _real(spectra)
    v = empty((n_frames, n_freqs), dtype, spectra)
    parts = empty((blocks(n_frames, _FRAMES), 1, n_channels**2, n_freqs), "float64", spectra)
    sizes = np.float64(gain), np.int64(n_frames), np.int64(n_freqs)
    source = _source("learn", dtype, n_channels, 1)
    launch(source, "learn", _grid(spectra), (_LANES,), spectra, v, parts, *sizes)
    nowhere = empty((1,), "complex128", spectra)
    return v, _places(parts, nowhere, spectra, False)[0, ...]


def gaussian_step(
    spectra: Array, v: Array, R: Array, gain: float, noise: float, posterior: bool, with_loss: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_step`."""
    if not _fits(spectra, v.shape[0]):
        return generic.gaussian_step(spectra, v, R, gain, noise, posterior, with_loss)
    xp = _backend.namespace(spectra, v, R)
    n_channels, n_frames, n_freqs = spectra.shape
    n_sources, n_runs, dtype = v.shape[0], blocks(n_frames, _FRAMES), _real(spectra)
    spectra, v, R = contiguous(spectra), contiguous(v, dtype), contiguous(R)
    found = empty(v.shape, dtype, spectra)
    parts = empty((n_runs, n_sources, n_channels**2 + posterior, n_freqs), "float64", spectra)
    losses = empty((n_runs, n_freqs), "float64", spectra)
    sizes = np.int32(with_loss), np.int64(n_frames), np.int64(n_freqs)
    source = _source("renew", dtype, n_channels, n_sources, posterior)
    launch(
        source, "renew", _grid(spectra), (_LANES,), spectra, v, R, found, parts, losses,
        np.float64(gain), np.float64(noise), *sizes,
    )  # fmt: skip
    loss: Array = xp.sum(losses) if with_loss else xp.zeros((), dtype=xp.float64, device=spectra.device)
    return found, _places(parts, R, spectra, posterior), loss


def gaussian_estimates(spectra: Array, v: Array, R: Array, noise: float, source: int | None) -> Array:
    """See `dspsep.kernels.Kernels.gaussian_estimates`."""
    if not _fits(spectra, v.shape[0]):
        return generic.gaussian_estimates(spectra, v, R, noise, source)
    _backend.namespace(spectra, v, R)  # which refuses arrays of two places
    dtype = _real(spectra)
    n_channels, n_frames, n_freqs = spectra.shape
    spectra, v, R = contiguous(spectra), contiguous(v, dtype), contiguous(R)
    n_found = v.shape[0] if source is None else 1
    found = empty((n_found, n_channels, n_frames, n_freqs), spectra.dtype.name, spectra)
    wanted = np.int32(-1 if source is None else source)
    code, sizes = _source("estimate", dtype, n_channels, v.shape[0]), (np.int64(n_frames), np.int64(n_freqs))
    arrays = spectra, v, R, found
    launch(code, "estimate", _grid(spectra), (_LANES,), *arrays, np.float64(noise), wanted, *sizes)
    return found
