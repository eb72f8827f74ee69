"""Worker processes that a track may take down, and nothing else with it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any

from dspsep import _parallel
from dspsep.batch._track import Job, Outcome, Task
from dspsep.progress import Progress

__all__ = ["outcomes_of_workers"]

#: How long workers have to put away what they are at; then they are killed.
_SECONDS_TO_END = 1.0

_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from dspsep.batch._worker import main; main()"
)

_Report = Callable[[Task, Progress], None]


def outcomes_of_workers(
    job: Job, tasks: Iterable[Task], n_workers: int, begin: Callable[[Task], None], report: _Report
) -> Generator[tuple[Task, Outcome]]:
    """Do tasks in so many processes; yield each with its outcome as it comes.

    What failed for lack of memory is done once more in the end, alone.
    """
    again: list[Task] = []
    tasks = list(tasks)
    for task, outcome in _Team(job, min(n_workers, len(tasks)), begin, report).outcomes(tasks):
        if outcome.out_of_memory and n_workers > 1 and len(tasks) > 1:
            again.append(task)
        else:
            yield task, outcome
    if again:
        yield from _Team(job, 1, begin, report).outcomes(again)


class _Team:
    """Workers, and who of them is at what."""

    def __init__(self, job: Job, n_workers: int, begin: Callable[[Task], None], report: _Report) -> None:
        self._job = job
        self._n_workers = n_workers
        self._begin = begin
        self._report = report
        self._messages: queue.SimpleQueue[tuple[_Process, dict[str, Any] | None]] = queue.SimpleQueue()
        self._at: dict[_Process, Task] = {}
        self._idle: list[_Process] = []

    def outcomes(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Outcome]]:
        waiting = deque(tasks)
        try:
            while waiting or self._at:
                while waiting and len(self._at) < self._n_workers:
                    self._give(waiting.popleft())
                process, message = self._messages.get()
                if process not in self._at:
                    continue  # it has ended, and that was seen
                if message is None:
                    status = process.end_by(time.monotonic() + _SECONDS_TO_END)
                    task = self._at.pop(process)
                    self._tidy(task)
                    yield task, _outcome_of_death(status)
                elif "progress" in message:
                    stage, iteration, n_iterations = message["progress"]
                    progress = Progress(stage=stage, iteration=iteration, n_iterations=n_iterations)
                    self._report(self._at[process], progress)
                else:
                    self._idle.append(process)
                    yield self._at.pop(process), Outcome.of(message["outcome"])
        finally:
            self._end()

    def _give(self, task: Task) -> None:
        share = max(1, _parallel.get_num_threads() // self._n_workers)
        process = self._idle.pop() if self._idle else _Process(self._job, share, self._messages)
        self._at[process] = task
        self._begin(task)
        process.send(json.dumps(task.plain()))

    def _end(self) -> None:
        for process in self._idle:
            process.close()
        for process in self._at:
            process.terminate()
        limit = time.monotonic() + _SECONDS_TO_END
        for process in (*self._idle, *self._at):
            process.end_by(limit)
        for task in self._at.values():
            self._tidy(task)

    def _tidy(self, task: Task) -> None:
        self._job.layout(task).tidy(self._job.separator.source_names or ())


class _Process:
    """A worker process; what it says goes into a queue, and None when it is gone."""

    def __init__(self, job: Job, n_threads: int, messages: queue.SimpleQueue[Any]) -> None:
        share = str(n_threads)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), share)
        # Of its own group, so that Ctrl-C reaches this process alone, which then ends its workers. Modules
        # are found where this process finds them, and never in the folder that happens to be the present one.
        self._popen = subprocess.Popen(  # noqa: S603 - this interpreter, and nothing that a file says
            [sys.executable, "-P", "-c", _CODE, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii", errors="replace",
            env={**threads, **os.environ, "DSPSEP_NUM_THREADS": share},
            **_own_group(),
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(messages,), daemon=True).start()
        self.send(job.to_json())

    def send(self, line: str) -> None:
        """Send a line; if nobody is there for it, `messages` will tell."""
        with suppress(OSError):
            self._stdin.write(line + "\n")
            self._stdin.flush()

    def close(self) -> None:
        """Let it end when it has nothing to do."""
        with suppress(OSError):
            self._stdin.close()

    def terminate(self) -> None:
        """Ask it to give up what it is at."""
        self._popen.terminate()

    def end_by(self, limit: float) -> int:
        """Kill it, unless it ends before; return its exit status."""
        try:
            status = self._popen.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            status = self._popen.wait()
        self.close()
        return status

    @property
    def _stdin(self) -> Any:
        return self._popen.stdin

    def _listen(self, messages: queue.SimpleQueue[Any]) -> None:
        try:
            with self._popen.stdout as lines:  # type: ignore[union-attr]  # it is a pipe
                for line in lines:
                    # Modules that print while they are imported do so before the worker takes its output.
                    with suppress(ValueError):
                        message = json.loads(line)
                        if isinstance(message, dict) and message.keys() & {"outcome", "progress"}:
                            messages.put((self, message))
        finally:
            messages.put((self, None))


def _own_group() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    return {"process_group": 0}


def _outcome_of_death(status: int) -> Outcome:
    if status == -getattr(signal, "SIGKILL", 9):
        reason = "its process was killed, as systems do that run out of memory. Take fewer jobs at a time."
        return Outcome(error=reason, out_of_memory=True)
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    return Outcome(
        error=f"its process ended {how}. If the file is damaged or of unknown origin, try --isolate."
    )
