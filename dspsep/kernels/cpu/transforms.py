"""STFT and ISTFT in chunks of frames that stay in the cache.

The transforms themselves are scipy's (pocketfft); what is done here is to frame, window, mask and
overlap-add around them without arrays of the size of all frames. Work is cut at places that do not depend
on the number of threads, so every number of threads gives the same bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import kernel, readonly

__all__ = ["istft", "stft"]

# Samples of windowed frames that are transformed at once: 64 frames of 2048, half a megabyte in single
# precision.
_CHUNK_SAMPLES = 2**17
# Chunks per unit of work of the inverse: the frames that two neighbouring units both need are
# transformed twice, so units are long.
_CHUNKS_PER_UNIT = 16


def stft(samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
    """See `dspsep.kernels.Kernels.stft`."""
    n_channels, n_fft = samples.shape[0], window.size
    dtype = np.complex64 if samples.dtype == np.float32 else np.complex128
    spectra = np.empty((n_channels, n_frames, n_fft // 2 + 1), dtype)
    step = max(1, _CHUNK_SAMPLES // n_fft)
    jobs = [
        (samples[channel], window, hop_length, start, spectra[channel, start : start + step])
        for channel in range(n_channels)
        for start in range(0, n_frames, step)
    ]
    _parallel.run(_stft_chunk, jobs)
    return spectra


def _stft_chunk(samples: Array, window: Array, hop_length: int, first: int, spectra: Array) -> None:
    from scipy import fft

    n_fft, n_frames = window.size, spectra.shape[0]
    begin = first * hop_length - n_fft // 2
    end = begin + (n_frames - 1) * hop_length + n_fft
    segment = samples[max(begin, 0) : max(end, 0)]
    if begin < 0 or end > samples.size:  # only the chunks at the two ends copy anything
        padded = np.zeros(end - begin, samples.dtype)
        offset = max(begin, 0) - begin
        padded[offset : offset + segment.size] = segment
        segment = padded
    frames = sliding_window_view(segment, n_fft)[::hop_length] * window
    spectra[:] = fft.rfft(frames, axis=-1, overwrite_x=True)


def istft(spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array) -> Array:
    """See `dspsep.kernels.Kernels.istft`."""
    n_channels, n_fft, n_samples = spectra.shape[0], window.size, weight.size
    samples = np.zeros((n_channels, n_samples), weight.dtype)
    # At least four windows long, so that less than a third of the frames are transformed twice.
    step = max(max(1, _CHUNK_SAMPLES // n_fft) * _CHUNKS_PER_UNIT * hop_length, 4 * n_fft)
    jobs = [
        (
            spectra[channel],
            None if mask is None else mask[channel if mask.shape[0] > 1 else 0],
            readonly(window),
            hop_length,
            start,
            samples[channel, start : start + step],
            weight[start : start + step],
        )
        for channel in range(n_channels)
        for start in range(0, n_samples, step)
    ]
    _parallel.run(_istft_unit, jobs)
    return samples


def _istft_unit(
    spectra: Array, mask: Array | None, window: Array, hop_length: int, begin: int, out: Array, weight: Array
) -> None:
    """Write samples `begin` onwards: every frame that reaches them, in order, whatever the cut."""
    from scipy import fft

    n_fft = window.size
    origin = begin + n_fft // 2  # frame t starts at sample t * hop_length - n_fft // 2
    first = max(0, -(-(origin - n_fft + 1) // hop_length))
    last = min(spectra.shape[0], (origin + out.size - 1) // hop_length + 1)
    step = max(1, _CHUNK_SAMPLES // n_fft)
    for start in range(first, last, step):
        chunk = spectra[start : min(start + step, last)]
        if mask is not None:
            chunk = chunk * mask[start : min(start + step, last)]
        frames = fft.irfft(chunk, n=n_fft, axis=-1, overwrite_x=mask is not None)
        _overlap_add(readonly(frames), window, hop_length, start * hop_length - origin, out)
    out /= weight


@kernel
def _overlap_add(frames: Array, window: Array, hop_length: int, offset: int, out: Array) -> None:
    """Add windowed frames to `out`, the first one at `offset`; what falls outside is dropped."""
    for frame in range(frames.shape[0]):
        start = offset + frame * hop_length
        begin, end = max(0, -start), min(window.size, out.size - start)
        if begin < end:
            # Slices first: an index that numba cannot prove to be positive keeps the loop from vectorising.
            target, values = out[start + begin : start + end], frames[frame, begin:end]
            weights = window[begin:end]
            for i in range(target.size):
                target[i] += weights[i] * values[i]
