"""CACGMM: planted directions, its objective by the book, the order of frequencies, odd spectra, rooms."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import CACGMM, STFT, CACGMMModel, DspsepWarning, InputError, _backend, cacgmm, load_model
from dspsep.separators.spatial._multichannel import NOISE
from dspsep.separators.spatial._multichannel_alignment import alignment
from tests.cases import case_names, real_case
from tests.separators.oracles.make_fastmnmf import gaussians, numbers
from tests.separators.test_fastmnmf import RATE, SMALL, gain, odd_spectra
from tests.test_stft import noise


def density(X, B, weights):
    """Return the log-density of every bin (n_freqs, n_frames), and each source's (n_sources, …)."""
    n = X.shape[0]
    power = np.sum(np.abs(X) ** 2, axis=0)
    extra = NOISE * (power / n + np.mean(np.abs(X) ** 2))
    Z = np.einsum("cft,dft->ftcd", X, X.conj()) + extra[..., None, None] * np.eye(n)
    Z /= (power + n * extra)[..., None, None]
    q = np.einsum("nfcd,ftdc->nft", np.linalg.inv(B), Z).real
    each = (np.log(weights) - np.linalg.slogdet(B)[1])[:, :, None] - n * np.log(q)
    largest = each.max(axis=0)
    return largest + np.log(np.exp(each - largest).sum(axis=0)), each


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", odd_spectra())
def test_the_objective_never_rises(name, dtype):
    X = odd_spectra()[name].astype(dtype)
    before = X.copy()
    for n_sources in (1, 2, 3):
        B, weights, losses = cacgmm(X, n_sources, n_iter=15)
        assert all(np.isfinite(found).all() for found in (B, weights, losses))
        assert np.linalg.eigvalsh(B).min() > 0
        np.testing.assert_allclose(weights.sum(axis=0), 1)
        if name == "silence":
            continue
        # Logarithms near 0 are as exact as their arguments, which are near 1: each bin counts as one.
        size = X[0].size + np.abs(density(X.astype(complex), B, weights)[1]).sum()
        size += X.shape[2] * np.abs(np.linalg.slogdet(B)[1]).sum()
        assert np.diff(losses).max() <= (1e-5 if dtype == "complex64" else 1e-9) * size
    np.testing.assert_array_equal(X, before)


@pytest.mark.core
def test_the_objective_and_the_masks_are_what_the_formula_says():
    spectrogram = STFT(16, 4).forward(noise(300, n_channels=3), RATE)
    B, weights, losses = cacgmm(spectrogram.values, 2, n_iter=9)
    total, each = density(spectrogram.values, B, weights)
    assert losses[-1] == pytest.approx(-total.sum(), rel=1e-9)
    model = CACGMMModel(B=B, weights=weights, losses=losses)
    masks = np.concatenate(list(model.masks(spectrogram).values()))
    np.testing.assert_allclose(masks, np.exp(each - total), atol=1e-9)


@pytest.mark.core
def test_planted_directions_are_found():
    """Three directions of two channels, which take turns at random: in the same order in all frequencies."""
    n_freqs, n_frames = 12, 300
    speaks = (3 * numbers(1, n_frames)).astype(int)
    places = gaussians(2, 2, n_freqs, 3)
    X = np.take(places, speaks, axis=2) * gaussians(4, n_freqs, n_frames)
    X += 0.02 * gaussians(6, 2, n_freqs, n_frames)
    B, weights, _ = cacgmm(X, 3, n_iter=40)
    _, each = density(X, B, weights)
    found = each.argmax(axis=0)
    counts = np.array([[np.mean(found[:, speaks == n] == k) for k in range(3)] for n in range(3)])
    assert sorted(counts.argmax(axis=1)) == [0, 1, 2]
    assert counts.max(axis=1).min() > 0.8
    np.testing.assert_allclose(np.median(weights, axis=1), 1 / 3, atol=0.05)
    unaligned, *_ = cacgmm(X, 3, n_iter=40, align=False)
    assert unaligned.shape == B.shape


@pytest.mark.core
def test_shuffled_frequencies_are_put_in_order():
    rng = np.random.default_rng(0)
    n_sources, n_freqs, n_frames = 4, 60, 80
    activity = rng.random((n_sources, 1, n_frames)) ** 3 + 0.1 * rng.random((n_sources, n_freqs, n_frames))
    shares = activity / activity.sum(axis=0)
    shuffled = rng.permuted(np.tile(np.arange(n_sources), (n_freqs, 1)), axis=1)
    given = np.take_along_axis(shares.transpose(1, 0, 2), shuffled[:, :, None], axis=1).transpose(1, 0, 2)
    before = given.copy()
    back = np.take_along_axis(shuffled, alignment(given), axis=1)
    assert (back == back[0]).all()
    np.testing.assert_array_equal(given, before)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recordings_without_rank(dtype):
    mixture = noise(3000, dtype, 2)
    dead, mono = mixture.copy(), mixture.copy()
    dead[1] = 0
    mono[1] = mono[0]
    separator = CACGMM(stft=SMALL, n_sources=3, n_iter=4)
    for audio in (dead, mono, noise(20, dtype, 2)):
        with pytest.warns(DspsepWarning, match="W_RANK") as caught:
            sources = separator.separate(audio, RATE)
        assert [warning.filename for warning in caught] == [__file__]
        assert all(np.isfinite(source).all() for source in sources.values())


