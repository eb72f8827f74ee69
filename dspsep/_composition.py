"""What compositions share: progress and models that say whose they are, channels, the better stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dspsep._settings import Settings
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import Refiner, Separator
from dspsep.sources import Sources
from dspsep.staged import StagedStream
from dspsep.streaming import LocalStream, Stream

__all__ = ["Printed", "channels_of", "models_of", "prefixed", "sooner", "who_needs_all"]


def models_of(sources: Sources) -> Mapping[str, Any]:
    """Return the models that sources came with, by path; the empty path stands for the mixture."""
    return sources.model if isinstance(sources.model, dict) else {"": sources.model}


def prefixed(callback: Callback | None, name: str) -> Callback | None:
    """Return a callback that is told of the progress of a part, its stage preceded by the part's name."""
    if callback is None:
        return None

    def report(progress: Progress) -> bool | None:
        return callback(
            Progress(
                stage=f"{name}: {progress.stage}",
                iteration=progress.iteration,
                n_iterations=progress.n_iterations,
                loss=progress.loss,
                model=progress.model,
            )
        )

    return report


def channels_of(parts: Iterable[Separator | Refiner], what: str) -> tuple[int, int | None]:
    """Return the least and the most channels that all parts can work on.

    Raises
    ------
    InputError
        If there is no such number.
    """
    least, most = 1, None
    for part in parts:
        least = max(least, getattr(part, "min_channels", 1))
        its_most = getattr(part, "max_channels", None)
        most = its_most if most is None else min(most, its_most or most)
    if most is not None and least > most:
        got = f"one that needs {least} channels beside one that takes at most {most}"
        raise InputError(what, "separators that can work on the same audio", got)
    return least, most


def sooner(separator: Separator, staged: StagedStream, sample_rate: float, n_channels: int | None) -> Stream:
    """Return the stream of stages, or the one of segments of the whole if it is less late."""
    reach = separator.reach(sample_rate)
    if reach is None:
        return staged
    whole = LocalStream(separator, reach, sample_rate, n_channels)
    return staged if staged.latency_samples <= whole.latency_samples else whole


def who_needs_all(whole: Settings, parts: Mapping[str, Separator | Refiner], sample_rate: float) -> str:
    """Return the first part that cannot be fed in blocks, and its place: ``NMF in step 2``."""
    for place, part in parts.items():
        if not part.streams(sample_rate):
            return f"{part._whole(sample_rate)} in {place}"
    return f"{type(whole).__name__}, whose sources only the data name"


class Printed:
    """What prints, also in notebooks, as the list of its parts."""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        raise NotImplementedError

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # What a notebook shows of a value that is not printed.
        printer.text(f"{type(self).__name__}(...)" if cycle else str(self))
