"""An ordered set of tracks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final, overload

from dspsep.data._track import Track
from dspsep.data._track_audio import absolute_path
from dspsep.errors import InputError

__all__ = ["Dataset"]


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset(Sequence[Track]):
    """An ordered set of tracks of different names.

    Parameters
    ----------
    name : str
        What it is called.
    tracks : sequence of Track
        The tracks.
    root : path, optional
        The folder that they were found in.

    Raises
    ------
    InputError
        If two tracks have one name.

    Examples
    --------
    >>> from dspsep.data import Dataset, Track
    >>> tracks = [
    ...     Track(name=name, sources={"drums": f"{name}/drums.wav"}) for name in ("one", "two", "three")
    ... ]
    >>> dataset = Dataset(name="songs", tracks=tracks)
    >>> dataset
    Dataset('songs': 3 tracks of drums)
    >>> dataset["two"]
    Track('two': drums)
    >>> dataset[1:].excerpt(duration=10.0)[0]
    Track('two': drums; 0 to 10 s)
    """

    name: str
    tracks: tuple[Track, ...]
    root: Path | None = None

    def __post_init__(self) -> None:
        tracks = tuple(self.tracks)
        for track in tracks:
            if not isinstance(track, Track):
                raise InputError("tracks", "tracks", type(track).__name__)
        twice = [name for name, n in Counter(track.name for track in tracks).items() if n > 1]
        if twice:
            raise InputError("tracks", "of different names", f"several called {repr(twice[0])[:60]}")
        object.__setattr__(self, "tracks", tracks)
        if self.root is not None:
            object.__setattr__(self, "root", absolute_path("root", self.root))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tracks, in order."""
        return tuple(track.name for track in self.tracks)

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> Dataset:
        """Return all tracks with sources summed into groups, as `Track.regroup`."""
        return dataclasses.replace(self, tracks=tuple(track.regroup(groups) for track in self.tracks))

    def excerpt(self, start: float = 0.0, duration: float | None = None) -> Dataset:
        """Return the same part of all tracks, as `Track.excerpt`."""
        return dataclasses.replace(
            self, tracks=tuple(track.excerpt(start, duration) for track in self.tracks)
        )

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    def __contains__(self, item: object) -> bool:
        return item in (self.names if isinstance(item, str) else self.tracks)

    @overload
    def __getitem__(self, index: int | str) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | str | slice) -> Track | Dataset:
        if isinstance(index, slice):
            return dataclasses.replace(self, tracks=self.tracks[index])
        if isinstance(index, str):
            try:
                return self.tracks[self.names.index(index)]
            except ValueError:
                near = ", ".join(map(repr, self.names[:5])) + (", …" if len(self) > 5 else "")
                raise KeyError(f"no track {index!r} in {self.name!r}; there are {near}") from None
        return self.tracks[index]

    def __repr__(self) -> str:
        sets = Counter(track.source_names for track in self.tracks)
        most = ", ".join(sets.most_common(1)[0][0]) if sets else "no sources"
        others = f", and {len(sets) - 1} other sets of sources" if len(sets) > 1 else ""
        count = f"{len(self)} track" + ("" if len(self) == 1 else "s")
        return f"Dataset({self.name!r}: {count} of {most}{others})"
