"""PROJET: a plain transcription, objectives that never rise, merged bins, exact panning, real music."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dspsep import PROJET, STFT, DspsepWarning, InputError, PROJETModel, from_json, projet
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from dspsep.separators.spatial._projections import (
    N_CELLS,
    angles,
    cell_projections,
    cells_of,
    directions,
    projectors,
)
from dspsep.separators.spatial._projet import factor
from tests.cases import case_names, real_case
from tests.test_stft import noise

RATE = 16000
SMALL = STFT(256)


def problem(n_bins=60, n_places=9, n_projections=5, n_sources=3, seed=0):
    rng = np.random.default_rng(seed)
    theta, phi = angles(n_places, False), angles(n_projections, False)
    K = np.abs(projectors(phi) @ directions(theta))
    V = np.abs(rng.standard_normal((n_bins, 2)) @ projectors(phi).T)
    return V, K, 1 + rng.random((n_places, n_sources)), 1 + rng.random((n_bins, n_sources))


def transcribed(V, K, Q, P, beta, n_iter, weights):
    """Return the factors and the objective, by the sums of the paper's updates."""
    gamma = 1 / (2 - beta) if beta < 1 else 1 / (beta - 1) if beta > 2 else 1.0
    floor = 2.0**-33 * V.mean()
    P, Q = P.copy(), Q.copy()
    for _ in range(n_iter):
        S = np.einsum("nj,ml,lj->nm", P, K, Q) + floor
        above = np.einsum("nm,ml,lj->nj", V * S ** (beta - 2), K, Q)
        P *= (above / np.einsum("nm,ml,lj->nj", S ** (beta - 1), K, Q)) ** gamma
        S = np.einsum("nj,ml,lj->nm", P, K, Q) + floor
        above = np.einsum("n,nm,ml,nj->lj", weights, V * S ** (beta - 2), K, P)
        Q *= (above / np.einsum("n,nm,ml,nj->lj", weights, S ** (beta - 1), K, P)) ** gamma
    S = np.einsum("nj,ml,lj->nm", P, K, Q) + floor
    if beta == 1:
        divergence = V * np.log(V / S) - V + S
    elif beta == 0:
        divergence = V / S - np.log(V / S) - 1
    else:
        divergence = (V**beta + (beta - 1) * S**beta - beta * V * S ** (beta - 1)) / (beta * (beta - 1))
    size = Q.sum(axis=0)
    return P * size, Q / size, np.sum(weights[:, None] * divergence)


@pytest.mark.core
@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_it_is_what_sums_give_and_never_rises(beta):
    V, K, Q, P = problem()
    weights = 1 + np.random.default_rng(1).random(60)
    found = projet(V, K, Q, P=P, weights=weights, beta=beta, n_iter=20)
    expected = transcribed(V, K, Q, P, beta, 20, weights)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-8)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-8, atol=1e-12)
    assert found[2][-1] == pytest.approx(expected[2], rel=1e-9)
    losses = np.array(projet(V, K, Q, P=P, weights=weights, beta=beta, n_iter=300)[2])
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert len(losses) == 301


@pytest.mark.core
def test_cells_have_the_projections_of_their_bins():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 40, 50)) + 1j * rng.standard_normal((2, 40, 50))
    X[1, :20] = X[0, :20] * rng.uniform(-3, 3, (20, 50))  # panned, in either phase
    phi = angles(7, True)
    for alpha in (1.0, 2.0):
        cells, energy = cells_of(*X)
        assert 0 <= cells.min() <= cells.max() < N_CELLS
        expected = np.abs(np.einsum("ma,aft->ftm", projectors(phi), X)) ** alpha
        expected /= energy[..., None] ** (alpha / 2)
        # Half a step: a quarter of a degree, and 1/62 of the depth.
        np.testing.assert_allclose(cell_projections(phi, alpha)[cells], expected, atol=0.02)


