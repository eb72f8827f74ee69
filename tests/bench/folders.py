"""Results folders made by hand, for the tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dspsep
from dspsep.data.files import safe_file_name
from dspsep.metrics import ScaleInvariant, Scores, TrackScores, evaluate

NAN, INF = float("nan"), float("inf")

PROTOCOL = {"name": "by hand", "over_windows": "median", "over_tracks": "median"}

KINDS = {"mixture": "mixture", "IRM": "oracle"}


def scored(track: str, values: Sequence[float] | Mapping[str, float], **changes: Any) -> Scores:
    """Return scores of one window and metric: of voice and band, or of the sources that are named."""
    by_source = values if isinstance(values, Mapping) else dict(zip(("voice", "band"), values, strict=True))
    settings: dict[str, Any] = {
        "track": track,
        "sources": tuple(by_source),
        "metrics": ("SDR",),
        "values": [[[value]] for value in by_source.values()],
        "starts": [0.0],
        "durations": [1.0],
        "duration": 1.0,
        "protocol": PROTOCOL,
    }
    return Scores((TrackScores(**{**settings, **changes}),))


def record(method: str, track: str, scores: Scores | None = None, **changes: Any) -> dict[str, Any]:
    """Return a record as the runner writes it: done if there are scores, else failed."""
    content = {
        "format": 1,
        "method": method,
        "track": track,
        "key": "0" * 64,
        "status": "failed" if scores is None else "done",
        "error": {"type": "InputError", "message": "no luck", "traceback": ""} if scores is None else None,
        "warnings": [],
        "matching": "name",
        "matched": {},
        "scores": None if scores is None else json.loads(scores.to_json()),
        "seed": 0,
    }
    return {**content, **changes}


def write(
    folder: Path,
    methods: Sequence[str | Mapping[str, Any]],
    tracks: Sequence[str],
    records: Sequence[Mapping[str, Any]],
    times: Mapping[tuple[str, str], float] | None = None,
    **changes: Any,
) -> Path:
    """Write a results folder; methods that are names alone have no settings."""
    listing = {
        "format": 1,
        "dspsep": dspsep.__version__,
        "protocol": {"text": "by hand", "json": None},
        "seed": 0,
        "sources": None,
        "methods": [
            item
            if isinstance(item, Mapping)
            else {"name": item, "kind": KINDS.get(item, "separator"), "settings": None, "text": f"{item}()"}
            for item in methods
        ],
        "tracks": [
            {"name": name, "content": "0" * 64, "seconds": 30.0, "channels": 2, "sample_rate": 44100}
            for name in tracks
        ],
    }
    _write(folder / "benchmark.json", {**listing, **changes})
    for content in records:
        _write(_path(folder, "records", content["method"], content["track"]), content)
    for (method, track), seconds in (times or {}).items():
        content = {"format": 1, "method": method, "track": track, "seconds": seconds, "score_seconds": 0.5}
        _write(_path(folder, "times", method, track), {**content, "audio_seconds": 30.0, "cpu": "a cpu"})
    return folder


def of_values(
    folder: Path, values: Mapping[str, Sequence[float | None]], second: float = 0.0, **changes: Any
) -> Path:
    """Write the SDR of the voice by method, track for track; None is missing. The band has `second` more."""
    tracks = [f"track {index}" for index in range(len(next(iter(values.values()))))]
    records = [
        record(method, track, scored(track, (score, score + second)))
        for method, scores in values.items()
        for track, score in zip(tracks, scores, strict=True)
        if score is not None
    ]
    return write(folder, list(values), tracks, records, **changes)


def measured(folder: Path) -> Path:
    """Write a folder of real scores: three methods on two tracks of tiny signals."""
    protocol = ScaleInvariant()
    records = []
    methods = {
        "mixture": dspsep.MixtureAsEstimate(source_names=("harmonic", "percussive")),
        "HPSS": dspsep.HPSS(stft=dspsep.STFT(256)),
        "twice": dspsep.HPSS(stft=dspsep.STFT(512))
        >> {"percussive": dspsep.HPSS(stft=dspsep.STFT(128))}
        >> dspsep.Regroup(percussive=["percussive"]),
    }
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
        clicks = np.zeros(8000)
        clicks[rng.integers(0, 8000, 20)] = 5.0
        references = {"harmonic": tone, "percussive": clicks}
        for name, separator in methods.items():
            found = separator.separate(tone + clicks, 8000)
            scores = evaluate(references, found, 8000, protocol, track=f"songs/{seed}")
            records.append(record(name, f"songs/{seed}", scores))
    listed = [
        {
            "name": name,
            "kind": KINDS.get(name, "separator"),
            "settings": method.to_json(),
            "text": repr(method),
        }
        for name, method in methods.items()
    ]
    listed[0] |= {"settings": None, "text": "The mixture, as the estimate of every source"}
    settings = '{"type": "IRM", "exponent": 2.0}'
    listed.append({"name": "IRM", "kind": "oracle", "settings": settings, "text": "IRM(exponent=2.0)"})
    return write(
        folder, listed, ["songs/0", "songs/1"], records, protocol={"text": repr(protocol), "json": None}
    )


def _path(folder: Path, kind: str, method: str, track: str) -> Path:
    return folder / kind / _file_name(method) / f"{_file_name(track)}.json"


def _file_name(name: str) -> str:
    """Return a name of its own for each name, which is itself where it can be."""
    safe = safe_file_name(name)
    return safe if safe == name else safe_file_name(name, [safe])


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
