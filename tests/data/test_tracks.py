"""Tracks and datasets: what is read, when, and what is refused."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest

from dspsep.data import Dataset, Part, Track, _isolated, _reading
from dspsep.data.files import save
from dspsep.errors import DspsepWarning, InputError

RATE = 8000
NAMES = ("bass", "drums", "vocals")


def noise(seed, n_channels=2, n_samples=4000):
    return 0.1 * np.random.default_rng(seed).standard_normal((n_channels, n_samples)).astype(np.float32)


@pytest.fixture
def stems(tmp_path):
    return {name: save(tmp_path / f"{name}.wav", noise(i), RATE) for i, name in enumerate(NAMES)}


def test_the_mixture_is_the_sum_of_the_sources_or_a_file(tmp_path, stems):
    loaded = Track(name="a", sources=stems).load()
    assert loaded.sources.names == NAMES
    assert loaded.sample_rate == loaded.sources.sample_rate == RATE
    assert loaded.mixture.dtype == np.float32
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(loaded.sources[name], noise(i))
    np.testing.assert_array_equal(loaded.mixture, loaded.sources.mixture())
    mastered = save(tmp_path / "mix.wav", noise(9), RATE)
    loaded = Track(name="a", sources=stems, mixture=mastered).load()
    np.testing.assert_array_equal(loaded.mixture, noise(9))
    assert repr(loaded) == "LoadedTrack('a': bass, drums, vocals; 2 channels, 4000 samples at 8000 Hz)"


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    track = Track(name="a", sources={"drums": tmp_path / "nothing.wav"})
    assert track.regroup({"all": ["drums"]}).excerpt(1.0).source_names == ("all",)
    with pytest.raises(InputError, match=r"nothing\.wav"):
        track.load()


@pytest.mark.parametrize(("start", "duration", "expected"), [
    (0.1, 0.2, slice(800, 2400)),
    (0.1, None, slice(800, None)),
    (0.0, 9.0, slice(None)),
])  # fmt: skip
def test_excerpts(stems, start, duration, expected):
    track = Track(name="a", sources=stems).excerpt(start, duration)
    loaded = track.load()
    np.testing.assert_array_equal(loaded.sources["drums"], noise(1)[:, expected])
    assert track.info().n_samples == loaded.sources.n_samples
    assert (track.info().n_channels, track.info().sample_rate) == (2, RATE)


def test_excerpts_of_excerpts_stay_inside(stems):
    track = Track(name="a", sources=stems).excerpt(0.1, 0.3)
    assert track.excerpt(0.1).load().mixture.shape == (2, 1600)
    assert track.excerpt(0.1, 5.0) == Track(name="a", sources=stems, start=0.2, duration=track.duration - 0.1)
    with pytest.raises(InputError, match="before the end of the excerpt"):
        track.excerpt(0.3)
    with pytest.raises(
        InputError, match=r"start must be before the end of '.*bass.wav', at 0.5 s; got 0.5 s"
    ):
        Track(name="a", sources=stems, start=0.5).load()


def test_an_excerpt_decodes_nothing_else(tmp_path, stems):
    stems["drums"].write_bytes(stems["drums"].read_bytes()[: -8 * 2000])  # its last 2000 samples are gone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        with pytest.raises(InputError, match=r"4000 samples in '.*' and 2000 in '.*drums\.wav'"):
            Track(name="a", sources=stems).load()


def test_groups_are_sums(stems):
    track = Track(name="a", sources=stems)
    grouped = track.regroup({"accompaniment": ["drums", "bass"]})
    assert grouped.source_names == ("accompaniment", "vocals")
    loaded = grouped.load()
    np.testing.assert_array_equal(loaded.sources["accompaniment"], noise(1) + noise(0))
    np.testing.assert_array_equal(loaded.sources["vocals"], noise(2))
    np.testing.assert_array_equal(track.load().sources["drums"], noise(1))
    assert track.regroup({"vocals": ["vocals", "bass"]}).source_names == ("vocals", "drums")
    for groups in ({"vocals": ["drums"]}, {"a": ["piano"]}, {"a": []}, {"a": "drums"}, {},
                   {"a": ["bass"], "b": ["bass"]}, {"a": ["bass", "bass"]}):  # fmt: skip
        with pytest.raises(InputError, match="group"):
            track.regroup(groups)


def test_files_of_several_sources_stay_as_they_are(stems):
    sources = {"both": [stems["bass"], stems["drums"]], "one": stems["bass"]}
    loaded = Track(name="a", sources=sources, mixture=stems["bass"]).load()
    np.testing.assert_array_equal(loaded.sources["both"], noise(0) + noise(1))
    np.testing.assert_array_equal(loaded.sources["one"], noise(0))
    np.testing.assert_array_equal(loaded.mixture, noise(0))


@pytest.mark.skipif(not _isolated.limited(), reason="no limits here")
def test_files_of_strangers_are_decoded_elsewhere(stems, monkeypatch):
    track = Track(name="a", sources={"bass": stems["bass"]}, start=0.1, duration=0.2)
    expected = track.load()
    monkeypatch.setattr(_reading, "open_audio", None)
    np.testing.assert_array_equal(track.load(isolate=True).mixture, expected.mixture)


def test_channels_are_sources(tmp_path):
    path = save(tmp_path / "a.wav", noise(3), RATE)
    track = Track(
        name="a", sources={"music": Part(path=path, channel=0), "vocals": Part(path=path, channel=1)}
    )
    loaded = track.load()
    np.testing.assert_array_equal(loaded.sources["vocals"], noise(3)[1:])
    np.testing.assert_array_equal(loaded.mixture, noise(3)[:1] + noise(3)[1:])
    assert track.info().n_channels == 1
    assert track.files == (path,)
    with pytest.raises(
        InputError, match=r"channel must be less than 2, as many as there are in '.*a\.wav'; got 2"
    ):
        Track(name="a", sources={"x": Part(path=path, channel=2)}).load()


@pytest.mark.parametrize(("audio", "rate", "message"), [
    (noise(0), 16000, r"of one rate; got 8000 Hz in '.*bass.wav' and 16000 Hz in '.*vocals.wav'"),
    (noise(0, 1), RATE, r"of one number of channels; got 2 channels in '.*bass.wav' and 1 ch.* in '.*vocals"),
    (noise(0, 2, 4001), RATE, r"of one length; got 4001 samples in '.*vocals.wav' and 4000 in '.*bass.wav'"),
])  # fmt: skip
def test_files_that_do_not_fit_are_both_named(stems, audio, rate, message):
    save(stems["vocals"], audio, rate)
    for ask in (Track(name="a", sources=stems).load, Track(name="a", sources=stems).info):
        with pytest.raises(InputError, match=message):
            ask()


def test_a_padded_codec_may_be_longer(tmp_path, stems):
    stems["drums"] = save(tmp_path / "drums.mp3", noise(1, 2, 4100), RATE)
    assert Track(name="a", sources=stems).load().mixture.shape == (2, 4000)


def test_content_is_of_bytes_and_what_is_taken(tmp_path, stems):
    track = Track(name="a", sources=stems)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    others = {name: path.rename(moved / path.name) for name, path in stems.items()}
    same = Track(name="b", sources=others)
    with pytest.raises(InputError):
        track.content()
    digests = [
        same.content(),
        same.excerpt(0.1).content(),
        same.regroup({"all": NAMES}).content(),
        Track(name="b", sources=others, mixture=others["bass"]).content(),
        Track(name="b", sources={"bass": others["bass"]}).content(),
        Track(name="b", sources={"bass": Part(path=others["bass"], channel=1)}).content(),
        Track(name="b", sources={"bass": Part(path=others["bass"], stream=1)}).content(),
    ]
    assert all(len(digest) == 64 for digest in digests)
    assert len(set(digests)) == len(digests)
    for name, path in others.items():
        path.rename(stems[name])
    assert track.content() == digests[0]
    save(stems["drums"], noise(7), RATE)
    assert track.content() != digests[0]


def test_tracks_travel_as_json(tmp_path, stems):
    track = Track(
        name="test/a",
        sources={**stems, "rest": [stems["bass"], Part(path="x.stem.mp4", channel=1, stream=3)]},
        mixture=tmp_path / "mix.wav",
        start=1.5,
        duration=2.0,
    )
    assert Track.from_dict(json.loads(json.dumps(track.to_dict()))) == track
    assert pickle.loads(pickle.dumps(track)) == track
    assert hash(track) == hash(pickle.loads(pickle.dumps(track)))
    plain = track.to_dict()
    for wrong in ({}, None, {**plain, "sources": 3}, {**plain, "sources": [["a"]]}, {**plain, "start": "x"},
                  {**plain, "mixture": []}, {**plain, "sources": [["a", [{"path": 3}]]]}):  # fmt: skip
        with pytest.raises(InputError):
            Track.from_dict(wrong)


def test_relative_paths_are_of_the_folder_where_the_track_was_made(tmp_path, monkeypatch):
    save(tmp_path / "a.wav", noise(0), RATE)
    monkeypatch.chdir(tmp_path)
    track = Track(name="a", sources={"a": "a.wav"})
    monkeypatch.chdir("/")
    assert track.load().mixture.shape == (2, 4000)


@pytest.mark.parametrize("wrong", [
    {"name": ""}, {"name": 3}, {"name": "\udcff"}, {"sources": {}}, {"sources": "a"}, {"sources": {"": "a"}},
    {"sources": {"a": []}}, {"sources": {"a": 3}}, {"sources": {"a": ""}}, {"sources": {"a": "\0"}},
    {"sources": [("a", "x"), ("a", "y")]}, {"mixture": 3}, {"start": -1}, {"start": np.nan}, {"duration": 0},
])  # fmt: skip
def test_what_is_no_track_is_refused(wrong):
    with pytest.raises(InputError):
        Track(**{"name": "a", "sources": {"a": "a.wav"}, **wrong})


def test_datasets_are_sequences(tmp_path):
    tracks = [Track(name=f"t{i}", sources={name: f"{i}/{name}.wav" for name in NAMES}) for i in range(4)]
    dataset = Dataset(name="songs", tracks=tracks, root=tmp_path)
    assert (len(dataset), list(dataset), dataset[-1]) == (4, tracks, tracks[3])
    assert dataset["t2"] is tracks[2]
    assert "t2" in dataset
    assert "t9" not in dataset
    assert tracks[1] in dataset
    assert dataset[1:3].names == ("t1", "t2")
    assert repr(dataset) == "Dataset('songs': 4 tracks of bass, drums, vocals)"
    assert dataset.excerpt(1, 2)[0] == tracks[0].excerpt(1, 2)
    assert dataset.regroup({"music": ["bass", "drums"]})[3].source_names == ("music", "vocals")
    with pytest.raises(KeyError, match="no track 't9'"):
        dataset["t9"]
    with pytest.raises(InputError, match="several called 't0'"):
        Dataset(name="songs", tracks=[tracks[0], tracks[0]])
