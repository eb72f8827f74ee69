"""From a file to a file for each source, up to an hour: time, and memory that must not grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Linear, PeakLimit
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import SongFile, song_file

__all__ = ["PARTS", "SUITE", "read_parts"]

PARTS = ("harmonic", "percussive")


def _no_such_function() -> str:
    import dspsep

    return "" if hasattr(dspsep, "separate_file") else "there is no dspsep.separate_file yet"


def read_parts(folder: Path, ending: str) -> Array:
    """Return both parts as they were written, (2, n_samples, n_channels)."""
    import soundfile

    return np.stack([soundfile.read(folder / f"{part}.{ending}", dtype="float32")[0] for part in PARTS])


def _in_blocks(song: SongFile, folder: Path) -> None:
    import dspsep

    dspsep.separate_file(song.path, folder, format="flac")


def _whole(song: SongFile, folder: Path) -> None:
    import dspsep

    mixture, rate = dspsep.load(song.path)
    dspsep.HPSS().separate(mixture, rate).save(folder, format="flac")


def _librosa(song: SongFile, folder: Path) -> None:
    import librosa
    import soundfile

    mixture, rate = librosa.load(song.path, sr=None, mono=False)
    parts: Mapping[str, Any] = dict(zip(PARTS, librosa.effects.hpss(mixture), strict=True))
    for name, samples in parts.items():
        soundfile.write(folder / f"{name}.flac", samples.T, int(rate), subtype="PCM_24")


def _prepare(separate: Callable[[SongFile, Path], None], song: SongFile) -> Task:
    folder = song.folder / separate.__name__
    folder.mkdir(exist_ok=True)
    return Task(lambda: separate(song, folder), lambda _: read_parts(folder, "flac"))


_DSPSEP, _WHOLE, _RIVAL = "dspsep, in blocks", "dspsep, whole", "librosa, whole"

SUITE = Suite(
    name="files",
    title="From file to files",
    note=(
        "Harmonic-percussive separation of a stereo WAV of 16 bits to two FLAC files of 24 bits. Memory is "
        "what the process comes to hold beyond the interpreter with its libraries loaded, after a first call."
    ),
    comparisons=(
        Comparison(
            name="file-to-files",
            title="HPSS, from file to files",
            note=(
                "In blocks, `dspsep.separate_file`; whole, `dspsep.load`, `separate` and `save`, or what "
                "takes their place with librosa and soundfile."
            ),
            contenders=(
                Contender(name=_DSPSEP, package="dspsep", prepare=partial(_prepare, _in_blocks)),
                Contender(name=_WHOLE, package="dspsep", prepare=partial(_prepare, _whole)),
                Contender(name=_RIVAL, package="librosa", prepare=partial(_prepare, _librosa)),
            ),
            make_input=song_file,
            tolerance=1e-5,
            goals=(PeakLimit(at_most=150), Linear(at_most=1.25)),
            grows={_DSPSEP: None, _WHOLE: 600, _RIVAL: 600},
        ),
    ),
    obstacle=_no_such_function,
)
