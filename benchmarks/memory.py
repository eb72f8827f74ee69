"""One contender alone in a fresh process: its time at one length, and its peak memory."""

from __future__ import annotations

import ctypes
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Comparison, Contender

__all__ = ["Alone", "Meter", "measure_alone"]

_SHORT = 1.0  # seconds of audio that are enough to compile and load everything


@dataclass(frozen=True, kw_only=True)
class Alone:
    """One call on `seconds` of audio, in seconds and bytes. The peak is beyond what the input takes."""

    wall: float
    cpu: float
    peak_bytes: int


class Meter:
    """The largest memory that this process holds between `reset` and `peak`, beyond what it held at `reset`.

    On Linux, memory that was freed is first handed back and the kernel's high-water mark set to the
    present: else what came before (imports, compilation, making the input) would hide a part of what is to
    be measured. `ru_maxrss` is of no use there: it survives the start of a program, so that a child begins
    with the size of its parent. Elsewhere it is all there is.
    """

    def __init__(self) -> None:
        self._before = 0

    def reset(self) -> None:
        """Begin."""
        gc.collect()
        if sys.platform == "linux":
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl keeps nothing back
            if trim is not None:
                trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _high_water_mark()

    def peak(self) -> int:
        """Return the growth in bytes."""
        return _high_water_mark() - self._before


def _high_water_mark() -> int:
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_alone(comparison: Comparison, contender: Contender, seconds: float) -> Alone:
    """Warm up on a second of audio, then measure one call. What it returns counts as its memory."""
    short = contender.prepare(comparison.make_input(min(_SHORT, seconds)))
    short.call()
    task = contender.prepare(comparison.make_input(seconds))
    meter = Meter()
    meter.reset()
    timing = comparison.timer(task.call)
    return Alone(wall=timing.wall, cpu=timing.cpu, peak_bytes=meter.peak())
