"""Settings and models as plain data, and back: JSON for structure, npz for arrays, never pickle.

Only registered classes come back, and they come back through their constructors, so whatever a file says is
validated as if a user had typed it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dspsep import _backend, _registry
from dspsep._frozen_array import FrozenArray
from dspsep.errors import InputError

__all__ = ["dumps", "loads", "read_npz", "write_npz"]

_TYPE = "type"
_HEADER = "header"
# Stored settings are small; what is larger was not written by us.
_MAX_HEADER_BYTES = 10_000_000


def dumps(value: Any, arrays: dict[str, np.ndarray[Any, Any]] | None = None) -> str:
    """Return a registered object as JSON; its arrays are put into `arrays`."""
    return json.dumps(_plain(value, arrays), indent=2, allow_nan=False, ensure_ascii=False)


def loads(text: str | bytes, arrays: Mapping[str, Any] | None = None) -> Any:
    """Return the object that `dumps` wrote."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("text", "JSON that dspsep wrote", f"{str(error)[:80]!r}") from error
    try:
        return _object(plain, arrays or {})
    except RecursionError as error:
        raise InputError("text", "JSON that dspsep wrote", "settings nested without end") from error


def _plain(value: Any, arrays: dict[str, np.ndarray[Any, Any]] | None) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TYPE: "float", "value": repr(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, Mapping):
        return {
            _TYPE: "mapping",
            "items": [[_plain(key, arrays), _plain(item, arrays)] for key, item in value.items()],
        }
    if isinstance(value, (FrozenArray, np.ndarray)) or _is_device_array(value):
        if arrays is None:
            raise InputError(
                "a setting",
                "text to go into JSON",
                "an array",
                "Use save(path), which keeps arrays beside it.",
            )
        name = f"array_{len(arrays)}"
        frozen = isinstance(value, FrozenArray)
        arrays[name] = np.asarray(value) if frozen else _backend.to_host(value)
        return {_TYPE: "FrozenArray" if frozen else "array", "name": name}
    if dataclasses.is_dataclass(value) and _registry.is_registered(type(value)):
        settings = {
            field.name: _plain(getattr(value, field.name), arrays) for field in dataclasses.fields(value)
        }
        return {_TYPE: type(value).__name__, **settings}
    raise InputError(
        "settings",
        "numbers, strings, arrays and registered dspsep classes, to be stored",
        f"a {type(value).__name__}",
        "Functions and classes of your own can be used but not stored: nothing that is code is ever loaded.",
    )


def _is_device_array(value: object) -> bool:
    return hasattr(value, "__array_namespace__")


def _object(plain: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(plain, list):
        return tuple(_object(item, arrays) for item in plain)
    if not isinstance(plain, dict):
        return plain
    kind = plain.get(_TYPE)
    if kind == "float":
        return float(str(plain.get("value")))
    if kind == "mapping":
        return {_object(key, arrays): _object(item, arrays) for key, item in plain.get("items", [])}
    if kind in ("array", "FrozenArray"):
        name = str(plain.get("name"))
        if name not in arrays:
            raise InputError("array", "stored in the file that refers to it", repr(name)[:80])
        return FrozenArray(arrays[name]) if kind == "FrozenArray" else arrays[name]
    settings = {key: _object(item, arrays) for key, item in plain.items() if key != _TYPE}
    try:
        return _registry.type_named(kind)(**settings)
    except TypeError as error:
        raise InputError(f"settings of {kind}", "those of this version of dspsep", str(error)) from error


def write_npz(path: str | Path, value: Any) -> None:
    """Write a registered object with arrays to one ``.npz`` file: the arrays, and JSON as its header."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    header = dumps(value, arrays)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            np.savez(
                stream, allow_pickle=False, **{_HEADER: np.frombuffer(header.encode(), np.uint8)}, **arrays
            )
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: str | Path) -> Any:
    """Return the object that `write_npz` wrote. No code is loaded from the file."""
    path = Path(path)
    if not path.is_file():
        raise InputError("path", "a file that dspsep wrote", f"nothing at {str(path)!r}")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = arrays.pop(_HEADER).tobytes()
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            "path", "an .npz file that dspsep wrote", f"{str(path)!r} ({type(error).__name__})"
        ) from error
    if len(header) > _MAX_HEADER_BYTES:
        raise InputError("path", "an .npz file that dspsep wrote", "a header of more than 10 MB")
    return loads(header, arrays)
