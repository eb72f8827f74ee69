"""Sets of sources as files, and names that stay in their folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from dspsep._version import __version__
from dspsep.data import _replacing, _sets
from dspsep.data.files import load, safe_file_name, save_sources
from dspsep.errors import DspsepError, DspsepWarning, InputError
from dspsep.sources import Provenance, Sources
from tests.data.test_files import tone
from tests.data.test_files_whole import failing_write

HOSTILE = [
    "", " ", ".", "..", "...", "../x", "..\\x", "../../etc/passwd", "/etc/passwd", "/", "//",
    "\\\\host\\share", "C:\\x", "C:x", "c:", "a/b", "a\\b", "a:b", "a*b", "a?b", "a|b", "a<b>", 'a"b',
    "a\x00b", "\x00", "x\n", "x\r\ny", "\tx", "\x1b[31mred", "\x7f", "\u202e", "\u202egpj.exe",
    "a\u200eb", "\u2066x\u2069", "\ufeffx", "\u2028", "\u3000", "\ud800", "CON", "con", "Con.txt",
    "con .x", "NUL", "nul.tar.gz", "AUX", "PRN", "COM1", "com9.x", "LPT1", "COM¹", "CONIN$", "-rf",
    "--help", "-", "~", "~root", ".hidden", "x.", "x ", "x. .", "a" * 300, "🎵" * 300, "é" * 300,
    "e\u0301", "\u00e9", "音楽", "👨\u200d👩\u200d👧", "kick", "Kick", "KICK", "ß", "ss", "percussive/kick",
    "percussive-kick", "$(reboot)", "`id`", "a;b", "%00", "..%2f", "x.wav", "😀", "\U000e0001", "\x85",
]  # fmt: skip

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{p}{i}" for p in ("com", "lpt") for i in "0123456789¹²³"
}


def check(name: str) -> None:
    assert 1 <= len(name) <= 100
    assert len(name.encode("utf-8")) <= 200
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>|')
    assert name[0] not in " .-~"
    assert name[-1] not in " ."
    assert name.partition(".")[0].strip().casefold() not in DEVICES
    assert unicodedata.is_normalized("NFC", name)


@pytest.mark.core
def test_hostile_names_become_safe_and_different():
    assert len(HOSTILE) >= 60
    taken: list[str] = []
    for name in HOSTILE:
        safe = safe_file_name(name, taken)
        check(safe)
        taken.append(safe)
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in taken}) == len(HOSTILE)


@given(st.lists(st.text(max_size=150), max_size=6))
def test_any_names_become_safe_and_different(names):
    taken: list[str] = []
    for name in names:
        safe = safe_file_name(name, taken)
        check(safe)
        assert safe == safe_file_name(name, taken)
        taken.append(safe)
    assert len({name.casefold() for name in taken}) == len(names)


@pytest.mark.parametrize("name", ["vocals", "Lead Vocals", "drums-1", "音楽", "😀", "a.b_c"])
def test_ordinary_names_stay(name):
    assert safe_file_name(name) == name


def test_the_same_name_again_and_again():
    taken: list[str] = []
    for _ in range(300):
        taken.append(safe_file_name("song", taken))
        check(taken[-1])
    assert len(set(taken)) == 300


def test_what_becomes_of_some():
    assert safe_file_name("percussive/kick") == "percussive-kick"
    assert safe_file_name("../x") == "x"
    assert safe_file_name("e\u0301") == "\u00e9"
    assert safe_file_name("CON").startswith("CON-")
    assert safe_file_name("nul.tar.gz").startswith("nul-tar-gz-")
    assert safe_file_name("percussive-kick", ["percussive-kick"]) != safe_file_name(
        "percussive/kick", ["percussive-kick"]
    )
    taken = ["kick", safe_file_name("Kick", ["kick"])]
    assert safe_file_name("Kick", taken) not in taken


def sources_of(names, peak: float = 0.5, **kwargs) -> Sources:
    audio = {
        name: peak / (i + 1) * tone(2, 0.2, seed=i) / np.abs(tone(2, 0.2, seed=i)).max()
        for i, name in enumerate(names)
    }
    return Sources.from_dict(audio, kwargs.pop("rate", 44100))


@pytest.mark.core
def test_a_set_and_its_record(tmp_path):
    plain = sources_of(["percussive/kick", "percussive-kick", "Bass", "bass"])
    sources = Sources(
        plain.audio, plain.sample_rate, None, Provenance(version="9.9", settings="HPSS()", seed=7)
    )
    paths = save_sources(sources, tmp_path / "new" / "folder", format="wav")
    assert list(paths) == list(sources)
    for name, path in paths.items():
        assert path.parent == tmp_path / "new" / "folder"
        np.testing.assert_array_equal(load(path)[0], sources[name])
    record = json.loads((tmp_path / "new" / "folder" / "provenance.json").read_text(encoding="utf-8"))
    assert record == {
        "dspsep_version": "9.9",
        "settings": "HPSS()",
        "seed": 7,
        "gain": 1.0,
        "sample_rate": 44100,
        "files": {name: path.name for name, path in paths.items()},
    }
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 5


def test_save_is_the_same(tmp_path):
    paths = sources_of(["a"]).save(tmp_path, format="flac")
    assert paths == {"a": tmp_path / "a.flac"}
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert (record["dspsep_version"], record["settings"], record["seed"]) == (__version__, None, None)


def test_flac_of_24_bits_unless_told_otherwise(tmp_path):
    sources = sources_of(["a", "b"])
    for name, path in save_sources(sources, tmp_path).items():
        assert soundfile.info(path).subtype == "PCM_24"
        np.testing.assert_allclose(load(path)[0], sources[name], atol=2**-24 * 1.001)


KILLED = """
import os, sys
import numpy as np
from dspsep import Sources
from dspsep.data import _replacing, _sets
folder, after, form = sys.argv[1], int(sys.argv[2]), sys.argv[3]
steps = []
def step(module, name):
    original = getattr(module, name)
    def stepping(*args, **kwargs):
        if len(steps) == after:
            os._exit(9)
        steps.append(name)
        return original(*args, **kwargs)
    setattr(module, name, stepping)
