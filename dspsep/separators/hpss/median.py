"""Harmonic-percussive separation by median filtering.

A sustained note is a horizontal ridge of the spectrogram, a drum stroke a vertical one. A median along time
keeps ridges that last and drops what comes and goes; a median along frequency does the opposite. With V the
magnitudes of one channel,

    H[f, t] = median of V[f, t - l_h // 2 … t + l_h // 2]
    P[f, t] = median of V[f - l_p // 2 … f + l_p // 2, t]

(FitzGerald 2010, eq. 1 and 2). The two compete for every bin, each multiplied by a margin before it may
challenge the other (Driedger, Müller & Disch 2014, whose margin is called beta there):

    soft:  M_h = H^p / (H^p + (beta_h P)^p),        M_p = P^p / (P^p + (beta_p H)^p)
    hard:  M_h = [H > beta_h P],                    M_p = [P > beta_p H]

and what neither wins is the residual, 1 - M_h - M_p.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, cast, final

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.masks import hard_mask, soft_mask
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators.hpss._fused import FusedStream, fused
from dspsep.separators.hpss._settings import (
    MAX_LENGTH,
    check_length,
    check_masking,
    magnitudes,
    odd,
    odd_length,
)
from dspsep.stft import Spectrogram
from dspsep.streaming import Reach, Stream

__all__ = ["HPSS", "HPSSModel", "hpss_masks"]

Mask = Literal["soft", "hard"]
Margin = float | tuple[float, float]

_DEFAULT_LENGTH = 31


@final
@dataclass(frozen=True, kw_only=True)
class HPSS(SpectralSeparator):
    """Harmonic-percussive separation by median filtering.

    Splits a mixture into what is steady in time (notes, chords, voices that hold a pitch) and what is short
    and broad in frequency (drums, attacks, consonants). Use it when that is the contrast you want. It knows
    nothing of instruments: a drum with a ringing tone is partly harmonic, the attack of a piano is
    percussive, and a singing voice falls between the two (with margins above 1, into the residual).

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. Longer frames favour the harmonic part.
    harmonic_seconds : float, optional
        Length of the median along time, in seconds. What lasts less than half of it is not harmonic.
    harmonic_frames : int, optional
        The same in frames. The default is 31 frames, 0.36 s at 44.1 kHz and hop 512.
    percussive_hertz : float, optional
        Length of the median along frequency, in hertz. What is narrower than half of it is not percussive.
    percussive_bins : int, optional
        The same in bins. The default is 31 bins, 667 Hz at 44.1 kHz and 2048 samples.
    mask : {"soft", "hard"}, default="soft"
        Whether a bin is shared, or given to one part alone.
    power : float, default=2.0
        The exponent p of soft masks, above 0 and at most 1000: 2 compares energies, 1 magnitudes.
    margin : float or tuple of two floats, default=1.0
        How many times its rival a part must be to win a bin: one number, or (harmonic, percussive). At least
        1, at most a million. Above 1 the masks are stricter and what neither wins is the ``residual``.

    Raises
    ------
    InputError
        If a setting is out of range, or one length is given in both units.

    See Also
    --------
    hpss_masks : The algorithm as a function of magnitudes alone.

    Notes
    -----
    The sources are ``harmonic`` and ``percussive``, and ``residual`` with hard masks or a margin above 1.
    An even length is rounded up to the next odd one; a length in seconds or hertz is rounded to the nearest
    frame or bin first. At the edges the spectrogram is mirrored, the edge repeated (scipy's ``reflect``).

    Settings, masks and edges are those of ``librosa.decompose.hpss`` (equal to 1e-6 in the masks), except
    that here the parts sum to the mixture: librosa leaves the residual to its caller, and with hard masks at
    margin 1 drops the bins in which the two medians are equal, which here are the residual.

    Deviations from the papers: FitzGerald filters one channel of 4096-sample frames with lengths of 17.
    Driedger et al. give ties to the percussive part, use hard masks, and two transforms: `CascadedHPSS`.

    Cost per channel: O(n_freqs n_frames log² l) for lengths l, and one inverse transform for each source
    but the last. NumPy arrays, with an `n_fft` that is a power of two up to 32768 and medians of up to
    2047, are taken apart in tiles of 16 frames: peak memory beside the input and the sources is then about
    1.5 MB for each channel at work (default settings, single precision), whatever the length. Otherwise
    the spectrum and three real arrays of its size exist at once, which is 20 bytes per channel, bin and
    frame in single precision (106 MB for 30 s of stereo at 44.1 kHz), and up to 23 with margins or hard
    masks. Without numba it is about 140 bytes, and 70 MB for sorting.

    References
    ----------
    D. FitzGerald, "Harmonic/percussive separation using median filtering", Proceedings of the 13th
    International Conference on Digital Audio Effects (DAFx), 2010.

    J. Driedger, M. Müller, S. Disch, "Extending harmonic-percussive separation of audio signals", Proceedings
    of the 15th International Society for Music Information Retrieval Conference (ISMIR), 2014.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0)
    >>> sources = dspsep.HPSS(margin=2.0).separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['harmonic', 'percussive', 'residual']
    """

    harmonic_seconds: float | None = None
    harmonic_frames: int | None = None
    percussive_hertz: float | None = None
    percussive_bins: int | None = None
    mask: Mask = "soft"
    power: float = 2.0
    margin: Margin = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in fields(self):
            object.__setattr__(self, field.name, _checks.plain(getattr(self, field.name)))
        check_length("harmonic_seconds", self.harmonic_seconds, "harmonic_frames", self.harmonic_frames)
        check_length("percussive_hertz", self.percussive_hertz, "percussive_bins", self.percussive_bins)
        check_masking(self.mask, self.power, self.margin)
        # Whole numbers become floats, so that equal settings print and are stored alike.
        object.__setattr__(self, "power", float(self.power))
        both = tuple(map(float, self.margin)) if isinstance(self.margin, tuple) else float(self.margin)
        object.__setattr__(self, "margin", both)

    @property
    def source_names(self) -> tuple[str, ...]:
        """``harmonic``, ``percussive`` and, where the settings leave something over, ``residual``."""
        return _names(self.mask, self.margin)

    def reach(self, sample_rate: float) -> Reach:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach
            A frame and half of the median along time: 0.22 s at 44.1 kHz and the default settings.
        """
        frames, _ = self._lengths(sample_rate)
        return Reach(samples=self.stft.n_fft + frames // 2 * self.stft.hop_length, step=self.stft.hop_length)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> HPSSModel:
        """Return the lengths of the medians in frames and bins: there is nothing else to learn.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called once, with stage ``"fit"``.

        Returns
        -------
        HPSSModel
            Settings only; its `masks` are computed from a spectrogram when asked for.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import HPSS
        >>> hpss = HPSS(harmonic_seconds=0.2, percussive_hertz=500)
        >>> model = hpss.fit(hpss.stft.forward(np.zeros(44100), 44100))
        >>> model.harmonic_frames, model.percussive_bins
        (17, 23)
        """
        model = self._model(spectrogram.sample_rate)
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return this separator as something that is fed in blocks: see `Separator.stream`."""
        rate = _checks.sample_rate(sample_rate)
        short = fused(self.stft, self._model(rate))
        whole = super().stream(rate, n_channels)
        return whole if short is None else FusedStream(short, whole)

    def _take_apart(
        self, audio: Mixture, sample_rate: float, callback: Callback | None
    ) -> tuple[MaskModel, dict[str, Array]]:
        model = self._model(sample_rate)
        short = fused(self.stft, model) if _backend.is_numpy(audio.samples) else None
        if short is None:
            return super()._take_apart(audio, sample_rate, callback)
        if callback is not None:  # all at once; told in the words of the other route
            callback(Progress(stage="transform"))
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
            names = model.source_names[:-1]
            for done, name in enumerate(names):
                callback(Progress(stage=name, iteration=done, n_iterations=len(names), model=model))
        sources = short.separate(audio.samples)
        return model, dict(zip(model.source_names, map(audio.restore, sources), strict=True))

    def _model(self, sample_rate: float) -> HPSSModel:
        frames, bins = self._lengths(sample_rate)
        return HPSSModel(
            harmonic_frames=frames,
            percussive_bins=bins,
            mask=self.mask,
            power=self.power,
            margin=self.margin,
        )

    def _lengths(self, sample_rate: float) -> tuple[int, int]:
        """Return the odd lengths of the medians, in frames and in bins."""
        frames, bins = self.harmonic_frames, self.percussive_bins
        if self.harmonic_seconds is not None:
            frames = self.stft.n_frames_in(self.harmonic_seconds, sample_rate)
        if self.percussive_hertz is not None:
            bins = self.stft.n_bins_in(self.percussive_hertz, sample_rate)
        return (
            odd_length("harmonic_seconds", frames or _DEFAULT_LENGTH, "frames"),
            odd_length("percussive_hertz", bins or _DEFAULT_LENGTH, "bins"),
        )


@final
@dataclass(frozen=True, kw_only=True)
class HPSSModel(MaskModel):
    """The settings of an `HPSS` in frames and bins; applies to any spectrogram.

    Parameters
    ----------
    harmonic_frames, percussive_bins : int
        Odd lengths of the medians.
    mask : {"soft", "hard"}
        How bins are shared.
    power : float
        The exponent of soft masks.
    margin : float or tuple of two floats
        How many times its rival a part must be to win a bin.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> model = dspsep.HPSS(harmonic_seconds=0.5).separate(scene.mixture, scene.sample_rate).model
    >>> model.harmonic_frames, model.percussive_bins
    (9, 31)
    """

    harmonic_frames: int
    percussive_bins: int
    mask: Mask
    power: float
    margin: Margin

    def __post_init__(self) -> None:
        # A model may come from a file: what reaches the kernels is checked here, too.
        for name in ("harmonic_frames", "percussive_bins"):
            if _checks.integer(name, getattr(self, name), minimum=1, maximum=MAX_LENGTH + 1) % 2 == 0:
                raise InputError(name, "odd", getattr(self, name))
        check_masking(self.mask, self.power, self.margin)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return _names(self.mask, self.margin)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the harmonic, the percussive and, where there is one, the residual mask."""
        masks = _iter_masks(
            spectrogram.magnitude(),
            self.harmonic_frames,
            self.percussive_bins,
            self.mask,
            self.power,
            self.margin,
        )
        for _, mask in zip(self.source_names, masks, strict=False):
            yield mask
            del mask  # before the next is made: only one exists at a time

    def _pictures(self) -> Pictures:
        return {**self._mask_pictures(), "shares": Recipe(self._shares)}

    def _shares(self, _: Scale) -> Picture:
        decibels = np.linspace(-30.0, 30.0, 241)
        H, P = 10 ** (decibels / 20), np.ones(241)
        rule = soft_mask if self.mask == "soft" else hard_mask
        options = {"power": self.power} if self.mask == "soft" else {}
        margins = _margins(self.margin)
        harmonic, percussive = (
            rule(one, other, margin=margin, **options)
            for one, other, margin in ((H, P, margins[0]), (P, H, margins[1]))
        )
        parts = (harmonic, percussive, np.clip(1 - harmonic - percussive, 0, None))
        shares = dict(zip(self.source_names, parts, strict=False))
        return picture("shares", shares, decibels, xlabel="Harmonic above percussive (dB)")


def hpss_masks(
    V: Array,
    harmonic_frames: int = _DEFAULT_LENGTH,
    percussive_bins: int = _DEFAULT_LENGTH,
    *,
    mask: Mask = "soft",
    power: float = 2.0,
    margin: Margin = 1.0,
) -> tuple[Array, Array]:
    """Return the harmonic and the percussive mask of a magnitude spectrogram.

    The algorithm of `HPSS` for those who have their own transform.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames) or (n_channels, n_freqs, n_frames)
        Magnitudes, not negative. Each channel is filtered by itself.
    harmonic_frames : int, default=31
        Length of the median along time. Even lengths are rounded up.
    percussive_bins : int, default=31
        Length of the median along frequency. Even lengths are rounded up.
    mask : {"soft", "hard"}, default="soft"
        Whether a bin is shared, or given to one part alone.
    power : float, default=2.0
        The exponent of soft masks.
    margin : float or tuple of two floats, default=1.0
        How many times its rival a part must be to win a bin: one number, or (harmonic, percussive).

    Returns
    -------
    harmonic : array of the shape of V
        In [0, 1].
    percussive : array of the shape of V
        In [0, 1]. Soft masks of margin 1 sum to one; else the rest is the residual.

    Raises
    ------
    InputError
        If V is not a spectrogram of magnitudes, or a setting is out of range.

    See Also
    --------
    HPSS : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import hpss_masks
    >>> V = np.full((100, 80), 0.01)
    >>> V[30, :] = 1.0  # a note
    >>> V[:, 50] = 1.0  # a click
    >>> harmonic, percussive = hpss_masks(V)
    >>> harmonic[30, 10].round(3), percussive[70, 50].round(3)
    (np.float64(1.0), np.float64(1.0))
    """
    check_length("harmonic_seconds", None, "harmonic_frames", harmonic_frames)
    check_length("percussive_hertz", None, "percussive_bins", percussive_bins)
    check_masking(mask, power, margin)
    V, highest = magnitudes(V)
    # Masks do not see a common factor, and near the limits of the type margins would.
    exponent = _audio.safe_exponent(highest)
    if exponent:
        V = _audio.times_power_of_two(V, exponent)
    channels = V if V.ndim == 3 else V[None, :, :]
    masks = _iter_masks(channels, odd(harmonic_frames), odd(percussive_bins), mask, power, margin)
    harmonic, percussive = next(masks), next(masks)
    return (harmonic, percussive) if V.ndim == 3 else (harmonic[0, ...], percussive[0, ...])


def _iter_masks(
    V: Array, harmonic_frames: int, percussive_bins: int, mask: Mask, power: float, margin: Margin
) -> Iterator[Array]:
    """Yield the harmonic, the percussive and the residual mask of V (n_channels, n_freqs, n_frames)."""
    xp = _backend.namespace(V)
    swap = xp.permute_dims
    frame_major = swap(V, (0, 2, 1))
    kernels = kernels_for(V)
    H = kernels.median_over_time(frame_major, harmonic_frames)
    P = kernels.median_over_frequency(frame_major, percussive_bins)
    del V, frame_major  # not held while the sources are made
    margin_h, margin_p = _margins(margin)
    # Where both medians are zero, a mask that must share everything out gives each half.
    tie = 0.5 if margin_h == margin_p == 1 else 0.0

    def share(values: Array, rival: Array, factor: float) -> Array:
        # What `soft_mask` and `hard_mask` do, without their look at every value.
        if mask == "soft":
            shares = kernels.soft_mask(values, rival, factor, power, tie)
        else:
            shares = xp.astype(values > rival * factor, values.dtype)
        return cast("Array", swap(shares, (0, 2, 1)))

    # Each is made when it is asked for and not kept, so that one exists at a time.
    yield share(H, P, margin_h)
    yield share(P, H, margin_p)
    # Both shares are at most one half where neither margin is below one: not negative but for rounding.
    yield xp.clip(1 - share(H, P, margin_h) - share(P, H, margin_p), 0, None)


def _names(mask: Mask, margin: Margin) -> tuple[str, ...]:
    if mask == "soft" and _margins(margin) == (1.0, 1.0):
        return ("harmonic", "percussive")
    return ("harmonic", "percussive", "residual")


def _margins(margin: Margin) -> tuple[float, float]:
    return margin if isinstance(margin, tuple) else (margin, margin)
