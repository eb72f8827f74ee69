"""The order of updates: multiplicative, accelerated, and by coordinates.

The accelerated solver goes beyond where an update leads, in the direction from the last update to this one.
It does so in the logarithm of the factors, where they stay positive and zeros stay zero,

    Y = X_1 * (X_1 / X_0) ** momentum,        momentum = (t - 1) / t',    t' = t + 1 / 4

and updates from Y next. The sequence t grows half as fast as Nesterov's, and is halved where it did harm. The
objective at Y comes with the moments there, so each trial costs one pass and is accepted only if it is no
higher than at the last Y. If it is higher, the plain update takes its place, for which majorisation
proves that it is not. Where a larger exponent than that of majorisation is tried, as for beta below 1, that
falls back in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias, cast

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.nmf._updates import (
    Moments,
    Objective,
    Step,
    blocks,
    collect,
    energy_of,
    multiplied,
    on_host,
    sweep,
)

__all__ = ["Factors", "Report", "Solver", "Task", "solve"]

Solver = Literal["mu", "accelerated", "hals"]
#: Called after each iteration with its number, the objective, and frame-major factors; True ends.
Report: TypeAlias = Callable[[int, float, Array, Array], bool]

# Sweeps of coordinate descent for each product with V, and how often `tol` is looked at.
_N_SWEEPS, _CHECKED_EVERY = 2, 10
# How t grows. On music Nesterov's sequence, some 1/2, takes a third more iterations with 32 components.
_GROWTH = 0.25


class Factors(NamedTuple):
    """Frame-major factors, and the objective at the start and after each iteration."""

    W: Array
    H: Array
    losses: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be done: all that does not change from iteration to iteration.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    solver : {"mu", "accelerated", "hals"}
        How.
    n_iter : int
        Iterations.
    tol : float
        They end where ten of them lower the objective by less than this part of what it was at first.
    fixed_templates, fixed_activations : array of bool, optional
        What is never changed: of the shapes of W and H, or (n_components,).
    """

    objective: Objective
    solver: Solver
    n_iter: int
    tol: float = 0.0
    fixed_templates: Array | None = None
    fixed_activations: Array | None = None


def solve(task: Task, V: Array, W: Array, H: Array, report: Report | None = None) -> Factors:
    """Factorise frame-major V from given factors, which are not changed."""
    if task.objective.beta == 2 and task.objective.energy is None:
        task = replace(task, objective=replace(task.objective, energy=energy_of(V)))
    run = {"mu": _multiplicative, "accelerated": _accelerated, "hals": _coordinates}[task.solver]
    return run(task, V, W, H, _Progress(task, report))


class _Progress:
    """The losses so far, and whether to go on. They stay on a device until they are asked for."""

    def __init__(self, task: Task, report: Report | None) -> None:
        self._task, self._report = task, report
        self.losses: list[Array | float] = []

    def ends(self, loss: Array | float, W: Array, H: Array) -> bool:
        losses, task = self.losses, self._task
        losses.append(loss)
        done = len(losses) - 1
        if done and self._report is not None and self._report(done, on_host([loss])[0], W, H):
            return True
        if done >= task.n_iter:
            return True
        if not task.tol or not done or done % _CHECKED_EVERY:
            return False
        first, before, now = on_host([losses[0], losses[-1 - _CHECKED_EVERY], loss])
        return before - now < task.tol * first

    def factors(self, W: Array, H: Array) -> Factors:
        return Factors(W, H, tuple(on_host(self.losses)))


def _multiplicative(task: Task, V: Array, W: Array, H: Array, progress: _Progress) -> Factors:
    objective = task.objective
    moments = collect(objective, V, W, H)
    step = Step(objective.exponent)
    while not progress.ends(moments.loss, W, H):
        W = _next_templates(task, W, moments, step.exponent)
        H, _, moments = sweep(objective, V, W, H, step, fixed=task.fixed_activations)
    return progress.factors(W, H)


def _next_templates(task: Task, W: Array, moments: Moments, exponent: float) -> Array:
    fixed = task.fixed_templates
    kept = fixed[:, None] if fixed is not None and fixed.ndim == 1 else fixed
    return multiplied(W, moments.numerator, moments.denominator, exponent, kept)


