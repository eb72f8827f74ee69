"""What metrics return: the scores of tracks, sources and windows, and how they become one number.

`TrackScores` holds the numbers of one track with the protocol that gave them; `Scores` holds one or many
tracks, and is what metric functions return. It never mixes scores that cannot be compared, and never shows
an average without its spread and the number of windows it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from dspsep.errors import InputError
from dspsep.metrics._track_scores import TrackScores

__all__ = ["Scores", "TrackScores"]


@final
@dataclass(frozen=True, repr=False)
class Scores:
    """The scores of one or many tracks, all by one protocol.

    Parameters
    ----------
    tracks : tuple of TrackScores
        At least one, all with different names, and with the same sources, metrics and protocol.

    Raises
    ------
    InputError
        If two tracks have one name, or cannot be compared.
    """

    tracks: tuple[TrackScores, ...]

    def __post_init__(self) -> None:
        given = self.tracks
        if not isinstance(given, (tuple, list)) or not given:
            raise InputError("tracks", "a tuple of at least one TrackScores", repr(given)[:60])
        for track in given:
            if not isinstance(track, TrackScores):
                raise InputError("tracks", "a tuple of TrackScores", f"a {type(track).__name__} among them")
        object.__setattr__(self, "tracks", tuple(given))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, in the order of the first track."""
        return self.tracks[0].sources

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, in the order of the first track."""
        return self.tracks[0].metrics

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How the scores came about: read-only, the same for all tracks."""
        return self.tracks[0].protocol

    @property
    def n_tracks(self) -> int:
        """The number of tracks."""
        return len(self.tracks)
