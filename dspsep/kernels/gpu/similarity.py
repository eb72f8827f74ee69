"""Which frames are most alike: peaks of rows of a similarity matrix, in order, in one launch.

A block has one row. It lists the peaks in their order; if there are more than are asked for, it searches for
the bits of the value of the last of those (all threads count), and keeps what is above, and of what equals it
the first. Of what is left each finds its place by counting those before it.

What bounds it (estimate; nothing of this was measured): to read the matrix once, 4 bytes a value in single
precision, from wherever the product that it comes from was written. Whether a value is a peak is nearly
always settled by its next neighbours, which lie in the first-level cache.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import launch
from dspsep.kernels.gpu._selection import SEARCH, typed

__all__ = ["similar_frames"]

_THREADS = 256

_SOURCE = (
    SEARCH
    + """
__device__ __forceinline__ int before(int warp, const int *counts) {
    int sum = 0;
    for (int w = 0; w < warp; w++) sum += counts[w];
    return sum;
}
__device__ __forceinline__ int appended(bool is, int value, int *list, int size, int most, int *counts) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned mask = __ballot_sync(0xffffffffu, is);
    if (lane == 0) counts[warp] = __popc(mask);
    __syncthreads();
    const int place = size + before(warp, counts) + __popc(mask & ((1u << lane) - 1));
    if (is && place < most) list[place] = value;
    size += before(THREADS / 32, counts);
    __syncthreads();
    return size;
}
__device__ __forceinline__ int summed(int own, int *counts) {
    for (int half = 16; half > 0; half /= 2) own += __shfl_xor_sync(0xffffffffu, own, half);
    if (threadIdx.x % 32 == 0) counts[threadIdx.x / 32] = own;
    __syncthreads();
    own = before(THREADS / 32, counts);
    __syncthreads();
    return own;
}
extern "C" __global__ void similar_frames(
    const REAL *similarity, int *lists, long long *frames, int n_frames, REAL threshold, int distance,
    int most, int n_places
) {
    __shared__ int counts[THREADS / 32];
    const REAL *row = similarity + (long long)blockIdx.x * n_frames;
    int *peaks = lists + (long long)blockIdx.x * 2 * n_places, *chosen = peaks + n_places;
    int n_peaks = 0, n_chosen = 0;
    for (int start = 0; start < n_frames; start += THREADS) {
        const int i = start + threadIdx.x;
        bool is = i < n_frames && row[i] >= threshold;
        for (int step = 1; is && step <= distance; step++)
            is = (i < step || row[i - step] < row[i]) && (i + step >= n_frames || row[i + step] < row[i]);
        n_peaks = appended(is, i, peaks, n_peaks, n_places, counts);
    }
    if (n_peaks <= most) {
        chosen = peaks;
        n_chosen = n_peaks;
    } else {
        KEY least = 0;  // the largest number that at most as many are below as have to go
        for (int shift = BITS - 1; shift >= 0; shift--) {
            const KEY trial = least | (KEY)1 << shift;
            int below = 0;
            for (int i = threadIdx.x; i < n_peaks; i += THREADS) below += key_of(row[peaks[i]] + 0) < trial;
            if (summed(below, counts) <= n_peaks - most) least = trial;
        }
        for (int equal = 0; equal < 2; equal++)
            for (int start = 0; start < n_peaks; start += THREADS) {
                const int i = start + threadIdx.x;
                const KEY key = i < n_peaks ? key_of(row[peaks[i]] + 0) : 0;
                const bool is = i < n_peaks && (equal ? key == least : key > least);
                n_chosen = appended(is, i < n_peaks ? peaks[i] : 0, chosen, n_chosen, most, counts);
            }
        n_chosen = most;
    }
    for (int i = threadIdx.x; i < most; i += THREADS) {
        if (i >= n_chosen) {
            frames[(long long)blockIdx.x * most + i] = -1;
            continue;
        }
        const int own = chosen[i];
        int rank = 0;
        for (int j = 0; j < n_chosen; j++) {
            const int other = chosen[j];
            rank += row[other] > row[own] || (row[other] == row[own] && other < own);
        }
        frames[(long long)blockIdx.x * most + rank] = own;
    }
}
"""
)


def similar_frames(similarity: Array, threshold: float, distance: int, most: int) -> Array:
    """See `dspsep.kernels.Kernels.similar_frames`."""
    xp = _backend.namespace(similarity)
    similarity = contiguous(similarity)
    n, n_frames = similarity.shape
    frames: Array = xp.empty((n, most), dtype=xp.int64, device=similarity.device)
    if 0 in frames.shape:
        return frames
    distance = min(distance, n_frames)
    # Peaks are further than `distance` apart. Each row has room for all of them, and for those chosen.
    n_places = 1 + n_frames // (distance + 1)
    lists = xp.empty((n, 2, n_places), dtype=xp.int32, device=similarity.device)
    launch(
        typed(_SOURCE, precision(similarity), THREADS=_THREADS),
        "similar_frames",
        (n,),
        (_THREADS,),
        similarity,
        lists,
        frames,
        np.int32(n_frames),
        np.dtype(precision(similarity)).type(threshold),
        np.int32(distance),
        np.int32(most),
        np.int32(n_places),
    )
    return frames
