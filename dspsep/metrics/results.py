"""What metrics return: the scores of tracks, sources and windows, and how they become one number.

`TrackScores` holds the numbers of one track with the protocol that gave them; `Scores` holds one or many
tracks, and is what metric functions return. It never mixes scores that cannot be compared, and never shows
an average without its spread and the number of windows that are left out of it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.errors import InputError
from dspsep.metrics import _aggregation, _museval, _scores_json
from dspsep.metrics._exports import Exports
from dspsep.metrics._summary import Summary, summarise
from dspsep.metrics._track_scores import TrackScores, check_comparable, chosen

__all__ = ["Scores", "Summary", "TrackScores"]


@final
@dataclass(frozen=True, repr=False)
class Scores(Exports):
    """The scores of one or many tracks, all by one protocol.

    Indexed by a source it gives the headline numbers of its metrics, and by a source and a metric one number.
    It prints as a table (see `summary`), in notebooks, too.

    Parameters
    ----------
    tracks : tuple of TrackScores
        At least one, all with different names, and with the same sources, metrics and protocol.

    Raises
    ------
    InputError
        If two tracks have one name, or cannot be compared.

    See Also
    --------
    TrackScores : The numbers of one track.

    Notes
    -----
    The scores of a source change with the set of sources that are scored with it, because whatever of an
    estimate resembles another source counts as interference: vocals against three stems and vocals against
    one accompaniment are two tasks, and are not joined.

    Examples
    --------
    >>> from dspsep.metrics import Scores, TrackScores
    >>> protocol = {"name": "by hand", "over_windows": "median", "over_tracks": "mean"}
    >>> one, two = (
    ...     Scores((TrackScores(
    ...         track=name, sources=("voice", "band"), metrics=("SDR",), values=[[voice], [band]],
    ...         starts=[0.0, 1.0], durations=[1.0, 1.0], duration=2.0, protocol=protocol,
    ...     ),))
    ...     for name, voice, band in (
    ...         ("First", [6.0, 8.0], [11.0, float("nan")]), ("Second", [1.0, 3.0], [12.0, 14.0])
    ...     )
    ... )  # fmt: skip
    >>> both = one + two
    >>> both
    Scores(2 tracks; SDR of voice, band; by hand)
    >>> both["voice", "SDR"], both["band"], both.value("voice", "SDR", track="First")
    (4.5, {'SDR': 12.0}, 7.0)
    >>> print(both)
    source  metric  score  median   mean   std    min    max  tracks  undefined  windows  dropped
    voice   SDR      4.50    4.50   4.50  3.54   2.00   7.00       2          0        4        0
    band    SDR     12.00   12.00  12.00  1.41  11.00  13.00       2          0        4        1
    by hand: median over windows, mean over 2 tracks; median to max are over tracks; in dB
    """

    tracks: tuple[TrackScores, ...]

    def __post_init__(self) -> None:
        given = self.tracks
        if not isinstance(given, (tuple, list)) or not given:
            raise InputError("tracks", "a tuple of at least one TrackScores", repr(given)[:60])
        names = set()
        for track in given:
            if not isinstance(track, TrackScores):
                raise InputError("tracks", "a tuple of TrackScores", f"a {type(track).__name__} among them")
            check_comparable(given[0], track)
            if track.track in names:
                raise InputError(
                    "tracks",
                    "of different names",
                    f"two of the name {track.track!r}"[:120],
                    "Name the track where it is scored (track='…'); the same track is not scored twice.",
                )
            names.add(track.track)
        object.__setattr__(self, "tracks", tuple(given))

    @classmethod
    def join(cls, scores: Iterable[Scores]) -> Scores:
        """Return the tracks of several scores as one, in order; ``a + b`` does so for two.

        Parameters
        ----------
        scores : iterable of Scores
            At least one.

        Returns
        -------
        Scores
            All tracks, nothing recomputed.

        Raises
        ------
        InputError
            If protocols, metrics or sets of sources differ, or if two tracks have one name.
        """
        given = tuple(scores) if isinstance(scores, Iterable) else ()
        if not given or not all(isinstance(item, Scores) for item in given):
            raise InputError("scores", "an iterable of at least one Scores", repr(scores)[:60])
        return cls(tuple(itertools.chain.from_iterable(item.tracks for item in given)))

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.tracks + other.tracks) if isinstance(other, Scores) else NotImplemented

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

    def value(self, source: str, metric: str, track: str | None = None) -> float:
        """Return the headline number: windows aggregated, then tracks, as the protocol says.

        Parameters
        ----------
        source, metric : str
            One of `sources` and one of `metrics`.
        track : str, optional
            Return the number of this track alone.

        Returns
        -------
        float
            In decibels. NaN if nothing is defined; undefined windows and tracks are left out, infinite ones
            count.

        Raises
        ------
        InputError
            If there is no such source, metric or track; the error lists those there are, and is a KeyError,
            too.
        """
        tracks = chosen(self.tracks, track)
        how = str(self.protocol["over_windows"])
        scores = [_aggregation.over_windows(one.windows(source, metric), how) for one in tracks]
        durations = np.array([one.duration for one in tracks])
        return _aggregation.over_tracks(np.array(scores), durations, str(self.protocol["over_tracks"]))

    def windows(self, source: str, metric: str, track: str | None = None) -> FloatArray:
        """Return the scores of the windows of one track, or of all, one track after the other.

        Parameters
        ----------
        source, metric : str
            One of `sources` and one of `metrics`.
        track : str, optional
            The name of a track.

        Returns
        -------
        array of shape (n_windows,)
            In decibels; NaN where undefined.

        Raises
        ------
        InputError
            If there is no such source, metric or track.
        """
        return np.concatenate([one.windows(source, metric) for one in chosen(self.tracks, track)])

    def of_track(self, track: str) -> Scores:
        """Return the scores of one track.

        Parameters
        ----------
        track : str
            Its name.

        Returns
        -------
        Scores
            Of that track alone, with tables and files like any.

        Raises
        ------
        InputError
            If there is no such track; the error lists those there are.
        """
        return Scores(chosen(self.tracks, track))

    def summary(self, over_windows: str | None = None, over_tracks: str | None = None) -> Summary:
        """Return one number for each source and metric, with its spread and what is left out of it.

        Parameters
        ----------
        over_windows : {"median", "mean"}, optional
            How the windows of a track become its score, if not as the protocol says.
        over_tracks : {"median", "mean", "weighted mean"}, optional
            How the scores of tracks become one number, if not as the protocol says. The weights are the
            durations of the tracks.

        Returns
        -------
        Summary
            Rows that print as a table. Median, mean, deviation, minimum and maximum are over tracks where
            there is more than one, else over windows.

        Raises
        ------
        InputError
            If one is none of these.
        """
        ways = {"over_windows": over_windows, "over_tracks": over_tracks}
        options = {"over_windows": _aggregation.OVER_WINDOWS, "over_tracks": _aggregation.OVER_TRACKS}
        found = {
            name: str(self.protocol[name]) if way is None else _checks.choice(name, way, options[name])
            for name, way in ways.items()
        }
        return summarise(self.tracks, **found)

    def __getitem__(self, key: str | tuple[str, str]) -> Any:
        if isinstance(key, tuple) and len(key) == 2:
            return self.value(*key)
        return {metric: self.value(key, metric) for metric in self.metrics}

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __contains__(self, source: object) -> bool:
        return source in self.sources

    def keys(self) -> tuple[str, ...]:
        """Return the names of the sources, so that ``dict(scores)`` has the headline numbers of all."""
        return self.sources

    @classmethod
    def from_museval(
        cls,
        scores: Mapping[str, Any] | str | os.PathLike[str],
        *,
        track: str | None = None,
        duration: float | None = None,
    ) -> Scores:
        """Return the scores in a JSON file of museval's: those of SiSEC 2018, for example.

        Parameters
        ----------
        scores : path or mapping
            The file, or what ``json.load`` made of it.
        track : str, optional
            The name of the track, which is not in the file; by default the file's name without extension.
        duration : float, optional
            The length of the track in seconds, which is not in the file either; by default the end of the
            last window. Needed where the one window of a file has no end.

        Returns
        -------
        Scores
            One track. The protocol is named ``museval``, since a file does not say which version of BSS Eval
            gave its scores. Metrics that a frame lacks are NaN there.

        Raises
        ------
        InputError
            If the file cannot be read, is larger than 50 MB, or does not keep to the schema.
        """
        return cls((_museval.read(scores, track, duration),))

    @classmethod
    def from_json(cls, text: str | bytes) -> Scores:
        """Return the scores that `to_json` wrote.

        Parameters
        ----------
        text : str or bytes
            At most 100 MB. It is checked in full, since it may come from anyone.

        Returns
        -------
        Scores
            Equal to those that were written.

        Raises
        ------
        InputError
            If it is anything else.
        """
        return cls(_scores_json.loads(text))

    def __repr__(self) -> str:
        tracks = "1 track" if self.n_tracks == 1 else f"{self.n_tracks} tracks"
        of = f"{', '.join(self.metrics)} of {', '.join(self.sources)}"
        return f"Scores({tracks}; {of}; {self.protocol['name']})"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()
