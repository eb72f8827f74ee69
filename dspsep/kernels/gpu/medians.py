"""Running medians over frames and over bins.

Up to `LONGEST`, by the selection networks of the CPU (`dspsep.kernels._networks`), in registers: one thread
makes `n_outputs` neighbouring medians, which share the sorted middle of their windows.

* *Over frames* a thread has one bin, and the threads of a warp neighbouring ones, so that each element is
  one coalesced read. Tiles of the same bins read the same frames; the second-level cache has them. Where
  edges mirror an element is known to whole warps, and costs a few instructions for all its lanes at once.
* *Over bins* a thread has one frame. Blocks of 32 frames lie in shared memory, in rows an odd number of
  values apart, so that 32 lanes that read the same bin of as many frames use as many banks. Medians go back
  the same way, and are written in rows.

Compiled for an H100 the networks for 31 take 64 registers of a thread in single precision, those for 127 168;
in double precision the longest has a few values in memory.

Longer windows, and those that are mirrored more than once, slide: a thread knows how many values of its
window are less than the median, and how many are not more. When the window moves on by one, the median stays,
or is the next value below or above, which one pass over the window finds. That is correct for every length,
and an array that slides over bins is transposed for it.

What bounds them (estimates; nothing of this was measured): an element is read from and written to memory
once, 8 bytes in single precision, 2.4 ps at 3.35 TB/s. For a length of 31 over frames there are 2.9 reads
from the second-level cache and 32 minima and maxima, of which 132 multiprocessors make 64 each in a cycle of
some 1.7 GHz: 2.3 ps. Networks of up to about 40 are thus bound by memory, and longer ones by arithmetic (92
for a length of 127: 6.4 ps). A window that slides reads up to `length` values from a cache for each output.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels._networks import network
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import SEARCH, lines, typed

__all__ = ["LONGEST", "median_over_frequency", "median_over_time", "outputs_at_once"]

# Longer networks would not fit into the 255 registers of a thread.
LONGEST = 127
# Threads of a block over frames: three blocks of the longest networks fit on a multiprocessor.
_THREADS = 128
# Over bins: frames of a block, one for each lane; the most warps, and bins that they work on.
_LANES, _WARPS, _BINS = 32, 16, 128
# Shared memory that a kernel may declare.
_SHARED_BYTES = 49152
# Outputs of a window that slides, for which it is searched once.
_SLIDES = 64

_MIRRORED = """
__device__ __forceinline__ int mirrored(int position, int n) {  // once; beyond that, anywhere inside
    const int folded = position < 0 ? -1 - position : position;
    return max(min(folded, 2 * n - 1 - folded), 0);
}
"""

_OVER_TIME = """
extern "C" __global__ void median_over_time(
    const REAL *values, REAL *medians, int n_frames, int n_freqs, int n_tiles, int n_columns
) {
    const int k = blockIdx.x % n_columns * blockDim.x + threadIdx.x;
    const int tile = blockIdx.x / n_columns % n_tiles;
    const long long channel = blockIdx.x / n_columns / n_tiles;
    if (k >= n_freqs) return;
    const int first = tile * OUTPUTS, start = first - LENGTH / 2;
    const REAL *x = values + channel * n_frames * n_freqs + k;
    REAL *out = medians + channel * n_frames * n_freqs + k;
    STEPS
}
"""

_OVER_FREQUENCY = """
extern "C" __global__ void median_over_frequency(
    const REAL *values, REAL *medians, long long n_rows, int n_freqs, int n_tiles
) {
    __shared__ REAL tile[32 * PITCH];
    const int lane = threadIdx.x, warp = threadIdx.y;
    const long long first_row = (long long)(blockIdx.x / n_tiles) * 32;
    const int first = blockIdx.x % n_tiles * (WARPS * OUTPUTS), start = first - LENGTH / 2;
    for (int row = warp; row < 32; row += WARPS)
        for (int c = lane; c < WARPS * OUTPUTS + LENGTH - 1; c += 32)
            tile[row * PITCH + c] = first_row + row < n_rows
                ? values[(first_row + row) * n_freqs + mirrored(start + c, n_freqs)] : 0;
    __syncthreads();
    REAL y[OUTPUTS];
    const bool used = first + warp * OUTPUTS < n_freqs;
    if (used) {
        const REAL *x = tile + lane * PITCH + warp * OUTPUTS;
        STEPS
    }
    __syncthreads();
    if (used) {
        #pragma unroll
        for (int j = 0; j < OUTPUTS; j++) tile[lane * PITCH + warp * OUTPUTS + j] = y[j];
    }
    __syncthreads();
    for (int row = warp; row < 32; row += WARPS)
        for (int c = lane; c < WARPS * OUTPUTS; c += 32)
            if (first_row + row < n_rows && first + c < n_freqs)
                medians[(first_row + row) * n_freqs + first + c] = tile[row * PITCH + c];
}
"""

_SLIDING = (
    SEARCH
    + """
