"""What pages are made of: a heading, sections, code, and tables of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dspsep.display._html import Markup, element, number, signed
from dspsep.display.spectrogram import has_minutes, time_label
from dspsep.errors import InputError

__all__ = [
    "code",
    "code_of",
    "facts",
    "header",
    "isolated",
    "score_table",
    "section",
    "table",
]


def header(title: str, intro: str, facts: str) -> Markup:
    """Return the top of a page."""
    return element(
        "header",
        element("p", facts, class_="facts"),
        element("h1", isolated(title)),
        element("p", intro, class_="intro"),
    )


def section(heading: str, *content: Markup) -> Markup:
    """Return a section with a heading."""
    return element("section", element("h2", heading), *content)


def code(text: str) -> Markup:
    """Return text to be copied."""
    return element("pre", element("code", text))


def code_of(settings: str) -> str:
    """Return the Python program that separates again, from the `repr` of a separator."""
    # A name of its own, because of pipelines: a method call binds tighter than their arrows.
    lines = [
        "from dspsep import *",
        "",
        f"separator = {settings}",
        "sources = separator.separate(mixture, sample_rate)",
    ]
    return "\n".join(lines)


def isolated(name: str) -> Markup:
    """Return a name, so that it does not turn what stands beside it if it runs from right to left."""
    return element("bdi", str(name))


def facts(n_samples: int, n_channels: int, rate: float, counted: Sequence[str], version: str) -> str:
    """Return the line of facts above the title."""
    duration = n_samples / rate
    return " · ".join([
        f"{time_label(duration, duration)} {'min' if has_minutes(duration) else 's'}",
        f"{rate / 1000:.5g} kHz",
        {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels"),
        *counted,
        f"dspsep {version}",
    ])  # fmt: skip


def score_table(scores: Mapping[str, Mapping[str, float]]) -> Markup:
    """Return the table of scores, a row per source; nothing without scores."""
    if not scores:
        return Markup()
    for name, row in scores.items():
        if not isinstance(row, Mapping):
            remedy = "With one kind of number: {name: {'SI-SDR (dB)': value}}."
            raise InputError(f"scores[{name!r}]", "a mapping of names to numbers", repr(row)[:60], remedy)
    columns = list(dict.fromkeys(key for row in scores.values() for key in row))
    cells = {
        name: [_cell(name, key, row.get(key, math.nan)) for key in columns] for name, row in scores.items()
    }
    rows = [([name], [element("td", cell) for cell in row]) for name, row in cells.items()]
    content = [table("Scores", ["Source", *map(str, columns)], rows)]
    if any("–" in row for row in cells.values()):
        content.append(element("p", "–: not defined, for example for want of a reference.", class_="note"))
    return section("Scores", *content)


def table(label: str, head: Sequence[str], rows: Sequence[tuple[Sequence[str], Sequence[Markup]]]) -> Markup:
    """Return a table: of each row the names at its beginning, and its cells.

    With two names the first is written once for the rows that have it, which follow one another.
    """
    n_names = len(rows[0][0])
    columns = [
        element("th", text, scope="col", class_="name" if index < n_names else False)
        for index, text in enumerate(head)
    ]
    body = []
    firsts = [names[0] for names, _ in rows]
    for index, (names, cells) in enumerate(rows):
        heads = [element("th", isolated(name), scope="row", class_="name") for name in names[1:]]
        if n_names == 1 or index == 0 or names[0] != firsts[index - 1]:
            n_rows = 1 if n_names == 1 else firsts.count(names[0])
            span = {} if n_rows == 1 else {"rowspan": n_rows}
            scope = "row" if n_names == 1 else "rowgroup"
            heads.insert(0, element("th", isolated(names[0]), scope=scope, class_="name", **span))
        body.append(element("tr", *heads, *cells, class_="first" if len(heads) == n_names else False))
    made = element("table", element("thead", element("tr", *columns)), element("tbody", *body))
    # Focusable, so that a wide table can be scrolled from the keyboard.
    return element("div", made, class_="scroll", tabindex=0, role="region", aria_label=label)


def _cell(name: str, key: str, value: Any) -> str:
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise InputError(f"scores[{name!r}][{key!r}]", "a number", repr(value)[:60]) from None
    return signed(score) if "improvement" in str(key).lower() else number(score)
