"""What all demixing separators share: settings, the way to whitened spectra, and back to images."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.separators._names import numbered
from dspsep.separators.iva._demixed import checked_spectra, demixed
from dspsep.separators.iva._model import BACKGROUND, DemixingModel
from dspsep.separators.iva._updates import Found, Report
from dspsep.separators.iva._whitening import Whitened
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = ["MAX_N_ITER", "DemixingSeparator"]

MAX_N_ITER = 10_000
# Fewer frames than this for each channel are too little to tell sources apart by.
_FRAMES_PER_CHANNEL = 2


@dataclass(frozen=True, kw_only=True)
class DemixingSeparator(Separator):
    """Base class of separators that multiply the microphones by a matrix in every bin.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform. Frames should be about as long as the reverberation: 0.26 s at 16 kHz.
    n_sources : int, optional
        How many sources there are. By default as many as channels.
    n_iter : int, default=50
        How many iterations.
    init : DemixingSeparator, optional
        Another method of the family whose matrices this one begins with, of the same transform. By default
        the sources are the microphones at first.
    """

    stft: STFT = field(default_factory=lambda: STFT(4096, 1024))
    n_sources: int | None = None
    n_iter: int = 50
    init: DemixingSeparator | None = None

    min_channels: ClassVar[int] = 2
    #: Whether there may be fewer sources than channels, and what they leave is a source.
    has_background: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(4096, 1024).")
        for name in ("n_sources", "n_iter"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        if self.n_sources is not None:
            _checks.integer("n_sources", self.n_sources, minimum=1 if self.has_background else 2)
        _checks.integer("n_iter", self.n_iter, minimum=0, maximum=MAX_N_ITER)
        if self.init is not None:
            if not isinstance(self.init, DemixingSeparator):
                raise InputError("init", "a demixing separator", repr(self.init)[:80])
            if self.init.stft != self.stft:
                raise InputError("init", f"of the same transform, {self.stft}", repr(self.init.stft))
            if self.init.n_sources not in (None, self.n_sources):
                raise InputError("init", "for as many sources", f"n_sources={self.init.n_sources}")

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """``source_0``, ``source_1``, …; None where the number of channels decides how many."""
        return None if self.n_sources is None else self._names(self.n_sources)

    def _names(self, n_sources: int) -> tuple[str, ...]:
        names = numbered(n_sources)
        return (*names, BACKGROUND) if self.has_background else names

    @abstractmethod
    def _learn(self, data: Whitened, W: Array, report: Report | None) -> Found:
        """Return what iterations make of W~, the matrices that they begin with."""

    def _n_reports(self) -> int:
        """Return how many iterations there are in all."""
        return self.n_iter

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> DemixingModel:
        """Learn demixing matrices from the spectrogram of a mixture.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``, of at least two channels.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration, and before that with ``"init"``
            where another method comes first. Returning True ends them.

        Returns
        -------
        DemixingModel
            What was learned.

        Raises
        ------
        InputError
            If there are more sources than channels.

        Warns
        -----
        DspsepWarning
            ``W_RANK`` if the channels hold fewer independent signals than there are sources.
        """
        X = checked_spectra(spectrogram.values)
        n_sources = self._count(int(X.shape[0]))

        def learn(data: Whitened, W: Array) -> Found:
            if self.init is not None:
                W = self.init._learn(data, W, _reporter(callback, "init", self.init._n_reports())).demixing
            return self._learn(data, W, _reporter(callback, "fit", self._n_reports()))

        found = demixed(X, n_sources, learn, stacklevel=5)
        return DemixingModel(
            demixing=found.demixing,
            mixing=found.mixing,
            losses=found.losses,
            names=numbered(n_sources),
            stft=self.stft,
            background=self.has_background,
            templates=found.templates,
            activations=found.activations,
        )

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart into the images of the sources at all microphones.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Finite audio of at least two channels, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before the transform, after each iteration, and before each source.

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
            ``W_RANK`` if the channels hold fewer independent signals than there are sources: the last ones
            are silent then. ``W_TOO_SHORT`` if there are fewer than two frames for each channel: one source
            is the mixture then, and the others are silent.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels)
        n_channels, n_samples = audio.samples.shape
        names = self._names(self._count(n_channels))
        n_frames, least = self.stft.n_frames(n_samples), _FRAMES_PER_CHANNEL * n_channels
        if n_frames < least:
            return self._too_short(audio, rate, names, f"{n_frames} frames for {n_channels} channels")
        if callback is not None:
            callback(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, rate, audio.mono)
        model = self.fit(spectrogram, callback=callback)
        return Sources(model._images(audio, spectrogram, callback), rate, model, self.provenance())

    def _count(self, n_channels: int) -> int:
        """Return how many sources there are; refuse more than channels, and fewer if that is not meant."""
        n_sources = n_channels - 1 if self.has_background else n_channels
        if self.n_sources is None:
            return n_sources
        if self.n_sources > n_channels:
            remedy = "Demixing tells at most as many sources apart as there are microphones."
            raise InputError(
                "n_sources", f"at most the number of channels, {n_channels}", self.n_sources, remedy
            )
        if self.n_sources < n_channels and not self.has_background:
            remedy = "OverIVA takes more microphones than there are sources."
            raise InputError("n_sources", f"the number of channels, {n_channels}", self.n_sources, remedy)
        return self.n_sources

    def _too_short(
        self, audio: _audio.Mixture, sample_rate: float, names: tuple[str, ...], seen: str
    ) -> Sources:
        warn(
            "W_TOO_SHORT",
            f"{type(self).__name__} needs {_FRAMES_PER_CHANNEL} frames for each channel to learn from, and "
            f"there are {seen}: one source is the mixture, the others are silent.",
        )
        xp = _backend.namespace(audio.samples)
        keeps = BACKGROUND if BACKGROUND in names else names[0]
        sources = {
            name: audio.restore(
                xp.asarray(audio.samples, copy=True) if name == keeps else xp.zeros_like(audio.samples)
            )
            for name in names
        }
        return Sources(sources, sample_rate, None, self.provenance())


def _reporter(callback: Callback | None, stage: str, n_iter: int) -> Report | None:
    if callback is None:
        return None
    told = callback

    def report(iteration: int, loss: float) -> bool:
        return bool(told(Progress(stage=stage, iteration=iteration, n_iterations=n_iter, loss=loss)))

    return report
