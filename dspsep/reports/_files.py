"""Reports of what lies in files: read in blocks, and but for scores no more of it than is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.data._reading import opened
from dspsep.data.files import audio_info, load
from dspsep.errors import InputError
from dspsep.metrics.evaluation import evaluate
from dspsep.metrics.protocols import named_protocols
from dspsep.metrics.results import Scores
from dspsep.reports._compose import composed
from dspsep.reports._passage import passage_of
from dspsep.reports._separation import Separation

__all__ = ["PROTOCOL", "Recording", "Stems", "page_of_files"]

#: What sources in files are scored by.
PROTOCOL = "bss_eval_v4"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Part of a file, in seconds; arguments as of `load`."""

    file: str | Path
    offset: float = 0.0
    duration: float | None = None
    isolate: bool = False

    def blocks(self) -> Iterator[Array]:
        """Yield its samples (n_channels, n_block)."""
        with opened(self.file, self.offset, self.duration, isolate=self.isolate) as excerpt:
            for block in excerpt.blocks():
                yield block.T

    def samples(self, rate: float, start: int, count: int) -> Array:
        """Return so many samples from `start` on at a rate; silence where there are no more."""
        native = audio_info(self.file, isolate=self.isolate).sample_rate
        found, _ = load(
            self.file, sample_rate=None if native == rate else rate, offset=self.offset + start / rate,
            duration=count / rate, isolate=self.isolate,
        )  # fmt: skip
        if found.shape[1] >= count:
            return found[:, :count]
        return np.pad(found, [(0, 0), (0, count - found.shape[1])])


@dataclass(frozen=True, kw_only=True)
class Stems:
    """The files of sources, and how they came about.

    Attributes
    ----------
    files : mapping of str to Path
        By the names of the sources.
    gain : float
        What they were multiplied by when they were written.
    settings : str
        The separator, as its `repr`.
    command : str
        What was typed.
    notices : tuple of str
        What was warned of.
    """

    files: Mapping[str, Path]
    settings: str
    command: str = ""
    gain: float = 1.0
    notices: tuple[str, ...] = ()
    mapping: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


def page_of_files(
    title: str,
    recording: Recording,
    stems: Stems,
    references: Mapping[str, str],
    *,
    start: float | None,
    duration: float | None,
    mark: str,
) -> str:
    """Return the page of a recording and its stems.

    Parameters
    ----------
    title : str
        Of the page.
    recording : Recording
        What was separated.
    stems : Stems
        Into what.
    references : mapping of str to str
        The files of true sources, by name.
    start, duration : float or None
        As of `write_report`.
    mark : str
        As of `composed`.

    Returns
    -------
    str
        The whole file.
    """
    info = audio_info(next(iter(stems.files.values())))
    rate, n_samples = info.sample_rate, info.n_samples
    native = audio_info(recording.file, isolate=recording.isolate).sample_rate
    n_sounds = 1 + len(stems.files) + len(references)
    passage = passage_of(recording.blocks(), n_samples, rate, n_sounds, start, duration, blocks_rate=native)
    scores = _scores(stems, references, recording, rate, n_samples) if references else None
    span = passage.start, passage.stop - passage.start
    true = {
        name: Recording(file=file, offset=recording.offset).samples(rate, *span)
        for name, file in references.items()
    }
    separation = Separation(
        method="",
        sources={
            name: Recording(file=file).samples(rate, *span) / stems.gain for name, file in stems.files.items()
        },
        version=__version__,
        settings=stems.settings,
        scores=scores,
        notices=stems.notices,
        command=stems.command,
    )
    protocol = named_protocols()[PROTOCOL] if references else None
    mixture = recording.samples(rate, *span)
    return composed(title, None, passage, mixture, true, [separation], protocol, mark)


def _scores(
    stems: Stems, references: Mapping[str, str], recording: Recording, rate: float, n_samples: int
) -> Scores:
    """Return the scores of all of it, which is held in memory for that."""
    true: dict[str, Any] = {}
    for name, file in references.items():
        found, native = load(file, offset=recording.offset, duration=recording.duration)
        if native != rate:
            raise InputError("references", f"at {rate:g} Hz", f"{native:g} Hz in {str(file)!r}")
        true[name] = found
    made = {
        name: Recording(file=file).samples(rate, 0, n_samples) / stems.gain
        for name, file in stems.files.items()
    }
    return evaluate(true, made, rate, PROTOCOL, mapping=stems.mapping or None)
