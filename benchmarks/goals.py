"""What should be reached: a ratio over rivals, a time, a peak of memory, a growth. The page says which are.

All of them are somebody's: of the first contender, unless they say `of` whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from benchmarks.figures import digits, megabytes, seconds
from benchmarks.harness import Record, ratios, summary

if TYPE_CHECKING:
    from benchmarks.results import ComparisonResult, Growth

__all__ = ["Goal", "Limit", "Linear", "PeakLimit", "PeakMultiple", "Target", "Verdict", "Within", "times"]


class Verdict(NamedTuple):
    """What was measured, beside whom or what, and whether that is enough; None if it was not measured."""

    measured: str = "–"
    beside: str = "–"
    met: bool | None = None


class Target(Protocol):
    """What every kind of goal has."""

    @property
    def of(self) -> str | None:
        """The contender whose goal it is; None for the first."""

    @property
    def over(self) -> tuple[str, ...] | None:
        """The rivals it names."""

    def __str__(self) -> str:
        """Return what is wanted."""

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """Compare what is wanted with what was measured."""


def times(record: Record, threads: int) -> tuple[float, ...]:
    """Return the times that are compared: of the processor, or on the wall with several threads."""
    return record.cpu if threads == 1 else record.wall


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How many times as long as a contender its rivals must take.

    Parameters
    ----------
    at_least : float
        The least ratio.
    over : tuple of str, optional
        The rivals, by name. By default all others: the contender must beat the best.
    of : str, optional
        The contender.
    """

    at_least: float
    over: tuple[str, ...] | None = None
    of: str | None = None

    def __str__(self) -> str:
        return f"≥ {self.at_least:g} ×"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        records = {record.contender: record for record in measured.records}
        rivals = [name for name in records if name != whose and (self.over is None or name in self.over)]
        if whose not in records or not rivals:
            return Verdict()
        ours = times(records[whose], threads)
        found = {name: ratios(times(records[name], threads), ours).median for name in rivals}
        best = min(found, key=lambda name: found[name])
        return Verdict(f"{digits(found[best])} ×", best, found[best] >= self.at_least)


@dataclass(frozen=True, kw_only=True)
class Within:
    """How many times as long as a bound a contender may take.

    Parameters
    ----------
    at_most : float
        The largest ratio.
    bound : str
        The contender that does nothing but what cannot be spared.
    of : str, optional
        The contender.
    """

    at_most: float
    bound: str
    of: str | None = None

    @property
    def over(self) -> tuple[str, ...]:
        """The bound."""
        return (self.bound,)

    def __str__(self) -> str:
        return f"≤ {self.at_most:g} × {self.bound}"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        records = {record.contender: record for record in measured.records}
        if whose not in records or self.bound not in records:
            return Verdict()
        ratio = ratios(times(records[whose], threads), times(records[self.bound], threads)).median
        return Verdict(f"{digits(ratio)} ×", self.bound, ratio <= self.at_most)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many seconds on the wall a contender may take."""

    at_most: float
    of: str | None = None
    over: ClassVar[None] = None

    def __str__(self) -> str:
        return f"≤ {self.at_most:g} s"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        found = [summary(record.wall).median for record in measured.records if record.contender == whose]
        return Verdict(seconds(found[0]), "–", found[0] <= self.at_most) if found else Verdict()


@dataclass(frozen=True, kw_only=True)
class PeakLimit:
    """How many megabytes a contender may come to hold, at the greatest length that was measured."""

    at_most: float
    of: str | None = None
    over: ClassVar[None] = None

    def __str__(self) -> str:
        return f"≤ {self.at_most:g} MB"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        points = _growth(measured, whose)
        if not points:
            return Verdict()
        peak = summary(points[-1].peak_bytes).median
        return Verdict(megabytes(peak), f"{points[-1].seconds:g} s of audio", peak <= 1e6 * self.at_most)


@dataclass(frozen=True, kw_only=True)
class PeakMultiple:
    """How many times the size of something a contender may come to hold, at the greatest length.

    Parameters
    ----------
    at_most : float
        The largest multiple.
    what : str
        The name of it.
    bytes_per_second : float
        The size of it for a second of audio.
    of : str, optional
        The contender.
    """

    at_most: float
    what: str
    bytes_per_second: float
    of: str | None = None
    over: ClassVar[None] = None

    def __str__(self) -> str:
        return f"memory ≤ {self.at_most:g} × {self.what}"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        points = _growth(measured, whose)
        if not points:
            return Verdict()
        size = self.bytes_per_second * points[-1].seconds
        multiple = summary(points[-1].peak_bytes).median / size
        return Verdict(
            f"{digits(multiple)} ×", f"{points[-1].seconds:g} s of audio", multiple <= self.at_most
        )


@dataclass(frozen=True, kw_only=True)
class Linear:
    """How many times as long a second of audio may take at the greatest length as at the least."""

    at_most: float
    of: str | None = None
    over: ClassVar[None] = None

    def __str__(self) -> str:
        return f"≤ {self.at_most:g} × per second of audio"

    def verdict(self, measured: ComparisonResult, whose: str, threads: int) -> Verdict:
        """See `Target`."""
        points = _growth(measured, whose)
        if len(points) < 2:
            return Verdict()
        least, *_, greatest = points
        at_least, at_greatest = (
            summary(point.cpu if threads == 1 else point.wall).median / point.seconds
            for point in (least, greatest)
        )
        ratio = at_greatest / at_least
        beside = f"{greatest.seconds:g} s beside {least.seconds:g} s"
        return Verdict(f"{digits(ratio)} ×", beside, ratio <= self.at_most)


def _growth(measured: ComparisonResult, whose: str) -> list[Growth]:
    """Return what was measured of a contender alone, from the least length to the greatest."""
    points = [point for point in measured.growth if point.contender == whose]
    return sorted(points, key=lambda point: point.seconds)
