"""Medians of frames that are named: of repeats, of similar frames, of whatever a list says.

The smaller half of what was seen so far is kept as a sorted column; a value goes up through it in one pass of
minima and maxima, and what comes out at the top is larger than half. 64 neighbouring bins go through side by
side, which is what the compiler turns into vector instructions.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["median_of_frames", "run_units"]

_LANES = 64
# Frames of the result per unit of work.
_FRAMES = 64


def median_of_frames(values: Array, frames: Array) -> Array:
    """See `dspsep.kernels.Kernels.median_of_frames`."""
    return run_units(values, frames, _medians)


def run_units(values: Array, frames: Array, unit: object) -> Array:
    """Call `unit` with a channel, some lists of frames, how many each has, and where their medians go.

    In these lists the frames that are named come first.
    """
    frames = np.asarray(frames, np.int64)
    if frames.size and not (frames.min() >= -1 and frames.max() < values.shape[1]):
        raise ValueError(
            "frames must be from 0 to the number of frames, or -1"
        )  # compiled code does not look
    lists = readonly(np.take_along_axis(frames, np.argsort(frames < 0, axis=1, kind="stable"), axis=1))
    counts = readonly(np.sum(frames >= 0, axis=1))
    values = readonly(values)
    medians = np.zeros((values.shape[0], frames.shape[0], values.shape[2]), values.dtype)
    jobs = [
        (
            values[channel],
            lists[start : start + _FRAMES],
            counts[start : start + _FRAMES],
            medians[channel, start : start + _FRAMES],
        )
        for channel in range(values.shape[0])
        for start in range(0, frames.shape[0], _FRAMES)
    ]
    _parallel.run(unit, jobs)
    return medians


@kernel
def _medians(values: Array, lists: Array, counts: Array, out: Array) -> None:
    n_freqs = values.shape[1]
    column = np.empty((lists.shape[1] // 2 + 2, _LANES), values.dtype)
    for row in range(counts.size):
        upper = counts[row] // 2
        lower = (counts[row] - 1) // 2
        for begin in range(0, n_freqs if counts[row] else 0, _LANES):
            n = min(_LANES, n_freqs - begin)
            for e in range(counts[row]):
                _insert(values[lists[row, e], begin : begin + n], column, min(e, upper + 1))
            for i in range(n):
                out[row, begin + i] = (column[lower, i] + column[upper, i]) / 2


@inlined
def _insert(source: Array, column: Array, size: int) -> None:
    """Insert values into columns of a size, each of which is sorted, and grows by one."""
    top = column[size]
    for i in range(source.size):
        top[i] = source[i]
    for j in range(size):
        for i in range(source.size):
            smaller = min(column[j, i], top[i])
            top[i] = max(column[j, i], top[i])
            column[j, i] = smaller
