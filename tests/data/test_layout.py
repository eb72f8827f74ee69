"""Where files go, and that no name takes them elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep.data._layout import DEFAULT_TEMPLATE, Layout, checked_template
from dspsep.data._names import safe_file_name
from dspsep.errors import InputError
from tests.data.test_source_files import HOSTILE


def layout(template=DEFAULT_TEMPLATE, track="song", suffix=".mp3"):
    return Layout.of_track(Path("out"), checked_template(template), track, suffix)


@pytest.mark.core
@pytest.mark.parametrize(
    ("template", "root", "harmonic", "record"),
    [
        (DEFAULT_TEMPLATE, "out/song", "out/song/harmonic.flac", "out/song/provenance.json"),
        ("{track}_{stem}.{ext}", "out", "out/song_harmonic.flac", "out/song_provenance.json"),
        ("{source}/{track}.{ext}", "out", "out/harmonic/song.flac", "out/provenance/song.json"),
        ("my {track}/{trackext}/{source}.{ext}", "out/my song/mp3", "out/my song/mp3/harmonic.flac",
         "out/my song/mp3/provenance.json"),
        ("{{{track}}} {source}.{ext}", "out", "out/{song} harmonic.flac", "out/{song} provenance.json"),
    ],
)  # fmt: skip
def test_where_files_go(template, root, harmonic, record):
    found = layout(template)
    assert found.root == Path(root)
    assert found.files(["harmonic"], ".flac") == {"harmonic": Path(harmonic)}
    assert found.record == Path(record)
    assert found.may_have_made(found.relative(Path(harmonic))) == Path(harmonic)
    assert found.may_have_made(found.relative(found.record)) is None


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{track}/{source}", "ends in .{ext}"),
        ("{source}.{ext}", "with {track} and {source}"),
        ("{track}.{ext}", "with {track} and {source}"),
        ("{track}/{source}.{ext", "braces are in pairs"),
        ("{track}/{source}.{ext}}", "braces are in pairs"),
        ("{track}/{name}/{source}.{ext}", "of the fields {track}, {trackext}, {source}, {ext}"),
        ("{track.__class__}/{source}.{ext}", "of the fields"),
        ("{track!r}/{source}.{ext}", "of the fields"),
        ("{track:>1000000000}/{source}.{ext}", "without < and >"),
        ("{track:9}/{source}.{ext}", "of the fields"),
        ("{}/{track}/{source}.{ext}", "of the fields"),
        ("<track>/{track}/{source}.{ext}", "without < and >"),
        ("../{track}/{source}.{ext}", "in which '..' is not"),
        ("/tmp/{track}/{source}.{ext}", "in which '' is not"),
        ("C:/{track}/{source}.{ext}", "in which 'C:' is not"),
        ("a\\{track}/{source}.{ext}", "lawful on every system"),
        (".{track}/{source}.{ext}", "lawful on every system"),
        ("{track}//{source}.{ext}", "in which '' is not"),
        ("nul/{track}{source}.{ext}", "in which 'nul' is not"),
        ("{track}\0/{source}.{ext}", "lawful on every system"),
    ],
)
def test_templates_that_make_no_sense_or_lead_elsewhere(template, said):
    with pytest.raises(InputError) as caught:
        checked_template(template, "--filename")
    assert str(caught.value).startswith("--filename must be ")
    assert said in str(caught.value)


@pytest.mark.parametrize("template", [DEFAULT_TEMPLATE, "{source}/{track}.{ext}", "{track} {source}.{ext}"])
def test_hostile_names_stay_below_the_root(template):
    tracks: list[str] = []
    seen = set()
    for name in [*HOSTILE, "{source}", "{0.__class__}", "<source>", "{{", "%s"]:
        tracks.append(safe_file_name(name, tracks))
        found = layout(template, tracks[-1], name)
        for path in [*found.files(HOSTILE[:20], ".wav").values(), found.record]:
            inside = path.relative_to("out").parts
            assert len(inside) == template.count("/") + 1
            assert not set("".join(inside)) & set('/\\:*?"<>|\0')
            assert not any(part.startswith(".") for part in inside)
            seen.add(str(path).casefold())
    assert len(seen) == len(tracks) * 21


@pytest.mark.core
@pytest.mark.parametrize(
    "file",
    ["../a.wav", "/a.wav", "a.txt", "x/a.wav", "C:a.wav", "a\\b.wav", ".wav", "", "a.wav/", ".a.wav",
     "a.json", "a.wav\n", "./a.wav", "con.wav"],
)  # fmt: skip
def test_what_a_record_names_elsewhere_is_not_ours(file):
    assert layout().may_have_made(file) is None


def test_files_of_other_tracks_are_not_ours():
    flat = layout("{track}_{source}.{ext}")
    assert flat.may_have_made("other_harmonic.wav") is None
    assert flat.may_have_made("song_a.wav") == Path("out/song_a.wav")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_names(track, source):
    found = layout("{source}/{track}.{ext}", safe_file_name(track), track)
    (path,) = found.files([source], ".wav").values()
    assert len(path.parts) == 3
    assert found.may_have_made(found.relative(path)) == path
