"""Ratio masks and hard masks: the formula, its limits, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import InputError
from dspsep.masks import hard_mask, soft_mask
from tests.test_stft import noise

VALUES = st.one_of(st.just(0.0), st.floats(1e-30, 1e30))


@pytest.mark.core
@given(VALUES, VALUES, st.floats(0.05, 20), st.floats(0.1, 20), st.floats(0, 1))
def test_the_formula(own, rival, power, margin, tie):
    (mask,) = soft_mask(np.array([own]), np.array([rival]), power=power, margin=margin, tie=tie)
    if own == rival == 0:
        assert mask == tie
    elif own == 0:
        assert mask == 0
    else:
        with np.errstate(over="ignore"):
            expected = 1 / (1 + np.exp(power * (np.log(margin * rival) - np.log(own)))) if rival else 1
        assert mask == pytest.approx(expected, abs=1e-12 * power)


@pytest.mark.core
@given(VALUES, VALUES, st.floats(0.05, 20))
def test_two_rivals_share_everything(own, rival, power):
    one = soft_mask(np.array([own]), np.array([rival]), power=power)
    other = soft_mask(np.array([rival]), np.array([own]), power=power)
    assert one + other == pytest.approx(1, abs=1e-12)


@pytest.mark.core
@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
def test_masks_do_not_depend_on_the_level(power):
    values, rival = np.abs(noise(50)), np.abs(noise(50, seed=1))
    expected = soft_mask(values, rival, power=power)
    for level in (2.0**-900, 2.0**900):
        assert np.array_equal(soft_mask(values * level, rival * level, power=power), expected)


@pytest.mark.core
def test_a_hard_mask_is_strict():
    values, rival = np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 1, 1])
    assert hard_mask(values, rival).tolist() == [0, 0, 1, 1]
    assert hard_mask(values, rival, margin=2).tolist() == [0, 0, 0, 1]
    assert hard_mask(values, rival, margin=0.5).tolist() == [0, 1, 1, 1]


@pytest.mark.core
@pytest.mark.parametrize("make", [soft_mask, hard_mask])
def test_precision_and_shape_are_those_of_the_values(make):
    for dtype, kept in (
        ("float32", "float32"),
        ("float64", "float64"),
        ("int16", "float64"),
        ("float16", "float64"),
    ):
        mask = make(np.ones((2, 3, 4), dtype), np.ones((2, 3, 4), "float64"))
        assert mask.dtype == kept
        assert mask.shape == (2, 3, 4)
    assert make(np.ones((0, 3)), np.ones((0, 3))).shape == (0, 3)
    assert make([1.0, 2.0], [2.0, 1.0]).tolist() == ([0, 1] if make is hard_mask else [1 / 3, 2 / 3])


@pytest.mark.core
def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"^rival must be of the shape of values, \(2,\); got \(3,\)"):
        soft_mask(np.ones(2), np.ones(3))
    for name, bad in (("power", 0), ("power", np.nan), ("margin", -1), ("margin", "1"), ("tie", -0.1)):
        with pytest.raises(InputError, match=rf"^{name} must be a number"):
            soft_mask(np.ones(2), np.ones(2), **{name: bad})
    with pytest.raises(InputError, match=r"^margin must be a number above 0"):
        hard_mask(np.ones(2), np.ones(2), margin=0)
