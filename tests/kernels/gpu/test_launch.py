"""What is asked of CuPy to run a kernel, with a CuPy that is acted."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from dspsep import BackendError
from dspsep.kernels.gpu import _launch
from tests.kernels.gpu.conftest import there_and_back


class Array:
    """An array of a device."""

    flags = types.SimpleNamespace(c_contiguous=True)

    def __init__(self, values, device=0):
        self.values, self.device = np.array(values), types.SimpleNamespace(id=device)


@pytest.fixture
def calls(monkeypatch):
    """Return what kernels are called with: each doubles its only array."""
    found = []

    def raw_kernel(source, name, options):
        def kernel(grid, block, arguments):
            found.append((source, name, options, grid, block, [type(each) for each in arguments]))
            arguments[0].values *= 2

        return kernel

    cupy = types.ModuleType("cupy")
    cupy.RawKernel = raw_kernel
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDevice=lambda: 0))
    cupy.asarray = Array
    cupy.asnumpy = lambda array: array.values
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled = _launch._compiled
    compiled.cache_clear()
    yield found
    compiled.cache_clear()


def test_a_kernel_is_called_with_grid_block_and_arguments(calls):
    array = Array([0.0, 1.0, 2.0])
    _launch.launch("text", "double", (2,), (32,), array, np.int32(3))
    assert calls == [("text", "double", ("--std=c++14",), (2,), (32,), [Array, np.int32])]
    np.testing.assert_array_equal(array.values, [0, 2, 4])


def test_arrays_of_another_device_are_refused(calls):
    array = Array([0.0, 1.0, 2.0], device=1)
    with pytest.raises(BackendError, match=r"device 1, and device 0 is current.*with array\.device"):
        _launch.launch("text", "double", (2,), (32,), array, np.int32(3))
    assert not calls


def test_arrays_of_the_host_go_there_and_back(calls, monkeypatch):
    monkeypatch.setattr(_launch, "_compiled", there_and_back(_launch._compiled))
    array = np.arange(3.0)
    _launch.launch("text", "double", (2,), (32,), array, np.int32(3))
    assert calls[0][-1] == [Array, np.int32]
    np.testing.assert_array_equal(array, [0, 2, 4])
