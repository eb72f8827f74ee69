"""Mean, covariance and whitening: what every algorithm of the family begins with.

With C = E[(x - m)(x - m)'] = E D E', eigenvalues D descending, the whitened signals

    z = K (x - m),    K = D^(-1/2) E'

have unit variance and no correlation, so that what is left to find is near a rotation. Directions whose
eigenvalue is next to nothing beside the largest are left out: what they have is rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = [
    "MOST_EXPONENT",
    "RANK_TOLERANCE",
    "Whitening",
    "blocks",
    "matrix_like",
    "on_host",
    "signals",
    "whiten",
    "whitening",
]

#: A direction counts if its variance is more than this part of the largest: 100 dB below it, there is nothing
#: that was recorded, and single precision has some 44 dB of what is left.
RANK_TOLERANCE = 1e-10
#: What has to be scaled up by such a power of two has no matrix within the range of double precision.
MOST_EXPONENT = 980
# What is constant varies by the rounding of its mean: this part of its square.
_CONSTANT = 1e-24
# What a block of samples may have, with a handful of temporaries, to stay in the cache; and how much work
# OpenBLAS does without copying its factors into an order of its own first, which costs more than the product.
_BLOCK, _SMALL_PRODUCT, _LEAST, _MOST = 2**16, 900_000, 256, 2**14


class Whitening(NamedTuple):
    """What makes signals white, on the host and in double precision.

    K is (rank, n_channels), and m (n_channels,) what is taken away first.
    """

    K: Array
    m: Array


def whiten(X: Array, *, n_components: int | None = None) -> tuple[Array, Array, Array]:
    """Return signals without mean and correlation, of unit variance.

    What `fastica`, `infomax`, `picard`, `jade` and `sobi` work on. With what they find, W, the demixing
    matrix of `X` is ``W @ K``.

    Parameters
    ----------
    X : array of shape (n_channels, n_samples)
        Finite signals. Never changed.
    n_components : int, optional
        Keep this many directions at most, those with the largest variance. By default all that there are.

    Returns
    -------
    Z : array of shape (rank, n_samples)
        ``K @ (X - m[:, None])``, in the precision of `X`.
    K : array of shape (rank, n_channels)
        The whitening matrix, in double precision, on the host.
    m : array of shape (n_channels,)
        The means, in double precision, on the host.

    Raises
    ------
    InputError
        If `X` is no matrix of finite numbers.

    See Also
    --------
    FastICA : The separator that does it all.

    Notes
    -----
    Directions whose variance is below 1e-10 of the largest (100 dB below it) are left out, so that the rank
    may be less than the number of channels: with a dead channel, or mono saved as stereo.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import whiten
    >>> rng = np.random.default_rng(0)
    >>> X = np.array([[2.0, 1.0], [1.0, 3.0]]) @ rng.standard_normal((2, 1000)) + 5
    >>> Z, K, m = whiten(X)
    >>> bool(abs(Z @ Z.T / 1000 - np.eye(2)).max() < 1e-12), bool(abs(K @ (X - m[:, None]) - Z).max() < 1e-12)
    (True, True)
    >>> whiten(np.stack([X[0], X[0]]))[0].shape
    (1, 1000)
    """
    X = signals("X", X)
    if n_components is not None:
        _checks.integer("n_components", n_components, minimum=1)
    xp = _backend.namespace(X)
    # Squares of what is very loud or very faint leave the range of double precision.
    exponent = _audio.safe_exponent(_backend.scalar(xp.max(xp.abs(X))))
    scaled = _audio.times_power_of_two(X, exponent) if exponent else X
    white = whitening(scaled, n_components if exponent < MOST_EXPONENT else 0)
    return apply(white, scaled), np.ldexp(white.K, exponent), np.ldexp(white.m, -exponent)


def whitening(X: Array, n_components: int | None = None) -> Whitening:
    """Return what makes finite signals white; of a constant, nothing (a rank of 0)."""
    xp = _backend.namespace(X)
    n_channels, n_samples = X.shape
    sums = sum(xp.sum(X[:, part], axis=1, dtype=xp.float64) for part in blocks(X))
    mean = sums / n_samples
    covariance = xp.zeros((n_channels, n_channels), dtype=xp.float64, device=X.device)
    for part in blocks(X):
        centred = xp.astype(X[:, part], xp.float64) - mean[:, None]
        covariance = covariance + centred @ xp.permute_dims(centred, (1, 0))
    host = _backend.to_host(xp.concat([covariance / n_samples, mean[:, None]], axis=1))
    C, m = host[:, :-1], host[:, -1]
    variances, vectors = np.linalg.eigh(C)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    loudest = variances[0]
    there = variances > RANK_TOLERANCE * loudest
    if not loudest > _CONSTANT * float(np.max(m * m)):
        there[:] = False
    rank = int(there.sum()) if n_components is None else min(int(there.sum()), n_components)
    return Whitening(vectors[:, :rank].T / np.sqrt(variances[:rank, None]), m)


def apply(white: Whitening, X: Array) -> Array:
    """Return white signals in the precision of `X`."""
    xp = _backend.namespace(X)
    K, m = (_backend.asarray_like(values, X) for values in white)
    Z: Array = xp.empty((K.shape[0], X.shape[1]), dtype=X.dtype, device=X.device)
    for part in blocks(X):
        Z[:, part] = xp.astype(K @ (xp.astype(X[:, part], xp.float64) - m[:, None]), X.dtype)
    return Z


def blocks(X: Array, length: int | None = None) -> Iterator[slice]:
    """Yield runs of samples; on a device one, since there is no cache to stay in."""
    n_rows, n_samples = X.shape
    if not _backend.is_numpy(X):
        step = n_samples
    elif length is None:
        most = min(_BLOCK // max(1, n_rows), _SMALL_PRODUCT // max(1, n_rows) ** 2)
        step = min(max(_LEAST, most), _MOST)
    else:
        step = length
    for first in range(0, n_samples, step):
        yield slice(first, min(first + step, n_samples))


def signals(name: str, value: object) -> Array:
    """Return `value` if it is a matrix of finite numbers, one signal a row."""
    X = _backend.real_floating(name, value)
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(name, "of shape (n_channels, n_samples)", f"{tuple(X.shape)}")
    xp = _backend.namespace(X)
    if not bool(_backend.to_host(xp.all(xp.isfinite(X)))):
        raise InputError(name, "finite", "NaN or infinite numbers")
    return X


def matrix_like(matrix: Array, Z: Array) -> Array:
    """Return a small matrix of the host where signals live, and in their precision."""
    xp = _backend.namespace(Z)
    return xp.astype(_backend.asarray_like(matrix, Z), Z.dtype)  # type: ignore[no-any-return]


def on_host(total: Array, n_samples: int) -> Array:
    """Return sums over samples as means, on the host."""
    return np.asarray(_backend.to_host(total), np.float64) / n_samples
