"""Folders, stored pipelines and two stems on the command line."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile

from dspsep import HPSS, STFT, Regroup
from dspsep.cli import main
from dspsep.cli._inputs import tracks


@pytest.fixture
def music(tmp_path):
    """A folder with audio at several depths, and what is none."""
    folder = tmp_path / "music"
    rng = np.random.default_rng(0)
    for name in ("b.wav", "A.FLAC", "disc 1/b.wav", "disc 1/deep/c.ogg", ".hidden/d.wav", "disc 1/.e.wav"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal((4000, 2)), 8000, format=path.suffix[1:].upper())
    (folder / "cover.jpg").write_bytes(b"\xff\xd8")
    (folder / "songs.m3u").write_text("b.wav\n")
    return folder


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.core
def test_a_folder_stands_for_the_audio_in_it_and_below(music):
    found = list(tracks([str(music)]).values())
    assert [track.file for track in found] == [
        str(music / name) for name in ("A.FLAC", "b.wav", "disc 1/b.wav", "disc 1/deep/c.ogg")
    ]
    assert [track.name for track in found] == ["A", "b", "disc 1-b", "disc 1-deep-c"]
    assert not any(track.problem for track in found)


@pytest.mark.core
def test_names_of_tracks_do_not_meet(music):
    again = tracks([str(music / "b.wav"), str(music), str(music / "b.wav"), "B.mp3"]).values()
    names = [track.name.casefold() for track in again]
    assert len(set(names)) == len(names) == 5  # a file that is given twice is meant once


@pytest.mark.core
def test_links_to_folders_are_not_followed(music, tmp_path):
    try:
        (music / "loop").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    assert len(tracks([str(music)])) == 4


def test_folders_on_the_command_line(music, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    assert main([str(music), str(empty), "-p", "n_fft=256", "-o", str(out)]) == 1
    said = capsys.readouterr()
    assert "there is no audio in this folder" in said.err
    assert "1 of 5 failed" in said.err
    stems = {
        f"{track}/{file}"
        for track in ("A", "b", "disc 1-b", "disc 1-deep-c")
        for file in ("harmonic.flac", "percussive.flac", "provenance.json")
    }
    assert set(written(out / "hpss")) == stems | {"manifest.jsonl"}


def test_a_stored_pipeline(music, tmp_path, capsys):
    steps = HPSS(stft=STFT(512)) >> {"percussive": HPSS(stft=STFT(128))} >> Regroup(band=["harmonic"])
    stored = tmp_path / "my drums.json"
    stored.write_text(steps.to_json())
    out = tmp_path / "out"
    assert main([str(music / "b.wav"), "--pipeline", str(stored), "-o", str(out), "--quiet"]) == 0
    names = ["band.flac", "percussive-harmonic.flac", "percussive-percussive.flac", "provenance.json"]
    assert written(out / "my drums" / "b") == names
    provenance = json.loads((out / "my drums" / "b" / "provenance.json").read_text())
    assert provenance["settings"] == repr(steps)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (None, [], "--pipeline must be a file with the JSON of a separator; got"),
        ("{}", [], "type must be one of"),
        (b"\xff\xfe\x00", [], "which is not text"),
        (Regroup(a=["b"]).to_json(), [], "--pipeline must be the JSON of a separator; got that of a Regroup"),
        (HPSS().to_json(), ["-m", "hpss"], "--pipeline must be given without --method and --param"),
        (HPSS().to_json(), ["-p", "margin=2"], "--pipeline must be given without --method and --param"),
    ],
)
def test_what_is_no_pipeline_is_refused_before_any_work(text, more, said, tmp_path, capsys):
    stored = tmp_path / "p.json"
    if text is not None:
        stored.write_bytes(text if isinstance(text, bytes) else text.encode())
    out = tmp_path / "out"
    assert main(["x.wav", "--pipeline", str(stored), "-o", str(out), *more]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_two_stems_sum_to_the_file(music, tmp_path):
    out = tmp_path / "out"
    arguments = [str(music / "b.wav"), "-p", "margin=2", "-p", "n_fft=256", "--two-stems", "percussive"]
    assert main([*arguments, "-o", str(out), "-q"]) == 0
    folder = out / "hpss" / "b"
    assert written(folder) == ["no_percussive.flac", "percussive.flac", "provenance.json"]
    mixture = soundfile.read(music / "b.wav")[0]
    total = sum(soundfile.read(folder / f"{name}.flac")[0] for name in ("percussive", "no_percussive"))
    np.testing.assert_allclose(total, mixture, atol=1e-6)
    alone = HPSS(stft=STFT(256), margin=2.0).separate(mixture.T.astype("float32"), 8000)["percussive"]
    np.testing.assert_allclose(soundfile.read(folder / "percussive.flac")[0].T, alone, atol=1e-6)


def test_two_stems_of_what_is_not_there(capsys, tmp_path):
    assert main(["x.wav", "--two-stems", "vocals", "-o", str(tmp_path / "out")]) == 2
    assert "--two-stems must be one of harmonic, percussive; got 'vocals'" in capsys.readouterr().err


def test_ten_thousand_names_take_no_time_to_speak_of(monkeypatch):
    from dspsep.data import _names

    folded = []
    original = _names._key
    monkeypatch.setattr(_names, "_key", lambda name: (folded.append(name), original(name))[1])
    found = tracks([f"{i}/song.wav" for i in range(1000)])
    assert len({track.name for track in found.values()}) == 1000
    assert len(folded) < 20_000  # not every name for every other


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(music, tmp_path, capsys):
    (music / "disc 1").chmod(0)
    try:
        assert (
            main([str(music), str(music / "disc 1" / "b.wav"), "-p", "n_fft=256", "-o", str(tmp_path / "o")])
            == 1
        )
    finally:
        (music / "disc 1").chmod(0o700)
    said = capsys.readouterr()
    assert "disc 1: this folder cannot be read: Permission denied" in said.err
    assert "b.wav: path must be a file that can be opened" in said.err


def test_folders_that_cannot_be_listed_are_told(music, tmp_path, monkeypatch, capsys):
    original = os.scandir

    def scandir(path):
        if str(path).endswith("disc 1"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main([str(music), "-p", "n_fft=256", "-o", str(tmp_path / "o")]) == 1
    said = capsys.readouterr()
    assert "disc 1: this folder cannot be read: Permission denied" in said.err
    assert said.out.count("harmonic, percussive") == 2
