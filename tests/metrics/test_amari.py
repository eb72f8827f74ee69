"""The Amari index against values worked out by hand, and what it does not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dspsep import InputError
from dspsep.metrics import amari_index

BY_HAND = json.loads((Path(__file__).parent / "oracles" / "amari.json").read_text())["by_hand"]


@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: case["how"][:30])
def test_by_hand(case: dict[str, Any]) -> None:
    product = np.array(case["matrix"], dtype=float)
    assert amari_index(product, np.eye(len(product))) == pytest.approx(case["index"], abs=1e-15)
    assert amari_index(np.eye(len(product)), product) == pytest.approx(case["index"], abs=1e-15)


def test_order_signs_and_levels_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    mixing, demixing = rng.standard_normal((2, 4, 4))
    expected = amari_index(demixing, mixing)
    assert 0 < expected < 1
    assert amari_index(np.eye(4)[[2, 0, 3, 1]] @ demixing, mixing) == pytest.approx(expected, abs=1e-12)
    assert amari_index(demixing * 1e-300, mixing * 1e300) == pytest.approx(expected, abs=1e-12)
    # Of a demixing that is not perfect, the levels of the outputs do: columns compare them.
    assert amari_index(np.diag([1, -3, 1, 7]) @ demixing, mixing) != pytest.approx(expected, abs=1e-3)
    perfect = np.linalg.inv(mixing)
    assert amari_index(np.diag([1e-3, -3.0, 1e3, 7.0]) @ perfect, mixing) == pytest.approx(0, abs=1e-9)


def test_matrices_may_be_complex_and_not_square() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))
    assert amari_index(np.linalg.pinv(mixing), mixing) == pytest.approx(0, abs=1e-12)
    assert amari_index(mixing.conj().T, mixing) > 0.1


@pytest.mark.parametrize(
    ("demixing", "mixing", "name"),
    [
        (np.eye(3), np.eye(2), "demixing"),
        (np.ones((2, 3)), np.ones((3, 3)), "demixing"),
        (np.eye(1), np.eye(1), "mixing"),
        (np.eye(2), np.array([[1.0, np.nan], [0, 1]]), "mixing"),
        (np.array([[1.0, 0], [1, 0]]), np.eye(2), "demixing"),
        (np.zeros((2, 2)), np.eye(2), "demixing"),
        (np.ones(4), np.eye(2), "demixing"),
        (np.array([["a", "b"], ["c", "d"]]), np.eye(2), "demixing"),
        (np.eye(2), np.zeros((2, 0)), "mixing"),
    ],
)
def test_what_has_no_index_is_refused(demixing: Any, mixing: Any, name: str) -> None:
    with pytest.raises(InputError) as error:
        amari_index(demixing, mixing)
    assert error.value.name == name
