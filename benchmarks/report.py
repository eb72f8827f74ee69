"""`docs/benchmarks.md`: every figure in it is computed here from the stored rounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.figures import digits, megabytes, seconds, table
from benchmarks.goals import Target, Verdict, times
from benchmarks.harness import Comparison, Record, Suite, Summary, ratios, summary
from benchmarks.results import ComparisonResult, Growth, SuiteResult

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"

_INTRODUCTION = """\
# Benchmarks

<!-- Written by `python -m benchmarks report` from benchmarks/results/*.json. Do not edit. -->

How long dspsep takes beside the libraries that do the same, and how much memory.

- **Equal output first.** Every contender's result is compared with that of the first in the table before
  anything is timed; where they differ by more than the tolerance, there is no figure. *Differs by* is the
  largest difference found, relative to the largest value.
- **Turns.** Contenders get the same array and the same number of threads, and take turns in one process after
  a round that warms them up. Ratios are taken round by round; shown are medians, and in brackets the smallest
  and the largest of all rounds.
- **CPU time**, which other programs on the machine disturb least, is what ratios are made of when there is
  one thread; with more, it is time on the wall.
- **Memory** is what a fresh process comes to hold beyond its input while the call runs: results included,
  compilation not.
- **Goals** are reached beside the best of the rivals that they name, or of all others. Limits in seconds are
  on the wall. *Not measured* is what this machine could not.
"""

_REPRODUCE = """\
## Measure it yourself

From a clone of the project, on a machine that does nothing else, in an environment with dspsep's
dependencies and, if they are to compete, `torch` and `bottleneck`:

```
python -m benchmarks run
python -m benchmarks report
```

`python -m benchmarks run --help` lists threads, rounds, lengths and the suites by name. Every single round is
in `benchmarks/results/`.
"""


def page(suites: Mapping[str, Suite], folder: Path = results.FOLDER) -> str:
    """Return the page for all suites that have a stored result, in their order."""
    files = {name: folder / f"{name}.json" for name in suites}
    stored = {name: results.load(file) for name, file in files.items() if file.is_file()}
    parts = [_INTRODUCTION, *_goals(suites, stored)]
    for name, suite in suites.items():
        if name in stored:
            parts += _suite(suite, stored[name])
        elif suite.unmeasured:
            parts += [f"## {suite.title}\n", f"{suite.unmeasured}\n"]
    return "\n".join([*parts, _REPRODUCE])


def _goals(suites: Mapping[str, Suite], stored: Mapping[str, SuiteResult]) -> list[str]:
    rows = []
    for name, suite in suites.items():
        result = stored.get(name)
        if result is None:
            pairs = [(comparison, None) for comparison in suite.comparisons]
        else:
            pairs = _pairs(suite, result)
        threads = 1 if result is None else result.settings.threads
        rows += [
            _goal(comparison, goal, measured, threads)
            for comparison, measured in pairs
            for goal in comparison.goals
        ]
    if not rows:
        return []
    return ["## Goals\n", *table(["job", "of", "goal", "measured", "beside", ""], rows)]


def _goal(comparison: Comparison, goal: Target, measured: ComparisonResult | None, threads: int) -> list[str]:
    whose = goal.of or comparison.contenders[0].name
    verdict = Verdict() if measured is None else goal.verdict(measured, whose, threads)
    words = {True: "met", False: "**missed**", None: "not measured"}
    return [comparison.title, whose, str(goal), verdict.measured, verdict.beside, words[verdict.met]]


def _suite(suite: Suite, result: SuiteResult) -> list[str]:
    parts = [f"## {suite.title}\n", f"{suite.note}\n"]
    for comparison, measured in _pairs(suite, result):
        parts += [f"### {comparison.title}\n", f"{comparison.note}\n"]
        parts += _turns(measured, result.settings.threads)
        if measured.absent:
            parts.append(f"Not installed: {', '.join(measured.absent)}.\n")
        if measured.growth:
            parts += _growth(measured.growth, comparison.grows)
    return [*parts, _conditions(result)]


def _pairs(suite: Suite, result: SuiteResult) -> Iterable[tuple[Comparison, ComparisonResult]]:
    """Pair what a suite says with what was stored, both in the suite's order."""
    measured = {comparison.name: comparison for comparison in result.comparisons}
    if list(measured) != [comparison.name for comparison in suite.comparisons]:
        raise ValueError(f"the suite {suite.name!r} has changed since it was measured; run it again")
    return [(comparison, measured[comparison.name]) for comparison in suite.comparisons]


def _turns(measured: ComparisonResult, threads: int) -> list[str]:
    ours = measured.records[0]
    rows = []
    on_device = any(record.device_bytes is not None for record in measured.records)
    for record in measured.records:
        row = [
            record.contender,
            _spread(summary(record.cpu)),
            seconds(summary(record.wall).median),
            "1" if record is ours else _ratio(ratios(times(record, threads), times(ours, threads))),
        ]
        if measured.tolerance is not None:
            row += ["–" if record is ours else _difference(record), record.output]
        if on_device:
            row.append("–" if record.device_bytes is None else megabytes(record.device_bytes))
        rows.append(row)
    head = ["", "CPU time", "on the wall", f"times {ours.contender}"]
    if measured.tolerance is not None:
        head += [f"differs by (≤ {measured.tolerance:g})", "output"]
    if on_device:
        head.append("device memory")
    return table(head, rows)


def _growth(growth: Sequence[Growth], limits: Mapping[str, float | None]) -> list[str]:
    rows = []
    for point in sorted(growth, key=lambda point: point.seconds):
        cpu, peak = summary(point.cpu).median, summary(point.peak_bytes).median
        rows.append(
            [
                f"{point.seconds:g} s",
                point.contender,
                seconds(cpu),
                seconds(cpu / point.seconds),
                megabytes(peak),
                megabytes(peak / point.seconds),
            ]
        )
    head = ["audio", "", "CPU time", "per second of audio", "peak memory", "per second of audio"]
    limited = [f"{name} up to {limit:g} s" for name, limit in limits.items() if limit is not None]
    for_memory = f" ({', '.join(limited)}, for want of memory)" if limited else ""
    return [f"Alone, at several lengths{for_memory}:\n", *table(head, rows)]


def _conditions(result: SuiteResult) -> str:
    machine, settings = result.machine, result.settings
    device = f"{machine['device']}; " if machine.get("device") else ""
    instructions = f" ({machine['instruction_sets']})" if machine["instruction_sets"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
    before, after = result.load
    listens = any(comparison.tolerance is not None for comparison in result.comparisons)
    audio = f", {settings.seconds:g} s of {result.audio}" if listens else ""
    return (
        f"*Measured {result.date}: {threads}, {settings.rounds} rounds{audio}. "
        f"{device}{machine['processor']}{instructions}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}, {machine['python']}; load {before:g} before and "
        f"{after:g} after. {packages}.*\n"
    )


def _spread(found: Summary) -> str:
    return f"{seconds(found.median)} ({seconds(found.low)} – {seconds(found.high)})"


def _ratio(found: Summary) -> str:
    return f"**{digits(found.median)}** ({digits(found.low)} – {digits(found.high)})"


def _difference(record: Record) -> str:
    if record.difference is None:
        return "–"
    return "0" if record.difference == 0 else f"{record.difference:.0e}"
