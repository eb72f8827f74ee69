"""What comparisons of methods are: values that print as sentences and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from dspsep import _checks
from dspsep.metrics._tables import Table, csv_text, visible

__all__ = ["Comparison", "Comparisons"]

_COLUMNS = (
    "method", "against", "source", "metric", "statistic", "difference", "low", "high", "confidence",
    "interval", "wins", "ties", "losses", "p", "p_adjusted", "test", "tracks", "of_tracks", "undefined",
    "reason",
)  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one method does against another, track by track.

    Parameters
    ----------
    method, against : str
        What is compared; differences are `method` minus `against`.
    source, metric : str
        What of.
    statistic : str
        "median" or "mean": what `difference` is of the differences.
    difference : float
        In decibels.
    low, high : float
        The interval of confidence around it; NaN if there are too few tracks for one.
    confidence : float
        Of that interval: 0.95 for 95 %.
    interval : str
        How it was found.
    wins, ties, losses : int
        Tracks on which the method is better, equal and worse.
    p : float
        Of the Wilcoxon signed-rank test, two-sided; NaN if it would mean nothing.
    p_adjusted : float
        The same after Holm's correction for all comparisons that were made together; NaN for one alone.
    test : str
        How `p` was found.
    tracks, of_tracks : int
        The number of tracks that were compared, and of all.
    undefined : int
        Tracks that both have and that are left out, since a difference is not defined.
    reason : str
        Why there is no `p`, or no interval; empty if there are.

    See Also
    --------
    compare : Makes it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> loops = [dspsep.data.scenes.drum_loop(duration=1.0, seed=seed) for seed in (0, 1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tracks = []
    ...     for number, loop in enumerate(loops):
    ...         files = loop.sources.save(Path(folder) / str(number), format="wav")
    ...         tracks.append(dspsep.data.Track(name=str(number), sources=files))
    ...     results = dspsep.run_benchmark(
    ...         ["NMFD"], tracks, Path(folder) / "results", protocol="scale_invariant", baselines=["mixture"]
    ...     )
    >>> comparison = dspsep.bench.compare(results, "NMFD", "mixture", metric="SI-SDR", source="kick")
    >>> comparison.wins, comparison.losses
    (2, 0)
    """

    method: str
    against: str
    source: str
    metric: str
    statistic: str
    difference: float
    low: float
    high: float
    confidence: float
    interval: str
    wins: int
    ties: int
    losses: int
    p: float
    p_adjusted: float
    test: str
    tracks: int
    of_tracks: int
    undefined: int
    reason: str

    def __str__(self) -> str:
        percent = f"{100 * self.confidence:g} %"
        between = f" ({percent} interval {self.low:+.2f} to {self.high:+.2f} dB, {self.interval})"
        chance = f"{self.test}: p = {self.p:.2g}" + (
            "" if math.isnan(self.p_adjusted) else f", {self.p_adjusted:.2g} after Holm's correction"
        )
        return visible(
            f"{self.method} against {self.against}, {self.metric} of {self.source}: "
            f"{self.difference:+.2f} dB in the {self.statistic}"
            f"{'' if math.isnan(self.low) else between}; "
            f"{self.wins} won, {self.ties} equal, {self.losses} lost on {self.tracks} of {self.of_tracks} "
            f"tracks; {self.reason if math.isnan(self.p) else chance}."
        )


@final
@dataclass(frozen=True, eq=False, repr=False)
class Comparisons:
    """Several methods against one baseline: what `compare_all` returns.

    It prints as a table, in notebooks, too.

    Parameters
    ----------
    items : tuple of Comparison
        At least one, of one source and metric, on the same tracks.

    See Also
    --------
    compare_all : Makes it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> loops = [dspsep.data.scenes.drum_loop(duration=1.0, seed=seed) for seed in (0, 1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tracks = []
    ...     for number, loop in enumerate(loops):
    ...         files = loop.sources.save(Path(folder) / str(number), format="wav")
    ...         tracks.append(dspsep.data.Track(name=str(number), sources=files))
    ...     results = dspsep.run_benchmark(
    ...         ["NMFD"], tracks, Path(folder) / "results", protocol="scale_invariant", baselines=["mixture"]
    ...     )
    >>> against_mixture = dspsep.bench.compare_all(results, metric="SI-SDR", source="kick")
    >>> [comparison.method for comparison in against_mixture]
    ['NMFD']
    """

    items: tuple[Comparison, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Comparison:
        return self.items[index]

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.items)

    def records(self) -> list[dict[str, Any]]:
        """Return the attributes of each comparison as a dictionary."""
        return [{name: getattr(item, name) for name in _COLUMNS} for item in self.items]

    def to_markdown(self, *, digits: int = 2) -> str:
        """Return the table in GitHub's Markdown, names escaped.

        Parameters
        ----------
        digits : int, default=2
            Decimals of the differences, in decibels.

        Returns
        -------
        str
            Header, rows, and a line that says how they came about.
        """
        return self._table(digits).markdown()

    def to_latex(self, *, digits: int = 2) -> str:
        """Return the table as a LaTeX ``tabular`` that needs no package, names escaped.

        Parameters
        ----------
        digits : int, default=2
            Decimals of the differences, in decibels.

        Returns
        -------
        str
            The environment, and a comment above it that says how the numbers came about.
        """
        return self._table(digits).latex()

    def to_csv(self) -> str:
        """Return the records as the text of a CSV file, numbers with all their digits."""
        return csv_text(_COLUMNS, self.records())

    def _table(self, digits: int) -> Table:
        digits = _checks.integer("digits", digits, minimum=0, maximum=17)
        first = self.items[0]
        numbers = ("difference", "low", "high", "wins", "ties", "losses", "tracks")
        rows = tuple(
            (one.method, *(getattr(one, name) for name in numbers), _p(one.p), _p(one.p_adjusted))
            for one in self.items
        )
        reasons = dict.fromkeys(one.reason for one in self.items if one.reason)
        tests = dict.fromkeys(one.test for one in self.items if one.test)
        parts = [
            f"{first.metric} of {first.source}: {first.statistic} difference to {first.against} in dB, with "
            f"intervals of {100 * first.confidence:g} %",
            *dict.fromkeys(one.interval for one in self.items if one.interval),
            *tests,
            f"Holm's correction for {sum(not math.isnan(one.p) for one in self.items)} tests",
            f"of {first.of_tracks} track{'' if first.of_tracks == 1 else 's'} those that all of these methods"
            " have",
            *reasons,
        ]
        header = ("method", "difference", "from", "to", "won", "equal", "lost", "tracks", "p", "p (Holm)")
        return Table(header=header, rows=rows, caption="; ".join(parts), digits=digits)

    def __str__(self) -> str:
        return self._table(2).text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table(2).html()


def _p(value: float) -> str:
    """Return a p-value with two digits that count."""
    return "–" if math.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.2g}"
