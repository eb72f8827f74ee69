"""What an import costs, in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Comparison, Contender, Suite, Task, Timing

__all__ = ["SUITE"]

_NOISE = "import numpy as np; noise = np.random.default_rng(0).standard_normal(44100, np.float32)"

_CHILD = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
{statement}
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def _timed_in_a_child(statement: str) -> Callable[[object], Task]:
    """Return a task whose child times the statement itself: the start of Python is nobody's cost."""

    def call() -> Timing:
        command = [sys.executable, "-c", _CHILD.format(statement=statement)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return Timing(*json.loads(output))

    return lambda _: Task(call)


def _as_told(call: Callable[[], Any]) -> Timing:
    timing: Timing = call()
    return timing


def _contender(package: str, statement: str) -> Contender:
    return Contender(name=package, package=package, prepare=_timed_in_a_child(statement))


SUITE = Suite(
    name="imports",
    title="Start-up",
    note="Each in a process of its own, files in the system's cache, without the start of Python itself.",
    comparisons=(
        Comparison(
            name="imports",
            title="Import",
            note="Each of them loads most of itself on first use, so this is not all.",
            contenders=(
                _contender("dspsep", "import dspsep"),
                _contender("librosa", "import librosa"),
                _contender("numpy", "import numpy"),
            ),
            make_input=lambda _: None,
            tolerance=None,
            timer=_as_told,
        ),
        Comparison(
            name="first-result",
            title="Import and first result",
            note=(
                "Import, then HPSS of one second of noise, with everything that is loaded on first use. What "
                "numba compiled was stored by an earlier process."
            ),
            contenders=(
                _contender("dspsep", f"import dspsep; {_NOISE}; dspsep.HPSS().separate(noise, 44100)"),
                _contender("librosa", f"import librosa; {_NOISE}; librosa.effects.hpss(noise)"),
            ),
            make_input=lambda _: None,
            tolerance=None,
            timer=_as_told,
        ),
    ),
)
