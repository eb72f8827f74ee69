"""STFT and ISTFT: cuFFT in batches, and what lies before and behind it in one kernel each.

*Framing*: a block writes one frame, windowed, and zero where there are no samples; no index is stored.
*Overlap-add* gathers: a thread makes one sample, adds up the frames that reach it in their order, windowed,
and divides by the weight. Nothing is added atomically, so that the same spectra give the same bytes.

Masks stay an array expression: that is one pass over the spectra already, and what it makes is what cuFFT
reads. Long audio is transformed in blocks of frames: beside input and output there are at most `_VALUES`
samples of frames, and their spectra, twice for the inverse, since cuFFT overwrites what it inverts. The
frames that two blocks of the inverse share are transformed twice.

What bounds them is memory (estimates; nothing of this was measured): with a hop of a quarter, framing reads
each sample once from memory and writes it four times, overlap-add reads four values for each that it writes:
20 bytes for each sample in single precision, about half of what cuFFT reads and writes for the same frames.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import typed

__all__ = ["istft", "stft"]

_THREADS = 256
# Samples of frames that are transformed at once: half a gigabyte in single precision.
_VALUES = 2**27
# Samples that the inverse makes at once, at most: places among them are 32-bit numbers.
_LONGEST = 2**30

_FRAMES = """
extern "C" __global__ void windowed_frames(
    const REAL *samples, const REAL *window, REAL *frames, long long n_samples, int n_fft,
    long long hop_length, long long first, int n_frames
) {
    const long long channel = blockIdx.x / n_frames, frame = first + blockIdx.x % n_frames;
    const long long start = frame * hop_length - n_fft / 2;
    const REAL *x = samples + channel * n_samples;
    REAL *out = frames + (long long)blockIdx.x * n_fft;
    for (int i = threadIdx.x; i < n_fft; i += blockDim.x)
        out[i] = start + i >= 0 && start + i < n_samples ? x[start + i] * window[i] : 0;
}
"""

_OVERLAP_ADD = """
extern "C" __global__ void overlap_add(
    const REAL *frames, const REAL *window, const REAL *weight, REAL *samples, long long n_samples, int n_fft,
    int hop_length, int n_frames, int offset, long long start, int length, int n_columns
) {
    const int i = blockIdx.x % n_columns * blockDim.x + threadIdx.x;
    const long long channel = blockIdx.x / n_columns;
    if (i >= length) return;
    const int place = i + offset;  // counted from the first sample of the first of these frames
    const int last = min(n_frames - 1, place / hop_length);
    const REAL *x = frames + channel * n_frames * n_fft;
    REAL sum = 0;
    for (int frame = place < n_fft ? 0 : (place - n_fft) / hop_length + 1; frame <= last; frame++) {
        const int e = place - frame * hop_length;
        sum += window[e] * x[(long long)frame * n_fft + e];
    }
    samples[channel * n_samples + start + i] = sum / weight[start + i];
}
"""


def stft(samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
    """See `dspsep.kernels.Kernels.stft`."""
    xp = _backend.namespace(samples, window)
    samples, window = contiguous(samples), contiguous(window)
    n_channels, n_fft = samples.shape[0], window.shape[0]
    at_once = max(1, _VALUES // (n_channels * n_fft))
    if n_frames <= at_once:
        return _spectra(samples, window, hop_length, 0, n_frames)
    kind = xp.complex64 if precision(samples) == "float32" else xp.complex128
    shape = (n_channels, n_frames, n_fft // 2 + 1)
    spectra: Array = xp.empty(shape, dtype=kind, device=samples.device)
    for start in range(0, n_frames, at_once):
        part = _spectra(samples, window, hop_length, start, min(at_once, n_frames - start))
        spectra[:, start : start + part.shape[1], :] = part
    return spectra


def _spectra(samples: Array, window: Array, hop_length: int, first: int, n_frames: int) -> Array:
    """Return the spectra of `n_frames` frames from the one numbered `first`."""
    xp = _backend.namespace(samples)
    n_channels, n_samples = samples.shape
    n_fft = window.shape[0]
    frames = xp.empty((n_channels, n_frames, n_fft), dtype=samples.dtype, device=samples.device)
    launch(
        typed(_FRAMES, precision(samples)),
        "windowed_frames",
        (n_channels * n_frames,),
        (min(_THREADS, 32 * blocks(n_fft, 32)),),
        samples,
        window,
        frames,
        np.int64(n_samples),
        np.int32(n_fft),
        np.int64(hop_length),
        np.int64(first),
        np.int32(n_frames),
    )
    spectra: Array = xp.fft.rfft(frames, axis=-1)
    return spectra


def istft(spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array) -> Array:
    """See `dspsep.kernels.Kernels.istft`."""
    xp = _backend.namespace(spectra, window, weight)
    window, weight = contiguous(window), contiguous(weight)
    n_channels, n_frames, _ = spectra.shape
    n_fft, n_samples = window.shape[0], weight.shape[0]
    samples: Array = xp.empty((n_channels, n_samples), dtype=weight.dtype, device=weight.device)
    # At least as long as two windows, so that most frames are not transformed twice.
    step = min(max(_VALUES // (n_channels * n_fft) * hop_length - n_fft, 2 * n_fft), _LONGEST)
    for start in range(0, n_samples, step):
        length = min(step, n_samples - start)
        origin = start + n_fft // 2  # frame t begins at t * hop_length if samples are counted from here
        first = max(0, (origin - n_fft) // hop_length + 1)
        last = max(first + 1, min(n_frames, (origin + length - 1) // hop_length + 1))
        part = (
            spectra[:, first:last, :] if mask is None else spectra[:, first:last, :] * mask[:, first:last, :]
        )
        if part.shape[1]:
            frames = contiguous(xp.fft.irfft(part, n=n_fft, axis=-1))
        else:  # after the last frame, where the hop is longer than the window
            frames = xp.zeros((n_channels, 1, n_fft), dtype=weight.dtype, device=weight.device)
        _overlap_add(
            frames, window, weight, samples, hop_length, (origin - first * hop_length, start, length)
        )
    return samples


def _overlap_add(
    frames: Array,
    window: Array,
    weight: Array,
    samples: Array,
    hop_length: int,
    place: tuple[int, int, int],
) -> None:
    """Write some samples: how far the first one is from the start of these frames, where it is, how many."""
    n_channels, n_frames, n_fft = frames.shape
    offset, start, length = place
    n_columns = blocks(length, _THREADS)
    launch(
        typed(_OVERLAP_ADD, precision(frames)),
        "overlap_add",
        (n_channels * n_columns,),
        (_THREADS,),
        frames,
        window,
        weight,
        samples,
        np.int64(samples.shape[1]),
        np.int32(n_fft),
        np.int32(hop_length),
        np.int32(n_frames),
        np.int32(offset),
        np.int64(start),
        np.int32(length),
        np.int32(n_columns),
    )
