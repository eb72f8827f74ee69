"""Where scores go: each file whole or not at all, in the place of another only if that was asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dspsep.data._names import Names, distinct_file_name, safe_file_name
from dspsep.data._replacing import remove_litter, replacing
from dspsep.errors import InputError
from dspsep.metrics.results import Scores

__all__ = ["Targets"]


@dataclass
class Targets:
    """The files that scores are written to.

    Parameters
    ----------
    json, csv : str, optional
        Files for all tracks.
    museval : str, optional
        A folder for one file for each track.
    overwrite : bool
        Whether what is there may be replaced.
    """

    json: str | None = None
    csv: str | None = None
    museval: str | None = None
    overwrite: bool = False
    _of_tracks: Mapping[str, Path] = field(init=False, default_factory=dict)

    def check(self, tracks: Iterable[str], inputs: Iterable[str]) -> None:
        """Refuse what cannot be written, or may not be replaced, before any work."""
        if self.museval is not None:
            self._of_tracks = _files_of(tracks, Path(self.museval))
        given = {"--json": self.json, "--csv": self.csv}
        wanted = [(option, Path(file)) for option, file in given.items() if file is not None]
        wanted += [("--museval", path) for path in self._of_tracks.values()]
        taken = dict.fromkeys(map(os.path.realpath, inputs), "is scored")
        for option, path in wanted:
            place = os.path.realpath(path)
            if place in taken:
                raise InputError(option, "a file of its own", f"{str(path)!r}, which {taken[place]}")
            taken[place] = f"is written to by {option}, too"
            self._check_file(option, path)

    def _check_file(self, option: str, path: Path) -> None:
        folder = path.parent
        if option == "--museval":
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                got = f"{str(folder)!r}: {error.strerror}"
                raise InputError(option, "a folder that can be written to", got) from error
        if not os.access(folder, os.W_OK | os.X_OK) or not os.path.isdir(folder):  # noqa: PTH112 - never raises
            requirement = "in a folder that is there and can be written to"
            raise InputError(option, requirement, repr(str(path)))
        if os.path.isdir(path):  # noqa: PTH112
            raise InputError(option, "the name of a file", f"{str(path)!r}, which is a folder")
        if os.path.lexists(path) and not self.overwrite:
            raise InputError(
                option, "the name of a new file", f"{str(path)!r}, which is there", "--overwrite replaces it."
            )

    def write(self, scores: Scores) -> None:
        """Write all files."""
        if self.json is not None:
            _write(Path(self.json), scores.to_json() + "\n")
        if self.csv is not None:
            _write(Path(self.csv), scores.to_csv())
        if self.museval is not None:
            for track in scores.tracks:
                text = json.dumps(scores.to_museval(track.track), indent=2)
                _write(self._of_tracks[track.track], text + "\n")


def _files_of(tracks: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return the file of each track, in folders like those of the tracks, by names that are safe anywhere."""
    found = {}
    taken: dict[Path, Names] = {}
    for track in tracks:
        *outer, name = track.split("/")
        parent = folder.joinpath(*map(safe_file_name, outer))
        names = taken.setdefault(Path(str(parent).casefold()), Names())
        safe = distinct_file_name(name, names, track)
        names.add(safe)
        found[track] = parent / f"{safe}.json"
    return found


def _write(target: Path, text: str) -> None:
    remove_litter(target.parent)
    with replacing(target) as temporary:
        temporary.write_bytes(text.encode())
