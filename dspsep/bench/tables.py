"""The results table of a paper: methods by sources and metrics, with bounds, gaps and failures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np

from dspsep import _checks
from dspsep.bench.results import BenchmarkResults
from dspsep.errors import InputError
from dspsep.metrics._aggregation import OVER_TRACKS, over_tracks
from dspsep.metrics._tables import Cell, Table, csv_text
from dspsep.metrics._track_scores import described, position

__all__ = ["BenchmarkTable", "mixture_of", "some", "table"]

_COLUMNS = (
    "method", "kind", "source", "metric", "score", "tracks", "of_tracks", "undefined", "failed", "unfit",
    "missing", "comparable", "matching", "gain", "over_tracks", "protocol",
)  # fmt: skip

#: Of these columns of counts, those stand in a table that are not all zero.
_COUNTS = ("undefined", "failed", "unfit", "missing")

#: Bounds from below come first, those from above last.
_ORDER = {"mixture": 0, "separator": 1, "oracle": 2}


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class BenchmarkTable:
    """What `table` returns: a row for each method, a column for each source and metric.

    It prints as a table, in notebooks, too. The mixture stands above the separators, oracles stand below
    them, and what is best of a column among the separators is bold: of those only that were scored on every
    track that any of them, or the mixture, was scored on. Numbers of different tracks cannot be compared.

    Parameters
    ----------
    cells : tuple of mappings
        What `records` gives, read-only.
    caption : str
        How the numbers came about, in a line.

    See Also
    --------
    table : Makes it.
    compare : Tells whether a difference is more than chance.

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
    >>> table = dspsep.bench.table(results, metrics="SI-SDR")
    >>> sorted({cell["method"] for cell in table.records()})
    ['NMFD', 'mixture']
    """

    cells: tuple[Mapping[str, Any], ...]
    caption: str

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each method, source and metric.

        Returns
        -------
        list of dict
            With ``method``, ``kind``, ``source``, ``metric``, ``score`` (in decibels), ``tracks`` (that it
            is of, of ``of_tracks``), ``undefined`` (tracks among those that are left out, since the metric
            has no value), ``failed``, ``unfit`` and ``missing`` tracks, ``comparable`` (whether no method
            but oracles has other tracks), ``matching`` ("best" where scores decided which estimate is which
            source), ``gain`` (over the mixture, or not), ``over_tracks`` and ``protocol``.
        """
        return [dict(cell) for cell in self.cells]

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
        r"""Return the table as a LaTeX ``tabular`` that needs no package, names escaped.

        Parameters
        ----------
        digits : int, default=2
            Decimals of the scores, in decibels.

        Returns
        -------
        str
            The environment, bounds ruled off, and a comment above it that says how the numbers came about.
        """
        return self._table(digits).latex()

    def to_csv(self) -> str:
        """Return the records as the text of a CSV file.

        Returns
        -------
        str
            A header and the rows of `records`, numbers with all their digits, undefined ones empty. Nothing
            in it is taken for a formula by a spreadsheet.
        """
        return csv_text(_COLUMNS, self.cells)

    def _table(self, digits: int) -> Table:
        digits = _checks.integer("digits", digits, minimum=0, maximum=17)
        columns = list(dict.fromkeys((cell["source"], cell["metric"]) for cell in self.cells))
        by_method: dict[str, list[Mapping[str, Any]]] = {}
        for cell in self.cells:
            by_method.setdefault(cell["method"], []).append(cell)
        counts = [name for name in _COUNTS if any(cell[name] for cell in self.cells)]
        rows: list[tuple[Cell, ...]] = []
        apart = set()
        kind = next(iter(self.cells))["kind"]
        for cells in by_method.values():
            if cells[0]["kind"] != kind:
                kind = cells[0]["kind"]
                apart.add(len(rows))
            label = f"{cells[0]['method']} (oracle)" if kind == "oracle" else cells[0]["method"]
            scores = [float(cell["score"]) for cell in cells]
            numbers = [max(cell[name] for cell in cells) for name in ("tracks", *counts)]
            rows.append((label, *scores, *numbers))
        header = ("method", *(f"{source} {metric}" for source, metric in columns), "tracks", *counts)
        bold = frozenset(
            (row, 1 + column) for column, key in enumerate(columns) for row in self._best(key, digits)
        )
        return Table(
            header=header, rows=tuple(rows), caption=self.caption, digits=digits, bold=bold,
            apart=frozenset(apart),
        )  # fmt: skip

    def _best(self, column: tuple[str, str], digits: int) -> list[int]:
        """Return the rows that are best of a column: several where they print alike."""
        cells = [cell for cell in self.cells if (cell["source"], cell["metric"]) == column]
        able = {
            row: round(cell["score"], digits)
            for row, cell in enumerate(cells)
            if cell["kind"] == "separator" and cell["comparable"] and not math.isnan(cell["score"])
        }
        return [row for row, score in able.items() if score == max(able.values())]

    def __str__(self) -> str:
        return self._table(2).text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table(2).html()


