"""Transforms, masks, diffusion and products of spectra by GPU kernels, on the host."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.kernels import generic, gpu
from dspsep.kernels.gpu import transforms

pytestmark = pytest.mark.usefixtures("on_host")

SNR = {"float32": 100.0, "float64": 250.0}  # as for the compiled kernels
COMPLEX = {"float32": np.complex64, "float64": np.complex128}


def assert_close(found, expected, dtype):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    noise = np.sum(np.abs(found - expected) ** 2)
    assert noise == 0 or 10 * np.log10(np.sum(np.abs(expected) ** 2) / noise) > SNR[dtype]


def complex_of(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(COMPLEX[dtype])


SIZES = [  # channels, samples, n_fft, hop
    (2, 1000, 64, 16),
    (1, 1, 64, 16),
    (2, 501, 64, 3),
    (2, 700, 63, 13),  # odd, and no multiple of the hop
    (1, 300, 8, 11),  # samples that no frame reaches
    (1, 40, 2, 1),
    (1, 1500, 600, 150),  # frames longer than a block has threads
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at_once", [2**27, 400])
def test_transforms_equal_generic(monkeypatch, dtype, at_once):
    monkeypatch.setattr(transforms, "_VALUES", at_once)
    rng = np.random.default_rng(0)
    for n_channels, n_samples, n_fft, hop_length in SIZES:
        samples = rng.standard_normal((n_channels, n_samples)).astype(dtype)
        window = rng.uniform(0.1, 1, n_fft).astype(dtype)
        weight = rng.uniform(1, 2, n_samples).astype(dtype)
        n_frames = 1 + n_samples // hop_length
        spectra = generic.stft(samples, window, hop_length, n_frames)
        np.testing.assert_array_equal(gpu.stft(samples, window, hop_length, n_frames), spectra)
        masks = [rng.uniform(size=(n, *spectra.shape[1:])).astype(dtype) for n in {1, n_channels}]
        for mask in (None, *masks):
            expected = generic.istft(spectra, mask, window, hop_length, weight)
            assert_close(gpu.istft(spectra, mask, window, hop_length, weight), expected, dtype)


def test_transforms_of_any_layout_and_frames_beyond_the_end():
    samples = np.random.default_rng(0).standard_normal((50, 2)).T
    window, weight = np.hanning(9)[::-1][1:], np.linspace(1, 2, 100)[::2]
    spectra = generic.stft(samples, window, 2, 40)  # the last frames are silent
    np.testing.assert_array_equal(gpu.stft(samples, window, 2, 40), spectra)
    swapped = np.ascontiguousarray(spectra.swapaxes(1, 2)).swapaxes(1, 2)
    assert_close(
        gpu.istft(swapped, None, window, 2, weight),
        generic.istft(spectra, None, window, 2, weight),
        "float64",
    )


def test_frames_are_added_in_their_order_wherever_blocks_begin(monkeypatch):
    spectra, window, weight = (
        complex_of((2, 41, 33), "float32"),
        np.hanning(64).astype("float32"),
        np.ones(320, "f"),
    )
    whole = gpu.istft(spectra, None, window, 8, weight)
    for at_once in (1, 1000, 3000):
        monkeypatch.setattr(transforms, "_VALUES", at_once)
        assert gpu.istft(spectra, None, window, 8, weight).tobytes() == whole.tobytes()


def test_blocks_of_the_inverse_are_bounded(monkeypatch):
    longest, irfft = [], np.fft.irfft
    monkeypatch.setattr(
        np.fft, "irfft", lambda part, **how: longest.append(part.shape[1]) or irfft(part, **how)
    )
    monkeypatch.setattr(transforms, "_VALUES", 4000)
    gpu.istft(complex_of((2, 300, 33), "float32"), None, np.ones(64, "f"), 8, np.ones(2392, "f"))
    assert len(longest) > 5
    assert max(longest) * 2 * 64 <= 4000
    longest.clear()
    gpu.istft(complex_of((2, 3, 33), "float32"), None, np.ones(64, "f"), 8, np.ones(2392, "f"))
    assert min(longest) > 0  # cuFFT has no batches of nothing


@pytest.mark.parametrize(
    ("dtype", "power"), [("float32", 1.0), ("float32", 2.0), ("float32", 3.5), ("float64", 3.5)]
)
def test_masks_equal_generic(dtype, power):
    limits = np.finfo(dtype)
    rng = np.random.default_rng(0)
    levels = [0, limits.smallest_subnormal, limits.tiny, 1e-20, 1, 1.5, 1e20, limits.max / 1e7]
    values, rival = (grid[None].astype(dtype) for grid in np.meshgrid(levels, levels))
    large = rng.exponential(size=(2, 2, 30, 11)).astype(dtype)
    for own, other in ((values, rival), large):
        for margin, tie in ((1.5, 0.5), (1.0, 1.0)):
            expected = generic.soft_mask(own, other, margin, power, tie)
            found = gpu.soft_mask(own, other, margin, power, tie)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, atol=4 * power * limits.eps)


def test_masks_of_any_layout_lie_as_their_values_do():
    values, rival = np.random.default_rng(0).exponential(size=(2, 2, 5, 7))
    expected = generic.soft_mask(values, rival, 1.0, 2.0, 0.5)
    turned = np.ascontiguousarray(values.swapaxes(1, 2)).swapaxes(1, 2)
    for own in (values, turned, np.repeat(values, 2, axis=2)[:, :, ::2], values[:, ::-1][:, ::-1]):
        for other in (rival, np.ascontiguousarray(rival.T).T):
            np.testing.assert_allclose(gpu.soft_mask(own, other, 1.0, 2.0, 0.5), expected, rtol=1e-15)
    assert gpu.soft_mask(turned, rival, 1.0, 2.0, 0.5).strides == turned.strides
    np.testing.assert_allclose(gpu.soft_mask(values[0, 0], rival[0, 0], 1.0, 2.0, 0.5), expected[0, 0])
    assert gpu.soft_mask(values[:, :0], rival[:, :0], 1.0, 2.0, 0.5).shape == (2, 0, 7)


def test_masks_longer_than_a_grid(monkeypatch):
    monkeypatch.setattr("dspsep.kernels.gpu.masks._BLOCKS", 2)
    values, rival = np.random.default_rng(0).exponential(size=(2, 1, 1, 1300))
    expected = generic.soft_mask(values, rival, 1.0, 2.0, 0.5)
    np.testing.assert_allclose(gpu.soft_mask(values, rival, 1.0, 2.0, 0.5), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_diffusion_equals_generic(dtype):
    rng = np.random.default_rng(0)
    for shape in ((2, 70, 131), (1, 1, 1), (1, 1, 9), (1, 9, 1), (3, 33, 2)):
        whole = rng.exponential(size=shape).astype(dtype)
        harmonic = (whole * rng.uniform(size=shape)).astype(dtype)
        found, loss = gpu.diffusion_step(whole, harmonic, 0.3)
        expected, known = generic.diffusion_step(whole, harmonic, 0.3)
        assert_close(found, expected, dtype)
        assert found.min() >= 0
        assert (found <= whole).all()
        assert loss.shape == ()
        assert loss.dtype == np.float64
        exact = 0.3 * np.sum(np.diff(harmonic.astype(float), axis=1) ** 2)
        exact += 0.7 * np.sum(np.diff((whole - harmonic).astype(float), axis=2) ** 2)
        assert abs(loss - exact) <= 4 * np.finfo(dtype).eps * exact
        assert abs(loss - known) <= 4 * np.finfo(dtype).eps * exact


def test_diffusion_of_any_layout_and_of_nothing():
    whole = np.random.default_rng(0).exponential(size=(2, 5, 7))
    expected, _ = generic.diffusion_step(whole, whole / 3, 0.3)
    turned = np.ascontiguousarray(whole.T).T
    np.testing.assert_allclose(gpu.diffusion_step(turned, turned / 3, 0.3)[0], expected, rtol=1e-14)
    following, loss = gpu.diffusion_step(whole[:, :0], whole[:, :0], 0.3)
    assert following.shape == (2, 0, 7)
    assert loss == 0


@pytest.mark.parametrize(
    ("dtype", "n_left", "n_right", "n_blocks", "n_freqs"),
    [("float32", 2, 5, 7, 140), ("float32", 9, 1, 3, 20), ("float64", 1, 2, 1, 3), ("float32", 9, 3, 0, 4)],
)
def test_products_of_spectra_equal_generic(dtype, n_left, n_right, n_blocks, n_freqs):
    left = complex_of((n_left, n_blocks, n_freqs), dtype)
    right = complex_of((n_right, n_blocks, n_freqs), dtype, seed=1)
    assert_close(gpu.cross_spectra(left, right), generic.cross_spectra(left, right), dtype)
    filters = complex_of((n_left, n_right, n_freqs), dtype, seed=2)
    expected = generic.filter_spectra(filters, right)
    assert_close(gpu.filter_spectra(filters, right), expected, dtype)
    swapped = np.ascontiguousarray(filters.swapaxes(0, 2)).swapaxes(0, 2)
    np.testing.assert_array_equal(gpu.filter_spectra(swapped, right), gpu.filter_spectra(filters, right))
    assert gpu.cross_spectra(left[:0], right).shape == (0, n_right, n_freqs)
