"""The scores of separations: BSS Eval in its versions, beside everybody who computes them."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.goals import Goal, Linear, PeakLimit
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Stems, stems
from benchmarks.suites._levels import GENERIC, at_level

__all__ = ["SUITE"]

MUSEVAL, MIR_EVAL, FAST = "museval", "mir_eval", "fast_bss_eval (torch)"


def _dspsep(protocol: str, permutation: bool, source: Stems) -> Task:
    from dspsep.metrics import evaluate

    references, estimates, rate = source

    def call() -> Any:
        return evaluate(references, estimates, rate, protocol, permutation=permutation)

    return Task(
        call, lambda scores: np.concatenate(list(np.moveaxis(scores.tracks[0].values, 1, 0)), axis=None)
    )


def _museval_metrics() -> Any:
    # museval loads a reader of data sets, which needs ffmpeg, and which its metrics do not use.
    sys.modules.setdefault("musdb", types.ModuleType("musdb"))
    from museval import metrics

    return metrics


def _museval_v4(source: Stems) -> Task:
    metrics = _museval_metrics()
    references, estimates = (np.moveaxis(each, 1, 2).astype(np.float64) for each in source[:2])
    window = source.sample_rate

    def call() -> Any:
        return metrics.bss_eval(
            references,
            estimates,
            window=window,
            hop=window,
            compute_permutation=False,
            filters_len=512,
            framewise_filters=False,
            bsseval_sources_version=False,
        )

    return Task(call, lambda found: np.concatenate(found[:4], axis=None))


def _museval_images(source: Stems) -> Task:
    metrics = _museval_metrics()
    references, estimates = (np.moveaxis(each, 1, 2).astype(np.float64) for each in source[:2])
    return Task(
        lambda: metrics.bss_eval_images(references, estimates, compute_permutation=False),
        lambda found: np.concatenate(found[:4], axis=None),
    )


def _mir_eval(source: Stems) -> Task:
    import mir_eval.separation

    references, estimates = (each[:, 0].astype(np.float64) for each in source[:2])

    def call() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is to be removed
            return mir_eval.separation.bss_eval_sources(references, estimates, compute_permutation=True)

    return Task(call, lambda found: np.concatenate(found[:3], axis=None))


def _fast_bss_eval(source: Stems) -> Task:
    import fast_bss_eval.torch as fast
    import torch

    torch.set_num_threads(1)
    references, estimates = (torch.from_numpy(each[:, 0].astype(np.float64)) for each in source[:2])
    return Task(
        lambda: fast.bss_eval_sources(references, estimates, filter_length=512, compute_permutation=True),
        lambda found: np.concatenate([part.numpy() for part in found[:3]], axis=None),
    )


def _mono(n_sources: int, seconds: float) -> Stems:
    """Return the left channels."""
    references, estimates, rate = stems(n_sources, seconds)
    return Stems(references[:, :1], estimates[:, :1], rate)


def _ours(protocol: str, *, permutation: bool = False) -> tuple[Contender, ...]:
    prepare: Callable[[Any], Task] = partial(_dspsep, protocol, permutation)
    return (
        Contender(name="dspsep", package="dspsep", prepare=prepare),
        Contender(name=GENERIC, package="dspsep", prepare=at_level("generic", prepare)),
    )


def _version_4(n_sources: int, at_least: float, **more: Any) -> Comparison:
    return Comparison(
        name=f"bss-eval-v4-{n_sources}",
        title=f"BSS Eval 4, {n_sources} stereo stems",
        note="SDR, ISR, SIR and SAR in windows of a second, filters of 512 taps fitted once.",
        contenders=(*_ours("bss_eval_v4"), Contender(name=MUSEVAL, package="museval", prepare=_museval_v4)),
        make_input=partial(stems, n_sources),
        tolerance=1e-4,
        **{"goals": (Goal(at_least=at_least, over=(MUSEVAL,)),), **more},
    )


def _sources(n_sources: int) -> Comparison:
    return Comparison(
        name=f"bss-eval-v3-sources-{n_sources}",
        title=f"BSS Eval 3 for sources, {n_sources} mono stems",
        note="SDR, SIR and SAR over the whole, and the best of all orders.",
        contenders=(
            *_ours("bss_eval_v3_sources", permutation=True),
            Contender(name=MIR_EVAL, package="mir_eval", prepare=_mir_eval),
            Contender(name=FAST, package="fast_bss_eval", prepare=_fast_bss_eval),
        ),
        make_input=partial(_mono, n_sources),
        tolerance=1e-4,
        goals=(Goal(at_least=3, over=(MIR_EVAL, FAST)),),
    )


SUITE = Suite(
    name="metrics",
    title="Metrics",
    note=(
        "From stems in single precision to scores; all compute in double. *Differs by* is relative to the "
        "largest score: recordings have bands that are nearly empty, and in these each implementation rounds "
        "in its own way."
    ),
    comparisons=(
        _version_4(2, 5),
        _version_4(
            4,
            8,
            goals=(Goal(at_least=8, over=(MUSEVAL,)), PeakLimit(at_most=1500), Linear(at_most=1.25)),
            grows={"dspsep": 600, MUSEVAL: 60},
        ),
        Comparison(
            name="bss-eval-v3-images-2",
            title="BSS Eval 3 for images, 2 stereo stems",
            note="SDR, ISR, SIR and SAR over the whole.",
            contenders=(
                *_ours("bss_eval_v3_images"),
                Contender(name=MUSEVAL, package="museval", prepare=_museval_images),
            ),
            make_input=partial(stems, 2),
            tolerance=1e-4,
        ),
        _sources(2),
        _sources(4),
    ),
)
