"""Workers, and that one of them takes down its own track at most."""

from __future__ import annotations

import json
import os
import time

import pytest

from dspsep import HPSS, STFT
from dspsep.batch import _workers
from dspsep.batch._manifest import sha256_of
from dspsep.batch._track import Job, Outcome, Task, done
from dspsep.batch._workers import outcomes_of_workers
from dspsep.cli import main
from dspsep.data._layout import DEFAULT_TEMPLATE, checked_template
from tests.batch.test_resume import make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def job(tmp_path):
    (tmp_path / "out").mkdir()
    return Job(
        folder=tmp_path / "out", separator=HPSS(stft=STFT(256)), format="wav",
        template=checked_template(DEFAULT_TEMPLATE),
    )  # fmt: skip


def tasks(tmp_path, *names):
    return [Task(file=str(make(tmp_path / f"{name}.wav", len(name))), track=name) for name in names]


def run(job, todo, n_workers=2):
    begun, reports = [], []
    found = list(
        outcomes_of_workers(
            job, todo, n_workers, lambda task: begun.append(task.track),
            lambda task, now: reports.append((task.track, now.stage)),
        )
    )  # fmt: skip
    return {task.track: outcome for task, outcome in found}, begun, reports


def harm(monkeypatch, code):
    """Make workers run `code` before the track called "bad"."""
    patched = (
        "import os, signal\n"
        "from dspsep.batch import _track\n"
        "original = _track._done\n"
        "def _done(task, job, callback):\n"
        "    if task.track == 'bad':\n"
        f"        {code}\n"
        "    return original(task, job, callback)\n"
        "_track._done = _done\n"
    )
    before = "from dspsep.batch._worker import main"
    assert before in _workers._CODE
    monkeypatch.setattr(
        _workers, "_CODE", _workers._CODE.replace("; from", "\nfrom").replace(before, patched + before)
    )


@pytest.mark.core
def test_workers_make_what_one_process_makes(tmp_path, job):
    todo = tasks(tmp_path, "one", "four", "eleven")
    found, begun, reports = run(job, todo)
    assert sorted(begun) == ["eleven", "four", "one"]
    assert {stage for _, stage in reports} <= {"separate", "write"}
    other = tmp_path / "other"
    other.mkdir()
    for task in todo:
        outcome = done(task, Job(**{**vars(job), "folder": other}))
        assert (outcome.error, outcome.notices) == (None, ())
        assert outcome.entry == found[task.track].entry
        for file in outcome.entry.files.values():
            assert sha256_of(job.folder / file) == sha256_of(other / file)


def test_jobs_tasks_and_outcomes_travel_as_text(job):
    assert Job.from_json(job.to_json()) == job
    for outcome in (Outcome(error="x", out_of_memory=True), Outcome(kept=True, notices=("[W] a", "b"))):
        assert Outcome.of(json.loads(json.dumps(outcome.plain()))) == outcome
    task = Task(file="a\udcff", track="b")
    assert Task.of(json.loads(json.dumps(task.plain()))) == task


@pytest.mark.core
def test_a_crash_takes_one_track(tmp_path, job, monkeypatch):
    harm(monkeypatch, "os.kill(os.getpid(), signal.SIGSEGV)")
    found, begun, _ = run(job, tasks(tmp_path, "one", "bad", "three", "four"))
    assert found["bad"].error.startswith("its process ended by signal 11. If the file is damaged")
    assert begun.count("bad") == 1
    assert all(found[name].error is None for name in ("one", "three", "four"))


def test_a_killed_worker_gets_another_chance_alone(tmp_path, job, monkeypatch):
    flag = tmp_path / "once"
    once = f"os.path.exists({str(flag)!r}) or (os.mkdir({str(flag)!r}), os.kill(os.getpid(), 9))"
    harm(monkeypatch, once)
    found, begun, _ = run(job, tasks(tmp_path, "bad", "two", "three"))
    assert begun[-1] == "bad"
    assert begun.count("bad") == 2
    assert all(outcome.error is None for outcome in found.values())


