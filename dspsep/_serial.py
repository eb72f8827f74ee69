"""Settings and models as plain data, and back: JSON for structure, raw numbers for arrays, never pickle.

Only registered classes come back, and they come back through their constructors, so whatever a file says is
validated as if a user had typed it.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from dspsep import _backend, _registry
from dspsep._frozen_array import FrozenArray
from dspsep.errors import InputError

__all__ = ["dumps", "loads", "read_npz", "write_npz"]

_TYPE = "type"
_HEADER = "header"
# Stored settings are small; what is larger was not written by us.
_MAX_HEADER_BYTES = 10_000_000
_MAX_BYTES = 1_000_000_000


_Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]


def dumps(value: Any, arrays: _Arrays | None = None) -> str:
    """Return a registered object as JSON; its arrays go into `arrays`, or into the text if that is None."""
    return json.dumps(_plain(value, arrays), indent=2, allow_nan=False, ensure_ascii=False)


def loads(text: str | bytes, arrays: Mapping[str, Any] | None = None) -> Any:
    """Return the object that `dumps` wrote."""
    try:
        plain = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError("text", "JSON that dspsep wrote", f"{str(error)[:80]!r}") from error
    try:
        return _object(plain, arrays or {})
    except InputError:
        raise
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise InputError("text", "JSON that dspsep wrote", f"{type(error).__name__}: {error}"[:80]) from error


def _plain(value: Any, arrays: _Arrays | None) -> Any:
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
        array = np.asarray(value) if isinstance(value, FrozenArray) else _backend.to_host(value)
        return _plain_array("FrozenArray" if isinstance(value, FrozenArray) else "array", array, arrays)
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


def _plain_array(kind: str, array: np.ndarray[Any, Any], arrays: _Arrays | None) -> dict[str, Any]:
    if arrays is not None:
        name = f"array_{len(arrays)}"
        arrays[name] = array
        return {_TYPE: kind, "name": name}
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(little.tobytes()).decode()
    return {_TYPE: kind, "dtype": little.dtype.str, "shape": list(array.shape), "data": data}


def _stored_array(plain: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    if "data" in plain:
        dtype = np.dtype(str(plain["dtype"]))
        if dtype.kind not in "biufc":
            raise InputError("array", "of numbers", f"dtype {str(dtype)[:40]}")
        return np.frombuffer(base64.b64decode(plain["data"]), dtype).reshape(plain["shape"]).copy()
    name = str(plain.get("name"))
    if name not in arrays:
        raise InputError("array", "stored in the file that refers to it", repr(name)[:80])
    return arrays[name]


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
        stored = _stored_array(plain, arrays)
        return FrozenArray(stored) if kind == "FrozenArray" else stored
    settings = {key: _object(item, arrays) for key, item in plain.items() if key != _TYPE}
    try:
        return _registry.type_named(kind)(**settings)
    except TypeError as error:
        raise InputError(f"settings of {kind}", "those of this version of dspsep", str(error)) from error


def write_npz(path: str | Path, value: Any) -> None:
    """Write a registered object with arrays to one ``.npz`` file: the arrays, and JSON as its header."""
    arrays: _Arrays = {}
    header = dumps(value, arrays)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
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
        arrays = _members(path)
        header = arrays.pop(_HEADER).tobytes()
    except InputError:
        raise
    except (ValueError, KeyError, OSError, EOFError, MemoryError, NotImplementedError, RuntimeError) as error:
        raise _not_ours(path, type(error).__name__) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _not_ours(path, "a damaged archive") from error
    if len(header) > _MAX_HEADER_BYTES:
        raise _not_ours(path, "a header of more than 10 MB")
    return loads(header, arrays)


def _members(path: Path) -> _Arrays:
    """Return the arrays of an npz file, none of which is larger than the file says its members are."""
    arrays: _Arrays = {}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
            raise _not_ours(path, "more than 1 GB of arrays")
        for member in archive.infolist():
            stream = io.BytesIO(archive.read(member))
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read_header(stream)
            if dtype.kind not in "biufc":
                raise _not_ours(path, f"an array of {dtype}"[:60])
            # Not `np.load`: it allocates whatever size a header claims before it looks at the data.
            values = np.frombuffer(stream.getbuffer()[stream.tell() :], dtype)
            arrays[member.filename.removesuffix(".npy")] = values.reshape(
                shape, order="F" if fortran else "C"
            )
    return arrays


def _not_ours(path: Path, seen: str) -> InputError:
    return InputError("path", "an .npz file that dspsep wrote", f"{str(path)!r} ({seen})")
