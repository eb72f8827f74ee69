"""Windows, and what overlap-adding their squares gives: the weights that the inverse divides by."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep._frozen_array import FrozenArray
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["Overlap", "Window", "window_setting", "window_values"]

Window: TypeAlias = str | tuple[Any, ...] | FrozenArray
_Float64 = npt.NDArray[np.float64]

# One frame more at the end, where the last sample's weight would otherwise be below this part of the
# largest. A hop of n_fft / 4 stays above it with every common window, n_fft / 2 with none but the boxcar.
_WEAK_END = 1 / 32

_PEAK_BOUNDS = (1e-9, 1e9)

# The cosine sums of the usual windows: a[0] - a[1] cos(2 pi n / N) + a[2] cos(4 pi n / N) - …
# They spare the half second that importing scipy.signal takes.
_COSINE_SUMS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.50, 0.08),
}


def window_setting(window: object, n_fft: int) -> Window:
    """Return the window as a setting is kept: a name, a tuple, or frozen numbers; refuse what is none."""
    if isinstance(window, str) or (isinstance(window, tuple) and window and isinstance(window[0], str)):
        setting: Window = _checks.plain(_with_tuples(window))
    else:
        setting = _frozen(window, n_fft)
    try:
        hash(setting)
    except TypeError:
        raise InputError("window", "a name with numbers as its parameters", repr(window)[:80]) from None
    peak = float(np.abs(window_values(setting, n_fft)).max())
    if peak and not _PEAK_BOUNDS[0] <= peak <= _PEAK_BOUNDS[1]:
        # Its square, by which the inverse divides, would leave the range of single precision.
        requirement = "of a peak between 1e-9 and 1e9"
        raise InputError("window", requirement, f"{peak:g}", "Scale it to a peak of 1.")
    return setting


def _with_tuples(window: object) -> Any:
    """Return parameters of a window that are arrays as tuples, which can be compared and hashed."""
    if isinstance(window, tuple):
        return tuple(item.tolist() if isinstance(item, np.ndarray) else item for item in window)
    return window


def _frozen(window: Any, n_fft: int) -> FrozenArray:
    try:
        values = np.asarray(window)
        if values.dtype.kind in "iuf" and values.shape == (n_fft,):
            return FrozenArray(values.astype(np.float64))
        got = f"shape {values.shape}, dtype {values.dtype}"
    except ValueError:
        got = "a ragged sequence"
    raise InputError("window", f"a name, a tuple, or {n_fft} real numbers (n_fft of them)", got)


@lru_cache(maxsize=8)
def window_values(window: Window, n_fft: int) -> _Float64:
    """Return the `n_fft` samples of a window, read-only."""
    if isinstance(window, FrozenArray):
        values = np.array(window.values, np.float64)
    elif isinstance(window, str) and window in _COSINE_SUMS:
        phase = 2 * np.pi * np.arange(n_fft) / n_fft
        values = np.zeros(n_fft)
        for order, coefficient in enumerate(_COSINE_SUMS[window]):
            values += (-1) ** order * coefficient * np.cos(order * phase)
    else:
        values = _scipy_window(window, n_fft)
    if not np.isfinite(values).all():
        raise InputError("window", "finite", f"{window!r}, with NaN or infinite values")
    values.setflags(write=False)
    return values


def _scipy_window(window: str | tuple[Any, ...], n_fft: int) -> _Float64:
    from scipy.signal import get_window

    try:
        return np.array(get_window(window, n_fft, fftbins=True), np.float64)
    except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise InputError(
            "window",
            "a window that scipy.signal.get_window knows",
            repr(window),
            f"It says: {str(error).rstrip('.')}.",
        ) from error


class Overlap:
    """A window shifted by hops: how much weight every sample gets from all frames together."""

    def __init__(self, window: Window, n_fft: int, hop_length: int) -> None:
        self.n_fft = n_fft
        self.hop_length = hop_length
        square = window_values(window, n_fft) ** 2
        self._square = square
        n_blocks = -(-n_fft // hop_length)
        padded = np.zeros(n_blocks * hop_length)
        padded[:n_fft] = square
        #: The squared window cut into hops, (n_blocks, hop_length).
        self._blocks = padded.reshape(n_blocks, hop_length)
        #: The weight far from both ends, one hop of it.
        self.steady = self._blocks.sum(axis=0)
        #: Whether the end needs a frame centred beyond it: see `_WEAK_END`.
        self.needs_closing_frame = self._least(closing=False) < _WEAK_END * self.steady.max()

    def unevenness(self) -> tuple[float, float]:
        """Return the largest over the smallest weight: of any sample of any audio, and far from the ends."""
        largest = float(self.steady.max())
        least_of_all = min(float(self.steady.min()), self._least(closing=bool(self.needs_closing_frame)))
        return _ratio(largest, least_of_all), _ratio(largest, float(self.steady.min()))

    def _least(self, *, closing: bool) -> float:
        """Return the smallest weight that a sample of any audio of any length can have.

        The least covered audio is one hop long: it has frame 0 alone or, with a closing frame, frame 0 and
        the next. Every sample of longer audio has these two frames around it, and more.
        """
        distance = np.arange(self.hop_length)
        weight = self._at(self.n_fft // 2 + distance)
        if closing:
            weight = weight + self._at(self.n_fft // 2 + distance - self.hop_length)
        return float(weight.min())

    def _at(self, index: npt.NDArray[np.int_]) -> _Float64:
        inside = (index >= 0) & (index < self.n_fft)
        return np.where(inside, self._square[np.clip(index, 0, self.n_fft - 1)], 0.0)

    def weight(self, n_samples: int, n_frames: int, dtype: str) -> Array:
        """Return the weight (n_samples,) of every sample under `n_frames` centred frames."""
        n_blocks, hop_length = self._blocks.shape
        # Away from the ends every hop of it is the same; the first and last n_blocks - 1 hops miss frames.
        hops = np.empty((n_frames + n_blocks - 1, hop_length), dtype)
        hops[:] = self.steady
        for hop in {*range(min(n_blocks - 1, len(hops))), *range(n_frames, len(hops))}:
            hops[hop] = self._blocks[max(0, hop - n_frames + 1) : hop + 1].sum(axis=0)
        before = self.n_fft // 2
        return hops.reshape(-1)[before : before + n_samples]

    def reciprocals(self, n_frames: int, dtype: str) -> Array:
        """Return reciprocal weights (n_hops, hop_length) of the hops that differ, from where frame 0 begins.

        The first ``n_blocks - 1`` rows are the first hops, the next one is every hop between them and frame
        `n_frames`, and the last ``n_blocks - 1`` are those from there on, ``n_blocks`` being how many hops
        there are in a frame, rounded up. Where there is no weight the reciprocal is zero.
        """
        n_blocks = len(self._blocks)
        hops = [self._blocks[max(0, hop - n_frames + 1) : hop + 1].sum(axis=0) for hop in range(n_blocks - 1)]
        after = [self._blocks[hop + 1 :].sum(axis=0) for hop in range(n_blocks - 1)]
        weight = np.stack([*hops, self.steady, *after])
        return np.where(weight > 0, 1 / np.where(weight > 0, weight, 1.0), 0.0).astype(dtype)


@lru_cache(maxsize=8)
def overlap(window: Window, n_fft: int, hop_length: int) -> Overlap:
    """Return the `Overlap` of these settings, made once."""
    return Overlap(window, n_fft, hop_length)


def _ratio(largest: float, least: float) -> float:
    return largest / least if least > 0 else math.inf
