"""SOBI: correlations over time as matrices, and the one rotation that makes them all diagonal.

With white signals z, the correlation at a lag of l samples is

    R_l = E[z(t) z(t + l)'],    of which the symmetric part is taken

For sources without correlation, y = W z, all of them are made diagonal by W, and there is one such W if no
two sources have the same spectrum. Levels need not differ from those of noise: Gaussian sources are no harder
than others (Belouchrani, Abed-Meraim, Cardoso & Moulines 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import warn
from dspsep.separators.ica._core import InstantaneousSeparator
from dspsep.separators.ica._iterations import (
    PublicCallback,
    Report,
    Solution,
    check_iterations,
    reporter,
    white_signals,
)
from dspsep.separators.ica._joint_diagonalisation import diagonal_of, jointly_diagonalise
from dspsep.separators.ica._whitening import blocks

__all__ = ["SOBI", "sobi"]

# Sources whose correlations differ by less than this at every lag, or by no more than those of noise do by
# chance at the worst of many lags, are not told apart.
_SAME_SPECTRUM, _DEVIATIONS = 0.03, 4.0
# Samples of a block: the same in each lag, and few enough for single precision to add them up.
_BLOCK = 2**13


@final
@dataclass(frozen=True, kw_only=True)
class SOBI(InstantaneousSeparator):
    """Separation of instantaneous mixtures by spectra: correlations over time made diagonal together.

    For recordings in which each source is in all channels at once, at levels that do not change, and sounds
    different from the others in the mean. Such sources may be as Gaussian as noise.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for, in the directions with the most energy; the rest is a ``residual``. None
        for as many as there are channels.
    lag_seconds : float, default=0.005
        The longest lag; all lags from one sample on are used. With 5 ms, spectra are told apart that differ
        by what is some hundred hertz wide.
    n_iter : int, default=100
        The most sweeps of rotations. Some ten are enough.
    tol : float, default=1e-8
        They end after a sweep in which no angle was above this, in radians.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    sobi : The algorithm as a function of white signals.
    JADE : The same rotations for cumulants.

    Notes
    -----
    Sources are named ``source_0``, ``source_1``, ..., by the energy of their images, loudest first. The
    losses of the model are the part of all squares that lies off the diagonals, after each sweep. Where two
    sources have the same spectrum, the warning is ``W_SPECTRA``.

    Deviation from the paper: whitening takes no noise away, whose level would have to be known.

    Cost: O(n_sources^2 n_samples n_lags), and O(n_sources^3 n_lags) for a sweep. Peak memory beside the input
    and the sources: one array of the size of the mixture, and 3 n_sources^2 n_lags numbers.

    References
    ----------
    A. Belouchrani, K. Abed-Meraim, J.-F. Cardoso, E. Moulines, "A blind source separation technique using
    second-order statistics", IEEE Transactions on Signal Processing 45(2), 1997, pp. 434-444.
    doi:10.1109/78.554307

    J.-F. Cardoso, A. Souloumiac, "Jacobi angles for simultaneous diagonalization", SIAM Journal on Matrix
    Analysis and Applications 17(1), 1996, pp. 161-164. doi:10.1137/S0895479893259546

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> from dspsep.metrics import amari_index
    >>> noise = np.random.default_rng(0).standard_normal((2, 16001))
    >>> low, high = noise[0, 1:] + noise[0, :-1], noise[1, 1:] - noise[1, :-1]
    >>> mixing = np.array([[1.0, 0.6], [0.4, 1.0]])
    >>> sources = dspsep.SOBI().separate(mixing @ np.stack([low, high]), 16000)
    >>> amari_index(sources.model.demixing, mixing) < 0.02
    True
    """

    lag_seconds: float = 0.005
    n_iter: int = 100
    tol: float = 1e-8

    _needs_contrast: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lag_seconds", "n_iter", "tol"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _checks.number("lag_seconds", self.lag_seconds, minimum=0, above=True, maximum=10)
        check_iterations(self.n_iter, self.tol)
        for name in ("lag_seconds", "tol"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        longest = min(max(1, round(self.lag_seconds * sample_rate)), int(Z.shape[1]) // 2)
        matrices = lagged_correlations(Z, longest)
        solution = jointly_diagonalise(matrices, self.n_iter, self.tol, report)
        _warn_of_equal_spectra(diagonal_of(matrices, solution.W), int(Z.shape[1]))
        return solution


def sobi(
    Z: Array,
    *,
    n_lags: int = 80,
    n_iter: int = 100,
    tol: float = 1e-8,
    callback: PublicCallback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return the rotation that makes the correlations of white signals over time most diagonal.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        White signals, as from `whiten`. Never changed.
    n_lags : int, default=80
        Lags from 1 to this are used, in samples: 5 ms at 16 kHz.
    n_iter : int, default=100
        The most sweeps of rotations.
    tol : float, default=1e-8
        They end after a sweep in which no angle was above this, in radians.
    callback : callable, optional
        Called with the number of sweeps and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n, n)
        Orthogonal, in double precision, on the host: the outputs are ``W @ Z``.
    losses : tuple of float
        The part of all squares that lies off the diagonals, after each sweep.

    Raises
    ------
    InputError
        If `Z` is not white, or a setting is out of range.

    See Also
    --------
    SOBI : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import sobi, whiten
    >>> noise = np.random.default_rng(0).standard_normal((2, 5001))
    >>> low, high = noise[0, 1:] + noise[0, :-1], noise[1, 1:] - noise[1, :-1]
    >>> Z, K, m = whiten(np.array([[1.0, 0.6], [0.4, 1.0]]) @ np.stack([low, high]))
    >>> W, losses = sobi(Z, n_lags=4)
    >>> bool(abs(W @ W.T - np.eye(2)).max() < 1e-12), losses[-1] < 0.01
    (True, True)
    """
    check_iterations(n_iter, tol)
    Z = white_signals(Z)
    _checks.integer("n_lags", n_lags, minimum=1, maximum=max(1, int(Z.shape[1]) - 1))
    matrices = lagged_correlations(Z, n_lags)
    W, losses, _, _ = jointly_diagonalise(matrices, n_iter, tol, reporter(callback))
    return W, losses


