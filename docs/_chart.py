"""A flow chart that is drawn from a nested list of the page it stands on, which stays its text alternative.

The list stands between ``<!-- chart -->`` and ``<!-- end -->``. Its items are questions,
``*edge*: **Question?**``, and answers, ``*edge*: [`Name`](page.md) remark; [`Other`](page.md)``. The
directive ``chart`` draws it twice: as a tree from left to right, and as an outline for narrow screens. The
style sheet shows one of the two. Colours are those of the theme, light or dark; nothing is loaded.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

_LINE, _PAD, _GAP = 17, 7, 8
_ITEM = re.compile(r"(?P<indent> *)- (?:\*(?P<edge>[^*]+)\*: )?(?P<rest>.+)")
_LINK = re.compile(r"\[`(?P<name>[^`]+)`\]\((?P<page>[^)]+)\)(?P<remark>[^;]*)")


@dataclass
class Node:
    """A question with its answers, or an answer with its methods: ``(name, page, remark)``."""

    edge: str
    question: str
    methods: list[tuple[str, str, str]]
    children: list[Node] = field(default_factory=list)

    def lines(self, width: int) -> list[str]:
        """Return the lines of its box as SVG text spans, wrapped at so many letters."""
        lines = [f'<tspan class="edge">{escape(part)}</tspan>' for part in textwrap.wrap(self.edge, width)]
        lines += [
            f'<tspan class="question">{escape(part)}</tspan>'  # bold, and so wider
            for part in textwrap.wrap(self.question, int(0.88 * width))
        ]
        for name, page, remark in self.methods:
            target = escape(page.replace(".md", ".html"))
            link = f'<a href="{target}"><tspan class="method">{escape(name)}</tspan></a>'
            first, *more = textwrap.wrap("_" * len(name) + remark, width)
            lines.append(link + escape(first[len(name) :]))
            lines += [escape(part) for part in more]
        return lines


def parse(text: str) -> Node:
    """Return the tree that the list between the two marks describes."""
    listed = text.split("<!-- chart -->\n", 1)[1].split("<!-- end -->", 1)[0]
    stack: list[tuple[int, Node]] = []
    root = None
    for match in _ITEM.finditer(re.sub(r"\n +(?!- | )", " ", listed)):
        rest = match["rest"].strip()
        question = re.fullmatch(r"\*\*(.+)\*\*", rest)
        methods = [(m["name"], m["page"], m["remark"].rstrip()) for m in _LINK.finditer(rest)]
        if bool(question) == bool(methods):
            raise ValueError(f"neither a question nor an answer: {rest}")
        node = Node(match["edge"] or "", question[1] if question else "", methods)
        indent = len(match["indent"])
        while stack and stack[-1][0] >= indent:
            stack.pop()
        if stack:
            stack[-1][1].children.append(node)
        elif root is None:
            root = node
        else:
            raise ValueError(f"a second root: {rest}")
        stack.append((indent, node))
    if root is None:
        raise ValueError("the page has no list to draw")
    return root


def answers(node: Node) -> Iterator[tuple[str, str, str]]:
    """Yield the methods of all answers below a node."""
    yield from node.methods
    for child in node.children:
        yield from answers(child)


class _Drawing:
    """Boxes and lines, collected."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(self, node: Node, x: float, y: float, width: float, lines: list[str]) -> None:
        kind = "question" if node.question else "answer"
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height(lines)}" rx="6"/>'
        )
        for number, line in enumerate(lines):
            at = y + _PAD + _LINE * number + 13
            self.parts.append(f'<text x="{x + 8:g}" y="{at:g}">{line}</text>')

    def line(self, path: str) -> None:
        self.parts.insert(0, f'<path d="{path}"/>')


def height(lines: list[str]) -> int:
    """Return the height of a box."""
    return 2 * _PAD + _LINE * len(lines)


def _outline(drawing: _Drawing, node: Node, depth: int, y: float) -> float:
    """Draw a node and what is below it, each in a row of its own; return where the next one begins."""
    x = 2 + 20 * depth
    width = 356 - x
    lines = node.lines(int((width - 14) / 7.2))
    drawing.box(node, x, y, width, lines)
    bottom = y + height(lines) + _GAP
    for child in node.children:
        middle = bottom + 18
        drawing.line(f"M{x + 9},{y + height(lines)} V{middle} H{x + 20}")
        bottom = _outline(drawing, child, depth + 1, bottom)
    return bottom


def _tree(drawing: _Drawing, node: Node, depth: int, y: float) -> tuple[float, float]:
    """Draw a node beside what is below it; return its middle and where the next one begins."""
    width, step = 192, 226
    x = 2 + step * depth
    lines = node.lines(24)
    tall = height(lines)
    if not node.children:
        drawing.box(node, x, y, width, lines)
        return y + tall / 2, y + tall + _GAP
    middles, bottom = [], y
    for child in node.children:
        middle, bottom = _tree(drawing, child, depth + 1, bottom)
        middles.append(middle)
    top = max(y, (middles[0] + middles[-1]) / 2 - tall / 2)
    drawing.box(node, x, top, width, lines)
    for middle in middles:
        drawing.line(f"M{x + width},{top + tall / 2:g} h17 V{middle:g} H{x + step}")
    return top + tall / 2, max(bottom, top + tall + _GAP)


def svg(root: Node, *, wide: bool) -> str:
    """Return the chart as SVG, to stand in a page."""
    drawing = _Drawing()
    bottom = _tree(drawing, root, 0, 2)[1] if wide else _outline(drawing, root, 0, 2)
    name, across = ("wide", 874) if wide else ("narrow", 360)
    return (
        f'<svg class="chart chart-{name}" viewBox="0 0 {across} {bottom:g}" role="group" '
        f'aria-labelledby="chart-{name}-title" aria-describedby="chart-{name}-desc">'
        f'<title id="chart-{name}-title">Which method?</title>'
        f'<desc id="chart-{name}-desc">A tree of questions about a recording, whose answers are links to '
        "methods. The list below has the same questions and answers.</desc>"
        f"{''.join(drawing.parts)}</svg>"
    )


class Chart(Directive):
    """Draw the list of this page."""

    def run(self) -> list[nodes.Node]:
        """Return both drawings as they stand."""
        env = self.state.document.settings.env
        root = parse(Path(env.doc2path(env.docname)).read_text(encoding="utf-8"))
        return [nodes.raw("", svg(root, wide=wide), format="html") for wide in (True, False)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("chart", Chart)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
