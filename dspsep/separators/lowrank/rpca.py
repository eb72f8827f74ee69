"""Robust principal component analysis: a background of low rank, and a foreground that is sparse.

With V the magnitudes of a mixture, find

    min ||L||_* + sum_{f, t} lambda_f |S[f, t]|        such that    L + S = V,
    lambda_f = k w_f / sqrt(max(F, T))

||L||_* being the sum of singular values (Huang et al. 2012; `_core.py` has the solver). Accompaniment that
says few things again and again has few singular values; a voice is loud in few bins. The foreground gets

    M = |S|^p / (|S|^p + (g |L|)^p),        or 1 where |S| > g |L|
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._frozen_array import FrozenArray
from dspsep._pictures import Picture, Pictures, Recipe, Scale, of_losses, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.masks import hard_mask, soft_mask
from dspsep.model import check_fits
from dspsep.progress import Callback, Progress
from dspsep.separators._background import BackgroundModel, BackgroundSeparator
from dspsep.separators.lowrank._core import Pursuit
from dspsep.separators.lowrank.decomposition import (
    check_solver,
    check_sparsity,
    checked_weights,
    pursue_scaled,
    sparsity_for,
)
from dspsep.stft import Spectrogram

__all__ = ["RPCA", "RPCAModel"]

_MASKS = ("soft", "binary")
# Where voices are, in hertz; beyond, the foreground costs more by the square of the ratio. Nothing is lower.
_VOICE, _LOWEST = (200.0, 5000.0), 20.0


@final
@dataclass(frozen=True, kw_only=True)
class RPCA(BackgroundSeparator):
    """Separation of a background of low rank from a sparse foreground.

    For accompaniment that repeats few sounds, with a voice or a lead instrument in front of it.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below is background, where no voice reaches. None for no such
        rule.
    sparsity : float or "auto", default=1.0
        The paper's k: what a bin of the foreground costs, 1 being what recovers both parts in theory. More
        puts less into the foreground. ``"auto"`` takes it from the signal: see `rpca`.
    weights : "voice", array of shape (n_freqs,) or None, default="voice"
        What it costs at each frequency, as a multiple of that: low where the foreground is known to be. For
        voices it is 1 from 200 Hz to 5 kHz, and four times more with each octave beyond. None is 1
        everywhere, as in the paper.
    mask : {"soft", "binary"}, default="soft"
        Whether a bin is shared, or goes to the larger part, as in the paper.
    power : float, default=1.0
        Of the soft masks: above 0; 1 shares in the ratio of magnitudes, 2 of energies.
    gain : float, default=1.0
        By how much the foreground must exceed the background to get a bin, or half of it.
    max_rank : int or None, default=256
        The most singular values that the background may have. None for as many as there are.
    n_iter : int, default=100
        The most iterations. Some 40 are enough.
    tol : float, default=1e-7
        They end where the norm of V - L - S is this part of that of V; in single precision, at 1e-6.
    seed : int, default=0
        Of the random directions in which singular vectors are looked for.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    rpca : The algorithm as a function of a spectrogram alone.
    FT2D : Repetition as peaks of a two-dimensional Fourier transform.
    REPETSim : Repetition as frames that are alike.

    Notes
    -----
    The sources are ``background`` and ``foreground``. Several channels are one, the root of their mean
    square, and share the mask: panning stays, `sparsity` means what it means for one channel, and the work
    does not grow with their number.

    Deviations from the paper, whose settings are ``weights=None, mask="binary", max_rank=None``: soft masks
    and weights by default; the background has a limited rank, since beyond some hundred singular values it
    has next to no energy, but most of the work; singular vectors come from a subspace that is kept from one
    iteration to the next, and not from a new factorisation each time. Weights of frequencies are those of
    Jeong & Lee (2017), but drawn by hand, where they learn them. To take the sparsity from the signal is a
    rule of our own; in the mean it separates songs no better than 1.

    Cost: O(n_iter n_freqs n_frames rank). Peak memory beside the input and the sources: the spectrum, six
    real arrays of the size of one channel of it, and a few copies of the factors.

    References
    ----------
    P.-S. Huang, S. D. Chen, P. Smaragdis, M. Hasegawa-Johnson, "Singing-voice separation from monaural
    recordings using robust principal component analysis", IEEE International Conference on Acoustics, Speech
    and Signal Processing (ICASSP), 2012, pp. 57-60. doi:10.1109/ICASSP.2012.6287816

    I.-Y. Jeong, K. Lee, "Singing voice separation using RPCA with weighted l1-norm", Latent Variable Analysis
    and Signal Separation (LVA/ICA), 2017. doi:10.1007/978-3-319-53547-0_52

    Z. Lin, M. Chen, Y. Ma, "The augmented Lagrange multiplier method for exact recovery of corrupted low-rank
    matrices", 2010. arXiv:1009.5055

    N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding structure with randomness: probabilistic algorithms for
    constructing approximate matrix decompositions", SIAM Review 53(2), 2011, pp. 217-288.
    doi:10.1137/090771806

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=4.0)
    >>> sources = dspsep.RPCA().separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.residuals[-1] < 1e-6
    (['background', 'foreground'], True)
    """

    sparsity: float | Literal["auto"] = 1.0
    weights: FrozenArray | Literal["voice"] | None = "voice"
    mask: Literal["soft", "binary"] = "soft"
    power: float = 1.0
    gain: float = 1.0
    max_rank: int | None = 256
    n_iter: int = 100
    tol: float = 1e-7
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sparsity", "mask", "power", "gain", "max_rank", "n_iter", "tol", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_sparsity(self.sparsity)
        check_solver(self.max_rank, self.n_iter, self.tol, self.seed)
        _check_mask(self.mask, self.power, self.gain)
        for name in ("sparsity", "power", "gain", "tol"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            if not isinstance(getattr(self, name), str):
                object.__setattr__(self, name, float(getattr(self, name)))
        if isinstance(self.weights, str):
            _checks.choice("weights", self.weights, ("voice",))
        elif self.weights is not None:
            values = self.weights.values if isinstance(self.weights, FrozenArray) else self.weights
            object.__setattr__(self, "weights", FrozenArray(checked_weights(values, self.stft.n_freqs)))

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> RPCAModel:
        """Return the low-rank part as two factors, and how the iterations converged.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the residual as loss after each iteration. Returning True ends
            them.

        Returns
        -------
        RPCAModel
            With the factors, which masks are made of.

        Raises
        ------
        InputError
            If there are weights for another number of bins.
        """
        V = _of_all_channels(spectrogram)
        weights = None
        if isinstance(self.weights, str):
            weights = _of_voices(spectrogram)
        elif self.weights is not None:
            weights = checked_weights(self.weights.values, spectrogram.n_freqs)

        def report(iteration: int, residual: float) -> bool:
            told = Progress(stage="fit", iteration=iteration, n_iterations=self.n_iter, loss=residual)
            return callback is not None and bool(callback(told))

        sparsity = sparsity_for(V, self.sparsity)
        low_rank, _, residuals = pursue_scaled(
            V,
            sparsity,
            weights,
            Pursuit(max_rank=self.max_rank, n_iter=self.n_iter, tol=self.tol, seed=self.seed),
            report,
        )
        xp = _backend.namespace(V)
        return RPCAModel(
            spectra=xp.permute_dims(low_rank.right, (1, 0)),
            activations=xp.permute_dims(low_rank.left, (1, 0)),
            residuals=residuals,
            sparsity=sparsity,
            mask=self.mask,
            power=self.power,
            gain=self.gain,
            cutoff_hertz=self.cutoff_hertz,
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class RPCAModel(BackgroundModel):
    """The background of an `RPCA` as two factors, and how its iterations converged.

    Parameters
    ----------
    cutoff_hertz : float or None
        Below this, all is background.
    spectra : array of shape (n_freqs, rank)
        Orthonormal columns but for rounding: unlike the templates of an `NMF` they have both signs.
    activations : array of shape (rank, n_frames)
        How much of each is in every frame.
    residuals : tuple of float
        The norm of V - L - S over that of V, after each iteration.
    sparsity : float
        What it was, or was taken from the signal.
    mask : {"soft", "binary"}
        Whether bins are shared.
    power : float
        Of soft masks.
    gain : float
        What the background is multiplied by before the parts are compared.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0, sample_rate=8000)
    >>> model = dspsep.RPCA().separate(scene.mixture, scene.sample_rate).model
    >>> model.residuals[-1] < model.residuals[0]
    True
    """

    spectra: Array
    activations: Array
    residuals: tuple[float, ...] = field(repr=False)
    sparsity: float
    mask: str
    power: float
    gain: float

    def __post_init__(self) -> None:
        super().__post_init__()
        # A model may come from a file.
        _checks.number("sparsity", self.sparsity, minimum=1e-3, maximum=1e3)
        _check_mask(self.mask, self.power, self.gain)
        spectra, activations = (
            _backend.real_floating(name, getattr(self, name)) for name in ("spectra", "activations")
        )
        if spectra.ndim != 2 or activations.ndim != 2 or spectra.shape[1] != activations.shape[0]:
            got = f"{tuple(spectra.shape)} and {tuple(activations.shape)}"
            raise InputError("activations", "of shape (rank, n_frames) for spectra (n_freqs, rank)", got)
        for name, factor in (("spectra", spectra), ("activations", activations)):
            xp = _backend.namespace(factor)
            if not bool(_backend.to_host(xp.all(xp.isfinite(factor)))):
                raise InputError(name, "finite", "NaN or infinite numbers")
        if not isinstance(self.residuals, tuple):
            raise InputError("residuals", "a tuple of numbers", repr(self.residuals)[:80])
        for residual in self.residuals:
            _checks.number("residuals", residual, minimum=0)

    @property
    def rank(self) -> int:
        """How many singular values the background has."""
        return int(self.spectra.shape[1])

    @property
    def low_rank(self) -> Array:
        """The background's magnitudes L, of shape (n_freqs, n_frames): computed when asked for.

        They may be negative in places, where it is only rank that was asked for.
        """
        L: Array = self.spectra @ self.activations
        return L

    def background(self, spectrogram: Spectrogram) -> Array:
        """Return the share of the background before the rule of low frequencies.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from: activations are those of its frames.

        Returns
        -------
        array of shape (1, n_freqs, n_frames)
            In [0, 1].

        Raises
        ------
        InputError
            If the spectrogram has another number of bins or frames.
        """
        check_fits(spectrogram, self.activations.shape[1], self.spectra.shape[0])
        V = _of_all_channels(spectrogram)
        xp = _backend.namespace(V, self.spectra)
        L = xp.permute_dims(self.activations, (1, 0)) @ xp.permute_dims(self.spectra, (1, 0))
        S = xp.abs(V - L)
        L = xp.abs(L)
        if self.mask == "soft":
            foreground = soft_mask(S, L, power=self.power, margin=self.gain, tie=0)
        else:
            foreground = hard_mask(S, L, margin=self.gain)
        # What is silent is background.
        return xp.permute_dims(1 - foreground, (1, 0))[None, :, :]  # type: ignore[no-any-return]

    def _pictures(self) -> Pictures:
        levels = [20 * math.log10(residual) for residual in self.residuals if residual > 0]
        return {
            "singular values": Recipe(self._singular_values),
            "residuals": of_losses(levels, first=1, ylabel="Residual beside the mixture (dB)"),
            **self._mask_pictures(),
        }

    def _singular_values(self, _: Scale) -> Picture:
        # Columns of `spectra` are orthonormal, so that what is left of L are the norms of its activations.
        return picture("singular_values", np.linalg.norm(_backend.to_host(self.activations), axis=1))


def _of_all_channels(spectrogram: Spectrogram) -> Array:
    """Return frame-major magnitudes (n_frames, n_freqs): the root of the mean square of the channels."""
    V = spectrogram.magnitude()
    xp = _backend.namespace(V)
    if V.shape[0] > 1:
        # By the largest first, up to a power of two: no square overflows or vanishes.
        largest = _backend.scalar(xp.max(V))
        scale = 2.0 ** (math.frexp(largest)[1] - 1) if 0 < largest < math.inf else 1.0
        V = V / scale
        V = xp.sqrt(xp.mean(V * V, axis=0, keepdims=True)) * scale
    return xp.permute_dims(V[0, :, :], (1, 0))  # type: ignore[no-any-return]


def _of_voices(spectrogram: Spectrogram) -> Array:
    """Return what the foreground costs at each frequency if it is a voice."""
    spacing = spectrogram.sample_rate / spectrogram.stft.n_fft
    hertz = np.maximum(np.arange(spectrogram.n_freqs) * spacing, _LOWEST)
    weights: Array = np.maximum(np.maximum(_VOICE[0] / hertz, hertz / _VOICE[1]), 1.0) ** 2
    return weights


def _check_mask(mask: object, power: object, gain: object) -> None:
    _checks.choice("mask", mask, _MASKS)
    _checks.number("power", power, minimum=0, above=True, maximum=_checks.MAX_POWER)
    _checks.number("gain", gain, minimum=0, above=True, maximum=_checks.MAX_MARGIN)
