"""Errors and warnings: one grammar, a place in the hierarchy, and a way through pickle."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest

from dspsep import BackendError, DspsepError, DspsepWarning, InputError, _checks
from dspsep.errors import warn


@pytest.mark.core
def test_the_grammar():
    assert str(InputError("x", "at least 1", 0)) == "x must be at least 1; got 0."
    assert str(InputError("x", "at least 1", 0, "Use 1.")) == "x must be at least 1; got 0. Use 1."


@pytest.mark.core
def test_the_hierarchy():
    assert issubclass(InputError, DspsepError)
    assert issubclass(InputError, ValueError)
    assert issubclass(BackendError, DspsepError)
    assert issubclass(BackendError, RuntimeError)
    assert issubclass(DspsepWarning, UserWarning)


@pytest.mark.core
@pytest.mark.parametrize("twin", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_they_survive_pickling(twin):
    error = twin(InputError("x", "at least 1", (2, 3), "Use 1."))
    assert (error.name, error.requirement, error.got, error.remedy) == ("x", "at least 1", (2, 3), "Use 1.")
    assert str(error) == "x must be at least 1; got (2, 3). Use 1."
    warning = twin(DspsepWarning("W_X", "seen"))
    assert (warning.code, warning.message, str(warning)) == ("W_X", "seen", "[W_X] seen")
    assert str(twin(BackendError("both"))) == "both"


@pytest.mark.core
def test_warnings_can_be_chosen_by_code():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        warnings.filterwarnings("error", message=r"\[W_RANK\]", category=DspsepWarning)
        warn("W_OTHER", "nothing")
        with pytest.raises(DspsepWarning, match=r"lost"):
            warn("W_RANK", "lost")


@pytest.mark.core
def test_checks_return_plain_values():
    import fractions

    import numpy as np

    for value in (_checks.integer("n", np.int64(3), minimum=1), _checks.sample_rate(np.float32(8000))):
        assert type(value) is int
    assert type(_checks.number("x", np.float32(0.5))) is float
    assert _checks.number("x", fractions.Fraction(1, 2)) == 0.5
    assert _checks.choice("x", "a", ("a", "b")) == "a"


@pytest.mark.core
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _checks.integer("n", 0, minimum=1), "n must be an integer of at least 1; got 0."),
        (lambda: _checks.integer("n", True, minimum=1), "n must be an integer of at least 1; got True."),
        (lambda: _checks.number("x", "1"), "x must be a finite number; got '1'."),
        (lambda: _checks.number("x", float("nan")), "x must be a finite number; got nan."),
        (lambda: _checks.number("x", -1, minimum=0), "x must be a number of at least 0; got -1."),
        (lambda: _checks.number("x", 0, minimum=0, above=True), "x must be a number above 0; got 0."),
        (lambda: _checks.choice("x", "c", ("a", "b")), "x must be one of 'a', 'b'; got 'c'."),
        (lambda: _checks.choice("x", ["a"], ("a", "b")), "x must be one of 'a', 'b'; got ['a']."),
    ],
)
def test_checks_say_what_they_want(call, message):
    with pytest.raises(InputError) as info:
        call()
    assert str(info.value) == message
