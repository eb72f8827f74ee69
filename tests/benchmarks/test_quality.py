"""The table of voices: scored as it says, and the page has what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import quality, results
from benchmarks.quality import COLUMNS, QualityResult, Row
from dspsep import HighLowPass, TwoStageHPSS
from dspsep.metrics import evaluate, si_sdr
from tests.cases import Case

RATE = 8000
STORED = quality.load()


def row(name, *voice_gains):
    """Return a row whose other columns are one, two and three more."""
    scores = {column: tuple(gain + k for gain in voice_gains) for k, column in enumerate(COLUMNS)}
    return Row(name=name, with_rule=scores, without={})


def invented(*rows):
    return QualityResult(date="2026-01-02", versions={"dspsep": "9.9"}, cases=("a_x", "a_y"), rows=rows)


@pytest.fixture
def song(monkeypatch):
    """Two seconds in which a lead guitar takes the place of a voice, and methods that take no time."""
    rng = np.random.default_rng(0)
    low, high = (
        np.cumsum(rng.standard_normal((2, 2 * RATE)), axis=1) / 200,
        rng.standard_normal((2, 2 * RATE)) / 20,
    )
    case = Case("a_x", low + high, {"backing": low, "lead_guitar": high}, RATE, {}, real=True)
    monkeypatch.setattr(quality, "real_case", lambda name: case)
    kinds = {"filter": (quality._baseline("HighLowPass"), None), "two": quality._both("TwoStageHPSS")}
    monkeypatch.setattr(quality, "rows", lambda: kinds)
    return case


def test_scores_are_those_of_the_metrics(song):
    result = quality.measure(["a_x"])
    plain, two = result.rows
    truth = {"vocals": song.references["lead_guitar"], "accompaniment": song.references["backing"]}
    found = HighLowPass().separate(song.mixture, RATE)
    gains = [si_sdr(truth[name], found[name]) - si_sdr(truth[name], song.mixture) for name in truth]
    scores = evaluate(truth, found, RATE)
    expected = (*gains, scores["vocals", "SDR"], scores["accompaniment", "SDR"])
    assert [plain.with_rule[column][0] for column in COLUMNS] == pytest.approx(expected, abs=1e-3)
    assert plain.without == {}
    parts = TwoStageHPSS(cutoff_hertz=None).separate(song.mixture, RATE)
    rest = parts["harmonic"] + parts["percussive"]
    gain = si_sdr(truth["accompaniment"], rest) - si_sdr(truth["accompaniment"], song.mixture)
    assert two.without[COLUMNS[1]][0] == pytest.approx(gain, abs=1e-3)
    assert two.without != two.with_rule


def test_a_choice_is_made_on_the_other_songs():
    result = invented(row("A", 5.0, 1.0), row("B", 1.0, 3.0), row("the mixture", 9.0, 9.0))
    chosen = quality._left_out(result)
    # On the second song B is better, so it is chosen for the first; and A for the second.
    assert chosen.with_rule[COLUMNS[0]] == (1.0, 1.0)
    assert chosen.with_rule[COLUMNS[3]] == (4.0, 4.0)


def test_a_result_survives_its_file_and_its_page(tmp_path):
    result = invented(row("A", -0.04, 0.0), row("B", -2.0, -1.0))
    results.store(result, tmp_path)
    assert quality.load(tmp_path) == result
    text = quality.section(result)
    assert "| A | 0.0 / 1.0 | 2.0 / 3.0 | – | – |" in text
    assert "| B | −1.5 / −0.5 | 0.5 / 1.5 | – | – |" in text
    page = f"before {quality.section(replace(result, date='then'))} after"
    assert quality.with_section(page, text) == f"before {text} after"


def test_the_page_has_what_is_kept(capsys, tmp_path, monkeypatch):
    assert quality.main(["vocals", "--check"]) == 0
    outdated = tmp_path / "vocals.md"
    outdated.write_text(quality.PAGE.read_text(encoding="utf-8").replace("| `REPET()` |", "| `REPETS()` |"))
    monkeypatch.setattr(quality, "PAGE", outdated)
    assert quality.main(["vocals", "--check"]) == 1
    assert "out of date" in capsys.readouterr().err


def test_without_recordings_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(quality, "manifest", dict)
    assert quality.main(["vocals"]) == 1
    assert "the recordings are not here" in capsys.readouterr().err


# What the page says in words


def mean(name, column, rule="with_rule"):
    found = next(row for row in STORED.rows if row.name == name)
    return float(np.mean(getattr(found, rule)[column]))


def test_all_rows_are_kept():
    assert [row.name for row in STORED.rows] == list(quality.rows())


FIRST = ("`REPET()`", "`REPETSim()`", "`KAM()`")
GAINS = COLUMNS[:2]


def test_what_the_rule_is_worth():
    for row in STORED.rows:
        if not row.without or "margin" in row.name:
            continue
        lost = [mean(row.name, column) - mean(row.name, column, "without") for column in GAINS]
        below = min(mean(row.name, column, "without") for column in GAINS) < 0
        if "RPCA" in row.name:
            bounds = (2.5, 5.6) if "weights=None" in row.name else (-0.1, 0.1)
            assert bounds[0] < min(lost) <= max(lost) < bounds[1]
        elif "Sim" in row.name or "Nearest" in row.name:
            assert max(lost) < 0.36
        else:
            assert 0.95 < min(lost) <= max(lost) < 6
            assert below == (row.name not in FIRST)


def test_three_methods_are_first_and_raise_everything():
    for name in FIRST:
        found = next(row for row in STORED.rows if row.name == name)
        assert min(min(found.with_rule[column]) for column in GAINS) > 0
        for other in STORED.rows:
            if other.name not in (*quality._NO_CHOICE, *FIRST):
                for column in COLUMNS:
                    assert mean(name, column) > mean(other.name, column)


def test_all_of_the_family_but_online_beat_the_mixture_in_both_parts():
    names = ("REPET", "REPETExtended", "AdaptiveREPET", "REPETSim", "NearestNeighborMedian", "RPCA", "FT2D")
    for name in (*names, "KAM"):
        for column in COLUMNS:
            assert mean(f"`{name}()`", column) > mean("the mixture", column)


def test_soft_masks_are_before_binary_ones():
    for rule in ("with_rule", "without"):
        for column in COLUMNS:
            assert mean("`RPCA()`", column, rule) - mean('`RPCA(mask="binary")`', column, rule) > 1
