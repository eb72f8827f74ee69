"""The harness measures what it says: equal output first, turns, ratios by rounds, a page from the results."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import bounds, bounds_report, child, report, results
from benchmarks.__main__ import main
from benchmarks.goals import Goal
from benchmarks.harness import (
    Comparison,
    Contender,
    DisagreementError,
    Suite,
    Task,
    Timing,
    compare,
    ratios,
    stopwatch,
    summary,
)
from benchmarks.memory import Meter, measure_alone
from benchmarks.results import ComparisonResult, Growth, Settings, SuiteResult
from benchmarks.suites import SUITES


def contender(name, output, log=None, package="numpy"):
    """One that returns `output` and writes its name down when it is called."""

    def prepare(source):
        def call():
            if log is not None:
                log.append(name)
            return output

        return Task(call)

    return Contender(name=name, package=package, prepare=prepare)


def comparison(*contenders, tolerance=1e-6, goals=(), timer=stopwatch, grows=None):
    return Comparison(
        name="fake",
        title="A job",
        note="Nothing is done.",
        contenders=contenders,
        make_input=lambda seconds: np.ones(round(1000 * seconds)),
        tolerance=tolerance,
        goals=goals,
        timer=timer,
        grows=grows or {},
    )


def stored_result(**changes):
    """A suite's result with two contenders whose ratios are 4, 2 and 3."""
    records = (
        results.Record(
            contender="ours", difference=0.0, output="float32", wall=(0.2, 0.2, 0.2), cpu=(0.1, 0.2, 0.1)
        ),
        results.Record(
            contender="theirs", difference=3e-7, output="float64", wall=(1.0, 1.0, 1.0), cpu=(0.4, 0.4, 0.3)
        ),
    )
    growth = (
        Growth(contender="ours", seconds=10.0, wall=(0.1,), cpu=(0.05,), peak_bytes=(20_000_000,)),
        Growth(contender="ours", seconds=100.0, wall=(1.0,), cpu=(0.5,), peak_bytes=(150_000_000,)),
    )
    measured = ComparisonResult(
        name="fake", tolerance=1e-6, records=records, growth=growth, absent=("third",)
    )
    facts = {"processor": "A processor", "instruction_sets": "avx2", "cores": 2, "memory_gb": 8}
    return SuiteResult(
        suite="fakes",
        date="2026-01-02",
        machine={**facts, "system": "An OS", "python": "CPython 3.11"},
        versions={"dspsep": "1.0", "numpy": "2.1"},
        settings=Settings(rounds=3),
        audio="some music",
        load=(0.0, 1.0),
        comparisons=(replace(measured, **changes),),
    )


def fake_suites(*goals, **suite):
    ours, theirs = contender("ours", 1), contender("theirs", 1)
    fake = comparison(ours, theirs, goals=goals, grows={"ours": None, "theirs": 600.0})
    return {"fakes": Suite(name="fakes", title="Fakes", note="All invented.", comparisons=(fake,), **suite)}


# Measuring


def test_contenders_take_turns_after_one_round_of_warming_up():
    log = []
    compare(comparison(*(contender(name, 1.0, log) for name in "ABC")), None, rounds=3)
    assert "".join(log) == "ABC" * 4


def test_every_round_is_recorded_in_its_order():
    ticks = itertools.count(1)
    fake = comparison(
        contender("A", 1.0), contender("B", 1.0), timer=lambda call: Timing(next(ticks), -next(ticks))
    )
    first, second = compare(fake, None, rounds=2)
    assert (first.wall, first.cpu) == ((1, 5), (-2, -6))
    assert (second.wall, second.cpu) == ((3, 7), (-4, -8))


def test_all_get_the_same_input():
    seen = []

    def prepare(source):
        seen.append(source)
        return Task(lambda: 1.0)

    source = np.ones(3)
    compare(
        comparison(*(Contender(name=n, package="numpy", prepare=prepare) for n in "AB")), source, rounds=1
    )
    assert all(each is source for each in seen)
    assert len(seen) == 2


def test_what_is_compared_is_the_comparable_form():
    halved = Contender(name="B", package="numpy", prepare=lambda _: Task(lambda: np.ones(3), lambda y: 2 * y))
    records = compare(comparison(contender("A", np.full(3, 2.0)), halved), None, rounds=1)
    assert records[1].difference == 0
    with pytest.raises(DisagreementError):
        compare(comparison(contender("A", np.ones(3)), halved), None, rounds=1)


