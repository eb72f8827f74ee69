"""The stand-in for a GPU finds what it is there to find."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from dspsep.kernels.gpu._launch import blocks, launch
from tests.kernels.gpu import nvrtc

pytestmark = pytest.mark.usefixtures("on_host")

SUM = """
extern "C" __global__ void row_sums(const float *values, double *sums, int n) {
    __shared__ double parts[64];
    double own = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) own += values[(long long)blockIdx.x * n + i];
    parts[threadIdx.x] = own;
    for (int half = 32; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}
"""
SHUFFLED = """
extern "C" __global__ void warp_sums(const float *values, float *sums) {
    float own = values[blockIdx.x * 64 + threadIdx.x];
    for (int half = 16; half > 0; half /= 2) own += __shfl_xor_sync(0xffffffffu, own, half);
    if (threadIdx.x % 32 == 0) sums[blockIdx.x * 2 + threadIdx.x / 32] = own;
}
"""


def test_threads_meet():
    values = np.arange(5 * 130, dtype=np.float32).reshape(5, 130)
    sums = np.empty(5)
    launch(SUM, "row_sums", (5,), (64,), values, sums, np.int32(130))
    np.testing.assert_array_equal(sums, values.sum(axis=1))


def test_lanes_exchange():
    values = np.arange(3 * 64, dtype=np.float32)
    sums = np.empty((3, 2), np.float32)
    launch(SHUFFLED, "warp_sums", (3,), (64,), values, sums)
    np.testing.assert_array_equal(sums, values.reshape(3, 2, 32).sum(axis=2))


def test_no_order_of_threads_is_relied_on():
    race = """
extern "C" __global__ void shifted(const float *x, float *y) {
    __shared__ float own[32];
    own[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    const float next = own[(threadIdx.x + 1) % 32];
    MEETING
    own[threadIdx.x] = 2 * next;
    __syncthreads();
    y[threadIdx.x] = own[threadIdx.x];
}
"""
    x, y = np.arange(32, dtype=np.float32), np.empty(32, np.float32)
    expected = 2 * np.roll(x, -1)
    launch(race.replace("MEETING", "__syncthreads();"), "shifted", (1,), (32,), x, y)
    np.testing.assert_array_equal(y, expected)
    launch(race.replace("MEETING", ""), "shifted", (1,), (32,), x, y)
    assert (y != expected).sum() > 1  # the thread that runs first sees what it should in any order


def kernel(body, name="k"):
    return f'extern "C" __global__ void {name}(const float *x, float *y, int n) {{ {body} }}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("int i = threadIdx.x; y[i] = x[i];", "outside"),
        ("if (threadIdx.x < 3) return; __syncthreads();", "do not come"),
        ("((float *)x)[0] = 7;", "constant"),
    ],
)
def test_what_would_be_wrong_on_a_device_is_found(body, said):
    x = np.ones(5, np.float32)
    with pytest.raises(RuntimeError, match=said):
        launch(kernel(body), "k", (1,), (32,), x, np.empty(5, np.float32), np.int32(5))


def test_types_must_fit():
    x, y = np.ones(5), np.empty(5, np.float32)
    with pytest.raises(AssertionError, match="float64 for const float"):
        launch(kernel(""), "k", (1,), (1,), x, y, np.int32(5))
    with pytest.raises(ValueError, match="C-contiguous"):
        launch(kernel(""), "k", (1,), (1,), np.ones((5, 4), np.float32).T, y, np.int32(5))


def test_sources_must_compile():
    with pytest.raises((subprocess.CalledProcessError, RuntimeError)):
        launch(
            kernel("y[0] = none;"),
            "k",
            (1,),
            (1,),
            np.ones(1, np.float32),
            np.ones(1, np.float32),
            np.int32(1),
        )


@pytest.mark.skipif(nvrtc.library() is None, reason="needs nvidia-cuda-nvrtc-cu12")
def test_the_compiler_of_devices_refuses_what_it_should():
    nvrtc.check(kernel("y[0] = x[0];", "good"))
    with pytest.raises(RuntimeError, match="undefined"):
        nvrtc.check(kernel("y[0] = none;", "bad"))


def test_blocks_cover():
    assert [blocks(n, 32) for n in (0, 1, 32, 33)] == [1, 1, 1, 2]