def test_what_is_killed_twice_is_told(tmp_path, job, monkeypatch):
    harm(monkeypatch, "os.kill(os.getpid(), 9)")
    found, begun, _ = run(job, tasks(tmp_path, "bad", "two", "three"))
    assert "was killed, as systems do that run out of memory" in found["bad"].error
    assert begun.count("bad") == 2
    assert not list(job.folder.glob("bad"))


def test_no_memory_gets_another_chance_alone_and_is_told(tmp_path, job, monkeypatch):
    harm(monkeypatch, "raise MemoryError('Unable to allocate 9 EiB')")
    found, begun, _ = run(job, tasks(tmp_path, "bad", "two", "three"))
    assert found["bad"].error == "Unable to allocate 9 EiB."
    assert begun.count("bad") == 2


@pytest.mark.parametrize("code", ["os._exit(0)", "os._exit(3)", "os.close(1); raise SystemExit"])
def test_a_worker_that_just_ends(tmp_path, job, monkeypatch, code):
    harm(monkeypatch, code)
    found, _, _ = run(job, tasks(tmp_path, "bad", "two", "three"))
    assert found["bad"].error.startswith("its process ended with status")
    assert found["three"].error is None


def test_what_libraries_print_does_not_get_between(tmp_path, job, monkeypatch, capfd):
    harm(monkeypatch, "print('noise'), os.write(1, b'more noise')")
    found, _, _ = run(job, tasks(tmp_path, "bad", "two"))
    assert all(outcome.error is None for outcome in found.values())
    assert "more noise" in capfd.readouterr().err


def test_modules_that_print_while_they_are_imported_do_no_harm(tmp_path, job, monkeypatch):
    noise = "print('{}\\nno\\xff end', end=''); "
    # Without reports, of which it would not matter if one were lost.
    silent = "from dspsep.batch import _worker\n_worker._SECONDS_BETWEEN_REPORTS = 1e12\n"
    code = _workers._CODE.replace("; from", "\nfrom").replace("from dspsep", silent + "from dspsep")
    monkeypatch.setattr(_workers, "_CODE", noise + code)
    found, _, _ = run(job, tasks(tmp_path, "one", "two"))
    assert all(outcome.error is None for outcome in found.values())


def test_a_crash_leaves_no_litter(tmp_path, job, monkeypatch):
    code = "(job.layout(task).root.mkdir(), (job.layout(task).root / '.dspsep-0.part').touch(), os._exit(1))"
    harm(monkeypatch, code)
    found, _, _ = run(job, tasks(tmp_path, "bad", "two"))
    assert found["bad"].error
    assert [path.name for path in job.folder.iterdir()] == ["two"]


def test_workers_that_do_not_end_are_killed(tmp_path, job, monkeypatch):
    harm(monkeypatch, "signal.signal(signal.SIGTERM, signal.SIG_IGN); import time; time.sleep(60)")
    working = outcomes_of_workers(
        job, tasks(tmp_path, "bad", "two", "three"), 2, lambda _: None, lambda *_: None
    )
    next(working)
    begun = time.monotonic()
    working.close()
    assert time.monotonic() - begun < 10


def test_notices_come_from_workers_too(tmp_path, capsys):
    import numpy as np
    import soundfile

    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.ones((4000, 2)) * [5, 1], 8000, subtype="FLOAT")
    files = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    for n, out in (("1", "x"), ("2", "y")):
        assert main([*files, "-p", "n_fft=256", "-j", n, "-o", str(tmp_path / out)]) == 0
        err = capsys.readouterr().err
        assert err.count("[W_GAIN]") == 2
        assert f"{files[0]}: note: [W_GAIN]" in err


def test_nothing_is_imported_from_the_present_folder(tmp_path, monkeypatch, capsys):
    files = [str(make(tmp_path / f"{name}.wav", 1)) for name in "ab"]
    for name in ("json", "numpy", "dspsep", "soundfile", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code from a folder of music')")
    monkeypatch.chdir(tmp_path)
    assert main([*files, "-p", "n_fft=256", "-j", "2", "-o", "out"]) == 0


@pytest.mark.parametrize("n", ["0", "-1"])
def test_jobs_that_make_no_sense(n, tmp_path, capsys):
    assert main(["x.wav", "-j", n, "-o", str(tmp_path / "out")]) == 2
    assert "--jobs must be an integer" in capsys.readouterr().err