def table(
    results: BenchmarkResults,
    *,
    metrics: Sequence[str] | str | None = None,
    sources: Sequence[str] | str | None = None,
    methods: Sequence[str] | str | None = None,
    gain: bool = False,
    common: bool = False,
    over: str | None = None,
) -> BenchmarkTable:
    """Return the table of a benchmark: methods by sources and metrics.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    metrics, sources, methods : sequence of str, optional
        Which, and sources and metrics in which order; all, unless given.
    gain : bool, default=False
        Show what each method gains over the untouched mixture, track by track, instead of its scores.
    common : bool, default=False
        Use only the tracks on which all methods of the table have scores. Methods that have none at all do
        not count. Otherwise each number is of the tracks that its method has, which the table counts.
    over : {"median", "mean", "weighted mean"}, optional
        How tracks become one number, if not as the protocol says.

    Returns
    -------
    BenchmarkTable
        It prints, and becomes Markdown, LaTeX and CSV.

    Raises
    ------
    InputError
        If nothing has scores, if there is no such name, if `gain` has no mixture to compare with, or if
        tracks were scored for different sets of sources (see `BenchmarkResults.with_sources`).

    See Also
    --------
    compare_all : Whether differences to a baseline are more than chance.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, table
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> print(table(results, metrics="SDR", gain=True).to_latex())  # doctest: +SKIP
    """
    columns = [
        (source, metric)
        for source in some("sources", sources, results.sources)
        for metric in some("metrics", metrics, results.metrics)
    ]
    rows = sorted(some("methods", methods, results.methods), key=lambda name: _ORDER[results.kind(name)])
    protocol = results.done[0].scores.protocol  # type: ignore[union-attr]  # what is done has scores
    way = str(protocol["over_tracks"]) if over is None else _checks.choice("over", over, OVER_TRACKS)
    values = _values(results, rows, columns, gain=gain, common=common)
    same = _same(results, rows, columns, values)
    how = described(protocol)
    cells = []
    for method in rows:
        state = _state(results, method)
        for source, metric in columns:
            found = values[method, source, metric]
            scores = np.array(list(found.values()))
            row = {
                "method": method,
                "kind": results.kind(method),
                "source": source,
                "metric": metric,
                "score": over_tracks(scores, _durations(results, method, found), way),
                "tracks": len(found),
                "of_tracks": len(results.tracks),
                "undefined": int(np.isnan(scores).sum()),
                **state,
                "comparable": same.get((method, source, metric), False),
                "gain": gain,
                "over_tracks": way,
                "protocol": how,
            }
            cells.append(MappingProxyType(row))
    blind = list(dict.fromkeys(cell["method"] for cell in cells if cell["matching"] == "best"))
    caption = _caption(results, how, way, blind, gain=gain, common=common, cells=cells)
    return BenchmarkTable(cells=tuple(cells), caption=caption)


