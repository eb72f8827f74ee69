"""The ratios against other people's code: see oracles/make_oracles.py for what made the numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspsep.metrics import best_permutation, sdr, si_sdr

ORACLES = Path(__file__).parent / "oracles" / "ratios.npz"


@pytest.fixture(scope="module")
def oracles() -> dict[str, Any]:
    with np.load(ORACLES) as stored:  # a missing file is an error: nothing here can make it
        return dict(stored)


def _table(metric: Callable[..., float], references: Any, estimates: Any, **settings: Any) -> Any:
    return [[metric(s, x, **settings) for x in estimates] for s in references]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("other", ["si_sdr_fast_bss_eval", "si_sdr_mir_eval"])
def test_si_sdr_is_that_of_other_libraries(oracles: dict[str, Any], other: str, dtype: type) -> None:
    references, estimates = (oracles[name][:, 0].astype(dtype) for name in ("references", "estimates"))
    np.testing.assert_allclose(_table(si_sdr, references, estimates), oracles[other], rtol=0, atol=1e-9)


def test_si_sdr_without_the_mean_is_that_of_fast_bss_eval(oracles: dict[str, Any]) -> None:
    ours = _table(si_sdr, oracles["references"][:, 0], oracles["estimates"][:, 0], zero_mean=True)
    np.testing.assert_allclose(ours, oracles["si_sdr_zero_mean_fast_bss_eval"], rtol=0, atol=1e-9)


def test_sdr_of_images_is_that_of_museval(oracles: dict[str, Any]) -> None:
    ours = _table(sdr, oracles["references"], oracles["estimates"])
    np.testing.assert_allclose(ours, oracles["sdr_museval"], rtol=0, atol=1e-9)


def test_scores_of_all_pairs_are_those_of_other_libraries(oracles: dict[str, Any]) -> None:
    references, estimates = oracles["references"], oracles["estimates"]
    images = best_permutation(references, estimates, metric="sdr")
    np.testing.assert_allclose(images.scores, oracles["sdr_museval"], rtol=0, atol=1e-9)
    mono = best_permutation(references[:, 0], estimates[:, 0])
    np.testing.assert_allclose(mono.scores, oracles["si_sdr_mir_eval"], rtol=0, atol=1e-9)


def test_permutation_is_that_of_mir_eval(oracles: dict[str, Any]) -> None:
    found = best_permutation(oracles["references"][:, 0], oracles["estimates"][:, 0])
    assert found.estimate_for == tuple(oracles["order_mir_eval"])
    assert found.estimate_for != (0, 1, 2)  # or the estimates would not have been shuffled
