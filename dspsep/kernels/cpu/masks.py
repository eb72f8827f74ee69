"""Ratio masks in one pass over two spectrograms, with no temporaries of their size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["soft_mask"]

_BLOCK = 2**18


def soft_mask(values: Array, rival: Array, margin: float, power: float, tie: float) -> Array:
    """See `dspsep.kernels.Kernels.soft_mask`."""
    values, rival = readonly(values), readonly(rival)
    mask = np.empty_like(values)
    flat, flat_rival, flat_mask = values.reshape(-1), rival.reshape(-1), mask.reshape(-1)
    real = values.dtype.type
    smallest = np.finfo(values.dtype).tiny
    jobs = [
        (
            flat[start : start + _BLOCK],
            flat_rival[start : start + _BLOCK],
            real(margin),
            real(power),
            real(tie),
            smallest,
            flat_mask[start : start + _BLOCK],
        )
        for start in range(0, flat.size, _BLOCK)
    ]
    whole: dict[float, Callable[..., None]] = {1: _soft_mask_linear, 2: _soft_mask_squared}
    run = whole.get(power, _soft_mask)
    _parallel.run(run, jobs)
    return mask


@kernel
def _soft_mask(
    values: Array, rival: Array, margin: float, power: float, tie: float, smallest: float, mask: Array
) -> None:
    soft_mask_of_any_power(values, rival, margin, power, tie, smallest, mask)


@inlined
def soft_mask_of_any_power(
    values: Array, rival: Array, margin: float, power: float, tie: float, smallest: float, mask: Array
) -> None:
    """Write the mask: what `_soft_mask` is made of, and kernels that have the spectra in tiles."""
    for i in range(values.size):
        own, other = values[i], rival[i] * margin
        # Divided by the larger of the two first, so that no power of them can overflow or vanish.
        largest = own if own > other else other
        if largest < smallest:
            mask[i] = tie
        else:
            own, other = (own / largest) ** power, (other / largest) ** power
            mask[i] = own / (own + other)


def _soft_mask_of(whole_power: int) -> Callable[..., None]:
    """Return the same for a power of 1 or 2, without a call of `pow` and without a branch."""

    @kernel
    def soft_mask_of_power(
        values: Array, rival: Array, margin: float, _power: float, tie: float, smallest: float, mask: Array
    ) -> None:
        for i in range(values.size):
            own, other = values[i], rival[i] * margin
            largest = own if own > other else other
            silent = largest < smallest
            scale = 1 / (largest if largest > smallest else smallest)
            own, other = own * scale, other * scale
            if whole_power == 2:
                own, other = own * own, other * other
            ratio = own / (own + other + silent)
            mask[i] = tie if silent else ratio

    return soft_mask_of_power


_soft_mask_linear, _soft_mask_squared = _soft_mask_of(1), _soft_mask_of(2)