@pytest.mark.core
@pytest.mark.parametrize("factor", [-1.0, 1e-6, 1e6, 2.0**-30])
def test_scales(factor):
    mixture = noise(4000, n_channels=2)
    separator = CACGMM(stft=SMALL, n_iter=5)
    sources, scaled = (separator.separate(audio, RATE) for audio in (mixture, factor * mixture))
    for name in sources:
        assert np.abs(scaled[name] / factor - sources[name]).max() < 1e-6


def test_callbacks_end_iterations():
    X = odd_spectra()["usual"]
    told = []
    B, weights, losses = cacgmm(X, 2, n_iter=20, callback=lambda *args: told.append(args) or args[0] == 4)
    assert told == list(enumerate(losses))[1:]
    for one, other in zip((B, weights, losses), cacgmm(X, 2, n_iter=4), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "seconds", "floor"), [("c_sim_2x2_rt150", 5, 8), ("d_duet_3speech", 5, 5)])
def test_rooms(name, seconds, floor):
    scene = real_case(case_names(name)[0])
    mixture = scene.mixture[:, : seconds * scene.sample_rate]
    separator = CACGMM(n_sources=len(scene.references))
    found = gain(scene, mixture, separator.separate(mixture, scene.sample_rate))
    assert found > (floor if scene.real else 1)


def test_models_are_stored_and_checked(tmp_path):
    mixture = noise(3000, n_channels=2)
    model = CACGMM(stft=SMALL, n_iter=2).separate(mixture, RATE).model
    model.save(tmp_path / "model.npz")
    spectrogram = SMALL.forward(mixture, RATE)
    again = load_model(tmp_path / "model.npz").masks(spectrogram)
    for name, mask in model.masks(spectrogram).items():
        np.testing.assert_array_equal(again[name], mask)
    with pytest.raises(InputError, match="spectrogram"):
        next(model.iter_masks(SMALL.forward(noise(3000, n_channels=3), RATE)))
    with pytest.raises(InputError, match="positive definite"):
        CACGMMModel(B=-model.B, weights=model.weights, losses=model.losses)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models_that_files_make_up(dtype):
    """The size of B does not matter; what would leave the range of numbers is refused."""
    spectrogram = STFT(64).forward(noise(900, dtype, 2), RATE)
    model = CACGMM(stft=STFT(64), n_iter=2).fit(spectrogram)
    expected = next(model.iter_masks(spectrogram))
    for size in (1e-90, 1e90):
        again = CACGMMModel(B=size * model.B, weights=model.weights, losses=model.losses)
        np.testing.assert_allclose(next(again.iter_masks(spectrogram)), expected, atol=1e-5)
    for B in (1e-320 * model.B, 1e300 * model.B, np.diag([1, 1e-200]) + 0 * model.B):
        with pytest.raises(InputError, match="B must be of matrices"):
            CACGMMModel(B=B, weights=model.weights, losses=model.losses)


@pytest.mark.parametrize("settings", [{"n_sources": 0}, {"n_iter": 0}, {"seed": -1}])
def test_settings_are_checked(settings):
    with pytest.raises(InputError) as caught:
        CACGMM(**settings)
    assert [caught.value.name] == list(settings)


@pytest.mark.parametrize("X", [np.ones((2, 3, 4)), np.ones((1, 3, 4), complex), np.ones((3, 4), complex)])
def test_arguments_are_checked(X):
    with pytest.raises(InputError, match="X must be"):
        cacgmm(X, 2)


@pytest.mark.core
def test_arrays_of_a_device():
    pytest.importorskip("array_api_strict")
    from tests.test_array_api import check_near, on_device

    mixture = noise(1500, n_channels=2)
    separator = CACGMM(stft=STFT(64), n_sources=3, n_iter=4)
    before = _backend.host_exits()
    expected, found = separator.separate(mixture, RATE), separator.separate(on_device(mixture), RATE)
    for name in expected:
        check_near(found[name], expected[name], 1e-6)
    # A peak, a mean, ranks, shares to put in order, and losses once: as many, however many iterations.
    exits = _backend.host_exits() - before - len(expected)  # less those of `check_near`
    before = _backend.host_exits()
    CACGMM(stft=STFT(64), n_sources=3, n_iter=6).separate(on_device(mixture), RATE)
    assert _backend.host_exits() - before == exits
