"""Formulas as MathML, which browsers draw themselves: pages stay readable from disk, without a network."""

from __future__ import annotations

import html
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    _draw(translator, node, block=False)


def _block(translator: Any, node: nodes.math_block) -> None:
    _draw(translator, node, block=True)


def _draw(translator: Any, node: nodes.Element, *, block: bool) -> None:
    tree = accents_apart(str(latex2mathml.tex2mathml(node.astext(), as_block=block)))
    translator.body.append(f'<div class="formula">{tree}</div>' if block else tree)
    raise nodes.SkipNode


def accents_apart(markup: str) -> str:
    """Return MathML in which the index of a letter with an accent stands beside it, and not below."""
    ElementTree.register_namespace("", _NAMESPACE)
    # Names of characters that XML does not know, such as &nbsp;, become the characters.
    markup = re.sub(r"&(?!lt;|gt;|amp;|quot;|apos;)\w+;", lambda found: html.unescape(found[0]), markup)
    root = ElementTree.fromstring(markup)  # noqa: S314 - our own formulas
    for element in root.iter(f"{{{_NAMESPACE}}}munderover"):
        letter, index, accent = element
        if accent.tag != f"{{{_NAMESPACE}}}mo" or len(letter.text or "") != 1 or letter.tag == accent.tag:
            continue  # a sum or a maximum, with what is below and above it
        accented = ElementTree.Element(f"{{{_NAMESPACE}}}mover")
        accented.extend([letter, accent])
        element.tag = f"{{{_NAMESPACE}}}msub"
        element[:] = [accented, index]
    return ElementTree.tostring(root, encoding="unicode")
