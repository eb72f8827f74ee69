"""Independent vector analysis with more microphones than sources: the sources, and a background.

The sources are found as in `auxiva.py`. All that is left of the microphones is one Gaussian background of as
many dimensions as there are microphones too many, whose outputs are uncorrelated with those of the sources in
every bin (Scheibler & Ono 2019). With the complement U chosen so, what is minimised is

    sum over n of the mean over t of G(y[n, t])  -  sum over f of log det (W_f C_f W_f^H)

C being the covariance of the microphones; on whitened bins it is one, and no complement need be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from dspsep import _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.iva._core import MAX_N_ITER, DemixingSeparator
from dspsep.separators.iva._demixed import checked_matrices, checked_spectra, demixed
from dspsep.separators.iva._updates import CONTRASTS, Found, Report, minimise_contrast
from dspsep.separators.iva._whitening import Whitened

__all__ = ["OverIVA", "overiva"]


@final
@dataclass(frozen=True, kw_only=True)
class OverIVA(DemixingSeparator):
    """Independent vector analysis with more microphones than sources.

    For a few talkers before an array of microphones, with noise that comes from everywhere.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform. Frames should be about as long as the reverberation: 0.26 s at 16 kHz.
    n_sources : int, optional
        How many sources there are, beside the background. By default one less than channels.
    n_iter : int, default=50
        How many iterations.
    init : OverIVA, optional
        The same with other settings, whose matrices this one begins with. By default the sources are the
        first microphones.
    contrast : {"laplace", "gauss"}, default="laplace"
        How the frames of a source are distributed: with heavy tails, or each with a variance of its own.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    overiva : The algorithm as a function of a spectrogram alone.
    AuxIVA : As many sources as microphones.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …, their images at all microphones, and ``background``, what
    they leave of the mixture.

    The update is iterative projection. Deviations from the paper: those of `AuxIVA`. Cost:
    O(n_iter n_freqs n_frames n_sources n_channels**2). Peak memory beside the input and the sources: two
    and a half spectrograms of all channels.

    References
    ----------
    R. Scheibler, N. Ono, "Independent vector analysis with more microphones than sources", IEEE Workshop on
    Applications of Signal Processing to Audio and Acoustics (WASPAA), 2019, pp. 185-189.
    doi:10.1109/WASPAA.2019.8937080

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(n_channels=3, duration=3.0, rt60=0.1)
    >>> sources = dspsep.OverIVA(n_iter=20).separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['source_0', 'source_1', 'background']
    """

    has_background: ClassVar[bool] = True

    contrast: Literal["laplace", "gauss"] = "laplace"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and not self.init.has_background:
            raise InputError("init", "an OverIVA, or None", f"a {type(self.init).__name__}")
        _checks.choice("contrast", self.contrast, CONTRASTS)

    def _learn(self, data: Whitened, W: Array, report: Report | None) -> Found:
        return minimise_contrast(
            data, W, update="ip", contrast=self.contrast, n_iter=self.n_iter, report=report
        )


def overiva(
    X: Array,
    n_sources: int,
    *,
    contrast: Literal["laplace", "gauss"] = "laplace",
    n_iter: int = 50,
    demixing: Array | None = None,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Find demixing matrices of fewer sources than microphones.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        Complex spectra of at least two microphones. Never changed.
    n_sources : int
        At most the number of channels.
    contrast : {"laplace", "gauss"}, default="laplace"
        The distribution of the frames of a source.
    n_iter : int, default=50
        How many iterations.
    demixing : array of shape (n_freqs, n_sources, n_channels), optional
        The matrices to begin with. By default the first rows of the identity.
    callback : callable, optional
        Called with the number of iterations and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_sources, n_channels)
        Complex, in double precision. Outputs are ``W[f] @ X[:, f, :]``; their scale is arbitrary.
    losses : tuple of float
        What is minimised, at the start and after each iteration, for X times the power of two that brings
        its mean power near the number of bins. Nothing where X is zero.

    Raises
    ------
    InputError
        If `X` or a setting is out of range.

    Warns
    -----
    DspsepWarning
        ``W_RANK`` if the channels hold fewer independent signals than sources: rows of sources that were
        lost are zero.

    See Also
    --------
    OverIVA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import overiva
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((4, 20, 100)) + 1j * rng.standard_normal((4, 20, 100))
    >>> W, losses = overiva(X, 2, n_iter=5)
    >>> W.shape, len(losses)
    ((20, 2, 4), 6)
    """
    _checks.choice("contrast", contrast, CONTRASTS)
    _checks.integer("n_iter", n_iter, minimum=0, maximum=MAX_N_ITER)
    X = checked_spectra(X)
    n_channels, n_freqs, _ = X.shape
    n_sources = _checks.integer("n_sources", n_sources, minimum=1, maximum=n_channels)
    if demixing is not None:
        demixing = checked_matrices("demixing", demixing, (n_freqs, n_sources, n_channels))

    def learn(data: Whitened, W: Array) -> Found:
        return minimise_contrast(data, W, update="ip", contrast=contrast, n_iter=n_iter, report=callback)

    found = demixed(X, n_sources, learn, demixing=demixing)
    return found.demixing, found.losses
