"""One method on one track, wherever that is done: what goes there is small, and what comes back is, too."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import platform
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from dspsep import _parallel
from dspsep._version import __version__
from dspsep.bench.matching import Matching, Unfit, check_outputs, matched
from dspsep.bench.methods import Method
from dspsep.bench.records import FORMAT
from dspsep.data.tracks import LoadedTrack, Track
from dspsep.errors import DspsepError, DspsepWarning, InputError
from dspsep.metrics.evaluation import evaluate
from dspsep.metrics.protocols import Protocol
from dspsep.metrics.results import Scores
from dspsep.separator import Separator
from dspsep.sources import Sources

__all__ = ["Done", "Task", "do", "failure", "forget", "seed_for", "work"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is to be done: names, settings and paths.

    Parameters
    ----------
    method : Method
        The method.
    track : dict
        As `Track.to_dict` tells.
    sources : tuple of str
        The sources that are scored.
    protocol : Protocol
        How.
    key : str
        Of the record.
    seed : int or None
        What replaces the seeds among the settings.
    version : str
        Of whoever asks: others would not do the same.
    """

    method: Method
    track: dict[str, Any]
    sources: tuple[str, ...]
    protocol: Protocol
    key: str
    seed: int | None
    version: str = __version__


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """What became of a task, as the two files of it hold it.

    Parameters
    ----------
    record : dict
        What is always the same.
    times : dict or None
        What is not; None where nothing was measured to its end.
    """

    record: dict[str, Any]
    times: dict[str, Any] | None


def seed_for(seed: int | None, track: str, method: str) -> int | None:
    """Return the seed of a method on a track: its own, whatever is done before or beside it."""
    if seed is None:
        return None
    names = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in (track, method)]
    sequence = np.random.SeedSequence([seed, *(int.from_bytes(name[:16], "little") for name in names)])
    return int(sequence.generate_state(1, np.uint32)[0])


# Tasks of several threads of one process would take one another's warnings, and one another's limits.
_one_at_a_time = threading.Lock()

# The methods whose modules and compiled code the garbage collector need not look at any more.
_spared: set[str] = set()

# The track of the last task, by what it was made of: its other methods come next, as a rule.
_last: dict[str, LoadedTrack] = {}


def work(index: int, task: Task) -> tuple[int, Done]:
    """Do a task in a process that does nothing else; `index` comes back with what became of it."""
    if task.version != __version__:
        raise DspsepError(f"A worker has dspsep {__version__}, and whoever asks {task.version}: install one.")
    with _one_at_a_time:
        done = do(task)
        _spare_the_collector(task.method.name)
    return index, done


def do(task: Task) -> Done:
    """Do a task; never raise for what a method or a file does."""
    clock = _Clock()
    with _one_thread(), _caught() as notices:
        try:
            result = _scored(task, clock)
        except Unfit as reason:
            result = {"status": "unfit", "error": {"type": "Unfit", "message": str(reason), "traceback": ""}}
        except Exception as error:  # noqa: BLE001 - a defect that one track meets is not the end of the others
            result = {"status": "failed", "error": _told(error)}
    return _done(task, result, notices, clock)


def _spare_the_collector(method: str) -> None:
    """Leave out what is there to stay: joblib's workers collect garbage once a second, through all of it."""
    if method not in _spared:
        _spared.add(method)
        gc.collect()
        gc.freeze()


def failure(task: Task, kind: str, message: str) -> Done:
    """Return what becomes of a task that cannot be done at all."""
    error = {"type": kind, "message": message, "traceback": ""}
    return _done(task, {"status": "failed", "error": error}, [], _Clock())


def forget() -> None:
    """Let go of the track that is kept for the next task."""
    _last.clear()


def _scored(task: Task, clock: _Clock) -> dict[str, Any]:
    track = _loaded(task.track)
    n_channels, n_samples = track.mixture.shape
    clock.audio_seconds = n_samples / track.sample_rate
    references = {name: track.sources[name] for name in task.sources}
    with clock.separating():
        estimates = _separated(task, track, n_channels)
    with clock.scoring():
        matching = matched(references, estimates)
        scores = evaluate(
            references, estimates, track.sample_rate, task.protocol, mixture=track.mixture,
            mapping=matching.names, track=task.track["name"],
        )  # fmt: skip
    return _success(matching, scores)


def _success(matching: Matching, scores: Scores) -> dict[str, Any]:
    return {
        "status": "done", "error": None, "matching": matching.way, "matched": matching.names,
        "scores": json.loads(scores.to_json()),
    }  # fmt: skip


