"""From what a caller calls a mixture to samples, and back in the caller's scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import HPSS, STFT, InputError, _audio
from tests.test_stft import noise


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_samples_are_not_copied(dtype):
    for audio in (noise(10, dtype), noise(10, dtype, 2)):
        assert np.shares_memory(_audio.samples_of("mixture", audio), audio)
        assert np.shares_memory(_audio.mixture_of(audio).samples, audio)


@pytest.mark.core
def test_full_scale():
    for dtype, low, high in (
        ("int8", -1, 127 / 128),
        ("int16", -1, 32767 / 32768),
        ("int32", -1, 1 - 2**-31),
    ):
        limits = np.iinfo(dtype)
        assert _audio.samples_of("x", np.array([limits.min, 0, limits.max], dtype)).tolist() == [low, 0, high]
    for dtype, middle in (("uint8", 128), ("uint16", 32768)):
        assert _audio.samples_of("x", np.array([0, middle], dtype)).tolist() == [-1, 0]


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["int64", "uint64", "uint32"])
def test_integers_that_no_file_holds_are_refused_with_the_remedy(dtype):
    with pytest.raises(InputError, match=r"divide by full scale first"):
        _audio.samples_of("x", np.zeros(3, dtype))


@pytest.mark.core
@given(st.integers(-140, 120), st.sampled_from(["float32", "float64"]), st.sampled_from([None, 2]))
def test_extreme_levels_are_scaled_by_a_power_of_two_and_back(exponent, dtype, n_channels):
    audio = (noise(50, "float64", n_channels) * 2.0**exponent).astype(dtype)
    mixture = _audio.mixture_of(audio)
    assert mixture.samples.ndim == 2
    assert mixture.mono == (n_channels is None)
    assert 2.0**-40 <= mixture.peak <= 2.0**40
    assert mixture.peak == np.abs(mixture.samples).max()
    if -39 <= exponent <= 39:
        assert mixture.exponent == 0
    back = mixture.restore(mixture.samples)
    assert back.shape == audio.shape
    assert back.dtype == audio.dtype
    assert np.array_equal(back, audio)


@pytest.mark.core
def test_silence_is_left_as_it_is():
    mixture = _audio.mixture_of(np.zeros(5))
    assert (mixture.exponent, mixture.peak) == (0, 0)


@pytest.mark.core
def test_the_first_bad_sample_is_named():
    audio = np.zeros((3, 50), np.float32)
    audio[1, 7], audio[2, 3], audio[1, 20] = np.nan, np.inf, -np.inf
    with pytest.raises(InputError, match=r"3 NaN or infinite samples, the first in channel 1 at sample 7"):
        _audio.mixture_of(audio)


@pytest.mark.core
def test_transposed_audio_is_recognised():
    for shape in ((65, 64), (44100, 2), (100, 1)):
        with pytest.raises(InputError, match=r"Channels come first: pass its transpose"):
            _audio.samples_of("x", np.zeros(shape))
    for shape in ((64, 2), (65, 65), (64, 1), (3, 2)):
        assert _audio.samples_of("x", np.zeros(shape)).shape == shape


@pytest.mark.core
def test_channels_are_counted():
    for n_channels, limits in ((1, {"min_channels": 2}), (3, {"max_channels": 2})):
        with pytest.raises(
            InputError, match=rf"^mixture must be audio of at .* 2 channels; got {n_channels}"
        ):
            _audio.mixture_of(np.zeros((n_channels, 9)), **limits)
    with pytest.raises(InputError, match=r"at least 2 channels; got 1"):
        _audio.mixture_of(np.zeros(9), min_channels=2)
    assert _audio.mixture_of(np.zeros((2, 9)), min_channels=2, max_channels=2).samples.shape == (2, 9)


@pytest.mark.core
def test_what_could_overflow_is_refused():
    largest = float(np.finfo(np.float32).max)
    _audio.mixture_of(np.array([largest / 17], np.float32))
    with pytest.raises(InputError, match=r"quieter than a sixteenth"):
        _audio.mixture_of(np.array([largest / 15], np.float32))


def test_extended_precision_beyond_double_is_an_input_error():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is double here")
    with pytest.raises(InputError, match=r"^mixture must be"):
        _audio.mixture_of(np.array([1, np.finfo(np.longdouble).max], np.longdouble))


def test_subclasses_and_sequences_are_taken_as_arrays(tmp_path):
    values = noise(40, "float32")
    values.tofile(tmp_path / "raw")
    expected = HPSS(stft=STFT(16)).separate(values, 8000)
    for audio in (
        np.memmap(tmp_path / "raw", np.float32, "r"),
        np.ma.masked_array(values),
        memoryview(values),
    ):
        sources = HPSS(stft=STFT(16)).separate(audio, 8000)
        for name in sources:
            assert type(sources[name]) is np.ndarray
            assert np.array_equal(sources[name], expected[name])
    for audio in (values.tolist(), tuple(values.tolist()), [values.tolist()] * 2):
        assert HPSS(stft=STFT(16)).separate(audio, 8000).n_samples == 40


def test_masked_samples_are_refused():
    with pytest.raises(
        InputError, match=r"^mixture must be free of masked values; got 1 masked samples.*filled"
    ):
        HPSS().separate(np.ma.masked_array([1.0, 2.0], [True, False]), 8000)


@pytest.mark.core
@pytest.mark.parametrize("exponent", [-100, -41, 0, 41, 100])
def test_sources_carry_the_level_of_the_mixture(exponent):
    audio = noise(900, "float32")
    plain = HPSS(stft=STFT(64)).separate(audio, 8000)
    scaled = HPSS(stft=STFT(64)).separate(audio * np.float32(2.0**exponent), 8000)
    for name in plain:
        np.testing.assert_allclose(scaled[name] / np.float32(2.0**exponent), plain[name], atol=2e-6)
