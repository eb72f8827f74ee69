"""What outputs say of the assumptions: whether something can tell them apart, and whether one matrix did."""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import warn
from dspsep.separators.ica._whitening import matrix_like, on_host

__all__ = ["largest_delayed_correlation", "warn_of_delays", "warn_of_gaussians"]

# The mean of log cosh of a Gaussian's samples lies this near to that of its density, in all but few cases: an
# effect too small to count, or three standard deviations.
_NEARLY_GAUSSIAN, _DEVIATIONS, _VARIANCE = 3e-3, 3.0, 6e-3
# Independent recordings of some seconds had up to 0.06; what was recorded in rooms mostly 0.1 to 0.6.
_DELAYED = 0.1
_LONGEST_SECONDS = 0.02
# What is looked at: so many runs of so many samples, all over the signals.
_RUNS, _LENGTH = 32, 2**13
# How many values of cross spectra there are at once: those of all pairs of eight signals.
_AT_ONCE = 2**19


def warn_of_gaussians(contrasts: Array, n_samples: int, stacklevel: int) -> bool:
    """Warn if two outputs are so nearly Gaussian that any rotation of them would do; tell whether."""
    limit = max(_NEARLY_GAUSSIAN, _DEVIATIONS * (_VARIANCE / n_samples) ** 0.5)
    alike = int(np.sum(np.abs(contrasts) < limit))
    if alike > 1:
        warn(
            "W_GAUSSIAN",
            f"{alike} outputs are nearly Gaussian, as noise is and mixtures of many sources are: nothing "
            "tells them from their mixtures.",
            stacklevel=stacklevel,
        )
    return alike > 1


def warn_of_delays(W: Array, Z: Array, sample_rate: float, stacklevel: int) -> None:
    """Warn if one output has what another has at another time: a room, or spaced microphones."""
    largest = largest_delayed_correlation(W, Z, round(_LONGEST_SECONDS * sample_rate))
    if largest > _DELAYED:
        warn(
            "W_DELAYS",
            f"outputs resemble one another some samples later (a correlation of {largest:.2f}): the sources "
            "reach the channels at different times, or more than once, and no matrix takes them apart.",
            stacklevel=stacklevel,
        )


def largest_delayed_correlation(W: Array, Z: Array, n_lags: int) -> float:
    """Return the largest correlation of two outputs W z at any lag up to `n_lags`; 0 for short signals."""
    n, n_samples = Z.shape
    n_runs = min(_RUNS, n_samples // _LENGTH)
    if not n_runs or n < 2:
        return 0.0
    xp = _backend.namespace(Z)
    there = matrix_like(W, Z)
    starts = np.linspace(0, n_samples - _LENGTH, n_runs).astype(int).tolist()
    lags = slice(1, min(n_lags, _LENGTH - 1) + 1)
    powers, largest = np.zeros(n), np.zeros((n, n))
    # Of many signals, all pairs at once would be far more than the signals.
    n_rows = max(1, _AT_ONCE // (n * _LENGTH))
    for first in range(0, n, n_rows):
        rows = slice(first, min(first + n_rows, n))
        cross = 0
        for start in starts:
            spectra = xp.fft.rfft(there @ Z[:, start : start + _LENGTH], n=2 * _LENGTH)
            cross = cross + xp.conj(spectra[rows, :])[:, None, :] * spectra[None, :, :]
        correlations = on_host(xp.fft.irfft(cross, n=2 * _LENGTH), 1)
        powers[rows] = np.einsum("iit->it", correlations[:, rows])[:, 0]
        largest[rows] = np.abs(correlations[:, :, lags]).max(axis=2)
    levels = np.sqrt(np.maximum(powers[:, None] * powers[None, :], np.finfo(float).tiny))
    # Negative lags of one pair are the positive ones of the other.
    return float(np.max((largest / levels)[~np.eye(n, dtype=bool)]))
