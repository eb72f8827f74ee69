"""Masks from directions: complex angular central Gaussian mixtures, one in each frequency.

What the channels x of bin (f, t) say of the place of the loudest source is their direction z = x / |x|. In
each frequency f directions are drawn from a mixture (Ito, Araki & Nakatani 2016)

    sum_n a[n, f] A(z; B_nf),        A(z; B) ~ det(B)^-1 (z^H B^-1 z)^-C,

C being the number of channels: B says which directions a source is heard from. The masks are the
probabilities of the sources given the direction,

    M[n, f, t] = a[n, f] A(z; B_nf) / sum_i a[i, f] A(z; B_if),

and the expectation-maximisation step with q = z^H B^-1 z of the old B is

    B_nf <- C sum_t M z z^H / q / sum_t M,        a[n, f] <- mean over t of M.

As everywhere in this family, the directions are those of the mixture and faint noise, of power e in each
channel: z z^H stands for (x x^H + e I) / (|x|^2 + C e), and q for the trace of its product with B^-1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, of_losses, of_mixing, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._names import numbered
from dspsep.separators.spatial._multichannel import (
    blocks,
    check_iterations,
    check_parameters,
    split,
    warn_of_rank,
)
from dspsep.separators.spatial._multichannel_mixtures import Mixtures, learned, shares_of
from dspsep.stft import Spectrogram

__all__ = ["CACGMM", "CACGMMModel", "cacgmm"]

# Bounds of what a model may come with, far beyond what is learned: within these masks are numbers.
_LEAST_RATIO, _LARGEST = 1e-20, 1e100


def cacgmm(
    X: Array,
    n_sources: int,
    *,
    n_iter: int = 50,
    seed: int = 0,
    align: bool = True,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, Array, tuple[float, ...]]:
    """Learn from which directions sources are heard in every frequency.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        The complex spectrum, of two channels or more. Never changed.
    n_sources : int
        How many sources there are; there may be more than channels.
    n_iter : int, default=50
        The number of iterations.
    seed : int, default=0
        Of the random shares at the start.
    align : bool, default=True
        Whether sources are put into one order over all frequencies. Without that, source 0 of one frequency
        has nothing to do with source 0 of another.
    callback : callable, optional
        Called with the number of iterations and the objective after each. Returning True ends them.

    Returns
    -------
    B : array of shape (n_sources, n_freqs, n_channels, n_channels)
        Hermitian and positive definite, in double precision, with a trace of n_channels.
    weights : array of shape (n_sources, n_freqs)
        How often each source is heard, in double precision. They sum to one in every frequency.
    losses : tuple of float
        The negative log-likelihood, but for constants, at the start and after each iteration. Never rises.

    Raises
    ------
    InputError
        If `X` or a setting is out of range.

    See Also
    --------
    CACGMM : The separator made of it.

    Examples
    --------
    Two directions, which take turns:

    >>> import numpy as np
    >>> from dspsep import cacgmm
    >>> rng = np.random.default_rng(0)
    >>> s = rng.standard_normal((1, 3, 60)) + 1j * rng.standard_normal((1, 3, 60))
    >>> first = np.arange(60) % 20 < 10
    >>> X = np.where(first, np.array([1, 1]).reshape(2, 1, 1), np.array([1, -1]).reshape(2, 1, 1)) * s
    >>> B, weights, losses = cacgmm(X, 2)
    >>> weights.round(2).tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    check_iterations(n_sources, n_iter, seed)
    if not isinstance(align, bool):
        raise InputError("align", "True or False", repr(align)[:80])
    report = None if callback is None else lambda *told: bool(callback(*told))
    found, losses = learned(split(X, min_channels=2), n_sources, n_iter, seed, report, align=align)
    return found.B, found.a, losses


