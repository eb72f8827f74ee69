"""Running medians over frames and over bins by selection networks; see `_selection`.

Over frames, lanes are neighbouring bins; over bins, they are neighbouring frames, in blocks that are
transposed on the way in and out. Both read their elements through a table of places, in which the mirrored
edges are written out, so that there are no edges in the loops.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels import cpu
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.simd._selection import Selection, medians, selection
from dspsep.kernels.simd._vectors import LANES, load_rows, store_rows, transpose

__all__ = ["LONGEST", "median_over_frequency", "median_over_time", "mirrored"]

# Longer networks take longer than keeping the window sorted, which `dspsep.kernels.cpu` does.
LONGEST = 2047
# Frames per unit of work.
_FRAMES = 512
# Rows of a spectrogram are often a power of two apart, and then all of them compete for the same few lines
# of the cache. More than so many do not fit: medians over frames are then made in strips of bins that are
# copied, to rows of a pitch that is no power of two.
_COMPETING = 63
_STRIP = 64
_PITCH = _STRIP + 8


def mirrored(start: int, stop: int, n: int) -> Array:
    """Return where positions `start` to `stop` are when the edges are mirrored, the edge repeated."""
    folded = np.arange(start, stop) % (2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)


def outputs_at_once(length: int) -> int:
    """Return how many medians of a length a network gives: the longer they are, the more they share."""
    return 16 if length <= 31 else 64


def median_over_time(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_time`."""
    if values.shape[2] < LANES or length > LONGEST:
        return cpu.median_over_time(values, length)
    return _run(values, length, outputs_at_once(length), _time_unit)


def median_over_frequency(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_frequency`."""
    if min(values.shape[1:]) < LANES or length > LONGEST:
        return cpu.median_over_frequency(values, length)
    return _run(values, length, LANES, _frequency_unit)


def _run(values: Array, length: int, least: int, unit: object) -> Array:
    """Call `unit` for runs of at least `least` frames, if there are as many."""
    if length < 1 or length % 2 == 0:  # compiled code would read outside of its arrays
        raise ValueError(f"the length of a median must be odd and at least 1; got {length}")
    values = readonly(values)
    result = np.empty_like(values)
    n_frames = values.shape[1]
    starts = range(0, max(1, n_frames - least + 1), _FRAMES)
    jobs = [
        (values[channel], length, start, result[channel, start:stop])
        for channel in range(values.shape[0])
        for start, stop in zip(starts, [*starts[1:], n_frames], strict=True)
    ]
    _parallel.run(unit, jobs)
    return result


def _selection(length: int, dtype: np.dtype, n: int) -> Selection:
    """Return the network for a run of `n` outputs."""
    n_outputs = outputs_at_once(length)
    if n >= n_outputs:
        return selection(length, str(dtype), n_outputs)
    return selection(length, str(dtype), 1 << n.bit_length() - 1, compiled=False)


def _time_unit(values: Array, length: int, start: int, out: Array) -> None:
    chosen = _selection(length, values.dtype, out.shape[0])
    half, n_freqs = length // 2, values.shape[1]
    frames = mirrored(start - half, start + out.shape[0] + half, values.shape[0])
    run = _over_time_copied if length > _COMPETING else _over_time
    run(chosen.address, chosen.table, chosen.n_outputs, values.reshape(-1), frames, n_freqs, out.reshape(-1))


@kernel
def _over_time(
    address: int, table: Array, n_outputs: int, values: Array, frames: Array, n_freqs: int, out: Array
) -> None:
    """Write the medians of the rows that `frames` names."""
    places = frames * n_freqs
    for tile in range(0, out.size // n_freqs, n_outputs):
        first = min(tile, out.size // n_freqs - n_outputs)  # the last tile begins earlier
        _row_of_tiles(address, table, values, places, first, n_freqs, out, first * n_freqs, n_freqs)


@kernel
def _over_time_copied(
    address: int, table: Array, n_outputs: int, values: Array, frames: Array, n_freqs: int, out: Array
) -> None:
    """Do the same in strips of bins that are copied."""
    places = np.arange(frames.size) * _PITCH
    strip, result = np.empty(frames.size * _PITCH, out.dtype), np.empty(n_outputs * _PITCH, out.dtype)
    n_frames = out.size // n_freqs
    n_bins = min(_STRIP, n_freqs)
    for begin in range(0, n_freqs, _STRIP):
        # The last strip begins earlier, and gives some outputs again.
        first_bin = min(begin, n_freqs - n_bins)
        for row in range(frames.size):
            place = frames[row] * n_freqs + first_bin
            source, target = values[place : place + n_bins], strip[row * _PITCH : row * _PITCH + n_bins]
            for i in range(n_bins):
                target[i] = source[i]
        for tile in range(0, n_frames, n_outputs):
            first = min(tile, n_frames - n_outputs)
            _row_of_tiles(address, table, strip, places, first, n_bins, result, 0, _PITCH)
            for row in range(n_outputs):
                place = (first + row) * n_freqs + first_bin
                source, target = result[row * _PITCH : row * _PITCH + n_bins], out[place : place + n_bins]
                for i in range(n_bins):
                    target[i] = source[i]


@inlined
def _row_of_tiles(
    address: int,
    table: Array,
    x: Array,
    places: Array,
    first: int,
    n_bins: int,
    out: Array,
    target: int,
    pitch: int,
) -> None:
    """Run a network for `n_bins` neighbours; their last vector may overlap the one before it."""
    steps, whole = (LANES, 0, LANES), n_bins // LANES
    medians(address, table, x, 0, places, first, out, target, pitch, whole, steps)
    if whole * LANES < n_bins:
        last = n_bins - LANES
        medians(address, table, x, last, places, first, out, target + last, pitch, 1, steps)


def _frequency_unit(values: Array, length: int, start: int, out: Array) -> None:
    n_freqs = values.shape[1]
    chosen = _selection(length, values.dtype, n_freqs)
    half = length // 2
    n_tiles = -(-n_freqs // chosen.n_outputs)
    places = mirrored(-half, n_tiles * chosen.n_outputs + half, n_freqs) * LANES
    values = values[start : start + out.shape[0]].reshape(-1)
    _over_frequency(
        chosen.address, chosen.table, chosen.n_outputs, values, places, n_freqs, n_tiles, out.reshape(-1)
    )


@kernel
def _over_frequency(
    address: int,
    table: Array,
    n_outputs: int,
    values: Array,
    places: Array,
    n_freqs: int,
    n_tiles: int,
    out: Array,
) -> None:
    n_frames = out.size // n_freqs
    lanes_in = np.empty(n_freqs * LANES, out.dtype)
    lanes_out = np.empty(n_tiles * n_outputs * LANES, out.dtype)
    steps = (0, n_outputs, n_outputs * LANES)
    for tile in range(0, n_frames, LANES):
        # The last block begins earlier, and so does the last column of blocks.
        first = min(tile, n_frames - LANES) * n_freqs
        for column in range(0, n_freqs, LANES):
            place = min(column, n_freqs - LANES)
            store_rows(lanes_in, place * LANES, LANES, transpose(load_rows(values, first + place, n_freqs)))
        medians(address, table, lanes_in, 0, places, 0, lanes_out, 0, LANES, n_tiles, steps)
        for column in range(0, n_freqs, LANES):
            place = min(column, n_freqs - LANES)
            store_rows(out, first + place, n_freqs, transpose(load_rows(lanes_out, place * LANES, LANES)))
