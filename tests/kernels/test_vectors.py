"""The vectors: every operation against NumPy, on this machine and as others would compile it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
from dspsep.kernels.cpu._jit import kernel
from dspsep.kernels.simd import _vectors as v

ROOT = Path(__file__).resolve().parents[2]
L = v.LANES
DTYPES = ["float32", "float64"]


@kernel
def _arithmetic(a, b, out):
    x, y = v.load(a, 1), v.load(b, 2)
    for i, value in enumerate((x + y, x - y, x * y, x / y, v.minimum(x, y), v.maximum(x, y))):
        v.store(out, i * L, value)
    v.store(out, 6 * L, v.square_root(y))
    v.store(out, 7 * L, v.splat(a[3]))


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(L + 5).astype(dtype), rng.exponential(size=L + 5).astype(dtype)
    out = np.zeros((8, L), dtype)
    _arithmetic(a, b, out.reshape(-1))
    x, y = a[1 : L + 1], b[2 : L + 2]
    expected = [x + y, x - y, x * y, x / y, np.minimum(x, y), np.maximum(x, y), np.sqrt(y), np.full(L, a[3])]
    np.testing.assert_allclose(out, expected, rtol=2 * np.finfo(dtype).eps)


@kernel
def _choices(a, b, out):
    x, y = v.load(a, 0), v.load(b, 0)
    v.store(out, 0, v.where_less(x, y, x + y, x * y))


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
def test_choices(dtype):
    a = np.resize(np.array([1.0, np.nan, -2.0, 3.0], dtype), L)
    b = np.resize(np.array([1.0, 1.999, 1e-9, 1e9, 0.3], dtype), L)
    out = np.zeros(L, dtype)
    _choices(a, b, out)
    np.testing.assert_array_equal(out, np.where(a < b, a + b, a * b))


@kernel
def _blocks(values, scale, turned, rows, added):
    block = v.load_rows(values, 3, L + 1)
    v.store_rows(turned, 0, L, v.transpose(block))
    v.store_rows(rows, 1, L + 2, block * v.load(scale, 0))
    v.add_rows(added, 0, 2, block)


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks(dtype):
    rng = np.random.default_rng(1)
    values, scale = rng.standard_normal(3 + L * (L + 1)).astype(dtype), rng.standard_normal(L).astype(dtype)
    turned, rows = np.zeros((L, L), dtype), np.zeros(1 + L * (L + 2), dtype)
    added = np.ones(3 * L, dtype)
    block = values[3:].reshape(L, L + 1)[:, :L]
    expected = added.copy()
    for row in range(L):  # rows overlap
        expected[2 * row : 2 * row + L] += block[row]
    _blocks(values, scale, turned.reshape(-1), rows, added)
    np.testing.assert_array_equal(turned, block.T)
    np.testing.assert_array_equal(rows[1:].reshape(L, L + 2)[:, :L], block * scale)
    assert not rows[1:].reshape(L, L + 2)[:, L:].any()
    np.testing.assert_allclose(added, expected, rtol=4 * np.finfo(dtype).eps)


@kernel
def _sorted(a, b, low, high):
    x, y = v.load(a, 0), v.load(b, 0)
    v.store(low, 0, v.minimum(x, y))
    v.store(high, 0, v.maximum(x, y))


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_moved_and_never_lost(dtype):
    numbers = np.array([np.nan, 1.0, -np.inf, np.inf], dtype)
    first, second = np.resize(numbers, L), np.resize(np.roll(numbers, 1), L)
    low, high = np.zeros(L, dtype), np.zeros(L, dtype)
    _sorted(first, second, low, high)
    for lane in range(L):
        before, after = sorted([first[lane], second[lane]], key=str), sorted([low[lane], high[lane]], key=str)
        np.testing.assert_array_equal(before, after)


@pytest.mark.core
def test_lanes_are_those_of_a_register_of_single_precision():
    assert v.lanes_for("+sse4.2,-avx,-avx512f") == 4
    assert v.lanes_for("+neon") == 4
    assert v.lanes_for("+avx,+avx2,-avx512f") == 8
    assert v.lanes_for("+avx,+avx2,+avx512f") == 16
    assert v.works()


HPSS = """
    import numpy as np, os, dspsep
    from dspsep.kernels import level_for
    from dspsep.kernels.simd import _vectors
    assert level_for() == "simd"
    x = np.random.default_rng(0).standard_normal((2, 9000)).astype("float32")
    # Short medians: their networks are compiled here, and longer ones are made of the same operations.
    hpss = dspsep.HPSS(stft=dspsep.STFT(128), margin=(1.0, 1.5), harmonic_frames=17, percussive_bins=9)
    here = hpss.separate(x, 8000)
    os.environ["DSPSEP_KERNELS"] = REFERENCE
    there = hpss.separate(x, 8000)
    for name in here:
        assert np.abs(here[name] - there[name]).max() < 5e-6 * np.abs(x).max()
    print(_vectors.LANES)
"""
AS_IF = """
    import numba.core.codegen as codegen
    real, codegen.get_host_cpu_features = codegen.get_host_cpu_features, lambda: "{}"
    import dspsep.kernels.simd._vectors
    codegen.get_host_cpu_features = real
"""


@pytest.mark.parametrize(
    ("environment", "before", "lanes", "reference"),
    [
        ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "", 4, "cpu"),  # no AVX
        # Here the plain kernels are those of all other tests.
        ({}, AS_IF.format("+avx"), 8, "generic"),
        ({}, AS_IF.format("+avx512f"), 16, "generic"),  # in the registers that there are
    ],
)
def test_other_widths_give_the_same(environment, before, lanes, reference, tmp_path):
    program = textwrap.dedent(before) + textwrap.dedent(HPSS).replace("REFERENCE", repr(reference))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "DSPSEP_KERNELS": "simd", **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(lanes)]
