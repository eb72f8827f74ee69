"""Short tracks on the disk, for the tests of what benchmarks make of them."""

from __future__ import annotations

from pathlib import Path

import dspsep
from dspsep.data import Track, scenes

GROUPS = {"harmonic": ["bass", "chords", "vocals"], "percussive": ["kick", "snare", "hihat"]}


def songs(folder: Path, n: int, duration: float = 1.0) -> list[Track]:
    """Return stereo tracks of two sources."""
    tracks = []
    for seed in range(n):
        scene = scenes.song(duration=duration, sample_rate=8000, seed=seed)
        sources = dspsep.Regroup(**GROUPS).refine(scene.mixture, dspsep.Sources(scene.sources, 8000))
        files = sources.save(folder / f"song {seed}", format="wav")
        tracks.append(Track(name=f"song {seed}", sources=files))
    return tracks


def records_in(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all records, by where they are."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("records/*/*")}
