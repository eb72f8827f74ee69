"""How sources were made: settings, programs, warnings, literature, versions."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from functools import cache
from typing import Any

from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.citations import cite
from dspsep.descriptions import describe
from dspsep.display._html import Markup, element
from dspsep.display._levels import about_sum
from dspsep.display._parts import code, code_of, isolated, section
from dspsep.errors import DspsepError
from dspsep.metrics.protocols import Protocol
from dspsep.reports._separation import Separation, methods_in, separator_of

__all__ = ["literature", "made", "versions"]

#: What numbers may depend on, beside dspsep.
_PACKAGES = ("numpy", "scipy", "numba", "soundfile", "soxr")


def made(separations: Sequence[Separation], mixture: Array) -> Markup:
    """Return the section on how sources were made, and what was warned of."""
    content: list[Markup] = []
    for one in separations:
        if one.method:
            content.append(element("h3", isolated(one.method)))
        content += _about(one, mixture)
    return section("How it was made", *content)


def _about(one: Separation, mixture: Array) -> list[Markup]:
    lines = [element("p", f"Separated by dspsep {one.version}. {about_sum(mixture, one.sources.values())}")]
    if one.notices:
        lines.append(element("p", "What was warned of:"))
        notices = (element("li", notice) for notice in one.notices)
        lines.append(element("ul", *notices, class_="notices"))
    elif one.notices is not None:
        lines.append(element("p", "Nothing was warned of."))
    same = "The same again, from the same mixture and with the same version:"
    if one.command:
        lines += [element("p", same), code(one.command)]
        same = "Or in Python:"
    if separator_of(one.settings) is not None:
        lines += [element("p", same), code(code_of(one.settings))]
    elif one.settings:
        words = "The settings, which are too long or too much one's own to be typed:"
        lines += [element("p", words), code(one.settings)]
    return lines


def literature(separations: Sequence[Separation], protocol: Protocol | None) -> Markup:
    """Return the section on what to cite; nothing if nothing is known of the methods."""
    subjects: list[Any] = []
    for one in separations:
        separator = separator_of(one.settings)
        subjects += methods_in(one.settings) if separator is None else [separator]
    if not subjects:
        return Markup()
    subjects += [] if protocol is None else [protocol]
    try:
        words, entries = describe(*subjects), cite(*subjects)
    except DspsepError:  # docstrings, where references are, have been removed
        return Markup()
    versions = {one.version for one in separations}
    if len(versions) == 1:  # which need not be the one that is installed
        (version,) = versions
        words = words.replace(f"dspsep {__version__}.", f"dspsep {version}.", 1)
        entries = entries.replace(f"Version {__version__}", f"Version {version}", 1)
    return section(
        "To cite",
        element("p", "For a methods section; edit it:"),
        element("blockquote", words),
        element("details", element("summary", "BibTeX"), code(entries.rstrip())),
    )


def versions() -> Markup:
    """Return a line on what the page was made with."""
    packages = [f"{name} {version}" for name in _PACKAGES if (version := _version_of(name))]
    made_with = ", ".join([f"Python {platform.python_version()}", *packages])
    words = (
        f"This page was made by dspsep {__version__} with {made_with}, on {platform.system()}"
        f" ({platform.machine()}). It loads nothing from anywhere."
    )
    return element("footer", element("p", words, class_="note"))


@cache
def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
