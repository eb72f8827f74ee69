"""The array decides the device: NumPy in, NumPy out; CuPy in, CuPy out.

This module is the only place that knows which array libraries exist, and `to_host` is the only way
from a device to the host. `host_exits` counts its uses, so that tests can prove that nothing leaves
the device unseen.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from dspsep._typing import Array, Namespace
from dspsep.errors import BackendError, InputError

__all__ = [
    "as_array",
    "asarray_like",
    "host_exits",
    "is_cupy",
    "is_numpy",
    "namespace",
    "real_floating",
    "scalar",
    "to_host",
]

_SUPPORTED = ("numpy", "cupy", "array_api_strict")

_CONVERSIONS = {
    "torch": "array.detach().cpu().numpy()",
    "jax": "numpy.asarray(array)",
    "jaxlib": "numpy.asarray(array)",
    "tensorflow": "array.numpy()",
    "pandas": "array.to_numpy()",
    "dask": "array.compute()",
    "mlx": "numpy.asarray(array)",
}

_exits = 0


def host_exits() -> int:
    """Return how many times data went from a device to the host since the process began."""
    return _exits


def _library(array: object) -> str:
    return type(array).__module__.partition(".")[0]


def is_numpy(array: object) -> bool:
    """Tell whether `array` is a NumPy array."""
    return isinstance(array, np.ndarray)


def is_cupy(array: object) -> bool:
    """Tell whether `array` is a CuPy array."""
    return _library(array) == "cupy"


def namespace(*arrays: object) -> Namespace:
    """Return the array-API namespace that all `arrays` belong to.

    Raises
    ------
    BackendError
        If the arrays belong to different libraries or devices, or to one that dspsep does not
        work in.
    """
    libraries = {"numpy" if is_numpy(array) else _library(array) for array in arrays}
    for library in sorted(libraries):
        if library not in _SUPPORTED:
            convert = _CONVERSIONS.get(library, "numpy.asarray(array)")
            raise BackendError(
                f"array must be a NumPy or CuPy array; got {_describe(arrays)}. Convert it first: {convert}."
            )
    if len(libraries) > 1:
        raise BackendError(
            f"arrays must live in one library; got {_describe(arrays)}. "
            "Move them to the same side first: cupy.asarray(x) or cupy.asnumpy(x)."
        )
    (library,) = libraries
    if library == "numpy":
        return np  # numpy >= 2 is itself an array-API namespace
    devices = {str(array.device) for array in arrays}  # type: ignore[attr-defined]
    if len(devices) > 1:
        raise BackendError(f"arrays must live on one device; got {' and '.join(sorted(devices))}.")
    if library == "array_api_strict":
        return sys.modules["array_api_strict"]
    import array_api_compat.cupy as xp

    return xp


def _describe(arrays: tuple[object, ...]) -> str:
    names = [f"{type(array).__module__}.{type(array).__qualname__}" for array in arrays]
    return " and ".join(dict.fromkeys(names))


def as_array(name: str, value: object) -> Array:
    """Return `value` as an array of a supported library, without a copy where that can be.

    Sequences of numbers become NumPy arrays; arrays of other libraries are refused by name.
    """
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise InputError(
                name, "free of masked values", f"{int(np.sum(np.ma.getmaskarray(value)))} masked samples",
                "Fill them first, for example with array.filled(0).",
            )  # fmt: skip
        return np.asarray(value)
    if isinstance(value, (list, tuple, memoryview)):
        try:
            return np.asarray(value)
        except ValueError as error:
            raise InputError(name, "a rectangular array", "a ragged sequence") from error
    if hasattr(value, "__array_namespace__") or _library(value) in (*_SUPPORTED, *_CONVERSIONS):
        namespace(value)
        return value  # type: ignore[return-value]  # a supported array of another library
    if hasattr(value, "__array__") and not np.isscalar(value):
        return np.asarray(value)
    remedy = "A file is read by dspsep.load(path)." if isinstance(value, (str, os.PathLike)) else ""
    raise InputError(name, "an array of numbers", f"{type(value).__name__}", remedy)


def real_floating(name: str, value: object) -> Array:
    """Return `value` as an array of single or double precision; integers become double."""
    array = as_array(name, value)
    xp = namespace(array)
    if not xp.isdtype(array.dtype, ("real floating", "integral")):
        remedy = "Take the absolute value of the spectrum." if "complex" in str(array.dtype) else ""
        raise InputError(name, "an array of real numbers", f"dtype {array.dtype}", remedy)
    if array.dtype not in (xp.float32, xp.float64):
        array = xp.astype(array, xp.float64)
    return array


def to_host(array: Array) -> Array:
    """Return `array` as a NumPy array: the only way from a device to the host."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np.asarray(array)
    global _exits
    _exits += 1
    if _library(array) == "cupy":
        host: Array = array.get()
        return host
    strict = sys.modules["array_api_strict"]
    return np.asarray(strict.asarray(array, device=strict.Device("CPU_DEVICE"), copy=True))


def scalar(array: Array) -> float:
    """Return a zero-dimensional array as a Python float."""
    return float(to_host(array))


def asarray_like(values: Array, like: Array) -> Array:
    """Return host `values` where `like` lives (no copy if that is the host)."""
    if is_numpy(like):
        return np.asarray(values)
    xp = namespace(like)
    array: Array = xp.asarray(values, device=like.device)
    return array
