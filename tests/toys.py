"""Small separators for tests: one that keeps the contract, and what breaks one clause each."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from dspsep import (
    MaskModel,
    Progress,
    Reach,
    Separator,
    Sources,
    SpectralSeparator,
    _audio,
    _checks,
    get_num_threads,
)

NAMES = ("louder", "rest")


@dataclass(frozen=True, kw_only=True)
class Good(Separator):
    """Gives what is above a share of the peak to one source and the rest to the other."""

    share: float = 0.5

    @property
    def source_names(self):
        return NAMES

    def separate(self, mixture, sample_rate, *, callback=None):
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture)
        if callback is not None:
            callback(Progress(stage="split"))
        louder = self.louder(audio)
        parts = {"louder": audio.restore(louder), "rest": audio.restore(audio.samples - louder)}
        return Sources(parts, rate, None, self.provenance())

    def louder(self, audio):
        return np.where(np.abs(audio.samples) > self.share * audio.peak, audio.samples, 0 * audio.samples)


class ReturnsViews(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        sources = super().separate(mixture, sample_rate, callback=callback)
        array = np.asarray(mixture)
        if array.dtype.kind != "f" or not array.dtype.isnative:
            return sources
        return Sources({"louder": array, "rest": np.zeros_like(array)}, sample_rate, None, self.provenance())


class DropsEnergy(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        sources = super().separate(mixture, sample_rate, callback=callback)
        parts = {"louder": sources["louder"], "rest": sources["rest"] * sources["rest"].dtype.type(0.999)}
        return Sources(parts, sources.sample_rate, None, self.provenance())


class NanOnSilence(Good):
    def louder(self, audio):
        with np.errstate(invalid="ignore"):
            return super().louder(audio) * (np.float32(audio.peak) / np.float32(audio.peak))


class LoudOnSilence(Good):
    def louder(self, audio):
        return super().louder(audio) + np.float32(1e-9) * (audio.peak == 0)


class ChangesInput(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        sources = super().separate(mixture, sample_rate, callback=callback)
        if isinstance(mixture, np.ndarray) and mixture.flags.writeable and mixture.dtype.kind == "f":
            mixture *= 1.5
        return sources


class UsesGlobalRandom(Good):
    def louder(self, audio):
        return super().louder(audio) * np.float32(np.random.uniform() < 2)  # noqa: NPY002 - it is broken


class UsesGlobalRandomModule(Good):
    def louder(self, audio):
        random.random()
        return super().louder(audio)


class IsRandom(Good):
    def louder(self, audio):
        rng = np.random.default_rng()
        return super().louder(audio) * (rng.uniform() * 0.1 + 0.9 * np.ones((), audio.samples.dtype))


class ChangesErrorState(Good):
    def louder(self, audio):
        np.seterr(under="raise" if np.geterr()["under"] != "raise" else "print")
        return super().louder(audio)


class WrongDtype(Good):
    def louder(self, audio):
        return super().louder(audio).astype(np.float64)


class RoughInSinglePrecision(Good):
    def louder(self, audio):
        louder = super().louder(audio)
        return louder if louder.dtype == np.float64 else np.round(louder * 64) / 64


class HatesConstants(Good):
    def louder(self, audio):
        with np.errstate(all="ignore"):
            spread = audio.samples.std()
            return super().louder(audio) * (spread / spread)


class WrongLength(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        sources = super().separate(mixture, sample_rate, callback=callback)
        hop = 256
        whole = max(hop, sources.n_samples // hop * hop)
        parts = {name: source[..., :whole] for name, source in sources.items()}
        return Sources(parts, sources.sample_rate, None, self.provenance())


class AbsoluteFloor(Good):
    def louder(self, audio):
        gate = np.abs(audio.samples) / (np.abs(audio.samples) + np.asarray(1e-3, audio.samples.dtype))
        return audio.samples * gate


class SignBlind(Good):
    def louder(self, audio):
        return np.where(audio.samples > self.share * audio.peak, audio.samples, 0 * audio.samples)


class SwallowsInterrupts(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        def quiet(progress):
            try:
                callback(progress)
            except BaseException:
                return

        return super().separate(mixture, sample_rate, callback=quiet if callback else None)


class NeverReports(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        return super().separate(mixture, sample_rate)


class AcceptsNan(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        array = mixture
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size and array.ndim in (1, 2):
            array = np.nan_to_num(array)
        return super().separate(array, sample_rate, callback=callback)


class AcceptsAnyRate(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        rate = sample_rate if isinstance(sample_rate, (int, float)) and sample_rate > 0 else 44100
        return super().separate(mixture, rate, callback=callback)


class RaisesBareErrors(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        try:
            return super().separate(mixture, sample_rate, callback=callback)
        except ValueError as error:
            raise np.linalg.LinAlgError(str(error)) from None


class MisreadsIntegers(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        if isinstance(mixture, np.ndarray) and mixture.dtype == np.int16:
            mixture = mixture.astype(np.float32)
        return super().separate(mixture, sample_rate, callback=callback)


class MisnamesSources(Good):
    @property
    def source_names(self):
        return NAMES[::-1]


class SaysNoProvenance(Good):
    def separate(self, mixture, sample_rate, *, callback=None):
        sources = super().separate(mixture, sample_rate, callback=callback)
        return Sources(sources.audio, sources.sample_rate)


class DependsOnThreads(Good):
    def louder(self, audio):
        return super().louder(audio) * audio.samples.dtype.type(1 - 2.0**-20 * get_num_threads())


@dataclass(frozen=True, kw_only=True)
class Remembers(Good):
    """Keeps state between calls, unequal to nothing."""

    calls: list = field(default_factory=list, compare=False, repr=False, hash=False)

    def louder(self, audio):
        self.calls.append(1)
        return super().louder(audio) * audio.samples.dtype.type(1 - 2.0**-20 * len(self.calls))


@dataclass(kw_only=True, unsafe_hash=True)
class Mutable(Good.__bases__[0]):
    """Has settings that can be changed."""

    share: float = 0.5
    source_names = Good.source_names
    separate = Good.separate
    louder = Good.louder


class Unhashable(Good):
    __hash__ = None


class CannotBePickled(Good):
    def __getstate__(self):
        raise TypeError("no")


class PrintsItsAddress(Good):
    def __repr__(self):
        return f"<{id(self)}>"


class NeedsContiguous(Good):
    def louder(self, audio):
        if audio.samples.flags.c_contiguous:
            return super().louder(audio)
        return super().louder(audio)[:, ::-1]  # what a function that ignores strides would make of it


class NotThreadSafe(Good):
    def louder(self, audio):
        share = 1.0 if threading.current_thread() is threading.main_thread() else 0.5
        return super().louder(audio) * audio.samples.dtype.type(share)


class FailsOnShort(Good):
    def louder(self, audio):
        if audio.samples.shape[1] < 3:
            raise IndexError("too short")
        return super().louder(audio)


# ---- a spectral one


@dataclass(frozen=True, kw_only=True)
class HalvesModel(MaskModel):
    """Gives each source half."""

    names: tuple[str, ...]

    @property
    def source_names(self):
        return self.names

    def iter_masks(self, spectrogram) -> Iterator[np.ndarray]:
        for _ in self.names:
            yield np.full(
                (1, *spectrogram.values.shape[1:]), 1 / len(self.names), spectrogram.magnitude().dtype
            )


@dataclass(frozen=True, kw_only=True)
class Patient(SpectralSeparator):
    """Needs five frames."""

    names: tuple[str, ...] = ("first", "second")
    min_frames: ClassVar[int] = 5

    @property
    def source_names(self):
        return self.names

    def fit(self, spectrogram, *, callback=None):
        if callback is not None:
            callback(Progress(stage="fit"))
        return HalvesModel(names=self.names)


@dataclass(frozen=True, kw_only=True)
class LeakyModel(HalvesModel):
    """Gives each source half, and one of them a little more: the remainder hides it from the sum."""

    def iter_masks(self, spectrogram) -> Iterator[np.ndarray]:
        first, second = super().iter_masks(spectrogram)
        yield first
        yield second * 1.1


@dataclass(frozen=True, kw_only=True)
class Leaky(Patient):
    """Has masks that do not sum to one."""

    min_frames: ClassVar[int] = 1

    def fit(self, spectrogram, *, callback=None):
        super().fit(spectrogram, callback=callback)
        return LeakyModel(names=self.names)


@dataclass(frozen=True, kw_only=True)
class Stereo(Patient):
    """Works on two channels only."""

    min_channels: ClassVar[int] = 2
    max_channels: ClassVar[int | None] = 2


class SeesLessThanItNeeds(Good):
    """It says that it looks no further than a sample, but looks for the peak of the whole."""

    def reach(self, sample_rate):
        return Reach(samples=1, step=1)


class StreamsTooLate(SeesLessThanItNeeds):
    """Its stream keeps everything to itself."""

    def stream(self, sample_rate, n_channels=None):
        stream = super().stream(sample_rate, n_channels)
        stream._push = lambda samples: {}
        return stream


class StreamsWithoutSayingSo(Good):
    def stream(self, sample_rate, n_channels=None):
        return SeesLessThanItNeeds().stream(sample_rate, n_channels)
