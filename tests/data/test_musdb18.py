"""MUSDB18 in both forms, on miniature trees."""

from __future__ import annotations

import importlib.util
from fractions import Fraction

import numpy as np
import pytest

from dspsep.data import _musdb18, musdb18
from dspsep.data.files import load, save
from dspsep.data.tracks import Part, Track
from dspsep.errors import InputError
from tests.data.test_files import correlation, tone
from tests.data.test_stem_folders import grow

NAMES = ("mixture", "drums", "bass", "other", "vocals")
RATE = 44100

with_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV")


def hq(root, *tracks):
    return grow(root, *[f"{track}/{name}.wav" for track in tracks for name in NAMES])


def test_hq(tmp_path):
    root = hq(tmp_path, "test/B - b", "test/A - a", "train/C - c", "train/ANiMAL - Rockshow")
    grow(root, "README.md", "test/.DS_Store", "test/notes.txt", "train/C - c/cover.jpg")
    dataset = musdb18(root)
    assert dataset.names == ("train/ANiMAL - Rockshow", "train/C - c", "test/A - a", "test/B - b")
    assert repr(dataset) == "Dataset('MUSDB18-HQ': 4 tracks of drums, bass, other, vocals)"
    track = dataset["test/A - a"]
    assert track.mixture.path == root / "test/A - a/mixture.wav"
    assert dict(track.sources)["vocals"][0].path == root / "test/A - a/vocals.wav"
    assert musdb18(root, "test").names == ("test/A - a", "test/B - b")
    assert musdb18(root, subset="train").names == ("train/ANiMAL - Rockshow", "train/C - c")
    assert musdb18(root, "valid").names == ("train/ANiMAL - Rockshow",)
    assert len(_musdb18.VALIDATION_TRACKS) == 14
    grouped = dataset.regroup({"vocals": ["vocals"], "accompaniment": ["drums", "bass", "other"]})
    assert grouped[0].source_names == ("vocals", "accompaniment")


def test_the_mixture_is_the_one_that_is_stored(tmp_path):
    folder = tmp_path / "test" / "A - a"
    folder.mkdir(parents=True)
    audio = {name: tone(2, 0.1, seed=i) for i, name in enumerate(NAMES)}
    for name, samples in audio.items():
        save(folder / f"{name}.wav", samples, RATE)
    loaded = musdb18(tmp_path)[0].excerpt(0.01, 0.05).load()
    part = slice(441, 441 + 2205)
    np.testing.assert_array_equal(loaded.mixture, audio["mixture"][:, part])
    for name in NAMES[1:]:
        np.testing.assert_array_equal(loaded.sources[name], audio[name][:, part])


def test_another_layout_is_told_with_the_right_one(tmp_path):
    grow(tmp_path, "musdb18hq.zip", "deep/readme")
    with pytest.raises(
        InputError, match=r"'train' or 'test' in it; .* 'deep/', 'musdb18hq\.zip'.*ROOT/train/Art"
    ):
        musdb18(tmp_path)
    hq(tmp_path, "deep/test/A - a")
    with pytest.raises(InputError, match=r"Did you mean '.*deep'\?"):
        musdb18(tmp_path)
    with pytest.raises(
        InputError, match=r"with 'train' in it; got .*, in which there is 'readme', 'test/'\. "
    ):
        musdb18(tmp_path / "deep", "valid")
    grow(tmp_path, "train/readme")
    with pytest.raises(InputError, match="with tracks in 'train'; got"):
        musdb18(tmp_path)
    with pytest.raises(InputError, match="subset must be one of 'train', 'valid', 'test'; got 'dev'"):
        musdb18(tmp_path, "dev")
    with pytest.raises(InputError, match="an existing folder"):
        musdb18(tmp_path / "nowhere")


def test_all_five_files_must_be_there(tmp_path):
    root = hq(tmp_path, "test/A - a")
    (root / "test/A - a/other.wav").rename(root / "test/A - a/others.wav")
    with pytest.raises(
        InputError, match=r"'test/A - a' lacks 'other\.wav'; got .*'others\.wav', 'vocals\.wav'"
    ):
        musdb18(root)


