"""Score what is to be scored, the cheapest first, and keep each score at once."""

from __future__ import annotations

import datetime
import importlib.util
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from benchmarks.machine import versions
from benchmarks.quality.task import Cell, Method, QualityResult, QualityTask, Row
from dspsep import DspsepWarning
from tests.cases import Case, real_case

__all__ = ["measure"]

_DECIMALS = 3


def measure(
    task: QualityTask,
    cases: Sequence[str],
    kept: QualityResult | None,
    keep: Callable[[QualityResult], object],
    *,
    resume: bool = False,
) -> QualityResult:
    """Score all methods whose libraries are installed on all recordings; `keep` each score as it comes.

    Of what is `kept` already, scores of other libraries stay as they are, and with `resume` all of them.
    """
    methods = task.methods()
    result = _begun(task, methods, cases, kept)
    for seed, method, name in _jobs(methods, cases):
        case = real_case(name)
        there = result.row(method.name).cells.get(name)
        if not method.fits(case) or (resume and there is not None and there.n_seeds > seed):
            continue
        print(f"{name}: {method.name}, seed {seed}", flush=True)
        found = _scored(task, method, case, seed)
        result = _with_cell(result, method.name, name, found if seed == 0 else _joined(there, found))
        keep(result)
    return result


def _begun(
    task: QualityTask, methods: Sequence[Method], cases: Sequence[str], kept: QualityResult | None
) -> QualityResult:
    rows = {row.name: row for row in kept.rows} if kept else {}
    here = versions({method.package for method in methods})
    return QualityResult(
        suite=task.suite,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        versions={**(kept.versions if kept else {}), **here},
        cases=tuple(cases),
        rows=tuple(rows.get(method.name, Row(name=method.name, cells={})) for method in methods),
    )


def _jobs(methods: Sequence[Method], cases: Sequence[str]) -> Iterator[tuple[int, Method, str]]:
    """Yield what can be scored here: one seed of all, then the next."""
    present = [method for method in methods if importlib.util.find_spec(method.package)]
    for seed in range(max((method.n_seeds for method in present), default=0)):
        for method in sorted(present, key=lambda method: method.cost):
            if seed < method.n_seeds:
                yield from ((seed, method, case) for case in cases)


def _scored(task: QualityTask, method: Method, case: Case, seed: int) -> Cell:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = _result(task, method, case, seed)
    codes = {each.message.code for each in caught if isinstance(each.message, DspsepWarning)}
    rounded: dict[str, tuple[float | None, ...]] = {
        column: (round(value, _DECIMALS) if math.isfinite(value) else None,)
        for column, value in scores.items()
    }
    return Cell(scores=rounded, warned=tuple(sorted(codes)))


def _result(task: QualityTask, method: Method, case: Case, seed: int) -> dict[str, float]:
    try:
        return method.score(case, seed)
    except Exception as error:
        if method.package == "dspsep":  # that one would be ours to mend
            raise
        print(f"{type(error).__name__}: {error}", flush=True)
        return dict.fromkeys(task.columns, math.nan)


def _joined(before: Cell | None, found: Cell) -> Cell:
    if before is None:
        return found
    scores = {column: (*values, *found.scores[column]) for column, values in before.scores.items()}
    return Cell(scores=scores, warned=tuple(sorted({*before.warned, *found.warned})))


def _with_cell(result: QualityResult, method: str, case: str, cell: Cell) -> QualityResult:
    rows = [
        replace(row, cells=_ordered({**row.cells, case: cell}, result.cases)) if row.name == method else row
        for row in result.rows
    ]
    return replace(result, rows=tuple(rows))


def _ordered(cells: dict[str, Cell], cases: Sequence[str]) -> dict[str, Cell]:
    return {case: cells[case] for case in cases if case in cells}
