"""The scores of one track: a value, checked when it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, final

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.errors import InputError
from dspsep.metrics import _plain_data
from dspsep.metrics._aggregation import OVER_TRACKS, OVER_WINDOWS

__all__ = ["TrackScores", "check_comparable", "chosen", "described", "listed", "position"]


class _NoSuchNameError(InputError, KeyError):
    """A source, metric or track that there are no scores of."""


def listed(names: tuple[str, ...]) -> str:
    """Return names as errors list them: the first twenty, quoted."""
    more = f", … ({len(names)} in all)" if len(names) > 20 else ""
    return ", ".join(repr(name)[:80] for name in names[:20]) + more


def position(kind: str, name: object, names: tuple[str, ...]) -> int:
    """Return where `name` stands among `names`; an error lists those there are."""
    if isinstance(name, str) and name in names:
        return names.index(name)
    raise _NoSuchNameError(kind, f"one of {listed(names)}", repr(name)[:80])


@final
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TrackScores:
    """The scores of one track: every source, metric and window, and how they came about.

    A value: arrays are read-only copies, and two are equal if all their content is, NaN being equal to NaN.

    Parameters
    ----------
    track : str, default=""
        The name of the track, empty if it has none.
    sources : tuple of str
        The references that were scored.
    metrics : tuple of str
        What was computed, all in decibels: ``("SDR", "ISR", "SIR", "SAR")``, for example.
    values : array of shape (n_sources, n_metrics, n_windows)
        The scores in double precision. NaN where one is undefined; they may be infinite.
    starts : array of shape (n_windows,)
        Where the windows begin, in seconds.
    durations : array of shape (n_windows,)
        How long they are, in seconds.
    duration : float
        The length of the whole track in seconds, which is its weight in length-weighted means.
    protocol : mapping of str to plain data
        How the scores came about. It must have a ``name``, ``over_windows`` ("median" or "mean") and
        ``over_tracks`` ("median", "mean" or "weighted mean"), which say how they become one number; the rest
        is what it takes to compute them again. Sequences in it become tuples.
    estimates : tuple of str, optional
        For each source, the name of the estimate that it was compared with: the source's own, unless given.
    details : mapping of str to plain data, optional
        Whatever else is worth keeping, such as a condition number.

    Raises
    ------
    InputError
        If shapes do not agree, names repeat, times are not finite, or the protocol is incomplete.

    See Also
    --------
    Scores : One or many tracks, with means, tables and files.

    Examples
    --------
    >>> from dspsep.metrics import TrackScores
    >>> TrackScores(
    ...     track="Song",
    ...     sources=("voice", "band"),
    ...     metrics=("SDR",),
    ...     values=[[[6.0, 8.0]], [[11.0, float("nan")]]],
    ...     starts=[0.0, 1.0],
    ...     durations=[1.0, 1.0],
    ...     duration=2.0,
    ...     protocol={"name": "by hand", "over_windows": "median", "over_tracks": "median"},
    ... )
    TrackScores('Song'; SDR of voice, band; 2 windows)
    """

    track: str = ""
    sources: tuple[str, ...]
    metrics: tuple[str, ...]
    values: FloatArray
    starts: FloatArray
    durations: FloatArray
    duration: float
    protocol: Mapping[str, Any]
    estimates: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.track, str):
            raise InputError("track", "a string", f"a {type(self.track).__name__}")
        for name in ("sources", "metrics"):
            self._set(name, _names(name, getattr(self, name), unique=True))
        given = self.sources if self.estimates in ((), []) else self.estimates
        self._set("estimates", _names("estimates", given, unique=False))
        if len(self.estimates) != len(self.sources):
            raise InputError(
                "estimates", f"one for each of the {len(self.sources)} sources", len(self.estimates)
            )
        starts = _times("starts", self.starts)
        self._set("starts", starts)
        self._set("durations", _times("durations", self.durations, positive=True))
        if self.durations.shape != starts.shape:
            raise InputError(
                "durations", f"one for each of the {starts.size} starts", f"{self.durations.size}"
            )
        self._set("values", _numbers("values", self.values))
        shape = (len(self.sources), len(self.metrics), starts.size)
        if self.values.shape != shape:
            raise InputError(
                "values", f"of shape (n_sources, n_metrics, n_windows), {shape}", f"shape {self.values.shape}"
            )
        self._set("duration", _checks.number("duration", self.duration, minimum=0))
        self._set("protocol", _protocol(self.protocol))
        self._set("details", _plain_data.frozen_mapping("details", self.details))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def n_windows(self) -> int:
        """The number of windows, with those in which nothing is defined."""
        return int(self.starts.size)

    def windows(self, source: str, metric: str) -> FloatArray:
        """Return the scores of the windows, in order: read-only, NaN where undefined.

        Parameters
        ----------
        source, metric : str
            One of `sources` and one of `metrics`.

        Returns
        -------
        array of shape (n_windows,)
            In decibels.

        Raises
        ------
        InputError
            If there is no such source or metric; the error lists those there are, and is a KeyError, too.
        """
        row = position("source", source, self.sources), position("metric", metric, self.metrics)
        found: FloatArray = self.values[row]
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrackScores):
            return NotImplemented
        return all(_alike(getattr(self, item.name), getattr(other, item.name)) for item in fields(self))

    def __hash__(self) -> int:
        # Part of the content is enough for a hash, and spares a pass over the numbers.
        return hash((self.track, self.sources, self.metrics, self.n_windows, self.duration))

    def __repr__(self) -> str:
        name = f"{self.track!r}; " if self.track else ""
        of = f"{', '.join(self.metrics)} of {', '.join(self.sources)}"
        return f"TrackScores({name}{of}; {self.n_windows} window{'' if self.n_windows == 1 else 's'})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Read-only mappings cannot be pickled; the plain data that they show can.
        return _restored, (
            {item.name: _plain_data.thawed(getattr(self, item.name)) for item in fields(self)},
        )


def _restored(content: dict[str, Any]) -> TrackScores:
    return TrackScores(**content)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    return _plain_data.same(one, other)


def _names(name: str, given: object, *, unique: bool) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, (tuple, list)) or not given:
        raise InputError(name, "a tuple of at least one name", repr(given)[:60])
    for item in given:
        if not isinstance(item, str):
            raise InputError(name, "a tuple of strings", f"a {type(item).__name__} among them")
    if unique and len(set(given)) < len(given):
        repeated = Counter(given).most_common(1)[0][0]
        raise InputError(name, "names that are all different", f"{repeated!r} more than once"[:80])
    return tuple(given)


def _numbers(name: str, given: object) -> FloatArray:
    """Return a read-only copy of real numbers in double precision."""
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise InputError(name, "a rectangular array of numbers", f"a {type(given).__name__}") from error
    if array.dtype.kind not in "iuf":
        raise InputError(name, "an array of real numbers", f"dtype {array.dtype}")
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _times(name: str, given: object, *, positive: bool = False) -> FloatArray:
    array = _numbers(name, given)
    if array.ndim != 1:
        raise InputError(name, "of shape (n_windows,)", f"shape {array.shape}")
    bad = ~np.isfinite(array) | ((array <= 0) if positive else (array < 0))
    if bad.any():
        sign = "above 0" if positive else "of at least 0"
        raise InputError(name, f"finite numbers {sign}, in seconds", f"{array[bad][0]:g} among them")
    return array


def _protocol(given: object) -> Mapping[str, Any]:
    protocol = _plain_data.frozen_mapping("protocol", given)
    if not isinstance(protocol.get("name"), str):
        raise InputError("protocol['name']", "a string that says what was computed", protocol.get("name"))
    for key, options in (("over_windows", OVER_WINDOWS), ("over_tracks", OVER_TRACKS)):
        _checks.choice(f"protocol[{key!r}]", protocol.get(key), options)
    return protocol


def chosen(tracks: tuple[TrackScores, ...], track: str | None) -> tuple[TrackScores, ...]:
    """Return the track of this name alone, or all for None."""
    if track is None:
        return tracks
    return (tracks[position("track", track, tuple(one.track for one in tracks))],)


def described(protocol: Mapping[str, Any]) -> str:
    """Return a protocol's name and settings in a line, without what tables tell otherwise."""
    apart = ("name", "version", "over_windows", "over_tracks", "sources")
    settings = [
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in protocol.items()
        if key not in apart and value is not None and value is not False
    ]
    return str(protocol["name"]) + (f" ({', '.join(settings)})" if settings else "")