def some(kind: str, wanted: Sequence[str] | str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that were asked for, checked; all for None."""
    if not names:
        raise InputError("results", "at least one scored track", "none", "Look at `failed` and `unfit`.")
    chosen = names if wanted is None else (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not chosen:
        raise InputError(kind, "at least one name", "none")
    for name in chosen:
        position(kind, name, names)
    return tuple(dict.fromkeys(chosen))


def mixture_of(results: BenchmarkResults) -> str:
    """Return the name of the untouched mixture among the methods."""
    for method in results.asked_methods:
        if method.kind == "mixture":
            return method.name
    raise InputError(
        "results",
        "with the untouched mixture among the methods",
        f"{', '.join(results.methods)}"[:200],
        "Run the benchmark with its baselines, or name another method to compare with.",
    )


_Values = dict[tuple[str, str, str], dict[str, float]]


def _values(
    results: BenchmarkResults, methods: Sequence[str], columns: Sequence[tuple[str, str]], *, gain: bool,
    common: bool,
) -> _Values:  # fmt: skip
    """Return what each method, source and metric has, by track."""
    values: _Values = {}
    for source, metric in columns:
        base = results.values(mixture_of(results), source, metric) if gain else None
        for method in methods:
            found = results.values(method, source, metric)
            if base is not None:
                found = {name: found[name] - base[name] for name in found if name in base}
            values[method, source, metric] = found
        if common:
            having = [values[method, source, metric] for method in methods]
            shared = [set(found) for found in having if found]
            kept = set.intersection(*shared) if shared else set()
            for method in methods:
                found = values[method, source, metric]
                values[method, source, metric] = {name: found[name] for name in found if name in kept}
    return values


def _durations(results: BenchmarkResults, method: str, tracks: Mapping[str, float]) -> Any:
    scores = (results.all_records[method, track].scores for track in tracks)
    return np.array([one.tracks[0].duration for one in scores if one is not None])


def _state(results: BenchmarkResults, method: str) -> dict[str, Any]:
    """Return how many tracks of a method are not there, and how its estimates were matched."""
    records = [results.all_records.get((method, track)) for track in results.tracks]
    there = [record for record in records if record is not None]
    statuses = [record.status for record in there]
    blind = any(record.matching == "best" for record in there if record.scores)
    return {
        "failed": statuses.count("failed"),
        "unfit": statuses.count("unfit"),
        "missing": len(records) - len(there),
        "matching": "best" if blind else "name",
    }


def _same(
    results: BenchmarkResults, methods: Sequence[str], columns: Sequence[tuple[str, str]], values: _Values
) -> dict[tuple[str, str, str], bool]:
    """Tell which numbers are of all tracks that any number beside them is of, oracles apart."""
    same: dict[tuple[str, str, str], bool] = {}
    able = [method for method in methods if results.kind(method) != "oracle"]
    for column in columns:
        found = {
            method: {name for name, value in values[(method, *column)].items() if not math.isnan(value)}
            for method in able
        }
        everything = set().union(*found.values())
        same |= {(method, *column): tracks == everything for method, tracks in found.items()}
    return same


def _caption(
    results: BenchmarkResults, protocol: str, way: str, blind: Sequence[str], *, gain: bool, common: bool,
    cells: Sequence[Mapping[str, Any]],
) -> str:  # fmt: skip
    n_tracks = len(results.tracks)
    of = "1 track" if n_tracks == 1 else f"{n_tracks} tracks"
    if common:
        n_common = max(cell["tracks"] for cell in cells)
        of = f"the {n_common} of {of} that all methods with scores have"
    parts = [
        f"{protocol}: {'gain over the mixture, ' if gain else ''}{way} over {of}; in dB",
    ]
    partly = any(cell["tracks"] < cell["of_tracks"] for cell in cells) and not common
    parts.append(
        "numbers are of as many tracks as their row says; bold: the best of those on all, bounds apart"
        if partly
        else "bold: the best, bounds apart"
    )
    if blind:
        parts.append(f"estimates matched with sources by score: {', '.join(blind)}")
    return "; ".join(parts)
