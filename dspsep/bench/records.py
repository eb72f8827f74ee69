"""A results folder: one file for each track and method, there when it is whole, and what was asked for.

Records of equal inputs are equal byte for byte. What differs between runs (times, processors) lies in files
of its own. The key of a record names all that it depends on: what agrees with it need not be done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dspsep._version import __version__
from dspsep.bench import _folder
from dspsep.data._names import Names, safe_file_name
from dspsep.data._replacing import Replacement, remove_litter
from dspsep.errors import DspsepError, InputError

__all__ = ["BENCHMARK", "FORMAT", "RecordFolder", "key_of"]

#: Of the files of a results folder.
FORMAT = 1

BENCHMARK = "benchmark.json"


def key_of(
    *,
    method: Mapping[str, Any],
    track: str,
    content: str | None,
    protocol: Mapping[str, Any],
    sources: Iterable[str],
    seed: int | None,
) -> str:
    """Return a digest of everything that a record depends on.

    Parameters
    ----------
    method : mapping
        As `Method.identity` tells.
    track : str
        Its name, which seeds are derived from.
    content : str or None
        The digest of its audio.
    protocol : mapping
        How it is scored.
    sources : iterable of str
        Which sources are scored, in their order.
    seed : int or None
        Of the benchmark.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.
    """
    told = {
        "format": FORMAT, "dspsep": __version__, "method": method, "track": track, "content": content,
        "protocol": protocol, "sources": list(sources), "seed": seed,
    }  # fmt: skip
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, default=repr)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class RecordFolder:
    """The files of a results folder.

    Parameters
    ----------
    path : Path
        The folder.
    methods, tracks : iterable of str
        All names that there will be.
    """

    def __init__(self, path: Path, methods: Iterable[str], tracks: Iterable[str]) -> None:
        self.path = path
        self._methods = _file_names(methods)
        self._tracks = _file_names(tracks)

    def record_path(self, method: str, track: str) -> Path:
        """Return where the record of a method and a track is, or will be."""
        return self._path("records", method, track)

    def times_path(self, method: str, track: str) -> Path:
        """Return where its times are."""
        return self._path("times", method, track)

    def make(self) -> None:
        """Make the folders, and remove what a killed run has left halfway."""
        try:
            for kind in ("records", "times"):
                for method in self._methods.values():
                    folder = self.path / kind / method
                    _refuse_links(folder.parent, folder)
                    folder.mkdir(parents=True, exist_ok=True)
                    remove_litter(folder)
            remove_litter(self.path)
        except OSError as error:
            requirement = "a folder that can be made and written to"
            got = f"{str(self.path)!r}: {error.strerror}"
            raise InputError("folder", requirement, got) from error

    def record(self, method: str, track: str) -> dict[str, Any] | None:
        """Return a record as it is there; None where it, or its times, are not what a benchmark writes."""
        times = self.times_path(method, track)
        try:
            found, plain = _folder.record_in(self.record_path(method, track))
            told = [(found.method, found.track)]
            if os.path.lexists(times):  # they may be gone
                timing = _folder.timing_in(times)
                told.append((timing.method, timing.track))
        except InputError:
            return None
        return plain if set(told) == {(method, track)} else None

    def remove(self, method: str, track: str) -> None:
        """Remove what is there of a method and a track, the record first."""
        for path in (self.record_path(method, track), self.times_path(method, track)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise DspsepError(f"{str(path)!r} could not be removed: {error.strerror}.") from error

    def write(self, record: Mapping[str, Any], times: Mapping[str, Any] | None) -> None:
        """Write a record, and before it its times: who sees the one finds the other."""
        method, track = record["method"], record["track"]
        if times is not None:
            _write(self.times_path(method, track), _text(times))
        _write(self.record_path(method, track), _text(record))

    def write_benchmark(self, benchmark: Mapping[str, Any]) -> None:
        """Write what was asked for."""
        _write(self.path / BENCHMARK, _text(benchmark, indent=1))

    def _path(self, kind: str, method: str, track: str) -> Path:
        return self.path / kind / self._methods[method] / f"{self._tracks[track]}.json"


def _refuse_links(*folders: Path) -> None:
    """Refuse folders that are links: whoever made them would choose where files are written and removed."""
    for folder in folders:
        if folder.is_symlink():
            requirement = "one in which no folder is a link"
            raise InputError(
                "folder", requirement, repr(str(folder)), "Remove the link, or use a new folder."
            )


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each name, whatever other names there are, but for those of other case."""
    taken = Names()
    found: dict[str, str] = {}
    for name in sorted(set(names)):
        plain = safe_file_name(name)
        # What had to be changed gets a hash in any case, and not only where two became the same.
        found[name] = safe_file_name(name, taken if plain == name else [*taken, plain])
        taken.add(found[name])
    return found


def _text(plain: Mapping[str, Any], indent: int | None = None) -> bytes:
    # ASCII, since names of files can hold lone surrogates, which no other encoding could write.
    return (json.dumps(plain, ensure_ascii=True, allow_nan=False, indent=indent) + "\n").encode("ascii")


def _write(path: Path, data: bytes) -> None:
    """Write a file that has its name when it is whole.

    It is not waited for until it is on the disk, which takes longer than many a method. If the system goes
    down, the last records are lost or damaged, and done again.
    """
    try:
        replacement = Replacement(path)
        try:
            replacement.temporary.write_bytes(data)
            replacement.publish(to_disk=False)
        finally:
            replacement.discard()
    except OSError as error:
        raise DspsepError(f"{str(path)!r} could not be written: {error.strerror}.") from error
