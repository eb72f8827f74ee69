"""Tables of scores as text, Markdown, LaTeX, HTML and CSV, in which no name is ever more than a name.

Names of tracks and sources come from files, and so from anyone. In every format whatever would be markup is
escaped, and control characters, lone surrogates and characters that reorder the text around them are shown
as U+FFFD.
"""

from __future__ import annotations

import csv
import html
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Cell", "Table", "csv_text", "visible"]

Cell: TypeAlias = str | int | float

_REORDERING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    # Behind the end of a row, these would be arguments of it.
    "[": "{[}",
    "*": "{*}",
}

#: What spreadsheets take for the beginning of a formula, full-width forms included.
_FORMULA = tuple("=+-@＝＋－＠")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of names and numbers under a header, with a caption of what they are.

    Integers are counts and printed whole; floating-point numbers are rounded to `digits` decimals. What is in
    `bold`, by row and column, is set so where there is such a thing, and before each row in `apart` there is
    a rule.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    digits: int = 2
    bold: frozenset[tuple[int, int]] = frozenset()
    apart: frozenset[int] = frozenset()

    def text(self) -> str:
        """Return aligned columns: names to the left, numbers to the right."""
        cells = [self.header, *([_plain(cell, self.digits) for cell in row] for row in self.rows)]
        lines = [[visible(cell) for cell in row] for row in cells]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        left = self._names()
        padded = [
            "  ".join(
                cell + " " * (width - _width(cell)) if name else " " * (width - _width(cell)) + cell
                for cell, width, name in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*padded, *([visible(self.caption)] if self.caption else [])])

    def markdown(self) -> str:
        """Return a table in GitHub's Markdown."""
        rule = [":--" if name else "--:" for name in self._names()]
        cells = self._cells(_markdown, _plain, "**{}**")
        rows = [[_markdown(name) for name in self.header], rule, *cells]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*lines, *(["", _markdown(self.caption)] if self.caption else [])]) + "\n"

    def latex(self) -> str:
        """Return a plain ``tabular`` that needs no package; the caption is a comment above it."""
        columns = "".join("l" if name else "r" for name in self._names())
        cells = self._cells(_latex, _latex_number, r"{{\bfseries\boldmath {}}}")
        rows = [" & ".join(row) + r" \\" for row in cells]
        rows = [
            line for index, row in enumerate(rows) for line in ([r"\hline"] * (index in self.apart) + [row])
        ]
        lines = [
            *([f"% {visible(self.caption)}"] if self.caption else []),
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            " & ".join(map(_latex, self.header)) + r" \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return a ``table`` element, without scripts, styles or anything that is fetched."""
        names = self._names()
        aligned = [' align="left"' if name else ' align="right"' for name in names]
        head = "".join(
            f"<th{align}>{_html(name)}</th>" for align, name in zip(aligned, self.header, strict=True)
        )
        body = "".join(
            "</tbody><tbody>" * (index in self.apart)
            + "<tr>"
            + "".join(f"<td{align}>{cell}</td>" for align, cell in zip(aligned, row, strict=True))
            + "</tr>"
            for index, row in enumerate(self._cells(_html, _plain, "<strong>{}</strong>"))
        )
        caption = f"<caption>{_html(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _names(self) -> list[bool]:
        """Tell which columns hold names; without rows, the first does."""
        first = self.rows[0] if self.rows else ("",) + (0,) * (len(self.header) - 1)
        return [isinstance(cell, str) for cell in first]

    def _cells(
        self, escape: Callable[[str], str], number: Callable[[Cell, int], str], bold: str
    ) -> list[list[str]]:
        cells = [
            [escape(cell) if isinstance(cell, str) else number(cell, self.digits) for cell in row]
            for row in self.rows
        ]
        for row, column in self.bold:
            cells[row][column] = bold.format(cells[row][column])
        return cells


def csv_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """Return records as CSV that no spreadsheet takes for formulas.

    A name that begins like a formula gets an apostrophe in front, which spreadsheets read as "this is text".
    Undefined numbers are left empty, infinite ones are ``inf`` and ``-inf``, others are exact.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([_csv(record[column]) for column in columns])
    return stream.getvalue()


def visible(text: str) -> str:
    """Return text on one line, in which every character can be seen and written."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or character == "\u200d":  # a joiner, which scripts and emoji need
        return character
    if character.isspace():
        return " "
    harmful = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or ord(character) in _REORDERING
    return "\ufffd" if harmful else character


def _width(text: str) -> int:
    """Return the columns that a terminal gives to a text."""
    return sum(
        0 if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn")
        else 2 if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )  # fmt: skip


def _plain(cell: Cell, digits: int) -> str:
    """Return a number with ∞, and with a dash where there is none; its minus is one that programs read."""
    if isinstance(cell, float):
        if math.isnan(cell):
            return "–"
        return _rounded(cell, digits).replace("inf", "∞")
    return str(cell)


def _latex_number(cell: Cell, digits: int) -> str:
    if isinstance(cell, float):
        if math.isnan(cell):
            return "--"
        text = _rounded(cell, digits).replace("inf", r"\infty")
        return text if text[0] not in "-\\" else f"${text}$"
    return str(cell)


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if math.isfinite(value) and float(text) == 0 else text


def _markdown(text: str) -> str:
    # Only what can have a meaning in the middle of a line; colon, @ and www. because addresses become links.
    escaped = re.sub(r"([\\`*_\[\]~|#!:$@]|(?<=www)\.)", r"\\\1", visible(text), flags=re.IGNORECASE)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in visible(text))


def _html(text: str) -> str:
    return html.escape(visible(text), quote=True)


def _csv(value: Any) -> Any:
    if isinstance(value, str):
        shown = visible(value)
        return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
    return "" if isinstance(value, float) and math.isnan(value) else value
