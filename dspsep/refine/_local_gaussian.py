"""Sources in the local Gaussian model: what is learned of them, and what they are then."""

from __future__ import annotations

import math

from dspsep import _backend
from dspsep._typing import Array, Namespace
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.progress import Callback, Progress

__all__ = ["LocalGaussian"]

# Numbers that are made of the spectra at a time: 8 MiB in double precision.
_NUMBERS = 2**20
# Powers of sources at most, where the loudest bin of the mixture is near one: single precision holds them.
_LOUDEST = 2.0**60
# The same in parts of the noise, where a source and what it may be are subtracted: rounding in double
# precision has to stay below the noise. 130 dB.
_OVER_NOISE = 1e13
_FINITE = ("of finite values and squares", "NaN, infinity or numbers near it")


class LocalGaussian:
    """The powers and places of the sources of one mixture, as they are learned: a workbench, not a value.

    Parameters
    ----------
    X : array of shape (n_channels, n_frames, n_freqs)
        The spectra of the mixture, complex.
    n_sources : int
        How many there are.
    regularisation : float
        White noise in all channels, in parts of the energy of the loudest bin.
    posterior : bool
        Whether steps count what a source may be beside its estimate.
    """

    def __init__(self, X: Array, n_sources: int, regularisation: float, posterior: bool) -> None:
        xp = _backend.namespace(X)
        self._X, self._xp, self._kernels, self._posterior = X, xp, kernels_for(X), posterior
        energy = _largest_energy(xp, X)
        if not math.isfinite(energy):
            raise InputError("x", *_FINITE)
        # A power of two brings the loudest bin to between one half and one, without rounding.
        self._gain = 2.0 ** -math.frexp(math.sqrt(energy))[1] if energy else 1.0
        self._noise = regularisation * (energy * self._gain**2 if energy else 1.0)
        self._loudest = self._noise * _OVER_NOISE if posterior else _LOUDEST
        n_channels, n_frames, n_freqs = X.shape
        real = xp.float32 if X.dtype == xp.complex64 else xp.float64
        self._v = xp.empty((n_sources, n_frames, n_freqs), dtype=real, device=X.device)
        places = (n_sources, n_freqs, n_channels, n_channels)
        self._R = xp.zeros(places, dtype=xp.complex128, device=X.device)
        self._weights = xp.zeros(places[:2], dtype=xp.float64, device=X.device)

    def learn(self, source: int, y: Array) -> None:
        """Learn a source from an estimate (n_channels, n_frames, n_freqs)."""
        v, R = self._kernels.gaussian_model(y, self._gain)
        # NaN is not below either.
        if not _backend.scalar(self._xp.max(v)) <= self._loudest:
            v, R = self._brought_down(source, y)
        self._v[source, ...] = v
        self._R[source, ...] = R

    def learn_frames(self, source: int, frames: slice, y: Array) -> None:
        """Learn a source from a run of frames, no louder than the mixture; `end_frames` ends it."""
        xp = self._xp
        v, R = self._kernels.gaussian_model(y, self._gain)
        weight = xp.sum(v, axis=0, dtype=xp.float64)
        self._v[source, frames, :] = v
        self._R[source, ...] += R * weight[:, None, None]
        self._weights[source, ...] += weight

    def end_frames(self) -> None:
        """Make places of what was learned of all runs."""
        xp = self._xp
        weights = xp.where(self._weights > 0, self._weights, xp.ones_like(self._weights))
        self._R = self._R / weights[:, :, None, None]

    def _brought_down(self, source: int, y: Array) -> tuple[Array, Array]:
        """Return the model of an estimate too loud to work with, as if it were less so."""
        energy = _largest_energy(self._xp, y)
        if not math.isfinite(energy):
            raise InputError(f"estimate {source}", *_FINITE)
        # With this gain all is in range; places know no level.
        v, R = self._kernels.gaussian_model(y, 1 / math.sqrt(energy))
        return v * (self._loudest / _backend.scalar(self._xp.max(v))), R

    def iterate(self, n_steps: int, callback: Callback | None) -> None:
        """Learn the sources from what they are by now, so many times."""
        for step in range(n_steps):
            self._v, self._R, loss = self._kernels.gaussian_step(
                self._X, self._v, self._R, self._gain, self._noise, self._posterior, callback is not None
            )
            if callback is None:
                continue
            # The first step was to learn from what was given.
            told = Progress(
                stage="steps", iteration=step + 2, n_iterations=n_steps + 1, loss=_backend.scalar(loss)
            )
            if callback(told):
                return

    def estimates(self, source: int | None = None) -> Array:
        """Return a source, (1, n_channels, n_frames, n_freqs), or all: these then sum to the mixture."""
        return self._kernels.gaussian_estimates(self._X, self._v, self._R, self._noise, source)


def _largest_energy(xp: Namespace, X: Array) -> float:
    """Return the largest |X|**2, in double precision."""
    step = max(1, _NUMBERS // X.shape[2])
    peaks = []
    for channel in range(X.shape[0]):
        for start in range(0, X.shape[1], step):
            part = X[channel, start : min(start + step, X.shape[1]), :]
            squares = xp.astype(xp.real(part), xp.float64) ** 2 + xp.astype(xp.imag(part), xp.float64) ** 2
            peaks.append(xp.max(squares))
    # One number for all: NaN stays.
    return _backend.scalar(xp.max(xp.stack(peaks)))
