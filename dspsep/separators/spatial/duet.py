"""DUET: sources by attenuation and delay between two microphones, each bin being given to one of them.

Where one source is alone, X2 = a exp(-i omega delta) X1. Each bin says what a and delta would be, a by its
symmetric form,

    alpha = a - 1 / a = (|X2|^2 - |X1|^2) / |X1 X2|,        delta = -angle(X2 / X1) / omega

and a histogram of them, weighted by |X1 X2|^p omega^q, has one peak for each source (Yilmaz & Rickard 2004).
Of angles the multiples of 2 pi are unknown, so it is made of frequencies with omega max(delta) < pi alone.
Then each bin goes to the source that it is likeliest from, in noise that is alike in both channels: the least
of

    d_j = |a_j exp(-i omega delta_j) X1 - X2|^2 / (1 + a_j^2)

which needs no angle and holds at all frequencies. The soft masks are (1 / d_j) / sum_k (1 / d_k).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._names import numbered
from dspsep.separators.spatial._panning import Plane, middles, smoothed
from dspsep.separators.spatial._stereo import (
    check_shares,
    energy_of,
    frame_blocks,
    in_blocks,
    warn_if_few,
)
from dspsep.stft import STFT, Spectrogram

__all__ = ["DUET", "DUETModel"]

_MASKS = ("binary", "soft")
_MOST_SOURCES = 100
#: Fewer frequencies than this tell no delays from one another.
_LEAST_FREQS = 8
#: A larger part of the weight beyond the longest delay means that sources are there.
_MOST_BEYOND = 0.5
#: What no peak is beyond: twice the largest attenuation, and a delay in seconds that is none.
_MOST_GAIN, _LONGEST = 2e3, 1e9


@final
@dataclass(frozen=True, kw_only=True)
class DUET(SpectralSeparator):
    """Separation of two channels by the level and the delay between them, of more sources than channels.

    For speech at two microphones that are a few centimetres apart, with little reverberation.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=1024, hop_length=256, window="hann")
        The transform: 64 ms frames every 16 ms at 16 kHz, in which speech overlaps least.
    n_sources : int, default=3
        How many peaks are looked for, at most 100.
    max_delay_seconds : float, default=0.000225
        The longest delay between the channels, in either direction: the distance of the microphones over the
        speed of sound, or more. The default, 7.7 cm, is 3.6 samples at 16 kHz.
    max_attenuation : float, default=0.7
        The largest symmetric attenuation, a - 1 / a, in either direction: 0.7 is one channel 1.4 times as
        loud as the other, 3 is 3.3 times.
    n_bins : tuple of two ints, default=(35, 50)
        Of the histogram, along attenuation and delay; each from 3 to 1000.
    p, q : float, default=1.0 and 0.0
        The exponents of the weights ``|X1 X2|^p omega^q``, from 0 to 2: p 1 and q 0 are for general use, p
        0.5 where one source is much louder than others, and q 2 looks for delays most precisely.
    mask : {"binary", "soft"}, default="binary"
        Whether each bin goes to its likeliest source, or is shared by how near it is to each.

    Raises
    ------
    InputError
        If a setting is out of range.

    Warns
    -----
    DspsepWarning
        From `fit`: ``W_PHASE`` if delays are so long that there are hardly any frequencies below
        ``1 / (2 max_delay_seconds)``, or if most of what is heard has a longer delay than
        `max_delay_seconds`. ``W_FEW_SOURCES`` if there are fewer peaks than sources.

    See Also
    --------
    duet_histogram : The histogram as a function of two spectra alone.
    ADRess, PROJET : For sources that differ in level alone.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, … by attenuation, the loudest in the first channel first.
    Assumed is that each bin holds one source, and that a source reaches the second channel once. Sources
    without a peak are silent.

    Deviations from the paper: only frequencies whose angles are sure are in the histogram, where it takes all
    of them, and delays of less than a sample; peaks, which the authors choose by eye, are the highest of the
    histogram after a mean of 3 by 3 bins, and each is replaced by the weighted mean of its 3 by 3 bins; both
    channels of a source are masked, where the paper makes one of the two. Soft masks are ours.

    Cost: O(n_freqs n_frames n_sources). Peak memory beside the input and the sources: 62 MB for 30 s of
    stereo at 44.1 kHz in single precision, of which the spectrum is 42; 70 MB with soft masks.

    References
    ----------
    A. Jourjine, S. Rickard, O. Yilmaz, "Blind separation of disjoint orthogonal signals: demixing N sources
    from 2 mixtures", IEEE International Conference on Acoustics, Speech, and Signal Processing (ICASSP),
    2000.

    O. Yilmaz, S. Rickard, "Blind separation of speech mixtures via time-frequency masking", IEEE Transactions
    on Signal Processing 52(7), 2004, pp. 1830-1847. doi:10.1109/TSP.2004.828896

    S. Rickard, "The DUET blind source separation algorithm", in Blind Speech Separation, Springer, 2007,
    pp. 217-241: the settings.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import DUET
    >>> time = np.arange(16000) / 16000
    >>> low, high = np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 1000 * time)
    >>> later = np.sin(2 * np.pi * 1000 * (time - 1e-4))
    >>> sources = DUET(n_sources=2).separate(np.stack([low + high, 0.8 * low + 1.2 * later]), 16000)
    >>> [(round(a, 2), round(1e6 * delta)) for a, delta in sources.model.peaks]
    [(0.8, 0), (1.2, 100)]
    """

    min_channels = max_channels = 2

    stft: STFT = field(default_factory=lambda: STFT(1024))
    n_sources: int = 3
    max_delay_seconds: float = 0.000225
    max_attenuation: float = 0.7
    n_bins: tuple[int, int] = (35, 50)
    p: float = 1.0
    q: float = 0.0
    mask: Literal["binary", "soft"] = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        n_sources = _checks.plain(self.n_sources)
        _checks.integer("n_sources", n_sources, minimum=1, maximum=_MOST_SOURCES)
        object.__setattr__(self, "n_sources", n_sources)
        _checks.number("max_delay_seconds", _checks.plain(self.max_delay_seconds), minimum=0, above=True)
        plane = self._plane
        for name in ("max_attenuation", "n_bins", "p", "q"):
            object.__setattr__(self, name, getattr(plane, name))
        object.__setattr__(self, "max_delay_seconds", plane.max_delay)
        _checks.choice("mask", self.mask, _MASKS)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number."""
        return numbered(self.n_sources)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> DUETModel:
        """Return the peaks of the histogram.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels, made by ``self.stft.forward``.
        callback : callable, optional
            Called once, with stage ``"fit"``.

        Returns
        -------
        DUETModel
            With the peaks and the histogram.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        plane = self._plane
        omega = 2 * np.pi * spectrogram.frequencies()
        sure = plane.sure(omega)
        # Where angles are below a quarter of a turn, delays twice as long do not look like shorter ones.
        half = slice(sure.start, max(sure.start, (sure.stop + 1) // 2))
        sums, beyond = np.zeros((3, *plane.n_bins)), np.zeros(2)
        for _, X1, X2 in frame_blocks(spectrogram):
            sums += plane.sums(X1[sure, :], X2[sure, :], omega[sure])
            beyond += plane.beyond(X1[half, :], X2[half, :], omega[half])
        self._warn_of_phase(sure.stop - sure.start, beyond)
        peaks = sorted(plane.peaks(sums, self.n_sources))
        warn_if_few(len(peaks), self.n_sources)
        total = float(sums[0].sum())
        model = DUETModel(
            peaks=tuple((_gain(alpha), delta) for alpha, delta in peaks),
            n_sources=self.n_sources,
            mask=self.mask,
            histogram=smoothed(sums[0] / total if total else sums[0]),
            limits=plane.limits,
        )
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model

    @property
    def _plane(self) -> Plane:
        return Plane(
            max_attenuation=self.max_attenuation,
            max_delay=self.max_delay_seconds,
            n_bins=self.n_bins,
            p=self.p,
            q=self.q,
        )

    def _warn_of_phase(self, n_sure: int, beyond: npt.NDArray[np.float64]) -> None:
        if n_sure < _LEAST_FREQS:
            warn(
                "W_PHASE",
                f"only {max(0, n_sure)} frequencies lie below 1 / (2 max_delay_seconds), "
                f"{0.5 / self.max_delay_seconds:.0f} Hz, where phases tell delays: lower max_delay_seconds, "
                "or take longer frames.",
                stacklevel=6,
            )
        elif beyond[0] > _MOST_BEYOND * beyond[1]:
            warn(
                "W_PHASE",
                f"{100 * beyond[0] / beyond[1]:.0f} % of what is heard has phases of longer delays than "
                f"max_delay_seconds, {self.max_delay_seconds:g}, or none at all: the microphones are farther "
                "apart, or the room is reverberant. Raise max_delay_seconds as far as their distance needs.",
                stacklevel=6,
            )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class DUETModel(MaskModel):
    """The peaks that a `DUET` found; applies to any spectrogram of two channels.

    Parameters
    ----------
    peaks : tuple of pairs of float
        For each source how loud it is in the second channel beside the first, and by how many seconds it is
        later there. At most `n_sources`.
    n_sources : int
        How many sources there are; those without a peak are silent.
    mask : {"binary", "soft"}
        How bins are shared.
    histogram : array of shape (n_attenuations, n_delays)
        What part of the weight is where, smoothed.
    limits : tuple of two floats
        How far the histogram goes in either direction: symmetric attenuation, and delay in seconds.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, sample_rate=8000)
    >>> model = dspsep.DUET(n_sources=2).separate(scene.mixture, scene.sample_rate).model
    >>> len(model.peaks)
    2
    """

    peaks: tuple[tuple[float, float], ...]
    n_sources: int
    mask: str
    histogram: Array = field(repr=False)
    limits: tuple[float, float]

    def __post_init__(self) -> None:
        # A model may come from a file.
        _checks.integer("n_sources", self.n_sources, minimum=1, maximum=_MOST_SOURCES)
        _checks.choice("mask", self.mask, _MASKS)
        if np.ndim(self.histogram) != 2:
            raise InputError("histogram", "of two axes", f"{np.ndim(self.histogram)}")
        check_shares("histogram", self.histogram)
        if not isinstance(self.peaks, tuple) or len(self.peaks) > self.n_sources:
            raise InputError("peaks", f"at most {self.n_sources} pairs", repr(self.peaks)[:60])
        for name, pair in (("limits", self.limits), *(("peaks", peak) for peak in self.peaks)):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InputError(name, "made of pairs of numbers", repr(pair)[:60])
            for value in pair:
                _checks.number(name, value)
        _checks.number("limits", min(self.limits), minimum=0, above=True)
        for gain, delay in self.peaks:
            _checks.number("peaks", gain, minimum=1 / _MOST_GAIN, maximum=_MOST_GAIN)
            _checks.number("peaks", delay, minimum=-_LONGEST, maximum=_LONGEST)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number."""
        return numbered(self.n_sources)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the mask of each source.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels.

        Yields
        ------
        array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        values = spectrogram.values
        xp = _backend.namespace(values)
        real = xp.float32 if values.dtype == xp.complex64 else xp.float64
        steering = self._steering(spectrogram)
        if self.mask == "binary" or len(steering) < 2:
            # Without peaks there is nothing to tell: the first source has all.
            owners = in_blocks(spectrogram, lambda L, R: _nearest(L, R, steering))
            for number in range(self.n_sources):
                yield xp.astype(owners == number, real)
            return
        total = in_blocks(spectrogram, lambda L, R: _sum_of(_closeness(L, R, steer) for steer in steering))
        for steer in steering:
            yield in_blocks(spectrogram, partial(_closeness, steer=steer)) / total
        for _ in range(len(steering), self.n_sources):
            yield xp.zeros_like(total)

    def _steering(self, spectrogram: Spectrogram) -> list[tuple[float, Array]]:
        """Return a and a exp(-i omega delta), (n_freqs, 1), for each peak."""
        omega = 2 * np.pi * spectrogram.frequencies()
        kind = "complex64" if "64" in str(spectrogram.values.dtype) else "complex128"
        return [
            (
                a,
                _backend.asarray_like(
                    (a * np.exp(-1j * omega * d)).astype(kind)[:, None], spectrogram.values
                ),
            )
            for a, d in self.peaks
        ]

    def _pictures(self) -> Pictures:
        return {"histogram": Recipe(self._histogram), **self._mask_pictures()}

    def _histogram(self, _: Scale) -> Picture:
        attenuations, delays = middles(self.limits, np.shape(self.histogram))
        return picture("duet_histogram", self.histogram, attenuations, delays, peaks=self.peaks)


