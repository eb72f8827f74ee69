"""Where the iterations begin: at random, or at the non-negative parts of singular vectors.

NNDSVD (Boutsidis & Gallopoulos 2008): with V = sum_j s_j u_j v_j', the first pair of vectors has one sign.
Each further u v' is u+ v+' + u- v-' less mixed terms, where u+ and u- are the positive and the negative part;
the larger of the two in norm becomes a component. Zeros would stay zero in multiplicative updates, so they
are filled with the mean (a), or with small random numbers (ar).

C. Boutsidis, E. Gallopoulos, "SVD based initialization: A head start for nonnegative matrix factorization",
Pattern Recognition 41(4), 2008, pp. 1350-1362. doi:10.1016/j.patcog.2007.09.010
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.separators.nmf._updates import blocks

__all__ = ["STARTS", "random_start", "random_templates", "start"]

STARTS = ("random", "nndsvd", "nndsvda", "nndsvdar")


def start(init: str, V: Array, n_components: int, seed: int) -> tuple[Array, Array]:
    """Return frame-major W and H for frame-major V."""
    if init == "random":
        return random_start(V, n_components, seed)
    xp = _backend.namespace(V)
    W, H = _nndsvd(V, n_components)
    # As others do: what the subtraction left near zero is zero.
    W, H = (xp.where(factor < 1e-6, xp.zeros_like(factor), factor) for factor in (W, H))
    if init == "nndsvd":
        return W, H
    mean = _mean(V)
    if init == "nndsvda":
        W, H = (xp.where(factor == 0, xp.full_like(factor, mean), factor) for factor in (W, H))
        return W, H
    noise = (
        factor * (math.sqrt(n_components * mean) / 100) for factor in random_start(V, n_components, seed)
    )
    W, H = (xp.where(factor == 0, filling, factor) for factor, filling in zip((W, H), noise, strict=True))
    return W, H


def random_start(V: Array, n_components: int, seed: int) -> tuple[Array, Array]:
    """Return absolute values of normal numbers, scaled so that the model has about the mean of V."""
    rng = np.random.default_rng(seed)
    scale = math.sqrt(_mean(V) / n_components)
    n_frames, n_freqs = V.shape
    W, H = (
        scale * np.abs(rng.standard_normal(shape))
        for shape in ((n_components, n_freqs), (n_frames, n_components))
    )
    return _like(W, V), _like(H, V)


def random_templates(n_components: int, n_freqs: int, seed: int) -> Any:
    """Return frame-major templates that sum to one: absolute values of normal numbers; NumPy."""
    drawn = np.abs(np.random.default_rng(seed).standard_normal((n_components, n_freqs)))
    return drawn / drawn.sum(axis=1, keepdims=True)


def _like(values: Array, V: Array) -> Array:
    xp = _backend.namespace(V)
    array: Array = xp.astype(_backend.asarray_like(values, V), V.dtype, copy=False)
    return array


def _mean(V: Array) -> float:
    xp = _backend.namespace(V)
    return _backend.scalar(xp.sum(V, dtype=xp.float64)) / float(V.shape[0] * V.shape[1])


def _nndsvd(V: Array, n_components: int) -> tuple[Array, Array]:
    xp = _backend.namespace(V)
    templates: list[Array] = []
    activations: list[Array] = []
    for left, value, right in _singular(V, n_components):
        if not templates:
            best, other, size = xp.abs(left), xp.abs(right), 1.0
        else:
            best, other, size = _larger_part(left, right)
        templates.append(best * math.sqrt(value * size))
        activations.append(other * math.sqrt(value * size))
    W, H = xp.stack(templates), xp.stack(activations, axis=1)
    return xp.astype(W, V.dtype), xp.astype(H, V.dtype)


def _larger_part(left: Array, right: Array) -> tuple[Array, Array, float]:
    """Return the non-negative parts of one sign, of norm one, and the product of their norms."""
    xp = _backend.namespace(left, right)
    found: tuple[Array, Array, float] | None = None
    for sign in (1, -1):
        parts = [xp.clip(sign * vector, 0, None) for vector in (left, right)]
        norms = [math.sqrt(_backend.scalar(xp.sum(part * part))) for part in parts]
        size = norms[0] * norms[1]
        if found is None or size > found[2]:
            found = parts[0] / (norms[0] or 1.0), parts[1] / (norms[1] or 1.0), size
    assert found is not None  # noqa: S101 - the loop has two rounds
    return found


def _singular(V: Array, n_components: int) -> list[tuple[Array, float, Array]]:
    """Return the leading singular vectors over frequencies and over frames, by the smaller Gram matrix."""
    xp = _backend.namespace(V)
    n_frames, n_freqs = V.shape
    wide = n_freqs <= n_frames
    side = min(n_freqs, n_frames)
    gram = xp.zeros((side, side), dtype=xp.float64, device=V.device)
    if wide:
        for block in blocks(V):
            part = xp.astype(V[block, :], xp.float64)
            gram += xp.permute_dims(part, (1, 0)) @ part
    else:
        part = xp.astype(V, xp.float64)
        gram += part @ xp.permute_dims(part, (1, 0))
    values, vectors = xp.linalg.eigh(gram)
    found = []
    nothing = (
        xp.zeros((n_freqs,), dtype=xp.float64, device=V.device),
        xp.zeros((n_frames,), dtype=xp.float64, device=V.device),
    )
    for j in range(n_components):
        value = math.sqrt(max(0.0, _backend.scalar(values[side - 1 - j]))) if j < side else 0.0
        if not value:
            found.append((nothing[0], 0.0, nothing[1]))
            continue
        vector = vectors[:, side - 1 - j]
        other = _times(V, vector, wide) / value
        found.append((vector, value, other) if wide else (other, value, vector))
    return found


def _times(V: Array, vector: Array, wide: bool) -> Array:
    """Return V times a vector over frequencies if `wide`, else over frames: block by block."""
    xp = _backend.namespace(V)
    where = blocks(V)
    if wide:
        product: Array = xp.concat([xp.astype(V[block, :], xp.float64) @ vector for block in where])
        return product
    total: Array = xp.zeros((V.shape[1],), dtype=xp.float64, device=V.device)
    for block in where:
        total += vector[block] @ xp.astype(V[block, :], xp.float64)
    return total
