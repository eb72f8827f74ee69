"""Results folders, read: what is in them, what is not there yet, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import pickle
from pathlib import Path

import pytest

from dspsep.bench import BenchmarkResults, _folder
from dspsep.errors import InputError
from tests.bench import folders
from tests.bench.folders import NAN, of_values, record, scored, write


@pytest.fixture
def partly(tmp_path: Path) -> Path:
    """Two methods on three tracks: one failed, one unfit, one missing."""
    records = [
        record("A", "one", scored("one", (1.0, 2.0))),
        record("A", "two", scored("two", (3.0, 4.0)), matching="best", matched={"voice": "x"}),
        record("A", "../three"),
        record("B", "one", scored("one", (5.0, NAN))),
        record(
            "B", "two", status="unfit", error={"type": "Unfit", "message": "Two channels.", "traceback": ""}
        ),
    ]
    times = {("A", "one"): 3.0, ("B", "one"): 60.0, ("C", "one"): 1.0}
    return write(tmp_path, ["A", "B"], ["one", "two", "../three"], records, times)


def test_what_is_there_and_what_is_not(partly: Path) -> None:
    results = BenchmarkResults.load(partly)
    assert repr(results) == ("BenchmarkResults(2 methods on 3 tracks: 3 done, 1 failed, 1 unfit, 1 missing)")
    assert results.methods == ("A", "B")
    assert results.tracks == ("one", "two", "../three")
    assert results.sources == ("voice", "band")
    assert results.metrics == ("SDR",)
    assert [(item.method, item.track) for item in results.done] == [("A", "one"), ("A", "two"), ("B", "one")]
    assert [item.message for item in results.failed] == ["InputError: no luck"]
    assert [item.message for item in results.unfit] == ["Two channels."]
    assert results.missing == (("B", "../three"),)
    assert results.seed == 0
    assert results.kind("A") == "separator"
    assert results.values("A", "voice", "SDR") == {"one": 1.0, "two": 3.0}
    assert math.isnan(results.values("B", "band", "SDR")["one"])
    assert results.common_tracks(("A", "B"), "voice", "SDR") == ("one",)
    assert results.scores("A")["band", "SDR"] == 3.0
    assert results.scores("A").n_tracks == 2


def test_unknown_names_are_told(partly: Path) -> None:
    results = BenchmarkResults.load(partly)
    for call in (
        lambda: results.values("C", "voice", "SDR"),
        lambda: results.values("A", "drums", "SDR"),
        lambda: results.values("A", "voice", "SIR"),
        lambda: results.scores("C"),
        lambda: results.kind("C"),
    ):
        with pytest.raises(InputError, match="must be one of"):
            call()


def test_a_method_without_scores_has_none(tmp_path: Path) -> None:
    results = BenchmarkResults.load(write(tmp_path, ["A"], ["one"], [record("A", "one")]))
    with pytest.raises(InputError, match="not on any track"):
        results.scores("A")
    with pytest.raises(InputError, match="must be one of"):
        results.values("A", "voice", "SDR")
    assert results.sources == results.metrics == ()


def test_rows_have_everything(partly: Path) -> None:
    results = BenchmarkResults.load(partly)
    rows = results.records()
    assert len(rows) == 3 * 2 + 3
    assert rows[0] == {
        "method": "A", "kind": "separator", "track": "one", "status": "done", "source": "voice",
        "estimate": "voice", "metric": "SDR", "score": 1.0, "message": "",
    }  # fmt: skip
    by_status = {row["status"]: row for row in rows}
    assert by_status["missing"]["track"] == "../three"
    assert by_status["failed"]["message"] == "InputError: no luck"
    pandas = pytest.importorskip("pandas")
    frame = results.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(rows[0])
    assert frame["score"].mean() == pytest.approx((1 + 2 + 3 + 4 + 5) / 5)


def test_times(partly: Path) -> None:
    rows = BenchmarkResults.load(partly).times()
    assert [(row["method"], row["seconds"], row["real_time_factor"]) for row in rows] == [
        ("A", 3.0, 0.1), ("B", 60.0, 2.0)
    ]  # fmt: skip


def test_real_scores(tmp_path: Path) -> None:
    results = BenchmarkResults.load(folders.measured(tmp_path))
    assert results.metrics[0] == "SI-SDR"
    assert results.missing == (("IRM", "songs/0"), ("IRM", "songs/1"))
    gains = [results.scores(method)["percussive", "SI-SDR"] for method in ("mixture", "HPSS")]
    assert gains[1] > gains[0] + 10


def test_reading_changes_nothing_and_follows_no_names(partly: Path) -> None:
    def state() -> dict[str, str]:
        return {
            str(path.relative_to(partly)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in partly.rglob("*")
            if path.is_file()
        }

    before = state()
    results = BenchmarkResults.load(str(partly))
    assert state() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        results.seed = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        results.all_records["A", "one"] = None  # type: ignore[index]


def test_files_that_are_being_written_do_not_count(partly: Path) -> None:
    (partly / "records" / "A" / ".half.json").write_text("{", encoding="utf-8")
    (partly / "records" / "A" / "notes.txt").write_text("{", encoding="utf-8")
    assert len(BenchmarkResults.load(partly).done) == 3


def test_records_of_earlier_runs_are_counted_and_not_used(tmp_path: Path) -> None:
    of_values(tmp_path, {"A": [1.0], "B": [2.0]})
    write(tmp_path, ["A"], ["track 0"], [])
    results = BenchmarkResults.load(tmp_path)
    assert results.n_others == 1
    assert results.methods == ("A",)


def _with(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "3", '{"format": 2}', '{"format": 1}', '{"format": NaN}', "[" * 100_000,
        '{"format": 1, "dspsep": 1}', "\udcff",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["benchmark.json", "records/A/one.json", "times/A/one.json"])
def test_what_is_no_result_is_refused_by_name(partly: Path, name: str, text: str) -> None:
    path = partly / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        BenchmarkResults.load(partly)
    assert path.name in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("benchmark.json", {"methods": []}),
        ("benchmark.json", {"methods": {"A": 1}}),
        ("benchmark.json", {"methods": [{"name": "A", "kind": "evil", "settings": None, "text": ""}]}),
        ("benchmark.json", {"methods": [{"name": "A", "kind": "oracle", "settings": 1, "text": ""}]}),
        ("benchmark.json", {"methods": [{"name": 1, "kind": "oracle", "settings": None, "text": ""}]}),
        ("benchmark.json", {"methods": [{"name": "A", "kind": "oracle", "settings": None, "text": ""}] * 2}),
        ("benchmark.json", {"tracks": []}),
        ("benchmark.json", {"tracks": [{"name": "one"}]}),
        ("benchmark.json", {"seed": "0"}),
        ("benchmark.json", {"seed": True}),
        ("benchmark.json", {"protocol": "by hand"}),
        ("records/A/one.json", {"status": "good"}),
        ("records/A/one.json", {"method": None}),
        ("records/A/one.json", {"track": ["one"]}),
        ("records/A/one.json", {"track": "two"}),
        ("records/A/one.json", {"scores": None}),
        ("records/A/one.json", {"scores": {"format": "dspsep scores", "version": 1, "tracks": []}}),
        ("records/A/one.json", {"matching": "fair"}),
        ("records/A/one.json", {"matched": {"voice": 1}}),
        ("records/A/one.json", {"warnings": [1]}),
        ("records/A/one.json", {"status": "failed", "error": None}),
        ("times/A/one.json", {"seconds": -1.0}),
        ("times/A/one.json", {"seconds": True}),
        ("times/A/one.json", {"audio_seconds": 10**400}),
        ("times/A/one.json", {"cpu": 1}),
    ],
)
def test_fields_are_checked(partly: Path, name: str, changes: dict[str, object]) -> None:
    path = partly / name
    _with(path, **changes)
    with pytest.raises(InputError) as caught:
        BenchmarkResults.load(partly)
    assert path.name in str(caught.value)
    assert caught.value.remedy


def test_numbers_that_json_does_not_have_are_refused(partly: Path) -> None:
    path = partly / "records" / "A" / "one.json"
    text = path.read_text(encoding="utf-8")
    for word in ("NaN", "Infinity", "-Infinity"):
        path.write_text(text.replace("[[[1.0]]", f"[[[{word}]]"), encoding="utf-8")
        with pytest.raises(InputError, match=f"{word} is not in JSON"):
            BenchmarkResults.load(partly)


def test_two_records_of_one_task_are_refused(partly: Path) -> None:
    text = (partly / "records" / "A" / "one.json").read_text(encoding="utf-8")
    (partly / "records" / "A" / "one again.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="only one of its method and track"):
        BenchmarkResults.load(partly)


def test_scores_of_another_protocol_are_refused(tmp_path: Path) -> None:
    other = scored("two", (1.0, 1.0), protocol={**folders.PROTOCOL, "n_taps": 3})
    records = [record("A", "one", scored("one", (1.0, 1.0))), record("A", "two", other)]
    with pytest.raises(InputError, match=r"two.json.*made like those of the other records"):
        BenchmarkResults.load(write(tmp_path, ["A"], ["one", "two"], records))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"benchmark.json.*dspsep bench run"):
        BenchmarkResults.load(tmp_path / "nowhere")


def test_large_files_are_not_read(partly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_folder, "_MAX_BYTES", 50)
    with pytest.raises(InputError, match="at most 50 bytes"):
        BenchmarkResults.load(partly)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_are_not_read(partly: Path) -> None:
    os.mkfifo(partly / "records" / "A" / "pipe.json")
    with pytest.raises(InputError, match="no file"):
        BenchmarkResults.load(partly)


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("false",)


def test_pickles_are_not_loaded(partly: Path) -> None:
    (partly / "records" / "A" / "one.json").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(InputError, match="readable, and JSON"):
        BenchmarkResults.load(partly)


def test_tracks_of_other_sources_are_other_results(tmp_path: Path) -> None:
    records = [
        record("A", "song", scored("song", (1.0, 2.0))),
        record("A", "loop", scored("loop", {"drums": 7.0})),
        record("B", "song", scored("song", {"band": 5.0, "voice": 4.0})),
    ]
    results = BenchmarkResults.load(write(tmp_path, ["A", "B"], ["song", "loop", "later"], records))
    assert results.source_sets == (("voice", "band"), ("drums",))
    with pytest.raises(InputError, match="Choose a set"):
        results.values("A", "voice", "SDR")
    songs = results.with_sources({"band", "voice"})
    assert songs.tracks == ("song", "later")
    assert songs.values("B", "voice", "SDR") == {"song": 4.0}
    assert songs.missing == (("A", "later"), ("B", "later"))
    assert results.with_sources(["drums"]).values("A", "drums", "SDR") == {"loop": 7.0}
    with pytest.raises(InputError, match="one of the sets 'voice', 'band'; 'drums'"):
        results.with_sources(["voice"])
