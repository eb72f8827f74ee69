"""Where the files of a separation go: a template, filled with names that cannot leave the folder."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dspsep.data._names import safe_file_name
from dspsep.data._replacing import remove_litter
from dspsep.data._writing import EXTENSIONS
from dspsep.errors import InputError

__all__ = ["DEFAULT_TEMPLATE", "MANIFEST", "Layout", "checked_template"]

DEFAULT_TEMPLATE = "{track}/{source}.{ext}"

#: What is in the folder that all layouts of a batch are in, and must be nobody's name.
MANIFEST = "manifest.jsonl"

_FIELDS = ("track", "trackext", "source", "ext")
_ALIASES = {"stem": "source"}  # as Demucs spells it
_RECORD = "provenance"
_REPORT = "report"

#: What a name is tried with, to see whether what stands between the fields is a lawful name, too.
_SAMPLE = {"track": "track", "trackext": "wav", "source": "source", "ext": "flac"}


def checked_template(template: str, name: str = "filename") -> str:
    """Return a template in its inner form, if what it makes are names below a folder, apart from each other.

    Parameters
    ----------
    template : str
        Of ``{track}``, ``{trackext}``, ``{source}`` (or ``{stem}``) and ``{ext}``, with ``/`` between
        folders.
    name : str, default="filename"
        What the template is called in errors.

    Returns
    -------
    str
        The same with ``<source>`` for ``{source}`` and so on: no safe name holds these brackets, but braces
        are as good as other letters.

    Examples
    --------
    >>> checked_template("{track}_{stem}.{ext}")
    '<track>_<source>.<ext>'
    """
    example = f"For example {DEFAULT_TEMPLATE!r}, which is the default."
    try:
        parts = list(string.Formatter().parse(template))
    except (ValueError, TypeError):
        raise InputError(name, "a template whose braces are in pairs", repr(template), example) from None
    if "<" in template or ">" in template:
        raise InputError(name, "without < and >, which no system has in names", repr(template), example)
    plain = ""
    for text, spelled, form, conversion in parts:
        plain += text
        if spelled is not None:
            field = _ALIASES.get(spelled, spelled)
            if field not in _FIELDS or form or conversion:
                known = ", ".join(f"{{{one}}}" for one in _FIELDS)
                raise InputError(name, f"of the fields {known}", f"{template!r}", example)
            plain += f"<{field}>"
    if not plain.endswith(".<ext>") or "<track>" not in plain or "<source>" not in plain:
        requirement = "a template with {track} and {source} that ends in .{ext}"
        raise InputError(name, requirement, repr(template), example)
    for part in _filled(plain, _SAMPLE).split("/"):
        if safe_file_name(part, [MANIFEST]) != part:
            raise InputError(
                name, "of names that are lawful on every system, below the folder of the method",
                f"{template!r}, in which {part!r} is not", example,
            )  # fmt: skip
    return plain


@dataclass(frozen=True)
class Layout:
    """The names of the files of one set of sources.

    Parameters
    ----------
    root : Path
        The folder that all of them are in, or below.
    pattern : str, default="<source>.<ext>"
        Of the fields ``<source>`` and ``<ext>``, with ``/`` between folders.
    """

    root: Path
    pattern: str = "<source>.<ext>"

    @classmethod
    def of_track(cls, root: Path, template: str, track: str, suffix: str) -> Layout:
        """Return the layout of a track, under its safe name, from a checked template.

        Examples
        --------
        >>> layout = Layout.of_track(Path("out"), "<track>/<source>.<ext>", "song", ".mp3")
        >>> layout.root.as_posix(), layout.pattern
        ('out/song', '<source>.<ext>')
        """
        if safe_file_name(track, [MANIFEST]) != track:
            raise InputError("track", "a safe name", repr(track))
        names = {"track": track, "trackext": safe_file_name(suffix.removeprefix(".") or "none")}
        pattern = _filled(template, {**names, "source": "<source>", "ext": "<ext>"})
        *folders, file = pattern.split("/")
        shared = 0
        while shared < len(folders) and "<" not in folders[shared]:
            shared += 1
        return cls(root.joinpath(*folders[:shared]), "/".join([*folders[shared:], file]))

    @property
    def record(self) -> Path:
        """The file that tells how the sources came about."""
        return self._path(_RECORD, "json")

    @property
    def report(self) -> Path:
        """The page that shows the sources."""
        return self._path(_REPORT, "html")

    def files(self, names: Iterable[str], extension: str) -> dict[str, Path]:
        """Return the file of each source, each with a name of its own."""
        stems: dict[str, str] = {}
        for name in names:
            stems[name] = safe_file_name(name, stems.values())
        return {name: self._path(stem, extension[1:]) for name, stem in stems.items()}

    def relative(self, path: Path) -> str:
        """Return a path below the root as it stands in the record, alike on every system."""
        return path.relative_to(self.root).as_posix()

    def tidy(self, names: Iterable[str]) -> None:
        """Remove what a process that was killed may have left, and the folders if there is nothing else."""
        for folder in {path.parent for path in (self.record, *self.files(names, ".wav").values())}:
            remove_litter(folder)
            with suppress(OSError):  # it holds something, or is not there
                folder.rmdir()

    def may_have_made(self, file: str) -> Path | None:
        """Return the path of an audio file that a record names, if this layout makes such names.

        A record that was tampered with must not reach beyond what is the track's own.
        """
        endings = "|".join(extension[1:] for extension in EXTENSIONS)
        parts = re.split(r"(<source>|<ext>)", self.pattern)
        fields = {"<source>": "([^/]+)", "<ext>": f"(?:{endings})"}
        match = re.fullmatch("".join(fields.get(part, re.escape(part)) for part in parts), file)
        if match is None or any(safe_file_name(source) != source for source in match.groups()):
            return None
        return self.root / file

    def _path(self, source: str, extension: str) -> Path:
        return self.root.joinpath(*_filled(self.pattern, {"source": source, "ext": extension}).split("/"))


def _filled(template: str, values: dict[str, str]) -> str:
    """Put values in the place of fields."""
    return re.sub(r"<(\w+)>", lambda match: values[match[1]], template)
