"""Checks of settings: each returns the value in its plain Python type, or raises `InputError`.

Checks of audio live in `_audio.py`; what an array is and where it lives, in `_backend.py`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any

from dspsep.errors import InputError

__all__ = ["MAX_MARGIN", "MAX_POWER", "choice", "integer", "number", "plain", "sample_rate"]

#: Beyond these a mask is as hard, or as empty, as it can get; within them nothing overflows.
MAX_MARGIN, MAX_POWER = 1e6, 1e3


def integer(name: str, value: object, *, minimum: int, maximum: int | None = None, remedy: str = "") -> int:
    """Return `value` as an int of at least `minimum` and at most `maximum`."""
    valid = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if valid:
        whole = int(value)  # type: ignore[call-overload]  # checked by isinstance just above
        valid = whole >= minimum and (maximum is None or whole <= maximum)
    if not valid:
        upper = "" if maximum is None else f" and at most {maximum}"
        raise InputError(name, f"an integer of at least {minimum}{upper}", _brief(value), remedy)
    return int(whole)


def number(
    name: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: bool = False,
    remedy: str = "",
) -> float:
    """Return `value` as a finite float, at least `minimum` (more than it, if `above`), at most `maximum`."""
    valid = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if valid:
        try:
            real = float(value)  # type: ignore[arg-type]  # checked by isinstance just above
        except OverflowError:  # an integer beyond all floats
            real = math.inf
        valid = math.isfinite(real) and real <= maximum and (real > minimum if above else real >= minimum)
    if not valid:
        if math.isinf(minimum):
            requirement = "a finite number"
        else:
            requirement = f"a number {'above' if above else 'of at least'} {minimum:g}"
        upper = "" if math.isinf(maximum) else f" and at most {maximum:g}"
        raise InputError(name, requirement + upper, _brief(value), remedy)
    return real


def choice(name: str, value: object, options: Collection[str]) -> str:
    """Return `value` if it is one of the strings in `options`."""
    if not isinstance(value, str) or value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise InputError(name, f"one of {listed}", _brief(value))
    return value


def plain(value: Any) -> Any:
    """Return NumPy's numbers, alone or in sequences, as Python's: settings print and are stored alike."""
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    if isinstance(value, numbers.Number) and hasattr(value, "item"):
        return value.item()
    return value


def _brief(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}…"


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
