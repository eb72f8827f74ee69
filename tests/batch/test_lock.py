"""Batches of other settings stay out of a folder while one is at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dspsep.batch import _lock
from dspsep.batch._lock import FolderLock
from dspsep.errors import InputError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no shared locks there")

HOLD = """
import sys, time
from pathlib import Path
from dspsep.batch._lock import FolderLock
with FolderLock(Path(sys.argv[1]), sys.argv[2]):
    print("in", flush=True)
    sys.stdin.read()
"""


class Holder:
    def __init__(self, folder, settings):
        self.child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), settings],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.child.stdout.readline() == "in\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.communicate()


@pytest.mark.core
def test_others_are_refused_and_told_who_is_in(tmp_path):
    with Holder(tmp_path, "a") as holder:
        with pytest.raises(InputError) as caught, FolderLock(tmp_path, "b"):
            pass
        assert str(caught.value).startswith("--output must be a folder that no batch of other settings is")
        assert f"the batch that process {holder.child.pid} began is at work" in str(caught.value)
    with FolderLock(tmp_path, "b"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_same_settings_may_come_in_and_the_last_one_out_tidies(tmp_path):
    with Holder(tmp_path, "a"):
        with FolderLock(tmp_path, "a"):
            pass
        assert list(tmp_path.iterdir())
        with pytest.raises(InputError), FolderLock(tmp_path, "b"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path):
    with Holder(tmp_path, "a") as holder:
        holder.child.send_signal(signal.SIGKILL)
        holder.child.wait()
        with FolderLock(tmp_path, "b"):
            pass


def test_what_lies_in_the_lock_is_not_believed(tmp_path):
    for content in (b"", b"{", b"[]", b"\xff" * 2000, b"1"):
        (tmp_path / ".dspsep-lock").write_bytes(content)
        with FolderLock(tmp_path, "a"):
            pass


def test_without_locks_there_is_none(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(_lock.fcntl, "flock", unsupported)
    with FolderLock(tmp_path, "a"), FolderLock(tmp_path, "b"):
        pass
    monkeypatch.setattr(_lock, "fcntl", None)
    with FolderLock(tmp_path, "a"), FolderLock(tmp_path, "b"):
        pass


CROWD = """
import random, sys, time
from pathlib import Path
from dspsep.batch._lock import FolderLock
from dspsep.errors import InputError
folder, name = Path(sys.argv[1]), sys.argv[2]
rng = random.Random(name)
entered = 0
for turn in range(200):
    settings = rng.choice("ab")
    try:
        with FolderLock(folder, settings):
            mine = folder / f"{settings}-{name}-{turn}"
            mine.touch()
            time.sleep(rng.random() * 0.002)
            seen = [path.name for path in folder.iterdir() if path.name[0] in "ab"]
            assert all(other.startswith(settings) for other in seen), seen
            mine.unlink()
            entered += 1
    except InputError:
        time.sleep(rng.random() * 0.002)
print(entered)
"""


def test_a_crowd_at_the_door_is_never_mixed(tmp_path):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CROWD, str(tmp_path), name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in "123456"
    ]  # fmt: skip
    for child in children:
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert int(out) > 10
    assert not list(tmp_path.iterdir())


def test_names_are_claimed_from_one_another_and_forgotten_with_the_last(tmp_path):
    seen = []

    def choose(names):
        def choosing(claimed):
            seen.append(dict(claimed))
            return names

        return choosing

    with FolderLock(tmp_path, "a") as first, FolderLock(tmp_path, "a") as second:
        first.claimed(choose({"x.wav": "x"}))
        second.claimed(choose({"x.wav": "x", "y/x.wav": "x-1"}))
        first.claimed(choose({}))
    assert seen == [{}, {"x.wav": "x"}, {"x.wav": "x", "y/x.wav": "x-1"}]
    assert not list(tmp_path.iterdir())
    (tmp_path / ".dspsep-names").write_text('["z.wav", "z"]\nnonsense\n[1, 2]\n')
    with FolderLock(tmp_path, "a") as lock:
        lock.claimed(choose({}))
    assert seen[-1] == {}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shared", [False, True])
def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch, shared):
    original = _lock.fcntl.flock
    path = tmp_path / ".dspsep-lock"
    calls = []

    def flock(descriptor, operation):
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()  # the last one of others leaves between opening and locking
            if shared:
                raise BlockingIOError
        original(descriptor, operation)

    monkeypatch.setattr(_lock.fcntl, "flock", flock)
    with FolderLock(tmp_path, "a") as lock:
        assert path.stat().st_ino == os.fstat(lock._descriptor).st_ino
    assert not list(tmp_path.iterdir())
