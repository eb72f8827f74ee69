"""Independent component analysis: known mixings, likelihoods that never fall, odd inputs, real mixtures."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from dspsep import (
    JADE,
    SOBI,
    DspsepWarning,
    FastICA,
    Infomax,
    InputError,
    InstantaneousModel,
    Picard,
    from_json,
    load_model,
)
from dspsep.data import scenes
from dspsep.metrics import amari_index, si_sdr
from tests.cases import case_names, real_case
from tests.separators.oracles.make_ica import MIXING, mixture

RATE = 16000
ALL = {
    "fastica": FastICA(),
    "deflation": FastICA(algorithm="deflation", contrast="exp"),
    "cube": FastICA(contrast="cube"),
    "infomax": Infomax(),
    "picard": Picard(),
    "picard-o": Picard(ortho=True),
    "jade": JADE(),
    "sobi": SOBI(),
}


def every(**changes):
    return pytest.mark.parametrize(
        "separator", [pytest.param(s.replace(**changes), id=name) for name, s in ALL.items()]
    )


def coloured(n_samples, seed=0):
    """Return four signals that differ in distribution and in spectrum: peaked, flat, peaked, flat."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples)
    peaked = rng.laplace(size=(2, n_samples))
    signals = np.stack(
        [
            np.convolve(peaked[0], [1, 0.9], "same"),
            np.sign(np.sin(0.01 * time**1.1)),
            np.convolve(peaked[1], [1, -0.9], "same"),
            rng.uniform(-1, 1, n_samples),
        ]
    )
    return signals / np.std(signals, axis=1, keepdims=True)


def mixed(n_samples=8000, dtype="float64", n=4):
    return (MIXING[:n, :n] @ coloured(n_samples)[:n]).astype(dtype)


def quietly(separator, audio):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        return separator.separate(audio, RATE)


def codes(separator, audio):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        separator.separate(audio, RATE)
    return [warning.message.code for warning in caught]


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every()
def test_a_known_mixing_is_undone(separator, dtype):
    sources = separator.separate(mixed(dtype=dtype), RATE)
    model = sources.model
    assert amari_index(model.demixing, MIXING) < 0.02
    assert model.converged
    images = [np.outer(MIXING[:, k], coloured(8000)[k]) for k in range(4)]
    for audio in sources.values():
        assert max(si_sdr(image, audio) for image in images) > 22


def test_sobi_parts_gaussian_sources_by_their_spectra_and_the_others_do_not():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, 100_000))
    filters = ([1, 0.9], [1, -0.9], [1, 0, 0.9])
    audio = MIXING[:3, :3] @ np.stack(
        [np.convolve(row, taps)[:100_000] for row, taps in zip(noise, filters, strict=True)]
    )
    assert amari_index(SOBI().separate(audio, RATE).model.demixing, MIXING[:3, :3]) < 0.01
    assert codes(FastICA(n_iter=20), audio)[-1] == "W_GAUSSIAN"
    assert "W_GAUSSIAN" in codes(JADE(), audio)
    # And peaked sources of one spectrum, the other way round.
    white = MIXING[:2, :2] @ rng.laplace(size=(2, 100_000))
    assert codes(SOBI(), white) == ["W_SPECTRA"]
    for n_samples in (1000, 8000):  # in which correlations of noise differ by chance
        assert codes(SOBI(), white[:, :n_samples]) == ["W_SPECTRA"]
        assert codes(SOBI(), audio[:, :n_samples]) == []
    assert codes(JADE(), white) == codes(FastICA(), white) == codes(Picard(), white) == []


@pytest.mark.core
@pytest.mark.parametrize("separator", [FastICA(n_iter=100), SOBI()], ids=["fastica", "sobi"])
def test_rooms_and_delays_are_told(separator):
    scene = scenes.reverberant(duration=4.0)
    assert "W_DELAYS" in codes(separator, scene.mixture)
    audio = coloured(40_000)[:2]
    late = audio[0] + np.stack([audio[1], 0.7 * np.roll(audio[1], 5)])
    assert "W_DELAYS" in codes(separator, late)
    assert codes(separator, mixed(40_000)) == []
    instant = scenes.instantaneous(duration=4.0)
    assert "W_DELAYS" not in codes(separator, instant.mixture)


