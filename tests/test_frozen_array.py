"""Arrays that can be settings: read-only, compared and hashed by content."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from dspsep import FrozenArray, InputError


@pytest.mark.core
def test_frozen_arrays_are_compared_by_content():
    values = np.arange(6.0).reshape(2, 3)
    frozen = FrozenArray(values)
    values[:] = 0
    assert np.asarray(frozen).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert frozen == FrozenArray(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert hash(frozen) == hash(FrozenArray(frozen))
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    for other in (
        np.arange(6.0),
        np.arange(6.0).reshape(3, 2),
        np.arange(6).reshape(2, 3),
        [[0, 1, 2], [3, 4, 5.5]],
    ):
        assert frozen != FrozenArray(other)
    assert frozen != [[0, 1, 2], [3, 4, 5]]
    assert len(frozen) == 2
    assert eval(repr(frozen)) == frozen
    assert len(repr(FrozenArray(np.ones(1000)))) < 80


@pytest.mark.core
def test_frozen_arrays_cannot_be_changed():
    frozen = FrozenArray([1.0, 2.0])
    for view in (frozen.values, np.asarray(frozen)):
        with pytest.raises(ValueError, match=r"read-only"):
            view[0] = 5
    copied = np.array(frozen)
    copied[0] = 5
    assert np.asarray(frozen)[0] == 1
    assert np.asarray(frozen, np.float32).dtype == np.float32


@pytest.mark.parametrize("values", [["a"], [None], None, [True], [[1], [1, 2]]], ids=repr)
def test_frozen_arrays_hold_numbers_only(values):
    with pytest.raises(InputError, match=r"^values must be"):
        FrozenArray(values)
