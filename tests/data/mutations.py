"""Audio files as an enemy, or a broken disk, would make them: short originals, with changed bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator

import numpy as np
import soundfile

__all__ = ["CONTAINERS", "mutated", "originals", "sealed"]

#: Container → format and subtype for soundfile, and rate.
CONTAINERS: dict[str, list[tuple[str, str, int]]] = {
    "wav": [
        ("WAV", "PCM_16", 8000), ("WAV", "PCM_24", 44100), ("WAV", "PCM_U8", 11025), ("WAV", "PCM_32", 8000),
        ("WAV", "FLOAT", 22050), ("WAV", "DOUBLE", 8000), ("WAV", "ULAW", 8000), ("WAV", "ALAW", 8000),
        ("WAV", "IMA_ADPCM", 22050), ("WAV", "MS_ADPCM", 22050), ("WAVEX", "PCM_16", 16000),
        ("RF64", "PCM_16", 8000), ("W64", "PCM_24", 8000), ("WAV", "G721_32", 8000),
        ("WAV", "NMS_ADPCM_32", 8000), ("WAV", "GSM610", 8000),
    ],
    "flac": [("FLAC", "PCM_S8", 8000), ("FLAC", "PCM_16", 22050), ("FLAC", "PCM_24", 44100)],
    "ogg": [
        ("OGG", "VORBIS", 22050), ("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000), ("OGG", "OPUS", 16000),
    ],
    "mp3": [("MP3", "MPEG_LAYER_III", rate) for rate in (11025, 22050, 44100)],
}  # fmt: skip
#: Some frames of each: one alone would leave nothing to decode before the damage.
_SECONDS = {"wav": 0.3, "flac": 1.0, "ogg": 1.0, "mp3": 0.5}
_ONLY_MONO = {"GSM610", "G721_32", "NMS_ADPCM_32"}
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_NAMES = ("wav", "flac", "ogg", "mp3", "aiff", "opus", "m4a", "au", "caf", "w64")

Change = Callable[[bytearray, np.random.Generator, list[bytes]], bytes | bytearray]


def originals(container: str) -> list[bytes]:
    """Return short files in every coding of a container, in mono and stereo."""
    rng = np.random.default_rng(5)
    files = []
    for form, subtype, rate in CONTAINERS[container]:
        for n_channels in (1,) if subtype in _ONLY_MONO else (1, 2):
            t = np.arange(round(_SECONDS[container] * rate)) / rate
            tones = [np.sin(2 * np.pi * f * t) for f in (220, 331)[:n_channels]]
            audio = 0.3 * np.stack(tones, axis=1) + 0.01 * rng.standard_normal((len(t), n_channels))
            buffer = io.BytesIO()
            soundfile.write(buffer, audio, rate, subtype, format=form)
            files.append(_timeless(bytearray(buffer.getvalue())))
    if container == "mp3":
        files += [
            data[data.index(data[:2], 4) :] for data in files
        ]  # without the frame that tells the length
        files += [b"ID3\3\0\0\0\0\2\0" + bytes(256) + data for data in files[:2]]
    return files


def _timeless(data: bytearray) -> bytes:
    """Take out what libsndfile makes of the clock: the time of a peak, and the number of an Ogg stream."""
    at = data.find(b"PEAK")
    if data[:4] in (b"RIFF", b"RF64") and at > 0:
        data[at + 12 : at + 16] = bytes(4)
    at = data.find(b"OggS")
    if at == 0:
        number = bytes(data[14:18])
        while at >= 0:
            if data[at + 14 : at + 18] == number:
                data[at + 14 : at + 18] = b"\1\2\3\4"
            at = data.find(b"OggS", at + 4)
        sealed(data)
    return bytes(data)


def mutated(container: str, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of changed files, without end."""
    rng = np.random.default_rng([seed, *container.encode()])
    files = originals(container)
    others = [data for name in CONTAINERS if name != container for data in originals(name)[::3]]
    number = 0
    while True:
        data: bytes | bytearray = bytearray(files[rng.integers(len(files))])
        changes = [_CHANGES[rng.integers(len(_CHANGES))] for _ in range(rng.choice((1, 1, 2, 3)))]
        for change in changes:
            if len(data) > 8:
                data = change(bytearray(data), rng, others)
        name = _NAMES[rng.integers(len(_NAMES))] if rng.random() < 0.1 else container
        if container == "ogg" and rng.random() < 0.8:
            data = sealed(bytearray(data))
        applied = "+".join(change.__name__.strip("_") for change in changes)
        yield f"{number:05}-{applied}.{name}", bytes(data)
        number += 1


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Return a place in the header as often as anywhere else."""
    return int(rng.integers(min(len(data), 128) if rng.random() < 0.4 else len(data)))


def _bits(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    for _ in range(rng.integers(1, 12)):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _run(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    at, n_bytes = _place(data, rng), int(rng.integers(1, 400))
    n_bytes = min(n_bytes, len(data) - at)
    filler = rng.bytes(n_bytes) if rng.random() < 0.5 else bytes([int(rng.choice((0, 0xFF, 0x7F)))]) * n_bytes
    data[at : at + n_bytes] = filler
    return data


def _cut(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    return data[: 1 + _place(data, rng)] if rng.random() < 0.7 else data[_place(data, rng) :]


def _insert(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    at = _place(data, rng)
    data[at:at] = rng.bytes(int(rng.integers(1, 300)))
    return data


def _remove(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 300))]
    return data


def _repeat(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    at, n_bytes = _place(data, rng), int(rng.integers(4, 2000))
    data[at:at] = data[at : at + n_bytes] * int(rng.integers(1, 6))
    return data


def _swap(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    first, second = sorted((_place(data, rng), _place(data, rng)))
    return data[:first] + data[second:] + data[first:second]


def _extreme(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    """Set a field of the header to a value at the edge of its range."""
    for _ in range(rng.integers(1, 4)):
        kind = str(rng.choice(["B", "<H", "<I", "<Q", ">H", ">I", ">Q"]))
        size = struct.calcsize(kind)
        at = int(rng.integers(min(len(data), 100)))
        if at + size > len(data):
            continue
        value = int(rng.choice(_EXTREMES)) * (2**32 + 1 if size == 8 else 1) % 2 ** (8 * size)
        struct.pack_into(kind, data, at, value)
    return data


def _splice(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytes:
    """Go on with a file of another container, or begin with one."""
    other = others[rng.integers(len(others))]
    pieces = [bytes(data[: _place(data, rng)]), other[int(rng.integers(len(other))) :]]
    if rng.random() < 0.3:
        pieces.reverse()
    return b"".join(pieces) or b"\0"


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        register = byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
        table.append(register & 0xFFFFFFFF)
    return table


_CRC = _crc_table()


def sealed(data: bytearray) -> bytearray:
    """Make the checksums of Ogg pages right, without which no decoder looks at what is in them."""
    at = data.find(b"OggS")
    while 0 <= at <= len(data) - 27:
        following = data.find(b"OggS", at + 4)
        body = at + 27 + data[at + 26]
        end = min(len(data), body + sum(data[at + 27 : body]))
        data[at + 22 : at + 26] = bytes(4)
        register = 0
        for byte in data[at:end]:
            register = (register << 8 & 0xFFFFFFFF) ^ _CRC[register >> 24 ^ byte]
        struct.pack_into("<I", data, at + 22, register)
        at = following
    return data


_CHANGES: tuple[Change, ...] = (
    _bits, _bits, _run, _run, _cut, _insert, _remove, _repeat, _swap, _extreme, _extreme, _splice,
)  # fmt: skip
