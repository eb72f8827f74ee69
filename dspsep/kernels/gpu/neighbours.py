"""Medians of frames that are named, by networks in registers.

A block has one list, and a thread one bin of its frames, so that reads of a frame are coalesced. The list is
gathered in shared memory without its gaps. A network takes an even number of values to the two in the middle;
what is missing to that number is made up by infinities of both signs. How many frames a list names is known
to the device alone, so that a kernel has networks of three sizes, of which a block takes the smallest that
does.

Lists of more than `LONGEST` are searched for the bits of their medians (`_selection.SEARCH`), which reads all
their values from a cache as often as a number has pairs of bits.

What bounds it (estimates; nothing of this was measured): a list of 100 frames reads 400 bytes for each value
in single precision, from the second-level cache as a rule, and makes some 1700 minima and maxima: at 64 in a
cycle on each of 132 multiprocessors of some 1.7 GHz 0.12 ns, beside 0.07 ns for reading at 5.5 TB/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels._networks import middle
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import SEARCH, lines, typed

__all__ = ["LONGEST", "median_of_frames"]

# One thread of a block for each frame of a list, and one for each bin.
LONGEST = _THREADS = 128
# Sizes of networks. A kernel has one of them, and those two and four steps before it.
_SIZES = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

_SHORT = """
__device__ __forceinline__ REAL picked(const REAL *x, int frame, int n_freqs) {
    const REAL value = x[(long long)max(frame, 0) * n_freqs];  // no branch, which would break networks up
    return frame >= 0 ? value : frame == -1 ? -INFINITE : INFINITE;
}
extern "C" __global__ void median_of_frames(
    const REAL *values, const long long *frames, REAL *medians, int n_frames, int n_freqs, int n, int most,
    int n_columns
) {
    __shared__ int list[128];
    __shared__ unsigned masks[4];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int k = blockIdx.x % n_columns * 128 + threadIdx.x;
    const long long row = blockIdx.x / n_columns % n, channel = blockIdx.x / n_columns / n;
    const long long named = (int)threadIdx.x < most ? frames[row * most + threadIdx.x] : -1;
    const bool there = 0 <= named && named < n_frames;
    const unsigned mask = __ballot_sync(0xffffffffu, there);
    if (lane == 0) masks[warp] = mask;
    __syncthreads();
    int place = __popc(mask & ((1u << lane) - 1)), count = 0;
    for (int w = 0; w < 4; w++) {
        place += w < warp ? __popc(masks[w]) : 0;
        count += __popc(masks[w]);
    }
    if (there) list[place] = (int)named;
    const int size = count <= SMALL ? SMALL : count <= MEDIUM ? MEDIUM : LARGE;
    for (int e = count + threadIdx.x; e < size; e += 128) list[e] = e < count + (size - count) / 2 ? -1 : -2;
    __syncthreads();
    if (k >= n_freqs) return;
    const REAL *x = values + channel * n_frames * n_freqs + k;
    REAL lower = 0, upper = 0;
    if (size == SMALL) {
        STEPS_SMALL
    } else if (size == MEDIUM) {
        STEPS_MEDIUM
    } else {
        STEPS_LARGE
    }
    const REAL median = count % 2 || lower == upper ? lower : (lower + upper) / 2;
    medians[(channel * n + row) * n_freqs + k] = count ? median : 0;
}
"""

_LONG = (
    SEARCH
    + """
struct Listed {
    const REAL *x;
    const long long *list;
    int n_frames, n_freqs, most;
    template <class Visit> __device__ __forceinline__ void operator()(Visit visit) const {
        for (int e = 0; e < most; e++)
            if (0 <= list[e] && list[e] < n_frames) visit(x[list[e] * n_freqs]);
    }
};
extern "C" __global__ void median_of_long_lists(
    const REAL *values, const long long *frames, REAL *medians, int n_frames, int n_freqs, int n, int most,
    int n_columns
) {
    const int k = blockIdx.x % n_columns * 128 + threadIdx.x;
    const long long row = blockIdx.x / n_columns % n, channel = blockIdx.x / n_columns / n;
    if (k >= n_freqs) return;
    const REAL *x = values + channel * n_frames * n_freqs + k;
    const Listed listed = {x, frames + row * most, n_frames, n_freqs, most};
    int count = 0, not_more = 0;
    listed([&](REAL value) { count++; });
    REAL median = 0;
    if (count) {
        const REAL lower = ranked((count - 1) / 2, listed);
        REAL upper = INFINITE;
        listed([&](REAL value) {
            not_more += value <= lower;
            upper = value > lower && value < upper ? value : upper;
        });
        median = count % 2 || not_more > count / 2 ? lower : (lower + upper) / 2;
    }
    medians[(channel * n + row) * n_freqs + k] = median;
}
"""
)


def median_of_frames(values: Array, frames: Array) -> Array:
    """See `dspsep.kernels.Kernels.median_of_frames`.

    To look at the numbers of frames would be a trip to the host; what is no frame counts as none.
    """
    xp = _backend.namespace(values, frames)
    values, frames = contiguous(values), contiguous(xp.astype(frames, xp.int64, copy=False))
    n_channels, n_frames, n_freqs = values.shape
    n, most = frames.shape
    medians: Array = xp.zeros((n_channels, n, n_freqs), dtype=values.dtype, device=values.device)
    if 0 in (*medians.shape, n_frames, most):
        return medians
    if most <= LONGEST:
        source, name = _short(most, precision(values)), "median_of_frames"
    else:
        source, name = typed(_LONG, precision(values)), "median_of_long_lists"
    n_columns = blocks(n_freqs, _THREADS)
    sizes = map(np.int32, (n_frames, n_freqs, n, most, n_columns))
    launch(source, name, (n_channels * n * n_columns,), (_THREADS,), values, frames, medians, *sizes)
    return medians


def _sizes(most: int) -> tuple[int, int, int]:
    """Return the sizes of the networks for lists of at most `most`."""
    largest = next(i for i, size in enumerate(_SIZES) if size >= most)
    return _SIZES[max(0, largest - 4)], _SIZES[max(0, largest - 2)], _SIZES[largest]


def _short(most: int, dtype: str) -> str:
    return _of_sizes(_sizes(most), dtype)


@cache
def _of_sizes(sizes: tuple[int, int, int], dtype: str) -> str:
    words = dict(zip(("SMALL", "MEDIUM", "LARGE"), sizes, strict=True))
    source = _SHORT
    for word, size in words.items():
        steps = lines(
            middle(size),
            lambda e: f"picked(x, list[{e}], n_freqs)",
            lambda j, value: f"{('lower', 'upper')[j]} = {value};",
        )
        source = source.replace(f"STEPS_{word}", steps)
    return typed(source, dtype, **words)
