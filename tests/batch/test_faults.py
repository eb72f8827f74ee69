"""Whatever ends a batch, nothing is lost, nothing is half there, and the next run does the rest."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dspsep.batch._manifest import MANIFEST, Manifest
from tests.batch.test_resume import contents, make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

PROC = Path("/proc/self/task")
N_TRACKS = 40


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    for i in range(N_TRACKS):
        make(folder / f"{i:02}.wav", i, seconds=0.2 + 0.1 * (i % 7))
    return folder


def command(music, out, *more):
    # The settings are quick ones; what is slow is to bring each file to the disk, as it should be.
    return [
        sys.executable, "-m", "dspsep", "separate", str(music), "-p", "n_fft=256", "--json", "-o", str(out),
        *map(str, more),
    ]  # fmt: skip


def _hear():
    # Background jobs of a shell are started deaf to these, and would pass that on.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def start(*arguments):
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_hear,  # noqa: PLW1509 - no threads here
    )  # fmt: skip


def run(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def n_lines(out):
    try:
        return (out / "hpss" / MANIFEST).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_until(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it took too long"
        time.sleep(0.002)


def children_of(process):
    try:
        return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def alive(process):
    try:
        # The dead that nobody asked for yet are dead.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_working(process, out, n_done):
    wait_until(lambda: n_lines(out) >= n_done and len(children_of(process.pid)) == 2)


def wait_until_gone(processes):
    wait_until(lambda: not any(map(alive, processes)), seconds=5)


def sound(path):
    return soundfile.read(path, dtype="float32")[0]


def check_names(out, whole):
    """Every file with a final name is as in the whole batch: byte for byte, or Ogg in samples."""
    for path in (out / "hpss").rglob("*"):
        if path.is_dir() or path.name.startswith(".dspsep-") or path.name == MANIFEST:
            continue
        reference = whole / "hpss" / path.relative_to(out / "hpss")
        if path.suffix == ".ogg":
            np.testing.assert_array_equal(sound(path), sound(reference))
        else:
            assert path.read_bytes() == reference.read_bytes(), path


@pytest.fixture(scope="module")
def whole(music, tmp_path_factory):
    """Batches that nothing interrupted, one for each format."""
    made = {}

    def batch(form):
        if form not in made:
            made[form] = tmp_path_factory.mktemp(f"whole-{form}")
            status, lines, err = run(music, made[form], "-f", form)
            assert (status, len(lines), err) == (0, N_TRACKS, "")
        return made[form]

    return batch


@pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc to find the workers")
@pytest.mark.parametrize(("form", "n_kills", "seed"), [("flac", 8, 1), ("wav", 6, 2), ("ogg", 6, 3)])
def test_kill_9_at_any_moment(music, tmp_path, whole, form, n_kills, seed):
    rng = random.Random(seed)
    out = tmp_path / "out"
    for turn in range(n_kills):
        before = len(Manifest(out / "hpss").entries)
        child = start(music, out, "-f", form, "-j", "2")
        moment = before + rng.randrange((N_TRACKS - before) // (n_kills - turn) + 1)
        wait_until_working(child, out, moment)
        time.sleep(rng.random() * 0.05)
        workers = children_of(child.pid)
        # Workers whose parent is gone end by themselves; every other time they are killed, too.
        for pid in [child.pid, *(workers if turn % 2 else [])]:
            os.kill(pid, signal.SIGKILL)
        child.communicate()
        wait_until_gone(workers)
        check_names(out, whole(form))
    known = Manifest(out / "hpss").entries
    assert known
    status, lines, err = run(music, out, "-f", form, "-j", "2")
    assert (status, len(lines), err) == (0, N_TRACKS, "")
    kept = {line["file"] for line in lines if line["kept"]}
    assert kept == {str(music / f"{entry.track}.wav") for entry in known.values()}
    check_names(out, whole(form))
    # Nothing but what the whole batch has, and no temporary file.
    assert contents(out).keys() == contents(whole(form)).keys()


@pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc to find the workers")
def test_killed_workers_are_replaced(music, tmp_path, whole):
    out = tmp_path / "out"
    child = start(music, out, "-j", "2")
    for moment in (3, 10, 20):
        wait_until_working(child, out, moment)
        os.kill(children_of(child.pid)[0], signal.SIGKILL)
    stdout, stderr = child.communicate(timeout=60)
    assert (child.returncode, stderr) == (0, "")
    assert len(stdout.splitlines()) == N_TRACKS
    check_names(out, whole("flac"))
    assert contents(out).keys() == contents(whole("flac")).keys()


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 129, "the terminal is gone")],
)
def test_signals_end_it_promptly_and_tidily(music, tmp_path, whole, n_jobs, name, status, said):
    out = tmp_path / "out"
    child = start(music, out, "-j", n_jobs)
    wait_until(lambda: n_lines(out) >= 5)
    workers = children_of(child.pid)
    sent = time.monotonic()
    child.send_signal(getattr(signal, name))
    _, stderr = child.communicate(timeout=20)
    assert time.monotonic() - sent < 5  # a second, on a machine with nothing else to do
    assert child.returncode == status
    assert len(stderr.splitlines()) == 2, stderr
    first, second = stderr.splitlines()
    assert re.fullmatch(r"dspsep: \d+ of 40 are done; the same command goes on from there", first)
    assert second == f"dspsep: {said}"
    assert not any(map(alive, workers))
    entries = Manifest(out / "hpss").entries
    done = {path.parent.name for path in out.rglob("provenance.json")}
    # One in the making may be there to its last file when the end comes, and not be in the manifest yet.
    assert {entry.track for entry in entries.values()} <= done
    assert not list(out.rglob(".dspsep-*"))
    check_names(out, whole("flac"))
    _, lines, _ = run(music, out)
    assert sum(line["kept"] for line in lines) == len(entries)
    assert contents(out).keys() == contents(whole("flac")).keys()


@pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc to find the other")
def test_a_second_batch_of_the_same_settings_helps_and_of_others_is_refused(music, tmp_path, whole):
    out = tmp_path / "out"
    first = start(music, out, "-j", "2")
    wait_until(lambda: n_lines(out) >= 2)
    status, lines, err = run(music, out, "-p", "margin=2")
    assert (status, lines) == (2, [])
    assert f"the batch that process {first.pid} began is at work" in err
    second = start(music, out)
    for child in (first, second):
        stdout, stderr = child.communicate(timeout=120)
        assert (child.returncode, stderr) == (0, "")
        assert len(stdout.splitlines()) == N_TRACKS
    check_names(out, whole("flac"))
    assert contents(out).keys() == contents(whole("flac")).keys()


def test_batches_of_other_music_do_not_meet(tmp_path):
    for i, album in enumerate("ab"):
        for j in range(10):
            make(tmp_path / album / f"{j:02}.wav", 10 * i + j)
    batches = [start(tmp_path / album, tmp_path / "out", "-j", "2") for album in "ab"]
    found = []
    for batch in batches:
        stdout, stderr = batch.communicate(timeout=60)
        assert (batch.returncode, stderr) == (0, "")
        found += map(json.loads, stdout.splitlines())
    assert len({line["folder"] for line in found}) == 20
    for line in found:
        total = sum(sound(Path(path)) for path in line["files"].values())
        np.testing.assert_allclose(total, sound(Path(line["file"])), atol=1e-5)
    for album in "ab":
        _, lines, _ = run(tmp_path / album, tmp_path / "out")
        assert all(line["kept"] for line in lines)


# What happens on a disk of a few megabytes, in a mount namespace of its own.
SMALL_DISK = """
import json, subprocess, sys
from pathlib import Path
disk, options, *command = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
done = subprocess.run(command, capture_output=True, text=True)
left = sorted(str(path.relative_to(disk)) for path in Path(disk).rglob("*") if path.is_file())
print(json.dumps([done.returncode, done.stdout, done.stderr, left]))
"""

IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def on_small_disk(tmp_path, options, *command):
    try:
        subprocess.run([*IN_NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no mount namespaces for this account")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        [*IN_NAMESPACE, sys.executable, "-c", SMALL_DISK, str(disk), options, *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "mount" in done.stderr:
        pytest.skip("no mounts for this account")
    return json.loads(done.stdout)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_full_disk(music, tmp_path, n_jobs, form):
    whole_command = command(music, tmp_path / "disk", "-j", n_jobs, "-f", form)
    status, stdout, _, left = on_small_disk(tmp_path, "size=600k", *whole_command)
    lines = [json.loads(line) for line in stdout.splitlines()]
    failed = [line for line in lines if line["error"]]
    assert status == 1
    assert len(lines) == N_TRACKS
    assert 0 < len(failed) < N_TRACKS
    assert {line["error"] for line in failed if "disk full" not in line["error"]} == set()
    names = {f"hpss/{Path(line['file']).stem}/{file}" for line in lines if not line["error"]
             for file in (f"harmonic.{form}", f"percussive.{form}", "provenance.json")}  # fmt: skip
    assert set(left) == names | {f"hpss/{MANIFEST}"}


def test_a_disk_that_may_only_be_read(music, tmp_path):
    whole_command = command(music, tmp_path / "disk")
    status, stdout, stderr, left = on_small_disk(tmp_path, "size=600k,ro", *whole_command)
    assert (status, stdout, left) == (2, "", [])
    assert "--output must be a folder that can be written to" in stderr
    assert stderr.count("\n") == 1


MEMORY = """
import resource, sys
from dspsep.cli import main
def peak():
    return 1024 * int(next(x for x in open("/proc/self/status") if x.startswith("VmPeak")).split()[1])
