"""Levels of sounds, measured in blocks and said in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dspsep._typing import Array
from dspsep.display._html import number

__all__ = ["Level", "about_level", "about_sum", "decibels", "level_of"]

_BLOCK = 2**18


@dataclass(frozen=True)
class Level:
    """The peak of a sound, and the root of its mean square, as amplitudes."""

    peak: float
    rms: float


def level_of(signal: Array) -> Level:
    """Return the level of a sound (n_channels, n_samples)."""
    peak = max(float(np.abs(block).max()) for block in _blocks(signal))
    # Scaled first: squares of what is very large or small leave the range of numbers.
    energy = sum(
        float(np.sum(np.square(block / (peak or 1.0), dtype=np.float64))) for block in _blocks(signal)
    )
    return Level(peak, peak * math.sqrt(energy / signal.size))


def about_level(level: Level, mixture: Level | None = None) -> list[str]:
    """Return a level in words, relative to the mixture too if it is not the mixture itself."""
    if not level.rms:
        return ["Silent"]
    words = [f"Peak {decibels(level.peak)} dBFS", f"RMS {decibels(level.rms)} dBFS"]
    if mixture is not None and mixture.rms:
        distance = decibels(max(level.rms, mixture.rms) / min(level.rms, mixture.rms))
        direction = "above" if level.rms > mixture.rms else "below"
        words.append(
            "As loud as the mixture" if distance == "0.0" else f"{distance} dB {direction} the mixture"
        )
    return words


def about_sum(mixture: Array, parts: Iterable[Array]) -> str:
    """Return how near the sources come to the mixture together: measured, not promised."""
    signals = list(parts)
    error = peak = 0.0
    for start in range(0, mixture.shape[1], _BLOCK):
        whole = mixture[:, start : start + _BLOCK]
        rest = whole.astype(np.float64)
        for signal in signals:
            rest -= signal[:, start : start + _BLOCK]
        error, peak = max(error, float(np.abs(rest).max())), max(peak, float(np.abs(whole).max()))
    if not error:
        return "The sources add up to the mixture exactly."
    if not peak:
        return "The mixture is silent; the sources do not add up to silence."
    distance = f"the largest difference is {decibels(error / peak)} dB relative to the mixture's peak."
    if error <= 1e-4 * peak:
        return f"The sources add up to the mixture: {distance}"
    return f"The sources do not add up to the mixture: {distance}"


def decibels(ratio: float) -> str:
    """Return a ratio of amplitudes in decibels, as it is printed."""
    return number(20 * math.log10(ratio) if ratio else -math.inf, 1)


def _blocks(signal: Array) -> Iterator[Array]:
    for start in range(0, signal.shape[1], _BLOCK):
        yield signal[:, start : start + _BLOCK]
