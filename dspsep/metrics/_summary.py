"""A set of scores as a table: one number for each source and metric, its spread, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np

from dspsep import _checks
from dspsep.errors import InputError
from dspsep.metrics import _aggregation
from dspsep.metrics._tables import Cell, Table
from dspsep.metrics._track_scores import TrackScores, described, position

__all__ = ["Summary", "headlines", "summarise"]

_COLUMNS = {
    "source": "source",
    "metric": "metric",
    "score": "score",
    "median": "median",
    "mean": "mean",
    "std": "std",
    "min": "min",
    "max": "max",
    "n_tracks": "tracks",
    "n_undefined": "undefined",
    "n_windows": "windows",
    "n_dropped": "dropped",
}


@final
@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What `Scores.summary` returns: rows for each source and metric, which print as a table.

    Parameters
    ----------
    rows : tuple of mappings
        One for each source and metric, with these entries:

        ``source``, ``metric``
            The names.
        ``score``
            The headline: windows become a score for each track by `over_windows`, tracks become one number
            by `over_tracks`.
        ``median``, ``mean``, ``std``, ``min``, ``max``
            The spread over what ``statistics_over`` says. The deviation is that of a sample (n - 1), and NaN
            for fewer than two values, and where one is infinite.
        ``n_tracks``, ``n_undefined``
            The number of tracks, and of those among them without any defined value.
        ``n_windows``, ``n_dropped``
            The number of windows of all tracks, and of those among them that are undefined and left out.
    protocol : str
        The name of the protocol and its settings, in a line.
    over_windows : str
        "median" or "mean".
    over_tracks : str
        "median", "mean" or "weighted mean".
    statistics_over : str
        "tracks" where there is more than one, else "windows".

    See Also
    --------
    Scores.summary : Makes it.

    Notes
    -----
    A median of medians hides failures: half of the tracks can fail without a trace in it. That is what the
    spread and the counts are beside it for.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import evaluate
    >>> sources = {"low": np.sin(np.arange(8000) / 50), "high": np.sin(np.arange(8000) / 5)}
    >>> summary = evaluate(sources, sources, 8000, "scale_invariant").summary()
    >>> summary.rows[0]["source"], summary.statistics_over
    ('low', 'windows')
    """

    rows: tuple[Mapping[str, Any], ...]
    protocol: str
    over_windows: str
    over_tracks: str
    statistics_over: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.rows[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries, each with how it was aggregated."""
        how = {
            "protocol": self.protocol,
            "over_windows": self.over_windows,
            "over_tracks": self.over_tracks,
            "statistics_over": self.statistics_over,
        }
        return [{**row, **how} for row in self.rows]

    def to_markdown(self, *, digits: int = 2) -> str:
        """Return the table in GitHub's Markdown, names escaped.

        Parameters
        ----------
        digits : int, default=2
            Decimals of the scores, in decibels.

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
            Decimals of the scores, in decibels.

        Returns
        -------
        str
            The environment, and a comment above it that says how the numbers came about.
        """
        return self._table(digits).latex()

    def _table(self, digits: int) -> Table:
        digits = _checks.integer("digits", digits, minimum=0, maximum=17)
        rows = tuple(tuple(row[key] for key in _COLUMNS) for row in self.rows)
        n_tracks = self.rows[0]["n_tracks"]
        ways = self.over_windows, self.over_tracks
        how = _caption(self.protocol, *ways, n_tracks, max(row["n_windows"] for row in self.rows))
        return Table(
            header=tuple(_COLUMNS.values()),
            rows=rows,
            caption=f"{how}; median to max are over {self.statistics_over}; in dB",
            digits=digits,
        )

    def __str__(self) -> str:
        return self._table(2).text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table(2).html()

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled; the dict inside it can.
        rows = tuple(dict(row) for row in self.rows)
        return Summary, (rows, self.protocol, self.over_windows, self.over_tracks, self.statistics_over)


def _caption(protocol: str, over_windows: str, over_tracks: str, n_tracks: int, n_windows: int) -> str:
    """Return how numbers came about, in one line."""
    windows = f"{over_windows} over windows, " if n_windows > n_tracks else ""
    return f"{protocol}: {windows}" + (
        "1 track" if n_tracks == 1 else f"{over_tracks} over {n_tracks} tracks"
    )


def summarise(tracks: tuple[TrackScores, ...], over_windows: str, over_tracks: str) -> Summary:
    """Return a row for each source and metric of the first track, which all others have, too."""
    lengths = np.array([track.duration for track in tracks])
    first = tracks[0]
    rows = []
    for source in first.sources:
        for metric in first.metrics:
            windows = [track.windows(source, metric) for track in tracks]
            scores = np.array([_aggregation.over_windows(values, over_windows) for values in windows])
            together = np.concatenate(windows)
            row: dict[str, Cell] = {
                "source": source,
                "metric": metric,
                "score": _aggregation.over_tracks(scores, lengths, over_tracks),
                **_aggregation.spread(scores if len(tracks) > 1 else together),
                "n_tracks": len(tracks),
                "n_undefined": sum(not _aggregation.defined(values).size for values in windows),
                "n_windows": together.size,
                "n_dropped": together.size - _aggregation.defined(together).size,
            }
            rows.append(MappingProxyType(row))
    over = "tracks" if len(tracks) > 1 else "windows"
    return Summary(tuple(rows), described(first.protocol), over_windows, over_tracks, over)


def headlines(tracks: tuple[TrackScores, ...], metrics: Sequence[str] | str | None, digits: int) -> Table:
    """Return a table of headline numbers: a row for each source, a column for each metric."""
    first = tracks[0]
    chosen = first.metrics if metrics is None else (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not chosen:
        raise InputError("metrics", "at least one name", "none")
    for metric in chosen:
        position("metrics", metric, first.metrics)
    ways = str(first.protocol["over_windows"]), str(first.protocol["over_tracks"])
    n_windows = sum(track.n_windows for track in tracks)
    found = {(row["source"], row["metric"]): row["score"] for row in summarise(tracks, *ways)}
    rows = []
    for source in first.sources:
        windows = np.concatenate([[one.windows(source, name) for name in chosen] for one in tracks], axis=1)
        dropped = int(np.isnan(windows).any(axis=0).sum())
        rows.append((source, *(found[source, name] for name in chosen), windows.shape[1], dropped))
    return Table(
        header=("source", *chosen, "windows", "dropped"),
        rows=tuple(rows),
        caption=f"{_caption(described(first.protocol), *ways, len(tracks), n_windows)}; in dB",
        digits=_checks.integer("digits", digits, minimum=0, maximum=17),
    )
