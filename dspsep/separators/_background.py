"""What methods share that part a background from a foreground: names, masks, and the rule of low frequencies.

Voices and lead instruments do not reach below some 100 Hz, so what lies there is background whatever the
method says (Rafii & Pardo 2013). How much of a gain is due to that rule alone, ``cutoff_hertz=None`` tells.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.model import MaskModel
from dspsep.separator import SpectralSeparator
from dspsep.stft import STFT, Spectrogram

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "BackgroundModel",
    "BackgroundSeparator",
    "n_bins_below",
    "share_of",
]

BACKGROUND, FOREGROUND = "background", "foreground"


@dataclass(frozen=True, kw_only=True)
class BackgroundSeparator(SpectralSeparator):
    """Base class of separators into ``background`` and ``foreground``.

    Parameters
    ----------
    stft : STFT
        The transform.
    cutoff_hertz : float or None, default=100.0
        Bins centred at this frequency or below are background; None for no such rule.
    """

    cutoff_hertz: float | None = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cutoff_hertz", _checks.plain(self.cutoff_hertz))
        if self.cutoff_hertz is not None:
            cutoff = _checks.number("cutoff_hertz", self.cutoff_hertz, minimum=0)
            object.__setattr__(self, "cutoff_hertz", cutoff)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Background and foreground."""
        return (BACKGROUND, FOREGROUND)


@dataclass(frozen=True, kw_only=True, eq=False)
class BackgroundModel(MaskModel):
    """Base class of models that mask a background; subclasses write `background`.

    Parameters
    ----------
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.
    """

    cutoff_hertz: float | None

    def __post_init__(self) -> None:
        if self.cutoff_hertz is not None:
            _checks.number("cutoff_hertz", self.cutoff_hertz, minimum=0)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Background and foreground."""
        return (BACKGROUND, FOREGROUND)

    @abstractmethod
    def background(self, spectrogram: Spectrogram) -> Array:
        """Return the share of the background before the rule of low frequencies.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Returns
        -------
        array of shape (n_channels or 1, n_freqs, n_frames)
            In [0, 1], new: it is written to.
        """

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the masks of background and foreground.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Yields
        ------
        array of shape (n_channels or 1, n_freqs, n_frames)
            In [0, 1]; they sum to one.
        """
        mask = self.background(spectrogram)
        mask[:, : n_bins_below(self.cutoff_hertz, spectrogram.stft, spectrogram.sample_rate), :] = 1
        yield mask
        yield 1 - mask


def n_bins_below(cutoff_hertz: float | None, stft: STFT, sample_rate: float) -> int:
    """Return how many bins are centred at a frequency or below; none if it is None."""
    if cutoff_hertz is None:
        return 0
    return min(1 + int(cutoff_hertz * stft.n_fft / sample_rate), stft.n_freqs)


def share_of(part: Array, V: Array) -> Array:
    """Return ``min(part, V) / V``, and 1 where V is 0: no more of a bin can be background than is in it."""
    xp = _backend.namespace(part, V)
    tiny = float(xp.finfo(V.dtype).smallest_normal)
    ratio = xp.minimum(part, V) / xp.clip(V, tiny, None)
    share: Array = xp.where(tiny <= V, ratio, xp.ones_like(V))
    return share
