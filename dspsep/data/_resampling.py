"""Another sampling rate, with an exact length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.data._reading import Samples, refuse_too_long

__all__ = ["at_rate", "resampled", "resampled_blocks"]


def resampled(samples: Array, rate: float, target: float) -> Samples:
    """Return (n_channels, n_samples) at another rate, of exactly ``ceil(n * target / rate)`` samples."""
    import soxr

    n_channels, n_samples = samples.shape
    n_target = _length(n_samples, rate, target)
    refuse_too_long(n_target, n_channels)
    result = np.empty((n_channels, n_target), np.float32)
    after = np.zeros(_padding(rate, target), np.float32)
    for channel in range(n_channels):
        padded = np.concatenate([samples[channel].astype(np.float32, copy=False), after])
        result[channel] = soxr.resample(padded, float(rate), float(target), quality="HQ")[:n_target]
    return result


def at_rate(samples: Array, rate: float, target: float) -> Array:
    """Return samples (n_samples,) or (n_channels, n_samples), from any device, resampled on the host."""
    host = _backend.to_host(samples)
    return resampled(host[None, :] if host.ndim == 1 else host, rate, target)


def resampled_blocks(blocks: Iterable[Samples], rate: float, target: float) -> Iterator[Samples]:
    """Yield what `resampled` gives for all blocks put together, block by block."""
    import soxr

    resampler: soxr.ResampleStream | None = None
    n_in = n_out = 0
    for block in blocks:
        if resampler is None:
            n_channels = block.shape[0]
            resampler = soxr.ResampleStream(float(rate), float(target), n_channels, "float32", "HQ")
        n_in += block.shape[1]
        part = resampler.resample_chunk(np.ascontiguousarray(block.T, np.float32))
        n_out += len(part)
        yield part.T
    if resampler is not None:
        silence = np.zeros((_padding(rate, target), n_channels), np.float32)
        yield resampler.resample_chunk(silence, last=True).T[:, : _length(n_in, rate, target) - n_out]


def _length(n_samples: int, rate: float, target: float) -> int:
    return math.ceil(n_samples * Fraction(target) / Fraction(rate))


def _padding(rate: float, target: float) -> int:
    # soxr rounds the length, to none at all for very short audio; silence after the end makes it enough.
    return 2 + math.ceil(2 * rate / target)
