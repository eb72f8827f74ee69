"""Child processes of every kind, made by parents that have already separated: same bytes, and no waiting.

Each case runs in an interpreter of its own. If it takes too long, it and its children are told to print the
stacks of their threads, and to end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60

#: What parent and children do. They import it under its name, whichever way they come to be.
WORK = """
    import faulthandler
    import hashlib
    import os
    import threading
    import warnings
    from pathlib import Path

    import numpy as np

    import dspsep
    from dspsep import HPSS, STFT

    faulthandler.enable()  # to print the stacks of all threads when the test has waited long enough

    SEPARATORS = [
        HPSS(stft=STFT(256)),  # fused
        HPSS(stft=STFT(240), margin=2.0),  # through spectrogram and masks
        HPSS(stft=STFT(256)) >> {"percussive": HPSS(stft=STFT(64), margin=1.5)},
    ]


    def work(task):
        \"\"\"Return a digest of what each separator gives, and of the files of a separated file.\"\"\"
        song, seed = task
        dspsep.set_num_threads(2)
        mixture = np.random.default_rng(seed).standard_normal((2, 20_000 + seed)).astype("float32")
        digest = hashlib.sha256()
        for separator in SEPARATORS:
            for name, source in separator.separate(mixture, 8000).items():
                digest.update(name.encode() + source.tobytes())
        folder = Path(song).parent / f"stems-{os.getpid()}-{threading.get_ident()}-{seed}"
        for format in ("wav", "flac"):
            saved = dspsep.separate_file(song, folder, SEPARATORS[0], format=format)
            for path in saved.paths.values():
                digest.update(path.read_bytes())
        return digest.hexdigest()
"""

#: What each parent does: it has used the kernels before, and may be using them meanwhile.
PARENT = """
    import contextlib, multiprocessing, sys
    from processes_work import *

    @contextlib.contextmanager
    def busy(n_threads):
        \"\"\"Separate in threads, over and over, while the block runs.\"\"\"
        stop, problems = threading.Event(), []
        def separate(number):
            try:
                expected = work((SONG, 100 + number))
                while not stop.is_set():
                    assert work((SONG, 100 + number)) == expected
            except BaseException as error:
                problems.append(error)
        threads = [threading.Thread(target=separate, args=(number,)) for number in range(n_threads)]
        [thread.start() for thread in threads]
        try:
            yield
        finally:
            stop.set()
            [thread.join() for thread in threads]
        assert not problems, problems

    def pool(method):
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(work, TASKS, chunksize=1)

    def executor(method):
        from concurrent.futures import ProcessPoolExecutor
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return list(pool.map(work, TASKS))

    def loky(_):
        import joblib
        with joblib.parallel_config("loky", n_jobs=2):
            return joblib.Parallel()(joblib.delayed(work)(task) for task in TASKS)

    if __name__ == "__main__":
        _, method, kind, n_threads, SONG = sys.argv
        TASKS = [(SONG, seed) for seed in range(4)]
        expected = [work(task) for task in TASKS]
        assert any(thread.name.startswith("dspsep") for thread in threading.enumerate())
        with busy(int(n_threads)), warnings.catch_warnings():
            # Python 3.12 and later warn of every fork of a process with threads: pools are threads.
            warnings.filterwarnings("ignore", "This process .+ is multi-threaded", DeprecationWarning)
            got = globals()[kind](method)
        assert got == expected, (got, expected)
"""

CASES = [
    (method, kind) for kind in ("pool", "executor") for method in multiprocessing.get_all_start_methods()
]
CASES.append(("loky", "loky"))


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    samples = 0.1 * np.random.default_rng(0).standard_normal((24_000, 2))
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    return path


def run(folder, program, *arguments, seconds=SECONDS, **environment):
    """Run a program and return its exit status and what it said: its stacks, if it took too long."""
    (folder / "program.py").write_text(textwrap.dedent(program))
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "program.py", *map(str, arguments)],
            cwd=folder, env=environment_of(folder) | environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = None
            end(process, "SIGABRT")
            time.sleep(1)
        finally:
            end(process, "SIGKILL")
    return status, said.read_text()


def environment_of(folder):
    """Return an environment in which the module of all programs here can be imported."""
    (folder / "processes_work.py").write_text(textwrap.dedent(WORK))
    paths = [str(ROOT), str(folder), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def end(process, how):
    """End a process and, where that can be, its children, which may be waiting for ever."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, how))
    else:
        process.kill()
    process.wait()


