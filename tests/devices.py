"""A stand-in for a GPU that is stricter than one: what CuPy would do in silence is an error here.

`array_api_strict` refuses to make NumPy arrays of what lives on its second device, but numbers it gives away:
``float(array)`` and ``if array:`` work there, as they do with CuPy, where each is a transfer to the host that
nobody counts. `hidden_exits_refused` makes them errors. It also refuses what CuPy cannot do: solving systems
whose matrices and right-hand sides are not as many.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

xp = pytest.importorskip("array_api_strict")
DEVICE = xp.Device("device1")

_NUMBERS = ("__bool__", "__int__", "__float__", "__complex__", "__index__")


def on_device(values):
    """Return an array on the device with these values."""
    return xp.asarray(np.ascontiguousarray(values), device=DEVICE)


@contextmanager
def hidden_exits_refused():
    """Let no number of an array on the device become one of Python's except through `_backend.to_host`."""
    kind = type(xp.asarray(0.0))
    with pytest.MonkeyPatch.context() as patch:
        for name in _NUMBERS:
            patch.setattr(kind, name, _refusing(getattr(kind, name), name))
        patch.setattr(xp.linalg, "solve", _solving(xp.linalg.solve))
        yield


def _refusing(method, name):
    def refuse(array):
        if array.device == DEVICE:
            raise AssertionError(f"{name} of an array on the device: use _backend.scalar")
        return method(array)

    return refuse


def _solving(solve):
    def as_cupy(matrices, right):
        assert matrices.shape[:-1] == right.shape[:-1], "CuPy solves stacks of the same shape only"
        return solve(matrices, right)

    return as_cupy
