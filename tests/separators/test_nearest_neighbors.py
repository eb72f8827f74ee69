"""Median of the nearest neighbours: librosa's recipe, what is odd, real songs."""

from __future__ import annotations

import pickle
import warnings

import librosa
import numpy as np
import pytest

import dspsep
from dspsep import STFT, InputError, NearestNeighborMedian, load_model
from dspsep.data import scenes
from tests.cases import case_names, real_case
from tests.separators.test_repetition import RATE, SMALL, gains, loop, spectrogram_of

SEPARATOR = NearestNeighborMedian(stft=SMALL, distance_seconds=0.5, margin=(2, 10))


def recipe(V, width):
    """Return masks as librosa's example makes them, with neighbours in the order of their distance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on sparse matrices
        near = librosa.segment.recurrence_matrix(
            V, metric="cosine", width=width, mode="distance", sparse=True
        )
    repeating = librosa.decompose.nn_filter(V, aggregate=np.median, rec=(near > 0).astype(float))
    repeating = np.minimum(V, repeating)
    return (
        librosa.util.softmask(repeating, 2 * (V - repeating), power=2),
        librosa.util.softmask(V - repeating, 10 * repeating, power=2),
    )


@pytest.mark.parametrize("seconds", [3.0, 6.0])
def test_it_is_librosas_recipe(seconds):
    case = real_case(case_names("a_")[0])
    audio = case.mixture.mean(axis=0)[: round(seconds * case.sample_rate)].astype(np.float64)
    spectrogram = STFT().forward(audio, case.sample_rate)
    separator = NearestNeighborMedian(cutoff_hertz=None, distance_seconds=1.0, margin=(2, 10))
    masks = separator.fit(spectrogram).masks(spectrogram)
    width = int(librosa.time_to_frames(1.0, sr=case.sample_rate))
    background, foreground = recipe(spectrogram.magnitude()[0], width)
    np.testing.assert_allclose(masks["background"][0], background, atol=1e-9)
    np.testing.assert_allclose(masks["foreground"][0], foreground, atol=1e-9)
    assert masks["residual"].mean() > 0.05


@pytest.mark.core
def test_neighbors_are_the_nearest_that_are_far_enough():
    V = np.random.default_rng(0).exponential(size=(65, 300))
    neighbors = np.asarray(SEPARATOR.replace(n_neighbors=7).fit(spectrogram_of(V)).neighbors)
    directions = V / np.linalg.norm(V, axis=0)
    similarity = directions.T @ directions
    for t in (0, 51, 150, 299):
        allowed = np.abs(np.arange(300) - t) >= 50
        expected = np.argsort(np.where(allowed, -similarity[t], 9))[:7]
        assert set(neighbors[t]) == set(expected)


@pytest.mark.core
def test_a_loop_is_background():
    spectrogram = spectrogram_of(loop(70, 1000))
    # Ten repeats of each frame: the median of as many neighbours is the frame itself.
    model = SEPARATOR.replace(n_neighbors=9).fit(spectrogram)
    assert model.masks(spectrogram)["background"].min() > 1 - 1e-6


@pytest.mark.parametrize("what", ["silence", "constant", "one frame", "two frames", "an impulse"])
def test_odd_signals(what):
    audio = {
        "silence": np.zeros(2 * RATE),
        "constant": np.full(2 * RATE, 0.5),
        "one frame": np.ones(20),
        "two frames": np.ones(40),
        "an impulse": np.eye(1, 2 * RATE, RATE)[0],
    }[what]
    for separator in (SEPARATOR, SEPARATOR.replace(margin=1.0, distance_seconds=0.0)):
        sources = separator.separate(audio, RATE)
        assert all(np.isfinite(source).all() for source in sources.values())
        np.testing.assert_allclose(sum(sources.values()), audio, atol=1e-12)


def test_songs():
    """The voice gains, and so does the rest, on the mean: 2.6 and 1.1 dB when this was written."""
    separator = NearestNeighborMedian()
    found = np.mean([gains(separator, real_case(name)) for name in case_names("a_")], axis=0)
    assert found[0] > 2.3
    assert found[1] > 0.7


def test_models_are_saved_and_settings_are_values(tmp_path):
    scene = scenes.song(duration=4.0, sample_rate=8000)
    model = SEPARATOR.separate(scene.mixture, 8000).model
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    spectrogram = SMALL.forward(scene.mixture, 8000)
    for name, mask in model.masks(spectrogram).items():
        np.testing.assert_array_equal(again.masks(spectrogram)[name], mask)
    with pytest.raises(InputError, match="spectrogram must be of"):
        model.masks(SMALL.forward(scene.mixture[:, :9000], 8000))
    assert dspsep.from_json(SEPARATOR.to_json()) == SEPARATOR == pickle.loads(pickle.dumps(SEPARATOR))
    assert SEPARATOR.source_names == ("background", "foreground", "residual")
    assert SEPARATOR.replace(margin=1).source_names == ("background", "foreground")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"n_neighbors": 2000}, "n_neighbors"),
        ({"distance_seconds": -1}, "distance_seconds"),
        ({"margin": 0.5}, "margin"),
        ({"margin": (1, 2, 3)}, "margin must be a number, or two"),
        ({"power": 0}, "power"),
        ({"cutoff_hertz": -5}, "cutoff_hertz"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(InputError, match=words):
        NearestNeighborMedian(**settings)
