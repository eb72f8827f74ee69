"""``dspsep separate --report``: a page for each track, made of what was written."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dspsep import _checks
from dspsep.batch._attempt import attempt
from dspsep.batch._folders import TrackFolder, is_mixture, track_folders
from dspsep.batch._manifest import sha256_of
from dspsep.batch._track import Job, Outcome, Task
from dspsep.cli import _console
from dspsep.cli._settings import mapping_of
from dspsep.data.files import audio_info
from dspsep.errors import InputError

__all__ = ["Reports", "add_options", "add_parts", "check_parts", "check_start", "references_in", "reports_of"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what reports are asked for with."""
    group = parser.add_argument_group("reports")
    group.add_argument(
        "--report", action="store_true",
        help="write report.html beside the stems: a player, pictures, levels, settings, what to cite; one"
        " file, of at most 4 MB as a rule, that needs no network",
    )  # fmt: skip
    group.add_argument(
        "--references", metavar="FOLDER",
        help="true sources for scores in the report: files named as the stems are, or for several tracks a"
        " folder of such files for each, named as the track is",
    )  # fmt: skip
    add_parts(group)


def add_parts(group: Any, *, several: bool = False) -> None:
    """Add what pages have in common: names of references, and the part that is shown."""
    chosen = ", of each method the first that it has" if several else ""
    group.add_argument(
        "--map", action="append", default=[], metavar="REFERENCE=SOURCE",
        help="the source of a reference of another name, as in vocals=foreground, or those that add up to it,"
        f" as in accompaniment=harmonic+percussive; may be repeated{chosen}",
    )  # fmt: skip
    group.add_argument(
        "--report-start", type=float, metavar="SECONDS",
        help="where the part that is shown begins (default: the loudest part)",
    )  # fmt: skip
    group.add_argument(
        "--report-duration", type=float, metavar="SECONDS",
        help="how much is shown (default: 30 s, less with more than five sounds)",
    )  # fmt: skip


def check_parts(options: argparse.Namespace) -> None:
    """Refuse what can be no part of any recording."""
    if options.report_start is not None:
        _checks.number("--report-start", options.report_start, minimum=0)
    if options.report_duration is not None:
        _checks.number("--report-duration", options.report_duration, minimum=0, above=True)


def check_start(options: argparse.Namespace, seconds: float) -> None:
    """Refuse to show a part behind the end of a recording of that length."""
    if options.report_start is not None and options.report_start >= seconds:
        raise InputError("--report-start", f"before the end, at {seconds:g} s", f"{options.report_start:g}")


def reports_of(options: argparse.Namespace, job: Job) -> Reports | None:
    """Return what writes the reports that are asked for, having checked that it can; None without any."""
    asked = {
        "--references": options.references,
        "--map": options.map,
        "--report-start": options.report_start,
        "--report-duration": options.report_duration,
    }
    if not options.report:
        for name, value in asked.items():
            if value not in (None, []):
                raise InputError(name, "given with --report", "it alone")
        return None
    check_parts(options)
    if options.map and options.references is None:
        raise InputError("--map", "given with --references", "it alone")
    folders = {} if options.references is None else references_in(options.references, job.folder)
    mapping = mapping_of(options.map)
    for folder in folders.values():
        _check_names(folder, mapping, job.separator.source_names)
    return Reports(job, options, folders, mapping)


def references_in(folder: str, results: Path) -> dict[str, TrackFolder]:
    """Return the folders of references, by the names of tracks."""
    try:
        found = track_folders("--references", folder, results)
    except InputError as error:
        raise InputError("--references", error.requirement, error.got, error.remedy) from error
    if not found:
        raise InputError("--references", "a folder with audio", repr(folder))
    return found


def _check_names(folder: TrackFolder, mapping: Mapping[str, Any], names: Sequence[str] | None) -> None:
    folder.check(list(folder.sources), "--references")
    if names is None:
        return
    for reference in folder.sources:
        chosen = mapping.get(reference, reference)
        for name in [chosen] if isinstance(chosen, str) else chosen:
            if name not in names:
                raise InputError(
                    "--references", f"of the names of the stems, {', '.join(names)}",
                    f"{reference!r} in {str(folder.path)!r}",
                    f"If it has another name, say so: --map {reference}={names[0]}.",
                )  # fmt: skip


def _refuse_others(path: Path) -> None:
    """Refuse to replace what is no report."""
    from dspsep.reports._compose import mark_of

    if os.path.lexists(path) and mark_of(path) is None:
        raise InputError(
            "--report", "where nothing of others is replaced",
            f"{str(path)!r}, which is there and no report of dspsep's",
            "Give another folder with --output, or move the file away.",
        )  # fmt: skip


