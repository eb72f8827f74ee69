"""The audio that is measured on: real music where it is, the synthetic song where it is not."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.cases import Case, real_case, tiled

__all__ = [
    "Music",
    "SongFile",
    "SongFolder",
    "Stems",
    "describe",
    "music",
    "song_file",
    "song_folder",
    "stems",
]

_CASE = "b_mdn_funk"  # 14 s of a funk band, drums and pitched instruments in stereo
_OTHER_CASE = "a_metal_madness_guitar"  # 16 s of a metal band, lead guitar and the rest, at the same rate


class Music(NamedTuple):
    """Stereo (n_channels, n_samples) in single precision."""

    samples: np.ndarray[Any, Any]
    sample_rate: int


def music(seconds: float) -> Music:
    """Return so many seconds of music, the same every time."""
    case = _case()
    return Music(tiled(case, seconds).astype(np.float32, copy=False), case.sample_rate)


class Stems(NamedTuple):
    """True sources and estimates of them, (n_sources, n_channels, n_samples), in single precision."""

    references: np.ndarray[Any, Any]
    estimates: np.ndarray[Any, Any]
    sample_rate: int


def stems(n_sources: int, seconds: float) -> Stems:
    """Return up to four stereo stems, and estimates in which the others and an echo are heard, too."""
    cases = [_case()] if n_sources <= 2 else [_case(), _other_case()]
    n_samples = round(seconds * cases[0].sample_rate)
    references = [
        np.tile(audio, (1, -(-n_samples // audio.shape[1])))[:, :n_samples]
        for case in cases
        for audio in case.references.values()
    ][:n_sources]
    true = np.stack(references).astype(np.float32)
    mixture = true.sum(axis=0)
    leaking = np.float32(0.15) * mixture + np.float32(0.03) * np.roll(mixture, 7, axis=1)
    made = np.float32(0.8) * true + leaking
    return Stems(true, made, cases[0].sample_rate)


class SongFolder:
    """A folder of audio files in a folder of its own, which is deleted when nobody has it any more.

    Attributes
    ----------
    folder : Path
        Where there is room for results, too.
    path : Path
        The folder of the files.
    files : list of Path
        The audio.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "songs"
        self.path.mkdir()
        self.files: list[Path] = []
        weakref.finalize(self, shutil.rmtree, self.folder)


def song_folder(seconds: float, n_songs: int = 8) -> SongFolder:
    """Return so many files of 16 bits, together four times as long as what other suites take for one."""
    import soundfile

    songs, source = SongFolder(), music(4 * seconds)
    for number, part in enumerate(np.array_split(0.5 * source.samples, n_songs, axis=1)):
        songs.files.append(songs.path / f"{number}.wav")
        soundfile.write(songs.files[-1], part.T, source.sample_rate, subtype="PCM_16")
    return songs


class SongFile:
    """An audio file in a folder of its own, which is deleted when nobody has it any more.

    Attributes
    ----------
    folder : Path
        Where there is room for results, too.
    path : Path
        The audio.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "song.wav"
        weakref.finalize(self, shutil.rmtree, self.folder)


def song_file(seconds: float) -> SongFile:
    """Return so many seconds of music as a file of 16 bits, at half its level so that no source clips."""
    import soundfile

    song, case = SongFile(), _case()
    loop = 0.5 * case.mixture.T
    remaining = round(seconds * case.sample_rate)
    with soundfile.SoundFile(song.path, "w", case.sample_rate, loop.shape[1], "PCM_16") as file:
        while remaining > 0:  # an hour of it is not held in memory
            file.write(loop[:remaining])
            remaining -= len(loop)
    return song


def describe() -> str:
    """Say what the music is."""
    case = _case()
    n_channels, n_samples = case.mixture.shape
    kind = f"the real recording `{case.name}`" if case.real else "the synthetic song of `dspsep.data.scenes`"
    return (
        f"{kind}, {n_channels} channels at {case.sample_rate} Hz in single precision, "
        f"{n_samples / case.sample_rate:.1f} s repeated to length"
    )


def _case() -> Case:
    case = real_case(_CASE)
    return case if case.real else real_case("b_scene")


def _other_case() -> Case:
    case = real_case(_OTHER_CASE)
    return case if case.real else real_case("a_scene")
