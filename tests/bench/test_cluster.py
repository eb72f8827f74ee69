"""A cluster: records are those of a serial run, whoever is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import dspsep
from dspsep.bench import _cluster
from tests.bench.songs import records_in, songs

ROOT = Path(__file__).parents[2]
METHODS = ["HPSS", "REPETSim"]
BASELINES = ["mixture", "IRM", "MWF"]
N_TRACKS, N_RECORDS = 10, 50
CODE = f"""
import json, sys, dspsep
tracks = [dspsep.data.Track.from_dict(plain) for plain in json.loads(sys.argv[1])]
dspsep.run_benchmark({METHODS}, tracks, sys.argv[2], protocol="mdx", seed=3, baselines={BASELINES},
                     cluster=sys.argv[3] or None)
"""

needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs dspsep[dask]")
pytestmark = [pytest.mark.filterwarnings("default")]  # theirs


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """Return tracks, the folder that they are in, and the records of a serial run."""
    folder = tmp_path_factory.mktemp("songs")
    tracks = songs(folder, N_TRACKS)
    results = tmp_path_factory.mktemp("serial")
    subprocess.run(
        [sys.executable, "-c", CODE, told(tracks), str(results), ""], env=environment(), check=True
    )
    return tracks, folder, records_in(results)


def told(tracks):
    return json.dumps([track.to_dict() for track in tracks])


def environment():
    # Without numba a process starts sooner, and there are many.
    return {
        **os.environ,
        "DSPSEP_KERNELS": "generic",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


@contextmanager
def process(*arguments, **options):
    """Give a process, which is ended in the end."""
    started = subprocess.Popen(arguments, env=environment(), **options)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def wait_for(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return found


def killed_halfway(command, folder, client):
    """Start a run; kill one of the three workers that do it, and then the run itself."""
    client.wait_for_workers(3, timeout=60)
    with process(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        wait_for(lambda: len(records_in(folder)) >= 3 or run.poll() is not None)
        victim = min(client.run(os.getpid).values())
        os.kill(victim, signal.SIGKILL)
        n = len(records_in(folder))
        wait_for(lambda: len(records_in(folder)) >= n + 5 or run.poll() is not None)
        assert run.poll() is None, "it was to be killed halfway"
        run.kill()
    assert 8 <= len(records_in(folder)) < N_RECORDS
    return victim


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Return the address of a scheduler that was started by hand, and a client; three workers have it."""
    import distributed

    folder = tmp_path_factory.mktemp("dask")
    meet = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    with (
        process(
            *dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(meet),
            stderr=subprocess.DEVNULL,
        ),
        process(
            *dask, "worker", "--nworkers", "3", "--nthreads", "1", "--no-dashboard", "--scheduler-file",
            str(meet), "--local-directory", str(folder), stderr=subprocess.DEVNULL,
        ),
    ):  # fmt: skip
        address = json.loads(wait_for(lambda: meet.exists() and meet.read_text()))["address"]
        with distributed.Client(address) as client:
            yield address, client


@needs_dask
@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_cluster_survives_a_worker_and_a_run_that_are_killed(tmp_path, serial, cluster):
    tracks, _, expected = serial
    address, client = cluster
    killed_halfway([sys.executable, "-c", CODE, told(tracks), str(tmp_path), address], tmp_path, client)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("records/*/*.json")}
    results = dspsep.run_benchmark(
        METHODS, tracks, tmp_path, protocol="mdx", seed=3, cluster=client, baselines=BASELINES
    )
    assert len(results.done) == N_RECORDS
    assert records_in(tmp_path) == expected
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert len(list(tmp_path.glob("times/*/*.json"))) == N_RECORDS


@needs_dask
@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_the_command_line_and_a_cluster(tmp_path, serial, cluster):
    _, folder, expected = serial
    address, client = cluster
    command = [
        sys.executable, "-m", "dspsep", "bench", "run", str(folder), "-o", str(tmp_path), "--methods",
        ",".join(METHODS), "--protocol", "mdx", "--seed", "3", "--baselines", ",".join(BASELINES),
        "--cluster", address,
    ]  # fmt: skip
    killed_halfway(command, tmp_path, client)
    again = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert "were there already" in again.stdout
    assert records_in(tmp_path) == expected


@needs_dask
def test_a_cluster_that_is_not_there_is_told(tmp_path, serial, monkeypatch):
    tracks, _, _ = serial
    monkeypatch.setattr(_cluster, "_SECONDS", 0.3)
    with pytest.raises(dspsep.DspsepError, match=r"No scheduler answers at 'tcp://127.0.0.1:1'"):
        dspsep.run_benchmark("HPSS", tracks, tmp_path, cluster="tcp://127.0.0.1:1")


@needs_dask
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\nno such page, and nothing else"])
def test_who_speaks_another_language_is_no_scheduler(monkeypatch, said):
    monkeypatch.setattr(_cluster, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = []

        def take():
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])
                    taken[-1].sendall(said)

        threading.Thread(target=take, daemon=True).start()
        address = f"tcp://127.0.0.1:{port}"
        with (
            pytest.raises(dspsep.DspsepError, match=f"No scheduler answers at '{address}'"),
            _cluster.connected(address),
        ):
            pytest.fail("nobody was there")
        for connection in taken:
            connection.close()


def test_without_dask_the_extra_is_named(tmp_path, serial, monkeypatch):
    tracks, _, _ = serial
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(dspsep.InputError, match=r"dspsep\[dask\]"):
        dspsep.run_benchmark("HPSS", tracks, tmp_path, cluster="tcp://127.0.0.1:1")
