"""Which frames are alike: directions of magnitudes, and the peaks of their products."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for

__all__ = ["check_neighbors", "directions_of", "similar_to"]


def directions_of(V: Array) -> Array:
    """Return the mean over channels of frame-major magnitudes, each frame divided by its norm, if any."""
    xp = _backend.namespace(V)
    mean = V[0, ...] if V.shape[0] == 1 else xp.mean(V, axis=0)
    # By the largest first: no square overflows or vanishes.
    largest = xp.max(mean, axis=1, keepdims=True)
    there = largest >= xp.finfo(V.dtype).smallest_normal
    scaled = mean / xp.where(there, largest, xp.ones_like(largest))
    norm = xp.sqrt(xp.sum(scaled * scaled, axis=1, keepdims=True))
    directions: Array = xp.where(
        there, scaled / xp.where(there, norm, xp.ones_like(norm)), xp.zeros_like(mean)
    )
    return directions


def similar_to(
    directions: Array, block: slice, threshold: float, distance: int, most: int, n_past: int | None = None
) -> Array:
    """Return for the frames of a block which of all frames are similar, themselves first; -1 for none.

    With `n_past`, only so many frames before each are looked at, and none after it.
    """
    xp = _backend.namespace(directions)
    similarity = directions[block, :] @ xp.permute_dims(directions, (1, 0))
    # More alike than itself is nothing, even in silence.
    own = xp.arange(block.start, block.stop, device=directions.device)[:, None]
    within = similarity[:, block]
    similarity[:, block] = xp.where(own == xp.permute_dims(own, (1, 0)), xp.full_like(within, 2), within)
    if n_past is not None:
        every = xp.arange(directions.shape[0], device=directions.device)[None, :]
        seen = (every <= own) & (every >= own - n_past)
        similarity = xp.where(seen, similarity, xp.full_like(similarity, -1))
    return kernels_for(directions).similar_frames(similarity, threshold, distance, most)


def check_neighbors(neighbors: Array) -> None:
    """Refuse what are no lists of frames, (n_frames, n_neighbors): a model may come from a file."""
    xp = _backend.namespace(neighbors)
    if neighbors.ndim != 2 or 0 in neighbors.shape or not xp.isdtype(neighbors.dtype, "integral"):
        got = f"{neighbors.dtype} of shape {tuple(neighbors.shape)}"
        raise InputError("neighbors", "integers of shape (n_frames, n_neighbors)", got)
    lowest, highest = _backend.to_host(xp.stack([xp.min(neighbors), xp.max(neighbors)])).tolist()
    if lowest < -1 or highest >= neighbors.shape[0]:
        got = f"numbers from {lowest} to {highest}"
        raise InputError("neighbors", f"frames below {neighbors.shape[0]}, or -1", got)
