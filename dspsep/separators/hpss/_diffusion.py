"""The iterations of `IterativeHPSS`: one array for what is smooth in time, one for the rest."""

from __future__ import annotations

import math

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.progress import Callback, Progress

__all__ = ["diffuse"]

# Once in so many iterations the callback is told of the loss, which leaves the device for it.
_REPORTED_EVERY = 10


def diffuse(
    V: Array, weight: float, exponent: float, n_iter: int, callback: Callback | None
) -> tuple[Array, Array, tuple[float, ...]]:
    """Return H, P and the losses for V (n_channels, n_freqs, n_frames), after `n_iter` steps or fewer."""
    xp = _backend.namespace(V)
    W = _compressed(xp.permute_dims(V, (0, 2, 1)), exponent)  # frame-major, as it lies in memory
    del V
    H = 0.5 * W
    P = W - H
    losses: list[Array] = []
    for done in range(n_iter + 1):
        along_time = H[:, 1:, :] - H[:, :-1, :]
        along_frequency = P[:, :, 1:] - P[:, :, :-1]
        losses.append(weight * _energy(along_time) + (1 - weight) * _energy(along_frequency))
        if _ends(callback, done, n_iter, losses[-1]) or done == n_iter:
            break
        flow = (weight / 4) * _second_difference(along_time, 1)
        flow = flow - ((1 - weight) / 4) * _second_difference(along_frequency, 2)
        H = xp.minimum(xp.maximum(H + flow, xp.zeros_like(W)), W)
        P = W - H
    values = tuple(_backend.to_host(xp.stack(losses)).tolist())  # one trip from the device for all of them
    return xp.permute_dims(H, (0, 2, 1)), xp.permute_dims(P, (0, 2, 1)), values


def _compressed(V: Array, exponent: float) -> Array:
    """Return V ** exponent, V scaled by the power of two that brings its largest to between 1/2 and 1."""
    xp = _backend.namespace(V)
    highest = _backend.scalar(xp.max(V))
    compressed: Array = _audio.times_power_of_two(V, -math.frexp(highest)[1]) ** exponent
    return compressed


def _energy(values: Array) -> Array:
    xp = _backend.namespace(values)
    energy: Array = xp.sum(values * values, dtype=xp.float64)
    return energy


def _second_difference(differences: Array, axis: int) -> Array:
    """Return the differences of differences, none flowing over the edges."""
    xp = _backend.namespace(differences)
    shape = list(differences.shape)
    shape[axis] = 1
    edge = xp.zeros(tuple(shape), dtype=differences.dtype, device=differences.device)
    second: Array = xp.concat([differences, edge], axis=axis) - xp.concat([edge, differences], axis=axis)
    return second


def _ends(callback: Callback | None, done: int, n_iter: int, loss: Array) -> bool:
    """Tell the callback, where it is time to, and return whether it wants no more."""
    if callback is None or not done or (done % _REPORTED_EVERY and done != n_iter):
        return False
    progress = Progress(stage="fit", iteration=done, n_iterations=n_iter, loss=_backend.scalar(loss))
    return bool(callback(progress))
