"""Measure, and write the pages: ``python -m benchmarks run`` and ``python -m benchmarks report``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import bounds, bounds_report, report, results
from benchmarks.child import MeasuringError
from benchmarks.results import Settings
from benchmarks.suites import SUITES

# Enough to run every line once. Nothing that this measures means anything, so it is not kept.
SMOKE = Settings(rounds=1, seconds=1.0, lengths=(1.0,), repeats=1)

_EVERYTHING = (*SUITES, bounds.NAME)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    return _report(check=options.check) if options.command == "report" else _run(options)


def _run(options: argparse.Namespace) -> int:
    settings = SMOKE if options.smoke else Settings()
    given = {name: getattr(options, name) for name in ("threads", "rounds", "seconds", "lengths", "repeats")}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    status = 0
    for name in _EVERYTHING if "all" in options.suite else dict.fromkeys(options.suite):
        if obstacle := bounds.obstacle() if name == bounds.NAME else SUITES[name].obstacle():
            print(f"{name}: not measured: {obstacle}")
            if "all" not in options.suite and name != bounds.NAME and SUITES[name].must:
                status = 1
            continue
        try:
            result = _bounds(options) if name == bounds.NAME else results.measure(SUITES[name], settings)
        except MeasuringError as error:
            print(error, file=sys.stderr)
            return 1
        if not options.smoke:
            path = results.store(result)
            print(f"{path.parent.name}/{path.name} is written")
    return status


def _bounds(options: argparse.Namespace) -> bounds.BoundsResult:
    seconds = options.seconds or (SMOKE.seconds if options.smoke else bounds.SECONDS)
    return bounds.measure(bounds.names(smoke=options.smoke), seconds)


def _report(*, check: bool) -> int:
    pages = {report.PAGE: report.page(SUITES), bounds_report.PAGE: bounds_report.page()}
    outdated = []
    for path, text in pages.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            outdated.append(f"{path.parent.name}/{path.name}")
    for name in outdated:
        print(f"{name} is out of date: run python -m benchmarks report", file=sys.stderr)
    return 1 if outdated else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write benchmarks/results")
    run.add_argument(
        "suite", nargs="*", choices=[*_EVERYTHING, "all"], default="all", help="which (default all)"
    )
    run.add_argument("--threads", type=int, help=f"of every library (default {Settings().threads})")
    run.add_argument("--rounds", type=int, help=f"turns to take (default {Settings().rounds})")
    run.add_argument(
        "--seconds", type=float, help=f"of audio (default {Settings().seconds:g}; bounds {bounds.SECONDS:g})"
    )
    run.add_argument("--lengths", type=_lengths, help="for memory and growth: seconds, with commas")
    run.add_argument("--repeats", type=int, help=f"processes per length (default {Settings().repeats})")
    run.add_argument("--smoke", action="store_true", help="run everything once, briefly; keep nothing")
    write = commands.add_parser("report", help="write docs/benchmarks.md and docs/bounds.md from the results")
    write.add_argument("--check", action="store_true", help="only tell whether the pages are up to date")
    return parser


def _lengths(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


if __name__ == "__main__":
    raise SystemExit(main())
