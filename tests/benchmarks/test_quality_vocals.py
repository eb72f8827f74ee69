"""The table of voices: scored as it says, and what the page says of it in words."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality import vocals
from benchmarks.quality.task import Cell, QualityResult, Row, load
from benchmarks.quality.vocals import COLUMNS, FREE, NO_CHOICE
from dspsep import HighLowPass, TwoStageHPSS
from dspsep.metrics import evaluate, si_sdr
from tests.cases import Case

RATE = 8000
STORED = load(vocals.TASK)
SONGS = STORED.cases


def row(name, *voice_gains):
    """Return a row whose other columns are one, two and three more."""
    cells = {
        song: Cell(scores={column: (gain + k,) for k, column in enumerate(COLUMNS)})
        for song, gain in zip(("a_x", "a_y"), voice_gains, strict=True)
    }
    return Row(name=name, cells=cells)


def invented(*rows):
    return QualityResult(
        suite="quality_vocals",
        date="2026-01-02",
        versions={"dspsep": "9.9"},
        cases=("a_x", "a_y"),
        rows=rows,
    )


@pytest.fixture
def song():
    """Two seconds in which a lead guitar takes the place of a voice."""
    rng = np.random.default_rng(0)
    low, high = (
        np.cumsum(rng.standard_normal((2, 2 * RATE)), axis=1) / 200,
        rng.standard_normal((2, 2 * RATE)) / 20,
    )
    return Case("a_x", low + high, {"backing": low, "lead_guitar": high}, RATE, {}, real=True)


def test_scores_are_those_of_the_metrics(song):
    plain = vocals._plain("filter", vocals._baseline("HighLowPass")).score(song, 0)
    truth = {"vocals": song.references["lead_guitar"], "accompaniment": song.references["backing"]}
    found = HighLowPass().separate(song.mixture, RATE)
    gains = [si_sdr(truth[name], found[name]) - si_sdr(truth[name], song.mixture) for name in truth]
    scores = evaluate(truth, found, RATE)
    expected = (*gains, scores["vocals", "SDR"], scores["accompaniment", "SDR"])
    assert list(plain) == list(COLUMNS)
    assert list(plain.values()) == pytest.approx(expected, abs=1e-3)


def test_the_rule_is_turned_off_in_other_columns(song):
    two = vocals._both("two", "TwoStageHPSS").score(song, 0)
    truth = song.references["backing"]
    parts = TwoStageHPSS(cutoff_hertz=None).separate(song.mixture, RATE)
    gain = si_sdr(truth, parts["harmonic"] + parts["percussive"]) - si_sdr(truth, song.mixture)
    assert list(two) == [*COLUMNS, *FREE]
    assert two[FREE[1]] == pytest.approx(gain, abs=1e-3)
    assert two[FREE[1]] != two[COLUMNS[1]]


def test_a_choice_is_made_on_the_other_songs():
    result = invented(row("A", 5.0, 1.0), row("B", 1.0, 3.0), row("the mixture", 9.0, 9.0))
    chosen = vocals.left_out(result)
    # On the second song B is better, so it is chosen for the first; and A for the second.
    assert chosen.values(COLUMNS[0], result.cases) == [1.0, 1.0]
    assert chosen.values(COLUMNS[3], result.cases) == [4.0, 4.0]


def test_means_have_one_decimal_and_a_sign():
    text = vocals.TASK.section(invented(row("A", -0.04, 0.0), row("B", -2.0, -1.0)))
    assert "| A | 0.0 / 1.0 | 2.0 / 3.0 | – | – |" in text
    assert "| B | −1.5 / −0.5 | 0.5 / 1.5 | – | – |" in text


# What the page says in words


def mean(name, column):
    return float(np.mean(STORED.row(name).values(column, SONGS)))


FIRST = ("`REPET()`", "`REPETSim()`", "`KAM()`")
GAINS, FREE_GAINS = COLUMNS[:2], FREE[:2]
RULED = [row for row in STORED.rows if FREE[0] in row.cells[SONGS[0]].scores]


def test_what_the_rule_is_worth():
    for row in RULED:
        if "margin" in row.name:
            continue
        lost = [
            mean(row.name, ruled) - mean(row.name, free)
            for ruled, free in zip(GAINS, FREE_GAINS, strict=True)
        ]
        below = min(mean(row.name, column) for column in FREE_GAINS) < 0
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
        assert min(min(STORED.row(name).values(column, SONGS)) for column in GAINS) > 0
        for other in STORED.rows:
            if other.name not in (*NO_CHOICE, *FIRST):
                for column in COLUMNS:
                    assert mean(name, column) > mean(other.name, column)


def test_all_of_the_family_but_online_beat_the_mixture_in_both_parts():
    names = ("REPET", "REPETExtended", "AdaptiveREPET", "REPETSim", "NearestNeighborMedian", "RPCA", "FT2D")
    for name in (*names, "KAM"):
        for column in COLUMNS:
            assert mean(f"`{name}()`", column) > mean("the mixture", column)


def test_soft_masks_are_before_binary_ones():
    for column in (*COLUMNS, *FREE):
        assert mean("`RPCA()`", column) - mean('`RPCA(mask="binary")`', column) > 1
