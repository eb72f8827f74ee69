"""Goals are met, missed or not measured, and say by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import report, results
from benchmarks.goals import Goal, Limit, Linear, PeakLimit, PeakMultiple, Verdict
from benchmarks.harness import Record
from benchmarks.results import ComparisonResult, Growth
from tests.benchmarks.test_harness import fake_suites, stored_result


def record(name, *times):
    return Record(contender=name, difference=0.0, output="", wall=tuple(2 * t for t in times), cpu=times)


def point(name, seconds, cpu, megabytes):
    peaks = tuple(round(1e6 * value) for value in megabytes)
    return Growth(contender=name, seconds=seconds, wall=tuple(3 * t for t in cpu), cpu=cpu, peak_bytes=peaks)


def measured(*records, growth=()):
    return ComparisonResult(name="fake", tolerance=0.0, records=records, growth=growth, absent=())


THREE = measured(record("A", 1.0, 2.0, 1.0), record("B", 4.0, 4.0, 3.0), record("C", 6.0, 6.0, 6.0))
# Not in the order of their lengths, so that the greatest is not simply the last.
GROWN = measured(
    growth=(
        point("A", 3600.0, (40.0, 41.0, 39.0), (90.0, 70.0, 80.0)),
        point("A", 60.0, (0.5, 0.5, 0.6), (60.0, 60.0, 60.0)),
        point("B", 60.0, (1.0,), (300.0,)),
    )
)


def test_a_ratio_counts_the_best_of_the_rivals_round_by_round():
    assert Goal(at_least=3).verdict(THREE, "A", 1) == Verdict("3.00 ×", "B", met=True)
    assert Goal(at_least=3.1).verdict(THREE, "A", 1) == Verdict("3.00 ×", "B", met=False)
    assert Goal(at_least=3.1, over=("C",)).verdict(THREE, "A", 1) == Verdict("6.00 ×", "C", met=True)


def test_the_order_of_rivals_does_not_matter():
    ours, better, worse = THREE.records
    assert Goal(at_least=3).verdict(measured(ours, worse, better), "A", 1).beside == "B"


def test_a_ratio_may_be_the_goal_of_any_contender():
    assert Goal(at_least=1, over=("C",), of="B").verdict(THREE, "B", 1) == Verdict("1.50 ×", "C", met=True)
    assert Goal(at_least=1, of="B").verdict(THREE, "B", 1).beside == "A"


def test_with_several_threads_ratios_are_of_the_wall():
    ours, theirs = replace(record("A", 5.0), wall=(1.0,)), record("B", 5.0)
    assert Goal(at_least=1).verdict(measured(ours, theirs), "A", 1).measured == "1.00 ×"
    assert Goal(at_least=1).verdict(measured(ours, theirs), "A", 2).measured == "10.0 ×"


def test_a_limit_is_of_seconds_on_the_wall_with_one_thread_too():
    assert Limit(at_most=2).verdict(THREE, "A", 1) == Verdict("2.00 s", "–", met=True)
    assert Limit(at_most=1.9).verdict(THREE, "A", 1) == Verdict("2.00 s", "–", met=False)
    assert Limit(at_most=1.9, of="B").verdict(THREE, "B", 1) == Verdict("8.00 s", "–", met=False)


def test_a_peak_is_the_median_of_processes_at_the_greatest_length():
    assert PeakLimit(at_most=80).verdict(GROWN, "A", 1) == Verdict("80.0 MB", "3600 s of audio", met=True)
    assert PeakLimit(at_most=79).verdict(GROWN, "A", 1).met is False
    assert PeakLimit(at_most=79).verdict(GROWN, "B", 1).measured == "300 MB"


def test_a_multiple_is_of_the_size_at_the_greatest_length():
    def goal(at_most):
        return PeakMultiple(at_most=at_most, what="V", bytes_per_second=40e6 / 3600)

    assert str(goal(2)) == "memory ≤ 2 × V"
    assert goal(2).verdict(GROWN, "A", 1) == Verdict("2.00 ×", "3600 s of audio", met=True)
    assert goal(1.9).verdict(GROWN, "A", 1).met is False


def test_time_is_linear_if_a_second_of_audio_costs_the_same_at_every_length():
    found = Verdict("1.33 ×", "3600 s beside 60 s", met=False)  # 40/3600 over 0.5/60
    assert Linear(at_most=1.3).verdict(GROWN, "A", 1) == found
    assert Linear(at_most=1.4).verdict(GROWN, "A", 1) == found._replace(met=True)


@pytest.mark.parametrize(
    "goal",
    [
        Goal(at_least=1),
        Limit(at_most=9),
        PeakLimit(at_most=9),
        PeakMultiple(at_most=9, what="V", bytes_per_second=1.0),
        Linear(at_most=9),
    ],
)
def test_without_figures_nothing_is_met(goal):
    assert goal.verdict(measured(), "A", 1) == Verdict("–", "–", None)


def test_without_its_rivals_a_ratio_is_not_measured_and_one_length_is_no_growth():
    assert Goal(at_least=1, over=("D",)).verdict(THREE, "A", 1).met is None
    assert Linear(at_most=9).verdict(GROWN, "B", 1).met is None


def test_the_page_has_a_row_for_each_goal(tmp_path):
    results.store(stored_result(), tmp_path)
    goals = (
        Goal(at_least=3.5),
        Goal(at_least=0.25, of="theirs"),
        Limit(at_most=0.5, of="theirs"),
        PeakLimit(at_most=150),
        Linear(at_most=1.2),
        Goal(at_least=1.0, over=("third",)),
    )
    text = report.page(fake_suites(*goals), tmp_path)
    rows = [line for line in text.splitlines() if line.startswith("| A job |")]
    assert rows == [
        "| A job | ours | ≥ 3.5 × | 3.00 × | theirs | **missed** |",
        "| A job | theirs | ≥ 0.25 × | 0.33 × | ours | met |",
        "| A job | theirs | ≤ 0.5 s | 1.00 s | – | **missed** |",
        "| A job | ours | ≤ 150 MB | 150 MB | 100 s of audio | met |",
        "| A job | ours | ≤ 1.2 × per second of audio | 1.00 × | 100 s beside 10 s | met |",
        "| A job | ours | ≥ 1 × | – | – | not measured |",
    ]
