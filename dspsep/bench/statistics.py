"""Whether the difference of two methods is more than chance: statistics over the tracks they share.

Tracks are the units, never windows: windows of one song are alike, and a hundred of them are no hundred
observations.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.bench._comparisons import Comparison, Comparisons
from dspsep.bench.results import BenchmarkResults
from dspsep.bench.tables import mixture_of, some
from dspsep.errors import InputError

__all__ = ["Comparison", "Comparisons", "comparable", "compare", "compare_all"]


#: Stands for an infinite difference where medians are taken of many: no score comes near, nor half of it.
_BEYOND = 1e9


def compare(
    results: BenchmarkResults,
    method: str,
    against: str | None = None,
    *,
    metric: str,
    source: str,
    statistic: str = "median",
    confidence: float = 0.95,
    tie_db: float = 0.0,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Compare two methods on the tracks that both have.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    method : str
        One of ``results.methods``.
    against : str, optional
        Another; the untouched mixture, unless given.
    metric, source : str
        What to compare.
    statistic : {"median", "mean"}, default="median"
        What of the differences is reported.
    confidence : float, default=0.95
        Of the interval around it, above 0.5 and below 1.
    tie_db : float, default=0.0
        Differences up to this are counted as equal; the test does not know of it.
    n_resamples : int, default=9999
        Of the bootstrap.
    seed : int, default=0
        Of the bootstrap, which has a generator of its own.

    Returns
    -------
    Comparison
        It prints as a sentence.

    Raises
    ------
    InputError
        If there is no such name, or a setting is out of range.

    See Also
    --------
    compare_all : Many methods against one, corrected for their number.

    Notes
    -----
    *The test* is Wilcoxon's signed-rank test, two-sided. Tracks of no difference are left out of it, as in
    his paper. Its distribution is exact for up to 50 tracks, or for up to 13 where differences are tied, by
    enumeration of all signs; and else the normal approximation. The smallest p that n tracks can give is
    2 / 2ⁿ: where that is above 1 - `confidence`, p is NaN, with the reason.

    *The interval* is a bootstrap over tracks: for a mean the bias-corrected and accelerated one (BCa), for a
    median that of percentiles, since the acceleration of BCa is not defined for medians. It is NaN where
    there is no p for want of tracks, and where all differences are equal. Infinite differences count in the
    test and in medians, which may be infinite themselves; a mean has no interval then.

    What the test assumes is that tracks are
    independent and that differences are symmetric around their median.

    References
    ----------
    F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945, pp. 80-83.

    B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical Association
    82(397), 1987, pp. 171-185.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, compare
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> print(compare(results, "REPETSim", "REPET", metric="SDR", source="vocals"))  # doctest: +SKIP
    """
    settings = _Settings(statistic, confidence, tie_db, n_resamples, seed)
    other = mixture_of(results) if against is None else against
    if method == other:
        raise InputError("against", "another method", repr(other)[:80])
    tracks = results.common_tracks((method, other), source, metric)
    return _compared(results, (method, other), (source, metric), tracks, settings)


def compare_all(
    results: BenchmarkResults,
    against: str | None = None,
    *,
    metric: str,
    source: str,
    methods: Sequence[str] | str | None = None,
    statistic: str = "median",
    confidence: float = 0.95,
    tie_db: float = 0.0,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Comparisons:
    """Compare many methods with one, on the tracks that all of them have.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    against : str, optional
        The baseline; the untouched mixture, unless given.
    metric, source : str
        What to compare.
    methods : sequence of str, optional
        Which; all that have a score and are no oracles, unless given.
    statistic : {"median", "mean"}, default="median"
        What of the differences is reported.
    confidence : float, default=0.95
        Of the intervals, each by itself; Holm's correction is for the tests.
    tie_db : float, default=0.0
        Differences up to this are counted as equal; the test does not know of it.
    n_resamples : int, default=9999
        Of the bootstrap.
    seed : int, default=0
        Of the bootstrap.

    Returns
    -------
    Comparisons
        Like those of `compare`, each with a p-value after Holm's correction.

    Raises
    ------
    InputError
        If there is no such name, nothing to compare, or a setting is out of range.

    See Also
    --------
    compare : One method against another, and how test and interval are made.

    Notes
    -----
    Of many tests some succeed by chance. Holm's correction bounds the chance that any of them does, whatever
    their dependence: the k-th smallest of m values is multiplied by m - k + 1, and is never below one before
    it. Comparisons without a p-value are no tests and do not count.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
    6(2), 1979, pp. 65-70.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, compare_all
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> print(compare_all(results, metric="SDR", source="vocals"))  # doctest: +SKIP
    """
    settings = _Settings(statistic, confidence, tie_db, n_resamples, seed)
    base = mixture_of(results) if against is None else against
    if methods is None:
        methods = comparable(results, base)
        if results.done and not methods:
            got = f"none of {', '.join(results.methods)}"[:200]
            raise InputError("methods", f"at least one with scores, beside {base!r:.80} and oracles", got)
    chosen = some("methods", methods, results.methods)
    if base in chosen:
        raise InputError("against", "none of the methods that are compared with it", repr(base)[:80])
    tracks = results.common_tracks((*chosen, base), source, metric)
    found = [_compared(results, (name, base), (source, metric), tracks, settings) for name in chosen]
    adjusted = holm([one.p for one in found])
    return Comparisons(tuple(replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True)))


