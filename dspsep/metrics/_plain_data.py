"""Plain data that goes with scores: what JSON can hold, made read-only, and compared by content."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from dspsep.errors import InputError

__all__ = ["frozen", "frozen_mapping", "same", "thawed"]

#: Nobody nests settings deeper, and a bound is what keeps a hostile file from exhausting the stack.
_MAX_DEPTH = 16

#: Integers have no bound in JSON, but Python refuses to print or read those of thousands of digits.
_MAX_INTEGER = 10**300


def frozen(name: str, value: object, depth: int = 0) -> Any:
    """Return a copy of `value` in which mappings are read-only and sequences are tuples.

    NumPy's numbers and arrays become Python's. Whatever JSON has no word for is refused.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int) and abs(value) < _MAX_INTEGER:
        return value
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return frozen_mapping(name, value, depth)
        if isinstance(value, (list, tuple)):
            return tuple(frozen(name, item, depth + 1) for item in value)
    raise InputError(
        name,
        f"numbers, strings, None, and lists and mappings of them, at most {_MAX_DEPTH} deep",
        f"a {type(value).__name__} in it",
        "It is stored with the scores, as JSON.",
    )


def frozen_mapping(name: str, value: object, depth: int = 0) -> MappingProxyType[str, Any]:
    """Return a read-only copy of a mapping from strings to plain data."""
    if not isinstance(value, Mapping):
        raise InputError(name, "a mapping of strings to plain data", f"a {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise InputError(name, "a mapping whose keys are strings", f"the key {key!r}"[:80])
    return MappingProxyType({str(key): frozen(name, item, depth + 1) for key, item in value.items()})


def thawed(value: Any) -> Any:
    """Return frozen data as dicts and lists, which can be changed, pickled and written as JSON."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


def same(one: Any, other: Any) -> bool:
    """Tell whether two pieces of frozen data say the same; NaN is NaN, and True is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