def test_both_forms_in_one_folder_are_refused(tmp_path):
    root = grow(hq(tmp_path, "test/A - a"), "test/B - b.stem.mp4")
    with pytest.raises(InputError, match="and not both"):
        musdb18(root)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_musdb18.importlib.util, "find_spec", lambda name: None)
    root = grow(tmp_path, "test/A - a.stem.mp4")
    with pytest.raises(InputError, match=r'pip install "dspsep\[musdb\]"\. Or use MUSDB18-HQ'):
        musdb18(root)


def test_stems_are_streams(tmp_path, monkeypatch):
    # What is found needs no decoder.
    monkeypatch.setattr(_musdb18.importlib.util, "find_spec", lambda name: object())
    root = grow(tmp_path, "test/A - a.b.stem.mp4", "train/Leaf - Summerghost.stem.mp4", "train/x.mp4")
    dataset = musdb18(root)
    assert dataset.name == "MUSDB18"
    assert dataset.names == ("train/Leaf - Summerghost", "test/A - a.b")
    track = dataset[1]
    path = root / "test/A - a.b.stem.mp4"
    assert track.mixture == Part(path=path, stream=0)
    assert {name: part.stream for name, (part,) in track.sources} == {
        "drums": 1, "bass": 2, "other": 3, "vocals": 4,
    }  # fmt: skip
    assert track.files == (path,)
    assert musdb18(root, "valid").names == ("train/Leaf - Summerghost",)


def test_other_files_have_one_stream(tmp_path):
    path = save(tmp_path / "a.wav", tone(2, 0.1), RATE)
    with pytest.raises(InputError, match=r"stream must be 0, the only one in .*; got 1"):
        Track(name="a", sources={"a": Part(path=path, stream=1)}).load()


def stem_file(path, audio):
    """Write a .stem.mp4: a stream of AAC for each array."""
    import av

    with av.open(str(path), "w", format="mp4") as output:
        streams = [output.add_stream("aac", rate=RATE, layout="stereo") for _ in audio]
        for stream, samples in zip(streams, audio, strict=True):
            stream.bit_rate = 256_000
            for start in range(0, samples.shape[1], 1024):
                block = np.ascontiguousarray(samples[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


@with_av
def test_stem_files_are_read(tmp_path):
    (tmp_path / "test").mkdir()
    sources = [tone(2, 2.0, seed=i) * (0.1 + 0.1 * i) * np.float32([[1], [(-1) ** i]]) for i in range(4)]
    audio = [sum(sources), *sources]
    path = stem_file(tmp_path / "test" / "A - a.stem.mp4", audio)
    track = musdb18(tmp_path)[0]
    loaded = track.load()
    assert loaded.sample_rate == RATE
    for name, expected in zip(NAMES, audio, strict=True):
        got = loaded.mixture if name == "mixture" else loaded.sources[name]
        n = min(got.shape[1], expected.shape[1])
        assert abs(got.shape[1] - expected.shape[1]) < 2048
        assert correlation(got[:, :n], expected[:, :n]) > 0.99, name
    np.testing.assert_array_equal(load(path)[0][:, : loaded.mixture.shape[1]], loaded.mixture)
    info = track.info()
    assert (info.n_channels, info.sample_rate) == (2, RATE)
    part = track.excerpt(1.2, 0.25).load()
    assert part.mixture.shape == (2, 11025)
    begin = round(1.2 * RATE)
    np.testing.assert_allclose(
        part.sources["vocals"], loaded.sources["vocals"][:, begin : begin + 11025], atol=1e-5
    )
    isolated = track.load(isolate=True)
    np.testing.assert_array_equal(isolated.sources["bass"], loaded.sources["bass"])


@with_av
def test_a_file_of_fewer_streams_is_told(tmp_path):
    path = stem_file(tmp_path / "a.stem.mp4", [tone(2, 0.2)])
    with pytest.raises(InputError, match=r"stream must be less than 1, as many as .* has; got 1"):
        Track(name="a", sources={"a": Part(path=path, stream=1)}).load()
