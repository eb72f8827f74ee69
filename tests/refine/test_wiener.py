"""Refining by Wiener filters: known answers, another program, the law, and what it must not do."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from dspsep import HPSS, STFT, InputError, Sources, Wiener, alpha_wiener, from_json, wiener_em
from dspsep.data import scenes
from dspsep.kernels import _gaussian, generic
from dspsep.metrics import sdr
from dspsep.oracle import IRM, MWF
from dspsep.refine import _local_gaussian, filters, wiener
from tests.cases import case_names, real_case
from tests.refine.oracles.make_wiener import spectra

SMALL = STFT(128)
NORBERT = 2.0**-26 / 100  # what its constants are, in parts of the loudest bin
SETTINGS = {
    "shares": Wiener(stft=SMALL),
    "harder shares": Wiener(stft=SMALL, alpha=2.0),
    "odd shares": Wiener(stft=STFT(126, 40, "blackman"), alpha=0.7),
    "one step": Wiener(stft=SMALL, n_iter=1),
    "steps": Wiener(stft=SMALL, n_iter=3, start="estimates"),
    "posterior": Wiener(stft=SMALL, n_iter=3, posterior=True, alpha=2.0),
}


def estimates(n_sources=3, n_channels=2, n_samples=3000, dtype="float64", seed=0):
    """Return noises that come and go at places of their own."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / n_samples
    audio = {}
    for j in range(n_sources):
        noise = rng.standard_normal(n_samples) * np.sin(np.pi * (j + 2) * time) ** 2
        diffuse = 0.1 * rng.standard_normal((n_channels, n_samples))
        audio[f"source_{j}"] = (rng.uniform(-1, 1, (n_channels, 1)) * noise + diffuse).astype(dtype)
    return Sources.from_dict(audio, 8000)


def blurred(sources, leak=0.3):
    """Return estimates in which every source has a part of the mixture."""
    mixture = sum(sources.values())
    audio = {name: (1 - leak) * source + leak / len(sources) * mixture for name, source in sources.items()}
    return Sources.from_dict(audio, sources.sample_rate), mixture


def complex_noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


# Another program.


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("start", ["softmask", "estimates"])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_equal_to_norbert(n_channels, start, dtype):
    with np.load(Path(__file__).parent / "oracles" / "wiener.npz") as stored:
        assert json.loads(str(stored["versions"]))["norbert"] == "0.2.1"
        tolerance = 1e-5 if dtype == "complex64" else 1e-6  # it is stored in single precision
        V, x = spectra(n_channels, peak=200.0)
        y = alpha_wiener(V, x) if start == "softmask" else V * np.exp(1j * np.angle(x))
        y, x = y.astype(dtype), x.astype(dtype)
        for n_iter in (0, 1, 3):
            found = wiener_em(y, x, n_iter=n_iter, regularisation=NORBERT) if n_iter else y
            for one, expected in zip(found, stored[f"{n_channels}_{start}_{n_iter}"], strict=True):
                assert np.linalg.norm(one - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_other_levels_change_nothing(dtype):
    # Below a peak of ten norbert's constants are absolute. Here nothing is, and no square leaves its range.
    V, x = spectra(2, peak=200.0)
    x = x.astype(dtype)
    y = wiener_em(alpha_wiener(V, x), x, n_iter=2)
    for exponent in (-80, -20, 80):
        scale = np.float32(2.0**exponent)
        found = wiener_em(alpha_wiener(V * scale, x * scale), x * scale, n_iter=2)
        np.testing.assert_array_equal(found / scale, y)


# Known answers.


@pytest.mark.core
@pytest.mark.parametrize("name", SETTINGS)
def test_one_source_is_the_mixture(name):
    sources = estimates(1)
    mixture = sources["source_0"] * 1.5
    found = SETTINGS[name].refine(mixture, sources)
    np.testing.assert_allclose(found["source_0"], mixture, atol=1e-12)
    assert not np.shares_memory(found["source_0"], mixture)


def test_shares_by_hand():
    V = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]]).reshape(2, 1, 3, 1)
    x = np.array([25.0, 6j, 2.0]).reshape(1, 3, 1)
    found = alpha_wiener(V, x, alpha=2)[:, 0, :, 0]
    np.testing.assert_allclose(found, [[9.0, 3j, 2.0], [16.0, 3j, 0.0]])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_shares_of_magnitudes_at_any_level(dtype):
    V, x = np.array([3.0, 1.0]).reshape(2, 1, 1, 1), np.full((1, 1, 1), 10, dtype)
    for scale in (2.0**-1070, 1e-200, 1e-42, 1e300):
        found = alpha_wiener(V * scale, x, alpha=2)
        assert found.dtype == dtype
        np.testing.assert_allclose(found.ravel(), [9, 1], rtol=1e-6)


