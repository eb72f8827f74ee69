"""What `infomax` and `picard` minimise: the negative log-likelihood of W, per sample.

With y = W z and sources whose densities are proportional to exp(-f_i),

    L(W) = -log |det W| + sum_i E[f_i(y_i)],
    f_i(y) = s_i log cosh y + y^2 / 2,    s_i = +1 or -1        (extended),
    f_i(y) = log cosh y                                         (not extended)

and its relative gradient, by which L((I + e) W) = L(W) + <G, e> + ..., is

    G = E[f'(y) y'] - I,    f'_i = s_i tanh y + y  or  tanh y

(Bell & Sejnowski 1995; Lee, Girolami & Sejnowski 1999). Among rotations (`ortho`), neither the determinant
nor the variance moves: what is left of it is L(W) = sum_i s_i E[log cosh y_i], and of G its skew part.

A source is peaked, s_i = +1, if E[psi'(y)] E[y^2] - E[psi(y) y] > 0, psi = tanh: then a demixing matrix is a
stable point of descent. It is zero for a Gaussian.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.ica._iterations import covariance
from dspsep.separators.ica._moments import Moments, moments

__all__ = ["Likelihood", "Point", "precondition"]

# A source that has changed its sign this often is as good as Gaussian, and stays what it is.
_MOST_SWITCHES = 4
# Variances below this part of the largest are rounding.
_SINGULAR = 1e-14


class Point(NamedTuple):
    """A matrix, and what is known of its outputs.

    Parameters
    ----------
    W : array of shape (n, n)
        The matrix.
    found : Moments
        Means over its outputs.
    C : array of shape (n, n)
        Their covariance.
    loss : float
        L(W), for the signs of the moment.
    rounding : float
        By how much the loss may be wrong.
    """

    W: Array
    found: Moments
    C: Array
    loss: float
    rounding: float


class Likelihood:
    """The objective for some signals: it knows the signs of the sources, and decides them.

    Parameters
    ----------
    Z : array of shape (n, n_samples)
        The signals.
    extended : bool
        Whether sources may be flatter than a Gaussian.
    ortho : bool, default=False
        Whether W is a rotation, and Z white.
    """

    def __init__(self, Z: Array, *, extended: bool, ortho: bool = False) -> None:
        self._Z, self._extended, self._ortho = Z, extended, ortho
        with np.errstate(over="ignore", invalid="ignore"):
            self._covariance = covariance(Z)
        self._eps = float(_backend.namespace(Z).finfo(Z.dtype).eps)
        n = int(Z.shape[0])
        self.signs = np.ones(n)
        self._switches = np.zeros(n, np.int64)

    def start(self, W: Array) -> Point:
        """Return what is known of the matrix that an algorithm begins with.

        Raises
        ------
        InputError
            If it has no loss, or there is none that is least.
        """
        point = self.at(W)
        if point is None:
            raise InputError("Z", "neither silent nor too loud", "signals whose likelihood is no number")
        variances = np.linalg.eigvalsh(self._covariance)
        # What is silent in some direction is the likelier the more it is amplified, without end.
        if not variances[0] > _SINGULAR * variances[-1]:
            raise InputError(
                "Z",
                "neither silent nor of less rank than it has rows",
                f"variances from {variances[0]:.2g} to {variances[-1]:.2g}",
                "Use Z, K, m = dspsep.whiten(X) first.",
            )
        return point

    def at(self, W: Array) -> Point | None:
        """Return what is known of a matrix; None if it is singular, or its loss no number."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = moments(W, self._Z, with_curvature=not self._ortho)
            C = W @ self._covariance @ W.T
            loss, size = self._loss(W, found, C)
        return Point(W, found, C, loss, self._eps * size) if math.isfinite(loss) else None

    def decide_signs(self, point: Point) -> tuple[Point, bool]:
        """Return the point with the signs that its outputs have, and whether they are others than before."""
        if not self._extended:
            return point, False
        peaked = point.found.slope * np.diag(point.C) - np.diag(point.found.score)
        signs = np.where(peaked < 0, -1.0, 1.0)
        changes = (signs != self.signs) & (self._switches < _MOST_SWITCHES)
        if not changes.any():
            return point, False
        self._switches += changes
        self.signs = np.where(changes, signs, self.signs)
        loss, size = self._loss(point.W, point.found, point.C)
        return point._replace(loss=loss, rounding=self._eps * size), True

    def gradient(self, point: Point) -> Array:
        """Return the relative gradient; among rotations its skew part."""
        G = self.signs[:, None] * point.found.score
        if self._ortho:
            return 0.5 * (G - G.T)
        return G + (point.C if self._extended else 0) - np.eye(len(G))

    def _loss(self, W: Array, found: Moments, C: Array) -> tuple[float, float]:
        """Return the loss, and the sum of its terms' sizes."""
        terms = self.signs * found.log_cosh
        if not self._ortho:
            terms = np.append(terms, -np.linalg.slogdet(W)[1])
            if self._extended:
                terms = np.append(terms, 0.5 * np.diag(C))
        return float(np.sum(terms)), float(np.sum(np.abs(terms)))

    def newton(self, point: Point, least: float) -> tuple[Array, Array | None]:
        """Return the entries of an approximate Hessian, made definite: see `precondition`."""
        if self._ortho:
            bent = self.signs * (point.found.slope - np.diag(point.found.score))
            return np.maximum(0.5 * (bent[:, None] + bent[None, :]), least), None
        assert point.found.curvature is not None  # noqa: S101 - for type checkers
        H = self.signs[:, None] * point.found.curvature
        if self._extended:
            H = H + np.diag(point.C)[None, :]
        # Of [[H_ij, 1], [1, H_ji]], the smaller eigenvalue.
        smaller = 0.5 * (H + H.T - np.sqrt((H - H.T) ** 2 + 4))
        H = H + np.where(np.eye(len(H), dtype=bool), 0, np.maximum(least - smaller, 0))
        return H, np.maximum(1 + np.diag(H), least)


def precondition(hessian: tuple[Array, Array | None], G: Array) -> Array:
    """Return the approximate Hessian's inverse times a matrix.

    It couples an entry with the one across the diagonal alone: H_ij D_ij + D_ji = G_ij. Among rotations,
    where D_ji = -D_ij, it is diagonal.
    """
    H, diagonal = hessian
    if diagonal is None:
        return G / H
    off = np.where(np.eye(len(G), dtype=bool), 1, H * H.T - 1)
    D = (H.T * G - G.T) / off
    np.fill_diagonal(D, np.diag(G) / diagonal)
    return D
