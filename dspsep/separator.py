"""The one verb: `separate`. What a separator is, and what spectral ones inherit.

A separator is a frozen value: settings that are checked when it is made and never change. Everything that
depends on the audio is an argument or a result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from dspsep import _audio, _backend, _checks, _registry, _serial
from dspsep._audio import Mixture
from dspsep._guard import guarded
from dspsep._settings import Settings
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.errors import InputError, warn
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.sources import Provenance, Sources
from dspsep.staged import LocalRefinerStream, RefinerStream
from dspsep.stft import STFT, Spectrogram
from dspsep.streaming import LocalStream, Reach, Stream

__all__ = ["Refiner", "Separator", "SpectralSeparator", "from_json"]

_BOUNDED = "one whose sources depend on a bounded part of the mixture, to work in blocks"


class Separator(Settings, ABC):
    """Base class of everything that takes a mixture apart.

    Subclasses are frozen, keyword-only dataclasses that check their settings in ``__post_init__``. Those that
    mask one spectrogram derive from `SpectralSeparator`; others write `separate`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "separate" in vars(cls):
            cls.separate = guarded(cls.separate)  # type: ignore[method-assign]

    #: The channels that the method can work on.
    min_channels: ClassVar[int] = 1
    max_channels: ClassVar[int | None] = None

    @property
    @abstractmethod
    def source_names(self) -> tuple[str, ...] | None:
        """The names of the sources, in order; None where only the data decide them."""

    @abstractmethod
    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` as work goes on.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.
        """

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample this separator looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            None, which is what separators say unless they know better, if a source may depend on all of the
            mixture: then there is no `stream`.
        """
        return None

    def streams(self, sample_rate: float) -> bool:
        """Tell whether this separator can be fed in blocks: whether there is a `stream` of it.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            True for a separator of bounded reach whose settings decide its sources, and for one that says
            so itself, since nothing that it gives depends on what comes later.
        """
        return self.source_names is not None and self.reach(sample_rate) is not None

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return this separator as something that is fed in blocks.

        Parameters
        ----------
        sample_rate : float
            In hertz.
        n_channels : int, optional
            Of the blocks, which are then of shape (n_channels, n_samples). By default they have no channel
            axis.

        Returns
        -------
        Stream
            With `push`, `flush` and `latency_samples`. In all it gives what `separate` gives.

        Raises
        ------
        InputError
            If the method needs the whole mixture before it can give any of its sources.
        """
        rate = _checks.sample_rate(sample_rate)
        reach = self.reach(rate)
        if reach is None or self.source_names is None:
            raise InputError("separator", _BOUNDED, self._whole(rate), "Use separate() on the whole mixture.")
        return LocalStream(self, reach, rate, n_channels)

    def __rshift__(self, step: Separator | Refiner | Mapping[str, Separator]) -> Separator:
        """Return a `Pipeline`: this separator, then `step`."""
        pipeline = _registry.load(_registry.PUBLIC["Pipeline"])
        if isinstance(self, pipeline):
            return cast("Separator", pipeline((*cast("Any", self).steps, step)))
        return cast("Separator", pipeline((self, step)))

    def provenance(self) -> Provenance:
        """Return what `Sources` made by this separator say of how they came about."""
        return Provenance(version=__version__, settings=repr(self), seed=getattr(self, "seed", None))


class Refiner(Settings, ABC):
    """Base class of later steps of a pipeline: from sources to sources of the same mixture."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "refine" in vars(cls):
            cls.refine = guarded(cls.refine)  # type: ignore[method-assign]

    @abstractmethod
    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return other sources that sum to `mixture`, made from `sources`, which do too."""

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample this step looks; None, the default, for all of the mixture.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            As in `Separator.reach`.
        """
        return None

    def streams(self, sample_rate: float) -> bool:
        """Tell whether this step can be fed in blocks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            True for one of bounded reach, and for one that says so itself.
        """
        return self.reach(sample_rate) is not None

    def stream(self, names: tuple[str, ...], sample_rate: float, n_channels: int) -> RefinerStream:
        """Return this step as something that is fed in blocks, for the stream of a pipeline.

        Parameters
        ----------
        names : tuple of str
            The sources that go in.
        sample_rate : float
            In hertz.
        n_channels : int
            Of every block, which has the shape (n_channels, n_samples).

        Returns
        -------
        RefinerStream
            In all it gives what `refine` gives.

        Raises
        ------
        InputError
            If this step needs all of the mixture, or only the data decide its sources.
        """
        reach, after = self.reach(sample_rate), self.names_after(names)
        if reach is None or after is None:
            raise InputError("step", _BOUNDED, self._whole(sample_rate))
        return LocalRefinerStream(self, names, after, reach, sample_rate, n_channels)

    @abstractmethod
    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names of the sources that come out.

        Parameters
        ----------
        names : tuple of str or None
            The names of the sources that go in; None if only the data decide them.

        Returns
        -------
        tuple of str or None
            In order; None if only the data decide them.

        Raises
        ------
        InputError
            If a name that this step refers to is not among `names`.
        """


@dataclass(frozen=True, kw_only=True)
class SpectralSeparator(Separator):
    """Base class of separators that mask one spectrogram.

    A subclass writes `fit` (from a spectrogram to a model with masks) and `source_names`; transform,
    channels, precision, device, checks and resynthesis are inherited. The last source is what the others
    leave of the mixture, so that the sources sum to it and one inverse transform is spared.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    """

    stft: STFT = field(default_factory=STFT)

    #: Fewer frames than this are too little to learn from: see `separate`.
    min_frames: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")

    @abstractmethod
    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> MaskModel:
        """Learn a model from the spectrogram of a mixture.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with a `Progress` as work goes on.

        Returns
        -------
        MaskModel
            What was learned.
        """

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before the transform, as the model is learned, and before each source.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.

        Warns
        -----
        DspsepWarning
            ``W_TOO_SHORT`` if there is too little to learn from: then one source is the mixture and the
            others are silent.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels, max_channels=self.max_channels)
        n_frames = self.stft.n_frames(audio.samples.shape[1])
        least = self._least_frames(rate)
        if n_frames < least and self.source_names is not None:
            return self._too_short(audio, rate, n_frames, least)
        model, sources = self._take_apart(audio, rate, callback)
        return Sources(sources, rate, model, self.provenance())

    def _take_apart(
        self, audio: Mixture, sample_rate: float, callback: Callback | None
    ) -> tuple[MaskModel, dict[str, Array]]:
        """Return model and sources of checked audio; a subclass may know a shorter way to the same."""
        report = callback or _say_nothing
        report(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, sample_rate, audio.mono)
        model = self.fit(spectrogram, callback=callback)
        return model, self._resynthesise(audio, spectrogram, model, report)

    def _resynthesise(
        self,
        audio: Mixture,
        spectrogram: Spectrogram,
        model: MaskModel,
        report: Callback,
        masks: Iterator[Array] | None = None,
    ) -> dict[str, Array]:
        *names, last = model.source_names
        sources: dict[str, Array] = {}
        remainder = audio.samples
        masks = model.iter_masks(spectrogram) if masks is None else masks
        for done, name in enumerate(names):
            report(Progress(stage=name, iteration=done, n_iterations=len(names), model=model))
            source = self.stft._inverse(spectrogram, next(masks))
            remainder = remainder - source
            sources[name] = audio.restore(source)
        # A copy where nothing was taken away: what is returned is never the caller's own array.
        sources[last] = audio.restore(remainder if names else _copy(remainder))
        return sources

    def _least_frames(self, sample_rate: float) -> int:
        """Return how many frames there must be to learn from."""
        return self.min_frames

    def _keeps_all(self, names: tuple[str, ...]) -> str:
        """Return the source that a mixture is where there is too little of it."""
        return "background" if "background" in names else names[0]

    def _too_short(self, audio: Mixture, sample_rate: float, n_frames: int, least: int) -> Sources:
        names = cast("tuple[str, ...]", self.source_names)
        warn(
            "W_TOO_SHORT",
            f"{type(self).__name__} needs {least} frames to learn from and the mixture has "
            f"{n_frames}: one source is the mixture, the others are silent.",
            stacklevel=4,
        )
        keeps, xp = self._keeps_all(names), _backend.namespace(audio.samples)
        sources = {
            name: audio.restore(_copy(audio.samples) if name == keeps else xp.zeros_like(audio.samples))
            for name in names
        }
        return Sources(sources, sample_rate, None, self.provenance())


def from_json(text: str) -> Any:
    """Return the separator, pipeline or refiner that `to_json` wrote.

    Parameters
    ----------
    text : str
        JSON. Only classes that dspsep knows by name are made, through their constructors.

    Returns
    -------
    Separator or Refiner
        Equal to the one that was stored.

    Raises
    ------
    InputError
        If the text is not JSON of dspsep.

    Examples
    --------
    >>> import dspsep
    >>> dspsep.from_json('{"type": "HPSS", "margin": 2.0}').source_names
    ('harmonic', 'percussive', 'residual')
    """
    value = _serial.loads(text)
    if not isinstance(value, (Separator, Refiner)):
        raise InputError("text", "the JSON of a separator or a refiner", f"a {type(value).__name__}")
    return value


def _copy(samples: Array) -> Array:
    return _backend.namespace(samples).asarray(samples, copy=True)  # type: ignore[no-any-return]


def _say_nothing(_: Progress) -> None:
    return None
