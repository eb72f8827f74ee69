"""Running medians, which are most of the work of harmonic-percussive separation."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from benchmarks import expressions
from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import music
from benchmarks.suites._levels import PLAIN

__all__ = ["SUITE", "magnitudes"]

LENGTHS = (17, 31, 101)
AXES = {"time": 1, "frequency": 2}

BOTTLENECK, ROWS = "bottleneck", "scipy, row by row"


def magnitudes(seconds: float) -> Array:
    """Return frame-major magnitudes (n_channels, n_frames, n_freqs)."""
    from dspsep import STFT

    return np.ascontiguousarray(np.swapaxes(STFT(2048, 512).forward(*music(seconds)).magnitude(), 1, 2))


def _comparison(along: str, length: int) -> Comparison:
    def ours(level: str) -> Callable[[Array], Task]:
        def prepare(values: Array) -> Task:
            median = getattr(importlib.import_module(f"dspsep.kernels.{level}"), f"median_over_{along}")
            return Task(lambda: median(values, length))

        return prepare

    def theirs(median: Callable[[Array, int, int], Array]) -> Callable[[Array], Task]:
        return lambda values: Task(lambda: median(values, length, AXES[along]))

    entries = [
        ("dspsep", "numba", ours("simd")),
        (PLAIN, "numba", ours("cpu")),
        (BOTTLENECK, "bottleneck", theirs(expressions.median_bottleneck)),
        (ROWS, "scipy", theirs(expressions.median_rows)),
        ("scipy, as an image (librosa's way)", "scipy", theirs(expressions.median_image)),
        ("sorted neighbourhoods (generic.py)", "dspsep", ours("generic")),
    ]
    return Comparison(
        name=f"median-{along}-{length}",
        title=f"Median over {along}, {length} {'frames' if along == 'time' else 'bins'}",
        note="Over a stereo spectrogram of 1025 bins.",
        contenders=tuple(
            Contender(name=name, package=package, prepare=prepare) for name, package, prepare in entries
        ),
        make_input=magnitudes,
        tolerance=0.0,
        goals=(
            Goal(at_least=20, over=(BOTTLENECK, ROWS)),
            Goal(at_least=1, of=PLAIN, over=tuple(name for name, _, _ in entries[2:])),
        ),
    )


SUITE = Suite(
    name="medians",
    title="Running medians",
    note=(
        "Outputs are the same to the last bit. scipy filters faster in one dimension than as an image, so "
        "its rows are filtered one by one. Plain kernels have to beat all that needs no compiler of ours."
    ),
    comparisons=tuple(_comparison(along, length) for along in AXES for length in LENGTHS),
)