@pytest.mark.parametrize("n_threads", [0, 4], ids=["idle", "busy"])
@pytest.mark.parametrize(("method", "kind"), CASES, ids=["-".join(case) for case in CASES])
def test_children_give_the_same_bytes(method, kind, n_threads, tmp_path, song):
    status, said = run(tmp_path, PARENT, method, kind, n_threads, song)
    assert status == 0, said
    assert said == ""


FORKS = """
    from processes_work import *
    from dspsep.kernels.simd._selection import selection

    started, stop = threading.Event(), threading.Event()

    def compile_on_and_on():
        for length in range(31, 127, 2):
            selection(length, "float32", 4)
            started.set()
            if stop.is_set():
                return

    thread = threading.Thread(target=compile_on_and_on)
    thread.start()
    started.wait()
    warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads
    try:
        for length in range(5, 17, 2):
            child = os.fork()
            if child == 0:
                selection(length, "float32", 4)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert thread.is_alive(), "nothing was compiled meanwhile"
    finally:
        stop.set()
        thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_is_forked_while_a_thread_compiles(tmp_path):
    pytest.importorskip("numba")
    cold = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "DSPSEP_KERNELS": "simd"}
    status, said = run(tmp_path, FORKS, seconds=30, **cold)
    assert status == 0, said


OPENINGS = """
    import sys

    from processes_work import *

    song, stop = sys.argv[1], threading.Event()

    def open_on_and_on():
        while not stop.is_set():
            dspsep.load(song, duration=0.01)

    # A fork while a module is being imported is beyond repair: Python's own locks are held.
    dspsep.save("copy.flac", *dspsep.load(song))
    threads = [threading.Thread(target=open_on_and_on) for _ in range(4)]
    [thread.start() for thread in threads]
    warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads
    try:
        for number in range(20):
            child = os.fork()
            if child == 0:
                samples, rate = dspsep.load(song)
                dspsep.save(f"copy-{number}.flac", samples, rate)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        [thread.join() for thread in threads]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_children_that_are_forked_while_threads_open_files(tmp_path, song):
    status, said = run(tmp_path, OPENINGS, song, seconds=30)
    assert status == 0, said
    assert len(list(tmp_path.glob("copy-*.flac"))) == 20


FIRST_USE = """
    from processes_work import *
    from dspsep._warmup import _counts

    import sys

    mixture = np.random.default_rng(0).standard_normal((2, 4000)).astype("float32")
    print("ready", flush=True)
    sys.stdin.readline()
    digest = hashlib.sha256()
    for separator in (HPSS(stft=STFT(128)), HPSS(stft=STFT(120), margin=2.0)):
        for source in separator.separate(mixture, 8000).values():
            digest.update(source.tobytes())
    print(digest.hexdigest(), *_counts())
"""


def test_four_processes_fill_one_cache_at_once(tmp_path):
    pytest.importorskip("numba")
    cache = tmp_path / "cache"
    cold = four_at_once(tmp_path, cache)
    warm = four_at_once(tmp_path, cache)
    assert len({digest for digest, _, _ in cold + warm}) == 1
    assert sum(n_compiled for _, n_compiled, _ in cold) > 0
    assert [n_compiled for _, n_compiled, _ in warm] == [0] * 4
    assert all(n_loaded > 0 for _, _, n_loaded in warm)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".nbi", ".nbc"}


def four_at_once(folder, cache):
    """Return what four processes say that use the kernels for the first time at the same time."""
    environment = environment_of(folder) | {"NUMBA_CACHE_DIR": str(cache), "DSPSEP_KERNELS": "simd"}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(FIRST_USE)]
    with contextlib.ExitStack() as stack:
        processes = [
            subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            )
            for _ in range(4)
        ]  # fmt: skip
        for process in processes:
            stack.callback(end, process, "SIGKILL")
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=3 * SECONDS) for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, said
    words = [out.split() for out, _ in said]
    return [(digest, int(n_compiled), int(n_loaded)) for digest, n_compiled, n_loaded in words]
