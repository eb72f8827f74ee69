"""Decode audio files in blocks, and never trust what a header says about their length.

`open_audio` finds a decoder by content: libsndfile, or FFmpeg through PyAV for what libsndfile lacks.
Both are a `Reader`; `decoded` turns either into samples.
"""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dspsep.data._content import Content, content_of
from dspsep.errors import InputError

__all__ = ["AudioInfo", "Reader", "Samples", "Span", "decoded", "existing_file", "open_audio"]

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


def existing_file(path: object) -> Path:
    """Return `path` if it is a regular file with something in it."""
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError("path", "the path of an audio file", type(path).__name__) from None
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
        raise InputError(
            "path", "an audio file", f"{shown}, which is empty", "Was the download or copy finished?"
        )
    return file


def open_audio(path: Path) -> Reader:
    """Open `path` with the decoder that its content asks for, and check its header.

    Raises
    ------
    InputError
        If there is no decoder for it, or its header cannot be true.
    """
    try:
        content = content_of(path)
    except OSError as error:
        raise InputError("path", "a file that can be read", f"{str(path)!r}: {error.strerror}") from None
    reader = _decoder_for(path, content)
    shown = repr(str(path))
    if not 0 < reader.n_channels <= MAX_CHANNELS:
        reader.close()
        raise InputError("path", f"audio of 1 to {MAX_CHANNELS} channels", f"{reader.n_channels} in {shown}")
    if not 0 < reader.sample_rate <= MAX_SAMPLE_RATE:
        reader.close()
        raise InputError(
            "path", f"audio at 1 to {MAX_SAMPLE_RATE} Hz", f"{reader.sample_rate} Hz in {shown}",
            "The header is damaged.",
        )  # fmt: skip
    if reader.n_samples == 0:
        reader.close()
        raise InputError("path", "audio of at least one sample", f"{shown}, which has none")
    return reader


def _decoder_for(path: Path, content: Content) -> Reader:
    seen = f"{str(path)!r}, which holds {content.label}"
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
            return _av.AvReader(path, content.demuxer)
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


def decoded(reader: Reader, span: Span, *, mono: bool) -> tuple[Samples, int]:
    """Return `span` as samples (n_channels, n_samples), and how many samples of it are missing.

    Blocks are kept as they come and put together at the end, so that memory follows what decodes, not
    what a header claims.
    """
    n_channels = 1 if mono else reader.n_channels
    if span.count is not None:
        refuse_too_long(span.count, n_channels)
    blocks: list[Samples] = []
    n_samples = 0
    for block in reader.blocks(span):
        _refuse_non_finite(block, span.start + n_samples, reader.sample_rate)
        kept = block.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32) if mono else block
        blocks.append(kept)
        n_samples += len(kept)
        refuse_too_long(n_samples, n_channels)
    samples = np.empty((n_channels, n_samples), np.float32)
    blocks.reverse()
    at = 0
    while blocks:  # each block is let go as soon as it is copied
        block = blocks.pop()
        samples[:, at : at + len(block)] = block.T
        at += len(block)
    return samples, 0 if span.count is None else span.count - n_samples


def refuse_too_long(n_samples: int, n_channels: int) -> None:
    """Refuse what would take more memory than `MAX_DECODED_BYTES`."""
    size = 4 * n_samples * n_channels
    if size > MAX_DECODED_BYTES:
        raise InputError(
            "path",
            f"audio of at most {MAX_DECODED_BYTES / 1e9:g} GB when decoded",
            f"{size / 1e9:.3g} GB",
            "Read part of it, with offset= and duration=; or its header is damaged.",
        )


def _refuse_non_finite(block: Samples, start: int, rate: int) -> None:
    if np.isfinite(block).all():
        return
    frame, channel = (int(index) for index in np.argwhere(~np.isfinite(block))[0])
    raise InputError(
        "path",
        "a file of finite samples",
        f"NaN or infinity, first in channel {channel} at {(start + frame) / rate:.3f} s",
        "Whatever wrote it went wrong there: make it again, or read around it with offset= and duration=.",
    )
