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


# --- factorisation ---

_N_COMPONENTS, _SECONDS = 8, 0.5


def _online(song: SongFile, folder: Path) -> None:
    import dspsep

    online = dspsep.OnlineNMF(n_components=_N_COMPONENTS, batch_seconds=_SECONDS)
    dspsep.separate_file(song.path, folder, online, format="flac")


def _mini_batches(song: SongFile, folder: Path) -> None:
    import warnings

    import librosa
    import soundfile
    from sklearn.decomposition import MiniBatchNMF

    mixture, rate = librosa.load(song.path, sr=None, mono=False)
    spectrum = librosa.stft(mixture)
    V = np.sqrt(np.mean(np.abs(spectrum) ** 2, axis=0)).T
    batch = round(_SECONDS * rate / 512)
    model = MiniBatchNMF(
        _N_COMPONENTS, beta_loss=1, batch_size=batch, max_iter=1, forget_factor=1.0, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was not asked to converge
        H = model.fit_transform(V)
    W = model.components_.astype(V.dtype)
    whole = H @ W + 1e-12
    for k in range(_N_COMPONENTS):
        part = spectrum * (np.outer(H[:, k], W[k]) / whole).T
        samples = librosa.istft(part, length=mixture.shape[-1])
        soundfile.write(folder / f"component_{k}.flac", samples.T, int(rate), subtype="PCM_24")


def _sum_of_components(folder: Path) -> Array:
    """Return the sum of all components as they were written, (n_samples, n_channels)."""
    import soundfile

    paths = [folder / f"component_{k}.flac" for k in range(_N_COMPONENTS)]
    return np.sum([soundfile.read(path, dtype="float32")[0] for path in paths], axis=0)


def _prepare_components(separate: Callable[[SongFile, Path], None], song: SongFile) -> Task:
    folder = song.folder / separate.__name__
    folder.mkdir(exist_ok=True)
    return Task(lambda: separate(song, folder), lambda _: _sum_of_components(folder))


_DSPSEP, _WHOLE, _RIVAL = "dspsep, in blocks", "dspsep, whole", "librosa, whole"
_MINI = "scikit-learn, whole"

SUITE = Suite(
    name="files",
    title="From file to files",
    note=(
        "Separation of a stereo WAV of 16 bits to FLAC files of 24 bits. Memory is "
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
        Comparison(
            name="online-nmf-to-files",
            title="Factorisation in batches, from file to files",
            note=(
                "Eight components by the divergence of Kullback and Leibler, in batches of half a second and "
                "one pass: `dspsep.separate_file` with `OnlineNMF`, and what takes its place with librosa, "
                "`MiniBatchNMF` of scikit-learn and soundfile. The components differ; compared is their sum."
            ),
            contenders=(
                Contender(name=_DSPSEP, package="dspsep", prepare=partial(_prepare_components, _online)),
                Contender(name=_MINI, package="sklearn", prepare=partial(_prepare_components, _mini_batches)),
            ),
            make_input=song_file,
            tolerance=1e-4,
            goals=(PeakLimit(at_most=300), Linear(at_most=1.25)),
            grows={_DSPSEP: None, _MINI: 600},
        ),
    ),
    obstacle=_no_such_function,
)
