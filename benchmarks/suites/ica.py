"""Independent component analysis: beside scikit-learn's FastICA and the package of Picard's authors."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import stems

__all__ = ["SUITE"]

_MIXING = np.array(
    [[1.0, 0.5, -0.3, 0.2], [0.4, 1.0, 0.3, -0.6], [-0.2, 0.3, 1.0, 0.5], [0.3, -0.4, 0.2, 1.0]]
)
_SEED, _N_ITER = 0, 500
# Both stop at the same gradient; single precision cannot know it better.
_TOL = {"float32": 4e-6, "float64": 1e-7}


def _mixture(dtype: str, seconds: float) -> Array:
    """Return four channels, each of which has a mix of four stems."""
    sources = stems(4, seconds).references.mean(axis=1)
    sources /= np.std(sources, axis=1, keepdims=True)
    return np.ascontiguousarray(0.1 * _MIXING @ sources, dtype)


def _start() -> Array:
    from dspsep.separators.ica._iterations import random_rotation

    return random_rotation(4, _SEED)


def _rows(demixing: Array) -> Array:
    """Return rows whatever their order and sign: by their length, the largest entry positive."""
    rows = np.asarray(demixing, np.float64)
    rows = rows[np.argsort(np.linalg.norm(rows, axis=1))]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return rows * np.sign(largest)


def _dspsep_fastica(X: Array) -> Task:
    from dspsep import fastica, whiten

    def run() -> Array:
        Z, K, _ = whiten(X)
        W, _ = fastica(Z, tol=1e-4, n_iter=200, seed=_SEED)
        return W @ K

    return Task(run, _rows)


def _sklearn(X: Array) -> Task:
    from sklearn.decomposition import FastICA

    fit = FastICA(whiten="unit-variance", whiten_solver="eigh", tol=1e-4, max_iter=200, w_init=_start())
    return Task(lambda: fit.fit(X.T).components_, _rows)


def _dspsep_picard(ortho: bool, X: Array) -> Task:
    from dspsep import picard, whiten

    def run() -> Array:
        Z, K, _ = whiten(X)
        W, _ = picard(Z, ortho=ortho, extended=ortho, tol=_TOL[X.dtype.name], n_iter=_N_ITER, seed=_SEED)
        return W @ K

    return Task(run, _rows)


def _picard(ortho: bool, X: Array) -> Task:
    from picard import picard

    def run() -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tol = _TOL[X.dtype.name]
            K, W, _ = picard(X, ortho=ortho, extended=ortho, tol=tol, max_iter=_N_ITER, w_init=_start())
        return W @ K

    return Task(run, _rows)


def _picards(name: str, words: str, dtype: str, ortho: bool) -> Comparison:
    return Comparison(
        name=f"{name}-{dtype}",
        title=f"Picard{'-O' if ortho else ''} in {words} precision",
        note=f"Whitening and iterations, from one start, until the gradient is {_TOL[dtype]:g}.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep_picard, ortho)),
            Contender(name="picard", package="picard", prepare=partial(_picard, ortho)),
        ),
        make_input=partial(_mixture, dtype),
        tolerance=1e-2,
        goals=(Goal(at_least=3),),
        grows={"dspsep": None} if dtype == "float32" and not ortho else {},
    )


SUITE = Suite(
    name="ica",
    title="Independent component analysis",
    note="Four stems in four channels.",
    comparisons=(
        Comparison(
            name="fastica",
            title="FastICA in single precision",
            note="Whitening and iterations of tanh, from one start, until no row turns by more than 1e-4.",
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=_dspsep_fastica),
                Contender(name="scikit-learn", package="sklearn", prepare=_sklearn),
            ),
            make_input=partial(_mixture, "float32"),
            tolerance=1e-2,
            goals=(Goal(at_least=1),),
            grows={"dspsep": None},
        ),
        _picards("picard", "single", "float32", ortho=False),
        _picards("picard", "double", "float64", ortho=False),
        _picards("picard-o", "double", "float64", ortho=True),
    ),
    threads=1,
    audio="four stems of songs in four channels at 44100 Hz",
)
