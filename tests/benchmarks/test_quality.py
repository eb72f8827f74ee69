"""The tables of quality: measured as they say, kept at once, and the pages have what is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import results
from benchmarks.quality import __main__ as command
from benchmarks.quality import measuring
from benchmarks.quality.measuring import measure
from benchmarks.quality.task import Cell, Method, QualityResult, QualityTask, Row, load, with_section
from dspsep.errors import warn
from tests.cases import Case

CASES = ("a_x", "a_y")


def cell(*values, warned=()):
    return Cell(scores={"SDR": values}, warned=warned)


def invented(**rows):
    made = tuple(Row(name=name, cells=dict(zip(CASES, cells, strict=False))) for name, cells in rows.items())
    versions = {"dspsep": "9.9", "elsewhere": "2.0"}
    return QualityResult(suite="quality_toy", date="2026-01-02", versions=versions, cases=CASES, rows=made)


def toy(*methods):
    def lines(result):
        return [f"{row.name}: {list(row.cells)}" for row in result.rows]

    return QualityTask(name="toy", prefixes=("a_",), columns=("SDR",), methods=lambda: methods, lines=lines)


@pytest.fixture
def calls(monkeypatch):
    """What is separated, in order, by methods that take no time."""
    audio = np.ones((1, 8), np.float32)
    monkeypatch.setattr(measuring, "real_case", lambda name: Case(name, audio, {}, 8000, {}, real=True))
    return []


def method(calls, name, value=1.0, **settings):
    def score(case, seed):
        calls.append((name, case.name, seed))
        return {"SDR": value + seed}

    return Method(name=name, score=score, **settings)


def test_cheap_ones_are_first_and_seeds_take_turns(calls):
    slow, quick = method(calls, "slow", cost=1, n_seeds=2), method(calls, "quick")
    kept = []
    found = measure(toy(slow, quick), CASES, None, kept.append)
    order = [("quick", "a_x", 0), ("quick", "a_y", 0), ("slow", "a_x", 0), ("slow", "a_y", 0)]
    assert calls == [*order, ("slow", "a_x", 1), ("slow", "a_y", 1)]
    assert [row.name for row in found.rows] == ["slow", "quick"]
    assert found.row("slow").cells["a_y"] == cell(1.0, 2.0)
    assert found.row("slow").cells["a_y"].median("SDR") == 1.5
    assert len(kept) == 6  # each score at once
    assert kept[-1] == found
    assert list(kept[0].row("quick").cells) == ["a_x"]


def test_what_is_kept_is_not_measured_again_to_resume(calls):
    task = toy(method(calls, "A", n_seeds=2), method(calls, "B"))
    kept = invented(A=[cell(7.0), cell(8.0, 9.0)], B=[])
    found = measure(task, CASES, kept, lambda _: None, resume=True)
    assert sorted(calls) == [("A", "a_x", 1), ("B", "a_x", 0), ("B", "a_y", 0)]
    assert found.row("A").cells == {"a_x": cell(7.0, 2.0), "a_y": cell(8.0, 9.0)}
    calls.clear()
    again = measure(task, CASES, found, lambda _: None)
    assert len(calls) == 6
    assert again.row("A").cells["a_x"] == cell(1.0, 2.0)


def test_rows_of_what_is_not_installed_stay_as_they_are(calls):
    theirs = method(calls, "theirs", package="no_such_library")
    kept = invented(theirs=[cell(5.0, warned=("W_X",))], gone=[cell(1.0)])
    found = measure(toy(theirs, method(calls, "ours")), CASES, kept, lambda _: None)
    assert found.row("theirs") == kept.row("theirs")
    assert [row.name for row in found.rows] == ["theirs", "ours"]
    assert found.versions["elsewhere"] == "2.0"
    assert found.versions["dspsep"] != "9.9"


def test_only_what_fits_is_asked(calls):
    found = measure(
        toy(method(calls, "A", fits=lambda case: case.name == "a_y")), CASES, None, lambda _: None
    )
    assert list(found.row("A").cells) == ["a_y"]


def test_warnings_are_kept_and_failures_are_no_numbers(calls):
    def score(case, seed):
        warn("W_RANK", "as an example")
        return {"SDR": math.nan if case.name == "a_x" else -math.inf}

    def crash(case, seed):
        raise ValueError("no")

    ours, theirs = Method(name="ours", score=score), Method(name="theirs", score=crash, package="numpy")
    found = measure(toy(ours, theirs), CASES, None, lambda _: None)
    assert found.row("ours").cells["a_x"] == cell(None, warned=("W_RANK",))
    assert found.row("ours").cells["a_y"].scores == {"SDR": (None,)}
    assert found.row("theirs").cells["a_x"] == cell(None)
    with pytest.raises(ValueError, match="no"):
        measure(toy(Method(name="ours", score=crash)), CASES, None, lambda _: None)


def test_a_start_without_a_result_is_the_worst():
    assert cell(1.0, None, 3.0).median("SDR") == 1.0
    assert cell(1.0, None, None).median("SDR") is None
    with pytest.raises(ValueError, match="no result"):
        Row(name="A", cells={"a_x": cell(None)}).values("SDR", ["a_x"])


def test_a_result_survives_its_file_and_its_page(tmp_path):
    task, result = toy(), invented(A=[cell(-0.04, None), cell(2.0, warned=("W_X",))])
    assert load(task, tmp_path) is None
    results.store(result, tmp_path)
    assert load(task, tmp_path) == result
    text = task.section(result)
    page = f"before {task.section(invented())} after"
    assert with_section(page, text) == f"before {text} after"


@pytest.mark.parametrize("task", command.TASKS.values(), ids=lambda task: task.name)
def test_the_pages_have_what_is_kept(task, capsys, tmp_path):
    assert command.main([task.name, "--check"]) == 0
    page, kept = tmp_path / "page.md", load(task)
    page.write_text(
        with_section(task.page.read_text(encoding="utf-8"), task.section(replace(kept, date="never"))),
        encoding="utf-8",
    )
    up_to_date = task.page
    object.__setattr__(task, "page", page)
    try:
        assert command.main([task.name, "--check"]) == 1
        assert "out of date" in capsys.readouterr().err
        assert command.main([task.name, "--write"]) == 0
    finally:
        object.__setattr__(task, "page", up_to_date)
    assert page.read_text(encoding="utf-8") == up_to_date.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "task", [task for task in command.TASKS.values() if task.methods()], ids=lambda task: task.name
)
def test_all_rows_are_kept_as_far_as_they_go(task):
    assert [row.name for row in load(task).rows] == [method.name for method in task.methods()]


def test_without_recordings_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(command, "manifest", dict)
    assert command.main(["vocals"]) == 1
    assert "the recordings are not here" in capsys.readouterr().err