@final
@dataclass(frozen=True, kw_only=True)
class CACGMM(SpectralSeparator):
    """Masks by where sources are heard from; there may be more sources than microphones.

    For rooms, and sources of which mostly one is loud in each bin: talkers, in frames of speech.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 128 ms at 16 kHz, in which bins of speech seldom have two sources.
    n_sources : int, default=2
        How many sources there are.
    n_iter : int, default=50
        The number of iterations.
    seed : int, default=0
        Of the random shares at the start.

    Raises
    ------
    InputError
        If a setting is out of range.

    Warns
    -----
    DspsepWarning
        ``W_RANK``, by `separate` and `fit`, if a channel is silent, or says nothing that others do not.

    See Also
    --------
    cacgmm : The algorithm as a function of a spectrum alone.
    FastMNMF2 : Spectra of sources beside directions, and a filter in place of masks.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …: the mixture at all microphones under masks, which are the
    same for all of these. Which is which depends on the start.

    The paper leaves the order of sources over frequencies to others. Here random shares at the start are the
    same in all frequencies, and sources are put in order by when they are heard, first as a whole and then
    between neighbours and octaves, as in Sawada et al. Another deviation: directions are those of the mixture
    and of faint noise (100 dB below each bin, and below the mean power), so that matrices are never singular,
    silence has no direction, and the objective never rises.

    Cost: O(n_iter n_freqs n_frames n_sources n_channels ** 2). Peak memory beside the input and the sources:
    three spectra of the mixture, or one and three real numbers for each bin and source if that is more.

    References
    ----------
    N. Ito, S. Araki, T. Nakatani, "Complex angular central Gaussian mixture model for directional statistics
    in mask-based microphone array signal processing", 24th European Signal Processing Conference (EUSIPCO),
    2016, pp. 1153-1157. doi:10.1109/EUSIPCO.2016.7760429

    H. Sawada, S. Araki, S. Makino, "Underdetermined convolutive blind source separation via frequency
    bin-wise clustering and permutation alignment", IEEE Transactions on Audio, Speech, and Language
    Processing 19(3), 2011, pp. 516-527. doi:10.1109/TASL.2010.2051355

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=2.0)
    >>> sources = dspsep.CACGMM(n_iter=10).separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.B.shape
    (['source_0', 'source_1'], (2, 1025, 2, 2))
    """

    min_channels = 2

    n_sources: int = 2
    n_iter: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_sources", "n_iter", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_iterations(self.n_sources, self.n_iter, self.seed)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Numbered: which is which depends on the start."""
        return numbered(self.n_sources)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> CACGMMModel:
        """Return the directions of all sources.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

        Returns
        -------
        CACGMMModel
            With the mixtures, which masks are made of.

        Raises
        ------
        InputError
            If there is only one channel.
        """
        data = split(spectrogram.values, min_channels=self.min_channels)
        warn_of_rank(data, "CACGMM", stacklevel=6)

        def report(iteration: int, loss: float) -> bool:
            told = Progress(stage="fit", iteration=iteration, n_iterations=self.n_iter, loss=loss)
            return callback is not None and bool(callback(told))

        # Losses stay on the device unless somebody is told of them.
        tell = None if callback is None else report
        found, losses = learned(data, self.n_sources, self.n_iter, self.seed, tell, align=True)
        return CACGMMModel(B=found.B, weights=found.a, losses=losses)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class CACGMMModel(MaskModel):
    """From which directions sources are heard, learned by `CACGMM`.

    Parameters
    ----------
    B : array of shape (n_sources, n_freqs, n_channels, n_channels)
        Hermitian and positive definite.
    weights : array of shape (n_sources, n_freqs)
        How often each source is heard.
    losses : tuple of float
        The objective at the start and after each iteration. Never rises.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, sample_rate=8000)
    >>> model = dspsep.CACGMM(n_iter=5).separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names, len(model.losses)
    (('source_0', 'source_1'), 6)
    """

    B: Array
    weights: Array
    losses: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        B = check_parameters("B", self.B, (None, None, None, None), signed=True)
        weights = check_parameters("weights", self.weights, tuple(B.shape[:2]), signed=False)
        if B.shape[2] != B.shape[3]:
            raise InputError("B", "of square matrices", f"{tuple(B.shape)}")
        xp = _backend.namespace(B, weights)
        values = xp.linalg.eigvalsh(B)
        least = _backend.to_host(xp.stack([xp.min(values), xp.min(weights)]))
        if not (least > 0).all():
            raise InputError("B and weights", "positive definite matrices, and above 0", f"{least.tolist()}")
        ratio, most = (
            _backend.scalar(xp.min(values[..., 0] / values[..., -1])),
            _backend.scalar(xp.max(values)),
        )
        if not (ratio >= _LEAST_RATIO and least[0] >= 1 / _LARGEST and most <= _LARGEST):
            requirement = f"of matrices that are far from singular, with values below {_LARGEST:g}"
            raise InputError("B", requirement, f"eigenvalues from {least[0]:g} to {most:g}")
        if not isinstance(self.losses, tuple):
            raise InputError("losses", "a tuple of numbers", repr(self.losses)[:80])
        for loss in self.losses:
            _checks.number("losses", loss)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return numbered(int(self.B.shape[0]))

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the probability of each source in every bin.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from, or of another one of as many channels and bins.

        Yields
        ------
        array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Raises
        ------
        InputError
            If the spectrogram has another number of channels or bins.
        """
        shape = (int(self.B.shape[2]), int(self.B.shape[1]))
        if (spectrogram.n_channels, spectrogram.n_freqs) != shape:
            got = f"{spectrogram.n_channels} channels and {spectrogram.n_freqs} bins"
            requirement = f"of {shape[0]} channels and {shape[1]} bins, as the model is"
            raise InputError("spectrogram", requirement, got, "Fit the separator to this spectrogram.")
        data = split(spectrogram.values)
        xp = _backend.namespace(data.parts, self.B)
        # Their size does not matter, and might leave single precision.
        size = sum(xp.real(self.B[..., m, m]) for m in range(shape[0]))
        mixtures = Mixtures(self.B * (shape[0] / size)[..., None, None], self.weights)
        for number in range(int(self.B.shape[0])):
            memory = xp.empty((1, data.n_frames, data.n_freqs), dtype=data.parts.dtype, device=self.B.device)
            for part in blocks(data, data.n_channels * int(self.B.shape[0])):
                shares = shares_of(data, mixtures, part)[number, :, :]
                memory[0, :, part] = xp.permute_dims(shares, (1, 0))
            yield xp.permute_dims(memory, (0, 2, 1))

    def _pictures(self) -> Pictures:
        xp = _backend.namespace(self.B)
        diagonals = xp.stack([xp.real(self.B[:, :, m, m]) for m in range(self.B.shape[2])], axis=-1)
        return {
            "levels": of_mixing(xp.permute_dims(xp.sqrt(diagonals), (1, 2, 0)), self.source_names),
            "weights": Recipe(self._drawn_weights),
            "losses": of_losses(self.losses),
            **self._mask_pictures(),
        }

    def _drawn_weights(self, scale: Scale) -> Picture:
        weights = np.asarray(_backend.to_host(self.weights))
        hertz = scale.frequencies(weights.shape[1])
        where = np.arange(weights.shape[1]) if hertz is None else hertz
        label = "Frequency (bins)" if hertz is None else "Frequency (Hz)"
        return picture("shares", dict(zip(self.source_names, weights, strict=True)), where, xlabel=label)
