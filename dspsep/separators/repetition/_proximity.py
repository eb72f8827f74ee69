"""What proximity kernels have in common: what they are, and how long they may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

from dspsep import _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.stft import STFT

__all__ = [
    "MOST_BINS",
    "ProximityKernel",
    "check_lengths",
    "known_length",
    "make_plain",
    "n_bins_of",
    "n_frames_of",
]

# Longer medians than this many frames or bins are a slip of units, and would fill the memory.
_LONGEST = 99_999
#: The same of bins of a pattern, for which medians take longer.
MOST_BINS = 4_095


# Compared by what they are made with where they are dataclasses, as all here are; else one by one.
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ProximityKernel(ABC):
    """Base class of proximity kernels, and of your own.

    Settings of yours are compared, hashed and printed where your class is a frozen dataclass.

    See Also
    --------
    KAM : Separation by kernels.

    Examples
    --------
    A source that is alike in all frames:

    >>> from dspsep import KAM, Cross
    >>> from dspsep.separators.repetition.proximity import ProximityKernel
    >>> class Steady(ProximityKernel):
    ...     def counted(self, stft, sample_rate):
    ...         return self
    ...
    ...     def medians(self, values):
    ...         return values * 0 + np.median(values, axis=1, keepdims=True)
    >>> KAM(sources={"hum": Steady(), "rest": Cross(frames=3, bins=3)}).source_names
    ('hum', 'rest')
    """

    @abstractmethod
    def counted(self, stft: STFT, sample_rate: float) -> ProximityKernel:
        """Return the same in frames and bins.

        Parameters
        ----------
        stft : STFT
            The transform.
        sample_rate : float
            Of the audio, in hertz.

        Returns
        -------
        ProximityKernel
            One that has `medians`.
        """

    @abstractmethod
    def medians(self, values: Array) -> Array:
        """Return the medians over what is near each bin.

        Parameters
        ----------
        values : array of shape (n_channels, n_frames, n_freqs)
            Magnitudes, not negative; frames come before bins. Not to be changed.

        Returns
        -------
        array of shape (n_channels, n_frames, n_freqs)
            Finite, and not negative.
        """

    def reach(self) -> int | None:
        """Return how many frames away what is near may be; None for any number of them."""
        return None

    def __repr__(self) -> str:
        # What is not the default: most kernels have two units for a length, of which one is given.
        given = ((field, getattr(self, field.name)) for field in fields(self))
        settings = (f"{field.name}={value!r}" for field, value in given if repr(value) != repr(field.default))
        return f"{type(self).__name__}({', '.join(settings)})"


def make_plain(kernel: Any) -> None:
    """Make the settings Python's own numbers, lengths in units floats, so that equal ones print alike."""
    for field in fields(kernel):
        value = _checks.plain(getattr(kernel, field.name))
        if value is not None and field.name in ("seconds", "hertz", "period_seconds"):
            value = float(value)
        object.__setattr__(kernel, field.name, value)


def check_lengths(kernel: Any, names: tuple[str, str], *, needed: bool = True, most: int = _LONGEST) -> None:
    """Refuse what is no length, in a unit or counted; both at once; and none, if one is needed."""
    length, count = (getattr(kernel, name) for name in names)
    both = f"{names[0]} and {names[1]}"
    if length is not None and count is not None:
        raise InputError(both, "given one at a time", "both", "Leave one of them out.")
    if needed and length is None and count is None:
        raise InputError(f"{names[0]} or {names[1]}", "given", "neither")
    if length is not None:
        _checks.number(names[0], length, minimum=0, above=True, maximum=1e6)
    if count is not None:
        _checks.integer(names[1], count, minimum=1, maximum=most)


def n_frames_of(seconds: float | None, frames: int | None, stft: STFT, sample_rate: float) -> int:
    if seconds is None:
        return known_length("frames", frames)
    return _odd("seconds", stft.n_frames_in(seconds, sample_rate), "frames")


def n_bins_of(hertz: float | None, bins: int | None, stft: STFT, sample_rate: float) -> int:
    if hertz is None:
        return known_length("bins", bins)
    return _odd("hertz", stft.n_bins_in(hertz, sample_rate), "bins")


def _odd(name: str, n: int, unit: str) -> int:
    if n > _LONGEST:
        raise InputError(name, f"at most {_LONGEST} {unit} of this transform", f"{n} {unit}")
    return n + 1 - n % 2


def known_length(name: str, count: int | None) -> int:
    """Return a length that must be in frames or bins by now, made odd."""
    if count is None:
        raise InputError(name, "known to take medians", "None", "Take those of kernel.counted(stft, rate).")
    return count + 1 - count % 2
