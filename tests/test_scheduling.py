"""Tests that compile the same kernels go to the same worker."""

from __future__ import annotations

import pytest

from tests.kernels.test_compiled_equals_generic import COMPILED, NAMES
from tests.scheduling import KERNELS, scope_of

COMPARISON = f"{KERNELS}test_compiled_equals_generic.py::test_compiled_equals_generic"


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_compiled_by_one_worker(name):
    assert {scope_of(f"{COMPARISON}[{which}-{name}-float32-one frame]") for which in COMPILED} == {
        f"{KERNELS}{name}"
    }
    assert scope_of(f"{KERNELS}test_compiled_equals_generic.py::test_inputs_are_not_changed[{name}-cpu]") == (
        f"{KERNELS}{name}"
    )


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        (f"{COMPARISON}_2[float32-usual]", f"{COMPARISON}_2"),
        (f"{KERNELS}test_fft.py::test_a", f"{KERNELS}test_fft.py::test_a"),
        (
            "tests/contract/test_contract.py::test_contract[auxiva-gauss-is-a-value]",
            "tests/contract/test_contract.py::test_contract[auxiva",
        ),
        ("tests/test_a.py::test_b[c_d-0]", "tests/test_a.py::test_b"),
        ("dspsep/a.py::dspsep.a", "dspsep/a.py::dspsep.a"),
    ],
)
def test_what_runs_together(nodeid, scope):
    assert scope_of(nodeid) == scope