@pytest.mark.core
@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("ortho", [False, True])
@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("kind", ["peaked", "mixed"])
def test_the_likelihood_never_falls(kind, extended, ortho, dtype, rounding):
    separator = Picard(extended=extended, ortho=ortho)
    told = []
    for method in (separator, Infomax(extended=extended)):
        told.clear()
        model = method.separate(mixture(kind).astype(dtype), RATE, callback=told.append).model
        losses = np.array(model.losses)
        rises = np.diff(losses)
        kept = [k for k in range(len(rises)) if k + 1 not in model.switches]
        assert (rises[kept] <= rounding * np.abs(losses[:-1][kept])).all()
        assert len(kept) > 2
        assert len(model.switches) < 5
        assert extended or not model.switches
        assert [news.loss for news in told if news.stage == "fit"] == list(model.losses)


def test_picard_needs_fewer_iterations_than_infomax():
    audio = mixture("mixed")
    counts = [len(s.separate(audio, RATE).model.losses) for s in (Picard(), Infomax())]
    assert counts[0] * 2 < counts[1]


@pytest.mark.core
@every()
def test_sources_are_images_and_the_model_says_how(separator, tmp_path):
    audio = mixed(dtype="float32") + np.float32(0.5)
    sources = separator.separate(audio, RATE)
    model = sources.model
    np.testing.assert_allclose(sources.mixture(), audio, atol=5e-6)
    y = model.unmix(audio)
    np.testing.assert_allclose(y @ y.T / 8000, np.eye(4), atol=2e-2)
    np.testing.assert_allclose(np.mean(y**2, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-4)
    faint = (audio * np.float32(2.0**-90)).astype(np.float32)  # worked on at another scale
    np.testing.assert_allclose(separator.separate(faint, RATE).model.unmix(faint), y, atol=1e-4)
    np.testing.assert_allclose(model.mixing @ model.demixing, np.eye(4), atol=1e-10)
    energies = []
    for k, (name, image) in enumerate(sources.items()):
        assert name == f"source_{k}"
        expected = model.mixing[:, k, None] * (model.demixing[k] @ audio)[None, :]
        np.testing.assert_allclose(image, expected, atol=3e-5)
        energies.append(np.var(image, axis=1).sum())
        assert model.mixing[np.abs(model.mixing[:, k]).argmax(), k] > 0
    assert (np.diff(energies) < 0).all()
    levels = model.minimal_distortion(audio)
    for k, image in enumerate(sources.values()):
        np.testing.assert_allclose(levels[k], image[k], atol=2e-5)
        np.testing.assert_allclose(model.minimal_distortion(audio, channel=2)[k], image[2], atol=2e-5)
    model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    for name, image in stored.images(audio).items():
        np.testing.assert_array_equal(image, sources[name])
    other = model.images(audio[:, 300:900] * 1e20)
    np.testing.assert_allclose(other["source_1"] * 1e-20, sources["source_1"][:, 300:900], atol=1e-5)


@pytest.mark.core
@every(n_sources=2)
def test_fewer_sources_than_channels_leave_a_residual(separator):
    assert separator.source_names == ("source_0", "source_1", "residual")
    audio = np.vstack([mixed(8000, n=2), 0.01 * np.random.default_rng(1).standard_normal((2, 8000))])
    audio[2] += audio[0] - 0.5 * audio[1]
    sources = quietly(separator, audio)
    assert sources.names == separator.source_names
    np.testing.assert_allclose(sources.mixture(), audio, atol=1e-12)
    true = [
        np.outer([*MIXING[:2, k], MIXING[0, k] - 0.5 * MIXING[1, k], 0], coloured(8000)[k]) for k in (0, 1)
    ]
    assert max(si_sdr(true[0], sources[name]) for name in ("source_0", "source_1")) > 20
    assert np.std(sources["residual"]) < 0.02
    with pytest.raises(InputError, match=r"^n_sources must be at most 2"):
        separator.replace(n_sources=3).separate(audio[:2], RATE)
    with pytest.raises(InputError, match=r"^mixture must be audio of at least 2 channels"):
        separator.separate(audio[0], RATE)


def odd_mixtures():
    audio = mixed(3000, "float32", n=3)
    dead, twice, inverted = audio.copy(), audio.copy(), audio.copy()
    dead[1], twice[2], inverted[2] = 0, twice[0], -0.5 * inverted[1]
    click = np.zeros_like(audio)
    click[0, 7] = click[2, 900] = 1
    late = audio.copy()
    late[:, :2900] = 0
    return {
        "dead": (dead, 2),
        "dead with an offset": (dead + np.float32([[0], [0.3], [0]]), 2),
        "twice": (twice, 2),
        "inverted": (inverted, 2),
        "mono": (np.tile(audio[0], (3, 1)), 1),
        "constant": (np.ones_like(audio) * np.float32([[1], [2], [-1]]), 0),
        "offset": (audio + np.float32([[1], [20], [-1]]), 3),
        "clicks": (click, 2),
        "late": (late, 3),
        "quiet": (audio * np.float32(1e-6), 3),
        "loud": (audio * np.float32(1e6), 3),
        "very quiet": (audio * np.float32(1e-30), 3),
        "gaussian": (np.random.default_rng(0).standard_normal((3, 3000)), 3),
    }


@pytest.mark.core
@pytest.mark.parametrize("n_sources", [None, 2])
@every()
def test_odd_mixtures(separator, n_sources):
    separator = separator.replace(n_sources=n_sources)
    for name, (audio, rank) in odd_mixtures().items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sources = separator.separate(audio, RATE)
        wanted = n_sources or 3
        assert ("W_RANK" in [w.message.code for w in caught]) == (rank < wanted), name
        peak = np.abs(audio).max()
        assert all(np.isfinite(image).all() for image in sources.values()), name
        assert np.abs(sources.mixture() - audio).max() <= 5e-6 * peak, name
        assert [any(row) for row in sources.model.demixing] == [k < rank for k in range(wanted)], name
        for k in range(max(1, rank), wanted):
            assert not sources[f"source_{k}"].any(), name


@pytest.mark.core
@every()
def test_silence_and_little(separator):
    for name, image in separator.separate(np.zeros((3, 4000), np.float32), RATE).items():
        assert not image.any(), name
    for n_samples in (1, 2, 31):
        audio = mixed(100, n=2)[:, :n_samples]
        with pytest.warns(DspsepWarning, match="W_TOO_SHORT"):
            sources = separator.separate(audio, RATE)
        np.testing.assert_array_equal(sources["source_0"], audio)
        assert not sources["source_1"].any()
        assert sources["source_0"] is not audio


@pytest.mark.core
@every()
def test_scales_and_order_of_channels(separator):
    audio = mixed(6000)
    images = quietly(separator, audio)
    for factor in (-1.0, 2.0**60, 1e-6):
        scaled = quietly(separator, audio * factor)
        for name in images:
            np.testing.assert_allclose(scaled[name] / factor, images[name], atol=1e-4)
    if separator == ALL["deflation"]:
        return  # where one begins decides which is found first
    swapped = quietly(separator, audio[[2, 0, 1, 3]])
    for name in images:
        np.testing.assert_allclose(swapped[name], images[name][[2, 0, 1, 3]], atol=2e-3)


@pytest.mark.core
def test_the_same_seed_gives_the_same_bytes_and_others_the_same_sources():
    audio = mixed(8000)
    for separator in (FastICA(), Infomax(), Picard()):
        first, again, other = (separator.replace(seed=seed).separate(audio, RATE) for seed in (0, 0, 5))
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])
            np.testing.assert_allclose(first[name], other[name], atol=1e-3)


