"""The transform comes back exactly, whatever the length, the window and the precision, or it is refused."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dspsep
from dspsep import STFT, DspsepWarning, FrozenArray, InputError

NAMES = (
    "barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "cosine", "exponential",
    "flattop",
    "hamming", "hann", "lanczos", "nuttall", "parzen", "taylor", "triang", "tukey",
)  # fmt: skip
TUPLES = (
    ("kaiser", 8.6),
    ("kaiser", 14.0),
    ("tukey", 0.5),
    ("general_hamming", 0.6),
    ("chebwin", 100),
    ("general_gaussian", 1.5, 30.0),
    ("general_cosine", (0.5, 0.5)),
    ("dpss", 2.5),
)
# Their width is in samples: at some sizes below they leave samples without weight.
NARROW = ("exponential", ("general_gaussian", 1.5, 30.0))
ROUND_TRIP = {np.dtype("float64"): 1e-12, np.dtype("float32"): 2e-6}


def noise(n_samples, dtype="float64", n_channels=None, seed=0):
    shape = n_samples if n_channels is None else (n_channels, n_samples)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def make(n_fft, hop_length, window):
    """Return the transform and whether it warned, or None where there is no inverse."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return STFT(n_fft, hop_length, window), any(isinstance(w.message, DspsepWarning) for w in caught)
        except InputError:
            return None, False


def error_of(stft, audio):
    back = stft.inverse(stft.forward(audio, 8000))
    assert back.shape == audio.shape
    assert back.dtype == audio.dtype
    return np.abs(back.astype(np.float64) - audio).max() / np.abs(audio).max()


@st.composite
def settings(draw):
    n_fft = draw(st.one_of(st.integers(2, 40), st.integers(2, 2100), st.sampled_from([255, 256, 511, 1024])))
    hop_length = draw(st.integers(max(1, n_fft // 64), n_fft))
    kind = draw(st.sampled_from([*NAMES, *TUPLES, "gaussian", "array"]))
    if kind == "gaussian":
        window = ("gaussian", n_fft / 6)
    elif kind == "array":
        window = np.random.default_rng(draw(st.integers(0, 99))).uniform(0.2, 1, n_fft)
    else:
        window = kind
    n_samples = draw(st.one_of(st.integers(1, 9), st.integers(1, 3 * n_fft + 2)))
    return n_fft, hop_length, window, n_samples


@given(settings(), st.sampled_from(["float64", "float32"]), st.sampled_from([None, 1, 3]))
def test_round_trip_is_exact_unless_warned(case, dtype, n_channels):
    n_fft, hop_length, window, n_samples = case
    stft, warned = make(n_fft, hop_length, window)
    if stft is None:
        return
    audio = noise(n_samples, dtype, n_channels)
    # Rounding of one frame is divided by the square root of the weight: past a warning the bound grows so.
    ratio = stft._overlap.unevenness()[0]
    allowed = ROUND_TRIP[audio.dtype] * (np.sqrt(ratio) if warned else 1)
    assert error_of(stft, audio) <= allowed


@pytest.mark.core
@pytest.mark.parametrize("window", sorted({*NAMES, *TUPLES} - {*NARROW}, key=str), ids=str)
@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 16), (63, 15), (2048, 512), (510, 64)])
def test_every_window_with_a_quarter_hop(window, n_fft, hop_length):
    stft, warned = make(n_fft, hop_length, window)
    assert stft is not None
    for n_samples in (1, 2, hop_length - 1, hop_length, n_fft - 1, n_fft, n_fft + 1, 3001):
        for dtype, allowed in ROUND_TRIP.items():
            factor = np.sqrt(stft._overlap.unevenness()[0]) if warned else 1
            assert error_of(stft, noise(n_samples, dtype)) <= allowed * factor, n_samples


def test_a_window_with_weak_ends_is_exact_or_warns():
    # Far from the ends the weight of hop 1 does not vary at all; the first sample is carried by little.
    window = np.array([6.4e-1, 4.9e-4, 1.2e-3, 3.4e-4])
    stft, warned = make(4, 1, window)
    if stft is None or warned:
        return
    worst = max(error_of(stft, noise(n, "float32", seed=n)) for n in range(1, 60))
    assert worst <= ROUND_TRIP[np.dtype("float32")]