__device__ __forceinline__ int folded(long long position, int n) {  // as often as need be
    const int place = (int)((position % (2LL * n) + 2LL * n) % (2LL * n));
    return place < n ? place : place - 2 * n;  // on the way back: -1 is the last, -n the first
}
struct Window {
    const REAL *x;
    int n_freqs, length, n;
    long long start;
    template <class Visit> __device__ __forceinline__ void operator()(Visit visit) const {
        int place = folded(start, n);
        for (int e = 0; e < length; e++) {
            visit(x[(long long)(place < 0 ? -1 - place : place) * n_freqs]);
            if (++place == n) place = -n;
        }
    }
    __device__ __forceinline__ REAL at(long long position) const {
        const int place = folded(position, n);
        return x[(long long)(place < 0 ? -1 - place : place) * n_freqs];
    }
};
extern "C" __global__ void sliding_median(
    const REAL *values, REAL *medians, int length, int n_frames, int n_freqs, int n_runs, int n_columns
) {
    const int k = blockIdx.x % n_columns * blockDim.x + threadIdx.x;
    const int run = blockIdx.x / n_columns % n_runs;
    const long long channel = blockIdx.x / n_columns / n_runs;
    if (k >= n_freqs) return;
    const REAL *x = values + channel * n_frames * n_freqs + k;
    REAL *out = medians + channel * n_frames * n_freqs + k;
    const int first = run * SLIDES, half = length / 2;
    Window window = {x, n_freqs, length, n_frames, (long long)first - half};
    REAL median = ranked(half, window);
    int less = 0, not_more = 0;
    window([&](REAL value) {
        less += value < median;
        not_more += value <= median;
    });
    out[(long long)first * n_freqs] = median;
    for (int frame = first + 1; frame < min(first + SLIDES, n_frames); frame++) {
        const REAL gone = window.at(window.start), come = window.at(window.start + length);
        window.start++;
        less += (come < median) - (gone < median);
        not_more += (come <= median) - (gone <= median);
        if (less > half || not_more <= half) {
            const REAL sign = less > half ? 1 : -1;  // the next below, or with all signs turned above
            REAL next = median;
            int equal = 0;
            window([&](REAL value) {
                if (sign * value < sign * median) {
                    const bool nearer = equal == 0 || sign * value > sign * next;
                    equal = nearer ? 1 : equal + (value == next);
                    next = nearer ? value : next;
                }
            });
            if (sign > 0) { not_more = less; less -= equal; } else { less = not_more; not_more += equal; }
            median = next;
        }
        out[(long long)frame * n_freqs] = median;
    }
}
"""
)


def median_over_time(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_time`."""
    _check(length)
    values = contiguous(values)
    xp = _backend.namespace(values)
    n_channels, n_frames, n_freqs = values.shape
    medians: Array = xp.empty(values.shape, dtype=values.dtype, device=values.device)
    if 0 in values.shape:
        return medians
    n_columns = blocks(n_freqs, _THREADS)
    if length > LONGEST or length // 2 > n_frames:
        n_tiles = blocks(n_frames, _SLIDES)
        source, name = typed(_SLIDING, precision(values), SLIDES=_SLIDES), "sliding_median"
        sizes = [length, n_frames, n_freqs, n_tiles, n_columns]
    else:
        n_tiles = blocks(n_frames, outputs_at_once(length))
        source, name = _over_time(length, precision(values)), "median_over_time"
        sizes = [n_frames, n_freqs, n_tiles, n_columns]
    grid = (n_channels * n_tiles * n_columns,)
    launch(source, name, grid, (min(_THREADS, n_freqs),), values, medians, *map(np.int32, sizes))
    return medians


