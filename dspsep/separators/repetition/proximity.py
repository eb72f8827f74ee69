"""Proximity kernels: which bins of a spectrogram a source is alike in.

A kernel says, for every bin, which others are near it: those where a source of that kind has about the same
magnitude. A median over them keeps what such a source has, and drops what is heard in less than half of them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._frozen_array import FrozenArray
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.separators.repetition._backfitting import medians_of_pattern
from dspsep.separators.repetition._proximity import (
    MOST_BINS,
    ProximityKernel,
    check_lengths,
    known_length,
    make_plain,
    n_bins_of,
    n_frames_of,
)
from dspsep.separators.repetition.repet import repeats_of_period
from dspsep.stft import STFT

__all__ = ["Cross", "Horizontal", "Pattern", "Periodic", "ProximityKernel", "Vertical"]

_MOST_REPEATS = 1_001
# Of all rows of a pattern, from the first frame that is near to the last.
_MOST_SPREAD = 4 * MOST_BINS


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Periodic(ProximityKernel):
    """What is a whole number of periods away: for what repeats.

    Parameters
    ----------
    period_seconds : float, optional
        The period. By default it is found, by the beat spectrum of the mixture; where several kernels have
        none given, the best is that of the first, the next best that of the second, and so on.
    period_frames : int, optional
        The same in frames.
    n_repeats : int or None, default=5
        How many bins are near: a frame, and as many before as after it, so it is odd. None for all that
        there are, as in `REPET`.

    Raises
    ------
    InputError
        If a setting is out of range, or the period is given in both units.

    See Also
    --------
    KAM : Separation by kernels.

    Notes
    -----
    At the ends of the mixture, where there are no frames before or after, the median is of fewer.

    Examples
    --------
    >>> from dspsep import STFT, Periodic
    >>> Periodic(period_seconds=2.0).counted(STFT(2048, 512), 44100)
    Periodic(period_frames=172)
    """

    period_seconds: float | None = None
    period_frames: int | None = None
    n_repeats: int | None = 5

    def __post_init__(self) -> None:
        check_lengths(self, ("period_seconds", "period_frames"), needed=False)
        make_plain(self)
        if self.n_repeats is not None:
            n_repeats = _checks.integer("n_repeats", self.n_repeats, minimum=3, maximum=_MOST_REPEATS)
            if n_repeats % 2 == 0:
                raise InputError("n_repeats", "odd: a frame, and as many before as after it", f"{n_repeats}")

    def counted(self, stft: STFT, sample_rate: float) -> Periodic:
        """Return the same with its period in frames, if that is given."""
        if self.period_seconds is None:
            return self
        return self.of(stft.n_frames_in(self.period_seconds, sample_rate))

    def of(self, period_frames: int) -> Periodic:
        """Return the same with another period, in frames."""
        return Periodic(period_frames=period_frames, n_repeats=self.n_repeats)

    def medians(self, values: Array) -> Array:
        """Return the medians over frames that are whole periods apart."""
        if self.period_frames is None:
            raise InputError("period_frames", "given, or found by KAM, to take medians", "None")
        xp = _backend.namespace(values)
        median_of_frames = kernels_for(values).median_of_frames
        n_frames = values.shape[1]
        if self.n_repeats is None:
            lists, of = (
                _backend.asarray_like(part, values)
                for part in repeats_of_period(self.period_frames, n_frames)
            )
            repeated: Array = xp.take(median_of_frames(values, lists), of, axis=1)
            return repeated
        half = self.n_repeats // 2
        near = np.arange(n_frames)[:, None] + self.period_frames * np.arange(-half, half + 1)
        near = np.where((near >= 0) & (near < n_frames), near, -1)
        return median_of_frames(values, _backend.asarray_like(near, values))

    def reach(self) -> int | None:
        """Return how many frames away what is near may be; None where the settings do not tell."""
        if self.period_frames is None or self.n_repeats is None:
            return None
        return self.period_frames * (self.n_repeats // 2)


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Horizontal(ProximityKernel):
    """What is before and after, in the same bin: for notes that last.

    Parameters
    ----------
    seconds : float, optional
        How long it is in all. What lasts less than half of it is dropped.
    frames : int, optional
        The same in frames: one of the two is given. Even numbers become the next odd one.

    Raises
    ------
    InputError
        If the length is not given, given in both units, or out of range.

    See Also
    --------
    KAM : Separation by kernels.
    HPSS : A separator of this kernel and the vertical one.

    Notes
    -----
    Edges are mirrored, the edge repeated.

    Examples
    --------
    >>> from dspsep import STFT, Horizontal
    >>> Horizontal(seconds=1.0).counted(STFT(2048, 512), 44100)
    Horizontal(frames=87)
    """

    seconds: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        check_lengths(self, ("seconds", "frames"))
        make_plain(self)

    def counted(self, stft: STFT, sample_rate: float) -> Horizontal:
        """Return the same in an odd number of frames."""
        return Horizontal(frames=n_frames_of(self.seconds, self.frames, stft, sample_rate))

    def medians(self, values: Array) -> Array:
        """Return the running medians over frames."""
        return kernels_for(values).median_over_time(values, known_length("frames", self.frames))

    def reach(self) -> int | None:
        """Return half of the length, in frames."""
        return None if self.frames is None else self.frames // 2


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Vertical(ProximityKernel):
    """What is above and below, in the same frame: for strokes, which are broad.

    Parameters
    ----------
    hertz : float, optional
        How high it is in all. What is narrower than half of it is dropped.
    bins : int, optional
        The same in bins: one of the two is given. Even numbers become the next odd one.

    Raises
    ------
    InputError
        If the height is not given, given in both units, or out of range.

    See Also
    --------
    KAM : Separation by kernels.
    HPSS : A separator of this kernel and the horizontal one.

    Notes
    -----
    Edges are mirrored, the edge repeated.

    Examples
    --------
    >>> from dspsep import STFT, Vertical
    >>> Vertical(hertz=500.0).counted(STFT(2048, 512), 44100)
    Vertical(bins=23)
    """

    hertz: float | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        check_lengths(self, ("hertz", "bins"))
        make_plain(self)

    def counted(self, stft: STFT, sample_rate: float) -> Vertical:
        """Return the same in an odd number of bins."""
        return Vertical(bins=n_bins_of(self.hertz, self.bins, stft, sample_rate))

    def medians(self, values: Array) -> Array:
        """Return the running medians over bins."""
        return kernels_for(values).median_over_frequency(values, known_length("bins", self.bins))

    def reach(self) -> int:
        """Return that no other frame is near."""
        return 0


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Cross(ProximityKernel):
    """What is before and after, and what is above and below: for voices, which are smooth, and move.

    Parameters
    ----------
    seconds : float, optional
        How long the horizontal bar is in all.
    frames : int, optional
        The same in frames: one of the two is given. Even numbers become the next odd one.
    hertz : float, optional
        How high the vertical bar is in all.
    bins : int, optional
        The same in bins: one of the two is given. Even numbers become the next odd one.

    Raises
    ------
    InputError
        If a length is not given, given in both units, or out of range.

    See Also
    --------
    KAM : Separation by kernels.
    Pattern : Any other shape.

    Notes
    -----
    The bars share the bin itself, so an odd number is near. Edges are mirrored, the edge repeated.

    Examples
    --------
    >>> from dspsep import STFT, Cross
    >>> Cross(seconds=0.08, hertz=100.0).counted(STFT(2048, 512), 44100)
    Cross(frames=7, bins=5)
    """

    seconds: float | None = None
    frames: int | None = None
    hertz: float | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        check_lengths(self, ("seconds", "frames"), most=MOST_BINS)
        check_lengths(self, ("hertz", "bins"), most=MOST_BINS)
        make_plain(self)

    def counted(self, stft: STFT, sample_rate: float) -> Cross:
        """Return the same in odd numbers of frames and bins."""
        frames = n_frames_of(self.seconds, self.frames, stft, sample_rate)
        bins = n_bins_of(self.hertz, self.bins, stft, sample_rate)
        return Cross(frames=frames, bins=bins)

    def medians(self, values: Array) -> Array:
        """Return the medians over the cross around each bin."""
        long, high = known_length("frames", self.frames) // 2, known_length("bins", self.bins) // 2
        above = np.concatenate([np.arange(-high, 0), np.arange(1, high + 1)])
        bins = np.concatenate([np.zeros(2 * long + 1, np.int64), above])
        frames = np.concatenate([np.arange(-long, long + 1), np.zeros(2 * high, np.int64)])
        return medians_of_pattern(values, bins, frames)

    def reach(self) -> int | None:
        """Return half of the length, in frames."""
        return None if self.frames is None else self.frames // 2


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Pattern(ProximityKernel):
    """What a picture says: any bins around each.

    Parameters
    ----------
    values : array_like of shape (n_bins, n_frames)
        1 or True where a bin is near the one in the middle, else 0; odd numbers of bins and of frames, low
        bins and early frames first. Kept as a `FrozenArray`.

    Raises
    ------
    InputError
        If it is no such picture, or nothing is near.

    See Also
    --------
    KAM : Separation by kernels.

    Notes
    -----
    Edges are mirrored, the edge repeated. Of an even number of bins, the median is the mean of the two in the
    middle. With an odd number it is that of ``scipy.ndimage.median_filter`` with this ``footprint``.

    Examples
    --------
    A glide upwards:

    >>> import numpy as np
    >>> from dspsep import Pattern
    >>> Pattern(values=np.eye(5)).reach()
    2
    """

    values: FrozenArray

    def __post_init__(self) -> None:
        picture = _numbers(self.values)
        if picture.ndim != 2 or not all(size % 2 for size in picture.shape):
            raise InputError("values", "of odd numbers of bins and of frames", f"shape {picture.shape}")
        if max(picture.shape) > MOST_BINS:
            raise InputError("values", f"of at most {MOST_BINS} bins and frames", f"shape {picture.shape}")
        if not np.isin(picture, (0, 1)).all():
            raise InputError("values", "of 0 and 1", f"values from {picture.min():g} to {picture.max():g}")
        n_near = np.count_nonzero(picture)
        if not 1 <= n_near <= MOST_BINS:
            raise InputError("values", f"of 1 to {MOST_BINS} ones", f"{n_near}")
        _check_spread(picture != 0)
        object.__setattr__(self, "values", FrozenArray(picture.real.astype(np.int8)))

    def counted(self, stft: STFT, sample_rate: float) -> Pattern:
        """Return the same: it is in frames and bins."""
        return self

    def medians(self, values: Array) -> Array:
        """Return the medians over the pattern around each bin."""
        picture = self.values.values
        bins, frames = np.nonzero(picture)
        return medians_of_pattern(values, bins - picture.shape[0] // 2, frames - picture.shape[1] // 2)

    def reach(self) -> int:
        """Return half of its frames."""
        return int(self.values.values.shape[1]) // 2


def _numbers(values: Any) -> Any:
    """Return a picture as numbers; True is 1."""
    with suppress(ValueError):  # what is no rectangle, the next line refuses
        values = np.asarray(values, np.int8) if np.asarray(values).dtype == bool else values
    return FrozenArray(values).values


def _check_spread(near: Any) -> None:
    """Refuse a picture whose medians would fill the memory: all frames of a row lie side by side."""
    rows = near[near.any(axis=1)]
    first, last = rows.argmax(axis=1), rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    n_frames = int((last - first).sum())
    if n_frames > _MOST_SPREAD:
        requirement = f"of rows that span {_MOST_SPREAD} frames in sum, at most"
        raise InputError("values", requirement, f"{n_frames}", "Make it smaller.")
