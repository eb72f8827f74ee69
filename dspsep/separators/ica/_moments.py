"""What nonlinear algorithms ask of the signals, in one pass over blocks that stay in the cache.

Products and functions are in the precision of the signals; what is added up over blocks, and all that is done
with small matrices, is in double precision, on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array
from dspsep.separators.ica._whitening import blocks, matrix_like, on_host

__all__ = ["CONTRASTS", "GAUSSIAN", "Moments", "fixed_point_moments", "log_cosh_means", "moments"]

#: The mean of log cosh of a Gaussian of unit variance.
GAUSSIAN = 0.37456720749143


class Moments(NamedTuple):
    """Means over the outputs y = W z, with psi = tanh.

    Parameters
    ----------
    log_cosh : array of shape (n,)
        E[log cosh y_i].
    score : array of shape (n, n)
        E[psi(y_i) y_j].
    slope : array of shape (n,)
        E[psi'(y_i)].
    curvature : array of shape (n, n) or None
        E[psi'(y_i) y_j^2].
    """

    log_cosh: Array
    score: Array
    slope: Array
    curvature: Array | None


def moments(W: Array, Z: Array, *, with_curvature: bool) -> Moments:
    """Return what the likelihood of W needs, whatever the signs of the sources."""
    xp = _backend.namespace(Z)
    there = matrix_like(W, Z)
    n = int(W.shape[0])
    total = xp.zeros((n, 2 + n * (1 + with_curvature)), dtype=xp.float64, device=Z.device)
    for part in blocks(Z):
        y = there @ Z[:, part]
        psi = xp.tanh(y)
        slope = 1 - psi * psi
        found = [_log_cosh_sums(y)[:, None], xp.sum(slope, axis=1, keepdims=True)]
        found.append(psi @ xp.permute_dims(y, (1, 0)))
        if with_curvature:
            found.append(slope @ xp.permute_dims(y * y, (1, 0)))
        total = total + xp.astype(xp.concat(found, axis=1), xp.float64)
    means = on_host(total, int(Z.shape[1]))
    curvature = means[:, 2 + n :] if with_curvature else None
    return Moments(means[:, 0], means[:, 2 : 2 + n], means[:, 1], curvature)


def log_cosh_means(W: Array, Z: Array) -> Array:
    """Return E[log cosh y_i]."""
    xp = _backend.namespace(Z)
    there = matrix_like(W, Z)
    total = xp.zeros((W.shape[0],), dtype=xp.float64, device=Z.device)
    for part in blocks(Z):
        total = total + xp.astype(_log_cosh_sums(there @ Z[:, part]), xp.float64)
    return on_host(total, int(Z.shape[1]))


def _log_cosh_sums(y: Array) -> Array:
    """Return the sum of log cosh of each row: |y| + log(1 + exp(-2 |y|)) - log 2."""
    xp = _backend.namespace(y)
    size = xp.abs(y)
    terms = size + xp.log(1 + xp.exp(-2 * size))
    return xp.sum(terms, axis=1) - math.log(2) * y.shape[1]  # type: ignore[no-any-return]


def _log_cosh(y: Array) -> tuple[Array, Array]:
    psi = _backend.namespace(y).tanh(y)
    return psi, 1 - psi * psi


def _exp(y: Array) -> tuple[Array, Array]:
    square = y * y
    bell = _backend.namespace(y).exp(-0.5 * square)
    return y * bell, (1 - square) * bell


def _cube(y: Array) -> tuple[Array, Array]:
    square = y * y
    return y * square, 3 * square


#: Functions g and their derivatives, by the name of what they are the derivative of.
CONTRASTS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "logcosh": _log_cosh,
    "exp": _exp,
    "cube": _cube,
}


def fixed_point_moments(W: Array, Z: Array, contrast: str) -> tuple[Array, Array]:
    """Return E[g(y) z'] and E[g'(y)], with y = W z and W of any number of rows."""
    xp = _backend.namespace(Z)
    there = matrix_like(W, Z)
    function = CONTRASTS[contrast]
    n_rows, n = W.shape
    total = xp.zeros((n_rows, n + 1), dtype=xp.float64, device=Z.device)
    for part in blocks(Z):
        z = Z[:, part]
        g, slope = function(there @ z)
        found = [g @ xp.permute_dims(z, (1, 0)), xp.sum(slope, axis=1, keepdims=True)]
        total = total + xp.astype(xp.concat(found, axis=1), xp.float64)
    means = on_host(total, int(Z.shape[1]))
    return means[:, :-1], means[:, -1]
