"""Factorising a spectrogram: time for each iteration and to the objective that others reach, and memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal, PeakMultiple
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.suites._levels import GENERIC, PLAIN, at_level

__all__ = ["SUITE"]

_ITERATIONS, _REACHED_IN = 20, 200
_N_FFT, _HOP, _COMPONENTS = 2048, 512, 8
# Of V, at 44.1 kHz and in single precision, for a second of audio.
_V_BYTES = 4 * (_N_FFT // 2 + 1) * 44_100 / _HOP
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
    V = STFT(_N_FFT, _HOP).forward(samples.mean(axis=0), rate).magnitude()[0] ** (2 if beta == 0 else 1)
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


def _dspsep_iterations(problem: Problem) -> Task:
    from dspsep import nmf

    V, W, H, beta = problem
    return Task(lambda: nmf(V, W, H, beta=beta, n_iter=_ITERATIONS, solver="mu"), partial(_reached, problem))


def _sklearn_iterations(problem: Problem) -> Task:
    return Task(lambda: _sklearn("mu", _ITERATIONS, problem), partial(_reached, problem))


def _to_objective(solver: str, problem: Problem) -> Task:
    """Return what goes on until scikit-learn's multiplicative updates would be reached."""
    from dspsep import nmf

    V, W, H, beta = problem
    target = _target(problem.beta, W.shape[1], V.tobytes(), W.tobytes(), H.tobytes(), V.shape[1])

    def call() -> Any:
        return nmf(V, W, H, beta=beta, n_iter=1000, solver=solver, callback=lambda told: told.loss <= target)

    return Task(call, lambda result: np.asarray([max(result[2][-1] / target, 1.0)]))


@cache
def _target(beta: float, n_components: int, V: bytes, W: bytes, H: bytes, n_frames: int) -> float:
    arrays = (np.frombuffer(data, np.float32) for data in (V, W, H))
    shapes = (-1, n_frames), (-1, n_components), (n_components, n_frames)
    spectrum, *start = (array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True))
    return _objective(
        spectrum, *_sklearn("mu", _REACHED_IN, Problem(spectrum, start[0], start[1], beta)), beta
    )


def _reached(problem: Problem, factors: tuple[Array, ...]) -> Array:
    """Return the objective: with beta 0, bins next to nothing drift apart in single precision."""
    return np.asarray([_objective(problem.V, factors[0], factors[1], problem.beta)])


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


def _dspsep_separate(source: Music) -> Task:
    from dspsep import NMF

    nmf = NMF(n_components=_COMPONENTS, n_iter=_ITERATIONS, tol=0.0)
    return Task(lambda: nmf.separate(*source))


def _composed_separate(source: Music) -> Task:
    """Return what a user of librosa and scikit-learn would write: masks of components, applied."""
    import librosa

    samples = source.samples
    rng = np.random.default_rng(1)

    def call() -> list[Array]:
        spectra = librosa.stft(samples, n_fft=_N_FFT, hop_length=_HOP)
        V = np.sqrt(np.mean(np.abs(spectra) ** 2, axis=0))
        W = rng.random((V.shape[0], _COMPONENTS), dtype=np.float32)
        H = rng.random((_COMPONENTS, V.shape[1]), dtype=np.float32)
        W, H = _sklearn("mu", _ITERATIONS, Problem(V, W, H, 1.0))
        model = W @ H + np.finfo(np.float32).tiny
        masks = (np.outer(W[:, k], H[k]) / model for k in range(_COMPONENTS))
        return [librosa.istft(spectra * mask, hop_length=_HOP, length=samples.shape[1]) for mask in masks]

    return Task(call)


def _per_iteration(name: str, beta: float, n_components: int, at_least: float | None) -> Comparison:
    return Comparison(
        name=f"nmf-{name}-{n_components}-iterations",
        title=f"NMF, beta {beta:g}, {n_components} components: {_ITERATIONS} multiplicative updates",
        note=f'`dspsep.nmf(solver="mu")` and scikit-learn\'s `NMF(solver="mu")`, {_ITERATIONS} iterations.',
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=_dspsep_iterations),
            Contender(name="scikit-learn", package="sklearn", prepare=_sklearn_iterations),
            Contender(name=PLAIN, package="numba", prepare=at_level("cpu", _dspsep_iterations)),
            Contender(name=GENERIC, package="dspsep", prepare=at_level("generic", _dspsep_iterations)),
        ),
        make_input=partial(_problem, beta, n_components),
        tolerance=1e-2,
        goals=(
            Goal(at_least=1, over=(PLAIN, GENERIC)),
            *(() if at_least is None else (Goal(at_least=at_least, over=_MU), _ONE_MORE)),
        ),
        grows={} if at_least is None else {"dspsep": 600, "scikit-learn": 600},
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


_SEPARATE = Comparison(
    name="nmf-separate",
    title=f"NMF, from audio to {_COMPONENTS} sources",
    note=(
        f"`dspsep.NMF(n_components={_COMPONENTS}).separate` with {_ITERATIONS} iterations, and the same with "
        "librosa's transform, scikit-learn's multiplicative updates and a few lines for masks. Starts are "
        "random, so results are not compared. The size of V is that of one channel; the sources are "
        f"{_COMPONENTS} times as large, and the complex spectra of two channels four times."
    ),
    contenders=(
        Contender(name="dspsep", package="dspsep", prepare=_dspsep_separate),
        Contender(name="librosa, scikit-learn", package="sklearn", prepare=_composed_separate),
    ),
    make_input=music,
    tolerance=None,
    goals=(PeakMultiple(at_most=15, what="V", bytes_per_second=_V_BYTES),),
    grows={"dspsep": 600, "librosa, scikit-learn": 600},
)

_CD = Contender(name="scikit-learn, coordinate descent", package="sklearn", prepare=_coordinates_to_objective)
_MU = ("scikit-learn",)
# One array of the size of V, what comes back, and blocks and copies of factors that are small beside it.
_ONE_MORE = PeakMultiple(at_most=1.15, what="V", bytes_per_second=_V_BYTES)

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
        _SEPARATE,
    ),
    threads=1,
)
