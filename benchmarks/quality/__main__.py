"""The command line of the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import benchmarks.quality
from benchmarks import results
from benchmarks.quality import baselines, rooms, same_start, vocals
from benchmarks.quality.measuring import measure
from benchmarks.quality.task import QualityTask, load, with_section
from tests.cases import case_names, manifest

__all__ = ["TASKS", "main"]

TASKS = {task.name: task for task in (vocals.TASK, rooms.TASK, same_start.TASK, baselines.TASK)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=benchmarks.quality.__doc__
    )
    parser.add_argument("task", choices=list(TASKS), help="what is separated")
    parser.add_argument("--resume", action="store_true", help="measure only what is missing")
    parser.add_argument("--write", action="store_true", help="measure nothing, and write the page")
    parser.add_argument("--check", action="store_true", help="only tell whether the page is up to date")
    parser.add_argument(
        "--records", type=Path, default=Path("baselines"), metavar="FOLDER",
        help="where the records of `baselines` are kept, which always resumes (default: baselines)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    task = TASKS[options.task]
    if options.check:
        return _check(task)
    return _write(task) if options.write else _measure(task, options.records, resume=options.resume)


def _check(task: QualityTask) -> int:
    if _page(task) == task.page.read_text(encoding="utf-8"):
        return 0
    command = f"python -m benchmarks.quality {task.name} --write"
    print(f"{task.page.name} is out of date: run {command}", file=sys.stderr)
    return 1


def _measure(task: QualityTask, records: Path, *, resume: bool) -> int:
    if not manifest():
        print("the recordings are not here (DSPSEP_TEST_DATA names their folder)", file=sys.stderr)
        return 1
    if task is baselines.TASK:
        results.store(baselines.separated(records))
        return _write(task)
    cases = [name for prefix in task.prefixes for name in case_names(prefix)]
    measure(task, cases, load(task), results.store, resume=resume)
    return _write(task)


def _write(task: QualityTask) -> int:
    task.page.write_text(_page(task), encoding="utf-8")
    return 0


def _page(task: QualityTask) -> str:
    """Return the page as it should be: as it is, where nothing is kept."""
    page, kept = task.page.read_text(encoding="utf-8"), load(task)
    return page if kept is None else with_section(page, task.section(kept))


if __name__ == "__main__":
    raise SystemExit(main())
