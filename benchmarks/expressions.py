"""The best array expressions that we know for what the numba kernels do: what a kernel must beat to stay.

Spectrogram-shaped arrays are frame-major here, (n_channels, n_frames, n_freqs), as the kernels take them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "diffusion_in_place",
    "median_bottleneck",
    "median_image",
    "median_rows",
    "overlap_add_blocks",
    "overlap_add_frames",
    "soft_mask_squared",
]

Array: TypeAlias = np.ndarray[Any, Any]


def median_image(values: Array, length: int, axis: int) -> Array:
    """Median along one axis by scipy's filter for images, as librosa does it."""
    from scipy import ndimage

    size = [1] * values.ndim
    size[axis] = length
    medians: Array = ndimage.median_filter(values, size=size, mode="reflect")
    return medians


def median_rows(values: Array, length: int, axis: int) -> Array:
    """Median along one axis, row by row: scipy has a faster way for one dimension."""
    from scipy import ndimage

    rows = np.ascontiguousarray(np.moveaxis(values, axis, -1))
    medians = np.empty_like(rows)
    for index in np.ndindex(rows.shape[:-1]):
        ndimage.median_filter(rows[index], size=length, mode="reflect", output=medians[index])
    return np.moveaxis(medians, -1, axis)


def median_bottleneck(values: Array, length: int, axis: int) -> Array:
    """Median along one axis by bottleneck's trailing median over mirrored edges."""
    import bottleneck

    half = length // 2
    widths = [(0, 0)] * values.ndim
    widths[axis] = (half, half)
    padded = np.pad(values, widths, mode="symmetric")  # scipy's "reflect"
    trailing = bottleneck.move_median(padded, length, axis=axis)
    return np.moveaxis(np.moveaxis(trailing, axis, -1)[..., 2 * half :], -1, axis)


def soft_mask_squared(values: Array, rival: Array) -> Array:
    """Return values² / (values² + rival²), one half for 0/0, safe from overflow, with few temporaries."""
    largest = np.maximum(values, rival)
    silent = largest < np.finfo(values.dtype).tiny
    largest[silent] = 1
    own = values / largest
    np.multiply(own, own, out=own)
    other = np.divide(rival, largest, out=largest)
    np.multiply(other, other, out=other)
    np.add(own, other, out=other)
    other[silent] = 1
    np.divide(own, other, out=own)
    own[silent] = 0.5
    return own


def diffusion_in_place(whole: Array, harmonic: Array, weight: float) -> Array:
    """One step of complementary diffusion: what flows over a border leaves one side and enters the other."""
    total = np.zeros_like(whole)
    flow = np.diff(harmonic, axis=1)
    np.vdot(flow, flow)  # the objective, which is asked for as well
    flow *= whole.dtype.type(weight / 4)
    total[:, :-1] += flow
    total[:, 1:] -= flow
    flow = np.diff(whole - harmonic, axis=2)
    np.vdot(flow, flow)
    flow *= whole.dtype.type((1 - weight) / 4)
    total[:, :, :-1] -= flow
    total[:, :, 1:] += flow
    total += harmonic
    clipped: Array = np.clip(total, 0, whole, out=total)
    return clipped


def overlap_add_frames(frames: Array, window: Array, hop_length: int) -> Array:
    """Overlap-add windowed frames, frame by frame."""
    n_frames, n_fft = frames.shape
    samples = np.zeros((n_frames - 1) * hop_length + n_fft, frames.dtype)
    for frame in range(n_frames):
        samples[frame * hop_length : frame * hop_length + n_fft] += window * frames[frame]
    return samples


def overlap_add_blocks(frames: Array, window: Array, hop_length: int) -> Array:
    """Do the same where the hop divides the frame: block r of every frame at once."""
    n_frames, n_fft = frames.shape
    n_blocks = n_fft // hop_length
    blocks = (frames * window).reshape(n_frames, n_blocks, hop_length)
    samples = np.zeros((n_frames + n_blocks - 1, hop_length), frames.dtype)
    for block in range(n_blocks):
        samples[block : block + n_frames] += blocks[:, block]
    return samples.reshape(-1)
