"""Steps of multiplicative updates, value by value, as array-API expressions."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["extrapolated", "multiplied"]

# An update beyond another multiplies by at most this to the power of the momentum.
_MAX_RATIO = 1e3


def multiplied(
    factor: Array, numerator: Array, denominator: Array, exponent: float, kept: Array | None
) -> Array:
    """See `dspsep.kernels.Kernels.multiplied`."""
    xp = _backend.namespace(factor)
    tiny = xp.finfo(factor.dtype).smallest_normal
    # Nothing pulls where nothing is: neither a template nor the sum of its activations is larger than zero.
    there = denominator > tiny
    ratio = numerator / xp.where(there, denominator, xp.ones_like(denominator))
    ratio = xp.where(there, ratio, xp.ones_like(ratio))
    following: Array = factor * (ratio if exponent == 1 else ratio**exponent)
    return following if kept is None else xp.where(kept, factor, following)


def extrapolated(new: Array, last: Array, momentum: float) -> Array:
    """See `dspsep.kernels.Kernels.extrapolated`."""
    xp = _backend.namespace(new, last)
    tiny = xp.finfo(new.dtype).smallest_normal
    there = (last > tiny) & (new > tiny)
    one = xp.ones_like(new)
    ratio = xp.where(there, new, one) / xp.where(there, last, one)
    ratio = xp.clip(ratio, 1 / _MAX_RATIO, _MAX_RATIO)
    beyond: Array = new * ratio**momentum
    return beyond
