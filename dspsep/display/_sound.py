"""Sound that travels inside a page: encoded in memory, at true level.

Lossless where that stays small, so that what is heard is what was computed; MP3 where it does not, which
every browser plays and whose decoded length is exact. Ogg is no candidate: its streams carry random serial
numbers, so that the same page would never have the same bytes.
"""

from __future__ import annotations

import base64
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError

__all__ = ["Sounds", "encode"]

#: All sounds of a page together stay lossless up to this many bytes. With base64's four characters for three
#: bytes, and the pictures of five sounds, a page then stays below four megabytes.
LOSSLESS_BYTES = 2_400_000

#: The rates in hertz that browsers play, of those that FLAC can hold.
_FLAC_RATES = (8_000, 192_000)

#: Of variable bit rates, the best first. White noise in stereo has 183, 144, 121 and 96 kbit/s.
_MP3_QUALITIES = (0.2, 0.4, 0.5, 0.65)

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

#: Written at once. Much longer writes to lossy formats overflow the stack in some builds of libsndfile.
_BLOCK_FRAMES = 65_536


@dataclass(frozen=True)
class Sounds:
    """Encoded sounds, and what was done to all of them alike.

    Attributes
    ----------
    uris : tuple of str
        A data URI for each sound.
    gain : float
        The one factor that all carry: 1 unless a sound would clip.
    lossless : bool
        Whether they are 16-bit FLAC, as opposed to MP3.
    sample_rate : float
        Of the encoded sound, in hertz.
    first_channel_only : bool
        Whether there were more than two channels, of which only the first is heard.
    """

    uris: tuple[str, ...]
    gain: float
    lossless: bool
    sample_rate: float
    first_channel_only: bool


def encode(signals: Sequence[Array], sample_rate: float, max_bytes: int = sys.maxsize) -> Sounds:
    """Return `signals`, each (n_channels, n_samples) and alike in shape, as sounds for a page.

    With `max_bytes` they are coded less well, as far as that is bearable, until together they have no more.
    """
    peak = max(float(np.abs(signal).max()) for signal in signals)
    gain = 1.0 if peak <= 1.0 else 1.0 / peak
    n_channels = signals[0].shape[0]
    # More channels are microphones: browsers would mix them down as if they were loudspeakers.
    heard = [signal[:1] if n_channels > 2 else signal for signal in signals]
    encoded = _all_flac(heard, sample_rate, gain, min(LOSSLESS_BYTES, max_bytes))
    lossless = encoded is not None
    rate = sample_rate
    if encoded is None:
        rate = next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])
        frames = [_resampled(signal.T * gain, sample_rate, rate) for signal in heard]
        encoded = _all_mp3(frames, rate, max_bytes)
    kind = "audio/flac" if lossless else "audio/mpeg"
    uris = tuple(f"data:{kind};base64,{base64.b64encode(content).decode()}" for content in encoded)
    return Sounds(uris, gain, lossless, rate, n_channels > 2)


def _all_mp3(signals: Sequence[FloatArray], rate: int, max_bytes: int) -> list[bytes]:
    """Return all signals as MP3, in the best quality in which they fit, or else in the least."""
    *better, least = _MP3_QUALITIES
    for quality in better:
        encoded: list[bytes] = []
        for signal in signals:
            encoded.append(_mp3(signal, rate, quality))
            size, n_done = sum(map(len, encoded)), len(encoded)
            # Two are enough to see that all of them will be far too large.
            if size > max_bytes or (n_done > 1 and size * len(signals) > 1.15 * n_done * max_bytes):
                break
        else:
            return encoded
    return [_mp3(signal, rate, least) for signal in signals]


def _all_flac(
    signals: Sequence[Array], sample_rate: float, gain: float, max_bytes: int
) -> list[bytes] | None:
    """Return all signals as FLAC, or None if that cannot be or is too large."""
    lowest, highest = _FLAC_RATES
    if not (lowest <= sample_rate <= highest and float(sample_rate).is_integer()):
        return None
    encoded: list[bytes] = []
    for signal in signals:
        left = max_bytes - sum(map(len, encoded))
        content = _flac(signal, int(sample_rate), gain, left)
        if content is None:
            return None
        encoded.append(content)
    return encoded


def _flac(signal: Array, sample_rate: int, gain: float, limit: int) -> bytes | None:
    import soundfile

    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, signal.shape[0], subtype="PCM_16", format="FLAC", compression_level=1.0
    ) as file:
        for start in range(0, signal.shape[1], _BLOCK_FRAMES):
            block = signal[:, start : start + _BLOCK_FRAMES].T.astype(np.float64) * (gain * 2.0**15)
            # Rounded here, because libsndfile multiplies by 32767 and reads back by 32768: a level that is
            # not quite true.
            file.write(np.clip(np.rint(block), -(2**15), 2**15 - 1).astype(np.int16))
            if buffer.tell() > limit:
                return None
    return buffer.getvalue()


def _mp3(frames: FloatArray, sample_rate: int, quality: float) -> bytes:
    """Return frames (n_samples, n_channels) as MP3 of variable bit rate."""
    import soundfile

    if "MP3" not in soundfile.available_formats():  # libsndfile 1.1 brought it
        raise InputError(
            "audio",
            f"at most {LOSSLESS_BYTES / 1e6:g} MB as FLAC, because the installed libsndfile "
            f"({soundfile.__libsndfile_version__}) writes no MP3",
            "more than that",
            "Take a shorter part, or a soundfile with libsndfile 1.1 or newer: pip install -U soundfile.",
        )
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer,
        "w",
        sample_rate,
        frames.shape[1],
        subtype="MPEG_LAYER_III",
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=quality,
    ) as file:
        for start in range(0, len(frames), _BLOCK_FRAMES):
            file.write(np.ascontiguousarray(frames[start : start + _BLOCK_FRAMES], np.float32))
    return buffer.getvalue()


def _resampled(frames: FloatArray, sample_rate: float, target: int) -> FloatArray:
    if target == sample_rate:
        return frames
    import soxr

    n_samples = math.ceil(len(frames) * target / sample_rate)
    resampled: FloatArray = soxr.resample(np.ascontiguousarray(frames), sample_rate, target)
    # Of audio shorter than its filter, a resampler may return nothing: an empty file does not play.
    missing = max(0, n_samples - len(resampled))
    return np.pad(resampled, ((0, missing), (0, 0)))[:n_samples]
