"""IterativeHPSS: plain loops, an objective that never rises, its optimum, its units, and its quality."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from dspsep import (
    HPSS,
    STFT,
    InputError,
    IterativeHPSS,
    IterativeHPSSModel,
    Reach,
    iterative_hpss,
    load_model,
)
from dspsep.metrics import sdr, si_sdr
from tests.cases import case_names, real_case
from tests.test_stft import noise

SMALL = IterativeHPSS(stft=STFT(128), n_iter=12)


def spectrogram(n_freqs, n_frames, seed=0, dtype="float64"):
    """Return magnitudes with a largest value between 1/2 and 1, so that nothing is scaled."""
    V = np.random.default_rng(seed).exponential(size=(n_freqs, n_frames))
    return (0.9 * V / V.max()).astype(dtype)


def objective(H, P, a):
    """Return J as it is defined: a sum over pairs of neighbours."""
    total = 0.0
    for f in range(H.shape[0]):
        for t in range(H.shape[1]):
            if t:
                total += a * (H[f, t] - H[f, t - 1]) ** 2
            if f:
                total += (1 - a) * (P[f, t] - P[f - 1, t]) ** 2
    return total


def minimum_of_the_bound(H, P, W, f, t, a):
    """Minimise the upper bound in one bin, from its definition: parabolas around midpoints."""
    F, T = W.shape
    # Beyond an edge lies the value at the edge, so the midpoint is the value itself.
    times = [H[f, max(t - 1, 0)], H[f, min(t + 1, T - 1)]]
    freqs = [P[max(f - 1, 0), t], P[min(f + 1, F - 1), t]]
    h_targets = [(H[f, t] + value) / 2 for value in times]
    # P = W - H near a midpoint u is H near W - u.
    p_targets = [W[f, t] - (P[f, t] + value) / 2 for value in freqs]
    weights = [a, a, 1 - a, 1 - a]
    best = np.average(h_targets + p_targets, weights=weights)
    return min(max(best, 0.0), W[f, t])


def loops(V, a, exponent, n_iter):
    W = V**exponent
    H, P = W / 2, W / 2
    losses = [objective(H, P, a)]
    for _ in range(n_iter):
        new = np.array(
            [[minimum_of_the_bound(H, P, W, f, t, a) for t in range(W.shape[1])] for f in range(W.shape[0])]
        )
        H, P = new, W - new
        losses.append(objective(H, P, a))
    return H, P, losses


@pytest.mark.core
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (7, 9)])
@pytest.mark.parametrize(("weight", "exponent"), [(0.3, 0.6), (0.0, 1.0), (1.0, 2.0), (0.9, 0.25)])
def test_it_is_what_plain_loops_give(shape, weight, exponent):
    V = spectrogram(*shape)
    H, P, losses = loops(V, weight, exponent, 15)
    found_h, found_p, found = iterative_hpss(V, weight, exponent=exponent, n_iter=15)
    np.testing.assert_allclose(found_h, H, atol=1e-14)
    np.testing.assert_allclose(found_p, P, atol=1e-14)
    np.testing.assert_allclose(found, losses, rtol=1e-12, atol=1e-15)


@pytest.mark.core
@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1), st.floats(0.01, 2), st.integers(0, 99))
def test_the_parts_are_shares_and_the_objective_never_rises(n_freqs, n_frames, weight, exponent, seed):
    V = spectrogram(n_freqs, n_frames, seed)
    V[np.random.default_rng(seed).uniform(size=V.shape) < 0.3] = 0
    V[0, 0] = 0.75  # the scale stays where it is
    H, P, losses = iterative_hpss(V, weight, exponent=exponent, n_iter=30)
    assert min(H.min(), P.min()) >= 0
    np.testing.assert_allclose(H + P, V**exponent, atol=1e-15)
    assert len(losses) == 31
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(losses))
    single = iterative_hpss(V.astype("float32"), weight, exponent=exponent, n_iter=30)
    assert single[0].dtype == np.float32
    if n_freqs * n_frames > 50 and 0.1 < weight < 0.9 and exponent > 0.1:  # summed in double precision
        assert any(float(np.float32(loss)) != loss for loss in single[2])
    np.testing.assert_allclose(single[0], H, atol=1e-5)


@pytest.mark.core
@pytest.mark.parametrize("weight", [0.2, 0.7])
def test_it_comes_to_the_optimum(weight):
    V = spectrogram(6, 7, seed=3)
    H, P, losses = iterative_hpss(V, weight, exponent=1.0, n_iter=5000)
    # A solver that knows nothing of the structure.
    found = optimize.minimize(
        lambda h: objective(h.reshape(V.shape), V - h.reshape(V.shape), weight),
        V.ravel() / 2,
        bounds=[(0, v) for v in V.ravel()],
        options={"maxiter": 500, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-10},
    )
    assert abs(losses[-1] - found.fun) < 1e-6 * losses[0]
    # At a minimum the slope vanishes, or points out of the box.
    slope = np.zeros_like(V)
    for f, t in np.ndindex(V.shape):
        step = np.zeros_like(V)
        step[f, t] = 1e-6
        rise = objective(H + step, P - step, weight) - objective(H - step, P + step, weight)
        slope[f, t] = rise / 2e-6
    at_zero, at_most = H == 0, P == 0
    assert at_zero.any()
    assert at_most.any()
    assert np.abs(slope[~at_zero & ~at_most]).max() < 1e-6
    assert slope[at_zero].min() > -1e-6
    assert slope[at_most].max() < 1e-6


@pytest.mark.core
def test_what_is_flat_stays_and_time_and_frequency_change_places():
    H, P, losses = iterative_hpss(np.full((5, 8), 0.6), 0.4, n_iter=9)
    np.testing.assert_allclose(H, P, atol=1e-15)
    assert max(losses) < 1e-25
    V = spectrogram(9, 6)
    one, other = iterative_hpss(V, 0.3), iterative_hpss(V.T, 0.7)
    np.testing.assert_allclose(one[0], other[1].T, atol=1e-14)
    np.testing.assert_allclose(one[2], other[2], rtol=1e-12)


@pytest.mark.core
def test_channels_do_not_influence_one_another_but_for_the_loss():
    V = np.stack([spectrogram(5, 6, seed=1), spectrogram(5, 6, seed=2)])
    H, _, losses = iterative_hpss(V, n_iter=7)
    alone = [iterative_hpss(channel, n_iter=7) for channel in V]
    for channel, (expected, _, _) in zip(H, alone, strict=True):
        assert np.array_equal(channel, expected)
    np.testing.assert_allclose(losses, np.sum([loss for *_, loss in alone], 0), rtol=1e-12)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [0.6, 2.0])
def test_the_scale_of_magnitudes_does_not_matter(exponent, dtype):
    V = spectrogram(8, 9, dtype=dtype)
    expected = iterative_hpss(V, exponent=exponent)
    for power in (-60, -3, 100):
        found = iterative_hpss(V * V.dtype.type(2.0) ** power, exponent=exponent)
        assert np.array_equal(found[0], expected[0])
        assert found[2] == expected[2]
    for nothing in (np.zeros((3, 4), dtype), np.full((3, 4), np.finfo(dtype).max)):
        H, P, losses = iterative_hpss(nothing, exponent=exponent)
        assert np.array_equal(H, P)
        assert losses[-1] == 0


# ---- masks, models, progress


@pytest.mark.core
def test_hard_masks_are_those_of_the_paper():
    hpss = SMALL.replace(mask="hard", harmonic_weight=0.3)
    spectra = hpss.stft.forward(np.r_[noise(4000), np.zeros(4000)], 8000)
    H, P, _ = iterative_hpss(spectra.magnitude(), 0.3, exponent=0.6, n_iter=12)
    masks = hpss.fit(spectra).masks(spectra)
    assert (H == P).any()  # silence, which goes to the harmonic part
    assert np.array_equal(masks["percussive"], H < P)
    assert np.array_equal(masks["harmonic"], H >= P)


@pytest.mark.core
@pytest.mark.parametrize(("power", "exponent"), [(1.0, 0.6), (2.0, 0.6), (2.0, 2.0), (0.5, 1.0)])
def test_soft_masks_undo_the_compression(power, exponent):
    hpss = SMALL.replace(power=power, exponent=exponent, harmonic_weight=0.3)
    spectra = hpss.stft.forward(noise(4000), 8000)
    H, P, _ = iterative_hpss(spectra.magnitude(), 0.3, exponent=exponent, n_iter=12)
    harmonic, percussive = H ** (power / exponent), P ** (power / exponent)
    masks = hpss.fit(spectra).masks(spectra)
    np.testing.assert_allclose(masks["harmonic"], harmonic / (harmonic + percussive), atol=1e-12)
    np.testing.assert_allclose(masks["percussive"], percussive / (harmonic + percussive), atol=1e-12)


@pytest.mark.core
@pytest.mark.parametrize("options", [{}, {"mask": "hard"}, {"harmonic_weight": 0.5, "power": 2.0}], ids=str)
def test_models_make_the_sources_and_are_stored(options, tmp_path):
    hpss = SMALL.replace(**options)
    mixture = noise(3000, n_channels=2)
    sources = hpss.separate(mixture, 8000)
    spectra = hpss.stft.forward(mixture, 8000)
    for name, mask in sources.model.masks(spectra).items():
        np.testing.assert_allclose(hpss.stft.inverse(spectra, mask=mask), sources[name], atol=1e-12)
    sources.model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    assert stored == sources.model == pickle.loads(pickle.dumps(stored))
    other = hpss.stft.forward(noise(2000, seed=5), 8000)
    assert np.array_equal(stored.masks(other)["harmonic"], hpss.fit(other).masks(other)["harmonic"])


@pytest.mark.core
def test_the_callback_hears_of_every_tenth_iteration_and_can_end_them():
    seen = []
    hpss = SMALL.replace(n_iter=25)
    mixture = noise(2000)
    sources = hpss.separate(mixture, 8000, callback=seen.append)
    fit = [progress for progress in seen if progress.stage == "fit"]
    assert [progress.iteration for progress in fit] == [10, 20, 25]
    assert {progress.n_iterations for progress in fit} == {25}
    assert [progress.loss for progress in fit] == [sources.model.loss[i] for i in (10, 20, 25)]
    assert [progress.stage for progress in seen if progress.stage != "fit"] == ["transform", "harmonic"]
    ended = hpss.separate(mixture, 8000, callback=lambda progress: progress.iteration == 10)
    expected = hpss.replace(n_iter=10).separate(mixture, 8000)
    assert ended.model == expected.model
    assert ended["harmonic"].tobytes() == expected["harmonic"].tobytes()


@pytest.mark.core
def test_separation_runs_the_iterations_once(monkeypatch):
    from dspsep.separators.hpss import iterative

    runs, diffuse = [], iterative.diffuse
    monkeypatch.setattr(iterative, "diffuse", lambda *args: runs.append(1) or diffuse(*args))
    SMALL.separate(noise(1000), 8000)
    assert len(runs) == 1


# ---- units and settings


@pytest.mark.core
def test_the_weight_follows_the_grid():
    spectra = STFT(256, 64).forward(noise(2000), 8000)
    hpss = IterativeHPSS(stft=STFT(256, 64), seconds_per_hertz=0.0002)
    slope = 0.0002 * 8000**2 / (64 * 256)
    assert hpss.fit(spectra).harmonic_weight == pytest.approx(slope**2 / (1 + slope**2), rel=1e-12)

    def odds(stft, rate=8000, **options):
        model = IterativeHPSS(stft=stft, n_iter=1, **options).fit(stft.forward(noise(2000), rate))
        return model.harmonic_weight / (1 - model.harmonic_weight)

    # Half the hop: differences in time are half as large, and count for four times as much.
    assert odds(STFT(256, 32)) == pytest.approx(4 * odds(STFT(256, 64)))
    # Twice the bins: those in frequency are half as large, and the weight in time a quarter.
    assert odds(STFT(512, 64)) == pytest.approx(odds(STFT(256, 64)) / 4)
    # The same seconds and hertz at another rate.
    assert odds(STFT(512, 128), 16000) == pytest.approx(odds(STFT(256, 64)))
    # At 44.1 kHz the defaults are about a tenth, which the paper would call alpha.
    assert odds(STFT(8192), 44100) == pytest.approx(0.108 / 0.892, abs=0.001)
    assert odds(STFT(256), harmonic_weight=0.5) == 1
    for extreme in (1e-300, 1e6):
        model = IterativeHPSS(stft=STFT(4, 1), seconds_per_hertz=extreme, n_iter=2)
        assert 0 <= model.fit(STFT(4, 1).forward(noise(50), 1e9)).harmonic_weight <= 1


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("seconds_per_hertz and harmonic_weight", {"seconds_per_hertz": 0.01, "harmonic_weight": 0.3}),
        *[("seconds_per_hertz", {"seconds_per_hertz": bad}) for bad in (0, -1, np.nan, np.inf, "1", True)],
        *[("harmonic_weight", {"harmonic_weight": bad}) for bad in (-0.1, 1.1, np.nan, "1", True)],
        *[("exponent", {"exponent": bad}) for bad in (0, 2.1, -1, np.nan, None, "1")],
        *[("n_iter", {"n_iter": bad}) for bad in (0, -1, 2.0, None, True, 10**9)],
        *[("mask", {"mask": bad}) for bad in ("binary", None, 1)],
        *[("power", {"power": bad}) for bad in (0, -1, np.nan, 1001, None)],
        *[("stft", {"stft": bad}) for bad in (2048, None)],
    ],
    ids=str,
)
def test_wrong_settings_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=r" must be .+; got .+\.") as info:
        IterativeHPSS(**options)
    assert info.value.name == name
    if set(options) <= {"harmonic_weight", "exponent", "n_iter"}:
        with pytest.raises(InputError) as info:
            iterative_hpss(np.ones((4, 4)), **options)
        assert info.value.name == name


@pytest.mark.core
@pytest.mark.parametrize(
    "V",
    [np.ones(4), np.ones((0, 4)), np.ones((4, 4), complex), -np.ones((2, 2)), np.full((2, 2), np.nan), "V"],
    ids=lambda V: f"{type(V).__name__}-{getattr(V, 'shape', '')}",
)
def test_what_is_no_spectrogram_is_refused(V):
    with pytest.raises(InputError, match=r"^V must be "):
        iterative_hpss(V)


@pytest.mark.core
def test_models_from_a_file_are_checked():
    good = {"harmonic_weight": 0.3, "exponent": 0.6, "n_iter": 1, "mask": "soft", "power": 1.0}
    IterativeHPSSModel(**good, loss=(2.0, 1.0))
    for name, bad in (
        ("loss", {"loss": (1.0,)}), ("loss", {"loss": (1.0, np.nan)}), ("loss", {"loss": [2.0, 1.0]}),
        ("n_iter", {"n_iter": 0}), ("harmonic_weight", {"harmonic_weight": None}), ("mask", {"mask": "x"}),
    ):  # fmt: skip
        with pytest.raises(InputError) as info:
            IterativeHPSSModel(**{**good, "loss": (2.0, 1.0), **bad})
        assert info.value.name == name


@pytest.mark.core
def test_its_reach_is_a_frame_and_a_hop_for_each_iteration():
    assert IterativeHPSS(stft=STFT(512, 100), n_iter=7).reach(8000) == Reach(samples=512 + 700, step=100)


@pytest.mark.core
def test_what_arrives_on_a_device_stays_there():
    xp = pytest.importorskip("array_api_strict")
    device, host = xp.Device("device1"), xp.Device("CPU_DEVICE")
    mixture = noise(1500, n_channels=2)
    for hpss in (SMALL, SMALL.replace(power=2.0, harmonic_weight=1.0)):
        sources = hpss.separate(xp.asarray(mixture, device=device), 8000)
        expected = hpss.separate(mixture, 8000)
        np.testing.assert_allclose(sources.model.loss, expected.model.loss, rtol=1e-10)
        for name in expected:
            assert sources[name].device == device
            found = np.asarray(xp.asarray(sources[name], device=host))
            np.testing.assert_allclose(found, expected[name], atol=1e-11)
    V = spectrogram(6, 7)
    found = iterative_hpss(xp.asarray(V, device=device))
    assert found[0].device == device
    np.testing.assert_allclose(found[2], iterative_hpss(V)[2], rtol=1e-12)


# ---- how good it is


@pytest.mark.core
def test_a_tone_and_clicks_are_told_apart_in_audio():
    time = np.arange(16000) / 8000
    tone, clicks = 0.3 * np.sin(2 * np.pi * 440 * time), np.zeros(16000)
    clicks[1000::2000] = 3.0
    hpss = IterativeHPSS(stft=STFT(512), harmonic_weight=0.3, n_iter=100)
    sources = hpss.separate(tone + clicks, 8000)
    inner = slice(1500, -1500)
    assert sdr(tone[inner], sources["harmonic"][inner]) > 14
    assert sdr(clicks[inner], sources["percussive"][inner]) > 12


def test_it_beats_every_single_window_of_medians():
    names = case_names("b_")

    def mean(separator):
        scores = []
        for name in names:
            case = real_case(name)
            sources = separator.separate(case.mixture, case.sample_rate)
            for part, stem in (("harmonic", "harmonic"), ("percussive", "drums")):
                truth = case.references[stem]
                scores.append([metric(truth, sources[part]) for metric in (sdr, si_sdr)])
        return np.mean(scores, 0)

    iterated = mean(IterativeHPSS())
    if not real_case(names[0]).real:
        assert iterated[0] > 5.5
        return
    # HPSS at its defaults scores as librosa's does (`test_hpss_peers`), and takes a tenth of the time.
    best = np.max([mean(HPSS(stft=STFT(n_fft))) for n_fft in (1024, 2048, 4096)], 0)
    assert (iterated - best > 1.0).all(), (iterated, best)
