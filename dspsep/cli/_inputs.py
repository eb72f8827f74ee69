"""From what was typed to the tracks that are meant: folders stand for the audio in them.

A file that is given by itself is read whatever its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dspsep.batch._folders import AUDIO_SUFFIXES
from dspsep.batch._manifest import Entry, Manifest, sha256_of
from dspsep.batch._track import path_from
from dspsep.data import files
from dspsep.data._layout import MANIFEST
from dspsep.data._names import Names, distinct_file_name

__all__ = ["Track", "tracks"]


class Track(NamedTuple):
    """A file to separate, and the name it goes by; `problem` says why there is nothing to separate."""

    file: str
    name: str
    problem: str | None = None


def tracks(
    arguments: Iterable[str],
    folder: Path = Path(),
    known: Mapping[str, Entry] | None = None,
    claimed: Mapping[str, str] | None = None,
) -> dict[str, Track]:
    """Return what is to be separated, by its place: each file once, and with a name of its own.

    A folder stands for all audio files in it and below, in order of their paths; what begins with a dot is
    left out, and so are folders of results. Links to folders are not followed.

    Names are those of the files, made safe and apart from each other. A file that the manifest of `folder`
    knows keeps the name it has there, and so does one that was moved; other files never get that name, nor
    one that another batch has claimed for its own.
    """
    found: dict[str, Track] = {}
    for argument in arguments:
        for track in _of(Path(argument), folder):
            found.setdefault(path_from(folder, Path(track.file).absolute()), track)
    entries = list((known or {}).values())
    before = {entry.input: entry.track for entry in entries} | dict(claimed or {})
    taken = Names([MANIFEST, *before.values(), *(entry.track for entry in entries)])
    names: dict[str, str] = {}
    given = set()
    for place in found:
        if place in before and before[place] not in given:
            names[place] = before[place]
            given.add(before[place])
    left = {entry.track: entry for entry in entries if entry.input not in found and entry.track not in given}
    for place, track in found.items():
        if place not in names:
            names[place] = _moved(track, left) or distinct_file_name(track.name, taken, place)
            left.pop(names[place], None)
            taken.add(names[place])
    return {place: track._replace(name=names[place]) for place, track in found.items()}


def _moved(track: Track, entries: Mapping[str, Entry]) -> str | None:
    """Return the name of an entry of the same name and content: the file was elsewhere then."""
    name = files.safe_file_name(track.name)
    if name not in entries:
        return None
    try:
        return name if sha256_of(Path(track.file)) == entries[name].input_sha256 else None
    except (OSError, ValueError):
        return None


def _of(path: Path, results: Path) -> Iterator[Track]:
    if not os.path.isdir(path):  # noqa: PTH112 - which, unlike that of pathlib, answers in any case
        yield Track(str(path), path.stem)
        return
    problems: list[OSError] = []
    inside = sorted(_audio_below(path, results, problems.append))
    for file in inside:
        yield Track(str(file), str(file.relative_to(path).with_suffix("")))
    for error in problems:
        yield Track(str(error.filename), path.name, f"this folder cannot be read: {error.strerror}")
    if not inside and not problems:
        yield Track(
            str(path), path.name, "there is no audio in this folder: give it, or files of it, by name"
        )


def _audio_below(folder: Path, results: Path, report: Callable[[OSError], object]) -> Iterator[Path]:
    results = results.resolve()
    for where, folders, names in os.walk(folder, onerror=report):
        here = Path(where)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and (here / name).resolve() != results
            and not Manifest.is_in(here / name)
        ]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield here / name
