"""Factorising a spectrogram: time for each iteration, and to the objective that others reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import music

__all__ = ["SUITE"]

_ITERATIONS, _REACHED_IN = 20, 200
# scikit-learn's epsilon is absolute: bins far below the mean would have other divergences in it.
_LEAST = 1e-6


class Problem(NamedTuple):
    """A spectrogram with a mean of one, in single precision, and the factors that all begin with."""

    V: Array
    W: Array
    H: Array
    beta: float


def _problem(beta: float, n_components: int, seconds: float) -> Problem:
    from dspsep import STFT

    samples, rate = music(seconds)
    V = STFT(2048, 512).forward(samples.mean(axis=0), rate).magnitude()[0] ** (2 if beta == 0 else 1)
    V = np.ascontiguousarray(np.maximum(V / V.mean(), _LEAST), np.float32)
    rng = np.random.default_rng(1)
    scale = np.sqrt(1 / n_components)
    W = scale * np.abs(rng.standard_normal((V.shape[0], n_components)))
    H = scale * np.abs(rng.standard_normal((n_components, V.shape[1])))
    return Problem(V, W.astype(np.float32), H.astype(np.float32), beta)


def _sklearn(solver: str, n_iter: int, problem: Problem) -> tuple[Array, Array]:
    import warnings

    from sklearn.decomposition import NMF

    V, W, H, beta = problem
    model = NMF(W.shape[1], init="custom", solver=solver, beta_loss=beta, max_iter=n_iter, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was not asked to converge
        found = model.fit_transform(V, W=W.copy(), H=H.copy())
    return found, model.components_


def _model(factors: tuple[Array, ...]) -> Array:
    return factors[0] @ factors[1]


def _dspsep_iterations(problem: Problem) -> Task:
    from dspsep import nmf

    V, W, H, beta = problem
    return Task(lambda: nmf(V, W, H, beta=beta, n_iter=_ITERATIONS, solver="mu"), _model)


def _sklearn_iterations(problem: Problem) -> Task:
    return Task(lambda: _sklearn("mu", _ITERATIONS, problem), _model)


def _to_objective(solver: str, problem: Problem) -> Task:
    """Return what goes on until scikit-learn's multiplicative updates would be reached."""
    from dspsep import nmf

    V, W, H, beta = problem
    target = _target(problem.beta, W.shape[1], V.tobytes(), W.tobytes(), H.tobytes(), V.shape[1])

    def call() -> Any:
        return nmf(V, W, H, beta=beta, n_iter=1000, solver=solver, callback=lambda told: told.loss <= target)

    return Task(call, lambda result: np.asarray([min(result[2][-1] / target, 1.0)]))


@cache
def _target(beta: float, n_components: int, V: bytes, W: bytes, H: bytes, n_frames: int) -> float:
    arrays = (np.frombuffer(data, np.float32) for data in (V, W, H))
    shapes = (-1, n_frames), (-1, n_components), (n_components, n_frames)
    spectrum, *start = (array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True))
    return _objective(
        spectrum, *_sklearn("mu", _REACHED_IN, Problem(spectrum, start[0], start[1], beta)), beta
    )


def _objective(V: Array, W: Array, H: Array, beta: float) -> float:
    from dspsep import nmf

    return nmf(V, W, H, beta=beta, n_iter=1, solver="mu")[2][0]


def _sklearn_to_objective(problem: Problem) -> Task:
    return Task(lambda: _sklearn("mu", _REACHED_IN, problem), lambda _: np.ones(1))


def _coordinates_to_objective(problem: Problem) -> Task:
    """Return scikit-learn's coordinate descent, for as many iterations as it takes, in steps of five."""
    V, W, H, beta = problem
    target = _target(problem.beta, W.shape[1], V.tobytes(), W.tobytes(), H.tobytes(), V.shape[1])
    n_iter = next(
        (n for n in range(5, _REACHED_IN, 5) if _objective(V, *_sklearn("cd", n, problem), beta) <= target),
        _REACHED_IN,
    )
    return Task(lambda: _sklearn("cd", n_iter, problem), lambda _: np.ones(1))


def _per_iteration(name: str, beta: float, n_components: int, at_least: float | None) -> Comparison:
    return Comparison(
        name=f"nmf-{name}-{n_components}-iterations",
        title=f"NMF, beta {beta:g}, {n_components} components: {_ITERATIONS} multiplicative updates",
        note=f'`dspsep.nmf(solver="mu")` and scikit-learn\'s `NMF(solver="mu")`, {_ITERATIONS} iterations.',
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=_dspsep_iterations),
            Contender(name="scikit-learn", package="sklearn", prepare=_sklearn_iterations),
        ),
        make_input=partial(_problem, beta, n_components),
        tolerance=1e-2,
        goals=() if at_least is None else (Goal(at_least=at_least, over=("scikit-learn",)),),
        grows={"dspsep": None, "scikit-learn": None} if (beta, n_components) == (1.0, 8) else {},
    )


def _reaching(
    name: str, beta: float, n_components: int, goals: tuple[Goal, ...], *more: Contender
) -> Comparison:
    prepare: Callable[[Problem], Task] = partial(_to_objective, "auto")
    return Comparison(
        name=f"nmf-{name}-{n_components}-objective",
        title=f"NMF, beta {beta:g}, {n_components} components: time to an objective",
        note=f"The default solver, until the objective is what {_REACHED_IN} multiplicative updates of "
        "scikit-learn come to from the same start.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=prepare),
            Contender(name="scikit-learn", package="sklearn", prepare=_sklearn_to_objective),
            *more,
        ),
        make_input=partial(_problem, beta, n_components),
        tolerance=1e-3,
        goals=goals,
    )


_CD = Contender(name="scikit-learn, coordinate descent", package="sklearn", prepare=_coordinates_to_objective)
_MU = ("scikit-learn",)

SUITE = Suite(
    name="nmf",
    title="Non-negative matrix factorisation",
    note=(
        "A spectrogram of 2048 samples every 512, one channel, in single precision, divided by its mean and "
        "not below a millionth of it (powers for beta 0, else magnitudes). All begin with the same factors."
    ),
    comparisons=(
        *(_per_iteration("kl", 1.0, k, at_least) for k, at_least in ((8, 1.25), (32, 1.25), (128, None))),
        *(_per_iteration("is", 0.0, k, None) for k in (8, 32)),
        *(_reaching("kl", 1.0, k, (Goal(at_least=2.5, over=_MU),)) for k in (8, 32)),
        _reaching("kl", 1.0, 128, ()),
        _reaching("euclidean", 2.0, 8, (Goal(at_least=1.5, over=(_CD.name,)),), _CD),
        _reaching("euclidean", 2.0, 32, (Goal(at_least=3, over=_MU),), _CD),
        *(_reaching("is", 0.0, k, (Goal(at_least=1.5, over=_MU),)) for k in (8, 32)),
    ),
    threads=1,
)
