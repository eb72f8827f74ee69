"""What a file holds, by its first bytes: its extension is not evidence.

Only contents that are recognised here reach a decoder. That keeps files of the wrong kind away from the
many rarely used parsers of a native library, and lets the error name what was seen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Content", "OggTail", "XingHeader", "content_of", "ogg_tail", "xing_header"]

_MPEG_HEAD = 4096


@dataclass(frozen=True)
class Content:
    """What the first bytes tell.

    Attributes
    ----------
    label : str
        In words, for errors.
    soundfile : bool
        Whether libsndfile is worth asking.
    demuxer : str or None
        What FFmpeg, through PyAV, calls the container; None where that is not worth asking.
    """

    label: str
    soundfile: bool = False
    demuxer: str | None = None


_MP3 = Content("MP3", soundfile=True, demuxer="mp3")
_MP4 = Content("MP4/M4A (AAC or ALAC)", demuxer="mov")
_AAC = Content("AAC", demuxer="aac")

#: First bytes, and what they are. The longest of those that fit counts.
_MAGIC: dict[bytes, Content] = {
    b"fLaC": Content("FLAC", soundfile=True, demuxer="flac"),
    b"OggS": Content("Ogg", soundfile=True, demuxer="ogg"),
    b"RF64": Content("WAV (RF64)", soundfile=True, demuxer="wav"),
    b"riff\x2e\x91\xcf\x11": Content("WAV (W64)", soundfile=True, demuxer="w64"),
    b"FORM": Content("AIFF", soundfile=True, demuxer="aiff"),
    b".snd": Content("AU", soundfile=True, demuxer="au"),
    b"caff": Content("CAF", soundfile=True, demuxer="caf"),
    b"NIST_1A": Content("NIST SPHERE", soundfile=True),
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": Content("WMA (ASF)", demuxer="asf"),
    b"\x1a\x45\xdf\xa3": Content("Matroska or WebM", demuxer="matroska"),
    b"wvpk": Content("WavPack", demuxer="wv"),
    b"MAC ": Content("Monkey's Audio", demuxer="ape"),
    b"TTA1": Content("True Audio", demuxer="tta"),
    b"#!AMR": Content("AMR", demuxer="amr"),
    b"DSD ": Content("DSD", demuxer="dsf"),
    b"MThd": Content("MIDI, which holds notes and no sound"),
    b"PK\x03\x04": Content("a ZIP archive"),
    b"%PDF": Content("a PDF document"),
    b"\x89PNG": Content("a PNG picture"),
    b"\xff\xd8\xff": Content("a JPEG picture"),
    b"#EXTM3U": Content("a playlist"),
    b"version https://git-lfs": Content("a Git LFS pointer instead of the file itself"),
    b"<!DOCTYPE": Content("a web page"),
    b"<html": Content("a web page"),
}

_RIFF = {
    b"WAVE": Content("WAV", soundfile=True, demuxer="wav"),
    b"AVI ": Content("AVI", demuxer="avi"),
}


def content_of(path: Path) -> Content:
    """Tell what the file at `path` holds."""
    with path.open("rb") as file:
        head = file.read(64)
        start = _after_id3(head)
        if start:
            file.seek(start)
            head = file.read(64)
    if head[:4] in (b"RIFF", b"RIFX"):
        return _RIFF.get(head[8:12], Content("RIFF, but no audio"))
    if head[4:8] == b"ftyp":
        return _MP4
    fitting = [magic for magic in _MAGIC if head.startswith(magic)]
    if fitting:
        return _MAGIC[max(fitting, key=len)]
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return _AAC
    # After an ID3 tag, or under this extension, MP3 decoders look for the first frame themselves.
    if _is_mpeg_frame(head) or start or path.suffix.lower() == ".mp3":
        return _MP3
    return Content("no audio format that is known")


def _is_mpeg_frame(head: bytes) -> bool:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bitrate != 15 and rate != 3


def _after_id3(head: bytes) -> int:
    """Return where the audio begins if `head` begins an ID3v2 tag, else 0."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


@dataclass(frozen=True)
class XingHeader:
    """What the first frame of an MP3 announces: whether the file is as long as that says."""

    announced_bytes: int | None
    available_bytes: int

    @property
    def holds_more(self) -> bool:
        """Whether far more follows than is announced, as in files that were joined end to end."""
        announced = self.announced_bytes
        return announced is not None and self.available_bytes > announced + announced // 2 + 2**16


def xing_header(path: Path) -> XingHeader | None:
    """Return the length that an MP3 announces, or None if it announces none.

    Without it, nobody knows the length of an MP3 short of decoding it: libraries guess from the bit
    rate of the first frames, and are wrong by any factor if that varies.
    """
    with path.open("rb") as file:
        start = _after_id3(file.read(10))
        file.seek(start)
        head = file.read(_MPEG_HEAD)
    at = max(head.find(b"Xing"), head.find(b"Info"))
    if at < 0 or len(head) < at + 16:
        return None
    flags, _n_frames, n_bytes = struct.unpack_from(">III", head, at + 4)
    if not flags & 1:
        return None
    return XingHeader(n_bytes if flags & 2 else None, path.stat().st_size - start)


@dataclass(frozen=True)
class OggTail:
    """How an Ogg file ends.

    Attributes
    ----------
    ends_early : bool
        Whether it stops before the page that is marked as its last.
    last_page_start : int
        The sample that the last page begins with; 0 where that cannot be told.
    holds_more : bool
        Whether its last page is of another stream than those that it begins with, as in files that were
        joined end to end.
    """

    ends_early: bool
    last_page_start: int
    holds_more: bool = False


def ogg_tail(path: Path) -> OggTail:
    """Look at the first pages of an Ogg file, and at the last two."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = _first_streams(file.read(2**16))
        file.seek(max(0, size - 3 * 2**16))  # the longest page has 65 307 bytes
        tail = file.read()
    last = tail.rfind(b"OggS")
    length = _page_length(tail, last)
    whole = length is not None and last + length <= len(tail)
    before = tail.rfind(b"OggS", 0, max(last, 0))
    while before >= 0 and _page_length(tail, before) != last - before:
        before = tail.rfind(b"OggS", 0, before)  # these four bytes can also occur inside a page
    start: int = struct.unpack_from("<q", tail, before + 6)[0] if before >= 0 else 0
    more = whole and bool(first) and tail[last + 14 : last + 18] not in first
    return OggTail(not (whole and tail[last + 5] & 4), max(0, start), more)


def _first_streams(head: bytes) -> set[bytes]:
    """Return the numbers of the streams that begin together where the file does."""
    streams: set[bytes] = set()
    at = 0
    while head.startswith(b"OggS", at) and (length := _page_length(head, at)) and head[at + 5] & 2:
        streams.add(head[at + 14 : at + 18])
        at += length
    return streams


def _page_length(data: bytes, at: int) -> int | None:
    """Return how many bytes the page has that begins at `at`, as its own header says."""
    if at < 0 or len(data) < at + 27:
        return None
    body = at + 27 + data[at + 26]
    return None if len(data) < body else body - at + sum(data[at + 27 : body])