def test_merged_bins_lead_where_all_bins_do():
    scene = scenes.panned(n_sources=3, duration=1.0, sample_rate=8000)
    separator = PROJET(stft=STFT(1024), n_angles=10, n_projections=6, n_iter=60)
    spectrogram = separator.stft.forward(scene.mixture.astype(np.float64), 8000)
    model = separator.fit(spectrogram)
    B = projectors(angles(6, False))
    V = np.abs(B @ spectrogram.values.reshape(2, -1)).T
    K = np.abs(B @ directions(angles(10, False)))
    rng = np.random.default_rng(0)
    start = 1 + np.abs(rng.standard_normal((10, 3)))
    start /= start.sum(axis=0)
    _, Q, losses = projet(V, K, start, n_iter=60)
    Q = Q[:, np.argsort(angles(10, False) @ Q)]
    np.testing.assert_allclose(model.profiles, Q, atol=0.002)
    weight = np.linalg.norm(spectrogram.values, axis=0).sum()
    assert model.losses[-1] == pytest.approx(losses[-1] / weight, rel=0.01)
    # The same images, from how much of each source there is in every bin, with Q as it is.
    *_, (P, _, _) = factor(V, K, np.ones((len(V), 3)), Q, weights=None, beta=1.0, n_iter=60, learn=False)
    share = P[:, 1:2] * (K @ Q)[:, 1] / (P @ (K @ Q).T)
    image = np.linalg.pinv(B) @ (share.T * (B @ spectrogram.values.reshape(2, -1)))
    images = list(model.iter_images(spectrogram))
    error = images[1].reshape(2, -1) - image
    assert np.sum(np.abs(error) ** 2) < 1e-3 * np.sum(np.abs(image) ** 2)
    np.testing.assert_allclose(sum(images), spectrogram.values, atol=1e-9)


def test_where_sources_are():
    scene = scenes.panned(n_sources=3, duration=2.0, sample_rate=RATE)
    model = PROJET().separate(scene.mixture, RATE).model
    np.testing.assert_allclose(model.mean_angles, scene.facts["angles_degrees"], atol=2)
    assert model.angles[[0, -1]] == pytest.approx([0, 90])
    np.testing.assert_allclose(model.profiles.sum(axis=0), 1)
    assert (np.diff(model.losses) <= 1e-12).all()


def test_opposite_phases():
    one, other = np.zeros(16000), np.zeros(16000)
    one[:8000], other[8000:] = noise(8000), noise(8000, seed=1)
    images = [np.stack([one, -0.5 * one]), np.stack([other, 0.5 * other])]
    separator = PROJET(n_sources=2, opposite_phases=True, stft=STFT(1024))
    sources = separator.separate(sum(images), RATE)
    np.testing.assert_allclose(sources.model.mean_angles, [-26.6, 26.6], atol=1.5)
    assert len(sources.model.angles) == 58
    for image, source in zip(images, sources.values(), strict=True):
        assert si_sdr(image, source) > 15


def test_seeds_and_callbacks():
    audio = scenes.panned(duration=1.0, sample_rate=8000).mixture
    separator = PROJET(stft=STFT(1024), n_iter=20)
    told = []
    model = separator.separate(audio, 8000, callback=told.append).model
    fits = [progress for progress in told if progress.stage == "fit"]
    assert [progress.loss for progress in fits] == list(model.losses[1:])
    again, other = (
        separator.separate(audio, 8000).model,
        separator.replace(seed=1).separate(audio, 8000).model,
    )
    np.testing.assert_array_equal(again.profiles, model.profiles)
    assert not np.array_equal(other.profiles, model.profiles)
    stopped = separator.fit(
        separator.stft.forward(audio, 8000), callback=lambda progress: progress.iteration == 3
    )
    assert stopped.losses == model.losses[:4]


def test_settings_are_values():
    separator = PROJET(n_sources=np.int64(2), alpha=2, beta=np.float32(0))
    assert separator == PROJET(n_sources=2, alpha=2.0, beta=0.0)
    assert from_json(separator.to_json()) == separator


