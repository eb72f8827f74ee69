"""Medians of frames that are named, against NumPy's, and what they do not read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dspsep.kernels import generic
from tests.kernels.test_medians import random_values

cpu = pytest.importorskip("dspsep.kernels.cpu")
simd = pytest.importorskip("dspsep.kernels.simd")
KERNELS = {"generic": generic, "cpu": cpu, "simd": simd}


def oracle(values, frames):
    """Return NumPy's medians of explicit lists, in double precision."""
    result = np.zeros((values.shape[0], frames.shape[0], values.shape[2]))
    for row, listed in enumerate(frames):
        named = listed[listed >= 0]
        if named.size:
            result[:, row] = np.median(values[:, named].astype(np.float64), axis=1)
    return result


@pytest.mark.core
@settings(deadline=None, max_examples=60)
@given(
    n_channels=st.integers(1, 2),
    n_frames=st.integers(1, 40),
    n_freqs=st.sampled_from([1, 7, 15, 16, 17, 33, 64, 65, 129]),
    n=st.integers(1, 70),
    most=st.integers(1, 140),
    absent=st.sampled_from([0.0, 0.3, 0.97]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
@example(1, 3, 64, 5, 2, 0.0, "float32", 0)
def test_medians_are_numpys(n_channels, n_frames, n_freqs, n, most, absent, dtype, seed):
    rng = np.random.default_rng(seed)
    values = random_values((n_channels, n_frames, n_freqs), dtype, seed)
    frames = rng.integers(0, n_frames, (n, most))
    frames[rng.uniform(size=frames.shape) < absent] = -1
    expected = oracle(values, frames)
    for which, kernels in KERNELS.items():
        found = kernels.median_of_frames(values, frames)
        assert found.dtype == values.dtype, which
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-15, err_msg=which)


@pytest.mark.core
@pytest.mark.parametrize("which", KERNELS)
def test_no_frames_have_no_median(which):
    values = random_values((2, 5, 20), "float32")
    none = KERNELS[which].median_of_frames(values, np.full((3, 4), -1))
    assert none.shape == (2, 3, 20)
    assert not none.any()
    assert KERNELS[which].median_of_frames(values, np.empty((0, 4), int)).shape == (2, 0, 20)
    assert not KERNELS[which].median_of_frames(values, np.empty((3, 0), int)).any()


@pytest.mark.parametrize("which", ["cpu", "simd"])
@pytest.mark.parametrize("wrong", [-2, 5])
def test_frames_that_are_not_there_are_refused(which, wrong):
    with pytest.raises(ValueError, match="frames must be from 0"):
        KERNELS[which].median_of_frames(random_values((1, 5, 20), "float32"), np.array([[0, wrong]]))


def test_networks_are_reused_for_all_numbers_of_frames():
    from dspsep.kernels.simd import neighbours

    values = random_values((1, 300, 32), "float32")
    for count in range(1, 131):
        frames = np.random.default_rng(count).permutation(300)[None, :count]
        np.testing.assert_allclose(
            simd.median_of_frames(values, frames), oracle(values, frames), rtol=1e-6, err_msg=str(count)
        )
    assert len(neighbours._LENGTHS) < 20
