"""NMFD: its objective, its peers, what it recovers and does to drums, and what it cannot be asked for."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

from dspsep import NMFD, STFT, FrozenArray, InputError, NMFDModel, from_json, load_model, nmfd, num_threads
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from dspsep.separators.nmf._drum_templates import drum_templates
from tests.cases import case_names, real_case
from tests.separators.oracles import make_nmfd

SMALL = STFT(256)
BETAS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def convolved(W, H):
    """Return the model, entry by entry."""
    n_freqs, n_components, n_lags = W.shape
    model = np.zeros((n_freqs, H.shape[1]))
    for f, t, k, lag in itertools.product(
        range(n_freqs), range(H.shape[1]), range(n_components), range(n_lags)
    ):
        if t >= lag:
            model[f, t] += W[f, k, lag] * H[k, t - lag]
    return model


def by_loops(V, W, H, beta, n_iter):
    """Return factors after `n_iter` iterations: templates, then activations, each from the formula."""
    W, H = W.copy(), H.copy()
    exponent = 1 / (2 - beta) if beta < 1 else 1 / (beta - 1) if beta > 2 else 1.0
    (n_freqs, n_components, n_lags), n_frames = W.shape, V.shape[1]
    for _ in range(n_iter):
        model = convolved(W, H)
        pull, push = V * model ** (beta - 2), model ** (beta - 1)
        new = W.copy()
        for f, k, lag in itertools.product(range(n_freqs), range(n_components), range(n_lags)):
            shifted = np.r_[np.zeros(lag), H[k]][:n_frames]
            new[f, k, lag] *= (pull[f] @ shifted / (push[f] @ shifted)) ** exponent
        W = new
        model = convolved(W, H)
        pull, push = V * model ** (beta - 2), model ** (beta - 1)
        for k, t in itertools.product(range(n_components), range(n_frames)):
            reached = [lag for lag in range(n_lags) if t + lag < n_frames]
            above = sum(W[:, k, lag] @ pull[:, t + lag] for lag in reached)
            H[k, t] *= (above / sum(W[:, k, lag] @ push[:, t + lag] for lag in reached)) ** exponent
    return W, H


def problem(seed=0, shape=(12, 20, 2, 4)):
    n_freqs, n_frames, n_components, n_lags = shape
    rng = np.random.default_rng(seed)
    V = rng.exponential(size=(n_freqs, n_frames)) ** 2
    return (
        V,
        rng.uniform(0.1, 1, (n_freqs, n_components, n_lags)),
        rng.uniform(0.1, 1, (n_components, n_frames)),
    )


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_the_updates_are_those_of_the_formulae(beta):
    V, W, H = problem(0, (6, 11, 2, 3))
    expected = by_loops(V, W, H, beta, 4)
    for found, wanted in zip(nmfd(V, W, H, beta=beta, n_iter=4), expected, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.core
@pytest.mark.parametrize("beta", make_nmfd.BETAS)
def test_a_peer_finds_the_same(beta):
    stored = np.load(Path(make_nmfd.__file__).with_name("nmfd.npz"))
    assert "torchnmf" in json.loads(str(stored["versions"]))
    V, W, H = make_nmfd.start()
    W, H, _ = nmfd(V, W, H, beta=beta, n_iter=make_nmfd.N_ITER)
    # It adds the epsilon of single precision to models, numerators and denominators.
    np.testing.assert_allclose(convolved(W, H), stored[f"model_{beta}"], rtol=1e-4, atol=2e-7)
    np.testing.assert_allclose(W, stored[f"W_{beta}"], rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(H[:, : 1 - W.shape[2]], stored[f"H_{beta}"], rtol=1e-4, atol=2e-6)
    assert not H[:, 1 - W.shape[2] :].any()


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("shape", [(12, 20, 2, 4), (5, 3, 2, 6), (1, 1, 1, 1), (30, 700, 3, 9)])
def test_the_objective_never_rises(beta, shape):
    V, W, H = problem(1, shape)
    if shape[0] > 1:
        V[0], V[:, 1], W[2] = 0, 0, 0
    W, H, losses = nmfd(V, W, H, beta=beta, n_iter=60)
    assert len(losses) == 61
    assert np.isfinite(losses).all()
    assert np.isfinite(W).all() and np.isfinite(H).all()  # noqa: PT018
    nothing = 1e-12 * losses[0]  # one bin is met exactly, but for rounding
    assert all(after <= before * (1 + 1e-9) + nothing for before, after in itertools.pairwise(losses))
    if shape != (1, 1, 1, 1):
        assert losses[-1] < losses[0]


@pytest.mark.core
def test_the_losses_are_divergences():
    V, W, H = problem(2)
    model = convolved(W, H)
    wanted = {
        0.0: np.sum(V / model - np.log(V / model) - 1),
        1.0: np.sum(V * np.log(V / model) - V + model),
        2.0: np.sum((V - model) ** 2) / 2,
    }
    for beta, loss in wanted.items():
        seen = []
        _, _, losses = nmfd(V, W, H, beta=beta, n_iter=3, callback=seen.append)
        np.testing.assert_allclose(losses[0], loss, rtol=1e-7)
        assert [progress.loss for progress in seen] == list(losses[1:])


@pytest.mark.core
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_a_planted_model_is_recovered(beta):
    rng = np.random.default_rng(4)
    W, H = rng.exponential(size=(40, 2, 5)) ** 2, np.zeros((2, 80))
    H[0, [3, 20, 41, 60]], H[1, [9, 30, 41, 70]] = (1, 0.5, 2, 1), (1, 1.5, 0.7, 1)
    V = convolved(W, H)
    found_W, found_H, losses = nmfd(
        V, W * rng.uniform(0.5, 1.5, W.shape), np.full(H.shape, 0.1), beta=beta, n_iter=3000
    )
    assert losses[-1] < 1e-6 * losses[0]
    for k in range(2):
        scale = found_H[k, 41] / H[k, 41]
        np.testing.assert_allclose(found_H[k] / scale, H[k], atol=0.02)
        np.testing.assert_allclose(found_W[:, k] * scale, W[:, k], atol=0.02 * W.max())


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_zeros_stay_zero_and_what_is_fixed_stays(beta):
    V, W, H = problem(5)
    W[:, 1, 2:], H[0, 4:9] = 0, 0
    found_W, found_H, _ = nmfd(V, W, H, beta=beta, n_iter=10)
    assert not found_W[:, 1, 2:].any()
    assert not found_H[0, 4:9].any()
    fixed = np.random.default_rng(0).random(W.shape) < 0.5
    found, _, _ = nmfd(V, W, H, beta=beta, n_iter=5, fixed_templates=fixed)
    assert np.array_equal(found[fixed], W[fixed])
    assert not np.isclose(found[~fixed & (W > 0)], W[~fixed & (W > 0)]).any()
    found, _, _ = nmfd(V, W, H, beta=beta, n_iter=5, fixed_templates=[True, False])
    assert np.array_equal(found[:, 0], W[:, 0])
    assert not np.isclose(found[:, 1, :2], W[:, 1, :2]).any()
    fixed = np.random.default_rng(0).random(H.shape) < 0.5
    _, found, _ = nmfd(V, W, H, beta=beta, n_iter=5, fixed_activations=fixed)
    np.testing.assert_allclose(found[fixed], H[fixed], rtol=1e-14)
    _, found, _ = nmfd(V, W, H, beta=beta, n_iter=5, fixed_activations=[False, True])
    assert np.array_equal(found[1], H[1])
    assert not np.isclose(found[0, 10:], H[0, 10:]).any()


@pytest.mark.core
def test_templates_wait_until_they_are_adapted():
    V, W, H = problem(6)
    assert np.array_equal(nmfd(V, W, H, n_iter=7, adapt_after=7)[0], W)
    first, second, _ = nmfd(V, W, H, n_iter=7, adapt_after=7)
    expected = nmfd(V, first, second, n_iter=2)
    for found, wanted in zip(nmfd(V, W, H, n_iter=9, adapt_after=7)[:2], expected, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.core
def test_it_ends_where_little_is_gained_or_the_callback_says_so():
    V, W, H = problem(7)
    whole = nmfd(V, W, H, n_iter=400)[2]
    losses = nmfd(V, W, H, n_iter=400, tol=1e-3)[2]
    done = len(losses) - 1
    assert done % 10 == 0
    assert done < 400
    assert losses == whole[: done + 1]
    assert losses[-11] - losses[-1] < 1e-3 * losses[0] <= losses[-21] - losses[-11]
    assert len(nmfd(V, W, H, n_iter=25, tol=1e-12)[2]) == 26
    assert len(nmfd(V, W, H, n_iter=20, tol=1e-12)[2]) == 21
    assert len(nmfd(V, W, H, n_iter=9, callback=lambda progress: progress.iteration == 4)[2]) == 5


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_scale_device_and_precision_do_not_matter(beta):
    V, W, H = problem(8)
    before = [array.copy() for array in (V, W, H)]
    found_W, found_H, losses = nmfd(V, W, H, beta=beta, n_iter=8)
    assert all(np.array_equal(*pair) for pair in zip(before, (V, W, H), strict=True))
    other_W, other_H, _ = nmfd(V * 2.0**40, W, H * 2.0**40, beta=beta, n_iter=8)
    assert np.array_equal(other_W, found_W)
    assert np.array_equal(other_H, found_H * 2.0**40)
    strict = nmfd(*map(array_api_strict.asarray, (V, W, H)), beta=beta, n_iter=8)
    np.testing.assert_allclose(np.asarray(strict[0]), found_W, rtol=1e-9)
    np.testing.assert_allclose(np.asarray(strict[1]), found_H, rtol=1e-9)
    single = nmfd(V.astype(np.float32), W, H, beta=beta, n_iter=8)
    assert single[0].dtype == single[1].dtype == np.float32
    np.testing.assert_allclose(single[0], found_W, rtol=2e-3)
    np.testing.assert_allclose(single[2], losses, rtol=1e-4)


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_silence_has_no_activations(beta):
    _, W, H = problem()
    found_W, found_H, losses = nmfd(np.zeros((12, 20)), W, H, beta=beta)
    assert np.array_equal(found_W, W)
    assert not found_H.any()
    assert losses == (0.0,)


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "change"),
    [
        *[("V", {"V": bad}) for bad in (np.ones(3), -np.ones((12, 20)), np.full((12, 20), np.nan), None)],
        *[("W", {"W": bad}) for bad in (np.ones((12, 2)), np.ones((11, 2, 4)), np.ones((12, 0, 4)), "W")],
        *[("W", {"W": np.full((12, 2, 4), bad)}) for bad in (-1.0, np.inf, np.nan)],
        *[("H", {"H": bad}) for bad in (np.ones((3, 20)), np.ones((2, 19)), -np.ones((2, 20)))],
        *[("beta", {"beta": bad}) for bad in (-1.1, 3.1, np.nan, "1")],
        *[("n_iter", {"n_iter": bad}) for bad in (0, 1.5, True)],
        *[("tol", {"tol": bad}) for bad in (-1e-9, 2, None)],
        *[("adapt_after", {"adapt_after": bad}) for bad in (-1, 0.5)],
        *[
            ("fixed_templates", {"fixed_templates": bad})
            for bad in ([1, 0], [True] * 3, np.ones((2, 4), bool))
        ],
        *[("fixed_activations", {"fixed_activations": bad}) for bad in ([0, 1], np.ones((20, 2), bool))],
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_by_name(name, change):
    V, W, H = problem()
    with pytest.raises(InputError, match=rf"^{name} must be ") as info:
        nmfd(**{"V": V, "W": W, "H": H, **change})
    assert info.value.name == name


# ---- the separator


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[("start", {"start": bad}) for bad in ("drum", None, 3, {}, [("a", 1, 2)], {"a"})],
        ("start", {"start": [("a", np.ones((129, 3))), ("a", np.ones((129, 3)))]}),
        *[
            ("start['a']", {"start": {"a": bad}})
            for bad in (np.ones((128, 3)), np.ones(129), -np.ones((129, 3)), np.zeros((129, 3)), "kick")
        ],
        *[("n_components", {"n_components": bad}) for bad in (0, 1001, 2.0)],
        *[("template_seconds", {"template_seconds": bad}) for bad in (0, -0.1, 11, np.nan)],
        *[("beta", {"beta": bad}) for bad in (-2, 4)],
        *[("n_iter", {"n_iter": bad}) for bad in (0, 2.5)],
        *[("tol", {"tol": bad}) for bad in (-1, "0")],
        *[("adapt_after", {"adapt_after": bad}) for bad in (-1, None)],
        *[("power", {"power": bad}) for bad in (0, 1001)],
        *[("seed", {"seed": bad}) for bad in (-1, 0.5, None)],
        ("stft", {"stft": 2048}),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=r" must be .+; got .+\.") as info:
        NMFD(**{"stft": SMALL, **options})
    assert info.value.name == name


def loop(seconds=1.5, rate=8000, seed=0):
    return scenes.drum_loop(duration=seconds, sample_rate=rate, seed=seed)


@pytest.mark.core
@pytest.mark.parametrize("power", [0.3, 1.0, 2.0, 1000.0])
def test_masks_are_shares_and_models_are_stored(power, tmp_path):
    drums = loop()
    separator = NMFD(stft=SMALL, n_iter=5, adapt_after=1, power=power)
    sources = separator.separate(drums.mixture, drums.sample_rate)
    model = sources.model
    assert model.templates.shape == (129, 4, 25)
    assert model.activations.shape[0] == 4
    assert len(model.losses) == 6
    assert model.losses[-1] < model.losses[0]
    np.testing.assert_allclose(np.sum(model.templates, axis=(0, 2)), 1, rtol=1e-5)
    spectrogram = SMALL.forward(drums.mixture, drums.sample_rate)
    # An update of activations for beta 1 makes the model as large as the mixture.
    courses = zip(model.activations, np.sum(model.templates, axis=0), strict=True)
    total = sum(np.convolve(*course)[: spectrogram.n_frames].sum() for course in courses)
    np.testing.assert_allclose(total, spectrogram.magnitude().sum(), rtol=1e-4)
    masks = model.masks(spectrogram)
    assert tuple(masks) == ("kick", "snare", "hihat")
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks.values())
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-6)
    parts = [
        convolved(model.templates[:9, own, :].astype(float), model.activations[own, :40].astype(float))
        for own in (slice(0, 1), slice(1, 2), slice(2, 4))
    ]
    if power <= 2:
        for name, part in zip(masks, parts, strict=True):
            share = part**power / sum(other**power for other in parts)
            np.testing.assert_allclose(masks[name][0, :9, :40], share, atol=1e-4)
    model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    assert isinstance(stored, NMFDModel)
    assert stored.losses == model.losses
    for name, mask in stored.masks(spectrogram).items():
        assert np.array_equal(mask, masks[name])
    with pytest.raises(InputError, match=r"^spectrogram must be "):
        model.masks(SMALL.forward(drums.mixture[:-1000], drums.sample_rate))


@pytest.mark.core
def test_a_model_from_a_file_is_checked():
    good = {
        "templates": np.ones((5, 2, 3)), "activations": np.ones((2, 7)), "losses": (1.0,),
        "sources": (("a", 1), ("b", 1)), "power": 2.0,
    }  # fmt: skip
    assert NMFDModel(**good).source_names == ("a", "b")
    for name, bad in (
        ("templates", -np.ones((5, 2, 3))), ("activations", np.ones((3, 7))), ("losses", ()), ("power", 0.0),
        ("sources", (("a", 1), ("a", 1))), ("sources", (("a", 1),)), ("sources", (("a", 0), ("b", 2))),
    ):  # fmt: skip
        with pytest.raises(InputError) as info:
            NMFDModel(**{**good, name: bad})
        assert info.value.name == name


@pytest.mark.core
def test_given_templates_name_the_sources_and_keep_their_lengths():
    drums = loop()
    rng = np.random.default_rng(0)
    given = {"high": rng.random((129, 2, 6)), "low": rng.random((129, 3))}
    separator = NMFD(stft=SMALL, start=given, n_iter=4, adapt_after=0, power=1.0)
    assert separator.source_names == ("high", "low")
    assert from_json(separator.to_json()) == separator
    assert separator == separator.replace(start={name: FrozenArray(part) for name, part in given.items()})
    assert hash(separator) == hash(separator.replace())
    model = separator.separate(drums.mixture, drums.sample_rate).model
    assert model.sources == (("high", 2), ("low", 1))
    assert not model.templates[:, 2, 3:].any()
    assert model.templates[:, 2, :3].all()
    masks = model.masks(SMALL.forward(drums.mixture, drums.sample_rate))
    W, H = (factor.astype(float) for factor in (model.templates[60:64], model.activations[:, :50]))
    share = convolved(W[:, 2:], H[2:]) / convolved(W, H)
    np.testing.assert_allclose(masks["low"][0, 60:64, :50], share, atol=1e-5)
    held = separator.replace(adapt_after=4).separate(drums.mixture, drums.sample_rate).model
    wanted = np.pad(given["low"], ((0, 0), (0, 3))) / given["low"].sum()
    np.testing.assert_allclose(held.templates[:, 2], wanted, rtol=1e-5)


@pytest.mark.core
def test_it_begins_as_loud_as_the_mixture_and_ends_where_little_is_gained():
    drums = loop()
    # Templates have to have been adapted before anything is said of them.
    model = NMFD(stft=SMALL, n_iter=40, tol=1.0).separate(drums.mixture, drums.sample_rate).model
    assert len(model.losses) == 21
    # The divergence of a spectrogram from another as large is no larger than their sums, but for details.
    assert model.losses[0] < 1.5 * SMALL.forward(drums.mixture, drums.sample_rate).magnitude().sum()


@pytest.mark.core
def test_one_seed_one_result_on_any_number_of_threads():
    drums = loop(3.0)
    for start in ("drums", "random"):
        separator = NMFD(stft=SMALL, start=start, n_iter=4, seed=3)
        with num_threads(1):
            first = separator.separate(drums.mixture, drums.sample_rate)
        for n_threads in (2, 5):
            with num_threads(n_threads):
                again = separator.separate(drums.mixture, drums.sample_rate)
            assert all(again[name].tobytes() == first[name].tobytes() for name in first)
        other = separator.replace(seed=4).separate(drums.mixture, drums.sample_rate)
        assert not np.array_equal(next(iter(other.values())), next(iter(first.values())))
        at_once = separator.replace(adapt_after=0).separate(drums.mixture, drums.sample_rate)
        same = all(at_once[name].tobytes() == first[name].tobytes() for name in first)
        assert same == (start == "random")


@pytest.mark.core
@pytest.mark.parametrize("start", ["drums", "random", {"a": np.ones((129, 9)), "b": np.ones((129, 2))}])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_silence_and_single_samples(start, beta):
    separator = NMFD(stft=SMALL, start=start, beta=beta, n_iter=3)
    silent = separator.separate(np.zeros(3000, np.float32), 8000)
    assert silent.names == separator.source_names
    assert not any(source.any() for source in silent.values())
    assert not silent.model.activations.any()
    for rate in (10.0, 8000.0, 1e12):
        short = separator.separate(np.ones(1, np.float32), rate)
        np.testing.assert_allclose(short.mixture(), 1, atol=1e-6)


@pytest.mark.core
def test_channels_share_one_model_of_their_energy():
    drums = loop()
    left = np.asarray(drums.mixture, np.float64)
    separator = NMFD(stft=SMALL, n_iter=5)
    alone = separator.separate(left, drums.sample_rate)
    both = separator.separate(np.stack([left, -left]), drums.sample_rate)
    wide = separator.separate(np.stack([left * np.sqrt(1.5), left * np.sqrt(0.5)]), drums.sample_rate)
    for name in alone:
        np.testing.assert_allclose(both[name][0], alone[name], atol=1e-9)
        np.testing.assert_allclose(both[name][1], -alone[name], atol=1e-9)
        np.testing.assert_allclose(wide[name][0], alone[name] * np.sqrt(1.5), atol=1e-9)


# ---- drums


@pytest.mark.core
@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_kit_is_in_order_of_pitch_at_any_rate(rate):
    frequency = np.fft.rfftfreq(2048)
    templates = drum_templates(STFT(), rate, 12, 0)
    np.testing.assert_allclose(templates.sum(axis=(0, 2)), 1)
    kick, snare, closed, opened = (templates.sum(axis=2) * frequency[:, None]).sum(axis=0) / frequency.max()
    assert kick < 0.5 * snare < snare < opened < closed
    # The upper part of the band is a hi-hat's, even where there is nothing above 7 kHz.
    spectrum = templates[:, 2].sum(axis=1)
    lower, upper = (spectrum[(frequency >= low) & (frequency < low + 0.05)].sum() for low in (0.3, 0.45))
    assert lower > 0.6 * upper
    # Many takes of the noise: one alone has holes, as random numbers have.
    assert np.std(np.diff(spectrum[700:])) < 0.2 * np.mean(spectrum[700:])


def instruments(case):
    references = {name: audio[0] for name, audio in case.references.items()}
    if "open_hat" in references:
        references["hihat"] = references["hihat"] + references.pop("open_hat")
    return references


def gains(references, mixture, sources):
    return {
        name: float(si_sdr(reference, sources[name]) - si_sdr(reference, mixture))
        for name, reference in references.items()
    }


def blind_gains(case, references):
    """Return what plain KL-NMF gains, with as many components and as wise a pairing as there can be."""
    from sklearn.decomposition import NMF

    stft, mixture = STFT(), case.mixture[0]
    spectrogram = stft.forward(mixture, case.sample_rate)
    V = spectrogram.magnitude()[0]
    plain = NMF(
        3, init="random", solver="mu", beta_loss="kullback-leibler", max_iter=100, tol=0, random_state=0
    )
    W = plain.fit_transform(V)
    parts = [np.outer(W[:, k], plain.components_[k]) ** 2 for k in range(3)]
    masks = [part / (sum(parts) + 1e-30) for part in parts]
    audio = [stft.inverse(spectrogram, mask=mask[None].astype(np.float32)) for mask in masks]
    return max(
        np.mean(list(gains(references, mixture, dict(zip(references, order, strict=True))).values()))
        for order in itertools.permutations(audio)
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", case_names("e_drums"))
def test_every_drum_gains_and_more_than_by_blind_factorisation(name):
    case = real_case(name)
    references = instruments(case)
    sources = NMFD().separate(case.mixture[0], case.sample_rate)
    gained = gains(references, case.mixture[0], sources)
    assert set(gained) == set(sources)
    assert min(gained.values()) > 12, gained
    assert np.mean(list(gained.values())) > 14, gained
    assert np.mean(list(gained.values())) > blind_gains(case, references) + 3, gained


@pytest.mark.parametrize(("seed", "rate"), [(1, 44100), (2, 22050), (3, 8000)])
def test_synthetic_drums_gain_at_any_rate(seed, rate):
    drums = scenes.drum_loop(duration=3.0, sample_rate=rate, seed=seed)
    gained = gains(drums.sources, drums.mixture, NMFD(n_iter=40).separate(drums.mixture, rate))
    assert min(gained.values()) > 9, gained
    assert np.mean(list(gained.values())) > 12, gained
