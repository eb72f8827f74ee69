"""FFTs of frames side by side against NumPy's in double precision."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")
from dspsep.kernels.cpu._jit import kernel
from dspsep.kernels.simd._fft import complex_fft, has_fft, inverse_window, to_half, to_spectrum, twiddles
from dspsep.kernels.simd._vectors import LANES

SIZES = [2**k for k in range(1, 17) if has_fft(2**k)]


@kernel
def _there_and_back(z, y, factors, half, spectrum, out):
    n = z.size // (2 * LANES)
    to_spectrum(complex_fft(z, y, factors, n), half, n, spectrum)
    to_half(spectrum, half, n, z)
    result = complex_fft(z, y, factors, n)
    for i in range(out.size):
        out[i] = result[i]


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_fft", SIZES)
def test_forward_and_inverse(n_fft, dtype):
    frames = np.random.default_rng(n_fft).standard_normal((n_fft, LANES)).astype(dtype)
    spectrum, out = np.zeros((n_fft // 2 + 1, 2, LANES), dtype), np.zeros((n_fft, LANES), dtype)
    z = frames.copy().reshape(-1)
    _there_and_back(z, np.empty_like(z), *twiddles(n_fft, dtype), spectrum.reshape(-1), out.reshape(-1))
    expected = np.fft.rfft(frames.astype("float64"), axis=0)
    found = spectrum[:, 0] + 1j * spectrum[:, 1].astype("float64")
    # Errors of a fast transform grow with the number of its steps.
    tolerance = np.finfo(dtype).eps * np.log2(n_fft)
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
    restored = out * inverse_window(np.ones(n_fft, dtype))[:, None]
    assert np.abs(restored - frames).max() <= 2 * tolerance * np.abs(frames).max()


@pytest.mark.core
def test_which_lengths_there_are():
    assert has_fft(2 * LANES)
    assert has_fft(2048)
    assert not any(map(has_fft, (0, 1, LANES, 2000, 2047, 3 * 512, 2**16)))
