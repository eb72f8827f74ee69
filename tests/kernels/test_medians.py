"""Running medians against explicit windows and scipy: to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep.kernels import generic

cpu = pytest.importorskip("dspsep.kernels.cpu")
simd = pytest.importorskip("dspsep.kernels.simd")
KERNELS = {"generic": generic, "cpu": cpu, "simd": simd}


def along_time(values, length):
    """Take the median of explicit windows of numpy's ``symmetric`` padding."""
    half = length // 2
    padded = np.pad(values, ((0, 0), (half, half), (0, 0)), mode="symmetric")
    windows = [padded[:, start : start + length] for start in range(values.shape[1])]
    return np.stack([np.median(window, axis=1) for window in windows], axis=1)


def oracle(values, length, name):
    if name == "median_over_time":
        return along_time(values, length)
    return along_time(values.transpose(0, 2, 1), length).transpose(0, 2, 1)


def random_values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    # A few levels only, so that ties are common; and what magnitudes have: zeros, tiny and large ones.
    values = rng.choice([0.0, 0.5, 1.0, 1e-30, 3e8], size=shape)
    return np.where(rng.uniform(size=shape) < 0.5, values, rng.exponential(size=shape)).astype(dtype)


@pytest.mark.core
@pytest.mark.parametrize("which", KERNELS)
@pytest.mark.parametrize("name", ["median_over_time", "median_over_frequency"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ((1, 1, 1), 1),
        ((1, 1, 1), 31),
        ((1, 1, 9), 5),
        ((1, 9, 1), 5),
        ((1, 2, 3), 31),  # windows many times longer than the array: mirrored over and over
        ((2, 4, 5), 9),
        ((1, 30, 70), 1),
        ((1, 30, 70), 3),
        ((3, 33, 65), 31),
        ((2, 65, 64), 17),
        ((1, 513, 40), 7),
        ((1, 40, 513), 7),
        ((1, 90, 70), 65),  # so long that rows are copied, to spare the cache
        ((1, 90, 257), 129),  # so long that the network is data
        ((1, 9, 70), 129),
    ],
)
def test_medians_are_those_of_explicit_windows(which, name, dtype, shape, length):
    values = random_values(shape, dtype)
    medians = getattr(KERNELS[which], name)(values, length)
    assert medians.dtype == values.dtype
    np.testing.assert_array_equal(medians, oracle(values, length, name))


@pytest.mark.parametrize("which", KERNELS)
@pytest.mark.parametrize("length", [1, 3, 17, 31])
def test_medians_are_scipys(which, length):
    from scipy.ndimage import median_filter

    values = random_values((1, 90, 130), "float32")
    over_time = median_filter(values[0], size=(length, 1), mode="reflect")
    over_frequency = median_filter(values[0], size=(1, length), mode="reflect")
    np.testing.assert_array_equal(KERNELS[which].median_over_time(values, length)[0], over_time)
    np.testing.assert_array_equal(KERNELS[which].median_over_frequency(values, length)[0], over_frequency)


@given(
    st.integers(1, 3), st.integers(1, 24), st.integers(1, 24), st.integers(0, 24),
    st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_medians_of_any_size(n_channels, n_frames, n_freqs, half, dtype, seed):
    values = random_values((n_channels, n_frames, n_freqs), dtype, seed)
    for name in ("median_over_time", "median_over_frequency"):
        expected = oracle(values, 2 * half + 1, name)
        for kernels in KERNELS.values():
            np.testing.assert_array_equal(getattr(kernels, name)(values, 2 * half + 1), expected)


@pytest.mark.core
@pytest.mark.parametrize("which", KERNELS)
def test_known_answers(which):
    row = np.array([[[1.0, 5.0, 2.0, 8.0, 3.0]]])
    # 1 1 5 | 1 5 2 | 5 2 8 | 2 8 3 | 8 3 3
    np.testing.assert_array_equal(KERNELS[which].median_over_frequency(row, 3), [[[1, 2, 5, 3, 3]]])
    column = row.transpose(0, 2, 1)
    np.testing.assert_array_equal(KERNELS[which].median_over_time(column, 3)[0, :, 0], [1, 2, 5, 3, 3])
    np.testing.assert_array_equal(KERNELS[which].median_over_time(row, 3), row)


@pytest.mark.parametrize("kernels", [cpu, simd])
@pytest.mark.parametrize("name", ["median_over_time", "median_over_frequency"])
@pytest.mark.parametrize("shape", [(1, 1100, 70), (1, 70, 1100), (2, 513, 65)])
def test_tiles_meet_without_a_seam(kernels, name, shape):
    # Longer than a tile of 512 in both directions, wider than a group of lanes.
    values = random_values(shape, "float32")
    np.testing.assert_array_equal(getattr(kernels, name)(values, 9), oracle(values, 9, name))


@pytest.mark.parametrize("which", ["cpu", "simd"])
@pytest.mark.parametrize("length", [31, 701, 2049])
def test_medians_do_not_depend_on_where_tiles_end(which, length):
    # Longer than a tile in both directions, and no multiple of it.
    values = np.abs(np.random.default_rng(5).standard_normal((1, 1300, 70)))
    expected = oracle(values, length, "median_over_time")
    np.testing.assert_array_equal(KERNELS[which].median_over_time(values, length), expected)
    turned = np.ascontiguousarray(values.transpose(0, 2, 1))
    found = KERNELS[which].median_over_frequency(turned, length)
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 1))
