"""The files of a results folder, read as what may come from anyone: every field is checked, nothing is run.

What the files hold is told by their content; the names of files mean nothing but "look here".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from dspsep.bench._listed import BenchmarkMethod, BenchmarkTrack, Record, Timing
from dspsep.errors import InputError
from dspsep.metrics import Scores
from dspsep.metrics._track_scores import TrackScores, check_comparable, listed

__all__ = [
    "BenchmarkMethod", "BenchmarkTrack", "Listing", "Record", "Timing", "gathered", "listing", "record_in",
    "timing_in", "timings",
]  # fmt: skip

_FORMAT = 1

#: What is parsed takes up to twenty times the room of its text.
_MAX_BYTES = 100_000_000

KINDS = ("separator", "mixture", "oracle")
STATUSES = ("done", "failed", "unfit")

_AGAIN = "Remove the file and run the benchmark again: only what is missing is done."


@final
@dataclass(frozen=True, kw_only=True)
class Listing:
    """What was asked of a benchmark: the content of ``benchmark.json``."""

    version: str
    protocol: str
    seed: int | None
    methods: tuple[BenchmarkMethod, ...]
    tracks: tuple[BenchmarkTrack, ...]


class _Fields:
    """The fields of one object of a file; an error names file, field and remedy."""

    def __init__(self, content: object, path: Path, remedy: str, what: str = "the content") -> None:
        self.path, self.remedy, self.what = path, remedy, what
        if not isinstance(content, dict):
            raise self.error("an object", content)
        self.content: dict[str, Any] = content

    def error(self, requirement: str, got: object) -> InputError:
        """Return an error about this object."""
        shown = repr(got)[:60]
        return InputError(f"{self.what} in {str(self.path)!r}", requirement, shown, self.remedy)

    def get(self, key: str) -> Any:
        """Return a field as it is; None if there is none."""
        return self.content.get(key)

    def text(self, key: str, options: tuple[str, ...] = ()) -> str:
        """Return a field that is a string, and one of `options`, if there are any."""
        value = self.get(key)
        if not isinstance(value, str):
            raise self.error(f"an object with a string as {key!r}", value)
        if options and value not in options:
            raise self.error(f"an object with {key!r} one of {', '.join(options)}", value)
        return value

    def optional_text(self, key: str, options: tuple[str, ...] = ()) -> str | None:
        """Return a field that is a string or null."""
        return None if self.get(key) is None else self.text(key, options)

    def number(self, key: str, *, default: float | None = None) -> float:
        """Return a field that is a finite number of at least 0."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:  # an integer beyond all floats
                number = math.inf
            if math.isfinite(number) and number >= 0:
                return number
        raise self.error(f"an object with a number of at least 0 as {key!r}", value)

    def integer(self, key: str) -> int:
        """Return a field that is a whole number."""
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 10**18:
            raise self.error(f"an object with an integer as {key!r}", value)
        return value

    def objects(self, key: str) -> Iterator[_Fields]:
        """Yield the objects of a field that is a list of them."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.error(f"an object with a list as {key!r}", value)
        for index, item in enumerate(value):
            yield _Fields(item, self.path, self.remedy, f"{key}[{index}]")


def _read(path: Path, remedy: str) -> _Fields:
    """Return the object in a file of JSON."""
    name = f"the file {str(path)!r}"
    try:
        size = path.stat().st_size if path.is_file() else -1  # a pipe would never end
        text = path.read_bytes() if 0 <= size <= _MAX_BYTES else b"null"
        content = json.loads(text, parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(name, "readable, and JSON", str(error)[:120], remedy) from error
    if size < 0:
        raise InputError(name, "there", "nothing, or no file", remedy)
    if size > _MAX_BYTES:
        raise InputError(name, f"at most {_MAX_BYTES} bytes long", size, remedy)
    fields = _Fields(content, path, remedy)
    if fields.get("format") != _FORMAT:
        got = repr(fields.get("format"))[:40]
        raise InputError(name, f"of format {_FORMAT}", got, f"Update dspsep, or: {remedy}")
    return fields


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not in JSON")


def listing(folder: Path) -> Listing:
    """Return what ``benchmark.json`` says was asked."""
    fields = _read(folder / "benchmark.json", "Pass the folder that `dspsep bench run -o` wrote to.")
    protocol = _Fields(fields.get("protocol"), fields.path, fields.remedy, "protocol")
    methods = tuple(
        BenchmarkMethod(
            name=item.text("name"),
            kind=item.text("kind", KINDS),
            settings=item.optional_text("settings"),
            text=item.text("text"),
            counted=item.get("counted") is True,
        )
        for item in fields.objects("methods")
    )
    tracks = tuple(
        BenchmarkTrack(
            name=item.text("name"),
            content=item.text("content"),
            seconds=item.number("seconds"),
            channels=item.integer("channels"),
            sample_rate=item.number("sample_rate"),
        )
        for item in fields.objects("tracks")
    )
    for kind, items in (("methods", methods), ("tracks", tracks)):
        names = [item.name for item in items]
        if not names or len(set(names)) < len(names):
            raise fields.error(f"an object with at least one of {kind!r}, of different names", names)
    return Listing(
        version=fields.text("dspsep"),
        protocol=protocol.text("text"),
        seed=None if fields.get("seed") is None else fields.integer("seed"),
        methods=methods,
        tracks=tracks,
    )


def records(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield all records of a folder, in the order of their files' names."""
    for path in _files(folder / "records"):
        yield path, record_in(path)[0]


