"""What there is to do, and what of it is done: methods, tracks, and the key of each record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspsep import _checks
from dspsep._version import __version__
from dspsep.bench import _task
from dspsep.bench._task import Done, Task
from dspsep.bench.methods import BASELINES, Method, methods_of
from dspsep.bench.records import FORMAT, RecordFolder, key_of
from dspsep.data.tracks import Dataset, Track
from dspsep.errors import InputError
from dspsep.metrics.evaluation import protocol_named
from dspsep.metrics.protocols import Protocol

__all__ = ["Plan", "Settings", "checked"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """What a benchmark is asked for, checked.

    Parameters
    ----------
    methods : tuple of Method
        The rows.
    tracks : tuple of Track
        Of different names.
    sources : tuple of str or None
        What is scored, if that is not all.
    protocol : Protocol
        How.
    seed : int or None
        What seeds are derived from.
    folder : Path
        Where results go.
    """

    methods: tuple[Method, ...]
    tracks: tuple[Track, ...]
    sources: tuple[str, ...] | None
    protocol: Protocol
    seed: int | None
    folder: Path


def checked(
    methods: object,
    tracks: object,
    folder: object,
    *,
    protocol: object,
    sources: object,
    seed: object,
    baselines: object,
) -> Settings:
    """Return the settings of a benchmark; refuse what makes no sense, before any work.

    Parameters
    ----------
    methods, tracks, folder, protocol, sources, seed, baselines : object
        As of `run_benchmark`.

    Returns
    -------
    Settings
        All of the right types.

    Raises
    ------
    InputError
        If one of them is not.
    """
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise InputError("folder", "a path", repr(folder)[:60])
    rows = methods_of(methods)
    bounds = _baselines(baselines)
    taken = {method.name.casefold() for method in rows}
    rows = (*(bound for bound in bounds if bound.name.casefold() not in taken), *rows)
    given = _tracks(tracks)
    return Settings(
        methods=rows, tracks=given, sources=_sources(sources, given), protocol=protocol_named(protocol),
        seed=None if seed is None else _checks.integer("seed", seed, minimum=0), folder=Path(folder),
    )  # fmt: skip


class Plan:
    """Every record that there will be.

    Parameters
    ----------
    settings : Settings
        What is asked for.
    told : callable
        Called with the number of tracks that were looked at: reading all files takes a while.
    """

    def __init__(self, settings: Settings, told: Callable[[int], None]) -> None:
        self.settings = settings
        self.folder = RecordFolder(
            settings.folder,
            [method.name for method in settings.methods],
            [track.name for track in settings.tracks],
        )
        self._facts: list[dict[str, Any]] = []
        self._tasks: list[Task] = []
        self._unreadable: dict[str, InputError] = {}
        identities = [method.identity() for method in settings.methods]
        for number, track in enumerate(settings.tracks):
            told(number)
            self._add(track, identities)

    def benchmark(self) -> dict[str, Any]:
        """Return what ``benchmark.json`` holds."""
        settings = self.settings
        sets = {track.source_names for track in settings.tracks}
        same = next(iter(sets)) if len(sets) == 1 else None
        names = settings.sources or same
        return {
            "format": FORMAT, "dspsep": __version__,
            "protocol": {"text": repr(settings.protocol), "json": settings.protocol.describe()},
            "seed": settings.seed, "sources": None if names is None else list(names),
            "methods": [method.plain() for method in settings.methods], "tracks": self._facts,
        }  # fmt: skip

    def digest(self) -> str:
        """Return what is the same for benchmarks that may write to one folder at a time."""
        keys = json.dumps([task.key for task in self._tasks])
        return hashlib.sha256(keys.encode("ascii")).hexdigest()

    @property
    def n_records(self) -> int:
        """How many records there will be."""
        return len(self._tasks)

    def known(self) -> tuple[list[dict[str, Any]], list[Task]]:
        """Return the records that are there already, and what is to be done.

        Returns
        -------
        list of dict
            Records with the right keys. One of a failure is not among them: what failed is tried again.
        list of Task
            The rest. What is there in their places, of other settings or content, has been removed.
        """
        records, tasks = [], []
        for task in self._tasks:
            method, track = task.method.name, task.track["name"]
            record = self.folder.record(method, track)
            if record is not None and record.get("key") == task.key and record.get("status") != "failed":
                records.append(record)
                continue
            if record is None or record.get("key") != task.key:
                self.folder.remove(method, track)
            tasks.append(task)
        return records, tasks

    def unreadable(self, task: Task) -> Done | None:
        """Return what becomes of a task whose files cannot be read; None if they can be."""
        error = self._unreadable.get(task.track["name"])
        return None if error is None else _task.failure(task, type(error).__name__, str(error))

    def _add(self, track: Track, identities: list[dict[str, Any]]) -> None:
        settings = self.settings
        names = settings.sources or track.source_names
        content = self._look_at(track)
        for method, identity in zip(settings.methods, identities, strict=True):
            key = key_of(
                method=identity, track=track.name, content=content, protocol=_identity(settings.protocol),
                sources=names, seed=settings.seed,
            )  # fmt: skip
            seed = _task.seed_for(settings.seed, track.name, method.name)
            self._tasks.append(
                Task(
                    method=method,
                    track=track.to_dict(),
                    sources=names,
                    protocol=settings.protocol,
                    key=key,
                    seed=seed,
                )
            )

    def _look_at(self, track: Track) -> str:
        facts: dict[str, Any] = {"name": track.name, "content": "", "seconds": 0.0, "channels": 0}
        facts["sample_rate"] = 0.0
        try:
            info, content = track.info(), track.content()
        except InputError as error:
            self._unreadable[track.name] = error
        else:
            facts |= {
                "content": content, "seconds": info.duration, "channels": info.n_channels,
                "sample_rate": info.sample_rate,
            }  # fmt: skip
        self._facts.append(facts)
        return str(facts["content"])


def _identity(protocol: Protocol) -> dict[str, Any]:
    kind = type(protocol)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "settings": protocol.describe()}


def _baselines(baselines: object) -> tuple[Method, ...]:
    if baselines is True:
        return methods_of(BASELINES)
    if baselines is False or baselines == ():
        return ()
    return methods_of(baselines)


def _tracks(tracks: object) -> tuple[Track, ...]:
    given: Iterable[object] = (tracks,) if isinstance(tracks, Track) else ()
    if isinstance(tracks, Iterable) and not isinstance(tracks, (str, bytes)):
        given = tracks
    found = tuple(given)
    if not found or not all(isinstance(track, Track) for track in found):
        remedy = "dspsep.data.stem_folders(folder) makes them of folders."
        raise InputError("tracks", "a Dataset, or at least one Track", repr(tracks)[:60], remedy)
    return tuple(Dataset(name="tracks", tracks=found))  # type: ignore[arg-type]  # which refuses equal names


def _sources(sources: object, tracks: tuple[Track, ...]) -> tuple[str, ...] | None:
    if sources is None:
        return None
    names = tuple(sources) if isinstance(sources, Iterable) and not isinstance(sources, str) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError("sources", "different names, at least one", repr(sources)[:60])
    for track in tracks:
        for name in names:
            if name not in track.source_names:
                raise InputError(
                    "sources", f"sources of all tracks: {track.name!r} has {', '.join(track.source_names)}",
                    repr(name),
                )  # fmt: skip
    return names