def lagged_correlations(Z: Array, n_lags: int) -> Array:
    """Return the symmetric parts of R_l (n_lags, n, n) for lags from 1, on the host."""
    xp = _backend.namespace(Z)
    n, n_samples = Z.shape
    total = xp.zeros((n_lags, n, n), dtype=xp.float64, device=Z.device)
    for part in blocks(Z, _BLOCK):
        there = []
        for lag in range(1, n_lags + 1):
            stop = min(part.stop, n_samples - lag)
            now = Z[:, part.start : max(stop, part.start)]
            later = Z[:, part.start + lag : max(stop, part.start) + lag]
            there.append(now @ xp.permute_dims(later, (1, 0)))
        total = total + xp.astype(xp.stack(there), xp.float64)
    counts = n_samples - np.arange(1, n_lags + 1)
    R = np.asarray(_backend.to_host(total), np.float64) / counts[:, None, None]
    return np.asarray(0.5 * (R + np.swapaxes(R, 1, 2)))


def _warn_of_equal_spectra(correlations: Array, n_samples: int) -> None:
    n = correlations.shape[1]
    apart = np.abs(correlations[:, :, None] - correlations[:, None, :]).max(axis=0)
    limit = max(_SAME_SPECTRUM, _DEVIATIONS * (2 / n_samples) ** 0.5)
    alike = int(np.sum((apart + np.eye(n)).min(axis=0) < limit)) if n > 1 else 0
    if alike:
        warn(
            "W_SPECTRA",
            f"{alike} outputs have the same spectrum as another: nothing tells them from their mixtures.",
            stacklevel=6,
        )
