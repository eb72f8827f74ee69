"""A matrix as low rank plus sparse: augmented Lagrange multipliers, one thin factorisation for each step.

With multipliers Y, weight mu and thresholds lambda, an iteration of the method is (Lin, Chen & Ma 2010)

    S <- shrink(V - L + Y / mu, lambda / mu)
    L <- U max(Sigma - 1 / mu, 0) W',    U Sigma W' = V - S + Y / mu
    Y <- Y + mu (V - L - S),             mu <- rho mu

What is done here is the same with fewer arrays. What shrinking leaves is what clipping keeps, so the matrix
that is factorised is ``G = L + clip(V - L + Q, lambda / mu)`` with ``Q = Y / mu``, and the new multiplier is
what the factorisation leaves: ``Y = mu (G - L)``. So S and Y need no arrays, and as L is kept as two factors
and multiplied out in blocks of frames, there are V, G and Q, and one sweep over them for each iteration.

All but the last iterations are done in single precision, whatever the input's: each factorises V anew, less
what is clipped, so rounding is not handed on but in Y, which it changes by a hundredth of a step.

Only singular values above 1 / mu matter, few at first. They come from a subspace that is kept from one
iteration to the next (it hardly turns), and widened by random directions as the rank grows (Halko, Martinsson
& Tropp 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["RHO", "LowRank", "Pursuit", "pursue", "tolerance_of"]

#: How fast the weight of the constraint grows, and what it begins with, over the largest singular value.
RHO, _MU = 1.5, 1.25
# A subspace is wider than the rank by a fifth and ten: room for growth, and for the last ones to be accurate.
_NEEDED, _WIDER, _MORE, _SPARE = 1.1, 1.4, 10, 3
# One more power iteration costs little while subspaces are narrower than this part of the smaller side.
_NARROW = 1 / 8
# Singular values from products of columns are rounding below this part of the largest.
_FAINT = 1e-7
# A thin factorisation of nearly everything costs more than that of everything.
_NEARLY_ALL = 0.75
# What a block of frames and its temporaries may have, to stay in the cache; and one that is multiplied out,
# since its other factor is read for each.
_BLOCK, _PRODUCT = 2**15, 2**18
# Single precision will do down to this residual, of which its rounding is a thirtieth; and until mu is this
# many times the inverse of the largest singular value, as 1 / mu must be above rounding, too.
_ROUGH, _STEEP = 3e-6, 1e6


class LowRank(NamedTuple):
    """The product of (n_frames, rank) and (rank, n_freqs); the rows of the latter are orthonormal."""

    left: Array
    right: Array

    def rows(self, part: slice) -> Array:
        """Return some frames."""
        return self.left[part, :] @ self.right


@dataclass(frozen=True, kw_only=True)
class Pursuit:
    """What to look for.

    Parameters
    ----------
    max_rank : int or None
        How many singular values may be kept; None for all.
    n_iter : int
        The most iterations.
    tol : float
        They end where the norm of V - L - S is this part of that of V.
    seed : int
        Of the directions that widen the subspace.
    """

    max_rank: int | None
    n_iter: int
    tol: float
    seed: int


def tolerance_of(tol: float, V: Array) -> float:
    """Return the tolerance, or what rounding leaves of a residual if that is more."""
    return max(tol, 8 * float(_backend.namespace(V).finfo(V.dtype).eps))


def pursue(
    V: Array, thresholds: Array, task: Pursuit, report: Callable[[int, float], bool] | None = None
) -> tuple[LowRank, Array, tuple[float, ...]]:
    """Return the low-rank part of V (n_frames, n_freqs), the sparse part, and the residuals.

    V is not zero, and far from where squares overflow. `thresholds`, (1 or n_freqs,), is what an entry of the
    sparse part costs, singular values costing one.
    `report` is told the number of iterations and the residual, and ends them by returning True.
    """
    xp = _backend.namespace(V)
    tol = tolerance_of(task.tol, V)
    largest = _largest_singular_value(V)
    mu = _MU / largest
    dual = max(largest, _backend.scalar(xp.max(V / thresholds)))
    single, costs = (xp.astype(array, xp.float32, copy=False) for array in (V, thresholds))
    parts = _Parts(single, costs, mu, dual)
    subspace = _Subspace(V, task)
    residuals: list[float] = []
    while True:
        low_rank = subspace.soften(parts.G, 1 / mu)
        before, mu = mu, RHO * mu
        residuals.append(parts.go_on(low_rank, before, mu))
        # After the first iteration, L + S may happen to be V, as for a constant, and more than least.
        ended = len(residuals) == task.n_iter or (residuals[-1] <= tol and len(residuals) > 1)
        if (report is not None and report(len(residuals), residuals[-1])) or ended:
            parts.refine(V, thresholds)
            return LowRank(*(xp.astype(side, V.dtype) for side in low_rank)), parts.sparse(), tuple(residuals)
        if residuals[-1] <= _ROUGH or mu * largest >= _STEEP:
            parts.refine(V, thresholds)
            subspace.refine(V.dtype)


class _Parts:
    """V, what is factorised next, and the multiplier over mu."""

    def __init__(self, V: Array, thresholds: Array, mu: float, dual: float) -> None:
        self._V, self._thresholds = V, thresholds
        self._norm = _norm([_energy(V[part, :]) for part in _blocks(V, _BLOCK)])
        self._multiplier = V / (mu * dual)
        self.G = _clip(V + self._multiplier, thresholds / mu)

    def refine(self, V: Array, thresholds: Array) -> None:
        """Go on in the precision of V, which is what was given, or better than that."""
        if V.dtype != self._V.dtype:
            self._V, self._thresholds = V, thresholds
            xp = _backend.namespace(V)
            self.G = xp.astype(self.G, V.dtype)
            self._multiplier = xp.astype(self._multiplier, V.dtype)

    def go_on(self, low_rank: LowRank, before: float, mu: float) -> float:
        """Take the low-rank part, prepare the next factorisation, and return the residual."""
        limit = self._thresholds / mu
        squares = []
        for wide in _blocks(self._V, _PRODUCT):
            whole = low_rank.rows(wide)
            for part in _blocks(whole, _BLOCK):
                L, V, G, Q = (
                    array[part, :]
                    for array in (whole, self._V[wide, :], self.G[wide, :], self._multiplier[wide, :])
                )
                # What the factorisation leaves; then what is missing, of either sign.
                G -= L
                Q -= G
                squares.append(_energy(Q))
                G *= before / mu
                Q[:, :] = G
                G += V
                G -= L
                L += _clip(G, limit)
                G[:, :] = L
        return _norm(squares) / self._norm

    def sparse(self) -> Array:
        """Return what shrinking makes of the rest, in the place of G, which has what clipping keeps of it."""
        for part in _blocks(self._V, _BLOCK):
            # V - L + Q - clip(V - L + Q), and G = L + clip(V - L + Q).
            self.G[part, :] = self._V[part, :] + self._multiplier[part, :] - self.G[part, :]
        return self.G


def _clip(values: Array, limit: Array) -> Array:
    clipped: Array = _backend.namespace(values).clip(values, -limit, limit)
    return clipped


def _blocks(V: Array, size: int) -> Iterator[slice]:
    """Yield runs of frames of so many numbers; on a device one, since there is no cache to stay in."""
    n_frames, n_freqs = V.shape
    step = max(1, size // n_freqs) if _backend.is_numpy(V) else n_frames
    for first in range(0, n_frames, step):
        yield slice(first, min(first + step, n_frames))


def _energy(values: Array) -> Array:
    """Return the sum of squares of a block, which is small enough to add up in its own precision."""
    xp = _backend.namespace(values)
    if not _backend.is_numpy(values):
        return xp.sum(values * values, dtype=xp.float64)  # type: ignore[no-any-return]
    flat = xp.reshape(values, (-1,))
    return xp.asarray(flat @ flat, dtype=xp.float64)  # type: ignore[no-any-return]


def _norm(squares: list[Array]) -> float:
    xp = _backend.namespace(squares[0])
    return float(np.sqrt(_backend.scalar(xp.sum(xp.stack(squares)))))


def _largest_singular_value(V: Array) -> float:
    """Return it to some digits, from below: what it decides is where to begin."""
    xp = _backend.namespace(V)
    vector = xp.sum(V, axis=0)
    for _ in range(8):
        vector = vector / xp.max(vector)
        vector = (V @ vector) @ V
    vector = vector / xp.sqrt(xp.sum(vector * vector))
    return float(np.sqrt(_backend.scalar(xp.sum((V @ vector) ** 2))))


class _Subspace:
    """Directions that hold the singular vectors that were kept, and more: of frames and bins in turns.

    An orthonormal basis of one side, multiplied by G, gives singular values, and a basis of the other side
    that fits better. So an iteration takes one product with G where the subspace is wide enough, and some
    more where it is widened.
    """

    def __init__(self, V: Array, task: Pursuit) -> None:
        self._xp = _backend.namespace(V)
        self._all = min(V.shape)
        self._max_rank = self._all if task.max_rank is None else min(task.max_rank, self._all)
        self._basis: Array | None = None  # orthonormal columns, of the side that `_of_frames` says
        self._of_frames = False
        self._rank = 0
        self._rng = np.random.default_rng(task.seed)

    def refine(self, dtype: object) -> None:
        """Go on in another precision."""
        if self._basis is not None:
            self._basis = self._xp.astype(self._basis, dtype)

    def soften(self, G: Array, by: float) -> LowRank:
        """Return G with singular values lowered by `by`, and without those below it."""
        width = round(_NEEDED * self._rank) + _MORE
        while True:
            width = min(width, self._max_rank + _MORE)
            if width > _NEARLY_ALL * self._all:
                return self._of_all(G, by)
            basis = self._wide_enough(G, width)
            width = int(basis.shape[1])
            if self._of_frames:
                rank, right, values, left = self._inside(_transposed(G), basis, by)
            else:
                rank, left, values, right = self._inside(G, basis, by)
            self._of_frames = not self._of_frames
            if rank <= width - _SPARE or width > self._max_rank:
                break
            width = round(_WIDER * width) + _MORE
        self._rank = rank = min(rank, self._max_rank)
        softened = self._xp.astype(values[:rank] - by, G.dtype)
        left = left[:, :rank] * softened
        return LowRank(left, _transposed(right[:, :rank]))

    def _inside(self, G: Array, basis: Array, by: float) -> tuple[int, Array, Array, Array]:
        """Return how many singular values exceed `by`, and left vectors, values and right vectors in a basis.

        The left ones are the next basis. There may be fewer of them than there are in the basis.
        """
        xp = self._xp
        inside = G @ basis
        # The products of columns have the squares of the singular values, which need double precision.
        exact = xp.astype(inside, xp.float64)
        squares, vectors = xp.linalg.eigh(_transposed(exact) @ exact)
        squares, vectors = xp.flip(squares), xp.flip(vectors, axis=1)
        values = xp.sqrt(xp.maximum(squares, xp.zeros_like(squares)))
        # Below some part of the largest, it is rounding that points somewhere.
        faintest = max(_FAINT, 4 * float(xp.finfo(G.dtype).eps)) * values[0]
        n_there = self._count(values, faintest)
        self._basis = inside @ xp.astype(vectors[:, :n_there] / values[:n_there], G.dtype)
        rank = min(self._count(values, by), n_there)
        return rank, self._basis, values, basis @ xp.astype(vectors[:, :rank], G.dtype)

    def _wide_enough(self, G: Array, width: int) -> Array:
        """Return an orthonormal basis of the side that `_of_frames` says; of rows if it is widened."""
        basis = self._basis
        have = 0 if basis is None else int(basis.shape[1])
        if basis is not None and have >= width:
            return basis
        width = min(round(_WIDER * width), self._max_rank + _MORE)
        xp = self._xp
        if basis is not None and self._of_frames:
            basis = _transposed(G) @ basis
        drawn = self._rng.standard_normal((int(G.shape[1]), width - have))
        random = xp.astype(_backend.asarray_like(drawn, G), G.dtype)
        # Directions that G has much of.
        random = _transposed(G) @ (G @ random)
        wide = random if basis is None else xp.concat([basis, random], axis=1)
        self._of_frames = False
        span: Array = xp.linalg.qr(wide).Q
        for _ in range(1 + (width <= _NARROW * self._all)):
            span = xp.linalg.qr(_transposed(G) @ (G @ span)).Q
        return span

    def _count(self, values: Array, least: float | Array) -> int:
        return int(_backend.scalar(self._xp.sum(self._xp.astype(values > least, self._xp.int64))))

    def _of_all(self, G: Array, by: float) -> LowRank:
        xp = self._xp
        span, values, vectors = xp.linalg.svd(G, full_matrices=False)
        rank = self._rank = min(self._count(values, by), self._max_rank)
        self._basis, self._of_frames = _transposed(vectors[: min(rank + _MORE, self._all), :]), False
        return LowRank(span[:, :rank] * (values[:rank] - by), vectors[:rank, :])


def _transposed(matrix: Array) -> Array:
    return _backend.namespace(matrix).permute_dims(matrix, (1, 0))  # type: ignore[no-any-return]
