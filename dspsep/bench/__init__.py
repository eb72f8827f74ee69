"""Benchmarks: methods on tracks, and what a paper makes of them."""

from __future__ import annotations

from dspsep.bench._comparisons import Comparison, Comparisons
from dspsep.bench.plots import plot_pairs, plot_scores, plot_times
from dspsep.bench.results import BenchmarkMethod, BenchmarkResults, BenchmarkTrack, Record, Timing
from dspsep.bench.statistics import compare, compare_all
from dspsep.bench.tables import BenchmarkTable, table

__all__ = [
    "BenchmarkMethod",
    "BenchmarkResults",
    "BenchmarkTable",
    "BenchmarkTrack",
    "Comparison",
    "Comparisons",
    "Record",
    "Timing",
    "compare",
    "compare_all",
    "plot_pairs",
    "plot_scores",
    "plot_times",
    "table",
]
