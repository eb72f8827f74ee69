"""A track with true sources: names of files, and what is read of them when it is asked for."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

from dspsep import _checks
from dspsep.data import _track_audio
from dspsep.data._loaded_track import LoadedTrack, TrackInfo
from dspsep.data._track_audio import Part
from dspsep.errors import InputError
from dspsep.sources import Sources, check_source_name

__all__ = ["Track", "checked_groups"]

#: What stands for a file, or for part of what is in it.
Piece: TypeAlias = "str | Path | Part"


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Track:
    """A mixture and its true sources, as files that are read when they are asked for.

    Parameters
    ----------
    name : str
        What it is called, of one kind in its dataset. It may contain slashes: ``"test/Artist - Title"``.
    sources : mapping of str to path, Part, or sequence of them
        The files of each source, which are summed where there are several. Kept as pairs of a name and a
        tuple of `Part`. Relative paths are those of the working directory when the track is made.
    mixture : path or Part, optional
        The file of the mixture. By default the mixture is the sum of the sources.
    start : float, default=0.0
        Where the excerpt begins, in seconds.
    duration : float, optional
        How long it is, in seconds; it ends earlier if the files do. By default, all of it.

    Raises
    ------
    InputError
        If there is no source, or a name, a path or a time cannot be one.

    See Also
    --------
    dspsep.data.tracks.stem_folders : Tracks from folders of any layout.
    dspsep.data.tracks.musdb18 : Those of MUSDB18.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data import Track
    >>> from dspsep.data.files import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drums = save(Path(folder) / "drums.wav", np.full(800, 0.25), 8000)
    ...     voice = save(Path(folder) / "voice.wav", np.full(800, 0.5), 8000)
    ...     track = Track(name="song", sources={"drums": drums, "vocals": voice})
    ...     loaded = track.load()
    >>> track
    Track('song': drums, vocals)
    >>> loaded.sources.names, loaded.mixture.shape, float(loaded.mixture[0, 0])
    (('drums', 'vocals'), (1, 800), 0.75)
    """

    name: str
    sources: tuple[tuple[str, tuple[Part, ...]], ...]
    mixture: Part | None = None
    start: float = 0.0
    duration: float | None = None

    def __init__(
        self,
        *,
        name: str,
        sources: Mapping[str, Piece | Sequence[Piece]] | Sequence[tuple[str, Piece | Sequence[Piece]]],
        mixture: Piece | None = None,
        start: float = 0.0,
        duration: float | None = None,
    ) -> None:
        if not isinstance(name, str) or not name or not _is_text(name):
            raise InputError(
                "name", "a string that is not empty, and can be written in UTF-8", repr(name)[:60]
            )
        if duration is not None:
            duration = _checks.number("duration", duration, minimum=0, above=True)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "sources", _parts_of_sources(sources))
        object.__setattr__(self, "mixture", None if mixture is None else _part("mixture", mixture))
        object.__setattr__(self, "start", _checks.number("start", start, minimum=0))
        object.__setattr__(self, "duration", duration)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in self.sources)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that is read, each once: the mixture first, if there is a file of it."""
        mixture = () if self.mixture is None else (self.mixture,)
        return tuple(dict.fromkeys([*mixture, *(part for _, parts in self.sources for part in parts)]))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys(part.path for part in self.parts))

    def load(self, *, isolate: bool = False) -> LoadedTrack:
        """Read the mixture and the sources.

        Parameters
        ----------
        isolate : bool, default=False
            Decode in processes with limits of their own, for files from strangers; as `dspsep.load` does.

        Returns
        -------
        LoadedTrack
            ``mixture``, ``sources`` and ``sample_rate``, in single precision, of two dimensions.

        Raises
        ------
        InputError
            If a file is missing or cannot be read, as of `dspsep.load`; if rates, lengths or numbers of
            channels differ, which names both files; or if the excerpt begins after the end.

        Warns
        -----
        DspsepWarning
            ``W_TRUNCATED`` if a file ends before its header says.

        Notes
        -----
        Only the excerpt is decoded. Files of one source are summed in single precision, in order. Decoders
        of MP3 and AAC add silence at the end, not always the same: where a file is so coded, lengths may
        differ by what its decoder may add, and all are cut to the shortest.

        Memory: the mixture and the sources, and one of them twice for a moment.
        """
        samples, rate = _track_audio.read(self.parts, self.start, self.duration, isolate=isolate)
        audio = {name: _track_audio.total([samples[part] for part in parts]) for name, parts in self.sources}
        sources = Sources.from_dict(audio, rate)
        mixture = sources.mixture() if self.mixture is None else samples[self.mixture]
        return LoadedTrack(name=self.name, mixture=mixture, sources=sources, sample_rate=rate)

    def info(self) -> TrackInfo:
        """Read the headers: length, channels and rate, and whether all files agree on them.

        Returns
        -------
        TrackInfo
            Of the excerpt.

        Raises
        ------
        InputError
            As of `load`, except for what only decoding can find.

        Notes
        -----
        The few files whose header holds no length are decoded to count it.
        """
        n_samples, n_channels, rate = _track_audio.headers(self.parts, self.start, self.duration)
        return TrackInfo(n_samples=n_samples, n_channels=n_channels, sample_rate=rate)

    def content(self) -> str:
        """Return what identifies the audio: a SHA-256 over the bytes of the files and what is taken of them.

        Returns
        -------
        str
            64 hexadecimal digits. They depend on the bytes of the files, on which of them make which source,
            and on the excerpt; neither on the name of the track nor on where the files are.

        Raises
        ------
        InputError
            If a file cannot be read.

        Notes
        -----
        All files are read, in blocks, each once.
        """
        return _track_audio.content(self.sources, self.mixture, self.start, self.duration)

    def excerpt(self, start: float = 0.0, duration: float | None = None) -> Track:
        """Return part of the track, of which nothing else is read.

        Parameters
        ----------
        start : float, default=0.0
            Where it begins, in seconds of this track, which may be an excerpt itself.
        duration : float, optional
            How long it is, in seconds; by default and at most, to the end of this track.

        Returns
        -------
        Track
            Of the same name.
        """
        start = _checks.number("start", start, minimum=0)
        if self.duration is not None:
            left = self.duration - start
            if left <= 0:
                raise InputError(
                    "start", f"before the end of the excerpt, at {self.duration:g} s", f"{start:g} s"
                )
            duration = left if duration is None else min(_checks.number("duration", duration), left)
        return dataclasses.replace(self, start=self.start + start, duration=duration)

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> Track:
        """Return the track with sources summed into groups.

        Parameters
        ----------
        groups : mapping of str to sequence of str
            The sources of each group, for example
            ``{"vocals": ["vocals"], "accompaniment": ["drums", "bass", "other"]}``.

        Returns
        -------
        Track
            The groups, then the sources that are in none of them, as `dspsep.Regroup` orders them.

        Raises
        ------
        InputError
            If a group is empty, has the name of a source outside it, or a member that is no source or is in
            another group.
        """
        members = checked_groups(groups)
        there = dict(self.sources)
        taken = [name for names in members.values() for name in names]
        for group, names in members.items():
            for name in names:
                if name not in there:
                    requirement = f"made of sources of {self.name!r} ({', '.join(there)})"
                    raise InputError(f"group {group!r}", requirement, repr(name)[:60])
            if group in there and group not in taken:
                raise InputError("groups", "named unlike the sources outside them", repr(group)[:60])
        grouped = {
            group: tuple(part for name in names for part in there[name]) for group, names in members.items()
        }
        rest = {name: parts for name, parts in self.sources if name not in taken}
        return dataclasses.replace(self, sources=tuple({**grouped, **rest}.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: names, absolute paths and times, never samples.

        Returns
        -------
        dict
            For `from_dict`, in any process that sees the same files. Names of files that are not UTF-8 are
            in it with lone surrogates, which ``json.dumps`` writes in ASCII.
        """
        return {
            "name": self.name,
            "sources": [[name, [part.to_dict() for part in parts]] for name, parts in self.sources],
            "mixture": None if self.mixture is None else self.mixture.to_dict(),
            "start": self.start,
            "duration": self.duration,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Track:
        """Return the track of which `to_dict` told.

        Parameters
        ----------
        plain : mapping
            As `to_dict` returns it.

        Returns
        -------
        Track
            An equal one.

        Raises
        ------
        InputError
            If it is something else. It is checked like arguments are.
        """
        try:
            mixture = plain["mixture"]
            return cls(
                name=plain["name"],
                sources=[
                    (name, [Part.from_dict(part) for part in parts]) for name, parts in plain["sources"]
                ],
                mixture=None if mixture is None else Part.from_dict(mixture),
                start=plain["start"],
                duration=plain["duration"],
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("plain", "what Track.to_dict returned", repr(plain)[:60]) from None

    def __repr__(self) -> str:
        end = "" if self.duration is None else f"{self.start + self.duration:g}"
        excerpt = f"; {self.start:g} to {end or 'the end'} s" if self.start or end else ""
        return f"Track({self.name!r}: {', '.join(self.source_names)}{excerpt})"


def checked_groups(groups: object) -> dict[str, tuple[str, ...]]:
    """Return the members of each group: some, and none in two groups."""
    if not isinstance(groups, Mapping) or not groups:
        raise InputError("groups", "a mapping from the name of a group to sources", repr(groups)[:60])
    members: dict[str, tuple[str, ...]] = {}
    for group, names in groups.items():
        check_source_name(group)
        if isinstance(names, str) or not isinstance(names, Collection) or not names:
            raise InputError(f"group {group!r}", "a list of at least one source name", repr(names)[:60])
        members[group] = tuple(names)
    counts = Counter(name for names in members.values() for name in names)
    name, n = counts.most_common(1)[0]
    if n > 1:
        raise InputError("groups", "disjoint", f"{repr(name)[:60]} in more than one place")
    return members


def _parts_of_sources(sources: object) -> tuple[tuple[str, tuple[Part, ...]], ...]:
    """Return the parts of each source, given by a mapping or as pairs."""
    try:
        given = dict(sources)  # type: ignore[call-overload]  # its TypeError is the check
    except (TypeError, ValueError):
        raise InputError("sources", "a mapping from name to files", repr(sources)[:60]) from None
    if not given or len(given) < len(sources):  # type: ignore[arg-type]  # `dict` took it
        got = "none" if not given else "a name twice"
        raise InputError("sources", "at least one name with its files", got)
    parts = {}
    for name, pieces in given.items():
        check_source_name(name)
        alone = isinstance(pieces, (str, bytes, os.PathLike, Part))
        several = [pieces] if alone else pieces
        if not isinstance(several, Collection) or not several:
            raise InputError(f"sources[{name!r}]", "a file, or a list of at least one", repr(pieces)[:60])
        parts[name] = tuple(_part(f"sources[{name!r}]", piece) for piece in several)
    return tuple(parts.items())


def _part(argument: str, piece: object) -> Part:
    return piece if isinstance(piece, Part) else Part(path=_path(argument, piece))


def _path(argument: str, given: object) -> Path:
    return _track_audio.absolute_path(argument, given)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, of a file name that is not UTF-8
        return False
    return True