def median_over_frequency(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_frequency`."""
    _check(length)
    xp = _backend.namespace(values)
    n_channels, n_frames, n_freqs = values.shape
    if length > LONGEST or length // 2 > n_freqs:
        turned = median_over_time(xp.permute_dims(values, (0, 2, 1)), length)
        return contiguous(xp.permute_dims(turned, (0, 2, 1)))
    values = contiguous(values)
    medians: Array = xp.empty(values.shape, dtype=values.dtype, device=values.device)
    if 0 in values.shape:
        return medians
    n_rows, n_warps = n_channels * n_frames, _warps(length, values.dtype.itemsize)
    n_tiles = blocks(n_freqs, n_warps * outputs_at_once(length))
    launch(
        _over_frequency(length, precision(values), n_warps),
        "median_over_frequency",
        (blocks(n_rows, _LANES) * n_tiles,),
        (_LANES, n_warps),
        values,
        medians,
        np.int64(n_rows),
        np.int32(n_freqs),
        np.int32(n_tiles),
    )
    return medians


def outputs_at_once(length: int) -> int:
    """Return how many medians a thread makes: the more, the more they share, as far as registers reach."""
    n_outputs = 16 if length <= 63 else 32
    while n_outputs > length:
        n_outputs //= 2
    return n_outputs


def _pitch(length: int, n_warps: int) -> int:
    """Return how many values two rows in shared memory are apart: odd, and no fewer than a row has."""
    return (n_warps * outputs_at_once(length) + length - 1) | 1


def _warps(length: int, itemsize: int) -> int:
    """Return how many warps share a block of frames: as many as there is room for in shared memory."""
    n_warps = min(_WARPS, _BINS // outputs_at_once(length))
    while _LANES * _pitch(length, n_warps) * itemsize > _SHARED_BYTES:
        n_warps //= 2
    return n_warps


def _check(length: int) -> None:
    if length < 1 or length % 2 == 0:  # a kernel would read outside of its arrays
        raise ValueError(f"the length of a median must be odd and at least 1; got {length}")


@cache
def _over_time(length: int, dtype: str) -> str:
    n_outputs = outputs_at_once(length)
    steps = lines(
        network(length, n_outputs),
        lambda e: f"x[(long long)mirrored(start + {e}, n_frames) * n_freqs]",
        lambda j, value: f"if (first + {j} < n_frames) out[(long long)(first + {j}) * n_freqs] = {value};",
    )
    source = _MIRRORED + _OVER_TIME.replace("STEPS", steps)
    return typed(source, dtype, OUTPUTS=n_outputs, LENGTH=length)


@cache
def _over_frequency(length: int, dtype: str, n_warps: int) -> str:
    n_outputs, pitch = outputs_at_once(length), _pitch(length, n_warps)
    steps = lines(network(length, n_outputs), lambda e: f"x[{e}]", lambda j, value: f"y[{j}] = {value};")
    source = _MIRRORED + _OVER_FREQUENCY.replace("STEPS", steps)
    return typed(source, dtype, OUTPUTS=n_outputs, LENGTH=length, WARPS=n_warps, PITCH=pitch)
