"""What the command line says, and where: results on stdout, everything else on stderr."""

from __future__ import annotations

import shutil
import sys
import unicodedata
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
    """Return rows in columns, the first row ruled off; on a terminal, long cells are shortened."""
    longest = shutil.get_terminal_size().columns * 2 // 5 if sys.stdout.isatty() else sys.maxsize
    cells = [[_shortened(printable(cell), longest) for cell in row] for row in rows]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)) for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _shortened(text: str, longest: int) -> str:
    if _width(text) <= longest:
        return text
    half = max(4, longest // 2 - 1)
    return f"{text[:half]}…{text[-half:]}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return the columns that a terminal takes for a text: two for wide characters, none for accents."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


#: What comes before a stage, and what it takes of a track: roughly, for lossless formats.
_SHARES = {"separate": (0.0, 0.7), "write": (0.7, 0.3), "read": (0.0, 0.1)}


class Bar:
    """A progress bar on stderr, on terminals only: of tracks, several of which may be worked on at a time."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._bar: Any = None
        self._done = 0
        self._parts: dict[str, float] = {}
        if not quiet and total and sys.stderr.isatty():
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

    def begin(self, track: str) -> None:
        """Show that a track is worked on."""
        self._parts[track] = 0.0
        self._show_tracks()

    def done(self, track: str) -> None:
        """Count a track."""
        self._parts.pop(track, None)
        self._done += 1
        self._show_tracks()
        self._move()

    def clear(self) -> None:
        """Make room for a line; the bar is drawn anew below it."""
        if self._bar is not None:
            self._bar.clear()

    def report(self, track: str, progress: Progress) -> None:
        """Show what a separator reports, and how much of its track is done."""
        if self._bar is None:
            return
        total = progress.n_iterations
        steps = f" {progress.iteration}/{total}" if total else ""
        self._bar.set_postfix_str(printable(progress.stage + steps)[:40], refresh=False)
        if total and progress.stage in _SHARES:
            before, share = _SHARES[progress.stage]
            self._parts[track] = before + share * progress.iteration / total
        self._move()

    def _show_tracks(self) -> None:
        if self._bar is not None and self._parts:
            first, *others = self._parts
            more = f" +{len(others)}" if others else ""
            count = f"{min(self._done + 1, self._bar.total)} of {self._bar.total}"
            self._bar.set_description(f"{count}: {printable(first)[:30]}{more}")

    def _move(self) -> None:
        # Stages of a part of a file say nothing of the whole: the bar does not go back for them.
        if self._bar is not None:
            now = max(self._bar.n, self._done + sum(self._parts.values()))
            self._bar.update(now - self._bar.n)  # which draws no more than ten times a second
