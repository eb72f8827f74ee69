"""Medians of frames that are named, by selection networks; see `_selection`.

The frames of one median are copied, a strip of bins at a time, to rows that lie close together, and a network
takes them from there. Networks have few lengths: what is missing to one of them is made up by rows of minus
and plus infinity, as many of the ones as of the others, or one more, where the median of an even number is
the mean of two.
"""

from __future__ import annotations

import numpy as np

from dspsep._typing import Array
from dspsep.kernels import cpu
from dspsep.kernels.cpu._jit import inlined, kernel
from dspsep.kernels.cpu.neighbours import run_units
from dspsep.kernels.simd._selection import medians, selection
from dspsep.kernels.simd._vectors import LANES

__all__ = ["median_of_frames"]

# Bins that are worked on at once, and how far apart their rows are: not a power of two, so that they do not
# compete for lines of the cache.
_STRIP, _PITCH = 64, 72
# Lengths of networks: each is a third longer than the one before. Longer lists are rare.
_LENGTHS = (1, 3, 5, 7, 9, 13, 17, 23, 31, 41, 55, 75, 101, 127)


def median_of_frames(values: Array, frames: Array) -> Array:
    """See `dspsep.kernels.Kernels.median_of_frames`."""
    if values.shape[2] < LANES or not frames.size or int((frames >= 0).sum(axis=1).max()) > _LENGTHS[-1]:
        return cpu.median_of_frames(values, frames)
    return run_units(values, frames, _unit)


def _unit(values: Array, lists: Array, counts: Array, out: Array) -> None:
    which = np.searchsorted(_LENGTHS, counts)
    for number in np.unique(which[counts > 0]):
        chosen = selection(_LENGTHS[number], str(values.dtype), 1)
        rows = np.flatnonzero((which == number) & (counts > 0))
        arguments = values.reshape(-1), lists, counts, rows, out
        _medians(chosen.address, chosen.table, chosen.length, *arguments)


@kernel
def _medians(
    address: int,
    table: Array,
    length: int,
    values: Array,
    lists: Array,
    counts: Array,
    rows: Array,
    out: Array,
) -> None:
    """Write the medians of some rows, with a network for at least as many frames as they have."""
    n_freqs = out.shape[1]
    n_bins = min(_STRIP, n_freqs)
    strip, result = np.empty((length + 2) * _PITCH, values.dtype), np.empty(2 * _PITCH, values.dtype)
    low, high = length * _PITCH, (length + 1) * _PITCH
    strip[low : low + _PITCH] = -np.inf
    strip[high : high + _PITCH] = np.inf
    places = np.arange(length) * _PITCH
    for row in rows:
        count = counts[row]
        # An even number has two medians. With one more of minus infinity it is the lower one that comes out.
        n_low = (length - count + 1) // 2
        places[:count] = np.arange(count) * _PITCH
        places[count : count + n_low] = low
        places[count + n_low :] = high
        for begin in range(0, n_freqs, _STRIP):
            # The last strip begins earlier, and gives some outputs again.
            first = min(begin, n_freqs - n_bins)
            for e in range(count):
                _copy(values, lists[row, e] * n_freqs + first, strip, e * _PITCH, n_bins)
            _over_bins(address, table, strip, places, n_bins, result, 0)
            upper = 0
            if count % 2 == 0:
                upper = _PITCH
                places[count + n_low - 1] = high
                _over_bins(address, table, strip, places, n_bins, result, upper)
                places[count + n_low - 1] = low
            for i in range(n_bins):
                out[row, first + i] = (result[i] + result[upper + i]) / 2


@inlined
def _copy(values: Array, place: int, strip: Array, target: int, n_bins: int) -> None:
    source, copied = values[place : place + n_bins], strip[target : target + n_bins]
    for i in range(n_bins):
        copied[i] = source[i]


@inlined
def _over_bins(
    address: int, table: Array, strip: Array, places: Array, n_bins: int, out: Array, at: int
) -> None:
    """Run a network for `n_bins` neighbours; their last vector may overlap the one before it."""
    steps, whole = (LANES, 0, LANES), n_bins // LANES
    medians(address, table, strip, 0, places, 0, out, at, _PITCH, whole, steps)
    if whole * LANES < n_bins:
        last = n_bins - LANES
        medians(address, table, strip, last, places, 0, out, at + last, _PITCH, 1, steps)
