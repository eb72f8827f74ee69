"""What kernels ask of the arrays that they are given."""

from __future__ import annotations

from dspsep._typing import Array

__all__ = ["contiguous", "precision"]


def contiguous(array: Array) -> Array:
    """Return an array whose memory is in the order of its axes: itself, or a copy."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def precision(array: Array) -> str:
    """Return ``float32`` or ``float64``: what the parts of an array's numbers are."""
    return "float32" if str(array.dtype) in ("float32", "complex64") else "float64"
