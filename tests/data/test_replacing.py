"""Temporary files: whose they are while they are written, and what happens to those of a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dspsep.data import _replacing
from dspsep.data._replacing import Replacement, remove_litter, replacing

HOLD = """
import sys, time
from pathlib import Path
from dspsep.data._replacing import Replacement
held = Replacement(Path(sys.argv[1]))
print(held.temporary.name, flush=True)
time.sleep(60)
"""


def holding(target):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(target)], stdout=subprocess.PIPE, text=True)
    return child, target.parent / child.stdout.readline().strip()


@pytest.mark.core
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_a_killed_process_left_is_removed_and_what_a_live_one_holds_is_not(tmp_path):
    child, temporary = holding(tmp_path / "a.wav")
    try:
        remove_litter(tmp_path)
        assert temporary.exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
        remove_litter(tmp_path)
        assert not temporary.exists()
    finally:
        child.kill()
        child.communicate()


def test_ones_own_is_kept(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        remove_litter(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 1


def open_descriptors():
    table = Path("/proc/self/fd")
    return len(list(table.iterdir())) if table.is_dir() else None


def test_descriptors_are_given_back(tmp_path):
    before = open_descriptors()
    for _ in range(3):
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
        Replacement(tmp_path / "b").discard()
        with pytest.raises(OSError):
            Replacement(tmp_path / "missing" / "b")
    remove_litter(tmp_path)
    assert open_descriptors() == before


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
def test_a_file_that_was_taken_for_litter_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    original = _replacing._locked
    taken = []

    def locked(descriptor, *, wait):
        if not taken:
            (path,) = tmp_path.iterdir()
            path.unlink()
            taken.append(path)
        return original(descriptor, wait=wait)

    monkeypatch.setattr(_replacing, "_locked", locked)
    replacement = Replacement(tmp_path / "a")
    assert taken[0] != replacement.temporary
    replacement.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
@pytest.mark.parametrize(("age", "left"), [(0, 1), (3 * 86400, 0)])
def test_without_locks_only_age_tells(tmp_path, monkeypatch, age, left):
    path = tmp_path / ".dspsep-x.part"
    path.touch()
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    monkeypatch.setattr(_replacing, "_locked", lambda descriptor, wait: None)
    remove_litter(tmp_path)
    assert len(list(tmp_path.iterdir())) == left


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_nothing_else_is_touched(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / ".dspsep-link.part").symlink_to(outside)
    (folder / ".dspsep-folder.part").mkdir()
    os.mkfifo(folder / ".dspsep-pipe.part")
    for name in (".dspsep-lock", "x.part", "dspsep-x.part", ".dspsep-x.wav"):
        (folder / name).touch()
    before = sorted(folder.iterdir())
    remove_litter(folder)
    remove_litter(tmp_path / "missing")
    assert sorted(folder.iterdir()) == before
    assert outside.read_text() == "precious"
