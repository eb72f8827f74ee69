"""What the upper bounds share: references among the settings, checks, and the law of the sum."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast, final

from dspsep import _audio, _backend, _checks
from dspsep._frozen_array import FrozenArray
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.oracle._references import RESIDUAL, Material, Pairs, frozen
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = ["MaskOracle", "Oracle", "OracleModel"]


@dataclass(frozen=True, kw_only=True)
class Oracle(Separator):
    """Base class of separators that are given the true sources.

    Parameters
    ----------
    references : mapping of str to array
        The true sources, all of the shape of the mixture. Kept as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform.
    """

    references: Mapping[str, Any] | tuple[tuple[str, FrozenArray], ...]
    stft: STFT = field(default_factory=STFT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "references", frozen(self.references))
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the references, and ``residual`` for what they leave of the mixture."""
        return (*(name for name, _ in self._pairs), RESIDUAL)

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take the mixture of the references apart.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio of the shape of the references, NumPy or CuPy. Never changed. Integers are scaled
            as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before the transform and before each source.

        Returns
        -------
        Sources
            One for each reference and ``residual``. They sum to the mixture, and each has its shape,
            precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on, or is not of the shape of the references: the argument, what
            was seen, and what to do.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture)
        self._check_shape("mixture", audio.restore(audio.samples).shape)
        if callback is not None:
            callback(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, rate, audio.mono)
        material = Material.of(
            self._pairs, audio.samples, spectrogram, exponent=audio.exponent, peak=audio.peak
        )
        names = self.source_names[:-1]
        sources: dict[str, Array] = {}
        remainder = audio.samples
        estimates = self._estimates(material)
        for done, name in enumerate(names):
            if callback is not None:
                callback(Progress(stage=name, iteration=done, n_iterations=len(names)))
            source = next(estimates)
            remainder = remainder - source
            sources[name] = audio.restore(source)
        sources[RESIDUAL] = audio.restore(remainder)
        return Sources(sources, rate, self._model(), self.provenance())

    @abstractmethod
    def _estimates(self, material: Material) -> Iterator[Array]:
        """Yield the estimate of one reference after the other, (n_channels, n_samples)."""

    def _model(self) -> MaskModel | None:
        return None

    @property
    def _pairs(self) -> Pairs:
        return cast("Pairs", self.references)

    def _check_shape(self, argument: str, shape: tuple[int, ...]) -> None:
        expected = self._pairs[0][1].values.shape
        if tuple(shape) != expected:
            raise InputError(
                argument,
                f"of the shape of the references, {expected}",
                f"{tuple(shape)}",
                "An oracle is made of the true sources of one mixture: make another one for this mixture.",
            )


@dataclass(frozen=True, kw_only=True)
class MaskOracle(Oracle):
    """Base class of oracles that mask the spectrogram of the mixture, every channel by itself."""

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> OracleModel:
        """Return what makes the masks for the spectrogram of the mixture.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture, made by ``self.stft.forward``.
        callback : callable, optional
            Called once with a `Progress`.

        Returns
        -------
        OracleModel
            With `masks`.

        Raises
        ------
        InputError
            If the spectrogram was made by another transform, or its audio is not of the shape of the
            references.
        """
        model = OracleModel(oracle=self)
        model._check(spectrogram)
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model

    @abstractmethod
    def _masks(self, material: Material) -> Iterator[Array]:
        """Yield the mask of one reference after the other, (n_channels, n_freqs, n_frames)."""

    def _estimates(self, material: Material) -> Iterator[Array]:
        for mask in self._masks(material):
            yield self.stft._inverse(material.mixture, mask)
            del mask  # before the next is made: only one exists at a time

    def _model(self) -> OracleModel:
        return OracleModel(oracle=self)


@final
@dataclass(frozen=True, kw_only=True)
class OracleModel(MaskModel):
    """The masks of an oracle. It learns nothing: it holds the oracle, and computes them again.

    The mask of ``residual`` is one minus the others. Where sources claim more of a bin than there is, as
    they may with `IBM` and `PSM`, it is below zero: then the residual takes away what was given twice.

    Parameters
    ----------
    oracle : MaskOracle
        With the references.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> ideal = dspsep.oracle.IRM(references=scene.sources)
    >>> model = ideal.separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names
    ('kick', 'snare', 'hihat', 'bass', 'chords', 'vocals', 'residual')
    """

    oracle: MaskOracle

    def __post_init__(self) -> None:
        if not isinstance(self.oracle, MaskOracle):
            raise InputError("oracle", "an oracle that masks, as IRM does", repr(self.oracle)[:80])

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the references, and ``residual``."""
        return self.oracle.source_names

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the mask of each reference, and of the residual.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Yields
        ------
        array of shape (n_channels, n_freqs, n_frames)
            The share of each bin that belongs to the source.

        Raises
        ------
        InputError
            If the spectrogram was made by another transform, or its audio is not of the shape of the
            references.
        """
        self._check(spectrogram)
        xp = _backend.namespace(spectrogram.values)
        samples = spectrogram.stft._inverse(spectrogram, None)
        peak = _backend.scalar(xp.max(xp.abs(samples)))
        material = Material.of(self.oracle._pairs, samples, spectrogram, exponent=0, peak=peak)
        rest = xp.ones_like(xp.real(spectrogram.values))
        for mask in self.oracle._masks(material):
            rest = rest - mask
            yield mask
            del mask
        yield rest

    def _check(self, spectrogram: Spectrogram) -> None:
        if not isinstance(spectrogram, Spectrogram) or spectrogram.stft != self.oracle.stft:
            got = repr(getattr(spectrogram, "stft", spectrogram))[:80]
            raise InputError("spectrogram", f"made by this transform, {self.oracle.stft}", got)
        shape = (
            (spectrogram.n_samples,) if spectrogram.mono else (spectrogram.n_channels, spectrogram.n_samples)
        )
        self.oracle._check_shape("spectrogram", shape)
