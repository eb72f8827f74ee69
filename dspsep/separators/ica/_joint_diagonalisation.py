"""One rotation that makes several symmetric matrices as diagonal as they can be: rotations of planes.

In the plane of p and q, the angle that takes most from what is off the diagonals of all matrices M_k comes
from the 2 x 2 matrix

    G = sum_k h_k h_k',    h_k = (M_k[p, p] - M_k[q, q], 2 M_k[p, q])

as theta = 1/4 atan2(2 G_12, G_11 - G_22), half the angle of its first eigenvector (Cardoso & Souloumiac
1996). A sweep turns every plane once. No rotation changes the sum of all squares, and none raises those off
the diagonals.
"""

from __future__ import annotations

import math

import numpy as np

from dspsep._typing import Array
from dspsep.separators.ica._iterations import Report, Solution

__all__ = ["diagonal_of", "jointly_diagonalise"]

_NOTHING = 1e-24


def jointly_diagonalise(matrices: Array, n_iter: int, tol: float, report: Report) -> Solution:
    """Return W with W M_k W' nearly diagonal for all symmetric M_k (n_matrices, n, n), on the host.

    The losses are the part of all squares that lies off the diagonals, after each sweep; they end after one
    in which no angle was above `tol`, in radians.
    """
    n = matrices.shape[1]
    # Matrices last: what belongs to one entry is one run of memory.
    M = np.ascontiguousarray(np.moveaxis(matrices, 0, 2), np.float64)
    W = np.eye(n)
    whole = float(np.sum(M * M))
    losses: list[float] = []
    ended = converged = not whole > 0
    while not ended:
        largest = 0.0
        for p in range(n - 1):
            for q in range(p + 1, n):
                angle = _angle(M, p, q, whole)
                largest = max(largest, abs(angle))
                if angle:
                    _rotate(M, W, p, q, angle)
        losses.append(_off_diagonal(M) / whole)
        converged = largest <= tol
        told = report(len(losses), losses[-1], W)
        converged = converged or told
        ended = converged or len(losses) == n_iter
    return Solution(W, tuple(losses), converged)


def diagonal_of(matrices: Array, W: Array) -> Array:
    """Return the diagonals (n_matrices, n) of W M_k W'."""
    return np.asarray(np.einsum("ij,kjl,il->ki", W, matrices, W, optimize=True))


def _angle(M: Array, p: int, q: int, whole: float) -> float:
    difference, twice = M[p, p] - M[q, q], M[p, q] + M[q, p]
    on = float(difference @ difference - twice @ twice)
    off = 2 * float(difference @ twice)
    # Where all directions of the plane are alike, it is rounding that would turn it, in every sweep anew.
    return 0.25 * math.atan2(off, on) if math.hypot(on, off) > _NOTHING * whole else 0.0


def _rotate(M: Array, W: Array, p: int, q: int, angle: float) -> None:
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    pair = [p, q]
    M[pair] = np.tensordot(rotation, M[pair], 1)
    M[:, pair] = np.einsum("ab,ibk->iak", rotation, M[:, pair])
    W[pair] = rotation @ W[pair]


def _off_diagonal(M: Array) -> float:
    n = M.shape[0]
    return float(np.sum(np.square(M[~np.eye(n, dtype=bool)])))