@pytest.mark.parametrize(
    "other",
    [np.array([1.0, 2.0, 4.001]), np.array([1.0, 2.0]), np.array([1.0, 2.0, np.nan])],
    ids=["value", "shape", "nan"],
)
def test_nothing_is_timed_where_outputs_differ(other):
    log = []
    fake = comparison(
        contender("A", np.array([1.0, 2.0, 4.0]), log), contender("B", other, log), tolerance=1e-4
    )
    with pytest.raises(DisagreementError, match="fake: B differs from A"):
        compare(fake, None, rounds=5)
    assert log == ["A", "B"]


def test_the_difference_is_relative_to_the_largest_value():
    fake = comparison(
        contender("A", np.array([0.0, -8.0])), contender("B", np.array([1.0, -8.0])), tolerance=0.2
    )
    assert [record.difference for record in compare(fake, None, rounds=1)] == [0.0, 0.125]


def test_who_is_not_installed_does_not_compete_unless_all_are_compared_with_it():
    absent = contender("B", 2.0, package="no_such_package")
    assert [record.contender for record in compare(comparison(contender("A", 1.0), absent), None, 1)] == ["A"]
    with pytest.raises(RuntimeError, match="B is not installed"):
        compare(comparison(absent, contender("A", 1.0)), None, rounds=1)


def test_ratios_are_taken_round_by_round():
    # The machine slows to a tenth after one round: the columns' medians are equal, the rounds say 2, 2, 1.
    assert ratios([2.0, 20.0, 10.0], [1.0, 10.0, 10.0]) == (2.0, 1.0, 2.0)
    assert summary([3.0, 1.0, 8.0]) == (3.0, 1.0, 8.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_the_stopwatch_tells_work_from_waiting():
    import time

    def work():
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    waiting, working = stopwatch(lambda: time.sleep(0.05)), stopwatch(work)
    assert waiting.wall >= 0.05
    assert waiting.cpu < 0.03
    assert 0.02 <= working.cpu < 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an earlier peak cannot be forgotten")
def test_the_meter_sees_a_peak_that_is_gone_and_forgets_an_earlier_one():
    megabyte = 2**20
    np.ones(200 * megabyte, np.uint8)  # a larger peak before
    meter = Meter()
    meter.reset()
    np.ones(60 * megabyte, np.uint8)
    assert 58 * megabyte < meter.peak() < 70 * megabyte


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an earlier peak cannot be forgotten")
def test_alone_counts_the_result_but_neither_the_input_nor_what_preparing_took():
    megabyte = 2**20
    prepared = []

    def prepare(source):
        prepared.append(source.size)
        np.ones(100 * megabyte, np.uint8)
        return Task(lambda: np.ones(30 * megabyte, np.uint8))

    fake = comparison(Contender(name="A", package="numpy", prepare=prepare))
    alone = measure_alone(fake, fake.contenders[0], 3.0)
    assert 29 * megabyte < alone.peak_bytes < 36 * megabyte
    assert prepared == [1000, 3000]


# The child process


def test_a_child_has_the_threads_and_not_the_kernels_of_its_parent(monkeypatch):
    monkeypatch.setenv("DSPSEP_KERNELS", "generic")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = child.pinned(2)
    assert "DSPSEP_KERNELS" not in environment
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "DSPSEP"):
        assert environment[f"{library}_NUM_THREADS"] == "2"


def test_a_child_measures_and_a_failed_one_is_an_error(capfd):
    records = child.compare_in_a_child(["kernel-overlap-add"], seconds=0.2, rounds=2, threads=1)
    assert [len(record.wall) for record in records["kernel-overlap-add"]] == [2, 2, 2]
    with pytest.raises(child.MeasuringError, match="no-such-comparison"):
        child.compare_in_a_child(["no-such-comparison"], seconds=0.2, rounds=1, threads=1)
    assert "Traceback" in capfd.readouterr().err


# Results and the page


def test_a_result_survives_its_file(tmp_path):
    result = stored_result()
    path = results.store(result, tmp_path)
    assert results.load(path) == result
    assert [file.name for file in tmp_path.iterdir()] == ["fakes.json"]


def test_the_page_has_the_figures_of_the_rounds(tmp_path):
    results.store(stored_result(), tmp_path)
    text = report.page(fake_suites(Goal(at_least=2.5)), tmp_path)
    assert "| theirs | 400 ms (300 ms – 400 ms) | 1.00 s | **3.00** (2.00 – 4.00) | 3e-07 | float64 |" in text
    assert "| A job | ours | ≥ 2.5 × | 3.00 × | theirs | met |" in text
    assert "| 10 s | ours | 50.0 ms | 5.00 ms | 20.0 MB | 2.00 MB |" in text
    assert "(theirs up to 600 s, for want of memory)" in text
    assert "Not installed: third." in text
    assert "some music" in text
    assert text == report.page(fake_suites(Goal(at_least=2.5)), tmp_path)


