"""What is done is not done twice, and what only looks done is done again."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from dspsep.batch import _manifest, _track
from dspsep.batch._manifest import MANIFEST
from dspsep.cli import main
from dspsep.data import _separation
from dspsep.data._layout import Layout, checked_template
from dspsep.errors import DspsepError

FAST = ("-p", "n_fft=256")


def make(path, seed, seconds=0.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.2 * np.random.default_rng(seed).standard_normal((int(seconds * 8000), 2))
    soundfile.write(path, samples, 8000)
    return path


@pytest.fixture
def music(tmp_path):
    for i, name in enumerate(("a.wav", "b.flac", "disc/a.wav")):
        make(tmp_path / "music" / name, i)
    return tmp_path / "music"


class Batch:
    """The command, run again and again on one output folder."""

    def __init__(self, out, capsys):
        self.out = out
        self._capsys = capsys

    def __call__(self, *arguments, status=0):
        arguments = [*map(str, arguments), *FAST, "--json", "-o", str(self.out)]
        assert main(arguments) == status
        lines = map(json.loads, self._capsys.readouterr().out.splitlines())
        return {
            os.path.relpath(line["folder"], self.out / "hpss"): line["kept"]
            for line in lines
            if line["folder"]
        }


@pytest.fixture
def batch(tmp_path, capsys):
    return Batch(tmp_path / "out", capsys)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.core
def test_the_second_time_nothing_is_written(music, batch):
    assert batch(music) == {"a": False, "b": False, "disc-a": False}
    before = contents(batch.out)
    assert batch(music) == {"a": True, "b": True, "disc-a": True}
    assert batch(music, "-j", "2") == {"a": True, "b": True, "disc-a": True}
    assert contents(batch.out) == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda stem: stem.unlink(),
        lambda stem: stem.write_bytes(stem.read_bytes()[:-1]),
        lambda stem: stem.write_bytes(bytes(1) + stem.read_bytes()[1:]),
        lambda stem: stem.with_name("provenance.json").unlink(),
        lambda stem: shutil.rmtree(stem.parent),
        lambda stem: (stem.parent.parent / "manifest.jsonl").write_text(
            (stem.parent.parent / "manifest.jsonl").read_text().replace('"track": "b"', '"track": "B"')
        ),
    ],
)
def test_what_was_harmed_is_made_again(music, batch, harm):
    batch(music)
    before = contents(batch.out / "hpss" / "b")
    harm(batch.out / "hpss" / "b" / "harmonic.flac")
    assert batch(music) == {"a": True, "b": False, "disc-a": True}
    assert contents(batch.out / "hpss" / "b") == before


@pytest.mark.core
@pytest.mark.parametrize(
    "change",
    [
        ["-p", "margin=2"],
        ["-f", "wav"],
        ["--offset", "0.1"],
        ["--duration", "0.2"],
        ["--two-stems", "harmonic"],
    ],
)
def test_other_settings_are_other_work(music, batch, change):
    batch(music / "a.wav")
    assert batch(music / "a.wav", *change) == {"a": False}
    assert batch(music / "a.wav", *change) == {"a": True}
    assert batch(music / "a.wav") == {"a": False}
    assert {path.name for path in (batch.out / "hpss" / "a").iterdir()} == {
        "harmonic.flac", "percussive.flac", "provenance.json"
    }  # fmt: skip


def test_another_version_is_other_work(music, batch, monkeypatch):
    batch(music / "a.wav")
    monkeypatch.setattr(_track, "__version__", "9.9")
    assert batch(music / "a.wav") == {"a": False}


def test_what_does_not_change_the_sound_is_no_other_work(music, batch):
    batch(music)
    for extra in (["-j", "3"], ["-q"]):
        assert set(batch(music, *extra).values()) == {True}


@pytest.mark.core
def test_other_content_is_other_work_whatever_its_date(music, batch):
    batch(music)
    status = (music / "a.wav").stat()
    make(music / "a.wav", 99)
    os.utime(music / "a.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert batch(music) == {"a": False, "b": True, "disc-a": True}
    os.utime(music / "a.wav")
    assert batch(music) == {"a": True, "b": True, "disc-a": True}


@pytest.mark.core
def test_a_track_keeps_its_name_whatever_else_is_there(music, batch):
    assert batch(music / "disc" / "a.wav") == {"a": False}
    first = contents(batch.out / "hpss" / "a")
    found = batch(music / "a.wav")
    (other,) = found
    assert other.startswith("a-")
    assert contents(batch.out / "hpss" / "a") == first
    assert batch(music / "a.wav", music / "disc" / "a.wav") == {other: True, "a": True}
    assert batch(music / "disc" / "a.wav", music / "a.wav") == {other: True, "a": True}


def test_music_that_was_moved_is_the_same_music(music, batch, tmp_path):
    batch(music)
    music.rename(tmp_path / "moved")
    assert set(batch(tmp_path / "moved").values()) == {True}
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    both = batch(tmp_path / "moved", tmp_path / "copy")
    assert len(both) == 6
    assert sum(both.values()) == 3


def test_music_and_stems_that_were_moved_together(music, batch, tmp_path):
    batch(music)
    (tmp_path / "elsewhere").mkdir()
    music.rename(tmp_path / "elsewhere" / "music")
    batch.out.rename(tmp_path / "elsewhere" / "out")
    batch.out = tmp_path / "elsewhere" / "out"
    assert set(batch(tmp_path / "elsewhere" / "music").values()) == {True}


def test_a_file_that_changes_while_it_is_read_gives_nothing(music, batch, monkeypatch, capsys):
    original = _separation._Job.in_blocks

    def in_blocks(self, excerpt):
        with excerpt.file.open("ab") as file:
            file.write(bytes(8000))
        return original(self, excerpt)

    batch(music / "a.wav")
    before = contents(batch.out)
    monkeypatch.setattr(_separation._Job, "in_blocks", in_blocks)
    assert main([str(music / "b.flac"), *FAST, "-o", str(batch.out)]) == 1
    assert "changed while it was read" in capsys.readouterr().err
    assert contents(batch.out) == before


def test_a_file_that_is_deleted_meanwhile_is_told_and_the_rest_go_on(music, batch, monkeypatch, capsys):
    original = _track._done

    def done(task, job, callback):
        (music / "b.flac").unlink(missing_ok=True)
        return original(task, job, callback)

    monkeypatch.setattr(_track, "_done", done)
    assert main([str(music), *FAST, "-o", str(batch.out)]) == 1
    said = capsys.readouterr()
    assert said.err.count("b.flac: path must be an existing file") == 1
    assert (batch.out / "hpss" / "a" / "provenance.json").is_file()
    assert (batch.out / "hpss" / "disc-a" / "provenance.json").is_file()


def test_a_defect_that_one_track_meets_is_not_the_end_of_the_others(music, batch, monkeypatch, capsys):
    original = _track._done

    def done(task, job, callback):
        if task.track == "b":
            raise ZeroDivisionError("division by zero")
        return original(task, job, callback)

    monkeypatch.setattr(_track, "_done", done)
    assert main([str(music), *FAST, "-o", str(batch.out)]) == 1
    err = capsys.readouterr().err
    assert "b.flac: ZeroDivisionError in test_resume.py, line" in err
    assert "please report it" in err
    assert (batch.out / "hpss" / "disc-a" / "provenance.json").is_file()


@pytest.mark.core
def test_an_input_is_never_replaced(music, tmp_path, capsys):
    inside = make(tmp_path / "out" / "hpss" / "a" / "harmonic.flac", 7)
    before = inside.read_bytes()
    assert main([str(inside), str(music / "a.wav"), *FAST, "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "to be separated itself. Give another folder with --output" in err
    assert inside.read_bytes() == before
    assert not (tmp_path / "out" / "hpss" / "a" / "provenance.json").exists()


@pytest.mark.parametrize(
    ("template", "meet"), [("{track}-{source}.{ext}", True), ("{source}/{track}.{ext}", False)]
)
def test_tracks_whose_files_would_meet(tmp_path, capsys, template, meet):
    one, other = make(tmp_path / "x.wav", 1), make(tmp_path / "x-harmonic.wav", 2)
    nested = HPSS_TWICE
    stored = tmp_path / "p.json"
    stored.write_text(nested)
    command = ["--filename", template, "--pipeline", str(stored), "-o", str(tmp_path / "out"), "-q"]
    assert main([str(one), str(other), *command]) == int(meet)
    err = capsys.readouterr().err
    assert ("which is also of the track" in err) == meet
    # Those of an earlier batch are known by the manifest.
    assert main([str(other), *command]) == int(meet)
    capsys.readouterr()


def _nested():
    from dspsep import HPSS, STFT

    return (HPSS(stft=STFT(256)) >> {"harmonic": HPSS(stft=STFT(128))}).to_json()


HPSS_TWICE = _nested()


def test_templates_on_the_command_line(music, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(music), *FAST, "--filename", "{stem}/{track}_{trackext}.{ext}", "-o", str(out)]) == 0
    names = {path.relative_to(out / "hpss").as_posix() for path in out.rglob("*") if path.is_file()}
    assert names == {
        "manifest.jsonl",
        *(file.format(track) for file in ("harmonic/{}.flac", "percussive/{}.flac", "provenance/{}.json")
          for track in ("a_wav", "b_flac", "disc-a_wav")),
    }  # fmt: skip
    record = json.loads((out / "hpss" / "provenance" / "a_wav.json").read_text())
    assert record["files"] == {"harmonic": "harmonic/a_wav.flac", "percussive": "percussive/a_wav.flac"}
    assert record["input"]["name"] == "a.wav"
    assert main(["x.wav", "--filename", "../{track}{source}.{ext}", "-o", str(tmp_path / "no")]) == 2
    assert "--filename must be" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_another_format_replaces_the_set_in_any_layout(music, tmp_path):
    command = [
        str(music / "a.wav"),
        *FAST,
        "--filename",
        "{source}/{track}.{ext}",
        "-o",
        str(tmp_path / "out"),
    ]
    assert main(command) == 0
    assert main([*command, "-f", "wav"]) == 0
    audio = {path.suffix for path in (tmp_path / "out").rglob("*") if path.suffix in (".wav", ".flac")}
    assert audio == {".wav"}


@pytest.mark.parametrize("out", [".", "separated", "deep/er"])
def test_results_below_the_music_are_not_taken_for_music(music, capsys, monkeypatch, out):
    monkeypatch.chdir(music)
    for _ in range(2):
        assert main([".", *FAST, "-o", out]) == 0
        assert capsys.readouterr().out.count("harmonic, percussive") == 3
    # Nor those of another method, nor of other folders; but whoever names them means them.
    for other in (out, "elsewhere", str(music.parent / "outside")):
        assert main([".", "-m", "two-stage-hpss", "--json", "-o", other]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
    assert main([f"{out}/hpss/b", *FAST, "--json", "-o", f"{music}/x"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def forged(folder, **changes):
    """Add a line to a manifest that is whole, and says what it should not."""
    path = folder / "hpss" / MANIFEST
    fields = json.loads(path.read_text().splitlines()[0])
    del fields["checksum"]
    fields |= changes
    text = json.dumps(fields)
    path.write_text(f'{text[:-1]}, "checksum": "{_manifest._checksum(text)}"}}\n')


@pytest.mark.core
def test_a_forged_manifest_leads_nowhere(music, batch, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("harmonic.flac", "harmonic.wav", "provenance.json"):
        (victim / name).write_bytes(b"mine")
    batch(music / "a.wav")
    for track in ("../../victim", str(victim), "<x>", "..", "a/../../../victim"):
        forged(batch.out, track=track, input_sha256="")
        batch(music / "a.wav")
        forged(batch.out, track=track, record=f"{track}/provenance.json")
        batch(music / "a.wav")
    forged(batch.out, files={"harmonic": "/dev/zero", "percussive": "a/percussive.flac"})
    assert batch(music / "a.wav") == {"a": False}
    assert {path.read_bytes() for path in victim.iterdir()} == {b"mine"}
    assert {path.name for path in (batch.out / "hpss").iterdir()} == {"a", MANIFEST}


def test_a_track_may_be_called_as_the_manifest_is(tmp_path, batch):
    make(tmp_path / "music" / f"{MANIFEST}.wav", 1)
    make(tmp_path / "music" / f"{MANIFEST.upper()}.flac", 2)
    found = batch(tmp_path / "music")
    assert len(found) == 2
    assert all(name.casefold().startswith(f"{MANIFEST}-") for name in found)
    assert set(batch(tmp_path / "music").values()) == {True}


@pytest.mark.core
def test_what_is_not_ours_is_not_replaced(music, batch, capsys):
    mine = batch.out / "hpss" / "a" / "harmonic.flac"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert main([str(music), *FAST, "-o", str(batch.out)]) == 1
    said = capsys.readouterr()
    assert "which is there and not of dspsep's making. Give another folder" in said.err
    assert mine.read_bytes() == b"mine"
    assert said.out.count("harmonic, percussive") == 2


def test_stems_of_an_earlier_run_are_not_removed_before_their_turn(music, batch, capsys):
    batch(music / "a.wav", "-f", "wav")
    stem = batch.out / "hpss" / "a" / "harmonic.wav"
    before = stem.read_bytes()
    assert main([str(music / "a.wav"), str(stem), *FAST, "-o", str(batch.out)]) == 1
    assert "to be separated itself" in capsys.readouterr().err
    assert stem.read_bytes() == before


def test_where_a_moved_track_was_another_one_can_be(music, batch):
    assert batch(music / "a.wav") == {"a": False}
    (music / "sub").mkdir()
    (music / "a.wav").rename(music / "sub" / "a.wav")
    assert batch(music / "sub" / "a.wav") == {"a": True}
    first = contents(batch.out / "hpss" / "a")
    make(music / "a.wav", 77)
    (name,) = batch(music / "a.wav")
    assert name != "a"
    assert contents(batch.out / "hpss" / "a") == first
    assert set(batch(music / "a.wav", music / "sub" / "a.wav").values()) == {True}


def test_templates_do_not_give_two_tracks_one_name(music, batch):
    shutil.copy(music / "a.wav", music / "disc" / "a.wav")
    batch(music / "a.wav")
    batch(music / "disc" / "a.wav", "--filename", "{source}/{track}.{ext}")
    make(music / "disc" / "a.wav", 78)
    for _ in range(2):
        found = batch(music / "a.wav", music / "disc" / "a.wav")
        assert len(found) == 2


def test_a_cut_track_says_so_every_time(music, batch, capsys):
    (music / "a.wav").write_bytes((music / "a.wav").read_bytes()[:-1000])
    for kept in (False, True):
        assert main([str(music / "a.wav"), *FAST, "--json", "-o", str(batch.out)]) == 0
        (line,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert line["kept"] is kept
        assert len(line["notices"]) == 1
        assert "[W_TRUNCATED]" in line["notices"][0]


def test_what_is_replaced_is_told(music, batch, capsys):
    batch(music)
    assert main([str(music), *FAST, "-p", "margin=2", "-o", str(batch.out)]) == 0
    out = capsys.readouterr().out
    assert out.count("  replaced\n") == 3
    assert "3 of 3 took the place of stems of other settings or content" in out


def test_the_table_has_what_failed_and_folders_of_stems(music, tmp_path, capsys):
    (music / "bad.mp3").write_bytes(b"no")
    arguments = [str(music), *FAST, "--filename", "{source}/{track}.{ext}", "-o", str(tmp_path / "out")]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "  failed\n" in out
    assert "provenance" not in out


def test_a_manifest_that_cannot_be_written_is_told_with_each_track(music, batch, monkeypatch, capsys):
    def full(self, entry):
        raise DspsepError("'manifest.jsonl' could not be written. Is the disk full?")

    monkeypatch.setattr(_manifest.Manifest, "append", full)
    assert main([str(music), *FAST, "-o", str(batch.out)]) == 1
    assert capsys.readouterr().err.count("could not be written") == 3


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
@pytest.mark.parametrize("name", [".dspsep-lock", ".dspsep-names", MANIFEST])
def test_links_in_the_output_folder_are_not_written_through(music, batch, tmp_path, name):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (batch.out / "hpss").mkdir(parents=True)
    (batch.out / "hpss" / name).symlink_to(precious)
    main([str(music / "a.wav"), *FAST, "-q", "-o", str(batch.out)])
    assert precious.read_text() == "mine"


def test_music_beside_results_is_music(music, capsys):
    # The folder of the output may be one of music; only the folder of the method is not.
    assert main([str(music), *FAST, "-q", "-o", str(music / "disc")]) == 0
    assert main([str(music), *FAST, "--json", "-o", str(music / "disc")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_tidying_reaches_all_folders_of_a_template(tmp_path):
    template = checked_template("{source}/{track}.{ext}")
    layout = Layout.of_track(tmp_path, template, "song", ".mp3")
    for path in (*layout.files(["a", "b"], ".wav").values(), layout.record):
        path.parent.mkdir()
        (path.parent / ".dspsep-0.part").touch()
    layout.tidy(["a", "b"])
    assert not list(tmp_path.iterdir())
