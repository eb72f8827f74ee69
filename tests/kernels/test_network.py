"""Selection networks: right for zeros and ones, hence for all; and the same as machine code and as data."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("numba")
from dspsep.kernels.cpu._jit import kernel
from dspsep.kernels._networks import Load, Pair, network
from dspsep.kernels.simd._selection import medians, selection
from dspsep.kernels.simd._vectors import LANES

SIZES = [(1, 1), (3, 1), (3, 2), (5, 4), (7, 7), (9, 8), (11, 3), (13, 4)]
LARGE = [(17, 16), (31, 16), (63, 32), (101, 64), (129, 16)]


def outputs_of(built, elements):
    """Run a network on integers whose bits are as many inputs of zeros and ones: min is and, max is or."""
    values, outputs = {}, {}
    for step in built.steps:
        if isinstance(step, Load):
            values[step.value] = elements[step.element]
        elif isinstance(step, Pair):
            if step.low is not None:
                values[step.low] = values[step.a] & values[step.b]
            if step.high is not None:
                values[step.high] = values[step.a] | values[step.b]
        else:
            outputs[step.output] = values[step.value]
    return [outputs[i] for i in range(built.n_outputs)]


def medians_of_bits(elements, length, n_outputs, n_inputs):
    bits = np.array([[element >> i & 1 for i in range(n_inputs)] for element in elements])
    counts = np.array([bits[start : start + length].sum(axis=0) for start in range(n_outputs)])
    return [sum(1 << i for i in np.flatnonzero(row > length // 2).tolist()) for row in counts]


@pytest.mark.parametrize(  # of plain integers, the same on every version: of the large ones one run is enough
    ("length", "n_outputs"), [pytest.param(*size, marks=pytest.mark.core) for size in SIZES[:4]] + SIZES[4:]
)
def test_all_inputs_of_zeros_and_ones(length, n_outputs):
    n_elements = length + n_outputs - 1
    # Bit i of element e is bit e of i.
    elements = [sum((i >> e & 1) << i for i in range(2**n_elements)) for e in range(n_elements)]
    expected = medians_of_bits(elements, length, n_outputs, 2**n_elements)
    assert outputs_of(network(length, n_outputs), elements) == expected


@pytest.mark.parametrize(("length", "n_outputs"), LARGE)
def test_inputs_of_zeros_and_ones_where_one_more_decides(length, n_outputs):
    # There are too many for all. What can go wrong shows where half of a window, or one more, are ones.
    rng, n_elements, inputs = random.Random(0), length + n_outputs - 1, []
    for i in range(2000):
        window = [1] * (length // 2 + i % 2) + [0] * (length - length // 2 - i % 2)
        rng.shuffle(window)
        start = rng.randrange(n_outputs)
        others = [rng.randint(0, 1) for _ in range(n_elements - length)]
        inputs.append(others[:start] + window + others[start:])
    elements = [sum(inputs[i][e] << i for i in range(len(inputs))) for e in range(n_elements)]
    expected = medians_of_bits(elements, length, n_outputs, len(inputs))
    assert outputs_of(network(length, n_outputs), elements) == expected


@pytest.mark.core
@pytest.mark.parametrize(("length", "n_outputs"), [*SIZES, *LARGE])
def test_nothing_is_done_twice_or_in_vain(length, n_outputs):
    steps = network(length, n_outputs).steps
    loads = [step.element for step in steps if isinstance(step, Load)]
    assert sorted(loads) == list(range(length + n_outputs - 1))
    pairs = [frozenset((step.a, step.b)) for step in steps if isinstance(step, Pair)]
    assert len(pairs) == len(set(pairs))


def test_neighbours_share_their_work():
    one, many = network(31, 1), network(31, 16)
    assert many.n_comparisons / 16 < one.n_comparisons / 8
    assert many.n_comparisons == 518  # as the documentation says


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