def check_comparable(first: TrackScores, other: TrackScores) -> None:
    """Refuse to put a track beside the first of several if its scores mean something else."""
    if set(other.sources) != set(first.sources):
        raise InputError(
            "tracks",
            f"scored for the same sources, {listed(first.sources)}",
            f"{listed(other.sources)} in {other.track!r}",
            "Scores of a source depend on the sources that are scored with it: use one set for all tracks.",
        )
    if set(other.metrics) != set(first.metrics):
        raise InputError(
            "tracks",
            f"scored by the same metrics, {listed(first.metrics)}",
            f"{listed(other.metrics)} in {other.track!r}",
        )
    keys = first.protocol.keys() | other.protocol.keys()
    for key in sorted(keys, key=lambda key: (key != "name", key)):  # the name says most
        one, two = (_unordered(key, track.protocol.get(key)) for track in (first, other))
        if not _plain_data.same(one, two):
            raise InputError(
                "tracks",
                f"scored by one protocol, with {key} {str(one)[:80]!r}",
                f"{str(two)[:80]!r} in {other.track!r}",
                "Score all tracks in the same way, or keep their scores apart.",
            )


def _unordered(key: str, value: Any) -> Any:
    """Return a part of a protocol; the order in which sources were given says nothing."""
    return tuple(sorted(value, key=repr)) if key == "sources" and isinstance(value, tuple) else value
