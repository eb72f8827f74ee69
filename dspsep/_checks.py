"""Checks of settings: each returns the value in its plain Python type, or raises `InputError`.

Checks of audio live in `_audio.py`; what an array is and where it lives, in `_backend.py`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection

from dspsep.errors import InputError

__all__ = ["choice", "integer", "number", "sample_rate"]


def integer(name: str, value: object, *, minimum: int, remedy: str = "") -> int:
    """Return `value` as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < minimum:
        raise InputError(name, f"an integer of at least {minimum}", repr(value), remedy)
    return int(value)


def number(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    above: bool = False,
    allow_inf: bool = False,
    remedy: str = "",
) -> float:
    """Return `value` as a float of at least `minimum` (more than it, if `above`)."""
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if valid:
        real = float(value)  # type: ignore[arg-type]  # checked by isinstance just above
        valid = not math.isnan(real) and (allow_inf or not math.isinf(real))
        valid = valid and (real > minimum if above else real >= minimum)
    if not valid:
        if math.isinf(minimum):
            requirement = "a finite number"
        else:
            requirement = f"a number {'above' if above else 'of at least'} {minimum:g}"
        raise InputError(name, requirement, repr(value), remedy)
    return real


def choice(name: str, value: object, options: Collection[str]) -> str:
    """Return `value` if it is one of the strings in `options`."""
    if not isinstance(value, str) or value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise InputError(name, f"one of {listed}", repr(value))
    return value


def sample_rate(value: object, name: str = "sample_rate") -> float:
    """Return a sampling rate in hertz: an int where it is whole, else a float."""
    rate = number(
        name,
        value,
        minimum=0,
        above=True,
        remedy="Pass the rate of the audio in hertz, for example 44100.",
    )
    return int(rate) if rate.is_integer() else rate
