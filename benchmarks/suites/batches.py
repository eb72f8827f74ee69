"""A folder of songs on the command line: one at a time, two at a time, and all there already."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import SongFolder, song_folder
from benchmarks.machine import available_cores
from benchmarks.suites.files import PARTS, read_parts

__all__ = ["SUITE"]

THREADS = 2

_ONE, _TWO, _KEPT = "dspsep separate", "dspsep separate --jobs 2", "dspsep separate, all there"
_RIVAL = "librosa, in a loop"


def _too_few_cores() -> str:
    return "" if available_cores() >= THREADS else f"it takes {THREADS} cores"


def _command(songs: SongFolder, out: Path, *options: str) -> Path:
    from dspsep.cli import main

    if main(["separate", str(songs.path), "--quiet", "-o", str(out), *options]):
        raise RuntimeError("a track failed")
    return out / "hpss"


def _prepare_command(options: tuple[str, ...], songs: SongFolder) -> Task:
    numbers = itertools.count()

    def call() -> Path:  # what is there already would be kept
        return _command(songs, songs.folder / f"{'-'.join(('out', *options))}-{next(numbers)}", *options)

    return Task(call, partial(_parts, songs))


def _prepare_kept(songs: SongFolder) -> Task:
    out = songs.folder / "kept"
    _command(songs, out)
    return Task(lambda: _command(songs, out), partial(_parts, songs))


def _prepare_librosa(songs: SongFolder) -> Task:
    import librosa
    import soundfile

    def call() -> Path:
        for file in songs.files:
            mixture, rate = librosa.load(file, sr=None, mono=False)
            folder = songs.folder / "librosa" / file.stem
            folder.mkdir(parents=True, exist_ok=True)
            for name, samples in zip(PARTS, librosa.effects.hpss(mixture), strict=True):
                soundfile.write(folder / f"{name}.flac", samples.T, int(rate), subtype="PCM_24")
        return songs.folder / "librosa"

    return Task(call, partial(_parts, songs))


def _parts(songs: SongFolder, folder: Path) -> Array:
    return np.concatenate([read_parts(folder / file.stem, "flac") for file in songs.files], axis=1)


SUITE = Suite(
    name="batches",
    title="A folder of songs",
    note=(
        f"Eight stereo WAV files of 16 bits, each to two FLAC files of 24 bits, on {THREADS} cores. The"
        " command is called in this process, as a function. It brings every file to the disk, opens it"
        " again and checks it, and hashes all that went in and came out; the loop writes, and no more."
        " `--jobs 2` includes the start of two processes, with all that they import."
    ),
    comparisons=(
        Comparison(
            name="batch",
            title="HPSS of eight songs, from files to files",
            note="In the third row nothing is separated: it is found, by content, that all is there.",
            contenders=(
                Contender(name=_ONE, package="dspsep", prepare=partial(_prepare_command, ())),
                Contender(name=_TWO, package="dspsep", prepare=partial(_prepare_command, ("--jobs", "2"))),
                Contender(name=_KEPT, package="dspsep", prepare=_prepare_kept),
                Contender(name=_RIVAL, package="librosa", prepare=_prepare_librosa),
            ),
            make_input=song_folder,
            tolerance=1e-5,
            goals=(Goal(at_least=10, over=(_RIVAL,)), Goal(at_least=3, over=(_ONE,), of=_KEPT)),
        ),
    ),
    threads=THREADS,
    obstacle=_too_few_cores,
)
