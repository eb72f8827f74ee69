"""Updates of a convolutive model: templates that last several frames.

Frame-major, as in `_updates.py`, with L lags: W (L * n_components, n_freqs), where row l * n_components + k
is frame l of template k; H (n_frames, n_components). With copies of H side by side, each a lag later than the
one before and filled with zeros,

    S(H)[t, l * n_components + k] = H[t - l, k],        model = S(H) W

is a factorisation whose activations are tied. Templates are updated as if they were not. An activation occurs
once for each lag, so that its numerator is the sum of theirs, and its denominator likewise:

    N_H[t, k] = sum over l of N_S[t + l, l * n_components + k]

All occurrences move together. This is what majorisation-minimisation proves (the bound of the objective is a
sum over occurrences); to update lag by lag and take the mean is not proved, and the objective can rise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.nmf._updates import Objective, blocks, collect, energy_of, multiplied, on_host

__all__ = ["Report", "Task", "shifted", "solve"]

#: Called after each iteration with its number, the objective, and frame-major factors; True ends.
Report: TypeAlias = Callable[[int, float, Array, Array], bool]

# How often `tol` is looked at.
_CHECKED_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be done.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    n_iter : int
        The most iterations.
    tol : float
        They end where ten of them lower the objective by less than this part of what it was at first.
    hold : int
        Iterations at the start in which no template is changed.
    fixed_templates, fixed_activations : array of bool, optional
        What is never changed: something that broadcasts to W, and to H.
    """

    objective: Objective
    n_iter: int
    tol: float = 0.0
    hold: int = 0
    fixed_templates: Array | None = None
    fixed_activations: Array | None = None


def solve(
    task: Task, V: Array, W: Array, H: Array, report: Report | None = None
) -> tuple[Array, Array, tuple[float, ...]]:
    """Return frame-major factors, and the objective at the start and after each iteration.

    An iteration updates the templates, then the activations. The factors given are not changed.
    """
    objective = task.objective
    if objective.beta == 2 and objective.energy is None:
        objective = replace(objective, energy=energy_of(V))
    n_lags = W.shape[0] // H.shape[1]
    copies = shifted(H, n_lags)
    losses: list[Array | float] = []
    while True:
        moments = collect(objective, V, W, copies)
        losses.append(moments.loss)
        done = len(losses) - 1
        if done and report is not None and report(done, on_host([moments.loss])[0], W, H):
            return W, H, tuple(on_host(losses))
        if _ends(task, losses):
            return W, H, tuple(on_host(losses))
        if done >= task.hold:
            following = multiplied(W, moments.numerator, moments.denominator, objective.exponent)
            W = _keeping(task.fixed_templates, W, following)
        following = multiplied(H, *_pulls(objective, V, W, copies, n_lags), objective.exponent)
        H = _keeping(task.fixed_activations, H, following)
        copies = shifted(H, n_lags)


def shifted(H: Array, n_lags: int) -> Array:
    """Return S(H), (n_frames, n_lags * n_components)."""
    xp = _backend.namespace(H)
    n_frames, n_components = H.shape
    before = xp.zeros((n_lags - 1, n_components), dtype=H.dtype, device=H.device)
    padded = xp.concat([before, H], axis=0)
    last = n_lags - 1
    copies: Array = xp.concat(
        [padded[last - lag : last - lag + n_frames, :] for lag in range(n_lags)], axis=1
    )
    return copies


def _pulls(objective: Objective, V: Array, W: Array, copies: Array, n_lags: int) -> tuple[Array, Array]:
    """Return numerator and denominator of the activations, (n_frames, n_components)."""
    xp = _backend.namespace(V, W)
    beta = objective.beta
    n_frames, width = copies.shape
    transposed = xp.permute_dims(W, (1, 0))
    gram = W @ transposed if beta == 2 else None
    numerator = xp.empty((n_frames, width), dtype=W.dtype, device=W.device)
    # For beta 1 the denominator is the sum of the template, whatever the frame.
    denominator = xp.broadcast_to(xp.sum(W, axis=1)[None, :], (n_frames, width))
    if beta != 1:
        denominator = xp.empty_like(numerator)
    for block in blocks(V):
        values = V[block, :]
        if gram is not None:
            numerator[block, :], denominator[block, :] = values @ transposed, copies[block, :] @ gram
            continue
        weighted, plain, _ = kernels_for(values).divergence_terms(
            values, copies[block, :] @ W, objective.floor, beta, False
        )
        numerator[block, :] = weighted @ transposed
        if plain is not None:
            denominator[block, :] = plain @ transposed
    return _over_lags(numerator, n_lags), _over_lags(denominator, n_lags)


def _over_lags(pulls: Array, n_lags: int) -> Array:
    """Return the sum over lags l of ``pulls[t + l, l * n_components + k]``: the transpose of `shifted`."""
    xp = _backend.namespace(pulls)
    n_frames, n_components = pulls.shape[0], pulls.shape[1] // n_lags
    total: Array = xp.zeros((n_frames, n_components), dtype=pulls.dtype, device=pulls.device)
    for lag in range(min(n_lags, n_frames)):
        column = lag * n_components
        total[: n_frames - lag, :] += pulls[lag:, column : column + n_components]
    return total


def _ends(task: Task, losses: list[Array | float]) -> bool:
    done = len(losses) - 1
    if done >= task.n_iter:
        return True
    if not task.tol or done < _CHECKED_EVERY or done % _CHECKED_EVERY or done <= task.hold:
        return False
    first, before, now = on_host([losses[0], losses[-1 - _CHECKED_EVERY], losses[-1]])
    return before - now < task.tol * first


def _keeping(fixed: Array | None, old: Array, new: Array) -> Array:
    if fixed is None:
        return new
    kept: Array = _backend.namespace(old).where(fixed, old, new)
    return kept
