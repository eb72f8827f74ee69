"""The scores of one track, from files: one job of an evaluation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dspsep import _parallel
from dspsep.batch._attempt import attempt
from dspsep.batch._pairing import TrackFiles
from dspsep.data.files import load
from dspsep.errors import InputError
from dspsep.metrics.evaluation import evaluate, protocol_named
from dspsep.metrics.protocols import Protocol
from dspsep.metrics.results import Scores
from dspsep.progress import Callback, Progress

__all__ = ["Evaluation", "Scored", "settings_of"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What became of a track: scores, or an error.

    Parameters
    ----------
    scores : Scores, optional
        Of this track.
    notices : tuple of str
        What to warn of.
    error : str, optional
        Why there are none.
    out_of_memory : bool
        Whether that was for lack of memory.
    """

    scores: Scores | None = None
    notices: tuple[str, ...] = ()
    error: str | None = None
    out_of_memory: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {**vars(self), "scores": None if self.scores is None else self.scores.to_json()}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What all tracks of an evaluation have in common.

    Parameters
    ----------
    protocol : Protocol
        How they are scored.
    mapping : mapping of str to str or sequence of str
        As of `evaluate`.
    permutation, pad : bool
        As of `evaluate`.
    isolate : bool
        Whether each file is decoded in a process with limits of its own.
    """

    protocol: Protocol
    mapping: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    permutation: bool = False
    pad: bool = False
    isolate: bool = False

    kind: ClassVar[str] = "evaluation"

    def to_json(self) -> str:
        """Return it as text, for another process."""
        protocol = {"name": self.protocol.name, "settings": settings_of(self.protocol)}
        text = json.dumps({**vars(self), "mapping": dict(self.mapping), "protocol": protocol}, default=repr)
        try:
            known = self.from_json(text).protocol == self.protocol
        except (InputError, TypeError):  # nobody has that name, or it has no such settings
            known = False
        if not known:
            raise InputError(
                "n_jobs", "1 for a protocol of your own", "more", "Other processes do not know that protocol."
            )
        return text

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Return what `to_json` was called on."""
        plain = json.loads(text)
        protocol = protocol_named(plain["protocol"]["name"]).replace(**plain["protocol"]["settings"])
        return cls(**{**plain, "protocol": protocol})

    def do(self, task: TrackFiles, callback: Callback | None = None) -> Scored:
        """Score a track; never raise for what its files do."""
        tried = attempt(lambda: _scored(task, self, callback))
        return Scored(
            scores=tried.result, notices=tried.notices, error=tried.error, out_of_memory=tried.out_of_memory
        )

    @staticmethod
    def task_of(plain: Mapping[str, Any]) -> TrackFiles:
        """Return a task that came as what JSON can hold."""
        return TrackFiles(**plain)

    @staticmethod
    def outcome_of(plain: Mapping[str, Any]) -> Scored:
        """Return an outcome that came as what JSON can hold."""
        scores = None if plain["scores"] is None else Scores.from_json(plain["scores"])
        return Scored(**{**plain, "scores": scores, "notices": tuple(plain["notices"])})

    @staticmethod
    def failure(reason: str, *, out_of_memory: bool = False) -> Scored:
        """Return the outcome of a track whose process is gone."""
        return Scored(error=reason, out_of_memory=out_of_memory)

    def tidy(self, task: TrackFiles) -> None:
        """Nothing is written by a process that scores."""


def settings_of(protocol: Protocol) -> dict[str, Any]:
    """Return the settings of a protocol by name."""
    if not dataclasses.is_dataclass(protocol):
        return {}
    return {item.name: getattr(protocol, item.name) for item in dataclasses.fields(protocol)}


def _scored(task: TrackFiles, job: Evaluation, callback: Callback | None) -> Scores:
    audio = _Audio(task, job, callback)
    references = {name: audio.read(file) for name, file in task.references.items()}
    estimates = {name: audio.read(file, fitted=job.pad) for name, file in task.estimates.items()}
    for name, gain in task.gains.items():  # levels count
        estimates[name] /= np.float32(gain)
    mixture = None
    origin: dict[str, Any] = {"gains_undone": dict(task.gains)} if task.gains else {}
    if job.protocol.needs_mixture:
        if task.mixture is None and task.partial:
            raise InputError(
                "references", "with a mixture where not all of them are scored", "none",
                "This protocol compares with what was separated: add it as mixture.wav.",
            )  # fmt: skip
        mixture = None if task.mixture is None else audio.read(task.mixture)
        origin["mixture"] = "the sum of the references" if mixture is None else "a file"
    audio.report("score")
    with _same_numbers():
        scores = evaluate(
            references, estimates, audio.sample_rate, job.protocol, mixture=mixture,
            mapping=dict(job.mapping) or None, permutation=job.permutation, pad=job.pad, track=task.track,
        )  # fmt: skip
    (track,) = scores.tracks
    return Scores((dataclasses.replace(track, details={**track.details, **origin}),))


class _Audio:
    """The files of a track, which must have one rate, as many channels and, but for estimates, one length."""

    def __init__(self, task: TrackFiles, job: Evaluation, callback: Callback | None) -> None:
        self._isolate = job.isolate
        self._callback = callback
        mixture = job.protocol.needs_mixture and task.mixture is not None
        self._n_files = len(task.references) + len(task.estimates) + mixture
        self._n_read = 0
        self._first = ""
        self._shape = (0, 0)
        self.sample_rate = 0.0

    def read(self, file: str, *, fitted: bool = False) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the samples of a file, in single precision; `fitted` lets its length differ."""
        try:
            samples, rate = load(file, isolate=self._isolate)
        except InputError as error:
            if error.name != "path" or repr(file) in str(error):
                raise
            raise InputError(repr(file), error.requirement, error.got, error.remedy) from None
        n_channels, n_samples = samples.shape
        if not self._first:
            self._first, self._shape, self.sample_rate = file, (n_channels, n_samples), rate
        if rate != self.sample_rate:
            remedy = "Resample it: a score compares sample by sample."
            raise self._differs(file, f"at {self.sample_rate:g} Hz", f"{rate:g} Hz", remedy)
        if n_channels != self._shape[0]:
            remedy = "Score the same channels of both."
            raise self._differs(file, f"of {_of_channels(self._shape[0])}", _of_channels(n_channels), remedy)
        if n_samples != self._shape[1] and not fitted:
            remedy = (
                "A difference may come from a delay, which no score forgives. If it does not, pad=True, or"
                " --pad, cuts estimates or fills them up with silence."
            )
            raise self._differs(file, f"of {self._shape[1]} samples", n_samples, remedy)
        self._n_read += 1
        self.report("read")
        return samples

    def report(self, stage: str) -> None:
        """Say what is done."""
        if self._callback is not None:
            steps = (self._n_read, self._n_files) if stage == "read" else (0, None)
            self._callback(Progress(stage=stage, iteration=steps[0], n_iterations=steps[1]))

    def _differs(self, file: str, requirement: str, got: object, remedy: str) -> InputError:
        return InputError(repr(file), f"{requirement} as {self._first!r} is", got, remedy)


def _of_channels(n: int) -> str:
    return "1 channel" if n == 1 else f"{n} channels"


@contextmanager
def _same_numbers() -> Iterator[None]:
    """Use one BLAS thread, and as many of ours as before: OpenBLAS rounds by its number of threads."""
    # What is limited is what is loaded, so all of it has to be.
    import scipy.linalg  # noqa: F401
    import threadpoolctl

    with (
        _parallel.num_threads(_parallel.get_num_threads()),
        threadpoolctl.threadpool_limits(1, user_api="blas"),
    ):
        yield
