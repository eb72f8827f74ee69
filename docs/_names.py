"""Names in single backticks: links where there is a page to link to, and code everywhere else."""

from __future__ import annotations

from typing import Any

import _reference
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.autosummary import AutoLink, ImportExceptionGroup, import_by_name


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role ``name``, and what happens to its links that lead nowhere."""
    app.add_role("name", Name())
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Name(AutoLink):
    """A link if the text is the name of something, else code: parameters, values, attributes."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return what `AutoLink` makes of it, but for names of nothing, which it emphasises."""
        if self.text.split(".")[0] in _reference.public_names():  # whatever module the text stands in
            self.text = f"{self.text} <dspsep.{self.text}>"
        found, messages = super().run()
        code = [
            nodes.literal("", node.astext()) if isinstance(node, nodes.emphasis) else node for node in found
        ]
        return code, messages


def _resolve(app: Sphinx, env: Any, node: Any, text: nodes.TextElement) -> nodes.Node | None:
    """Find the page of a name that was written as its own module sees it; leave attributes as code.

    What cannot be imported is not resolved, so that ``-n`` still reports misspelled names.
    """
    if node.get("refdomain") != "py" or node.get("reftype") not in ("obj", "class", "func", "meth"):
        return None
    target = node["reftarget"]
    if target.split(".")[0] in _reference.public_names():
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"dspsep.{target}", node, text)
    module, owner = node.get("py:module"), node.get("py:class")
    prefixes = [f"{module}.{owner}"] if module and owner else []
    try:
        import_by_name(target, [*prefixes, module, None])
    except ImportExceptionGroup:
        return None
    return text
