"""Audio files: read and write them, one or a set of sources, without surprises.

Reading goes by content, never by extension, in blocks, and returns what decodes. Writing is atomic and
refuses what would clip. The decoders are imported when they are first used.
"""

from __future__ import annotations

from pathlib import Path

from dspsep import _audio, _checks
from dspsep.data._names import safe_file_name
from dspsep.data._reading import (
    MAX_SAMPLE_RATE,
    AudioInfo,
    Samples,
    Span,
    existing_file,
    opened,
    opener,
    refuse_nothing,
)
from dspsep.data._resampling import at_rate, resampled
from dspsep.data._separation import SavedSources, separate_file
from dspsep.data._source_files import save_sources
from dspsep.data._writing import destination, peak_of, plan_for, write_audio
from dspsep.errors import InputError, warn

__all__ = [
    "AudioInfo",
    "SavedSources",
    "audio_info",
    "load",
    "safe_file_name",
    "save",
    "save_sources",
    "separate_file",
]


def load(
    path: object,
    *,
    sample_rate: float | None = None,
    mono: bool = False,
    offset: float = 0.0,
    duration: float | None = None,
    isolate: bool = False,
) -> tuple[Samples, float]:
    """Read an audio file.

    Parameters
    ----------
    path : str or Path
        WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3, and what else libsndfile decodes of AU, CAF, RF64, W64
        and SPHERE. With the extra ``dspsep[av]`` also M4A, AAC, WMA, Matroska, WavPack and others. What
        counts is the content, whatever the name ends in.
    sample_rate : float, optional
        Resample to this rate in hertz, with soxr at its high quality (pass band to 0.913 of the lower
        Nyquist frequency, stop band at 120 dB). By default the file's own rate is kept.
    mono : bool, default=False
        Average the channels into one.
    offset : float, default=0.0
        Where to begin, in seconds of the file. What is before is skipped, not decoded.
    duration : float, optional
        How much to read, in seconds of the file; less if it ends before. By default, all of it.
    isolate : bool, default=False
        Decode in a process of its own, with limits on its memory and time: for files from strangers. A file
        at which the decoder crashes or runs away is an error then, and not the end of this process. See
        the notes. The result is the same.

    Returns
    -------
    samples : array of shape (n_channels, n_samples), float32
        C-contiguous, and always of two dimensions, also where there is one channel. Integer samples
        are divided by full scale, so 16-bit ones come back as multiples of 2**-15. Resampled
        audio has ``ceil(n * sample_rate / file_rate)`` samples.
    sample_rate : float
        In hertz: the file's, or what was asked for.

    Raises
    ------
    InputError
        If the file is missing, empty, a folder, not audio, damaged from the beginning, or without
        samples; if it holds NaN or infinity; if it announces or decodes to more than 64 channels,
        768 kHz or 8 GB (``dspsep.data._reading.MAX_DECODED_BYTES``); if `offset` is past its end; if
        it needs PyAV and that is not installed; if the decoder crashes at it or exceeds its limits, with
        `isolate`; or if `isolate` is asked for on a system that knows no such limits, as Windows.

    Warns
    -----
    DspsepWarning
        ``W_TRUNCATED`` if the file ends before its header says; what decodes is returned.

    Notes
    -----
    Memory: the samples twice for a moment while blocks are put together, and the result once more while
    resampling. MP3 without a length in its header is decoded to its end, since
    guessed lengths lose music where the bit rate varies.

    With `isolate`, the decoder may take 1 GiB of address space (not limited on macOS), and a minute of
    processor time and one second more for each megabyte of the file. It can put nothing into files and,
    unless root runs it, start no process. That is proof against crashes and endless work, and no sandbox:
    a decoder that a file took control of could still read what the user may read. It adds 0.11 to 0.14 s
    per file, and 0.04 s per minute of stereo (measured on one slow core).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data.files import load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(Path(folder) / "tone.wav", np.sin(np.arange(8000) / 10), 8000)
    ...     samples, sample_rate = load(path, offset=0.25, duration=0.5)
    >>> samples.shape, sample_rate
    ((1, 4000), 8000)
    """
    target = None if sample_rate is None else _checks.sample_rate(sample_rate)
    if target is not None and not 1 <= target <= MAX_SAMPLE_RATE:
        raise InputError("sample_rate", f"from 1 to {MAX_SAMPLE_RATE} Hz", f"{target:g}")
    with opened(path, offset, duration, isolate=bool(isolate)) as excerpt:
        samples = excerpt.samples(mono=bool(mono))
        notices = excerpt.end()
    for code, message in notices:
        warn(code, message)
    rate = excerpt.sample_rate
    if target is None or target == rate:
        return samples, rate
    return resampled(samples, rate, target), target


