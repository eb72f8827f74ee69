"""STFT and ISTFT in tiles of `LANES` frames that never leave the cache between samples and spectra.

A tile of samples is windowed as it is read, transposed so that every frame has a lane of its own,
transformed and transposed back; the inverse goes the same way, and adds its frames to the output as they
are. Frame lengths that are no powers of two go through scipy's FFTs, in `dspsep.kernels.cpu`.

What a frame becomes depends on nothing but its samples, and frames are added in their order, so that tiles
can be cut anywhere: all cuts give the same bytes.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels import cpu
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.simd._fft import (
    complex_fft,
    has_fft,
    inverse_window,
    to_half,
    to_half_masked,
    to_spectrum,
    twiddles,
)
from dspsep.kernels.simd._vectors import LANES, add_rows, load, load_rows, store, store_rows, transpose

__all__ = ["add_frames", "istft", "padded", "read_frames", "stft"]

# Frames per unit of work, in multiples of a tile. Units of the inverse transform the frames that two of them
# need twice, so they are longer.
_FRAMES, _INVERSE_FRAMES = 64, 256


def stft(samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
    """See `dspsep.kernels.Kernels.stft`."""
    n_fft = window.size
    if not has_fft(n_fft):
        return cpu.stft(samples, window, hop_length, n_frames)
    samples, window = readonly(samples), readonly(window)
    factors, half = twiddles(n_fft, str(samples.dtype))
    spectra = np.empty((samples.shape[0], n_frames, 2 * (n_fft // 2 + 1)), samples.dtype)
    jobs = [
        (
            samples[channel],
            window,
            hop_length,
            start,
            factors,
            half,
            spectra[channel, start : start + _FRAMES],
        )
        for channel in range(samples.shape[0])
        for start in range(0, n_frames, _FRAMES)
    ]
    _parallel.run(_stft_unit, jobs)
    return spectra.view(np.complex64 if samples.dtype == np.float32 else np.complex128)


def _stft_unit(
    samples: Array, window: Array, hop_length: int, first: int, factors: Array, half: Array, spectra: Array
) -> None:
    # Whole tiles: where there are fewer frames than lanes, zeros make up for them.
    n_frames = max(LANES, spectra.shape[0])
    begin = first * hop_length - window.size // 2
    segment = padded(samples, begin, begin + (n_frames - 1) * hop_length + window.size)
    target = (
        spectra if spectra.shape[0] == n_frames else np.empty((n_frames, spectra.shape[1]), spectra.dtype)
    )
    _forward_frames(segment, window, hop_length, n_frames, factors, half, target.reshape(-1))
    if target is not spectra:
        spectra[:] = target[: spectra.shape[0]]


def padded(samples: Array, begin: int, end: int) -> Array:
    """Return samples `begin` to `end`, zeros where there are none; a copy only if there are such."""
    segment = samples[max(begin, 0) : max(end, 0)]
    if segment.size == end - begin:
        return readonly(segment)
    extended = np.zeros(end - begin, samples.dtype)
    offset = max(begin, 0) - begin
    extended[offset : offset + segment.size] = segment
    return readonly(extended)


@inlined
def read_frames(x: Array, start: int, hop_length: int, window: Array, z: Array) -> None:
    """Write the windowed frames that begin at ``start``, ``start + hop_length``, … to a tile."""
    for n in range(0, window.size, LANES):
        block = transpose(load_rows(x, start + n, hop_length) * load(window, n))
        store_rows(z, n * LANES, LANES, block)


@inlined
def add_frames(
    z: Array, window: Array, begin: int, end: int, hop_length: int, out: Array, start: int
) -> None:
    """Add windowed frames `begin` to `end` of a tile to `out`; frame 0 of it would be at `start`.

    From the ends of the frames to their beginnings, so that every sample gets its frames in their order.
    """
    rows = np.empty(LANES * LANES, window.dtype)
    for n in range(window.size - LANES, -1, -LANES):
        block = transpose(load_rows(z, n * LANES, LANES)) * load(window, n)
        if end - begin == LANES:
            add_rows(out, start + n, hop_length, block)
        else:
            store_rows(rows, 0, LANES, block)
            for row in range(begin, end):
                place = start + n + row * hop_length
                store(out, place, load(out, place) + load(rows, row * LANES))


@kernel
def _forward_frames(
    x: Array, window: Array, hop_length: int, n_frames: int, factors: Array, half: Array, spectra: Array
) -> None:
    n = window.size // 2
    width = 2 * (n + 1)
    z, y = np.empty(2 * n * LANES, x.dtype), np.empty(2 * n * LANES, x.dtype)
    spectrum = np.empty(width * LANES, x.dtype)
    for tile in range(0, n_frames, LANES):
        # The last tile begins earlier and does some frames again.
        first = min(tile, n_frames - LANES)
        read_frames(x, first * hop_length, hop_length, window, z)
        to_spectrum(complex_fft(z, y, factors, n), half, n, spectrum)
        for column in range(0, width, LANES):
            place = min(column, width - LANES)
            block = transpose(load_rows(spectrum, place * LANES, LANES))
            store_rows(spectra, first * width + place, width, block)


def istft(spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array) -> Array:
    """See `dspsep.kernels.Kernels.istft`."""
    n_fft, n_samples = window.size, weight.size
    if not has_fft(n_fft) or hop_length > n_fft:
        return cpu.istft(spectra, mask, window, hop_length, weight)
    n_channels, n_frames, n_freqs = spectra.shape
    numbers = readonly(spectra).view(weight.dtype).reshape(n_channels, n_frames, 2 * n_freqs)
    masks = np.ones((1, 1, 1), weight.dtype) if mask is None else mask
    window, weight = inverse_window(window), readonly(weight)
    factors, half = twiddles(n_fft, str(weight.dtype))
    samples = np.empty((n_channels, n_samples), weight.dtype)
    step = max(_INVERSE_FRAMES * hop_length, 4 * n_fft)
    jobs = [
        (
            numbers[channel],
            readonly(masks[channel if masks.shape[0] > 1 else 0]),
            window,
            hop_length,
            factors,
            half,
            start,
            weight[start : start + step],
            samples[channel, start : start + step],
        )
        for channel in range(n_channels)
        for start in range(0, n_samples, step)
    ]
    _parallel.run(_istft_unit, jobs)
    return samples


def _istft_unit(
    spectra: Array,
    mask: Array,
    window: Array,
    hop_length: int,
    factors: Array,
    half: Array,
    begin: int,
    weight: Array,
    out: Array,
) -> None:
    """Write samples `begin` onwards: every frame that reaches them, in order, whatever the cut."""
    n_fft, n_frames = window.size, spectra.shape[0]
    origin = begin + n_fft // 2  # frame t starts at sample t * hop_length - n_fft // 2
    first = max(0, -(-(origin - n_fft + 1) // hop_length))
    last = min(n_frames, (origin + out.size - 1) // hop_length + 1)
    spectra, mask = spectra[first:last], mask[first:last] if mask.size > 1 else mask
    missing = LANES - (last - first)
    if missing > 0:  # whole tiles, in which zeros make up for frames
        spectra = np.pad(spectra, ((0, missing), (0, 0)))
        mask = np.pad(mask, ((0, missing), (0, 0))) if mask.size > 1 else mask
    _inverse_frames(
        readonly(spectra).reshape(-1), readonly(mask).reshape(-1), window, hop_length,
        spectra.shape[0], factors, half,
        origin - first * hop_length, weight, out,
    )  # fmt: skip


@kernel
def _inverse_frames(
    spectra: Array, mask: Array, window: Array, hop_length: int, n_frames: int, factors: Array, half: Array,
    offset: int, weight: Array, out: Array,
) -> None:  # fmt: skip
    """Write `out`, which begins `offset` samples behind the beginning of the first frame."""
    n = window.size // 2
    width = 2 * (n + 1)
    z, y = np.empty(2 * n * LANES, out.dtype), np.empty(2 * n * LANES, out.dtype)
    spectrum = np.empty(width * LANES, out.dtype)
    masks = np.empty((n + 1) * LANES, out.dtype)
    total = np.zeros(max(offset + out.size, n_frames * hop_length + 2 * n), out.dtype)
    for tile in range(0, n_frames, LANES):
        # The last tile begins earlier, and what it does again is not added again.
        first = min(tile, n_frames - LANES)
        for column in range(0, width, LANES):
            place = min(column, width - LANES)
            block = transpose(load_rows(spectra, first * width + place, width))
            store_rows(spectrum, place * LANES, LANES, block)
        if mask.size > 1:
            _read_masks(mask, first, n + 1, masks)
            to_half_masked(spectrum, masks, half, n, z)
        else:
            to_half(spectrum, half, n, z)
        time = complex_fft(z, y, factors, n)
        add_frames(time, window, tile - first, LANES, hop_length, total, first * hop_length)
    for i in range(out.size):
        out[i] = total[offset + i] / weight[i]


@inlined
def _read_masks(mask: Array, first: int, n_freqs: int, masks: Array) -> None:
    """Write the masks of frames `first` onwards as a tile."""
    for column in range(0, n_freqs, LANES):
        place = min(column, n_freqs - LANES)
        block = transpose(load_rows(mask, first * n_freqs + place, n_freqs))
        store_rows(masks, place * LANES, LANES, block)
