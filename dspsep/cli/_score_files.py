"""Where scores go: each file whole or not at all, in the place of another only if that was asked for."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dspsep._interrupts import uninterrupted
from dspsep.data._names import Names, distinct_file_name, safe_file_name
from dspsep.data._replacing import Replacement, remove_litter
from dspsep.errors import DspsepError, InputError
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
        _check_folders(wanted)

    def _check_file(self, option: str, path: Path) -> None:
        if os.path.isdir(path):  # noqa: PTH112 - never raises
            raise InputError(option, "the name of a file", f"{str(path)!r}, which is a folder")
        if os.path.lexists(path) and (not _is_file(path) or _is_stream(path)):
            got = f"{str(path)!r}, which is a pipe, a device, a broken link, or where output goes already"
            raise InputError(option, "the name of a file", got, "What is printed can be chosen by --format.")
        folder = path.parent
        while option == "--museval" and not os.path.lexists(folder):
            folder = folder.parent  # it is made when there is something to write
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):  # noqa: PTH112
            if option == "--museval":
                raise InputError(option, "a folder that can be written to", repr(str(folder)))
            requirement = "in a folder that is there and can be written to"
            raise InputError(option, requirement, repr(str(path)))
        if os.path.lexists(path) and not self.overwrite:
            raise InputError(
                option, "the name of a new file", f"{str(path)!r}, which is there", "--overwrite replaces it."
            )

    def write(self, scores: Scores) -> list[str]:
        """Write all files that can be written; return what went wrong with others, in sentences."""
        tasks: list[tuple[str, Path, Callable[[], str]]] = []
        if self.json is not None:
            tasks.append(("--json", Path(self.json), lambda: scores.to_json() + "\n"))
        if self.csv is not None:
            tasks.append(("--csv", Path(self.csv), scores.to_csv))
        for track in scores.tracks if self.museval is not None else ():

            def museval(name: str = track.track) -> str:
                return json.dumps(scores.to_museval(name), indent=2) + "\n"

            tasks.append(("--museval", self._of_tracks[track.track], museval))
        troubles = []
        for option, path, text in tasks:
            try:
                written = _write(path, text(), overwrite=self.overwrite)
            except (DspsepError, OSError) as error:
                said = getattr(error, "strerror", None) or str(error)
                troubles.append(f"{option}: {str(path)!r} was not written: {said}")
            else:
                if written != path:
                    troubles.append(
                        f"{option}: {str(path)!r} came to be there meanwhile, and was left as it is. The"
                        f" scores are in {str(written)!r}: rename one of the two."
                    )
        return troubles


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - never raises


def _is_stream(path: Path) -> bool:
    """Tell whether a file is what this process prints to, by whatever name: ``/dev/stdout`` is one."""
    for descriptor in (1, 2):
        with suppress(OSError, ValueError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
    return False


def _check_folders(wanted: Sequence[tuple[str, Path]]) -> None:
    """Refuse files that would have to be the folders of others, whatever the case of their names."""

    def key(path: str | Path) -> str:
        return str(path).casefold()

    files = {key(os.path.realpath(path)): path for _, path in wanted}
    for option, path in wanted:
        for folder in Path(os.path.realpath(path)).parents:
            if key(folder) in files:
                got = f"{str(path)!r} beside the file {str(files[key(folder)])!r}"
                remedy = "Rename what is called like the file of another, with its extension."
                raise InputError(option, "of files none of which is the folder of another", got, remedy)


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


def _write(path: Path, text: str, *, overwrite: bool) -> Path:
    """Write a file, and the folders it needs; return its path, which is another if that is not free."""
    data = text.encode()
    target = Path(os.path.realpath(path))
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_litter(target.parent)
        replacement = Replacement(target)
        try:
            replacement.temporary.write_bytes(data)
            replacement.sync()
            _publish(replacement, overwrite=overwrite)
        except BaseException:
            replacement.discard()
            raise
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # it was not made, or others use it by now
                folder.rmdir()
        raise
    return path if replacement.target == target else replacement.target


@uninterrupted
def _publish(replacement: Replacement, *, overwrite: bool) -> None:
    """Give a file its name; if that was taken while the scores were computed, one like it."""
    wanted = replacement.target
    if overwrite and (_is_file(wanted) or not os.path.lexists(wanted)):
        replacement.publish()
        return
    for turn in itertools.count():
        replacement.target = wanted.with_name(f"{wanted.stem}-{turn}{wanted.suffix}") if turn else wanted
        try:
            # Who makes a file has its name, on every file system; it is replaced in the next step.
            os.close(os.open(replacement.target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        try:
            replacement.publish()
        except OSError:
            replacement.target.unlink(missing_ok=True)
            raise
        return