def test_with_more_threads_ratios_are_of_the_wall(tmp_path):
    results.store(replace(stored_result(), settings=Settings(rounds=3, threads=2)), tmp_path)
    assert "**5.00** (5.00 – 5.00)" in report.page(fake_suites(), tmp_path)


def test_suites_that_were_not_measured_have_their_goals_on_the_page(tmp_path):
    text = report.page(fake_suites(Goal(at_least=2.5)), tmp_path)
    assert "| A job | ours | ≥ 2.5 × | – | – | not measured |" in text
    assert "## Fakes" not in text


def test_results_of_another_suite_are_not_reported(tmp_path):
    results.store(stored_result(name="renamed"), tmp_path)
    with pytest.raises(ValueError, match="run it again"):
        report.page(fake_suites(), tmp_path)


def test_check_tells_an_edited_page_from_the_written_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(bounds_report, "PAGE", tmp_path / "other.md")
    assert main(["report", "--check"]) == 1
    assert capsys.readouterr().err.count("out of date") == 2
    assert main(["report"]) == 0
    assert main(["report", "--check"]) == 0
    for page in (report.PAGE, bounds_report.PAGE):
        written = page.read_text()
        page.write_text(written.replace("Measure", "measure"))
        assert main(["report", "--check"]) == 1
        assert f"{page.name} is out of date" in capsys.readouterr().err
        page.write_text(written)
    assert main(["report", "--check"]) == 0


def test_the_pages_in_the_docs_are_what_the_results_say():
    assert main(["report", "--check"]) == 0


def test_a_failed_measurement_ends_the_run_and_stores_nothing(monkeypatch, capsys):
    def fail(suite, settings):
        raise child.MeasuringError("it failed")

    monkeypatch.setattr(results, "measure", fail)
    monkeypatch.setattr(results, "store", lambda result: pytest.fail("stored"))
    assert main(["run", "hpss"]) == 1
    assert "it failed" in capsys.readouterr().err


def test_a_smoke_run_stores_nothing_and_settings_reach_the_measurement(monkeypatch, capsys):
    seen, stored = [], []
    monkeypatch.setattr(results, "measure", lambda suite, settings: seen.append((suite.name, settings)))
    monkeypatch.setattr(results, "store", lambda result: stored.append(result) or results.FOLDER)
    monkeypatch.setattr(bounds, "obstacle", lambda: "not now")
    assert main(["run", "--smoke"]) == 0
    assert "bounds: not measured: not now" in capsys.readouterr().out
    assert [name for name, _ in seen] == [name for name, suite in SUITES.items() if not suite.obstacle()]
    assert not stored
    assert main(["run", "stft", "--rounds", "3", "--lengths", "1,2.5", "--threads", "2"]) == 0
    assert seen[-1] == ("stft", Settings(rounds=3, lengths=(1.0, 2.5), threads=2))
    assert len(stored) == 1


def test_what_cannot_be_measured_here_is_left_out_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(results, "measure", lambda suite, settings: pytest.fail("measured"))
    (fakes,) = fake_suites(obstacle=lambda: "there is no moon").values()
    monkeypatch.setitem(SUITES, "stft", fakes)
    assert main(["run", "stft"]) == 0
    assert "stft: not measured: there is no moon" in capsys.readouterr().out


def measured_growth(monkeypatch, settings, **suite):
    """Return the contenders and lengths that were measured alone, and the result of it all."""
    asked = []

    def alone(name, contender, *, seconds, threads):
        asked.append((contender, seconds, threads))
        return {"wall": 1.0, "cpu": 1.0, "peak_bytes": 1}

    records = stored_result().comparisons[0].records
    monkeypatch.setattr(results, "compare_in_a_child", lambda names, **_: {"fake": records})
    monkeypatch.setattr(results, "measure_in_a_child", alone)
    (fakes,) = fake_suites(**suite).values()
    return asked, results.measure(fakes, settings)


def test_nobody_is_measured_beyond_the_length_that_memory_allows(monkeypatch):
    asked, result = measured_growth(monkeypatch, Settings(lengths=(60.0, 600.0, 3600.0), repeats=1))
    assert [seconds for name, seconds, _ in asked if name == "ours"] == [60, 600, 3600]
    assert [seconds for name, seconds, _ in asked if name == "theirs"] == [60, 600]
    assert len(result.comparisons[0].growth) == 5


def test_a_suite_may_say_how_many_threads_it_takes(monkeypatch):
    asked, result = measured_growth(monkeypatch, Settings(lengths=(1.0,), repeats=1), threads=2)
    assert result.settings.threads == 2
    assert {threads for *_, threads in asked} == {2}
    _, result = measured_growth(monkeypatch, Settings(lengths=(1.0,), threads=3))
    assert result.settings.threads == 3
