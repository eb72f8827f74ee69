"""Files of unknown origin on the command line."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import soundfile

from dspsep import separate_file
from dspsep.cli import main
from dspsep.data import _isolated, _reading
from tests.batch.test_resume import contents, make

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("resource") is None, reason="no limits for processes there"
)


@pytest.fixture
def music(tmp_path):
    for i, name in enumerate(("a.wav", "b.flac", "c.ogg", "d.mp3")):
        make(tmp_path / "music" / name, i)
    (tmp_path / "music" / "bad.flac").write_bytes((tmp_path / "music" / "b.flac").read_bytes()[:100])
    (tmp_path / "music" / "no.mp3").write_bytes(b"ID3" + bytes(1000))
    return tmp_path / "music"


@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_isolated_is_the_same(music, tmp_path, capsys, n_jobs):
    said = []
    for out, options in (("plain", []), ("isolated", ["--isolate", "-j", n_jobs])):
        assert main([str(music), "-p", "n_fft=256", *options, "-o", str(tmp_path / out)]) == 1
        said.append(sorted(capsys.readouterr().err.splitlines()))
    assert said[0] == said[1]
    plain, isolated = (contents(tmp_path / name / "hpss") for name in ("plain", "isolated"))
    assert len(plain) == 4 * 3 + 1
    assert {path: data for path, data in plain.items() if path.suffix == ".flac"} == {
        path: data for path, data in isolated.items() if path.suffix == ".flac"
    }
    # How a file was decoded is no setting of the sound: nothing is done again for it.
    assert main([str(music), "-p", "n_fft=256", "-q", "-o", str(tmp_path / "isolated")]) == 1
    assert contents(tmp_path / "isolated" / "hpss") == isolated


@pytest.mark.parametrize("needs_all", [False, True])
def test_this_process_decodes_nothing(tmp_path, monkeypatch, needs_all):
    def refuse(path):
        raise AssertionError("it was opened here")

    path = tmp_path / "song.wav"
    samples = np.random.default_rng(0).standard_normal((4000, 2)) * (2.0**41 if needs_all else 0.1)
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    expected = separate_file(path, tmp_path / "a", format="wav")
    monkeypatch.setattr(_reading, "open_audio", refuse)
    saved = separate_file(path, tmp_path / "b", format="wav", isolate=True)
    assert saved.in_blocks == expected.in_blocks == (not needs_all)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_decoder_that_crashes_is_an_error_and_the_rest_go_on(music, tmp_path, monkeypatch, capsys):
    original = _isolated._command
    crash = (
        "import os, sys; from dspsep.data import _decoder_child as child, _reading;"
        "opened = _reading.open_audio;"
        "_reading.open_audio = lambda path, stream=0:"
        " os.kill(os.getpid(), 11) if path.name == 'b.flac' else opened(path);"
        "child.main()"
    )
    monkeypatch.setattr(_isolated, "_command", lambda: [*original()[:2], "-c", crash])
    assert main([str(music), "-p", "n_fft=256", "--isolate", "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert (
        "b.flac', at which the decoder crashed (signal 11). The file is damaged, or made to do harm."
        in said.err
    )
    assert "3 of 6 failed" in said.err
    assert said.out.count("harmonic, percussive") == 3


def test_where_there_are_no_limits_it_is_refused_before_any_work(music, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_isolated, "limited", lambda: False)
    assert main([str(music), "--isolate", "-o", str(tmp_path / "out")]) == 2
    assert "--isolate must be left out on this system" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
