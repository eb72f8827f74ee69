"""What a benchmark found: scores of methods on tracks, and which of them are not there."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar, final

from dspsep.bench import _folder
from dspsep.bench._folder import BenchmarkMethod, BenchmarkTrack, Record, Timing
from dspsep.errors import BackendError, InputError
from dspsep.metrics import Scores
from dspsep.metrics._aggregation import over_windows
from dspsep.metrics._track_scores import listed, position

__all__ = ["BenchmarkMethod", "BenchmarkResults", "BenchmarkTrack", "Record", "Timing"]

_COLUMNS = ("method", "kind", "track", "status", "source", "estimate", "metric", "score", "message")


_Item = TypeVar("_Item")


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class BenchmarkResults:
    """The results of a benchmark: what was asked, and what became of every method on every track.

    Read by `load`. Nothing in it is ever changed, nor anything in the folder.

    Parameters
    ----------
    folder : Path
        Where they are.
    version : str
        The version of dspsep that made them.
    protocol : str
        How they were scored, as the protocol prints.
    seed : int, optional
        What random numbers began with.
    asked_methods : tuple of BenchmarkMethod
        In their order, oracles and the mixture among them.
    asked_tracks : tuple of BenchmarkTrack
        In their order.
    all_records : mapping of pairs of str to Record
        What became of each method and track, by their names.
    all_times : mapping of pairs of str to Timing
        How long it took, where that is known.
    n_others : int
        The number of records of methods or tracks that were not asked for, from an earlier run in the same
        folder. They are not used.

    See Also
    --------
    table : Methods by sources and metrics, for a paper.
    compare : Whether the difference of two methods is more than chance.

    Notes
    -----
    A benchmark that was interrupted can be loaded as well: what is not there yet is `missing`, and tables say
    how many tracks each number is of.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> loop = dspsep.data.scenes.drum_loop(duration=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = loop.sources.save(Path(folder) / "loop", format="wav")
    ...     track = dspsep.data.Track(name="loop", sources=files)
    ...     results = dspsep.run_benchmark(
    ...         ["NMFD"], track, Path(folder) / "results", protocol="scale_invariant", baselines=["mixture"]
    ...     )
    >>> results.methods, results.tracks
    (('mixture', 'NMFD'), ('loop',))
    """

    folder: Path
    version: str
    protocol: str
    seed: int | None
    asked_methods: tuple[BenchmarkMethod, ...]
    asked_tracks: tuple[BenchmarkTrack, ...]
    all_records: Mapping[tuple[str, str], Record]
    all_times: Mapping[tuple[str, str], Timing] = field(default_factory=dict)
    n_others: int = 0

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read a results folder.

        Parameters
        ----------
        folder : path
            What `dspsep bench run -o` wrote to.

        Returns
        -------
        BenchmarkResults
            All that is there. Files are checked in full, since they may come from anyone, and are only read.

        Raises
        ------
        InputError
            If the folder holds no benchmark, or a file in it is not what a benchmark writes; the error names
            the file, and says what to do.
        """
        root = Path(folder)
        asked = _folder.listing(root)
        found, n_others = _folder.gathered(root, asked)
        times = {(one.method, one.track): one for one in _folder.timings(root)}
        return cls(
            folder=root,
            version=asked.version,
            protocol=asked.protocol,
            seed=asked.seed,
            asked_methods=asked.methods,
            asked_tracks=asked.tracks,
            all_records=MappingProxyType(found),
            all_times=MappingProxyType({key: time for key, time in times.items() if key in found}),
            n_others=n_others,
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods, in the order they were asked for."""
        return tuple(method.name for method in self.asked_methods)

    @property
    def tracks(self) -> tuple[str, ...]:
        """The names of the tracks, in the order they were asked for."""
        return tuple(track.name for track in self.asked_tracks)

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources that were scored, each where it comes first."""
        return self._names("sources")

    @property
    def source_sets(self) -> tuple[tuple[str, ...], ...]:
        """The sets of sources that tracks were scored for: one, unless tracks have different sources."""
        sets: dict[frozenset[str], tuple[str, ...]] = {}
        for record in self.done:
            if record.scores:
                sets.setdefault(frozenset(record.scores.sources), record.scores.sources)
        return tuple(sets.values())

    def with_sources(self, sources: Iterable[str]) -> BenchmarkResults:
        """Return the results on the tracks that were scored for one set of sources.

        Parameters
        ----------
        sources : iterable of str
            One of `source_sets`, in any order.

        Returns
        -------
        BenchmarkResults
            With those tracks, and with those of which no scores are there yet, which may be like them.

        Raises
        ------
        InputError
            If no track was scored for these sources.

        Notes
        -----
        The score of a source depends on the sources that are scored with it, so tracks with different ones
        are never in one number.
        """
        wanted = frozenset(sources)
        sets = {record.track: frozenset(record.scores.sources) for record in self.done if record.scores}
        if wanted not in sets.values():
            options = "; ".join(listed(names) for names in self.source_sets)
            raise InputError("sources", f"one of the sets {options}", listed(tuple(wanted)))
        kept = {track for track in self.tracks if sets.get(track, wanted) == wanted}
        return replace(
            self,
            asked_tracks=tuple(track for track in self.asked_tracks if track.name in kept),
            all_records=_only(self.all_records, kept),
            all_times=_only(self.all_times, kept),
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, each where it comes first."""
        return self._names("metrics")

    @property
    def done(self) -> tuple[Record, ...]:
        """The records that have scores, method by method."""
        return self._with_status("done")

    @property
    def failed(self) -> tuple[Record, ...]:
        """The records of errors, method by method; `Record.message` says which."""
        return self._with_status("failed")

    @property
    def unfit(self) -> tuple[Record, ...]:
        """The records of tracks that a method does not take; `Record.message` says why."""
        return self._with_status("unfit")

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """The methods and tracks that were asked for, and have no record yet."""
        return tuple(key for key in self._keys() if key not in self.all_records)

    def kind(self, method: str) -> str:
        """Return what a method is: "separator", "oracle" or "mixture".

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        str
            As it was asked for.

        Raises
        ------
        InputError
            If there is no such method; the error lists those there are.
        """
        return self.asked_methods[position("method", method, self.methods)].kind

    def scores(self, method: str) -> Scores:
        """Return the scores of a method on all tracks that have any.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        Scores
            Like those of `dspsep.metrics.evaluate`, with all windows.

        Raises
        ------
        InputError
            If there is no such method, if it has no scores, or if its tracks were scored for different
            sources, which cannot be one result.
        """
        position("method", method, self.methods)
        found = [record.scores for record in self.done if record.method == method and record.scores]
        if not found:
            raise InputError("method", "one that was scored", f"{method!r}, which was not on any track")
        return Scores.join(found)

    def values(self, method: str, source: str, metric: str) -> dict[str, float]:
        """Return the score of each track: its windows as one number, as the protocol says.

        Parameters
        ----------
        method, source, metric : str
            One of `methods`, of `sources` and of `metrics`.

        Returns
        -------
        dict of str to float
            In decibels, by track, in the order of `tracks`: those where the method has scores. NaN where no
            window is defined.

        Raises
        ------
        InputError
            If there is no such method, source or metric; or if tracks were scored for different sets of
            sources: see `with_sources`.
        """
        if len(self.source_sets) > 1:
            sets = "; ".join(listed(names) for names in self.source_sets)
            raise InputError(
                "results",
                "on tracks that were scored for the same sources",
                f"the sets {sets}",
                "Choose a set: results.with_sources(…).",
            )
        position("method", method, self.methods)
        position("source", source, self.sources)
        position("metric", metric, self.metrics)
        found = {}
        for track in self.tracks:
            record = self.all_records.get((method, track))
            if record is not None and (scores := record.scores) is not None:
                how = str(scores.protocol["over_windows"])
                found[track] = over_windows(scores.windows(source, metric), how)
        return found

    def common_tracks(self, methods: Sequence[str], source: str, metric: str) -> tuple[str, ...]:
        """Return the tracks on which all of some methods have a score of a source.

        Parameters
        ----------
        methods : sequence of str
            At least one of `methods`.
        source, metric : str
            One of `sources` and of `metrics`.

        Returns
        -------
        tuple of str
            In the order of `tracks`.
        """
        having = [self.values(method, source, metric) for method in methods]
        return tuple(track for track in self.tracks if all(track in values for values in having))

    def times(self) -> list[dict[str, Any]]:
        """Return how long each method took on each track.

        Returns
        -------
        list of dict
            With ``method``, ``track``, ``seconds`` (of separation), ``score_seconds``, ``audio_seconds``,
            ``cpu``, and ``real_time_factor``, which is seconds for each second of audio: below 1 is faster
            than it sounds. Only what has a time is there; tasks that ran beside others took longer for it.
        """
        rows = []
        for key in self._keys():
            if (time := self.all_times.get(key)) is not None:
                factor = time.seconds / time.audio_seconds if time.audio_seconds else float("nan")
                rows.append({**vars(time), "real_time_factor": factor})
        return rows

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each method, track, source and metric.

        Returns
        -------
        list of dict
            With ``method``, ``kind``, ``track``, ``status`` ("done", "failed", "unfit" or "missing"),
            ``source``, ``estimate``, ``metric``, ``score`` (of the whole track, in decibels) and ``message``.
            What is not done is one row without source and metric, its score NaN.
        """
        return [dict(zip(_COLUMNS, row, strict=True)) for key in self._keys() for row in self._rows(key)]

    def to_frame(self) -> Any:
        """Return the records as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            The rows and columns of `records`.

        Raises
        ------
        BackendError
            If pandas is not installed.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise BackendError('to_frame needs pandas: pip install "dspsep[eval]".') from error
        return pandas.DataFrame.from_records(self.records(), columns=list(_COLUMNS))

    def _rows(self, key: tuple[str, str]) -> Iterable[tuple[Any, ...]]:
        record, (method, track) = self.all_records.get(key), key
        kind, nan = self.kind(method), float("nan")
        if record is None or record.scores is None:
            status, message = (record.status, record.message) if record else ("missing", "")
            yield method, kind, track, status, "", "", "", nan, message
            return
        (scores,) = record.scores.tracks
        for source, estimate in zip(scores.sources, scores.estimates, strict=True):
            for metric in scores.metrics:
                score = over_windows(scores.windows(source, metric), str(scores.protocol["over_windows"]))
                yield method, kind, track, "done", source, estimate, metric, score, ""

    def _keys(self) -> Iterable[tuple[str, str]]:
        return ((method, track) for method in self.methods for track in self.tracks)

    def _with_status(self, status: str) -> tuple[Record, ...]:
        found = (self.all_records.get(key) for key in self._keys())
        return tuple(record for record in found if record is not None and record.status == status)

    def _names(self, kind: str) -> tuple[str, ...]:
        names = (name for record in self.done if record.scores for name in getattr(record.scores, kind))
        return tuple(dict.fromkeys(names))

    def __repr__(self) -> str:
        counts = {"done": self.done, "failed": self.failed, "unfit": self.unfit, "missing": self.missing}
        told = ", ".join(f"{len(items)} {name}" for name, items in counts.items() if items or name == "done")
        asked = f"{len(self.methods)} methods on {len(self.tracks)} tracks"
        return f"BenchmarkResults({asked}: {told})"


def _only(items: Mapping[tuple[str, str], _Item], tracks: set[str]) -> Mapping[tuple[str, str], _Item]:
    return MappingProxyType({key: item for key, item in items.items() if key[1] in tracks})
