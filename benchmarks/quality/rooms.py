"""Several microphones: demixing, models of places and masks, beside other libraries at equal iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.figures import table
from benchmarks.quality import peers
from benchmarks.quality.task import Method, QualityResult, QualityTask, Row, Scores, decibels
from tests.cases import Case

__all__ = ["COLUMNS", "GROUPS", "N_SEEDS", "TASK", "images", "left_out", "scored"]

#: What is scored, each the mean over sources in the best order.
COLUMNS = ("SI-SDR gain", "SIR")
#: Random starts of which the median is shown.
N_SEEDS = 3
_TITLES = {"SI-SDR gain": "Gain in SI-SDR", "SIR": "SIR of BSS Eval 4"}
#: Recordings by table, and what they are called in its head.
GROUPS = {
    "rooms": {
        "c_meas_anechoic_hats": "no echoes",
        "c_music_2x2_rt150": "music",
        "c_sim_2x2_rt150": "2, 0.15 s",
        "c_sim_2x2_rt350": "2, 0.35 s",
        "c_sim_3x3_rt150": "3, 0.15 s",
        "c_sim_3x3_rt350": "3, 0.35 s",
        "c_sim_4x4_rt150": "4, 0.15 s",
        "c_sim_4x4_rt350": "4, 0.35 s",
        "c_torchiva_2src_3mic": "2 by 3",
    },
    "no room": {
        "d_duet_3speech": "delays, 3 by 2",
        "d_inst_2x2_speech": "desk, 2 by 2",
        "d_inst_4x4_mixed": "desk, 4 by 4",
        "d_pan_mdn_funk": "panned, 4 by 2",
    },
}
_LEFT_OVER = ("background", "residual")

Audio = np.ndarray[Any, Any]


def _determined(case: Case) -> bool:
    return bool(len(case.references) <= case.mixture.shape[0])


def _overdetermined(case: Case) -> bool:
    return bool(len(case.references) < case.mixture.shape[0])


def _stereo(case: Case) -> bool:
    return bool(case.mixture.shape[0] == 2)


def _methods() -> tuple[Method, ...]:
    return (*_of_dspsep(), *_of_others())


def _of_dspsep() -> Iterator[Method]:
    yield Method(
        name="the mixture", score=lambda case, _: scored(case, [case.mixture] * len(case.references))
    )
    yield _ours("`AuxIVA()`", "AuxIVA", _determined)
    yield _ours('`AuxIVA(contrast="gauss")`', "AuxIVA", _determined, contrast="gauss")
    yield _ours("`OverIVA()`", "OverIVA", _overdetermined, counts=True)
    yield _ours("`FDICA()`", "FDICA", _determined)
    yield _random("`ILRMA()`", "ILRMA", _determined, cost=2)
    yield _random("`ILRMA(n_starts=1)`", "ILRMA", _determined, n_starts=1)
    yield _random("`ILRMA(init=FDICA(), n_starts=1)`", "ILRMA", _determined, init="FDICA", n_starts=1)
    yield _random("`CACGMM()`", "CACGMM", counts=True)
    yield _random("`FastMNMF2()`", "FastMNMF2", counts=True, cost=2)
    equal = {"n_components": peers.N_TEMPLATES, "n_iter": peers.N_ITER}
    yield _random("`FastMNMF2`, 8 spectra, 50 iterations", "FastMNMF2", counts=True, **equal)
    yield _random('the same, `init="random"`', "FastMNMF2", counts=True, init="random", **equal)
    yield _ours("`FastICA()`", "FastICA", _determined)
    yield _ours("`Infomax()`", "Infomax", _determined)
    yield _ours("`Picard()`", "Picard", _determined)
    yield _ours("`SOBI()`", "SOBI", _determined)
    yield _ours("`DUET()`", "DUET", _stereo, counts=True)
    yield _ours("`ADRess()`", "ADRess", _stereo, counts=True)
    yield _random("`PROJET()`", "PROJET", _stereo, counts=True)


def _of_others() -> Iterator[Method]:
    auxiva = "pyroomacoustics `auxiva`"
    yield _theirs(f"{auxiva}, Laplace", "pyroomacoustics", peers.pra_auxiva("laplace"))
    yield _theirs(f"{auxiva}, Gauss", "pyroomacoustics", peers.pra_auxiva("gauss"))
    of_few = peers.pra_auxiva("laplace", few=True)
    yield _theirs(f"{auxiva}, as many as sources", "pyroomacoustics", of_few, _overdetermined)
    yield _theirs("pyroomacoustics `ilrma`", "pyroomacoustics", peers.pra_ilrma, random=True)
    fastmnmf2 = "pyroomacoustics `fastmnmf2`"
    yield _theirs(fastmnmf2, "pyroomacoustics", peers.pra_fastmnmf2, lambda _: True, random=True, cost=4)
    yield _theirs("ssspy `AuxLaplaceIVA`", "ssspy", peers.ssspy_auxiva("Laplace"))
    yield _theirs("ssspy `AuxGaussIVA`", "ssspy", peers.ssspy_auxiva("Gauss"))
    yield _theirs("ssspy `AuxLaplaceFDICA`", "ssspy", peers.ssspy_fdica)
    yield _theirs("ssspy `GaussILRMA`", "ssspy", peers.ssspy_ilrma, random=True)


def _ours(
    name: str,
    kind: str,
    fits: Callable[[Case], bool] = lambda _: True,
    *,
    counts: bool = False,
    seeded: bool = False,
    cost: int = 0,
    **settings: Any,
) -> Method:
    """Return the row of a separator; `counts` if it is told how many sources there are."""

    def score(case: Case, seed: int) -> Scores:
        import dspsep

        given = {
            key: getattr(dspsep, value)() if value == "FDICA" else value for key, value in settings.items()
        }
        given |= {"n_sources": len(case.references)} if counts else {}
        given |= {"seed": seed} if seeded else {}
        sources = getattr(dspsep, kind)(**given).separate(case.mixture, case.sample_rate)
        return scored(case, [audio for name, audio in sources.items() if name not in _LEFT_OVER])

    return Method(name=name, score=score, fits=fits, n_seeds=N_SEEDS if seeded else 1, cost=cost)


def _random(name: str, kind: str, *fits: Callable[[Case], bool], cost: int = 1, **settings: Any) -> Method:
    return _ours(name, kind, *fits, seeded=True, cost=cost, **settings)


def _theirs(
    name: str,
    package: str,
    call: peers.Call,
    fits: Callable[[Case], bool] = _determined,
    *,
    random: bool = False,
    cost: int = 3,
) -> Method:
    def score(case: Case, seed: int) -> Scores:
        return scored(case, peers.separated(call, case.mixture, case.sample_rate, len(case.references), seed))

    n_seeds = N_SEEDS if random else 1
    return Method(name=name, score=score, fits=fits, package=package, n_seeds=n_seeds, cost=cost)


def images(case: Case) -> dict[str, Audio]:
    """Return what all microphones hear of each source; of mono sources by the matrix that mixed them."""
    if "mixing_matrix" not in case.facts:
        return dict(case.references)
    A = np.asarray(case.facts["mixing_matrix"], np.float32)
    return {name: A[:, k, None] * audio for k, (name, audio) in enumerate(case.references.items())}


def scored(case: Case, estimates: Sequence[Audio]) -> Scores:
    """Return means over sources, each with the estimate that the best order by SI-SDR gives to it."""
    from dspsep.metrics import BSSEval, best_permutation, evaluate, si_sdr

    if not np.isfinite(estimates).all():
        return dict.fromkeys(COLUMNS, np.nan)
    truth = images(case)
    order = best_permutation(truth, list(estimates))
    made = {name: estimates[k] for name, k in zip(truth, order.estimate_for, strict=True)}
    gains = [order.matched[name] - si_sdr(truth[name], case.mixture) for name in truth]
    found = evaluate(truth, made, case.sample_rate, BSSEval(silence="strict"))
    ratios = [found[name, "SIR"] for name in truth]
    return {"SI-SDR gain": float(np.mean(gains)), "SIR": float(np.mean(ratios))}


def _lines(result: QualityResult) -> list[str]:
    """Return a table for each group of recordings and each column, and what they are of."""
    lines: list[str] = []
    for column in COLUMNS:
        for group, heads in GROUPS.items():
            names = {case: heads[case] for case in result.cases if case in heads}
            if names:
                lines += [f"**{_TITLES[column]}, {group}**", "", *_table(result, column, names, group)]
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    starts = f"Medians over random starts where there are any: {_starts(result)}."
    return [*lines, *_warned(result), f"*{starts} Measured {result.date}. {packages}.*"]


def _starts(result: QualityResult) -> str:
    """Return from how many starts the scores of methods are that have any, of dspsep and of others."""
    told = []
    for ours, who in ((True, "dspsep"), (False, "other libraries")):
        names = {m.name for m in _methods() if m.n_seeds > 1 and (m.package == "dspsep") == ours}
        counts = {cell.n_seeds for row in result.rows if row.name in names for cell in row.cells.values()}
        if counts:
            told.append(f"{' to '.join(str(n) for n in sorted({min(counts), max(counts)}))} for {who}")
    return ", ".join(told) or "none"


def _table(result: QualityResult, column: str, names: Mapping[str, str], group: str) -> list[str]:
    with_mean = group == "rooms"
    rows = [row for row in result.rows if any(case in row.cells for case in names)]
    rows += [left_out(result, list(names))] if with_mean else []
    head = ["dB", *names.values(), *(["mean"] if with_mean else [])]
    return table(
        head,
        (
            [row.name, *_cells(row, column, names), *([_mean(row, column, names)] if with_mean else [])]
            for row in rows
        ),
    )


def left_out(result: QualityResult, cases: Sequence[str]) -> Row:
    """Return the row of a choice: for each recording the method of dspsep that gains most on all others."""
    ours = {method.name for method in _of_dspsep()}
    rows = [
        row
        for row in result.rows
        if row.name in ours
        and all(case in row.cells and row.cells[case].median(COLUMNS[0]) is not None for case in cases)
    ]
    gains = np.array([row.values(COLUMNS[0], cases) for row in rows])
    best = np.argmax(gains.sum(axis=1, keepdims=True) - gains, axis=0)
    cells = {case: rows[choice].cells[case] for case, choice in zip(cases, best, strict=True)}
    return Row(name="chosen on the other recordings", cells=cells)


def _cells(row: Row, column: str, names: Mapping[str, str]) -> Iterator[str]:
    for case in names:
        cell = row.cells.get(case)
        if cell is None:
            yield "–"
            continue
        value = cell.median(column)
        shown = "fails" if value is None else decibels(value)
        yield f"*{shown}*" if cell.warned else shown


def _mean(row: Row, column: str, names: Mapping[str, str]) -> str:
    values = [row.cells[case].median(column) if case in row.cells else None for case in names]
    return "–" if None in values else decibels(float(np.mean(np.array(values, float))))


def _warned(result: QualityResult) -> Iterator[str]:
    """Yield a table of who warned of what, by code."""
    labels = {case: label for heads in GROUPS.values() for case, label in heads.items()}
    codes = sorted({code for row in result.rows for cell in row.cells.values() for code in cell.warned})
    rows = [
        [f"`{code}`", row.name, "; ".join(labels.get(case, case) for case in cases)]
        for code in codes
        for row in result.rows
        if (cases := [case for case, cell in row.cells.items() if code in cell.warned])
    ]
    if rows:
        lines = table(["warning", "of", "where"], rows)
        yield from ["**Who warned**", "", lines[0], "| --- | --- | --- |", *lines[2:]]


TASK = QualityTask(name="rooms", prefixes=("c_", "d_"), columns=COLUMNS, methods=_methods, lines=_lines)
