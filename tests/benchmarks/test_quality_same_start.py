"""The tables of factorisations from one start: starts are those of the libraries, and what the page says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality import peers, rooms, same_start
from benchmarks.quality.rooms import COLUMNS
from benchmarks.quality.same_start import apart
from benchmarks.quality.task import Cell, QualityResult, Row, load
from dspsep import STFT, FastMNMF2Model
from dspsep.data import scenes

GAIN = COLUMNS[0]
ROWS = {method.name: method for method in same_start.TASK.methods()}
STORED = load(same_start.TASK)
RNG = np.random.default_rng(0)


def spectra(n_channels=2, n_freqs=6, n_frames=30):
    shape = (n_channels, n_freqs, n_frames)
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


def test_a_start_is_what_numpy_draws_from_its_global_state():
    X = spectra(3)
    np.random.seed(4)  # noqa: NPY002
    T = 0.1 + 0.9 * np.random.rand(3, 6, peers.N_COMPONENTS)  # noqa: NPY002
    V = 0.1 + 0.9 * np.random.rand(3, 30, peers.N_COMPONENTS)  # noqa: NPY002
    found = same_start.ilrma_start(X, 4)
    np.testing.assert_array_equal(found[0], T)
    np.testing.assert_array_equal(found[1], V.transpose(0, 2, 1))
    np.random.seed(4)  # noqa: NPY002
    H = np.random.rand(2, peers.N_TEMPLATES, 30)  # noqa: NPY002
    start = same_start.fastmnmf2_start(X, 2, 4)
    np.testing.assert_array_equal(start["H"], H)
    np.testing.assert_array_equal(start["g"], [[1, 0.05, 1], [0.05, 1, 0.05]])
    np.testing.assert_array_equal(start["Q"], np.broadcast_to(np.eye(3), (6, 3, 3)))


def test_a_changed_start_is_another_but_next_to_it():
    values = RNG.random(1000) + 1
    found = same_start.changed(values)
    assert 0 < np.abs(found / values - 1).min() < np.abs(found / values - 1).max() <= 1.001e-9


def test_images_are_those_of_the_model():
    stft = STFT(64, 16)
    scene = scenes.reverberant(duration=0.1)
    spectrogram = stft.forward(scene.mixture, scene.sample_rate)
    X = np.asarray(spectrogram.values, np.complex128)
    start = same_start.fastmnmf2_start(X, 3, 0)
    names = dict(zip(("demixing", "directivity", "templates", "activations"), start.values(), strict=False))
    names |= {"activations": start["H"], "templates": start["W"]}
    expected = np.stack(list(FastMNMF2Model(**names, losses=(0.0,)).iter_images(spectrogram)))
    found = same_start._filtered(X, **start)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(X).max())


@pytest.mark.parametrize("name", ROWS)
def test_all_rows_return_audio_where_their_library_is(name, monkeypatch):
    pytest.importorskip(ROWS[name].package)
    monkeypatch.setattr(peers, "N_ITER", 2)
    scene = scenes.reverberant(duration=1.0)
    case = rooms.Case("c_x", scene.mixture, dict(scene.sources), scene.sample_rate, {}, real=True)
    assert np.isfinite(list(ROWS[name].score(case, 0).values())).all()


def test_tables_show_medians_and_what_is_apart():
    def cell(*gains):
        return Cell(scores={GAIN: gains, "SIR": gains})

    room = "c_music_2x2_rt150"
    rows = {name: Row(name=name, cells={room: cell(3.0, 1.0)}) for name in ROWS}
    other = "pyroomacoustics `ilrma`"
    rows[other] = Row(name=other, cells={room: cell(3.5, None, 9.0)})
    result = QualityResult(
        suite="quality_same_start", date="", versions={}, cases=(room,), rows=tuple(rows.values())
    )
    text = same_start.TASK.section(result)
    assert "| `ilrma` (2) | 2.0 |" in text
    assert f"| {other} (3) | 3.5 |" in text
    assert f"| `ilrma` and {other} | 0.50 |" in text
    assert "| `ilrma` and ssspy `GaussILRMA` | 0.00 |" in text
    assert apart(result, "`ilrma`", other, "c_none") is None


# What the page says in words


def largest(name, other):
    found = [apart(STORED, name, other, case) for case in STORED.cases]
    return max(difference for difference in found if difference is not None)


def test_ilrma_is_that_of_ssspy_and_of_pyroomacoustics_by_rows():
    for other in ("`ilrma`, start changed", "ssspy `GaussILRMA`"):
        assert len(STORED.row(other).cells) == len(STORED.row("`ilrma`").cells) == 11
        assert largest("`ilrma`", other) < 0.01
    by_rows = "pyroomacoustics `ilrma`, by rows"
    for case in STORED.row("`ilrma`").cells:
        assert apart(STORED, "`ilrma`", by_rows, case) < (0.2 if case == "c_torchiva_2src_3mic" else 0.02)
    theirs = "pyroomacoustics `ilrma`"
    assert largest("`ilrma`", theirs) == pytest.approx(34, abs=0.5)
    ahead = ahead_of(STORED.row(theirs), STORED.row("`ilrma`"))
    assert min(ahead.values()) == pytest.approx(-0.6, abs=0.05)
    assert min(ahead, key=ahead.get) == "c_sim_3x3_rt150"
    assert ahead["d_inst_4x4_mixed"] == max(ahead.values()) == pytest.approx(17.5, abs=0.05)


def test_fastmnmf2_leads_elsewhere_but_not_by_chance():
    assert largest("`fastmnmf2`", "`fastmnmf2`, start changed") < 0.01
    ours, theirs = (STORED.row(name) for name in ("`fastmnmf2`", "pyroomacoustics `fastmnmf2`"))
    assert {cell.n_seeds for row in (ours, theirs) for cell in row.cells.values()} == {10}
    ahead = ahead_of(theirs, ours)
    assert sum(lead > 0 for lead in ahead.values()) == 10
    assert max(ahead, key=ahead.get) == "c_music_2x2_rt150"
    assert ahead["c_music_2x2_rt150"] == pytest.approx(12.7, abs=0.1)
    behind = {case: lead for case, lead in ahead.items() if lead < 0}
    assert behind.pop("d_inst_2x2_speech") == pytest.approx(-7.6, abs=0.1)
    assert len(behind) == 2
    assert min(behind.values()) > -0.5


def test_joint_steps_are_those_of_pyroomacoustics():
    ours, theirs = (
        STORED.row(name) for name in ('`fastmnmf2`, `update="joint"`', "pyroomacoustics `fastmnmf2`")
    )
    assert len(ours.cells) == 13
    assert {cell.n_seeds for cell in ours.cells.values()} == {10}
    assert max(map(abs, ahead_of(theirs, ours).values())) < 0.33


def ahead_of(theirs, ours):
    return {case: cell.median(GAIN) - theirs.cells[case].median(GAIN) for case, cell in ours.cells.items()}
