"""Which estimate is which: against all orders tried one by one, and on audio."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import dspsep
from dspsep import _backend
from dspsep.errors import BackendError, InputError
from dspsep.metrics import best_permutation, sdr, si_sdr
from dspsep.sources import Sources

RATIOS = {"si_sdr": si_sdr, "sdr": sdr}


def _noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# The assignment, on scores that are made up


#: Multiples of half a decibel, so that totals are exact and ties are common; infinities now and then.
_scores = st.one_of(
    st.integers(-60, 60).map(lambda n: n / 2),
    st.integers(0, 2).map(float),
    st.sampled_from([np.inf, -np.inf]),
)
tables = st.tuples(st.integers(1, 5), st.integers(0, 2)).flatmap(
    lambda size: arrays(float, (size[0], size[0] + size[1]), elements=_scores)
)


def _match(table: Any) -> Any:
    """Match sources that are only numbers, scored by looking up a table."""
    n_references, n_estimates = table.shape
    return best_permutation(
        [np.array([float(i)]) for i in range(n_references)],
        [np.array([float(j)]) for j in range(n_estimates)],
        metric=lambda reference, estimate: table[int(reference[0]), int(estimate[0])],
    )


def _by_trying_all(table: Any) -> tuple[int, ...]:
    def rank(columns: tuple[int, ...]) -> tuple[int, int, float]:
        scores = [table[row, column] for row, column in enumerate(columns)]
        finite = sum(score for score in scores if math.isfinite(score))
        return -scores.count(-math.inf), scores.count(math.inf), finite

    # `max` returns the first of equals, and `permutations` are in lexicographic order.
    return max(itertools.permutations(range(table.shape[1]), len(table)), key=rank)


@given(tables)
def test_assignment_is_the_first_of_the_best(table: Any) -> None:
    found = _match(table)
    assert found.estimate_for == _by_trying_all(table)
    np.testing.assert_array_equal(found.scores, table)


def test_ties_go_to_the_first_estimate() -> None:
    assert _match(np.zeros((3, 5))).estimate_for == (0, 1, 2)
    assert _match(np.full((2, 3), -np.inf)).estimate_for == (0, 1)
    assert _match(np.full((2, 2), np.inf)).estimate_for == (0, 1)
    # Less than a millionth of a decibel apart is a tie; more is not.
    assert _match(np.array([[1.0, 1.0 + 1e-8]])).estimate_for == (0,)
    assert _match(np.array([[1.0, 1.0 + 1e-4]])).estimate_for == (1,)


def test_total_counts_and_not_the_best_single_pair() -> None:
    table = np.array([[10.0, 9.0], [9.0, 0.0]])
    assert _match(table).estimate_for == (1, 0)


def test_one_hopeless_pair_outweighs_any_gain_elsewhere() -> None:
    table = np.array([[np.inf, 0.0], [-100.0, -np.inf]])
    assert _match(table).estimate_for == (1, 0)


def test_many_sources_are_no_trouble() -> None:
    order = np.random.default_rng(0).permutation(24)
    table = -(_noise(24, 24) ** 2)
    table[np.arange(24), order] += 30
    assert _match(table).estimate_for == tuple(order)


def test_nan_from_a_function_is_refused() -> None:
    with pytest.raises(InputError, match=r"NaN for reference '0' and estimate '1'"):
        _match(np.array([[1.0, np.nan], [0.0, 2.0]]))


# The scores of all pairs, on audio


@given(st.integers(1, 5).flatmap(lambda n: st.permutations(range(n))), st.sampled_from(list(RATIOS)))
def test_shuffled_estimates_are_put_in_order(order: list[int], metric: str) -> None:
    references = _noise(len(order), 2, 300) * np.logspace(0, -2, len(order))[:, None, None]
    made = references + 0.2 * np.roll(references, 1, axis=0) + 0.001 * _noise(*references.shape, seed=1)
    found = best_permutation(references, made[list(order)], metric=metric)
    by_trying = _by_trying_all(found.scores)
    assert found.estimate_for == by_trying
    if metric == "si_sdr":
        assert [order[index] for index in found.estimate_for] == sorted(order)


@pytest.mark.parametrize("metric", list(RATIOS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-30, 1e30), (1e30, 1e-30)])
def test_scores_are_those_of_single_pairs(metric: str, dtype: str, scales: tuple[float, float]) -> None:
    references = _noise(3, 2, 70_000)
    estimates = [references[0] + gain * references[1] for gain in (0.0, 1e-9, 1e-6, 1e-3, 0.5, 30.0, -1.0)]
    references = (references * scales[0]).astype(dtype)
    made = [
        (estimate * scales[1]).astype(dtype) for estimate in [*estimates, -estimates[4], 0 * estimates[0]]
    ]
    found = best_permutation(references, made, metric=metric)
    expected = [[RATIOS[metric](s, x) for x in made] for s in references]
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-7)
    if scales[0] == scales[1]:
        assert found.scores[0, 0] == np.inf
        assert found.scores[0, 8] == (-np.inf if metric == "si_sdr" else 0)


@pytest.mark.parametrize("metric", list(RATIOS))
def test_scales_beyond_what_can_be_squared(metric: str) -> None:
    references, made = _noise(2, 500), _noise(2, 500, seed=1) + _noise(2, 500)
    estimates = [made[0] * 1e-290, made[1] * 1e290, made[0]]
    references = [references[0] * 1e290, references[1] * 1e-290]
    found = best_permutation(references, estimates, metric=metric)
    expected = [[RATIOS[metric](s, x) for x in estimates] for s in references]
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-6)


def test_estimates_that_are_the_same_score_the_same() -> None:
    references, estimate = _noise(2, 100_003), _noise(100_003, seed=1)
    found = best_permutation(references, [estimate, estimate.copy(), estimate.copy()])
    assert (found.scores == found.scores[:, :1]).all()
    assert found.estimate_for == (0, 1)


def test_silent_estimates_are_given_last() -> None:
    references = _noise(3, 200)
    estimates = [np.zeros(200), references[2] + 0.5 * references[0], np.zeros(200), references[0]]
    found = best_permutation(references, estimates)
    assert found.estimate_for == (3, 0, 1)
    assert found.matched["1"] == -np.inf
    assert found.unmatched == ("2",)


# Names, containers, arrays, errors


def test_names_and_leftovers() -> None:
    audio = _noise(3, 400)
    references = Sources.from_dict({"voice": audio[0], "drums": audio[1]}, 8000)
    estimates = {"x": audio[2], "y": audio[1] + 0.1 * audio[0], "z": audio[0] + 0.1 * audio[1]}
    found = best_permutation(references, estimates)
    assert found.references == ("voice", "drums")
    assert found.estimates == ("x", "y", "z")
    assert found.estimate_for == (2, 1)
    assert found.names == {"voice": "z", "drums": "y"}
    assert found.unmatched == ("x",)
    assert found.matched == {"voice": found.scores[0, 2], "drums": found.scores[1, 1]}
    renamed = found.rename(estimates)
    assert list(renamed) == ["voice", "drums"]
    assert renamed["voice"] is estimates["z"]
    assert found.rename(["a", "b", "c"]) == {"voice": "c", "drums": "b"}
    with pytest.raises(InputError, match="estimates must be the 3 that were matched; got 2"):
        found.rename([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0, 0] = 1


def test_sequences_arrays_and_mappings_are_alike() -> None:
    references, estimates = _noise(2, 3, 100), _noise(3, 3, 100, seed=1)
    expected = best_permutation(references, estimates)
    named = best_permutation(
        dict(zip("ab", references, strict=True)), dict(zip("cde", estimates, strict=True))
    )
    for found in (best_permutation(list(references), tuple(estimates)), named):
        assert found.estimate_for == expected.estimate_for
        np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("metric", list(RATIOS))
def test_device_arrays_stay_there(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    references, estimates = (
        _noise(2, 100_000).astype(np.float32),
        _noise(3, 100_000, seed=1).astype(np.float32),
    )
    estimates[1] = references[0]  # a perfect pair takes the other road
    expected = best_permutation(references, estimates, metric=metric)
    device = strict.Device("device1")
    sizes: list[int] = []
    to_host = _backend.to_host

    def counting(array: Any) -> Any:
        moved = to_host(array)
        sizes.append(moved.size)
        return moved

    monkeypatch.setattr(_backend, "to_host", counting)
    found = best_permutation(
        strict.asarray(references, device=device), strict.asarray(estimates, device=device), metric=metric
    )
    assert found.estimate_for == expected.estimate_for
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-9)
    assert sizes
    assert max(sizes) <= 2 * 6  # two blocks of two references with three estimates


def test_memory_does_not_grow_with_the_audio() -> None:
    references = _noise(2, 2_000_000).astype(np.float32)  # 16 MB each in double precision
    estimates = references[:, ::-1]
    tracemalloc.start()
    try:
        best_permutation(references, estimates)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8e6


def test_fewer_estimates_than_references_are_refused() -> None:
    with pytest.raises(InputError, match=r"^estimates must be at least as many as the 3 references; got 2\."):
        best_permutation(_noise(3, 10), _noise(2, 10))


@pytest.mark.parametrize("metric", list(RATIOS))
def test_silent_reference_is_refused_by_name(metric: str) -> None:
    references = {"voice": np.ones(5), "drums": np.zeros(5)}
    with pytest.raises(InputError, match=r"^references\['drums'\] must be audible"):
        best_permutation(references, _noise(2, 5), metric=metric)


@pytest.mark.parametrize("nothing", [{}, [], np.zeros((0, 4)), np.float64(1), "voice", range(3)])
def test_no_sources_are_refused(nothing: Any) -> None:
    with pytest.raises(InputError):
        best_permutation(nothing, _noise(2, 5))
    with pytest.raises(InputError):
        best_permutation(_noise(2, 5), nothing)


def test_other_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="metric must be one of 'si_sdr', 'sdr'; got 'sdrr'"):
        best_permutation(_noise(2, 5), _noise(2, 5), metric="sdrr")
    with pytest.raises(
        InputError, match=r"^estimates\['1'\] must be of the shape of references\['0'\], \(5,\)"
    ):
        best_permutation(_noise(2, 5), [np.ones(5), np.ones(6)])
    with pytest.raises(BackendError):
        best_permutation(_noise(1, 5), strict.ones((1, 5)))


def test_importing_metrics_does_not_import_scipy() -> None:
    code = "import sys, dspsep.metrics; sys.exit('scipy' in sys.modules)"
    checkout = Path(dspsep.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=checkout, check=False).returncode == 0
