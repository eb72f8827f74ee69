"""Periods: the beat spectrum, and the lag at which all multiples of it peak.

The beat spectrum is the autocorrelation of power over time, summed over frequency (Foote & Uchihashi 2001),

    b[j] = 1 / (T - j) sum_f sum_t V[f, t]**2 V[f, t + j]**2

Of a period p, not only b[p] is high but b[2 p], b[3 p], ... as well: every candidate is judged by the mean
over its multiples of how far they stand out from what is around them (Rafii & Pardo 2013). Multiples of the
period do as well as itself, or a little better where noise will have it so; hence of the candidates that are
nearly the best the shortest one is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["LEAST_PERIODS", "beat_spectrum", "repeating_period", "repeating_periods"]

# Magnitudes whose fourth powers are numbers of double precision.
_LEAST, _MOST = 1e-75, 1e75
# Values that are transformed at a time, in double precision.
_BLOCK = 2**20
# Lags beyond this part of all are means of little, and not looked at.
_RELIABLE = 3 / 4
#: A period is at most this part of the duration: two are not enough for a median.
LEAST_PERIODS = 3
# Multiples may miss their place by so many frames, since the period is no whole number of them.
_SLACK = 2
# How near to the best a shorter period must be.
_NEARLY = 0.9


def beat_spectrum(V: Array) -> Array:
    """Return the beat spectrum of a spectrogram of magnitudes.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames) or (n_channels, n_freqs, n_frames)
        Magnitudes: finite, not negative. Their squares are averaged over channels.

    Returns
    -------
    array of shape (n_frames,)
        For lags of 0, 1, … frames; double precision. Up to a factor if the largest of `V` is not between
        1e-75 and 1e75, where it would leave that.

    Notes
    -----
    Cost: O(n_freqs n_frames log n_frames).

    References
    ----------
    J. Foote, S. Uchihashi, "The beat spectrum: a new approach to rhythm analysis", IEEE International
    Conference on Multimedia and Expo (ICME), 2001, pp. 881-884.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import beat_spectrum
    >>> V = np.tile([[1.0, 0.0, 0.0, 0.0]], 6)
    >>> np.round(beat_spectrum(V)[:9], 3).tolist()
    [0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25]
    """
    V = _backend.real_floating("V", V)
    xp = _backend.namespace(V)
    frames = V[None, :, :] if V.ndim == 2 else V
    n_frames = int(frames.shape[2])
    length = fft.next_fast_len(2 * n_frames - 1, real=True)
    total = xp.zeros((length // 2 + 1,), dtype=xp.float64, device=V.device)
    step = max(1, _BLOCK // length)
    highest = float(_backend.scalar(xp.max(frames))) or 1.0
    n_freqs = int(frames.shape[1])
    for start in range(0, n_freqs, step):
        part = xp.astype(frames[:, start : min(start + step, n_freqs), :], xp.float64) / highest
        spectra = xp.fft.rfft(xp.mean(part * part, axis=0), n=length, axis=-1)
        total += xp.sum(xp.real(spectra) ** 2 + xp.imag(spectra) ** 2, axis=0)
    correlation = xp.real(xp.fft.irfft(xp.astype(total, xp.complex128), n=length))[:n_frames]
    overlap = xp.arange(n_frames, 0, -1, dtype=xp.float64, device=V.device)
    spectrum: Array = xp.clip(correlation, 0, None) / overlap * min(max(highest, _LEAST), _MOST) ** 4
    return spectrum


def repeating_period(spectrum: Any, shortest: int, longest: int) -> int:
    """Return the period in frames that a beat spectrum (n_frames,), on the host, tells of.

    From `shortest` to `longest` frames; the shortest if nothing repeats.
    """
    return repeating_periods(spectrum, shortest, longest, 1)[0]


def repeating_periods(spectrum: Any, shortest: int, longest: int, n: int) -> list[int]:
    """Return so many periods, or fewer if fewer stand out: that of `repeating_period`, and the next best."""
    if len(spectrum) <= shortest:
        return [shortest]  # there is no such lag
    stand_out = _prominences(np.asarray(spectrum, np.float64), shortest, longest)
    best = float(stand_out.max())
    if not best > 0:
        return [shortest]
    # The first that is nearly the best; of those that the slack of multiples makes alike, the highest lag.
    first = shortest + int(np.argmax(stand_out >= _NEARLY * best))
    last = min(first + 2 * _SLACK, longest)
    periods = [first + int(np.argmax(spectrum[first : last + 1]))]
    while len(periods) < n:
        near = periods[-1] - shortest
        stand_out[max(0, near - 2 * _SLACK) : near + 2 * _SLACK + 1] = 0
        if not stand_out.max() > 0:
            break
        periods.append(shortest + int(np.argmax(stand_out)))
    return periods


def _prominences(spectrum: Any, shortest: int, longest: int) -> Any:
    """Return for each candidate how far its multiples stand out from their surroundings, on the mean."""
    reliable = int(len(spectrum) * _RELIABLE)
    candidates = np.arange(shortest, longest + 1)
    # All multiples of all candidates, one after the other; of each, one at least.
    counts = np.maximum((reliable - 1) // candidates, 1)
    begins = np.cumsum(counts) - counts
    period = np.repeat(candidates, counts)
    multiples = period * (1 + np.arange(len(period)) - np.repeat(begins, counts))
    around = np.maximum(1, 3 * period // 4)
    low, high = np.maximum(multiples - around, 1), np.minimum(multiples + around + 1, len(spectrum))
    near = multiples[:, None] + np.arange(-_SLACK, _SLACK + 1)
    near = spectrum[np.clip(near, 1, len(spectrum) - 1)].max(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(spectrum)])
    mean = (sums[high] - sums[low]) / (high - low)
    # What is not the highest around it is no multiple of a period.
    stand_out = np.where(near >= _highest_between(spectrum, low, high), near - mean, 0.0)
    return np.add.reduceat(stand_out, begins) / counts


def _highest_between(values: Any, low: Any, high: Any) -> Any:
    """Return the highest of values[low:high] for many ranges: any is covered by two of a power of two."""
    highest, level = np.empty(len(low)), np.frexp(high - low)[1] - 1
    runs = values  # the highest of 2 ** power values, from each
    for power in range(int(level.max()) + 1):
        chosen = np.flatnonzero(level == power)
        first, last = low[chosen], high[chosen] - 2**power
        highest[chosen] = np.maximum(runs[first], runs[last])
        runs = np.maximum(runs[: -(2**power)], runs[2**power :])
    return highest
