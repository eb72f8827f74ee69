"""The best array expressions that we know for what the numba kernels do: what a kernel must beat to stay.

And methods as others write them, for those whose own code does not run any more.

Spectrogram-shaped arrays are frame-major here, (n_channels, n_frames, n_freqs), as the kernels take them; but
(n_channels, n_freqs, n_frames) in what is named after REPET, as librosa's transform returns them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "diffusion_in_place",
    "ft2d_as_images",
    "ft2d_whole_plane",
    "median_bottleneck",
    "median_image",
    "median_rows",
    "overlap_add_blocks",
    "overlap_add_frames",
    "repet_adaptive",
    "repet_alike",
    "repet_alike_before",
    "repet_beat_spectrum",
    "repet_extended",
    "repet_lists",
    "repet_periodic",
    "rpca_full_svd",
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


def rpca_full_svd(
    V: Array, costs: Array, tol: float = 1e-7, n_iter: int = 100
) -> tuple[Array, Array, tuple[float, ...]]:
    """Return low rank, sparse part and residuals as published: all singular values in every iteration.

    `costs` are those of entries of the sparse part, (1, 1) or (n_freqs, 1).
    """
    largest = np.linalg.norm(V, 2)
    Y = V / max(largest, np.max(V / costs))
    mu = V.dtype.type(1.25 / largest)
    low = np.zeros_like(V)
    residuals: list[float] = []
    for _ in range(n_iter):
        rest = V - low + Y / mu
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - costs / mu, 0)
        U, values, Vh = np.linalg.svd(V - sparse + Y / mu, full_matrices=False)
        rank = int((values > 1 / mu).sum())
        low = (U[:, :rank] * (values[:rank] - 1 / mu)) @ Vh[:rank]
        missing = V - low - sparse
        Y = Y + mu * missing
        mu *= V.dtype.type(1.5)
        residuals.append(float(np.linalg.norm(missing) / np.linalg.norm(V)))
        if residuals[-1] <= tol:
            break
    return low, sparse, tuple(residuals)


def ft2d_whole_plane(V: Array, neighbourhood: tuple[int, int]) -> Array:
    """Return the mask of a background by peaks on all of the plane, by scipy's filters for images."""
    from scipy import ndimage

    transform = np.fft.fft2(V)
    P = np.abs(transform)
    P /= P.max()
    mean = ndimage.uniform_filter(P, neighbourhood, mode="wrap")
    variance = ndimage.uniform_filter(P * P, neighbourhood, mode="wrap") - mean * mean
    # Mirror images are equal but for rounding.
    least = ndimage.maximum_filter(P, neighbourhood, mode="wrap") * (1 - 4 * np.finfo(P.dtype).eps)
    peaks = least <= P
    deviation = np.sqrt(np.maximum(variance, np.finfo(P.dtype).tiny) * (np.prod(neighbourhood) - 1))
    background = np.real(np.fft.ifft2(np.where(peaks, (P - mean) / deviation, 0) * transform))
    mask: Array = np.clip(background, 0, V) / np.maximum(V, np.finfo(V.dtype).tiny)
    return mask


def ft2d_as_images(spectrum: Array, neighbourhood: tuple[int, int]) -> Array:
    """Return nussl's masks of background and foreground, by the calls to NumPy and SciPy that it makes.

    Its plane is shifted, its edges are mirrored, mirror images of peaks are added in both directions, both
    parts are made, and the mask is divided by its maximum.
    """
    from scipy import ndimage

    transform = np.fft.fft2(np.abs(spectrum))
    plane = np.abs(np.fft.fftshift(transform))
    plane = plane / (plane.max() + 1e-7)
    highest = ndimage.maximum_filter(plane, neighbourhood)
    mean = ndimage.uniform_filter(plane, neighbourhood)
    squares = ndimage.uniform_filter(plane**2, neighbourhood)
    deviation = np.sqrt(np.maximum(squares - mean**2, 0)) + 1e-7
    peaks = ((highest - mean) / deviation * (plane == highest)).astype(float)
    peaks /= peaks.max() + 1e-7
    peaks = np.maximum(peaks, np.maximum(np.fliplr(peaks), np.flipud(peaks)))
    peaks = np.fft.ifftshift(peaks)
    parts = (peaks * transform, (1 - peaks) * transform)
    V = np.abs(spectrum) + 1e-7
    mask = np.minimum(np.abs(np.fft.ifft2(parts[0])), V) / V
    mask /= (mask + 1e-7).max()
    return np.stack([mask, 1 - mask])