small, *rest = sys.argv[1:]
assert main([small, *rest, "-q"]) == 0
limit = peak() + 200_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(["separate", "FILES", *rest]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see what is used")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_too_little_memory_is_told_and_the_rest_go_on(tmp_path, n_jobs):
    pytest.importorskip("resource")
    rng = np.random.default_rng(0)
    # Peaks that must be seen as a whole before anything is done: 128 MB, and some times that on the way.
    loud = (2.0**41 * rng.standard_normal((16000, 2))).astype("float32")
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 16000, 2, "FLOAT") as file:
        for _ in range(1000):
            file.write(loud)
    soundfile.write(tmp_path / "loud.wav", loud, 16000, subtype="FLOAT")
    for name in "ab":
        make(tmp_path / f"{name}.wav", 3)
    files = [str(tmp_path / f"{name}.wav") for name in ("a", "long", "b")]
    code = MEMORY.replace('"FILES"', ", ".join(map(repr, files)))
    arguments = ["-p", "n_fft=256", "-f", "wav", "-j", str(n_jobs), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "loud.wav"), *arguments],
        capture_output=True, text=True, check=False,
        # Every thread may set aside 64 MB of addresses for what it allocates.
        env={**os.environ, "DSPSEP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("long.wav") == 2, done.stderr  # at the beginning, and in the sentence
    assert "there is not enough memory for all of" in done.stderr
    assert "its samples alone take 128 MB" in done.stderr
    assert "1 of 3 failed" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out" / "hpss").iterdir()) == ["a", "b", "loud", MANIFEST]
