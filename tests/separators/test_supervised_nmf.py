"""Supervised NMF: planted sources, fixed columns, what templates are for, names, the contract."""

from __future__ import annotations

import dataclasses
import pickle
from itertools import pairwise

import array_api_strict
import numpy as np
import pytest

from dspsep import (
    STFT,
    InputError,
    NMFModel,
    SemiSupervisedNMF,
    SupervisedNMF,
    Templates,
    from_json,
    learn_templates,
    load_model,
)
from dspsep.metrics import si_sdr
from dspsep.testing import contract
from tests.test_stft import noise

RATE = 8000
SMALL = STFT(128, 32)
N_FREQS = SMALL.n_freqs


def dictionary(seed, n_components=2, low=0, high=N_FREQS, **settings):
    """Return random templates that are zero outside of some frequencies."""
    values = np.zeros((N_FREQS, n_components))
    values[low:high] = np.random.default_rng(seed).uniform(0.01, 1, (high - low, n_components)) ** 4
    return Templates(values=values, **{"sample_rate": RATE, "stft": SMALL, **settings})


A, B = dictionary(1), dictionary(2, 3)
SUPERVISED = SupervisedNMF(templates={"a": A, "b": B}, n_iter=20)
SEMI = SemiSupervisedNMF(templates={"a": A, "b": B}, n_free=3, n_iter=20)
CONTRACT = {
    "supervised": (SUPERVISED, {}),
    "supervised-residual": (
        SupervisedNMF(templates={"a": dictionary(1, high=30), "b": dictionary(2, low=20, high=50)}),
        {},
    ),
    "supervised-euclidean": (SupervisedNMF(templates={"a": A, "b": dictionary(3, 80)}, beta=2, l1=0.1), {}),
    "supervised-silent": (
        SupervisedNMF(templates={"a": Templates(values=np.zeros((65, 2)), sample_rate=RATE, stft=SMALL)}),
        {},
    ),
    "semi": (SEMI, {"precision_snr": 40}),
    "semi-euclidean": (SEMI.replace(beta=2, n_iter=10, rest="residual"), {"precision_snr": 40}),
    "semi-as-published": (SEMI.replace(adaptation=0, continuity=0), {"precision_snr": 40}),
    "semi-itakura-saito": (
        SemiSupervisedNMF(
            templates={"a": dictionary(1, high=40, exponent=2.0)}, n_free=2, beta=0, n_iter=10, seed=3
        ),
        {"precision_snr": 40},
    ),
}


@pytest.mark.parametrize(
    "clause",
    [
        # The first settings belong to the core.
        pytest.param(clause, id=f"{name}-{clause!r}", marks=() if place else (pytest.mark.core,))
        for place, (name, (separator, options)) in enumerate(CONTRACT.items())
        for clause in contract(separator, sample_rate=RATE, **options)
    ],
)
def test_contract(clause):
    clause()