@pytest.mark.core
@pytest.mark.parametrize("stft", [STFT(16, 4), STFT(15, 5), STFT(16, 8), STFT(8, 8, "boxcar")], ids=repr)
def test_an_impulse_at_every_position(stft):
    for n_samples in range(1, 36):
        for position in range(n_samples):
            audio = np.zeros(n_samples)
            audio[position] = 1
            assert np.abs(stft.inverse(stft.forward(audio, 8000)) - audio).max() <= 1e-14


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "window"),
    [
        (512, 512, "hann"),
        (512, 513, "boxcar"),
        (512, 1024, "hann"),
        (8, 2, np.zeros(8)),
        (8, 8, np.r_[0, np.ones(7)]),
        (16, 16, ("kaiser", 14.0)),
    ],
)
def test_windows_without_an_inverse_are_refused_with_the_figure(n_fft, hop_length, window):
    with pytest.raises(
        InputError, match=r"^window must be .*1e\+06:1.*; got .*(varies by|without weight)"
    ) as info:
        STFT(n_fft, hop_length, window)
    assert info.value.name == "window"
    assert f"n_fft={n_fft}, hop_length={hop_length}" in str(info.value)


def test_refusal_begins_at_a_million():
    def window(ratio):
        return np.r_[np.ones(4), np.full(4, np.sqrt(1 / ratio))]

    with pytest.warns(DspsepWarning, match=r"W_WINDOW"):
        STFT(8, 8, window(0.99e6))
    with pytest.raises(InputError, match=r"1\.01e\+06:1"):
        STFT(8, 8, window(1.01e6))


def test_warning_begins_at_ten_and_gives_the_figure():
    def window(ratio):
        return np.r_[np.full(4, np.sqrt(1 / ratio)), np.ones(4)]

    STFT(8, 8, window(9.9))  # warnings are errors in this suite
    with pytest.warns(DspsepWarning, match=r"\[W_WINDOW\].*10\.1:1") as caught:
        STFT(8, 8, window(10.1))
    assert caught[0].message.code == "W_WINDOW"
    assert caught[0].filename == __file__  # the line to look at is the caller's


@pytest.mark.parametrize("make_it", [lambda s: replace(s, n_fft=8), lambda s: pickle.loads(pickle.dumps(s))])
def test_window_warnings_do_not_come_from_using_a_transform(make_it):
    make_it(STFT(16, 4))


