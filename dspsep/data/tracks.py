"""Tracks with true sources: what evaluations and benchmarks run on, as paths until somebody listens.

A `Track` names files. It holds no samples, so a thousand of them are small, can be sent to other processes
as JSON, and are checked when they are read. A `Dataset` is an ordered set of tracks,
which `stem_folders` and `musdb18` find in a folder.
"""

from __future__ import annotations

from dspsep.data._dataset import Dataset
from dspsep.data._loaded_track import LoadedTrack, TrackInfo
from dspsep.data._musdb18 import musdb18
from dspsep.data._stem_folders import stem_folders
from dspsep.data._track import Track
from dspsep.data._track_audio import Part

__all__ = ["Dataset", "LoadedTrack", "Part", "Track", "TrackInfo", "musdb18", "stem_folders"]
