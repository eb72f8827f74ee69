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
    """

    n_samples: int
    n_channels: int
    sample_rate: float

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.n_samples / self.sample_rate
