"""What all methods of this family share: which frames repeat one another, and what that makes of a mixture.

A frame of the background is the median of the frames that are taken to repeat it: the foreground, which is
heard in some of them only, is an outlier. With S that median and V the magnitudes, the mask of the background
is ``min(S, V) / V`` (Rafii & Pardo 2013).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators._background import BackgroundModel, BackgroundSeparator, share_of
from dspsep.stft import STFT, Spectrogram

__all__ = ["CANONICAL", "Repeating", "Repeats", "RepetitionModel", "repeating_share"]

#: The transform of the authors at 44.1 kHz: 46 ms frames, half of them new.
CANONICAL = STFT(2048, 1024, "hamming")
# What is made at a time, in values.
_BLOCK = 2**21


class Repeats(NamedTuple):
    """Lists of frames that repeat one another, and which list each frame belongs to.

    `frames` is (n_lists, most), -1 for none; `of` is (n_frames,), the number of the list of each frame.
    """

    frames: Array
    of: Array


@dataclass(frozen=True, kw_only=True)
class Repeating(BackgroundSeparator):
    """Base class of separators whose background is what repeats.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform.
    cutoff_hertz : float or None, default=100.0
        Bins centred at this frequency or below are background.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class RepetitionModel(BackgroundModel):
    """Base class of models that know which frames repeat one another.

    Parameters
    ----------
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.
    """

    @abstractmethod
    def repeats(self, spectrogram: Spectrogram) -> Repeats:
        """Return which frames of a spectrogram repeat one another."""

    def background(self, spectrogram: Spectrogram) -> Array:
        """Return the share of what repeats.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from, or of another one that repeats as that does.

        Returns
        -------
        array of shape (n_channels, n_freqs, n_frames)
            In [0, 1].
        """
        xp = _backend.namespace(spectrogram.values)
        V = xp.permute_dims(spectrogram.magnitude(), (0, 2, 1))
        share: Array = xp.permute_dims(repeating_share(V, self.repeats(spectrogram)), (0, 2, 1))
        return share


def repeating_share(V: Array, repeats: Repeats) -> Array:
    """Return the share of what repeats in frame-major magnitudes (n_channels, n_frames, n_freqs).

    What is needed beside it are the medians, if some frames share one, or a block of them.
    """
    xp = _backend.namespace(V)
    kernels = kernels_for(V)
    n_channels, n_frames, n_freqs = V.shape
    shared = None
    if repeats.frames.shape[0] < n_frames:
        shared = kernels.median_of_frames(V, repeats.frames)
    share: Array = xp.empty_like(V)
    step = max(1, _BLOCK // (n_channels * n_freqs))
    for start in range(0, n_frames, step):
        block = slice(start, min(start + step, n_frames))
        if shared is None:
            medians = kernels.median_of_frames(V, repeats.frames[block, :])
        else:
            medians = xp.take(shared, repeats.of[block], axis=1)
        share[:, block, :] = share_of(medians, V[:, block, :])
    return share
