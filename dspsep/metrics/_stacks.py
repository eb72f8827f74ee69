"""Several signals read side by side, one row a channel, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.metrics._signals import Signal, alike

__all__ = ["Stack"]


@dataclass(frozen=True, eq=False)
class Stack:
    """The channels of several signals of one shape, as rows: source by source, channel by channel.

    Parameters
    ----------
    signals : sequence of Signal
        Checked, and alike.
    exponent : int
        What is read is multiplied by ``2.0 ** exponent``.
    """

    signals: Sequence[Signal]
    exponent: int = 0

    @property
    def n_channels(self) -> int:
        """The channels of each signal."""
        return int(self.signals[0].array.shape[0])

    @property
    def n_rows(self) -> int:
        """The channels of all signals together."""
        return len(self.signals) * self.n_channels

    @property
    def n_samples(self) -> int:
        """The samples of each signal."""
        return int(self.signals[0].array.shape[1])

    @property
    def like(self) -> Array:
        """An array of the library, and on the device, of all of them."""
        return self.signals[0].array

    def beside(self, other: Stack) -> Stack:
        """Return the rows of both."""
        return Stack([*self.signals, *other.signals], self.exponent)

    def summed(self, name: str) -> Signal:
        """Return the sum of all signals, in double precision, under a name of its own."""
        xp = _backend.namespace(self.like)
        # The sum is made where no square can overflow, and so neither can it.
        whole = (0, self.n_samples)
        total = xp.zeros((self.n_channels, self.n_samples), dtype=xp.float64, device=self.like.device)
        for signal in self.signals:
            total += Stack([signal], self.exponent).read(*whole, whole)
        return alike([(name, _audio.times_power_of_two(total, -self.exponent))])[0]

    def read(self, start: int, stop: int, within: tuple[int, int]) -> Array:
        """Return samples `start` to `stop` of every row, (n_rows, stop - start), in double precision.

        Outside of `within`, a part of the signals, they are zero.
        """
        xp = _backend.namespace(self.like)
        rows: Array = xp.zeros((self.n_rows, stop - start), dtype=xp.float64, device=self.like.device)
        first, last = max(start, within[0]), min(stop, within[1])
        if last <= first:
            return rows
        row = 0
        for signal in self.signals:
            for channel in range(self.n_channels):
                samples = _audio.samples_of(signal.name, signal.array[channel, first:last])
                rows[row, first - start : last - start] = xp.astype(samples, xp.float64, copy=False)
                row += 1
        return _audio.times_power_of_two(rows, self.exponent) if self.exponent else rows
