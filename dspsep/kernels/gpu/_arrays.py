"""What kernels ask of the arrays that they are given."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["contiguous", "empty", "precision"]


def contiguous(array: Array, dtype: str | None = None) -> Array:
    """Return an array in the order of its axes, of another type if one is given: itself, or a copy."""
    array = array if dtype is None else array.astype(dtype, copy=False)
    return array if array.flags.c_contiguous else array.copy(order="C")


def empty(shape: tuple[int, ...], dtype: object, like: Array) -> Array:
    """Return an array whose values are to come, where another is."""
    values: Array = _backend.namespace(like).empty(shape, dtype=dtype, device=like.device)
    return values


def precision(array: Array) -> str:
    """Return ``float32`` or ``float64``: what the parts of an array's numbers are."""
    return "float32" if str(array.dtype) in ("float32", "complex64") else "float64"