@dataclass(frozen=True)
class Reports:
    """The reports of a batch."""

    job: Job
    options: argparse.Namespace
    folders: Mapping[str, TrackFolder]
    mapping: Mapping[str, str | Sequence[str]]

    def path(self, task: Task) -> Path:
        """Return where the report of a track goes."""
        return self.job.layout(task).report

    def problems(self, tasks: Sequence[Task], n_tasks: int) -> dict[str, str]:
        """Return the files that can have no report, and why, as far as that is known before."""
        tried = {task.file: attempt(partial(self._check, task, n_tasks)) for task in tasks}
        return {file: one.error for file, one in tried.items() if one.error is not None}

    def write(self, task: Task, outcome: Outcome, n_tasks: int) -> str | None:
        """Write the report of a track that is there, unless it is there, too; return what went wrong."""
        tried = attempt(lambda: self._write(task, outcome, n_tasks))
        return None if tried.error is None else f"its report could not be written: {tried.error}"

    def summarise(self, tasks: Sequence[Task]) -> None:
        """Say where reports are."""
        if len(tasks) == 1:
            print(f"Look and listen: {_console.printable(str(self.path(tasks[0]).resolve()))}")
        elif tasks:
            print("Look and listen: the report of each is beside its stems")

    def _check(self, task: Task, n_tasks: int) -> None:
        _refuse_others(self.path(task))
        if self.options.report_start is not None:
            check_start(self.options, self._seconds(task))
        references = self._references(task, n_tasks)
        if not references:
            return
        info = audio_info(task.file, isolate=self.job.isolate)
        for file in references.values():
            other = audio_info(file)
            for what, one, two in (
                ("channels", info.n_channels, other.n_channels),
                ("Hz", info.sample_rate, other.sample_rate),
                ("samples", info.n_samples, other.n_samples),
            ):
                if one != two:
                    raise InputError(
                        "--references", f"like the mixture, of {one} {what}", f"{two} in {file!r}"
                    )

    def _seconds(self, task: Task) -> float:
        """Return the length of what is separated."""
        info = audio_info(task.file, isolate=self.job.isolate)
        left = info.n_samples / info.sample_rate - self.job.offset
        return left if self.job.duration is None else min(left, self.job.duration)

    def _references(self, task: Task, n_tasks: int) -> dict[str, str]:
        """Return the files of the true sources of a track; nothing if there are none for it."""
        candidates = [task.track, Path(task.file).stem]
        if is_mixture(Path(task.file).stem):
            candidates.append(Path(task.file).absolute().parent.name)
        if n_tasks == 1:
            candidates.append(".")
        folder = next((self.folders[name] for name in candidates if name in self.folders), None)
        return {} if folder is None else {name: folder.files[name] for name in folder.sources}

    def _write(self, task: Task, outcome: Outcome, n_tasks: int) -> None:
        from dspsep.display._html import write
        from dspsep.reports._compose import mark_of
        from dspsep.reports._files import Recording, Stems, page_of_files

        entry = outcome.entry
        if entry is None:
            return
        path, references = self.path(task), self._references(task, n_tasks)
        mark = self._mark(task, outcome, references)
        if mark_of(path) == mark:
            return
        record = json.loads((self.job.folder / entry.record).read_bytes())
        recording = Recording(
            file=task.file, offset=self.job.offset, duration=self.job.duration, isolate=self.job.isolate
        )
        stems = Stems(
            files={name: self.job.folder / file for name, file in entry.files.items()},
            settings=repr(self.job.separator),
            command=command_of(self.options, Path(task.file).name),
            gain=float(record["gain"]),
            notices=tuple(entry.notices),
            mapping=self.mapping,
        )
        page = page_of_files(
            Path(task.file).stem, recording, stems, references,
            start=self.options.report_start, duration=self.options.report_duration, mark=mark,
        )  # fmt: skip
        _refuse_others(path)  # again: there was time for others to put something there
        write(path, page)

    def _mark(self, task: Task, outcome: Outcome, references: Mapping[str, str]) -> str:
        """Return the hash of all that the page depends on."""
        entry = outcome.entry
        content = {
            "name": Path(task.file).name,
            "entry": None if entry is None else {**entry.plain(), "input": ""},
            "references": {name: sha256_of(Path(file)) for name, file in references.items()},
            "mapping": dict(self.mapping),
            "part": [self.options.report_start, self.options.report_duration],
            "command": command_of(self.options, ""),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def command_of(options: argparse.Namespace, file: str) -> str:
    """Return what was typed, as far as the stems depend on it, without where files lie."""
    words = ["dspsep", "separate", f"./{file}" if file.startswith("-") else file]
    if options.method is not None:
        words += ["-m", options.method]
    for parameter in options.param:
        words += ["-p", parameter]
    if options.pipeline is not None:
        words += ["--pipeline", options.pipeline]
    if options.two_stems is not None:
        words += ["--two-stems", options.two_stems]
    words += [] if options.format == "flac" else ["-f", options.format]
    words += [f"--offset={options.offset:g}"] if options.offset else []
    words += [] if options.duration is None else [f"--duration={options.duration:g}"]
    return shlex.join(words)
