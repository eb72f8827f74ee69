"""The scale-invariant family: how much of an estimate is its source, up to one number.

With s the true source, x its estimate, α s the projection of x on s, and P that on all sources (all channels
of a signal taken as one vector),

    SI-SDR = |α s|² / |α s − x|²        SD-SDR = |α s|² / |s − x|²
    SI-SIR = |α s|² / |P − α s|²        SNR    = |s|² / |s − x|²
    SI-SAR = |α s|² / |x − P|²

in decibels (Le Roux et al. 2019, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError
from dspsep.metrics._projections import Pairs
from dspsep.metrics._stacks import Stack
from dspsep.metrics.protocols import SILENCE, Measured, Protocol, Task, decibels, in_windows

__all__ = ["ScaleInvariant"]

Silence = Literal["sisec", "strict"]

#: Samples that are read at a time.
_BLOCK = 2**16

#: References whose inner products, at unit energy, have eigenvalues below this are dependent: what they share
#: is then given to them together.
_DEPENDENT = 1e-13

#: The part of a constant's energy that may be left when its mean is taken away.
_ROUNDING = 2.0**-90


@final
@dataclass(frozen=True, kw_only=True)
class ScaleInvariant(Protocol):
    """SI-SDR, SI-SIR, SI-SAR, SD-SDR and SNR.

    Use it for methods that cannot know the level of a source, and beside BSS Eval whenever its filters of
    512 taps are suspected of forgiving too much. SD-SDR lets the scale be measured and not chosen: a
    wrong level counts as an error in it, and an estimate that is merely too quiet does not gain.

    Parameters
    ----------
    window_seconds : float or "whole", optional
        Length of the windows; the default is the whole track.
    hop_seconds : float, optional
        From one window to the next; the default is the window's length.
    zero_mean : bool, default=False
        Take away the mean of each channel in each window first, as the *SI-SNR* of the speech literature
        does.
    silence : {"sisec", "strict"}, default="sisec"
        As in `BSSEval`.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    si_sdr : The first of them as a function of two arrays.
    sdr : The last of them.

    Notes
    -----
    Channels are taken together, with one scale for all, so that a wrong balance counts as an error. SI-SIR
    and SI-SAR are the energy of the scaled source over that of each part of its error, as in the paper: BSS
    Eval counts the interference into the signal of its SAR. Of the SNR and the SI-SDR of one track there
    are functions, which give the same numbers.

    Tracks are averaged, as papers on speech do, where BSS Eval takes their median.

    Three passes over the samples (with `zero_mean`, four), and some megabytes of memory, whatever the length.

    References
    ----------
    J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR – half-baked or well done?", IEEE
    International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2019, pp. 626-630.
    doi:10.1109/ICASSP.2019.8683855

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import ScaleInvariant, evaluate
    >>> voice, band = np.eye(2, 8000)
    >>> scores = evaluate([voice, band], [0.5 * voice + 0.05 * band, band], 8000, ScaleInvariant())
    >>> {metric: round(value, 1) for metric, value in scores["0"].items()}
    {'SI-SDR': 20.0, 'SI-SIR': 20.0, 'SI-SAR': inf, 'SD-SDR': -0.0, 'SNR': 6.0}
    """

    window_seconds: float | Literal["whole"] | None = None
    hop_seconds: float | None = None
    zero_mean: bool = False
    silence: Silence = "sisec"

    def __post_init__(self) -> None:
        if not isinstance(self.zero_mean, bool):
            raise InputError("zero_mean", "True or False", repr(self.zero_mean))
        _checks.choice("silence", self.silence, SILENCE)
        self._check_windows(self.window_seconds, self.hop_seconds)

    @property
    def name(self) -> str:
        """``scale_invariant``."""
        return "scale_invariant"

    @property
    def metrics(self) -> tuple[str, ...]:
        """SI-SDR, SI-SIR, SI-SAR, SD-SDR, SNR."""
        return ("SI-SDR", "SI-SIR", "SI-SAR", "SD-SDR", "SNR")

    @property
    def needs_mixture(self) -> bool:
        """No."""
        return False

    @property
    def decides(self) -> str:
        """SI-SDR: whose mean a permutation makes largest."""
        return "SI-SDR"

    over_tracks = "mean"

    def measure(self, task: Task, pairs: Pairs) -> Measured:
        """Return the scores of pairs of a reference and an estimate: see `Protocol.measure`."""
        windows = in_windows(task.n_samples, task.sample_rate, *self._framing())
        signals = task.references.beside(task.estimates)
        n_references = len(task.references.signals)
        values = np.empty((len(pairs), len(self.metrics), len(windows)))
        energy = np.empty((len(signals.signals), len(windows)))
        for k, window in enumerate(windows):
            blocks = _Blocks(signals, window)
            rounding = np.zeros(len(signals.signals))
            if self.zero_mean:
                means = blocks.total(_sums) / (window[1] - window[0])
                blocks = replace(blocks, offsets=means)
                # What taking the mean away leaves of a constant is rounding, and not sound.
                rounding = _ROUNDING * (window[1] - window[0]) * (means**2).sum(axis=1)
            values[:, :, k], energy[:, k] = _scores(blocks, n_references, pairs, rounding)
        heard, made = np.split(energy, [n_references])
        return Measured(values, windows, heard=heard, made=made)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The signals of a window, read piece by piece."""

    signals: Stack
    window: tuple[int, int]
    offsets: FloatArray | None = None

    def total(self, of: Callable[[Array], Array]) -> FloatArray:
        """Return the sum over all pieces (n_signals, n_channels, n) of what `of` makes of one."""
        start, stop = self.window
        rows = self.signals.n_rows
        table = None
        for first in range(start, stop, _BLOCK):
            last = min(first + _BLOCK, stop)
            piece = self.signals.read(first, last, self.window)
            xp = _backend.namespace(piece)
            if self.offsets is not None:
                piece = piece - _backend.asarray_like(self.offsets.reshape(rows, 1), piece)
            found = of(xp.reshape(piece, (-1, self.signals.n_channels, last - first)))
            table = found if table is None else table + found
        return cast("FloatArray", _backend.to_host(cast("Array", table)))


