"""Write audio files so that a final name never holds half a file, and no sample is clipped unseen.

Every file is written under a temporary name in the same folder, brought to the disk, opened again and
checked, and only then given its name, in one step.
"""

from __future__ import annotations

import math
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dspsep import _audio, _backend
from dspsep._interrupts import uninterrupted
from dspsep._typing import Array
from dspsep.data._names import system_name
from dspsep.data._reading import MAX_CHANNELS, MAX_SAMPLE_RATE
from dspsep.data._replacing import Replacement
from dspsep.errors import DspsepError, InputError

__all__ = [
    "BLOCK_FRAMES",
    "EXTENSIONS",
    "AudioWriter",
    "Plan",
    "destination",
    "peak_of",
    "plan_for",
    "write_audio",
]

#: One call with a minute of stereo Vorbis overflows the stack of libsndfile 1.2.2
#: (bastibe/python-soundfile#426, libsndfile/libsndfile#1095); blocks of this many frames do not.
BLOCK_FRAMES = 65_536

#: Sizes in a WAV header have 32 bits. RF64 is the same file with sizes of 64.
WAV_LIMIT = 2**32 - 1
_HEADER_ROOM = 4096

#: Lossy encoders of libsndfile 1.2.2 come back with the exact length (measured for 1 to 100 001 samples,
#: 8 to 96 kHz, 1 to 3 channels); others may pad by some frames of the codec.
_CODEC_PADDING = 4608

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)

#: Extension → what libsndfile calls the container and, if none is asked for, the coding.
EXTENSIONS = {
    ".wav": ("WAV", "FLOAT"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_24"),
    ".aif": ("AIFF", "PCM_24"),
}

_MAX_CHANNELS = {"FLAC": 8, "MP3": 2}
_FLOATING = {"FLOAT": 4, "DOUBLE": 8}
#: Where the system failed, and not the format: the beginning of a file is written when it is opened.
_SYSTEM_ERROR = 2
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_III")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How samples go into a file: decided and checked before anything is written."""

    format: str
    subtype: str
    sample_rate: int
    n_channels: int
    largest: float
    lossy: bool

    @property
    def clips(self) -> bool:
        """Whether the coding ends at full scale."""
        return self.subtype not in _FLOATING


def destination(path: object) -> tuple[Path, str]:
    """Return `path` and its extension in lower case, if a file can be written there."""
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type]  # its TypeError is the check
        os.fsencode(text)
    except TypeError:
        raise InputError("path", "the path of an audio file", type(path).__name__) from None
    except UnicodeEncodeError:  # half of a pair of surrogates
        raise InputError("path", "a name that this system can have", ascii(path)) from None
    target = Path(text)
    extension = target.suffix.lower()
    if extension not in EXTENSIONS or "\0" in text:
        raise InputError("path", f"a file name ending in one of {', '.join(EXTENSIONS)}", repr(text))
    if target.is_dir():
        raise InputError("path", "a file", f"the folder {text!r}")
    if not target.parent.is_dir():
        raise InputError(
            "path", "in a folder that exists", repr(text),
            "Make it first: Path(path).parent.mkdir(parents=True, exist_ok=True).",
        )  # fmt: skip
    return target, extension


def peak_of(name: str, samples: Array) -> float:
    """Return the largest absolute sample; refuse NaN and infinity."""
    checked = _audio.mixture_of(samples, name=name)
    return math.ldexp(checked.peak, -checked.exponent)


