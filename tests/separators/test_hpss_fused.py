"""HPSS from audio to audio in tiles: what the spectrogram and its masks give, wherever the work is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dspsep
from dspsep import HPSS, STFT
from dspsep.separators.hpss import _fused
from tests.test_stft import noise

pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(
    dspsep.kernels.level_for() != "simd", reason="other kernels have no route of this kind"
)

TRANSFORMS = [
    STFT(64),
    STFT(128, 32),
    STFT(64, 50, "boxcar"),
    STFT(64, 64, "boxcar"),
    STFT(256, 10),
    STFT(32, 7),
]
SETTINGS = [
    {},
    {"margin": 2.0},
    {"margin": (1.0, 3.0), "power": 1.0},
    {"mask": "hard"},
    {"mask": "hard", "margin": 1.5},
    {"power": 0.7, "harmonic_frames": 9, "percussive_bins": 5},
    {"harmonic_frames": 1, "percussive_bins": 1},
    {"harmonic_frames": 101, "percussive_bins": 65},
    {"harmonic_frames": 3, "percussive_bins": 201},
]
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}


def composed(hpss, audio, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dspsep.separators.hpss.median.fused", lambda *_: None)
        return hpss.separate(audio, 8000)


def counted(monkeypatch):
    calls, real = [], _fused.Fused.separate
    monkeypatch.setattr(_fused.Fused, "separate", lambda self, x: calls.append(1) or real(self, x))
    return calls


@pytest.mark.parametrize("stft", TRANSFORMS, ids=str)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_short_way_is_the_long_one(stft, settings, monkeypatch):
    calls = counted(monkeypatch)
    hpss = HPSS(stft=stft, **settings)
    for dtype, tolerance in TOLERANCE.items():
        for n_samples in (1, 2, 15, 16, 17, 1000, 5003):
            audio = noise(n_samples, dtype, 2)
            found, expected = hpss.separate(audio, 8000), composed(hpss, audio, monkeypatch)
            assert found.names == expected.names
            assert found.model == expected.model
            for name in found:
                assert found[name].dtype == audio.dtype
                assert found[name].shape == audio.shape
                error = np.abs(found[name] - expected[name]).max()
                assert error <= tolerance * np.abs(audio).max(), (name, n_samples)
    assert len(calls) == 14


@pytest.mark.parametrize(
    "settings",
    [
        {"stft": STFT(63, 16)},
        {"stft": STFT(100)},
        {"stft": STFT(64, 16, 1e8 * np.hanning(66)[1:-1])},
        {"stft": STFT(64, 16, 1e-8 * np.hanning(66)[1:-1])},
        {"harmonic_frames": 2049},
        {"percussive_bins": 2049},
    ],
    ids=str,
)
def test_what_has_no_short_way_goes_the_long_one(settings, monkeypatch):
    calls = counted(monkeypatch)
    hpss, audio = HPSS(**settings), noise(3000, "float32")
    sources = hpss.separate(audio, 8000)
    assert np.abs(sources.mixture() - audio).max() <= 5e-6 * np.abs(audio).max()
    assert not calls
    monkeypatch.setenv("DSPSEP_KERNELS", "cpu")
    HPSS().separate(audio, 8000)
    assert not calls


@pytest.mark.parametrize("n_channels", [None, 1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"margin": 2.0, "harmonic_frames": 65}], ids=str)
def test_threads_and_runs_do_not_change_a_byte(n_channels, settings, monkeypatch):
    # Several runs of each channel, of which the last is short.
    monkeypatch.setattr(_fused, "_LEAST_RUN", 5)
    hpss, audio = HPSS(stft=STFT(64), **settings), noise(16 * 16 * 23 + 5, "float32", n_channels)
    outcomes = set()
    for n_threads in (1, 2, 5, 16):
        with dspsep.num_threads(n_threads):
            sources = hpss.separate(audio, 8000)
        outcomes.add(tuple(source.tobytes() for source in sources.values()))
    monkeypatch.setattr(_fused, "_TILES_PER_CALL", 3)
    with dspsep.num_threads(1):
        sources = hpss.separate(audio, 8000)
    outcomes.add(tuple(source.tobytes() for source in sources.values()))
    assert len(outcomes) == 1


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    st.sampled_from(TRANSFORMS),
    st.sampled_from(SETTINGS),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([None, 1, 2]),
)
def test_blocks_give_the_same_bytes(sizes, stft, settings, dtype, n_channels):
    hpss = HPSS(stft=stft, **settings)
    audio = noise(sum(sizes) + 1, dtype, n_channels)
    stream = hpss.stream(8000, n_channels)
    parts = {name: [] for name in stream.source_names}
    given_out = taken = 0
    for begin, size in zip(np.cumsum([0, *sizes]), [*sizes, 1], strict=True):
        block = audio[..., begin : begin + size]
        before = block.tobytes()
        out = stream.push(block)
        assert block.tobytes() == before
        taken += size
        for name, part in out.items():
            parts[name].append(part)
        given_out += out[stream.source_names[0]].shape[-1] if out else 0
        assert taken - given_out <= stream.latency_samples
    for name, part in stream.flush().items():
        parts[name].append(part)
    for name, source in hpss.separate(audio, 8000).items():
        assert np.concatenate(parts[name], axis=-1).tobytes() == source.tobytes()


def test_a_stream_is_close_behind():
    # A frame, what the median looks ahead, and two tiles of 16 frames.
    assert HPSS().stream(44100).latency_samples <= 2048 + (15 + 16) * 512


def test_the_memory_of_a_channel_is_about_a_megabyte():
    short = _fused.fused(STFT(), HPSS()._model(44100))
    memory = short.kernels.memory_for(short.plan(np.dtype("float32")))
    assert sum(array.nbytes for array in memory) < 1.5e6


def test_sources_are_contiguous_and_their_own():
    audio = noise(5000, "float32", 2)
    sources = HPSS(margin=2.0).separate(audio, 8000)
    for source in sources.values():
        assert source.flags.c_contiguous
        assert not np.shares_memory(source, audio)


@pytest.mark.parametrize("settings", [{}, {"power": 1.0}, {"margin": 1e6}, {"mask": "hard"}], ids=str)
@pytest.mark.parametrize("exponent", [-39, 0, 39])
def test_loud_and_quiet_audio_is_taken_apart_alike(settings, exponent):
    scale = np.float32(2.0**exponent)
    # A tone, whose magnitudes are as large as any can be, and silence.
    audio, hpss = noise(6000, "float32", 2), HPSS(stft=STFT(1024), **settings)
    audio += 10 * np.sin(np.arange(6000, dtype="float32"))
    audio /= 2 * np.abs(audio).max()
    audio[:, 2000:4000] = 0
    expected, found = hpss.separate(audio, 8000), hpss.separate(audio * scale, 8000)
    for name in expected:
        np.testing.assert_allclose(found[name] / scale, expected[name], atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"power": 1.0}, {"margin": 1e6}, {"mask": "hard"}], ids=str)
@pytest.mark.parametrize("level", [1e-18, 1e-22, 1e-26, 1e-38, 1e-44])
def test_what_is_below_all_hearing_is_finite(settings, level):
    audio = noise(9000, "float32", 1)
    audio[:, 1000:] *= np.float32(level)
    sources = HPSS(stft=STFT(64), **settings).separate(audio, 8000)
    for source in sources.values():
        assert np.isfinite(source).all()
    assert np.abs(sources.mixture() - audio).max() <= 5e-6 * np.abs(audio).max()
