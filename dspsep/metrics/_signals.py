"""Signals to be compared: checked once, then read in blocks of double precision.

A metric is a few sums over millions of samples. Reading the samples block by block lets every sum be
in double precision, whatever the audio's type, without a second copy of the audio; and one body serves
NumPy and CuPy, since only the finished sums leave the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["Signal", "alike", "centred", "require_sound", "scaling", "totals"]

#: Samples a block: in double precision half a megabyte, which stays in a core's cache, and long enough
#: for the cost of each step in Python to vanish.
BLOCK = 2**16

#: Peaks within these bounds are squared as they are: products of sums of squares stay normal numbers.
_PEAK_BOUNDS = (2.0**-200, 2.0**200)

#: What taking the mean away may leave of a constant, relative to its peak: rounding, and no sound.
_ROUNDING = 2.0**-45


@dataclass(frozen=True, eq=False)
class Signal:
    """Checked audio, kept as the caller gave it.

    Attributes
    ----------
    name : str
        What errors call it.
    array : array of shape (n_channels, n_samples)
        The caller's samples, of the caller's type.
    peak : float
        The largest absolute sample, integers being read as fractions of full scale.
    offsets : tuple of float
        What is taken away from each channel when it is read.
    """

    name: str
    array: Array
    peak: float = 0.0
    offsets: tuple[float, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear: every sample is zero."""
        return self.peak == 0

    def blocks(self, exponent: int = 0) -> Iterator[Array]:
        """Read the samples times ``2.0 ** exponent``: blocks (n,) in double precision, channel by channel."""
        xp = _backend.namespace(self.array)
        for channel, raw in self._slices():
            block = xp.astype(_audio.samples_of(self.name, raw), xp.float64, copy=False)
            if self.offsets:
                block = block - self.offsets[channel]
            if exponent:
                # In two steps, because 2.0**exponent itself can leave the range of double precision.
                block = (block * 2.0 ** (exponent // 2)) * 2.0 ** (exponent - exponent // 2)
            yield block

    def _slices(self) -> Iterator[tuple[int, Array]]:
        n_channels, n_samples = self.array.shape
        for channel in range(n_channels):
            for start in range(0, n_samples, BLOCK):
                # The end in so many words: not every array library cuts a slice short by itself.
                yield channel, self.array[channel, start : min(start + BLOCK, n_samples)]


def alike(named: Iterable[tuple[str, object]]) -> list[Signal]:
    """Check that audio is real, finite, of one shape and in one library, and return it as signals."""
    arrays = [(name, _backend.as_array(name, audio)) for name, audio in named]
    for name, array in arrays:
        _audio.check_shape(name, array)
    _backend.namespace(*(array for _, array in arrays))
    first_name, first = arrays[0]
    for name, array in arrays:
        if array.shape != first.shape:
            raise InputError(
                name,
                f"of the shape of {first_name}, {tuple(first.shape)}",
                f"shape {tuple(array.shape)}",
                "Samples are compared one by one: cut or pad to the same length, and keep the same channels.",
            )
    return [_measured(Signal(name, array if array.ndim == 2 else array[None, :])) for name, array in arrays]


def _measured(signal: Signal) -> Signal:
    """Return the signal with its peak; refuse NaN and infinity, which every maximum lets through."""
    xp = _backend.namespace(signal.array)
    peaks = _backend.to_host(xp.stack([xp.max(xp.abs(block)) for block in signal.blocks()]))
    if not np.isfinite(peaks).all():
        _refuse_non_finite(signal, int(np.argmin(np.isfinite(peaks))))
    return replace(signal, peak=float(peaks.max()))


def _refuse_non_finite(signal: Signal, block: int) -> None:
    n_samples = signal.array.shape[1]
    channel, index = divmod(block, -(-n_samples // BLOCK))
    start = index * BLOCK
    samples = _backend.to_host(signal.array[channel, start : min(start + BLOCK, n_samples)])
    sample = start + int(np.argmin(np.isfinite(samples)))
    raise InputError(
        signal.name,
        "finite",
        f"NaN or infinity, first in channel {channel} at sample {sample}",
        "Find out where they come from: a score of the rest would hide them.",
    )


def require_sound(reference: Signal) -> None:
    """Refuse a reference that no ratio can be taken to."""
    if reference.silent:
        raise InputError(
            reference.name,
            "audible",
            "a constant, which is silence without its mean" if reference.offsets else "silence",
            "A ratio to silence is undefined: leave this source out, or score a part in which it sounds.",
        )


def centred(signal: Signal) -> Signal:
    """Return the signal without the mean of each channel; a constant becomes silent."""
    xp = _backend.namespace(signal.array)
    exponent = scaling(signal.peak)
    sums = _backend.to_host(xp.stack([xp.sum(block) for block in signal.blocks(exponent)]))
    n_channels, n_samples = signal.array.shape
    means = [math.fsum(row) / n_samples for row in sums.reshape(n_channels, -1).tolist()]
    shifted = _measured(replace(signal, offsets=tuple(math.ldexp(mean, -exponent) for mean in means)))
    # What taking the mean away leaves of a constant is rounding, and must not be scored as if it were sound.
    return replace(shifted, peak=0.0) if shifted.peak <= _ROUNDING * signal.peak else shifted


def scaling(peak: float) -> int:
    """Return the power of two to read a signal with, so that squares neither overflow nor vanish."""
    if peak == 0 or _PEAK_BOUNDS[0] <= peak <= _PEAK_BOUNDS[1]:
        return 0
    return -math.frexp(peak)[1]


def totals(rows: Iterable[tuple[Array, ...]]) -> list[float]:
    """Add up columns of zero-dimensional arrays, a row a block: exactly, and in one trip from the device."""
    stacked = [_backend.namespace(*row).stack(row) for row in rows]
    table = _backend.to_host(_backend.namespace(stacked[0]).stack(stacked))
    return [math.fsum(column) for column in table.T.tolist()]
