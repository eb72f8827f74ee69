"""Decode audio files in blocks, and never trust what a header says about their length.

`open_audio` finds a decoder by content: libsndfile, or FFmpeg through PyAV for what libsndfile lacks.
Both are a `Reader`; an `Excerpt` turns either into samples, in blocks or all at once.
"""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep.data._content import Content, content_of
from dspsep.errors import InputError

__all__ = [
    "AudioInfo",
    "Excerpt",
    "Reader",
    "Samples",
    "Span",
    "check_header",
    "existing_file",
    "open_audio",
    "opened",
    "opener",
    "refuse_nothing",
    "refuse_too_long",
    "span_of",
]

Samples = npt.NDArray[np.float32]

#: Audio that decodes to more than this many bytes is refused: ten minutes of silence fit in a FLAC of
#: 100 kB, so the size of a file says nothing about what it asks for.
MAX_DECODED_BYTES = 8 * 10**9

MAX_CHANNELS = 64
MAX_SAMPLE_RATE = 768_000

BLOCK_FRAMES = 65_536


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What an audio file holds.

    Parameters
    ----------
    n_samples : int
        Per channel.
    sample_rate : float
        In hertz.
    n_channels : int
        The number of channels.
    format : str
        The container as libsndfile or FFmpeg names it, for example ``"WAV"`` or ``"OGG"``.
    subtype : str
        How samples are coded in it, for example ``"PCM_16"`` or ``"VORBIS"``.

    Examples
    --------
    >>> from dspsep.data.files import AudioInfo
    >>> info = AudioInfo(n_samples=4000, sample_rate=8000, n_channels=2, format="FLAC", subtype="PCM_24")
    >>> info.duration
    0.5
    """

    n_samples: int
    sample_rate: float
    n_channels: int
    format: str
    subtype: str

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.n_samples / self.sample_rate


@dataclass(frozen=True)
class Span:
    """Part of a file, in its own samples: `count` of them from `start`, or all there are."""

    start: int
    count: int | None


class Reader(Protocol):
    """An open audio file.

    Attributes
    ----------
    sample_rate : int
        In hertz.
    n_channels : int
        The number of channels.
    n_samples : int or None
        Per channel as the header announces; None where no header says.
    slack : int
        By how many samples the header may be wrong in files that are whole.
    format, subtype : str
        Container and coding.
    notices : list of (str, str)
        Codes and messages for warnings about the end of the file.
    """

    sample_rate: int
    n_channels: int
    n_samples: int | None
    slack: int
    format: str
    subtype: str
    notices: list[tuple[str, str]]

    def blocks(self, span: Span) -> Iterator[Samples]:
        """Yield blocks (n_frames, n_channels) that together are `span`, or as much as decodes."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def existing_file(path: object, kind: str = "an audio file") -> Path:
    """Return `path` if it is a regular file with something in it; `kind` says what it should be."""
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError("path", f"the path of {kind}", type(path).__name__) from None
    shown = repr(text)
    file = Path(text)
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            "path", "an existing file", shown, f"Paths are relative to {str(Path.cwd())!r}."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("path", "a file that can be opened", f"{shown}: {reason}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("path", "a file", f"the folder {shown}", "Pass the files in it one by one.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError("path", "a regular file", f"the pipe or device {shown}")
    if status.st_size == 0:
        raise InputError("path", kind, f"{shown}, which is empty", "Was the download or copy finished?")
    return file


def open_audio(path: Path, stream: int = 0) -> Reader:
    """Open `path` with the decoder that its content asks for, and check its header.

    Few files have more than one stream of sound, of which `stream` counts.

    Raises
    ------
    InputError
        If there is no decoder for it, or its header cannot be true.
    """
    try:
        content = content_of(path)
    except OSError as error:
        raise InputError("path", "a file that can be read", f"{str(path)!r}: {error.strerror}") from None
    reader = _decoder_for(path, content, stream)
    try:
        check_header(path, reader)
    except InputError:
        reader.close()
        raise
    return reader


def check_header(path: Path, reader: Reader) -> None:
    """Refuse a header that cannot be true, or that asks for more than is allowed."""
    shown = repr(str(path))
    if not 0 < reader.n_channels <= MAX_CHANNELS:
        raise InputError("path", f"audio of 1 to {MAX_CHANNELS} channels", f"{reader.n_channels} in {shown}")
    if not 0 < reader.sample_rate <= MAX_SAMPLE_RATE:
        raise InputError(
            "path", f"audio at 1 to {MAX_SAMPLE_RATE} Hz", f"{reader.sample_rate} Hz in {shown}",
            "The header is damaged.",
        )  # fmt: skip
    if reader.n_samples == 0:
        raise InputError("path", "audio of at least one sample", f"{shown}, which has none")


def _decoder_for(path: Path, content: Content, stream: int) -> Reader:
    seen = f"{str(path)!r}, which holds {content.label}"
    if content.soundfile and stream:
        raise InputError("stream", f"0, the only one in {seen}", stream)
    if content.soundfile:
        from dspsep.data._sndfile import SndfileReader, UndecodableError

        try:
            return SndfileReader(path, content)
        except UndecodableError as error:
            seen = f"{str(path)!r}, which begins like {content.label} but does not decode{error}"
    elif content.demuxer is None:
        raise InputError("path", "an audio file", seen, "Pass WAV, FLAC, Ogg, Opus, MP3 or AIFF.")
    if content.demuxer is not None and _has_av():
        from dspsep.data import _av

        try:
            return _av.AvReader(path, content.demuxer, stream)
        except _av.UndecodableError as error:
            raise InputError(
                "path", "an audio file that can be decoded", f"{seen} ({error})",
                f"If other players play it, convert it: ffmpeg -i {path.name!r} audio.wav.",
            ) from None  # fmt: skip
    remedy = f"convert it: ffmpeg -i {path.name!r} audio.wav."
    if content.soundfile:
        remedy = f"If other players play it, {remedy}"
    else:
        remedy = f'Install PyAV: pip install "dspsep[av]". Or {remedy}'
    raise InputError("path", "an audio file that can be decoded", seen, remedy)


def _has_av() -> bool:
    return importlib.util.find_spec("av") is not None


class Excerpt:
    """Part of an audio file, being read: what is common to reading it whole and in blocks."""

    def __init__(self, file: Path, reader: Reader, span: Span, offset: float) -> None:
        self.file = file
        self.sample_rate = reader.sample_rate
        self.n_channels = reader.n_channels
        self.span = span
        self.n_read = 0
        self._reader = reader
        self._offset = offset

    def blocks(self) -> Iterator[Samples]:
        """Yield finite blocks (n_frames, n_channels) that together are what can be decoded of it."""
        for block in self._reader.blocks(self.span):
            _refuse_non_finite(block, self.span.start + self.n_read, self.sample_rate)
            self.n_read += len(block)
            yield block

    def samples(self, *, mono: bool) -> Samples:
        """Return all of it as samples (n_channels, n_samples).

        Blocks are kept as they come and put together at the end, so that memory follows what decodes, not
        what a header claims.
        """
        n_channels = 1 if mono else self.n_channels
        if self.span.count is not None:
            refuse_too_long(self.span.count, n_channels)
        blocks: list[Samples] = []
        for block in self.blocks():
            kept = block.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32) if mono else block
            blocks.append(kept)
            refuse_too_long(self.n_read, n_channels)
        samples = np.empty((n_channels, self.n_read), np.float32)
        blocks.reverse()
        at = 0
        while blocks:  # each block is let go as soon as it is copied
            block = blocks.pop()
            samples[:, at : at + len(block)] = block.T
            at += len(block)
        return samples

    def end(self) -> list[tuple[str, str]]:
        """Return what to warn of, now that all was read; refuse a file of which nothing decoded."""
        if not self.n_read:
            refuse_nothing(self.file, self._reader, self._offset)
        span, reader = self.span, self._reader
        n_missing = 0 if span.count is None else span.count - self.n_read
        if n_missing > reader.slack:
            return [(
                "W_TRUNCATED",
                f"{str(self.file)!r} is damaged or incomplete: {n_missing / self.sample_rate:.3f} s of what"
                " its header announces do not decode; what is before was read.",
            )]  # fmt: skip
        reaches_end = span.count is None or span.start + span.count == reader.n_samples
        return reader.notices if reaches_end else []


