"""From ``--param margin=2`` to a separator, whatever separators there are."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable
from typing import Any

from dspsep import _registry
from dspsep.errors import InputError
from dspsep.separator import Separator
from dspsep.stft import STFT

__all__ = ["fields_of", "separator_from"]

# Settings of the transform are given directly: `--param n_fft=4096`.
_TRANSFORM = ("n_fft", "hop_length", "window")


def separator_from(method: str, parameters: Iterable[str]) -> Separator:
    """Return the separator that the command line asks for."""
    kind = _registry.load(_registry.METHODS[_registry.find_method(method)].target)
    names = [field.name for field in fields_of(kind)]
    settings: dict[str, Any] = {}
    transform: dict[str, Any] = {}
    for parameter in parameters:
        name, equals, text = parameter.partition("=")
        if not equals or not name:
            raise InputError("--param", "NAME=VALUE", repr(parameter), "For example --param margin=2.")
        name = name.strip().replace("-", "_")
        if name in _TRANSFORM and "stft" in names:
            transform[name] = _value(text)
        elif name in names and name != "stft":
            settings[name] = _value(text)
        else:
            known = [known for known in names if known != "stft"]
            known += _TRANSFORM if "stft" in names else ()
            raise InputError("--param", f"one of {', '.join(known)} for {kind.__name__}", repr(name))
    if transform:
        settings["stft"] = STFT(**transform)
    separator: Separator = kind(**settings)
    return separator


def fields_of(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the settings of a separator class."""
    return tuple(field for field in dataclasses.fields(kind) if field.init)


def _value(text: str) -> Any:
    """Read a number, None, a tuple of numbers; anything else is a string."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip()
    return value if isinstance(value, (bool, int, float, str, tuple, type(None))) else text
