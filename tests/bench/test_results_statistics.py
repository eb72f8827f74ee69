"""Paired statistics: known answers, and no number where a number would mean nothing."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dspsep.bench import BenchmarkResults, compare, compare_all, statistics
from dspsep.bench.statistics import holm, signed_rank
from dspsep.errors import InputError
from tests.bench.folders import INF, NAN, of_values

#: Hollander and Wolfe (1973), in the help page of R's wilcox.test, which gives V = 40, p = 0.01953 one-sided.
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)

#: Darwin's maize: Fisher (1935).
MAIZE = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0]

SDR = {"metric": "SDR", "source": "voice"}


def results_of(folder: Path, **values: list[float | None]) -> BenchmarkResults:
    return BenchmarkResults.load(of_values(folder, values))


def test_the_signed_rank_test_of_text_books(tmp_path: Path) -> None:
    before, after = DEPRESSION
    found = compare(results_of(tmp_path, A=before, B=after), "A", "B", **SDR)
    assert found.p == pytest.approx(2 * 0.01953125, abs=1e-12)
    assert found.test == "Wilcoxon signed-rank test, two-sided, exact"
    assert (found.wins, found.ties, found.losses) == (7, 0, 2)
    assert found.difference == pytest.approx(np.median(np.subtract(before, after)))
    assert signed_rank(np.array(MAIZE), 0.95)[0] == pytest.approx(0.041259765625, abs=1e-12)


@pytest.mark.parametrize("n_tracks", [6, 8, 13])
def test_ties_and_zeros_are_enumerated(n_tracks: int) -> None:
    rng = np.random.default_rng(n_tracks)
    differences = rng.integers(-3, 5, n_tracks + 3).astype(float)
    differences[:3] = 0.0
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    sums = [ranks[np.array(signs)].sum() for signs in itertools.product([False, True], repeat=moved.size)]
    centre = ranks.sum() / 2
    expected = np.mean(np.abs(np.array(sums) - centre) >= abs(ranks[moved > 0].sum() - centre) - 1e-9)
    p, test, reason = signed_rank(differences, 0.9)
    assert p == pytest.approx(expected, abs=1e-12)
    assert "enumeration" in test
    assert reason == ""


def test_many_ties_are_approximated() -> None:
    differences = np.random.default_rng(0).integers(-3, 6, 60).astype(float)
    p, test, _ = signed_rank(differences, 0.95)
    assert test.endswith("normal approximation")
    assert p == pytest.approx(stats.wilcoxon(differences, method="asymptotic").pvalue)


@pytest.mark.parametrize(("n_tracks", "confidence"), [(0, 0.95), (1, 0.95), (5, 0.95), (7, 0.99)])
def test_too_few_tracks_give_a_reason(tmp_path: Path, n_tracks: int, confidence: float) -> None:
    ones: list[float | None] = [float(index) for index in range(n_tracks)]
    twos: list[float | None] = [2.5 * index + 1 for index in range(n_tracks)]
    results = results_of(tmp_path, A=[*ones, None, 1.0], B=[*twos, 1.0, None])
    found = compare(results, "A", "B", confidence=confidence, **SDR)
    assert math.isnan(found.p)
    assert math.isnan(found.low)
    assert "no p-value, since with" in found.reason
    assert found.reason in str(found)
    assert (found.tracks, found.of_tracks) == (n_tracks, n_tracks + 2)


def test_as_many_tracks_as_can_prove_something(tmp_path: Path) -> None:
    results = results_of(tmp_path, A=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], B=[0.0] * 6)
    found = compare(results, "A", "B", **SDR)
    assert found.p == 2.0**-5
    assert found.reason == ""


def test_equal_methods_have_no_p(tmp_path: Path) -> None:
    found = compare(results_of(tmp_path, A=[1.0] * 9, B=[1.0] * 9), "A", "B", **SDR)
    assert math.isnan(found.p)
    assert (found.wins, found.ties, found.losses, found.difference) == (0, 9, 0, 0.0)
    shifted = compare(results_of(tmp_path / "s", A=[2.0] * 9, B=[1.0] * 9), "A", "B", **SDR)
    assert shifted.p == 2.0**-8
    assert shifted.reason == "no interval, since all differences are equal"


def test_the_interval_of_a_median_is_where_theory_has_it(tmp_path: Path) -> None:
    # A resample's median is at most the k-th value if at least half of it is: a binomial probability.
    values = sorted(np.random.default_rng(3).normal(1.0, 2.0, 11))
    reach = [stats.binom.sf(5, 11, (k + 1) / 11) for k in range(11)]
    low = values[next(k for k in range(11) if reach[k] >= 0.025)]
    high = values[next(k for k in range(11) if reach[k] >= 0.975)]
    found = compare(results_of(tmp_path, A=list(values), B=[0.0] * 11), "A", "B", **SDR)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.interval == "percentile bootstrap of the median"


def test_the_interval_of_a_mean_is_corrected_and_accelerated(tmp_path: Path) -> None:
    values = np.random.default_rng(5).exponential(2.0, 20)
    resamples = values[np.random.default_rng(1).integers(0, 20, (200_000, 20))].mean(axis=1)
    jackknife = (values.sum() - values) / 19
    spread = jackknife.mean() - jackknife
    acceleration = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    bias = stats.norm.ppf((resamples < values.mean()).mean())
    expected = []
    for z in stats.norm.ppf([0.025, 0.975]):
        at = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        expected.append(np.quantile(resamples, at))
    results = results_of(tmp_path, A=list(values), B=[0.0] * 20)
    found = compare(results, "A", "B", statistic="mean", n_resamples=50_000, **SDR)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)
    assert abs(found.low - np.quantile(resamples, 0.025)) > 0.03  # which is not where percentiles are
    assert found.interval == "BCa bootstrap of the mean"


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_the_interval_holds_as_often_as_it_says(statistic: str) -> None:
    rng = np.random.default_rng(0)
    settings = statistics._Settings(statistic, 0.9, 0.0, 299, 0)
    ends = [statistics._interval(rng.normal(1.0, 2.0, 25), settings)[:2] for _ in range(200)]
    assert 170 <= sum(low <= 1.0 <= high for low, high in ends) <= 192


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_differences_that_are_nearly_all_equal_warn_of_nothing(tmp_path: Path, statistic: str) -> None:
    results = results_of(tmp_path, A=[1.0] * 8 + [1.0 + 1e-15], B=[0.0] * 9)
    found = compare(results, "A", "B", statistic=statistic, **SDR)
    assert math.isnan(found.low) == ("no interval" in found.reason)
    assert not found.low > found.high


def test_seeds_and_global_state(tmp_path: Path) -> None:
    results = results_of(tmp_path, A=list(np.random.default_rng(0).normal(size=12)), B=[0.0] * 12)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    settings = {"statistic": "mean", "n_resamples": 199, **SDR}
    one, same, other = (compare(results, "A", "B", seed=seed, **settings) for seed in (1, 1, 2))
    assert (one.low, one.high) == (same.low, same.high)
    assert one.low != other.low
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_undefined_and_infinite_differences(tmp_path: Path) -> None:
    one = [NAN, INF, INF, -INF, 1.0, 2.0, 3.5, 4.7, 5.9, 9.0]
    other = [0.0, INF, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    results = results_of(tmp_path, A=one, B=other)
    found = compare(results, "A", "B", **SDR)
    assert (found.tracks, found.undefined) == (8, 2)  # NaN, and ∞ - ∞
    assert (found.wins, found.losses) == (7, 1)
    assert found.difference == pytest.approx(4.1)
    assert 0 < found.p < 1
    assert found.low < 4.1 < found.high
    assert math.isinf(found.low) == (found.low < -1e6)
    mean = compare(results, "A", "B", statistic="mean", **SDR)
    assert math.isnan(mean.low)
    assert mean.reason == "no interval of a mean, since some differences are infinite"


def test_differences_that_count_as_equal(tmp_path: Path) -> None:
    found = compare(results_of(tmp_path, A=[0.1, -0.1, 2.0], B=[0.0] * 3), "A", "B", tie_db=0.1, **SDR)
    assert (found.wins, found.ties, found.losses) == (1, 2, 0)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.5, NAN, 0.9])
    assert adjusted[0] == 1.0
    assert math.isnan(adjusted[1])
    assert adjusted[2] == 1.0
    assert holm([]) == []


def test_all_against_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=12)
    values = {
        "mixture": base,
        "A": base + rng.normal(2, 1, 12),
        "B": base + rng.normal(0, 1, 12),
        "IRM": base + 9,
    }
    plain: dict[str, list[float | None]] = {name: list(found) for name, found in values.items()}
    plain["B"][0] = None
    found = compare_all(results_of(tmp_path, **plain), **SDR)
    assert [one.method for one in found] == ["A", "B"]  # no oracle among them
    assert {one.tracks for one in found} == {11}  # of all alike, those that all have
    assert [one.p_adjusted for one in found] == pytest.approx(holm([one.p for one in found]))
    assert found[0].p_adjusted < 0.05 < found[1].p_adjusted
    lines = found.to_markdown().splitlines()
    assert lines[0] == "| method | difference | from | to | won | equal | lost | tracks | p | p (Holm) |"
    assert "Holm's correction for 2 tests" in lines[-1]
    assert "of 12 tracks those that all of these methods have" in lines[-1]
    assert len(found.records()) == len(found) == 2
    assert found.to_csv().startswith("method,against,source,metric")
    assert "\\hline" in found.to_latex()
    assert str(found) == repr(found)
    assert "<table>" in found._repr_html_()


def test_a_sentence(tmp_path: Path) -> None:
    found = compare(results_of(tmp_path, A=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], mixture=[0.0] * 6), "A", **SDR)
    assert str(found) == (
        "A against mixture, SDR of voice: +3.50 dB in the median "
        f"(95 % interval {found.low:+.2f} to {found.high:+.2f} dB, percentile bootstrap of the median); "
        "6 won, 0 equal, 0 lost on 6 of 6 tracks; Wilcoxon signed-rank test, two-sided, exact: p = 0.031."
    )
    odd = results_of(tmp_path / "odd", **{"mixture": [0.0], "a\u202eb\n": [1.0]})
    assert str(compare(odd, "a\u202eb\n", **SDR)).startswith("a\ufffdb  against")


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    results = results_of(tmp_path, A=[1.0], B=[2.0])
    for call in (
        lambda: compare(results, "A", "A", **SDR),
        lambda: compare(results, "A", **SDR),  # no mixture
        lambda: compare(results, "A", "C", **SDR),
        lambda: compare(results, "A", "B", metric="SIR", source="voice"),
        lambda: compare(results, "A", "B", confidence=95, **SDR),
        lambda: compare(results, "A", "B", statistic="mode", **SDR),
        lambda: compare(results, "A", "B", seed=-1, **SDR),
        lambda: compare_all(results, "A", methods=["A", "B"], **SDR),
        lambda: compare_all(results, "A", methods=[], **SDR),
    ):
        with pytest.raises(InputError):
            call()
