"""What comes of reading a track: its audio, or what the headers say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from dspsep._typing import Array
from dspsep.sources import Sources

__all__ = ["LoadedTrack", "TrackInfo"]


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoadedTrack:
    """The audio of a track.

    It has what a `dspsep.data.scenes.Scene` has, and promises less: where the mixture is a file of its own,
    for example a mastered one, the sources need not sum to it.

    Parameters
    ----------
    name : str
        That of the track.
    mixture : array of shape (n_channels, n_samples), float32
        The file of the mixture or, where there is none, the sum of the sources.
    sources : Sources
        The true sources by name, each of the mixture's shape.
    sample_rate : float
        In hertz.

    Examples
    --------
    >>> from dspsep.data.scenes import drum_loop
    >>> from dspsep.data.tracks import LoadedTrack
    >>> loop = drum_loop(duration=1.0, sample_rate=8000)
    >>> LoadedTrack(name="loop", mixture=loop.mixture, sources=loop.sources, sample_rate=loop.sample_rate)
    LoadedTrack('loop': kick, snare, hihat; mono, 8000 samples at 8000 Hz)
    """

    name: str
    mixture: Array
    sources: Sources
    sample_rate: float

    def __repr__(self) -> str:
        return f"LoadedTrack({self.name!r}: " + repr(self.sources).removeprefix("Sources(")


@final
@dataclass(frozen=True, kw_only=True)
class TrackInfo:
    """What the headers of a track's files say about it.

    Parameters
    ----------
    n_samples : int
        Per channel, of the excerpt.
    n_channels : int
        The number of channels.
    sample_rate : float
        In hertz.

    Examples
    --------
    >>> from dspsep.data.tracks import TrackInfo
    >>> TrackInfo(n_samples=88200, n_channels=2, sample_rate=44100).duration
    2.0
    """

    n_samples: int
    n_channels: int
    sample_rate: float

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.n_samples / self.sample_rate
