"""Settings as plain data, changed for one track: the number of sources, and seeds."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any, cast

from dspsep import _serial

__all__ = ["digest_of_code", "has_seed", "loaded", "own_count", "seed_all", "tell"]


def loaded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that were plain data."""
    pairs = [[key, value] for key, value in settings.items()]
    return cast("dict[str, Any]", _serial.loads(json.dumps({"type": "mapping", "items": pairs})))


def tell(settings: dict[str, Any], n_sources: int) -> None:
    """Put a number of sources into the settings of a separator, or of the first step of a pipeline."""
    if settings.get("steps"):
        tell(settings["steps"][0], n_sources)
    else:
        settings["n_sources"] = n_sources


def own_count(settings: Mapping[str, Any]) -> Any:
    """Return the number of sources of the same; 0 where there is no such setting."""
    return own_count(settings["steps"][0]) if settings.get("steps") else settings.get("n_sources", 0)


def seed_all(plain: Any, seed: int) -> None:
    """Put a seed in the place of every one among settings, at any depth."""
    if isinstance(plain, dict):
        if "type" in plain and isinstance(plain.get("seed"), int):
            plain["seed"] = seed
        for value in plain.values():
            seed_all(value, seed)
    elif isinstance(plain, list):
        for value in plain:
            seed_all(value, seed)


def has_seed(plain: Any) -> bool:
    """Tell whether there is a seed among settings, at any depth."""
    if isinstance(plain, dict):
        own = "type" in plain and isinstance(plain.get("seed"), int)
        return own or any(map(has_seed, plain.values()))
    return isinstance(plain, list) and any(map(has_seed, plain))


def digest_of_code(code: object) -> str | None:
    """Return a digest of the text of code; what it refers to is not seen."""
    if code is None:
        return None
    inner = code.func if isinstance(code, functools.partial) else code
    thing = inner if inspect.isfunction(inner) or inspect.isclass(inner) else type(inner)
    try:
        text = inspect.getsource(cast("Any", thing))
    except (OSError, TypeError):  # typed into a console
        text = f"{thing.__module__}.{thing.__qualname__}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
