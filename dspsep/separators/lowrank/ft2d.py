"""The 2-D Fourier transform of a spectrogram: what repeats in time or frequency is a peak in it.

With V the magnitudes of one channel, and k (scale) and l (rate) the frequencies along its axes,

    F[k, l] = sum_{f, t} V[f, t] exp(-2i pi (k f / F + l t / T)),        P = |F|

A pattern that comes again at a steady pace is a comb along l; a voice spreads (Seetharaman et al. 2017).
Peaks are what is greatest among its neighbours N(k, l), by how far it stands out from them,

    M[k, l] = (P - mean_N P) / (std_N P sqrt(|N| - 1))        where P = max_N P, else 0

which lies in [0, 1] and is 1 where all neighbours are alike. The background is what the peaks transform back
to, B = Re F^-1 (M F), and its mask ``min(max(B, 0), V) / V``.

F is Hermitian and so must M F be, or B is not real. Everything is done on one half of the plane, so that M is
symmetric however it is rounded, and neighbours across an edge are those of a plane that goes on periodically.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, final

from scipy import fft

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.separators._background import BackgroundModel, BackgroundSeparator, share_of
from dspsep.stft import Spectrogram

__all__ = ["FT2D", "FT2DModel", "ft2d"]

_PEAKS = ("local_std", "threshold")
_NEIGHBOURHOOD = (1, 25)
# A variance below this part of the mean square, in roundings, is rounding.
_ROUNDINGS = 256


@final
@dataclass(frozen=True, kw_only=True)
class FT2D(BackgroundSeparator):
    """Separation of what repeats by the peaks of a two-dimensional Fourier transform.

    For accompaniment that goes round at a steady pace, with a voice on top of it that does not.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below is background, where no voice reaches. None for no such
        rule.
    neighbourhood : tuple of two ints, default=(1, 25)
        Among how many scales and rates a peak is the greatest, both odd. They are bins of the transform, of
        ``sample_rate / n_fft`` hertz and of the whole mixture: 25 rates are 0.8 Hz for 30 s.
    peaks : {"local_std", "threshold"}, default="local_std"
        Whether peaks count by how far they stand out among their neighbours, or fully, as in the paper, where
        the largest and the least of their neighbours differ by more than the standard deviation of all.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    ft2d : The algorithm as a function of a spectrogram alone.
    RPCA : Repetition as low rank.
    REPET : Repetition as a period.

    Notes
    -----
    The sources are ``background`` and ``foreground``. Each channel has a mask of its own. Mixtures of fewer
    frames than a neighbourhood has rates are too short.

    Deviations from the paper: peaks that count by how far they stand out, which its first author proposed
    later (2019); the plane is periodic, so that neighbours are found across its edges, and peaks are
    symmetric; the background is the real part of what comes back, not its magnitude; soft masks.

    Cost: O(n_freqs n_frames log(n_freqs n_frames)), more if n_frames has a large prime factor. Peak memory
    beside the input and the sources: the spectrum, its magnitudes, the mask, and seven real arrays of the
    size of one channel of it.

    References
    ----------
    P. Seetharaman, F. Pishdadian, B. Pardo, "Music/voice separation using the 2D Fourier transform", IEEE
    Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA), 2017, pp. 36-40.
    doi:10.1109/WASPAA.2017.8169990

    P. Seetharaman, "Bootstrapping the learning process for computer audition", dissertation, Northwestern
    University, 2019, chapter 2.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=8.0)
    >>> sources = dspsep.FT2D().separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['background', 'foreground']
    """

    neighbourhood: tuple[int, int] = _NEIGHBOURHOOD
    peaks: Literal["local_std", "threshold"] = "local_std"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "neighbourhood", _checked_neighbourhood(self.neighbourhood))
        _checks.choice("peaks", self.peaks, _PEAKS)

    def _least_frames(self, sample_rate: float) -> int:
        return max(self.neighbourhood[1], self.min_frames)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> FT2DModel:
        """Return the settings: peaks are those of the spectrogram that is masked.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Not called: there are no iterations.

        Returns
        -------
        FT2DModel
            With the settings.
        """
        return FT2DModel(neighbourhood=self.neighbourhood, peaks=self.peaks, cutoff_hertz=self.cutoff_hertz)


@final
@dataclass(frozen=True, kw_only=True)
class FT2DModel(BackgroundModel):
    """How an `FT2D` finds peaks.

    Parameters
    ----------
    cutoff_hertz : float or None
        Below this, all is background.
    neighbourhood : tuple of two ints
        Among how many scales and rates a peak is the greatest.
    peaks : {"local_std", "threshold"}
        How peaks count.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=13.0, sample_rate=8000)
    >>> model = dspsep.FT2D().separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names, model.neighbourhood
    (('background', 'foreground'), (1, 25))
    """

    neighbourhood: tuple[int, int]
    peaks: str

    def __post_init__(self) -> None:
        super().__post_init__()
        # A model may come from a file.
        object.__setattr__(self, "neighbourhood", _checked_neighbourhood(self.neighbourhood))
        _checks.choice("peaks", self.peaks, _PEAKS)

    def background(self, spectrogram: Spectrogram) -> Array:
        """Return the share of the background before the rule of low frequencies.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Returns
        -------
        array of shape (n_channels, n_freqs, n_frames)
            In [0, 1].
        """
        V = spectrogram.magnitude()
        xp = _backend.namespace(V)
        shares = []
        for channel in range(V.shape[0]):
            frames = xp.permute_dims(V[channel, :, :], (1, 0))
            B, _ = _background(frames, self.neighbourhood, self.peaks)
            shares.append(xp.permute_dims(share_of(B, frames), (1, 0)))
        return xp.stack(shares)  # type: ignore[no-any-return]


def ft2d(
    V: Array, *, neighbourhood: tuple[int, int] = _NEIGHBOURHOOD, peaks: str = "local_std"
) -> tuple[Array, Array]:
    """Find the peaks of the 2-D Fourier transform of a spectrogram, and what they transform back to.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames)
        Magnitudes: finite and not negative. Never changed.
    neighbourhood : tuple of two ints, default=(1, 25)
        Among how many scales and rates a peak is the greatest, both odd.
    peaks : {"local_std", "threshold"}, default="local_std"
        How peaks count; see `FT2D`.

    Returns
    -------
    B : array of shape (n_freqs, n_frames)
        The background's magnitudes, not negative. May exceed `V`.
    M : array of shape (n_freqs, n_frames)
        How much each entry of ``numpy.fft.fft2(V)`` belongs to the background, in [0, 1], in its order.
        ``M[k, l] == M[-k, -l]``.

    Raises
    ------
    InputError
        If `V` or a setting is out of range.

    See Also
    --------
    FT2D : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import ft2d
    >>> V = np.zeros((20, 100))
    >>> V[5, ::10] = 1  # a stroke every ten frames
    >>> B, M = ft2d(V, neighbourhood=(1, 9))
    >>> bool(abs(B - V).max() < 1e-12)
    True
    """
    V = _backend.real_floating("V", V)
    if V.ndim != 2 or 0 in V.shape:
        raise InputError("V", "of shape (n_freqs, n_frames)", f"{tuple(V.shape)}")
    neighbourhood = _checked_neighbourhood(neighbourhood)
    _checks.choice("peaks", peaks, _PEAKS)
    xp = _backend.namespace(V)
    lowest, largest = _backend.to_host(xp.stack([xp.min(V), xp.max(V)])).tolist()
    if not (lowest >= 0 and largest < math.inf):
        raise InputError("V", "finite and not negative", f"values from {lowest:g} to {largest:g}")
    B, half = _background(xp.permute_dims(V, (1, 0)), neighbourhood, peaks)
    n_freqs = V.shape[0]
    other = xp.flip(_reversed(half[:, 1 : n_freqs - half.shape[1] + 1]), axis=1)
    M = xp.concat([half, other], axis=1)
    return xp.permute_dims(B, (1, 0)), xp.permute_dims(M, (1, 0))


def _background(V: Array, neighbourhood: tuple[int, int], peaks: str) -> tuple[Array, Array]:
    """Return the background's magnitudes, and how much of each rate and scale, of half of these, is its."""
    xp = _backend.namespace(V)
    n_freqs = int(V.shape[1])
    # scipy's transform along the first axis takes several columns at once, NumPy's does not.
    along = fft if _backend.is_numpy(V) else xp.fft
    transform = along.fft(along.rfft(V, axis=1), axis=0)
    P = xp.abs(transform)
    largest = xp.max(P)
    P /= xp.where(largest > 0, largest, xp.ones_like(largest))
    find = _by_local_std if peaks == "local_std" else _by_threshold
    M = _symmetric(find(P, n_freqs, neighbourhood), n_freqs)
    transform *= M
    B = along.irfft(along.ifft(transform, axis=0), n=n_freqs, axis=1)
    return xp.maximum(B, xp.zeros_like(B)), M


