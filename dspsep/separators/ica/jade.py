"""JADE: fourth-order cumulants as matrices, and the one rotation that makes them all diagonal.

With white signals z, the cumulant matrix of a pair (i, j) is

    Q_ij[k, l] = E[z_i z_j z_k z_l] - d_ij d_kl - d_ik d_jl - d_il d_jk

(d being 1 for equal indices). For independent sources y = W z, all of them are made diagonal by W. That of
samples is nearly so, and W is the rotation that makes the Q_ij as diagonal as they can be together (Cardoso &
Souloumiac 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.separators.ica._core import InstantaneousSeparator
from dspsep.separators.ica._iterations import (
    PublicCallback,
    Report,
    Solution,
    check_iterations,
    covariance,
    reporter,
    white_signals,
)
from dspsep.separators.ica._joint_diagonalisation import jointly_diagonalise
from dspsep.separators.ica._whitening import blocks, on_host

__all__ = ["JADE", "jade"]


@final
@dataclass(frozen=True, kw_only=True)
class JADE(InstantaneousSeparator):
    """Separation of instantaneous mixtures by joint diagonalisation of fourth-order cumulants.

    For recordings in which each source is in all channels at once, at levels that do not change. There is no
    function to choose, nothing to begin with, and one pass over the samples.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for, in the directions with the most energy; the rest is a ``residual``. None
        for as many as there are channels.
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
    jade : The algorithm as a function of white signals.
    SOBI : The same rotations for correlations over time.

    Notes
    -----
    Sources are named ``source_0``, ``source_1``, ..., by the energy of their images, loudest first. The
    losses of the model are the part of all squares that lies off the diagonals, after each sweep. Kurtosis is
    what tells sources apart here, and a few loud samples decide it.

    Deviation from the paper: all n (n + 1) / 2 matrices, instead of the n eigenmatrices with the largest
    eigenvalues, as is usual for real signals.

    Cost: O(n_sources^4 n_samples), and O(n_sources^5) for a sweep. Peak memory beside the input and the
    sources: one array of the size of the mixture, and 3 n_sources^4 numbers.

    References
    ----------
    J.-F. Cardoso, A. Souloumiac, "Blind beamforming for non-Gaussian signals", IEE Proceedings F 140(6),
    1993, pp. 362-370. doi:10.1049/ip-f-2.1993.0054

    J.-F. Cardoso, A. Souloumiac, "Jacobi angles for simultaneous diagonalization", SIAM Journal on Matrix
    Analysis and Applications 17(1), 1996, pp. 161-164. doi:10.1137/S0895479893259546

    Examples
    --------
    >>> import numpy as np, dspsep
    >>> from dspsep.metrics import amari_index
    >>> rng = np.random.default_rng(0)
    >>> mixing = np.array([[1.0, 0.6], [0.4, 1.0]])
    >>> true = np.stack([rng.laplace(size=16000), rng.uniform(-1, 1, 16000)])
    >>> sources = dspsep.JADE().separate(mixing @ true, 16000)
    >>> amari_index(sources.model.demixing, mixing) < 0.02
    True
    """

    n_iter: int = 100
    tol: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_iter", "tol"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_iterations(self.n_iter, self.tol)
        object.__setattr__(self, "tol", float(self.tol))

    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        return jointly_diagonalise(cumulant_matrices(Z), self.n_iter, self.tol, report)


def jade(
    Z: Array, *, n_iter: int = 100, tol: float = 1e-8, callback: PublicCallback | None = None
) -> tuple[Array, tuple[float, ...]]:
    """Return the rotation that makes the fourth-order cumulants of white signals most diagonal.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        White signals, as from `whiten`. Never changed.
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
    JADE : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import jade, whiten
    >>> rng = np.random.default_rng(0)
    >>> Z, K, m = whiten(np.array([[1.0, 0.6], [0.4, 1.0]]) @ rng.laplace(size=(2, 5000)))
    >>> W, losses = jade(Z)
    >>> bool(abs(W @ W.T - np.eye(2)).max() < 1e-12), losses[-1] < 0.01
    (True, True)
    """
    check_iterations(n_iter, tol)
    matrices = cumulant_matrices(white_signals(Z))
    W, losses, _, _ = jointly_diagonalise(matrices, n_iter, tol, reporter(callback))
    return W, losses


def cumulant_matrices(Z: Array) -> Array:
    """Return Q_ij (n (n + 1) / 2, n, n) for all i <= j, on the host.

    Those of i < j count twice, as Q_ij and Q_ji: they come with a factor sqrt 2, since it is squares that are
    added up.
    """
    xp = _backend.namespace(Z)
    n = int(Z.shape[0])
    i, j = np.triu_indices(n)
    total = xp.zeros((len(i), len(i)), dtype=xp.float64, device=Z.device)
    rows = [_backend.asarray_like(index, Z) for index in (i, j)]
    # Products of pairs are more rows than the signals: shorter blocks.
    for part in blocks(Z, max(256, 2**16 // len(i))):
        z = Z[:, part]
        pairs = xp.take(z, rows[0], axis=0) * xp.take(z, rows[1], axis=0)
        total = total + xp.astype(pairs @ xp.permute_dims(pairs, (1, 0)), xp.float64)
    fourth = on_host(total, int(Z.shape[1]))
    C = covariance(Z)
    place = np.zeros((n, n), np.int64)
    place[i, j] = place[j, i] = np.arange(len(i))
    Q = fourth[:, place]
    Q -= C[i, j][:, None, None] * C
    crossed = C[i][:, :, None] * C[j][:, None, :]
    Q -= crossed + np.swapaxes(crossed, 1, 2)
    return np.asarray(np.where(i == j, 1, np.sqrt(2))[:, None, None] * Q)
