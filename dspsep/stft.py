"""The short-time Fourier transform: one object that owns forward and inverse.

With window w of length N, hop R and frame t centred on sample tR, the transform of x is

    X[f, t] = sum_n w[n] x[tR + n - N // 2] exp(-2i pi f n / N),

x being zero outside its length. The inverse is the least-squares one (Griffin & Lim 1984): of all signals
it returns the one whose transform is nearest to what it was given,

    x[n] = sum_t w[n - tR + N // 2] y_t[n - tR + N // 2] / sum_t w[n - tR + N // 2] ** 2,

y_t being the inverse FFT of frame t. For an unchanged X that is x itself; for a masked X the window tapers
every frame once more, so that nothing clicks where frames begin and end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep._windows import Overlap, Window, overlap, window_setting, window_values
from dspsep.errors import InputError, warn
from dspsep.kernels import kernels_for

__all__ = ["STFT", "Spectrogram"]

# Frames of more than a minute at any rate that audio has are a slip, and would fill the memory.
_MAX_N_FFT = 2**24
# The overlap-added squared window may vary by this ratio before a warning, and before a refusal.
_UNEVEN, _SINGULAR = 10.0, 1e6
# At the ends of the audio, where fewer frames meet, it may vary by this ratio before a warning.
_UNEVEN_ENDS = 32.0


@dataclass(frozen=True, init=False)
class STFT:
    """A short-time Fourier transform and its exact inverse.

    Frames are centred, as librosa's are by default: frame t is centred on sample ``t * hop_length`` of audio
    that continues as zeros, and there are ``1 + n_samples // hop_length`` of them. Where the hop is so large
    that the last samples would lie in the window's tail, there is one more:
    ``1 + ceil(n_samples / hop_length)``.

    Parameters
    ----------
    n_fft : int, default=2048
        Length of a frame in samples, at least 2 and at most 2**24; odd lengths work. 2048 is 46 ms at
        44.1 kHz: long enough to resolve the partials of most notes, short enough for drums to stay drums.
        Powers of two are fastest.
    hop_length : int, optional
        Samples from one frame to the next. By default a quarter of `n_fft` (512: 11.6 ms at 44.1 kHz).
    window : str, tuple or array_like, default="hann"
        A name or tuple that ``scipy.signal.get_window`` knows, made periodic, or `n_fft` numbers.

    Raises
    ------
    InputError
        If a setting is out of range, or if window and hop leave samples that no frame carries, so that
        there is no inverse: the overlap-added squared window varies by more than 1e6:1.

    Warns
    -----
    DspsepWarning
        ``W_WINDOW`` if the overlap-added squared window varies by more than 10:1, or by more than 32:1 at the
        ends of the audio, where fewer frames meet: the inverse is exact, but changes made to some samples
        are amplified far more than to others.

    See Also
    --------
    Spectrogram : What `forward` returns.

    Notes
    -----
    Differences from ``librosa.stft`` and ``istft``: a `Spectrogram` remembers its transform, rate and
    length, so the inverse has exactly the length of the audio and nothing is restated; the inverse divides by
    the overlap-added squared window everywhere, where librosa leaves samples of tiny weight undivided; odd
    `n_fft` has the number of frames given above.

    Cost: O(n_frames n_fft log n_fft) per channel. What is needed beside input and output is about a megabyte
    for each thread and, in the inverse, the weight of every sample: one number, whatever the channels.

    References
    ----------
    D. W. Griffin, J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 32(2), 1984. doi:10.1109/TASSP.1984.1164317

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT
    >>> stft = STFT(1024, 256)
    >>> audio = np.sin(0.1 * np.arange(5000))
    >>> spectrogram = stft.forward(audio, sample_rate=8000)
    >>> spectrogram.values.shape
    (1, 513, 20)
    >>> bool(np.allclose(stft.inverse(spectrogram), audio))
    True
    """

    n_fft: int
    hop_length: int
    window: Window

    def __init__(
        self,
        n_fft: int = 2048,
        hop_length: int | None = None,
        window: Window | npt.ArrayLike = "hann",
    ) -> None:
        n_fft = _checks.integer(
            "n_fft", n_fft, minimum=2, maximum=_MAX_N_FFT, remedy="2048 suits music at 44.1 kHz."
        )
        if hop_length is None:
            hop_length = max(1, n_fft // 4)
        hop_length = _checks.integer("hop_length", hop_length, minimum=1, remedy="n_fft // 4 is usual.")
        object.__setattr__(self, "n_fft", n_fft)
        object.__setattr__(self, "hop_length", hop_length)
        object.__setattr__(self, "window", window_setting(window, n_fft))
        self._check_invertible()

    def _check_invertible(self) -> None:
        unevenness, steady = self._overlap.unevenness()
        setting = f"{self.window!r} with n_fft={self.n_fft}, hop_length={self.hop_length}"
        remedy = f"Use a hop of at most {max(1, self.n_fft // 4)}, or a window with more weight at its ends."
        if not unevenness <= _SINGULAR:
            found = (
                "leaves samples without weight" if math.isinf(unevenness) else f"varies by {unevenness:.3g}:1"
            )
            raise InputError(
                "window",
                f"one whose overlap-added square varies by at most {_SINGULAR:g}:1, or there is no inverse",
                f"{setting}, which {found}",
                remedy,
            )
        if steady > _UNEVEN or unevenness > _UNEVEN_ENDS:
            warn(
                "W_WINDOW",
                f"the overlap-added square of window {setting} varies by {unevenness:.3g}:1, "
                f"so masking is uneven in time. {remedy}",
                stacklevel=4,
            )

    @property
    def _overlap(self) -> Overlap:
        return overlap(self.window, self.n_fft, self.hop_length)

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames audio has.

        Parameters
        ----------
        n_samples : int
            The length of the audio.

        Returns
        -------
        int
            ``1 + n_samples // hop_length``, or one more where the hop is large.

        Examples
        --------
        >>> from dspsep import STFT
        >>> STFT(2048, 512).n_frames(44100)
        87
        """
        n_samples = _checks.integer("n_samples", n_samples, minimum=1)
        if self._overlap.needs_closing_frame:
            return 1 + -(-n_samples // self.hop_length)
        return 1 + n_samples // self.hop_length

    @property
    def n_freqs(self) -> int:
        """The number of bins from 0 Hz to half the sampling rate."""
        return self.n_fft // 2 + 1

    def n_frames_in(self, seconds: float, sample_rate: float) -> int:
        """Return how many hops there are in a duration, rounded to the nearest, at least one."""
        return max(1, round(seconds * sample_rate / self.hop_length))

    def n_bins_in(self, hertz: float, sample_rate: float) -> int:
        """Return how many bins there are in a bandwidth, rounded to the nearest, at least one."""
        return max(1, round(hertz * self.n_fft / sample_rate))

    def forward(self, mixture: npt.ArrayLike, sample_rate: float) -> Spectrogram:
        """Transform audio of any length from one sample.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio. Single and double precision are kept; integers are scaled as PCM.
        sample_rate : float
            In hertz.

        Returns
        -------
        Spectrogram
            With `values` of shape (n_channels, n_freqs, n_frames), complex.

        Raises
        ------
        InputError
            If the mixture is not audio: the argument, what was seen, and what to do.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import STFT
        >>> STFT().forward(np.ones((2, 44100), np.float32), 44100).values.dtype
        dtype('complex64')
        """
        rate = _checks.sample_rate(sample_rate)
        samples, mono, peak = _audio.finite_samples_of("mixture", mixture)
        # The largest that a bin can become is the peak times the sum of the window.
        highest = peak * float(np.abs(window_values(self.window, self.n_fft)).sum())
        limits = np.finfo(np.float32 if str(samples.dtype).endswith("float32") else np.float64)
        if highest > float(limits.max):
            got = f"a peak of {peak:g}"
            raise InputError("mixture", "quiet enough to be transformed", got, "Scale it to [-1, 1].")
        return self._forward(samples, rate, mono)

    def _forward(self, samples: Array, sample_rate: float, mono: bool) -> Spectrogram:
        """Transform checked samples (n_channels, n_samples)."""
        n_samples = samples.shape[1]
        precision = "float32" if str(samples.dtype).endswith("float32") else "float64"
        window = self._window(precision, samples)
        frame_major = kernels_for(samples).stft(samples, window, self.hop_length, self.n_frames(n_samples))
        return Spectrogram(
            values=_swap(frame_major), stft=self, sample_rate=sample_rate, n_samples=n_samples, mono=mono
        )

    def inverse(self, spectrogram: Spectrogram, *, mask: Array | None = None) -> Array:
        """Return the audio of a spectrogram, changed or not.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by this transform.
        mask : array of shape (n_freqs, n_frames) or (n_channels or 1, n_freqs, n_frames), optional
            Multiplies the spectrogram on the way, without a masked copy of it.

        Returns
        -------
        array of shape (n_samples,) or (n_channels, n_samples)
            As long as the audio that was transformed, and of the same shape and precision.

        Raises
        ------
        InputError
            If the spectrogram was made by another transform, or the mask does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import STFT
        >>> stft = STFT()
        >>> spectrogram = stft.forward(np.ones(4000), 8000)
        >>> half = np.full(spectrogram.values.shape, 0.5)
        >>> bool(np.allclose(stft.inverse(spectrogram, mask=half), 0.5))
        True
        """
        if spectrogram.stft != self:
            raise InputError("spectrogram", f"made by this transform, {self}", repr(spectrogram.stft))
        samples = self._inverse(spectrogram, mask)
        return samples[0, ...] if spectrogram.mono else samples

    def _inverse(self, spectrogram: Spectrogram, mask: Array | None) -> Array:
        """Return samples (n_channels, n_samples), whatever the shape of the audio was."""
        values = spectrogram.values
        xp = _backend.namespace(values)
        if mask is not None:
            mask = _swap(_fitting_mask(mask, spectrogram))
        precision = "float32" if values.dtype == xp.complex64 else "float64"
        weight = self._overlap.weight(spectrogram.n_samples, spectrogram.n_frames, precision)
        return kernels_for(values).istft(
            _swap(values),
            mask,
            self._window(precision, values),
            self.hop_length,
            _backend.asarray_like(weight, values),
        )

    def _window(self, precision: str, like: Array) -> Array:
        return _backend.asarray_like(window_values(self.window, self.n_fft).astype(precision), like)

    def __repr__(self) -> str:
        return f"STFT(n_fft={self.n_fft}, hop_length={self.hop_length}, window={self.window!r})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrogram:
    """Complex spectra of audio, and all that is needed to get the audio back.

    Parameters
    ----------
    values : array of shape (n_channels, n_freqs, n_frames)
        Complex. In memory frames lie one after the other (a transposed view of frame-major memory).
    stft : STFT
        The transform that made it.
    sample_rate : float
        Of the audio, in hertz.
    n_samples : int
        Of the audio.
    mono : bool, default=False
        Whether the audio had no channel axis: then the inverse has none either.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT
    >>> spectrogram = STFT(2048, 512).forward(np.zeros((2, 44100)), 44100)
    >>> spectrogram.n_channels, spectrogram.n_freqs, spectrogram.n_frames
    (2, 1025, 87)
    >>> spectrogram.n_frames_in(1.0), spectrogram.n_bins_in(500.0)
    (86, 23)
    """

    values: Array
    stft: STFT
    sample_rate: float
    n_samples: int
    mono: bool = field(default=False)

    def __post_init__(self) -> None:
        expected = (self.stft.n_freqs, self.stft.n_frames(self.n_samples))
        if self.values.ndim != 3 or tuple(self.values.shape[1:]) != expected:
            raise InputError(
                "values",
                f"of shape (n_channels, {expected[0]}, {expected[1]}) for {self.n_samples} samples",
                f"shape {tuple(self.values.shape)}",
            )
        if self.mono and self.n_channels != 1:
            requirement = "of one channel where the audio has no channel axis"
            raise InputError("values", requirement, f"{self.n_channels} channels")

    @property
    def n_channels(self) -> int:
        """The number of channels."""
        return int(self.values.shape[0])

    @property
    def n_freqs(self) -> int:
        """The number of bins, from 0 Hz to half the sampling rate."""
        return int(self.values.shape[1])

    @property
    def n_frames(self) -> int:
        """The number of frames."""
        return int(self.values.shape[2])

    def magnitude(self) -> Array:
        """Return the absolute values (n_channels, n_freqs, n_frames)."""
        xp = _backend.namespace(self.values)
        magnitude: Array = xp.abs(self.values)  # keeps the memory frame-major
        return magnitude

    def with_values(self, values: Array) -> Spectrogram:
        """Return a spectrogram of the same transform, rate and length with other `values`."""
        return replace(self, values=values)

    def frequencies(self) -> npt.NDArray[np.float64]:
        """Return the centre frequency of every bin in hertz, (n_freqs,)."""
        return np.arange(self.n_freqs, dtype=np.float64) * (self.sample_rate / self.stft.n_fft)

    def times(self) -> npt.NDArray[np.float64]:
        """Return the centre of every frame in seconds, (n_frames,)."""
        return np.arange(self.n_frames, dtype=np.float64) * (self.stft.hop_length / self.sample_rate)

    def n_frames_in(self, seconds: float) -> int:
        """Return how many hops there are in a duration, rounded to the nearest, at least one."""
        return self.stft.n_frames_in(seconds, self.sample_rate)

    def n_bins_in(self, hertz: float) -> int:
        """Return how many bins there are in a bandwidth, rounded to the nearest, at least one."""
        return self.stft.n_bins_in(hertz, self.sample_rate)

    def __repr__(self) -> str:
        return (
            f"Spectrogram({self.n_channels} channels, {self.n_freqs} bins, {self.n_frames} frames; "
            f"{self.n_samples} samples at {self.sample_rate:g} Hz; {self.stft})"
        )


def _swap(values: Array) -> Array:
    """Exchange the last two axes, without a copy."""
    return _backend.namespace(values).permute_dims(values, (0, 2, 1))  # type: ignore[no-any-return]


def _fitting_mask(mask: Array, spectrogram: Spectrogram) -> Array:
    if not str(getattr(mask, "dtype", "")).endswith("bool"):
        mask = _backend.real_floating("mask", mask)
    xp = _backend.namespace(mask, spectrogram.values)
    if mask.ndim == 2:
        mask = mask[None, :, :]
    n_channels, *expected = spectrogram.values.shape
    if mask.ndim != 3 or mask.shape[0] not in (1, n_channels) or list(mask.shape[1:]) != expected:
        raise InputError(
            "mask", f"of the spectrogram's shape {tuple(spectrogram.values.shape)}", f"{tuple(mask.shape)}"
        )
    real = xp.float32 if spectrogram.values.dtype == xp.complex64 else xp.float64
    fitting: Array = xp.astype(mask, real, copy=False)
    return fitting
