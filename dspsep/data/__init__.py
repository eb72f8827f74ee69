"""Synthetic scenes, audio files, and tracks with true sources."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dspsep.data import _forks as _forks

if TYPE_CHECKING:
    from dspsep.data import files, scenes
    from dspsep.data.tracks import Dataset, LoadedTrack, Part, Track, TrackInfo

#: What is in which module; each is imported when it is asked for.
_FOUND_IN = dict.fromkeys(("Dataset", "LoadedTrack", "Part", "Track", "TrackInfo"), "tracks")

__all__ = ["Dataset", "LoadedTrack", "Part", "Track", "TrackInfo", "files", "scenes"]


def __getattr__(name: str) -> Any:
    # So that `dspsep.data.scenes` works after `import dspsep` alone, and costs nothing before.
    if name in _FOUND_IN:
        return getattr(importlib.import_module(f"dspsep.data.{_FOUND_IN[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"dspsep.data.{name}")
    raise AttributeError(f"module 'dspsep.data' has no attribute {name!r}")
