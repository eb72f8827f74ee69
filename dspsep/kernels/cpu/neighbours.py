"""Medians of frames that are named: of repeats, of similar frames, of whatever a list says.

The smaller half of what was seen so far is kept as a sorted column; a value goes up through it in one pass of
minima and maxima, and what comes out at the top is larger than half. 64 neighbouring bins go through side by
side, which is what the compiler turns into vector instructions.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import kernel, readonly

__all__ = ["median_of_frames", "run_units"]

_LANES = 64
#: Frames of the result per unit of work.
_FRAMES = 64


def median_of_frames(values: Array, frames: Array) -> Array:
    """See `dspsep.kernels.Kernels.median_of_frames`."""
    return run_units(values, frames, _unit)


def run_units(values: Array, frames: Array, unit: object) -> Array:
    """Call `unit` with a channel of values, some rows of `frames`, and where their medians go."""
    frames = np.ascontiguousarray(frames, np.int64)
    if frames.size and not (-1 <= frames.min() and frames.max() < values.shape[1]):
        raise ValueError("frames must be from 0 to the number of frames, or -1")  # compiled code does not look
    values = readonly(values)
    medians = np.empty((values.shape[0], frames.shape[0], values.shape[2]), values.dtype)
    jobs = [
        (values[channel], readonly(frames[start : start + _FRAMES]), medians[channel, start : start + _FRAMES])
        for channel in range(values.shape[0])
        for start in range(0, frames.shape[0], _FRAMES)
    ]
    _parallel.run(unit, jobs)
    return medians


def _unit(values: Array, frames: Array, out: Array) -> None:
    _medians(values, frames, out)


@kernel
def _medians(values: Array, frames: Array, out: Array) -> None:
    n_freqs, most = values.shape[1], frames.shape[1]
    column = np.empty((most // 2 + 1, _LANES), values.dtype)
    moving = np.empty(_LANES, values.dtype)
    for row in range(frames.shape[0]):
        count = 0
        for e in range(most):
            if frames[row, e] >= 0:
                count += 1
        upper = count // 2
        for begin in range(0, n_freqs, _LANES):
            n = min(_LANES, n_freqs - begin)
            target = out[row, begin : begin + n]
            if count == 0:
                target[:] = 0
                continue
            seen = 0
            for e in range(most):
                if frames[row, e] < 0:
                    continue
                source = values[frames[row, e], begin : begin + n]
                for i in range(n):
                    moving[i] = source[i]
                for j in range(min(seen, upper + 1)):
                    for i in range(n):
                        kept = min(column[j, i], moving[i])
                        moving[i] = max(column[j, i], moving[i])
                        column[j, i] = kept
                if seen <= upper:
                    for i in range(n):
                        column[seen, i] = moving[i]
                seen += 1
            for i in range(n):
                target[i] = column[upper, i]
            if count % 2 == 0:
                for i in range(n):
                    target[i] = (column[upper - 1, i] + column[upper, i]) / 2