def plan_for(extension: str, subtype: str | None, sample_rate: float, shape: tuple[int, ...]) -> Plan:
    """Decide how audio of `shape` is stored under `extension`; refuse what the format cannot hold."""
    import soundfile

    container, default = EXTENSIONS[extension]
    coding = _checked_subtype(extension, container, default, subtype)
    n_channels, n_samples = (shape[0], shape[1]) if len(shape) == 2 else (1, shape[0])
    rate = _checked_rate(coding, sample_rate)
    most = _MAX_CHANNELS.get(container, MAX_CHANNELS)
    if n_channels > most:
        raise InputError(
            "audio", f"at most {most} channels in a {extension} file", f"{n_channels}",
            "Save it as .wav, or channels in files of their own.",
        )  # fmt: skip
    width = _FLOATING.get(coding) or {"PCM_32": 4, "PCM_24": 3}.get(coding, 2)
    too_long = n_samples * n_channels * width + _HEADER_ROOM > WAV_LIMIT
    if too_long and container == "WAV":
        container = "RF64"
    elif too_long and container == "AIFF":
        raise InputError(
            "audio", "less than 4 GiB in an .aiff file", f"{n_samples} samples", "Save it as .wav."
        )
    if not soundfile.check_format(container, coding):
        raise InputError("subtype", f"one that {container} can hold", repr(subtype))
    largest = (
        float(np.finfo(np.float32).max) if coding == "FLOAT" else math.inf if coding == "DOUBLE" else 1.0
    )
    return Plan(
        format=container, subtype=coding, sample_rate=rate, n_channels=n_channels, largest=largest,
        lossy=coding in _LOSSY,
    )  # fmt: skip


def _checked_subtype(extension: str, container: str, default: str, subtype: str | None) -> str:
    import soundfile

    if subtype is None:
        return default
    # Ogg takes Vorbis and Opus, but a file called .opus should be what it says.
    options = [default] if extension in (".opus", ".mp3") else list(soundfile.available_subtypes(container))
    coding = subtype.upper() if isinstance(subtype, str) else subtype
    if coding not in options:
        raise InputError(
            "subtype", f"one of {', '.join(map(repr, options))} in a {extension} file", repr(subtype)
        )
    return str(coding)


def _checked_rate(coding: str, sample_rate: float) -> int:
    if coding == "OPUS" and sample_rate not in _OPUS_RATES:
        return 48_000  # the rate Opus works at inside; the caller resamples, and says so
    if sample_rate != int(sample_rate) or not 1 <= sample_rate <= MAX_SAMPLE_RATE:
        raise InputError(
            "sample_rate", f"whole, from 1 to {MAX_SAMPLE_RATE} Hz, in a file", f"{sample_rate:g}",
            "Resample first, for example with soxr.resample.",
        )  # fmt: skip
    if coding == "MPEG_LAYER_III" and sample_rate not in _MP3_RATES:
        raise InputError(
            "sample_rate", f"one of {', '.join(map(str, _MP3_RATES))} in an .mp3 file", f"{sample_rate:g}",
            "Resample first, or save as .wav or .flac.",
        )  # fmt: skip
    return int(sample_rate)


