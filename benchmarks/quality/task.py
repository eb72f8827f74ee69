"""A table of quality: which methods are scored on which recordings, by what, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from tests.cases import Case

__all__ = [
    "Cell",
    "Method",
    "QualityResult",
    "QualityTask",
    "Row",
    "Scores",
    "decibels",
    "load",
    "with_section",
]

_PAGES = Path(__file__).resolve().parents[2] / "docs" / "methods"
_END = "<!-- end -->"

#: Decibels by what is scored. What is not finite is that of a method that returned no audio, or silence.
Scores = dict[str, float]


def _always(case: Case) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of a table.

    Parameters
    ----------
    name : str
        As the page shows it.
    score : callable
        ``score(case, seed)`` separates a recording and returns its scores.
    fits : callable
        Whether the method can be asked for the sources of a recording; the default is that it can.
    package : str
        What has to be installed; rows of others stay as they are kept.
    n_seeds : int
        From how many random starts; the median is shown.
    cost : int
        The cheapest are measured first.
    """

    name: str
    score: Callable[[Case, int], Scores]
    fits: Callable[[Case], bool] = _always
    package: str = "dspsep"
    n_seeds: int = 1
    cost: int = 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The scores of one method on one recording, one for each seed, None where there was nothing to score.

    Parameters
    ----------
    scores : dict of str to tuple of float or None
        By what is scored, in decibels.
    warned : tuple of str
        The codes of dspsep's warnings, in order of the alphabet.
    """

    scores: dict[str, tuple[float | None, ...]]
    warned: tuple[str, ...] = ()

    @property
    def n_seeds(self) -> int:
        """From how many starts there are scores."""
        return len(next(iter(self.scores.values())))

    def median(self, column: str) -> float | None:
        """Return the median over seeds, to which one without a result is the worst; None if that is it."""
        values = [-np.inf if value is None else value for value in self.scores[column]]
        middle = float(np.median(values))
        return middle if np.isfinite(middle) else None


@dataclass(frozen=True, kw_only=True)
class Row:
    """The scores of one method, by recording: those it fits, as far as they are measured."""

    name: str
    cells: dict[str, Cell]

    def values(self, column: str, cases: Sequence[str]) -> list[float]:
        """Return the medians on recordings; they must all be there."""
        found = [self.cells[case].median(column) for case in cases]
        if None in found:
            raise ValueError(f"{self.name} has no result for {column}")
        return [value for value in found if value is not None]


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """The scores of all methods on all recordings."""

    suite: str
    date: str
    versions: dict[str, str]
    cases: tuple[str, ...]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """Return a row by name."""
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True, kw_only=True)
class QualityTask:
    """What ``python -m benchmarks.quality NAME`` measures and writes.

    Parameters
    ----------
    name : str
        Also of the page in docs/methods, unless it is on another.
    prefixes : tuple of str
        Of the names of the recordings.
    columns : tuple of str
        What is scored.
    methods : callable
        Returns the methods, in the order of the page.
    lines : callable
        Returns the lines of the page that show a result.
    on : str, optional
        The page, where it is that of another table.
    """

    name: str
    prefixes: tuple[str, ...]
    columns: tuple[str, ...]
    methods: Callable[[], Sequence[Method]]
    lines: Callable[[QualityResult], Sequence[str]]
    on: str | None = None
    page: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "page", _PAGES / f"{self.on or self.name}.md")

    @property
    def suite(self) -> str:
        """Under what its result is kept."""
        return f"quality_{self.name}"

    def section(self, result: QualityResult) -> str:
        """Return what stands between the comments, with both of them."""
        return "\n".join([_begin(self.name), *self.lines(result), _END])


def _begin(name: str) -> str:
    return f"<!-- written by `python -m benchmarks.quality {name}`; do not edit -->"


def with_section(page: str, text: str) -> str:
    """Return a page with another text between the comments."""
    begin = text.split("\n", 1)[0]
    before, rest = page.split(begin)
    return before + text + rest.split(_END, 1)[1]


def load(task: QualityTask, folder: Path = results.FOLDER) -> QualityResult | None:
    """Read what is kept of a task, if anything is."""
    path = folder / f"{task.suite}.json"
    if not path.exists():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows = tuple(
        Row(name=row["name"], cells={case: _cell(cell) for case, cell in row["cells"].items()})
        for row in stored["rows"]
    )
    return QualityResult(**{**stored, "cases": tuple(stored["cases"]), "rows": rows})


def _cell(stored: dict[str, Any]) -> Cell:
    scores = {column: tuple(values) for column, values in stored["scores"].items()}
    return Cell(scores=scores, warned=tuple(stored["warned"]))


def decibels(value: float) -> str:
    """Return one decimal, with a sign that is a sign."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")  # there is no −0.0 dB
