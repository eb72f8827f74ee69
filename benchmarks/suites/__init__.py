"""What is measured: one suite a file. A new one is added here and to nothing else."""

from __future__ import annotations

from benchmarks.harness import Comparison, Suite
from benchmarks.suites.batches import SUITE as BATCHES
from benchmarks.suites.files import SUITE as FILES
from benchmarks.suites.gpu import SUITE as GPU
from benchmarks.suites.hpss import SUITE as HPSS
from benchmarks.suites.ica import SUITE as ICA
from benchmarks.suites.imports import SUITE as IMPORTS
from benchmarks.suites.iva import SUITE as IVA
from benchmarks.suites.kernels import SUITE as KERNELS
from benchmarks.suites.lowrank import SUITE as LOWRANK
from benchmarks.suites.medians import SUITE as MEDIANS
from benchmarks.suites.metrics import SUITE as METRICS
from benchmarks.suites.nmf import SUITE as NMF
from benchmarks.suites.pipeline import SUITE as PIPELINE
from benchmarks.suites.repetition import SUITE as REPETITION
from benchmarks.suites.spatial import SUITE as SPATIAL
from benchmarks.suites.stft import SUITE as STFT
from benchmarks.suites.threads import SUITE as THREADS
from benchmarks.suites.wiener import SUITE as WIENER

__all__ = ["SUITES", "find_comparison"]

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        HPSS,
        MEDIANS,
        STFT,
        THREADS,
        FILES,
        BATCHES,
        METRICS,
        NMF,
        REPETITION,
        LOWRANK,
        ICA,
        IVA,
        SPATIAL,
        PIPELINE,
        WIENER,
        IMPORTS,
        KERNELS,
        GPU,
    )
}


def find_comparison(name: str) -> Comparison:
    """Return a comparison by name, of whichever suite."""
    return next(
        comparison for suite in SUITES.values() for comparison in suite.comparisons if comparison.name == name
    )
