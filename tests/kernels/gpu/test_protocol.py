"""The GPU kernels and the protocol: every kernel there, with the same arguments."""

from __future__ import annotations

import inspect

import pytest

from dspsep.kernels import Kernels, cpu, generic, gpu, kernels_for, simd

NAMES = [name for name in vars(Kernels) if not name.startswith("_")]


@pytest.mark.parametrize("module", [generic, cpu, simd, gpu], ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_equal(name, module):
    expected = list(inspect.signature(getattr(Kernels, name)).parameters.values())[1:]
    found = list(inspect.signature(getattr(module, name)).parameters.values())
    assert [each.name for each in found] == [each.name for each in expected]
    assert [each.default for each in found] == [each.default for each in expected]


def test_arrays_of_cupy_choose_gpu(monkeypatch):
    array = type("ndarray", (), {"__module__": "cupy"})()
    assert kernels_for(array) is gpu
    monkeypatch.setenv("DSPSEP_KERNELS", "generic")
    assert kernels_for(array) is generic
