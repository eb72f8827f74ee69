"""Backgrounds of low rank, and as peaks of a 2-D transform: beside the recipes of those who proposed them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.expressions import Array, ft2d_as_images, ft2d_whole_plane, rpca_full_svd
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import music

if TYPE_CHECKING:
    from dspsep import Spectrogram

__all__ = ["SUITE"]

_NEIGHBOURHOOD = (1, 25)
_FULL = "full factorisations"
# What a residual cannot fall below in single precision: eight roundings.
_TOL = {"float32": 8 * float(np.finfo(np.float32).eps), "float64": 1e-7}


def _spectrogram(seconds: float) -> Spectrogram:
    from dspsep import STFT

    samples, rate = music(seconds)
    return STFT(2048, 512).forward(samples.mean(axis=0), rate)


def _magnitudes(dtype: str, seconds: float) -> Array:
    return np.ascontiguousarray(_spectrogram(seconds).magnitude()[0], dtype)


def _objective(V: Array, found: tuple[Array, Array, Any]) -> Array:
    """Return what is minimised, for L and what it leaves; and fail unless the residual is small."""
    low = np.asarray(found[0], np.float64)
    if found[2][-1] > _TOL[V.dtype.name]:
        raise RuntimeError(f"ended at a residual of {found[2][-1]:g}")
    return np.asarray([np.linalg.norm(low, "nuc") + np.abs(V - low).sum() / np.sqrt(max(V.shape))])


def _dspsep_rpca(max_rank: int | None, V: Array) -> Task:
    from dspsep import rpca

    tol = _TOL[V.dtype.name]
    return Task(lambda: rpca(V, max_rank=max_rank, tol=tol), partial(_objective, V))


def _full_rpca(V: Array) -> Task:
    costs = np.full((1, 1), 1 / np.sqrt(max(V.shape)), V.dtype)
    return Task(lambda: rpca_full_svd(V, costs, _TOL[V.dtype.name]), partial(_objective, V))


def _rpca(dtype: str, words: str, at_least: float | None) -> Comparison:
    return Comparison(
        name=f"rpca-{dtype}",
        title=f"RPCA in {words} precision",
        note="`dspsep.rpca` with the rank that `RPCA` allows by default, and with any, and the published "
        f"iteration with full factorisations, until the residual is {_TOL[dtype]:.2g}. Objectives agree.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep_rpca, 256)),
            Contender(name="dspsep, any rank", package="dspsep", prepare=partial(_dspsep_rpca, None)),
            Contender(name=_FULL, package="numpy", prepare=_full_rpca),
        ),
        make_input=partial(_magnitudes, dtype),
        tolerance=2e-3,
        goals=() if at_least is None else (Goal(at_least=at_least, over=(_FULL,)),),
        grows={"dspsep": None} if dtype == "float32" else {},
    )


def _dspsep_ft2d(spectrogram: Spectrogram) -> Task:
    from dspsep import FT2D

    model = FT2D(cutoff_hertz=None, neighbourhood=_NEIGHBOURHOOD).fit(spectrogram)
    return Task(lambda: model.background(spectrogram), _by_frequency)


def _whole_plane(spectrogram: Spectrogram) -> Task:
    spectrum = np.ascontiguousarray(spectrogram.values[0])
    return Task(lambda: ft2d_whole_plane(np.abs(spectrum), _NEIGHBOURHOOD)[None], _by_frequency)


def _as_images(spectrogram: Spectrogram) -> Task:
    spectrum = np.ascontiguousarray(spectrogram.values[0])
    return Task(lambda: ft2d_as_images(spectrum, _NEIGHBOURHOOD))


def _by_frequency(mask: Array) -> Array:
    """Return the mean of every frequency: of bins next to nothing, masks are rounding."""
    return np.asarray(np.mean(mask, axis=-1))


_DSPSEP_FT2D = Contender(name="dspsep", package="dspsep", prepare=_dspsep_ft2d)

SUITE = Suite(
    name="lowrank",
    title="Low rank and sparse; peaks of a 2-D transform",
    note="A spectrogram of 2048 samples every 512, one channel.",
    comparisons=(
        _rpca("float32", "single", 10),
        _rpca("float64", "double", 10),
        Comparison(
            name="ft2d",
            title="FT2D: the mask of a background",
            note="The same peaks found on the whole plane by scipy's filters for images.",
            contenders=(
                _DSPSEP_FT2D,
                Contender(name="whole plane", package="scipy", prepare=_whole_plane),
            ),
            make_input=_spectrogram,
            tolerance=1e-2,
            grows={"dspsep": None},
        ),
        Comparison(
            name="ft2d-nussl",
            title="FT2D: beside nussl's recipe",
            note="The calls to NumPy and SciPy that nussl makes, which does not run with present versions of "
            "them. It finds other peaks, so that results are not compared.",
            contenders=(
                _DSPSEP_FT2D,
                Contender(name="nussl's recipe", package="scipy", prepare=_as_images),
            ),
            make_input=_spectrogram,
            tolerance=None,
            goals=(Goal(at_least=3),),
        ),
    ),
    threads=1,
)
