"""One step of complementary diffusion in one pass over its arrays, with no temporaries of their size.

A thread goes along the frames of one bin and has three of them in registers; the neighbouring bins, which
other lanes of the warp have just read, come from the first-level cache. Each block adds up its two sums of
squares in double precision, in a tree that does not change, and a second kernel, of one block, adds up those
of the blocks in their order: the same bytes each time.

What bounds it is memory (estimate; nothing of this was measured): both parts are read and one is written, 12
bytes a value in single precision, where array expressions move some 100. Two launches an iteration.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import typed

__all__ = ["diffusion_step"]

_THREADS = 128
# Frames that a thread goes along, beside one before and one after that it reads.
_FRAMES = 32

_SOURCE = """
__device__ __forceinline__ void added_up(double *time, double *frequency) {
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            time[threadIdx.x] += time[threadIdx.x + half];
            frequency[threadIdx.x] += frequency[threadIdx.x + half];
        }
    }
}
extern "C" __global__ void diffusion_step(
    const REAL *whole, const REAL *harmonic, REAL *following, double *losses, REAL time_share,
    REAL frequency_share, int n_frames, int n_freqs, int n_runs, int n_columns
) {
    __shared__ double time[THREADS], frequency[THREADS];
    const int k = blockIdx.x % n_columns * THREADS + threadIdx.x;
    const int start = blockIdx.x / n_columns % n_runs * FRAMES, stop = min(start + FRAMES, n_frames);
    const long long channel = blockIdx.x / n_columns / n_runs;
    double along_time = 0, along_frequency = 0;
    if (k < n_freqs) {
        const int below = k > 0 ? -1 : 0, above = k < n_freqs - 1 ? 1 : 0;  // nothing flows over the edges
        long long i = (channel * n_frames + start) * n_freqs + k;
        REAL own = harmonic[i], before = start > 0 ? harmonic[i - n_freqs] : own;
        for (int frame = start; frame < stop; frame++, i += n_freqs) {
            const REAL after = frame < n_frames - 1 ? harmonic[i + n_freqs] : own;
            const REAL limit = whole[i], rest = limit - own;
            const REAL to_next = after - own, from_last = own - before;
            const REAL to_upper = (whole[i + above] - harmonic[i + above]) - rest;
            const REAL from_lower = rest - (whole[i + below] - harmonic[i + below]);
            along_time += to_next * to_next;
            along_frequency += to_upper * to_upper;
            REAL value = time_share * (to_next - from_last) - frequency_share * (to_upper - from_lower);
            value = own + value > 0 ? own + value : 0;
            following[i] = value < limit ? value : limit;
            before = own;
            own = after;
        }
    }
    time[threadIdx.x] = along_time;
    frequency[threadIdx.x] = along_frequency;
    added_up(time, frequency);
    if (threadIdx.x == 0) {
        losses[2LL * blockIdx.x] = time[0];
        losses[2LL * blockIdx.x + 1] = frequency[0];
    }
}
extern "C" __global__ void diffusion_loss(const double *losses, double *loss, int n, double weight) {
    __shared__ double time[THREADS], frequency[THREADS];
    double along_time = 0, along_frequency = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        along_time += losses[2LL * i];
        along_frequency += losses[2LL * i + 1];
    }
    time[threadIdx.x] = along_time;
    frequency[threadIdx.x] = along_frequency;
    added_up(time, frequency);
    if (threadIdx.x == 0) loss[0] = weight * time[0] + (1 - weight) * frequency[0];
}
"""


def diffusion_step(whole: Array, harmonic: Array, weight: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.diffusion_step`."""
    xp = _backend.namespace(whole, harmonic)
    whole, harmonic = contiguous(whole), contiguous(harmonic)
    n_channels, n_frames, n_freqs = whole.shape
    following: Array = xp.empty(whole.shape, dtype=whole.dtype, device=whole.device)
    if 0 in whole.shape:
        return following, xp.zeros((), dtype=xp.float64, device=whole.device)
    n_runs, n_columns = blocks(n_frames, _FRAMES), blocks(n_freqs, _THREADS)
    n_blocks = n_channels * n_runs * n_columns
    losses = xp.empty((n_blocks, 2), dtype=xp.float64, device=whole.device)
    loss: Array = xp.empty((), dtype=xp.float64, device=whole.device)
    real = np.dtype(precision(whole)).type
    source = typed(_SOURCE, precision(whole), THREADS=_THREADS, FRAMES=_FRAMES)
    sizes = map(np.int32, (n_frames, n_freqs, n_runs, n_columns))
    shares = real(weight / 4), real((1 - weight) / 4)
    launch(
        source,
        "diffusion_step",
        (n_blocks,),
        (_THREADS,),
        whole,
        harmonic,
        following,
        losses,
        *shares,
        *sizes,
    )
    launch(source, "diffusion_loss", (1,), (_THREADS,), losses, loss, np.int32(n_blocks), np.float64(weight))
    return following, loss