@pytest.mark.core
@every()
def test_progress_ends_it(separator):
    audio = mixed(4000)
    told = []

    def stop(news):
        told.append(news)
        return news.stage == "fit" and news.iteration == 2

    sources = separator.separate(audio, RATE, callback=stop)
    assert [news.stage for news in told] == ["whitening", "fit", "fit", "images"]
    assert [news.loss for news in told[1:3]] == list(sources.model.losses)
    assert isinstance(told[1].model, InstantaneousModel)
    assert told[1].model.demixing.shape == (4, 4)
    sources = separator.separate(audio, RATE, callback=told.append)
    assert len(sources.model.losses) <= told[-2].n_iterations
    assert told[-2].n_iterations == separator.n_iter * (3 if separator == ALL["deflation"] else 1)


@every()
def test_running_out_of_iterations_is_told(separator):
    audio = mixed(4000)
    assert codes(separator.replace(n_iter=1, tol=0), audio)[0] == "W_NOT_CONVERGED"
    assert codes(separator.replace(n_iter=1000), audio) == []


@every()
def test_settings_are_values(separator):
    assert from_json(separator.to_json()) == separator
    assert separator.replace(n_sources=np.int64(3)) == separator.replace(n_sources=3)
    assert hash(separator.replace(n_sources=3)) == hash(separator.replace(n_sources=3))
    assert separator.source_names is None


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (FastICA, {"n_sources": 0}),
        (FastICA, {"n_sources": 1.5}),
        (FastICA, {"algorithm": "parallel"}),
        (FastICA, {"contrast": "tanh"}),
        (FastICA, {"n_iter": 0}),
        (FastICA, {"tol": -1}),
        (FastICA, {"seed": -1}),
        (Infomax, {"extended": 1}),
        (Infomax, {"tol": np.nan}),
        (Picard, {"ortho": "yes"}),
        (Picard, {"extended": None}),
        (JADE, {"n_iter": 0}),
        (SOBI, {"lag_seconds": 0}),
        (SOBI, {"lag_seconds": np.inf}),
    ],
)
def test_settings_out_of_range(kind, settings):
    with pytest.raises(InputError, match=f"^{next(iter(settings))} must be"):
        kind(**settings)


