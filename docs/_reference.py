"""Write the reference pages from what the package says is public, so that no name can be missing.

It needs nothing but dspsep: `conf.py` calls `write` before Sphinx looks for pages, and a test calls `page`.
"""

from __future__ import annotations

import importlib
import types
from pathlib import Path

import dspsep
from dspsep import _registry

#: Where a name comes from decides under which heading it stands; what begins with none of these stands
#: under the last one.
HEADINGS = {
    "dspsep.separators.": "Separators",
    "dspsep.pipeline": "Composition",
    "dspsep.ensemble": "Composition",
    "dspsep.opinions": "Composition",
    "dspsep.refine.": "Composition",
    "dspsep.stft": "Transform",
    "dspsep.sources": "What comes back",
    "dspsep.model": "What comes back",
    "dspsep.data.": "Audio files",
    "dspsep.batch.": "Folders of tracks",
    "dspsep.bench.": "Benchmarks and papers",
    "dspsep.reports.": "Reports",
    "dspsep.citations": "Benchmarks and papers",
    "dspsep.descriptions": "Benchmarks and papers",
    "dspsep.streaming": "Streams",
    "dspsep.separator": "Base classes and callbacks",
    "dspsep.errors": "Errors and warnings",
    "": "Settings and threads",
}

#: Modules that people import by name, in the order of the page. Names of them that `import dspsep` offers too
#: have their page there.
MODULES = (
    "dspsep.masks",
    "dspsep.metrics",
    "dspsep.oracle",
    "dspsep.data.files",
    "dspsep.data.tracks",
    "dspsep.data.scenes",
    "dspsep.bench",
    "dspsep.display",
    "dspsep.testing",
)


def public_names() -> list[str]:
    """Return the names that `import dspsep` offers, without its modules."""
    return [name for name in dspsep.__all__ if name not in _registry.MODULES and not name.startswith("__")]


def module_names(module: str) -> list[str]:
    """Return the public names of a module that have no page yet."""
    found = importlib.import_module(module)
    return [name for name in found.__all__ if name not in public_names()]


def page() -> str:
    """Return the reference page in reStructuredText."""
    by_heading: dict[str, list[str]] = {heading: [] for heading in HEADINGS.values()}
    for name in public_names():
        origin = _registry.PUBLIC[name].partition(":")[0]
        heading = next(HEADINGS[prefix] for prefix in HEADINGS if origin.startswith(prefix))
        by_heading[heading].append(name)
    parts = [_title("Reference", "="), "Every public name has a page here, made from its docstring."]
    parts += [
        _title(heading, "-") + _table("dspsep", names) for heading, names in by_heading.items() if names
    ]
    for module in MODULES:
        parts.append(
            _title(module, "-") + f".. automodule:: {module}\n\n" + _table(module, module_names(module))
        )
    return "\n\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write the page into `folder`, unless it is there already: Sphinx rebuilds what changed."""
    folder.mkdir(exist_ok=True)
    file = folder / "index.rst"
    text = page()
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _title(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n\n"


def _table(module: str, names: list[str]) -> str:
    found = importlib.import_module(module)
    kinds = {True: "autosummary/class.rst", False: "autosummary/base.rst"}
    tables = []
    for is_class, template in kinds.items():
        chosen = [name for name in names if isinstance(getattr(found, name), type) is is_class]
        if any(isinstance(getattr(found, name), types.ModuleType) for name in chosen):
            raise TypeError(f"{module} offers a module: give it a place in MODULES")
        if chosen:
            rows = "\n".join(f"   {name}" for name in sorted(chosen, key=str.lower))
            tables.append(
                f".. currentmodule:: {module}\n\n"
                f".. autosummary::\n   :toctree: .\n   :nosignatures:\n   :template: {template}\n\n{rows}\n"
            )
    return "\n".join(tables)
