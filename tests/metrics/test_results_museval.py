"""Scores in museval's files: see oracles/make_museval_json.py for what wrote them."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspsep import __version__
from dspsep.errors import InputError
from dspsep.metrics import Scores
from tests.metrics.made_scores import INF, NAN, PROTOCOL, track

FOLDER = Path(__file__).parent / "oracles" / "museval"
NAMES = ("First", "Second", "Third")


@pytest.fixture(scope="module")
def aggregated() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "aggregated.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def tracks() -> Scores:
    return Scores.join(Scores.from_museval(FOLDER / f"{name}.json") for name in NAMES)


def _read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _as_text(content: object) -> str:
    return json.dumps(content, sort_keys=True)  # in which NaN is like NaN


def test_files_are_read_whole(tracks: Scores) -> None:
    assert [one.track for one in tracks.tracks] == list(NAMES)
    assert [one.n_windows for one in tracks.tracks] == [5, 4, 2]
    assert [one.duration for one in tracks.tracks] == [5.0, 4.0, 2.0]
    assert tracks.sources == ("vocals", "drums", "bass")
    assert tracks.metrics == ("SDR", "ISR", "SIR", "SAR")
    assert dict(tracks.protocol) == {
        "name": "museval", "version": "0.4.1", "window_seconds": 1.0, "hop_seconds": 1.0,
        "sources": ("vocals", "drums", "bass"), "over_windows": "median", "over_tracks": "median",
    }  # fmt: skip
    frame = _read("Second")["targets"][2]["frames"][3]
    for metric, score in frame["metrics"].items():
        assert tracks.windows("bass", metric, track="Second")[3] == score
    assert np.isnan(tracks.windows("vocals", "SDR", track="Second")).tolist() == [False, True, False, False]


@pytest.mark.parametrize("over_windows", ["median", "mean"])
@pytest.mark.parametrize("over_tracks", ["median", "mean"])
def test_aggregated_as_museval_does(
    tracks: Scores, aggregated: dict[str, Any], over_windows: str, over_tracks: str
) -> None:
    expected = {
        (source, metric): score for source, metric, score in aggregated[f"{over_windows}, {over_tracks}"]
    }
    summary = tracks.summary(over_windows, over_tracks)
    found = {(row["source"], row["metric"]): row["score"] for row in summary}
    assert found == pytest.approx(expected, rel=1e-14)
    assert len(expected) == 12


def test_tracks_by_themselves_as_museval_has_them(tracks: Scores, aggregated: dict[str, Any]) -> None:
    assert len(aggregated["tracks"]) == 36
    for name, source, metric, score in aggregated["tracks"]:
        assert tracks.value(source, metric, track=name) == pytest.approx(score, rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_what_museval_wrote_is_written_again(name: str) -> None:
    content = _read(name)
    assert _as_text(Scores.from_museval(content).to_museval()) == _as_text(content)


def test_what_else_is_in_a_file_is_looked_past() -> None:
    content = _read("First")
    content["targets"][1]["avg_metrics"] = {"SDR": 3.0}
    content["targets"][1]["frames"][0]["index"] = content["more"] = [1]
    assert Scores.from_museval(content) == Scores.from_museval(_read("First"))


def test_a_mapping_has_no_name(tracks: Scores) -> None:
    read = Scores.from_museval(_read("First"))
    assert read.tracks[0].track == ""
    named = Scores.from_museval(_read("First"), track="First", duration=5.0)
    assert named.tracks[0] == tracks.tracks[0]
    assert Scores.from_museval(str(FOLDER / "First.json"), duration=5.5).tracks[0].duration == 5.5


def test_there_and_back() -> None:
    values = np.round(np.random.default_rng(0).normal(5, 3, (2, 4, 6)), 5)
    values[1, :, 2] = NAN
    metrics = ("SDR", "ISR", "SIR", "SAR")
    starts = np.arange(6) * 0.5
    made = track(values, metrics=metrics, starts=starts, duration=3.4)
    written = Scores((made,)).to_museval()
    assert written["museval_version"] == f"dspsep {__version__}"
    (read,) = Scores.from_museval(json.loads(json.dumps(written)), track="Song", duration=3.4).tracks
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(read.starts, starts)
    assert (read.sources, read.metrics, read.duration) == (made.sources, metrics, 3.4)
    assert read.protocol["hop_seconds"] == 0.5


def test_what_the_schema_has_no_room_for() -> None:
    made = Scores((track([[[INF, -INF, 1.123456], [1.0, 2.0, 3.0]]], metrics=("SDR", "SI-SDR")),))
    written = made.to_museval()
    frames = written["targets"][0]["frames"]
    assert [list(frame["metrics"]) for frame in frames] == [["SDR", "ISR", "SIR", "SAR", "SI-SDR"]] * 3
    assert [frame["metrics"]["SI-SDR"] for frame in frames] == [1.0, 2.0, 3.0]
    assert [frame["metrics"]["SDR"] for frame in frames] == pytest.approx([NAN, NAN, 1.12346], nan_ok=True)
    assert all(math.isnan(frame["metrics"]["SIR"]) for frame in frames)
    (read,) = Scores.from_museval(written).tracks
    assert read.metrics == ("SDR", "ISR", "SIR", "SAR", "SI-SDR")


def test_several_tracks_need_a_name(tracks: Scores) -> None:
    with pytest.raises(InputError, match=r"^track must be one of 'First', 'Second', 'Third'; got None\. A"):
        tracks.to_museval()
    with pytest.raises(InputError, match=r"^track must be one of"):
        tracks.to_museval("Fourth")
    assert _as_text(tracks.to_museval("Third")) == _as_text(_read("Third"))


def test_one_window_without_end() -> None:
    frame = {"time": NAN, "duration": INF, "metrics": {"SDR": 1.0}}
    content = {"targets": [{"name": name, "frames": [frame]} for name in "ab"]}
    with pytest.raises(InputError, match=r"^duration must be given where the one window .* length of the"):
        Scores.from_museval(content)
    (read,) = Scores.from_museval(content, duration=7.5).tracks
    assert (read.starts.tolist(), read.durations.tolist(), read.duration) == ([0.0], [7.5], 7.5)
    assert read.protocol["hop_seconds"] is None


def test_no_windows_and_what_is_missing() -> None:
    (read,) = Scores.from_museval({"targets": [{"name": "a", "frames": []}]}).tracks
    assert read.values.shape == (1, 4, 0)
    assert read.duration == 0
    assert Scores((read,)).to_museval()["targets"] == [{"name": "a", "frames": []}]
    frames = [
        {"time": 0, "duration": 1, "metrics": {"SDR": None, "SIR": 2}},
        {"time": 1, "duration": 1, "metrics": {"SDR": 3.0}},
        {"time": 2.5, "duration": 2, "metrics": {}},
    ]
    (read,) = Scores.from_museval({"targets": [{"name": "a", "frames": frames}]}).tracks
    assert read.metrics == ("SDR", "SIR")
    np.testing.assert_array_equal(read.values[0], [[NAN, 3.0, NAN], [2.0, NAN, NAN]])
    assert read.protocol["window_seconds"] is read.protocol["hop_seconds"] is read.protocol["version"] is None
    assert read.duration == 4.5


def _set(content: Any, *path: Any, to: Any) -> None:
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = to


def _without(content: Any, *path: Any) -> None:
    for key in path[:-1]:
        content = content[key]
    del content[path[-1]]


FRAME = ("targets", 1, "frames", 0)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda c: _without(c, "targets"), r"^scores\['targets'\] must be a list; got none"),
        (lambda c: _set(c, "targets", to={"a": 1}), r"^scores\['targets'\] must be a list; got a dict"),
        (lambda c: _set(c, "targets", to=[]), r"^scores\['targets'\] must be a list of at least one"),
        (lambda c: _set(c, "targets", 1, to=3), r"^scores\['targets'\]\[1\] must be a mapping; got a int"),
        (lambda c: _without(c, "targets", 1, "name"), r"^scores.*\[1\]\['name'\] must be a string"),
        (lambda c: _set(c, "targets", 1, "name", to=["x"]), r"\['name'\] must be a string; got a list"),
        (lambda c: _set(c, "targets", 1, "name", to="vocals"), r"^sources must be names that are all"),
        (lambda c: _without(c, "targets", 1, "frames"), r"\['targets'\]\[1\]\['frames'\] must be a list"),
        (lambda c: _set(c, *FRAME, to=None), r"\['frames'\]\[0\] must be a mapping"),
        (lambda c: _without(c, *FRAME, "time"), r"\[0\]\['time'\] must be a number; got NoneType"),
        (lambda c: _set(c, *FRAME, "time", to=True), r"\['time'\] must be a number; got bool"),
        (lambda c: _set(c, *FRAME, "duration", to="1"), r"\['duration'\] must be a number; got '1'"),
        (lambda c: _set(c, *FRAME, "duration", to=2.0), r"\[1\]\['frames'\] must be at the times of"),
        (lambda c: c["targets"][2]["frames"].pop(), r"\[2\]\['frames'\] must be at .*; got 4"),
        (lambda c: _without(c, *FRAME, "metrics"), r"\['metrics'\] must be a mapping; got a NoneType"),
        (lambda c: _set(c, *FRAME, "metrics", "SDR", to="5"), r"\['SDR'\] must be a number; got '5'"),
        (lambda c: _set(c, *FRAME, "metrics", "SDR", to=[1]), r"\['SDR'\] must be a number; got list"),
        (lambda c: _set(c, *FRAME, "metrics", "SDR", to=10**400), r"\['SDR'\] must be a number; got int"),
        (lambda c: [_set(t, "frames", 0, "time", to=-1) for t in c["targets"]], r"^starts must be finite"),
        (lambda c: [_set(t, "frames", 0, "duration", to=NAN) for t in c["targets"]], r"^durations must be"),
    ],
)  # fmt: skip
def test_what_breaks_the_schema_is_refused(break_it: Callable[[Any], Any], message: str) -> None:
    content = copy.deepcopy(_read("First"))
    break_it(content)
    with pytest.raises(InputError, match=message):
        Scores.from_museval(content)


@pytest.mark.parametrize("wrong", [None, 3, [], b"{}"])
def test_only_files_and_mappings(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^scores must be a mapping; .*Pass museval's JSON"):
        Scores.from_museval(wrong)


@pytest.mark.parametrize("duration", [0, -1, NAN, INF, "3", True])
def test_durations_are_checked(duration: Any) -> None:
    with pytest.raises(InputError, match=r"^duration must be a number above 0"):
        Scores.from_museval(_read("First"), duration=duration)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"PK\x03\x04", b"3"]
)
def test_files_of_something_else(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "song.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"^scores must be a (JSON file of museval's|mapping)"):
        Scores.from_museval(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")  # which would never end
    for path in (tmp_path, tmp_path / "none.json", tmp_path / "pipe.json", "nul\0.json"):
        with pytest.raises(InputError, match=r"^scores must be a JSON file of museval's; got"):
            Scores.from_museval(path)


def test_files_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (FOLDER / "First.json").stat().st_size
    monkeypatch.setattr("dspsep.metrics._museval._MAX_BYTES", size)
    Scores.from_museval(FOLDER / "First.json")
    monkeypatch.setattr("dspsep.metrics._museval._MAX_BYTES", size - 1)
    with pytest.raises(InputError, match=r"^scores must be at most 0 MB; got more in"):
        Scores.from_museval(FOLDER / "First.json")


def test_the_table_is_not_far_larger_than_the_file() -> None:
    def content(n_metrics: int) -> Any:
        frames = [{"time": n, "duration": 1, "metrics": {f"m{n}": n}} for n in range(n_metrics)]
        return {"targets": [{"name": "a", "frames": frames}]}

    (read,) = Scores.from_museval(content(32)).tracks
    np.testing.assert_array_equal(np.diag(read.values[0]), np.arange(32))
    assert np.isnan(read.values).sum() == 32 * 31
    with pytest.raises(InputError, match=r"^scores must be of at most 32 metrics; got 33"):
        Scores.from_museval(content(33))


def test_names_in_a_file_are_names(tmp_path: Path) -> None:
    content = _read("Third")
    name = "<b>\ud800\u202e=1\n"
    content["targets"][0]["name"] = name
    made = Scores.from_museval(content, track=name)
    assert made.sources[0] == name
    assert "<b>" not in made._repr_html_()
    assert made.to_museval()["targets"][0]["name"] == name


def test_other_protocols_are_not_joined(tracks: Scores) -> None:
    one = tracks.tracks[0]
    ours = track(one.values, sources=one.sources, metrics=one.metrics, protocol=PROTOCOL)
    with pytest.raises(InputError, match=r"^tracks must be scored by one protocol"):
        tracks + Scores((ours,))
