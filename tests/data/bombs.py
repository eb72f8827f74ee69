"""Small files that ask for a lot: lengths, counts and rates at the edge of their ranges, lists in lists."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import soundfile

from tests.data.mutations import sealed
from tests.data.test_files import tone
from tests.data.test_files_damaged import wav_bytes

__all__ = ["BOMBS", "MP3", "encoded"]


def chunk(name: bytes, content: bytes, claim: int | None = None) -> bytes:
    return (
        name + struct.pack("<I", len(content) if claim is None else claim) + content + bytes(len(content) % 2)
    )


def riff(*chunks: bytes, claim: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return chunk(b"RIFF", body, claim)


def layout(
    *, tag: int = 1, channels: int = 1, rate: int = 8000, byte_rate: int | None = None,
    align: int | None = None, bits: int = 16, more: bytes = b"",
) -> bytes:  # fmt: skip
    frame = channels * bits // 8 if align is None else align
    per_second = rate * frame % 2**32 if byte_rate is None else byte_rate
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, per_second, frame % 2**16, bits) + more)


DATA = chunk(b"data", np.arange(64, dtype="<i2").tobytes())


def nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = chunk(b"LIST", b"adtl" + inner)
    return inner


def aiff(rate: bytes, *, frames: int = 64, channels: int = 1, more: bytes = b"") -> bytes:
    common = b"COMM" + struct.pack(">IhIh", 18, channels, frames, 16) + rate
    sound = b"SSND" + struct.pack(">III", 8 + 128, 0, 0) + bytes(128)
    body = b"AIFF" + common + more + sound
    return b"FORM" + struct.pack(">I", len(body)) + body


def rf64(sizes: bytes) -> bytes:
    body = b"WAVE" + chunk(b"ds64", sizes) + layout() + chunk(b"data", bytes(64), BIG)
    return b"RF64" + b"\xff" * 4 + body


def w64_of(size: int) -> bytes:
    data = encoded("W64", "PCM_16")
    struct.pack_into("<q", data, data.index(b"data") + 16, size)
    return bytes(data)


def encoded(form: str, subtype: str, seconds: float = 0.5, rate: int = 44100) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(2, seconds, rate).T, rate, subtype, format=form)
    return bytearray(buffer.getvalue())


def flac_with(kind: int, content: bytes, claim: int | None = None) -> bytes:
    """Return a FLAC with one more block of metadata, behind the first."""
    data = bytes(encoded("FLAC", "PCM_16"))
    size = len(content) if claim is None else claim
    return data[:42] + bytes([kind]) + size.to_bytes(3, "big") + content + data[42:]


def ogg_with_granule(value: int, *, page: int) -> bytes:
    data = encoded("OGG", "VORBIS")
    at = [place for place in range(len(data)) if data.startswith(b"OggS", place)][page]
    struct.pack_into("<q", data, at + 6, value)
    return bytes(sealed(data))


def mp3_with_xing(n_frames: int, n_bytes: int) -> bytes:
    data = encoded("MP3", "MPEG_LAYER_III")
    at = max(data.find(b"Xing"), data.find(b"Info"))
    struct.pack_into(">II", data, at + 8, n_frames, n_bytes)
    return bytes(data)


MP3 = bytes(encoded("MP3", "MPEG_LAYER_III"))
TAG = b"ID3\4\0\0\0\0\0"  # and one more byte: how long it is, in seven bits
BIG_TAG = b"ID3\4\0\0\x7f\x7f\x7f\x7f"
SPHERE = b"""NIST_1A
   1024
