"""What a start costs, in fresh processes: an import, a first result, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.goals import Limit
from benchmarks.harness import Comparison, Contender, Suite, Task, Timing
from benchmarks.inputs import SongFile, song_file
from benchmarks.suites.files import read_parts

__all__ = ["SUITE"]

_NOISE = "import numpy as np; noise = np.random.default_rng(0).standard_normal(44100, np.float32)"
_FIRST_RESULT = f"import dspsep; {_NOISE}; dspsep.HPSS().separate(noise, 44100)"

_CHILD = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
{statement}
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""

_LIBROSA_SCRIPT = """
import sys, librosa, soundfile
mixture, rate = librosa.load(sys.argv[1], sr=None, mono=False)
for name, part in zip(("harmonic", "percussive"), librosa.effects.hpss(mixture)):
    soundfile.write(f"{sys.argv[2]}/{name}.flac", part.T, int(rate), subtype="PCM_24")
"""


def _timed_in_a_child(statement: str, **variables: str) -> Timing:
    """Let a child time the statement itself: the start of Python is nobody's cost."""
    command = [sys.executable, "-c", _CHILD.format(statement=statement)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    return Timing(*json.loads(done.stdout))


def _timed_with_an_empty_cache(statement: str) -> Timing:
    with tempfile.TemporaryDirectory() as folder:
        return _timed_in_a_child(statement, NUMBA_CACHE_DIR=folder)


def _as_told(call: Callable[[], Any]) -> Timing:
    timing: Timing = call()
    return timing


def _contender(
    package: str,
    statement: str,
    name: str | None = None,
    timed: Callable[[str], Timing] = _timed_in_a_child,
) -> Contender:
    return Contender(name=name or package, package=package, prepare=lambda _: Task(lambda: timed(statement)))


def _of_children(call: Callable[[], Any]) -> Timing:
    """Time whole processes, from the start of Python to its end."""
    wall, before = time.perf_counter(), os.times()
    call()
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Timing(time.perf_counter() - wall, cpu)


def _process(
    name: str, package: str, arguments: Callable[[Path, Path], Sequence[str]], stems: str
) -> Contender:
    """Return a process that separates a file into `stems` in a folder, new each time: nothing is kept."""

    def prepare(song: SongFile) -> Task:
        def call() -> Path:
            folder = Path(tempfile.mkdtemp(dir=song.folder))
            subprocess.run([sys.executable, *arguments(song.path, folder)], check=True, cwd=song.folder)
            return folder / stems

        return Task(call, lambda folder: read_parts(folder, "flac"))

    return Contender(name=name, package=package, prepare=prepare)


_EMPTY = "dspsep, empty cache"

SUITE = Suite(
    name="imports",
    title="Start-up",
    note="Each in a process of its own, files in the system's cache.",
    comparisons=(
        Comparison(
            name="imports",
            title="Import",
            note="Without the start of Python. Each loads most of itself on first use, so this is not all.",
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
                "Import, then HPSS of one second of noise, with everything that is loaded on first use; "
                "without the start of Python. What numba compiled was stored by an earlier process, or has "
                "to be compiled where the cache is empty."
            ),
            contenders=(
                _contender("dspsep", _FIRST_RESULT),
                _contender("dspsep", _FIRST_RESULT, _EMPTY, _timed_with_an_empty_cache),
                _contender("librosa", f"import librosa; {_NOISE}; librosa.effects.hpss(noise)"),
            ),
            make_input=lambda _: None,
            tolerance=None,
            goals=(Limit(at_most=1), Limit(at_most=8, of=_EMPTY)),
            timer=_as_told,
        ),
        Comparison(
            name="command-line",
            title="The command line",
            note=(
                "`dspsep separate`, and a script of four lines with librosa: from the start of Python to its "
                "end, from a WAV file to two FLAC files of 24 bits."
            ),
            contenders=(
                _process(
                    "dspsep separate",
                    "dspsep",
                    lambda path, folder: ("-m", "dspsep", "separate", "-q", "-o", str(folder), str(path)),
                    "hpss/song",
                ),
                _process(
                    "librosa, a script",
                    "librosa",
                    lambda path, folder: ("-c", _LIBROSA_SCRIPT, str(path), str(folder)),
                    ".",
                ),
            ),
            make_input=song_file,
            tolerance=1e-5,
            goals=(Limit(at_most=2),),
            timer=_of_children,
        ),
    ),
)
