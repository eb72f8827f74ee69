"""Figures as the page shows them: three digits, in the unit that suits them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["digits", "megabytes", "seconds", "table"]


def seconds(value: float) -> str:
    """Return a time in seconds, milliseconds or microseconds."""
    if value >= 1:
        return f"{digits(value)} s"
    return f"{digits(value * 1e3)} ms" if value >= 1e-3 else f"{digits(value * 1e6)} µs"


def megabytes(n_bytes: float) -> str:
    """Return a size in millions of bytes."""
    return f"{digits(n_bytes / 1e6)} MB"


def digits(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown, with an empty one behind: words on the left, then figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [*("| " + " | ".join(line) + " |" for line in lines), ""]
