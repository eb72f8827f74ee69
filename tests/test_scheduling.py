"""Tests that compile the same kernels go to the same worker."""

from __future__ import annotations

import pytest

from tests.kernels.test_compiled_equals_generic import COMPILED, NAMES
from tests.scheduling import KERNELS, scope_of

COMPARISON = f"{KERNELS}test_compiled_equals_generic.py::test_compiled_equals_generic"


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_compiled_by_one_worker(name):
    scopes = {scope_of(f"{COMPARISON}[{which}-{name}-float32-one frame]") for which in COMPILED}
    scopes.add(scope_of(f"{KERNELS}test_compiled_equals_generic.py::test_inputs_are_not_changed[{name}-cpu]"))
    assert len(scopes) == 1
    assert "test_" not in scopes.pop()  # not all kernels together


def test_kernels_of_one_piece_are_compiled_by_one_worker():
    medians, factors = (
        {scope_of(f"{COMPARISON}[cpu-{name}-float32-odd]") for name in names}
        for names in (("median_over_time", "median_over_frequency"), ("activation_terms", "template_terms"))
    )
    assert len(medians) == len(factors) == 1
    assert medians != factors


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        (f"{COMPARISON}_2[float32-usual]", f"{COMPARISON}_2"),
        (f"{KERNELS}test_fft.py::test_a", f"{KERNELS}test_fft.py::test_a"),
        (
            "tests/contract/test_contract.py::test_contract[auxiva-gauss-is-a-value]",
            "tests/contract/test_contract.py::test_contract[auxiva",
        ),
        (
            "tests/contract/test_contract.py::test_contract[two-stage-is-a-value]",
            "tests/contract/test_contract.py::test_contract[hpss",
        ),
        ("tests/test_a.py::test_b[c_d-0]", "tests/test_a.py::test_b"),
        ("dspsep/a.py::dspsep.a", "dspsep/a.py::dspsep.a"),
    ],
)
def test_what_runs_together(nodeid, scope):
    assert scope_of(nodeid) == scope