@contextmanager
def opened(
    path: object, offset: object = 0.0, duration: object = None, *, isolate: bool = False
) -> Iterator[Excerpt]:
    """Open part of an audio file, in seconds, and check its header; arguments as of `load`."""
    offset = _checks.number("offset", offset, minimum=0)
    if duration is not None:
        duration = _checks.number("duration", duration, minimum=0, above=True)
    file = existing_file(path)
    reader = opener(isolate=isolate)(file)
    try:
        yield Excerpt(file, reader, span_of(reader, offset, duration), offset)
    finally:
        reader.close()


def opener(*, isolate: bool, stream: int = 0) -> Callable[[Path], Reader]:
    """Return what opens one stream of a file: here, or in a process of its own."""
    if not isolate:
        return lambda path: open_audio(path, stream)
    from dspsep.data._isolated import IsolatedReader

    return lambda path: IsolatedReader(path, stream)


def span_of(reader: Reader, offset: float, duration: float | None) -> Span:
    """Return a part of a file, given in seconds, in its own samples."""
    start = round(offset * reader.sample_rate)
    count = None if duration is None else round(duration * reader.sample_rate)
    if count == 0:
        raise InputError("duration", "at least one sample long", f"{duration:g} s at {reader.sample_rate} Hz")
    if reader.n_samples is None:
        return Span(start, count)
    if start >= reader.n_samples:
        length = reader.n_samples / reader.sample_rate
        raise InputError("offset", f"before the end of the file, at {length:g} s", f"{offset:g} s")
    rest = reader.n_samples - start
    return Span(start, rest if count is None else min(count, rest))


def refuse_nothing(file: Path, reader: Reader, offset: float) -> None:
    """Say why there is no sample."""
    if offset > 0:
        raise InputError(
            "offset", "before the end of what can be decoded", f"{offset:g} s in {str(file)!r}",
            "The file is shorter, or damaged there.",
        )  # fmt: skip
    raise InputError(
        "path", "an audio file that can be decoded",
        f"{str(file)!r}, whose header is that of {reader.format} but of which no sample decodes",
        "Is the download or copy complete?",
    )  # fmt: skip


def refuse_too_long(n_samples: int, n_channels: int, limit: float | None = None) -> None:
    """Refuse what would take more bytes than a limit, which is `MAX_DECODED_BYTES` unless given."""
    limit = MAX_DECODED_BYTES if limit is None else limit
    size = 4 * n_samples * n_channels
    if size > limit:
        raise InputError(
            "path",
            f"audio of at most {limit / 1e9:g} GB when decoded",
            f"{size / 1e9:.3g} GB",
            "Read part of it, with an offset and a duration; or its header is damaged.",
        )


def _refuse_non_finite(block: Samples, start: int, rate: int) -> None:
    if np.isfinite(block).all():
        return
    frame, channel = (int(index) for index in np.argwhere(~np.isfinite(block))[0])
    raise InputError(
        "path",
        "a file of finite samples",
        f"NaN or infinity, first in channel {channel} at {(start + frame) / rate:.3f} s",
        "Whatever wrote it went wrong there: make it again, or read around it with an offset and a duration.",
    )
