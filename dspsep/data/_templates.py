"""Find files by a template of their paths, as ``"{track}/{source}.wav"``.

A field stands for one or more characters of one name in a path. No regular expression is made of what users
or file systems say: a name is compared piece by piece.
"""

from __future__ import annotations

import functools
import os
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dspsep.data._stems import AUDIO_SUFFIXES, is_mixture, listed
from dspsep.errors import InputError

__all__ = ["SOURCE", "Found", "Template", "allowing", "entries", "plain_text", "what_is_in"]

EXTENSION, SOURCE = "ext", "source"

_ALIASES = {"stem": SOURCE}
_EXAMPLE = "For example '{track}/{source}.wav'."
_MAX_LENGTH = 1000

#: Whether a field may have a value.
Allowed: TypeAlias = Callable[[str, str], bool]


@dataclass(frozen=True)
class Token:
    """A piece of a name: what is written there, or a field."""

    text: str
    is_field: bool


@dataclass(frozen=True)
class Found:
    """A file, and what the fields of the template are in its path."""

    path: Path
    values: Mapping[str, str]

    def key(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Return the values of these fields."""
        return tuple(self.values[field] for field in fields)


class Template:
    """A template, taken apart: for each name in the path, its pieces.

    Parameters
    ----------
    text : str
        Names with fields in braces, with ``/`` between folders.
    argument : str
        What it is called in errors.

    Raises
    ------
    InputError
        If it is no template, or one of paths that are not below a folder.
    """

    def __init__(self, text: object, argument: str) -> None:
        if not isinstance(text, str) or not text or len(text) > _MAX_LENGTH:
            raise InputError(argument, "a template of paths", repr(text)[:60], _EXAMPLE)
        self.text, self.argument = text, argument
        self.names = [self._tokens(name) for name in text.split("/")]
        fields = dict.fromkeys(token.text for name in self.names for token in name if token.is_field)
        self.fields = tuple(fields)

    @property
    def track_fields(self) -> tuple[str, ...]:
        """The fields that together tell one track from another, in order."""
        return tuple(field for field in self.fields if field not in (SOURCE, EXTENSION))

    def _tokens(self, name: str) -> tuple[Token, ...]:
        shown = repr(self.text)
        try:
            parts = list(string.Formatter().parse(name))
        except ValueError:
            raise InputError(self.argument, "a template whose braces are in pairs", shown, _EXAMPLE) from None
        tokens: list[Token] = []
        for text, field, form, conversion in parts:
            if text:
                tokens.append(Token(unicodedata.normalize("NFC", text), is_field=False))
            if field is None:
                continue
            if not field.isidentifier() or form or conversion:
                raise InputError(self.argument, "a template whose fields are plain names", shown, _EXAMPLE)
            tokens.append(Token(_ALIASES.get(field, field), is_field=True))
        fields = [token.text for token in tokens if token.is_field]
        if len(set(fields)) < len(fields):
            raise InputError(self.argument, "a template with a field once in each name", shown, _EXAMPLE)
        if not tokens or (not tokens[0].is_field and tokens[0].text.startswith(".")) or "\\" in name:
            requirement = "a template of names below a folder, none empty or hidden, with / between them"
            raise InputError(self.argument, requirement, shown, _EXAMPLE)
        return tuple(tokens)

    def files(self, root: Path, allowed: Allowed) -> Iterator[Found]:
        """Yield the files below `root` that fit, in the order of their paths.

        What begins with a dot is left out, and links to folders are not followed.

        Raises
        ------
        InputError
            If a name can be read in two ways, or a folder not at all.
        """
        yield from self._below(root, 0, {}, allowed)

    def _below(
        self, folder: Path, depth: int, values: Mapping[str, str], allowed: Allowed
    ) -> Iterator[Found]:
        is_last = depth == len(self.names) - 1
        for entry in entries(folder):
            if entry.is_file() if is_last else entry.is_dir(follow_symlinks=False):
                found = self._match(entry, depth, values, allowed)
                if found is None:
                    continue
                if is_last:
                    yield Found(Path(entry.path), found)
                else:
                    yield from self._below(Path(entry.path), depth + 1, found, allowed)

    def _match(
        self, entry: os.DirEntry[str], depth: int, values: Mapping[str, str], allowed: Allowed
    ) -> dict[str, str] | None:
        readings = matches(entry.name, self.names[depth], values, allowed)
        if len(readings) > 1:
            ways = " or ".join(
                ", ".join(f"{field}={value!r}" for field, value in reading.items()) for reading in readings
            )
            raise InputError(
                self.argument, "a template that reads each name in one way", f"{entry.path!r}: {ways}",
                "Name the sources (sources=[…]), or write more of the names into the template.",
            )  # fmt: skip
        return {**values, **readings[0]} if readings else None

    def where_it_ends(self, root: Path, allowed: Allowed) -> Path:
        """Return the first folder in which nothing fits, as deep as anything does."""
        folder, values = root, dict[str, str]()
        for depth in range(len(self.names) - 1):
            for entry in entries(folder):
                is_folder = entry.is_dir(follow_symlinks=False)
                readings = matches(entry.name, self.names[depth], values, allowed) if is_folder else []
                if readings:
                    folder, values = Path(entry.path), {**values, **readings[0]}
                    break
            else:
                break
        return folder


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder and not hidden, in order."""
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise InputError("root", "a folder that can be read", f"{str(folder)!r}: {error.strerror}") from None


def matches(
    name: str, tokens: tuple[Token, ...], values: Mapping[str, str], allowed: Allowed
) -> list[dict[str, str]]:
    """Return the first two ways to read a name; most often there is one, or none.

    Names are compared in Unicode's composed form, since some systems store them decomposed.
    """
    text = unicodedata.normalize("NFC", name)

    @functools.cache
    def readings(index: int, at: int) -> tuple[tuple[str, ...], ...]:
        """Return the values of the fields from token `index` on, of the text from `at` on."""
        if index == len(tokens):
            return ((),) if at == len(text) else ()
        token = tokens[index]
        fixed = values.get(token.text) if token.is_field else token.text
        if fixed is not None:
            rest = readings(index + 1, at + len(fixed)) if text.startswith(fixed, at) else ()
            return tuple((fixed, *one) for one in rest) if token.is_field else rest
        found: list[tuple[str, ...]] = []
        for end in range(at + 1, len(text) + 1):
            if len(found) > 1:
                break
            if not allowed(token.text, text[at:end]):
                continue
            found += [(text[at:end], *one) for one in readings(index + 1, end)]
        return tuple(found[:2])

    fields = [token.text for token in tokens if token.is_field]
    return [dict(zip(fields, found, strict=True)) for found in readings(0, 0)]


def allowing(sources: tuple[str, ...] | None, *, mixtures: bool) -> Allowed:
    """Return which values fields may have: a source one of these, or a mixture; an extension one of audio."""

    def allowed(field: str, value: str) -> bool:
        if field == EXTENSION:
            return f".{value.lower()}" in AUDIO_SUFFIXES
        return field != SOURCE or sources is None or value in sources or (mixtures and is_mixture(value))

    return allowed


def plain_text(name: str) -> str:
    r"""Return a name of a file, composed, and with ``\xff`` for bytes that are no UTF-8."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def what_is_in(folder: Path) -> str:
    """Return what errors say that a folder holds."""
    names = [
        entry.name + (" (a link)" if entry.is_symlink() else "/" if entry.is_dir() else "")
        for entry in entries(folder)
    ]
    return f"{str(folder)!r}, in which there is {listed(names) if names else 'nothing'}"
