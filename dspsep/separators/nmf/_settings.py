"""Checks that the algorithms of this family share: of divergences, solvers, penalties and factors."""

from __future__ import annotations

import math

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = [
    "BETA",
    "SOLVERS",
    "check_divergence",
    "check_iterations",
    "check_losses",
    "check_penalties",
    "matrix",
    "solver_for",
]

#: The betas whose powers stay within single precision, with the floor that is used.
BETA = (-1.0, 3.0)
SOLVERS = ("auto", "mu", "accelerated", "hals")
# More iterations are a slip; beyond such weights nothing but the penalty counts.
_MAX_N_ITER, _MAX_WEIGHT = 1_000_000, 1e6


def check_divergence(beta: object, solver: object, *, squares: bool) -> None:
    """Refuse what is no divergence, and solvers that do not minimise it; `squares`: a quadratic penalty."""
    remedy = "2 is Euclidean, 1 Kullback-Leibler, 0 Itakura-Saito."
    _checks.number("beta", beta, minimum=BETA[0], maximum=BETA[1], remedy=remedy)
    _checks.choice("solver", solver, SOLVERS)
    if solver == "hals" and (beta != 2 or squares):
        remedy = 'solver="auto" takes it where it can be had.'
        raise InputError(
            "solver", 'another than "hals" unless beta is 2 and l2 and continuity are 0', "'hals'", remedy
        )


def check_iterations(n_iter: object, tol: object) -> None:
    """Refuse what is no number of iterations or no tolerance."""
    _checks.integer("n_iter", n_iter, minimum=1, maximum=_MAX_N_ITER)
    _checks.number("tol", tol, minimum=0, maximum=1)


def check_penalties(l1: object, l2: object, continuity: object) -> None:
    """Refuse what are no weights."""
    for name, weight in (("l1", l1), ("l2", l2), ("continuity", continuity)):
        _checks.number(name, weight, minimum=0, maximum=_MAX_WEIGHT)


def solver_for(solver: str, beta: float, *, squares: bool) -> str:
    """Return the solver that ``"auto"`` stands for: the fastest of those that keep their promise."""
    if solver != "auto":
        return solver
    return "hals" if beta == 2 and not squares else "accelerated"


def matrix(name: str, value: object, shape: tuple[int | None, int | None], what: str) -> Array:
    """Return a finite matrix without negative numbers, of the lengths that are given."""
    array = _backend.real_floating(name, value)
    wrong = array.ndim != 2 or 0 in array.shape
    if wrong or any(wanted not in (None, found) for wanted, found in zip(shape, array.shape, strict=True)):
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(name, f"of shape {what}, here ({lengths})", f"{tuple(array.shape)}")
    xp = _backend.namespace(array)
    # NaN and infinity go through both, and there is one trip from the device.
    lowest, highest = _backend.to_host(xp.stack([xp.min(array), xp.max(array)])).tolist()
    if not (lowest >= 0 and highest < math.inf):
        raise InputError(name, "finite and not negative", f"values from {lowest:g} to {highest:g}")
    return array


def check_losses(losses: object) -> None:
    """Refuse what is no curve of an objective."""
    if not isinstance(losses, tuple) or not losses:
        raise InputError("losses", "a tuple of numbers", repr(losses)[:80])
    for loss in losses:
        _checks.number("losses", loss)
