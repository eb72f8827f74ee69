"""What demixing methods learn: a matrix for every bin, and the way back to the microphones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Pictures, of_factors_of_each, of_losses, of_mixing
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.model import Model
from dspsep.progress import Callback, Progress
from dspsep.sources import Sources, check_source_name
from dspsep.stft import STFT, Spectrogram

__all__ = ["BACKGROUND", "DemixingModel"]

BACKGROUND = "background"


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class DemixingModel(Model):
    """Demixing matrices, one for each bin, and what they were learned with.

    Parameters
    ----------
    demixing : array of shape (n_freqs, n_sources, n_channels)
        W, complex: the outputs are ``y = W x`` in every bin. Rows of zeros are sources that were lost.
    mixing : array of shape (n_freqs, n_channels, n_sources)
        The image of each output at all microphones, ``mixing[:, :, k] * y_k``: with as many sources as
        microphones the inverse of W, so that images sum to x.
    losses : tuple of float
        What was minimised, at the start and after each iteration, for a mixture scaled by the power of two
        that brings its mean power in a bin near the number of bins. Never rises, but for rounding.
    names : tuple of str
        Of the sources.
    stft : STFT
        The transform.
    background : bool, default=False
        Whether what no source explains is a source of its own, named ``background``.
    templates : array of shape (n_sources, n_freqs, n_components), optional
        Of a model of the powers of the outputs, ``templates @ activations``, if there is one.
    activations : array of shape (n_sources, n_components, n_frames), optional
        Of the same.

    Raises
    ------
    InputError
        If arrays do not fit each other.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=2.0, rt60=0.1)
    >>> auxiva = dspsep.AuxIVA(stft=dspsep.STFT(2048), n_iter=10)
    >>> model = auxiva.separate(scene.mixture, scene.sample_rate).model
    >>> model.demixing.shape, model.losses[-1] < model.losses[0]
    ((1025, 2, 2), True)
    >>> model.unmix(scene.mixture, scene.sample_rate).shape
    (2, 32000)
    """

    demixing: Array
    mixing: Array
    losses: tuple[float, ...] = field(repr=False)
    names: tuple[str, ...]
    stft: STFT
    background: bool = False
    templates: Array | None = field(default=None, repr=False)
    activations: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80])
        if not isinstance(self.background, bool):
            raise InputError("background", "True or False", repr(self.background)[:80])
        if not isinstance(self.names, tuple) or not self.names:
            raise InputError("names", "a tuple of names", repr(self.names)[:80])
        for name in self.names:
            check_source_name(name)
        if len(set(self.source_names)) < len(self.source_names):
            raise InputError("names", "names that differ", repr(self.source_names)[:80])
        if not isinstance(self.losses, tuple):
            raise InputError("losses", "a tuple of numbers", repr(self.losses)[:80])
        for loss in self.losses:
            _checks.number("losses", loss)
        self._check_arrays()

    def _check_arrays(self) -> None:
        n_channels = self.demixing.shape[-1] if getattr(self.demixing, "ndim", 0) == 3 else 0
        shape = (self.stft.n_freqs, len(self.names), n_channels)
        _check_matrices("demixing", self.demixing, shape)
        _check_matrices("mixing", self.mixing, (shape[0], shape[2], shape[1]))
        if n_channels < max(2, shape[1]):
            raise InputError("demixing", "of two channels, and as many as sources, at least", f"{n_channels}")
        if self.templates is None and self.activations is None:
            return
        if self.templates is None or self.activations is None:
            raise InputError("activations", "given with templates, and only with them", "one of them")
        _check_factor("templates", self.templates, (shape[1], shape[0], None))
        _check_factor("activations", self.activations, (shape[1], self.templates.shape[2], None))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return (*self.names, BACKGROUND) if self.background else self.names

    @property
    def n_channels(self) -> int:
        """How many microphones there are."""
        return int(self.demixing.shape[2])

    def unmix(self, mixture: Array, sample_rate: float) -> Array:
        """Return the outputs y = W x themselves, in the scale that the method gives them.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Of the microphones that were learned from, of any length.
        sample_rate : float
            In hertz.

        Returns
        -------
        array of shape (n_sources, n_samples)
            In the order of `names`.

        Raises
        ------
        InputError
            If the mixture has another number of channels, or is no audio.
        """
        return self._outputs(mixture, sample_rate, self.demixing)

    def minimal_distortion(self, mixture: Array, sample_rate: float) -> Array:
        """Return each output as one microphone hears it: the first the first source, and so on.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Of the microphones that were learned from, of any length.
        sample_rate : float
            In hertz.

        Returns
        -------
        array of shape (n_sources, n_samples)
            Of all scales of the outputs these are as near to the microphones as can be.

        Raises
        ------
        InputError
            If the mixture has another number of channels, or is no audio.

        References
        ----------
        K. Matsuoka, "Minimal distortion principle for blind source separation", Proceedings of the 41st
        SICE Annual Conference, 2002, pp. 2138-2143.
        """
        xp = _backend.namespace(self.demixing)
        n_sources = len(self.names)
        scales = xp.stack([self.mixing[:, k, k] for k in range(n_sources)], axis=1)
        return self._outputs(mixture, sample_rate, scales[:, :, None] * self.demixing)

    def images(self, mixture: Array, sample_rate: float) -> Sources:
        """Return the images of the sources at all microphones, of this or another mixture.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Of the microphones that were learned from, of any length.
        sample_rate : float
            In hertz.

        Returns
        -------
        Sources
            They sum to the mixture.

        Raises
        ------
        InputError
            If the mixture has another number of channels, or is no audio.
        """
        audio, rate = self._checked(mixture, sample_rate)
        spectrogram = self.stft._forward(audio.samples, rate, audio.mono)
        return Sources(self._images(audio, spectrogram, None), rate, self)

    def _checked(self, mixture: Array, sample_rate: float) -> tuple[Mixture, float]:
        rate = _checks.sample_rate(sample_rate)
        n_channels = self.n_channels
        return _audio.mixture_of(mixture, min_channels=n_channels, max_channels=n_channels), rate

    def _outputs(self, mixture: Array, sample_rate: float, demixing: Array) -> Array:
        audio, rate = self._checked(mixture, sample_rate)
        spectrogram = self.stft._forward(audio.samples, rate, audio.mono)
        outputs = [
            self._channel(spectrogram, self._output(spectrogram, demixing, k)) for k in range(len(self.names))
        ]
        xp = _backend.namespace(audio.samples)
        return audio.restore(xp.concat(outputs, axis=0))

    def _output(self, spectrogram: Spectrogram, demixing: Array, k: int) -> Array:
        """Return the spectrum of one output, frame-major (1, n_frames, n_freqs)."""
        xp = _backend.namespace(spectrogram.values)
        spectra = xp.permute_dims(spectrogram.values, (0, 2, 1))
        row = xp.permute_dims(demixing[:, k : k + 1, :], (1, 2, 0))
        return kernels_for(spectra).filter_spectra(xp.astype(row, spectra.dtype), spectra)

    def _channel(self, spectrogram: Spectrogram, spectra: Array) -> Array:
        """Return the samples (1, n_samples) of frame-major spectra."""
        xp = _backend.namespace(spectra)
        return self.stft._inverse(spectrogram.with_values(xp.permute_dims(spectra, (0, 2, 1))), None)

    def _images(self, audio: Mixture, spectrogram: Spectrogram, report: Callback | None) -> dict[str, Array]:
        """Return all images: one source and channel at a time is in the frequency domain."""
        xp = _backend.namespace(audio.samples)
        remainder, images, energies = audio.samples, [], []
        kernels = kernels_for(spectrogram.values)
        for k, name in enumerate(self.names):
            if report is not None:
                report(Progress(stage=name, iteration=k, n_iterations=len(self.names), model=self))
            output = self._output(spectrogram, self.demixing, k)
            channels = []
            for c in range(self.n_channels):
                gains = xp.astype(self.mixing[:, c, k], output.dtype)
                channels.append(
                    self._channel(spectrogram, kernels.filter_spectra(gains[None, None, :], output))
                )
            image = xp.concat(channels, axis=0)
            remainder = remainder - image
            energies.append(xp.sum(image * image, dtype=xp.float64))
            images.append(image)
        if self.background:
            images.append(remainder)
        else:
            # What rounding leaves is least beside the loudest.
            loudest = int(np.argmax(_backend.to_host(xp.stack(energies))))
            images[loudest] = images[loudest] + remainder
        return {name: audio.restore(image) for name, image in zip(self.source_names, images, strict=True)}

    def _pictures(self) -> Pictures:
        factors: Pictures = {}
        if self.templates is not None and self.activations is not None:
            factors = of_factors_of_each(self.templates, self.activations, self.names, 2.0)
        return {"levels": of_mixing(self.mixing, self.names), **factors, "losses": of_losses(self.losses)}


def _check_matrices(name: str, values: Array, shape: tuple[int, int, int]) -> None:
    array = _backend.as_array(name, values)
    xp = _backend.namespace(array)
    if tuple(array.shape) != shape or array.dtype not in (xp.complex64, xp.complex128):
        raise InputError(name, f"complex, of shape {shape}", f"{tuple(array.shape)} of {array.dtype}")
    if not bool(_backend.to_host(xp.all(xp.isfinite(array)))):
        raise InputError(name, "finite", "NaN or infinite numbers")


def _check_factor(name: str, values: Array, shape: tuple[int, int | None, int | None]) -> None:
    array = _backend.real_floating(name, values)
    xp = _backend.namespace(array)
    if array.ndim != 3 or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise InputError(name, f"of shape {shape}", f"shape {tuple(array.shape)}")
    if not bool(_backend.to_host(xp.all((array >= 0) & xp.isfinite(array)))):
        raise InputError(name, "finite and not negative", "other numbers")
