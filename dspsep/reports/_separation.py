"""What one method made of a mixture, as far as a page shows it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dspsep import _expression, _registry
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.errors import InputError
from dspsep.metrics.results import Scores
from dspsep.separator import Separator
from dspsep.sources import Sources

__all__ = ["Separation", "methods_in", "separation", "separator_of", "texts_of"]


@dataclass(frozen=True, kw_only=True)
class Separation:
    """What one method made of a mixture, and how.

    Attributes
    ----------
    method : str
        What it is called; nothing where there is no other.
    sources : mapping of str to array of shape (n_channels, n_samples)
        What the page plays: a passage, on the host.
    version, settings : str
        Of the provenance; empty where they are not known.
    scores : Scores or None
        Of the whole recording.
    notices : tuple of str or None
        What was warned of; None where nobody knows.
    command : str
        What was typed, if it was not Python.
    """

    method: str
    sources: Mapping[str, Array]
    version: str
    settings: str
    scores: Scores | None = None
    notices: tuple[str, ...] | None = None
    command: str = ""


def separation(
    method: str,
    sources: Sources,
    parts: Mapping[str, Array],
    scores: Scores | None,
    notices: tuple[str, ...] | None,
) -> Separation:
    """Return what sources are, from what they remember of themselves."""
    provenance = sources.provenance
    return Separation(
        method=method,
        sources=parts,
        version=__version__ if provenance is None else str(provenance.version),
        settings="" if provenance is None else str(provenance.settings),
        scores=scores,
        notices=notices,
    )


def texts_of(notices: object) -> tuple[str, ...] | None:
    """Return warnings as texts, each once: recorded ones, or texts already."""
    if notices is None:
        return None
    if isinstance(notices, (str, bytes)) or not isinstance(notices, Iterable):
        remedy = "Record them with warnings.catch_warnings(record=True)."
        raise InputError("warnings", "a sequence of warnings or texts", repr(notices)[:60], remedy)
    found = []
    for notice in notices:
        message = notice.message if isinstance(notice, warnings.WarningMessage) else notice
        if not isinstance(message, (str, Warning)):
            raise InputError("warnings", "a sequence of warnings or texts", f"{message!r}"[:60])
        found.append(str(message))
    return tuple(dict.fromkeys(found))


def separator_of(settings: str) -> Separator | None:
    """Return the separator that a `repr` describes, if dspsep knows it and it can be typed."""
    if not settings:
        return None
    try:
        return _expression.read(settings, "settings")
    except InputError:
        return None


def methods_in(settings: str) -> list[str]:
    """Return the names of separators and steps in a `repr`, also where it cannot be typed."""
    try:
        tree = ast.parse(settings, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [name.id for name in calls if isinstance(name, ast.Name)]
    known = {*_registry.METHODS, *_registry.REFINERS, *_registry._SUPERVISED, *_registry._ORACLES}
    return [name for name in dict.fromkeys(names) if name in known]
