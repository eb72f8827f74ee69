"""Tasks here, in worker processes, or on a cluster; a task may take its worker down, and nothing else.

joblib gives up all of a call when one of its processes dies. What had been given out and had not come back is
then done one by one, each alone in its process: who is innocent comes through, and who takes down a second
process is known. The rest goes on as before.

A scheduler of Dask gives what a dead worker had to another, and gives a task up that has seen several die. It
may have been beside the one that kills, so it is then done alone, too. The backend of joblib (1.6) for Dask
does not hear of it, and waits for ever: Dask is asked directly.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from dspsep.bench import _task
from dspsep.bench._task import Done, Task

__all__ = ["done_of"]

_KILLED = (
    "its process was killed, beside others, and alone as well. Systems do so that run out of memory; and"
    " compiled code may crash."
)

#: So many tasks for each thread of a cluster are on their way, and so often it is counted anew.
_AHEAD, _TURNS = 2, 20


def done_of(tasks: list[Task], n_jobs: int, client: Any = None) -> Generator[tuple[Task, Done]]:
    """Do tasks; yield each with what became of it, as it comes.

    Parameters
    ----------
    tasks : list of Task
        What to do; the methods of a track one after the other, since a process keeps the last track.
    n_jobs : int
        Processes on this machine; 1 is this one.
    client : distributed.Client, optional
        Of a cluster, whose workers are used instead.

    Yields
    ------
    tuple of Task and Done
        Each task once, in any order.
    """
    if client is None and (n_jobs == 1 or not tasks):
        try:
            for task in tasks:
                yield task, _task.do(task)
        finally:
            _task.forget()
        return
    results = _of_cluster(tasks, client) if client is not None else _Crew(n_jobs).results(tasks)
    with closing(results):
        for index, done in results:
            yield tasks[index], done


def _of_cluster(tasks: list[Task], client: Any) -> Generator[tuple[int, Done]]:
    from distributed import KilledWorker, as_completed

    given: dict[Any, int] = {}
    waiting = deque(enumerate(tasks))
    suspects: list[int] = []
    ended = as_completed(loop=client.loop)
    try:
        for turn in itertools.count():
            if turn % _TURNS == 0:  # workers come and go
                room = _AHEAD * max(1, sum(client.ncores().values()))
            while waiting and len(given) < room:
                index, task = waiting.popleft()
                future = client.submit(_task.work, index, task, pure=False)
                given[future] = index
                ended.add(future)
            if not given:
                break
            future = next(ended)
            index = given.pop(future)
            try:
                yield future.result()
            except KilledWorker:
                suspects.append(index)
        for index in suspects:
            future = client.submit(_task.work, index, tasks[index], pure=False)
            given[future] = index
            try:
                yield future.result()
            except KilledWorker:
                yield index, _task.failure(tasks[index], "WorkerKilled", _KILLED)
    finally:
        client.cancel(list(given))


class _Crew:
    """Processes of this machine, through joblib."""

    def __init__(self, n_jobs: int) -> None:
        from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

        self._n_jobs = n_jobs
        self._deaths = BrokenProcessPool, TerminatedWorkerError

    def results(self, tasks: list[Task]) -> Generator[tuple[int, Done]]:
        waiting = dict(enumerate(tasks))
        while waiting:
            given: set[int] = set()
            try:
                for index, done in self._called(waiting, given):
                    given.discard(index)
                    del waiting[index]
                    yield index, done
            except self._deaths:
                for index in sorted(given):
                    yield index, self._alone(index, waiting.pop(index))

    def _alone(self, index: int, task: Task) -> Done:
        try:
            with closing(self._called({index: task}, set())) as results:
                return next(results)[1]
        except self._deaths:
            return _task.failure(task, "WorkerKilled", _KILLED)

    def _called(self, tasks: Mapping[int, Task], given: set[int]) -> Generator[tuple[int, Done]]:
        import joblib

        def calls() -> Iterator[Any]:
            for index, task in list(tasks.items()):
                given.add(index)
                yield joblib.delayed(_task.work)(index, task)

        # Tasks are long beside what it takes to hand one out, and those of one batch would be lost together.
        settings: dict[str, Any] = {"return_as": "generator_unordered", "batch_size": 1}
        # One alone would be done in this process, if one were asked for.
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            parallel = joblib.Parallel(n_jobs=max(2, self._n_jobs), max_nbytes=None, **settings)
            results = parallel(calls())
        with closing(results):
            yield from results
