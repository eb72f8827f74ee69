"""Selection networks as machine code and as data give the same medians."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")
from dspsep.kernels.cpu._jit import kernel
from dspsep.kernels.simd._selection import medians, selection
from dspsep.kernels.simd._vectors import LANES


@kernel
def _run(address, table, values, places, out, n_outputs, n_tiles):
    steps = (0, n_outputs, n_outputs * LANES)
    medians(address, table, values, 0, places, 0, out, 0, LANES, n_tiles, steps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("length", "n_outputs"), [(1, 1), (3, 2), (9, 8), (31, 16), (63, 32)])
def test_machine_code_and_data_are_the_same_network(dtype, length, n_outputs):
    rng = np.random.default_rng(0)
    # More tiles than the data run abreast, and no multiple of them.
    n_tiles = 11
    n_elements = n_tiles * n_outputs + length - 1
    values = rng.choice([-2.0, 0.0, 0.5, 1e-30, 1e30], (n_elements, LANES)).astype(dtype)
    values[::3] = rng.standard_normal(values[::3].shape)
    places = np.arange(n_elements) * LANES
    expected = np.stack([np.median(values[i : i + length], axis=0) for i in range(n_tiles * n_outputs)])
    for compiled in (True, False):
        chosen = selection(length, dtype, n_outputs, compiled)
        out = np.zeros((n_tiles * n_outputs, LANES), dtype)
        _run(chosen.address, chosen.table, values.reshape(-1), places, out.reshape(-1), n_outputs, n_tiles)
        np.testing.assert_array_equal(out, expected)


def test_long_networks_are_data_and_short_ones_are_compiled():
    assert selection(31, "float32", 16).table.size == 1
    assert selection(201, "float32", 64).table.size > 1
    assert selection(5, "float32", 16).n_outputs == 4
