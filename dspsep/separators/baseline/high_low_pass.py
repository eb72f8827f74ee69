"""Two sources by register: what is below a frequency, and what is above it.

The mask of the low source falls from one to zero within one bin around the cutoff, the same in every frame,
and the high source is the rest. With df the distance of two bins,

    M[f] = 1/2 + (f_c - f) / df, within [0, 1].

That is a filter of zero phase: nothing moves in time, and the two sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.sources import check_source_name
from dspsep.stft import Spectrogram
from dspsep.streaming import Reach

__all__ = ["HighLowPass", "HighLowPassModel"]

# Of frequencies: beyond it there is no audio.
_MOST_HERTZ = 1e6


@final
@dataclass(frozen=True, kw_only=True)
class HighLowPass(SpectralSeparator):
    """A low source and a high one, parted at a frequency: the lower bound that knows of registers.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. Its bins, 22 Hz apart there, and the width of
        its window, four bins, are how steep the filter is.
    cutoff_hertz : float, default=100.0
        Where the two have half of the amplitude each, above 0. Singers go down to about 80 Hz, but have
        little there.
    low : str, default="accompaniment"
        The name of what is below.
    high : str, default="vocals"
        The name of what is above.

    Raises
    ------
    InputError
        If a setting is out of range, or both names are the same.

    See Also
    --------
    MixtureAsEstimate : The lower bound that knows nothing.

    Notes
    -----
    The filter is the mean over overlapping frames of a mask that is the same in all of them: of zero phase,
    with pre- and post-ringing of less than a frame. A cutoff below half a bin, or above half the rate,
    gives almost everything to one source.

    SiSEC 2018 has no such bound; the idea comes from the baselines of nussl (Manilow, Seetharaman & Pardo
    2018), which also masks bins, but rounds the cutoff to one. Peak memory beside the sources: a complex
    and a real spectrogram of the mixture.

    References
    ----------
    E. Manilow, P. Seetharaman, B. Pardo, "The Northwestern University Source Separation Library",
    International Society for Music Information Retrieval Conference (ISMIR), 2018, pp. 297-305.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import HighLowPass
    >>> time = np.arange(16000) / 16000
    >>> bass, voice = np.sin(2 * np.pi * 50 * time), np.sin(2 * np.pi * 440 * time)
    >>> sources = HighLowPass(cutoff_hertz=200.0).separate(bass + voice, 16000)
    >>> bool(np.abs(sources["vocals"] - voice)[2000:-2000].max() < 0.01)
    True
    """

    cutoff_hertz: float = 100.0
    low: str = "accompaniment"
    high: str = "vocals"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cutoff_hertz", _cutoff(self.cutoff_hertz))
        _check_names(self.low, self.high)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The low source and the high one."""
        return (self.low, self.high)

    def reach(self, sample_rate: float) -> Reach:
        """Return that the filter looks as far as a frame."""
        return Reach(samples=self.stft.n_fft, step=self.stft.hop_length)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> HighLowPassModel:
        """Return the settings: there is nothing to learn.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called once with a `Progress`.

        Returns
        -------
        HighLowPassModel
            The cutoff and the names.
        """
        model = HighLowPassModel(cutoff_hertz=self.cutoff_hertz, low=self.low, high=self.high)
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model


@final
@dataclass(frozen=True, kw_only=True)
class HighLowPassModel(MaskModel):
    """The settings of a `HighLowPass`; applies to any spectrogram.

    Parameters
    ----------
    cutoff_hertz : float
        Where the two sources have half of the amplitude each.
    low, high : str
        Their names.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> model = dspsep.HighLowPass().separate(scene.mixture, scene.sample_rate).model
    >>> model.low, model.high, model.cutoff_hertz
    ('accompaniment', 'vocals', 100.0)
    """

    cutoff_hertz: float
    low: str
    high: str

    def __post_init__(self) -> None:
        # A model may come from a file: what reaches the masks is checked here, too.
        _cutoff(self.cutoff_hertz)
        _check_names(self.low, self.high)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The low source and the high one."""
        return (self.low, self.high)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the mask of the low source and that of the high one."""
        frequencies = spectrogram.frequencies()
        share = np.clip(0.5 + (self.cutoff_hertz - frequencies) / frequencies[1], 0, 1)
        values = spectrogram.values
        xp = _backend.namespace(values)
        single = values.dtype == xp.complex64
        row = _backend.asarray_like(share.astype(np.float32 if single else np.float64), values)
        frame_major = xp.ones((1, spectrogram.n_frames, 1), dtype=row.dtype, device=row.device) * row
        low = xp.permute_dims(frame_major, (0, 2, 1))
        yield low
        yield 1 - low

    def _pictures(self) -> Pictures:
        return {**self._mask_pictures(), "shares": Recipe(self._shares)}

    def _shares(self, scale: Scale) -> Picture:
        hertz = None if scale.spectrogram is None else scale.frequencies(scale.spectrogram.n_freqs)
        if hertz is None:
            hertz = np.linspace(0, 4 * self.cutoff_hertz, 401)
        low = np.clip(0.5 + (self.cutoff_hertz - hertz) / hertz[1], 0, 1)
        return picture("shares", {self.low: low, self.high: 1 - low}, hertz)


def _cutoff(value: object) -> float:
    return _checks.number("cutoff_hertz", value, minimum=0, above=True, maximum=_MOST_HERTZ)


def _check_names(low: object, high: object) -> None:
    if check_source_name(low) == check_source_name(high):
        raise InputError("high", "another name than that of low", repr(high))
