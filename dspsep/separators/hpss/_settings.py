"""Checks that the algorithms of this family share: of lengths, masks, and spectrograms of magnitudes."""

from __future__ import annotations

import math

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["MAX_LENGTH", "check_length", "check_mask", "check_masking", "magnitudes", "odd", "odd_length"]

# Longer medians than this many frames or bins are a slip of units, and would fill the memory.
MAX_LENGTH = 100_000


def check_mask(mask: object, power: object) -> None:
    """Refuse what is no way to share bins."""
    _checks.choice("mask", mask, ("soft", "hard"))
    remedy = 'mask="hard" is the limit of large powers.'
    _checks.number("power", power, minimum=0, above=True, maximum=_checks.MAX_POWER, remedy=remedy)


def check_masking(mask: object, power: object, margin: object) -> None:
    """Refuse what is no way to share bins with margins."""
    check_mask(mask, power)
    if isinstance(margin, tuple) and len(margin) != 2:
        raise InputError("margin", "one number or two, (harmonic, percussive)", repr(margin))
    for value in margin if isinstance(margin, tuple) else (margin,):
        remedy = "1 is the plain separation, 2 a strict one."
        _checks.number("margin", value, minimum=1, maximum=_checks.MAX_MARGIN, remedy=remedy)


def check_length(name: str, length: float | None, count_name: str, count: int | None) -> None:
    """Refuse what is no length of a median, in a unit or counted, and both at once."""
    if length is not None and count is not None:
        raise InputError(f"{name} and {count_name}", "given one at a time", "both", "Leave one of them out.")
    if length is not None:
        _checks.number(name, length, minimum=0, above=True, maximum=1e6)
    if count is not None:
        _checks.integer(count_name, count, minimum=1, maximum=MAX_LENGTH)


def odd_length(name: str, length: int, unit: str) -> int:
    """Return the odd length of a median; `name` is the setting that it may have been converted from."""
    if length > MAX_LENGTH:
        raise InputError(name, f"at most {MAX_LENGTH} {unit} of this transform", f"{length} {unit}")
    return odd(length)


def odd(length: int) -> int:
    """Return the next odd number, or the number itself."""
    return length + 1 if length % 2 == 0 else length


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
