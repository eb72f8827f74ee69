"""What the command line says, and where: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from dspsep.errors import DspsepWarning
from dspsep.progress import Progress

__all__ = ["Bar", "complain", "notices", "printable", "table"]


def complain(message: str) -> None:
    """Write an error to stderr."""
    print(f"dspsep: {printable(message)}", file=sys.stderr)


def printable(text: str) -> str:
    """Return `text` without what could move a terminal's cursor or turn its writing direction."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


@contextmanager
def notices(*, quiet: bool = False) -> Iterator[None]:
    """Show the warnings of dspsep as plain lines on stderr, or not at all."""
    shown = warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, DspsepWarning):
            complain(f"note: {message}")
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", DspsepWarning)
        warnings.showwarning = show
        yield


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, the first row ruled off."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


class Bar:
    """A progress bar on stderr, on terminals only; also the callback that separators report to."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._bar: Any = None
        self._done = 0
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=total, dynamic_ncols=True, leave=False, bar_format=form)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, name: str) -> None:
        """Show which file is worked on."""
        if self._bar is not None:
            self._bar.set_description(printable(name)[:40])

    def done(self) -> None:
        """Count one file."""
        self._done += 1
        if self._bar is not None:
            self._move_to(self._done)

    def __call__(self, progress: Progress) -> None:
        """Show what a separator reports, and how much of the file is done."""
        if self._bar is None:
            return
        total = progress.n_iterations
        steps = f" {progress.iteration}/{total}" if total else ""
        self._bar.set_postfix_str(printable(progress.stage + steps)[:40], refresh=False)
        within = progress.iteration / total if total and progress.stage == "separate" else 0.0
        # Stages of a part of a file say nothing of the whole: the bar does not go back for them.
        self._move_to(max(self._bar.n, self._done + within))

    def _move_to(self, n: float) -> None:
        self._bar.update(n - self._bar.n)  # which draws no more than ten times a second
