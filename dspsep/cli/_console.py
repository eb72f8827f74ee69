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
        from tqdm import tqdm

        hidden = quiet or not sys.stderr.isatty()
        self._bar = tqdm(total=total, disable=hidden, dynamic_ncols=True, leave=False, unit="file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def begin(self, name: str) -> None:
        """Show which file is worked on."""
        self._bar.set_description(printable(name)[:40])

    def done(self) -> None:
        """Count one file."""
        self._bar.update()

    def stage(self, name: str) -> None:
        """Show what is being done to the file."""
        self._bar.set_postfix_str(printable(name)[:40])

    def __call__(self, progress: Progress) -> None:
        """Show what a separator reports."""
        steps = f" {progress.iteration}/{progress.n_iterations}" if progress.n_iterations else ""
        self.stage(progress.stage + steps)
