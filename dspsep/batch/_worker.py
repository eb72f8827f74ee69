"""The process of one worker: a job, then tasks, in lines of JSON; what becomes of them, the same way.

The end of its input is its end. If that comes in the middle of a task, whoever gave the task is gone, and
the task is given up.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any, TextIO

from dspsep import _registry
from dspsep._interrupts import Ended, orderly_end
from dspsep.batch._attempt import attempt
from dspsep.progress import Progress

__all__ = ["main"]

#: What there is to do, by the `kind` of it: nothing else is imported because a line says so.
_KINDS = {
    "evaluation": "dspsep.batch._scoring:Evaluation",
    "separation": "dspsep.batch._track:Job",
}

#: So often a terminal is drawn anew.
_SECONDS_BETWEEN_REPORTS = 0.1


def main() -> None:
    """Do tasks until there are no more."""
    # What libraries print must not get between the lines of ours.
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    out.write("\n")  # what was printed before may have no end
    worker = _Worker(sys.stdin, out)
    try:
        with orderly_end():
            worker.run()
    except (Ended, BrokenPipeError):
        sys.exit(128 + signal.SIGTERM)


class _Worker:
    def __init__(self, lines: TextIO, out: TextIO) -> None:
        self._lines = lines
        self._out = out
        self._tasks: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = False
        self._reported = 0.0

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        first = self._tasks.get()
        if first is None:
            return
        kind, text = json.loads(first)
        job = _registry.load(_KINDS[kind]).from_json(text)
        while True:
            self._busy = False
            line = self._tasks.get()
            if line is None:
                return
            self._busy = True
            outcome = job.do(job.task_of(json.loads(line)), self._report)
            # Scores of a hundred thousand windows may be too large for that: one track's end, not ours.
            tried = attempt(outcome.plain)
            plain = tried.result
            if plain is None:
                reason = f"{tried.error} One job at a time need not pass it on."
                plain = job.failure(reason, out_of_memory=tried.out_of_memory).plain()
            self._send({"outcome": plain})

    def _listen(self) -> None:
        for line in self._lines:
            self._tasks.put(line)
        self._tasks.put(None)
        if self._busy:
            os.kill(os.getpid(), signal.SIGTERM)

    def _report(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._reported > _SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._send({"progress": [progress.stage, progress.iteration, progress.n_iterations]})

    def _send(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()
