"""Files are written whole or not at all, whatever goes wrong, and under any lawful name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dspsep.data.files import load, save
from dspsep.errors import DspsepError
from tests.data.test_files import tone


def failing_write(after: int):
    """Return a `SoundFile.write` that fails after so many blocks, as a full disk makes it."""
    original = soundfile.SoundFile.write
    blocks = []

    def write(self, data):
        blocks.append(len(data))
        if len(blocks) > after:
            raise soundfile.LibsndfileError(2)
        original(self, data)

    return write


@pytest.mark.core
@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_failed_write_leaves_what_was(tmp_path, monkeypatch, extension, before):
    path = tmp_path / f"a.{extension}"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(soundfile.SoundFile, "write", failing_write(after=1))
    with pytest.raises(DspsepError, match="could not be written"):
        save(path, tone(2, 4.0), 44100)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(self, data):
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "a.wav", tone(), 44100)
    assert not list(tmp_path.iterdir())


def test_a_file_that_comes_back_shorter_is_not_kept(tmp_path, monkeypatch):
    original = soundfile.SoundFile.write
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda self, data: original(self, data[:-1]))
    with pytest.raises(DspsepError, match="came back with 44099 samples"):
        save(tmp_path / "a.wav", tone(), 44100)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(DspsepError, match="Is the disk full"):
            save(tmp_path / "a.wav", tone(2, 3.0), 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_size))
    original = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (done.append("named"), original(self, to))[1])
    path = save(tmp_path / "a.wav", tone(), 44100)
    assert done[:2] == [path.stat().st_size, "named"]


def test_a_link_is_replaced_not_followed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    link = tmp_path / "a.wav"
    try:
        link.symlink_to(outside)
    except OSError:
        pytest.skip("links need a right that this account lacks")
    save(link, tone(), 44100)
    assert outside.read_text() == "precious"
    assert not link.is_symlink()


def test_written_files_have_ordinary_rights(tmp_path):
    (tmp_path / "plain").touch()
    path = save(tmp_path / "a.wav", tone(), 44100)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    "name", ["naïve – 音.wav", "🎵.wav", "-rf.wav", "a b'c\".wav", "é" * 100 + ".wav", "a.b.WAV"]
)
def test_odd_but_lawful_names(tmp_path, name):
    path = save(tmp_path / name, tone(), 44100)
    np.testing.assert_array_equal(load(path)[0], tone())
