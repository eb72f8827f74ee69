"""Benchmarks: methods on tracks, and what a paper makes of them.

`run_benchmark` (also `dspsep.run_benchmark`, and ``dspsep bench run``) makes a results folder: a record of each
method on each track. `BenchmarkResults` reads it.
"""

from __future__ import annotations

from dspsep.bench.methods import Counted, methods_file
from dspsep.bench.results import BenchmarkResults
from dspsep.bench.runner import run_benchmark

__all__ = ["BenchmarkResults", "Counted", "methods_file", "run_benchmark"]
