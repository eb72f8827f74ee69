"""Independent vector analysis by auxiliary functions: what is loud together is one source.

In every bin the microphones are mixtures of the sources, ``x = A s``, and are multiplied by a matrix, ``y =
W x``. What tells which output of one bin belongs to which of another is that the bins of one source are
loud at the same time: with r[n, t] the norm of all bins of output n in frame t,

    sum over n of the mean over t of 2 r[n, t]  -  2 sum over f of log |det W_f|

is least where outputs are independent of each other and their own bins are not (Kim et al. 2007, Ono 2011).
`_updates.py` lowers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from dspsep import _checks
from dspsep._typing import Array
from dspsep.separators.iva._core import MAX_N_ITER, DemixingSeparator
from dspsep.separators.iva._demixed import checked_matrices, checked_spectra, demixed
from dspsep.separators.iva._updates import CONTRASTS, UPDATES, Found, Report, minimise_contrast
from dspsep.separators.iva._whitening import Whitened

__all__ = ["AuxIVA", "auxiva"]


@final
@dataclass(frozen=True, kw_only=True)
class AuxIVA(DemixingSeparator):
    """Independent vector analysis: as many sources as microphones, in a room.

    For talkers and instruments that stay where they are, recorded by as many microphones.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform. Frames should be about as long as the reverberation: 0.26 s at 16 kHz.
    n_sources : int, optional
        As many as channels, which is also the default.
    n_iter : int, default=50
        How many iterations.
    init : DemixingSeparator, optional
        Another method of the family whose matrices this one begins with. By default the sources are the
        microphones at first.
    update : {"ip", "ip2", "iss"}, default="ip"
        Iterative projection of one source after the other, of pairs of them, or iterative source steering.
    contrast : {"laplace", "gauss"}, default="laplace"
        How the frames of a source are distributed: with heavy tails, or each with a variance of its own.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    auxiva : The algorithm as a function of a spectrogram alone.
    OverIVA : More microphones than sources.
    ILRMA : A low-rank model of each source instead of loudness alone.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …, their images at all microphones, which sum to the mixture.

    Deviations from the papers: the objective is that of spectra with noise of 2**-20 of their power (2**-32
    in double precision), equally strong in all directions of whitened bins; frames below that, as a part of
    the mean, are left out. So nothing is divided by zero, and the objective never rises. Work is done on
    whitened bins, which changes nothing but rounding.

    Cost: O(n_iter n_freqs n_frames n_channels**3). Peak memory beside the input and the sources: two and a
    half spectrograms of all channels.

    References
    ----------
    N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
    technique", IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA), 2011,
    pp. 189-192. doi:10.1109/ASPAA.2011.6082320

    R. Scheibler, N. Ono, "Fast and stable blind source separation with rank-1 updates", IEEE International
    Conference on Acoustics, Speech and Signal Processing (ICASSP), 2020, pp. 236-240.
    doi:10.1109/ICASSP40776.2020.9053556

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, rt60=0.1)
    >>> sources = dspsep.AuxIVA().separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources["source_0"].shape
    (['source_0', 'source_1'], (2, 48000))
    """

    update: Literal["ip", "ip2", "iss"] = "ip"
    contrast: Literal["laplace", "gauss"] = "laplace"

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.choice("update", self.update, UPDATES)
        _checks.choice("contrast", self.contrast, CONTRASTS)

    def _learn(self, data: Whitened, W: Array, report: Report | None) -> Found:
        return minimise_contrast(
            data, W, update=self.update, contrast=self.contrast, n_iter=self.n_iter, report=report
        )


def auxiva(
    X: Array,
    *,
    update: Literal["ip", "ip2", "iss"] = "ip",
    contrast: Literal["laplace", "gauss"] = "laplace",
    n_iter: int = 50,
    demixing: Array | None = None,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Find demixing matrices by independent vector analysis.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        Complex spectra of at least two microphones. Never changed.
    update : {"ip", "ip2", "iss"}, default="ip"
        Iterative projection, of pairs, or iterative source steering.
    contrast : {"laplace", "gauss"}, default="laplace"
        The distribution of the frames of a source.
    n_iter : int, default=50
        How many iterations.
    demixing : array of shape (n_freqs, n_channels, n_channels), optional
        The matrices to begin with. By default the identity.
    callback : callable, optional
        Called with the number of iterations and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_channels, n_channels)
        Complex, in double precision. Outputs are ``W[f] @ X[:, f, :]``; their scale is arbitrary, see
        `projection_back`.
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
        ``W_RANK`` if the channels hold fewer independent signals than there are of them: rows of sources that
        were lost are zero.

    See Also
    --------
    AuxIVA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import auxiva
    >>> rng = np.random.default_rng(0)
    >>> loud = rng.exponential(1.0, (2, 1, 200))
    >>> s = loud * (rng.standard_normal((2, 30, 200)) + 1j * rng.standard_normal((2, 30, 200)))
    >>> A = rng.standard_normal((30, 2, 2)) + 1j * rng.standard_normal((30, 2, 2))
    >>> W, losses = auxiva(np.einsum("fcn,nft->cft", A, s))
    >>> gains = np.abs(W @ A)
    >>> weaker = gains.min(axis=2) / gains.max(axis=2)
    >>> bool(np.median(weaker) < 0.1), losses[-1] < losses[0]
    (True, True)
    """
    _checks.choice("update", update, UPDATES)
    _checks.choice("contrast", contrast, CONTRASTS)
    _checks.integer("n_iter", n_iter, minimum=0, maximum=MAX_N_ITER)
    X = checked_spectra(X)
    n_channels, n_freqs, _ = X.shape
    if demixing is not None:
        demixing = checked_matrices("demixing", demixing, (n_freqs, n_channels, n_channels))

    def learn(data: Whitened, W: Array) -> Found:
        return minimise_contrast(data, W, update=update, contrast=contrast, n_iter=n_iter, report=callback)

    found = demixed(X, n_channels, learn, demixing=demixing)
    return found.demixing, found.losses