def comparable(results: BenchmarkResults, against: str | None) -> tuple[str, ...]:
    """Return the methods that have scores, but oracles and the one that they are compared with."""
    base = mixture_of(results) if against is None else against
    scored = {record.method for record in results.done}
    able = (name for name in results.methods if results.kind(name) != "oracle")
    return tuple(name for name in able if name in scored and name != base)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction; NaN is no test, and stays."""
    adjusted = [math.nan] * len(values)
    order = sorted((index for index, p in enumerate(values) if not math.isnan(p)), key=lambda i: values[i])
    largest = 0.0
    for done, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - done) * values[index]))
        adjusted[index] = largest
    return adjusted


class _Settings:
    """The settings of a comparison, checked."""

    def __init__(self, statistic: str, confidence: float, tie_db: float, n_resamples: int, seed: int) -> None:
        self.statistic = _checks.choice("statistic", statistic, ("median", "mean"))
        self.confidence = _checks.number("confidence", confidence, minimum=0.5, above=True, maximum=0.9999)
        self.tie_db = _checks.number("tie_db", tie_db, minimum=0)
        self.n_resamples = _checks.integer("n_resamples", n_resamples, minimum=99, maximum=10**6)
        self.seed = _checks.integer("seed", seed, minimum=0)


def _compared(
    results: BenchmarkResults, pair: tuple[str, str], what: tuple[str, str], tracks: Sequence[str],
    settings: _Settings,
) -> Comparison:  # fmt: skip
    one, other = (results.values(name, *what) for name in pair)
    differences = np.array([one[track] - other[track] for track in tracks], dtype=np.float64)
    defined = differences[~np.isnan(differences)]
    wins, losses = int((defined > settings.tie_db).sum()), int((defined < -settings.tie_db).sum())
    p, test, reason = signed_rank(defined, settings.confidence)
    low, high, interval, why = _interval(defined, settings)
    return Comparison(
        method=pair[0],
        against=pair[1],
        source=what[0],
        metric=what[1],
        statistic=settings.statistic,
        difference=_central(defined, settings.statistic),
        low=low,
        high=high,
        confidence=settings.confidence,
        interval=interval,
        wins=wins,
        ties=defined.size - wins - losses,
        losses=losses,
        p=p,
        p_adjusted=math.nan,
        test=test,
        tracks=defined.size,
        of_tracks=len(results.tracks),
        undefined=differences.size - defined.size,
        reason=reason or why,
    )


def _central(differences: FloatArray, statistic: str) -> float:
    if not differences.size:
        return math.nan
    with np.errstate(invalid="ignore"):  # inf - inf is NaN
        return float(np.median(differences) if statistic == "median" else np.mean(differences))


def _too_few(n_tracks: int, confidence: float) -> str:
    """Return why so few tracks prove nothing; nothing if they may."""
    smallest = 2.0 ** (1 - n_tracks)
    if n_tracks and smallest <= 1 - confidence + 1e-12:
        return ""
    tracks = "1 track that differs" if n_tracks == 1 else f"{n_tracks} tracks that differ"
    return f"no p-value, since with {tracks} it cannot be below {min(smallest, 1.0):.2g}"


def signed_rank(differences: FloatArray, confidence: float) -> tuple[float, str, str]:
    """Return p of Wilcoxon's test, how it was found, and why there is none."""
    moved = differences[differences != 0]
    reason = _too_few(moved.size, confidence)
    if reason:
        return math.nan, "", reason
    stats: Any = importlib.import_module("scipy.stats")
    tied = np.unique(np.abs(moved)).size < moved.size
    if not tied and moved.size <= 50:
        method, how = "exact", "exact"
    elif tied and moved.size <= 13:
        method, how = stats.PermutationMethod(n_resamples=2**13), "exact, by enumeration"
    else:
        method, how = "asymptotic", "normal approximation"
    found = stats.wilcoxon(_ranked(moved), method=method)
    return float(found.pvalue), f"Wilcoxon signed-rank test, two-sided, {how}", ""


def _ranked(differences: FloatArray) -> FloatArray:
    """Return numbers of the same ranks and signs, all finite."""
    _, ranks = np.unique(np.abs(differences), return_inverse=True)
    return np.asarray(np.sign(differences) * (ranks + 1.0))


def _interval(differences: FloatArray, settings: _Settings) -> tuple[float, float, str, str]:
    """Return a bootstrap interval, how it was found, and why there is none."""
    reason = _too_few(differences.size, settings.confidence).replace("p-value", "interval", 1)
    kind = "percentile" if settings.statistic == "median" else "BCa"
    if not reason and kind == "BCa" and not np.isfinite(differences).all():
        reason = "no interval of a mean, since some differences are infinite"
    if not reason and np.unique(differences).size == 1:
        reason = "no interval, since all differences are equal"
    if reason:
        return math.nan, math.nan, "", reason
    stats: Any = importlib.import_module("scipy.stats")
    function = np.median if settings.statistic == "median" else np.mean
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # what it gives then is NaN
        found = stats.bootstrap(
            (np.clip(differences, -_BEYOND, _BEYOND),),
            function,
            n_resamples=settings.n_resamples,
            batch=max(1, 2**20 // differences.size),
            confidence_level=settings.confidence,
            method=kind,
            rng=np.random.default_rng(settings.seed),
        ).confidence_interval
    if math.isnan(found.low) or math.isnan(found.high):
        return math.nan, math.nan, "", "no interval, since nearly all differences are equal"
    low, high = (math.copysign(math.inf, end) if abs(end) > _BEYOND / 4 else float(end) for end in found)
    return low, high, f"{kind} bootstrap of the {settings.statistic}", ""
