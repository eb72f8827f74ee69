"""What a drum kit looks like, roughly: templates to begin with, made of sines and noise.

They need not be right, since they are adapted to the mixture. They have to be nearer to their own drum than
to the others: low and falling for a kick, a tone with broad noise for a snare, high noise for a hi-hat. A
hi-hat has two, closed and open, which differ in length and in colour; without the second, an open one is
nearest to the snare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from dspsep._typing import FloatArray
from dspsep.stft import STFT

__all__ = ["KIT", "drum_templates"]

#: The sources, and how many templates each has.
KIT = (("kick", 1), ("snare", 1), ("hihat", 2))

# Noise differs from take to take: a template is the mean of so many.
_N_TAKES = 8

_Drum: TypeAlias = Callable[[FloatArray, float, np.random.Generator], FloatArray]


def drum_templates(stft: STFT, sample_rate: float, n_frames: int, seed: int) -> FloatArray:
    """Return magnitudes (n_freqs, n_components, n_frames), each component of which sums to one."""
    templates = np.zeros((stft.n_freqs, len(_DRUMS), n_frames))
    time = np.arange((n_frames - 1) * stft.hop_length + stft.n_fft) / sample_rate
    for k, drum in enumerate(_DRUMS):
        rng = np.random.default_rng([seed, k])
        for _ in range(_N_TAKES):
            # From the middle of the first frame on, as `forward` pads with zeros.
            strokes = stft.forward(drum(time, sample_rate, rng), sample_rate)
            templates[:, k, :] += strokes.magnitude()[0, :, :n_frames]
    return np.asarray(templates / templates.sum(axis=(0, 2), keepdims=True))


def _kick(time: FloatArray, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Return a sine that falls from 200 to 50 Hz, and the click of the beater."""
    phase = 2 * np.pi * (50 * time - 150 * 0.025 * np.expm1(-time / 0.025))
    click = _noise(rng, time.size, sample_rate, 200, 5000)
    return np.asarray(np.sin(phase) * np.exp(-time / 0.09) + 0.05 * click * np.exp(-time / 0.006))


def _snare(time: FloatArray, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Return two modes of a skin, and wires."""
    skin = np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05)
    skin += 0.5 * np.sin(2 * np.pi * 330 * time) * np.exp(-time / 0.04)
    return np.asarray(skin + 0.6 * _noise(rng, time.size, sample_rate, 800, 9000) * np.exp(-time / 0.07))


def _closed_hihat(time: FloatArray, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    return np.asarray(_noise(rng, time.size, sample_rate, 7000, np.inf) * np.exp(-time / 0.04))


def _open_hihat(time: FloatArray, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    return np.asarray(_noise(rng, time.size, sample_rate, 4000, 11000) * np.exp(-time / 0.3))


_DRUMS: tuple[_Drum, ...] = (_kick, _snare, _closed_hihat, _open_hihat)


def _noise(rng: np.random.Generator, size: int, sample_rate: float, low: float, high: float) -> FloatArray:
    """Return noise between two frequencies, with slopes of 12 dB an octave, of unit power."""
    frequency = np.fft.rfftfreq(size, 1 / sample_rate)
    # At low rates a hi-hat is in the upper half of what there is.
    low = min(low, 0.28 * sample_rate)
    below = 1 / (1 + (low / np.maximum(frequency, 1e-3 * low)) ** 4)
    above = 1 / (1 + (frequency / high) ** 4)
    spectrum = np.fft.rfft(rng.standard_normal(size)) * np.sqrt(below * above)
    noise = np.fft.irfft(spectrum, size)
    return np.asarray(noise / (np.sqrt(np.mean(noise**2)) or 1.0))
