"""Kernel backfitting: models of all sources, each smoothed over what its kernel says is near.

With V the magnitudes, a source j is modelled by A_j, of the size of V, and P_j = A_j**a, where a is the
exponent. A round takes the mixture apart by the models of the round before, and makes each model anew
(Liutkus et al. 2014, algorithm 1):

    Y_j = V P_j / sum_i P_i,        A_j[f, t] = median of Y_j over the bins that are near (f, t)

In the first round all models are alike, so Y_j is V, up to a factor that all have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for

__all__ = ["backfit", "masks_of", "medians_of_pattern"]

# Values that are gathered at a time.
_BLOCK = 2**21

Medians = Callable[[Array], Array]


def backfit(
    V: Array, medians: Sequence[Medians], exponent: float, n_iter: int, report: Callable[[int], bool | None]
) -> tuple[list[Array], int]:
    """Return the models P_j of all sources, and how many rounds were made.

    Parameters
    ----------
    V : array of shape (n_channels, n_frames, n_freqs)
        Magnitudes, frame-major. Channels count by the mean of their powers.
    medians : sequence of callable
        One for each source: from magnitudes to medians over its kernel, of the same shape.
    exponent : float
        What models are powers of.
    n_iter : int
        Rounds, at least one.
    report : callable
        Called with the number of rounds that are done. True ends them.

    Returns
    -------
    models : list of array of shape (1, n_frames, n_freqs)
        Up to a factor that all have.
    n_done : int
        Rounds that were made.
    """
    V = _mean_of_channels(V)
    models = [_power(median(V), exponent) for median in medians]
    done = 1
    while not report(done) and done < n_iter:
        for number, share in enumerate(_shares(models)):
            # The shares are made of the sums of the round before, so a model can be replaced at once.
            models[number] = _power(medians[number](V * share), exponent)
        done += 1
    return models, done


def masks_of(models: list[Array], n_parts: Sequence[int]) -> Iterator[Array]:
    """Yield a mask (1, n_frames, n_freqs) for each source, of which each has so many of the models."""
    xp = _backend.namespace(*models)
    each = _shares(models)
    for n in n_parts:
        mask = next(each)
        for _ in range(n - 1):
            mask = mask + next(each)
        # A sum of shares may be above one by a rounding.
        yield xp.clip(mask, 0, 1)


def _shares(models: list[Array]) -> Iterator[Array]:
    """Yield what each model has of the sum of all, and an equal part where all are zero.

    The sum is made before the first is yielded, so that a model can be replaced when its share is known.
    """
    xp = _backend.namespace(*models)
    total = models[0]
    for model in models[1:]:
        total = total + model
    # What is below the smallest normal number has no finite inverse.
    silent = total < xp.finfo(total.dtype).smallest_normal
    inverse = 1 / xp.where(silent, xp.ones_like(total), total)
    del total
    equal = xp.where(silent, xp.full_like(inverse, 1 / len(models)), xp.zeros_like(inverse))
    inverse = xp.where(silent, xp.zeros_like(inverse), inverse)
    del silent
    for number in range(len(models)):
        yield models[number] * inverse + equal


def medians_of_pattern(values: Array, bins: np.ndarray, frames: np.ndarray) -> Array:
    """Return medians (n_channels, n_frames, n_freqs) over bins that are so many bins and frames away.

    Edges are mirrored, the edge repeated. The spectrogram is laid beside itself, shifted by each number of
    bins that there is, as many frames of it as are near with that; so what is near are frames, and
    `median_of_frames` does the rest, a block at a time.
    """
    xp = _backend.namespace(values)
    kernels = kernels_for(values)
    n_channels, n_frames, n_freqs = values.shape
    shifts, which = np.unique(bins, return_inverse=True)
    first, last = (np.zeros_like(shifts) for _ in range(2))
    first[which], last[which] = frames, frames
    np.minimum.at(first, which, frames)
    np.maximum.at(last, which, frames)
    high, early, late = int(np.abs(bins).max()), int(frames.min()), int(frames.max())
    rows = _backend.asarray_like(_mirrored(-high, n_freqs + high, n_freqs), values)
    result: Array = xp.empty_like(values)
    step = max(1, _BLOCK // (n_channels * n_freqs * len(shifts)))
    for start in range(0, n_frames, step):
        stop = min(start + step, n_frames)
        near = _backend.asarray_like(_mirrored(start + early, stop + late, n_frames), values)
        block = xp.take(xp.take(values, near, axis=1), rows, axis=2)
        beside = [
            block[:, low - early : stop - start + top - early, high + shift : high + shift + n_freqs]
            for shift, low, top in zip(shifts.tolist(), first.tolist(), last.tolist(), strict=True)
        ]
        # Where each begins among all of them, and its frames in it.
        n_near = stop - start + last - first
        places = (np.cumsum(n_near) - n_near - first)[which] + frames
        lists = np.arange(stop - start)[:, None] + places[None, :]
        lists = _backend.asarray_like(lists, values)
        result[:, start:stop, :] = kernels.median_of_frames(xp.concat(beside, axis=1), lists)
    return result


def _mirrored(start: int, stop: int, n: int) -> np.ndarray:
    """Return where positions `start` to `stop` are when the edges are mirrored, the edge repeated."""
    folded = np.arange(start, stop) % (2 * n)
    return np.minimum(folded, 2 * n - 1 - folded)


def _mean_of_channels(V: Array) -> Array:
    """Return the root of the mean power of channels, their largest between 1/2 and 1: no power overflows."""
    xp = _backend.namespace(V)
    highest = _backend.scalar(xp.max(V))
    factor = 2.0 ** -math.frexp(highest)[1] if highest > 0 else 1.0
    # Frame after frame in memory, however V lies there, and so is all that is made of it.
    mean: Array = xp.empty((1, *V.shape[1:]), dtype=V.dtype, device=V.device)
    if V.shape[0] == 1:
        mean[...] = V * factor
    else:
        mean[0, ...] = xp.sqrt(xp.mean((V * factor) ** 2, axis=0))
    return mean


def _power(values: Array, exponent: float) -> Array:
    if exponent == 1:
        return values
    return values * values if exponent == 2 else values**exponent
