"""Waveforms as small pictures: drawn as a path, so that they take the colours of light and dark.

They are a few kilobytes where a spectrogram is eighty, which is what a notebook shows without being asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dspsep._typing import Array, FloatArray
from dspsep.display._html import Markup, element, number

__all__ = ["Waveforms"]

_COLUMNS, _HALF_HEIGHT = 600, 100

#: In units of the picture: silence is a line.
_THINNEST = 1.0


class Waveforms:
    """The waveforms of several sounds, all on one scale of levels.

    Parameters
    ----------
    signals : sequence of array of shape (n_channels, n_samples)
        The sounds.
    sample_rate : float
        In hertz.
    """

    def __init__(self, signals: Sequence[Array], sample_rate: float) -> None:
        self._signals = signals
        self._sample_rate = sample_rate
        self._peaks = [float(np.abs(signal).max()) for signal in signals]
        self._loudest = max(self._peaks)

    def figure(self, index: int, label: str) -> Markup:
        """Return the picture of one sound."""
        lowest, highest = _extremes(self._signals[index] / (self._loudest or 1.0))
        path = element("path", d=_outline(lowest, highest))
        picture = element(
            "svg",
            path,
            viewBox=f"0 {-_HALF_HEIGHT} {len(lowest)} {2 * _HALF_HEIGHT}",
            preserveAspectRatio="none",
            role="img",
            aria_label=self._described(index, label),
        )
        return element("figure", picture, class_="dspsep-wave")

    def _described(self, index: int, label: str) -> str:
        extent = f"{number(self._signals[index].shape[1] / self._sample_rate)} seconds"
        if not self._peaks[index]:
            return f"Waveform of {label}: {extent}, silent."
        # Not of their quotient, which may be too small for a number.
        below = 20 * (math.log10(self._peaks[index]) - math.log10(self._loudest))
        return f"Waveform of {label}: {extent}, peak {number(below, 1)} decibels on the scale of all."


def _extremes(signal: Array) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest sample of any channel in each column of the picture."""
    n_samples = signal.shape[1]
    starts = np.unique(np.arange(_COLUMNS) * n_samples // _COLUMNS)
    lowest = np.minimum.reduceat(signal.min(axis=0), starts)
    highest = np.maximum.reduceat(signal.max(axis=0), starts)
    return lowest.astype(np.float64), highest.astype(np.float64)


def _outline(lowest: FloatArray, highest: FloatArray) -> str:
    """Return the path around all columns: along the upper edge, and back along the lower one."""
    # A picture's ordinate points down.
    top = np.rint(-highest * _HALF_HEIGHT)
    bottom = np.maximum(np.rint(-lowest * _HALF_HEIGHT), top + _THINNEST)
    forth = [f"V{y:.0f}H{x}" for x, y in enumerate(top, start=1)]
    back = [f"V{y:.0f}H{x}" for x, y in zip(range(len(bottom) - 1, -1, -1), bottom[::-1], strict=True)]
    return f"M0 {top[0]:.0f}{''.join(forth)}{''.join(back)}Z"
