"""What independent component analysis learns: one matrix, and how it came about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Pictures, Recipe, of_losses, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import Model
from dspsep.separators._names import numbered
from dspsep.separators.ica._whitening import blocks

__all__ = ["InstantaneousModel", "names_of"]

# Singular values below this part of the largest are those of sources that are not there.
_RANK = 1e-12
# The inverse of a matrix with a larger entry is finite, since no smaller singular values count.
_FAINT = 1e-290


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class InstantaneousModel(Model):
    """A matrix that demixes, how it was found, and what it makes of any mixture of the same kind.

    Parameters
    ----------
    demixing : array of shape (n_sources, n_channels)
        W in y = W (x - m): a row for each source, of zeros where a source was lost. The sources are in order
        of the energy of their images, loudest first, and the loudest entry of each column of `mixing` is
        positive.
    mean : array of shape (n_channels,)
        The means of the channels, m.
    losses : tuple of float
        What the iterations lowered, after each; the separator says what it is.
    converged : bool
        Whether they ended because nothing was left to do, or because they were told to.
    switches : tuple of int, default=()
        Before these iterations, counted from 0, the sign of a source changed, and the loss with it.
    contrasts : tuple of float
        How far each output is from Gaussian: the mean of log cosh y less that of a Gaussian. Below 0 for
        those with many small values and a few large ones, as speech; above 0 for those that are evenly
        spread; 0 for lost ones.
    with_residual : bool, default=False
        Whether what no source has is a source of its own, ``residual``, or belongs to the loudest.

    Attributes
    ----------
    mixing : array of shape (n_channels, n_sources)
        A, the pseudo-inverse of W: how each source sounds at the microphones, if its variance is one.

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> rng = np.random.default_rng(0)
    >>> mixture = np.array([[1.0, 0.5], [0.3, 1.0]]) @ rng.laplace(size=(2, 8000))
    >>> model = dspsep.FastICA().separate(mixture, 8000).model
    >>> y = model.unmix(mixture)
    >>> bool(abs(y @ y.T / 8000 - np.eye(2)).max() < 1e-6)
    True
    """

    demixing: Array
    mean: Array
    losses: tuple[float, ...] = field(repr=False)
    converged: bool
    switches: tuple[int, ...] = field(default=(), repr=False)
    contrasts: tuple[float, ...] = field(repr=False)
    with_residual: bool = False

    def __post_init__(self) -> None:
        # A model may come from a file.
        for name, n_axes in (("demixing", 2), ("mean", 1)):
            values = np.asarray(
                _backend.to_host(_backend.real_floating(name, getattr(self, name))), np.float64
            )
            if values.ndim != n_axes or not values.size or not np.isfinite(values).all():
                raise InputError(name, f"finite numbers, with {n_axes} axes", f"shape {values.shape}")
            object.__setattr__(self, name, values)
        if self.demixing.shape[0] > self.demixing.shape[1]:
            raise InputError("demixing", "of no more sources than channels", f"{self.demixing.shape}")
        if self.mean.shape != self.demixing.shape[1:]:
            raise InputError("mean", f"of shape {self.demixing.shape[1:]}", f"{self.mean.shape}")
        if 0 < np.abs(self.demixing).max() < _FAINT:
            with np.errstate(all="ignore"):
                invertible = np.isfinite(self.mixing).all()
            if not invertible:
                raise InputError(
                    "demixing", "a matrix whose pseudo-inverse is finite", "one that is too small"
                )
        self._check_record()

    def _check_record(self) -> None:
        for name in ("losses", "switches", "contrasts"):
            if not isinstance(getattr(self, name), tuple):
                raise InputError(name, "a tuple of numbers", repr(getattr(self, name))[:80])
            for value in getattr(self, name):
                if name == "switches":
                    _checks.integer(name, value, minimum=0)
                else:
                    _checks.number(name, value)
        if len(self.contrasts) != self.n_sources:
            raise InputError("contrasts", f"{self.n_sources} numbers", f"{len(self.contrasts)}")
        for name in ("converged", "with_residual"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, "True or False", repr(getattr(self, name))[:80])

    @property
    def n_sources(self) -> int:
        """How many rows the demixing matrix has."""
        return int(self.demixing.shape[0])

    @cached_property
    def mixing(self) -> Array:
        """The pseudo-inverse of the demixing matrix, of shape (n_channels, n_sources)."""
        return np.linalg.pinv(self.demixing, rcond=_RANK)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return names_of(self.n_sources, self.with_residual)

    def unmix(self, mixture: Array) -> Array:
        """Return the outputs y = W (x - m) themselves, whose level means nothing.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            What was learned from, in which case each output has a mean of 0 and a variance of 1, or another
            recording of the same sources at the same places.

        Returns
        -------
        array of shape (n_sources, n_samples)
            In the mixture's precision.

        Raises
        ------
        InputError
            If it has another number of channels.
        """
        audio = self._audio_of(mixture)
        return self._outputs(audio, np.ldexp(self.demixing, -audio.exponent), self.mean)

    def minimal_distortion(self, mixture: Array, *, channel: int | None = None) -> Array:
        """Return the sources at the level they have at one microphone each.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            As for `unmix`.
        channel : int, optional
            The microphone. By default each source is as at the microphone of its own number, which is the
            matrix diag(A) W of the minimal distortion principle.

        Returns
        -------
        array of shape (n_sources, n_samples)
            Rows of the images, in the mixture's precision.

        Raises
        ------
        InputError
            If it has another number of channels, or there is no such channel.

        References
        ----------
        K. Matsuoka, S. Nakashima, "Minimal distortion principle for blind source separation", International
        Conference on Independent Component Analysis and Blind Signal Separation (ICA), 2001, pp. 722-727.
        """
        audio = self._audio_of(mixture)
        n_channels = self.demixing.shape[1]
        if channel is not None:
            _checks.integer("channel", channel, minimum=0, maximum=n_channels - 1)
        levels = np.diag(self.mixing) if channel is None else self.mixing[channel]
        outputs = self._outputs(audio, levels[:, None] * self.demixing, np.zeros(n_channels))
        return _audio.times_power_of_two(outputs, -audio.exponent) if audio.exponent else outputs

    def images(self, mixture: Array) -> dict[str, Array]:
        """Return each source as it is at all microphones: what `separate` returns.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            As for `unmix`.

        Returns
        -------
        dict of str to array of shape (n_channels, n_samples)
            They sum to the mixture.

        Raises
        ------
        InputError
            If it has another number of channels.
        """
        return self._images(self._audio_of(mixture))

    def _audio_of(self, mixture: Array) -> Mixture:
        audio = _audio.mixture_of(mixture)
        n_channels = self.demixing.shape[1]
        if audio.samples.shape[0] != n_channels:
            got = f"{audio.samples.shape[0]} channels"
            raise InputError("mixture", f"of {n_channels} channels, as the model is", got)
        return audio

    def _outputs(self, audio: Mixture, W: Array, mean: Array) -> Array:
        x = audio.samples
        xp = _backend.namespace(x)
        W, offset = (_backend.asarray_like(values, x) for values in (W, np.ldexp(mean, audio.exponent)))
        y: Array = xp.empty((W.shape[0], x.shape[1]), dtype=x.dtype, device=x.device)
        for part in blocks(x):
            y[:, part] = xp.astype(W @ (xp.astype(x[:, part], xp.float64) - offset[:, None]), x.dtype)
        return y

    def _images(self, audio: Mixture) -> dict[str, Array]:
        """Return the images of checked audio; what is nobody's goes to the residual, or to the loudest."""
        x = audio.samples
        xp = _backend.namespace(x)
        W, A = (_backend.asarray_like(matrix, x) for matrix in _balanced(self.demixing, self.mixing))
        first = 0 if self.with_residual else 1
        images = [xp.zeros_like(x) for _ in range(self.n_sources)]
        rest = xp.asarray(x, copy=True)
        there = [k for k in range(first, self.n_sources) if self.demixing[k].any()]
        for part in blocks(x):
            # The outputs in double precision, since what they are made of may nearly cancel.
            y = xp.astype(W @ xp.astype(x[:, part], xp.float64), x.dtype)
            for k in there:
                image = xp.astype(A[:, k], x.dtype)[:, None] * y[k, :][None, :]
                images[k][:, part] = image
                rest[:, part] = rest[:, part] - image
        if self.with_residual:
            images.append(rest)
        else:
            images[0] = rest
        return {name: audio.restore(image) for name, image in zip(self.source_names, images, strict=True)}

    def _pictures(self) -> Pictures:
        names = self.source_names[: self.n_sources]
        return {
            "levels": Recipe(lambda _: picture("mixing", self.mixing, names=names)),
            "losses": of_losses(self.losses, first=1, marks=self.switches),
        }


def names_of(n_sources: int, with_residual: bool) -> tuple[str, ...]:
    """Return the names of so many sources."""
    names = numbered(n_sources)
    return (*names, "residual") if with_residual else names


def _balanced(W: Array, A: Array) -> tuple[Array, Array]:
    """Return W and A with their scale shared between them, by a power of two: only their product matters."""
    largest = float(np.abs(A).max())
    exponent = math.frexp(largest)[1] if largest else 0
    return np.ldexp(W, exponent), np.ldexp(A, -exponent)
