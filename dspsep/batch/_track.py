"""One track of a batch: is it done already, and if not, do it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from dspsep._devices import device_named
from dspsep._version import __version__
from dspsep.batch._attempt import attempt
from dspsep.batch._manifest import Entry, sha256_of
from dspsep.data._layout import Layout
from dspsep.data._reading import existing_file
from dspsep.data._separation import separate_to
from dspsep.data._sets import files_of_set
from dspsep.errors import DspsepError
from dspsep.progress import Callback
from dspsep.separator import Separator, from_json

__all__ = ["Job", "Outcome", "Task", "done", "path_from"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tracks of a batch have in common.

    Parameters
    ----------
    folder : Path
        Where the manifest is, and below which all files go.
    separator : Separator
        With settings that can be stored.
    format : str
        Of the files, as of `separate_file`.
    template : str
        As `checked_template` returns it.
    offset, duration : float, float or None
        The part of each file, as of `load`.
    isolate : bool
        Whether each file is decoded in a process with limits of its own.
    device : str
        Where to separate, as of `device_named`. What comes out differs by rounding, as it does between
        processors, so stems that were made elsewhere are kept.
    """

    folder: Path
    separator: Separator
    format: str
    template: str
    offset: float = 0.0
    duration: float | None = None
    isolate: bool = False
    device: str = "cpu"

    kind: ClassVar[str] = "separation"

    @property
    def settings_sha256(self) -> str:
        """The hash of all that the content of the files depends on, beside the content of the input."""
        settings = {
            "version": __version__,
            "separator": self.separator.to_json(),
            "format": self.format,
            "offset": self.offset,
            "duration": self.duration,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def layout(self, task: Task) -> Layout:
        """Return where the files of a track go."""
        return Layout.of_track(self.folder, self.template, task.track, Path(task.file).suffix)

    def to_json(self) -> str:
        """Return it as text, for another process."""
        return json.dumps({
            "folder": str(self.folder), "separator": self.separator.to_json(), "format": self.format,
            "template": self.template, "offset": self.offset, "duration": self.duration,
            "isolate": self.isolate, "device": self.device,
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return what `to_json` was called on."""
        plain = json.loads(text)
        return cls(**{
            **plain, "folder": Path(plain["folder"]), "separator": from_json(plain["separator"])
        })  # fmt: skip

    def do(self, task: Task, callback: Callback | None = None) -> Outcome:
        """Do a track."""
        return done(task, self, callback)

    def tidy(self, task: Task) -> None:
        """Remove what a process that is gone has left of a track."""
        self.layout(task).tidy(self.separator.source_names or ())

    @staticmethod
    def failure(reason: str, *, out_of_memory: bool = False) -> Outcome:
        """Return the outcome of a track whose process is gone."""
        return Outcome(error=reason, out_of_memory=out_of_memory)

    @staticmethod
    def task_of(plain: Mapping[str, Any]) -> Task:
        """Return a task that came as what JSON can hold."""
        return Task.of(plain)

    @staticmethod
    def outcome_of(plain: Mapping[str, Any]) -> Outcome:
        """Return an outcome that came as what JSON can hold."""
        return Outcome.of(plain)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One track: a file, the name it goes by, and what the manifest knows of it."""

    file: str
    track: str
    known: Entry | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        known = None if self.known is None else self.known.plain()
        return {"file": self.file, "track": self.track, "known": known}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Task:
        """Return what `plain` was called on."""
        known = None if plain["known"] is None else Entry(**plain["known"])
        return cls(file=plain["file"], track=plain["track"], known=known)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a track: an entry, or an error.

    Parameters
    ----------
    entry : Entry, optional
        What is there now.
    kept : bool
        Whether it was there before.
    replaced : bool
        Whether another set was there before.
    notices : tuple of str
        What to warn of.
    error : str, optional
        Why there is nothing.
    out_of_memory : bool
        Whether that was for lack of memory, which there may be more of when less is done at a time.
    """

    entry: Entry | None = None
    kept: bool = False
    replaced: bool = False
    notices: tuple[str, ...] = ()
    error: str | None = None
    out_of_memory: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        entry = None if self.entry is None else self.entry.plain()
        return {
            "entry": entry, "kept": self.kept, "replaced": self.replaced, "notices": list(self.notices),
            "error": self.error, "out_of_memory": self.out_of_memory,
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Outcome:
        """Return what `plain` was called on."""
        entry = None if plain["entry"] is None else Entry(**plain["entry"])
        return cls(**{**plain, "entry": entry, "notices": tuple(plain["notices"])})


def done(task: Task, job: Job, callback: Callback | None = None) -> Outcome:
    """Separate a track, unless what is there is what would come out; never raise for what a file does."""
    tried = attempt(lambda: _done(task, job, callback))
    if tried.result is None:
        return Outcome(error=tried.error, out_of_memory=tried.out_of_memory, notices=tried.notices)
    outcome, notices = tried.result, tried.notices
    entry = outcome.entry
    if entry is not None and outcome.kept:
        notices = tuple(entry.notices)  # it is as cut, or as quiet, as it was when it was made
    elif entry is not None:
        entry = dataclasses.replace(entry, notices=notices)
    return dataclasses.replace(outcome, entry=entry, notices=notices)


def path_from(folder: Path, path: Path) -> str:
    """Return a path as it is written in the manifest of a folder."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        relative = str(path.absolute())
    return Path(relative).as_posix()


@dataclass
class _Input:
    """A file that must stay as it is while it is read."""

    file: str
    status: tuple[int, ...] = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.status = self._status()
        self.sha256 = sha256_of(Path(self.file))

    def check(self) -> None:
        try:
            same = self._status() == self.status
        except OSError:
            same = True  # it is gone, but was read to its end
        if not same:
            raise DspsepError(
                f"{self.file!r} changed while it was read. If it is still being downloaded or recorded, try"
                " again when it is complete."
            )

    def _status(self) -> tuple[int, ...]:
        status = existing_file(self.file).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns


def _done(task: Task, job: Job, callback: Callback | None) -> Outcome:
    read = _Input(task.file)
    settings = job.settings_sha256
    layout = job.layout(task)
    record = path_from(job.folder, layout.record)
    known = task.known
    if known is not None and known.record == record and _is_that(known, read.sha256, settings, job.folder):
        # It may have been elsewhere when it was separated. What is at that place now is another track.
        place = path_from(job.folder, Path(task.file))
        return Outcome(entry=dataclasses.replace(known, input=place), kept=True)

    def facts() -> Mapping[str, Any]:
        read.check()
        name = Path(task.file).name
        part = {"offset": job.offset, "duration": job.duration}
        return {"input": {"name": name, "sha256": read.sha256, **part}, "settings_sha256": settings}

    replaced = any(path.exists() for path in files_of_set(layout))
    saved = separate_to(
        Path(task.file), layout, job.separator, format=job.format, offset=job.offset, duration=job.duration,
        isolate=job.isolate, callback=callback, facts=facts, device=device_named(job.device),
    )  # fmt: skip
    entry = Entry(
        track=task.track,
        record=record,
        input=path_from(job.folder, Path(task.file)),
        input_sha256=read.sha256,
        settings_sha256=settings,
        files={name: path_from(job.folder, path) for name, path in saved.paths.items()},
        files_sha256={name: sha256_of(path) for name, path in saved.paths.items()},
        record_sha256=sha256_of(layout.record),
        seconds=saved.duration,
    )
    return Outcome(entry=entry, replaced=replaced)


def _is_that(known: Entry, input_sha256: str, settings_sha256: str, folder: Path) -> bool:
    same = (known.input_sha256, known.settings_sha256) == (input_sha256, settings_sha256)
    return same and known.holds_in(folder)
