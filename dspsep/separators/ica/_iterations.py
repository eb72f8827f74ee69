"""What the algorithms of the family have in common: what they begin with, tell, and give back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.ica._whitening import blocks, on_host, signals

__all__ = [
    "PublicCallback",
    "Report",
    "Solution",
    "check_flag",
    "check_iterations",
    "covariance",
    "least_tolerance",
    "random_rotation",
    "reporter",
    "stalled",
    "white_signals",
]

#: Told the number of iterations, the loss and the matrix so far; ends the iterations by returning True.
Report: TypeAlias = Callable[[int, float, Array], bool]
PublicCallback: TypeAlias = Callable[[int, float], bool | None]

# How far from the identity the covariance of white signals may be.
_WHITE = 1e-3


class Solution(NamedTuple):
    """What an algorithm found.

    Parameters
    ----------
    W : array of shape (n, n)
        Demixes white signals. On the host, in double precision.
    losses : tuple of float
        What the iterations lowered, after each of them.
    converged : bool
        Whether they ended because nothing was left to do, or because they were told to.
    switches : tuple of int
        The iterations before which the sign of a source changed, and the loss with it.
    """

    W: Array
    losses: tuple[float, ...]
    converged: bool
    switches: tuple[int, ...] = ()


def random_rotation(n: int, seed: int) -> Array:
    """Return an orthogonal matrix drawn from all of them alike."""
    Q, R = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return Q * np.sign(np.diag(R))


def reporter(callback: PublicCallback | None) -> Report:
    """Return what reports to the callback of a public function."""
    return lambda iteration, loss, _: callback is not None and bool(callback(iteration, loss))


def least_tolerance(tol: float, Z: Array) -> float:
    """Return the tolerance of a mean over samples, or what rounding leaves of it if that is more."""
    return max(tol, 32 * float(_backend.namespace(Z).finfo(Z.dtype).eps))


def covariance(Z: Array) -> Array:
    """Return E[z z'] on the host."""
    xp = _backend.namespace(Z)
    total = xp.zeros((Z.shape[0], Z.shape[0]), dtype=xp.float64, device=Z.device)
    for part in blocks(Z):
        block = xp.astype(Z[:, part], xp.float64)
        total = total + block @ xp.permute_dims(block, (1, 0))
    return on_host(total, int(Z.shape[1]))


def white_signals(Z: object) -> Array:
    """Return `Z` if it is a matrix of finite, white signals."""
    checked = signals("Z", Z)
    with np.errstate(over="ignore", invalid="ignore"):
        error = float(np.abs(covariance(checked) - np.eye(checked.shape[0])).max())
    if not error <= _WHITE:
        raise InputError(
            "Z",
            "white: of unit variance, without correlation",
            f"a covariance that is off by {error:.2g}",
            "Use Z, K, m = dspsep.whiten(X) first.",
        )
    return checked


def check_iterations(n_iter: object, tol: object, seed: object = 0) -> None:
    """Refuse settings out of range."""
    _checks.integer("n_iter", n_iter, minimum=1)
    _checks.number("tol", tol, minimum=0, maximum=1)
    _checks.integer("seed", seed, minimum=0)


def stalled(largest: float, Z: Array) -> bool:
    """Tell whether a gradient is so small that rounding hides what a step would lower."""
    return largest <= 8 * math.sqrt(_backend.namespace(Z).finfo(Z.dtype).eps)


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(name, "True or False", repr(value)[:80])