@pytest.mark.core
@pytest.mark.parametrize(
    ("stft", "closing"),
    [
        (STFT(2048, 512), False),
        (STFT(2048, 1024), True),
        (STFT(2047, 512), False),
        (STFT(8, 8, "boxcar"), True),
        (STFT(8, 4, "boxcar"), False),
        (STFT(512, 128, ("kaiser", 8.6)), False),
        (STFT(512, 171), None),
    ],
    ids=repr,
)
def test_number_of_frames(stft, closing):
    hop_length = stft.hop_length
    for n_samples in (1, hop_length - 1, hop_length, hop_length + 1, 2 * hop_length, 5 * hop_length + 3):
        plain, closed = 1 + n_samples // hop_length, 1 + -(-n_samples // hop_length)
        assert stft.n_frames(n_samples) in (plain, closed)
        if closing is not None:
            assert stft.n_frames(n_samples) == (closed if closing else plain)
        spectrogram = stft.forward(np.ones(n_samples), 8000)
        assert spectrogram.values.shape == (1, stft.n_fft // 2 + 1, stft.n_frames(n_samples))


def test_a_closing_frame_comes_where_the_last_sample_would_weigh_under_a_32nd():
    for n_fft in (16, 64, 255, 1024):
        for hop_length in range(1, n_fft // 2 + 1):
            stft, _ = make(n_fft, hop_length, "hann")
            square = np.sin(np.pi * np.arange(n_fft) / n_fft) ** 4
            steady = max(square[start::hop_length].sum() for start in range(hop_length))
            last = square[n_fft // 2 + hop_length - 1] if n_fft // 2 + hop_length - 1 < n_fft else 0
            n_samples = hop_length + 1
            expected = 1 + (2 if last < steady / 32 else 1)
            assert stft.n_frames(n_samples) == expected or hop_length == 1


@pytest.mark.core
@pytest.mark.parametrize(
    ("given_dtype", "scale", "kept"),
    [
        ("int8", 2.0**7, "float32"),
        ("int16", 2.0**15, "float32"),
        (">i2", 2.0**15, "float32"),
        ("int32", 2.0**31, "float64"),
        ("float16", 1, "float32"),
        (">f4", 1, "float32"),
        (">f8", 1, "float64"),
        ("longdouble", 1, "float64"),
    ],
)
def test_other_formats_are_scaled_as_documented(given_dtype, scale, kept):
    values = (noise(700, seed=3) * (100 if scale > 1 else 1)).astype(given_dtype)
    stft = STFT(64)
    spectrogram = stft.forward(values, 8000)
    expected = values.astype(np.float64) / scale
    assert spectrogram.values.dtype == {"float32": np.complex64, "float64": np.complex128}[kept]
    assert (
        np.abs(stft.inverse(spectrogram) - expected).max()
        <= ROUND_TRIP[np.dtype(kept)] * np.abs(expected).max()
    )


def test_unsigned_pcm_is_centred():
    stft = STFT(16)
    for dtype, centre in (("uint8", 128), ("uint16", 32768)):
        back = stft.inverse(stft.forward(np.array([0, centre, 2 * centre - 1], dtype), 8000))
        np.testing.assert_allclose(back, [-1, 0, 1 - 1 / centre], atol=1e-6)


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(0), np.zeros((0, 5)), np.zeros((2, 0)), np.float64(1), np.zeros((1, 2, 3)), np.zeros((65,
        64)),
        np.zeros(4, complex), np.zeros(4, bool), np.zeros(4, "int64"), np.array(["a"]), np.array([None]),
        "a.wav",
        None, [[1.0], [1.0, 2.0]], np.array([1.0, np.nan]), np.array([[1.0], [-np.inf]]),
        np.full(3, np.finfo(np.float32).max, np.float32), np.ma.masked_invalid([1.0, np.nan]),
    ],
    ids=lambda audio: f"{type(audio).__name__}-{getattr(audio, 'shape', '')}-{getattr(audio, 'dtype', '')}",
)  # fmt: skip
def test_what_is_not_audio_is_refused(audio):
    with pytest.raises(InputError, match=r"^mixture must be .+; got .+\.") as info:
        STFT(16).forward(audio, 8000)
    assert info.value.name == "mixture"


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, "44100", None, True])
def test_rates_are_checked(rate):
    with pytest.raises(InputError, match=r"^sample_rate must be a number above 0"):
        STFT(16).forward(np.ones(4), rate)


@pytest.mark.parametrize("bad", [1, 0, -4, 2.0, "8", None, True, 10**13])
def test_sizes_are_checked(bad):
    with pytest.raises(
        InputError, match=r"^n_fft must be an integer of at least 2 and at most 16777216; got"
    ):
        STFT(bad)
    if bad not in (1, None, 10**13) or bad is True:
        with pytest.raises(InputError, match=r"^hop_length must be an integer of at least 1; got"):
            STFT(16, bad)


@pytest.mark.parametrize(
    "window",
    ["nope", "kaiser", ("kaiser",), ("nope", 3), (), np.ones(15), np.ones((16, 1)), np.ones(16, complex),
    8.6, None,
     np.full(16, np.nan), np.r_[np.ones(15), np.inf], ["hann"]],
    ids=str,
)  # fmt: skip
def test_windows_are_checked_and_named(window):
    with pytest.raises(InputError) as info:
        STFT(16, 4, window)
    assert info.value.name == "window"


def test_a_window_given_by_a_list_of_coefficients():
    # scipy documents ("general_cosine", [a0, a1, …]) with a list.
    stft = STFT(16, 4, ("general_cosine", [0.5, 0.5]))
    assert error_of(stft, noise(50)) <= 1e-12
    assert hash(stft) == hash(pickle.loads(pickle.dumps(stft)))