step(_replacing.Replacement, "publish")
step(_sets, "_remove")
step(_sets.Path, "unlink")
step(_sets.os, "ftruncate")
Sources.from_dict({name: -np.ones((2, 50)) / 4 for name in "ab"}, 8000).save(folder, format=form)
os._exit(0)
"""


@pytest.mark.core
def test_two_sets_never_lie_side_by_side_whatever_step_is_the_last(tmp_path):
    old = Sources.from_dict({name: np.ones((2, 50)) / 4 for name in "ac"}, 8000)
    seen = set()
    for after in range(50):
        folder = tmp_path / str(after)
        save_sources(old, folder, format="wav")
        status = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), str(after), "flac"], check=False
        ).returncode
        left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        signs = {float(np.sign(load(path)[0][0, 0])) for path in folder.glob("[!.]*.[wf]*")}
        assert len(signs) <= 1, (after, left)
        if "provenance.json" in left:
            named = set(json.loads((folder / "provenance.json").read_text())["files"].values())
            assert named == left - {"provenance.json"}, after
        seen.add(frozenset(left))
        # Whoever comes next finds no trace of it.
        save_sources(old, folder, format="aiff")
        assert {path.name for path in folder.iterdir()} == {"a.aiff", "c.aiff", "provenance.json"}, after
        if status == 0:
            break
    assert status == 0
    # All of the old, parts of the old, nothing, parts of the new, all of the new.
    assert len(seen) >= 5


def test_an_error_while_names_are_given_leaves_no_part(tmp_path, monkeypatch):
    original = _replacing.Replacement.publish

    def publish(self):
        if self.target.name == "b.flac":
            raise OSError(5, "Input/output error")
        original(self)

    save_sources(sources_of(["a", "b"]), tmp_path, format="wav")
    monkeypatch.setattr(_replacing.Replacement, "publish", publish)
    with pytest.raises(OSError, match="Input/output"):
        save_sources(sources_of(["a", "b"]), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", ["record", "journal"])
def test_no_room_for_a_few_bytes_leaves_the_earlier_set(tmp_path, monkeypatch, at):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    save_sources(sources_of(["a", "b"]), tmp_path, format="wav")
    before = contents(tmp_path)
    if at == "record":
        monkeypatch.setattr(_replacing.Path, "write_text", full)
    else:
        monkeypatch.setattr(_sets.os, "ftruncate", full)
    with pytest.raises(OSError, match="No space"):
        save_sources(sources_of(["a", "b"]), tmp_path)
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_what_somebody_else_is_replacing_is_left_to_them(tmp_path):
    layout = _sets.Layout(tmp_path)
    save_sources(sources_of(["a", "b"]), tmp_path)
    before = contents(tmp_path)
    journal = tmp_path / ".dspsep-provenance.json.unfinished"
    with _replacing.holding(journal) as descriptor:
        os.write(descriptor, b'{"files": {"0": "a.flac"}}')
        _sets.finish_removal(layout)
        assert (tmp_path / "a.flac").exists()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "files", [["../x.wav"], ["/etc/x.wav"], ["sub/x.wav"], ["notes.txt"], [3], ["a\0.wav"]]
)
def test_a_record_that_was_tampered_with_reaches_nothing_else(tmp_path, files):
    folder = tmp_path / "stems"
    (folder / "sub").mkdir(parents=True)
    for path in ("x.wav", "stems/sub/x.wav", "stems/notes.txt"):
        (tmp_path / path).write_bytes(b"mine")
    for name in ("provenance.json", ".dspsep-provenance.json.unfinished"):
        (folder / name).write_text(json.dumps({"files": dict(enumerate(files))}))
    save_sources(sources_of(["a"]), folder)
    assert [
        (tmp_path / path).read_bytes() for path in ("x.wav", "stems/sub/x.wav", "stems/notes.txt")
    ] == 3 * [b"mine"]


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
def test_a_record_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "provenance.json")
    save_sources(sources_of(["a"]), tmp_path)
    assert (tmp_path / "provenance.json").is_file()
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (tmp_path / ".dspsep-provenance.json.unfinished").symlink_to(precious)
    with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
        save_sources(sources_of(["a"]), tmp_path)
    assert precious.read_text() == "mine"


def test_a_folder_in_the_way_is_refused_and_nothing_lost(tmp_path):
    save_sources(sources_of(["a", "b"]), tmp_path)
    before = contents(tmp_path)
    (tmp_path / "c.flac").mkdir()
    with pytest.raises(InputError, match=r"without a folder named 'c\.flac'"):
        save_sources(sources_of(["a", "c"]), tmp_path)
    (tmp_path / "c.flac").rmdir()
    assert contents(tmp_path) == before


def test_mono_sources(tmp_path):
    sources = Sources.from_dict({"a": np.ones(10), "b": -np.ones(10)}, 8000)
    assert load(save_sources(sources, tmp_path)["b"])[0].tolist() == [[-1.0] * 10]


@pytest.mark.core
@pytest.mark.parametrize("format", ["flac", "aiff", "ogg", "mp3"])
def test_one_gain_for_all_where_one_would_clip(tmp_path, format):
    sources = sources_of(["a", "b", "c"], peak=3.7)
    with pytest.warns(DspsepWarning, match=r"\[W_GAIN\] .+ multiplied by 0\.2703"):
        paths = save_sources(sources, tmp_path, format=format)
    gain = json.loads((tmp_path / "provenance.json").read_text())["gain"]
    assert gain == pytest.approx((1 - 2**-15) / 3.7, rel=1e-6)
    for name, path in paths.items():
        written = load(path)[0]
        measured = np.vdot(written, sources[name]) / np.vdot(sources[name], sources[name])
        assert measured == pytest.approx(gain, rel=1e-5 if format in ("flac", "aiff") else 0.02)
    if format == "flac":
        assert np.abs(load(paths["a"])[0]).max() == pytest.approx(1 - 2**-15, abs=2**-22)
        total = sum(load(path)[0] for path in paths.values())
        np.testing.assert_allclose(total / gain, sources.mixture(), atol=3 * 3.7 * 2**-22)


def test_gains_multiply(tmp_path):
    plain = sources_of(["a"], peak=2.0)
    sources = Sources(plain.audio, 44100, None, Provenance(version="1", settings="", gain=0.5))
    with pytest.warns(DspsepWarning, match="W_GAIN"):
        save_sources(sources, tmp_path, format="flac")
    gain = json.loads((tmp_path / "provenance.json").read_text())["gain"]
    assert gain == pytest.approx(0.25 * (1 - 2**-15), rel=1e-6)


def test_wav_keeps_what_is_beyond_full_scale(tmp_path):
    sources = sources_of(["a"], peak=3.7)
    np.testing.assert_array_equal(load(save_sources(sources, tmp_path, format="wav")["a"])[0], sources["a"])


def test_opus_says_once_that_it_resampled(tmp_path):
    with pytest.warns(DspsepWarning, match="W_RESAMPLED") as caught:
        paths = save_sources(sources_of(["a", "b"]), tmp_path, format="opus")
    assert len(caught) == 1
    assert json.loads((tmp_path / "provenance.json").read_text())["sample_rate"] == 48000
    assert load(paths["b"])[0].shape == (2, 9600)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_failed_set_leaves_the_earlier_one(tmp_path, monkeypatch):
    save_sources(sources_of(["a", "b"]), tmp_path)
    before = contents(tmp_path)
    # The first source is written by then.
    monkeypatch.setattr(soundfile.SoundFile, "write", failing_write(after=1))
    with pytest.raises(DspsepError, match="could not be written"):
        save_sources(sources_of(["a", "b"], peak=0.25), tmp_path)
    assert contents(tmp_path) == before


def test_a_failed_set_leaves_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "write", failing_write(after=1))
    with pytest.raises(DspsepError, match="could not be written"):
        save_sources(sources_of(["a", "b"]), tmp_path / "new" / "folder")
    assert contents(tmp_path) == {}


def test_non_finite_sources_are_refused_before_any_is_written(tmp_path):
    bad = np.zeros(10)
    bad[3] = np.nan
    with pytest.raises(InputError, match=r"sources\['b'\] must be finite"):
        save_sources(Sources.from_dict({"a": np.zeros(10), "b": bad}, 8000), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("sources", "folder", "format", "name"),
    [
        ({"a": np.zeros(9)}, "x", "wav", "sources"),
        (sources_of(["a"]), "x", "m4a", "format"),
        (sources_of(["a"]), "x", ".wav", "format"),
        (sources_of(["a"]), "file", "wav", "folder"),
        (sources_of(["a"]), "file/x", "wav", "folder"),
        (sources_of(["a"], rate=96000), "x", "mp3", "sample_rate"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, sources, folder, format, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        save_sources(sources, tmp_path / folder, format=format)
    assert caught.value.name == name


def test_a_second_set_leaves_no_stems_of_the_first(tmp_path):
    three = Sources.from_dict({name: np.full(800, 0.1) for name in ("one", "two", "rest")}, 8000)
    two = Sources.from_dict({name: np.full(800, 0.2) for name in ("one", "two")}, 8000)
    (tmp_path / "notes.txt").write_text("mine")
    save_sources(three, tmp_path)
    save_sources(two, tmp_path, format="flac")
    kept = {"one.flac", "two.flac", "provenance.json", "notes.txt"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_record_that_was_tampered_with_removes_nothing_elsewhere(tmp_path):
    victim = tmp_path / "victim.wav"
    victim.write_bytes(b"precious")
    folder = tmp_path / "stems"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    names = ["../victim.wav", str(victim), "notes.txt", "provenance.json"]
    (folder / "provenance.json").write_text(json.dumps({"files": dict(enumerate(names))}))
    save_sources(Sources.from_dict({"one": np.full(800, 0.1)}, 8000), folder)
    assert victim.read_bytes() == b"precious"
    assert (folder / "notes.txt").read_text() == "mine"
