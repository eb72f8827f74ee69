"""From what was typed to the tracks that are meant: folders stand for the audio in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dspsep.batch._manifest import MANIFEST, Entry, sha256_of
from dspsep.batch._track import path_from
from dspsep.data import files

__all__ = ["Track", "tracks"]

# By name, since a folder of music holds pictures and lists, too. A file that is given by itself is read
# whatever its name.
_AUDIO = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus",
    ".rf64", ".w64", ".wav", ".webm", ".wma",
})  # fmt: skip


class Track(NamedTuple):
    """A file to separate, and the name it goes by; `problem` says why there is nothing to separate."""

    file: str
    name: str
    problem: str | None = None


def tracks(
    arguments: Iterable[str], folder: Path = Path(), known: Mapping[str, Entry] | None = None
) -> list[Track]:
    """Return what is to be separated, each file once and with a name of its own.

    A folder stands for all audio files in it and below, in order of their paths; what begins with a dot is
    left out, and so are results, where these go below it. Links to folders are not followed.

    Names are those of the files, made safe and apart from each other. A file that the manifest of `folder`
    knows keeps the name it has there, and so does one that was moved; other files never get that name.
    """
    found: dict[str, Track] = {}
    for argument in arguments:
        for track in _of(Path(argument), folder):
            found.setdefault(path_from(folder, Path(track.file).absolute()), track)
    entries = list((known or {}).values())
    names = {entry.input: entry.track for entry in entries if entry.input in found}
    unclaimed = [entry for entry in entries if entry.input not in found]
    taken = {entry.track for entry in entries}
    for place, track in found.items():
        if place not in names:
            names[place] = _moved(track, unclaimed) or files.safe_file_name(track.name, taken)
            taken.add(names[place])
            unclaimed = [entry for entry in unclaimed if entry.track != names[place]]
    return [track._replace(name=names[place]) for place, track in found.items()]


def _moved(track: Track, entries: Iterable[Entry]) -> str | None:
    """Return the name of an entry of the same name and content: the file was elsewhere then."""
    name = files.safe_file_name(track.name)
    for entry in entries:
        if entry.track == name:
            try:
                return name if sha256_of(Path(track.file)) == entry.input_sha256 else None
            except (OSError, ValueError):
                return None
    return None


def _of(path: Path, results: Path) -> Iterator[Track]:
    if not path.is_dir():
        yield Track(str(path), path.stem)
        return
    inside = sorted(_audio_below(path, results))
    for file in inside:
        yield Track(str(file), str(file.relative_to(path).with_suffix("")))
    if not inside:
        yield Track(
            str(path), path.name, "there is no audio in this folder: give it, or files of it, by name"
        )


def _is_result(folder: Path, results: Path) -> bool:
    """Tell whether stems go there: those of this method, or of another beside it."""
    beside = folder.parent == results.parent and (folder / MANIFEST).is_file()
    return folder == results or beside or folder == results.parent


def _audio_below(folder: Path, results: Path) -> Iterator[Path]:
    results = results.resolve()
    for where, folders, names in os.walk(folder):
        here = Path(where).resolve()
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _is_result(here / name, results)
        ]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in _AUDIO:
                yield Path(where) / name
