"""What a track is read from: parts of files, that have to agree on rate, channels and length."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np

from dspsep import _checks
from dspsep.data._reading import (
    MAX_CHANNELS,
    Excerpt,
    Reader,
    Samples,
    existing_file,
    opener,
    span_of,
)
from dspsep.errors import InputError, warn

__all__ = ["Part", "absolute_path", "content", "headers", "read", "total"]

#: More than any file of stems has.
_MAX_STREAMS = 64

#: A file, and which of its streams.
Stream: TypeAlias = tuple[Path, int]


@final
@dataclass(frozen=True, kw_only=True)
class Part:
    """A file, or one channel or one stream of it.

    Parameters
    ----------
    path : path
        The file. Kept as an absolute one.
    channel : int, optional
        Only this channel, from zero. By default, all.
    stream : int, default=0
        Which of the streams of sound of a file that has several, as ``.stem.mp4``.

    Examples
    --------
    >>> from dspsep.data import Part, Track
    >>> Track(
    ...     name="amy_1_01",
    ...     sources={
    ...         "accompaniment": Part(path="amy_1_01.wav", channel=0),
    ...         "vocals": Part(path="amy_1_01.wav", channel=1),
    ...     },
    ... )
    Track('amy_1_01': accompaniment, vocals)
    """

    path: Path
    channel: int | None = None
    stream: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute_path("path", self.path))
        if self.channel is not None:
            channel = _checks.integer("channel", self.channel, minimum=0, maximum=MAX_CHANNELS - 1)
            object.__setattr__(self, "channel", channel)
        stream = _checks.integer("stream", self.stream, minimum=0, maximum=_MAX_STREAMS - 1)
        object.__setattr__(self, "stream", stream)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"path": str(self.path), "channel": self.channel, "stream": self.stream}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Part:
        """Return what `to_dict` told of."""
        return cls(path=plain["path"], channel=plain["channel"], stream=plain["stream"])

    def __str__(self) -> str:
        stream = f", stream {self.stream}" if self.stream else ""
        channel = "" if self.channel is None else f", channel {self.channel}"
        return f"{str(self.path)!r}{stream}{channel}"


def absolute_path(argument: str, given: object) -> Path:
    """Return a path that means the same in every folder."""
    try:
        text = os.fsdecode(given)  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError(argument, "a path", type(given).__name__) from None
    if not text or "\0" in text:
        raise InputError(argument, "a path", repr(text)[:60])
    return Path(text).absolute()


def read(
    parts: Sequence[Part], start: float, duration: float | None, *, isolate: bool
) -> tuple[dict[Part, Samples], float]:
    """Return the excerpt of all parts (n_channels, n_samples), of one length, and their rate."""
    decoded: dict[Stream, Samples] = {}
    notices: list[tuple[str, str]] = []
    with ExitStack() as stack:
        readers = _opened(parts, stack, isolate=isolate)
        _check_start(readers, start)
        for stream, reader in readers.items():
            excerpt = Excerpt(stream[0], reader, span_of(reader, start, duration), start)
            decoded[stream] = excerpt.samples(mono=False)
            notices += excerpt.end()
    for code, message in dict.fromkeys(notices):
        warn(code, message, stacklevel=4)
    n_samples = _common_length({stream: audio.shape[1] for stream, audio in decoded.items()}, readers)
    samples = {part: _chosen(decoded[part.path, part.stream], part.channel, n_samples) for part in parts}
    return samples, next(iter(readers.values())).sample_rate


def headers(parts: Sequence[Part], start: float, duration: float | None) -> tuple[int, int, float]:
    """Return length, channels and rate of an excerpt, as far as headers tell."""
    with ExitStack() as stack:
        readers = _opened(parts, stack, isolate=False)
        _check_start(readers, start)
        lengths = {}
        for stream, reader in readers.items():
            span = span_of(reader, start, duration)
            known = reader.n_samples is not None and span.count is not None
            lengths[stream] = span.count if known else sum(len(block) for block in reader.blocks(span))
        first = next(iter(readers.values()))
        return _common_length(lengths, readers), _n_channels(parts[0], first), first.sample_rate


def _chosen(audio: Samples, channel: int | None, n_samples: int) -> Samples:
    channels = slice(None) if channel is None else slice(channel, channel + 1)
    return np.ascontiguousarray(audio[channels, :n_samples])


def total(parts: Sequence[Samples]) -> Samples:
    """Return the sum of parts, in order; one that is alone is returned as it is."""
    first, *others = parts
    if not others:
        return first
    summed = first.copy()
    for other in others:
        summed += other
    return summed


def content(
    sources: Iterable[tuple[str, Sequence[Part]]], mixture: Part | None, start: float, duration: float | None
) -> str:
    """Return a digest of the bytes of all files, and of what is taken from them."""
    digests: dict[Path, str] = {}

    def told(part: Part) -> list[Any]:
        if part.path not in digests:
            digests[part.path] = _digest(part.path)
        return [digests[part.path], part.channel, part.stream]

    plain = {
        "sources": [[name, [told(part) for part in parts]] for name, parts in sources],
        "mixture": None if mixture is None else told(mixture),
        "excerpt": [start, duration],
    }
    return hashlib.sha256(json.dumps(plain).encode("ascii")).hexdigest()


def _digest(path: Path) -> str:
    try:
        with existing_file(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError("path", "a file that can be read", f"{str(path)!r}: {error.strerror}") from None


def _opened(parts: Sequence[Part], stack: ExitStack, *, isolate: bool) -> dict[Stream, Reader]:
    """Open every stream once, and see that all agree with the first, before anything is decoded."""
    readers: dict[Stream, Reader] = {}
    for part in parts:
        key = part.path, part.stream
        if key not in readers:
            reader = opener(isolate=isolate, stream=part.stream)(existing_file(part.path))
            stack.callback(reader.close)
            readers[key] = reader
        reader = readers[key]
        if part.channel is not None and part.channel >= reader.n_channels:
            raise InputError(
                "channel",
                f"less than {reader.n_channels}, as many as there are in {str(part.path)!r}",
                part.channel,
            )
        _check_alike(part, reader, parts[0], next(iter(readers.values())))
    _common_length({key: reader.n_samples for key, reader in readers.items()}, readers)
    return readers


def _check_alike(part: Part, reader: Reader, first: Part, of_first: Reader) -> None:
    """Refuse a part of another rate, or of another number of channels, than the first."""
    if reader.sample_rate != of_first.sample_rate:
        got = f"{of_first.sample_rate} Hz in {first} and {reader.sample_rate} Hz in {part}"
        raise InputError("the files of a track", "of one rate", got)
    wanted, seen = _n_channels(first, of_first), _n_channels(part, reader)
    if wanted != seen:
        got = f"{_counted(wanted)} in {first} and {_counted(seen)} in {part}"
        raise InputError("the files of a track", "of one number of channels", got)


def _n_channels(part: Part, reader: Reader) -> int:
    return reader.n_channels if part.channel is None else 1


def _counted(n_channels: int) -> str:
    return "1 channel" if n_channels == 1 else f"{n_channels} channels"


def _common_length(lengths: Mapping[Stream, int | None], readers: Mapping[Stream, Reader]) -> int:
    """Return the shortest length; refuse those that differ by more than what decoders add."""
    known = {key: length for key, length in lengths.items() if length is not None}
    if not known:
        return 0
    shortest, longest = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    slack = max(reader.slack for reader in readers.values())
    if known[longest] - known[shortest] > slack:
        names = [str(Part(path=path, stream=stream)) for path, stream in (longest, shortest)]
        raise InputError(
            "the files of a track",
            "of one length",
            f"{known[longest]} samples in {names[0]} and {known[shortest]} in {names[1]}",
            "Sources that were cut differently are not aligned with the mixture.",
        )
    return known[shortest]


def _check_start(readers: Mapping[Stream, Reader], start: float) -> None:
    """Refuse an excerpt after the end of a file."""
    for (path, _), reader in readers.items():
        if reader.n_samples is not None and round(start * reader.sample_rate) >= reader.n_samples:
            end = reader.n_samples / reader.sample_rate
            raise InputError("start", f"before the end of {str(path)!r}, at {end:g} s", f"{start:g} s")
