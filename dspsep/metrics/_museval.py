"""Scores in the JSON of museval, in which those of SiSEC 2018 are published, and back.

A file holds one track::

    {"targets": [{"name": "vocals", "frames": [{"time": 0.0, "duration": 1.0, "metrics": {"SDR": 5.1, …}}]}]}

The schema that comes with museval lets metrics of other names stand beside the four of BSS Eval; its reader
needs all four, and looks past any other. Files come from anywhere: nothing in one is believed unchecked.

References
----------
F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018.
DOI 10.1007/978-3-319-93764-9_28
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep._version import __version__
from dspsep.errors import InputError
from dspsep.metrics._track_scores import TrackScores

__all__ = ["read", "written"]

#: The metrics of BSS Eval v4, in the order in which papers give them.
BSS_EVAL = ("SDR", "ISR", "SIR", "SAR")

#: museval keeps a hundredth of a millibel, and no infinity.
_DECIMALS = 5

#: Ten hours of windows of one second, for four sources, are 30 MB.
_MAX_BYTES = 50_000_000

#: Where every frame has metrics of its own, the table of all would be far larger than the file.
_MAX_METRICS = 32

_PROTOCOL = "museval"


def written(track: TrackScores) -> dict[str, Any]:
    """Return the scores of one track in the schema of museval."""
    metrics = dict.fromkeys((*BSS_EVAL, *track.metrics))
    targets = []
    for source in track.sources:
        rows = {
            metric: _kept(track.windows(source, metric) if metric in track.metrics else None, track.n_windows)
            for metric in metrics
        }
        times = zip(track.starts.tolist(), track.durations.tolist(), strict=True)
        frames = [
            {
                "time": start,
                "duration": duration,
                "metrics": {metric: rows[metric][index] for metric in metrics},
            }
            for index, (start, duration) in enumerate(times)
        ]
        targets.append({"name": source, "frames": frames})
    version = track.protocol.get("version") if track.protocol["name"] == _PROTOCOL else None
    return {
        "targets": targets,
        "museval_version": version if isinstance(version, str) else f"dspsep {__version__}",
    }


def _kept(values: FloatArray | None, n_windows: int) -> list[float]:
    """Return what museval keeps of scores: five decimals, and NaN for what is infinite or not there."""
    if values is None:
        return [math.nan] * n_windows
    return [round(value, _DECIMALS) if math.isfinite(value) else math.nan for value in values.tolist()]


def read(source: object, track: str | None, duration: float | None) -> TrackScores:
    """Return the scores in a file of museval's, or in a mapping read from one."""
    if duration is not None:
        duration = _checks.number("duration", duration, minimum=0, above=True)
    if isinstance(source, (str, os.PathLike)):
        content, name = _loaded(Path(source)), Path(source).stem
    else:
        content, name = source, ""
    targets = _list(_mapping("scores", content), "scores", "targets")
    if not targets:
        raise InputError("scores['targets']", "a list of at least one target", "an empty one")
    names, frames = [], []
    for index, target in enumerate(targets):
        where = f"scores['targets'][{index}]"
        names.append(_name(where, _mapping(where, target)))
        frames.append(_frames(where, target))
    times = _times(frames, duration)
    metrics = _metrics(frames)
    values = np.full((len(frames), len(metrics), len(times)), np.nan)
    for target, rows in zip(frames, values, strict=True):
        for index, (_, _, scores) in enumerate(target):
            rows[:, index] = [scores.get(metric, math.nan) for metric in metrics]
    version = content.get("museval_version")  # type: ignore[attr-defined]  # it is a mapping by now
    return TrackScores(
        track=name if track is None else track,
        sources=tuple(names),
        metrics=metrics,
        values=values,
        starts=times[:, 0],
        durations=times[:, 1],
        duration=float(times.sum(axis=1).max(initial=0.0)) if duration is None else duration,
        protocol=_protocol(names, times, version if isinstance(version, str) else None),
    )


