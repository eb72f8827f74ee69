"""What a folder of separated tracks holds, in one line each: append only, and every line checked.

A line is written when all files of a track have their names and are on the disk. It names the content of the
file that went in, the settings, and the content of each file that came out, by SHA-256: what these agree with
need not be done again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dspsep.data._layout import MANIFEST
from dspsep.data._names import safe_file_name
from dspsep.errors import DspsepError, InputError
from dspsep.sources import check_source_name

__all__ = ["MANIFEST", "Entry", "Manifest", "sha256_of"]

#: A line holds some hundred bytes and the name and content of each source.
_MAX_LINE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One track that was separated. All paths are relative to the folder of the manifest, with ``/``.

    Parameters
    ----------
    track : str
        The name it goes by in this folder.
    record : str
        Its record of provenance, which tells tracks apart.
    input, input_sha256 : str
        The file that went in, and its content.
    settings_sha256 : str
        The settings, and with them the version of dspsep.
    files, files_sha256 : mapping of str to str
        The file of each source, and its content.
    record_sha256 : str
        The content of the record.
    seconds : float
        The length.
    notices : tuple of str
        What there was to warn of.
    """

    track: str
    record: str
    input: str
    input_sha256: str
    settings_sha256: str
    files: Mapping[str, str]
    files_sha256: Mapping[str, str]
    record_sha256: str
    seconds: float
    notices: Sequence[str] = ()

    def __post_init__(self) -> None:
        # An output folder may come from anywhere, and whoever wrote this line may have wished us ill: names
        # that lead out of the folder are no more believed here than those of files.
        for name in ("track", "record", "input", "input_sha256", "settings_sha256", "record_sha256"):
            _check_type(name, getattr(self, name), isinstance(getattr(self, name), str))
        for name in ("files", "files_sha256"):
            value = getattr(self, name)
            _check_type(name, value, isinstance(value, Mapping) and _are_strings(value.values()))
            object.__setattr__(self, name, MappingProxyType(dict(value)))
        _check_type(
            "notices", self.notices, isinstance(self.notices, (list, tuple)) and _are_strings(self.notices)
        )
        object.__setattr__(self, "notices", tuple(self.notices))
        object.__setattr__(self, "seconds", float(self.seconds))
        if self.files.keys() != self.files_sha256.keys():
            raise InputError("files_sha256", "of the same sources as files", str(list(self.files_sha256)))
        if safe_file_name(self.track) != self.track:
            raise InputError("track", "a safe name", repr(self.track))
        for path in (self.record, *self.files.values()):
            if not _is_inside(path):
                raise InputError("files", "paths below the folder of the manifest", repr(path))
        for name in self.files:
            check_source_name(name)

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold; `Entry` of this is the same again."""
        mappings = {"files": dict(self.files), "files_sha256": dict(self.files_sha256)}
        return {**vars(self), **mappings, "notices": list(self.notices)}

    def holds_in(self, folder: Path) -> bool:
        """Tell whether every file is there as it was written."""
        expected = [(file, self.files_sha256[name]) for name, file in self.files.items()]
        try:
            return all(
                sha256_of(folder / file) == content
                for file, content in [(self.record, self.record_sha256), *expected]
            )
        except OSError:
            return False


class Manifest:
    """The entries of a folder, the newest of each track; and the end of the file, to append to.

    Parameters
    ----------
    folder : Path
        Where the manifest is, or will be.
    to_append : bool, default=True
        Whether it must be possible to append to it.
    """

    def __init__(self, folder: Path, *, to_append: bool = True) -> None:
        self.path = folder / MANIFEST
        self.entries: dict[str, Entry] = {}
        self.n_damaged = 0
        self._torn = False
        if to_append:
            self._refuse_if_closed()
        self._read()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Tell whether a folder holds a manifest of ours: others have files of this name, too."""
        path = folder / MANIFEST
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return _entry_of(file.readline(_MAX_LINE)) is not None
        except OSError:
            return False

    def append(self, entry: Entry) -> None:
        """Write a line, and bring it to the disk."""
        text = json.dumps(entry.plain())
        line = f"{text[:-1]}, {json.dumps('checksum')}: {json.dumps(_checksum(text))}}}\n"
        # In one call, and at the end wherever that is by now: other batches may append, too.
        data = (b"\n" if self._torn else b"") + line.encode("ascii")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self.path, flags, 0o666)
            try:
                written = os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DspsepError(f"{str(self.path)!r} could not be written: {error.strerror}.") from error
        self._torn = written < len(data)
        if self._torn:
            raise DspsepError(f"{str(self.path)!r} could not be written. Is the disk full?")
        self.entries[entry.record] = entry

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                while line := file.readline(_MAX_LINE):
                    # What a killed process left at the end may have no end of its own.
                    self._torn = not line.endswith(b"\n")
                    if line.strip():
                        self._take(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DspsepError(f"{str(self.path)!r} could not be read: {error.strerror}.") from error

    def _take(self, line: bytes) -> None:
        entry = _entry_of(line)
        if entry is None:
            self.n_damaged += 1
        else:
            self.entries[entry.record] = entry

    def _refuse_if_closed(self) -> None:
        """Say now, and not when the first track is done, that nothing can be appended."""
        there = self.path.exists() or self.path.is_symlink()
        if there and (self.path.is_symlink() or not self.path.is_file() or not os.access(self.path, os.W_OK)):
            raise InputError(
                "--output", f"a folder whose {MANIFEST} can be written to", repr(str(self.path.parent)),
                "Give another folder.",
            )  # fmt: skip


def _entry_of(line: bytes) -> Entry | None:
    """Return the entry of a line that is whole."""
    try:
        fields = json.loads(line)
        if fields.pop("checksum") != _checksum(json.dumps(fields)):
            return None
        return Entry(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _check_type(name: str, value: object, right: bool) -> None:
    if not right:
        raise InputError(name, "of the type that it is written with", type(value).__name__)


def _are_strings(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return path.isprintable() and all(part not in ("", ".", "..") and "\\" not in part for part in parts)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of what a regular file holds."""
    # Opening a pipe would wait for somebody at its other end, and reading a device would not end.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
