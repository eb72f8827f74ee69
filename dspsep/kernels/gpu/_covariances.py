"""Weighted covariances of the channels of every bin: one kernel, with the weights as a part put in.

A block has one bin, so that it reads the bin's frames once, neighbouring threads neighbouring frames, for all
pairs of channels and as many sources as their sums fit into registers. Products and a thread's sums are in
the precision of the spectra, some hundred frames of them; all else is in double precision.
"""

from __future__ import annotations

from functools import cache

from dspsep.kernels.gpu._launch import REAL
from dspsep.kernels.gpu._matrices import source_of

__all__ = ["covariance_source"]

# Sums of a thread: with more of them, too few threads have room at once to keep the memory busy.
_SUMS = 72
# Frames that a thread adds up before it hands its sums on.
_FRAMES = 512

_KERNEL = r"""
// Of each source the sums of the real parts of pairs (a, b), b <= a, are at a * N + b, those of the imaginary
// parts at b * N + a; then come those of weights, and others that the weights bring along.
#define SUMS (N * N + MORE)
#define GROUPS ((K + TOGETHER - 1) / TOGETHER)
extern "C" __global__ void covariances(@PARAMETERS@const STORED *spectra, double2 *found, double ridge,
        long long n_freqs, long long n_frames) {
    __shared__ double totals[TOGETHER * SUMS];
    const long long f = blockIdx.x / GROUPS;
    const int first = blockIdx.x % GROUPS * TOGETHER;
    const STORED *bin = spectra + f * 2 * N * n_frames;
    for (int i = threadIdx.x; i < TOGETHER * SUMS; i += THREADS) totals[i] = 0;
    @BEFORE@
    __syncthreads();
    for (long long start = 0; start < n_frames; start += THREADS * FRAMES) {
        const long long end = start + THREADS * FRAMES < n_frames ? start + THREADS * FRAMES : n_frames;
        REAL own[TOGETHER * SUMS] = {};
        for (long long t = start + threadIdx.x; t < end; t += THREADS) {
            REAL x[N], y[N], w[TOGETHER];
            #pragma unroll
            for (int c = 0; c < N; c++) {
                x[c] = (REAL)bin[(long long)(c * CHANNEL) * n_frames + t];
                y[c] = (REAL)bin[(long long)(c * CHANNEL + TURNED) * n_frames + t];
            }
            #pragma unroll
            for (int k = 0; k < TOGETHER; k++) {
                const int source = first + k < K ? first + k : K - 1;
                @WEIGHT@
                own[k * SUMS + N * N] += w[k];
            }
            #pragma unroll
            for (int a = 0; a < N; a++) {
                #pragma unroll
                for (int b = 0; b <= a; b++) {
                    const REAL product = x[a] * x[b] + y[a] * y[b];
                    const REAL turned = y[a] * x[b] - x[a] * y[b];
                    #pragma unroll
                    for (int k = 0; k < TOGETHER; k++) {
                        own[k * SUMS + a * N + b] += w[k] * product;
                        if (b < a) own[k * SUMS + b * N + a] += w[k] * turned;
                    }
                }
            }
        }
        add_block_sums(own, totals);
    }
    const double per_frame = MEAN ? 1.0 / n_frames : 1.0;
    for (int i = threadIdx.x; i < TOGETHER * N * N; i += THREADS) {
        const int k = i / (N * N), a = i / N % N, b = i % N;
        if (first + k >= K) continue;
        const double *sums = totals + k * SUMS;
        double2 entry = make_double2(sums[a >= b ? a * N + b : b * N + a], 0.0);
        if (a == b) entry.x += ridge * sums[N * N];
        else entry.y = a > b ? sums[b * N + a] : -sums[a * N + b];
        found[((f * K + first + k) * N + a) * N + b] = entry * per_frame;
    }
    @AFTER@
}
"""


@cache
def covariance_source(
    dtype: str,
    n_channels: int,
    n_sources: int,
    parameters: str,
    weight: str,
    *,
    before: str = "",
    after: str = "",
    more: int = 1,
    stored: str | None = None,
    parts_apart: bool = False,
    mean: bool = True,
    **constants: int,
) -> tuple[str, int]:
    """Return the source of `covariances`, and how many blocks each bin takes.

    `parameters` come first, and `weight` sets ``w[k]`` to the weight of `source` in frame t, of channels x
    and y. `before` and `after` are what the block does at first and in the end, and `more` sums there are of
    each source, that of the weights included. `stored` is the precision of the spectra, if it is another one.
    Their real and imaginary parts are side by side, or `parts_apart`: first those, and then these.
    """
    together = max(1, min(n_sources, _SUMS // (n_channels**2 + more)))
    numbers = dict(constants, TOGETHER=together, FRAMES=_FRAMES, MORE=more, MEAN=int(mean))
    layout = {"CHANNEL": "1", "TURNED": "N"} if parts_apart else {"CHANNEL": "2", "TURNED": "1"}
    kernel = "".join(f"\n#define {name} {value}" for name, value in layout.items()) + _KERNEL
    parts = {"PARAMETERS": parameters, "WEIGHT": weight, "BEFORE": before, "AFTER": after}
    for name, text in parts.items():
        kernel = kernel.replace(f"@{name}@", text)
    kernel = kernel.replace("STORED", REAL[stored or dtype])
    source = source_of(kernel, dtype, n_channels, n_sources, sums=True, **numbers)
    return source, -(-n_sources // together)
