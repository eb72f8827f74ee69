"""The table of a paper: its numbers, what it says of gaps, and that names are only names in it."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from dspsep.bench import BenchmarkResults, table
from dspsep.errors import InputError
from tests.bench.folders import INF, NAN, of_values, record, scored, write
from tests.metrics.made_scores import HOSTILE


@pytest.fixture
def whole(tmp_path: Path) -> BenchmarkResults:
    values = {
        "IRM": [9.0, 10.0, 12.0],
        "A": [1.0, 2.0, 6.0],
        "mixture": [0.0, -1.0, 1.0],
        "B": [2.0, 2.004, 3.0],
    }
    return BenchmarkResults.load(of_values(tmp_path, values, second=1.0))


def test_markdown(whole: BenchmarkResults) -> None:
    assert table(whole).to_markdown() == (
        "| method | voice SDR | band SDR | tracks |\n"
        "| :-- | --: | --: | --: |\n"
        "| mixture | 0.00 | 1.00 | 3 |\n"
        "| A | **2.00** | **3.00** | 3 |\n"
        "| B | **2.00** | **3.00** | 3 |\n"
        "| IRM (oracle) | 10.00 | 11.00 | 3 |\n"
        "\n"
        "by hand\\: median over 3 tracks; in dB; bold\\: the best, bounds apart\n"
    )
    assert "| A | 2.000 | 3 |\n| B | **2.004** | 3 |\n" in table(whole, sources="voice").to_markdown(digits=3)


def test_latex(whole: BenchmarkResults) -> None:
    assert table(whole, sources=["band"], over="mean").to_latex(digits=1) == (
        "% by hand: mean over 3 tracks; in dB; bold: the best, bounds apart\n"
        "\\begin{tabular}{lrr}\n"
        "\\hline\n"
        "method & band SDR & tracks \\\\\n"
        "\\hline\n"
        "mixture & 1.0 & 3 \\\\\n"
        "\\hline\n"
        "A & {\\bfseries\\boldmath 4.0} & 3 \\\\\n"
        "B & 3.3 & 3 \\\\\n"
        "\\hline\n"
        "IRM (oracle) & 11.3 & 3 \\\\\n"
        "\\hline\n"
        "\\end{tabular}\n"
    )


def test_csv_has_every_number(whole: BenchmarkResults) -> None:
    rows = list(csv.DictReader(io.StringIO(table(whole).to_csv())))
    assert len(rows) == 8
    (found,) = [row for row in rows if (row["method"], row["source"]) == ("B", "voice")]
    assert float(found["score"]) == 2.004
    assert (found["tracks"], found["of_tracks"], found["kind"], found["over_tracks"]) == (
        "3", "3", "separator", "median",
    )  # fmt: skip


def test_html_and_text(whole: BenchmarkResults) -> None:
    made = table(whole)
    assert str(made) == repr(made)
    assert str(made).splitlines()[0] == "method        voice SDR  band SDR  tracks"
    html = made._repr_html_()
    assert "<strong>2.00</strong>" in html
    assert html.count("<tbody>") == 3  # the bounds stand apart


def test_gain_is_paired(tmp_path: Path) -> None:
    values = {"mixture": [0.0, 10.0, 20.0, None], "A": [5.0, 11.0, None, 99.0]}
    made = table(BenchmarkResults.load(of_values(tmp_path, values)), gain=True, sources="voice")
    gains = {row["method"]: (row["score"], row["tracks"]) for row in made.records()}
    assert gains == {"mixture": (0.0, 3), "A": (3.0, 2)}  # of the two tracks that both have
    assert "gain over the mixture, median over 4 tracks" in made.caption


def test_gain_needs_the_mixture(tmp_path: Path) -> None:
    results = BenchmarkResults.load(of_values(tmp_path, {"A": [1.0]}))
    with pytest.raises(InputError, match="untouched mixture among the methods"):
        table(results, gain=True)


def test_gaps_are_counted_and_not_bold(tmp_path: Path) -> None:
    tracks = ["one", "two", "three"]
    records = [
        *(record("A", track, scored(track, (1.0, 1.0))) for track in tracks),
        record("B", "one", scored("one", (99.0, 99.0))),
        record("B", "two"),
        record("B", "three", status="unfit", error={"message": "No."}),
        record("C", "one", scored("one", (0.0, 0.0)), matching="best"),
        record("C", "two", scored("two", (NAN, 0.0))),
    ]
    results = BenchmarkResults.load(write(tmp_path, ["A", "B", "C", "D"], tracks, records))
    made = table(results)
    lines = made.to_markdown().splitlines()
    assert lines[0] == ("| method | voice SDR | band SDR | tracks | undefined | failed | unfit | missing |")
    assert lines[2:6] == [
        "| A | **1.00** | **1.00** | 3 | 0 | 0 | 0 | 0 |",
        "| B | 99.00 | 99.00 | 1 | 0 | 1 | 1 | 0 |",
        "| C | 0.00 | 0.00 | 2 | 1 | 0 | 0 | 1 |",
        "| D | – | – | 0 | 0 | 0 | 0 | 3 |",
    ]
    assert "numbers are of as many tracks as their row says" in lines[-1]
    assert "estimates matched with sources by score\\: C" in lines[-1]
    common = table(results, common=True, sources="voice")
    assert [row["tracks"] for row in common.records()] == [1, 1, 1, 0]
    assert "the 1 of 3 tracks that all methods with scores have" in common.caption
    assert "| B | **99.00** |" in common.to_markdown()


def test_bounds_are_never_bold(tmp_path: Path) -> None:
    values = {"mixture": [9.0], "A": [1.0], "IRM": [10.0]}
    made = table(BenchmarkResults.load(of_values(tmp_path, values)), sources="voice").to_markdown()
    assert "| mixture | 9.00 |" in made
    assert "| A | **1.00** |" in made
    assert "| IRM (oracle) | 10.00 |" in made


def test_infinite_scores(tmp_path: Path) -> None:
    values = {"mixture": [0.0, INF], "A": [INF, INF]}
    results = BenchmarkResults.load(of_values(tmp_path, values))
    assert "| A | **∞** |" in table(results, sources="voice").to_markdown()
    gains = table(results, gain=True, sources="voice").records()
    assert [row["undefined"] for row in gains] == [1, 1]  # ∞ - ∞
    assert gains[1]["score"] == INF


def test_names_are_only_names(tmp_path: Path) -> None:
    names = [name for name in HOSTILE if name.strip()]
    sources = {f"{names[0]}x": 1.0, "y": 2.0}
    records = [record(name, "one", scored("one", sources), matching="best") for name in names]
    made = table(BenchmarkResults.load(write(tmp_path, names, ["one"], records)))
    for line in made.to_markdown().splitlines()[:-2]:
        assert line.replace("\\|", "").count("|") == 5
    html = made._repr_html_()
    assert "<script" not in html
    comment, *latex = made.to_latex().splitlines()
    assert comment.startswith("% ")
    assert len(latex) == len(names) + 6
    assert not any("\\input{" in line for line in latex)
    for row in csv.reader(io.StringIO(made.to_csv())):
        assert not row[0].lstrip().startswith(("=", "+", "-", "@", "＝"))


def test_what_does_not_exist_is_refused(whole: BenchmarkResults, tmp_path: Path) -> None:
    for settings in (
        {"metrics": "SIR"},
        {"sources": ["x"]},
        {"methods": "C"},
        {"over": "mode"},
        {"metrics": []},
    ):
        with pytest.raises(InputError):
            table(whole, **settings)  # type: ignore[arg-type]
    nothing = BenchmarkResults.load(write(tmp_path / "n", ["A"], ["one"], [record("A", "one")]))
    with pytest.raises(InputError, match="at least one scored track"):
        table(nothing)


def test_choosing(whole: BenchmarkResults) -> None:
    rows = table(whole, methods=["B", "A"], sources="band", metrics="SDR").records()
    assert [(row["method"], row["source"]) for row in rows] == [("B", "band"), ("A", "band")]
    assert all(math.isfinite(row["score"]) for row in rows)
