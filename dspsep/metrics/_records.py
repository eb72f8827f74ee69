"""Scores as rows: one for each track, source, metric and window, with museval's names for columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from dspsep.errors import BackendError
from dspsep.metrics._track_scores import TrackScores, described

__all__ = ["COLUMNS", "frame", "records"]

#: ``time target metric score track`` are the columns of museval's data frames.
COLUMNS = ("track", "target", "estimate", "metric", "time", "duration", "score", "protocol")


def records(tracks: tuple[TrackScores, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all tracks."""
    for track in tracks:
        protocol = described(track.protocol)
        times = list(zip(track.starts.tolist(), track.durations.tolist(), strict=True))
        for source, estimate in zip(track.sources, track.estimates, strict=True):
            for metric in track.metrics:
                scores = track.windows(source, metric).tolist()
                for (time, duration), score in zip(times, scores, strict=True):
                    row = (track.track, source, estimate, metric, time, duration, score, protocol)
                    yield dict(zip(COLUMNS, row, strict=True))


def frame(tracks: tuple[TrackScores, ...]) -> Any:
    """Return the rows as a pandas DataFrame."""
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError as error:
        raise BackendError('to_frame needs pandas: pip install "dspsep[eval]".') from error
    return pandas.DataFrame.from_records(list(records(tracks)), columns=list(COLUMNS))
