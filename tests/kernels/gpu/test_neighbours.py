"""Medians of named frames and peaks of similarity by GPU kernels, on the host."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.kernels import generic
from dspsep.kernels._networks import middle
from dspsep.kernels.gpu import neighbours
from dspsep.kernels.gpu._selection import lines
from dspsep.kernels.gpu.neighbours import LONGEST, median_of_frames
from dspsep.kernels.gpu.similarity import similar_frames
from tests.kernels.gpu.test_medians import run, values_of
from tests.kernels.test_network import elements_where_one_more_decides, middles_of_bits


@pytest.mark.parametrize("n", neighbours._SIZES)
def test_the_lines_of_a_network_are_right_for_zeros_and_ones(n):
    text = lines(middle(n), "load {}".format, "store {} {}".format)
    # Of n, half are ones, or one more or less.
    elements = elements_where_one_more_decides(n + 1, 1, 300)[:n]
    assert run(text, elements) == middles_of_bits(elements, 300)


def test_networks_are_large_enough():
    for most in range(1, LONGEST + 1):
        small, medium, large = neighbours._sizes(most)
        assert small <= medium <= large
        assert most <= large
        assert large <= max(2, 3 * most / 2)


def lists_of(most, n_frames, rng):
    """Return a list for each number of frames up to `most`, those that name none anywhere among them."""
    frames = rng.integers(0, n_frames, (most + 1, most))
    for count, row in enumerate(frames):
        row[rng.permutation(most)[count:]] = -1
    return frames


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize(
    ("dtype", "most", "n_freqs"),
    [("float32", 12, 131), ("float64", 3, 5), ("float32", 40, 9), ("float32", 130, 2), ("float64", 130, 2)],
)
def test_medians_of_frames_equal_generic(dtype, most, n_freqs):
    rng = np.random.default_rng(0)
    values = values_of((2, 50, n_freqs), dtype)
    frames = lists_of(most, 50, rng)
    with np.errstate(invalid="ignore", over="ignore"):  # means that are not used
        expected = generic.median_of_frames(values, frames)
    found = median_of_frames(values, frames)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, expected)
    assert not found[:, 0].any()
    np.testing.assert_array_equal(
        median_of_frames(values[:, ::-1], frames[:5]), _reversed(values, frames[:5])
    )


def _reversed(values, frames):
    with np.errstate(invalid="ignore", over="ignore"):
        return generic.median_of_frames(np.ascontiguousarray(values[:, ::-1]), frames)


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("most", [3, 130])
def test_what_is_no_frame_is_none(most):
    values = np.arange(2 * 20 * 5.0).reshape(2, 20, 5)
    frames = np.full((2, most), -1)
    frames[:, 0] = 7
    beyond = frames.copy()
    beyond[:, 1:] = [[21], [-2]]  # the other channel has a frame there
    beyond[0, 2] = 2**32 + 1  # which 32 bits would take for 1
    found = median_of_frames(values, beyond)
    np.testing.assert_array_equal(found, np.stack([values[:, 7]] * 2, axis=1))


@pytest.mark.usefixtures("on_host")
def test_no_lists_no_frames_no_bins():
    values = values_of((2, 5, 20))
    for shape in ((0, 4), (3, 0)):
        found = median_of_frames(values, np.empty(shape, np.int64))
        assert found.shape == (2, shape[0], 20)
        assert not found.any()
    assert median_of_frames(values[:, :, :0], np.zeros((3, 2), np.int64)).shape == (2, 3, 0)
    assert not median_of_frames(values[:, :0], np.full((3, 2), -1)).any()


def similarity_of(n, n_frames, dtype, levels):
    """Return values of a few levels, so that peaks are equal, and zeros of both signs are among them."""
    rng = np.random.default_rng(n_frames)
    values = rng.integers(-levels, levels, (n, n_frames)) / 4
    return np.where(rng.uniform(size=values.shape) < 0.5, values, -values).astype(dtype)


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "n_frames", "threshold", "distance", "most"),
    [
        (3, 60, -9.0, 1, 5),  # more peaks than are asked for, some of them equal
        (2, 60, 0.0, 1, 40),  # fewer
        (1, 60, 0.25, 0, 7),  # each value is a peak
        (2, 300, -9.0, 3, 20),  # more than a block has threads
        (1, 700, -9.0, 0, 300),
        (2, 5, -9.0, 100, 3),
        (2, 1, -9.0, 2, 3),
        (2, 9, 99.0, 2, 3),
        (0, 9, 0.0, 2, 3),
        (2, 9, 0.0, 2, 0),
    ],
)
def test_similar_frames_equal_generic(dtype, n, n_frames, threshold, distance, most):
    for levels in (3, 400):
        similarity = similarity_of(n, n_frames, dtype, levels)
        found = similar_frames(similarity, threshold, distance, most)
        expected = generic.similar_frames(similarity, threshold, distance, most)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("on_host")
def test_peaks_of_a_row_that_is_known():
    row = np.array([[5, 1, 4, 4, 1, 3, 0, 5, 2, 9]], np.float32)
    # 4 4 is a plateau, and none; of the equal 5s the first comes first. The ends have neighbours on one side.
    np.testing.assert_array_equal(similar_frames(row, 3.0, 1, 5), [[9, 0, 7, 5, -1]])
    np.testing.assert_array_equal(similar_frames(row, 3.0, 1, 2), [[9, 0]])
    np.testing.assert_array_equal(similar_frames(row, 3.0, 2, 5), [[9, 0, -1, -1, -1]])
    turned = np.repeat(row, 3, axis=0).T[:, ::2]  # no row of memory is a row of it
    np.testing.assert_array_equal(similar_frames(turned.T, 3.0, 1, 2), [[9, 0]] * 2)
    zeros = np.array([[-0.0, -1, 0.0, -1, -0.0, -1, 0.0, -1]])
    np.testing.assert_array_equal(similar_frames(zeros, -0.5, 1, 3), [[0, 2, 4]])  # equal, whatever the sign
