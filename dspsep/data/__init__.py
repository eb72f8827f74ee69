"""Synthetic scenes, audio files, and tracks with true sources."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dspsep.data import _forks as _forks

if TYPE_CHECKING:
    from dspsep.data import files, scenes, tracks
    from dspsep.data.tracks import Dataset, LoadedTrack, Part, Track, TrackInfo, musdb18, stem_folders

__all__ = [
    "Dataset",
    "LoadedTrack",
    "Part",
    "Track",
    "TrackInfo",
    "files",
    "musdb18",
    "scenes",
    "stem_folders",
    "tracks",
]

_MODULES = ("files", "scenes", "tracks")


def __getattr__(name: str) -> Any:
    # So that `dspsep.data.scenes` works after `import dspsep` alone, and costs nothing before.
    if name in _MODULES:
        return importlib.import_module(f"dspsep.data.{name}")
    if name in __all__:
        return getattr(importlib.import_module("dspsep.data.tracks"), name)
    raise AttributeError(f"module 'dspsep.data' has no attribute {name!r}")