def tones(frequencies, seed, n_samples=16000):
    """Return a melody of pure tones, each of which is heard now and then."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / RATE
    level = np.repeat(rng.uniform(0, 1, (len(frequencies), n_samples // 1000)) > 0.5, 1000, axis=1)
    smooth = np.array([np.convolve(row, np.hanning(200) / 100, mode="same") for row in level.astype(float)])
    return sum(h * np.sin(2 * np.pi * f * time) for f, h in zip(frequencies, smooth, strict=True))


LOW, HIGH = (300, 700, 1200), (500, 1900, 2600)
TONES = STFT(512, 128)


def learned(frequencies, **settings):
    example = tones(frequencies, 7)
    return learn_templates(example, RATE, **{"n_components": 3, "stft": TONES, **settings})


@pytest.mark.core
def test_sources_that_are_known_are_told_apart():
    low, high = tones(LOW, 1), 0.5 * tones(HIGH, 2)
    nmf = SupervisedNMF(templates={"low": learned(LOW), "high": learned(HIGH)})
    sources = nmf.separate(low + high, RATE)
    assert sources.names == ("low", "high")
    assert si_sdr(low, sources["low"]) > si_sdr(low, low + high) + 10
    assert si_sdr(high, sources["high"]) > si_sdr(high, low + high) + 10


@pytest.mark.core
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_rest_is_what_is_not_known(beta):
    low, high = tones(LOW, 1), 0.5 * tones(HIGH, 2)
    nmf = SemiSupervisedNMF(templates={"low": learned(LOW, beta=beta)}, n_free=3, beta=beta, rest="other")
    sources = nmf.separate(low + high, RATE)
    assert sources.names == ("low", "other")
    assert si_sdr(low, sources["low"]) > si_sdr(low, low + high) + 10
    assert si_sdr(high, sources["other"]) > si_sdr(high, low + high) + 10


def planted(templates, n_frames, seed):
    """Return activations, sparse at random, and the spectrogram of templates with these."""
    rng = np.random.default_rng(seed)
    W = np.concatenate([known.values.values for known in templates], axis=1)
    H = rng.uniform(0, 1, (W.shape[1], n_frames)) * (rng.uniform(size=(W.shape[1], n_frames)) > 0.5)
    return W, H, W @ H


@pytest.mark.core
@pytest.mark.parametrize("exponent", [1.0, 2.0])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_planted_activations_are_found(beta, exponent):
    first, second = dictionary(1, exponent=exponent), dictionary(2, 3, exponent=exponent)
    W, H, V = planted((first, second), 80, 5)
    spectrogram = SMALL.forward(noise((1, 79 * 32)), RATE)
    assert spectrogram.n_frames == 80
    values = V ** (1 / exponent) * np.exp(1j * np.angle(spectrogram.values))
    spectrogram = dataclasses.replace(spectrogram, values=values)
    nmf = SupervisedNMF(templates={"a": first, "b": second}, beta=beta, n_iter=3000, tol=0)
    model = nmf.fit(spectrogram)
    np.testing.assert_array_equal(model.templates, W)
    np.testing.assert_allclose(model.activations, H, atol=0.02 * H.max())
    shares = W[:, :2] @ H[:2] / np.maximum(V, 1e-12)
    np.testing.assert_allclose(model.masks(spectrogram)["a"][0][V > 1e-3], shares[V > 1e-3], atol=0.05)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["mu", "accelerated", "hals"])
def test_what_is_known_stays_to_the_bit(solver, dtype):
    audio = noise((2, 4000), dtype=dtype)
    known = np.concatenate([A.values.values, B.values.values], axis=1).astype(dtype)
    for plain in (SUPERVISED, SEMI.replace(adaptation=0, continuity=0)):
        nmf = plain.replace(beta=2.0 if solver == "hals" else 0.5, solver=solver)
        model = nmf.separate(audio, RATE).model
        assert isinstance(model, NMFModel)
        assert model.templates.dtype == dtype
        assert model.templates[:, :5].tobytes() == known.tobytes()
        assert model.losses[-1] < model.losses[0]
    assert model.templates.shape == (N_FREQS, 8)
    begun = nmf.replace(n_iter=1).separate(audio, RATE).model
    assert (model.templates[:, 5:] != begun.templates[:, 5:]).any()


@pytest.mark.core
def test_what_all_templates_are_silent_at_is_the_residual():
    nmf = SupervisedNMF(templates={"a": dictionary(1, high=20), "b": dictionary(2, low=10, high=40)})
    assert nmf.source_names == ("a", "b", "residual")
    audio = noise((3, 4000))
    spectrogram = SMALL.forward(audio, RATE)
    model = nmf.fit(spectrogram)
    masks = model.masks(spectrogram)
    np.testing.assert_array_equal(masks["residual"][0, 40:], 1)
    np.testing.assert_array_equal(masks["residual"][0, :40], 0)
    np.testing.assert_array_equal(masks["a"][0, 20:], 0)
    np.testing.assert_array_equal(masks["b"][0, :10], 0)
    # Its component changes nothing for the others.
    alone = nmf.replace(n_iter=2000, tol=0).fit(spectrogram)
    below = np.where(np.arange(N_FREQS)[:, None] < 40, spectrogram.values, 0)
    other = nmf.replace(n_iter=2000, tol=0).fit(dataclasses.replace(spectrogram, values=below))
    np.testing.assert_allclose(alone.activations[:4], other.activations[:4], atol=1e-4)
    silent = Templates(values=np.zeros((N_FREQS, 1)), sample_rate=RATE, stft=SMALL)
    sources = SupervisedNMF(templates={"a": silent}).separate(audio, RATE)
    assert np.abs(sources["a"]).max() == 0
    np.testing.assert_allclose(sources["residual"], audio, atol=1e-12)
    # Where something is free to explain it, nothing is left over.
    assert SemiSupervisedNMF(templates={"a": silent}).source_names == ("a", "rest")
    sources = SemiSupervisedNMF(templates={"a": silent, "b": B}, n_iter=5).separate(audio, RATE)
    assert not sources["a"].any()
    # Coordinate descent could bring zeros back.
    descent = SemiSupervisedNMF(
        templates={"a": silent, "b": B}, n_iter=5, beta=2, solver="hals", continuity=0
    )
    assert not descent.separate(audio, RATE)["a"].any()


@pytest.mark.core
def test_templates_do_not_depend_on_level_channels_or_device():
    example = noise((4000,))
    settings = {"n_components": 3, "stft": SMALL, "n_iter": 30}
    known = learn_templates(example, RATE, **settings)
    assert known == learn_templates(example, RATE, **settings)
    assert known != learn_templates(example, RATE, **settings, seed=1)
    assert known == learn_templates(1024 * example, RATE, **settings)
    values = known.values.values
    assert values.shape == (N_FREQS, 3)
    assert values.min() >= 0
    np.testing.assert_allclose(values.sum(axis=0), 1, rtol=1e-6)
    for other in (3e-30 * example, np.stack([example, example]), np.stack([0 * example, -example, example])):
        np.testing.assert_allclose(learn_templates(other, RATE, **settings).values.values, values, atol=1e-9)
    strict = learn_templates(array_api_strict.asarray(example), RATE, **settings)
    np.testing.assert_allclose(strict.values.values, values, atol=1e-9)
    single = learn_templates(example.astype(np.float32), RATE, **settings).values.values
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, values, atol=1e-3 * values.max())
    assert not learn_templates(0 * example, RATE, **settings).values.values.any()
    assert learn_templates(example[:1], RATE, **settings).n_components == 3
    assert learn_templates(example, RATE).stft == STFT()


@pytest.mark.core
def test_settings_of_learning_do_what_they_say():
    example = noise((4000,))
    settings = {"n_components": 1, "stft": SMALL, "n_iter": 50}
    V = SMALL.forward(example, RATE).magnitude()[0]
    for exponent, beta in ((1.0, 1.0), (2.0, 1.0), (0.5, 2.0)):
        found = learn_templates(example, RATE, exponent=exponent, beta=beta, **settings)
        powers = V**exponent
        expected = powers.mean(axis=1)  # for beta 1 in one step
        if beta == 2:
            expected = np.abs(np.linalg.svd(powers)[0][:, 0])
        np.testing.assert_allclose(found.values.values[:, 0], expected / expected.sum(), rtol=1e-3)
        assert found.exponent == exponent
    settings = {"n_components": 4, "stft": SMALL, "n_iter": 1}
    begun = [
        learn_templates(example, RATE, init=init, **settings) for init in ("random", "nndsvd", "nndsvda")
    ]
    assert len({*begun, learn_templates(example, RATE, **settings)}) == 4
    assert learn_templates(example, RATE, init="nndsvdar", **settings) == learn_templates(
        example, RATE, **settings
    )


@pytest.mark.core
@pytest.mark.parametrize("nmf", [SUPERVISED, SEMI])
def test_it_works_on_other_devices(nmf):
    audio = noise((2, 4000))
    device = array_api_strict.Device("device1")
    here, there = (
        nmf.separate(audio, RATE),
        nmf.separate(array_api_strict.asarray(audio, device=device), RATE),
    )
    for name, source in there.items():
        assert source.device == device
        moved = array_api_strict.asarray(source, device=array_api_strict.Device("CPU_DEVICE"))
        np.testing.assert_allclose(np.asarray(moved), here[name], atol=1e-6)


@pytest.mark.core
def test_columns_are_scaled_to_sum_to_one():
    values = np.zeros((N_FREQS, 5))
    values[:, 0], values[:, 1], values[0, 2], values[3, 3] = 1e308, 5e-324, 3e-300, 7
    known = Templates(values=values, sample_rate=8000.0, stft=SMALL, exponent=1)
    expected = np.zeros((N_FREQS, 5))
    expected[:, :2], expected[0, 2], expected[3, 3] = 1 / N_FREQS, 1, 1
    np.testing.assert_allclose(known.values.values, expected, rtol=1e-12)
    assert not known.values.values.flags.writeable
    assert repr(known) == repr(dataclasses.replace(known, sample_rate=8000, exponent=1.0))
    for other in (A, B, known, dictionary(9, 40)):
        assert dataclasses.replace(other) == other
        assert dataclasses.replace(other, values=other.values.values) == other


@pytest.mark.core
def test_everything_can_be_stored(tmp_path):
    for known in (A, learned(LOW), dictionary(4, exponent=2.0)):
        for twin in (Templates.from_json(known.to_json()), pickle.loads(pickle.dumps(known))):
            assert twin == known
            assert hash(twin) == hash(known)
            assert repr(twin) == repr(known)
            assert twin.values.values.tobytes() == known.values.values.tobytes()
    for nmf in (SUPERVISED, SEMI):
        for twin in (from_json(nmf.to_json()), pickle.loads(pickle.dumps(nmf))):
            assert twin == nmf
            assert repr(twin) == repr(nmf)
        model = nmf.separate(noise((4000,)), RATE).model
        model.save(tmp_path / "model.npz")
        np.testing.assert_array_equal(load_model(tmp_path / "model.npz").templates, model.templates)
    assert (SEMI >> {"rest": SUPERVISED}).source_names == ("a", "b", "rest/a", "rest/b")
    with pytest.raises(InputError, match="text must be the JSON of templates; got that of a SupervisedNMF"):
        Templates.from_json(SUPERVISED.to_json())


@pytest.mark.core
def test_l1_makes_activations_sparse_but_for_beta_1():
    spectrogram = SMALL.forward(noise((4000,)), RATE)
    nmf = SupervisedNMF(templates={"a": dictionary(3, 80)}, n_iter=200, tol=0)
    dense, sparse = (nmf.replace(beta=2, l1=l1).fit(spectrogram).activations for l1 in (0.0, 0.3))
    assert (sparse == 0).mean() > (dense == 0).mean() + 0.03
    dense, scaled = (nmf.replace(l1=l1).fit(spectrogram).activations for l1 in (0.0, 1.0))
    np.testing.assert_allclose(scaled.sum(axis=0), dense.sum(axis=0) / 2, rtol=1e-3)


@pytest.mark.core
@pytest.mark.parametrize("nmf", [SUPERVISED, SEMI])
def test_a_callback_sees_the_loss_fall_and_ends_the_iterations(nmf):
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.iteration == 7

    model = nmf.fit(SMALL.forward(noise((4000,)), RATE), callback=callback)
    assert [progress.iteration for progress in seen] == list(range(1, 8))
    assert tuple(progress.loss for progress in seen) == model.losses[1:]
    assert {(progress.stage, progress.n_iterations) for progress in seen} == {("fit", 20)}
    assert all(after <= before for before, after in pairwise(model.losses))


def test_settings_come_from_the_templates():
    assert SEMI.stft == SMALL
    assert SemiSupervisedNMF(templates={"a": A, "b": B}, n_free=3, n_iter=20, stft=SMALL, beta=1) == SEMI
    assert SEMI.source_names == ("a", "b", "rest")
    assert SEMI.replace(n_free=np.int64(3)) == SEMI
    assert SEMI.separate(noise((4000,)), RATE).provenance.seed == 0
    one, other = (SEMI.replace(seed=seed).separate(noise((4000,)), RATE)["rest"] for seed in (0, 1))
    assert (one != other).any()


BAD_TEMPLATES = [
    ({"values": -A.values.values}, "values"),
    ({"values": np.where(np.arange(N_FREQS)[:, None] == 3, np.nan, 1.0)}, "values"),
    ({"values": np.full((N_FREQS, 2), np.inf)}, "values"),
    ({"values": np.ones(N_FREQS)}, "values"),
    ({"values": np.ones((N_FREQS, 0))}, "values"),
    ({"values": np.ones((N_FREQS + 1, 2))}, "values"),
    ({"values": np.ones((N_FREQS, 10_001), np.float32)}, "values"),
    ({"values": "loud"}, "values"),
    ({"values": 1j * np.ones((N_FREQS, 2))}, "values"),
    ({"sample_rate": 0}, "sample_rate"),
    ({"sample_rate": "8 kHz"}, "sample_rate"),
    ({"stft": 128}, "stft"),
    ({"exponent": 0}, "exponent"),
    ({"exponent": 3}, "exponent"),
]


@pytest.mark.parametrize(("change", "name"), BAD_TEMPLATES, ids=lambda value: str(value)[:40])
def test_bad_templates_are_refused(change, name):
    with pytest.raises(InputError) as caught:
        Templates(**{"values": np.ones((N_FREQS, 2)), "sample_rate": RATE, "stft": SMALL, **change})
    assert caught.value.name == name


BAD_EXAMPLES = [
    ({"audio": np.array([0.0, np.nan])}, "audio"),
    ({"audio": np.zeros((100, 2))}, "audio"),
    ({"audio": np.zeros(0)}, "audio"),
    ({"audio": "drums"}, "audio"),
    ({"sample_rate": -1}, "sample_rate"),
    ({"n_components": 0}, "n_components"),
    ({"n_components": 10_001}, "n_components"),
    ({"stft": 2048}, "stft"),
    ({"beta": 4}, "beta"),
    ({"exponent": 0}, "exponent"),
    ({"n_iter": 0}, "n_iter"),
    ({"tol": -1}, "tol"),
    ({"init": "zeros"}, "init"),
    ({"seed": -1}, "seed"),
]


@pytest.mark.parametrize(("change", "name"), BAD_EXAMPLES, ids=lambda value: str(value)[:40])
def test_bad_examples_are_refused(change, name):
    with pytest.raises(InputError) as caught:
        learn_templates(**{"audio": np.ones(100), "sample_rate": RATE, **change})
    assert caught.value.name == name


BAD_SETTINGS = [
    ({"templates": {}}, "templates"),
    ({"templates": A}, "templates"),
    ({"templates": None}, "templates"),
    ({"templates": {"a": np.ones((N_FREQS, 2))}}, "templates['a']"),
    ({"templates": {"": A}}, "a source's name"),
    ({"templates": {"residual": A}}, "templates"),
    ({"templates": (("a", A), ("a", B))}, "templates"),
    ({"templates": {"a": dictionary(1, 6000), "b": dictionary(2, 6000)}}, "templates"),
    ({"templates": {"a": A, "b": dictionary(1, sample_rate=16000)}}, "templates['b']"),
    ({"templates": {"a": A, "b": dictionary(1, exponent=2.0)}}, "templates['b']"),
    ({"templates": {"a": A, "b": dictionary(1, stft=STFT(128, 64))}}, "templates['b']"),
    ({"stft": STFT(128, 64)}, "templates['a']"),
    ({"stft": 128}, "stft"),
    ({"beta": 4}, "beta"),
    ({"solver": "hals"}, "solver"),
    ({"n_iter": 0}, "n_iter"),
    ({"tol": 2}, "tol"),
    ({"l1": -1}, "l1"),
    ({"adaptation": -0.1}, "adaptation"),
    ({"adaptation": np.inf}, "adaptation"),
    ({"continuity": -1}, "continuity"),
    ({"n_free": 0}, "n_free"),
    ({"n_free": 9_996}, "n_free"),
    ({"seed": -1}, "seed"),
    ({"rest": ""}, "a source's name"),
    ({"rest": "a"}, "rest"),
]


@pytest.mark.parametrize(("change", "name"), BAD_SETTINGS, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused(change, name):
    for nmf in (SEMI, SUPERVISED):
        if set(change) <= {field.name for field in dataclasses.fields(nmf)}:
            with pytest.raises(InputError) as caught:
                nmf.replace(**change)
            assert caught.value.name == name


@pytest.mark.parametrize("nmf", [SUPERVISED, SEMI])
def test_templates_are_for_one_rate_and_one_transform(nmf):
    with pytest.raises(InputError, match="sample_rate must be 8000 Hz, as the templates are for; got 16000"):
        nmf.separate(np.ones(1000), 16000)
    with pytest.raises(InputError, match="spectrogram must be made by this transform") as caught:
        nmf.fit(STFT(128, 64).forward(np.ones(1000), RATE))
    assert caught.value.name == "spectrogram"
