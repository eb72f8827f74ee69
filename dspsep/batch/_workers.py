"""Tracks one after the other, or in worker processes that a track may take down, and nothing else with it.

What is to be done is a `Work`, of which there is one for each command that takes many tracks.
"""

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
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dspsep import _parallel
from dspsep.progress import Callback, Progress

__all__ = ["Work", "outcomes_of", "outcomes_of_workers"]

#: How long workers have to put away what they are at; then they are killed.
_SECONDS_TO_END = 1.0

_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from dspsep.batch._worker import main; main()"
)


class _Task(Protocol):
    """One track, as a value that can travel."""

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""


class _Outcome(Protocol):
    """What became of a track."""

    @property
    def out_of_memory(self) -> bool:
        """Whether it failed for lack of memory."""


T = TypeVar("T", bound=_Task)
R = TypeVar("R", bound=_Outcome)
T_contra = TypeVar("T_contra", bound=_Task, contravariant=True)
R_co = TypeVar("R_co", bound=_Outcome, covariant=True)


class Work(Protocol[T_contra, R_co]):
    """What all tracks of a batch have in common, and how one is done. `kind` is what workers know it by."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Return it as text, for another process."""

    def do(self, task: T_contra, callback: Callback | None = None) -> R_co:
        """Do a track; never raise for what a file does."""

    def outcome_of(self, plain: Mapping[str, Any]) -> R_co:
        """Return an outcome that came as what JSON can hold."""

    def failure(self, reason: str, *, out_of_memory: bool = False) -> R_co:
        """Return the outcome of a track whose process is gone."""

    def tidy(self, task: T_contra) -> None:
        """Remove what a process that is gone has left of a track."""


def outcomes_of(
    job: Work[T, R],
    tasks: Iterable[T],
    n_jobs: int,
    begin: Callable[[T], None],
    report: Callable[[T, Progress], None],
) -> Generator[tuple[T, R]]:
    """Do tasks, in this process or in several others; yield each with its outcome as it comes."""
    tasks = list(tasks)
    if n_jobs > 1 and len(tasks) > 1:
        yield from outcomes_of_workers(job, tasks, n_jobs, begin, report)
        return
    for task in tasks:
        begin(task)

        def callback(progress: Progress, task: T = task) -> None:
            report(task, progress)

        yield task, job.do(task, callback)


def outcomes_of_workers(
    job: Work[T, R],
    tasks: Iterable[T],
    n_workers: int,
    begin: Callable[[T], None],
    report: Callable[[T, Progress], None],
) -> Generator[tuple[T, R]]:
    """Do tasks in so many processes; yield each with its outcome as it comes.

    What failed for lack of memory is done once more in the end, alone.
    """
    again: list[T] = []
    tasks = list(tasks)
    for task, outcome in _Team(job, min(n_workers, len(tasks)), begin, report).outcomes(tasks):
        if outcome.out_of_memory and n_workers > 1 and len(tasks) > 1:
            again.append(task)
        else:
            yield task, outcome
    if again:
        yield from _Team(job, 1, begin, report).outcomes(again)


class _Team(Generic[T, R]):
    """Workers, and who of them is at what."""

    def __init__(
        self,
        job: Work[T, R],
        n_workers: int,
        begin: Callable[[T], None],
        report: Callable[[T, Progress], None],
    ) -> None:
        self._job = job
        self._n_workers = n_workers
        self._begin = begin
        self._report = report
        self._messages: queue.SimpleQueue[tuple[_Process, dict[str, Any] | None]] = queue.SimpleQueue()
        self._at: dict[_Process, T] = {}
        self._idle: list[_Process] = []

    def outcomes(self, tasks: Iterable[T]) -> Generator[tuple[T, R]]:
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
                    self._job.tidy(task)
                    reason, out_of_memory = _reason_of_death(status)
                    yield task, self._job.failure(reason, out_of_memory=out_of_memory)
                elif "progress" in message:
                    stage, iteration, n_iterations = message["progress"]
                    progress = Progress(stage=stage, iteration=iteration, n_iterations=n_iterations)
                    self._report(self._at[process], progress)
                else:
                    self._idle.append(process)
                    yield self._at.pop(process), self._job.outcome_of(message["outcome"])
        finally:
            self._end()

    def _give(self, task: T) -> None:
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
            self._job.tidy(task)


class _Process:
    """A worker process; what it says goes into a queue, and None when it is gone."""

    def __init__(self, job: Work[Any, Any], n_threads: int, messages: queue.SimpleQueue[Any]) -> None:
        first = json.dumps([job.kind, job.to_json()])  # what cannot be sent starts no process
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
        self.send(first)

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


def _reason_of_death(status: int) -> tuple[str, bool]:
    """Return why a process has ended, in words, and whether that was for lack of memory."""
    if status == -getattr(signal, "SIGKILL", 9):
        reason = "its process was killed, as systems do that run out of memory. Take fewer jobs at a time."
        return reason, True
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    return f"its process ended {how}. If the file is damaged or of unknown origin, try --isolate.", False
