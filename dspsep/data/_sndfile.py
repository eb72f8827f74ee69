"""Read through libsndfile: WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3 and their kin."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dspsep._interrupts import uninterrupted
from dspsep.data._content import Content, ogg_tail, xing_header
from dspsep.data._names import system_name
from dspsep.data._reading import BLOCK_FRAMES, Samples, Span

__all__ = ["SndfileReader", "UndecodableError"]

#: What libsndfile answers for a FLAC whose header leaves the length open.
_UNKNOWN_LENGTH = 2**63 - 1

#: Formats whose decoder carries state over from samples before: some of these are decoded first, and
#: thrown away.
_STATEFUL = {"OGG", "MP3"}
_PREROLL = 8192

#: Sizes that programs write which stream WAV to a pipe and cannot go back (FFmpeg, SoX).
_PLACEHOLDERS = {0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000}

_SIZE_LINE = re.compile(r"^\s*(data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_RF64_LINE = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")

#: After lost data, libsndfile 1.2.2 can take the beginning of a last Opus page to be before zero. The 64 bits
#: wrap around, it makes a buffer as long as the page, and hands that over without writing to it (measured:
#: what lay in memory, for audio). It notes a hole of an impossible length then.
_HOLE_LINE = re.compile(r"Hole found appears to be of length (-?\d+) samples")
_LONGEST_HOLE = 2**40


class UndecodableError(Exception):
    """Raised where libsndfile cannot open the file; the message begins with a separator, or is empty."""


class SndfileReader:
    """A `Reader` on libsndfile."""

    def __init__(self, path: Path, content: Content) -> None:
        import soundfile

        xing = xing_header(path) if content.label == "MP3" else None
        endless = content.label == "MP3" and xing is None
        # soundfile takes ".raw" for samples without a header, whatever is inside; a file without a name
        # has no extension.
        self._raw = _Endless(path) if endless else _nameless(path) if path.suffix.lower() == ".raw" else None
        try:
            self._file = soundfile.SoundFile(system_name(path) if self._raw is None else self._raw)
        except soundfile.LibsndfileError as error:
            self._close_raw()
            reason = error.error_string.rstrip(". ")
            # What libsndfile says when its MP3 decoder finds no frames, and of no use to anyone.
            raise UndecodableError("" if "possibly a pipe" in reason else f" ({reason})") from None
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        frames: int = self._file.frames
        self.n_samples = None if endless or frames >= _UNKNOWN_LENGTH else frames
        self.slack = 1152 if self.format == "MP3" else 0
        self._errors = soundfile.SoundFileError
        tail = ogg_tail(path) if self.format == "OGG" else None
        # libsndfile 1.2.2 takes the last page of a Vorbis stream to be full when it seeks there, and lands
        # hundreds of samples off (measured): seek to what is before it, and decode from there.
        self._seekable_end = self.n_samples or _UNKNOWN_LENGTH
        if tail is not None:
            self._seekable_end = tail.last_page_start
        self._cut = tail is not None and tail.ends_early
        self.notices = self._notices(path)
        if tail is not None and tail.holds_more:
            self.notices.append((
                "W_TRUNCATED",
                f"{str(path)!r} is several streams one after another; only the first,"
                f" {frames / self.sample_rate:.3f} s, was read. Convert it with ffmpeg to have the rest.",
            ))  # fmt: skip
        if xing is not None and xing.holds_more:
            self.notices.append((
                "W_TRUNCATED",
                f"{str(path)!r} holds more than its header announces; only what it announces,"
                f" {frames / self.sample_rate:.3f} s, was read. Convert it with ffmpeg to have the rest.",
            ))  # fmt: skip

    def _notices(self, path: Path) -> list[tuple[str, str]]:
        """Say whether libsndfile quietly read less than the container announces."""
        cut = self._cut
        log = self._file.extra_info
        for name, announced, actual in _SIZE_LINE.findall(log):
            # Only W64 counts the whole file in its outer chunk: in the others that number is often
            # wrong in files that are complete.
            relevant = name != "riff" or self.format == "W64"
            cut |= relevant and int(announced) > int(actual) and int(announced) not in _PLACEHOLDERS
        for actual, announced in _RF64_LINE.findall(log):
            cut |= int(announced) > int(actual)
        if not cut:
            return []
        return [("W_TRUNCATED", f"{str(path)!r} ends before its header says; what is there was read.")]

    def blocks(self, span: Span) -> Iterator[Samples]:
        target = min(span.start, self._seekable_end)
        if self.format in _STATEFUL:
            target = max(0, target - _PREROLL)
        skip = span.start - target
        left = None if span.count is None else span.count + skip
        if target:
            try:
                self._file.seek(target)
            except self._errors:
                return
        whole = True
        while whole and (left is None or left > 0):
            block, whole = self._read(BLOCK_FRAMES if left is None else min(BLOCK_FRAMES, left))
            if not len(block) or self._unwritten():
                return
            left = None if left is None else left - len(block)
            kept = block[skip:]
            skip -= len(block) - len(kept)
            if len(kept):
                yield kept

    def _read(self, n_frames: int) -> tuple[Samples, bool]:
        """Read a block; also tell whether it ended well.

        Where a file is damaged, libsndfile decodes up to that point and then fails without saying how
        far it came. The NaN that were there before tell.
        """
        buffer = np.full((n_frames, self.n_channels), np.nan, np.float32)
        try:
            block: Samples = self._file.read(out=buffer)
        except self._errors:
            missing = np.isnan(buffer).any(axis=1)
            return buffer[: int(missing.argmax()) if missing.any() else n_frames], False
        return block, True

    def _unwritten(self) -> bool:
        """Tell whether what was just read may be memory that the decoder never wrote to."""
        if self.subtype != "OPUS":
            return False
        holes = map(int, _HOLE_LINE.findall(self._file.extra_info))
        return any(not 0 <= length < _LONGEST_HOLE for length in holes)

    @uninterrupted
    def close(self) -> None:
        self._file.close()
        self._close_raw()

    def _close_raw(self) -> None:
        if self._raw is not None:
            self._raw.close()


def _descriptor(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _nameless(path: Path) -> io.FileIO:
    return io.FileIO(_descriptor(path), "r")


class _Endless(io.FileIO):
    """A file that seems a thousand times as long as it is.

    libsndfile stops reading an MP3 at the length that it guesses from the size of the file and the bit
    rate at its beginning: with a variable bit rate and no header to announce the length, that loses any
    part of the music (60 % of one measured). With the guess out of the way it reads to the end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(_descriptor(path), "r")
        self._end = 1000 * os.fstat(self.fileno()).st_size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == os.SEEK_END:
            return super().seek(self._end + offset)
        return super().seek(offset, whence)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        # The last bytes are asked for an ID3v1 tag: answer that there is none.
        if self.tell() >= self._end - 1024:
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        return super().readinto(buffer)
