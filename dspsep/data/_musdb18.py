"""MUSDB18, as WAV files and as files of several streams."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from dspsep import _checks
from dspsep.data._dataset import Dataset
from dspsep.data._stem_folders import existing_folder, refuse_link_outside
from dspsep.data._stems import listed
from dspsep.data._templates import entries, plain_text, what_is_in
from dspsep.data._track import Track
from dspsep.data._track_audio import Part
from dspsep.errors import InputError

__all__ = ["VALIDATION_TRACKS", "musdb18"]

_SOURCES = ("drums", "bass", "other", "vocals")
_SUFFIX = ".stem.mp4"
_SUBSETS = ("train", "valid", "test")

_LAYOUT = (
    "MUSDB18-HQ has ROOT/train/Artist - Title/ and ROOT/test/Artist - Title/ with mixture.wav, drums.wav,"
    " bass.wav, other.wav and vocals.wav in each; MUSDB18 has ROOT/train/Artist - Title.stem.mp4 and"
    " ROOT/test/Artist - Title.stem.mp4."
)

#: The tracks of ``train`` that the package musdb sets apart for validation, in its ``configs/mus.yaml``.
VALIDATION_TRACKS = frozenset({
    "ANiMAL - Rockshow",
    "Actions - One Minute Smile",
    "Alexander Ross - Goodbye Bolero",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Fergessen - Nos Palpitants",
    "James May - On The Line",
    "Johnny Lokke - Promises & Lies",
    "Leaf - Summerghost",
    "Meaxic - Take A Step",
    "Patrick Talbot - A Reason To Leave",
    "Skelpolu - Human Mistakes",
    "Traffic Experiment - Sirens",
    "Triviul - Angelsaint",
    "Young Griffo - Pennies",
})  # fmt: skip


def musdb18(root: object, subset: str | None = None) -> Dataset:
    """Find the tracks of MUSDB18-HQ or MUSDB18 in a folder.

    Parameters
    ----------
    root : path
        The folder that has ``train`` and ``test`` in it.
    subset : {"train", "valid", "test"}, optional
        All of ``train``; the 14 tracks of it that are customary for validation, by name; or all of ``test``.
        By default, both folders, as far as they are there.

    Returns
    -------
    Dataset
        Tracks called ``"test/Artist - Title"``, in order, with the sources ``drums``, ``bass``, ``other`` and
        ``vocals`` and with the mixture as it is stored. Nothing is read but names.

    Raises
    ------
    InputError
        If there is no such folder, which shows the layout; if a track lacks one of its files; or if the files
        are ``.stem.mp4``, which PyAV reads, and that is not installed: ``pip install "dspsep[musdb]"``.

    See Also
    --------
    stem_folders : Folders in any other layout.
    Track.regroup : An accompaniment, as sum of three sources.

    Notes
    -----
    The files of MUSDB18-HQ are WAV. Those of MUSDB18 hold five streams of AAC: mixture, drums, bass, other
    and vocals, in this order. They are read through PyAV, which needs no other program and decodes no more
    than is asked for. The ``musdb`` package starts ffmpeg, which pip does not install.

    AAC is lossy, so the sources of MUSDB18 sum to the mixture less well than those of MUSDB18-HQ. How many
    tracks there are is not checked: excerpts and parts of the set have the same layout. Nothing is ever
    downloaded.

    References
    ----------
    .. [1] Z. Rafii, A. Liutkus, F.-R. Stöter, S. I. Mimilakis, R. Bittner: "The MUSDB18 corpus for music
       separation", 2017, doi:10.5281/zenodo.1117372; "MUSDB18-HQ, an uncompressed version of MUSDB18", 2019,
       doi:10.5281/zenodo.3338373.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data import musdb18
    >>> from dspsep.data.files import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     track = Path(folder) / "test" / "Somebody - Something"
    ...     track.mkdir(parents=True)
    ...     for name in ("mixture", "drums", "bass", "other", "vocals"):
    ...         path = save(track / f"{name}.wav", np.zeros((2, 800)), 44100)
    ...     dataset = musdb18(folder, "test")
    >>> dataset.regroup({"vocals": ["vocals"], "accompaniment": ["drums", "bass", "other"]})
    Dataset('MUSDB18-HQ': 1 track of vocals, accompaniment)
    """
    folder = existing_folder(root)
    if subset is not None:
        _checks.choice("subset", subset, _SUBSETS)
    asked = ("train", "test") if subset is None else ("test" if subset == "test" else "train",)
    there = [name for name in asked if _is_folder(folder / name)]
    if not there:
        raise _not_there(folder, f"with {' or '.join(map(repr, asked))} in it")
    files = [file for name in there for file in _files(folder, name)]
    if subset == "valid":
        files = [file for file in files if plain_text(file[1]) in VALIDATION_TRACKS]
    if not files:
        raise _not_there(folder, f"with tracks in {' and '.join(map(repr, there))}")
    are_streams = {path.is_file() for _, _, path in files}
    if len(are_streams) > 1:
        example = next(path for _, _, path in files if path.is_file())
        raise InputError(
            "root", "MUSDB18-HQ or MUSDB18, and not both", f"folders and {str(example)!r}", _LAYOUT
        )
    if True in are_streams:
        _check_extra(folder)
        tracks = [_of_streams(f"{part}/{plain_text(name)}", path) for part, name, path in files]
        return Dataset(name="MUSDB18", tracks=tuple(tracks), root=folder)
    tracks = [_of_files(folder, f"{part}/{plain_text(name)}", path) for part, name, path in files]
    return Dataset(name="MUSDB18-HQ", tracks=tuple(tracks), root=folder)


def _files(root: Path, part: str) -> Iterator[tuple[str, str, Path]]:
    """Yield the part, the name and the file or folder of each track, in order."""
    for entry in entries(root / part):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield part, entry.name, path
        elif entry.name.endswith(_SUFFIX) and entry.is_file():
            refuse_link_outside(root, path)
            yield part, entry.name.removesuffix(_SUFFIX), path


def _of_files(root: Path, name: str, folder: Path) -> Track:
    paths = {source: folder / f"{source}.wav" for source in ("mixture", *_SOURCES)}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        requirement = f"MUSDB18-HQ, whose tracks have five files; {name!r} lacks {listed(missing)}"
        raise InputError("root", requirement, what_is_in(folder), _LAYOUT)
    for path in paths.values():
        refuse_link_outside(root, path)
    mixture = paths.pop("mixture")
    return Track(name=name, sources=paths, mixture=mixture)


def _of_streams(name: str, path: Path) -> Track:
    sources = {source: Part(path=path, stream=stream) for stream, source in enumerate(_SOURCES, start=1)}
    return Track(name=name, sources=sources, mixture=Part(path=path, stream=0))


def _check_extra(root: Path) -> None:
    if importlib.util.find_spec("av") is None:
        raise InputError(
            "root",
            "MUSDB18-HQ, unless PyAV is installed",
            f"{str(root)!r} with files of several streams ({_SUFFIX})",
            'Install it: pip install "dspsep[musdb]". Or use MUSDB18-HQ, whose files are WAV.',
        )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _not_there(root: Path, requirement: str) -> InputError:
    below = [root / entry.name for entry in entries(root) if entry.is_dir(follow_symlinks=False)]
    further = [path for path in below if _is_folder(path / "train") or _is_folder(path / "test")]
    hint = f"Did you mean {str(further[0])!r}? " if further else ""
    requirement = f"the folder of MUSDB18-HQ or MUSDB18, {requirement}"
    return InputError("root", requirement, what_is_in(root), hint + _LAYOUT)
