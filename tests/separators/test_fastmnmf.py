"""FastMNMF2: its filter and its objective by the book, a peer's likelihood, odd spectra, real rooms."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest

from dspsep import (
    CACGMM,
    HPSS,
    STFT,
    DspsepWarning,
    FastMNMF2,
    FastMNMF2Model,
    InputError,
    MixtureAsEstimate,
    Separator,
    _backend,
    fastmnmf2,
    from_json,
    load_model,
)
from dspsep.kernels import kernels_for
from dspsep.metrics import si_sdr
from dspsep.separators.spatial import _multichannel_updates
from dspsep.separators.spatial._multichannel import NOISE, split
from dspsep.separators.spatial._multichannel_starts import random_start
from dspsep.separators.spatial._multichannel_updates import STEPS
from tests.cases import case_names, real_case
from tests.separators.oracles.make_fastmnmf import CASES, N_COMPONENTS, N_ITER, case, gaussians, loss, numbers
from tests.test_stft import noise

RATE = 16000
SMALL = STFT(256)
FACTORS = ("demixing", "directivity", "templates", "activations")
ORACLE = Path(__file__).parent / "oracles" / "fastmnmf.npz"


def spectrum(n_channels, n_freqs=9, n_frames=40, dtype="complex128"):
    return (gaussians(7, n_channels, n_freqs, n_frames) * numbers(8, n_freqs, n_frames) ** 3).astype(dtype)


def odd_spectra():
    X = spectrum(2)
    dead, empty, one = X.copy(), X.copy(), np.zeros_like(X)
    dead[1] = 0
    empty[:, [0, 5, 6, 7, 8]] = 0
    one[:, 3, 11] = 1 + 2j
    return {
        "usual": X,
        "four channels": spectrum(4),
        "a dead channel": dead,
        "a repeated channel": np.stack([X[0], X[0]]),
        "an inverted channel": np.stack([X[0], -2 * X[0]]),
        "bins without sound": empty,
        "one bin": one,
        "one frame": X[:, :, :1],
        "one bin in each frame": X[:, :1],
        "very soft": X * 1e-6,
        "very loud": X * 1e6,
        "hardly there": X * 1e-17,
        "frames that fade away": X * 10.0 ** -np.arange(40.0),
        "silence": np.zeros_like(X),
    }


def terms(X, Q, g, W, H):
    """Return the terms of what is minimised, for X as it is."""
    power = np.mean(np.abs(X) ** 2, axis=(0, 2))
    noisy = NOISE * (power + power.mean())[:, None] * np.sum(np.abs(Q) ** 2, axis=2)
    behind = np.abs(np.einsum("fmc,cft->mft", Q, X)) ** 2 + noisy.T[:, :, None]
    model = np.einsum("nm,nft->mft", g, W.astype(float) @ H)
    return behind / model, np.log(model), -2 * X.shape[2] * np.linalg.slogdet(Q)[1]


@pytest.mark.core
@pytest.mark.parametrize("update", STEPS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", odd_spectra())
def test_the_objective_never_rises(name, dtype, update):
    X = odd_spectra()[name].astype(dtype)
    before = X.copy()
    for n_sources in (1, 2, 3):
        Q, g, W, H, losses = fastmnmf2(X, n_sources, n_components=2, n_iter=12, update=update)
        assert all(np.isfinite(found).all() for found in (Q, g, W, H, losses))
        if name == "silence":
            assert len(losses) == 1
            continue
        assert len(losses) == 13
        size = sum(np.abs(part).sum() for part in terms(X.astype(complex), Q, g, W, H))
        assert np.diff(losses).max() <= (1e-5 if dtype == "complex64" else 1e-9) * size
        assert losses[-1] < losses[0]
    np.testing.assert_array_equal(X, before)


@pytest.mark.core
@pytest.mark.parametrize(("n_channels", "n_sources"), [(2, 3), (3, 2)])
def test_the_objective_is_what_the_formula_says(n_channels, n_sources):
    X = spectrum(n_channels)
    X /= np.sqrt(np.mean(np.abs(X) ** 2))  # so that the scale is 1
    *factors, losses = fastmnmf2(X, n_sources, n_components=2, n_iter=7)
    assert losses[-1] == pytest.approx(sum(part.sum() for part in terms(X, *factors)), rel=1e-10)
    Q, g, W, _ = factors
    np.testing.assert_allclose(np.sum(np.abs(Q) ** 2, axis=(1, 2)), n_channels)
    np.testing.assert_allclose(g.sum(axis=1), 1)
    np.testing.assert_allclose(W.sum(axis=1), 1)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_projected_row_is_where_its_gradient_vanishes(n):
    """There q_m V_m q_m^H is 1 and the other q_i V_m q_m^H are 0: the last row is as it was left."""
    Q = gaussians(1, 6, n, n)
    V = gaussians(3, 6, n, n, 2 * n)
    V = V @ V.conj().swapaxes(2, 3)
    found, gains = kernels_for(Q).fastmnmf_sweep(Q, V)
    last = np.einsum("fic,fcd,fd->fi", found, V[:, -1], found[:, -1].conj())
    np.testing.assert_allclose(last, np.broadcast_to(np.eye(n)[-1], last.shape), atol=1e-10)
    np.testing.assert_allclose(gains, np.linalg.slogdet(found)[1] - np.linalg.slogdet(Q)[1], atol=1e-10)


@pytest.mark.core
@pytest.mark.parametrize(("n_channels", "n_sources"), [(2, 2), (2, 4), (3, 2)])
def test_images_are_those_of_the_wiener_filter(n_channels, n_sources):
    stft = STFT(16, 4)
    spectrogram = stft.forward(noise(200, n_channels=n_channels), RATE)
    X = spectrogram.values
    *factors, losses = fastmnmf2(X, n_sources, n_components=2, n_iter=5)
    model = FastMNMF2Model(**dict(zip(FACTORS, factors, strict=True)), losses=losses)
    images = np.stack(list(model.iter_images(spectrogram)))
    Q, g, W, H = factors
    A = np.linalg.inv(Q)
    R = np.einsum("nft,fcm,nm,fdm->nftcd", W @ H, A, g, A.conj())
    whole = np.linalg.solve(R.sum(axis=0), X.transpose(1, 2, 0)[..., None])
    expected = (R @ whole)[..., 0].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(images, expected, atol=1e-9)
    np.testing.assert_allclose(images.sum(axis=0), X, atol=1e-10)


@pytest.mark.parametrize("update", ["usual", "long"])
@pytest.mark.parametrize(("n_channels", "n_sources"), CASES)
def test_likelihood_is_no_worse_than_a_peers(n_channels, n_sources, update):
    """As many iterations from the same start: the peer updates W and H at once, which are longer steps."""
    X, W, H = case(n_channels, n_sources)
    theirs = float(np.load(ORACLE)[f"loss_{n_channels}_{n_sources}"])
    *factors, _ = fastmnmf2(X, n_sources, n_components=N_COMPONENTS, n_iter=N_ITER, W=W, H=H, update=update)
    assert loss(X, *factors) <= theirs


@pytest.mark.parametrize(("n_channels", "n_sources"), CASES)
def test_joint_steps_are_those_of_a_peer(n_channels, n_sources):
    """The peer ends with an update of Q, which is where the iteration after that begins."""
    X, W, H = case(n_channels, n_sources)
    theirs = float(np.load(ORACLE)[f"loss_{n_channels}_{n_sources}"])
    settings = {"n_components": N_COMPONENTS, "W": W, "H": H, "update": "joint"}
    before, after = (
        loss(X, *fastmnmf2(X, n_sources, n_iter=n_iter, **settings)[:4]) for n_iter in (N_ITER, N_ITER + 1)
    )
    assert after < theirs < before
    assert before - after < 0.02 * abs(theirs)


def test_a_planted_mixture_is_parted():
    """Where few spectra and one direction each are the truth, they are found from a start that is near."""
    n_freqs, n_frames = 30, 80
    levels = [numbers(n, n_freqs, 2) ** 6 @ numbers(n + 5, 2, n_frames) ** 6 for n in (1, 2)]
    sources = [np.sqrt(level) * gaussians(10 * n, n_freqs, n_frames) for n, level in enumerate(levels, 1)]
    places = gaussians(40, 2, n_freqs, 2)
    images = np.stack([places[:, :, [n]] * sources[n] for n in range(2)])
    Q = np.linalg.inv(places.transpose(1, 0, 2)) + 0.05 * gaussians(50, n_freqs, 2, 2)
    *_, losses = fastmnmf2(images.sum(axis=0), 2, n_components=2, n_iter=10, Q=Q)
    Q, *_ = fastmnmf2(images.sum(axis=0), 2, n_components=2, n_iter=60, Q=Q)
    seen = np.abs(np.einsum("fmc,ncft->nmft", Q, images)) ** 2
    own, other = seen[[0, 1], [0, 1]].sum(), seen[[0, 1], [1, 0]].sum()
    assert losses[-1] < losses[0]
    assert 10 * np.log10(own / other) > 20


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", [None, "random", CACGMM(stft=SMALL, n_sources=3, n_iter=3)])
def test_recordings_without_rank(init, dtype):
    mixture = noise(3000, dtype, 2)
    dead, mono = mixture.copy(), mixture.copy()
    dead[1] = 0
    mono[1] = mono[0]
    separator = FastMNMF2(stft=SMALL, n_sources=3, n_components=2, n_iter=3, init=init)
    for audio in (dead, mono, noise(20, dtype, 2)):
        with pytest.warns(DspsepWarning, match="W_RANK"):
            sources = separator.separate(audio, RATE)
        assert all(np.isfinite(source).all() for source in sources.values())
        assert np.abs(sources.mixture() - audio).max() < 1e-5
    for audio in (mixture, np.zeros_like(mixture)):
        assert all(np.isfinite(source).all() for source in separator.separate(audio, RATE).values())


@pytest.mark.core
@pytest.mark.parametrize("factor", [-1.0, 1e-6, 1e6, 2.0**-30])
def test_scales(factor):
    mixture = noise(4000, n_channels=2)
    separator = FastMNMF2(stft=SMALL, n_components=2, n_iter=5)
    sources, scaled = (separator.separate(audio, RATE) for audio in (mixture, factor * mixture))
    for name in sources:
        assert np.abs(scaled[name] / factor - sources[name]).max() < 1e-6


@pytest.mark.core
@pytest.mark.parametrize("update", STEPS)
def test_steps_that_fail_are_taken_back(monkeypatch, update):
    safe = _multichannel_updates._SAFE
    too_long = safe._replace(W=3.0, H=3.0, g=3.0, joint=update == "joint")
    monkeypatch.setitem(_multichannel_updates.STEPS, update, too_long)
    X = spectrum(2)
    *_, losses = fastmnmf2(X, 3, n_components=2, n_iter=12, update=update)
    monkeypatch.setitem(_multichannel_updates.STEPS, update, safe)
    *_, plain = fastmnmf2(X, 3, n_components=2, n_iter=12, update=update)
    assert len(losses) == 13
    assert np.diff(losses).max() <= 0
    assert losses == plain


@pytest.mark.core
def test_a_start_is_in_the_units_of_the_spectrum():
    X, W, H = case(2, 2)
    Q, g, W, H, _ = fastmnmf2(X, 2, W=W, H=H, n_components=N_COMPONENTS, n_iter=9)
    *_, losses = fastmnmf2(X, 2, Q=Q, g=g, W=W, H=H, n_components=N_COMPONENTS, n_iter=1)
    *_, louder = fastmnmf2(64 * X, 2, Q=Q, g=g, W=W, H=64**2 * H, n_components=N_COMPONENTS, n_iter=1)
    assert louder == losses


@pytest.mark.core
def test_activations_fit_what_is_given():
    """The size of spectra, directivities and Q does not matter where activations are not given."""
    X, W, _ = case(2, 2)
    settings = {"n_components": N_COMPONENTS, "n_iter": 1}
    start, Q = random_start(split(X), 2, N_COMPONENTS, 0), np.broadcast_to(np.eye(2), (X.shape[1], 2, 2))
    *_, losses = fastmnmf2(X, 2, W=W, g=start.g, Q=Q, **settings)
    *_, scaled = fastmnmf2(X, 2, W=2.0**20 * W, g=2.0**9 * start.g, Q=Q, **settings)
    assert scaled == losses
    *_, scaled = fastmnmf2(X, 2, W=W, g=start.g, Q=2.0**9 * Q, **settings)
    np.testing.assert_allclose(scaled, losses, rtol=1e-9)


def test_callbacks_end_iterations():
    X = spectrum(2)
    told = []
    *_, losses = fastmnmf2(X, 2, n_iter=20, callback=lambda *args: told.append(args) or args[0] == 4)
    assert told == list(enumerate(losses))[1:]
    assert len(losses) == 5
    shorter = fastmnmf2(X, 2, n_iter=4)
    for one, other in zip(fastmnmf2(X, 2, n_iter=20, callback=lambda n, _: n == 4), shorter, strict=True):
        np.testing.assert_array_equal(one, other)


def test_any_separator_can_begin():
    scene = real_case(case_names("c_sim_2x2_rt150")[0])
    mixture = scene.mixture[:, : 2 * scene.sample_rate]
    names = ("one", "other")
    poor = MixtureAsEstimate(source_names=names)
    for init in (poor, CACGMM(stft=SMALL, n_iter=3)):
        separator = FastMNMF2(stft=SMALL, n_iter=3, n_components=2, init=init)
        assert from_json(separator.to_json()) == separator
        sources = separator.separate(mixture, scene.sample_rate)
        spectrogram = SMALL.forward(mixture, scene.sample_rate)
        model = separator.fit(spectrogram)
        np.testing.assert_allclose(model.losses, sources.model.losses, rtol=1e-3)
    true = FastMNMF2(stft=SMALL, n_iter=3, n_components=2, init=_True(scene))
    best = true.separate(mixture, scene.sample_rate)
    assert gain(scene, mixture, best) > 5


class _True(Separator):
    """The true sources, whatever the mixture."""

    def __init__(self, scene):
        self.scene = scene

    source_names = None

    def separate(self, mixture, sample_rate, *, callback=None):
        return {name: ref[:, : mixture.shape[1]] for name, ref in self.scene.references.items()}


def gain(scene, mixture, sources):
    """Return the mean gain of SI-SDR of the images, in the best order."""
    references = [reference[:, : mixture.shape[1]] for reference in scene.references.values()]

    def mean(estimates):
        return np.mean(
            [
                si_sdr(reference[channel], estimate[channel])
                for reference, estimate in zip(references, estimates, strict=True)
                for channel in range(reference.shape[0])
            ]
        )

    best = max(mean(order) for order in itertools.permutations(sources.values()))
    return best - mean([mixture] * len(references))


@pytest.mark.parametrize(("name", "seconds", "floor"), [("c_sim_2x2_rt150", 5, 10), ("d_duet_3speech", 4, 3)])
def test_rooms(name, seconds, floor):
    scene = real_case(case_names(name)[0])
    mixture = scene.mixture[:, : seconds * scene.sample_rate]
    separator = FastMNMF2(stft=STFT(2048, 512), n_sources=len(scene.references), n_components=8, n_iter=30)
    found = gain(scene, mixture, separator.separate(mixture, scene.sample_rate))
    assert found > (floor if scene.real else 1)


def test_models_are_stored_and_know_what_they_fit(tmp_path):
    mixture = noise(3000, n_channels=2)
    model = FastMNMF2(stft=SMALL, n_components=2, n_iter=2).separate(mixture, RATE).model
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    spectrogram = SMALL.forward(mixture, RATE)
    for one, other in zip(again.iter_images(spectrogram), model.iter_images(spectrogram), strict=True):
        np.testing.assert_array_equal(one, other)
    for audio in (noise(9000, n_channels=2), noise(3000, n_channels=3)):
        with pytest.raises(InputError, match="spectrogram"):
            next(model.iter_images(SMALL.forward(audio, RATE)))
    for init in (None, "random"):
        with pytest.raises(InputError, match="made by this transform"):
            FastMNMF2(stft=SMALL, init=init).fit(STFT(512).forward(mixture, RATE))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_sources": 0}, "n_sources"),
        ({"n_components": 0}, "n_components"),
        ({"n_iter": 0}, "n_iter"),
        ({"seed": -1}, "seed"),
        ({"stft": 512}, "stft"),
        ({"init": "directions"}, "init"),
        ({"init": HPSS(), "n_sources": 3}, "init"),
        ({"init": np.zeros(3)}, "init"),
        ({"update": "short"}, "update"),
        ({"update": 1}, "update"),
    ],
)
def test_settings_are_checked(settings, name):
    with pytest.raises(InputError) as caught:
        FastMNMF2(**settings)
    assert caught.value.name == name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("X", "options", "name"),
    [
        (np.ones((2, 3, 4)), {}, "X"),
        (np.ones((3, 4), complex), {}, "X"),
        (np.full((2, 3, 4), np.nan, complex), {}, "X"),
        (spectrum(2), {"Q": np.zeros((3, 2, 2))}, "Q"),
        (spectrum(2), {"g": -np.ones((2, 2))}, "g"),
        (spectrum(2), {"W": np.ones((2, 9, 16)) * np.inf}, "W"),
        (spectrum(2), {"H": np.ones((2, 16, 39))}, "H"),
        (spectrum(2), {"Q": np.ones((9, 2, 2))}, "Q"),
        (spectrum(2), {"Q": np.broadcast_to(1e200 * np.eye(2), (9, 2, 2))}, "Q"),
        (spectrum(2), {"g": np.array([[1.0, 0], [1, 0]])}, "g"),
        (spectrum(2), {"g": np.full((2, 2), 1e308)}, "g"),
        (spectrum(2, dtype="complex64"), {"W": np.full((2, 9, 16), 1e300)}, "W"),
        (spectrum(2), {"W": np.zeros((2, 9, 16))}, "W"),
        (spectrum(2), {"H": np.zeros((2, 16, 40))}, "H"),
        (1e-200 * spectrum(2), {}, "X"),
    ],
)
def test_arguments_are_checked(X, options, name):
    with pytest.raises(InputError) as caught:
        fastmnmf2(X, 2, **options)
    assert caught.value.name == name


def test_mono_is_refused_and_one_source_is_everything():
    mixture = noise(2000, n_channels=2)
    for audio in (mixture[0], mixture[:1]):
        with pytest.raises(InputError, match="at least 2 channels"):
            FastMNMF2(stft=SMALL).separate(audio, RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (alone,) = FastMNMF2(stft=SMALL, n_sources=1, n_iter=2).separate(mixture, RATE).values()
    np.testing.assert_array_equal(alone, mixture)


@pytest.mark.core
def test_arrays_of_a_device():
    pytest.importorskip("array_api_strict")
    from tests.test_array_api import check_near, on_device

    mixture = noise(1500, n_channels=2)
    for init in (None, "random"):
        separator = FastMNMF2(stft=STFT(64), n_components=2, n_iter=3, init=init)
        expected = separator.separate(mixture, RATE)
        found = separator.separate(on_device(mixture), RATE)
        for name in expected:
            check_near(found[name], expected[name], 1e-6)
    exits = []
    for n_iter in (2, 4):
        before = _backend.host_exits()
        FastMNMF2(stft=STFT(64), n_components=2, n_iter=n_iter, init="random").fit(
            STFT(64).forward(on_device(mixture), RATE)
        )
        exits.append(_backend.host_exits() - before)
    assert exits[1] - exits[0] == 2  # losses, which decide how to go on
