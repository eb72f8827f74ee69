"""One thread pool for the kernels, and the one setting of how many threads it uses.

Kernels release the GIL and are cut into jobs at places that do not depend on the number of threads:
every number of threads gives the same bytes.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from dspsep import _checks

__all__ = ["get_num_threads", "num_threads", "run", "set_num_threads"]

_lock = threading.Lock()
_setting: int | None = None
# What `num_threads` says, in the thread and task that says it alone: blocks of several threads may overlap.
_local_setting: ContextVar[int | None] = ContextVar("dspsep_num_threads", default=None)
_pools: dict[int, _Pool] = {}
_inside = threading.local()


def set_num_threads(n_threads: int | None) -> None:
    """Set how many threads the kernels of this process use.

    Parameters
    ----------
    n_threads : int or None
        At least 1. None returns to the default: see `get_num_threads`.

    Examples
    --------
    >>> import dspsep
    >>> dspsep.set_num_threads(1)
    >>> dspsep.get_num_threads()
    1
    >>> dspsep.set_num_threads(None)
    """
    global _setting
    _setting = None if n_threads is None else _checks.integer("n_threads", n_threads, minimum=1)


def get_num_threads() -> int:
    """Return how many threads the kernels would use now.

    Returns
    -------
    int
        What `num_threads` says here, else what `set_num_threads` set, else the environment variable
        ``DSPSEP_NUM_THREADS``, else the smallest of: the processors this process may run on, the share that
        joblib gave its worker, and the current limit of the BLAS libraries as threadpoolctl sees it.

    Examples
    --------
    >>> import dspsep
    >>> dspsep.get_num_threads() >= 1
    True
    """
    local = _local_setting.get()
    if local is not None:
        return local
    if _setting is not None:
        return _setting
    environment = os.environ.get("DSPSEP_NUM_THREADS")
    if environment:
        try:
            return _checks.integer("DSPSEP_NUM_THREADS", int(environment), minimum=1)
        except ValueError:
            return _checks.integer("DSPSEP_NUM_THREADS", environment, minimum=1)
    limits = [_available_processors()]
    # joblib's worker processes are told their share through this variable.
    share = os.environ.get("NUMBA_NUM_THREADS", "")
    if share.isdigit() and int(share) > 0:
        limits.append(int(share))
    limits.extend(_blas_limits())
    return max(1, min(limits))


@contextmanager
def num_threads(n_threads: int | None) -> Iterator[None]:
    """Use a number of threads for what this thread does inside a ``with`` block.

    Parameters
    ----------
    n_threads : int or None
        At least 1; None is what is set for the process.

    Yields
    ------
    None
        Nothing: the setting is in force inside the block.

    Examples
    --------
    >>> import dspsep
    >>> with dspsep.num_threads(1):
    ...     dspsep.get_num_threads()
    1
    """
    if n_threads is not None:
        n_threads = _checks.integer("n_threads", n_threads, minimum=1)
    token = _local_setting.set(n_threads)
    try:
        yield
    finally:
        _local_setting.reset(token)


def run(function: Any, jobs: Iterable[tuple[Any, ...]], *, serial: bool = False) -> None:
    """Call ``function(*job)`` for every job, on several threads if that is worth it: this one and the pool's.

    With `serial` only this thread works, as it must where arrays are not those of NumPy.

    An error in a job, or Ctrl-C, drops the jobs that have not begun. The error is raised here.
    """
    jobs = list(jobs)
    n_threads = 1 if serial or len(jobs) < 2 or getattr(_inside, "job", False) else get_num_threads()
    if n_threads == 1:
        for job in jobs:
            function(*job)
        return
    work = _Work(function, jobs)
    try:
        # This thread works, too: it is awake, and the system looks for another processor for the next one.
        _pool(n_threads - 1).ask(work.help, min(n_threads, len(jobs)) - 1)
        work.do()
        work.wait()
    except BaseException:
        work.stop()
        work.wait()
        raise
    if work.error is not None:
        raise work.error


class _Work:
    """Jobs that several threads take one after the other."""

    def __init__(self, function: Callable[..., None], jobs: list[tuple[Any, ...]]) -> None:
        self._function = function
        self._jobs = iter(jobs)
        # Taken and given back in compiled code: no signal can come between and leave it taken.
        self._lock = threading.Lock()
        self._n_begun = 0
        self._ended = False
        self._reports: list[BaseException | None] = []
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def do(self) -> None:
        """Do jobs until there are no more."""
        # A job that itself calls `run` must not wait for a place in the pool it occupies.
        _inside.job = True
        try:
            while (job := self._next()) is not None:
                self._function(*job)
        finally:
            _inside.job = False

    def help(self) -> None:
        """Do jobs for the thread that waits for them, which is told what went wrong."""
        with self._lock:
            if self._ended:
                return
            self._n_begun += 1
        error = None
        try:
            self.do()
        except BaseException as caught:  # noqa: BLE001 - it is raised where the work was asked for
            error = caught
            self.stop()
        finally:
            self._reports.append(error)
            self._bell.put(None)

    def stop(self) -> None:
        """Drop what has not begun."""
        with self._lock:
            self._jobs = iter(())

    def wait(self) -> None:
        """Wait for those who help, and for nobody who has not begun."""
        with self._lock:
            self._ended = True
        while len(self._reports) < self._n_begun:
            with suppress(queue.Empty):  # a signal may have come between the bell and who hears it
                self._bell.get(timeout=0.1)

    @property
    def error(self) -> BaseException | None:
        """What those who helped met first."""
        return next(filter(None, self._reports), None)

    def _next(self) -> tuple[Any, ...] | None:
        with self._lock:
            return next(self._jobs, None)


class _Pool:
    """Threads that wait for work.

    One of the standard library's pools can be left, by Ctrl-C at a bad moment, with a thread that the end of
    the process waits for, for ever: these are daemons. Whoever asks for work waits for its end, also after an
    error, so no thread is at work when the process ends.
    """

    def __init__(self, n_threads: int) -> None:
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for number in range(n_threads):
            threading.Thread(target=self._serve, name=f"dspsep_{number}", daemon=True).start()

    def ask(self, function: Callable[[], None], n_threads: int) -> None:
        """Let so many threads call a function, as soon as they have time."""
        for _ in range(n_threads):
            self._asked.put(function)

    def _serve(self) -> None:
        while True:
            self._asked.get()()


def _pool(n_threads: int) -> _Pool:
    # One pool for each size that was asked for, never shut down: another caller may be about to use it,
    # and idle threads cost nothing.
    with _lock:
        if n_threads not in _pools:
            _pools[n_threads] = _Pool(n_threads)
        return _pools[n_threads]


def _forget_pools() -> None:
    """In a forked child the pools' threads do not exist: make new ones when they are needed."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()
    _inside.job = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)


def _available_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _blas_limits() -> list[int]:
    return [
        int(library["num_threads"])
        for library in _blas_controller().info()
        if library["user_api"] == "blas" and library["num_threads"]
    ]


@cache
def _blas_controller() -> Any:
    # Looking for the loaded libraries takes a millisecond; asking the ones that were found, microseconds.
    # NumPy's own is loaded by now, and it is limited along with any that comes later.
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()
