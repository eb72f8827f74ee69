"""What a folder of separated tracks holds, in one line each: append only, and every line checked.

A line is written when all files of a track have their names and are on the disk. It names the content of the
file that went in, the settings, and the content of each file that came out, by SHA-256: what these agree with
need not be done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dspsep.errors import DspsepError, InputError

__all__ = ["MANIFEST", "Entry", "Manifest", "sha256_of"]

MANIFEST = "manifest.jsonl"

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
    seconds : float
        The length.
    """

    track: str
    record: str
    input: str
    input_sha256: str
    settings_sha256: str
    files: Mapping[str, str]
    files_sha256: Mapping[str, str]
    seconds: float

    def __post_init__(self) -> None:
        for name in ("track", "record", "input", "input_sha256", "settings_sha256"):
            if not isinstance(getattr(self, name), str):
                raise InputError(name, "a string", type(getattr(self, name)).__name__)
        for name in ("files", "files_sha256"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
                raise InputError(name, "a mapping of strings", type(value).__name__)
            object.__setattr__(self, name, MappingProxyType(dict(value)))
        if self.files.keys() != self.files_sha256.keys():
            raise InputError("files_sha256", "of the same sources as files", str(list(self.files_sha256)))
        object.__setattr__(self, "seconds", float(self.seconds))

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold; `Entry` of this is the same again."""
        return {**vars(self), "files": dict(self.files), "files_sha256": dict(self.files_sha256)}

    def holds_in(self, folder: Path) -> bool:
        """Tell whether every file is there as it was written."""
        try:
            return all(
                sha256_of(folder / file) == self.files_sha256[name] for name, file in self.files.items()
            )
        except OSError:
            return False


class Manifest:
    """The entries of a folder, the newest of each track; and the end of the file, to append to.

    Parameters
    ----------
    folder : Path
        Where the manifest is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        self.entries: dict[str, Entry] = {}
        self.n_damaged = 0
        self._torn = False
        self._read()

    def append(self, entry: Entry) -> None:
        """Write a line, and bring it to the disk."""
        text = json.dumps(entry.plain())
        line = f"{text[:-1]}, {json.dumps('checksum')}: {json.dumps(_checksum(text))}}}\n"
        # In one call, and at the end wherever that is by now: other batches may append, too.
        data = (b"\n" if self._torn else b"") + line.encode("ascii")
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
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
        try:
            fields = json.loads(line)
            checksum = fields.pop("checksum")
            entry = Entry(**fields)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ):  # InputError is a ValueError
            self.n_damaged += 1
            return
        if checksum == _checksum(json.dumps(fields)):
            self.entries[entry.record] = entry
        else:
            self.n_damaged += 1


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
