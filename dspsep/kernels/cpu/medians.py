"""Running medians over frames and over bins.

The window is kept as a sorted column; sliding it by one inserts the value that comes in and removes the
one that goes out, in a single ascending pass of comparisons with no branch. 64 neighbouring columns
(bins, for a median over time; frames, for one over frequency) go through that pass side by side, which
is what the compiler turns into vector instructions.

With s the sorted window, v the value that comes in and o the one that goes out,

    t[j] = max(s[j - 1], min(s[j], v))             the window with v inserted,
    s'[j] = t[j] if t[j] < o else t[j + 1]         the same with o removed,

where s[-1] is minus and s[length] plus infinity.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["median_over_frequency", "median_over_time"]

_LANES = 64
# Outputs along the sliding axis per tile, for usual lengths: what a tile works on (256 kB in single
# precision) stays in the second-level cache, and tiles are what threads share out.
_TILE = 512
# The first window of a tile is sorted by insertion, all lanes at once, up to this length; longer ones lane
# by lane, in fewer steps.
_LONG = 256


def median_over_time(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_time`."""
    return _run(values, length, values.shape[1], values.shape[2], _tile_over_time)


def median_over_frequency(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_frequency`."""
    return _run(values, length, values.shape[2], values.shape[1], _tile_over_frequency)


def _run(values: Array, length: int, n_sliding: int, n_across: int, tile: object) -> Array:
    if length < 1 or length % 2 == 0:  # compiled code would write beyond its arrays
        raise ValueError(f"the length of a median must be odd and at least 1; got {length}")
    values = readonly(values)
    medians = np.empty_like(values)
    jobs = [
        (values[channel], medians[channel], length, start, min(start + _TILE, n_sliding), first)
        for channel in range(values.shape[0])
        for start in range(0, n_sliding, _TILE)
        for first in range(0, n_across, 8 * _LANES)
    ]
    _parallel.run(tile, jobs)
    return medians


@kernel
def _tile_over_time(
    values: Array, medians: Array, length: int, start: int, stop: int, first_bin: int
) -> None:
    """Write rows `start` to `stop` of the median over rows, for eight groups of lanes."""
    n_frames, n_freqs = values.shape
    half = length // 2
    padded = np.zeros((stop - start + length - 1, _LANES), values.dtype)
    out = np.empty((stop - start, _LANES), values.dtype)
    for group in range(first_bin, min(first_bin + 8 * _LANES, n_freqs), _LANES):
        lanes = min(_LANES, n_freqs - group)
        for row in range(padded.shape[0]):
            source = values[_mirror(start - half + row, n_frames), group : group + lanes]
            for lane in range(lanes):
                padded[row, lane] = source[lane]
        _slide(padded, length, out)
        for row in range(stop - start):
            target = medians[start + row, group : group + lanes]
            for lane in range(lanes):
                target[lane] = out[row, lane]


@kernel
def _tile_over_frequency(
    values: Array, medians: Array, length: int, start: int, stop: int, first_frame: int
) -> None:
    """Write columns `start` to `stop` of the median over columns, for eight groups of lanes."""
    n_frames, n_freqs = values.shape
    half = length // 2
    padded = np.zeros((stop - start + length - 1, _LANES), values.dtype)
    out = np.empty((stop - start, _LANES), values.dtype)
    positions = np.empty(padded.shape[0], np.int64)
    for row in range(padded.shape[0]):
        positions[row] = _mirror(start - half + row, n_freqs)
    for group in range(first_frame, min(first_frame + 8 * _LANES, n_frames), _LANES):
        lanes = min(_LANES, n_frames - group)
        for lane in range(lanes):
            source = values[group + lane]
            for row in range(padded.shape[0]):
                padded[row, lane] = source[positions[row]]
        _slide(padded, length, out)
        for lane in range(lanes):
            target = medians[group + lane, start:stop]
            for row in range(stop - start):
                target[row] = out[row, lane]


@inlined
def _mirror(position: int, n: int) -> int:
    """Return the index that `position` falls on when the edges are mirrored, the edge repeated."""
    folded = position % (2 * n)
    return folded if folded < n else 2 * n - 1 - folded


@inlined
def _sort_into(window: Array, padded: Array, length: int) -> None:
    """Write the first `length` rows of `padded`, each lane sorted, between rows of infinities."""
    window[:] = np.inf
    window[0] = -np.inf
    if length > _LONG:
        for lane in range(_LANES):
            window[1 : length + 1, lane] = np.sort(padded[:length, lane])
        return
    for row in range(length):
        for rank in range(row + 1, 0, -1):
            for lane in range(_LANES):
                low, high, value = window[rank - 1, lane], window[rank, lane], padded[row, lane]
                smaller = value if value < high else high
                window[rank, lane] = low if low > smaller else smaller


@inlined
def _slide(padded: Array, length: int, out: Array) -> None:
    """Write the medians of `length` consecutive rows of `padded`, lane by lane, to `out`."""
    # Allocated here, where the compiler sees that the two do not overlap.
    window = np.empty((length + 2, _LANES), padded.dtype)
    _sort_into(window, padded, length)
    following = window.copy()
    middle = length // 2 + 1
    for lane in range(_LANES):
        out[0, lane] = window[middle, lane]
    for row in range(1, out.shape[0]):
        for rank in range(1, length + 1):
            for lane in range(_LANES):
                low, high, next_high = window[rank - 1, lane], window[rank, lane], window[rank + 1, lane]
                value = padded[row + length - 1, lane]
                smaller = min(high, value)
                inserted = max(smaller, low)
                smaller = min(next_high, value)
                next_inserted = max(smaller, high)
                keeps = inserted < padded[row - 1, lane]
                following[rank, lane] = inserted if keeps else next_inserted
        for lane in range(_LANES):
            out[row, lane] = following[middle, lane]
        window, following = following, window
