"""From what was typed to the files that are meant: folders stand for the audio in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dspsep.data import files

__all__ = ["Track", "tracks"]

# By name, since a folder of music holds pictures and lists, too. A file that is given by itself is read
# whatever its name.
_AUDIO = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus",
    ".rf64", ".w64", ".wav", ".webm", ".wma",
})  # fmt: skip


class Track(NamedTuple):
    """A file to separate, and the name of the folder of its stems; `problem` says why there is none."""

    file: str
    name: str
    problem: str | None = None


def tracks(arguments: Iterable[str]) -> list[Track]:
    """Return what is to be separated, each with a name of its own.

    A folder stands for all audio files in it and below, in order of their paths; what begins with a dot is
    left out, and links to folders are not followed.
    """
    found: list[Track] = []
    taken: list[str] = []
    for argument in arguments:
        for file, name, problem in _of(Path(argument)):
            safe = files.safe_file_name(name, taken)
            taken.append(safe)
            found.append(Track(file, safe, problem))
    return found


def _of(path: Path) -> Iterator[Track]:
    if not path.is_dir():
        yield Track(str(path), path.stem)
        return
    inside = sorted(_audio_below(path))
    for file in inside:
        yield Track(str(file), str(file.relative_to(path).with_suffix("")))
    if not inside:
        yield Track(
            str(path), path.name, "there is no audio in this folder: give it, or files of it, by name"
        )


def _audio_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in _AUDIO:
                yield Path(where) / name
