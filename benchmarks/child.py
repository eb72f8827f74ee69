"""The process that measures: started with the number of threads already in its environment.

Numerical libraries read the number of threads when they are loaded, so it has to be there before Python is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import Record

__all__ = ["MeasuringError", "compare_in_a_child", "measure_in_a_child", "pinned"]

_ROOT = Path(__file__).resolve().parents[1]
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "DSPSEP_NUM_THREADS",
)


class MeasuringError(RuntimeError):
    """The process that measures failed; what it had to say is on standard error."""


def pinned(threads: int) -> dict[str, str]:
    """Return this environment with so many threads for every library, and dspsep's default kernels."""
    environment = {key: value for key, value in os.environ.items() if key != "DSPSEP_KERNELS"}
    return environment | dict.fromkeys(_THREAD_VARIABLES, str(threads))


def compare_in_a_child(
    names: Sequence[str], *, seconds: float, rounds: int, threads: int
) -> dict[str, tuple[Record, ...]]:
    """Run `harness.compare` on comparisons by name, one after the other."""
    answer = _ask({"compare": list(names), "seconds": seconds, "rounds": rounds}, threads)
    return {name: tuple(map(_record, records)) for name, records in answer.items()}


def measure_in_a_child(name: str, contender: str, *, seconds: float, threads: int) -> dict[str, float]:
    """Run `memory.measure_alone` on one contender: its ``wall``, ``cpu`` and ``peak_bytes``."""
    answer: dict[str, float] = _ask({"alone": [name, contender], "seconds": seconds}, threads)
    return answer


def _record(fields: dict[str, Any]) -> Record:
    return Record(**{**fields, "wall": tuple(fields["wall"]), "cpu": tuple(fields["cpu"])})


def _ask(job: dict[str, Any], threads: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.child", json.dumps(job)]
    done = subprocess.run(
        command, env=pinned(threads), cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:  # what went wrong is on standard error, which is ours
        raise MeasuringError(f"the measuring process failed on {job}")
    return json.loads(done.stdout.splitlines()[-1])


def _answer(job: dict[str, Any]) -> Any:
    from benchmarks.harness import compare
    from benchmarks.memory import measure_alone
    from benchmarks.suites import find_comparison

    if "alone" in job:
        name, contender = job["alone"]
        comparison = find_comparison(name)
        return asdict(measure_alone(comparison, comparison.contender(contender), job["seconds"]))
    answer = {}
    for name in job["compare"]:
        comparison = find_comparison(name)
        source = comparison.make_input(job["seconds"])
        answer[name] = [asdict(record) for record in compare(comparison, source, job["rounds"])]
    return answer


if __name__ == "__main__":
    print(json.dumps(_answer(json.loads(sys.argv[1]))))