@pytest.mark.parametrize(
    "settings",
    [
        {"n_sources": 0},
        {"n_angles": 1},
        {"n_projections": 1},
        {"alpha": 0},
        {"alpha": 2.5},
        {"beta": 4},
        {"n_iter": 0},
        {"seed": -1},
        {"opposite_phases": 1},
    ],
    ids=str,
)
def test_settings_out_of_range(settings):
    (name,) = settings
    with pytest.raises(InputError, match=f"^{name} must be"):
        PROJET(**settings)


@pytest.mark.parametrize(
    "profiles",
    [
        np.ones(3),
        -np.ones((3, 2)),
        np.full((3, 2), np.nan),
        np.ones((3, 101)),
        np.full((3, 2), 1j),
        np.full((3, 2), "a"),
        np.full((3, 2), 1e308),
    ],
)
def test_models_out_of_range(profiles):
    rest = {
        "n_projections": 5,
        "opposite_phases": False,
        "alpha": 1.0,
        "beta": 1.0,
        "n_iter": 5,
        "losses": (),
    }
    with pytest.raises(InputError, match=r"^profiles must be"):
        PROJETModel(profiles=profiles, **rest)
    with pytest.raises(InputError, match=r"^profiles must be of an even number"):
        PROJETModel(profiles=np.ones((3, 2)), **{**rest, "opposite_phases": True})
    for losses in (5, (np.nan,), ("a",)):
        with pytest.raises(InputError, match=r"^losses must be"):
            PROJETModel(profiles=np.ones((3, 2)), **{**rest, "losses": losses})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("beta", [-1.0, 0.0, 1.0, 3.0])
def test_the_scale_of_the_data_does_not_matter(beta, dtype):
    V, K, Q, P = (matrix.astype(dtype) for matrix in problem())
    for start in (None, P):
        expected = projet(V, K, Q, P=start, beta=beta, n_iter=10)
        for size in (2.0**-60, 2.0**60):
            scale = np.dtype(dtype).type(size)
            again = None if start is None else start * scale
            found = projet(V * scale, K, Q, P=again, beta=beta, n_iter=10)
            np.testing.assert_array_equal(found[0] / scale, expected[0])
            np.testing.assert_array_equal(found[1], expected[1])
            np.testing.assert_allclose(np.array(found[2]) / size**beta, expected[2], rtol=1e-12)


def test_what_fades_below_all_numbers_has_a_weight():
    audio = np.random.default_rng(0).standard_normal((2, 8000)) * 10.0 ** -np.linspace(0, 330, 8000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", DspsepWarning)
        sources = PROJET(stft=STFT(256), alpha=2, beta=-1, n_iter=3).separate(audio, 8000)
    assert np.abs(sources.mixture() - audio).max() < 1e-12
    assert np.isfinite(sources.model.losses).all()


def test_matrices_out_of_range():
    V, K, Q, P = problem()
    bad = {
        "V": {"V": -V},
        "K": {"K": K[:, 1:]},
        "Q": {"Q": Q[0]},
        "P": {"P": P[1:]},
        "weights": {"weights": np.ones(3)},
        "beta": {"beta": 9},
        "n_iter": {"n_iter": -1},
    }
    for name, change in bad.items():
        arguments = {"V": V, "K": K, "Q": Q, **change}
        with pytest.raises(InputError, match=f"^{name} must be"):
            projet(**arguments)


def test_a_panned_band_is_nearer_to_the_truth():
    case = real_case(case_names("d_pan")[0])
    truths = sorted(case.references.values(), key=lambda x: np.sum(x[1] ** 2) / np.sum(x[0] ** 2))
    sources = PROJET(n_sources=len(truths)).separate(case.mixture, case.sample_rate)
    gains = [
        si_sdr(truth, source) - si_sdr(truth, case.mixture)
        for truth, source in zip(truths, sources.values(), strict=True)
    ]
    # Half a decibel below what is measured: 14.4 dB, and 11.8 for the worst.
    assert np.mean(gains) > (13.9 if case.real else 12.0), gains
    assert min(gains) > (11.3 if case.real else 10.0), gains
