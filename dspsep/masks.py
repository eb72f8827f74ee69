"""Masks: arrays in [0, 1] that say which part of each spectrogram bin a source gets."""

from __future__ import annotations

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for

__all__ = ["hard_mask", "soft_mask"]


def soft_mask(
    values: Array, rival: Array, *, power: float = 1.0, margin: float = 1.0, tie: float = 0.5
) -> Array:
    """Return the share of `values` beside a rival, a Wiener-like ratio.

    Parameters
    ----------
    values, rival : array
        Non-negative and of one shape: what is wanted, and what competes with it.
    power : float, default=1.0
        Above 0 and at most 1000. 1 weighs magnitudes, 2 energies; the larger, the harder the mask.
    margin : float, default=1.0
        Above 0 and at most a million. The rival is multiplied by it first: above 1, masks of the two no
        longer sum to one, and what is missing belongs to neither.
    tie : float, default=0.5
        In [0, 1]: the mask where both are zero, or below the smallest normal number of their type.

    Returns
    -------
    array
        ``values**power / (values**power + (margin * rival)**power)``, of the shape and precision of `values`.

    Raises
    ------
    InputError
        If the shapes differ, a setting is out of range, or NumPy values are negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.masks import soft_mask
    >>> soft_mask(np.array([3.0, 0.0]), np.array([1.0, 0.0]), power=2)
    array([0.9, 0.5])
    """
    values, rival = _pair(values, rival)
    return kernels_for(values).soft_mask(
        values,
        rival,
        _checks.number("margin", margin, minimum=0, above=True, maximum=_checks.MAX_MARGIN),
        _checks.number("power", power, minimum=0, above=True, maximum=_checks.MAX_POWER),
        _checks.number("tie", tie, minimum=0, maximum=1),
    )


def hard_mask(values: Array, rival: Array, *, margin: float = 1.0) -> Array:
    """Return 1 where `values` exceeds ``margin * rival``, else 0.

    Parameters
    ----------
    values, rival : array
        Non-negative and of one shape: what is wanted, and what competes with it.
    margin : float, default=1.0
        How many times larger than the rival `values` has to be.

    Returns
    -------
    array
        Of the shape and precision of `values`.

    Raises
    ------
    InputError
        If the shapes differ, the margin is not above 0, or NumPy values are negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.masks import hard_mask
    >>> hard_mask(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    array([1., 0.])
    """
    values, rival = _pair(values, rival)
    xp = _backend.namespace(values)
    margin = _checks.number("margin", margin, minimum=0, above=True, maximum=_checks.MAX_MARGIN)
    mask: Array = xp.astype(values > rival * margin, values.dtype)
    return mask


def _check_range(name: str, values: Array) -> None:
    if values.size and not (
        values.min() >= 0 and values.max() <= np.finfo(values.dtype).max / _checks.MAX_MARGIN
    ):
        requirement = "finite, not negative, and a millionth of the largest number of its type or less"
        raise InputError(name, requirement, f"values from {values.min():g} to {values.max():g}")


def _pair(values: Array, rival: Array) -> tuple[Array, Array]:
    values, rival = _backend.real_floating("values", values), _backend.real_floating("rival", rival)
    xp = _backend.namespace(values, rival)
    if _backend.is_numpy(values):  # elsewhere a look at the values would be a trip from the device
        _check_range("values", values)
        _check_range("rival", rival)
    if values.shape != rival.shape:
        raise InputError("rival", f"of the shape of values, {tuple(values.shape)}", f"{tuple(rival.shape)}")
    return values, xp.astype(rival, values.dtype, copy=False)
