"""What a second thread gains: the same call with one and with two, and beside others with two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.machine import available_cores
from benchmarks.suites import hpss, stft

__all__ = ["SUITE"]

THREADS = 2


def _too_few_cores() -> str:
    return "" if available_cores() >= THREADS else f"it takes {THREADS} cores"


def _one_or_two(contender: Contender) -> tuple[Contender, ...]:
    """Return a contender of dspsep's with two threads and with one."""

    def with_threads(n_threads: int) -> Callable[[Music], Task]:
        def prepare(source: Music) -> Task:
            import dspsep

            task = contender.prepare(source)

            def call() -> Any:
                with dspsep.num_threads(n_threads):
                    return task.call()

            return task._replace(call=call)

        return prepare

    return tuple(
        Contender(name=name, package="dspsep", prepare=with_threads(n_threads))
        for name, n_threads in (("2 threads", 2), ("1 thread", 1))
    )


def _alone(name: str, title: str, contender: Contender, goals: tuple[Goal, ...] = ()) -> Comparison:
    return Comparison(
        name=f"threads-{name}",
        title=f"{title}, dspsep with one and two threads",
        note="Every number of threads gives the same bytes.",
        contenders=_one_or_two(contender),
        make_input=music,
        tolerance=0.0,
        goals=goals,
    )


SUITE = Suite(
    name="threads",
    title="Two threads",
    note=f"On {THREADS} cores; in the last two tables, every library has {THREADS} threads.",
    comparisons=(
        _alone("hpss", "HPSS", hpss.audio_contenders()[0], (Goal(at_least=1.7),)),
        _alone("stft", "STFT", stft.contenders("forward")[0]),
        _alone("istft", "ISTFT", stft.contenders("inverse")[0]),
        Comparison(
            name="threads-hpss-others",
            title="HPSS, two threads each",
            note="librosa's median filter runs on one thread, whatever it is given.",
            contenders=hpss.audio_contenders(),
            make_input=music,
            tolerance=1e-5,
        ),
        Comparison(
            name="threads-stft-others",
            title="STFT + ISTFT, two threads each",
            note="numpy's and scipy's transforms run on one thread, torch's on two.",
            contenders=stft.contenders("round trip"),
            make_input=music,
            tolerance=2e-6,
        ),
    ),
    threads=THREADS,
    obstacle=_too_few_cores,
)
