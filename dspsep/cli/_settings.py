"""From ``--param margin=2`` to a separator, whatever separators there are."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dspsep import _registry
from dspsep._expression import read
from dspsep.data._names import safe_file_name
from dspsep.errors import InputError
from dspsep.refine.regroup import Regroup
from dspsep.separator import Separator, from_json
from dspsep.stft import STFT

__all__ = [
    "chosen",
    "fields_of",
    "given_settings",
    "inner_separators",
    "mapping_of",
    "separator_from",
    "two_stems",
    "value_of",
]

# Settings of the transform are given directly: `--param n_fft=4096`.
_TRANSFORM = ("n_fft", "hop_length", "window")

# Settings with templates in them are far shorter; what is longer may have no end.
_LONGEST = 10_000_000


def chosen(method: str | None, parameters: Sequence[str], pipeline: str | None) -> tuple[str, Separator]:
    """Return the separator that was asked for, and the name of the folder of what it makes."""
    if pipeline is None:
        separator = separator_from(method or "hpss", parameters)
        return type(separator).__name__.lower(), separator
    if method is not None or parameters:
        raise InputError("--pipeline", "given without --method and --param", "both", "The file has settings.")
    if _is_text(pipeline):
        separator = _described(pipeline)
        return type(separator).__name__.lower(), separator
    path = Path(pipeline)
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "which is not text"
        requirement = "a file with the JSON of a separator"
        remedy = "Or the separator itself: --pipeline 'HPSS(margin=2) >> {percussive: HPSS(stft=STFT(512))}'."
        raise InputError("--pipeline", requirement, f"{pipeline!r}: {reason}", remedy) from error
    if len(text) > _LONGEST:
        raise InputError("--pipeline", f"a file of at most {_LONGEST} characters", f"more in {pipeline!r}")
    return safe_file_name(path.stem), _described(text)


def _is_text(pipeline: str) -> bool:
    """Tell a separator from the name of a file: a file that is there is one."""
    if not (pipeline.lstrip().startswith("{") or ">>" in pipeline or "(" in pipeline):
        return False
    try:
        return not Path(pipeline).is_file()
    except (OSError, ValueError):  # too long for a name, or with characters that none has
        return True


def _described(text: str) -> Separator:
    """Return the separator of a text: JSON, or as it is typed in Python."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return read(text, "--pipeline")
    try:
        stored = from_json(text)
    except InputError as error:
        if error.name != "text":  # it names what is wrong in the text
            raise
        raise InputError("--pipeline", error.requirement, error.got, error.remedy) from error
    if not isinstance(stored, Separator):
        raise InputError("--pipeline", "the JSON of a separator", f"that of a {type(stored).__name__}")
    return stored


def two_stems(separator: Separator, name: str) -> Separator:
    """Return a separator into one source and the sum of all others."""
    names = separator.source_names
    if names is None or len(names) < 2 or name not in names:
        known = "whose settings decide its sources" if names is None else f"one of {', '.join(names)}"
        remedy = "What each method gives is in `dspsep list`; margins above 1 give a residual, too."
        raise InputError("--two-stems", known, repr(name), remedy)
    others = [other for other in names if other != name]
    return separator >> Regroup({name: [name], f"no_{name}": others})


def separator_from(method: str, parameters: Iterable[str]) -> Separator:
    """Return the separator that the command line asks for."""
    kind = _registry.load(_registry.METHODS[_registry.find_method(method)].target)
    separator: Separator = kind(**_settings(kind, given_settings(parameters)))
    return separator


def given_settings(parameters: Iterable[str]) -> dict[str, str]:
    """Return the settings of ``--param NAME=VALUE``, values as they were typed."""
    given = {}
    for parameter in parameters:
        name, equals, text = parameter.partition("=")
        if not equals or not name:
            raise InputError("--param", "NAME=VALUE", repr(parameter), "For example --param margin=2.")
        given[name.strip().replace("-", "_")] = text
    return given


def mapping_of(pairs: Iterable[str]) -> dict[str, str | list[str]]:
    """Return the sources of references, of ``--map REFERENCE=SOURCE``; a plus sign adds."""
    mapping: dict[str, str | list[str]] = {}
    for pair in pairs:
        reference, equals, sources = pair.partition("=")
        if not (reference and equals and all(sources.split("+"))):
            raise InputError("--map", "REFERENCE=SOURCE", repr(pair), "For example --map vocals=foreground.")
        if reference in mapping:
            raise InputError("--map", "one source for each reference", f"another for {reference!r}")
        mapping[reference] = sources.split("+") if "+" in sources else sources
    return mapping


def _settings(kind: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """Return settings of a class; those of a separator among its settings are given as ``first.margin``."""
    inner = inner_separators(kind)
    names = [field.name for field in fields_of(kind) if field.name not in ("stft", *inner)]
    transforms = _TRANSFORM if "stft" in (field.name for field in fields_of(kind)) else ()
    settings: dict[str, Any] = {}
    transform: dict[str, Any] = {}
    nested: dict[str, dict[str, str]] = {}
    for name, text in given.items():
        outer, dot, rest = name.partition(".")
        if dot and outer in inner:
            nested.setdefault(outer, {})[rest] = text
        elif name in transforms:
            transform[name] = value_of(text)
        elif name in names:
            settings[name] = value_of(text)
        else:
            known = [*names, *transforms, *(f"{one}.NAME" for one in inner)]
            raise InputError("--param", f"one of {', '.join(known)} for {kind.__name__}", repr(name))
    if transform:
        settings["stft"] = STFT(**transform)
    for name, changes in nested.items():
        settings[name] = inner[name].replace(**_settings(type(inner[name]), changes))
    return settings


def inner_separators(kind: Any) -> dict[str, Separator]:
    """Return the settings of a class that are separators themselves, with their defaults."""
    factories = {field.name: field.default_factory for field in fields_of(kind)}
    defaults = {name: make() for name, make in factories.items() if make is not dataclasses.MISSING}
    return {name: default for name, default in defaults.items() if isinstance(default, Separator)}


def fields_of(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the settings of a separator class."""
    return tuple(field for field in dataclasses.fields(kind) if field.init)


def value_of(text: str) -> Any:
    """Read a number, None, a tuple of numbers; anything else is a string."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip()
    return value if isinstance(value, (bool, int, float, str, tuple, type(None))) else text
