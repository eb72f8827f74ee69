"""Which source of one frequency is which of another: by when they are heard.

Sources start and stop, so the shares of one source over time are alike in all frequencies, and those of
others are not (Sawada, Araki & Makino 2011). Frequencies join one after the other, those whose sources are
told apart best first; then all are compared with the mean of all until nothing changes; and then each with
its neighbours and with half and twice the frequency, which say more of it than the mean does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["alignment"]

# Rounds that are allowed for either step; both end when nothing changes.
_GLOBAL_ROUNDS, _LOCAL_ROUNDS = 20, 5
# How many frequencies on either side are neighbours, also of half and twice the frequency.
_NEAR, _NEAR_HARMONICS = 3, 1

_Order = npt.NDArray[np.int64]


def alignment(shares: Array) -> _Order:
    """Return which of the sources of each frequency is which source: (n_freqs, n_sources), on the host.

    `shares` (n_sources, n_freqs, n_frames) are what the sources have of every bin. They come to the host.
    """
    n_sources, n_freqs, n_frames = (int(length) for length in shares.shape)
    order = np.tile(np.arange(n_sources), (n_freqs, 1))
    if n_sources == 1 or n_frames == 1:
        return order
    # One frequency after the other: what belongs together lies together.
    curves = np.array(np.moveaxis(_backend.to_host(shares), 1, 0), order="C")
    curves -= curves.mean(axis=2, keepdims=True)
    contrast = np.square(curves).sum(axis=(1, 2))
    norms = np.sqrt(np.square(curves).sum(axis=2, keepdims=True))
    curves /= np.where(norms > 0, norms, 1)
    total = np.zeros(curves.shape[1:], np.float64)
    for f in np.argsort(-contrast, kind="stable"):
        order[f] = _best(curves[f], total)
        total += curves[f, order[f]]
    for _ in range(_GLOBAL_ROUNDS):
        before = order.copy()
        for f in range(n_freqs):
            order[f] = _best(curves[f], total)
        if (order == before).all():
            break
        total = np.take_along_axis(curves, order[:, :, None], axis=1).sum(axis=0, dtype=np.float64)
    aligned = np.take_along_axis(curves, order[:, :, None], axis=1)
    for _ in range(_LOCAL_ROUNDS):
        changed = False
        for f in range(n_freqs):
            best = _best(aligned[f], aligned[_related(f, n_freqs)].sum(axis=0))
            if (best != np.arange(n_sources)).any():
                order[f], aligned[f], changed = order[f, best], aligned[f, best], True
        if not changed:
            break
    return order


def _best(curves: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> _Order:
    """Return which of some curves goes with each of those that are wanted."""
    likeness = wanted @ curves.T
    found: _Order = linear_sum_assignment(likeness, maximize=True)[1]
    return found


def _related(f: int, n_freqs: int) -> list[int]:
    """Return neighbours, and those of half and twice the frequency, without itself."""
    near = set(range(f - _NEAR, f + _NEAR + 1))
    for centre in (f // 2, 2 * f):
        near.update(range(centre - _NEAR_HARMONICS, centre + _NEAR_HARMONICS + 1))
    return sorted(other for other in near if 0 <= other < n_freqs and other != f)