def test_a_step_by_hand():
    y, x = complex_noise((3, 2, 4, 6)), complex_noise((2, 4, 6), 1)
    found = wiener_em(y, x, n_iter=2, regularisation=1e-3)
    noise = 1e-3 * np.max(np.abs(x) ** 2)
    for _ in range(2):
        v = np.mean(np.abs(y) ** 2, axis=1)
        R = np.einsum("jaft,jbft->jfab", y, y.conj()) / v.sum(axis=2)[:, :, None, None]
        K = np.einsum("jft,jfab->ftab", v, R) + noise * np.eye(2)
        z = np.linalg.solve(K, x.transpose(1, 2, 0)[..., None])[..., 0]
        y = np.einsum("jft,jfab,ftb->jaft", v, R, z)
    y = y + v[:, None] / v.sum(axis=0) * noise * z.transpose(2, 0, 1)
    np.testing.assert_allclose(found, y, rtol=1e-9, atol=1e-9)


def test_the_statistics_of_the_true_sources_give_the_filter_of_the_oracle():
    scene = scenes.panned(duration=2.0)
    names = list(scene.sources)
    true = Sources.from_dict({name: np.asarray(scene.sources[name]) for name in names}, scene.sample_rate)
    found = Wiener(n_iter=1, start="estimates").refine(scene.mixture, true)
    oracle = MWF(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    shares = Wiener(alpha=2.0).refine(scene.mixture, true)
    for name in names:
        one, other, masked = (float(sdr(true[name], s[name])) for s in (found, oracle, shares))
        assert one > other - 1.0
        assert one > masked + 3.0


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_the_likelihood_never_falls_with_posterior(n_channels):
    x = complex_noise((n_channels, 5, 40), 1)
    x[:, :, 20:] *= 0.01
    y = complex_noise((3, n_channels, 5, 40)) * np.array([1.0, 0.1, 0.0])[:, None, None, None]
    losses = []
    wiener_em(y, x, n_iter=60, posterior=True, callback=lambda told: losses.append(told.loss))
    assert len(losses) == 59
    assert np.all(np.diff(losses) <= 1e-9 * abs(losses[0]))
    assert losses[-1] < losses[0] - 10


@pytest.mark.core
def test_the_loss_is_the_likelihood():
    x, y = complex_noise((2, 3, 10), 1), complex_noise((2, 2, 3, 10))
    losses = []
    wiener_em(y, x, n_iter=2, regularisation=1e-2, callback=lambda told: losses.append(told.loss))
    gain = 2.0 ** -np.frexp(np.abs(x).max())[1]
    x, y = x * gain, y * gain
    v = np.mean(np.abs(y) ** 2, axis=1)
    R = np.einsum("jaft,jbft->jfab", y, y.conj()) / v.sum(axis=2)[:, :, None, None]
    K = np.einsum("jft,jfab->ftab", v, R) + 1e-2 * np.max(np.abs(x) ** 2) * np.eye(2)
    energies = np.einsum("aft,ftab,bft->ft", x.conj(), np.linalg.inv(K), x).real
    assert losses == [pytest.approx(np.sum(np.linalg.slogdet(K)[1] + energies), rel=1e-10)]


def test_steps_help_where_sources_have_places():
    scene = scenes.panned(duration=2.0)
    true = IRM(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    before, after = (
        np.mean([float(sdr(np.asarray(scene.sources[name]), sources[name])) for name in scene.sources])
        for sources in (true, Wiener(n_iter=1).refine(scene.mixture, true))
    )
    assert after > before + 1


@pytest.mark.parametrize("name", case_names("a_")[:1])
def test_steps_on_real_audio(name):
    """What the page says: they cost a little where estimates are blind, and gain where they are not."""
    case = real_case(name)
    part = slice(5 * case.sample_rate, 10 * case.sample_rate)
    mixture, references = case.mixture[:, part], {key: v[:, part] for key, v in case.references.items()}
    known = IRM(references=references).separate(mixture, case.sample_rate)

    def score(sources):
        return np.mean([float(sdr(reference, sources[key])) for key, reference in references.items()])

    assert score(Wiener(n_iter=1).refine(mixture, known)) > score(known)
    assert abs(score(Wiener().refine(mixture, known)) - score(known)) < 1


# The law, and what must not matter.


@pytest.mark.core
@pytest.mark.parametrize("name", SETTINGS)
def test_sources_sum_to_the_mixture_and_keep_their_names(name):
    for dtype, tolerance in (("float32", 5e-6), ("float64", 1e-12)):
        given, mixture = blurred(estimates(dtype=dtype))
        kept = {key: source.copy() for key, source in given.items()}
        before = mixture.copy()
        found = SETTINGS[name].refine(mixture, given)
        assert found.names == given.names
        assert all(source.dtype == dtype and source.shape == mixture.shape for source in found.values())
        assert np.abs(sum(found.values()) - mixture).max() <= tolerance * np.abs(mixture).max()
        np.testing.assert_array_equal(mixture, before)
        for key, source in given.items():
            np.testing.assert_array_equal(source, kept[key])


@pytest.mark.core
@pytest.mark.parametrize("name", SETTINGS)
def test_scale(name):
    given, mixture = blurred(estimates(dtype="float32"))
    expected = SETTINGS[name].refine(mixture, given)
    for factor in np.float32([-1.0, 4.0**10, 4.0**-10, 2.0**-90]):
        louder = Sources.from_dict({key: factor * source for key, source in given.items()}, 8000)
        found = SETTINGS[name].refine(factor * mixture, louder)
        for key in found:
            np.testing.assert_allclose(found[key] / factor, expected[key], atol=2e-6)


ODD = {
    "silence": lambda s: {key: 0 * source for key, source in s.items()},
    "a dead channel": lambda s: {key: source * np.array([[1.0], [0.0]]) for key, source in s.items()},
    "a silent source": lambda s: {**s, "source_1": 0 * s["source_1"]},
    "one source is all": lambda s: {key: source * (key == "source_2") for key, source in s.items()},
    "identical sources": lambda s: dict.fromkeys(s, s["source_0"]),
    "identical channels": lambda s: {key: source[:1].repeat(2, axis=0) for key, source in s.items()},
    "cancelling sources": lambda s: {"a": s["source_0"], "b": -s["source_0"]},
    "one sample": lambda s: {key: source[:, 1500:1501] for key, source in s.items()},
    "one frame": lambda s: {key: source[:, 1500:1520] for key, source in s.items()},
    "a peak of 1e-6": lambda s: {key: source * 1e-6 for key, source in s.items()},
    "a peak of 1e6": lambda s: {key: source * 1e6 for key, source in s.items()},
    "a peak of 1e-37": lambda s: {key: source * 1e-37 for key, source in s.items()},
    "a peak of 1e35": lambda s: {key: source * 1e35 for key, source in s.items()},
    "empty bins": lambda s: {key: np.cumsum(np.cumsum(source * 0 + 1, -1), -1) for key, source in s.items()},
    "no channel axis": lambda s: {key: source[0] for key, source in s.items()},
}


@pytest.mark.core
@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("name", SETTINGS)
def test_odd_estimates(name, what):
    audio = {key: np.asarray(v, "float32") for key, v in ODD[what](dict(estimates().items())).items()}
    mixture = sum(audio.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SETTINGS[name].refine(mixture, Sources.from_dict(audio, 8000))
    peak = max(float(np.abs(mixture).max()), *(float(np.abs(v).max()) for v in audio.values()))
    for source in found.values():
        assert np.isfinite(source).all()
        assert np.abs(source).max() <= 3 * np.abs(mixture).max() + 1e-30 * peak
    assert np.abs(sum(found.values()) - mixture).max() <= 5e-6 * np.abs(mixture).max()


@pytest.mark.parametrize("n_equal", [0, 2, 3])
@pytest.mark.parametrize("posterior", [False, True])
def test_estimates_of_any_loudness(posterior, n_equal):
    """Estimates far louder than the mixture, in channels that are the same or not, in either precision."""
    shape = (3, 1 if n_equal else 2, 5, 20)
    y = complex_noise(shape).repeat(max(1, n_equal), axis=1)
    x = y.sum(axis=0)
    for loud in (1e3, 1e6, 1e10, 1e20, 1e30):
        for dtype in ("complex64", "complex128"):
            louder = (y * np.array([loud, 1.0, 1.0])[:, None, None, None]).astype(dtype)
            found = wiener_em(louder, x.astype(dtype), n_iter=20, posterior=posterior)
            assert np.abs(found).max() <= 2 * np.abs(x).max()
            np.testing.assert_allclose(found.sum(axis=0), x, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_silent_source_stays_silent(name):
    given = estimates()
    audio = {"silent": 0 * given["source_0"], **dict(given.items())}
    found = SETTINGS[name].refine(sum(audio.values()), Sources.from_dict(audio, 8000))
    assert np.abs(found["silent"]).max() <= 1e-6 * np.abs(given["source_0"]).max()


@pytest.mark.core
@pytest.mark.parametrize("posterior", [False, True])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_blocks_do_not_matter(n_channels, posterior, monkeypatch):
    y, x = complex_noise((3, n_channels, 9, 20)), complex_noise((n_channels, 9, 20), 1)
    V = np.abs(y)
    whole = [wiener_em(y, x, n_iter=3, posterior=posterior), alpha_wiener(V, x, alpha=1.3)]
    for module, name in ((_gaussian, "_BINS"), (filters, "_NUMBERS"), (_local_gaussian, "_NUMBERS")):
        monkeypatch.setattr(module, name, 25)
    parts = [wiener_em(y, x, n_iter=3, posterior=posterior), alpha_wiener(V, x, alpha=1.3)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stft", [SMALL, STFT(126, 40, "blackman"), STFT(64, 32), STFT(51, 7)])
def test_runs_of_frames_do_not_matter(stft, monkeypatch):
    given, mixture = blurred(estimates())
    refiner = Wiener(stft=stft, n_iter=1)
    whole = refiner.refine(mixture, given)
    monkeypatch.setattr(wiener, "_NUMBERS", 1)
    in_parts = refiner.refine(mixture, given)
    for name in whole:
        np.testing.assert_allclose(in_parts[name], whole[name], atol=1e-12)


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_compiled_steps_are_the_generic_ones(n_channels, dtype, monkeypatch):
    V, x = spectra(n_channels, peak=3.0)
    y, x = alpha_wiener(V, x).astype(dtype), x.astype(dtype)
    found = wiener_em(y, x, n_iter=4)
    monkeypatch.setattr(_local_gaussian, "kernels_for", lambda _: generic)
    expected = wiener_em(y, x, n_iter=4)
    np.testing.assert_allclose(found, expected, atol=1e-5 if dtype == "complex64" else 1e-9)


def test_memory_is_a_few_spectrograms():
    n_samples, stft = 100_000, STFT(256)
    spectrogram = 2 * stft.n_freqs * stft.n_frames(n_samples) * 8  # complex, stereo, single precision
    for n_sources, settings in ((4, {}), (4, {"n_iter": 2}), (12, {"n_iter": 2})):
        given = estimates(n_sources, n_samples=n_samples, dtype="float32")
        mixture, refiner = sum(given.values()), Wiener(stft=stft, **settings)
        refiner.refine(mixture[:, :2000], Sources.from_dict({k: v[:, :2000] for k, v in given.items()}, 8000))
        tracemalloc.start()
        refiner.refine(mixture, given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        powers = spectrogram * n_sources / 4
        steps = 2 * powers if "n_iter" in settings else 0
        assert peak <= n_sources * mixture.nbytes + 3 * spectrogram + steps + 9e6


def test_streams_what_it_refines():
    refiner = Wiener(stft=SMALL)
    assert refiner.reach(8000).samples == 128
    assert Wiener(n_iter=1).reach(8000) is None
    assert (HPSS() >> refiner).streams(8000)
    assert not (HPSS() >> Wiener(n_iter=1)).streams(8000)


# How it is asked, and what it tells.


@pytest.mark.core
def test_true_ends_the_steps():
    given, mixture = blurred(estimates())
    told = []

    def stop(progress):
        told.append(progress)
        return progress.stage == "steps" and progress.iteration == 3

    ended = Wiener(stft=SMALL, n_iter=9).refine(mixture, given, callback=stop)
    assert [(t.iteration, t.n_iterations) for t in told if t.stage == "steps"] == [(2, 9), (3, 9)]
    assert [t.stage for t in told] == ["transform", "steps", "steps", "source_0", "source_1"]
    expected = Wiener(stft=SMALL, n_iter=3).refine(mixture, given)
    np.testing.assert_array_equal(ended["source_0"], expected["source_0"])


@pytest.mark.core
def test_settings_are_checked_and_stored():
    for settings in (
        {"stft": 512}, {"n_iter": -1}, {"n_iter": 1.5}, {"alpha": 0}, {"alpha": 5}, {"start": "noise"},
        {"start": "estimates"}, {"posterior": 1}, {"regularisation": 0},
    ):  # fmt: skip
        with pytest.raises(InputError):
            Wiener(**settings)
    refiner = Wiener(stft=SMALL, n_iter=2, alpha=1.5, start="estimates", posterior=True)
    assert from_json(refiner.to_json()) == refiner
    assert refiner.names_after(("a", "b")) == ("a", "b")
    assert refiner.names_after(None) is None


@pytest.mark.core
def test_bad_arrays_are_refused():
    given, mixture = blurred(estimates())
    for bad in (mixture[:, :-1], mixture[0], mixture.astype("float32"), mixture * np.nan):
        with pytest.raises(InputError):
            Wiener().refine(bad, given)
    y, x = complex_noise((3, 2, 4, 5)), complex_noise((2, 4, 5))
    for arguments in ((y.real, x), (y, x.real), (y[:, :1], x), (y[0], x), (y, x * np.inf), (y * np.nan, x)):
        with pytest.raises(InputError):
            wiener_em(*arguments)
    for V in (-np.abs(y), np.abs(y)[..., :3], np.abs(y) * np.inf, y, np.abs(y[:0])):
        with pytest.raises(InputError):
            alpha_wiener(V, x)
    with pytest.raises(InputError):
        alpha_wiener(np.abs(y), x * np.nan)
