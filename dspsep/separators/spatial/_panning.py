"""The plane of attenuation and delay, in which each source of `DUET` is a peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.spatial._stereo import checked_pair, energy_of, highest_peaks, sums_by_cell

__all__ = ["Plane", "duet_histogram", "middles", "smoothed"]

_MOST_BINS = 1000
#: Two peaks are farther apart than this many bins, in one direction or the other.
_APART = 3


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A grid of attenuations and delays, and how bins count in it.

    Parameters
    ----------
    max_attenuation, max_delay : float
        The grid goes as far in either direction; delays are in the inverse of the unit of frequencies.
    n_bins : tuple of two ints
        How many attenuations and delays there are.
    p, q : float
        Weights are ``|X1 X2|^p omega^q``.
    """

    max_attenuation: float
    max_delay: float
    n_bins: tuple[int, int]
    p: float
    q: float

    def __post_init__(self) -> None:
        for name, maximum in (("max_attenuation", 1e3), ("max_delay", math.inf)):
            value = _checks.plain(getattr(self, name))
            value = _checks.number(name, value, minimum=0, above=True, maximum=maximum)
            object.__setattr__(self, name, value)
        for name in ("p", "q"):
            value = _checks.number(name, _checks.plain(getattr(self, name)), minimum=0, maximum=2)
            object.__setattr__(self, name, value)
        n_bins = _checks.plain(self.n_bins)
        if not isinstance(n_bins, tuple) or len(n_bins) != 2:
            raise InputError("n_bins", "two numbers, of attenuations and of delays", repr(n_bins)[:60])
        for number in n_bins:
            _checks.integer("n_bins", number, minimum=3, maximum=_MOST_BINS)
        object.__setattr__(self, "n_bins", n_bins)

    @property
    def limits(self) -> tuple[float, float]:
        """The largest attenuation and delay."""
        return self.max_attenuation, self.max_delay

    def sure(self, omega: npt.NDArray[np.float64]) -> slice:
        """Return the frequencies, which rise, that are not 0 and whose angles cannot go round."""
        stop = int(np.count_nonzero(omega * self.max_delay < math.pi))
        return slice(1 if len(omega) and omega[0] == 0 else 0, stop)

    def sums(self, X1: Array, X2: Array, omega: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weights of each bin of the plane, and the same times attenuation, and times delay.

        What is beyond the plane is in none. X1 and X2 are (n_freqs, n_frames), omega (n_freqs,) is above 0.
        """
        xp = _backend.namespace(X1, X2)
        cross = X2 * xp.conj(X1)
        product = xp.abs(cross)
        heard = product > 0
        one = xp.ones_like(product)
        alpha = (energy_of(X2) - energy_of(X1)) / xp.where(heard, product, one)
        frequency = xp.astype(_backend.asarray_like(omega, X1), product.dtype)[:, None]
        delta = -xp.atan2(xp.imag(cross), xp.real(cross)) / frequency
        weights = xp.astype(product, xp.float64) ** self.p * xp.astype(frequency, xp.float64) ** self.q
        places = []
        for value, limit, number in zip((alpha, delta), self.limits, self.n_bins, strict=True):
            heard = heard & (xp.abs(value) < limit)
            place = xp.floor((xp.clip(value, -limit, limit) / limit + 1) * (number / 2))
            places.append(xp.astype(xp.clip(place, 0, number - 1), xp.int64))
        weights = xp.where(heard, weights, xp.zeros_like(weights))
        cells = places[0] * self.n_bins[1] + places[1]
        found = [
            sums_by_cell(cells, weights * factor, math.prod(self.n_bins)).reshape(self.n_bins)
            for factor in (one, xp.where(heard, alpha, one), xp.where(heard, delta, one))
        ]
        return np.stack(found)

    def beyond(self, X1: Array, X2: Array, omega: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weight of what has a longer delay, and that of all."""
        xp = _backend.namespace(X1, X2)
        cross = X2 * xp.conj(X1)
        product = xp.abs(cross)
        turn = xp.abs(xp.atan2(xp.imag(cross), xp.real(cross)))
        limit = xp.astype(_backend.asarray_like(omega * self.max_delay, X1), product.dtype)[:, None]
        outside = xp.where(turn > limit, product, xp.zeros_like(product))
        sums = xp.sum(xp.stack([outside, product]), axis=(1, 2), dtype=xp.float64)
        return np.asarray(_backend.to_host(sums))

    def peaks(self, sums: npt.NDArray[np.float64], n_peaks: int) -> list[tuple[float, float]]:
        """Return attenuation and delay of the highest peaks: the weighted means around them."""
        around = _over_3_by_3(sums)
        found = highest_peaks(around[0], n_peaks, (_APART, _APART))
        at_peaks = (around[:, row, column] for row, column in found)
        return [(float(a / w), float(d / w)) for w, a, d in at_peaks]

    def centres(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the attenuations and the delays in the middle of each bin."""
        return middles(self.limits, self.n_bins)


def middles(
    limits: tuple[float, float], n_bins: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the attenuations and the delays in the middle of each bin."""
    one, other = (
        limit * ((2 * np.arange(number) + 1) / number - 1)
        for limit, number in zip(limits, n_bins, strict=True)
    )
    return one, other


def duet_histogram(
    X1: Array,
    X2: Array,
    omega: npt.ArrayLike,
    *,
    max_attenuation: float = 0.7,
    max_delay: float,
    n_bins: tuple[int, int] = (35, 50),
    p: float = 1.0,
    q: float = 0.0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how much of two channels has which attenuation and which delay between them.

    The first half of `DUET` for those who have their own transform.

    Parameters
    ----------
    X1, X2 : array of shape (n_freqs, n_frames)
        The spectra of the two channels; finite.
    omega : array of shape (n_freqs,)
        The angular frequencies, rising; not negative. Only those with ``omega * max_delay`` below pi count.
    max_attenuation : float, default=0.7
        The largest symmetric attenuation, in either direction.
    max_delay : float
        The longest delay, in either direction: in seconds if `omega` is in radians per second.
    n_bins : tuple of two ints, default=(35, 50)
        How many attenuations and delays there are.
    p, q : float, default=1.0 and 0.0
        The exponents of the weights.

    Returns
    -------
    H : array of shape n_bins
        The sum of ``|X1 X2|^p omega^q`` of what is where, on the host, not smoothed. X1 and X2 beyond 2**40,
        or all below 2**-40, are scaled together first.
    attenuations, delays : array
        The middles of the bins.

    Raises
    ------
    InputError
        If an array or a setting cannot be used.

    See Also
    --------
    DUET : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import duet_histogram
    >>> omega, rng = np.arange(100.0) / 100, np.random.default_rng(0)
    >>> X1 = rng.standard_normal((100, 20)) + 1j * rng.standard_normal((100, 20))
    >>> X2 = 0.9 * np.exp(-2.5j * omega[:, None]) * X1
    >>> H, attenuations, delays = duet_histogram(X1, X2, omega, max_delay=3.0, n_bins=(7, 6))
    >>> place = np.unravel_index(np.argmax(H), H.shape)
    >>> bool(H[place] > 0.999 * H.sum()), attenuations[place[0]].round(1), delays[place[1]].round(1)
    (True, np.float64(-0.2), np.float64(2.5))
    """
    plane = Plane(max_attenuation=max_attenuation, max_delay=max_delay, n_bins=n_bins, p=p, q=q)
    X1, X2 = checked_pair(("X1", "X2"), X1, X2)
    if X1.ndim != 2:
        raise InputError("X1", "of shape (n_freqs, n_frames)", f"{tuple(X1.shape)}")
    rates = np.asarray(omega, np.float64)
    if rates.shape != X1.shape[:1] or not (
        np.isfinite(rates).all() and (np.diff(rates, prepend=0) >= 0).all()
    ):
        raise InputError("omega", f"{X1.shape[0]} numbers that rise, from 0 or more", f"shape {rates.shape}")
    sure = plane.sure(rates)
    H = plane.sums(X1[sure, :], X2[sure, :], rates[sure])[0]
    return H, *plane.centres()


def smoothed(H: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of 3 by 3 bins along the last two axes, with zeros beyond the edges."""
    return _over_3_by_3(H) / 9


def _over_3_by_3(H: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    padded = np.pad(H, [(0, 0)] * (H.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return np.asarray(rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:])