def _symmetric(P: Array, n_freqs: int) -> Array:
    """Return `P` with scales that are their own mirror images made symmetric, which rounding had broken."""
    xp = _backend.namespace(P)
    for scale in [0] if n_freqs % 2 else [0, n_freqs // 2]:
        column = P[:, scale : scale + 1]
        P[:, scale : scale + 1] = xp.maximum(column, _reversed(column))
    return P


def _by_local_std(P: Array, n_freqs: int, neighbourhood: tuple[int, int]) -> Array:
    """Return by how many standard deviations peaks stand out, over the most that can be."""
    xp = _backend.namespace(P)
    sizes = _fitting(neighbourhood, n_freqs, int(P.shape[0]))
    number = sizes[0] * sizes[1]
    mean = _over_neighbours(P, n_freqs, sizes, _sum) / number
    squares = _over_neighbours(P * P, n_freqs, sizes, _sum) / number
    variance = squares - mean * mean
    stands = variance > _ROUNDINGS * float(xp.finfo(P.dtype).eps) * squares
    stands &= _over_neighbours(P, n_freqs, sizes, _largest) == P
    deviation = xp.sqrt(xp.where(stands, variance, xp.ones_like(P)) * max(number - 1, 1))
    M = xp.where(stands, (P - mean) / deviation, xp.zeros_like(P))
    return xp.minimum(M, xp.ones_like(M))  # type: ignore[no-any-return]  # but for rounding


def _by_threshold(P: Array, n_freqs: int, neighbourhood: tuple[int, int]) -> Array:
    """Return 1 for peaks whose neighbours differ by more than the standard deviation of all."""
    xp = _backend.namespace(P)
    sizes = _fitting(neighbourhood, n_freqs, int(P.shape[0]))
    whole = xp.concat([P, P[:, 1 : n_freqs - P.shape[1] + 1]], axis=1)
    threshold = xp.std(whole)
    largest = _over_neighbours(P, n_freqs, sizes, _largest)
    least = -_over_neighbours(-P, n_freqs, sizes, _largest)
    return xp.astype((largest == P) & (largest - least > threshold), P.dtype)  # type: ignore[no-any-return]


def _over_neighbours(
    P: Array, n_freqs: int, sizes: tuple[int, int], reduce: Callable[[Array, int, int], Array]
) -> Array:
    """Return what `reduce` makes of all neighbourhoods, of the same shape."""
    xp = _backend.namespace(P)
    n_scales, n_rates = sizes
    if n_scales > 1:
        half = n_scales // 2
        # Scale -k is scale k with rates reversed; so is n_freqs - k.
        before = xp.flip(_reversed(P[:, 1 : half + 1]), axis=1)
        last = n_freqs - int(P.shape[1])
        after = xp.flip(_reversed(P[:, last - half + 1 : last + 1]), axis=1)
        P = reduce(xp.concat([before, P, after], axis=1), n_scales, 1)
    if n_rates > 1:
        half = n_rates // 2
        P = reduce(xp.concat([P[-half:, :], P, P[:half, :]], axis=0), n_rates, 0)
    return P


def _reversed(P: Array) -> Array:
    """Return rates l as -l."""
    xp = _backend.namespace(P)
    turned: Array = xp.concat([P[:1, :], xp.flip(P[1:, :], axis=0)], axis=0)
    return turned


def _largest(P: Array, length: int, axis: int) -> Array:
    """Return the largest of each run of so many: of runs twice as long each time; the last overlap."""
    xp = _backend.namespace(P)
    n, width = int(P.shape[axis]) - length + 1, 1
    while 2 * width <= length:
        size = int(P.shape[axis]) - width
        P = xp.maximum(_slice(P, 0, size, axis), _slice(P, width, size, axis))
        width *= 2
    found: Array = xp.maximum(_slice(P, 0, n, axis), _slice(P, length - width, n, axis))
    return found


def _sum(P: Array, length: int, axis: int) -> Array:
    """Return the sum of each run of so many, made of runs of powers of two: nothing is taken away again."""
    n, width, done = int(P.shape[axis]) - length + 1, 1, 0
    total: Array | None = None
    while True:
        if length & width:
            part = _slice(P, done, n, axis)
            total = part if total is None else total + part
            done += width
        if 2 * width > length:
            return total  # type: ignore[return-value]  # the last width is one of them
        size = int(P.shape[axis]) - width
        P = _slice(P, 0, size, axis) + _slice(P, width, size, axis)
        width *= 2


def _slice(P: Array, first: int, size: int, axis: int) -> Array:
    return P[:, first : first + size] if axis else P[first : first + size, :]


def _fitting(neighbourhood: tuple[int, int], n_freqs: int, n_frames: int) -> tuple[int, int]:
    """Return sizes that meet nobody twice."""
    scales, rates = (
        min(size, n - 1 + n % 2) for size, n in zip(neighbourhood, (n_freqs, n_frames), strict=True)
    )
    return max(scales, 1), max(rates, 1)


def _checked_neighbourhood(sizes: object) -> tuple[int, int]:
    sizes = _checks.plain(sizes)
    if not isinstance(sizes, Iterable) or isinstance(sizes, str) or len(found := tuple(sizes)) != 2:
        raise InputError("neighbourhood", "two odd numbers, of scales and of rates", repr(sizes)[:80])
    for size in found:
        if _checks.integer("neighbourhood", size, minimum=1, maximum=100_001) % 2 == 0:
            raise InputError("neighbourhood", "two odd numbers, of scales and of rates", repr(found)[:80])
    if math.prod(found) < 3:
        raise InputError("neighbourhood", "of at least 3 bins", repr(found))
    return int(found[0]), int(found[1])