def repet_beat_spectrum(V: Array) -> Array:
    """Return the autocorrelation of power over time, summed over frequency, by transforms of it all."""
    n_frames = V.shape[-1]
    power = np.mean(V**2, axis=0)
    spectrum = np.sum(np.abs(np.fft.rfft(power, 2 * n_frames)) ** 2, axis=0)
    beats: Array = np.fft.irfft(spectrum)[:n_frames] / np.arange(n_frames, 0, -1)
    return beats


def repet_periodic(V: Array, period: int) -> Array:
    """Return the share of what repeats with a period: the median of stacked segments."""
    n_whole, rest = divmod(V.shape[-1], period)
    stacked = V[..., : n_whole * period].reshape(*V.shape[:-1], n_whole, period)
    medians = np.median(stacked, axis=-2)
    if rest:  # the first frames have one repeat more
        last = V[..., None, n_whole * period :]
        medians[..., :rest] = np.median(np.concatenate([stacked[..., :rest], last], axis=-2), axis=-2)
    return _share(np.tile(medians, n_whole + 1)[..., : V.shape[-1]], V)


def repet_extended(V: Array, segments: tuple[tuple[int, int], ...], periods: tuple[int, ...]) -> Array:
    """Return the shares of segments, faded into one another by triangles."""
    total, share = np.zeros(V.shape[-1], V.dtype), np.zeros_like(V)
    for (start, stop), period in zip(segments, periods, strict=True):
        place = np.arange(1, stop - start + 1)
        triangle = np.minimum(place, place[::-1]).astype(V.dtype)
        share[..., start:stop] += triangle * repet_periodic(V[..., start:stop], period)
        total[start:stop] += triangle
    return share / total


def repet_adaptive(V: Array, periods: Array, order: int) -> Array:
    """Return the share of what repeats with the period of each moment: a median for each frame."""
    n_frames, half = V.shape[-1], order // 2
    medians = np.empty_like(V)
    for frame in range(n_frames):
        near = frame + periods[frame] * np.arange(-half, half + 1)
        near = near[(near >= 0) & (near < n_frames)]
        medians[..., frame] = np.median(V[..., near], axis=-1)
    return _share(medians, V)


def repet_alike(V: Array, distance: int, most: int) -> list[Array]:
    """Return which frames are like each, from a similarity matrix that is there as a whole."""
    mean = V.mean(axis=0)
    directions = mean / np.maximum(np.linalg.norm(mean, axis=0), np.finfo(V.dtype).tiny)
    similarity = directions.T @ directions
    np.fill_diagonal(similarity, 2)
    return [_peaks(row, distance, most) for row in similarity]


def repet_alike_before(V: Array, n_past: int, distance: int, most: int) -> list[Array]:
    """Return which of the last frames are like each, frame after frame, as they come."""
    lists = []
    norms = np.maximum(np.linalg.norm(V.mean(axis=0), axis=0), np.finfo(V.dtype).tiny)
    directions = np.ascontiguousarray((V.mean(axis=0) / norms).T)
    for frame in range(V.shape[-1]):
        first = max(0, frame - n_past)
        row = directions[first : frame + 1] @ directions[frame]
        row[-1] = 2
        lists.append(first + _peaks(row, distance, most))
    return lists


def repet_lists(V: Array, lists: list[Array]) -> Array:
    """Return the share of the median of the frames that are like each: one after the other."""
    frames = np.ascontiguousarray(np.moveaxis(V, -1, 0))
    medians = np.stack([np.median(frames[alike], axis=0) for alike in lists], axis=-1)
    return _share(medians, V)


def _peaks(row: Array, distance: int, most: int) -> Array:
    """Return the highest of all that are higher than what is within a distance."""
    from scipy import signal

    between_walls = np.concatenate([[-1], row, [-1]])
    peaks = signal.argrelmax(between_walls, order=max(1, distance))[0] - 1
    highest: Array = peaks[np.argsort(-row[peaks], kind="stable")][:most]
    return highest


def _share(part: Array, V: Array) -> Array:
    """Return min(part, V) / V, and nothing where V is 0."""
    share: Array = np.minimum(part, V) / np.maximum(V, np.finfo(V.dtype).tiny)
    return share