def _accelerated(task: Task, V: Array, W: Array, H: Array, progress: _Progress) -> Factors:
    objective, fixed = task.objective, task.fixed_activations
    safe, bold = objective.exponent, _bold(objective)
    moments = _weighed(collect(objective, V, W, H))
    last_W, last_H, t = W, H, 1.0
    while not progress.ends(moments.loss, W, H):
        following = t + _GROWTH
        momentum = (t - 1) / following
        # Without momentum the trial is the update itself.
        new_W = _next_templates(task, W, moments, bold)
        ahead = _beyond(new_W, last_W, momentum)
        step = Step(bold, _beyond_in(last_H, momentum) if momentum else None)
        new_H, trial_H, trial = sweep(objective, V, new_W, H, step, ahead=ahead, fixed=fixed)
        trial = _weighed(trial)
        if trial.loss <= moments.loss:
            W, H, moments, last_W, last_H, t = ahead, trial_H, trial, new_W, new_H, following
            continue
        t = max(1.0, t / 2)
        if momentum:
            trial = _weighed(collect(objective, V, new_W, new_H))
            if trial.loss <= moments.loss:
                W, H, moments, last_W, last_H = new_W, new_H, trial, new_W, new_H
                continue
        if bold == safe:  # the update itself does no better: rounding is all that is left
            return _finished(progress, moments.loss, W, H)
        bold = safe
    return progress.factors(W, H)


def _weighed(moments: Moments) -> Moments:
    """Return moments whose loss is on the host: what comes next depends on it."""
    return moments._replace(loss=on_host([moments.loss])[0])


def _finished(progress: _Progress, loss: Array | float, W: Array, H: Array) -> Factors:
    progress.ends(loss, W, H)
    return progress.factors(W, H)


def _bold(objective: Objective) -> float:
    """Return the exponent that is tried: 1 below beta 1, where that is faster, but not always a descent."""
    return max(objective.exponent, 1.0) if objective.beta < 1 else objective.exponent


def _beyond(new: Array, last: Array, momentum: float) -> Array:
    """Return ``new * (new / last) ** momentum``, where zeros stay zero."""
    return kernels_for(new).extrapolated(new, last, momentum) if momentum else new


def _beyond_in(last: Array, momentum: float) -> Callable[[Array, slice], Array]:
    return lambda new, block: _beyond(new, last[block, :], momentum)


def _coordinates(task: Task, V: Array, W: Array, H: Array, progress: _Progress) -> Factors:
    objective = task.objective
    kernels = kernels_for(V)
    sweeps = kernels.coordinate_sweeps
    xp = _backend.namespace(V, W, H)
    l1 = objective.penalties.l1
    kept_W = _spread(task.fixed_templates, W, rows=True)
    kept_H = _spread(task.fixed_activations, H, rows=False)
    kept_H = None if kept_H is None else xp.permute_dims(kept_H, (1, 0))
    moments = collect(objective, V, W, H)
    while not progress.ends(moments.loss, W, H):
        numerator, gram = moments.numerator, cast("Array", moments.gram)
        if objective.penalties.prior is not None:
            gram = objective.penalties.prior.of_gram(gram)
        if l1:
            numerator = numerator - l1 * xp.sum(H, axis=0)[:, None]
        W = sweeps(numerator, gram, W, kept_W, _N_SWEEPS)
        gram = W @ xp.permute_dims(W, (1, 0))
        updated = xp.empty_like(H)
        for block in blocks(V):
            pull = kernels.product_with_transposed(V[block, :], W)
            if l1:
                pull = pull - l1 * xp.sum(W, axis=1)[None, :]
            kept = None if kept_H is None else kept_H[:, block]
            old = xp.permute_dims(H[block, :], (1, 0))
            new = sweeps(xp.permute_dims(pull, (1, 0)), gram, old, kept, _N_SWEEPS)
            updated[block, :] = xp.permute_dims(new, (1, 0))
        H = updated
        moments = collect(objective, V, W, H)
    return progress.factors(W, H)


def _spread(fixed: Array | None, factor: Array, *, rows: bool) -> Array | None:
    """Return what is fixed as booleans of the shape of a factor, whose components are its rows or columns."""
    if fixed is None or fixed.ndim == 2:
        return fixed
    xp = _backend.namespace(fixed, factor)
    spread: Array = xp.broadcast_to(fixed[:, None] if rows else fixed, factor.shape)
    return spread
