"""What stereo methods share: the two channels, blocks of frames, sums by cell, peaks, and a check.

A bin is (L, R) = (X1, X2). Amplitude panning gives both channels of a source one phase, or opposite ones, so
that Re(L conj R) is all there is of L conj R; delays, rooms and stereo effects turn it. With

    c[f] = sum_t |Re(L conj R)| / sum_t |L conj R|

the mean of c over frequencies is 1 for a panned source, and 2 / pi where phases are anything. Below the
middle of these two, a mixture is not panned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.stft import Spectrogram

__all__ = [
    "check_shares",
    "checked_pair",
    "energy_of",
    "frame_blocks",
    "highest_peaks",
    "in_blocks",
    "sums_by_cell",
    "warn_if_few",
    "warn_unless_panned",
]

#: How many values of a channel are worked on at once: temporary arrays of some megabytes.
_BLOCK_SIZE = 2**18
#: Half way from phases that are anything to those of panning.
_LEAST_PANNED = (2 / math.pi + 1) / 2


def checked_pair(names: tuple[str, str], first: object, second: object) -> tuple[Array, Array]:
    """Return two complex arrays of one shape, in range, and of one precision; real ones become complex.

    Their scale may be another one in common: results of the callers do not see it.
    """
    pair = []
    for name, value in zip(names, (first, second), strict=True):
        array = _backend.as_array(name, value)
        xp = _backend.namespace(array)
        if not xp.isdtype(array.dtype, ("real floating", "complex floating", "integral")):
            raise InputError(name, "an array of numbers", f"dtype {array.dtype}")
        if array.dtype not in (xp.complex64, xp.complex128):
            single = array.dtype == xp.float32
            array = xp.astype(array, xp.complex64 if single else xp.complex128)
        pair.append(array)
    xp = _backend.namespace(*pair)
    if tuple(pair[0].shape) != tuple(pair[1].shape):
        raise InputError(names[1], f"of the shape of {names[0]}, {tuple(pair[0].shape)}", f"{pair[1].shape}")
    if pair[0].dtype != pair[1].dtype:
        pair = [xp.astype(array, xp.complex128) for array in pair]
    if pair[0].size:
        parts = [xp.max(xp.abs(part)) for array in pair for part in (xp.real(array), xp.imag(array))]
        largest = _backend.to_host(xp.stack(parts)).reshape(2, 2).max(axis=1)
        for name, peak in zip(names, largest, strict=True):
            if not math.isfinite(peak):
                raise InputError(name, "finite", f"{peak}")
        exponent = _audio.safe_exponent(float(largest.max()))
        if exponent:
            pair = [_audio.times_power_of_two(array, exponent) for array in pair]
    return pair[0], pair[1]


def check_shares(name: str, value: object) -> None:
    """Refuse what is no array of finite numbers that are not negative: a model may come from a file."""
    array = np.asarray(_backend.to_host(_backend.real_floating(name, value)))
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InputError(name, "finite and not negative", "other values")


def energy_of(X: Array) -> Array:
    """Return the squared magnitudes of complex numbers."""
    xp = _backend.namespace(X)
    real, imaginary = xp.real(X), xp.imag(X)
    energy: Array = real * real + imaginary * imaginary
    return energy


def frame_blocks(spectrogram: Spectrogram) -> Iterator[tuple[slice, Array, Array]]:
    """Yield frames and the two channels (n_freqs, some frames) of them.

    Raises
    ------
    InputError
        If there are not two channels.
    """
    if spectrogram.n_channels != 2:
        raise InputError("spectrogram", "of two channels", f"{spectrogram.n_channels}")
    length = max(1, _BLOCK_SIZE // spectrogram.n_freqs)
    for start in range(0, spectrogram.n_frames, length):
        frames = slice(start, min(start + length, spectrogram.n_frames))
        yield frames, spectrogram.values[0, :, frames], spectrogram.values[1, :, frames]


def in_blocks(spectrogram: Spectrogram, make: Callable[[Array, Array], Array]) -> Array:
    """Return what `make` gives of the two channels, as one array (1, n_freqs, n_frames)."""
    whole: Array | None = None
    values = spectrogram.values
    xp = _backend.namespace(values)
    for frames, L, R in frame_blocks(spectrogram):
        part = make(L, R)
        if whole is None:
            shape = (spectrogram.n_frames, spectrogram.n_freqs)
            whole = xp.empty(shape, dtype=part.dtype, device=values.device)
        whole[frames, :] = xp.permute_dims(part, (1, 0))
    return xp.permute_dims(whole, (1, 0))[None, :, :]  # type: ignore[no-any-return]


def sums_by_cell(cells: Array, weights: Array, n_cells: int) -> npt.NDArray[np.float64]:
    """Return the sum of the weights in each cell, on the host; `cells` are of integers below `n_cells`."""
    xp = _backend.namespace(cells, weights)
    cells, weights = xp.reshape(cells, (-1,)), xp.astype(xp.reshape(weights, (-1,)), xp.float64)
    if _backend.is_numpy(cells):
        return np.asarray(np.bincount(cells, weights, n_cells), np.float64)
    order = xp.argsort(cells)
    edges = xp.arange(n_cells + 1, dtype=cells.dtype, device=cells.device)
    ends = xp.searchsorted(xp.take(cells, order), edges)
    total = xp.cumulative_sum(xp.take(weights, order), include_initial=True)
    sums = xp.take(total, ends)
    return np.asarray(_backend.to_host(sums[1:] - sums[:-1]))


def highest_peaks(
    H: npt.NDArray[np.float64], n_peaks: int, separation: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Return where the highest peaks of a histogram are, highest first.

    A peak is what is highest, and not zero, once what is within `separation` of higher peaks is gone. Slopes
    of these are none: a peak is not lower than its next neighbours.
    """
    padded = np.pad(H, 1)
    top = np.ones(H.shape, bool)
    for offset in np.ndindex((3,) * H.ndim):
        near = tuple(slice(first, first + size) for first, size in zip(offset, H.shape, strict=True))
        top &= padded[near] <= H
    left = np.where(top, H, 0)
    peaks: list[tuple[int, ...]] = []
    while len(peaks) < n_peaks and left.max(initial=0) > 0:
        peak = tuple(int(place) for place in np.unravel_index(np.argmax(left), left.shape))
        peaks.append(peak)
        left[
            tuple(slice(max(0, at - far), at + far + 1) for at, far in zip(peak, separation, strict=True))
        ] = 0
    return peaks