def test_models_refuse_what_is_not_theirs():
    audio = mixed(2000, n=2)
    model = FastICA().separate(audio, RATE).model
    with pytest.raises(InputError, match=r"^mixture must be of 2 channels"):
        model.unmix(mixed(2000, n=3))
    with pytest.raises(InputError, match=r"^channel must be"):
        model.minimal_distortion(audio, channel=2)
    for changes, name in (
        ({"demixing": np.ones((3, 2))}, "demixing"),
        ({"demixing": np.full((2, 2), np.nan)}, "demixing"),
        ({"mean": np.ones(3)}, "mean"),
        ({"losses": (np.inf,)}, "losses"),
        ({"losses": [1.0]}, "losses"),
        ({"contrasts": (1.0,)}, "contrasts"),
        ({"converged": 1}, "converged"),
        ({"switches": (1.5,)}, "switches"),
        ({"demixing": np.eye(2) * 1e-310}, "demixing"),  # the inverse of which is infinite
    ):
        with pytest.raises(InputError, match=f"^{name} must be"):
            dataclasses.replace(model, **changes)


@pytest.mark.parametrize("level", [1e-290, 1e-308, 1e-320])
def test_what_is_next_to_nothing_in_double_precision_has_a_result(level):
    audio = mixed(2000, n=2) * level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sources = FastICA().separate(audio, RATE)
    assert [warning.message.code for warning in caught] == ["W_RANK"] * (level < 1e-300)
    np.testing.assert_allclose(sources.mixture(), audio, atol=1e-15 * np.abs(audio).max())
    assert np.isfinite(sources.model.demixing).all()


#: Least SI-SDR of any image, in dB: the issue asks for 35 of the first three.
FLOORS = {"fastica": 40, "infomax": 40, "picard": 40, "picard-o": 40, "jade": 35, "sobi": 40}


@pytest.mark.parametrize("name", FLOORS)
def test_real_instantaneous_mixtures(name):
    for case in map(real_case, case_names("d_inst_")):
        if not case.real:
            pytest.skip("needs the recordings")
        A = np.array(case.facts["mixing_matrix"])
        sources = ALL[name].separate(case.mixture, case.sample_rate)
        for k, reference in enumerate(case.references.values()):
            image = A[:, k, None] * reference
            assert max(si_sdr(image, audio) for audio in sources.values()) >= FLOORS[name], case.name