class AudioWriter:
    """An audio file that is written in blocks, and has its name only when it is whole.

    `write` as often as there is something, then `finish`, then `publish`; `discard` at any point leaves
    nothing, and does nothing to what was published. In a ``with`` block that ends well, it is published.

    Parameters
    ----------
    target : Path
        The final name.
    plan : Plan
        How samples go into it.
    gain : float, default=1.0
        What they are multiplied by.
    """

    def __init__(self, target: Path, plan: Plan, *, gain: float = 1.0) -> None:
        import soundfile

        self._plan = plan
        self._gain = gain
        self.n_samples = 0
        self._closing: _Closing | None = None
        self._failures = (soundfile.SoundFileError, AssertionError)
        self._replacement = Replacement(target)
        try:
            with self._told():
                self._file = _opened(self._replacement.temporary, plan)
        except BaseException:
            self._replacement.discard()
            raise

    def write(self, samples: Array) -> None:
        """Append samples (n_channels, n_samples), on the host and at the plan's rate."""
        for start in range(0, samples.shape[1], BLOCK_FRAMES):
            block = samples[:, start : start + BLOCK_FRAMES].T
            with self._told():
                self._file.write(np.ascontiguousarray(block if self._gain == 1.0 else block * self._gain))
            self.n_samples += len(block)

    def finish(self) -> None:
        """Write what is left, check that all of it is there, and bring it to the disk; once is enough."""
        if self._closing is not None:
            return
        temporary = self._replacement.temporary
        with self._told():
            self._close()
            _drop_clock(temporary, self._plan.format)
            _verify(temporary, self.n_samples, self._plan)
        self._replacement.sync()

    def publish(self) -> None:
        """Give the finished file its name."""
        self._replacement.publish()

    def discard(self) -> None:
        """Close the file and remove it, unless it was published."""
        try:
            self._close()
        except self._failures:
            pass  # it goes
        finally:
            self._replacement.discard()

    @uninterrupted
    def _close(self) -> None:
        if self._closing is None:
            self._closing = _Closing(self._file)
        self._closing.wait()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one sentence what libsndfile says in several."""
        try:
            yield
        except self._failures as error:
            # soundfile asserts that all was written: a full disk ends there.
            raise DspsepError(
                f"{str(self._replacement.target)!r} could not be written"
                f" ({error or 'not all of it was taken'}). Is the disk full? Nothing was left behind."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
                self.publish()
        finally:
            self.discard()


class _Closing(threading.Thread):
    """The last of a file being written, in a thread of its own.

    soundfile notes that it closed a file after it did, and would do it again if Ctrl-C came in between, which
    ends the process: memory is freed twice. Ctrl-C never comes in other threads than the main one.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(name="dspsep-closing", daemon=True)
        self._file = file
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Close it."""
        try:
            self._file.close()
        except BaseException as error:  # noqa: BLE001 - it is raised where this is waited for
            self._error = error

    def wait(self) -> None:
        """Raise what went wrong, once."""
        self.join()
        error, self._error = self._error, None
        if error is not None:
            raise error


def write_audio(target: Path, audio: Array, plan: Plan) -> None:
    """Write samples (n_samples,) or (n_channels, n_samples), already at the plan's rate."""
    samples = _backend.to_host(audio)
    with AudioWriter(target, plan) as writer:
        writer.write(samples[None, :] if samples.ndim == 1 else samples)


def _opened(path: Path, plan: Plan) -> Any:
    import soundfile

    try:
        return soundfile.SoundFile(
            system_name(path), "w", samplerate=plan.sample_rate, channels=plan.n_channels,
            format=plan.format, subtype=plan.subtype,
        )  # fmt: skip
    except soundfile.LibsndfileError as error:
        if error.code == _SYSTEM_ERROR:
            raise
        raise InputError(
            "audio", f"what a {plan.format} file of subtype {plan.subtype} can hold",
            f"{plan.n_channels} channels at {plan.sample_rate} Hz", "Save it as .wav or .flac.",
        ) from error  # fmt: skip


def _verify(path: Path, n_samples: int, plan: Plan) -> None:
    import soundfile

    info = soundfile.info(system_name(path))
    padding = info.frames - n_samples
    complete = 0 <= padding <= _CODEC_PADDING if plan.lossy else padding == 0
    if not complete or info.channels != plan.n_channels or info.samplerate != plan.sample_rate:
        raise DspsepError(
            f"a written file came back with {info.frames} samples, {info.channels} channels and"
            f" {info.samplerate} Hz in place of {n_samples}, {plan.n_channels} and {plan.sample_rate}."
            " Is the disk full?"
        )


def _drop_clock(path: Path, container: str) -> None:
    """Zero the time of writing that libsndfile puts into floating-point WAV and AIFF.

    The same sources then give the same bytes, whenever they are written.
    """
    if container not in ("WAV", "RF64", "AIFF"):
        return
    order = ">" if container == "AIFF" else "<"
    with path.open("r+b") as file:
        at = 12
        while True:
            file.seek(at)
            head = file.read(8)
            if len(head) < 8 or head[:4] in (b"data", b"SSND"):
                return
            if head[:4] == b"PEAK":
                file.seek(at + 12)  # after name, size and version
                file.write(bytes(4))
                return
            size: int = struct.unpack(order + "I", head[4:])[0]
            at += 8 + size + size % 2
