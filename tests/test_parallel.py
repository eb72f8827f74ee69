"""The thread pool: one setting, everyone's limits honoured, and alive after forks, errors and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dspsep
from dspsep import HPSS, STFT, InputError, _parallel
from tests.test_stft import noise

ROOT = Path(__file__).resolve().parents[1]


def python(code, *, timeout=120, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def plain_settings(monkeypatch):
    """Start from the defaults and leave them."""
    for name in ("DSPSEP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    dspsep.set_num_threads(None)
    yield
    dspsep.set_num_threads(None)


@pytest.mark.core
def test_what_is_set_holds():
    dspsep.set_num_threads(3)
    assert dspsep.get_num_threads() == 3
    dspsep.set_num_threads(None)
    assert dspsep.get_num_threads() >= 1


@pytest.mark.core
@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, float("nan")])
def test_bad_settings_are_refused_and_change_nothing(bad):
    dspsep.set_num_threads(3)
    with pytest.raises(InputError, match=r"^n_threads must be an integer of at least 1"):
        dspsep.set_num_threads(bad)
    with pytest.raises(InputError, match=r"^n_threads must be"), dspsep.num_threads(bad):
        pass
    assert dspsep.get_num_threads() == 3


@pytest.mark.core
def test_a_block_restores_what_was_set_even_after_an_error():
    dspsep.set_num_threads(3)
    with dspsep.num_threads(2):
        with pytest.raises(ZeroDivisionError), dspsep.num_threads(5):
            _ = dspsep.get_num_threads() / 0
        assert dspsep.get_num_threads() == 2
        with dspsep.num_threads(5):
            assert dspsep.get_num_threads() == 5
        assert dspsep.get_num_threads() == 2
    assert dspsep.get_num_threads() == 3
    with dspsep.num_threads(None):
        assert dspsep.get_num_threads() >= 1
    assert dspsep.get_num_threads() == 3


@pytest.mark.core
def test_the_environment_sets_the_number_and_code_overrules_it(monkeypatch):
    monkeypatch.setenv("DSPSEP_NUM_THREADS", "7")
    assert dspsep.get_num_threads() == 7
    with dspsep.num_threads(2):
        assert dspsep.get_num_threads() == 2
    monkeypatch.setenv("DSPSEP_NUM_THREADS", "")
    assert dspsep.get_num_threads() >= 1


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5"])
def test_a_wrong_environment_is_refused(monkeypatch, bad):
    monkeypatch.setenv("DSPSEP_NUM_THREADS", bad)
    with pytest.raises(InputError, match=r"^DSPSEP_NUM_THREADS must be an integer of at least 1; got"):
        dspsep.get_num_threads()


def test_the_default_is_the_smallest_limit(monkeypatch):
    monkeypatch.setattr(_parallel, "_available_processors", lambda: 16)
    monkeypatch.setattr(_parallel, "_blas_limits", lambda: [8])
    assert dspsep.get_num_threads() == 8
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert dspsep.get_num_threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "nonsense")
    assert dspsep.get_num_threads() == 8
    monkeypatch.setattr(_parallel, "_blas_limits", list)
    assert dspsep.get_num_threads() == 16


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_processors_of_this_process_count_not_those_of_the_machine():
    done = python(
        """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import dspsep
        assert dspsep.get_num_threads() == 1
        """,
        OPENBLAS_NUM_THREADS="64",
    )
    assert done.returncode == 0, done.stderr


def test_threadpoolctl_limits_are_honoured(monkeypatch):
    import threadpoolctl

    controller = threadpoolctl.ThreadpoolController()
    if not any(library["user_api"] == "blas" for library in controller.info()):
        pytest.skip("numpy was built without a BLAS that threadpoolctl knows")
    monkeypatch.setattr(_parallel, "_available_processors", lambda: 64)
    for limit in (2, 1):
        with threadpoolctl.threadpool_limits(limit, user_api="blas"):
            assert dspsep.get_num_threads() == limit


def test_joblib_workers_take_their_share():
    done = python(
        """
        import os
        import joblib
        def threads():
            import dspsep, dspsep._parallel
            dspsep._parallel._available_processors = lambda: 64
            dspsep._parallel._blas_limits = list
            return dspsep.get_num_threads()
        if __name__ == "__main__":
            for share in (1, 3):
                with joblib.parallel_config("loky", inner_max_num_threads=share):
                    found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads)() for _ in range(2))
                assert found == [share, share], found
        """,
        OPENBLAS_NUM_THREADS="64",
    )
    assert done.returncode == 0, done.stderr


# ---- running jobs


@pytest.mark.core
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_every_job_runs_once(n_threads):
    done = np.zeros(100, int)

    def job(i):
        done[i] += 1

    with dspsep.num_threads(n_threads):
        _parallel.run(job, ((i,) for i in range(100)))
        _parallel.run(job, [])
    assert (done == 1).all()


def test_jobs_run_on_as_many_threads_as_asked():
    barrier = threading.Barrier(3, timeout=10)
    with dspsep.num_threads(3):
        _parallel.run(barrier.wait, [()] * 3)  # breaks unless three are there at once


@pytest.mark.core
@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_in_a_job_arrives_and_the_pool_goes_on(n_threads):
    def fail(i):
        if i == 5:
            raise ArithmeticError("five")

    with dspsep.num_threads(n_threads):
        with pytest.raises(ArithmeticError, match=r"five"):
            _parallel.run(fail, [(i,) for i in range(9)])
        seen = []
        _parallel.run(seen.append, [(i,) for i in range(9)])
    assert sorted(seen) == list(range(9))


@pytest.mark.core
def test_jobs_may_run_jobs():
    done = python(
        """
        from dspsep import _parallel, set_num_threads
        set_num_threads(2)
        seen = []
        def outer(i):
            _parallel.run(lambda j: seen.append((i, j)), [(j,) for j in range(5)])
        _parallel.run(outer, [(i,) for i in range(8)])
        assert len(set(seen)) == 40, seen
        """,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_eight_python_threads_at_once_give_the_same_bytes():
    audio = noise(30_000, "float32", 2)
    separator = HPSS(stft=STFT(256), margin=1.5)
    expected = [source.tobytes() for source in separator.separate(audio, 16000).values()]
    with dspsep.num_threads(2), ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(separator.separate, audio, 16000) for _ in range(16)]
        for future in futures:
            assert [source.tobytes() for source in future.result().values()] == expected


def test_first_use_by_eight_threads_at_once():
    # Nothing is imported, compiled or cached yet: everything lazy happens eight times at once.
    done = python(
        """
        import threading
        import numpy as np
        barrier, outcomes = threading.Barrier(8), []
        audio = np.random.default_rng(0).standard_normal((2, 9000)).astype("float32")
        def work():
            barrier.wait()
            import dspsep
            sources = dspsep.HPSS(stft=dspsep.STFT(256)).separate(audio, 8000)
            outcomes.append(sources["harmonic"].tobytes())
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(outcomes) == 8 and len(set(outcomes)) == 1
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_separates_after_the_pool_was_used():
    done = python(
        """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads
        import numpy as np, dspsep
        from dspsep import _parallel
        dspsep.set_num_threads(2)
        x = np.random.default_rng(0).standard_normal((2, 60000)).astype("float32")
        hpss = dspsep.HPSS(stft=dspsep.STFT(256))
        expected = hpss.separate(x, 8000)["harmonic"].tobytes()
        assert any(thread.name.startswith("dspsep") for thread in threading.enumerate())
        child = os.fork()
        if child == 0:
            same = hpss.separate(x, 8000)["harmonic"].tobytes() == expected
            os._exit(0 if same and _parallel._pools else 3)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        """,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_control_c_ends_a_long_separation_within_two_seconds(n_threads):
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import signal, numpy as np, dspsep
                signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell made it so
                dspsep.set_num_threads({n_threads})
                x = np.random.default_rng(0).standard_normal((2, 44100 * 90)).astype("float32")
                dspsep.HPSS(stft=dspsep.STFT(256)).separate(x[:, :44100], 44100)
                def say(progress):
                    print(progress.stage, flush=True)
                for _ in range(100):
                    dspsep.HPSS(harmonic_frames=401, percussive_bins=401).separate(x, 44100, callback=say)
            """),
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stdout:
            if line.startswith("harmonic"):  # the medians come next
                break
        time.sleep(0.3)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - began <= 2
        assert "KeyboardInterrupt" in errors
        assert process.returncode in (1, 130, -signal.SIGINT)
    finally:
        process.kill()
        process.wait()


@pytest.mark.core
def test_blocks_of_two_threads_may_overlap():
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen = {}

    def first():
        with dspsep.num_threads(1):
            first_in.set()
            second_in.wait(5)
            seen["first"] = dspsep.get_num_threads()
        first_out.set()

    def second():
        first_in.wait(5)
        with dspsep.num_threads(3):
            second_in.set()
            first_out.wait(5)
            seen["second"] = dspsep.get_num_threads()

    before = dspsep.get_num_threads()
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == {"first": 1, "second": 3}
    assert dspsep.get_num_threads() == before


@pytest.mark.core
@pytest.mark.parametrize("culprit", ["the caller", "a helper"])
def test_an_error_in_any_thread_is_raised_and_drops_what_has_not_begun(culprit):
    caller, both_at_work, started = threading.current_thread(), threading.Barrier(2), []

    def job(number):
        started.append(number)
        if number < 2:
            both_at_work.wait(timeout=30)
            if (threading.current_thread() is caller) == (culprit == "the caller"):
                raise ValueError(culprit)
        time.sleep(0.02)

    with _parallel.num_threads(2), pytest.raises(ValueError, match=culprit):
        _parallel.run(job, [(number,) for number in range(100)])
    time.sleep(0.1)
    assert len(started) < 20


def test_nobody_is_at_work_when_an_error_is_raised():
    begun, done = threading.Event(), []
    caller = threading.current_thread()

    def job(number):
        if threading.current_thread() is caller:
            begun.wait(10)
            raise ZeroDivisionError
        begun.set()
        time.sleep(0.2)
        done.append(number)

    with dspsep.num_threads(2), pytest.raises(ZeroDivisionError):
        _parallel.run(job, [(i,) for i in range(6)])
    assert len(done) == 1
    time.sleep(0.3)
    assert len(done) == 1


def test_threads_of_the_pool_do_not_keep_a_process():
    code = (
        "import threading, dspsep; from dspsep import _parallel\n"
        "with dspsep.num_threads(3): _parallel.run(lambda i: None, [(i,) for i in range(9)])\n"
        "print(all(t.daemon for t in threading.enumerate() if t.name.startswith('dspsep')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n"
