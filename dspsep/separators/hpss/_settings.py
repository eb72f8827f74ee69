"""Checks that the algorithms of this family share: of masks, and of spectrograms of magnitudes."""

from __future__ import annotations

import math

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["check_mask", "magnitudes"]


def check_mask(mask: object, power: object) -> None:
    """Refuse what is no way to share bins."""
    _checks.choice("mask", mask, ("soft", "hard"))
    remedy = 'mask="hard" is the limit of large powers.'
    _checks.number("power", power, minimum=0, above=True, maximum=_checks.MAX_POWER, remedy=remedy)


def magnitudes(V: object) -> tuple[Array, float]:
    """Return V (n_freqs, n_frames) or (n_channels, n_freqs, n_frames) and its largest value."""
    array = _backend.real_floating("V", V)
    if array.ndim not in (2, 3) or 0 in array.shape:
        got = f"{tuple(array.shape)}"
        raise InputError("V", "of shape (n_freqs, n_frames) or with channels first", got)
    xp = _backend.namespace(array)
    # NaN and infinity go through both, and there is one trip from the device.
    lowest, highest = _backend.to_host(xp.stack([xp.min(array), xp.max(array)])).tolist()
    if not (lowest >= 0 and highest < math.inf):
        raise InputError("V", "finite and not negative", f"values from {lowest:g} to {highest:g}")
    return array, float(highest)
