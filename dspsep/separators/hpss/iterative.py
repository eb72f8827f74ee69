"""Harmonic-percussive separation by complementary diffusion.

Notes are smooth along time, drum strokes along frequency. With W the compressed magnitudes of one channel,
W = |X|^e, find two spectrograms that make up W and are as smooth as they can be, each in its direction
(Ono, Miyamoto, Le Roux, Kameoka & Sagayama 2008):

    minimise    J(H, P) = a sum (H[f, t] - H[f, t - 1])^2 + (1 - a) sum (P[f, t] - P[f - 1, t])^2
    subject to  H + P = W,  H >= 0,  P >= 0

J is a convex quadratic, but its terms tie neighbours together. For any u, with equality at u = (x + y) / 2,

    (x - y)^2 <= 2 (x - u)^2 + 2 (y - u)^2

Putting the midpoints of the present H and P for u gives an upper bound of J that touches it there and falls
apart into bins. In each bin it is a parabola, whose minimum between 0 and W has the closed form

    D = a (H[f, t - 1] - 2 H[f, t] + H[f, t + 1]) / 4 - (1 - a) (P[f - 1, t] - 2 P[f, t] + P[f + 1, t]) / 4
    H <- min(max(H + D, 0), W),      P <- W - H

so J never rises. Each step is a little heat flow: H diffuses along time, P along frequency, and what one
gives away the other gets. From H = P = W / 2 some tens of steps are made, and the two make a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal, final

from dspsep import _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Pictures, of_losses
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators.hpss._diffusion import diffuse
from dspsep.separators.hpss._settings import check_mask, magnitudes
from dspsep.stft import STFT, Spectrogram
from dspsep.streaming import Reach

__all__ = ["IterativeHPSS", "IterativeHPSSModel", "iterative_hpss"]

Mask = Literal["soft", "hard"]

_SECONDS_PER_HERTZ = 0.003
# More than this is a slip: a step reaches one frame, and no song has so many.
_MAX_N_ITER = 1_000_000


@final
@dataclass(frozen=True, kw_only=True)
class IterativeHPSS(SpectralSeparator):
    """Harmonic-percussive separation by complementary diffusion.

    Splits a mixture into what is smooth in time and what is smooth in frequency by making both as smooth as
    they can be while they add up to the spectrogram. It asks the question of `HPSS` and answers it with an
    objective in place of a filter: one can watch it fall, and say what was traded for what.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=8192, hop_length=2048, window="hann")
        The transform: 186 ms frames every 46 ms at 44.1 kHz. In shorter ones drums keep more of the notes.
    exponent : float, default=0.6
        The exponent e of W = magnitude ** e, from 0.01 to 2. Below 1 it compresses the range, so that quiet
        partials count beside loud ones; 2 is the power spectrogram. The paper writes 2 gamma.
    seconds_per_hertz : float, optional
        How smooth in time a note is, in seconds, for each hertz in which a stroke is smooth in frequency. The
        default of 0.003 makes 0.11 of `harmonic_weight` with the default transform at 44.1 kHz. Larger values
        make the harmonic part smoother, and smaller.
    harmonic_weight : float, optional
        The same for one transform and rate: the weight a of smoothness in time against 1 - a of smoothness in
        frequency, from 0 to 1, in frames and bins. The paper calls it alpha.
    n_iter : int, default=50
        Steps of diffusion. They are part of the method and not only of its solution: a step reaches one frame
        and one bin, so few steps compare what is near.
    mask : {"soft", "hard"}, default="soft"
        Whether a bin is shared, or given to the larger part alone as in the paper.
    power : float, default=1.0
        The exponent of soft masks, above 0 and at most 1000, after the compression is undone: 1 compares
        magnitudes, 2 energies.

    Raises
    ------
    InputError
        If a setting is out of range, or the weight is given in both ways.

    See Also
    --------
    iterative_hpss : The algorithm as a function of magnitudes alone.
    HPSS : By median filtering.

    Notes
    -----
    Differences become slopes when they are divided by ``hop_length / sample_rate`` or ``sample_rate /
    n_fft``. With r = ``seconds_per_hertz`` the slopes have weights r**2 to 1, so that in frames and bins
    a / (1 - a) = (r * sample_rate**2 / (hop_length * n_fft))**2.

    Deviations from the paper: soft masks by default; at the edges the spectrogram continues with its last
    frame or bin. Tachibana et al. (2014) study the family that this objective belongs to, other constraints
    among it; only H + P = W is here.

    The sources are ``harmonic`` and ``percussive``. Cost: O(n_iter n_freqs n_frames) per channel. Peak memory
    beside the input and the sources: the spectrum and about nine real arrays of its size, 44 bytes per
    channel, bin and frame in single precision.

    References
    ----------
    N. Ono, K. Miyamoto, J. Le Roux, H. Kameoka, S. Sagayama, "Separation of a monaural audio signal into
    harmonic/percussive components by complementary diffusion on spectrogram", Proceedings of the 16th
    European Signal Processing Conference (EUSIPCO), 2008.

    H. Tachibana, N. Ono, H. Kameoka, S. Sagayama, "Harmonic/percussive sound separation based on anisotropic
    smoothness of spectrograms", IEEE/ACM Transactions on Audio, Speech, and Language Processing 22(12), 2014,
    pp. 2059-2073. doi:10.1109/TASLP.2014.2351131

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0)
    >>> sources = dspsep.IterativeHPSS(n_iter=20).separate(scene.mixture, scene.sample_rate)
    >>> list(sources), len(sources.model.loss)
    (['harmonic', 'percussive'], 21)
    """

    stft: STFT = field(default_factory=lambda: STFT(8192))
    exponent: float = 0.6
    seconds_per_hertz: float | None = None
    harmonic_weight: float | None = None
    n_iter: int = 50
    mask: Mask = "soft"
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in fields(self):
            object.__setattr__(self, setting.name, _checks.plain(getattr(self, setting.name)))
        if self.seconds_per_hertz is not None:
            _checks.number("seconds_per_hertz", self.seconds_per_hertz, minimum=0, above=True, maximum=1e6)
            if self.harmonic_weight is not None:
                name = "seconds_per_hertz and harmonic_weight"
                raise InputError(name, "given one at a time", "both", "Leave one of them out.")
        weight = 0.0 if self.harmonic_weight is None else self.harmonic_weight
        _check_settings(weight, self.exponent, self.n_iter)
        check_mask(self.mask, self.power)
        for name in ("exponent", "seconds_per_hertz", "harmonic_weight", "power"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    @property
    def source_names(self) -> tuple[str, ...]:
        """``harmonic`` and ``percussive``."""
        return ("harmonic", "percussive")

    def reach(self, sample_rate: float) -> Reach:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach
            A frame, and a hop for each iteration: 2.5 s at 44.1 kHz and the default settings.
        """
        hop = self.stft.hop_length
        return Reach(samples=self.stft.n_fft + self.n_iter * hop, step=hop)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> IterativeHPSSModel:
        """Return the settings, and how the objective fell.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after every tenth iteration and after the last. Returning
            True ends the iterations.

        Returns
        -------
        IterativeHPSSModel
            No spectrograms: its `masks` are computed from one when asked for.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import STFT, IterativeHPSS
        >>> hpss = IterativeHPSS(stft=STFT(512), harmonic_weight=0.3)
        >>> model = hpss.fit(hpss.stft.forward(np.sin(0.1 * np.arange(8000)), 8000))
        >>> model.loss[-1] < 0.1 * model.loss[0]
        True
        """
        model, *_ = self._learn(spectrogram, callback)
        return model

    def _take_apart(
        self, audio: Mixture, sample_rate: float, callback: Callback | None
    ) -> tuple[IterativeHPSSModel, dict[str, Array]]:
        # As inherited, but that the masks are those of the fit: to make them again would double the work.
        report: Callback = callback or (lambda _: None)
        report(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, sample_rate, audio.mono)
        model, H, P = self._learn(spectrogram, callback)
        masks = _iter_masks(H, P, self.mask, self.power / self.exponent)
        return model, self._resynthesise(audio, spectrogram, model, report, masks)

    def _learn(
        self, spectrogram: Spectrogram, callback: Callback | None
    ) -> tuple[IterativeHPSSModel, Array, Array]:
        weight = self._weight(spectrogram.sample_rate)
        H, P, losses = diffuse(spectrogram.magnitude(), weight, self.exponent, self.n_iter, callback)
        model = IterativeHPSSModel(
            harmonic_weight=weight,
            exponent=self.exponent,
            n_iter=len(losses) - 1,
            mask=self.mask,
            power=self.power,
            loss=losses,
        )
        return model, H, P

    def _weight(self, sample_rate: float) -> float:
        """Return the weight of smoothness in time, in frames and bins."""
        if self.harmonic_weight is not None:
            return self.harmonic_weight
        ratio = _SECONDS_PER_HERTZ if self.seconds_per_hertz is None else self.seconds_per_hertz
        slope = ratio * float(sample_rate) ** 2 / (self.stft.hop_length * self.stft.n_fft)
        # The same as slope**2 / (1 + slope**2), and nothing overflows.
        return 1.0 / (1.0 + slope**-2) if slope > 1 else slope**2 / (1.0 + slope**2)


