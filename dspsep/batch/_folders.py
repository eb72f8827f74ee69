"""From two folders to tracks: the audio of one folder is one track, and names tell what belongs together."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dspsep.batch._manifest import Manifest
from dspsep.data._names import safe_file_name
from dspsep.data._stems import AUDIO_SUFFIXES, LEFT_OVER, MIXTURES, is_mixture, listed
from dspsep.errors import InputError

__all__ = [
    "AUDIO_SUFFIXES",
    "LEFT_OVER",
    "MIXTURES",
    "TrackFolder",
    "counted",
    "counterpart",
    "is_mixture",
    "listed",
    "listed_tracks",
    "separated_mixtures",
    "track_folders",
]

#: What is in the name of the JSON that ``dspsep separate`` writes beside stems, whatever its template of
#: names; and how large that may be to be believed.
RECORD = "provenance"
_MAX_RECORD = 2**20

#: A gain brings the highest peak to full scale. No audio has a peak of more than a million times that, and
#: what is divided by next to nothing is no longer finite.
_MIN_GAIN = 1e-6


@dataclass
class TrackFolder:
    """The audio of one folder.

    Parameters
    ----------
    path : Path
        The folder.
    files : dict of str to str
        The files by their names without extension; that of a mixture is in lower case.
    twice : list of str
        Names that several files have.
    gains : dict of str to float
        What the files were multiplied by when they were written, where a record of ours says so.
    n_other : int
        How many files are no audio.
    problem : str, optional
        Why the folder cannot be read.
    """

    path: Path
    files: dict[str, str] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    gains: dict[str, float] = field(default_factory=dict)
    n_other: int = 0
    problem: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all but a mixture, in order."""
        return tuple(sorted(name for name in self.files if name not in MIXTURES))

    @property
    def mixture(self) -> str | None:
        """The file of the mixture, if there is one."""
        return next((self.files[name] for name in MIXTURES if name in self.files), None)

    def check(self, names: Sequence[str], argument: str) -> None:
        """Refuse what cannot be read, and names that do not tell which file is meant."""
        if self.problem is not None:
            raise InputError(argument, "readable", f"{str(self.path)!r}: {self.problem}")
        unclear = [name for name in names if name in self.twice]
        if unclear:
            got = f"several called {listed(unclear)} in {str(self.path)!r}"
            raise InputError(argument, "one file for each name", got, "Remove all but one.")


def track_folders(argument: str, given: object, other: object) -> dict[str, TrackFolder]:
    """Return the folders in and below `given` that hold audio, by their relative paths, in order.

    The folder itself is ``"."``. What begins with a dot is left out, links to folders are not followed, and
    neither is `other`, where it is inside: the estimates of a track may be among its references.
    """
    root = _folder(argument, given)
    elsewhere = _folder("estimate_dir" if argument == "reference_dir" else "reference_dir", other).resolve()
    found: dict[str, TrackFolder] = {}
    problems: list[OSError] = []
    for where, folders, names in os.walk(root, onerror=problems.append):
        here = Path(where)
        folders[:] = [
            name for name in folders if not name.startswith(".") and (here / name).resolve() != elsewhere
        ]
        track = _of_files(here, names)
        if track.files:
            found[here.relative_to(root).as_posix()] = track
    for error in problems:
        path = Path(error.filename)
        found[path.relative_to(root).as_posix()] = TrackFolder(path, problem=error.strerror)
    return dict(sorted(found.items()))


def _folder(argument: str, given: object) -> Path:
    try:
        path = Path(os.fsdecode(given))  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError(argument, "the path of a folder", type(given).__name__) from None
    if not os.path.isdir(path):  # noqa: PTH112 - which, unlike that of pathlib, answers in any case
        raise InputError(argument, "an existing folder", repr(str(path)))
    return path


def _of_files(folder: Path, names: Sequence[str]) -> TrackFolder:
    track = TrackFolder(folder)
    gains: dict[str, float] = {}
    for name in sorted(names):
        if name.startswith("."):
            continue
        file = folder / name
        key = file.stem.casefold() if is_mixture(file.stem) else file.stem
        if RECORD in name and file.suffix == ".json":
            gains.update(_gains(file))
        elif file.suffix.lower() not in AUDIO_SUFFIXES:
            track.n_other += 1
        elif key in track.files:
            track.twice.append(key)
        else:
            track.files[key] = str(file)
    # A file of another extension is not the one that the record speaks of.
    track.gains = {
        key: gains[Path(file).name] for key, file in track.files.items() if Path(file).name in gains
    }
    return track


def _gains(record: Path) -> dict[str, float]:
    """Return the gain of each file that a record of ``dspsep separate`` names; nothing, if it makes no sense.

    Formats of integers cannot hold samples above full scale, so all sources of a mixture are then written
    with one gain in common. Levels count in scores.
    """
    try:
        status = record.stat()
        # Of a pipe nobody knows when it ends, or begins.
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_RECORD:
            return {}
        content = json.loads(record.read_bytes())
        gain = content["gain"]
        # What lies in other folders is of no file here, even if it has the name of one.
        names = [name for name in content["files"].values() if isinstance(name, str)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return dict.fromkeys(names, gain) if isinstance(gain, float) and _MIN_GAIN <= gain < 1 else {}


def counterpart(
    name: str, reference: TrackFolder, folders: Mapping[str, TrackFolder], separated: Mapping[str, str]
) -> str | None:
    """Return the folder of the estimates of a track, or None.

    It has the name of the track, or that under which ``dspsep separate`` files ``NAME.wav`` or
    ``NAME/mixture.wav``; or it is the one into which that mixture was separated, by `separated_mixtures`.
    """
    candidates = [*_candidates(name, reference), separated.get(os.path.realpath(reference.path))]
    return next((candidate for candidate in candidates if candidate in folders), None)


def separated_mixtures(folder: Path) -> dict[str, str]:
    """Return where the stems of a mixture are, by the folder of the mixture: the manifest in `folder` says.

    Tracks that are all called ``mixture`` have names of their own there. What a manifest says is used to
    choose among folders that were found, and for nothing else.
    """
    if not Manifest.is_in(folder):
        return {}
    found = {}
    for entry in Manifest(folder, to_append=False).entries.values():
        mixture = Path(os.path.realpath(folder / entry.input))
        if is_mixture(mixture.stem) and entry.files:
            found[str(mixture.parent)] = Path(next(iter(entry.files.values()))).parent.as_posix()
    return found


def _candidates(name: str, reference: TrackFolder) -> Iterator[str]:
    yield name
    if name != ".":
        yield safe_file_name(name)
        own = [] if reference.mixture is None else [Path(reference.mixture).stem]  # as it is spelled there
        for mixture in (*own, *MIXTURES):
            yield safe_file_name(f"{name}/{mixture}")


def listed_tracks(names: Sequence[str]) -> str:
    """Return tracks as errors list them; one has no name but that of the folder that was given."""
    named = [name for name in names if name != "."]
    return " and ".join(
        [*(["the folder itself"] if len(named) < len(names) else []), *([listed(named)] if named else [])]
    )


def counted(names: Counter[str]) -> str:
    """Return names with the number of tracks that have them, the first five."""
    parts = [f"{name!r}" + (f" of {n} tracks" if n > 1 else "") for name, n in sorted(names.items())[:5]]
    return ", ".join(parts) + (f", … ({len(names)} in all)" if len(names) > 5 else "")
