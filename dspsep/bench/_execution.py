"""Tasks here, in worker processes, or on a cluster; a task may take its worker down, and nothing else.

joblib gives up all of a call when one of its processes dies. What had been given out and had not come back is
then done one by one, each alone in its process: who is innocent comes through, and who takes down a second
process is known. The rest goes on as before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from dspsep.bench import _task
from dspsep.bench._task import Done, Task

__all__ = ["done_of"]

_KILLED = (
    "its process was killed, twice: once beside others, and once alone. Systems do so that run out of memory;"
    " and compiled code may crash."
)


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
    for index, done in _Crew(n_jobs, client).results(dict(enumerate(tasks))):
        yield tasks[index], done


class _Crew:
    """Workers, through joblib."""

    def __init__(self, n_jobs: int, client: Any) -> None:
        self._n_jobs = n_jobs
        self._client = client
        self._deaths = _deaths(client)

    def results(self, waiting: dict[int, Task]) -> Iterator[tuple[int, Done]]:
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
        if self._client is not None:
            with joblib.parallel_config(backend="dask", client=self._client):
                results = joblib.Parallel(n_jobs=-1, **settings)(calls())
        else:
            # One alone would be done in this process, if one were asked for.
            with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
                parallel = joblib.Parallel(n_jobs=max(2, self._n_jobs), max_nbytes=None, **settings)
                results = parallel(calls())
        with closing(results):
            yield from results


def _deaths(client: Any) -> tuple[type[BaseException], ...]:
    """Return what is raised when a worker has died."""
    if client is None:
        from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

        return BrokenProcessPool, TerminatedWorkerError
    from distributed import KilledWorker

    return (KilledWorker,)
