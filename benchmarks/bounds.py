"""What separators reach that know the true sources, and what is for free: quality, on all recordings.

Nothing is timed here, so there are no contenders and no turns: every bound separates the beginning of every
recording once, and each source of it is scored.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import versions
from dspsep import HPSS, STFT, CascadedHPSS, IterativeHPSS, TwoStageHPSS
from dspsep.metrics import sdr, si_sdr
from dspsep.oracle import IBM, IRM, IWM, MWF, PSM, MixtureAsEstimate
from tests.cases import Case, manifest, real_case

__all__ = [
    "COLUMNS",
    "LENGTHS",
    "METRICS",
    "NAME",
    "SECONDS",
    "BoundsResult",
    "CaseResult",
    "load",
    "measure",
    "names",
    "obstacle",
]

NAME = "bounds"
SECONDS = 6.0
METRICS = {"SDR": sdr, "SI-SDR": si_sdr}
COLUMNS = ("mixture", "best blind", "IBM1", "IBM2", "IRM", "IWM", "PSM", "MWF", "demixing")
#: Samples of the frames of which IWM and MWF are compared.
LENGTHS = (512, 1024, 2048, 4096, 8192)

_BLIND = (HPSS(), CascadedHPSS(), IterativeHPSS(), TwoStageHPSS())
_DECIMALS = 3

Audio = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The scores on one recording in decibels.

    Parameters
    ----------
    name : str
        Of the recording.
    sample_rate, n_channels : int
        Its rate in hertz, and its channels.
    sources : tuple of str
        The names of the true sources.
    scores : dict of str to dict of str to tuple of float
        Of each source, by metric and column. Without demixing where the matrix is not known.
    frames : dict of str to tuple of float
        The SDR of IWM and MWF, mean over sources, at each of `LENGTHS`.
    """

    name: str
    sample_rate: int
    n_channels: int
    sources: tuple[str, ...]
    scores: dict[str, dict[str, tuple[float, ...]]]
    frames: dict[str, tuple[float, ...]]

    def mean(self, metric: str, column: str) -> float | None:
        """Return the mean over sources, or None where there is no such column."""
        values = self.scores[metric].get(column)
        return None if values is None else float(np.mean(values))

    def margin(self, metric: str, column: str) -> float:
        """Return by how much a bound is at least ahead of the best blind estimate, over sources."""
        scores = self.scores[metric]
        return min(np.subtract(scores[column], scores["best blind"]).tolist())


@dataclass(frozen=True, kw_only=True)
class BoundsResult:
    """The scores on all recordings, of which the first `seconds` were separated."""

    suite: str = NAME
    date: str
    versions: dict[str, str]
    seconds: float
    cases: tuple[CaseResult, ...]


class _Excerpt(NamedTuple):
    """True sources as they are in the mixture, the mixture, and the matrix that made it, if there is one."""

    references: dict[str, Audio]
    mixture: Audio
    sample_rate: int
    mixing: Audio | None


def obstacle() -> str:
    """Say why nothing can be measured here; empty if it can."""
    return "" if manifest() else "the recordings are not here (DSPSEP_TEST_DATA names their folder)"


def names(*, smoke: bool = False) -> list[str]:
    """Return all recordings or, to run every line once, one whose mixing matrix is known."""
    found = sorted(manifest())
    if not smoke:
        return found
    return [next((name for name in found if "mixing_matrix" in manifest()[name]), found[0])]


def measure(recordings: Iterable[str], seconds: float = SECONDS) -> BoundsResult:
    """Score every bound on the beginning of these recordings."""
    cases = []
    for name in recordings:
        print(f"{NAME}: {name}", flush=True)
        cases.append(_measure_case(real_case(name), seconds))
    return BoundsResult(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        versions=versions(()),
        seconds=seconds,
        cases=tuple(cases),
    )


def load(path: Path) -> BoundsResult:
    """Read a stored result back."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    cases = tuple(
        CaseResult(
            **{
                **case,
                "sources": tuple(case["sources"]),
                "scores": {metric: _tuples(columns) for metric, columns in case["scores"].items()},
                "frames": _tuples(case["frames"]),
            }
        )
        for case in stored["cases"]
    )
    return BoundsResult(**{**stored, "cases": cases})


def _tuples(lists: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {key: tuple(values) for key, values in lists.items()}


def _measure_case(case: Case, seconds: float) -> CaseResult:
    excerpt = _excerpt(case, seconds)
    references, mixture, rate, _ = excerpt
    scores: dict[str, dict[str, tuple[float, ...]]] = {metric: {} for metric in METRICS}
    for column, candidates in _estimates(excerpt):
        for metric, score in METRICS.items():
            best = (
                max(score(reference, estimate) for estimate in candidates[name])
                for name, reference in references.items()
            )
            scores[metric][column] = tuple(round(float(value), _DECIMALS) for value in best)
    frames = {
        kind.__name__: tuple(
            _mean_sdr(references, kind(references=references, stft=STFT(n_fft)).separate(mixture, rate))
            for n_fft in LENGTHS
        )
        for kind in (IWM, MWF)
    }
    return CaseResult(
        name=case.name,
        sample_rate=rate,
        n_channels=len(mixture),
        sources=tuple(references),
        scores=scores,
        frames=frames,
    )


def _excerpt(case: Case, seconds: float) -> _Excerpt:
    n_samples = round(seconds * case.sample_rate)
    mixture = np.ascontiguousarray(case.mixture[:, :n_samples])
    references = {name: audio[:, :n_samples] for name, audio in case.references.items()}
    matrix = case.facts.get("mixing_matrix")
    mixing = None if matrix is None else np.asarray(matrix, dtype=np.float64)
    if (
        mixing is not None
    ):  # the stored sources are mono, and a column of the matrix takes them to all channels
        references = {
            name: mixing[:, [k]] * audio.astype(np.float64)
            for k, (name, audio) in enumerate(references.items())
        }
    kept = {name: np.ascontiguousarray(audio, dtype=mixture.dtype) for name, audio in references.items()}
    return _Excerpt(kept, mixture, case.sample_rate, mixing)


def _estimates(excerpt: _Excerpt) -> Iterator[tuple[str, dict[str, list[Audio]]]]:
    """Yield each column with its estimates of each source, of which the best counts."""
    references, mixture, rate, mixing = excerpt
    share = MixtureAsEstimate(source_names=tuple(references)).separate(mixture, rate)
    yield "mixture", {name: [share[name]] for name in references}
    blind = [mixture, *(source for method in _BLIND for source in method.separate(mixture, rate).values())]
    yield "best blind", {name: [*blind, share[name]] for name in references}
    bounds = {
        "IBM1": IBM(references=references),
        "IBM2": IBM(references=references, exponent=2),
        "IRM": IRM(references=references),
        "IWM": IWM(references=references),
        "PSM": PSM(references=references),
        "MWF": MWF(references=references),
    }
    for column, bound in bounds.items():
        sources = bound.separate(mixture, rate)
        yield column, {name: [sources[name]] for name in references}
    if mixing is not None:
        alone = np.linalg.solve(mixing, mixture.astype(np.float64))
        images = {name: mixing[:, [k]] * alone[k] for k, name in enumerate(references)}
        yield "demixing", {name: [image.astype(mixture.dtype)] for name, image in images.items()}


def _mean_sdr(references: Mapping[str, Audio], sources: Mapping[str, Audio]) -> float:
    values = [sdr(reference, sources[name]) for name, reference in references.items()]
    return round(float(np.mean(values)), _DECIMALS)
