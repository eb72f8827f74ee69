"""The table of all methods on all recordings: made of records, complete, and what the page says of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import dspsep
from benchmarks.quality import baselines
from benchmarks.quality.baselines import COLUMN, GROUPS, TASK, condensed
from benchmarks.quality.task import Cell, QualityResult, Row, load
from dspsep import _registry
from dspsep.data import Track
from dspsep.metrics import si_sdr
from tests.cases import manifest

RATE = 8000
STORED = load(TASK)
BOUNDS = ["`oracle.IBM`", "`oracle.IRM`", "`oracle.MWF`"]


def gain(row, case):
    return STORED.row(row).cells[case].median(COLUMN)


@pytest.fixture
def results(tmp_path):
    """Half a second of two sources in two channels, through methods that take no time."""
    rng = np.random.default_rng(0)
    audio = {name: rng.standard_normal((RATE // 2, 2)) / 8 for name in ("vocals", "accompaniment")}
    audio["accompaniment"] = np.cumsum(audio["accompaniment"], axis=0) / 8
    for name, samples in audio.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    track = Track(name="song", sources={name: tmp_path / f"{name}.wav" for name in audio})
    methods = {"HighLowPass": "HighLowPass", "ADRess": dspsep.ADRess(n_sources=1)}
    return dspsep.run_benchmark(methods, track, tmp_path / "results", protocol="scale_invariant"), audio


def test_gains_are_those_of_the_metric(results):
    found, audio = results
    result = condensed(found)
    truth = {name: samples.T.astype(np.float32) for name, samples in audio.items()}
    mixture = sum(truth.values())
    estimates = dspsep.HighLowPass().separate(mixture, RATE)
    gains = [si_sdr(truth[name], estimates[name]) - si_sdr(truth[name], mixture) for name in truth]
    assert result.row("`HighLowPass`").cells["song"].median(COLUMN) == pytest.approx(np.mean(gains), abs=2e-3)
    assert [row.name for row in result.rows] == ["the mixture", *BOUNDS, "`HighLowPass`", "`ADRess`"]
    assert result.row("the mixture").cells["song"].median(COLUMN) == 0


def test_what_does_not_fit_has_no_cell_and_what_failed_no_number(results):
    found, _ = results
    assert condensed(found).row("`ADRess`").cells == {}
    scored = found.all_records["HighLowPass", "song"]
    silent = SimpleNamespace(scores=None, warnings=(("W_RANK", "…"), ("W_RANK", "…")))
    assert baselines._cell(silent, scored) == Cell(scores={COLUMN: (None,)}, warned=("W_RANK",))


_VERSIONS = {"dspsep": "9.9"}


def test_a_table_for_each_task():
    def cell(value, *warned):
        return Cell(scores={COLUMN: (value,)}, warned=warned)

    rows = (
        Row(name="one", cells={"e_drums_acoustic": cell(1.0), "e_piano_greensleeves": cell(3.0, "W_X")}),
        Row(name="two", cells={"e_drums_acoustic": cell(None)}),
        Row(name="three", cells={}),
        Row(name="four", cells={"e_drums_acoustic": cell(4.0)}),
    )
    cases = ("e_drums_acoustic", "e_piano_greensleeves")
    result = QualityResult(suite=TASK.suite, date="2026-01-02", versions=_VERSIONS, cases=cases, rows=rows)
    assert TASK.lines(result) == [
        "**Instruments in one channel**", "",
        "| dB | drums, acoustic | two hands | mean |", "| --- | ---: | ---: | ---: |",
        "| one | 1.0 | *3.0* | 2.0 |", "| two | fails | – | – |",
        "| four | 4.0 | – | – |", "",
        "*Measured 2026-01-02. dspsep 9.9.*",
    ]  # fmt: skip


def test_every_method_and_every_recording_is_there():
    rows = [row.name for row in STORED.rows]
    methods = [f"`{name}`" for name in _registry.METHODS if name != "MixtureAsEstimate"]
    assert rows == ["the mixture", *BOUNDS, *methods]
    assert list(STORED.cases) == [case for heads in GROUPS.values() for case in heads]
    assert not manifest() or sorted(manifest()) == sorted(STORED.cases)
    assert all(set(STORED.row(bound).cells) == set(STORED.cases) for bound in BOUNDS)


def test_what_fails_is_silent_where_nothing_is_left():
    """`captain` is mono saved as stereo; methods that have the rank to lose give one source, and silence."""
    failed = {
        (row.name, case)
        for row in STORED.rows
        for case, cell in row.cells.items()
        if cell.median(COLUMN) is None
    }
    assert {case for _, case in failed} == {"a_political_captain"}
    assert {"`FastICA`", "`AuxIVA`", "`ILRMA`"} <= {name for name, _ in failed}


def test_the_page_says_that_most_are_worse_than_nothing():
    """Bounds are above zero everywhere; most numbers of methods that were made for something else are not."""
    assert all(gain(bound, case) > 0 for bound in BOUNDS for case in STORED.cases)
    others = ["`HPSS`", "`REPET`", "`RPCA`", "`NMF`"]
    rooms = [case for case in STORED.cases if case.startswith("c_sim_2x2")]
    assert all(gain(name, case) < 0 for name in others for case in rooms)


def test_tables_of_other_pages_are_not_contradicted():
    """The leaders by family are those that other pages name."""
    voices = [case for case in STORED.cases if case.startswith("a_")]
    kam = np.mean([gain("`KAM`", case) for case in voices])
    assert kam == max(np.mean([gain(f"`{name}`", case) for case in voices]) for name in _REPEATING)
    desk = ["d_inst_2x2_speech", "d_inst_4x4_mixed"]
    assert all(gain(f"`{name}`", case) > 40 for name in ("FastICA", "Infomax", "Picard") for case in desk)


_REPEATING = ("KAM", "REPET", "REPETExtended", "AdaptiveREPET", "REPETSim", "RPCA", "FT2D")
