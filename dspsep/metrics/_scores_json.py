"""Scores as JSON and back, complete and exact: the format of `Scores.to_json`.

The JSON is strict, so that any reader takes it: where a number is expected, ``"NaN"``, ``"Infinity"`` and
``"-Infinity"`` stand for what JSON has no word for; in protocol and details, where strings are expected as
well, ``{"$float": "NaN"}`` does, and keys that begin with ``$`` get another one in front. Floating-point
numbers have the digits that give the very same number back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dspsep.errors import InputError
from dspsep.metrics._track_scores import TrackScores

__all__ = ["dumps", "loads"]

_FORMAT = "dspsep scores"
_VERSION = 1

#: A hundred megabytes: what is parsed takes up to twenty times the room of its text.
_MAX_LENGTH = 100_000_000

_PLAIN = ("track", "sources", "metrics", "estimates")
_ARRAYS = ("values", "starts", "durations")
_TREES = ("protocol", "details")
_KEYS = {*_PLAIN, *_ARRAYS, "duration", *_TREES}

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def dumps(tracks: tuple[TrackScores, ...]) -> str:
    """Return tracks as JSON."""
    content = {"format": _FORMAT, "version": _VERSION, "tracks": [_track(track) for track in tracks]}
    # ASCII, since names of files can hold lone surrogates, which no other encoding could write.
    text = json.dumps(content, allow_nan=False, ensure_ascii=True)
    if len(text) > _MAX_LENGTH:
        limit = f"at most {_MAX_LENGTH} characters of JSON"
        raise InputError("tracks", limit, len(text), "Write them in parts, and join what is read.")
    return text


def _track(track: TrackScores) -> dict[str, Any]:
    return {
        **{key: getattr(track, key) for key in _PLAIN},
        **{key: _numbers(getattr(track, key).tolist()) for key in _ARRAYS},
        "duration": track.duration,
        **{key: _tree(getattr(track, key)) for key in _TREES},
    }


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value if math.isfinite(value) else _word(value)


def _tree(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {f"${key}" if key.startswith("$") else key: _tree(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_tree(item) for item in value]
    return {"$float": _word(value)} if isinstance(value, float) and not math.isfinite(value) else value


def loads(text: str | bytes) -> tuple[TrackScores, ...]:
    """Return the tracks that `dumps` wrote; whatever else comes is refused."""
    if not isinstance(text, (str, bytes)):
        raise InputError("text", "a string that Scores.to_json returned", f"a {type(text).__name__}")
    if len(text) > _MAX_LENGTH:
        raise _not_ours(f"{len(text)} characters")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _not_ours(f"{str(text[:60])!r}, which is no JSON ({error})"[:200]) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _not_ours("something else")
    if content.get("version") != _VERSION:
        version = repr(content.get("version"))[:40]
        raise InputError("text", f"of version {_VERSION} of the format", version, "Update dspsep.")
    tracks = content.get("tracks")
    if not isinstance(tracks, list):
        raise _not_ours("no list of tracks")
    try:
        return tuple(_restored(track) for track in tracks)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # ragged arrays, arrays of more dimensions than there are
        raise _not_ours(f"{type(error).__name__}: {error}"[:120]) from error


def _restored(content: object) -> TrackScores:
    if not isinstance(content, dict) or content.keys() != _KEYS:
        raise _not_ours("a track without all its fields, or with others")
    fields: dict[str, Any] = {key: content[key] for key in (*_PLAIN, "duration")}
    for key in _ARRAYS:
        fields[key] = np.array(_restored_numbers(content[key]), dtype=np.float64)
    for key in _TREES:
        fields[key] = _restored_tree(content[key])
    return TrackScores(**fields)


def _restored_numbers(value: object) -> Any:
    if isinstance(value, list):
        return [_restored_numbers(item) for item in value]
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer beyond all floats
            pass
    raise _not_ours(f"a {type(value).__name__} among the numbers")


def _restored_tree(value: Any) -> Any:
    if isinstance(value, dict):
        word = value.get("$float")
        if isinstance(word, str) and word in _WORDS and len(value) == 1:
            return _WORDS[word]
        return {key.removeprefix("$"): _restored_tree(item) for key, item in value.items()}
    return [_restored_tree(item) for item in value] if isinstance(value, list) else value


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not in JSON")


def _not_ours(seen: str) -> InputError:
    return InputError("text", "what Scores.to_json returned", seen)
