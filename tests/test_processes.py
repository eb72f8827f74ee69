"""Child processes of every kind, made by parents that have already separated: same bytes, and no waiting.

Each case runs in an interpreter of its own, which prints the stacks of its threads and ends if it takes too
long.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60

#: What parent and children do. They import it under its name, whichever way they come to be.
WORK = """
    import hashlib
    import os
    import threading
    import warnings
    from pathlib import Path

    import numpy as np

    import dspsep
    from dspsep import HPSS, STFT

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
    import contextlib, faulthandler, multiprocessing, sys, threading, warnings
    faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
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
        _, _, method, kind, n_threads, SONG = sys.argv
        TASKS = [(SONG, seed) for seed in range(4)]
        expected = [work(task) for task in TASKS]
        assert any(thread.name.startswith("dspsep") for thread in threading.enumerate())
        with busy(int(n_threads)), warnings.catch_warnings():
            # Python 3.12 and later warn of every fork of a process with threads: pools are threads.
            warnings.filterwarnings("ignore", "This process .+ is multi-threaded", DeprecationWarning)
            got = globals()[kind](method)
        assert got == expected, (got, expected)
"""

CASES = [(method, kind) for kind in ("pool", "executor") for method in multiprocessing.get_all_start_methods()]
CASES.append(("loky", "loky"))


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    samples = 0.1 * np.random.default_rng(0).standard_normal((24_000, 2))
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    return path


def run(folder, *arguments, seconds=SECONDS, **environment):
    """Run the parent and return its exit status and what it said; the stacks, if it takes too long."""
    (folder / "processes_work.py").write_text(textwrap.dedent(WORK))
    program = folder / "parent.py"
    program.write_text(textwrap.dedent(PARENT))
    paths = os.pathsep.join([str(ROOT), str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(seconds), *map(str, arguments)],
        cwd=folder, env={**os.environ, "PYTHONPATH": paths, **environment}, capture_output=True, text=True,
        timeout=seconds + 60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("n_threads", [0, 4], ids=["idle", "busy"])
@pytest.mark.parametrize(("method", "kind"), CASES, ids=["-".join(case) for case in CASES])
def test_children_give_the_same_bytes(method, kind, n_threads, tmp_path, song):
    status, said = run(tmp_path, method, kind, n_threads, song)
    assert status == 0, said
    assert said == ""
