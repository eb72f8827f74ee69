"""Settings that `KAM`, its model and its function have in common: kernels by name, rounds, the low source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.repetition._proximity import ProximityKernel
from dspsep.separators.repetition.proximity import Cross, Horizontal, Pattern, Periodic, Vertical
from dspsep.sources import check_source_name

__all__ = [
    "Kernels",
    "NamedParts",
    "Parts",
    "check_low",
    "check_rounds",
    "checked_medians",
    "named_parts",
    "needs_period",
    "parts_of",
    "with_period",
]

Kernels: TypeAlias = ProximityKernel | Sequence[ProximityKernel]
Parts: TypeAlias = tuple[ProximityKernel, ...]
NamedParts: TypeAlias = tuple[tuple[str, Parts], ...]

_LARGEST_EXPONENT = 4.0
_MOST_ROUNDS = 1_000


def named_parts(sources: Any) -> NamedParts:
    """Return named kernels as pairs of a name and a tuple."""
    remedy = "For example sources={'notes': Horizontal(seconds=0.3), 'strokes': Vertical(hertz=500.0)}."
    try:
        # Stored settings come back as pairs, which `dict` takes like a mapping.
        pairs = list(sources.items() if isinstance(sources, Mapping) else sources)
        named = dict(pairs)
    except (TypeError, ValueError):
        raise InputError("sources", "a mapping from name to kernels", repr(sources)[:60], remedy) from None
    if len(named) < len(pairs):
        raise InputError("sources", "of different names", f"{[name for name, _ in pairs]!r}", remedy)
    if len(named) < 2:
        raise InputError("sources", "two at least", f"{len(named)}", remedy)
    return tuple(
        (check_source_name(name), parts_of(f"source {name!r}", each)) for name, each in named.items()
    )


def parts_of(name: str, kernels: Any) -> Parts:
    parts = (kernels,) if isinstance(kernels, ProximityKernel) else kernels
    if not isinstance(parts, Sequence) or not parts or not all(isinstance(k, ProximityKernel) for k in parts):
        raise InputError(name, "a kernel, or a list of kernels", repr(kernels)[:60])
    return tuple(parts)


def check_rounds(exponent: object, n_iter: object) -> None:
    remedy = "1 shares bins by magnitude, 2 by power."
    _checks.number("exponent", exponent, minimum=0, above=True, maximum=_LARGEST_EXPONENT, remedy=remedy)
    _checks.integer("n_iter", n_iter, minimum=1, maximum=_MOST_ROUNDS)


def check_low(cutoff_hertz: object, low: object, names: tuple[str, ...]) -> None:
    if cutoff_hertz is not None:
        _checks.number("cutoff_hertz", cutoff_hertz, minimum=0)
    if low is not None and low not in names:
        raise InputError("low", f"one of {', '.join(names)}", repr(low)[:60])


def needs_period(kernel: ProximityKernel) -> bool:
    """Tell whether it is a kernel whose period is to be found."""
    return isinstance(kernel, Periodic) and kernel.period_frames is None


def with_period(kernel: ProximityKernel, periods: Iterator[int]) -> ProximityKernel:
    """Return it with the next of the periods, if it needs one."""
    if isinstance(kernel, Periodic) and kernel.period_frames is None:
        return kernel.of(next(periods))
    return kernel


def checked_medians(kernel: ProximityKernel) -> Callable[[Array], Array]:
    """Return what takes the medians of a kernel; those of a class of the user are checked."""
    if isinstance(kernel, (Cross, Horizontal, Pattern, Periodic, Vertical)):
        return kernel.medians  # which are what they should be, and a check would wait for a device
    name = f"medians of {type(kernel).__name__}"

    def medians(values: Array) -> Array:
        xp = _backend.namespace(values)
        found = _backend.real_floating(name, kernel.medians(values))
        if found.shape != values.shape:
            raise InputError(name, f"of shape {tuple(values.shape)}, as the values", f"{tuple(found.shape)}")
        lowest, highest = _backend.to_host(xp.stack([xp.min(found), xp.max(found)])).tolist()
        if not (lowest >= 0 and highest < math.inf):
            raise InputError(name, "finite and not negative", f"values from {lowest:g} to {highest:g}")
        return xp.astype(found, values.dtype, copy=False)  # type: ignore[no-any-return]

    return medians
