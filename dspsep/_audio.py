"""From whatever a caller calls a mixture to samples that can be worked on, and back.

The checks here run before any heavy work, on every separator and on the transform, so that the same
bad input meets the same words everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = [
    "Mixture",
    "check_shape",
    "finite_samples_of",
    "mixture_of",
    "safe_exponent",
    "samples_of",
    "times_power_of_two",
]

#: Integer formats that audio comes in, the floating type that holds them without loss, and full scale.
_INTEGER_SCALE = {
    "int8": ("float32", 2.0**7),
    "int16": ("float32", 2.0**15),
    "int32": ("float64", 2.0**31),
    "uint8": ("float32", 2.0**7),
    "uint16": ("float32", 2.0**15),
}

#: Peaks within these bounds are worked on as they are: squares and fourth powers of them, and of what
#: is 100 dB below them, are still normal numbers in single precision.
_PEAK_BOUNDS = (2.0**-40, 2.0**40)

_TRANSPOSE_LIMIT = 64


@dataclass(frozen=True)
class Mixture:
    """Checked audio: what separators work on, and the way back to what the caller gave.

    Attributes
    ----------
    samples : array of shape (n_channels, n_samples)
        Floating point, finite, with a peak that cannot overflow.
    mono : bool
        Whether the caller's audio had no channel axis.
    exponent : int
        The samples are the caller's times ``2.0 ** exponent``.
    peak : float
        The largest absolute sample, in the scale of `samples`.
    """

    samples: Array
    mono: bool
    exponent: int
    peak: float

    def restore(self, samples: Array) -> Array:
        """Return a source (n_channels, n_samples) in the caller's shape and scale."""
        if self.exponent:
            samples = times_power_of_two(samples, -self.exponent)
        return samples[0, ...] if self.mono else samples


def samples_of(name: str, audio: object) -> Array:
    """Return `audio` as a floating array (n_samples,) or (n_channels, n_samples).

    Floating arrays of single or double precision come back as they are, without a copy. Half precision
    becomes single, extended becomes double. Integers are taken as PCM and divided by full scale
    (unsigned ones are centred first).

    Raises
    ------
    InputError
        If the type or the shape is not that of audio. Values are not looked at.
    """
    array = _backend.as_array(name, audio)
    check_shape(name, array)
    return _to_floating(name, array)


def finite_samples_of(name: str, audio: object) -> tuple[Array, bool, float]:
    """Return samples (n_channels, n_samples), whether there was no channel axis, and the peak.

    Raises
    ------
    InputError
        If `audio` is not audio, or not finite.
    """
    array = samples_of(name, audio)
    mono = array.ndim == 1
    samples = array[None, :] if mono else array
    return samples, mono, _peak(name, samples)


def mixture_of(
    audio: object, *, name: str = "mixture", min_channels: int = 1, max_channels: int | None = None
) -> Mixture:
    """Check `audio` and return it ready to be worked on.

    Raises
    ------
    InputError
        If it has the wrong type, shape or number of channels, no samples, or samples that are not
        finite.
    """
    samples, mono, peak = finite_samples_of(name, audio)
    _check_channels(name, samples.shape[0], min_channels, max_channels)
    exponent = safe_exponent(peak)
    if exponent:
        samples = times_power_of_two(samples, exponent)
        peak = math.ldexp(peak, exponent)
    return Mixture(samples, mono, exponent, peak)


def check_shape(name: str, array: Array) -> None:
    """Refuse what is not (n_samples,) or (n_channels, n_samples) with at least one sample."""
    expected = "an array (n_samples,) or (n_channels, n_samples)"
    if array.ndim not in (1, 2):
        raise InputError(name, expected, f"{array.ndim} dimensions {tuple(array.shape)}")
    n_samples = array.shape[-1]
    n_channels = array.shape[0] if array.ndim == 2 else 1
    if n_channels > _TRANSPOSE_LIMIT and n_channels > n_samples:
        raise InputError(
            name, expected, f"shape {tuple(array.shape)}", "Channels come first: pass its transpose."
        )
    if n_channels == 0 or n_samples == 0:
        raise InputError(
            name,
            "at least one sample long",
            f"shape {tuple(array.shape)}",
            "Check that the file is not empty.",
        )


def _check_channels(name: str, n_channels: int, least: int, most: int | None) -> None:
    if n_channels < least:
        raise InputError(
            name,
            f"audio of at least {least} channels",
            f"{n_channels}",
            "This method tells sources apart by their differences between channels.",
        )
    if most is not None and n_channels > most:
        raise InputError(
            name,
            f"audio of at most {most} channels",
            f"{n_channels}",
            "Pick channels, or mix them down, first.",
        )


def _to_floating(name: str, array: Array) -> Array:
    xp = _backend.namespace(array)
    kind = str(array.dtype).rpartition(".")[2]
    if _backend.is_numpy(array):
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        kind = array.dtype.name
    if kind in ("float32", "float64"):
        return array
    if kind == "float16":
        single: Array = xp.astype(array, xp.float32)
        return single
    if kind in ("float96", "float128", "longdouble"):
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
            double: Array = array.astype(np.float64)
        return double
    if kind in _INTEGER_SCALE:
        target, scale = _INTEGER_SCALE[kind]
        floating = xp.astype(array, getattr(xp, target))
        centred = floating - scale if kind.startswith("u") else floating
        scaled: Array = centred / scale
        return scaled
    remedy = "Pass the samples as float32 or float64."
    if kind in ("int64", "uint64", "uint32"):
        remedy = "No audio format has such samples: divide by full scale first, to a float in [-1, 1]."
    elif kind.startswith("complex"):
        remedy = "Separators take the real waveform; a spectrum goes to the pure functions."
    raise InputError(name, "real floating-point audio, or 8- to 32-bit PCM", f"dtype {kind}", remedy)


def _peak(name: str, samples: Array) -> float:
    """Return the largest absolute sample; refuse what is not finite."""
    if _backend.is_numpy(samples):
        peak = max(float(samples.max()), -float(samples.min()))  # no temporary; NaN goes through
    else:
        xp = _backend.namespace(samples)
        peak = _backend.scalar(xp.max(xp.abs(samples)))
    if not math.isfinite(peak):
        _refuse_non_finite(name, samples)
    largest = float(np.finfo(np.float32 if "32" in str(samples.dtype) else np.float64).max)
    if peak > largest / 16:
        raise InputError(
            name,
            "quieter than a sixteenth of the largest number of its type",
            f"a peak of {peak:g}",
            "Sources could overflow: scale the audio to [-1, 1].",
        )
    return abs(peak)


def _refuse_non_finite(name: str, samples: Array) -> None:
    host = _backend.to_host(samples)
    bad = np.argwhere(~np.isfinite(host))
    channel, sample = (int(index) for index in bad[0])
    raise InputError(
        name,
        "finite",
        f"{len(bad)} NaN or infinite samples, the first in channel {channel} at sample {sample}",
        "Replace them first, for example with numpy.nan_to_num(mixture, posinf=0, neginf=0).",
    )


def safe_exponent(peak: float) -> int:
    """Return the power of two that brings a peak to where nothing overflows or vanishes; 0 if it is there."""
    if not peak or _PEAK_BOUNDS[0] <= peak <= _PEAK_BOUNDS[1]:
        return 0
    return -math.frexp(peak)[1]


def times_power_of_two(samples: Array, exponent: int) -> Array:
    """Return ``samples * 2.0 ** exponent``, without rounding."""
    # In two steps, because 2.0**exponent itself can leave the range of single precision.
    half = exponent // 2
    return (samples * 2.0**half) * 2.0 ** (exponent - half)
