"""Folders of stems, found by their layout or by a pattern; on miniature trees."""

from __future__ import annotations

import os
import re
import sys
import unicodedata

import numpy as np
import pytest

from dspsep.data import stem_folders
from dspsep.data._templates import Template, allowing, matches
from dspsep.data.files import save
from dspsep.errors import InputError

RATE = 8000


def grow(root, *files):
    """Make a tree of empty files: nothing is read before it is asked for."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def shown(dataset):
    """Return tracks, sources and mixtures, with paths as they are below the root."""

    def below(part):
        channel = "" if part.channel is None else f":{part.channel}"
        return part.path.relative_to(dataset.root).as_posix() + channel

    return {
        track.name: (
            {name: below(part) for name, (part,) in track.sources},
            None if track.mixture is None else below(track.mixture),
        )
        for track in dataset
    }


# --- without a pattern ---


def test_each_folder_is_a_track(tmp_path):
    root = grow(
        tmp_path / "songs", "b/vocals.wav", "b/drums.FLAC", "b/Mixture.wav", "b/cover.jpg", "b/notes.txt",
        "old/a/vocals.mp3", "old/a/.hidden.wav", ".git/c/vocals.wav", "only a mix/mix.wav", "empty/readme",
    )  # fmt: skip
    dataset = stem_folders(root)
    assert shown(dataset) == {
        "b": ({"drums": "b/drums.FLAC", "vocals": "b/vocals.wav"}, "b/Mixture.wav"),
        "old/a": ({"vocals": "old/a/vocals.mp3"}, None),
    }
    assert list(shown(dataset)) == ["b", "old/a"]
    assert dataset.name == "songs"
    assert stem_folders(root, name="x").name == "x"
    assert shown(stem_folders(root / "b")) == {
        "b": ({"drums": "drums.FLAC", "vocals": "vocals.wav"}, "Mixture.wav")
    }


def test_order_is_that_of_names(tmp_path):
    names = ["t10", "t9", "Ä", "a", "B", "t1"]
    root = grow(tmp_path, *[f"{name}/{source}.wav" for name in names for source in ("z", "a")])
    assert (
        stem_folders(root).names == tuple(sorted(names)) == stem_folders(root, "{track}/{source}.wav").names
    )
    assert stem_folders(root)[0].source_names == ("a", "z")


def test_tracks_load(tmp_path):
    audio = {name: np.full((2, 400), level, np.float32) for name, level in (("a", 0.25), ("b", 0.5))}
    for name, samples in audio.items():
        (tmp_path / "song").mkdir(exist_ok=True)
        save(tmp_path / "song" / f"{name}.wav", samples, RATE)
    loaded = stem_folders(tmp_path)["song"].load()
    np.testing.assert_array_equal(loaded.mixture, audio["a"] + audio["b"])


def test_what_there_is_no_layout_in_is_told(tmp_path):
    with pytest.raises(InputError, match=r"must be an existing folder; got .*nowhere"):
        stem_folders(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"one folder for each track, .*; got .*in which there is nothing"):
        stem_folders(tmp_path)
    grow(tmp_path, "pictures/x.jpg", "readme.txt")
    with pytest.raises(
        InputError, match=r"in which there is 'pictures/', 'readme.txt'.*\{track\}/\{source\}\.wav"
    ):
        stem_folders(tmp_path)


def test_what_can_be_read_in_two_ways_is_refused(tmp_path):
    root = grow(tmp_path / "a", "song/vocals.wav", "song/raw/deep/01.wav")
    with pytest.raises(InputError, match=r"audio in '.*song' and also below it, in '.*deep'"):
        stem_folders(root)
    assert stem_folders(root, "{track}/{source}.wav").names == ("song",)
    for files in (("song/a.wav", "song/a.flac"), ("song/mix.wav", "song/mixture.wav", "song/a.wav")):
        root = grow(tmp_path / files[1].replace("/", "-"), *files)
        for pattern in (None, "{track}/{source}.{ext}"):
            with pytest.raises(
                InputError, match=r"one (file for source 'a'|mixture) of a track; got '.*' and '"
            ):
                stem_folders(root, pattern)


# --- with a pattern ---


def test_dsd100(tmp_path):
    root = grow(tmp_path / "DSD100", "dsd100.xlsx", *[
        f"{kind}/{subset}/{number:03} - Somebody - Song_{number}/{name}.wav"
        for subset, number in (("Dev", 51), ("Test", 1))
        for kind, names in (("Mixtures", ["mixture"]), ("Sources", ["bass", "drums", "other", "vocals"]))
        for name in names
    ])  # fmt: skip
    dataset = stem_folders(
        root,
        "Sources/{subset}/{track}/{source}.wav",
        mixture="Mixtures/{subset}/{track}/mixture.wav",
        sources=["vocals", "bass", "drums", "other"],
    )
    assert dataset.names == ("Dev/051 - Somebody - Song_51", "Test/001 - Somebody - Song_1")
    sources, mixture = shown(dataset)["Test/001 - Somebody - Song_1"]
    assert list(sources) == ["vocals", "bass", "drums", "other"]
    assert sources["bass"] == "Sources/Test/001 - Somebody - Song_1/bass.wav"
    assert mixture == "Mixtures/Test/001 - Somebody - Song_1/mixture.wav"
    only = stem_folders(
        root, "Sources/Test/{track}/{source}.wav", mixture="Mixtures/Test/{track}/mixture.wav"
    )
    assert only.names == ("001 - Somebody - Song_1",)


def test_mir1k_and_ikala(tmp_path):
    root = tmp_path / "MIR-1K"
    (root / "Wavfile").mkdir(parents=True)
    audio = 0.1 * np.random.default_rng(0).standard_normal((2, 500)).astype(np.float32)
    save(root / "Wavfile" / "amy_1_01.wav", audio, RATE)
    save(root / "Wavfile" / "amy_1_02.wav", audio, RATE)
    dataset = stem_folders(root, "Wavfile/{track}.wav", channels={"accompaniment": 0, "vocals": 1})
    assert dataset.names == ("amy_1_01", "amy_1_02")
    loaded = dataset[1].load()
    np.testing.assert_array_equal(loaded.sources["accompaniment"], audio[:1])
    np.testing.assert_array_equal(loaded.sources["vocals"], audio[1:])
    np.testing.assert_array_equal(loaded.mixture, audio[:1] + audio[1:])


@pytest.mark.parametrize(("files", "pattern", "more", "expected"), [
    (["a_vocals.wav", "a_drums.wav", "b_vocals.wav"], "{track}_{source}.wav", {},
     {"a": ({"drums": "a_drums.wav", "vocals": "a_vocals.wav"}, None),
      "b": ({"vocals": "b_vocals.wav"}, None)}),
    (["s/M_STEMS/M_STEM_01.wav", "s/M_MIX.wav"], "{set}/{track}_STEMS/{track}_STEM_{stem}.wav",
     {"mixture": "{set}/{track}_MIX.wav"}, {"s/M": ({"01": "s/M_STEMS/M_STEM_01.wav"}, "s/M_MIX.wav")}),
    (["vocals/a.wav", "drums/a.wav", "mix/a.wav"], "{source}/{track}.wav", {},
     {"a": ({"drums": "drums/a.wav", "vocals": "vocals/a.wav"}, "mix/a.wav")}),
    (["drums.wav", "x.txt"], "{source}.wav", {}, {"root": ({"drums": "drums.wav"}, None)}),
    (["a.b/x.WAV", "a.b/y.Flac"], "{track}/{source}.{ext}", {},
     {"a.b": ({"x": "a.b/x.WAV", "y": "a.b/y.Flac"}, None)}),
    (["one/two/x.wav"], "{artist}/{title}/{source}.wav", {}, {"one/two": ({"x": "one/two/x.wav"}, None)}),
    (["{x}/a.wav"], "{{{track}}}/{source}.wav", {}, {"x": ({"a": "{x}/a.wav"}, None)}),
    (["a/lead_vox_take.wav"], "{track}/{source}_take.wav", {"sources": ["lead_vox"]},
     {"a": ({"lead_vox": "a/lead_vox_take.wav"}, None)}),
    (["l_v_t.wav", "mix_t.wav"], "{source}_{track}.wav", {"sources": ["l_v"]},
     {"t": ({"l_v": "l_v_t.wav"}, "mix_t.wav")}),
])  # fmt: skip
def test_patterns(tmp_path, files, pattern, more, expected):
    root = grow(tmp_path / "root", *files)
    assert shown(stem_folders(root, pattern, **more)) == expected


def test_patterns_are_no_regular_expressions(tmp_path):
    root = grow(tmp_path / "root", "a+b/x(1).wav", "aab/x1.wav", "a.c/x(1)Xwav")
    assert shown(stem_folders(root, "a+b/{source}(1).wav")) == {"root": ({"x": "a+b/x(1).wav"}, None)}
    assert stem_folders(root, ".*/{source}.wav".replace(".*", "{track}")).names == ("a+b", "aab")
    with pytest.raises(InputError, match=r"root must be a folder with files 'a\.b/\{source\}\.wav'"):
        stem_folders(root, "a.b/{source}.wav")


def test_an_ambiguous_name_is_told_with_both_readings(tmp_path):
    root = grow(tmp_path, "one_two_three.wav")
    with pytest.raises(
        InputError, match=r"source='one', track='two_three' or source='one_two', track='three'"
    ):
        stem_folders(root, "{source}_{track}.wav")
    assert stem_folders(root, "{source}_{track}.wav", sources=["one"]).names == ("two_three",)
    with pytest.raises(InputError, match="in one way"):
        stem_folders(root, "{source}_{track}.wav", sources=["one", "one_two"])


def test_the_error_shows_how_far_the_pattern_went(tmp_path):
    root = grow(tmp_path, "Sources/Dev/song/bass.flac", "Sources/Dev/song/drums.flac", "readme")
    with pytest.raises(InputError) as caught:
        stem_folders(root, "Sources/{subset}/{track}/{source}.wav")
    assert "a folder with files 'Sources/{subset}/{track}/{source}.wav'" in str(caught.value)
    assert re.search(
        r"'.*Sources.Dev.song', in which there is 'bass\.flac', 'drums\.flac'", str(caught.value)
    )
    with pytest.raises(InputError, match=r"in which there is 'Sources/', 'readme'"):
        stem_folders(root, "sources/{track}/{source}.wav")
    grow(root, *[f"many/{i:02}.txt" for i in range(30)])
    with pytest.raises(InputError, match=r"'09\.txt', … \(30 in all\)"):
        stem_folders(root, "many/{source}.wav")


def test_missing_sources_and_mixtures_are_told(tmp_path):
    root = grow(tmp_path, "a/vocals.wav", "a/drums.wav", "b/vocals.wav", "mixes/a.wav")
    with pytest.raises(InputError, match=r"there in every track; got 'b' without 'drums', but with 'vocals'"):
        stem_folders(root, "{track}/{source}.wav", sources=["drums", "vocals"], mixture=None)
    with pytest.raises(InputError, match=r"finds the mixture of every track; .* for 'b', 'mixes'"):
        stem_folders(root, "{track}/{source}.wav", mixture="mixes/{track}.wav")


@pytest.mark.parametrize("pattern", [
    "", 3, "/{source}.wav", "../{source}.wav", "{track}/../{source}.wav", "{track}//{source}.wav",
    ".x/{source}.wav", "{track}/{source}.wav/", "{track.name}/{source}.wav", "{track!r}/{source}.wav",
    "{track:>9}/{source}.wav", "{}.wav", "{0}/{source}.wav", "{source", "source}",
    "{track}_{track}/{source}.wav", "{track}\\{source}.wav", "{track}/x.wav",
    "{track}/" + 1000 * "x" + "{source}", "{source[0]}",
])  # fmt: skip
def test_what_is_no_pattern_is_refused(tmp_path, pattern):
    with pytest.raises(InputError, match="pattern must be"):
        stem_folders(grow(tmp_path, "a/x.wav"), pattern)


@pytest.mark.parametrize("more", [
    {"channels": {"a": 0}}, {"mixture": "x/{track}.wav"},
    {"pattern": "{track}/{source}.wav", "channels": {"a": 0}}, {"pattern": "{track}/x.wav", "channels": {}},
    {"pattern": "{track}/x.wav", "channels": {"a": -1}},
    {"pattern": "{track}/x.wav", "channels": {"a": "left"}},
    {"pattern": "{track}/x.wav", "channels": {"a": 0}, "sources": ["a"]}, {"sources": []}, {"sources": "a"},
    {"sources": ["\n"]}, {"pattern": "{track}/{source}.wav", "mixture": "{source}/{track}.wav"},
    {"pattern": "{track}/{source}.wav", "mixture": "{other}/mix.wav"}, {"mixture": "../{track}.wav"},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(tmp_path, more):
    with pytest.raises(InputError):
        stem_folders(grow(tmp_path, "a/x.wav"), **more)


# --- names and links of others ---


def test_hostile_names_are_names(tmp_path):
    names = ["a;rm -rf", "$(x)", "%n{0}", "{track}", "a\nb", "\u202eabc"]
    root = grow(tmp_path, *[f"{name}/x.wav" for name in names])
    assert sorted(stem_folders(root).names) == sorted(names)
    assert sorted(stem_folders(root, "{track}/{source}.wav").names) == sorted(names)
    grow(root, "z/\u202e.wav")
    with pytest.raises(InputError, match="a source's name must be a printable string"):
        stem_folders(root)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are text there")
def test_names_that_are_not_utf8(tmp_path):
    grow(tmp_path, os.fsdecode(b"caf\xe9/x.wav"))
    for pattern in (None, "{track}/{source}.wav"):
        assert stem_folders(tmp_path, pattern).names == ("caf\\xe9",)


def test_composed_and_decomposed_names_are_one(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    root = grow(tmp_path, f"{decomposed}/{decomposed}.wav")
    for pattern in ("café/{source}.wav", "{track}/{source}.wav", None):
        dataset = stem_folders(root, pattern, sources=["café"])
        assert dataset[0].source_names == ("café",)
        assert dataset[0].files[0].is_file()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links(tmp_path):
    outside = grow(tmp_path / "outside", "song/x.wav") / "song"
    root = grow(tmp_path / "root", "a/x.wav")
    (root / "linked").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "a" / "y.wav").symlink_to("x.wav")
    (root / "a" / "gone.wav").symlink_to("nowhere.wav")
    for pattern in (None, "{track}/{source}.wav"):
        assert shown(stem_folders(root, pattern)) == {"a": ({"x": "a/x.wav", "y": "a/y.wav"}, None)}
    with pytest.raises(InputError, match=r"in which there is 'a/', 'linked \(a link\)', 'loop \(a link\)'"):
        stem_folders(root, "linked/{source}.wav")
    (tmp_path / "door").symlink_to(root)
    assert stem_folders(tmp_path / "door").names == ("a",)
    (root / "a" / "z.wav").symlink_to(outside / "x.wav")
    for pattern in (None, "{track}/{source}.wav"):
        with pytest.raises(
            InputError, match=r"links stay inside; got '.*z\.wav', a link to '.*outside/song/x\.wav'"
        ):
            stem_folders(root, pattern)


def test_long_names_and_many_fields_take_no_time():
    template = Template("{a}-{b}-{c}-{d}-{e}-{f}.wav", "pattern")
    allowed = allowing(None, mixtures=True)
    assert matches(255 * "-", template.names[0], {}, allowed) == []
    assert len(matches(200 * "-" + ".wav", template.names[0], {}, allowed)) == 2
