"""Which part of a long recording a report shows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dspsep import _checks
from dspsep._typing import Array
from dspsep.display.spectrogram import has_minutes, time_label
from dspsep.errors import InputError

__all__ = ["Passage", "loudest_second", "passage_of", "usual_duration"]

#: So much sound, all sounds together, is still good to hear in a page of four megabytes.
_SECONDS_OF_SOUND = 150
_SHORTEST, _LONGEST = 10, 30


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Part of a recording, in samples, and why it is that part."""

    start: int
    stop: int
    n_samples: int
    rate: float
    why: Literal["all", "asked", "loudest"]

    @property
    def seconds(self) -> tuple[float, float]:
        """Where it begins and ends."""
        return self.start / self.rate, self.stop / self.rate

    def __str__(self) -> str:
        whole = self.n_samples / self.rate
        unit = "min" if has_minutes(whole) else "s"
        start, stop = (time_label(seconds, whole) for seconds in self.seconds)
        words = f"from {start} to {stop} {unit} of {time_label(whole, whole)} {unit}"
        length = (self.stop - self.start) / self.rate
        return f"{words}, the loudest {length:.4g} s" if self.why == "loudest" else words


def usual_duration(n_sounds: int) -> float:
    """Return how many seconds a page of so many sounds shows: thirty, or less if there are more than five.

    Examples
    --------
    >>> usual_duration(5), usual_duration(9), usual_duration(100)
    (30.0, 16.0, 10.0)
    """
    return float(min(_LONGEST, max(_SHORTEST, _SECONDS_OF_SOUND // n_sounds)))


def check_passage(start: object, duration: object) -> None:
    """Refuse what can be no part of any recording."""
    if start is not None:
        _checks.number("start", start, minimum=0)
    if duration is not None:
        _checks.number("duration", duration, minimum=0, above=True)


def passage_of(
    blocks: Iterable[Array],
    n_samples: int,
    rate: float,
    n_sounds: int,
    start: object,
    duration: object,
    blocks_rate: float | None = None,
) -> Passage:
    """Return the part of a recording that a page shows.

    Parameters
    ----------
    blocks : iterable of array of shape (n_channels, n_block)
        The recording, which is read only if its loudest part is to be found.
    n_samples : int
        Of the recording.
    rate : float
        In hertz.
    n_sounds : int
        How many sounds the page has.
    start, duration : float or None
        What was asked for, in seconds.
    blocks_rate : float, optional
        Of the blocks, where it differs.

    Returns
    -------
    Passage
        Of at least one sample.

    Raises
    ------
    InputError
        If the start is behind the end, or a number is out of range.
    """
    check_passage(start, duration)
    length = usual_duration(n_sounds) if duration is None else float(duration)  # type: ignore[arg-type]
    # Of what is beyond the end no more matters, and a product may be beyond all numbers.
    count = max(1, math.floor(min(length * rate + 0.5, n_samples)))
    if start is not None:
        first = math.floor(min(float(start) * rate + 0.5, n_samples))  # type: ignore[arg-type]  # checked above
        if first >= n_samples:
            raise InputError("start", f"before the end, at {n_samples / rate:g} s", f"{start} s")
        stop = min(first + count, n_samples)
        why: Literal["all", "asked"] = "all" if (first, stop) == (0, n_samples) else "asked"
        return Passage(start=first, stop=stop, n_samples=n_samples, rate=rate, why=why)
    if count == n_samples:
        return Passage(start=0, stop=n_samples, n_samples=n_samples, rate=rate, why="all")
    first = min(round(loudest_second(blocks, blocks_rate or rate, count / rate) * rate), n_samples - count)
    return Passage(start=first, stop=first + count, n_samples=n_samples, rate=rate, why="loudest")


def loudest_second(blocks: Iterable[Array], rate: float, duration: float) -> int:
    """Return the whole second at which the loudest `duration` seconds begin, the first of several."""
    energies: list[float] = []
    at = 0
    for block in blocks:
        per_sample = np.sum(np.square(block, dtype=np.float64), axis=0)
        seconds = np.floor((at + np.arange(per_sample.size)) / rate).astype(np.int64)
        sums = np.bincount(seconds - seconds[0], weights=per_sample)
        energies += [0.0] * (int(seconds[-1]) + 1 - len(energies))
        for second, energy in enumerate(sums.tolist(), start=int(seconds[0])):
            energies[second] += energy
        at += per_sample.size
    width = max(1, math.ceil(duration))
    starts = max(1, len(energies) - width + 1)
    sums = np.array([math.fsum(energies[first : first + width]) for first in range(starts)])
    # Rounding is not loudness: of what is equally loud the first is taken.
    return int(np.flatnonzero(sums >= sums.max() * (1 - 1e-9))[0])
