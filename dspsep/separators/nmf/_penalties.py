"""Penalties on activations that no rescaling escapes.

Activations can be made as small as one likes by making templates as large. So what is penalised are those of
templates that sum to one (Le Roux, Weninger & Hershey 2015): with s_k = sum_f W[k, f],

    l1 sum s_k H[t, k]  +  l2 / 2 sum (s_k H[t, k])**2  +  continuity / 2 sum (s_k (H[t, k] - H[t - 1, k]))**2

is the same for W, H and for W c, H / c. Instead of normalising templates, and following the gradient through
that, both factors are updated under this objective as it is, since each of its terms has a majoriser of the
form that multiplicative updates need (Marmin, Goulart & Fevotte 2023 for l1). Squares of differences fall
apart by (x - y)**2 <= 2 (x - m)**2 + 2 (y - m)**2, where m is the present midpoint; squares of sums by
Jensen's inequality. So the objective never rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dspsep import _backend
from dspsep._typing import Array
from dspsep.separators.nmf._prior import Prior

__all__ = ["Penalties"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Penalties:
    """Weights of penalties on the activations of templates that sum to one, in units of the data.

    `tied` says which components `continuity` is for: ones and zeros, (n_components,); all if it is not given.
    `prior` is what is known of templates.
    """

    l1: float = 0.0
    l2: float = 0.0
    continuity: float = 0.0
    tied: Array | None = None
    prior: Prior | None = None

    @property
    def quadratic(self) -> bool:
        """Whether one of them is a square."""
        return self.l2 > 0 or self.continuity > 0

    @property
    def any(self) -> bool:
        """Whether there is a penalty on activations at all."""
        return self.l1 > 0 or self.quadratic

    def value(self, W: Array, H: Array) -> Array | float:
        """Return the penalties of frame-major factors: a number where they are, or 0."""
        known = 0.0 if self.prior is None else self.prior.value(W)
        if not self.any:
            return known
        xp = _backend.namespace(W, H)
        scaled = xp.astype(H, xp.float64) * xp.sum(W, axis=1, dtype=xp.float64)[None, :]
        total = self.l1 * xp.sum(scaled) + self.l2 / 2 * xp.sum(scaled * scaled)
        steps = scaled[1:, :] - scaled[:-1, :]
        squares = self._of_tied(xp.sum(steps * steps, axis=0))
        value: Array = known + (total + self.continuity / 2 * xp.sum(squares))
        return value

    def of_activations(
        self, size: Array, H: Array
    ) -> Callable[[slice], tuple[Array | float, Array | float]] | None:
        """Return what numerators and denominators of activations gain, for a block; None if nothing.

        `size` are the sums of the templates, and H the activations that are updated.
        """
        if not self.any:
            return None

        def gains(block: slice) -> tuple[Array | float, Array | float]:
            own = H[block, :]
            size_squared = size * size
            push = self.l1 * size[None, :] + (self.l2 * size_squared)[None, :] * own
            if not self.continuity:
                return 0.0, push
            # A frame is tied to two others, or one at the ends: of the squares around midpoints
            # 4 h - 2 (m + m'), in which m + m' = h + (neighbours) / 2.
            near, n_neighbours = _neighbours(H, block)
            weight = self._of_tied(self.continuity * size_squared)[None, :]
            return weight * (n_neighbours * own + near), push + weight * (2 * n_neighbours * own)

        return gains

    def _of_tied(self, values: Array) -> Array:
        """Return values of components, with zeros for those that continuity is not for."""
        if self.tied is None:
            return values
        tied: Array = _backend.namespace(values).astype(self.tied, values.dtype)
        return values * tied

    def of_templates(self, W: Array, H: Array) -> Array | None:
        """Return what denominators of templates gain by penalties, (n_components, 1); None if nothing."""
        if not self.any:
            return None
        xp = _backend.namespace(W, H)
        steps = H[1:, :] - H[:-1, :]
        squares = self.l2 * xp.sum(H * H, axis=0)
        squares = squares + self.continuity * self._of_tied(xp.sum(steps * steps, axis=0))
        gain: Array = (self.l1 * xp.sum(H, axis=0) + squares * xp.sum(W, axis=1))[:, None]
        return gain


def _neighbours(H: Array, block: slice) -> tuple[Array, Array]:
    """Return the sum of the neighbours in time of each frame of a block, and how many there are, (n, 1)."""
    xp = _backend.namespace(H)
    n_frames = H.shape[0]
    none = xp.zeros_like(H[:1, :])
    before = H[block.start - 1 : block.stop - 1, :] if block.start else None
    if before is None:
        before = xp.concat([none, H[: block.stop - 1, :]], axis=0)
    after = H[block.start + 1 : min(block.stop + 1, n_frames), :]
    if block.stop == n_frames:
        after = xp.concat([after, none], axis=0)
    place = xp.arange(block.start, block.stop, device=H.device)
    count = xp.astype(place > 0, H.dtype) + xp.astype(place < n_frames - 1, H.dtype)
    return before + after, count[:, None]