# ---- a transform is a value


@pytest.mark.core
@pytest.mark.parametrize(
    "stft",
    [
        STFT(),
        STFT(1023, 100, "hamming"),
        STFT(64, window=("kaiser", 8.6)),
        STFT(64, window=("tukey", np.float64(0.5))),
        STFT(np.int64(8), np.int32(2), np.arange(1.0, 9.0)),
        STFT(8, 2, np.arange(1, 9)),
        STFT(8, 2, np.linspace(0.1, 1, 8, dtype=np.float32)),
    ],
    ids=lambda stft: f"{stft.n_fft}-{stft.window}",
)
def test_a_transform_is_a_value(stft):
    twin = pickle.loads(pickle.dumps(stft))
    assert twin == stft
    assert hash(twin) == hash(stft)
    assert repr(twin) == repr(stft)
    assert eval(repr(stft), {"STFT": STFT, "FrozenArray": FrozenArray}) == stft
    changed = replace(stft, hop_length=stft.hop_length - 1)
    assert changed != stft
    assert changed.window == stft.window
    with pytest.raises(FrozenInstanceError):
        stft.n_fft = 4


def test_windows_by_number_are_copied_and_compared_by_content():
    numbers = np.hamming(8)
    stft = STFT(8, 2, numbers)
    spectrum = stft.forward(np.ones(20), 8000).values.copy()
    numbers[:] = 0
    assert np.array_equal(stft.forward(np.ones(20), 8000).values, spectrum)
    assert stft == STFT(8, 2, FrozenArray(np.hamming(8)))
    assert stft != STFT(8, 2, np.hamming(8) * 2)
    assert not np.asarray(stft.window).flags.writeable


@pytest.mark.core
def test_the_default_hop_is_a_quarter():
    assert [STFT(n).hop_length for n in (2048, 1023, 5, 4)] == [512, 255, 1, 1]


@pytest.mark.core
def test_threads_do_not_change_a_byte():
    audio = noise(400_000, "float32")
    outcomes = set()
    for n_threads in (1, 2, 4):
        with dspsep.num_threads(n_threads):
            spectrogram = STFT(256, 64).forward(audio, 8000)
            back = spectrogram.stft.inverse(spectrogram, mask=np.abs(spectrogram.values) > 0.5)
            outcomes.add((spectrogram.values.tobytes(), back.tobytes()))
    assert len(outcomes) == 1


@pytest.mark.parametrize("scale", [1e-25, 1e25, 1e-12])
def test_windows_far_from_one_are_refused(scale):
    # Their square, by which the inverse divides, left the range of single precision: NaN came back.
    with pytest.raises(InputError, match=r"^window must be of a peak between"):
        STFT(64, 16, np.hanning(64) * scale)


def test_audio_too_loud_for_its_type_is_refused():
    with pytest.raises(InputError, match=r"^mixture must be quiet enough"):
        STFT(2048).forward(np.full(4000, 1e36, np.float32), 8000)
    assert np.isfinite(STFT(2048).forward(np.full(4000, 1e35, np.float32), 8000).values).all()


def test_long_windows_with_small_hops_are_not_cut_into_crumbs(monkeypatch):
    pytest.importorskip("dspsep.kernels.cpu")
    import scipy.fft

    transformed, irfft = [], scipy.fft.irfft
    monkeypatch.setattr(
        scipy.fft, "irfft", lambda chunk, **options: transformed.append(len(chunk)) or irfft(chunk, **options)
    )
    stft = STFT(2**15, 2**8)
    audio = noise(2**18, "float32")
    with dspsep.num_threads(1):
        assert error_of(stft, audio) <= ROUND_TRIP[np.dtype("float32")]
    # Frames that reach two units are transformed twice: a unit must be much longer than the window.
    if dspsep.kernels.kernels_for(audio) is dspsep.kernels.cpu:
        assert sum(transformed) <= 1.5 * stft.n_frames(2**18)
