"""Which frames are most alike: peaks of rows of a similarity matrix.

A peak is higher than all within a distance of it on both sides. One is looked for from left to right: where a
higher value follows within the distance, the search goes on from there, so that a row is gone through about
twice, whatever the distance.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import kernel

__all__ = ["similar_frames"]

# Rows per unit of work.
_ROWS = 32


def similar_frames(similarity: Array, threshold: float, distance: int, most: int) -> Array:
    """See `dspsep.kernels.Kernels.similar_frames`."""
    rows = np.ascontiguousarray(similarity)
    frames = np.full((rows.shape[0], most), -1, np.int64)
    jobs = [
        (rows[start : start + _ROWS], threshold, distance, frames[start : start + _ROWS])
        for start in range(0, rows.shape[0], _ROWS)
    ]
    _parallel.run(_unit, jobs)
    return frames


def _unit(rows: Array, threshold: float, distance: int, frames: Array) -> None:
    _peaks(rows, float(threshold), distance, frames)


@kernel
def _peaks(rows: Array, threshold: float, distance: int, frames: Array) -> None:
    n_frames, most = rows.shape[1], frames.shape[1]
    place, height = np.empty(n_frames, np.int64), np.empty(n_frames, rows.dtype)
    for number in range(rows.shape[0]):
        row = rows[number]
        found, i = 0, 0
        while i < n_frames:
            # What is as high as this, or higher, within the distance after it is looked at next.
            following = i + 1
            stop = min(n_frames, i + distance + 1)
            while following < stop and row[following] < row[i]:
                following += 1
            if following == stop and row[i] >= threshold:
                before = i - 1
                while before >= max(0, i - distance) and row[before] < row[i]:
                    before -= 1
                if before < max(0, i - distance):
                    place[found], height[found] = i, row[i]
                    found += 1
            i = following
        # The highest of them, of equal ones the first.
        order = np.argsort(-height[:found], kind="mergesort")
        for k in range(min(found, most)):
            frames[number, k] = place[order[k]]
