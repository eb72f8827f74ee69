"""Real audio with true references, where it is; synthetic scenes where it is not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from dspsep.data import scenes


@dataclass(frozen=True)
class Case:
    """A mixture and its true sources, all (n_channels, n_samples) float32."""

    name: str
    mixture: np.ndarray
    references: dict[str, np.ndarray]
    sample_rate: int
    facts: dict[str, object]
    real: bool


def data_folder() -> Path | None:
    """Return the folder of real cases, or None where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DSPSEP_TEST_DATA", default))
    return folder if (folder / "manifest.json").is_file() else None


@lru_cache(maxsize=1)
def manifest() -> dict[str, dict[str, object]]:
    """Return the manifest's entries by case name; empty without real data."""
    folder = data_folder()
    if folder is None:
        return {}
    return {entry["id"]: entry for entry in json.loads((folder / "manifest.json").read_text())["cases"]}


def case_names(prefix: str) -> list[str]:
    """Return the real cases whose name starts so, or one synthetic stand-in."""
    return sorted(name for name in manifest() if name.startswith(prefix)) or [f"{prefix}scene"]


@lru_cache(maxsize=8)
def real_case(name: str) -> Case:
    """Load a case by name; a name of a task letter and ``scene`` is synthetic."""
    entry = manifest().get(name)
    if entry is None:
        return _scene(name)
    folder = data_folder() / name
    references = {}
    for file in entry["sources"]:
        samples, rate = soundfile.read(folder / file, dtype="float32", always_2d=True)
        references[Path(file).stem] = np.ascontiguousarray(samples.T)
    if entry["mix"] == "mix.flac":
        samples, rate = soundfile.read(folder / "mix.flac", dtype="float32", always_2d=True)
        mixture = np.ascontiguousarray(samples.T)
    else:
        mixture = np.sum(list(references.values()), axis=0)
    return Case(name, mixture, references, rate, entry, real=True)


def _scene(name: str) -> Case:
    task = name[:1]
    if task in "ab":
        scene = scenes.song(duration=12.0)
        groups = {
            "a": {"vocals": ["vocals"], "accompaniment": ["kick", "snare", "hihat", "bass", "chords"]},
            "b": {"drums": ["kick", "snare", "hihat"], "harmonic": ["bass", "chords", "vocals"]},
        }[task]
        references = {
            group: np.sum([scene.sources[member] for member in members], axis=0)
            for group, members in groups.items()
        }
    else:
        scene = {
            "c": scenes.reverberant,
            "d": scenes.panned,
            "e": scenes.drum_loop,
        }[task]()
        references = {key: np.atleast_2d(value) for key, value in scene.sources.items()}
    return Case(name, np.atleast_2d(scene.mixture), references, int(scene.sample_rate), {}, real=False)


def tiled(case: Case, seconds: float) -> np.ndarray:
    """Return the mixture repeated to a length."""
    n = round(seconds * case.sample_rate)
    repeats = -(-n // case.mixture.shape[1])
    return np.ascontiguousarray(np.tile(case.mixture, (1, repeats))[:, :n])
