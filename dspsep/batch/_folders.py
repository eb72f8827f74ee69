"""From two folders to tracks: the audio of one folder is one track, and names tell what belongs together."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dspsep.batch._manifest import Manifest
from dspsep.data._names import safe_file_name
from dspsep.errors import InputError

__all__ = [
    "AUDIO_SUFFIXES",
    "LEFT_OVER",
    "MIXTURES",
    "TrackFolder",
    "counted",
    "counterpart",
    "listed",
    "separated_mixtures",
    "track_folders",
]

#: By name, since a folder of music holds pictures and lists, too.
AUDIO_SUFFIXES = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus",
    ".rf64", ".w64", ".wav", ".webm", ".wma",
})  # fmt: skip

#: What ``dspsep separate`` writes beside the stems of a mixture, and how large it may be to be believed.
RECORD = "provenance.json"
_MAX_RECORD = 2**20

#: Names of what was separated, and of what a separation gives to nobody: no sources.
MIXTURES = ("mixture", "mix")
LEFT_OVER = "residual"


@dataclass
class TrackFolder:
    """The audio of one folder.

    Parameters
    ----------
    path : Path
        The folder.
    files : dict of str to str
        The files by their names without extension.
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
    for name in sorted(names):
        if name.startswith("."):
            continue
        file = folder / name
        if name == RECORD:
            track.gains = _gains(file)
        elif file.suffix.lower() not in AUDIO_SUFFIXES:
            track.n_other += 1
        elif file.stem in track.files:
            track.twice.append(file.stem)
        else:
            track.files[file.stem] = str(file)
    return track


def _gains(record: Path) -> dict[str, float]:
    """Return the gain of each file that a record of ``dspsep separate`` names; nothing, if it makes no sense.

    Formats of integers cannot hold samples above full scale, so all sources of a mixture are then written
    with one gain in common. Levels count in scores.
    """
    try:
        if record.stat().st_size > _MAX_RECORD:
            return {}
        content = json.loads(record.read_bytes())
        gain = float(content["gain"])
        names = [Path(name).stem for name in content["files"].values()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return dict.fromkeys(names, gain) if 0 < gain < 1 else {}


def counterpart(
    name: str, reference: TrackFolder, folders: Mapping[str, TrackFolder], separated: Mapping[str, str]
) -> str | None:
    """Return the folder of the estimates of a track, or None.

    It has the name of the track, or that under which ``dspsep separate`` files ``NAME.wav`` or
    ``NAME/mixture.wav``; or it is the one into which that mixture was separated, by `separated_mixtures`.
    """
    candidates = [*_candidates(name), separated.get(os.path.realpath(reference.path))]
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
        if mixture.stem in MIXTURES and entry.files:
            found[str(mixture.parent)] = Path(next(iter(entry.files.values()))).parent.as_posix()
    return found


def _candidates(name: str) -> Iterator[str]:
    yield name
    if name != ".":
        yield safe_file_name(name)
        for mixture in MIXTURES:
            yield safe_file_name(f"{name}/{mixture}")


def listed(names: Sequence[str]) -> str:
    """Return names as errors list them: the first ten, quoted."""
    more = f", … ({len(names)} in all)" if len(names) > 10 else ""
    return ", ".join(repr(name)[:60] for name in names[:10]) + more


def counted(names: Counter[str]) -> str:
    """Return names with the number of tracks that have them, the first five."""
    parts = [f"{name!r}" + (f" of {n} tracks" if n > 1 else "") for name, n in sorted(names.items())[:5]]
    return ", ".join(parts) + (f", … ({len(names)} in all)" if len(names) > 5 else "")
