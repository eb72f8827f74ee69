"""REPET, part by part: for periods that change between verse and chorus.

The mixture is cut into segments that overlap; each has a period of its own, and a mask. Where segments
overlap, their masks are faded into one another, by weights that are triangles over time and sum to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import check_fits
from dspsep.progress import Callback
from dspsep.separators._background import BackgroundModel
from dspsep.separators.repetition._repeats import Repeats, repeating_share
from dspsep.separators.repetition.repet import PeriodSeparator, repeats_of_period
from dspsep.stft import Spectrogram

__all__ = ["REPETExtended", "REPETExtendedModel"]


@final
@dataclass(frozen=True, kw_only=True)
class REPETExtended(PeriodSeparator):
    """Separation of what repeats, with a period for each part of the mixture.

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
        The longest; it is at most a third of a segment in any case.
    segment_seconds : float, default=10.0
        How long a segment is; the last one may be up to a step longer.
    step_seconds : float, default=5.0
        From one segment to the next; at most as long as a segment.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    REPET : With one period for all.
    AdaptiveREPET : With a period for each moment.

    Notes
    -----
    The sources are ``background`` and ``foreground``. Deviations from the paper: it is masks that are faded
    into one another, of one transform of the whole, and not signals; and those of `REPET`.

    US patent 9,093,056 concerns this method.

    Cost: O(n_freqs n_frames log n_frames). Peak memory beside the input and the sources: the spectrum, and
    four real arrays of its size.

    References
    ----------
    Z. Rafii, B. Pardo, "REpeating Pattern Extraction Technique (REPET): a simple method for music/voice
    separation", IEEE Transactions on Audio, Speech, and Language Processing 21(1), 2013, pp. 73-84.
    doi:10.1109/TASL.2012.2213249

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=12.0)
    >>> sources = dspsep.REPETExtended(segment_seconds=8, step_seconds=4).separate(
    ...     scene.mixture, scene.sample_rate
    ... )
    >>> [round(period, 1) for period in sources.model.periods]
    [1.0, 1.0]
    """

    segment_seconds: float = 10.0
    step_seconds: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("segment_seconds", "step_seconds"):
            value = _checks.number(name, _checks.plain(getattr(self, name)), minimum=0, above=True)
            object.__setattr__(self, name, value)
        if self.step_seconds > self.segment_seconds:
            requirement = f"at most segment_seconds, {self.segment_seconds:g}"
            raise InputError("step_seconds", requirement, f"{self.step_seconds:g}")

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> REPETExtendedModel:
        """Return the period of each segment.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` after each segment. What it returns makes no difference.

        Returns
        -------
        REPETExtendedModel
            With the periods and the segments.
        """
        segments, _, periods = self._piecewise(spectrogram, self.segment_seconds, self.step_seconds, callback)
        hop_seconds = self.stft.hop_length / spectrogram.sample_rate
        return REPETExtendedModel(
            periods=tuple(period * hop_seconds for period in periods),
            segments=segments,
            cutoff_hertz=self.cutoff_hertz,
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class REPETExtendedModel(BackgroundModel):
    """The periods of a `REPETExtended`, and the segments that have them.

    Parameters
    ----------
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.
    periods : tuple of float
        Of each segment, in seconds.
    segments : tuple of (int, int)
        The first frame of each segment, and the one after its last.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=26.0, sample_rate=8000)
    >>> model = dspsep.REPETExtended(segment_seconds=13.0).separate(scene.mixture, scene.sample_rate).model
    >>> len(model.periods), len(model.segments)
    (3, 3)
    """

    periods: tuple[float, ...]
    segments: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "segments", tuple(tuple(segment) for segment in self.segments))
        if not self.periods or len(self.periods) != len(self.segments):
            raise InputError("periods", "one for each segment", f"{len(self.periods)}")
        for period in self.periods:
            _checks.number("periods", period, minimum=0, above=True)
        for segment in self.segments:
            start, stop = (_checks.integer("segments", place, minimum=0) for place in segment)
            if start >= stop:
                raise InputError("segments", "of at least one frame each", f"{segment}")

    def background(self, spectrogram: Spectrogram) -> Array:
        """Return the share of what repeats, by the weights of the segments.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from.

        Returns
        -------
        array of shape (n_channels, n_freqs, n_frames)
            In [0, 1].

        Raises
        ------
        InputError
            If it has another number of frames than the segments.
        """
        check_fits(spectrogram, self.segments[-1][1])
        xp = _backend.namespace(spectrogram.values)
        V = xp.permute_dims(spectrogram.magnitude(), (0, 2, 1))
        share = xp.zeros_like(V)
        weights = weights_of(self.segments)
        for (start, stop), period, weight in zip(self.segments, self.periods, weights, strict=True):
            found = repeats_of_period(spectrogram.n_frames_in(period), stop - start)
            repeats = Repeats(*(_backend.asarray_like(part, V) for part in found))
            part = repeating_share(V[:, start:stop, :], repeats)
            fade = xp.astype(_backend.asarray_like(weight, V), V.dtype)
            share[:, start:stop, :] += fade[None, :, None] * part
        # The weights sum to one, but for rounding.
        background: Array = xp.permute_dims(xp.clip(share, 0, 1), (0, 2, 1))
        return background

    def _pictures(self) -> Pictures:
        return {"periods": Recipe(self._periods), **self._mask_pictures()}

    def _periods(self, scale: Scale) -> Picture:
        hop = scale.hop_seconds
        segments = [(start * (hop or 1), stop * (hop or 1)) for start, stop in self.segments]
        return picture("periods", self.periods, segments, seconds=hop is not None)


def weights_of(segments: tuple[tuple[int, int], ...]) -> list[Array]:
    """Return the weights of segments that overlap: triangles, brought to a sum of one; NumPy."""
    total = np.zeros(segments[-1][1])
    triangles = []
    for start, stop in segments:
        place = np.arange(1, stop - start + 1)
        triangle = np.minimum(place, place[::-1]).astype(np.float64)
        # Where a segment is alone, at both ends, that comes to a weight of one.
        triangles.append(triangle)
        total[start:stop] += triangle
    return [triangle / total[start:stop] for triangle, (start, stop) in zip(triangles, segments, strict=True)]