def _gain(alpha: float) -> float:
    """Return the a of a - 1 / a, without cancellation."""
    root = math.hypot(alpha, 2)
    return (alpha + root) / 2 if alpha >= 0 else 2 / (root - alpha)


def _distance(X1: Array, X2: Array, steer: tuple[float, Array]) -> Array:
    """Return what of the energy of each bin is not from a source."""
    a, response = steer
    return energy_of(response * X1 - X2) / (1 + a * a)


def _nearest(X1: Array, X2: Array, steering: list[tuple[float, Array]]) -> Array:
    """Return the number of the likeliest source of each bin; of equal ones the first."""
    xp = _backend.namespace(X1, X2)
    owners = xp.zeros(X1.shape, dtype=xp.uint8, device=X1.device)
    best: Array | None = None
    for number, steer in enumerate(steering):
        distance = _distance(X1, X2, steer)
        if best is None:
            best = distance
            continue
        nearer = distance < best
        owners = xp.where(nearer, xp.full_like(owners, number), owners)
        best = xp.where(nearer, distance, best)
    return owners  # type: ignore[no-any-return]


def _closeness(X1: Array, X2: Array, steer: tuple[float, Array]) -> Array:
    """Return the energy of each bin over what of it is not from a source; at most what rounding tells."""
    xp = _backend.namespace(X1, X2)
    energy = energy_of(X1) + energy_of(X2)
    heard = energy > 0
    part = _distance(X1, X2, steer) / xp.where(heard, energy, xp.ones_like(energy))
    return 1 / (part + float(xp.finfo(energy.dtype).eps) ** 2)  # type: ignore[no-any-return]


def _sum_of(arrays: Iterator[Array]) -> Array:
    total = next(arrays)
    for array in arrays:
        total = total + array
    return total
