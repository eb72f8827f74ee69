"""Spectrograms: their units, their memory, and the masks that fit them."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, InputError, Spectrogram
from tests.test_stft import noise


@pytest.mark.core
def test_a_spectrogram_converts_units():
    spectrogram = STFT(2048, 512).forward(np.zeros((2, 44100)), 44100)
    assert spectrogram.frequencies()[[0, 1, -1]] == pytest.approx([0, 44100 / 2048, 22050])
    assert spectrogram.times()[[0, 1, -1]] == pytest.approx([0, 512 / 44100, 86 * 512 / 44100])
    assert spectrogram.n_frames_in(1.0) == 86
    assert spectrogram.n_frames_in(1e-9) == 1
    assert spectrogram.n_bins_in(500.0) == 23
    assert spectrogram.n_bins_in(1e-9) == 1
    assert (spectrogram.n_channels, spectrogram.n_freqs, spectrogram.n_frames) == spectrogram.values.shape
    assert STFT(5, 1).forward(np.ones(9), 100).frequencies().tolist() == [0, 20, 40]


def test_magnitudes_keep_the_memory_of_frames():
    spectrogram = STFT(64).forward(noise(1000, n_channels=2), 8000)
    magnitude = spectrogram.magnitude()
    assert np.array_equal(magnitude, np.abs(spectrogram.values))
    assert magnitude.transpose(0, 2, 1).flags.c_contiguous
    assert spectrogram.values.transpose(0, 2, 1).flags.c_contiguous


def test_spectrograms_of_the_wrong_shape_are_refused():
    spectrogram = STFT(64).forward(noise(1000), 8000)
    for values in (spectrogram.values[0], spectrogram.values[:, :-1], spectrogram.values[..., :-1]):
        with pytest.raises(
            InputError, match=r"^values must be of shape \(n_channels, 33, 63\) for 1000 samples"
        ):
            spectrogram.with_values(values)


def test_a_mono_spectrogram_has_one_channel():
    # A second channel would be dropped by the inverse without a word.
    spectrogram = STFT(64).forward(noise(1000), 8000)
    with pytest.raises(InputError, match=r"values"):
        spectrogram.with_values(np.concatenate([spectrogram.values] * 2))


def test_a_spectrogram_of_another_transform_is_refused():
    spectrogram = STFT(64).forward(noise(1000), 8000)
    with pytest.raises(InputError, match=r"^spectrogram must be made by this transform"):
        STFT(64, window="hamming").inverse(spectrogram)


def test_masks_fit_or_are_refused():
    stft = STFT(64)
    spectrogram = stft.forward(noise(1000, n_channels=2), 8000)
    _, n_freqs, n_frames = spectrogram.values.shape
    whole = stft.inverse(spectrogram)
    for shape in ((n_freqs, n_frames), (1, n_freqs, n_frames), (2, n_freqs, n_frames)):
        assert np.allclose(stft.inverse(spectrogram, mask=np.full(shape, 0.5, np.float32)), whole / 2)
    assert np.allclose(stft.inverse(spectrogram, mask=np.ones((n_freqs, n_frames), bool)), whole)
    for shape in ((n_frames, n_freqs), (3, n_freqs, n_frames), (n_freqs,), (1, 1, n_freqs, n_frames)):
        with pytest.raises(InputError, match=r"^mask must be of the spectrogram's shape"):
            stft.inverse(spectrogram, mask=np.ones(shape))


def test_masks_of_channels_stay_apart():
    stft = STFT(64)
    spectrogram = stft.forward(noise(1000, n_channels=2), 8000)
    mask = np.zeros(spectrogram.values.shape)
    mask[1] = 1
    masked = stft.inverse(spectrogram, mask=mask)
    assert not masked[0].any()
    assert np.allclose(masked[1], stft.inverse(spectrogram)[1], atol=1e-14)


def test_a_spectrogram_prints_its_facts():
    spectrogram = STFT(64).forward(np.zeros((2, 100)), 8000)
    assert isinstance(spectrogram, Spectrogram)
    assert repr(spectrogram) == (
        "Spectrogram(2 channels, 33 bins, 7 frames; 100 samples at 8000 Hz; "
        "STFT(n_fft=64, hop_length=16, window='hann'))"
    )