def _loaded(path: Path) -> object:
    if not path.is_file():  # neither a folder, nor a pipe that never ends
        raise InputError("scores", "a JSON file of museval's", f"no file at {str(path)!r}"[:200])
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError("scores", "a JSON file of museval's", f"{str(path)!r} ({error})"[:200]) from error
    if len(text) > _MAX_BYTES:
        raise InputError("scores", f"at most {_MAX_BYTES // 10**6} MB", f"more in {str(path)!r}")
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("scores", "a JSON file of museval's", f"{str(path)!r} ({error})"[:200]) from error
    return content


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        remedy = "Pass museval's JSON as a mapping, or the path of its file." if where == "scores" else ""
        raise InputError(where, "a mapping", f"a {type(value).__name__}", remedy)
    return value


def _list(mapping: Mapping[str, Any], where: str, key: str) -> list[Any]:
    value = mapping.get(key)
    if not isinstance(value, list):
        raise InputError(f"{where}[{key!r}]", "a list", f"a {type(value).__name__}" if value else "none")
    return value


def _name(where: str, target: Mapping[str, Any]) -> str:
    name = target.get("name")
    if not isinstance(name, str):
        raise InputError(f"{where}['name']", "a string", f"a {type(name).__name__}")
    return name


def _frames(where: str, target: Mapping[str, Any]) -> list[tuple[float, float, dict[str, float]]]:
    found = []
    for index, frame in enumerate(_list(target, where, "frames")):
        at = f"{where}['frames'][{index}]"
        _mapping(at, frame)
        metrics = _mapping(f"{at}['metrics']", frame.get("metrics"))
        scores = {
            str(name): math.nan if score is None else _number(f"{at}['metrics'][{name!r}]"[:120], score)
            for name, score in metrics.items()
        }
        time, duration = (_number(f"{at}[{key!r}]", frame.get(key)) for key in ("time", "duration"))
        found.append((time, duration, scores))
    return found


def _number(where: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer beyond all floats
            pass
    raise InputError(where, "a number", repr(value)[:40] if isinstance(value, str) else type(value).__name__)


def _times(frames: list[list[tuple[float, float, dict[str, float]]]], duration: float | None) -> FloatArray:
    """Return the start and duration of each window, (n_windows, 2), which all targets must share."""
    times = np.array([[start, length] for start, length, _ in frames[0]], dtype=np.float64).reshape(-1, 2)
    for index, target in enumerate(frames):
        own = np.array([[start, length] for start, length, _ in target], dtype=np.float64).reshape(-1, 2)
        if not np.array_equal(own, times, equal_nan=True):
            raise InputError(
                f"scores['targets'][{index}]['frames']",
                "at the times of the first target's",
                f"{len(own)} others" if len(own) != len(times) else "others",
                "All sources of a track are scored in the same windows.",
            )
    if len(times) == 1 and np.isinf(times[0, 1]):
        # So museval writes scores of a whole track: one window without end, which starts at 0 · inf.
        if duration is None:
            raise InputError(
                "duration",
                "given where the one window of a file has no end",
                "None",
                "Pass the length of the track in seconds: the file does not have it.",
            )
        return np.array([[0.0, duration]], dtype=np.float64)
    return times


def _metrics(frames: list[list[tuple[float, float, dict[str, float]]]]) -> tuple[str, ...]:
    """Return the metrics of a file: those of BSS Eval in their order, then others as they come."""
    there = dict.fromkeys(name for target in frames for _, _, row in target for name in row)
    if len(there) > _MAX_METRICS:
        raise InputError("scores", f"of at most {_MAX_METRICS} metrics", len(there))
    known = [name for name in BSS_EVAL if name in there or not there]
    return (*known, *(name for name in there if name not in BSS_EVAL))


def _protocol(names: list[str], times: FloatArray, version: str | None) -> dict[str, Any]:
    """Return what a file tells about how its scores came about."""
    starts, durations = times[:, 0], times[:, 1]
    hops = np.diff(starts)
    even = hops.size > 0 and np.allclose(hops, hops[0], rtol=1e-9, atol=0)
    return {
        "name": _PROTOCOL,
        "version": version,
        "window_seconds": float(durations[0]) if np.unique(durations).size == 1 else None,
        "hop_seconds": float(hops[0]) if even else None,
        "sources": names,
        "over_windows": "median",
        "over_tracks": "median",
    }
