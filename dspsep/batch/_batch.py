"""From a list of tracks to what became of each, with the manifest kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from dspsep.batch._manifest import Manifest
from dspsep.batch._track import Job, Outcome, Task, path_from
from dspsep.batch._workers import outcomes_of
from dspsep.data._sets import files_of_set
from dspsep.data._source_files import extension_of
from dspsep.errors import DspsepError, InputError
from dspsep.progress import Progress

__all__ = ["outcomes", "problems"]


def outcomes(
    job: Job,
    tasks: Sequence[Task],
    manifest: Manifest,
    *,
    n_jobs: int = 1,
    begin: Callable[[Task], None],
    report: Callable[[Task, Progress], None],
) -> Generator[tuple[Task, Outcome]]:
    """Do tasks, in this process or in several others; yield each with its outcome as it comes.

    Every track that is done has its line in the manifest before it is yielded.
    """
    with closing(outcomes_of(job, tasks, n_jobs, begin, report)) as source:
        for task, outcome in source:
            yield task, _noted(outcome, task, manifest)


def _noted(outcome: Outcome, task: Task, manifest: Manifest) -> Outcome:
    if outcome.entry is None or outcome.entry == task.known:
        return outcome
    try:
        manifest.append(outcome.entry)
    except DspsepError as error:
        # The track is there, but nobody will know: that is for the one who asked for it to see.
        return Outcome(error=str(error), notices=outcome.notices)
    return outcome


def problems(job: Job, tasks: Sequence[Task], manifest: Manifest) -> dict[str, str]:
    """Return the files whose stems would replace what is not theirs, and what that is.

    Raises
    ------
    InputError
        If names of sources are not known before, and the template does not keep tracks apart whatever they
        are.
    """
    names = job.separator.source_names
    if names is None:
        between = job.template.partition("<track>")[2].partition("<source>")
        apart = "/" in (between[0] if between[1] else job.template.partition("<source>")[2])
        if not apart:
            raise InputError(
                "--filename", "a template with / between {track} and {source}", repr(job.template),
                "This method's sources have no names before it is run.",
            )  # fmt: skip
    inputs = {os.path.realpath(task.file): task.file for task in tasks}
    owners = {
        file: f"the track {entry.track!r}, which is in the manifest"
        for entry in manifest.entries.values()
        for file in entry.files.values()
    }
    found: dict[str, str] = {}
    for task in tasks:
        layout = job.layout(task)
        new = [*layout.files(names or (), extension_of(job.format)).values(), layout.record]
        old = files_of_set(layout)
        own = manifest.entries.get(path_from(job.folder, layout.record))
        mine = {path_from(job.folder, path) for path in (*old, layout.record)}
        mine |= set() if own is None else set(own.files.values())
        for path in dict.fromkeys([*new, *old]):
            place = path_from(job.folder, path)
            if (read := inputs.get(os.path.realpath(path))) is not None:
                found[task.file] = _in_the_way(path, f"which is {read!r}, to be separated itself")
            elif place in owners and place not in mine:
                found[task.file] = _in_the_way(path, f"which is also of {owners[place]}")
            elif place not in mine and path in new and os.path.lexists(path):
                found[task.file] = _in_the_way(path, "which is there and not of dspsep's making")
            owners.setdefault(place, f"the track {task.track!r}")
    return found


def _in_the_way(path: Path, what: str) -> str:
    remedy = "Give another folder with --output, or other names with --filename."
    return str(
        InputError("--output", "where nothing of others is replaced", f"{str(path)!r}, {what}", remedy)
    )
