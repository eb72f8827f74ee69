"""The rules of measuring: the same input and threads for all, equal output first, then turns.

Contenders take turns within one process (A B C A B C …), so that whatever else the machine is doing meets all
of them alike, and their times are divided round by round: a ratio compares two calls made moments apart.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from benchmarks.goals import Target

__all__ = [
    "Comparison",
    "Contender",
    "DisagreementError",
    "Record",
    "Suite",
    "Summary",
    "Task",
    "Timing",
    "compare",
    "ratios",
    "stopwatch",
    "summary",
]


class DisagreementError(RuntimeError):
    """Contenders returned different results, so their times may not be compared."""


class Timing(NamedTuple):
    """Seconds of one call: by the clock on the wall, and of all processors together."""

    wall: float
    cpu: float


class Task(NamedTuple):
    """What a contender does with one input.

    `call` is timed. `comparable` turns what it returns into an array of the form that all contenders of a
    comparison share (axes, scale, extent); that is not timed. It is None where the job is not done but
    bounded: as the copying of what it has to read. `peak`, where there is one, makes one more call and
    returns how many bytes of a device it held.
    """

    call: Callable[[], Any]
    comparable: Callable[[Any], np.ndarray[Any, Any]] | None = np.asarray
    peak: Callable[[], int] | None = None


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the job.

    Parameters
    ----------
    name : str
        As the report shows it.
    package : str
        The module that must be installed, whose version is recorded. What is not installed does not compete.
    prepare : callable
        From the input to a `Task`: imports, settings, conversion of the input, all untimed.
    """

    name: str
    package: str
    prepare: Callable[[Any], Task]

    def is_installed(self) -> bool:
        """Tell whether the package can be imported, without importing it."""
        return importlib.util.find_spec(self.package) is not None


def stopwatch(call: Callable[[], Any]) -> Timing:
    """Time one call, with the garbage collector held back."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        timing = Timing(time.perf_counter() - wall, time.process_time() - cpu)
    finally:
        gc.enable()
    del result  # giving the memory back is nobody's work
    return timing


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One job, and those who do it.

    Parameters
    ----------
    name : str
        Unique among all suites.
    title, note : str
        For the report.
    contenders : tuple of Contender
        The first is the one that all others are compared with.
    make_input : callable
        From seconds of audio to the input that every contender is given.
    tolerance : float, optional
        How far outputs may differ, relative to the largest value of the first one's. None where there is no
        output.
    goals : tuple of Target
        What should be reached; see `benchmarks.goals`.
    timer : callable
        Times one call of a task.
    grows : mapping from str to float or None
        Contenders whose memory, and time at several lengths, is measured as well, and the seconds of audio
        beyond which they need more memory than a common machine has; None if there is no such length.
    """

    name: str
    title: str
    note: str
    contenders: tuple[Contender, ...]
    make_input: Callable[[float], Any]
    tolerance: float | None
    goals: tuple[Target, ...] = ()
    timer: Callable[[Callable[[], Any]], Timing] = stopwatch
    grows: Mapping[str, float | None] = field(default_factory=dict)

    def contender(self, name: str) -> Contender:
        """Return a contender by name."""
        return next(contender for contender in self.contenders if contender.name == name)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Comparisons that are run and reported together.

    Parameters
    ----------
    name, title, note : str
        For the command line, and for the report.
    comparisons : tuple of Comparison
        In the order of the report.
    threads : int, optional
        Of every library. By default as many as the settings say.
    audio : str
        What it is measured on. By default the music of most others.
    obstacle : callable
        Returns why it cannot be measured here; nothing, if it can.
    must : bool
        Whether it is an error to ask for it by name where it cannot be measured.
    unmeasured : str
        What the report says in its place as long as it was not measured; nothing, if empty.
    device : callable
        Returns what it is measured on beside the processor; nothing, if empty.
    """

    name: str
    title: str
    note: str
    comparisons: tuple[Comparison, ...]
    threads: int | None = None
    audio: str = ""
    obstacle: Callable[[], str] = str
    must: bool = False
    unmeasured: str = ""
    device: Callable[[], str] = str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was measured of one contender: every round, in order, in seconds.

    `difference` is the largest one between its output and the first contender's, relative to the largest
    value of the latter; None where there is nothing to compare. `output` is the type of its numbers.
    `device_bytes` is what it held of a device, where it works on one.
    """

    contender: str
    difference: float | None
    output: str
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    device_bytes: int | None = None


def compare(comparison: Comparison, source: Any, rounds: int) -> list[Record]:
    """Let all contenders that are installed do the job in turns.

    The first, untimed turn warms everything up (compilation, caches, page tables) and proves that they do the
    same.

    Raises
    ------
    DisagreementError
        If an output differs from the first contender's by more than the tolerance.
    """
    present = [contender for contender in comparison.contenders if contender.is_installed()]
    ours = comparison.contenders[0]
    if ours not in present:
        raise RuntimeError(f"{ours.name} is not installed, and all others are compared with it")
    tasks = {contender.name: contender.prepare(source) for contender in present}
    agreements = _agreements(comparison, tasks)
    turns: dict[str, list[Timing]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            turns[name].append(comparison.timer(task.call))
    return [
        Record(
            contender=name,
            difference=agreements[name][0],
            output=agreements[name][1],
            wall=tuple(timing.wall for timing in timings),
            cpu=tuple(timing.cpu for timing in timings),
            device_bytes=None if (peak := tasks[name].peak) is None else peak(),
        )
        for name, timings in turns.items()
    ]


def _agreements(comparison: Comparison, tasks: dict[str, Task]) -> dict[str, tuple[float | None, str]]:
    """Call every task once; return how far its output is from the first one's, and its type."""
    if comparison.tolerance is None:
        for task in tasks.values():
            task.call()
        return dict.fromkeys(tasks, (None, ""))
    agreements: dict[str, tuple[float | None, str]] = {}
    reference: np.ndarray[Any, Any] | None = None
    for name, task in tasks.items():
        result = task.call()
        if task.comparable is None:
            agreements[name] = (None, "")
            continue
        output = task.comparable(result)
        if reference is None:
            reference = output
        difference = _difference(output, reference)
        if not difference <= comparison.tolerance:  # NaN does not agree either
            raise DisagreementError(
                f"{comparison.name}: {name} differs from {next(iter(tasks))} by {difference:.3g} of its "
                f"largest value, and {comparison.tolerance:g} is allowed. Times of different results are not "
                "comparable."
            )
        agreements[name] = (difference, str(output.dtype))
    return agreements


def _difference(output: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> float:
    if output.shape != reference.shape:
        return math.inf
    if output is reference:
        return 0.0
    return float(np.max(np.abs(output - reference)) / np.max(np.abs(reference)))


class Summary(NamedTuple):
    """The median of rounds, and the range they lie in."""

    median: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    """Return median, smallest and largest."""
    return Summary(statistics.median(values), min(values), max(values))


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Summary:
    """Divide round by round, then summarise: how many times as long they take as we do."""
    return summary([their / our for their, our in zip(theirs, ours, strict=True)])
