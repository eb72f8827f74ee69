"""Scores as values: what is refused, how windows and tracks become one number, and rows."""

from __future__ import annotations

import copy
import pickle
import statistics
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from dspsep.errors import BackendError, InputError
from dspsep.metrics import Scores, Summary, TrackScores
from tests.metrics.made_scores import INF, NAN, PROTOCOL, one_source, track


class TestTrack:
    def test_arrays_are_read_only_copies_in_double_precision(self) -> None:
        values = np.ones((2, 2, 3), dtype=np.float32)
        starts = np.arange(3)
        made = track(values, starts=starts)
        values[:] = 7
        starts[:] = 7
        assert made.values.dtype == made.starts.dtype == np.float64
        assert made.values.max() == 1
        assert made.starts.tolist() == [0, 1, 2]
        for array in (made.values, made.starts, made.durations, made.windows("voice", "SDR")):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(FrozenInstanceError):
            made.track = "other"  # type: ignore[misc]

    def test_what_goes_along_is_frozen_too(self) -> None:
        details = {"permutation": np.array([1, 0]), "condition": np.float32(2), "notes": [{"a": [1]}]}
        made = track(details=details)
        assert made.details == {"permutation": (1, 0), "condition": 2.0, "notes": ({"a": (1,)},)}
        assert type(made.details["condition"]) is float
        details["more"] = 1  # type: ignore[assignment]
        assert "more" not in made.details
        for mapping in (made.details, made.protocol, made.details["notes"][0]):
            with pytest.raises(TypeError):
                mapping["a"] = 1  # type: ignore[index]

    def test_equal_by_content_with_nan(self) -> None:
        values = [[[NAN, 1.0], [INF, 2.0]]]
        made = track(values, details={"condition": NAN, "flag": True})
        assert made == track(values, details={"condition": NAN, "flag": True})
        assert hash(made) == hash(track(values, details={"condition": NAN, "flag": True}))
        changes: list[dict[str, Any]] = [
            {"values": [[[NAN, 1.0], [INF, 2.5]]]},
            {"values": [[[NAN, NAN], [INF, 2.0]]]},
            {"track": "other"},
            {"sources": ("other",)},
            {"metrics": ("SDR", "other")},
            {"starts": [0.0, 2.0]},
            {"durations": [1.0, 2.0]},
            {"duration": 3.0},
            {"protocol": {**PROTOCOL, "n_taps": 512}},
            {"estimates": ("other",)},
            {"details": {"condition": NAN, "flag": 1}},
            {"details": {"condition": 1.0, "flag": True}},
        ]
        for change in changes:
            settings = {"values": values, "details": {"condition": NAN, "flag": True}, **change}
            assert made != track(**settings), change
        assert made != "a string"
        assert len({made, track(values, details={"condition": NAN, "flag": True})}) == 1

    def test_minus_zero_does_not_part_equals(self) -> None:
        assert track([[[0.0]]]) == track([[[-0.0]]])
        assert hash(track([[[0.0]]])) == hash(track([[[-0.0]]]))

    @pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_survives_pickle_and_copies(self, copied: Any) -> None:
        made = track(details={"notes": [{"a": [1, NAN]}]}, estimates=("x", "y"))
        assert copied(made) == made
        assert copied(Scores((made,))) == Scores((made,))
        with pytest.raises(ValueError, match="read-only"):
            copied(made).values[:] = 0

    def test_defaults(self) -> None:
        made = track()
        assert made.estimates == made.sources
        assert made.details == {}
        assert TrackScores(**{name: getattr(made, name) for name in (
            "sources", "metrics", "values", "starts", "durations", "duration", "protocol"
        )}).track == ""  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"track": 3}, r"^track must be a string; got a int"),
            ({"sources": ()}, r"^sources must be a tuple of at least one name"),
            ({"sources": "voice"}, r"^sources must be a tuple of at least one name"),
            ({"sources": ("a", 3)}, r"^sources must be a tuple of strings; got a int"),
            ({"sources": ("a", "a")}, r"^sources must be names that are all different; got 'a' more"),
            ({"metrics": ("a", "a")}, r"^metrics must be names that are all different"),
            ({"metrics": ("a",)}, r"^values must be of shape .*\(2, 1, 3\); got shape \(2, 2, 3\)"),
            ({"sources": ("a",)}, r"^values must be of shape .*\(1, 2, 3\); got shape \(2, 2, 3\)"),
            ({"estimates": ("a",)}, r"^estimates must be one for each of the 2 sources; got 1"),
            ({"estimates": 3}, r"^estimates must be a tuple of at least one name"),
            ({"starts": [0.0, 1.0]}, r"^durations must be one for each of the 2 starts; got 3"),
            ({"starts": [0.0, 1.0, NAN]}, r"^starts must be finite numbers of at least 0, .*; got nan"),
            ({"starts": [0.0, 1.0, -1.0]}, r"^starts must be finite numbers of at least 0, .*; got -1"),
            ({"starts": [[0.0, 1.0, 2.0]]}, r"^starts must be of shape \(n_windows,\); got shape \(1, 3\)"),
            ({"durations": [1.0, 1.0, 0.0]}, r"^durations must be finite numbers above 0, in seconds; got 0"),
            ({"durations": [1.0, 1.0, INF]}, r"^durations must be finite numbers above 0, .*; got inf"),
            ({"durations": "abc"}, r"^durations must be an array of real numbers"),
            ({"duration": NAN}, r"^duration must be a number of at least 0"),
            ({"duration": -1}, r"^duration must be a number of at least 0"),
            ({"protocol": None}, r"^protocol must be a mapping of strings to plain data; got a NoneType"),
            ({"protocol": {"over_windows": "median"}}, r"^protocol\['name'\] must be a string"),
            ({"protocol": {**PROTOCOL, "over_windows": "mode"}}, r"^protocol.'over_windows'. must be"),
            ({"protocol": {**PROTOCOL, "over_tracks": None}}, r"^protocol.'over_tracks'. must be"),
            ({"protocol": {**PROTOCOL, "f": len}}, r"^protocol must be numbers, strings.*; got a builtin"),
            ({"details": {1: 2}}, r"^details must be a mapping whose keys are strings; got the key 1"),
            ({"details": {"a": {2: 1}}}, r"^details must be a mapping whose keys are strings"),
            ({"details": {"a": 10**400}}, r"^details must be numbers, strings"),
            ({"details": {"a": 1j}}, r"^details must be numbers, strings.*; got a complex"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            track(**changes)

    @pytest.mark.parametrize("values", [[[["a"]]], [[[1j]]], [[[None]]], [[[True]]]])
    def test_values_are_real_numbers(self, values: Any) -> None:
        with pytest.raises(InputError, match=r"^values must be an array of real numbers"):
            track(values)

    def test_ragged_values_are_refused(self) -> None:
        with pytest.raises(InputError, match=r"^values must be a rectangular array"):
            TrackScores(
                sources=("a", "b"), metrics=("SDR",), values=[[[1.0]], [[1.0, 2.0]]],  # type: ignore[arg-type]
                starts=[0.0], durations=[1.0], duration=1.0, protocol=PROTOCOL,  # type: ignore[arg-type]
            )  # fmt: skip

    def test_depth_is_bounded(self) -> None:
        nested: Any = 1
        for _ in range(5000):
            nested = [nested]
        with pytest.raises(InputError, match=r"^details must be .* at most 16 deep"):
            track(details={"a": nested})

    def test_repr_is_short(self) -> None:
        assert repr(track()) == "TrackScores('Song'; SDR, SIR of voice, band; 3 windows)"
        assert repr(track([[[1.0]]], track="")) == "TrackScores(SDR of voice; 1 window)"


class TestHeadline:
    def test_windows_then_tracks(self) -> None:
        windows = [[1.0, 2.0, 9.0], [4.0, 6.0], [30.0]]
        durations = (3.0, 2.0, 1.0)
        per_track = {"median": [2.0, 5.0, 30.0], "mean": [4.0, 5.0, 30.0]}
        for over_windows, scores in per_track.items():
            expected = {
                "median": statistics.median(scores),
                "mean": statistics.fmean(scores),
                "weighted mean": statistics.fmean(scores, durations),
            }
            for over_tracks, number in expected.items():
                ways = {"over_windows": over_windows, "over_tracks": over_tracks}
                made = one_source(*windows, protocol={**PROTOCOL, **ways})
                assert made.value("voice", "SDR") == pytest.approx(number, rel=1e-15)
                assert made["voice", "SDR"] == made["voice"]["SDR"] == made.value("voice", "SDR")
                assert made.value("voice", "SDR", track="1") == 5.0
                # Asked for, it is the same whatever the protocol says.
                assert one_source(*windows).summary(**ways)[0]["score"] == made.value("voice", "SDR")

    @pytest.mark.parametrize(
        ("windows", "median", "mean"),
        [
            ([NAN, 1.0, 2.0, 6.0], 2.0, 3.0),
            ([NAN, NAN], NAN, NAN),
            ([], NAN, NAN),
            ([INF, 1.0, 2.0], 2.0, INF),
            ([INF, INF, 2.0], INF, INF),
            ([INF, 1.0], INF, INF),
            ([-INF, INF], NAN, NAN),
            ([-INF, INF, 3.0], 3.0, NAN),
            ([-INF, NAN], -INF, -INF),
        ],
    )
    def test_undefined_is_left_out_and_infinite_counts(
        self, windows: list[float], median: float, mean: float
    ) -> None:
        of_windows = one_source(windows)
        assert of_windows.value("voice", "SDR") == pytest.approx(median, nan_ok=True)
        of_windows = one_source(windows, protocol={**PROTOCOL, "over_windows": "mean"})
        assert of_windows.value("voice", "SDR") == pytest.approx(mean, nan_ok=True)
        if windows:
            for way, expected in (("median", median), ("mean", mean), ("weighted mean", mean)):
                of_tracks = one_source(
                    *[[window] for window in windows], protocol={**PROTOCOL, "over_tracks": way}
                )
                assert of_tracks.value("voice", "SDR") == pytest.approx(expected, nan_ok=True), way

    def test_tracks_without_a_length_have_no_weight(self) -> None:
        weighted = {**PROTOCOL, "over_tracks": "weighted mean"}
        parts = [([[[INF]]], 0.0), ([[[1.0]]], 1e308), ([[[3.0]]], 1e308)]
        tracks = [
            track(values, track=f"{index}", duration=duration, protocol=weighted)
            for index, (values, duration) in enumerate(parts)
        ]
        assert Scores(tuple(tracks)).value("voice", "SDR") == 2.0
        none = [track([[[n]]], track=f"{n}", duration=0, protocol=weighted) for n in (1.0, 5.0)]
        assert Scores(tuple(none)).value("voice", "SDR") == 3.0
        assert Scores((none[0],)).value("voice", "SDR") == 1.0

    def test_windows_of_one_track_and_of_all(self) -> None:
        made = one_source([1.0, NAN], [3.0])
        np.testing.assert_array_equal(made.windows("voice", "SDR"), [1.0, NAN, 3.0])
        np.testing.assert_array_equal(made.windows("voice", "SDR", track="0"), [1.0, NAN])

    def test_as_a_mapping(self) -> None:
        made = Scores([track()])  # type: ignore[arg-type]
        assert made.tracks == (track(),)
        with pytest.raises(FrozenInstanceError):
            made.tracks = ()  # type: ignore[misc]
        assert list(made) == ["voice", "band"]
        assert "voice" in made
        assert "drums" not in made
        assert dict(made)["voice"] == {"SDR": 2.0, "SIR": 4.5}

    def test_names_that_are_not_there_are_answered_with_those_that_are(self) -> None:
        made = Scores((track(),))
        for call in (
            lambda: made["drums"],
            lambda: made["drums", "SDR"],
            lambda: made.value("drums", "SDR"),
            lambda: made.windows("drums", "SDR"),
        ):
            with pytest.raises(InputError, match=r"^source must be one of 'voice', 'band'; got 'drums'\.$"):
                call()
            with pytest.raises(KeyError):
                call()
        with pytest.raises(InputError, match=r"^metric must be one of 'SDR', 'SIR'; got 'sdr'"):
            _ = made["voice", "sdr"]
        with pytest.raises(InputError, match=r"^track must be one of 'Song'; got 'Other'"):
            made.value("voice", "SDR", track="Other")
        for key in (0, None, ("voice", "SDR", "Song"), ["voice"]):
            with pytest.raises(InputError, match=r"^source must be one of"):
                _ = made[key]  # type: ignore[index]
        many = track(np.zeros((30, 1, 1)), sources=tuple(f"s{index}" for index in range(30)))
        with pytest.raises(InputError, match=r"'s19', … \(30 in all\); got 'x'"):
            many.windows("x", "SDR")
        with pytest.raises(InputError) as caught:
            track([[[1.0]]], sources=("s" * 10_000,)).windows("x" * 10_000, "SDR")
        assert len(str(caught.value)) < 300


class TestJoin:
    def test_keeps_the_order(self) -> None:
        one, two, three = (Scores((track(track=name),)) for name in "bac")
        joined = Scores.join(iter([one, two, three]))
        assert joined == one + two + three
        assert [item.track for item in joined.tracks] == ["b", "a", "c"]
        assert joined.n_tracks == 3
        assert repr(joined) == "Scores(3 tracks; SDR, SIR of voice, band; by hand)"
        assert repr(one) == "Scores(1 track; SDR, SIR of voice, band; by hand)"
        assert hash(joined) == hash(one + two + three)
        assert joined != one

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"track": "Song"}, r"^tracks must be of different names; got two of the name 'Song'"),
            ({"sources": ("voice", "drums")}, r"^tracks must be scored for the same sources, 'voice', 'band'"
             r"; got 'voice', 'drums' in 'B'\. Scores of a source depend"),
            ({"metrics": ("SDR", "SAR")}, r"^tracks must be scored by the same metrics, 'SDR', 'SIR';"),
            ({"protocol": {**PROTOCOL, "window_seconds": 2.0}}, r"^tracks must be scored by one protocol, "
             r"with window_seconds '1.0'; got '2.0' in 'B'"),
            ({"protocol": {**PROTOCOL, "sources": ["voice", "band", "drums"]}}, r"with sources 'None'; got"),
            ({"protocol": {**PROTOCOL, "over_windows": "mean"}}, r"with over_windows 'median'; got 'mean'"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_compared_is_not_mixed(self, changes: dict[str, Any], message: str) -> None:
        one, other = Scores((track(),)), Scores((track(**{"track": "B", **changes}),))
        for join in (lambda: one + other, lambda: Scores.join([one, other])):
            with pytest.raises(InputError, match=message):
                join()

    def test_the_order_of_sources_and_metrics_does_not_matter(self) -> None:
        values = np.arange(12.0).reshape(2, 2, 3)
        one = track(values, protocol={**PROTOCOL, "sources": ["voice", "band"]})
        other = track(
            values[::-1, ::-1],
            track="B",
            sources=("band", "voice"),
            metrics=("SIR", "SDR"),
            protocol={**PROTOCOL, "sources": ["band", "voice"]},
        )
        both = Scores((one, other))
        for source in both.sources:
            for metric in both.metrics:
                assert both.value(source, metric, "Song") == both.value(source, metric, "B")
        assert both.summary()[1]["std"] == 0

    @pytest.mark.parametrize("wrong", [[], None, 3, [track()], ["a"]])
    def test_only_scores_are_joined(self, wrong: Any) -> None:
        with pytest.raises(InputError, match=r"^scores must be an iterable of at least one Scores"):
            Scores.join(wrong)

    def test_only_tracks_are_held(self) -> None:
        for wrong in ((), None, track(), [3]):
            with pytest.raises(InputError, match=r"^tracks must be a tuple of"):
                Scores(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            _ = Scores((track(),)) + 3  # type: ignore[operator]


class TestSummary:
    def test_over_tracks_where_there_are_several(self) -> None:
        made = one_source([1.0, 3.0], [10.0, NAN, 12.0], [NAN], [5.0]).summary()
        (row,) = made
        scores = [2.0, 11.0, 5.0]
        assert isinstance(made, Summary)
        assert len(made) == 1
        assert made[0] == row
        assert dict(row) == {
            "source": "voice", "metric": "SDR", "score": 5.0, "median": 5.0,
            "mean": pytest.approx(statistics.fmean(scores)), "std": pytest.approx(statistics.stdev(scores)),
            "min": 2.0, "max": 11.0,
            "n_tracks": 4, "n_undefined": 1, "n_windows": 7, "n_dropped": 2,
        }  # fmt: skip
        assert (made.protocol, made.over_windows, made.over_tracks) == (
            "by hand (window_seconds=1)",
            "median",
            "median",
        )
        assert made.statistics_over == "tracks"
        with pytest.raises(TypeError):
            row["score"] = 1  # type: ignore[index]

    def test_over_windows_where_there_is_one_track(self) -> None:
        made = one_source([1.0, 3.0, NAN, 8.0]).summary(over_windows="mean")
        (row,) = made.records()
        assert row == {
            "source": "voice", "metric": "SDR", "score": 4.0, "median": 3.0, "mean": 4.0,
            "std": pytest.approx(statistics.stdev([1, 3, 8])), "min": 1.0, "max": 8.0,
            "n_tracks": 1, "n_undefined": 0, "n_windows": 4, "n_dropped": 1,
            "protocol": "by hand (window_seconds=1)", "over_windows": "mean", "over_tracks": "median",
            "statistics_over": "windows",
        }  # fmt: skip

    @pytest.mark.parametrize("windows", [[], [NAN, NAN], [2.0], [INF, -INF, 1.0], [1e308, 1.5e308]])
    def test_no_warnings_where_little_is_defined(self, windows: list[float]) -> None:
        for made in (one_source(windows), one_source(windows, windows)):
            for row in made.summary():
                assert row["n_dropped"] == sum(np.isnan(windows)) * made.n_tracks
                assert not np.isfinite(row["std"]) or row["n_tracks"] == 2
                assert np.isnan(row["max"]) == (not np.isfinite(windows).any())
            assert str(made)

    def test_rows_in_the_order_of_sources_and_metrics(self) -> None:
        rows = [(row["source"], row["metric"]) for row in Scores((track(),)).summary()]
        assert rows == [("voice", "SDR"), ("voice", "SIR"), ("band", "SDR"), ("band", "SIR")]

    def test_unknown_ways_are_refused(self) -> None:
        made = Scores((track(),))
        with pytest.raises(InputError, match=r"^over_windows must be one of 'median', 'mean'; got 'w"):
            made.summary(over_windows="weighted mean")
        with pytest.raises(InputError, match=r"^over_tracks must be one of 'median', 'mean', 'weighted"):
            made.summary(over_tracks="mode")

    def test_survives_pickle(self) -> None:
        made = Scores((track(),)).summary()
        assert str(pickle.loads(pickle.dumps(made))) == str(made)


class TestRecords:
    def test_a_row_for_each_window(self) -> None:
        made = Scores((track(estimates=("x", "y")), track([[[1.0]] * 2] * 2, track="B", starts=[0.5])))
        rows = made.records()
        assert len(rows) == 2 * 2 * 3 + 2 * 2
        assert set(rows[0]) >= {"time", "target", "metric", "score", "track"}
        assert rows[1] == {
            "track": "Song", "target": "voice", "estimate": "x", "metric": "SDR",
            "time": 1.0, "duration": 1.0, "score": 2.0, "protocol": "by hand (window_seconds=1)",
        }  # fmt: skip
        assert rows[-1]["track"] == "B"
        assert rows[-1]["time"] == 0.5
        for row in rows:
            (one,) = (item for item in made.tracks if item.track == row["track"])
            index = one.starts.tolist().index(row["time"])
            score = one.windows(row["target"], row["metric"])[index]
            assert row["score"] == pytest.approx(score, nan_ok=True)
            assert type(row["score"]) is type(row["time"]) is float
        assert one_source([]).records() == []

    def test_as_a_data_frame(self) -> None:
        pandas = pytest.importorskip("pandas")
        made = Scores((track(), track(track="B")))
        frame = made.to_frame()
        assert list(frame.columns) == list(made.records()[0])
        assert len(frame) == 24
        medians = frame.groupby(["track", "target", "metric"])["score"].median()
        assert medians["B", "voice", "SIR"] == made.value("voice", "SIR", "B") == 4.5
        assert list(one_source([]).to_frame().columns) == list(frame.columns)
        assert isinstance(frame, pandas.DataFrame)

    def test_without_pandas_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(BackendError, match=r'needs pandas: pip install "dspsep\[eval\]"'):
            Scores((track(),)).to_frame()


def test_one_track_of_several() -> None:
    joined = Scores((track(track="One"), track(track="Two")))
    assert joined.of_track("Two").tracks == (joined.tracks[1],)
    with pytest.raises(InputError, match="'Three'"):
        joined.of_track("Three")


def test_repeated_names_are_found_in_no_time() -> None:
    names = tuple(map(str, range(200_000)))
    with pytest.raises(InputError, match=r"'7' more than once"):
        TrackScores(**{**vars(track()), "sources": (*names, "7"), "estimates": ()})