def warn_if_few(n_found: int, n_sources: int) -> None:
    """Warn that there are fewer places than sources, unless there is none, which is silence."""
    if 0 < n_found < n_sources:
        warn(
            "W_FEW_SOURCES",
            f"sources were found in {n_found} of {n_sources} places: the others are silent.",
            stacklevel=6,
        )


def warn_unless_panned(spectrogram: Spectrogram) -> None:
    """Warn where phases differ between the channels as they do not in panned mixtures."""
    xp = _backend.namespace(spectrogram.values)
    sums = np.zeros((2, spectrogram.n_freqs))
    for _, L, R in frame_blocks(spectrogram):
        cross = L * xp.conj(R)
        both = xp.stack([xp.abs(xp.real(cross)), xp.abs(cross)])
        sums += _backend.to_host(xp.sum(both, axis=2, dtype=xp.float64))
    heard = sums[1] > 0
    panned = float(np.mean(sums[0, heard] / sums[1, heard])) if heard.any() else 1.0
    if panned < _LEAST_PANNED:
        warn(
            "W_NOT_PANNED",
            f"phases differ between the channels (agreement {panned:.2f}, of 0.64 where they are "
            "anything to 1 for panned sources): the mixture has delays, reverberation or stereo effects, and "
            "this method tells sources apart by their levels alone. For short delays there is DUET.",
            stacklevel=6,
        )
