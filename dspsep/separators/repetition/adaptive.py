"""Adaptive REPET: a period for each moment, and a median of the nearest repeats.

The beat spectrum of a window that moves along the mixture gives the period p[t] of each moment; a frame
repeats those that are whole periods before and after it,

    S[f, t] = median_k V[f, t + k p[t]],        |k| <= (order - 1) / 2
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.separators.repetition._repeats import Repeats, RepetitionModel
from dspsep.separators.repetition.repet import PeriodSeparator
from dspsep.stft import Spectrogram

__all__ = ["AdaptiveREPET", "AdaptiveREPETModel"]

# More repeats than this are no longer near.
_HIGHEST_ORDER = 101


@final
@dataclass(frozen=True, kw_only=True)
class AdaptiveREPET(PeriodSeparator):
    """Separation of what repeats, with a period that follows the mixture.

    For music whose tempo drifts, or whose pattern changes now and then.

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
        The longest; it is at most a third of the window in any case.
    window_seconds : float, default=10.0
        What a beat spectrum is of.
    step_seconds : float, default=5.0
        From one beat spectrum to the next; at most as long as the window.
    order : int, default=5
        Of how many frames, each a period from the next, the median is taken: odd, from 3 to 101.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    REPET : With one period for all.
    REPETExtended : With a period and a median for each part.
    REPETSim : For what comes again without any period.

    Notes
    -----
    The sources are ``background`` and ``foreground``. At the ends of the mixture, where there are no frames
    before or after, the median is of fewer.

    Deviations from the paper: a frame has the period of the window whose middle is nearest; and those of
    `REPET`.

    US patent 9,093,056 concerns REPET.

    Cost: O(n_freqs n_frames log n_frames). Peak memory beside the input and the sources: the spectrum, and
    three real arrays of its size.

    References
    ----------
    A. Liutkus, Z. Rafii, R. Badeau, B. Pardo, G. Richard, "Adaptive filtering for music/voice separation
    exploiting the repeating musical structure", IEEE International Conference on Acoustics, Speech and Signal
    Processing (ICASSP), 2012, pp. 53-56.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=12.0)
    >>> sources = dspsep.AdaptiveREPET().separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.periods.round(1).tolist()
    (['background', 'foreground'], [1.0])
    """

    window_seconds: float = 10.0
    step_seconds: float = 5.0
    order: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("window_seconds", "step_seconds"):
            value = _checks.number(name, _checks.plain(getattr(self, name)), minimum=0, above=True)
            object.__setattr__(self, name, value)
        if self.step_seconds > self.window_seconds:
            requirement = f"at most window_seconds, {self.window_seconds:g}"
            raise InputError("step_seconds", requirement, f"{self.step_seconds:g}")
        order = _checks.integer("order", _checks.plain(self.order), minimum=3, maximum=_HIGHEST_ORDER)
        if order % 2 == 0:
            raise InputError("order", "odd: a frame, and as many before as after it", f"{order}")
        object.__setattr__(self, "order", order)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> AdaptiveREPETModel:
        """Return the periods.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` after each window. What it returns makes no difference.

        Returns
        -------
        AdaptiveREPETModel
            With the periods and the beat spectra.
        """
        windows, spectra, periods = self._piecewise(
            spectrogram, self.window_seconds, self.step_seconds, callback
        )
        # The last window may be longer.
        n_lags = min(stop - start for start, stop in windows)
        hop_seconds = self.stft.hop_length / spectrogram.sample_rate
        return AdaptiveREPETModel(
            periods=np.asarray(periods) * hop_seconds,
            times=np.asarray([(start + stop - 1) / 2 for start, stop in windows]) * hop_seconds,
            beat_spectrogram=_backend.namespace(*spectra).stack([s[:n_lags] for s in spectra], axis=1),
            order=self.order,
            cutoff_hertz=self.cutoff_hertz,
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptiveREPETModel(RepetitionModel):
    """The periods of an `AdaptiveREPET`, and where they come from.

    Parameters
    ----------
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.
    periods, times : array of shape (n_windows,)
        The period of each window, and where its middle is, in seconds.
    beat_spectrogram : array of shape (n_lags, n_windows)
        How much each window resembles itself at lags of 0, 1, … hops.
    order : int
        Of how many frames the median is taken.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=26.0, sample_rate=8000)
    >>> model = dspsep.AdaptiveREPET(window_seconds=13.0).separate(scene.mixture, scene.sample_rate).model
    >>> len(model.periods), len(model.times)
    (3, 3)
    """

    periods: Array
    times: Array
    beat_spectrogram: Array = field(repr=False)
    order: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.integer("order", self.order, minimum=3, maximum=_HIGHEST_ORDER)
        periods, times = np.asarray(self.periods), np.asarray(self.times)
        if periods.ndim != 1 or not periods.size or periods.shape != times.shape or not (periods > 0).all():
            raise InputError("periods", "one above zero for each of the times", f"{periods} for {times}")

    def repeats(self, spectrogram: Spectrogram) -> Repeats:
        """Return the frames that are whole periods away from each.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from.

        Returns
        -------
        Repeats
            A list for each frame.
        """
        n_frames = spectrogram.n_frames
        frames = np.arange(n_frames)
        middles = (self.times[1:] + self.times[:-1]) / 2
        nearest = np.searchsorted(middles, spectrogram.times())
        periods = np.asarray([spectrogram.n_frames_in(period) for period in self.periods])[nearest]
        half = self.order // 2
        near = frames[:, None] + periods[:, None] * np.arange(-half, half + 1)
        near = np.where((near >= 0) & (near < n_frames), near, -1)
        return Repeats(*(_backend.asarray_like(part, spectrogram.values) for part in (near, frames)))

    def _pictures(self) -> Pictures:
        return {"beat spectrogram": Recipe(self._beats), **self._mask_pictures()}

    def _beats(self, scale: Scale) -> Picture:
        hop = scale.hop_seconds
        periods = None if hop is None else self.periods
        return picture(
            "beat_spectrogram", self.beat_spectrogram, times=self.times, hop_seconds=hop, periods=periods
        )