def _scores(blocks: _Blocks, n: int, pairs: Pairs, rounding: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the scores of every pair, (n_pairs, 5), and the energy of every signal; n are references.

    Energies up to `rounding` count as silence.
    """
    products = blocks.total(lambda signals: _products(signals, n))
    energy = np.concatenate([np.diagonal(products), blocks.total(lambda signals: _energy(signals[n:, ...]))])
    silent = energy <= rounding
    energy[silent] = 0
    products[silent[:n]] = 0
    products[:, silent] = 0
    gram, products = products[:, :n], products[:, n:]
    heard = np.where(energy[:n] > 0, energy[:n], 1)
    alpha = products / heard[:, None]
    # What of each reference is in the projection of each estimate on all of them.
    scale = 1 / np.sqrt(heard)
    inverse = np.linalg.pinv(gram * _outer(scale), rcond=_DEPENDENT, hermitian=True)
    weights = (inverse * _outer(scale)) @ products
    if n == 1:
        weights = alpha  # the same, and to the last bit

    def errors(signals: Array) -> Array:
        rows = [_errors(signals, n, pair, alpha, weights) for pair in pairs]
        return cast("Array", _backend.namespace(signals).stack(rows))

    error = blocks.total(errors)
    own = np.array([energy[i] for i, _ in pairs])
    scaled = own * np.array([alpha[pair] ** 2 for pair in pairs])
    columns = [decibels(scaled, column) for column in error.T] + [decibels(own, error[:, 3])]
    return np.stack(columns, axis=1), energy


def _outer(scale: FloatArray) -> FloatArray:
    """Return the products of all pairs of factors."""
    return scale[:, None] * scale


def _errors(signals: Array, n: int, pair: tuple[int, int], alpha: FloatArray, weights: FloatArray) -> Array:
    """Return the energies of α s − x, P − α s, x − P and s − x, for one pair."""
    s, x = signals[pair[0], ...], signals[n + pair[1], ...]
    scaled = s * float(alpha[pair])
    projected = signals[0, ...] * float(weights[0, pair[1]])
    for k in range(1, n):
        projected = projected + signals[k, ...] * float(weights[k, pair[1]])
    return _energy(_backend.namespace(s).stack([scaled - x, projected - scaled, x - projected, s - x]))


def _products(signals: Array, n: int) -> Array:
    """Return the inner products of the first n signals with all of them, (n, n_signals)."""
    xp = _backend.namespace(signals)
    # Sums of products and not one of matrices: the same bytes whatever the threads of the BLAS.
    products: Array = xp.stack([xp.sum(signals[k, ...] * signals, axis=(1, 2)) for k in range(n)])
    return products


def _energy(signals: Array) -> Array:
    return cast("Array", _backend.namespace(signals).sum(signals * signals, axis=(1, 2)))


def _sums(signals: Array) -> Array:
    return cast("Array", _backend.namespace(signals).sum(signals, axis=2))
