"""What FastMNMF2 learned, and the filter that it makes of that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from dspsep import _backend, _checks
from dspsep._pictures import Pictures, of_factors_of_each, of_losses, of_mixing
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import Model
from dspsep.separators._names import numbered
from dspsep.separators.spatial._multichannel import (
    Split,
    blocks,
    check_parameters,
    frame_major,
)
from dspsep.stft import Spectrogram

__all__ = ["FastMNMF2Model"]

# Demixing matrices, whose size does not matter, are below this: products with spectra are then numbers.
_LARGEST = 1e100


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class FastMNMF2Model(Model):
    """Where sources are and how they sound, learned by `FastMNMF2`.

    Parameters
    ----------
    demixing : array of shape (n_freqs, n_channels, n_channels)
        The paper's Q, which makes the covariances of all sources diagonal.
    directivity : array of shape (n_sources, n_channels)
        The paper's g: how much of each source is in each direction, summing to one.
    templates : array of shape (n_sources, n_freqs, n_components)
        The spectra of power of each source, W.
    activations : array of shape (n_sources, n_components, n_frames)
        How loud they are in each frame, H.
    losses : tuple of float
        The objective at the start and after each iteration: see `fastmnmf2`. Never rises.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, sample_rate=8000)
    >>> model = dspsep.FastMNMF2(n_iter=5).separate(scene.mixture, scene.sample_rate).model
    >>> model.demixing.shape, model.directivity.shape
    ((2049, 2, 2), (2, 2))
    """

    demixing: Array
    directivity: Array
    templates: Array
    activations: Array
    losses: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        Q = check_parameters("demixing", self.demixing, (None, None, None), signed=True)
        g = check_parameters("directivity", self.directivity, (None, Q.shape[1]), signed=False)
        W = check_parameters("templates", self.templates, (g.shape[0], Q.shape[0], None), signed=False)
        H = check_parameters("activations", self.activations, (g.shape[0], W.shape[2], None), signed=False)
        if Q.shape[1] != Q.shape[2]:
            raise InputError("demixing", "of square matrices", f"{tuple(Q.shape)}")
        xp = _backend.namespace(Q, W, H)
        largest, determinant = xp.max(xp.abs(Q)), xp.min(xp.linalg.slogdet(Q)[1])
        if not (_backend.scalar(largest) < _LARGEST and _backend.scalar(determinant) > -math.inf):
            raise InputError("demixing", f"of matrices below {_LARGEST:g} with an inverse", "others")
        most = _backend.scalar(xp.max(W)) * _backend.scalar(xp.max(H)) * int(W.shape[2])
        if not most < xp.finfo(xp.result_type(W, H)).max:
            raise InputError("templates and activations", "of products in the range of numbers", f"{most:g}")
        if not isinstance(self.losses, tuple):
            raise InputError("losses", "a tuple of numbers", repr(self.losses)[:80])
        for loss in self.losses:
            _checks.number("losses", loss)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return numbered(int(self.directivity.shape[0]))

    def iter_images(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the spectra of the images of all sources, which sum to that of the mixture.

        They are made one at a time, so that what exists at once does not grow with the number of sources.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from: activations are those of its frames.

        Yields
        ------
        array of shape (n_channels, n_freqs, n_frames)
            What all microphones hear of a source.

        Raises
        ------
        InputError
            If the spectrogram has another number of channels, bins or frames.
        """
        shape = (self.demixing.shape[1], self.demixing.shape[0], self.activations.shape[2])
        if tuple(spectrogram.values.shape) != shape:
            got = f"{tuple(spectrogram.values.shape)}"
            remedy = "Fit the separator to this spectrogram."
            raise InputError("spectrogram", f"of shape {shape}, as the model is", got, remedy)
        for number in range(int(self.directivity.shape[0])):
            yield self._image(spectrogram.values, number)

    def _image(self, X: Array, number: int) -> Array:
        xp = _backend.namespace(X)
        Q, g = self.demixing, self.directivity
        inverse = xp.linalg.inv(Q)
        image, _ = frame_major(X, int(Q.shape[1]))
        data = Split(xp.permute_dims(xp.real(X), (1, 0, 2)), g, 1.0, 1.0)
        for part in blocks(data, 4 * max(int(Q.shape[1]), int(g.shape[0]))):
            L = self.templates[:, part, :] @ self.activations
            most = _backend.scalar(xp.max(L))
            L = L / (most or 1.0)  # its size does not matter, and might not be a normal number
            flat = xp.astype(xp.reshape(L, (L.shape[0], -1)), xp.float64)
            Y = xp.reshape(xp.permute_dims(g, (1, 0)) @ flat, (-1, *L.shape[1:]))
            own = g[number, :][:, None, None] * xp.astype(L[number, :, :], xp.float64)[None, :, :]
            # Matrices of mixtures without rank are nearly singular: their products are made in double.
            x = xp.astype(xp.permute_dims(X[:, part, :], (1, 0, 2)), xp.complex128)
            if _backend.scalar(xp.min(Y)) == 0:  # not in what `fit` finds: nobody's is everybody's
                own = xp.where(Y > 0, own, xp.full_like(Y, 1 / int(g.shape[0])))
                Y = xp.where(Y > 0, Y, xp.ones_like(Y))
            share = xp.permute_dims(own / Y, (1, 0, 2))
            y = inverse[part, :, :] @ (share * (Q[part, :, :] @ x))
            image[:, part, :] = xp.astype(xp.permute_dims(y, (1, 0, 2)), X.dtype)
        return image

    def _pictures(self) -> Pictures:
        xp = _backend.namespace(self.demixing, self.directivity)
        # The covariance of a source in a bin is A diag(g) A^H, of which the diagonal is seen at microphones.
        power = xp.abs(xp.linalg.inv(self.demixing)) ** 2
        gains = xp.sqrt(power @ xp.astype(xp.permute_dims(self.directivity, (1, 0)), power.dtype)[None, :, :])
        return {
            "levels": of_mixing(gains, self.source_names),
            **of_factors_of_each(self.templates, self.activations, self.source_names, 2.0),
            "losses": of_losses(self.losses),
        }
