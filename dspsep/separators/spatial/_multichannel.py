"""What spatial models share: checked spectra, split into parts, with a little noise in every bin.

A bin that is silent, a channel that repeats another and a single frame make matrices singular and models
degenerate. So all models here are those of the mixture plus faint white noise, whose covariance is known and
is added where the mixture's would be: every matrix is then positive definite, every power is above zero, and
what is minimised is bounded, and is an objective of its own, which never rises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.kernels import kernels_for

__all__ = [
    "NOISE",
    "Split",
    "blocks",
    "check_iterations",
    "check_parameters",
    "frame_major",
    "powers_behind",
    "split",
    "warn_of_rank",
]

#: The power of the noise, as a part of the signal's.
NOISE = 1e-10
# The smallest eigenvalues of covariances, over the largest, below which a channel says nothing new.
_NO_RANK = 1e-8
# Numbers in the largest array of a block: with some others of its size it stays in the cache.
_BLOCK = 2**17

_MAX_N_SOURCES, _MAX_N_ITER = 64, 1_000_000


class Split(NamedTuple):
    """A spectrum as models want it.

    Attributes
    ----------
    parts : array of shape (n_freqs, 2 n_channels, n_frames)
        Real parts of the channels, and then imaginary parts, scaled by a power of two.
    noise : array of shape (n_freqs,)
        The power of the noise in each channel, in double precision.
    mean : float
        The mean power of a bin and channel after scaling, between 1/2 and 2; 0 in silence.
    scale : float
        What the spectrum was multiplied by.
    """

    parts: Array
    noise: Array
    mean: float
    scale: float

    @property
    def n_channels(self) -> int:
        return int(self.parts.shape[1]) // 2

    @property
    def n_freqs(self) -> int:
        return int(self.parts.shape[0])

    @property
    def n_frames(self) -> int:
        return int(self.parts.shape[2])

    @property
    def silent(self) -> bool:
        return self.mean == 0


def split(X: object, *, scale: float | None = None, min_channels: int = 1) -> Split:
    """Check a spectrum (n_channels, n_freqs, n_frames), and split it; `scale` is by default found."""
    array = _backend.as_array("X", X)
    xp = _backend.namespace(array)
    if not xp.isdtype(array.dtype, "complex floating"):
        raise InputError(
            "X", "a complex spectrum", f"dtype {array.dtype}", "STFT().forward(…).values is one."
        )
    if array.ndim != 3 or 0 in array.shape or array.shape[0] < min_channels:
        requirement = f"of shape (n_channels, n_freqs, n_frames) with {min_channels} channels or more"
        raise InputError("X", requirement, f"{tuple(array.shape)}")
    n_channels, n_freqs, n_frames = array.shape
    real = xp.float32 if array.dtype == xp.complex64 else xp.float64
    parts = xp.empty((n_freqs, 2 * n_channels, n_frames), dtype=real, device=array.device)
    powers = xp.zeros((n_freqs,), dtype=xp.float64, device=array.device)
    largest = _backend.scalar(xp.max(xp.stack([xp.max(xp.abs(channel)) for channel in _channels(array)])))
    if not math.isfinite(largest):
        raise InputError("X", "finite", "NaN or infinite numbers")
    if scale is None:
        # In two steps: squares of what is very large or small leave the range of numbers.
        first = math.ldexp(1.0, -math.frexp(largest)[1]) if largest else 1.0
        energy = sum(xp.sum(_squares(channel * first)) for channel in _channels(array))
        mean = _backend.scalar(energy) / (n_channels * n_freqs * n_frames)
        scale = first * math.ldexp(1.0, -(math.frexp(mean)[1] // 2)) if mean else 1.0
    for channel, values in enumerate(_channels(array)):
        scaled = values * scale
        parts[:, channel, :] = xp.real(scaled)
        parts[:, n_channels + channel, :] = xp.imag(scaled)
        powers += xp.sum(_squares(scaled), axis=1)
    powers = powers / (n_channels * n_frames)
    mean = _backend.scalar(xp.mean(powers))
    noise = NOISE * (powers + mean) if mean else xp.ones_like(powers)
    return Split(parts, noise, mean, scale)


def _channels(X: Array) -> Iterator[Array]:
    for channel in range(X.shape[0]):
        yield X[channel, :, :]


def _squares(values: Array) -> Array:
    xp = _backend.namespace(values)
    double: Array = xp.astype(xp.real(values) ** 2 + xp.imag(values) ** 2, xp.float64)
    return double


def blocks(data: Split, n_rows: int) -> Iterator[slice]:
    """Yield runs of frequencies in which `n_rows` numbers for each bin stay in the cache; on a device one."""
    step = max(1, _BLOCK // (n_rows * data.n_frames)) if _backend.is_numpy(data.parts) else data.n_freqs
    for first in range(0, data.n_freqs, step):
        yield slice(first, min(first + step, data.n_freqs))


def warn_of_rank(data: Split, name: str, *, stacklevel: int) -> None:
    """Warn with ``W_RANK`` if in nearly all of the signal some channel says nothing new."""
    if data.silent:
        return
    xp = _backend.namespace(data.parts)
    ones = xp.ones((1, 1, 1), dtype=data.parts.dtype, device=data.parts.device)
    ends: Array = xp.zeros((2,), dtype=xp.float64, device=data.parts.device)
    for part in blocks(data, data.n_channels):
        parts = data.parts[part, :, :]
        weights = xp.broadcast_to(ones, (1, parts.shape[0], parts.shape[2]))
        R = kernels_for(parts).fastmnmf_covariances(parts, weights)[:, 0, :, :]
        values = xp.linalg.eigvalsh(R)
        ends = ends + xp.stack([xp.sum(values[:, 0]), xp.sum(values[:, -1])])
    least, most = _backend.to_host(ends).tolist()
    if least <= _NO_RANK * most:
        warn(
            "W_RANK",
            f"the mixture's {data.n_channels} channels are not independent (one is silent or repeats others, "
            f"or there are fewer frames than channels): {name} has less to tell sources apart by.",
            stacklevel=stacklevel,
        )


def powers_behind(Q: Array, parts: Array, added: Array) -> Array:
    """Return ``abs(Q[f] @ x) ** 2 + added`` (n_outputs, bins, n_frames), in the precision of `parts`.

    x are the channels, split, and `added` is (bins, n_outputs).
    """
    xp = _backend.namespace(Q, parts)
    n_outputs = Q.shape[1]
    real, imaginary = (xp.astype(part, parts.dtype) for part in (xp.real(Q), xp.imag(Q)))
    upper, lower = xp.concat([real, -imaginary], axis=2), xp.concat([imaginary, real], axis=2)
    Z = xp.concat([upper, lower], axis=1) @ parts
    Z *= Z
    powers: Array = Z[:, :n_outputs, :] + Z[:, n_outputs:, :]
    powers += xp.astype(added, parts.dtype)[:, :, None]
    return xp.permute_dims(powers, (1, 0, 2))  # type: ignore[no-any-return]


def frame_major(like: Array, n_channels: int) -> tuple[Array, Array]:
    """Return room for a spectrum like (n_channels, n_freqs, n_frames), and the memory, frame by frame."""
    xp = _backend.namespace(like)
    memory = xp.empty((n_channels, like.shape[2], like.shape[1]), dtype=like.dtype, device=like.device)
    return xp.permute_dims(memory, (0, 2, 1)), memory


def check_iterations(n_sources: object, n_iter: object, seed: object) -> None:
    """Refuse what is no number of sources or iterations, and no seed."""
    _checks.integer("n_sources", n_sources, minimum=1, maximum=_MAX_N_SOURCES)
    _checks.integer("n_iter", n_iter, minimum=1, maximum=_MAX_N_ITER)
    _checks.integer("seed", seed, minimum=0)


def check_parameters(name: str, array: object, shape: tuple[int | None, ...], *, signed: bool) -> Array:
    """Return an array of finite numbers, of the lengths that are given; `signed`: or complex."""
    value = _backend.as_array(name, array)
    xp = _backend.namespace(value)
    kinds = ("real floating", "complex floating") if signed else ("real floating",)
    lengths = ", ".join("any" if length is None else str(length) for length in shape)
    fits = value.ndim == len(shape) and 0 not in value.shape
    if fits:
        fits = all(wanted in (None, found) for wanted, found in zip(shape, value.shape, strict=True))
    if not fits or not xp.isdtype(value.dtype, kinds):
        got = f"{tuple(value.shape)} of {value.dtype}"
        raise InputError(name, f"an array of shape ({lengths}) of floating-point numbers", got)
    size = xp.abs(value) if signed else value
    lowest, highest = _backend.to_host(xp.stack([xp.min(size), xp.max(size)])).tolist()
    if not (lowest >= 0 and highest < np.inf):
        requirement = "finite" if signed else "finite and not negative"
        raise InputError(name, requirement, f"values from {lowest:g} to {highest:g}")
    return value