channel_count -i 1
sample_rate -i 8000
sample_count -i 1000000000000000000
sample_n_bytes -i 2
sample_byte_format -s2 01
sample_coding -s3 pcm
end_head
"""
BIG = 2**32 - 1

#: What the file is → its bytes.
BOMBS: dict[str, Callable[[], bytes]] = {
    "60 bytes, 4 GiB of channels": lambda: riff(layout(channels=65535), chunk(b"data", bytes(16), BIG - 1)),
    "1024 channels": lambda: wav_bytes(bytes(8192), channels=1024),
    "2000 channels": lambda: wav_bytes(bytes(8000), channels=2000),
    "a rate of 1": lambda: wav_bytes(bytes(8000), rate=1),
    "a rate of 2**31": lambda: wav_bytes(bytes(8000), rate=2**31),
    "a rate of 2**32 - 1": lambda: wav_bytes(bytes(8000), rate=BIG),
    "no block align": lambda: riff(layout(align=0), DATA),
    "a block align of 65535": lambda: riff(layout(align=65535), DATA),
    "a block align of one byte": lambda: riff(layout(align=1), DATA),
    "a byte rate of 0": lambda: riff(layout(byte_rate=0), DATA),
    "a byte rate of 2**32 - 1": lambda: riff(layout(byte_rate=BIG), DATA),
    "0 bits": lambda: riff(layout(bits=0, align=2), DATA),
    "65535 bits": lambda: riff(layout(bits=65535), DATA),
    "7 bits": lambda: riff(layout(bits=7, align=1), DATA),
    "8-bit floating point": lambda: riff(layout(tag=3, bits=8), DATA),
    "ADPCM of blocks without end": lambda: (
        riff(layout(tag=17, bits=4, align=65535, more=struct.pack("<HH", 2, 65535)), DATA)
    ),
    "ADPCM of blocks without samples": lambda: (
        riff(layout(tag=17, bits=4, align=256, more=struct.pack("<HH", 2, 0)), DATA)
    ),
    "Microsoft's ADPCM without coefficients": lambda: (
        riff(layout(tag=2, bits=4, align=256, more=struct.pack("<HHH", 32, 65535, 65535)), DATA)
    ),
    "an unknown coding": lambda: riff(layout(tag=0xABCD), DATA),
    "two layouts": lambda: riff(layout(), layout(channels=64), DATA),
    "samples before the layout": lambda: riff(DATA, layout()),
    "many chunks of samples": lambda: riff(layout(), DATA * 1000),
    "200 000 empty chunks": lambda: riff(layout(), chunk(b"junk", b"") * 200_000, DATA),
    "200 000 unknown chunks": lambda: riff(layout(), chunk(b"\1\2\3\4", b"") * 200_000, DATA),
    "lists in lists, 20 000 deep": lambda: riff(layout(), nested(20_000), DATA),
    "a list longer than the file": lambda: riff(layout(), chunk(b"LIST", b"INFO", BIG), DATA),
    "a title longer than the file": lambda: (
        riff(layout(), chunk(b"LIST", b"INFO" + chunk(b"INAM", b"x", BIG)), DATA)
    ),
    "a broadcast history longer than the file": lambda: riff(layout(), chunk(b"bext", bytes(602), BIG), DATA),
    "2**32 - 1 cue points": lambda: riff(layout(), chunk(b"cue ", struct.pack("<I", BIG)), DATA),
    "2**32 - 1 loops": lambda: riff(layout(), chunk(b"smpl", bytes(28) + struct.pack("<II", BIG, BIG)), DATA),
    "a peak for 2**32 - 1 channels": lambda: riff(layout(), chunk(b"PEAK", bytes(8), BIG), DATA),
    "a RIFF of no length": lambda: riff(layout(), DATA, claim=0),
    "RF64 of 2**64 - 1 bytes": lambda: rf64(b"\xff" * 28),
    "W64 of 2**63 - 1 bytes": lambda: w64_of(2**63 - 1),
    "W64 of -1 bytes": lambda: w64_of(-1),
    "AIFF at an infinite rate": lambda: aiff(b"\x7f\xff" + bytes(8)),
    "AIFF at a rate of 2**16383": lambda: aiff(b"\x7f\xfe" + b"\xff" * 8),
    "AIFF at a negative rate": lambda: aiff(b"\xc0\x0e\xac\x44" + bytes(6)),
    "AIFF at a rate of 0": lambda: aiff(bytes(10)),
    "AIFF at a rate of 2**-16383": lambda: aiff(bytes(9) + b"\1"),
    "AIFF of 2**32 - 1 frames": lambda: aiff(b"\x40\x0e\xac\x44" + bytes(6), frames=BIG),
    "AIFF of 65535 channels": lambda: aiff(b"\x40\x0e\xac\x44" + bytes(6), channels=-1),
    "AIFF of 65535 markers": lambda: (
        aiff(b"\x40\x0e\xac\x44" + bytes(6), more=b"MARK" + struct.pack(">IH", 2, 65535))
    ),
    "AIFF with a chunk of 2**32 - 1 bytes": lambda: (
        aiff(b"\x40\x0e\xac\x44" + bytes(6), more=b"ANNO" + b"\xff" * 4 + b"x")
    ),
    "AU that begins at 2 GiB": lambda: b".snd" + struct.pack(">IIIII", 2**31, BIG, 3, 8000, 1) + bytes(64),
    "CAF of 2**63 - 1 bytes": lambda: (
        b"caff\0\1\0\0" + b"desc" + struct.pack(">qd4sIIIII", 32, 8000.0, b"lpcm", 0, 2, 1, 1, 16)
        + b"data" + struct.pack(">qI", 2**63 - 1, 0) + bytes(64)
    ),
    "CAF at an infinite rate": lambda: (
        b"caff\0\1\0\0" + b"desc" + struct.pack(">qd4sIIIII", 32, float("inf"), b"lpcm", 0, 2, 1, 1, 16)
        + b"data" + struct.pack(">qI", 68, 0) + bytes(64)
    ),
    "SPHERE of 10**18 samples": lambda: SPHERE.ljust(1024) + bytes(64),
    "FLAC with 2**32 - 1 comments": lambda: flac_with(4, struct.pack("<II", 0, BIG)),
    "FLAC with a comment of 4 GiB": lambda: flac_with(4, struct.pack("<III", 0, 1, BIG)),
    "FLAC with a picture of 4 GiB": lambda: flac_with(6, struct.pack(">II", 3, BIG) + bytes(30)),
    "FLAC with metadata longer than the file": lambda: flac_with(1, b"", 2**24 - 1),
    "FLAC with 20 000 blocks of metadata": lambda: (
        flac_with(1, bytes([1, 0, 0, 0]) * 20_000, 0)
    ),
    "Ogg that ends at 2**62": lambda: ogg_with_granule(2**62, page=-1),
    "Ogg that ends at -2**62": lambda: ogg_with_granule(-(2**62), page=-1),
    "Ogg that begins at 2**62": lambda: ogg_with_granule(2**62, page=2),
    "Ogg of 100 000 empty pages": lambda: (
        bytes(sealed(bytearray(b"OggS" + bytes(22) + b"\0"))) * 100_000
    ),
    "500 Ogg streams one after another": lambda: bytes(encoded("OGG", "VORBIS", 0.05)) * 500,
    "MP3 behind a tag of 256 MB": lambda: BIG_TAG + MP3,
    "MP3 behind a tag within a tag": lambda: TAG + b"\x14" + BIG_TAG + bytes(10) + MP3,
    "MP3 behind 20 000 tags": lambda: (TAG + b"\0") * 20_000 + MP3,
    "MP3 of 2**32 - 1 frames": lambda: mp3_with_xing(BIG, BIG),
    "MP3 of 0 frames": lambda: mp3_with_xing(0, 0),
    "MP3 of headers alone": lambda: b"\xff\xfb\x90\x00" * 100_000,
    "a megabyte of 0xff": lambda: b"\xff" * 10**6,
}  # fmt: skip
