"""OnlineNMF: what it learns, what it keeps, what it forgets, and that later sounds change nothing."""

from __future__ import annotations

import pickle
import warnings
from itertools import permutations

import numpy as np
import pytest
from sklearn.decomposition import MiniBatchNMF

import dspsep
from dspsep import (
    NMF,
    STFT,
    InputError,
    OnlineNMF,
    OnlineNMFModel,
    SupervisedNMF,
    Templates,
    learn_templates,
    load_model,
    nmf,
)
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case
from tests.separators.test_nmf import factors

SMALL = STFT(256)
RATE = 8000


@pytest.fixture(scope="module")
def scene():
    return scenes.song(duration=4.0, sample_rate=RATE)


@pytest.fixture(scope="module")
def known(scene):
    return {
        name: learn_templates(scene.sources[name], RATE, n_components=4, stft=SMALL, n_iter=30)
        for name in ("kick", "bass")
    }


# --- what it learns ---


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_exact_components_are_found(beta):
    """Batches that are made of the same two spectra: the templates become those."""
    rng = np.random.default_rng(1)
    spectra = np.zeros((2, 129))
    spectra[0, 5:30], spectra[1, 50:90] = rng.uniform(0.5, 1, 25), rng.uniform(0.5, 1, 40)
    separator = OnlineNMF(
        stft=SMALL, n_components=2, beta=beta, batch_seconds=20 * 64 / RATE, n_iter=200, tol=0
    )
    learner = separator._learner(RATE)
    for _ in range(6):
        activations = rng.gamma(0.5, size=(20, 2))
        frames = np.moveaxis((activations @ spectra + 1e-9)[None], 1, 2).astype(complex)
        learner.masks(frames)
    shapes = spectra / spectra.sum(axis=1, keepdims=True)
    found = np.asarray(learner._W)
    error = min(np.abs(found[list(order)] - shapes).max() for order in permutations(range(2)))
    assert error < (0.2 if beta == 3 else 0.06) * shapes.max()


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_templates_are_as_good_as_those_of_a_mini_batch_factorisation(beta):
    """scikit-learn's, with as many frames a batch, in one pass, and without forgetting."""
    case = real_case(case_names("b_")[0])
    audio = case.mixture.mean(axis=0)[: 8 * case.sample_rate]
    stft = STFT(1024, 512)
    exponent = 2.0 if beta == 0 else 1.0
    separator = OnlineNMF(
        stft=stft, n_components=6, beta=beta, exponent=exponent, memory_seconds=None, batch_seconds=1.0
    )
    V = stft.forward(audio, case.sample_rate).magnitude()[0].astype(np.float64) ** exponent
    V = np.maximum(V / V.mean(), 1e-6)
    model = separator.separate(audio, case.sample_rate).model
    reference = MiniBatchNMF(
        6, beta_loss=beta, batch_size=stft.n_frames_in(1.0, case.sample_rate), max_iter=1, tol=0,
        forget_factor=1.0, init="random", random_state=0, fresh_restarts=True, fresh_restarts_max_iter=50,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was not asked to converge
        reference.fit(V.T)

    def cost(templates):
        start = np.full((6, V.shape[1]), 0.01)
        return nmf(V, templates, start, beta=beta, n_iter=60, fixed_templates=np.ones(6, bool))[2][-1]

    whole = nmf(V, *factors(V, 6), beta=beta, n_iter=100)[2][-1]
    ours, theirs = cost(np.asarray(model.templates, np.float64)), cost(reference.components_.T)
    assert ours <= 0.9 * theirs
    assert ours <= (3 if beta == 0 else 1.3) * whole


def test_drums_are_parted_almost_as_well_as_with_all_of_them_at_hand():
    case = real_case(case_names("e_drums_ac")[0])
    gains = []
    for separator in (NMF(n_components=3), OnlineNMF(n_components=3)):
        sources = separator.separate(case.mixture, case.sample_rate)
        found = np.stack([source[0] for source in sources.values()])
        references = [reference[0] for reference in case.references.values()]
        gains.append(
            max(
                np.mean(
                    [
                        si_sdr(a, b) - si_sdr(a, case.mixture[0])
                        for a, b in zip(references, order, strict=True)
                    ]
                )
                for order in permutations(found)
            )
        )
    assert gains[1] > gains[0] - 2
    assert gains[1] > 13


# --- what it keeps ---


@pytest.mark.core
def test_known_templates_stay_and_the_rest_is_learned(scene, known):
    separator = OnlineNMF(templates=known, n_components=3, n_iter=20)
    sources = separator.separate(scene.mixture, RATE)
    assert separator.source_names == tuple(sources) == ("kick", "bass", "rest")
    columns = np.concatenate([templates.values.values for templates in known.values()], axis=1)
    np.testing.assert_array_equal(sources.model.templates[:, :8], columns.astype(np.float32))
    assert sources.model.groups[-1] == ("rest", (8, 9, 10))
    drawn = OnlineNMF(templates=known, n_components=3)._first_templates()[8:]
    assert np.abs(sources.model.templates[:, 8:].T - drawn).max() > 1e-2


def test_with_known_templates_alone_it_is_supervised_factorisation(scene, known):
    """For beta 1 that is a convex problem, batch by batch or not."""
    online = OnlineNMF(templates=known, n_components=0, n_iter=400, tol=0)
    whole = SupervisedNMF(templates=known, n_iter=400, tol=0)
    found = online.separate(scene.mixture.astype(np.float64), RATE)
    expected = whole.separate(scene.mixture.astype(np.float64), RATE)
    assert tuple(found) == tuple(expected)
    for name in found:
        assert si_sdr(expected[name], found[name]) > 40


def test_frequencies_of_nobody_are_the_residual():
    low = Templates(values=np.eye(129)[:, 1:20], sample_rate=RATE, stft=SMALL)
    for adapt in (False, True):
        separator = OnlineNMF(templates={"low": low}, n_components=0, adapt=adapt)
        assert separator.source_names == ("low", "residual")
        time = np.arange(RATE) / RATE
        high = np.sin(2 * np.pi * 3000 * time)
        sources = separator.separate(np.sin(2 * np.pi * 300 * time) + high, RATE)
        assert si_sdr(high, sources["residual"]) > 30
        assert separator._learner(RATE)._learned.all() == adapt == separator._learner(RATE)._learned.any()


@pytest.mark.parametrize("memory", [0.5, 50.0])
def test_templates_adapt_as_fast_as_they_are_forgotten(memory):
    """A tone that rises by a third: the template follows within the memory, and not much sooner."""
    time = np.arange(8 * RATE) / RATE
    kwargs = {"stft": SMALL, "n_components": 1, "n_iter": 30}
    first = learn_templates(np.sin(2 * np.pi * 500 * time), RATE, **kwargs)
    separator = OnlineNMF(
        templates={"tone": first}, adapt=True, n_components=0, memory_seconds=memory, batch_seconds=0.25
    )
    templates = separator.separate(np.sin(2 * np.pi * 1000 * time), RATE).model.templates[:, 0]
    # What is left of the first is at its peak, 500 Hz; the new one is at 1000 Hz.
    old, new = templates[16], templates[32]
    assert (new > 10 * old) == (memory < 1)
    assert (new < old) == (memory > 10)


@pytest.mark.parametrize("what", ["nothing", "silence", "dither", "a fade"])
def test_templates_that_adapt_survive_a_quiet_beginning(scene, known, what):
    """They count as the loudest so far, and not as what was there when it began."""
    mixture = np.asarray(scene.mixture)
    rng = np.random.default_rng(0)
    before = {
        "silence": np.zeros((2, 4400)),
        "dither": np.round(rng.standard_normal((2, 8000))) / 2**15,
    }.get(what)
    if before is not None:
        mixture = np.concatenate([before, mixture], axis=1)
    if what == "a fade":
        mixture = mixture * np.minimum(1, np.arange(mixture.shape[1]) / (2 * RATE))
    model = OnlineNMF(templates=known, adapt=True, n_iter=20).separate(mixture, RATE).model
    given = np.concatenate([templates.values.values for templates in known.values()], axis=1)
    assert np.abs(model.templates[:, :8] - given).sum(axis=0).max() / 2 < 0.06


def test_what_is_not_heard_is_not_forgotten(scene, known):
    """A minute of another sound, and then the bass again: its template is still there."""
    separator = OnlineNMF(templates={"bass": known["bass"]}, adapt=True, n_components=2, memory_seconds=2.0)
    bass = scene.sources["bass"].mean(axis=0)
    hiss = 0.1 * np.random.default_rng(0).standard_normal(20 * RATE)
    hiss = STFT(256).inverse(
        STFT(256).forward(hiss, RATE), mask=(np.arange(129) > 60)[:, None] * np.ones(2501)
    )
    mixture = np.concatenate([hiss, bass])
    found = separator.separate(mixture, RATE)["bass"][hiss.size :]
    assert si_sdr(bass, found) > 10


# --- what does not matter ---


@pytest.mark.core
def test_later_sounds_change_nothing(scene):
    separator = OnlineNMF(stft=SMALL, n_components=3, n_iter=10, batch_seconds=0.5)
    half = scene.mixture.shape[1] // 2
    whole = separator.separate(scene.mixture, RATE)
    cut = separator.separate(scene.mixture[:, :half], RATE)
    safe = half - separator.stream(RATE).latency_samples
    for name in whole:
        np.testing.assert_array_equal(whole[name][:, :safe], cut[name][:, :safe])
        assert np.abs(whole[name][:, half - 200 : half] - cut[name][:, half - 200 :]).max() > 1e-3


def test_silence_teaches_nothing(scene):
    separator = OnlineNMF(stft=SMALL, n_components=3, n_iter=10, batch_seconds=0.5)
    n_silent = 64 * separator.stft.n_frames_in(0.5, RATE) * 4
    padded = np.pad(scene.mixture, ((0, 0), (n_silent, 0)))
    plain, late = (separator.separate(audio, RATE) for audio in (scene.mixture, padded))
    # The last of four silent batches has the windows' tails of what follows: the first to be learned from.
    assert len(late.model.losses) == len(plain.model.losses) + 1
    np.testing.assert_allclose(late.model.losses[1:], plain.model.losses, rtol=0.1)
    for name in plain:
        assert not np.abs(late[name][:, : n_silent - 300]).max()


@pytest.mark.core
def test_levels_of_batches_make_no_difference():
    """A fade of 200 dB: masks are those of the sound that does not fade."""
    rng = np.random.default_rng(0)
    separator = OnlineNMF(stft=SMALL, n_components=2, n_iter=20, batch_seconds=0.25, beta=0.0, exponent=2.0)
    loud = rng.standard_normal(4 * RATE)
    for decibels in (200.0, -200.0):
        fade = 10 ** (np.linspace(0, decibels, loud.size) / 20)
        sources = separator.separate(loud * fade, RATE)
        assert all(np.isfinite(loss) and loss < 5 for loss in sources.model.losses)
        total = sum(sources.values())
        assert np.abs(total - loud * fade).max() <= 1e-12 * (loud * fade).max()


def test_the_callback_can_end_the_learning(scene):
    separator = OnlineNMF(stft=SMALL, n_components=3, n_iter=10, batch_seconds=0.5)
    told = []

    def stop(progress):
        told.append(progress)
        return len(told) == 4

    ended = separator.separate(scene.mixture, RATE, callback=stop)
    plain = separator.separate(scene.mixture, RATE)
    assert [progress.iteration for progress in told] == sorted(progress.iteration for progress in told)
    assert {progress.stage for progress in told} == {"fit"}
    assert told[-1].n_iterations == plain.model.activations.shape[1]
    assert told[0].loss is None
    assert told[0].iteration == 0
    assert told[-1].iteration == told[-1].n_iterations
    assert told[-1].loss == ended.model.losses[-1]
    assert len(told) == 1 + len(ended.model.losses)
    # Three batches were done by then: the templates are those, and sources still sum.
    assert np.abs(ended.model.templates - plain.model.templates).max() > 1e-4
    np.testing.assert_allclose(sum(ended.values()), scene.mixture, atol=1e-6)
    assert len(ended.model.losses) == len(plain.model.losses)
    never = separator.separate(scene.mixture, RATE, callback=lambda _: True)
    drawn = separator._first_templates().T.astype(np.float32)
    np.testing.assert_array_equal(never.model.templates, drawn)


# --- the model ---


def test_the_model_tells_what_was_learned(scene, known, tmp_path):
    separator = OnlineNMF(templates=known, n_components=2, n_iter=10)
    model = separator.separate(scene.mixture, RATE).model
    assert isinstance(model, OnlineNMFModel)
    assert model.source_names == separator.source_names
    n_frames = SMALL.n_frames(scene.mixture.shape[1])
    assert model.templates.shape == (129, 10)
    assert model.activations.shape == (10, n_frames)
    np.testing.assert_allclose(model.templates.sum(axis=0), 1, rtol=1e-5)
    V = np.sqrt(np.mean(SMALL.forward(scene.mixture, RATE).magnitude() ** 2, axis=0))
    error = np.abs(model.templates @ model.activations - V).sum() / V.sum()
    assert error < 0.6
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.templates, model.templates)
    assert (again.groups, again.stft, again.losses) == (model.groups, model.stft, model.losses)
    dictionaries = again.dictionaries()
    assert list(dictionaries) == ["kick", "bass", "rest"]
    assert dictionaries["rest"].n_components == 2
    following = OnlineNMF(templates=dictionaries, n_components=0)
    assert following.source_names == ("kick", "bass", "rest")
    assert following.stft == SMALL


