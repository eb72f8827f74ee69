"""The bounds on recordings: scored as the page says, and what the page says of them is so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import bounds, bounds_report, results
from benchmarks.__main__ import main
from benchmarks.bounds import BoundsResult, CaseResult
from dspsep import STFT, HighLowPass, oracle
from dspsep.metrics import sdr, si_sdr
from tests.cases import Case, manifest

RATE = 8000
MATRIX = [[1.0, 0.5], [-0.25, 1.0]]


def mixed_case(**facts):
    """Two mono sources and their mixture by a matrix, in steps of 16 bits."""
    rng = np.random.default_rng(0)
    sources = {name: rng.uniform(-0.1, 0.1, (1, 2 * RATE)).astype(np.float32) for name in ("first", "second")}
    mixture = np.asarray(MATRIX) @ np.concatenate(list(sources.values()))
    mixture = (np.round(mixture * 2**15) / 2**15).astype(np.float32)
    return Case("d_fake", mixture, sources, RATE, facts, real=True)


def stereo_case():
    """A loud source, to which nothing is nearer than the mixture, and a quiet one, to which a share is."""
    case = mixed_case()
    levels = {"first": 1, "second": np.float32(0.1)}
    references = {
        name: levels[name] * np.concatenate([audio, -audio]) for name, audio in case.references.items()
    }
    return replace(case, name="a_fake", mixture=sum(references.values()), references=references)


@pytest.fixture
def recordings(monkeypatch):
    """Two recordings, of which one has a matrix, and methods that take no time."""
    cases = {"a_fake": stereo_case(), "d_fake": mixed_case(mixing_matrix=MATRIX)}
    monkeypatch.setattr(bounds, "manifest", lambda: {name: case.facts for name, case in cases.items()})
    monkeypatch.setattr(bounds, "real_case", cases.__getitem__)
    monkeypatch.setattr(bounds, "_BLIND", (HighLowPass(cutoff_hertz=2000.0, low="low", high="high"),))
    return cases


def invented(name, n_channels=2, shift=0.0, frames=((1.0,) * 5, (2.0,) * 5), demixing=True):
    columns = bounds.COLUMNS if demixing else bounds.COLUMNS[:-1]
    scores = {column: (10.0 * k, 10.0 * k + shift) for k, column in enumerate(columns)}
    return CaseResult(
        name=name,
        sample_rate=16000,
        n_channels=n_channels,
        sources=("one", "two"),
        scores={"SDR": scores, "SI-SDR": dict.fromkeys(scores, (-0.04, 0.0))},
        frames=dict(zip(("IWM", "MWF"), frames, strict=True)),
    )


def invented_result():
    cases = (invented("c_rt150", shift=3.0), invented("c_rt350", shift=1.0, demixing=False))
    return BoundsResult(date="2026-01-02", versions={"dspsep": "9.9"}, seconds=2.5, cases=cases)


# Measuring


def test_scores_are_those_of_the_first_seconds(recordings):
    (found,) = bounds.measure(["a_fake"], 0.75).cases
    references = {name: audio[:, :6000] for name, audio in recordings["a_fake"].references.items()}
    mixture = recordings["a_fake"].mixture[:, :6000]
    assert (found.name, found.sample_rate, found.n_channels) == ("a_fake", RATE, 2)
    assert found.sources == ("first", "second")
    expected = {
        "mixture": dict.fromkeys(references, mixture / 2),
        "IBM1": oracle.IBM(references=references).separate(mixture, RATE),
        "IBM2": oracle.IBM(references=references, exponent=2).separate(mixture, RATE),
        "IRM": oracle.IRM(references=references).separate(mixture, RATE),
        "IWM": oracle.IWM(references=references).separate(mixture, RATE),
        "PSM": oracle.PSM(references=references).separate(mixture, RATE),
        "MWF": oracle.MWF(references=references).separate(mixture, RATE),
    }
    for metric, score in (("SDR", sdr), ("SI-SDR", si_sdr)):
        assert set(found.scores[metric]) == {*expected, "best blind"}
        for column, sources in expected.items():
            by_hand = [score(reference, sources[name]) for name, reference in references.items()]
            assert found.scores[metric][column] == pytest.approx(by_hand, abs=1e-3)
    assert found.frames["MWF"][2] == pytest.approx(found.mean("SDR", "MWF"), abs=1e-3)
    longest = oracle.IWM(references=references, stft=STFT(8192)).separate(mixture, RATE)
    by_hand = np.mean([sdr(reference, longest[name]) for name, reference in references.items()])
    assert found.frames["IWM"][4] == pytest.approx(by_hand, abs=1e-3)


def test_the_best_blind_estimate_may_be_any_and_another_for_each_source_and_metric(recordings):
    (found,) = bounds.measure(["a_fake"], 0.75).cases
    mixture = recordings["a_fake"].mixture[:, :6000]
    estimates = [mixture, mixture / 2, *bounds._BLIND[0].separate(mixture, RATE).values()]
    for metric, score in (("SDR", sdr), ("SI-SDR", si_sdr)):
        by_hand = [
            max(score(audio[:, :6000], estimate) for estimate in estimates)
            for audio in recordings["a_fake"].references.values()
        ]
        assert found.scores[metric]["best blind"] == pytest.approx(by_hand, abs=1e-3)


def test_sources_of_a_matrix_are_what_they_add_to_all_channels(recordings):
    (found,) = bounds.measure(["d_fake"], 1.0).cases
    rounding = 2**-30 / 12
    for k, (first, second) in enumerate(np.asarray(MATRIX).T):
        power = (first**2 + second**2) * 0.1**2 / 3
        error = (np.linalg.inv(MATRIX)[k] ** 2).sum() * (first**2 + second**2) * rounding
        assert found.scores["SDR"]["demixing"][k] == pytest.approx(10 * np.log10(power / error), abs=0.3)
        assert found.scores["SDR"]["MWF"][k] > found.scores["SDR"]["IWM"][k] + 20


def test_a_smoke_run_takes_one_recording_with_a_matrix_and_a_second(recordings, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(bounds, "measure", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(results, "store", lambda result: results.FOLDER)
    for options in (["--smoke"], [], ["--seconds", "3"]):
        assert main(["run", "bounds", *options]) == 0
    assert asked == [(["d_fake"], 1.0), (["a_fake", "d_fake"], 6.0), (["a_fake", "d_fake"], 3.0)]
    assert capsys.readouterr().out.count("is written") == 2
    del recordings["d_fake"]
    assert bounds.names(smoke=True) == ["a_fake"]


def test_without_recordings_nothing_is_measured_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(bounds, "manifest", dict)
    monkeypatch.setattr(bounds, "measure", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(results, "store", lambda result: pytest.fail("stored"))
    assert main(["run", "bounds"]) == 0
    assert "bounds: not measured: the recordings are not here" in capsys.readouterr().out


# The page


def test_a_result_survives_its_file(tmp_path):
    path = results.store(invented_result(), tmp_path)
    assert path.name == "bounds.json"
    assert bounds.load(path) == invented_result()


def test_the_page_has_means_margins_and_losses(tmp_path):
    results.store(invented_result(), tmp_path)
    text = bounds_report.page(tmp_path)
    first = "1.5 | 11.5 | 21.5 | 31.5 | 41.5 | 51.5 | 61.5 | 71.5 | 81.5 | 30.0 | 60.0 |"
    assert f"| `c_rt150` | 2 | 2 | {first}\n" in text
    assert "| 70.5 | – | 30.0 | 60.0 |\n" in text
    assert "| `c_rt150` | 128 ms |" + " 1.0 / 2.0 |" * 5 in text
    assert "`MWF` loses 1.0 to\n1.0 dB" in text
    assert "the first 2.5 s of" in text
    assert "*Measured 2026-01-02. dspsep 9.9.*" in text
    assert "-0.0" not in text


def test_a_margin_is_the_smallest_over_the_sources():
    case = invented("a_b")
    scores = {"best blind": (1.0, 5.0), "IRM": (4.0, 6.5), "MWF": (3.0, 11.0)}
    case = replace(case, scores={"SDR": scores})
    assert (case.margin("SDR", "IRM"), case.margin("SDR", "MWF")) == (1.5, 2.0)


# What the page says in words

STORED = bounds.load(results.FOLDER / "bounds.json")
BY_NAME = {case.name: case for case in STORED.cases}


def mean(name, column, metric="SDR"):
    return BY_NAME[name].mean(metric, column)


def named(*prefixes):
    return [name for name in BY_NAME if name.startswith(prefixes)]


def test_all_recordings_are_on_the_page():
    assert not manifest() or set(BY_NAME) == set(manifest())
    assert STORED.seconds == bounds.SECONDS


def test_filters_are_far_above_masks_where_places_are_not_blurred():
    masks = ("IBM1", "IBM2", "IRM", "IWM", "PSM")
    names = named("d_", "c_meas")
    assert len(names) == 5
    for name in names:
        assert mean(name, "MWF") > max(mean(name, mask) for mask in masks) + 7


def test_the_inverse_is_as_good_as_the_rounding_and_the_filter_a_little_better():
    assert mean("d_inst_2x2_speech", "demixing") > mean("d_inst_4x4_mixed", "demixing") + 2
    for name in named("d_inst"):
        assert 73 < mean(name, "demixing") < 77
        assert 0 <= mean(name, "MWF") - mean(name, "demixing") < 1


def test_reverberation_beyond_the_frame_takes_most_of_the_lead():
    short = named("c_sim_2x2_rt150", "c_sim_3x3_rt150", "c_sim_4x4_rt150")
    assert len(short) == 3
    for name in short:
        longer = name.replace("150", "350")
        assert mean(longer, "MWF") - mean(longer, "IWM") < 0.5 * (mean(name, "MWF") - mean(name, "IWM"))
    assert mean("c_sim_2x2_rt350", "PSM") > mean("c_sim_2x2_rt350", "MWF")


def test_longer_frames_raise_filters_and_lower_masks_in_rooms():
    for name in named("c_"):
        assert (np.diff(BY_NAME[name].frames["MWF"]) > 0).all()
        assert (np.diff(BY_NAME[name].frames["IWM"][2:]) < 0).all()


def test_the_filter_is_the_mask_in_one_channel_and_no_better_on_music():
    for name in (*named("e_"), "a_political_captain"):
        assert mean(name, "MWF") == pytest.approx(mean(name, "IWM"), abs=0.002)
    for name in named("a_", "b_"):
        assert mean(name, "MWF") < mean(name, "IWM") + 0.1


def test_one_recording_has_low_bounds():
    bound = [column for column in bounds.COLUMNS[2:-1] if mean("b_rubidium", column) > 6]
    assert not bound
    assert mean("b_rubidium", "IBM2", "SI-SDR") < mean("b_rubidium", "mixture", "SI-SDR") - 1


def test_the_oracles_are_ahead_of_all_that_is_blind():
    for case in STORED.cases:
        for metric in bounds.METRICS:
            assert min(case.margin(metric, "IRM"), case.margin(metric, "MWF")) > 1
