"""Running medians by GPU kernels: their networks, and the kernels on the host."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dspsep.kernels import generic
from dspsep.kernels._networks import network
from dspsep.kernels.gpu import medians
from dspsep.kernels.gpu._selection import lines
from dspsep.kernels.gpu.medians import LONGEST, median_over_frequency, median_over_time, outputs_at_once
from tests.kernels.test_network import elements_where_one_more_decides, medians_of_bits

NAMES = ["median_over_time", "median_over_frequency"]
STEP = re.compile(r"const REAL (\w+) = (MINIMUM|MAXIMUM)\((\w+), (\w+)\);")


def values_of(shape, dtype="float32", seed=0):
    """Return values of both signs, many of them equal: zeros of both signs, infinities, what overflows."""
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, -0.0, 0.5, -3.0, 1e-42, 3e38, np.inf, -np.inf], size=shape)
    return np.where(rng.uniform(size=shape) < 0.5, values, rng.standard_normal(shape)).astype(dtype)


def run(text, elements):
    """Run the lines of a network on integers whose bits are inputs: min is and, max is or."""
    values, outputs = {}, {}
    for line in text.splitlines():
        if step := STEP.fullmatch(line):
            a, b = values[step[3]], values[step[4]]
            values[step[1]] = a & b if step[2] == "MINIMUM" else a | b
        elif load := re.fullmatch(r"const REAL (\w+) = load (\d+);", line):
            values[load[1]] = elements[int(load[2])]
        else:
            store = re.fullmatch(r"store (\d+) (\w+)", line)
            outputs[int(store[1])] = values[store[2]]
    return [outputs[j] for j in range(len(outputs))]


@pytest.mark.parametrize("length", [*range(1, 65, 2), 65, 79, 101, LONGEST])
def test_the_lines_of_a_network_are_right_for_zeros_and_ones(length):
    n_outputs, n_inputs = outputs_at_once(length), 300
    text = lines(network(length, n_outputs), "load {}".format, "store {} {}".format)
    elements = elements_where_one_more_decides(length, n_outputs, n_inputs)
    assert run(text, elements) == medians_of_bits(elements, length, n_outputs, n_inputs)


@pytest.mark.parametrize("itemsize", [4, 8])
def test_blocks_over_bins_fit_into_shared_memory(itemsize):
    for length in range(1, LONGEST + 1, 2):
        n_warps = medians._warps(length, itemsize)
        pitch = medians._pitch(length, n_warps)
        assert n_warps >= 1
        assert pitch % 2 == 1  # 32 rows begin in 32 banks
        assert pitch >= n_warps * outputs_at_once(length) + length - 1
        assert 32 * pitch * itemsize <= 48 * 1024


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("dtype", "length", "shapes"),
    [
        ("float32", 1, [(1, 1, 1), (2, 3, 5)]),
        # Edges mirrored to the last; several blocks, none of them full, over bins and frames and channels.
        ("float32", 9, [(1, 4, 4), (2, 7, 131), (3, 33, 66), (1, 67, 9)]),
        ("float64", 9, [(2, 37, 131)]),
        ("float32", 31, [(1, 50, 60)]),
        ("float32", 65, [(1, 33, 130), (1, 70, 33)]),  # more outputs at once, fewer warps
    ],
)
def test_networks_equal_generic(name, dtype, length, shapes):
    for shape in shapes:
        values = values_of(shape, dtype)
        found = getattr(medians, name)(values, length)
        assert found.dtype == values.dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, getattr(generic, name)(values, length))


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ((2, 70, 3), 129),  # longer than any network; more than a run of outputs
        ((1, 140, 2), 131),
        ((1, 3, 2), 31),  # mirrored over and over
        ((1, 1, 1), 201),
        ((1, 2, 131), 9),
    ],
)
def test_windows_that_slide_equal_generic(dtype, shape, length):
    few = np.random.default_rng(1).integers(-3, 4, shape).astype(dtype)  # the median has equals, often
    for values in (values_of(shape, dtype), few):
        turned = np.ascontiguousarray(values.swapaxes(1, 2))
        expected = generic.median_over_time(values, length)
        np.testing.assert_array_equal(median_over_time(values, length), expected)
        found = median_over_frequency(turned, length)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found.swapaxes(1, 2), expected)


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("name", NAMES)
def test_any_layout_and_no_values_at_all(name):
    values = values_of((2, 9, 40)).swapaxes(1, 2)
    before = values.copy()
    found = getattr(medians, name)(values, 9)
    np.testing.assert_array_equal(found, getattr(generic, name)(values, 9))
    np.testing.assert_array_equal(values, before)
    for shape in ((0, 4, 5), (1, 0, 5), (1, 4, 0)):
        for length in (3, 201):
            assert getattr(medians, name)(np.empty(shape, np.float32), length).shape == shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, -3, 4])
def test_lengths_that_are_none_are_refused(name, length):
    with pytest.raises(ValueError, match="odd"):
        getattr(medians, name)(np.ones((1, 4, 5), np.float32), length)
