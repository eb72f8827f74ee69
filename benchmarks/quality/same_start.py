"""Factorisations whose result depends on a random start, all libraries from the very same one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.figures import table
from benchmarks.quality import peers
from benchmarks.quality.rooms import COLUMNS, GROUPS, scored
from benchmarks.quality.task import Method, QualityResult, QualityTask, Row, decibels
from tests.cases import Case

__all__ = ["N_SEEDS", "PAIRS", "TASK", "apart", "changed", "fastmnmf2_start", "ilrma_start"]

#: Starts of which the median is shown, and what a start is changed by to see how much hangs on it.
N_SEEDS, CHANGE = 10, 1e-9
#: Rows that begin at the same place, or next to it: ours, and those it is compared with.
PAIRS = {
    "`ilrma`": (
        "`ilrma`, start changed",
        "ssspy `GaussILRMA`",
        "pyroomacoustics `ilrma`",
        "pyroomacoustics `ilrma`, by rows",
    ),
    "`fastmnmf2`": ("`fastmnmf2`, start changed", "pyroomacoustics `fastmnmf2`"),
    '`fastmnmf2`, `update="joint"`': ("pyroomacoustics `fastmnmf2`",),
}

Array = np.ndarray[Any, Any]


def ilrma_start(X: Array, seed: int) -> tuple[Array, Array]:
    """Return the T (n_channels, n_freqs, k) and V (n_channels, k, n_frames) that pyroomacoustics draws."""
    n_channels, n_freqs, n_frames = X.shape
    drawn = np.random.RandomState(seed)
    T = 0.1 + 0.9 * drawn.rand(n_channels, n_freqs, peers.N_COMPONENTS)
    V = 0.1 + 0.9 * drawn.rand(n_channels, n_frames, peers.N_COMPONENTS)
    return T, V.transpose(0, 2, 1)


def fastmnmf2_start(X: Array, n_sources: int, seed: int) -> dict[str, Array]:
    """Return the Q, g, W and H that `fastmnmf2` of pyroomacoustics begins with."""
    n_channels, n_freqs, n_frames = X.shape
    drawn = np.random.RandomState(seed)
    H = drawn.rand(n_sources, peers.N_TEMPLATES, n_frames)
    W = drawn.rand(n_sources, n_freqs, peers.N_TEMPLATES)
    g = np.full((n_sources, n_channels), 0.05)
    g[np.arange(n_channels) % n_sources, np.arange(n_channels)] = 1
    Q = np.tile(np.eye(n_channels, dtype=np.complex128), (n_freqs, 1, 1))
    return {"Q": Q, "g": g, "W": W, "H": H}


def changed(values: Array) -> Array:
    """Return a start with every number changed by at most one part in a thousand million, at random."""
    return values * (1 + CHANGE * np.random.default_rng(0).uniform(-1, 1, values.shape))


def _ilrma(*, change: bool = False) -> peers.Call:
    def call(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
        from dspsep import ilrma

        T, V = ilrma_start(X, seed)
        T = changed(T) if change else T
        W, *_ = ilrma(X, n_iter=peers.N_ITER, templates=T, activations=V)
        return np.asarray(np.einsum("fnc,cft->nft", W, X))

    return call


def _ssspy_ilrma(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
    from ssspy.bss.ilrma import GaussILRMA

    T, V = ilrma_start(X, seed)
    method = GaussILRMA(n_basis=peers.N_COMPONENTS, scale_restoration=False, record_loss=False)
    return np.asarray(method(X, n_iter=peers.N_ITER, basis=T, activation=V))


def _pra_ilrma_by_rows(X: Array, n_sources: int, seed: int) -> Array:
    """Return what ILRMA of pyroomacoustics does once it divides rows of W by what it divides columns by."""
    import pyroomacoustics.bss

    text = inspect.getsource(pyroomacoustics.bss.ilrma)
    if "W[:, :, s] *=" not in text:
        raise ValueError("pyroomacoustics has changed")
    names = dict(pyroomacoustics.bss.ilrma.__globals__)
    exec(text.replace("W[:, :, s] *=", "W[:, s, :] *="), names)  # its own text
    with mock.patch("pyroomacoustics.bss.ilrma", names["ilrma"]):
        return peers.pra_ilrma(X, n_sources, seed)


def _fastmnmf2(*, change: bool = False, update: str = "usual") -> peers.Call:
    def call(X: Array, n_sources: int, seed: int) -> Array:
        from dspsep import fastmnmf2

        start = fastmnmf2_start(X, n_sources, seed)
        start["W"] = changed(start["W"]) if change else start["W"]
        settings = {"n_iter": peers.N_ITER, "n_components": peers.N_TEMPLATES, "update": update}
        Q, g, W, H, _ = fastmnmf2(X, n_sources, **settings, **start)
        return _filtered(X, Q, g, W, H)

    return call


def _filtered(X: Array, Q: Array, g: Array, W: Array, H: Array) -> Array:
    """Return images (n_sources, n_channels, n_freqs, n_frames): Q^-1 diag(g L / Y) Q x."""
    behind_Q = np.einsum("fmc,cft->mft", Q, X)
    parts = np.einsum("nm,nft->nmft", g, W @ H)
    parts = parts / parts.sum(axis=0)
    return np.asarray(np.einsum("fcm,nmft,mft->ncft", np.linalg.inv(Q), parts, behind_Q, optimize=True))


def _methods() -> Iterator[Method]:
    yield _row("`ilrma`", "dspsep", _ilrma(), _determined, n_seeds=N_SEEDS)
    yield _row("`ilrma`, start changed", "dspsep", _ilrma(change=True), _determined, n_seeds=1)
    yield _row("ssspy `GaussILRMA`", "ssspy", _ssspy_ilrma, _determined, n_seeds=1, cost=1)
    pra = "pyroomacoustics"
    yield _row(f"{pra} `ilrma`", pra, peers.pra_ilrma, _determined, n_seeds=N_SEEDS, cost=1)
    yield _row(f"{pra} `ilrma`, by rows", pra, _pra_ilrma_by_rows, _determined, n_seeds=1, cost=1)
    yield _row("`fastmnmf2`", "dspsep", _fastmnmf2(), n_seeds=N_SEEDS, cost=1)
    yield _row("`fastmnmf2`, start changed", "dspsep", _fastmnmf2(change=True), n_seeds=1, cost=1)
    joint = _fastmnmf2(update="joint")
    yield _row('`fastmnmf2`, `update="joint"`', "dspsep", joint, n_seeds=N_SEEDS, cost=1)
    yield _row(f"{pra} `fastmnmf2`", pra, peers.pra_fastmnmf2, n_seeds=N_SEEDS, cost=2)


def _determined(case: Case) -> bool:
    return bool(len(case.references) <= case.mixture.shape[0])


def _row(
    name: str,
    package: str,
    call: peers.Call,
    fits: Callable[[Case], bool] = lambda _: True,
    *,
    n_seeds: int,
    cost: int = 0,
) -> Method:
    def score(case: Case, seed: int) -> dict[str, float]:
        n_sources = len(case.references)
        return scored(case, peers.separated(call, case.mixture, case.sample_rate, n_sources, seed))

    return Method(name=name, score=score, fits=fits, package=package, n_seeds=n_seeds, cost=cost)


def apart(result: QualityResult, name: str, other: str, case: str) -> float | None:
    """Return how many decibels two rows are apart on a recording, at most, over the starts both have."""
    cells = [result.row(row).cells.get(case) for row in (name, other)]
    if None in cells:
        return None
    pairs = zip(*(cell.scores[COLUMNS[0]] for cell in cells if cell is not None), strict=False)
    differences = [abs(a - b) for a, b in pairs if a is not None and b is not None]
    return max(differences, default=None)


def _lines(result: QualityResult) -> list[str]:
    """Return a table of gains, and one of what the same start leads to, for each group of recordings."""
    lines: list[str] = []
    for group, heads in GROUPS.items():
        names = {case: heads[case] for case in result.cases if case in heads}
        if not names:
            continue
        shown = [row for row in result.rows if any(case in row.cells for case in names)]
        rows = [[_labelled(row), *(_shown(row, case) for case in names)] for row in shown]
        lines += [f"**Gain in SI-SDR, {group}, from the same starts**", ""]
        lines += table(["dB", *names.values()], rows)
        rows = [
            [f"{ours} and {other}", *(_apart(result, ours, other, case) for case in names)]
            for ours, others in PAIRS.items()
            for other in others
        ]
        lines += [f"**Apart at most, {group}**", "", *table(["dB", *names.values()], rows)]
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return [
        *lines,
        f"*In brackets: starts, of which this is the median. Measured {result.date}. {packages}.*",
    ]


def _labelled(row: Row) -> str:
    counts = sorted({cell.n_seeds for cell in row.cells.values()})
    return f"{row.name} ({' to '.join(str(count) for count in sorted({counts[0], counts[-1]}))})"


def _shown(row: Row, case: str) -> str:
    cell = row.cells.get(case)
    if cell is None:
        return "–"
    value = cell.median(COLUMNS[0])
    return "fails" if value is None else decibels(value)


def _apart(result: QualityResult, name: str, other: str, case: str) -> str:
    found = apart(result, name, other, case)
    return "–" if found is None else f"{found:.2f}"


TASK = QualityTask(
    name="same_start",
    prefixes=("c_", "d_"),
    columns=COLUMNS,
    methods=lambda: tuple(_methods()),
    lines=_lines,
    on="rooms",
)
