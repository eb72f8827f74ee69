"""From the name of a source to the name of a file, on any system and whatever the name."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["Names", "distinct_file_name", "safe_file_name", "system_name"]

#: 100 characters leave room for an extension and a temporary name; the bound in bytes is for file
#: systems that count bytes (255 of them), where an emoji is four.
_MAX_CHARACTERS = 100
_MAX_BYTES = 200

#: What some system takes as a separator, a wildcard, a drive, a stream or a redirection.
_FORBIDDEN = set('<>:"/\\|?*')

#: Devices, on Windows, whatever extension follows.
_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"} | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"
}

_EDGES = " .-~"


def safe_file_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name for a file, without extension, that cannot leave its folder.

    Separators, wildcards, control and bidirectional characters become ``-``; leading and trailing dots,
    dashes, tildes and spaces go; names that are devices on Windows, that are empty or too long, and
    those that differ from one in `taken` by nothing or only by case, get a short hash of the original
    name. The same arguments give the same answer on every system.

    Parameters
    ----------
    name : str
        Any string at all.
    taken : iterable of str, default=()
        File names, without extension, that are in use in the same folder.

    Returns
    -------
    str
        1 to 100 characters, at most 200 bytes in UTF-8, in Unicode's composed form (NFC).

    Examples
    --------
    >>> from dspsep.data.files import safe_file_name
    >>> safe_file_name("percussive/kick")
    'percussive-kick'
    >>> safe_file_name("../../etc/passwd")
    'etc-passwd'
    >>> safe_file_name("Kick", taken=["kick"])
    'Kick-37ca3c'
    """
    return distinct_file_name(name, taken, str(name))


def distinct_file_name(name: str, taken: Iterable[str], of: str) -> str:
    """Return what `safe_file_name` does, with the hash of another string: of what tells equal names apart."""
    slug = _slug(str(name))
    used = taken.keys if isinstance(taken, Names) else {_key(other) for other in taken}
    digest = hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()
    shortened = _cut(slug, _MAX_CHARACTERS, _MAX_BYTES)
    if shortened == slug and slug and not _is_device(slug) and _key(slug) not in used:
        return slug
    for turn in itertools.count():
        length = min(6 + turn, 16)
        if turn > 10:  # the same string again and again
            digest = hashlib.sha256(digest.encode("ascii")).hexdigest()
        stem = _cut(slug, _MAX_CHARACTERS - length - 1, _MAX_BYTES - length - 1) or "unnamed"
        # A device followed by a dash is no device, but "con.x" is one whatever follows the dot.
        stem = stem.replace(".", "-") if _is_device(stem) else stem
        candidate = f"{stem}-{digest[:length]}"
        if _key(candidate) not in used:
            break
    return candidate


class Names:
    """Names that are in use in one folder: as `taken`, many at no cost for each."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.keys = {_key(name) for name in names}
        self._names = list(names)

    def add(self, name: str) -> None:
        """Take a name."""
        self.keys.add(_key(name))
        self._names.append(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)


def system_name(path: Path) -> str | bytes:
    """Return the name of a file as soundfile takes any: on POSIX it is bytes, and need not be UTF-8."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


def _slug(name: str) -> str:
    composed = unicodedata.normalize("NFC", name)
    replaced = "".join("-" if _is_unsafe(character) else character for character in composed)
    return re.sub(r"--+", "-", replaced).strip(_EDGES)


def _is_unsafe(character: str) -> bool:
    category = unicodedata.category(character)
    # C: control, format (bidirectional marks), surrogates, unassigned. Z: odd spaces and line ends.
    return character in _FORBIDDEN or category[0] == "C" or (category[0] == "Z" and character != " ")


def _is_device(slug: str) -> bool:
    # Windows ignores spaces before the first dot, and everything after it.
    return slug.partition(".")[0].rstrip(" ").casefold() in _RESERVED


def _cut(slug: str, characters: int, n_bytes: int) -> str:
    cut = slug[:characters]
    while len(cut.encode("utf-8")) > n_bytes:
        cut = cut[:-1]
    return cut.rstrip(_EDGES) if cut != slug else slug


def _key(name: str) -> str:
    """Return what is the same for names that some file system takes as one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
