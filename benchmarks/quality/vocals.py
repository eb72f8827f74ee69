"""Voice and accompaniment: methods of repetition and sparsity, with a rule of low frequencies and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.figures import table
from benchmarks.quality.task import Cell, Method, QualityResult, QualityTask, Row, Scores, decibels
from tests.cases import Case

__all__ = ["COLUMNS", "FREE", "NO_CHOICE", "TASK", "left_out"]

#: What is scored: gains of SI-SDR over the mixture, and SDR of version 4, of voice and accompaniment.
COLUMNS = ("SI-SDR gain, voice", "SI-SDR gain, rest", "SDR, voice", "SDR, rest")
#: The same without the rule of low frequencies, of those that have it.
FREE = tuple(f"{column}, no rule" for column in COLUMNS)
#: What nobody would choose by its score: bounds, and the one whose defaults come from these songs.
NO_CHOICE = ("the mixture", "`HighLowPass()`", "`TwoStageHPSS()`", "`oracle.IBM`", "`oracle.IRM`")
_FRONT, _BACK = ("vocals", "foreground", "lead_guitar"), ("accompaniment", "background", "backing")

Audio = np.ndarray[Any, Any]
Make = Callable[[dict[str, Audio]], Any]


def _methods() -> tuple[Method, ...]:
    return (
        _plain("the mixture", _baseline("MixtureAsEstimate")),
        _plain("`HighLowPass()`", _baseline("HighLowPass")),
        _both("`REPET()`", "REPET"),
        _both("`REPETExtended()`", "REPETExtended"),
        _both("`AdaptiveREPET()`", "AdaptiveREPET"),
        _both("`REPETSim()`", "REPETSim"),
        _both("`REPETSim(past_seconds=10)`", "REPETSim", past_seconds=10),
        _both("`NearestNeighborMedian()`", "NearestNeighborMedian"),
        _both("the same, `margin=(2, 10)`", "NearestNeighborMedian", margin=(2, 10)),
        _both("`RPCA()`", "RPCA"),
        _both('`RPCA(mask="binary")`', "RPCA", mask="binary"),
        _both('`RPCA(mask="binary", weights=None)`', "RPCA", mask="binary", weights=None),
        _both("`FT2D()`", "FT2D"),
        _both("`KAM()`", "KAM"),
        _both("`TwoStageHPSS()`", "TwoStageHPSS"),
        _plain("`oracle.IBM`", _oracle("IBM")),
        _plain("`oracle.IRM`", _oracle("IRM")),
    )


def _plain(name: str, make: Make) -> Method:
    def score(case: Case, seed: int) -> Scores:  # noqa: ARG001
        return _scores(case, make, COLUMNS)

    return Method(name=name, score=score)


def _both(name: str, kind: str, **settings: Any) -> Method:
    def make(_: dict[str, Audio]) -> Any:
        import dspsep

        return getattr(dspsep, kind)(**settings)

    def score(case: Case, seed: int) -> Scores:  # noqa: ARG001
        free = _scores(case, lambda references: make(references).replace(cutoff_hertz=None), FREE)
        return _scores(case, make, COLUMNS) | free

    return Method(name=name, score=score)


def _baseline(kind: str) -> Make:
    def make(_: dict[str, Audio]) -> Any:
        import dspsep

        settings = {"source_names": ("vocals", "accompaniment")} if kind == "MixtureAsEstimate" else {}
        return getattr(dspsep, kind)(**settings)

    return make


def _oracle(kind: str) -> Make:
    def make(references: dict[str, Audio]) -> Any:
        from dspsep import oracle

        return getattr(oracle, kind)(references=references)

    return make


def _scores(case: Case, make: Make, columns: tuple[str, ...]) -> Scores:
    """Return the numbers of one method on one song."""
    from dspsep.metrics import evaluate, si_sdr

    truth = _voice_and_rest(case.references)
    estimates = _voice_and_rest(make(truth).separate(case.mixture, case.sample_rate))
    gains = [si_sdr(truth[name], estimates[name]) - si_sdr(truth[name], case.mixture) for name in truth]
    found = evaluate(truth, estimates, case.sample_rate, "bss_eval_v4")
    ratios = [float(found[name, "SDR"]) for name in truth]
    return dict(zip(columns, (*gains, *ratios), strict=True))


def _voice_and_rest(sources: Mapping[str, Audio]) -> dict[str, Audio]:
    """Return what is called a voice, and what is called the rest or, where nothing is, all but residuals."""
    front = next(name for name in _FRONT if name in sources)
    others = [name for name in sources if name not in (front, "residual")]
    back = [name for name in others if name in _BACK] or others
    return {"vocals": sources[front], "accompaniment": np.sum([sources[name] for name in back], axis=0)}


def _lines(result: QualityResult) -> list[str]:
    """Return the table, and what it is of."""
    short = ("SI-SDR +", "SDR v4")
    head = ["voice / rest, in dB", *short, *(f"{name}, no rule" for name in short)]
    shown = [*result.rows, left_out(result)]
    lines = table(head, ([row.name, *_cells(row, result)] for row in shown))
    songs = ", ".join(f"`{name}`" for name in result.cases)
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return [*lines, f"*Means over {songs}. Measured {result.date}. {packages}.*"]


def left_out(result: QualityResult) -> Row:
    """Return the row of a choice: for each song the setting that gains most, in sum, on all others."""
    choices = [row for row in result.rows if row.name not in NO_CHOICE]
    gains = np.array(
        [np.sum([row.values(column, result.cases) for column in COLUMNS[:2]], axis=0) for row in choices]
    )
    best = np.argmax(gains.sum(axis=1, keepdims=True) - gains, axis=0)
    cells = {}
    for song, choice in zip(result.cases, best, strict=True):
        scores = choices[choice].cells[song].scores
        cells[song] = Cell(scores={column: scores[column] for column in COLUMNS})
    return Row(name="chosen on the other songs", cells=cells)


def _cells(row: Row, result: QualityResult) -> Iterator[str]:
    for voice, rest in (COLUMNS[:2], COLUMNS[2:], FREE[:2], FREE[2:]):
        there = all(voice in row.cells[song].scores for song in result.cases)
        means = (float(np.mean(row.values(column, result.cases))) for column in (voice, rest) if there)
        yield " / ".join(map(decibels, means)) or "–"


TASK = QualityTask(name="vocals", prefixes=("a_",), columns=COLUMNS, methods=_methods, lines=_lines)