@final
@dataclass(frozen=True, kw_only=True)
class IterativeHPSSModel(MaskModel):
    """The settings of an `IterativeHPSS` in frames and bins, and how its objective fell.

    Parameters
    ----------
    harmonic_weight : float
        The weight of smoothness in time, from 0 to 1, in frames and bins.
    exponent : float
        Of the compression.
    n_iter : int
        Steps that were made.
    mask : {"soft", "hard"}
        How bins are shared.
    power : float
        The exponent of soft masks.
    loss : tuple of float
        The objective at the start and after each step, summed over channels, for magnitudes scaled by the
        power of two that brings their largest to between 1/2 and 1. Never rises.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> model = dspsep.IterativeHPSS(n_iter=20).separate(scene.mixture, scene.sample_rate).model
    >>> len(model.loss), model.loss[-1] < model.loss[0]
    (21, True)
    """

    harmonic_weight: float
    exponent: float
    n_iter: int
    mask: Mask
    power: float
    loss: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        _check_settings(self.harmonic_weight, self.exponent, self.n_iter)
        check_mask(self.mask, self.power)
        if not isinstance(self.loss, tuple) or len(self.loss) != self.n_iter + 1:
            raise InputError("loss", "one number more than there were iterations", repr(self.loss)[:80])
        for loss in self.loss:
            _checks.number("loss", loss, minimum=0)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return ("harmonic", "percussive")

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the harmonic and the percussive mask: as many steps again as the fit took."""
        V = spectrogram.magnitude()
        H, P, _ = diffuse(V, self.harmonic_weight, self.exponent, self.n_iter, None)
        yield from _iter_masks(H, P, self.mask, self.power / self.exponent)

    def _pictures(self) -> Pictures:
        return {**self._mask_pictures(), "losses": of_losses(self.loss)}


def iterative_hpss(
    V: Array, harmonic_weight: float = 0.3, *, exponent: float = 0.6, n_iter: int = 50
) -> tuple[Array, Array, tuple[float, ...]]:
    """Split compressed magnitudes into what is smooth in time and what is smooth in frequency.

    The algorithm of `IterativeHPSS` for those who have their own transform.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames) or (n_channels, n_freqs, n_frames)
        Magnitudes, not negative. Channels do not influence one another.
    harmonic_weight : float, default=0.3
        The weight of smoothness in time against that in frequency, from 0 to 1, in frames and bins.
    exponent : float, default=0.6
        Of the compression, from 0.01 to 2.
    n_iter : int, default=50
        Steps of diffusion.

    Returns
    -------
    H : array of the shape of V
        The harmonic part, not negative.
    P : array of the shape of V
        The percussive part, not negative. The two sum to ``V ** exponent``, up to the power of two by which V
        was scaled: the largest of V is scaled to between 1/2 and 1, so that nothing overflows.
    loss : tuple of float
        The objective at the start and after each step: ``n_iter + 1`` numbers that never rise.

    Raises
    ------
    InputError
        If V is not a spectrogram of magnitudes, or a setting is out of range.

    See Also
    --------
    IterativeHPSS : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import iterative_hpss
    >>> V = np.full((100, 80), 0.01)
    >>> V[30, :] = 0.75  # a note
    >>> V[:, 50] = 0.75  # a click
    >>> H, P, loss = iterative_hpss(V)
    >>> bool(H[30, 10] > 10 * P[30, 10]), bool(P[70, 50] > 10 * H[70, 50])
    (True, True)
    """
    _check_settings(harmonic_weight, exponent, n_iter)
    V, _ = magnitudes(V)
    channels = V if V.ndim == 3 else V[None, :, :]
    H, P, losses = diffuse(channels, float(harmonic_weight), float(exponent), int(n_iter), None)
    return (H, P, losses) if V.ndim == 3 else (H[0, ...], P[0, ...], losses)


def _iter_masks(H: Array, P: Array, mask: Mask, power: float) -> Iterator[Array]:
    """Yield the harmonic and the percussive mask; `power` is that of compressed magnitudes."""
    if mask == "hard":
        xp = _backend.namespace(H, P)
        yield from (xp.astype(won, H.dtype) for won in (H >= P, H < P))
    else:
        soft_mask = kernels_for(H).soft_mask
        yield from (soft_mask(*rivals, 1.0, power, 0.5) for rivals in ((H, P), (P, H)))


def _check_settings(harmonic_weight: object, exponent: object, n_iter: object) -> None:
    _checks.number("harmonic_weight", harmonic_weight, minimum=0, maximum=1)
    remedy = "1 takes magnitudes as they are, 2 the power spectrogram; below 1 the range is compressed."
    _checks.number("exponent", exponent, minimum=0.01, maximum=2, remedy=remedy)
    _checks.integer("n_iter", n_iter, minimum=1, maximum=_MAX_N_ITER)
