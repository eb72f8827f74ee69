"""One step of complementary diffusion in one pass over its arrays, with no temporaries of their size."""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import kernel, readonly

__all__ = ["diffusion_step"]

# Frames per unit of work.
_FRAMES = 128


def diffusion_step(whole: Array, harmonic: Array, weight: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.diffusion_step`."""
    whole, harmonic = readonly(whole), readonly(harmonic)
    following = np.empty_like(harmonic)
    n_channels, n_frames, _ = whole.shape
    starts = range(0, n_frames, _FRAMES)
    # One place for each unit, added up in their order: the same bytes on any number of threads.
    losses = np.zeros((n_channels, len(starts), 2))
    real = whole.dtype.type
    shares = real(weight / 4), real((1 - weight) / 4)
    jobs = [
        (whole[channel], harmonic[channel], *shares, start, following[channel], losses[channel, unit])
        for channel in range(n_channels)
        for unit, start in enumerate(starts)
    ]
    _parallel.run(_step, jobs)
    along_time, along_frequency = losses.sum(axis=(0, 1))
    return following, np.asarray(weight * along_time + (1 - weight) * along_frequency)


@kernel
def _step(
    whole: Array, harmonic: Array, time_share: float, frequency_share: float, start: int, following: Array,
    losses: Array,
) -> None:  # fmt: skip
    n_frames, n_freqs = whole.shape
    # The percussive part of a frame, its ends repeated: nothing flows over them.
    rest = np.empty(n_freqs + 2, whole.dtype)
    for frame in range(start, min(start + _FRAMES, n_frames)):
        own, limit, out = harmonic[frame], whole[frame], following[frame]
        before, after = harmonic[max(frame - 1, 0)], harmonic[min(frame + 1, n_frames - 1)]
        middle = rest[1 : n_freqs + 1]
        for k in range(n_freqs):
            middle[k] = limit[k] - own[k]
        rest[0], rest[n_freqs + 1] = rest[1], rest[n_freqs]
        lower, upper = rest[:n_freqs], rest[2:]
        along_time = along_frequency = 0.0
        for k in range(n_freqs):
            to_next, to_upper = after[k] - own[k], upper[k] - middle[k]
            along_time += to_next * to_next
            along_frequency += to_upper * to_upper
            flow = time_share * (to_next - (own[k] - before[k])) - frequency_share * (
                to_upper - (middle[k] - lower[k])
            )
            value = own[k] + flow
            value = value if value > 0 else whole.dtype.type(0)
            out[k] = value if value < limit[k] else limit[k]
        losses[0] += along_time
        losses[1] += along_frequency
