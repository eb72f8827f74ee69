"""The transform against independent ones: librosa, scipy, the definition, and least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import STFT
from dspsep.stft import Spectrogram
from tests.cases import case_names, real_case
from tests.test_stft import noise

SMALL = [
    (8, 2, "hann"),
    (9, 2, "hann"),
    (7, 3, "hamming"),
    (16, 8, "hann"),
    (6, 6, "boxcar"),
    (12, 5, ("kaiser", 5.0)),
]


def by_definition(audio, stft):
    """Sum the docstring's formula term by term."""
    from scipy.signal import get_window

    n_fft, hop_length = stft.n_fft, stft.hop_length
    window = get_window(stft.window, n_fft)
    spectrum = np.zeros((n_fft // 2 + 1, stft.n_frames(audio.size)), complex)
    for t in range(spectrum.shape[1]):
        for n in range(n_fft):
            position = t * hop_length + n - n_fft // 2
            if 0 <= position < audio.size:
                turn = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) * n / n_fft)
                spectrum[:, t] += window[n] * audio[position] * turn
    return spectrum


def weight_of(stft, n_samples):
    """Sum the squared window over frames, sample by sample."""
    from scipy.signal import get_window

    square = get_window(stft.window, stft.n_fft) ** 2
    weight = np.zeros(n_samples)
    for t in range(stft.n_frames(n_samples)):
        for n in range(stft.n_fft):
            position = t * stft.hop_length + n - stft.n_fft // 2
            if 0 <= position < n_samples:
                weight[position] += square[n]
    return weight


def spectrogram_of(values, stft, n_samples):
    return Spectrogram(values=values[None], stft=stft, sample_rate=8000, n_samples=n_samples, mono=True)


def random_spectrum(stft, n_samples, seed=0):
    """Return spectra of real frames: the bins at 0 Hz and at half the rate are real."""
    frames = np.random.default_rng(seed).standard_normal((stft.n_frames(n_samples), stft.n_fft))
    return np.fft.rfft(frames).T


def inner(X, Y, n_fft):
    """Return the inner product of the two-sided spectra whose upper halves these are, over n_fft."""
    fold = np.full(X.shape[0], 2.0)
    fold[0] = 1
    if n_fft % 2 == 0:
        fold[-1] = 1
    return float((fold[:, None] * (X.conj() * Y).real).sum()) / n_fft


@pytest.mark.core
@pytest.mark.parametrize(("n_fft", "hop_length", "window"), SMALL)
@pytest.mark.parametrize("n_samples", [1, 2, 5, 8, 23])
def test_forward_is_the_definition(n_fft, hop_length, window, n_samples):
    stft = STFT(n_fft, hop_length, window)
    audio = noise(n_samples)
    expected = by_definition(audio, stft)
    np.testing.assert_allclose(stft.forward(audio, 8000).values[0], expected, atol=1e-13)


