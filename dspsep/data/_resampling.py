"""Another sampling rate, with an exact length."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.data._reading import Samples, refuse_too_long

__all__ = ["at_rate", "resampled"]


def resampled(samples: Array, rate: float, target: float) -> Samples:
    """Return (n_channels, n_samples) at another rate, of exactly ``ceil(n * target / rate)`` samples."""
    import soxr

    n_channels, n_samples = samples.shape
    n_target = math.ceil(n_samples * Fraction(target) / Fraction(rate))
    refuse_too_long(n_target, n_channels)
    result = np.empty((n_channels, n_target), np.float32)
    # soxr rounds the length, to none at all for very short audio; silence after the end makes it enough.
    after = np.zeros(2 + math.ceil(2 * rate / target), np.float32)
    for channel in range(n_channels):
        padded = np.concatenate([samples[channel].astype(np.float32, copy=False), after])
        result[channel] = soxr.resample(padded, float(rate), float(target), quality="HQ")[:n_target]
    return result


def at_rate(samples: Array, rate: float, target: float) -> Array:
    """Return samples (n_samples,) or (n_channels, n_samples), from any device, resampled on the host."""
    host = _backend.to_host(samples)
    return resampled(host[None, :] if host.ndim == 1 else host, rate, target)