def test_silence_has_a_model():
    model = OnlineNMF(stft=SMALL, n_components=2).separate(np.zeros(3000), RATE).model
    assert model.losses == ()
    assert not model.activations.any()


def test_losses_are_of_data_with_a_mean_of_one(scene):
    separator = OnlineNMF(stft=SMALL, n_components=3, n_iter=10, batch_seconds=0.5)
    for beta in (0.0, 1.0, 2.5):
        quiet, loud = (
            separator.replace(beta=beta).separate(k * scene.mixture, RATE).model.losses for k in (1, 30)
        )
        np.testing.assert_allclose(quiet, loud, rtol=2e-2)


# --- settings ---


def test_settings_are_values(known):
    separator = OnlineNMF(templates=known, adapt=True, memory_seconds=np.float32(5), beta=1)
    assert separator == dspsep.from_json(separator.to_json()) == pickle.loads(pickle.dumps(separator))
    assert hash(separator) == hash(separator.replace())
    assert (separator.stft, separator.exponent) == (SMALL, 1.0)
    assert OnlineNMF() == dspsep.from_json(OnlineNMF().to_json())
    assert OnlineNMF(memory_seconds=None) == dspsep.from_json(OnlineNMF(memory_seconds=None).to_json())


def test_another_rate_is_refused(known):
    separator = OnlineNMF(templates=known)
    for call in (lambda: separator.separate(np.ones(1000), 16000), lambda: separator.stream(16000)):
        with pytest.raises(InputError, match="sample_rate must be 8000 Hz"):
            call()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_components": 0}, "n_components must be an integer of at least 1"),
        ({"n_components": 20_000}, "at most 10000"),
        ({"adapt": True}, "adapt must be False without templates"),
        ({"adapt": 1}, "adapt must be True or False"),
        ({"rest": ""}, "a source's name"),
        ({"beta": 4}, "beta"),
        ({"exponent": 3}, "exponent"),
        ({"batch_seconds": 0}, "batch_seconds"),
        ({"batch_seconds": 1e5}, "batch_seconds"),
        ({"memory_seconds": 0}, "memory_seconds"),
        ({"memory_seconds": float("inf")}, "memory_seconds"),
        ({"memory_seconds": 1e308}, "memory_seconds must be .* None never forgets"),
        ({"n_iter": 0}, "n_iter"),
        ({"tol": -1}, "tol"),
        ({"seed": -1}, "seed"),
        ({"stft": 512}, "stft must be an STFT"),
        ({"templates": {"a": 1}}, "must be Templates"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(InputError, match=words):
        OnlineNMF(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rest": "kick"}, "rest must be another name"),
        ({"exponent": 2.0}, "exponent must be that of the templates, 1"),
        ({"stft": STFT(512)}, "for the transform"),
        ({"adapt": True, "memory_seconds": None}, "memory_seconds must be a duration"),
        ({"n_components": 9_999}, "n_components"),
    ],
)
def test_bad_settings_beside_templates(known, settings, words):
    with pytest.raises(InputError, match=words):
        OnlineNMF(templates=known, **settings)