def audio_info(path: object, *, isolate: bool = False) -> AudioInfo:
    """Return what the header of an audio file says, without reading its samples.

    Parameters
    ----------
    path : str or Path
        As in `load`.
    isolate : bool, default=False
        As in `load`.

    Returns
    -------
    AudioInfo
        Length, rate, channels, container and coding.

    Raises
    ------
    InputError
        As in `load`, except for what only decoding can find.

    Notes
    -----
    The few files whose header holds no length (some MP3 and streamed FLAC) are decoded once, block
    by block, to count it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data.files import audio_info, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     info = audio_info(save(Path(folder) / "silence.flac", np.zeros((2, 4000)), 8000))
    >>> info.duration, info.n_channels, info.subtype
    (0.5, 2, 'PCM_24')
    """
    file = existing_file(path)
    reader = opener(isolate=bool(isolate))(file)
    try:
        n_samples = reader.n_samples
        if n_samples is None:
            n_samples = sum(len(block) for block in reader.blocks(Span(0, None)))
        if not n_samples:
            refuse_nothing(file, reader, 0.0)
        return AudioInfo(
            n_samples=n_samples,
            sample_rate=reader.sample_rate,
            n_channels=reader.n_channels,
            format=reader.format,
            subtype=reader.subtype,
        )
    finally:
        reader.close()


def save(path: object, audio: object, sample_rate: float, *, subtype: str | None = None) -> Path:
    """Write an audio file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Its extension chooses the format: ``.wav`` (32-bit floating point, which never clips), ``.flac``
        and ``.aiff`` (24 bits), ``.ogg`` (Vorbis), ``.opus``, ``.mp3``. What is there is replaced.
    audio : array of shape (n_samples,) or (n_channels, n_samples)
        Floating point in [-1, 1], or PCM integers, on the host or a GPU.
    sample_rate : float
        In hertz.
    subtype : str, optional
        The coding, as soundfile names it, for example ``"PCM_16"`` in a ``.wav`` file (rounded, without
        dither).

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    InputError
        If the audio is not finite, or too loud for a format that ends at full scale; if the format
        cannot hold its channels or rate; or if the folder is not there.
    DspsepError
        If the system refuses to take all of it. Nothing is left under the final name then, or what was
        there before.

    Warns
    -----
    DspsepWarning
        ``W_RESAMPLED`` where Opus, which knows 8, 12, 16, 24 and 48 kHz only, made 48 kHz of another rate.

    Notes
    -----
    A sample of exactly 1 becomes the largest number of an integer format, one step below. WAV of more
    than 4 GiB is written as RF64. The same samples give the same bytes, except in Ogg, whose streams
    libsndfile numbers at random.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data.files import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "stereo.flac", np.zeros((2, 44100)), 44100).name
    'stereo.flac'
    """
    target, extension = destination(path)
    rate = _checks.sample_rate(sample_rate)
    samples = _audio.samples_of("audio", audio)
    plan = plan_for(extension, subtype, rate, tuple(samples.shape))
    peak = peak_of("audio", samples)
    if peak > plan.largest:
        raise InputError(
            "audio",
            f"within ±{plan.largest:g} in a {extension} file of subtype {plan.subtype}",
            f"a peak of {peak:.6g}",
            "Save it as .wav, which holds floating point; or scale it, and with it all stems, by one gain.",
        )
    if plan.sample_rate != rate:
        warn(
            "W_RESAMPLED", f"Opus cannot hold {rate:g} Hz: the audio was resampled to {plan.sample_rate} Hz."
        )
        samples = at_rate(samples, rate, plan.sample_rate)
    write_audio(target, samples, plan)
    return target
