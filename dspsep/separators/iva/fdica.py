"""Independent component analysis in every bin by itself, and then the outputs of all bins put in order.

In each bin, of which the others know nothing,

    sum over n of the mean over t of 2 |y[n, t]|  -  2 log |det W_f|

is lowered by the updates of `_updates.py`, with weights of the bin alone (Ono & Miyabe 2010). What comes
out first in one bin may come out second in the next: `permutation.py` finds which belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.kernels import kernels_for
from dspsep.separators.iva._core import MAX_N_ITER, DemixingSeparator
from dspsep.separators.iva._demixed import checked_matrices, checked_spectra, demixed
from dspsep.separators.iva._updates import Found, Report, Trace, log_determinants, sweep
from dspsep.separators.iva._whitening import Whitened
from dspsep.separators.iva.permutation import PERMUTATIONS, align_permutation

__all__ = ["FDICA", "fdica"]


@final
@dataclass(frozen=True, kw_only=True)
class FDICA(DemixingSeparator):
    """Independent component analysis in every bin, with outputs put in order.

    What came before `AuxIVA`, and shows what that is for: with ``permutation=None`` bins are separated and
    the outputs of different bins are mixed up.

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
    permutation : {"correlation", "score"} or None, default="correlation"
        How outputs are put in order, see `align_permutation`; None for not at all.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    fdica : The algorithm as a function of a spectrogram alone.
    AuxIVA : All bins at once, so that there is no order to be found.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …, their images at all microphones, which sum to the mixture.
    The losses are those of all bins, before they are put in order, which changes nothing in them.

    Deviations from the papers: those of `AuxIVA`. Cost: O(n_iter n_freqs n_frames n_channels**3). Peak memory
    beside the input and the sources: five spectrograms of all channels.

    References
    ----------
    N. Ono, S. Miyabe, "Auxiliary-function-based independent component analysis for super-Gaussian sources",
    International Conference on Latent Variable Analysis and Signal Separation (LVA/ICA), 2010, pp. 165-172.
    doi:10.1007/978-3-642-15995-4_21

    H. Sawada, S. Araki, S. Makino, "Underdetermined convolutive blind source separation via frequency
    bin-wise clustering and permutation alignment", IEEE Transactions on Audio, Speech, and Language
    Processing 19(3), 2011, pp. 516-527. doi:10.1109/TASL.2010.2051355

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, rt60=0.1)
    >>> sources = dspsep.FDICA(stft=dspsep.STFT(2048)).separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['source_0', 'source_1']
    """

    permutation: Literal["correlation", "score"] | None = "correlation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.permutation is not None:
            _checks.choice("permutation", self.permutation, PERMUTATIONS)

    def _learn(self, data: Whitened, W: Array, report: Report | None) -> Found:
        return _aligned(data, _bin_by_bin(data, W, self.n_iter, report), self.permutation)


def fdica(
    X: Array,
    *,
    permutation: Literal["correlation", "score"] | None = "correlation",
    n_iter: int = 50,
    demixing: Array | None = None,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Find demixing matrices bin by bin.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        Complex spectra of at least two microphones. Never changed.
    permutation : {"correlation", "score"} or None, default="correlation"
        How outputs are put in order, see `align_permutation`; None for not at all.
    n_iter : int, default=50
        How many iterations.
    demixing : array of shape (n_freqs, n_channels, n_channels), optional
        The matrices to begin with. By default the identity.
    callback : callable, optional
        Called with the number of iterations and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_channels, n_channels)
        Complex, in double precision. Outputs are ``W[f] @ X[:, f, :]``; their scale is arbitrary.
    losses : tuple of float
        What is minimised, at the start and after each iteration, for outputs that begin with a mean power of
        one in each bin. Nothing where X is zero.

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
    FDICA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import fdica
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 20, 100)) + 1j * rng.standard_normal((2, 20, 100))
    >>> W, losses = fdica(X, n_iter=5)
    >>> W.shape, losses[-1] < losses[0]
    ((20, 2, 2), True)
    """
    if permutation is not None:
        _checks.choice("permutation", permutation, PERMUTATIONS)
    _checks.integer("n_iter", n_iter, minimum=0, maximum=MAX_N_ITER)
    X = checked_spectra(X)
    n_channels, n_freqs, _ = X.shape
    if demixing is not None:
        demixing = checked_matrices("demixing", demixing, (n_freqs, n_channels, n_channels))

    def learn(data: Whitened, W: Array) -> Found:
        return _aligned(data, _bin_by_bin(data, W, n_iter, callback), permutation)

    found = demixed(X, n_channels, learn, demixing=demixing)
    return found.demixing, found.losses


def _bin_by_bin(data: Whitened, W: Array, n_iter: int, report: Report | None) -> Found:
    kernels, xp = kernels_for(data.spectra), _backend.namespace(data.spectra)
    # Outputs of whitened bins have the mean power of the squares of their row: begin with one.
    size = xp.sqrt(xp.sum(xp.real(W) ** 2 + xp.imag(W) ** 2, axis=2, keepdims=True))
    W = W / xp.astype(size, W.dtype)
    trace = Trace(report=report, constant=0.0)
    logarithms = log_determinants(W)
    for iteration in range(n_iter + 1):
        covariances, norms = kernels.bin_covariances(data.spectra, W, data.ridge)
        loss = 2 * xp.sum(norms) - 2 * xp.sum(logarithms)
        if trace.ends(loss) or iteration == n_iter:
            break
        W, logarithms = sweep("ip", W, covariances)
    return Found(demixing=W, losses=trace.losses())


def _aligned(data: Whitened, found: Found, permutation: Literal["correlation", "score"] | None) -> Found:
    if permutation is None or found.demixing.shape[1] == 1:
        return found
    xp = _backend.namespace(found.demixing)
    order = align_permutation(_image_powers(xp, data, found.demixing), method=permutation)
    shape = found.demixing.shape
    index = xp.broadcast_to(order[:, :, None], shape)
    return Found(demixing=xp.take_along_axis(found.demixing, index, axis=1), losses=found.losses)


def _image_powers(xp: Namespace, data: Whitened, W: Array) -> Array:
    """Return the powers (n_sources, n_active, n_frames) of outputs, all microphones together."""
    A = data.factor @ xp.linalg.inv(W)
    sizes = xp.sqrt(xp.sum(xp.real(A) ** 2 + xp.imag(A) ** 2, axis=1))
    W = W * xp.astype(sizes, W.dtype)[:, :, None]
    real = data.spectra.dtype
    a, b = xp.astype(xp.real(W), real), xp.astype(xp.imag(W), real)
    x, y = data.spectra[:, :, 0, :], data.spectra[:, :, 1, :]
    powers = (a @ x - b @ y) ** 2 + (a @ y + b @ x) ** 2
    return xp.permute_dims(powers, (1, 0, 2))  # type: ignore[no-any-return]
