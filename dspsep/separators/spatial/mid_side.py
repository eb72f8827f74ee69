"""Centre extraction: what is alike in both channels, and what is not.

With M = (L + R) / 2 and S = (L - R) / 2 the similarity of the two channels in a bin is

    psi = 2 Re(L conj R) / (|L|^2 + |R|^2) = (|M|^2 - |S|^2) / (|M|^2 + |S|^2)

1 where they are equal, 0 where only one has anything, or both have but a quarter of a turn apart, and -1
where they are opposite. A window around 1 is the mask of the centre (Avendano 2003):

    mask = 2 ** -((1 - psi) / (1 - psi_w))^2

psi_w being the similarity of a source that is panned to `width`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._background import n_bins_below
from dspsep.separators.spatial._stereo import checked_pair, energy_of, in_blocks
from dspsep.stft import Spectrogram
from dspsep.streaming import Reach

__all__ = ["MidSide", "MidSideModel", "center_mask"]

_NAMES = ("center", "sides")
_LN_2 = math.log(2)


@final
@dataclass(frozen=True, kw_only=True)
class MidSide(SpectralSeparator):
    """Separation of what is panned to the centre of a stereo mixture from what is not.

    For songs whose voice is in the middle and whose band is not; and to take a centre channel out of stereo.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    width : float, default=0.2
        How far from the centre, 0, to one side, 1, a source must be panned to be half of the sides: the
        louder channel then is 1 / (1 - width) times as loud as the other, 1.9 dB by default. Above 0, at most
        1.
    cutoff_hertz : float, optional
        What is centred at this frequency or below is sides: 100 for voices, which do not reach there, while
        basses and bass drums are in the centre, too. By default there is no such rule.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    center_mask : The mask as a function of two spectra alone.
    ADRess : Sources anywhere between left and right.

    Notes
    -----
    The sources are ``center`` and ``sides``. Assumed is that the centre is at one level and of one phase in
    both channels, that the sides are not, and that few bins hold both. Both channels have one mask. If
    they are equal, all is centre.

    Deviations from the paper: its similarity has the absolute value of the product, which single bins do not
    tell from the product of absolute values; with the real part, what has the same level in both channels
    but another phase, as reverberation has, is no centre. The width is told by where the mask is half.

    The mid and side channels of sound engineers, (L + R) / 2 and (L - R) / 2, are no separation: each side is
    in both. See the documentation for how much they are behind.

    It streams: no frame needs another one. Cost: O(n_freqs n_frames). Peak memory beside the input and the
    sources: 53 MB for 30 s of stereo at 44.1 kHz in single precision, of which the spectrum is 42.

    References
    ----------
    C. Avendano, "Frequency-domain source identification and manipulation in stereo mixes for enhancement,
    suppression and re-panning applications", IEEE Workshop on Applications of Signal Processing to Audio and
    Acoustics (WASPAA), 2003, pp. 55-58.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import MidSide
    >>> time = np.arange(16000) / 16000
    >>> voice, guitar = np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 1000 * time)
    >>> sources = MidSide().separate(np.stack([voice + guitar, voice]), 16000)
    >>> bool(np.abs(sources["center"] - voice)[:, 2000:-2000].max() < 0.01)
    True
    """

    min_channels = max_channels = 2

    width: float = 0.2
    cutoff_hertz: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "width", _checked_width(_checks.plain(self.width)))
        object.__setattr__(self, "cutoff_hertz", _checked_cutoff(_checks.plain(self.cutoff_hertz)))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Center and sides."""
        return _NAMES

    def reach(self, sample_rate: float) -> Reach:
        """Return that no frame needs another one.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach
            A frame.
        """
        return Reach(samples=self.stft.n_fft, step=self.stft.hop_length)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> MidSideModel:
        """Return the settings: there is nothing to learn.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called once, with stage ``"fit"``.

        Returns
        -------
        MidSideModel
            The settings.
        """
        model = MidSideModel(width=self.width, cutoff_hertz=self.cutoff_hertz)
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model


@final
@dataclass(frozen=True, kw_only=True)
class MidSideModel(MaskModel):
    """The settings of a `MidSide`; applies to any spectrogram of two channels.

    Parameters
    ----------
    width : float
        Where a panned source is half of the sides.
    cutoff_hertz : float or None
        Below this, all is sides.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> model = dspsep.MidSide().separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names
    ('center', 'sides')
    """

    width: float
    cutoff_hertz: float | None

    def __post_init__(self) -> None:
        # A model may come from a file.
        _checked_width(self.width)
        _checked_cutoff(self.cutoff_hertz)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Center and sides."""
        return _NAMES

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the masks of the centre and of the sides.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels.

        Yields
        ------
        array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        mask = in_blocks(spectrogram, lambda L, R: _mask(L, R, self.width))
        mask[:, : n_bins_below(self.cutoff_hertz, spectrogram.stft, spectrogram.sample_rate), :] = 0
        yield mask
        yield 1 - mask

    def _pictures(self) -> Pictures:
        return {**self._mask_pictures(), "shares": Recipe(self._shares)}

    def _shares(self, _: Scale) -> Picture:
        decibels = np.linspace(-12.0, 12.0, 241)
        mask = _mask(np.ones(241), 10 ** (decibels / 20), self.width)
        shares = dict(zip(_NAMES, (mask, 1 - mask), strict=True))
        return picture("shares", shares, decibels, xlabel="Right above left, in phase (dB)")


def center_mask(L: Array, R: Array, *, width: float = 0.2) -> Array:
    """Return the share of each bin that is in the centre of a stereo mixture.

    The algorithm of `MidSide` for those who have their own transform.

    Parameters
    ----------
    L, R : array
        The spectra of the left and of the right channel, of one shape; finite.
    width : float, default=0.2
        Where, from the centre, 0, to one side, 1, the mask of a panned source is one half.

    Returns
    -------
    array
        In [0, 1], of the shape of L, and of its precision: 1 where both are equal, or both are zero.

    Raises
    ------
    InputError
        If the spectra differ in shape or are not finite, or the width is out of range.

    See Also
    --------
    MidSide : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import center_mask
    >>> center_mask(np.array([1.0, 1.0, 1.0]), np.array([1.0, 0.8, 0.0])).round(3)
    array([1. , 0.5, 0. ])
    """
    L, R = checked_pair(("L", "R"), L, R)
    return _mask(L, R, _checked_width(width))


def _mask(L: Array, R: Array, width: float) -> Array:
    xp = _backend.namespace(L, R)
    energy = energy_of(L) + energy_of(R)
    heard = energy > 0
    # 1 - psi is |L - R|^2 / (|L|^2 + |R|^2): nothing cancels where the channels are nearly equal.
    unlike = energy_of(L - R) / xp.where(heard, energy, xp.ones_like(energy))
    gain = 1 - width
    at_width = width**2 / (1 + gain**2)
    mask: Array = xp.exp(-_LN_2 * (unlike / at_width) ** 2)
    return mask


def _checked_width(width: object) -> float:
    return _checks.number("width", width, minimum=0.001, maximum=1)


def _checked_cutoff(cutoff: object) -> float | None:
    return None if cutoff is None else _checks.number("cutoff_hertz", cutoff, minimum=0)
