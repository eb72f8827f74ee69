"""The array expressions that kernels are measured against compute what they are named for."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import expressions
from dspsep import FT2D, REPET, STFT, AdaptiveREPET, REPETExtended, REPETSim, beat_spectrum
from dspsep.kernels import generic


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("name", ["median_image", "median_rows", "median_bottleneck"])
def test_median_expressions_are_medians(name, axis):
    if name == "median_bottleneck":
        pytest.importorskip("bottleneck")
    median = getattr(expressions, name)
    values = np.random.default_rng(0).standard_normal((2, 9, 8)).astype(np.float32)
    padded = np.pad(values, [(2, 2) if each == axis else (0, 0) for each in range(3)], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=axis)
    np.testing.assert_array_equal(median(values, 5, axis), np.median(windows, axis=-1))


def test_the_mask_expression_copes_with_silence_and_extremes():
    values = np.array([3.0, 0.0, 1e30, 0.0], np.float32)
    rival = np.array([1.0, 0.0, 1e30, 2.0], np.float32)
    np.testing.assert_allclose(expressions.soft_mask_squared(values, rival), [0.9, 0.5, 0.5, 0.0], rtol=1e-6)


def test_both_overlap_add_expressions_add_the_same():
    frames = np.random.default_rng(0).standard_normal((7, 16))
    window = np.hanning(16)
    expected = np.zeros(6 * 4 + 16)
    for frame, start in enumerate(range(0, 28, 4)):
        expected[start : start + 16] += frames[frame] * window
    np.testing.assert_allclose(expressions.overlap_add_frames(frames, window, 4), expected, atol=1e-12)
    np.testing.assert_allclose(expressions.overlap_add_blocks(frames, window, 4), expected, atol=1e-12)


def test_the_diffusion_expression_is_the_generic_kernel():
    rng = np.random.default_rng(0)
    whole = rng.exponential(size=(2, 9, 8))
    harmonic = whole * rng.uniform(size=whole.shape)
    expected, _ = generic.diffusion_step(whole, harmonic, 0.3)
    np.testing.assert_allclose(expressions.diffusion_in_place(whole, harmonic, 0.3), expected, atol=1e-12)


def test_robust_pca_parts_what_was_added_up():
    rng = np.random.default_rng(0)
    low = rng.random((60, 2)) @ rng.random((2, 80))
    sparse = (rng.random(low.shape) < 0.05) * 1.0
    found = expressions.rpca_full_svd(low + sparse, np.full((1, 1), 1 / np.sqrt(80)))
    np.testing.assert_allclose(found[0], low, atol=1e-5)
    np.testing.assert_allclose(found[1], sparse, atol=1e-5)
    assert found[2][-1] <= 1e-7 < found[2][-2]


def test_masks_of_the_two_dimensional_transform():
    spectrogram = STFT(128).forward(np.random.default_rng(0).standard_normal(4000), 8000)
    mask = next(FT2D(stft=STFT(128), cutoff_hertz=None).fit(spectrogram).iter_masks(spectrogram))[0]
    spectrum = spectrogram.values[0]
    np.testing.assert_allclose(expressions.ft2d_whole_plane(np.abs(spectrum), (1, 25)), mask, atol=1e-9)
    background, foreground = expressions.ft2d_as_images(spectrum, (1, 25))
    assert 0 <= background.min() < background.max() <= 1
    np.testing.assert_allclose(background + foreground, 1)


SMALL = STFT(128, 64, "hamming")  # a hundred frames a second, and bins enough for a few below the cutoff


@pytest.fixture(scope="module")
def loops():
    """A loop under noise, 13 s of two channels, as spectrogram and as magnitudes (2, 65, 1301)."""
    rng = np.random.default_rng(0)
    loop = np.tile(rng.standard_normal((2, 8320)), 10)  # 1.3 s
    audio = loop + 0.3 * rng.standard_normal(loop.shape)
    spectrogram = SMALL.forward(audio, 6400)
    return spectrogram, np.ascontiguousarray(spectrogram.magnitude())


def test_the_beat_spectrum_by_one_transform(loops):
    np.testing.assert_allclose(expressions.repet_beat_spectrum(loops[1]), beat_spectrum(loops[1]), rtol=1e-9)


@pytest.mark.parametrize("kind", [REPET, REPETExtended, AdaptiveREPET])
def test_shares_of_periods(loops, kind):
    spectrogram, V = loops
    model = kind(stft=SMALL, cutoff_hertz=None).fit(spectrogram)
    seconds = model.period if kind is REPET else model.periods
    periods = np.rint(100 * np.atleast_1d(seconds)).astype(int)
    assert set(periods) == {130}
    if kind is REPET:
        share = expressions.repet_periodic(V, periods[0])
    elif kind is REPETExtended:
        share = expressions.repet_extended(V, model.segments, tuple(periods))
    else:
        nearest = np.searchsorted((model.times[1:] + model.times[:-1]) / 2, spectrogram.times())
        share = expressions.repet_adaptive(V, periods[nearest], model.order)
    np.testing.assert_allclose(share, model.background(spectrogram), atol=1e-12)


@pytest.mark.parametrize("past", [None, 3.0])
def test_shares_of_what_is_alike(loops, past):
    spectrogram, V = loops
    model = REPETSim(stft=SMALL, past_seconds=past, n_neighbors=7).fit(spectrogram)
    if past is None:
        lists = expressions.repet_alike(V, 100, 7)
    else:
        lists = expressions.repet_alike_before(V, 300, 100, 7)
    expected = [found[found >= 0].tolist() for found in np.asarray(model.neighbors)]
    assert [found.tolist() for found in lists] == expected
    np.testing.assert_allclose(expressions.repet_lists(V, lists), model.background(spectrogram), atol=1e-12)
