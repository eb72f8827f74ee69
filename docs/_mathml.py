"""Formulas as MathML, which browsers draw themselves: pages stay readable from disk, without a network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    _draw(translator, node, block=False)


def _block(translator: Any, node: nodes.math_block) -> None:
    _draw(translator, node, block=True)


def _draw(translator: Any, node: nodes.Element, *, block: bool) -> None:
    tree = latex2mathml.tex2mathml(node.astext(), as_block=block)
    translator.body.append(f'<div class="formula">{tree}</div>' if block else str(tree))
    raise nodes.SkipNode
