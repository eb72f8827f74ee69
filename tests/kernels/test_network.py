"""Selection networks: right for zeros and ones, hence for all."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dspsep.kernels._networks import Load, Pair, middle, network

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


def elements_where_one_more_decides(length, n_outputs, n_inputs):
    """Return inputs of zeros and ones of which half of a window, or one more, are ones: what can go wrong."""
    rng, n_elements, inputs = random.Random(0), length + n_outputs - 1, []
    for i in range(n_inputs):
        window = [1] * (length // 2 + i % 2) + [0] * (length - length // 2 - i % 2)
        rng.shuffle(window)
        start = rng.randrange(n_outputs)
        others = [rng.randint(0, 1) for _ in range(n_elements - length)]
        inputs.append(others[:start] + window + others[start:])
    return [sum(inputs[i][e] << i for i in range(n_inputs)) for e in range(n_elements)]


@pytest.mark.parametrize(("length", "n_outputs"), LARGE)
def test_inputs_of_zeros_and_ones_where_one_more_decides(length, n_outputs):
    elements = elements_where_one_more_decides(length, n_outputs, 2000)  # there are too many for all
    expected = medians_of_bits(elements, length, n_outputs, 2000)
    assert outputs_of(network(length, n_outputs), elements) == expected


@pytest.mark.parametrize("n", [2, 4, 6, 10])
def test_the_two_in_the_middle(n):
    elements = [sum((i >> e & 1) << i for i in range(2**n)) for e in range(n)]
    assert outputs_of(middle(n), elements) == middles_of_bits(elements, 2**n)


def middles_of_bits(elements, n_inputs):
    n = len(elements)
    counts = sum(np.array([element >> i & 1 for i in range(n_inputs)]) for element in elements)
    # In order, zeros come first: rank r is a one where there are at least n - r of them.
    least = n // 2 + 1, n // 2
    return [sum(1 << i for i in np.flatnonzero(counts >= some).tolist()) for some in least]


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
