"""``dspsep separate``: files in, one folder of stems per file out."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspsep import _checks
from dspsep._devices import device_named
from dspsep.batch._batch import outcomes, problems
from dspsep.batch._lock import FolderLock
from dspsep.batch._manifest import Manifest
from dspsep.batch._track import Job, Outcome, Task, path_from
from dspsep.cli import _console
from dspsep.cli._inputs import Track, tracks
from dspsep.cli._reports import Reports, add_options, reports_of
from dspsep.cli._settings import chosen, two_stems
from dspsep.data import _isolated
from dspsep.data._layout import DEFAULT_TEMPLATE, checked_template
from dspsep.errors import InputError

__all__ = ["NAME", "add_to"]

NAME = "separate"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="take audio files apart",
        description="Take audio files apart: stems go to separated/METHOD/TRACK/SOURCE.flac. What is there"
        " already, of the same content and the same settings, is kept: an interrupted batch goes on. Stems of"
        " other settings are replaced; give them an output folder of their own to have both.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE",
        help="audio: WAV, FLAC, OGG, Opus, MP3, AIFF …; or a folder, for all audio in it and below; a name"
        " that begins with - is given as ./-name",
    )  # fmt: skip
    parser.add_argument("-m", "--method", help="see `dspsep list` (default: hpss)")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the method, see `dspsep info METHOD`; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pipeline", metavar="PIPELINE",
        help="in place of a method a separator as in Python, 'HPSS(margin=2) >> {percussive: NMF}', or its"
        " JSON as to_json() writes it, or a file with either",
    )  # fmt: skip
    parser.add_argument(
        "--two-stems", metavar="SOURCE", help="only this source, and no_SOURCE, which is everything else"
    )
    parser.add_argument("-o", "--output", default="separated", metavar="FOLDER", help="default: separated")
    parser.add_argument(
        "-f", "--format", default="flac", choices=("flac", "wav", "ogg", "opus", "mp3"),
        help="flac has 24 bits (default), wav 32-bit floating point, the others are lossy",
    )  # fmt: skip
    parser.add_argument(
        "--filename", default=DEFAULT_TEMPLATE, metavar="TEMPLATE",
        help="of {track}, {source} (or {stem}), {ext} and {trackext}, below FOLDER/METHOD (default:"
        f" {DEFAULT_TEMPLATE})",
    )  # fmt: skip
    parser.add_argument("--offset", type=float, default=0.0, metavar="SECONDS", help="start here")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="take this much")
    parser.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N",
        help="tracks at a time, each in a process of its own (default: 1, which uses all processors, too)",
    )  # fmt: skip
    parser.add_argument(
        "--device", default="cpu", metavar="DEVICE",
        help="where to work: cpu (default), or a GPU, cuda or cuda:1; needs dspsep[cuda12] or dspsep[cuda13]",
    )  # fmt: skip
    parser.add_argument(
        "--isolate", action="store_true",
        help="decode in a process that may use little and write nothing: for files of unknown origin",
    )  # fmt: skip
    add_options(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--json", action="store_true", help="one JSON line per file instead of a table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Separate every file; a failed one is reported and the others go on."""
    name, separator = chosen(options.method, options.param, options.pipeline)
    if options.two_stems is not None:
        separator = two_stems(separator, options.two_stems)
    _checks.number("--offset", options.offset, minimum=0)
    if options.duration is not None:
        _checks.number("--duration", options.duration, minimum=0, above=True)
    _checks.integer("--jobs", options.jobs, minimum=1)
    if options.isolate and not _isolated.limited():
        raise InputError("--isolate", "left out on this system", "it", "It cannot limit what a process uses.")
    template = checked_template(options.filename, "--filename")
    device_named(options.device, "--device")  # before any work
    job = Job(
        folder=_writable(options.output, name), separator=separator, format=options.format,
        template=template, offset=options.offset, duration=options.duration, isolate=options.isolate,
        device=options.device,
    )  # fmt: skip
    reports = reports_of(options, job)
    what = hashlib.sha256(f"{job.settings_sha256} {template}".encode()).hexdigest()
    with FolderLock(job.folder, what) as lock:
        batch = _Batch(job, options, reports)
        batch.run(lock)
    if not options.quiet and not options.json:
        batch.summarise()
    return 1 if batch.n_failed else 0


def _writable(output: object, name: str) -> Path:
    """Make the output folder before any work, or say why it cannot be."""
    if not isinstance(output, str):  # of `--output=--` some versions of argparse make a list
        raise InputError("--output", "the name of a folder", "--")
    folder = Path(output) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "which may not be written to"
    except (OSError, ValueError) as error:
        writable, reason = False, getattr(error, "strerror", None) or str(error)
    if not writable:
        raise InputError("--output", "a folder that can be written to", f"{str(folder)!r}: {reason}")
    return folder


