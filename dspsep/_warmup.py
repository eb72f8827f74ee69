"""Compile everything that is compiled on first use, ahead of it."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspsep import _registry
from dspsep.errors import DspsepWarning, InputError

__all__ = ["WarmupReport", "warmup"]

#: The rates of music: settings in seconds and hertz become medians of other lengths at each, and medians are
#: compiled for their length.
_SAMPLE_RATES = (44_100, 48_000)
_N_SAMPLES = 4000
# How many frames repeat one another in songs of half a minute and more.
_LISTS = (3, 5, 7, 9, 13, 17, 23, 31, 41, 101)
# A period that there are three of in so many samples.
_PERIOD = 0.02
# What is compiled is compiled in the first iteration, and what comes after it in the second.
_N_ITER = 2
# Frames that there are enough of in so many samples.
_DEMIXING_N_FFT = 512

#: Lengths of medians, of which long and very long ones may be found in other ways than the usual.
_MEDIANS = (31, 151, 501)

#: Where compiled kernels live; what they are is found by using the library.
_KERNELS = "dspsep.kernels."


@dataclass(frozen=True, kw_only=True)
class WarmupReport:
    """What `warmup` did.

    Parameters
    ----------
    n_compiled : int
        How many kernels were compiled, counting each precision, but not what this process used before.
    n_loaded : int
        How many were in the cache already, and came from there.
    folders : tuple of Path
        Where the cache is; none if nothing is compiled here, or nothing can be stored.
    seconds : float
        How long it took.

    Examples
    --------
    >>> import dspsep
    >>> report = dspsep.WarmupReport(n_compiled=0, n_loaded=40, folders=(), seconds=0.5)
    >>> report.n_compiled == 0
    True
    """

    n_compiled: int
    n_loaded: int
    folders: tuple[Path, ...]
    seconds: float


def warmup() -> WarmupReport:
    """Compile all kernels now, so that later processes load them from the disk.

    Numba compiles a kernel when it is first called, for each precision, and keeps the result in a cache on
    the disk. This calls everything once: every method on short mono and stereo audio at 44.1 and 48 kHz, the
    masks, and a transform of a length that is no power of two, in single and double precision. Medians of up
    to 127 are compiled for their length: those that default settings do not lead to still are when they are
    first used, in a tenth of a second to a second and a half.

    Returns
    -------
    WarmupReport
        What was compiled, what was there, and where it is kept.

    Notes
    -----
    Where numba is not installed, or with ``DSPSEP_KERNELS=generic``, there is nothing to compile, and nothing
    is done. Where the cache cannot be written, everything works, and is compiled anew in every process: set
    ``NUMBA_CACHE_DIR`` to a folder that can be.

    Examples
    --------
    >>> import dspsep
    >>> report = dspsep.warmup()
    >>> report.seconds < 600
    True
    """
    begin = time.perf_counter()
    compiled_before, loaded_before = _counts()
    if _are_compiled():
        with warnings.catch_warnings():
            # Some methods find the audio too short; FT2D, for one, has no kernels of its own.
            warnings.simplefilter("ignore", DspsepWarning)
            for dtype in (np.float32, np.float64):
                _use_everything(np.dtype(dtype))
                _use_refiners(np.dtype(dtype))
    compiled, loaded = _counts()
    return WarmupReport(
        n_compiled=compiled - compiled_before,
        n_loaded=loaded - loaded_before,
        folders=tuple(sorted({Path(stats.cache_path) for stats in _statistics() if stats.cache_path})),
        seconds=time.perf_counter() - begin,
    )


def _are_compiled() -> bool:
    """Tell whether NumPy arrays are worked on by compiled kernels here."""
    from dspsep.kernels import level_for

    return level_for() != "generic"


def _use_everything(dtype: np.dtype[Any]) -> None:
    from dspsep import masks
    from dspsep.kernels import kernels_for
    from dspsep.separators.hpss.median import hpss_masks
    from dspsep.separators.repetition.proximity import Horizontal
    from dspsep.stft import STFT

    random = np.random.default_rng(0)
    for method in _registry.METHODS.values():
        kind = _registry.load(method.target)
        for n_channels in _channels(method):
            audio = random.standard_normal((n_channels, _N_SAMPLES)).astype(dtype)
            for separator, rate in itertools.product(_settings(kind), _SAMPLE_RATES):
                separator.separate(audio, rate)
                if separator.streams(rate):
                    stream = separator.stream(rate, n_channels)
                    stream.push(audio)
                    stream.flush()
    samples = random.standard_normal((1, _N_SAMPLES)).astype(dtype)
    for n_fft in (512, 600):
        spectrogram = STFT(n_fft).forward(samples, _SAMPLE_RATES[0])
        spectrogram.stft.inverse(spectrogram)
        values = spectrogram.magnitude()
        for power in (1.0, 2.0, 3.0):
            mask = masks.soft_mask(values, values, power=power)
            spectrogram.stft.inverse(spectrogram, mask=mask)
        for length in _MEDIANS:
            hpss_masks(values, length, length)
        frames = values.transpose(0, 2, 1)
        for length in _LISTS:
            kernels_for(frames).median_of_frames(frames, np.zeros((2, length), np.int64))
    # The horizontal kernel of KAM is longer than this audio, and a network gives 64 such medians at once.
    notes = random.uniform(size=(1, 64, 64)).astype(dtype)
    for rate in _SAMPLE_RATES:
        Horizontal(seconds=1.0).counted(STFT(), rate).medians(notes)


def _use_refiners(dtype: np.dtype[Any]) -> None:
    """Use what refiners have kernels for: steps of the Wiener filter, in one and two channels."""
    from dspsep.sources import Sources
    from dspsep.stft import STFT

    refiner = _registry.load(_registry.REFINERS["Wiener"])(stft=STFT(512), n_iter=2)
    for n_channels in (1, 2):
        audio = np.random.default_rng(0).standard_normal((n_channels, _N_SAMPLES)).astype(dtype)
        refiner.refine(audio, Sources.from_dict({"one": audio, "other": audio}, _SAMPLE_RATES[0]))


def _channels(method: _registry.Method) -> list[int]:
    """Return the numbers of channels to try: one and two, where the method takes them."""
    most = method.max_channels or max(2, method.min_channels)
    return sorted({method.min_channels, max(method.min_channels, min(2, most))})


def _settings(kind: Any) -> Iterator[Any]:
    """Yield a method with its default settings, and with each other choice of mask or update."""
    from dspsep.stft import STFT

    try:
        separator = kind()
    except TypeError:  # a setting without a default
        return
    names = {field.name for field in dataclasses.fields(kind)}
    for name, value in {"min_period_seconds": _PERIOD, "n_iter": _N_ITER}.items():
        if name in names:
            separator = separator.replace(**{name: value})
    if hasattr(kind, "has_background"):
        # Demixing takes some frames for each channel, and has kernels for each update.
        separator = separator.replace(stft=STFT(_DEMIXING_N_FFT))
        for update in ("ip2", "iss"):
            try:
                yield separator.replace(update=update)
            except (InputError, TypeError):  # another kind of update, or none
                continue
    yield separator
    if "mask" in names:
        for mask in ("soft", "hard"):
            try:
                yield separator.replace(mask=mask)
            except InputError:  # another kind of mask
                continue


def _counts() -> tuple[int, int]:
    """Return how many kernels this process has compiled, and how many it has loaded."""
    kernels = list(_statistics())
    return (
        sum(sum(stats.cache_misses.values()) for stats in kernels),
        sum(sum(stats.cache_hits.values()) for stats in kernels),
    )


def _statistics() -> Iterator[Any]:
    """Yield numba's statistics of every compiled function of dspsep, wherever it is kept."""
    for value in gc.get_objects():
        # By name: numba itself is imported in one place only.
        if type(value).__name__ == "CPUDispatcher" and value.py_func.__module__.startswith(_KERNELS):
            yield value.stats