def record_in(path: Path) -> tuple[Record, dict[str, Any]]:
    """Return the record in a file, checked in full, and the object that it was made of."""
    fields = _read(path, _AGAIN)
    return _record(fields), fields.content


def timings(folder: Path) -> Iterator[Timing]:
    """Yield all run times of a folder, in the order of their files' names."""
    yield from map(timing_in, _files(folder / "times"))


def timing_in(path: Path) -> Timing:
    """Return the run times in a file."""
    fields = _read(path, _AGAIN)
    return Timing(
        method=fields.text("method"),
        track=fields.text("track"),
        seconds=fields.number("seconds"),
        score_seconds=fields.number("score_seconds", default=0.0),
        audio_seconds=fields.number("audio_seconds"),
        cpu=fields.optional_text("cpu") or "",
    )


def _files(folder: Path) -> list[Path]:
    # What begins with a dot is not there yet: a file that is being written.
    return sorted(path for path in folder.glob("*/*.json") if not path.name.startswith("."))


def _record(fields: _Fields) -> Record:
    status = fields.text("status", STATUSES)
    track = fields.text("track")
    return Record(
        method=fields.text("method"),
        track=track,
        status=status,
        message="" if status == "done" else _message(fields),
        scores=_scores(fields, track) if status == "done" else None,
        matching=fields.optional_text("matching", ("name", "best")),
        matched=_matched(fields),
        warnings=tuple((item.text("code"), item.text("message")) for item in fields.objects("warnings")),
    )


def _message(fields: _Fields) -> str:
    error = _Fields(fields.get("error"), fields.path, fields.remedy, "error")
    kind, message = error.optional_text("type"), error.text("message")
    return f"{kind}: {message}" if kind and fields.get("status") == "failed" else message


def _matched(fields: _Fields) -> Mapping[str, str]:
    matched = fields.get("matched") or {}
    if not isinstance(matched, dict) or not all(isinstance(name, str) for name in matched.values()):
        raise fields.error("an object with a mapping of names as 'matched'", matched)
    return dict(matched)


def _scores(fields: _Fields, track: str) -> Scores:
    try:
        scores = Scores.from_json(json.dumps(fields.get("scores"), allow_nan=False))
    except InputError as error:
        raise InputError(
            f"the scores in {str(fields.path)!r}", "complete", str(error)[:160], _AGAIN
        ) from error
    if tuple(one.track for one in scores.tracks) != (track,):
        raise fields.error(f"an object with the scores of its track, {track!r:.80}", scores)
    return scores


def gathered(folder: Path, asked: Listing) -> tuple[dict[tuple[str, str], Record], int]:
    """Return the records that were asked for, by method and track, and the number of others."""
    methods, tracks = ({item.name for item in items} for items in (asked.methods, asked.tracks))
    found: dict[tuple[str, str], Record] = {}
    n_others = 0
    firsts: dict[frozenset[str], TrackScores] = {}
    for path, record in records(folder):
        key = record.method, record.track
        if record.method not in methods or record.track not in tracks:
            n_others += 1
            continue
        _check_once(key, found, path)
        if record.scores is not None:
            _check_protocol(firsts, record.scores.tracks[0], path)
        found[key] = record
    return found, n_others


def _check_once(key: tuple[str, str], found: Mapping[tuple[str, str], Record], path: Path) -> None:
    if key in found:
        raise InputError(
            f"the file {str(path)!r}",
            "the only one of its method and track",
            f"a second one of {listed(key)}",
            "Remove one of them.",
        )


def _check_protocol(firsts: dict[frozenset[str], TrackScores], scores: TrackScores, path: Path) -> None:
    """Refuse scores that were not made like those of the first track with the same sources."""
    try:
        check_comparable(firsts.setdefault(frozenset(scores.sources), scores), scores)
    except InputError as error:
        raise InputError(
            f"the scores in {str(path)!r}",
            "made like those of the other records",
            str(error)[:200],
            "Run the benchmark again in a new folder, or remove the record and run it in this one.",
        ) from error