def _separated(task: Task, track: LoadedTrack, n_channels: int) -> Sources:
    separator = task.method.separator(track, task.sources, task.seed)
    try:
        return _by(separator, task, track, n_channels)
    except InputError as error:
        alone = task.method.left_to_itself()
        if not task.method.counted or error.name != "n_sources":
            raise
        if alone is None:
            raise Unfit(str(error)) from error
        return _by(alone.separator(track, task.sources, task.seed), task, track, n_channels)


def _by(separator: Separator, task: Task, track: LoadedTrack, n_channels: int) -> Sources:
    least, most = _channels_of(separator)
    if n_channels < least or (most is not None and n_channels > most):
        wanted = (
            f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        )
        plural = "" if wanted == "1" else "s"
        raise Unfit(f"it takes {wanted} channel{plural}, and the track has {n_channels}.")
    if separator.source_names is not None:  # before any work
        check_outputs(task.sources, separator.source_names)
    return separator.separate(track.mixture, track.sample_rate)


def _channels_of(separator: Separator) -> tuple[int, int | None]:
    steps = getattr(separator, "steps", None)
    return _channels_of(steps[0]) if steps else (separator.min_channels, separator.max_channels)


def _loaded(plain: dict[str, Any]) -> LoadedTrack:
    name = json.dumps(plain, sort_keys=True)
    if name not in _last:
        _last.clear()  # two at a time are not needed
        track = Track.from_dict(plain).load()
        for audio in (track.mixture, *track.sources.values()):
            cast("Any", audio).setflags(write=False)  # what one method did would be heard by the next
        _last[name] = track
    return _last[name]


def _done(task: Task, result: dict[str, Any], notices: list[dict[str, str]], clock: _Clock) -> Done:
    names = {"method": task.method.name, "track": task.track["name"]}
    nothing: dict[str, Any] = {"matching": None, "matched": {}, "scores": None}
    record = {
        "format": FORMAT, **names, "key": task.key, "status": result["status"], "error": result["error"],
        "warnings": notices, **{name: result.get(name, value) for name, value in nothing.items()},
        "seed": task.seed if task.method.takes_seed() else None,
    }  # fmt: skip
    times = {"format": FORMAT, **names, **clock.plain()} if result["status"] == "done" else None
    return Done(record=record, times=times)


class _Clock:
    """What a task took."""

    def __init__(self) -> None:
        self.audio_seconds: float | None = None
        self._seconds: dict[str, float] = {}

    @contextmanager
    def separating(self) -> Iterator[None]:
        with self._measured("seconds"):
            yield

    @contextmanager
    def scoring(self) -> Iterator[None]:
        with self._measured("score_seconds"):
            yield

    def plain(self) -> dict[str, Any]:
        return {
            "seconds": self._seconds.get("seconds"),
            "score_seconds": self._seconds.get("score_seconds"),
            "audio_seconds": self.audio_seconds,
            "cpu": _processor(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = time.perf_counter() - begin


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread for everything: what BLAS rounds depends on their number."""
    # What is limited is what is loaded, so all of it has to be.
    import scipy.linalg  # noqa: F401
    import threadpoolctl

    with _parallel.num_threads(1), threadpoolctl.threadpool_limits(1):
        yield


@contextmanager
def _caught() -> Iterator[list[dict[str, str]]]:
    """Collect what dspsep warns of, each once; pass on what others do."""
    notices: list[dict[str, str]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DspsepWarning)
        yield notices
    for warning in caught:
        if isinstance(warning.message, DspsepWarning):
            notice = {"code": warning.message.code, "message": warning.message.message}
            if notice not in notices:
                notices.append(notice)
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)


def _told(error: Exception) -> dict[str, str]:
    return {
        "type": type(error).__name__,
        "message": str(error) or ("there is not enough memory" if isinstance(error, MemoryError) else ""),
        "traceback": "\n".join(_frames(error)),
    }


def _frames(error: BaseException) -> Iterator[str]:
    """Yield where an error came from, in the same words on every machine."""
    for frame in traceback.extract_tb(error.__traceback__):
        parts = frame.filename.replace(os.sep, "/").split("/")
        begin = len(parts) - 1 - parts[::-1].index("dspsep") if "dspsep" in parts else len(parts) - 1
        yield f"{'/'.join(parts[begin:])}, line {frame.lineno}, in {frame.name}: {frame.line}"
