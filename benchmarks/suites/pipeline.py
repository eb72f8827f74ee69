"""What composition costs: pipelines and ensembles beside the same calls written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music

__all__ = ["SUITE"]

Array: TypeAlias = np.ndarray[Any, Any]

_PARTS = "the parts, by hand"
# A pipeline may take 5 % more than its parts: the parts take 1 / 1.05 of its time or more.
_NO_DEARER = (Goal(at_least=0.9524, over=(_PARTS,)),)


def _stacked(sources: Mapping[str, Array]) -> Array:
    return np.stack([sources[name] for name in sources])


def _whole(make: Callable[[], Any], source: Music) -> Task:
    separator = make()
    return Task(lambda: separator.separate(*source), _stacked)


def _deep() -> Any:
    from dspsep import HPSS, STFT, Regroup

    inner = HPSS(stft=STFT(1024)) >> {"harmonic": HPSS(stft=STFT(512))}
    return (
        HPSS(stft=STFT(4096))
        >> {"percussive": inner}
        >> Regroup(drums=["percussive/percussive", "percussive/harmonic/percussive"])
    )


def _deep_by_hand(source: Music) -> Task:
    from dspsep import HPSS, STFT

    long, middle, short = (HPSS(stft=STFT(n_fft)) for n_fft in (4096, 1024, 512))
    samples, rate = source

    def call() -> dict[str, Array]:
        first = long.separate(samples, rate)
        second = middle.separate(first["percussive"], rate)
        third = short.separate(second["harmonic"], rate)
        return {
            "drums": third["percussive"] + second["percussive"],
            "harmonic": first["harmonic"],
            "percussive/harmonic/harmonic": third["harmonic"],
        }

    return Task(call, _stacked)


def _families() -> Any:
    from dspsep import FT2D, HPSS, NMF, REPET, STFT, Regroup

    return (
        HPSS(stft=STFT(4096))
        >> {
            "harmonic": REPET() >> {"foreground": NMF(n_components=4, n_iter=20)},
            "percussive": FT2D(stft=STFT(1024)),
        }
        >> Regroup(rest=["harmonic/background", "percussive/background"])
    )


def _families_by_hand(source: Music) -> Task:
    from dspsep import FT2D, HPSS, NMF, REPET, STFT

    first, second = HPSS(stft=STFT(4096)), REPET()
    third, fourth = NMF(n_components=4, n_iter=20), FT2D(stft=STFT(1024))
    samples, rate = source

    def call() -> dict[str, Array]:
        parts = first.separate(samples, rate)
        tune = second.separate(parts["harmonic"], rate)
        notes = third.separate(tune["foreground"], rate)
        drums = fourth.separate(parts["percussive"], rate)
        return {
            "rest": tune["background"] + drums["background"],
            **notes,
            "percussive/foreground": drums["foreground"],
        }

    return Task(call, _stacked)


def _members() -> list[Any]:
    from dspsep import HPSS, STFT

    return [HPSS(stft=STFT(n_fft)) for n_fft in (4096, 2048, 1024)]


def _mean() -> Any:
    from dspsep import Ensemble

    return Ensemble(_members())


def _mean_by_hand(source: Music) -> Task:
    members = _members()
    samples, rate = source

    def call() -> dict[str, Array]:
        first, second, third = (member.separate(samples, rate) for member in members)
        return {name: (first[name] + second[name] + third[name]) / 3 for name in first}

    return Task(call, _stacked)


def _comparison(
    name: str, title: str, make: Callable[[], Any], by_hand: Callable[[Music], Task], tolerance: float
) -> Comparison:
    return Comparison(
        name=f"pipeline-{name}",
        title=title,
        note="One call of `separate` of the whole, and one of each part.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=lambda source: _whole(make, source)),
            Contender(name=_PARTS, package="dspsep", prepare=by_hand),
        ),
        make_input=music,
        tolerance=tolerance,
        goals=_NO_DEARER,
    )


SUITE = Suite(
    name="pipeline",
    title="Pipelines and ensembles",
    note="What composition costs. Pipelines give the same bytes as their parts.",
    comparisons=(
        _comparison("deep", "HPSS three levels deep, and a sum", _deep, _deep_by_hand, 0.0),
        _comparison(
            "families", "HPSS, then REPET, NMF and FT2D of its parts", _families, _families_by_hand, 0.0
        ),
        _comparison("ensemble", "The mean of three HPSS", _mean, _mean_by_hand, 1e-6),
    ),
    threads=1,
)