@pytest.mark.parametrize(
    ("n_fft", "hop_length"), [(2048, 512), (1024, 256), (512, 128), (4096, 1024), (510, 100)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_is_librosas(n_fft, hop_length, dtype):
    import librosa

    audio = noise(3 * 4096 + 77, dtype)
    ours = STFT(n_fft, hop_length).forward(audio, 22050).values[0]
    theirs = librosa.stft(audio, n_fft=n_fft, hop_length=hop_length)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= (1e-5 if dtype == "float32" else 1e-13) * np.abs(theirs).max()


def test_defaults_are_librosas_on_real_music():
    import librosa

    case = real_case(case_names("b_")[0])
    audio = case.mixture[:, : 2 * case.sample_rate + 11]
    spectrogram = STFT().forward(audio, case.sample_rate)
    theirs = librosa.stft(audio)
    assert np.abs(spectrogram.values - theirs).max() <= 2e-6 * np.abs(theirs).max()
    back = librosa.istft(theirs, length=audio.shape[1])
    assert np.abs(STFT().inverse(spectrogram) - back).max() <= 2e-6 * np.abs(audio).max()


@pytest.mark.parametrize("n_fft", [16, 15])
def test_forward_is_scipys(n_fft):
    from scipy.signal import ShortTimeFFT, get_window

    stft = STFT(n_fft, 4)
    audio = noise(101)
    theirs = ShortTimeFFT(get_window("hann", n_fft), hop=4, fs=8000, phase_shift=None)
    ours = stft.forward(audio, 8000).values[0]
    other = theirs.stft(audio, p0=0, p1=ours.shape[1])
    np.testing.assert_allclose(ours, other, atol=1e-13)


@given(st.integers(1, 300), st.integers(0, 50), st.floats(-100, 100), st.sampled_from(SMALL))
def test_forward_is_linear(n_samples, seed, factor, setting):
    stft = STFT(*setting)
    one, other = noise(n_samples, seed=seed), noise(n_samples, seed=seed + 1)
    combined = stft.forward(one + factor * other, 8000).values
    expected = stft.forward(one, 8000).values + factor * stft.forward(other, 8000).values
    np.testing.assert_allclose(combined, expected, atol=1e-12 * (1 + abs(factor)))


@pytest.mark.core
@pytest.mark.parametrize(("n_fft", "hop_length", "window"), SMALL)
@pytest.mark.parametrize("n_samples", [1, 7, 40])
def test_energy_is_that_of_the_weighted_audio(n_fft, hop_length, window, n_samples):
    stft = STFT(n_fft, hop_length, window)
    audio = noise(n_samples)
    X = stft.forward(audio, 8000).values[0]
    assert inner(X, X, n_fft) == pytest.approx((weight_of(stft, n_samples) * audio**2).sum(), rel=1e-12)


@pytest.mark.core
@pytest.mark.parametrize(
    ("n_fft", "hop_length", "window"), [*SMALL, (256, 64, "hann"), (255, 60, "blackman")]
)
@pytest.mark.parametrize("n_samples", [1, 13, 999])
def test_the_inverse_times_the_weight_is_the_adjoint(n_fft, hop_length, window, n_samples):
    stft = STFT(n_fft, hop_length, window)
    audio = noise(n_samples)
    Y = random_spectrum(stft, n_samples)
    adjoint = stft.inverse(spectrogram_of(Y, stft, n_samples)) * weight_of(stft, n_samples)
    left, right = inner(stft.forward(audio, 8000).values[0], Y, n_fft), float(audio @ adjoint)
    assert left == pytest.approx(right, abs=1e-12 * np.linalg.norm(Y) * np.linalg.norm(audio))


@pytest.mark.core
@pytest.mark.parametrize(("n_fft", "hop_length", "window"), SMALL)
def test_the_inverse_is_the_least_squares_one(n_fft, hop_length, window):
    stft, n_samples = STFT(n_fft, hop_length, window), 17
    Y = random_spectrum(stft, n_samples)
    fold = np.sqrt(np.full(Y.shape[0], 2.0))
    fold[0] = 1
    if n_fft % 2 == 0:
        fold[-1] = 1

    def as_real(spectrum):
        weighted = spectrum * fold[:, None]
        return np.r_[weighted.real.ravel(), weighted.imag.ravel()]

    matrix = np.stack([as_real(by_definition(column, stft)) for column in np.eye(n_samples)], axis=1)
    expected, *_ = np.linalg.lstsq(matrix, as_real(Y), rcond=None)
    np.testing.assert_allclose(stft.inverse(spectrogram_of(Y, stft, n_samples)), expected, atol=1e-12)


@given(st.sampled_from(SMALL), st.integers(1, 90), st.integers(0, 20))
def test_projecting_twice_is_projecting_once(setting, n_samples, seed):
    stft = STFT(*setting)
    once = stft.inverse(spectrogram_of(random_spectrum(stft, n_samples, seed), stft, n_samples))
    np.testing.assert_allclose(stft.inverse(stft.forward(once, 8000)), once, atol=1e-12)


@given(st.integers(0, 50), st.floats(0, 1))
def test_masking_is_linear_in_the_mask(seed, share):
    stft = STFT(64, 16)
    spectrogram = stft.forward(noise(700), 8000)
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(size=(2, *spectrogram.values.shape))
    combined = stft.inverse(spectrogram, mask=share * one + (1 - share) * other)
    parts = share * stft.inverse(spectrogram, mask=one) + (1 - share) * stft.inverse(spectrogram, mask=other)
    np.testing.assert_allclose(combined, parts, atol=1e-13)


def jump_ratio(signal, hop_length):
    """Return the energy of the second difference where frames begin over that everywhere else."""
    steepness = np.diff(signal, 2) ** 2
    position = np.arange(steepness.size) + 1
    inner_part = (position > 4096) & (position < signal.size - 4096)
    distance = position % hop_length  # frames of 1024 begin and end at multiples of these hops
    at = inner_part & ((distance <= 1) | (distance == hop_length - 1))
    return steepness[at].mean() / steepness[inner_part & ~at].mean()


def smooth_mask(shape, seed):
    """Random in frequency, smooth over frames."""
    rough = np.random.default_rng(seed).uniform(size=(shape[0], shape[1] + 8))
    return np.lib.stride_tricks.sliding_window_view(rough, 9, axis=1).mean(axis=-1)


@pytest.mark.core
@pytest.mark.parametrize("hop_length", [128, 256, 512])
def test_masked_audio_does_not_click_at_hops(hop_length):
    stft = STFT(1024, hop_length)
    audio = np.cumsum(np.cumsum(np.random.default_rng(5).standard_normal(200_000)))
    audio -= np.convolve(audio, np.ones(501) / 501, "same")  # smooth, so that a step stands out
    spectrogram = stft.forward(audio, 8000)
    mask = smooth_mask(spectrogram.values.shape[1:], seed=1)
    assert jump_ratio(stft.inverse(spectrogram, mask=mask), hop_length) <= 1.05
    # The same number for a synthesis that does not taper, where frames are added up as they are.
    frames = np.fft.irfft((spectrogram.values[0] * mask).T, 1024)
    plain = np.zeros(audio.size + 2048)
    for t, frame in enumerate(frames):
        plain[t * hop_length : t * hop_length + 1024] += frame
    assert jump_ratio(plain[512 : 512 + audio.size], hop_length) > 100