@dataclass
class _Batch:
    """The tracks of one command, and what has become of them, by file."""

    job: Job
    options: argparse.Namespace
    reports: Reports | None
    tracks: list[Track] = field(init=False, default_factory=list)
    outcomes: dict[str, Outcome] = field(init=False, default_factory=dict)

    def run(self, lock: FolderLock) -> None:
        """Do all of it, and tell as it goes."""
        lock.claimed(self._choose)
        manifest = self._manifest
        if manifest.n_damaged and not self.options.quiet:
            _console.complain(
                f"note: {manifest.n_damaged} damaged lines of {str(manifest.path)!r} were passed over; their"
                " tracks count as not done"
            )
        tasks = self._possible([self._task(track) for track in self.tracks])
        bar = _console.Bar(len(tasks), quiet=self.options.quiet or self.options.json)
        results = outcomes(
            self.job, tasks, manifest, n_jobs=self.options.jobs,
            begin=lambda task: bar.begin(task.track), report=lambda task, now: bar.report(task.track, now),
        )  # fmt: skip
        try:
            with bar, closing(results):
                for task, outcome in results:
                    shown = self._reported(task, outcome)
                    bar.done(task.track)
                    bar.clear()
                    self._tell(task, shown)
        except KeyboardInterrupt:
            if not self.options.quiet:
                n_done = sum(outcome.error is None for outcome in self.outcomes.values())
                _console.complain(
                    f"{n_done} of {len(self.tracks)} are done; the same command goes on from there"
                )
            raise

    @property
    def n_failed(self) -> int:
        """How many tracks are not there."""
        return sum(outcome.error is not None for outcome in self.outcomes.values())

    def _choose(self, claimed: Mapping[str, str]) -> Mapping[str, str]:
        """Choose names, by what the manifest and other batches say at this moment."""
        self._manifest = Manifest(self.job.folder)
        found = tracks(self.options.files, self.job.folder, self._manifest.entries, claimed)
        self.tracks = list(found.values())
        return {place: track.name for place, track in found.items() if track.problem is None}

    def _task(self, track: Track) -> Task:
        task = Task(file=track.file, track=track.name)
        record = path_from(self.job.folder, self.job.layout(task).record)
        return Task(file=track.file, track=track.name, known=self._manifest.entries.get(record))

    def _possible(self, tasks: list[Task]) -> list[Task]:
        """Return the tasks that can be done; tell of the others."""
        why_not = {track.file: track.problem for track in self.tracks if track.problem}
        possible = [task for task in tasks if task.file not in why_not]
        why_not |= problems(self.job, possible, self._manifest)
        if self.reports is not None:
            left = [task for task in possible if task.file not in why_not]
            why_not |= self.reports.problems(left, len(self.tracks))
        for task in tasks:
            if task.file in why_not:
                self._tell(task, Outcome(error=why_not[task.file]))
        return [task for task in tasks if task.file not in why_not]

    def _reported(self, task: Task, outcome: Outcome) -> Outcome:
        """Write the report of a track, if there are to be reports; return what became of both."""
        if self.reports is None or outcome.entry is None or outcome.error is not None:
            return outcome
        problem = self.reports.write(task, outcome, len(self.tracks))
        return outcome if problem is None else dataclasses.replace(outcome, error=problem)

    def _tell(self, task: Task, outcome: Outcome) -> None:
        self.outcomes[task.file] = outcome
        if self.options.json:
            report = None if self.reports is None else str(self.reports.path(task))
            print(_as_json(task, outcome, self.job, report), flush=True)
            return
        if not self.options.quiet:
            for notice in outcome.notices:
                _console.complain(f"{task.file}: note: {notice}")
        if outcome.error:
            _console.complain(f"{task.file}: {outcome.error}")

    def summarise(self) -> None:
        """Print the table."""
        rows = [("file", "length", "sources", "folder", "")]
        for track in self.tracks:
            outcome = self.outcomes[track.file]
            if outcome.entry is None:
                rows.append((track.file, "", "", "", "failed"))
                continue
            state = "was there" if outcome.kept else "replaced" if outcome.replaced else ""
            names = ", ".join(outcome.entry.files)
            folder = _folder_of(outcome, self.job)
            rows.append((track.file, f"{outcome.entry.seconds:.1f} s", names, folder or "", state))
        if self.n_failed < len(self.tracks):
            print(_console.table(rows))
        if self.reports is not None:
            done = [track for track in self.tracks if self.outcomes[track.file].error is None]
            self.reports.summarise([self._task(track) for track in done])
        states = [row[-1] for row in rows]
        if "replaced" in states:
            n_replaced = states.count("replaced")
            print(f"{n_replaced} of {len(self.tracks)} took the place of stems of other settings or content")
        if "was there" in states:
            n_kept = states.count("was there")
            print(f"{n_kept} of {len(self.tracks)} were there already, of the same content and settings")
        if self.n_failed:
            print(f"{self.n_failed} of {len(self.tracks)} failed", file=sys.stderr)


def _folder_of(outcome: Outcome, job: Job) -> str | None:
    """Return the folder that all stems are in, or below."""
    if outcome.entry is None:
        return None
    places = [str((job.folder / file).parent) for file in outcome.entry.files.values()]
    return os.path.commonpath(places)


def _as_json(task: Task, outcome: Outcome, job: Job, report: str | None) -> str:
    entry = outcome.entry
    return json.dumps(
        {
            "file": task.file,
            "folder": _folder_of(outcome, job),
            "sources": [] if entry is None else list(entry.files),
            "files": {} if entry is None else {name: str(job.folder / f) for name, f in entry.files.items()},
            "report": report if outcome.error is None else None,
            "seconds": 0.0 if entry is None else round(entry.seconds, 3),
            "kept": outcome.kept,
            "replaced": outcome.replaced,
            "notices": list(outcome.notices),
            "error": outcome.error,
        }
    )
