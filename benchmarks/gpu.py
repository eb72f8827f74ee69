"""What it takes to measure on a GPU: the device by name, waiting for it, its memory, and how fast that is.

A call is timed until the device has done all of it. The limit of bandwidth is measured in the same turns: a
copy, on the device, of as many bytes as a job has to read and write at the least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.harness import Task

__all__ = ["Device", "at_bandwidth", "device", "name", "obstacle", "on_device"]

# Numbers that are copied at a time, to measure bandwidth: one gigabyte.
_MOST_VALUES = 2**28


@dataclass(frozen=True)
class Device:
    """A device.

    Parameters
    ----------
    name : str
        As its driver calls it.
    put : callable
        From an array of the host to one there.
    back : callable
        The other way.
    wait : callable
        Returns when all that was asked for is done.
    held : callable
        Gives back what is cached, calls a function, and returns how many bytes were held meanwhile.
    """

    name: str
    put: Callable[[Any], Any]
    back: Callable[[Any], np.ndarray[Any, Any]]
    wait: Callable[[], Any]
    held: Callable[[Callable[[], Any]], int]


def obstacle() -> str:
    """Return why nothing can be measured on a GPU here; nothing, if it can."""
    try:
        import cupy
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being imported
        return f"CuPy cannot be imported: {error}"
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # noqa: BLE001 - CuPy's own class
        return f"CUDA finds no device: {error}"
    return "" if n_devices else "CUDA finds no device"


@cache
def _cuda() -> Device:
    import cupy

    def held(call: Callable[[], Any]) -> int:
        pool = cupy.get_default_memory_pool()
        cupy.fft.config.get_plan_cache().clear()
        pool.free_all_blocks()
        before = pool.total_bytes()
        result = call()
        cupy.cuda.Device().synchronize()
        # The pool gives nothing back by itself: what it has now is the most that it has had.
        peak = int(pool.total_bytes() - before)
        del result
        return peak

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return Device(
        name=properties["name"].decode(),
        put=cupy.asarray,
        back=cupy.asnumpy,
        wait=lambda: cupy.cuda.Device().synchronize(),
        held=held,
    )


#: How the device is found: a test has another.
find: Callable[[], Device] = _cuda


def device() -> Device:
    """Return the current device."""
    return find()


def name() -> str:
    """Return what the device is called, and its memory; nothing, where there is none."""
    if obstacle():
        return ""
    import cupy

    _, total = cupy.cuda.runtime.memGetInfo()
    return f"{device().name}, {total / 1e9:.0f} GB"


def on_device(
    call: Callable[[], Any], comparable: Callable[[Any], np.ndarray[Any, Any]] | None = None
) -> Task:
    """Return a task of a call that works on arrays of the device."""
    there = device()

    def done() -> Any:
        result = call()
        there.wait()
        return result

    return Task(done, comparable or there.back, peak=lambda: there.held(call))


def at_bandwidth(n_bytes: float) -> Task:
    """Return a task that moves so many bytes: it reads one half of them, and writes the other.

    What is more than a device may have room for is moved in turns, of a buffer far beyond its caches.
    """
    there = device()
    n_values = max(1, round(n_bytes / 8))
    turns = -(-n_values // _MOST_VALUES)
    source = there.put(np.zeros(-(-n_values // turns), np.float32))
    target = source + 1

    def copy() -> None:
        for _ in range(turns):
            target[...] = source
        there.wait()

    return Task(copy, comparable=None)
