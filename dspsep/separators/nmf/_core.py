"""From magnitudes to factors: scaling, the solver, and back. What every algorithm of this family calls.

V is copied once: frame-major, and scaled by the power of two that brings its mean to between 1/2 and 1. So no
power of it overflows or vanishes, thresholds are relative to it, and scaling costs no digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.nmf._history import History
from dspsep.separators.nmf._penalties import Penalties
from dspsep.separators.nmf._prior import Prior
from dspsep.separators.nmf._settings import solver_for
from dspsep.separators.nmf._solvers import Factors, Report, Task, solve
from dspsep.separators.nmf._updates import Objective, blocks

__all__ = ["FLOOR", "Prepared", "Weights", "factorise", "mask_of", "prepare"]

#: What is added to the model, and for beta <= 0 the least value of V, relative to the mean of V. Its cube is
#: still far from the smallest number of single precision.
FLOOR = 2.0**-33


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """Weights of penalties without a unit: those of data with a mean of one."""

    l1: float = 0.0
    l2: float = 0.0
    continuity: float = 0.0
    #: Which components continuity is for, ones and zeros; all if it is not given.
    tied: Array | None = None
    #: What is known of templates: in units of the scaled values, as it is made of them.
    prior: Prior | None = None

    @property
    def squares(self) -> bool:
        """Whether there is a quadratic one."""
        return self.l2 > 0 or self.continuity > 0

    def penalties(self, mean: float, beta: float) -> Penalties:
        """Return them in units of data with a mean, so that they weigh the same whatever that is."""
        first, second = mean ** (beta - 1), mean ** (beta - 2)
        return Penalties(
            l1=self.l1 * first,
            l2=self.l2 * second,
            continuity=self.continuity * second,
            tied=self.tied,
            prior=self.prior,
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """Magnitudes to work on.

    Parameters
    ----------
    values : array of shape (n_frames, n_freqs)
        ``V * 2.0 ** exponent``, contiguous, and not below ``FLOOR * mean`` if beta <= 0.
    exponent : int
        Of the scale.
    mean : float
        Of the scaled values: from 1/2 to 1, or 0 if all of them are.
    """

    values: Array
    exponent: int
    mean: float

    def objective(
        self, beta: float, weights: Weights | None = None, history: History | None = None
    ) -> Objective:
        """Return what is minimised on these values; the history is that of values not yet scaled."""
        penalties = Penalties() if weights is None or not self.mean else weights.penalties(self.mean, beta)
        return Objective(
            beta=beta,
            floor=0.0 if beta == 2 else FLOOR * self.mean,
            penalties=penalties,
            history=None if history is None else history.scaled(self.exponent),
        )

    def scaled(self, H: Array) -> Array:
        """Return activations of V as those of the scaled values."""
        return _scaled(H, self.exponent)

    def restored(self, H: Array) -> Array:
        """Return activations of the scaled values as those of V."""
        return _scaled(H, -self.exponent)

    def loss_scale(self, beta: float) -> float:
        """Return what turns an objective of the scaled values into one of V."""
        return float(2.0 ** max(-1000.0, min(-self.exponent * beta, 1000.0)))


def prepare(V: Array, beta: float) -> Prepared:
    """Return magnitudes V (n_freqs, n_frames) or (n_channels, n_freqs, n_frames) to work on, in one copy.

    Several channels become the root of their mean square: one spectrogram that has the energy of all.
    """
    xp = _backend.namespace(V)
    frames = xp.permute_dims(V, (1, 0) if V.ndim == 2 else (0, 2, 1))  # as it mostly lies in memory
    values = xp.empty(frames.shape[-2:], dtype=V.dtype, device=V.device)
    highest = _backend.scalar(xp.max(V))
    if not highest:
        values[...] = 0
        return Prepared(values, 0, 0.0)
    exponent = -math.frexp(highest)[1]
    where = blocks(values)
    total = 0.0
    for block in where:
        # Scaled by the largest first: squares of channels, and their sum, stay within the range.
        part = _scaled(frames[..., block, :], exponent)
        if V.ndim == 3:
            part = part[0, ...] if V.shape[0] == 1 else xp.sqrt(xp.mean(part * part, axis=0))
        values[block, :] = part
        total += _backend.scalar(xp.sum(part, dtype=xp.float64))
    mean = total / (values.shape[0] * values.shape[1])
    fraction, further = math.frexp(mean)
    least = FLOOR * fraction if beta <= 0 else 0.0
    for block in where:
        part = _scaled(values[block, :], -further)
        values[block, :] = xp.clip(part, least, None) if least else part
    return Prepared(values, exponent - further, fraction)


def factorise(
    prepared: Prepared,
    W: Array,
    H: Array,
    *,
    beta: float,
    solver: str = "auto",
    n_iter: int = 200,
    tol: float = 0.0,
    weights: Weights | None = None,
    history: History | None = None,
    fixed_templates: Array | None = None,
    fixed_activations: Array | None = None,
    report: Report | None = None,
) -> Factors:
    """Factorise what was prepared from frame-major factors of the *scaled* values, which are not changed.

    Silence has no activations, and nothing to learn templates from: those stay.
    """
    xp = _backend.namespace(prepared.values, W, H)
    if not prepared.mean:
        return Factors(W, xp.zeros_like(H), (0.0,))
    weights = Weights() if weights is None else weights
    chosen = solver_for(solver, beta, squares=weights.squares)
    task = Task(
        objective=prepared.objective(beta, weights, history),
        solver=chosen,  # type: ignore[arg-type]  # one of them: `check_divergence` has seen to it
        n_iter=n_iter,
        tol=tol,
        fixed_templates=fixed_templates,
        fixed_activations=fixed_activations,
    )
    return solve(task, prepared.values, W, H, report)


def mask_of(name: str, fixed: object, like: Array, n_components: int) -> Array | None:
    """Return what says which of the components, or of the entries of a paper's factor, are fixed."""
    if fixed is None:
        return None
    xp = _backend.namespace(like)
    array = _backend.asarray_like(_backend.as_array(name, fixed), like)
    if not xp.isdtype(array.dtype, "bool") or tuple(array.shape) not in ((n_components,), tuple(like.shape)):
        requirement = f"booleans of shape ({n_components},) or {tuple(like.shape)}"
        raise InputError(name, requirement, f"{array.dtype} of shape {tuple(array.shape)}")
    return array


def _scaled(values: Array, exponent: int) -> Array:
    """Return ``values * 2.0 ** exponent``: one temporary array, unless the scale leaves single precision."""
    if abs(exponent) <= 120:
        return values * 2.0**exponent
    half = exponent // 2
    return (values * 2.0**half) * 2.0 ** (exponent - half)
