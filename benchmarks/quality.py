"""Which method for what, in decibels: ``python -m benchmarks.quality vocals`` scores all, and writes a table.

Scores are kept in benchmarks/results/quality_vocals.json, song by song, and the table between two comments
of docs/methods/vocals.md. ``--check`` measures nothing, and tells whether the page has the table of what is
kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.figures import table
from benchmarks.machine import versions
from tests.cases import Case, case_names, manifest, real_case

__all__ = [
    "NAME",
    "PAGE",
    "QualityResult",
    "Row",
    "load",
    "main",
    "measure",
    "rows",
    "section",
    "with_section",
]

NAME = "quality_vocals"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods" / "vocals.md"
_BEGIN = "<!-- written by `python -m benchmarks.quality vocals`; do not edit -->"
_END = "<!-- end -->"

#: What is scored: gains of SI-SDR over the mixture, and SDR of version 4, of voice and accompaniment.
COLUMNS = ("SI-SDR gain, voice", "SI-SDR gain, rest", "SDR, voice", "SDR, rest")
_DECIMALS = 3
#: What nobody would choose by its score: bounds, and the one whose defaults come from these songs.
_NO_CHOICE = ("the mixture", "`HighLowPass()`", "`TwoStageHPSS()`", "`oracle.IBM`", "`oracle.IRM`")
_FRONT, _BACK = ("vocals", "foreground", "lead_guitar"), ("accompaniment", "background", "backing")

Audio = np.ndarray[Any, Any]
Make = Callable[[dict[str, Audio]], Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The scores of one method: by column, of each song in decibels.

    Parameters
    ----------
    name : str
        As the page shows it.
    with_rule, without : dict of str to tuple of float
        With the rule of low frequencies, and without it; empty where there is no such thing.
    """

    name: str
    with_rule: dict[str, tuple[float, ...]]
    without: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """The scores of all methods on all songs."""

    suite: str = NAME
    date: str
    versions: dict[str, str]
    cases: tuple[str, ...]
    rows: tuple[Row, ...]


def rows() -> dict[str, tuple[Make, Make | None]]:
    """Return by name what makes a separator from the true sources, and the same without the rule."""
    return {
        "the mixture": (_baseline("MixtureAsEstimate"), None),
        "`HighLowPass()`": (_baseline("HighLowPass"), None),
        "`REPET()`": _both("REPET"),
        "`REPETExtended()`": _both("REPETExtended"),
        "`AdaptiveREPET()`": _both("AdaptiveREPET"),
        "`REPETSim()`": _both("REPETSim"),
        "`REPETSim(past_seconds=10)`": _both("REPETSim", past_seconds=10),
        "`NearestNeighborMedian()`": _both("NearestNeighborMedian"),
        "the same, `margin=(2, 10)`": _both("NearestNeighborMedian", margin=(2, 10)),
        "`RPCA()`": _both("RPCA"),
        '`RPCA(mask="binary")`': _both("RPCA", mask="binary"),
        '`RPCA(mask="binary", weights=None)`': _both("RPCA", mask="binary", weights=None),
        "`FT2D()`": _both("FT2D"),
        "`KAM()`": _both("KAM"),
        "`TwoStageHPSS()`": _both("TwoStageHPSS"),
        "`oracle.IBM`": (_oracle("IBM"), None),
        "`oracle.IRM`": (_oracle("IRM"), None),
    }


def _baseline(kind: str) -> Make:
    def make(_: dict[str, Audio]) -> Any:
        import dspsep

        settings = {"source_names": ("vocals", "accompaniment")} if kind == "MixtureAsEstimate" else {}
        return getattr(dspsep, kind)(**settings)

    return make


def _both(kind: str, **settings: Any) -> tuple[Make, Make]:
    def make(_: dict[str, Audio]) -> Any:
        import dspsep

        return getattr(dspsep, kind)(**settings)

    return make, lambda references: make(references).replace(cutoff_hertz=None)


def _oracle(kind: str) -> Make:
    def make(references: dict[str, Audio]) -> Any:
        from dspsep import oracle

        return getattr(oracle, kind)(references=references)

    return make


