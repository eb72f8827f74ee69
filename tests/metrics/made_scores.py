"""Scores made by hand, for the tests of results."""

from __future__ import annotations

from typing import Any

import numpy as np

from dspsep.metrics import Scores, TrackScores

NAN, INF = float("nan"), float("inf")

PROTOCOL = {"name": "by hand", "window_seconds": 1.0, "over_windows": "median", "over_tracks": "median"}

#: Names that are more than names somewhere.
HOSTILE = (
    "<script>alert(1)</script>",
    'a"b\'c & <i>',
    "=HYPERLINK(A1)",
    "+1", "-2", "@SUM(A1)", "\t=1", " =1", "＝1",
    "a|b", "*bold* _it_ `code` [x](y) https://e.vil #1 !a ~~s~~ $x$",
    "\\input{/etc/passwd}", "100% & 50_a^b~c{d}", "[5mm]", "*star",
    "two\nlines\r\n", "a,b;c", "\u202eright\u202c to left", "\x00\x1b[31mred", "\ud800", "\u2028",
    "", " ", "ünï → 歌 🎤 é",
)  # fmt: skip


def track(values: Any = None, **changes: Any) -> TrackScores:
    """Return a valid track of two sources, two metrics and as many windows as `values` has."""
    if values is None:
        values = [[[1.0, 2.0, 6.0], [NAN, 4.0, 5.0]], [[-INF, 0.0, INF], [NAN, NAN, NAN]]]
    n_sources, n_metrics, n_windows = np.shape(values)
    settings: dict[str, Any] = {
        "track": "Song",
        "sources": ("voice", "band", "noise")[:n_sources],
        "metrics": ("SDR", "SIR", "SAR")[:n_metrics],
        "values": values,
        "starts": np.arange(n_windows) * 1.0,
        "durations": np.ones(n_windows),
        "duration": float(n_windows),
        "protocol": PROTOCOL,
    }
    return TrackScores(**{**settings, **changes})


def one_source(*per_track: list[float], **changes: Any) -> Scores:
    """Return the scores of one source and metric: the windows of each track, named "0", "1", …."""
    return Scores(
        tuple(track([[windows]], track=f"{index}", **changes) for index, windows in enumerate(per_track))
    )
