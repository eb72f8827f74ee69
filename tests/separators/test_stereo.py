"""What all stereo methods keep: odd input, scales, devices; and the parts that they share."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dspsep import DUET, PROJET, STFT, ADRess, DspsepWarning, InputError, MidSide, load_model
from dspsep.separators.spatial._stereo import highest_peaks, in_blocks, sums_by_cell, warn_unless_panned
from tests.test_stft import noise

RATE = 8000
SMALL = STFT(256)
METHODS = [
    ADRess(stft=SMALL),
    ADRess(stft=SMALL, positions=(-0.5, 0.5), mask="hard"),
    DUET(stft=SMALL),
    DUET(stft=SMALL, mask="soft"),
    MidSide(stft=SMALL, cutoff_hertz=100.0),
    PROJET(stft=SMALL, n_iter=5, n_angles=9, n_projections=5),
    PROJET(stft=SMALL, n_iter=5, opposite_phases=True, alpha=2.0, beta=0.0),
]
each_method = pytest.mark.parametrize("separator", METHODS, ids=lambda s: type(s).__name__)


def quietly(separator, audio):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        return separator.separate(audio, RATE)


def odd_audio():
    one = noise(3000, "float32")
    return {
        "silence": np.zeros((2, 3000), np.float32),
        "a dead channel": np.stack([one, np.zeros_like(one)]),
        "the other one": np.stack([np.zeros_like(one), one]),
        "equal channels": np.stack([one, one]),
        "opposite channels": np.stack([one, -one]),
        "a single frame": noise(20, "float32", 2),
        "a single sample": noise(1, "float32", 2),
        "a constant": np.ones((2, 3000), np.float32),
        "a quiet channel": np.stack([one, one * np.float32(1e-12)]),
        "silence, and then not": np.pad(noise(500, "float32", 2), ((0, 0), (2500, 0))),
    }


@each_method
@pytest.mark.parametrize("what", odd_audio())
def test_odd_audio_gives_finite_sources_that_sum_to_it(separator, what):
    audio = odd_audio()[what]
    for scale in (1.0, 1e-6, 1e6):
        scaled = audio * np.float32(scale)
        sources = quietly(separator, scaled)
        assert all(np.isfinite(source).all() for source in sources.values())
        assert np.abs(sources.mixture() - scaled).max() <= 5e-6 * np.abs(scaled).max()


@each_method
def test_scales_and_signs_change_nothing(separator):
    audio = noise(4000, "float64", 2)
    sources = quietly(separator, audio)
    for scale in (-1.0, 2.0**20, 2.0**-20, 1e6, 1e-6):
        scaled = quietly(separator, audio * scale)
        for name in sources:
            np.testing.assert_allclose(scaled[name] / scale, sources[name], atol=1e-9)


@each_method
def test_other_numbers_of_channels_are_refused(separator, tmp_path):
    for n_channels in (1, 3):
        with pytest.raises(InputError, match=r"^mixture must be audio of at"):
            separator.separate(noise(500, "float32", n_channels), RATE)
        spectrogram = SMALL.forward(noise(500, "float32", n_channels), RATE)
        if not isinstance(separator, MidSide):
            with pytest.raises(InputError, match=r"^spectrogram must be of two channels"):
                separator.fit(spectrogram)
        model = quietly(separator, noise(500, "float32", 2)).model
        with pytest.raises(InputError, match=r"^spectrogram must be of two channels"):
            model.masks(spectrogram)
    model.save(tmp_path / "model.npz")
    again, spectrogram = load_model(tmp_path / "model.npz"), SMALL.forward(noise(900, "float32", 2), RATE)
    for name, mask in model.masks(spectrogram).items():
        np.testing.assert_array_equal(again.masks(spectrogram)[name], mask)


@each_method
def test_blocks_of_frames_make_no_difference(separator, monkeypatch):
    audio = noise(6000, "float32", 2)
    whole = quietly(separator, audio)
    monkeypatch.setattr("dspsep.separators.spatial._stereo._BLOCK_SIZE", 1000)
    for name, source in quietly(separator, audio).items():
        np.testing.assert_allclose(source, whole[name], atol=1e-6)


def test_sums_by_cell_are_the_same_on_a_device():
    xp = pytest.importorskip("array_api_strict")
    rng = np.random.default_rng(0)
    cells, weights = rng.integers(0, 9, (30, 40)), rng.random((30, 40)).astype(np.float32)
    cells[cells == 4] = 5
    expected = [weights[cells == cell].sum(dtype=np.float64) for cell in range(9)]
    np.testing.assert_allclose(sums_by_cell(cells, weights, 9), expected, rtol=1e-12, atol=1e-12)
    there = sums_by_cell(xp.asarray(cells), xp.asarray(weights), 9)
    np.testing.assert_allclose(there, expected, rtol=1e-10, atol=1e-10)


def test_peaks_are_apart_and_no_slopes():
    H = np.zeros(30)
    H[9:14] = 3, 6, 10, 7, 5  # one peak
    H[20], H[24] = 4, 3
    assert highest_peaks(H, 5, (2,)) == [(11,), (20,), (24,)]
    assert highest_peaks(H, 5, (4,)) == [(11,), (20,)]
    assert highest_peaks(H, 5, (1,)) == [(11,), (20,), (24,)]
    assert highest_peaks(H, 1, (2,)) == [(11,)]
    assert highest_peaks(np.zeros((4, 5)), 3, (1, 1)) == []
    plane = np.zeros((6, 7))
    plane[0, 0], plane[5, 6], plane[0, 6] = 1, 2, 1
    assert highest_peaks(plane, 3, (1, 1)) == [(5, 6), (0, 0), (0, 6)]


def test_what_is_panned_is_not_warned_of():
    left, right = noise(8000), noise(8000, seed=1)
    panned = {
        "a source": np.stack([left, 0.3 * left]),
        "in opposite phases": np.stack([left, -0.3 * left]),
        "two sources": np.stack([left, right]),
        "silence": np.zeros((2, 8000)),
    }
    for what, audio in panned.items():
        if what != "two sources":
            warn_unless_panned(SMALL.forward(audio, RATE))
    delayed = np.stack([left, np.roll(left, 5)])
    for audio in (panned["two sources"], delayed):
        with pytest.warns(DspsepWarning, match=r"\[W_NOT_PANNED\] phases differ"):
            warn_unless_panned(SMALL.forward(audio, RATE))


@pytest.mark.parametrize("separator", [METHODS[0], METHODS[1], METHODS[5]], ids=lambda s: type(s).__name__)
def test_methods_of_levels_warn_of_delays(separator):
    left = noise(8000)
    with pytest.warns(DspsepWarning, match=r"\[W_NOT_PANNED\]") as caught:
        separator.separate(np.stack([left, np.roll(left, 5)]), RATE)
    assert caught[0].filename == __file__


def test_blocks_keep_frames_in_order():
    spectrogram = SMALL.forward(noise(4000, "float32", 2), RATE)
    found = in_blocks(spectrogram, lambda L, R: np.abs(L) + 2 * np.abs(R))
    V = spectrogram.magnitude()
    np.testing.assert_array_equal(found, V[:1] + 2 * V[1:])
    assert found[0].T.flags.c_contiguous
