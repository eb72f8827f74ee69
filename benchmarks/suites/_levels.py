"""dspsep with other kernels than the fastest, in the same process as dspsep with those."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from benchmarks.harness import Task

__all__ = ["GENERIC", "PLAIN", "at_level", "with_kernels"]

T = TypeVar("T")

# What the report calls the levels of `dspsep.kernels` below the fastest.
PLAIN = "dspsep, plain kernels"
GENERIC = "dspsep, generic kernels"


def with_kernels(level: str, call: Callable[[], T]) -> Callable[[], T]:
    """Return the same call with ``DSPSEP_KERNELS=level``, which dspsep reads when it picks its kernels."""

    def with_level() -> T:
        before = os.environ.get("DSPSEP_KERNELS")
        os.environ["DSPSEP_KERNELS"] = level
        try:
            return call()
        finally:
            if before is None:
                del os.environ["DSPSEP_KERNELS"]
            else:
                os.environ["DSPSEP_KERNELS"] = before

    return with_level


def at_level(level: str, prepare: Callable[..., Task]) -> Callable[..., Task]:
    """Return the same contender with kernels of another level; what it prepares is as before."""

    def prepare_at_level(*arguments: Any) -> Task:
        task = prepare(*arguments)
        return task._replace(call=with_kernels(level, task.call))

    return prepare_at_level
