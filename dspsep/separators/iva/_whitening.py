"""A spectrogram made ready for demixing: active bins, whitened, real and imaginary parts apart.

All updates of demixing matrices commute with linear maps of the microphones: whoever separates
``x~ = L**-1 x``, with L the Cholesky factor of a bin's covariance, by W~ has separated x by ``W = W~ L**-1``,
step by step. So work is done on x~, which has a covariance of one in every bin: then sums in single precision
are well conditioned, and one number regularises all bins whatever microphones they come from.

Bins with next to nothing in them are left out; their matrix stays the identity. So are silent frames, which
say nothing of the sources, but whose likelihood has no bound. Where microphones hold less independent
signals than there are of them (one is dead, or a copy), as many are kept as it takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dspsep import _backend
from dspsep._typing import Array, Namespace
from dspsep.errors import InputError

__all__ = ["Whitened", "whiten"]

# Bins worked on at a time in double precision.
_BINS = 128
# Below this times the smallest difference of the precision, squared, and the mean of bins, a bin is silent.
_SILENT = 8.0
# Spectra whose mean power is beyond this, or below its inverse, are scaled first: squares have a range. And
# those below the other number are silence, in double precision.
_LOUD, _FAINTEST = 2.0**60, 2.0**-500
# Eigenvalues below this part of the largest are rounding of double precision.
_RANK = 1e-14
# So many frames it takes to tell one more signal from the others.
_FRAMES = 2
# A direction is there if it is in this part of the active bins.
_PART_OF_BINS = 0.1
# What is added to the covariance that whitens, as a part of its mean eigenvalue: in single precision the
# spectra themselves are rounded by some 1e-14 of their power.
_LOADING = {"complex64": 2.0**-40, "complex128": 2.0**-46}
# The power of the noise that is thought to be in whitened spectra, and of frames that count as silent:
# weights that differ by more than that would leave nothing but rounding of the rest.
_RIDGE = {"complex64": 2.0**-20, "complex128": 2.0**-32}


@dataclass(frozen=True, kw_only=True, eq=False)
class Whitened:
    """What iterations work on, and the way back.

    Attributes
    ----------
    spectra : array of shape (n_active, rank, 2, n_frames)
        Whitened, real and imaginary parts apart, in the precision of the spectrogram.
    factor : array of shape (n_active, rank, rank)
        The lower triangular L of each active bin, complex.
    active : tuple of int
        The bins that are not silent.
    frames : tuple of int
        The frames that are not silent.
    n_frames : int
        How many frames there are in all.
    channels : tuple of int
        The microphones that are kept.
    covariance : array of shape (n_freqs, n_channels, n_channels)
        Of all microphones and bins, complex, in double precision.
    scale : float
        A power of two: iterations begin as if the spectrogram had been multiplied by it, which makes its
        mean power about the number of bins, as it is where the models have their optimum.
    ridge : float
        The power of noise in whitened spectra.
    """

    spectra: Array
    factor: Array
    active: tuple[int, ...]
    frames: tuple[int, ...]
    n_frames: int
    channels: tuple[int, ...]
    covariance: Array
    scale: float
    ridge: float

    @property
    def n_channels(self) -> int:
        """The microphones that are kept."""
        return len(self.channels)

    def into(self, demixing: Array) -> Array:
        """Return the W~ of active bins for matrices W (n_freqs, n_sources, n_channels) of the spectrogram."""
        xp = _backend.namespace(demixing)
        kept = xp.take(demixing, self._indices(xp, self.channels), axis=2)
        kept = xp.take(kept, self._indices(xp, self.active), axis=0)
        return xp.astype(kept, xp.complex128) @ self.factor  # type: ignore[no-any-return]

    def start(self, n_sources: int) -> Array:
        """Return the W~ whose outputs are so many of the kept microphones, in the scale of the start."""
        xp = _backend.namespace(self.factor)
        return xp.asarray(self.factor[:, :n_sources, :] * self.scale, copy=True)  # type: ignore[no-any-return]

    def back(self, demixing: Array) -> Array:
        """Return the W of all bins and microphones for W~: rows of the identity where it is silent."""
        xp = _backend.namespace(demixing)
        # W~ L**-1, by solving with the transpose.
        solved = xp.linalg.solve(xp.matrix_transpose(self.factor), xp.matrix_transpose(demixing))
        return self._spread(xp.matrix_transpose(solved))

    def mixing(self, demixing: Array) -> Array:
        """Return the images of the outputs of W~ at all microphones: (n_freqs, n_channels, n_sources).

        These are the coefficients that predict the microphones best from the sources: with as many sources
        as microphones, the inverse of W.
        """
        xp = _backend.namespace(demixing)
        turned = xp.conj(xp.matrix_transpose(demixing))
        if demixing.shape[1] == demixing.shape[2]:
            inner = xp.linalg.inv(demixing)
        else:
            inner = turned @ xp.linalg.inv(demixing @ turned)
        n_channels = self.covariance.shape[1]
        if self.n_channels < n_channels:
            across = xp.take(self.covariance, self._indices(xp, self.channels), axis=2)
            across = xp.take(across, self._indices(xp, self.active), axis=0)
            found = across @ xp.linalg.solve(xp.conj(xp.matrix_transpose(self.factor)), inner)
        else:
            found = self.factor @ inner
        return xp.matrix_transpose(self._placed(xp.matrix_transpose(found)))  # type: ignore[no-any-return]

    def _spread(self, rows: Array) -> Array:
        """Return rows (n_active, n_sources, rank) as rows of all bins and microphones."""
        n_channels = self.covariance.shape[1]
        if self.n_channels < n_channels:
            place = np.zeros((self.n_channels, n_channels), np.complex128)
            place[range(self.n_channels), self.channels] = 1
            rows = rows @ _backend.asarray_like(place, rows)
        return self._placed(rows)

    def _placed(self, rows: Array) -> Array:
        """Return rows (n_active, n_sources, n_channels) beside those of the identity in silent bins."""
        xp = _backend.namespace(rows)
        n_freqs, n_channels, _ = self.covariance.shape
        if len(self.active) == n_freqs:
            return rows
        identity = np.zeros((n_freqs, rows.shape[1], n_channels), np.complex128)
        identity[:, range(rows.shape[1]), self.channels[: rows.shape[1]]] = 1
        placed: Array = xp.asarray(_backend.asarray_like(identity, rows), copy=True)
        for place, start, stop in _runs(self.active):
            placed[start:stop, :, :] = rows[place : place + stop - start, :, :]
        return placed

    def of_all_bins(self, templates: Array) -> Array:
        """Return templates of all bins for those of active ones: zero in silent bins."""
        xp = _backend.namespace(templates)
        n_sources, _, n_components = templates.shape
        shape = (n_sources, self.covariance.shape[0], n_components)
        whole: Array = xp.zeros(shape, dtype=templates.dtype, device=templates.device)
        for place, start, stop in _runs(self.active):
            whole[:, start:stop, :] = templates[:, place : place + stop - start, :]
        return whole

    def active_frames(self, activations: Array) -> Array:
        """Return activations (n_sources, n_components, n_frames) of the frames that are not silent."""
        xp = _backend.namespace(activations)
        if len(self.frames) == self.n_frames:
            return activations
        return xp.take(activations, self._indices(xp, self.frames), axis=2)  # type: ignore[no-any-return]

    def of_all_frames(self, activations: Array) -> Array:
        """Return activations with zeros in silent frames."""
        xp = _backend.namespace(activations)
        if len(self.frames) == self.n_frames:
            return activations
        shape = (*activations.shape[:2], self.n_frames)
        whole: Array = xp.zeros(shape, dtype=activations.dtype, device=activations.device)
        for place, start, stop in _runs(self.frames):
            whole[:, :, start:stop] = activations[:, :, place : place + stop - start]
        return whole

    def constant(self) -> float:
        """Return what log |det W~| of all bins lacks of log |det W|, in the scale of the start."""
        diagonal = np.diagonal(_backend.to_host(self.factor), axis1=1, axis2=2).real
        return -float(np.log(diagonal * self.scale).sum())

    def _indices(self, xp: Namespace, values: tuple[int, ...]) -> Array:
        return xp.asarray(_backend.asarray_like(np.asarray(values, np.int64), self.factor))  # type: ignore[no-any-return]


def whiten(X: Array) -> Whitened | None:
    """Return checked spectra (n_channels, n_freqs, n_frames) as what iterations work on; of silence, None."""
    xp = _backend.namespace(X)
    precision = "complex64" if X.dtype == xp.complex64 else "complex128"
    least = (_SILENT * float(np.finfo(precision).eps)) ** 2
    with np.errstate(over="ignore", invalid="ignore"):
        covariance, energies = _covariances(xp, X)
    host, energies = _backend.to_host(covariance), _backend.to_host(energies)
    powers = np.trace(host, axis1=1, axis2=2).real / X.shape[0]
    if not 1 / _LOUD < powers.max() < _LOUD:
        return _whiten_scaled(X)
    n_frames = int(X.shape[2])
    active = np.flatnonzero(powers > least * powers.mean())
    frames = np.flatnonzero(energies > _RIDGE[precision] * energies.mean())
    # Values and inverses of all these matrices take longer on the host than iterations do on a device.
    level = _backend.asarray_like(powers[active, None, None], X)
    scaled = xp.take(covariance, _backend.asarray_like(active.astype(np.int64), X), axis=0) / level
    channels = _independent(scaled, max(1, len(frames) // _FRAMES))
    inside = host[active][:, channels][:, :, channels] * (n_frames / len(frames))
    loading = _LOADING[precision] * np.trace(inside, axis1=1, axis2=2).real / len(channels)
    factor = np.linalg.cholesky(inside + loading[:, None, None] * np.eye(len(channels)))
    factor = _backend.asarray_like(factor, X)
    power = float(powers[active].mean()) * n_frames / len(frames)
    for axis, kept in ((0, channels), (2, frames.tolist())):
        if len(kept) < X.shape[axis]:
            X = xp.take(X, _backend.asarray_like(np.asarray(kept, np.int64), X), axis=axis)
    return Whitened(
        spectra=_whitened(xp, X, xp.linalg.inv(factor), tuple(active.tolist())),
        factor=factor,
        active=tuple(active.tolist()),
        frames=tuple(frames.tolist()),
        n_frames=n_frames,
        channels=channels,
        covariance=covariance,
        scale=2.0 ** round(0.5 * math.log2(len(active) / power)),
        ridge=_RIDGE[precision],
    )


def _whiten_scaled(X: Array) -> Whitened | None:
    """Return the same of spectra whose squares might be no numbers; of silence, None."""
    xp = _backend.namespace(X)
    largest = _backend.scalar(xp.max(xp.maximum(xp.abs(xp.real(X)), xp.abs(xp.imag(X)))))
    if largest < _FAINTEST:
        return None
    if largest > 1 / _FAINTEST:
        raise InputError("X", f"below {1 / _FAINTEST:.0e}", f"numbers up to {largest:.0e}")
    exponent = -round(math.log2(largest))
    # In two steps: one power of two may be no number in single precision.
    X = X * 2.0 ** (exponent // 2) * 2.0 ** (exponent - exponent // 2)
    found = whiten(X)
    if found is None:
        return None
    gain = 2.0**exponent
    return replace(
        found,
        factor=found.factor / gain,
        covariance=found.covariance / gain / gain,
        scale=found.scale * gain,
    )


def _covariances(xp: Namespace, X: Array) -> tuple[Array, Array]:
    """Return X X^H / n_frames of each bin, and the energy of each frame, in double precision."""
    parts = []
    energies: Array = xp.zeros(X.shape[2], dtype=xp.float64, device=X.device)
    for start in range(0, X.shape[1], _BINS):
        x = X[:, start : min(start + _BINS, X.shape[1]), :]
        squares = xp.real(x) ** 2 + xp.imag(x) ** 2
        energies = energies + xp.sum(xp.sum(squares, axis=0), axis=0, dtype=xp.float64)
        x = xp.astype(xp.permute_dims(x, (1, 0, 2)), xp.complex128)
        parts.append(x @ xp.conj(xp.matrix_transpose(x)) / X.shape[2])
    return xp.concat(parts, axis=0), energies


def _independent(covariances: Array, most: int) -> tuple[int, ...]:
    """Return the microphones that hold all there is, no more than `most` of them."""
    n_channels = covariances.shape[1]
    values = _backend.to_host(_backend.namespace(covariances).linalg.eigvalsh(covariances))
    ranks = np.sort(np.sum(values > _RANK * n_channels * values[:, -1:], axis=1))
    rank = min(most, max(1, int(ranks[-1 - int(_PART_OF_BINS * (len(ranks) - 1))])))
    if rank == n_channels:
        return tuple(range(n_channels))
    # Pivots of the sum of all bins: the loudest, then what of the others is not in those before.
    left = _backend.to_host(covariances).sum(axis=0)
    chosen: list[int] = []
    for _ in range(rank):
        diagonal = left.diagonal().real.copy()
        diagonal[chosen] = -1
        best = int(np.argmax(diagonal))
        if diagonal[best] > 0:
            left = left - np.outer(left[:, best], left[:, best].conj()) / diagonal[best]
        chosen.append(best)
    return tuple(sorted(chosen))


def _whitened(xp: Namespace, X: Array, inverse: Array, active: tuple[int, ...]) -> Array:
    real = xp.float32 if X.dtype == xp.complex64 else xp.float64
    shape = (len(active), X.shape[0], 2, X.shape[2])
    inverse = xp.astype(inverse, X.dtype)
    spectra: Array = xp.empty(shape, dtype=real, device=X.device)
    for place, start, stop in _runs(active):
        for first in range(start, stop, _BINS):
            last = min(first + _BINS, stop)
            to = slice(place + first - start, place + last - start)
            x = inverse[to, :, :] @ xp.permute_dims(X[:, first:last, :], (1, 0, 2))
            spectra[to, :, 0, :] = xp.astype(xp.real(x), real)
            spectra[to, :, 1, :] = xp.astype(xp.imag(x), real)
    return spectra


def _runs(bins: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return runs of neighbouring bins: place in the list, first bin, end."""
    runs: list[tuple[int, int, int]] = []
    for place, f in enumerate(bins):
        if runs and runs[-1][2] == f:
            runs[-1] = (*runs[-1][:2], f + 1)
        else:
            runs.append((place, f, f + 1))
    return runs
