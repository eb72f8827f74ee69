"""The iterations of `IterativeHPSS`: one array for what is smooth in time, one for the rest."""

from __future__ import annotations

import math

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
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
    losses: list[Array] = []
    step = kernels_for(W).diffusion_step
    for done in range(n_iter + 1):
        following, loss = step(W, H, weight)
        losses.append(loss)
        if _ends(callback, done, n_iter, loss) or done == n_iter:
            break
        H = following
    values = tuple(_backend.to_host(xp.stack(losses)).tolist())  # one trip from the device for all of them
    return xp.permute_dims(H, (0, 2, 1)), xp.permute_dims(W - H, (0, 2, 1)), values


def _compressed(V: Array, exponent: float) -> Array:
    """Return V ** exponent, V scaled by the power of two that brings its largest to between 1/2 and 1."""
    xp = _backend.namespace(V)
    highest = _backend.scalar(xp.max(V))
    compressed: Array = _audio.times_power_of_two(V, -math.frexp(highest)[1]) ** exponent
    return compressed


def _ends(callback: Callback | None, done: int, n_iter: int, loss: Array) -> bool:
    """Tell the callback, where it is time to, and return whether it wants no more."""
    if callback is None or not done or (done % _REPORTED_EVERY and done != n_iter):
        return False
    progress = Progress(stage="fit", iteration=done, n_iterations=n_iter, loss=_backend.scalar(loss))
    return bool(callback(progress))
