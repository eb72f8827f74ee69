"""What a results folder tells of methods, tracks, and what became of one on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from dspsep.metrics import Scores

__all__ = ["BenchmarkMethod", "BenchmarkTrack", "Record", "Timing"]


@final
@dataclass(frozen=True, kw_only=True)
class BenchmarkMethod:
    """A method of a benchmark, as the results folder tells it.

    Parameters
    ----------
    name : str
        What it is called in tables.
    kind : str
        "separator", "oracle" (it was given the true sources) or "mixture" (the untouched mixture).
    settings : str, optional
        What `Separator.to_json` gave, where there is such a thing.
    text : str
        How it prints.
    counted : bool, default=False
        Whether it was told the number of sources of each track.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkMethod
    >>> method = BenchmarkMethod(name="mixture", kind="mixture", settings=None, text="mixture")
    >>> method.counted
    False
    """

    name: str
    kind: str
    settings: str | None
    text: str
    counted: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class BenchmarkTrack:
    """A track of a benchmark, as the results folder tells it.

    Parameters
    ----------
    name : str
        Unique among the tracks.
    content : str
        The SHA-256 of its audio.
    seconds : float
        Its length.
    channels : int
        Of its mixture.
    sample_rate : float
        In hertz.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkTrack
    >>> track = BenchmarkTrack(name="loop", content="0" * 64, seconds=2.0, channels=1, sample_rate=44100)
    >>> track.name, track.seconds
    ('loop', 2.0)
    """

    name: str
    content: str
    seconds: float
    channels: int
    sample_rate: float


@final
@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one method on one track.

    Parameters
    ----------
    method, track : str
        Their names.
    status : str
        "done", "failed" (an error) or "unfit" (the method does not take such tracks).
    message : str
        Why, unless it is done.
    scores : Scores, optional
        Of this track, if it is done.
    matching : str, optional
        How estimates and sources were put together: by "name", or by the "best" score.
    matched : mapping of str to str
        For each source, the estimate it was compared with.
    warnings : tuple of pairs of str
        Code and message of what dspsep warned of.

    Examples
    --------
    >>> from dspsep.bench import Record
    >>> record = Record(
    ...     method="DUET",
    ...     track="loop",
    ...     status="unfit",
    ...     message="it is mono",
    ...     scores=None,
    ...     matching=None,
    ...     matched={},
    ...     warnings=(),
    ... )
    >>> record.status, record.message
    ('unfit', 'it is mono')
    """

    method: str
    track: str
    status: str
    message: str
    scores: Scores | None
    matching: str | None
    matched: Mapping[str, str]
    warnings: tuple[tuple[str, str], ...]


@final
@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one method took on one track, in seconds.

    Parameters
    ----------
    method, track : str
        Their names.
    seconds : float
        Of separation, by the clock on the wall.
    score_seconds : float
        Of scoring.
    audio_seconds : float
        The length of the track.
    cpu : str
        The processor, as far as it is known.

    Examples
    --------
    >>> from dspsep.bench import Timing
    >>> timing = Timing(
    ...     method="HPSS", track="loop", seconds=0.5, score_seconds=1.0, audio_seconds=30.0, cpu="unknown"
    ... )
    >>> timing.audio_seconds / timing.seconds
    60.0
    """

    method: str
    track: str
    seconds: float
    score_seconds: float
    audio_seconds: float
    cpu: str
