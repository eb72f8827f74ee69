"""REPET: a background that repeats with a period, and a foreground that does not.

The period p is that of the beat spectrum (`_period.py`). With V the magnitudes and r the number of periods,
the repeating segment is the median of all of them,

    S[f, t] = median_k V[f, t + k p],        t = 0 ... p - 1,        k = 0 ... r - 1

and the mask of the background is ``min(S, V) / V``, S repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Pictures, of_beat_spectrum
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separators.repetition._period import LEAST_PERIODS, beat_spectrum, repeating_period
from dspsep.separators.repetition._repeats import Repeating, Repeats, RepetitionModel
from dspsep.stft import Spectrogram

__all__ = ["REPET", "PeriodSeparator", "REPETModel", "repeats_of_period", "segments_of"]


@dataclass(frozen=True, kw_only=True)
class PeriodSeparator(Repeating):
    """Base class of methods that look for a period.

    Parameters
    ----------
    stft : STFT
        The transform.
    cutoff_hertz : float or None
        Below this, all is background.
    min_period_seconds, max_period_seconds : float
        Where periods are looked for.
    """

    min_period_seconds: float = 1.0
    max_period_seconds: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("min_period_seconds", "max_period_seconds"):
            value = _checks.number(name, _checks.plain(getattr(self, name)), minimum=0, above=True)
            object.__setattr__(self, name, value)
        if self.max_period_seconds < self.min_period_seconds:
            requirement = f"at least min_period_seconds, {self.min_period_seconds:g}"
            raise InputError("max_period_seconds", requirement, f"{self.max_period_seconds:g}")

    def _lags(self, sample_rate: float, n_frames: int) -> tuple[int, int]:
        """Return the shortest and the longest period in frames, of so many frames."""
        shortest = self.stft.n_frames_in(self.min_period_seconds, sample_rate)
        longest = self.stft.n_frames_in(self.max_period_seconds, sample_rate)
        return shortest, max(shortest, min(longest, n_frames // LEAST_PERIODS))

    def _piecewise(
        self, spectrogram: Spectrogram, seconds: float, step_seconds: float, callback: Callback | None
    ) -> tuple[tuple[tuple[int, int], ...], list[Array], list[int]]:
        """Return segments of so many seconds, and the beat spectrum of each and its period in frames."""
        rate = spectrogram.sample_rate
        segments = segments_of(
            spectrogram.n_frames, *(self.stft.n_frames_in(x, rate) for x in (seconds, step_seconds))
        )
        V = spectrogram.magnitude()
        spectra, periods = [], []
        for done, (start, stop) in enumerate(segments, 1):
            spectra.append(beat_spectrum(V[:, :, start:stop]))
            lags = self._lags(rate, stop - start)
            periods.append(repeating_period(_backend.to_host(spectra[-1]), *lags))
            if callback is not None:
                callback(Progress(stage="fit", iteration=done, n_iterations=len(segments)))
        return segments, spectra, periods

    def _least_frames(self, sample_rate: float) -> int:
        return LEAST_PERIODS * self.stft.n_frames_in(self.min_period_seconds, sample_rate)


@final
@dataclass(frozen=True, kw_only=True)
class REPET(PeriodSeparator):
    """Separation of what repeats with one period from what does not.

    For accompaniment that goes round and round, and a voice on top of it that does not.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below is background, where no voice reaches. None for no such
        rule.
    min_period_seconds : float, default=1.0
        The shortest period that is looked for.
    max_period_seconds : float, default=10.0
        The longest; it is at most a third of the mixture in any case.
    period_seconds : float, optional
        The period, if it is known. It is found by default.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    REPETExtended : For periods that change from part to part.
    AdaptiveREPET : For periods that drift.
    REPETSim : For what comes again without any period.

    Notes
    -----
    The sources are ``background`` and ``foreground``. The period is that of all channels, by the mean of
    their powers; each channel has a mask of its own.

    Deviations from the paper: among candidates that are nearly as good as the best, the shortest period is
    taken (multiples of a period repeat, too); bins of no magnitude are background, instead of an epsilon in
    numerator and denominator.

    US patent 9,093,056 concerns this method.

    Cost: O(n_freqs n_frames log n_frames). Peak memory beside the input and the sources: the spectrum, and
    three real arrays of its size.

    References
    ----------
    Z. Rafii, B. Pardo, "REpeating Pattern Extraction Technique (REPET): a simple method for music/voice
    separation", IEEE Transactions on Audio, Speech, and Language Processing 21(1), 2013, pp. 73-84.
    doi:10.1109/TASL.2012.2213249

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=16.0)
    >>> sources = dspsep.REPET().separate(scene.mixture, scene.sample_rate)
    >>> list(sources), round(sources.model.period, 1)
    (['background', 'foreground'], 2.0)
    """

    period_seconds: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period_seconds is not None:
            value = _checks.plain(self.period_seconds)
            value = _checks.number("period_seconds", value, minimum=0, above=True)
            object.__setattr__(self, "period_seconds", value)

    def _least_frames(self, sample_rate: float) -> int:
        return 1 if self.period_seconds is not None else super()._least_frames(sample_rate)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> REPETModel:
        """Return the period.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Not called: there are no iterations.

        Returns
        -------
        REPETModel
            With the period and the beat spectrum.
        """
        spectrum = beat_spectrum(spectrogram.magnitude())
        hop_seconds = self.stft.hop_length / spectrogram.sample_rate
        if self.period_seconds is not None:
            period = spectrogram.n_frames_in(self.period_seconds)
        else:
            lags = self._lags(spectrogram.sample_rate, spectrogram.n_frames)
            period = repeating_period(_backend.to_host(spectrum), *lags)
        return REPETModel(period=period * hop_seconds, beat_spectrum=spectrum, cutoff_hertz=self.cutoff_hertz)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class REPETModel(RepetitionModel):
    """The period of a `REPET`, and where it comes from.

    Parameters
    ----------
    cutoff_hertz : float or None
        Below this, all is background.
    period : float
        In seconds: a whole number of hops.
    beat_spectrum : array of shape (n_frames,)
        How much the mixture resembles itself at lags of 0, 1, … hops.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=13.0, sample_rate=8000)
    >>> model = dspsep.REPET().separate(scene.mixture, scene.sample_rate).model
    >>> round(model.period, 2)
    4.03
    """

    period: float
    beat_spectrum: Array = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.number("period", self.period, minimum=0, above=True)

    def repeats(self, spectrogram: Spectrogram) -> Repeats:
        """Return which frames repeat one another.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of a mixture with this period.

        Returns
        -------
        Repeats
            A list for each frame of the period, and the list of each frame.
        """
        found = repeats_of_period(spectrogram.n_frames_in(self.period), spectrogram.n_frames)
        return Repeats(*(_backend.asarray_like(part, spectrogram.values) for part in found))

    def _pictures(self) -> Pictures:
        # Without a scale it is not known how many frames the period has.
        spectrum = of_beat_spectrum(
            self.beat_spectrum, lambda scale: None if scale.hop_seconds is None else self.period
        )
        return {"beat spectrum": spectrum, **self._mask_pictures()}


def repeats_of_period(period: int, n_frames: int) -> Repeats:
    """Return which of so many frames repeat one another with a period; NumPy."""
    place = np.arange(n_frames)
    period = min(period, n_frames)
    frames = np.arange(period)[:, None] + period * np.arange(-(-n_frames // period))
    return Repeats(np.where(frames < n_frames, frames, -1), place % period)


def segments_of(n_frames: int, length: int, step: int) -> tuple[tuple[int, int], ...]:
    """Return segments of a length, a step apart; the last one is what is left, less than a step longer."""
    starts = range(0, max(1, n_frames - length + 1), step)
    return tuple((start, n_frames if start == starts[-1] else start + length) for start in starts)
