"""Benchmarks: methods on tracks, and what a paper makes of them.

`run_benchmark` (also `dspsep.run_benchmark`, and ``dspsep bench run``) makes a results folder: a record of
each method on each track. `BenchmarkResults` reads it; tables, statistics and plots are made of that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspsep.bench._comparisons import Comparison, Comparisons
    from dspsep.bench.methods import Counted, methods_file
    from dspsep.bench.plots import plot_pairs, plot_scores, plot_times
    from dspsep.bench.results import BenchmarkMethod, BenchmarkResults, BenchmarkTrack, Record, Timing
    from dspsep.bench.runner import run_benchmark
    from dspsep.bench.statistics import compare, compare_all
    from dspsep.bench.tables import BenchmarkTable, table

__all__ = [
    "BenchmarkMethod",
    "BenchmarkResults",
    "BenchmarkTable",
    "BenchmarkTrack",
    "Comparison",
    "Comparisons",
    "Counted",
    "Record",
    "Timing",
    "compare",
    "compare_all",
    "methods_file",
    "plot_pairs",
    "plot_scores",
    "plot_times",
    "run_benchmark",
    "table",
]

_MODULES = {
    "_comparisons": ("Comparison", "Comparisons"),
    "methods": ("Counted", "methods_file"),
    "plots": ("plot_pairs", "plot_scores", "plot_times"),
    "results": ("BenchmarkMethod", "BenchmarkResults", "BenchmarkTrack", "Record", "Timing"),
    "runner": ("run_benchmark",),
    "statistics": ("compare", "compare_all"),
    "tables": ("BenchmarkTable", "table"),
}


def __getattr__(name: str) -> Any:
    # Workers import this package, and need neither tables nor plots.
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"dspsep.bench.{module}"), name)
    raise AttributeError(f"module 'dspsep.bench' has no attribute {name!r}")