def measure(songs: Sequence[str]) -> QualityResult:
    """Score all methods on all songs."""
    kinds = rows()
    scores: dict[str, tuple[list[tuple[float, ...]], list[tuple[float, ...]]]] = {n: ([], []) for n in kinds}
    for song in songs:
        case = real_case(song)
        for name, makers in kinds.items():
            print(f"{song}: {name}", flush=True)
            for make, kept in zip(makers, scores[name], strict=True):
                if make is not None:
                    kept.append(_scored(case, make))
    return QualityResult(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        versions=versions(()),
        cases=tuple(songs),
        rows=tuple(
            Row(name=name, with_rule=_by_column(ruled), without=_by_column(free))
            for name, (ruled, free) in scores.items()
        ),
    )


def _by_column(scores: list[tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    return dict(zip(COLUMNS, zip(*scores, strict=True), strict=True)) if scores else {}


def _scored(case: Case, make: Make) -> tuple[float, ...]:
    """Return the numbers of one method on one song, in the order of the columns."""
    from dspsep.metrics import evaluate, si_sdr

    truth = _voice_and_rest(case.references)
    estimates = _voice_and_rest(make(truth).separate(case.mixture, case.sample_rate))
    gains = [si_sdr(truth[name], estimates[name]) - si_sdr(truth[name], case.mixture) for name in truth]
    found = evaluate(truth, estimates, case.sample_rate, "bss_eval_v4")
    ratios = [found[name, "SDR"] for name in truth]
    return tuple(round(float(value), _DECIMALS) for value in (*gains, *ratios))


def _voice_and_rest(sources: Mapping[str, Audio]) -> dict[str, Audio]:
    """Return what is called a voice, and what is called the rest or, where nothing is, all but residuals."""
    front = next(name for name in _FRONT if name in sources)
    others = [name for name in sources if name not in (front, "residual")]
    back = [name for name in others if name in _BACK] or others
    return {"vocals": sources[front], "accompaniment": np.sum([sources[name] for name in back], axis=0)}


def load(folder: Path = results.FOLDER) -> QualityResult:
    """Read what is kept."""
    stored = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    kept = tuple(
        Row(
            name=row["name"],
            **{key: {k: tuple(v) for k, v in row[key].items()} for key in ("with_rule", "without")},
        )
        for row in stored["rows"]
    )
    return QualityResult(**{**stored, "cases": tuple(stored["cases"]), "rows": kept})


def section(result: QualityResult) -> str:
    """Return what stands between the comments: the table, and what it is of."""
    short = ("SI-SDR +", "SDR v4")
    head = ["voice / rest, in dB", *short, *(f"{name}, no rule" for name in short)]
    shown = [*result.rows, _left_out(result)]
    lines = table(head, ([row.name, *_cells(row.with_rule), *_cells(row.without)] for row in shown))
    songs = ", ".join(f"`{name}`" for name in result.cases)
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return "\n".join([_BEGIN, *lines, f"*Means over {songs}. Measured {result.date}. {packages}.*", _END])


def _left_out(result: QualityResult) -> Row:
    """Return the row of a choice: for each song the setting that gains most, in sum, on all others."""
    choices = [row.with_rule for row in result.rows if row.name not in _NO_CHOICE]
    gains = np.array([np.sum([scores[column] for column in COLUMNS[:2]], axis=0) for scores in choices])
    best = np.argmax(gains.sum(axis=1, keepdims=True) - gains, axis=0)
    chosen = {
        column: tuple(choices[choice][column][song] for song, choice in enumerate(best)) for column in COLUMNS
    }
    return Row(name="chosen on the other songs", with_rule=chosen, without={})


def _cells(scores: Mapping[str, tuple[float, ...]]) -> Iterator[str]:
    for voice, rest in (COLUMNS[:2], COLUMNS[2:]):
        yield " / ".join(_decibels(scores[column]) for column in (voice, rest)) if scores else "–"


def _decibels(values: Sequence[float]) -> str:
    return f"{round(float(np.mean(values)), 1) + 0.0:.1f}".replace("-", "−")  # there is no −0.0 dB


def with_section(page: str, text: str) -> str:
    """Return a page with another text between the comments."""
    before, rest = page.split(_BEGIN)
    return before + text + rest.split(_END, 1)[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("task", choices=["vocals"], help="what is separated")
    parser.add_argument("--check", action="store_true", help="only tell whether the page is up to date")
    options = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    if options.check:
        if with_section(page, section(load())) != page:
            print(f"{PAGE.name} is out of date: run python -m benchmarks.quality vocals", file=sys.stderr)
            return 1
        return 0
    if not manifest():
        print("the recordings are not here (DSPSEP_TEST_DATA names their folder)", file=sys.stderr)
        return 1
    result = measure(case_names("a_"))
    results.store(result)
    PAGE.write_text(with_section(page, section(result)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
