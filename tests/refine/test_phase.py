"""Griffin-Lim, MISI and consistent Wiener filtering: known answers, oracles, objectives, and odd input."""

from __future__ import annotations

import json
from pathlib import Path

import array_api_strict
import numpy as np
import pytest

from dspsep import (
    HPSS,
    MISI,
    STFT,
    ConsistentWiener,
    InputError,
    Regroup,
    Sources,
    consistent_wiener,
    from_json,
    griffin_lim,
    misi,
)
from dspsep.metrics import si_sdr
from tests.cases import real_case
from tests.refine.oracles.make_phase import HOP, MOMENTA, N_FFT, N_ITER, signals

STORED = Path(__file__).parent / "oracles" / "phase.npz"
SMALL = STFT(64, 16)
REFINERS = [
    MISI(stft=SMALL, n_iter=3),
    MISI(stft=STFT(51, 17, "blackman"), n_iter=2, power=2.0),
    ConsistentWiener(stft=SMALL, n_iter=4),
    ConsistentWiener(stft=STFT(51, 17, "blackman"), n_iter=3, weight=10.0, power=2.0),
]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def whole_spectra(stft, n_samples):
    """Return the matrix of the transform of `n_samples`, by its definition: all bins, frame after frame."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(stft.n_fft) / stft.n_fft)
    rows = []
    for t in range(stft.n_frames(n_samples)):
        for f in range(stft.n_fft):
            row = np.zeros(n_samples, complex)
            for n in range(stft.n_fft):
                sample = t * stft.hop_length + n - stft.n_fft // 2
                if 0 <= sample < n_samples:
                    row[sample] = window[n] * np.exp(-2j * np.pi * f * n / stft.n_fft)
            rows.append(row)
    return np.array(rows)


def mirrored(v):
    """Return variances (n_freqs, n_frames) of an even transform for all bins, frame after frame."""
    return np.concatenate([v, v[-2:0:-1]]).T.ravel()


class Dense:
    """A tiny problem of three sources, and its objective by dense matrices."""

    stft, n_samples, n_sources, weight = STFT(8, 2), 13, 3, 3.0

    def __init__(self):
        self.x = noise(self.n_samples)
        self.X = self.stft.forward(self.x, 8000)
        self.v = 10 ** noise(self.n_sources, *self.X.values.shape, seed=1)
        self.matrix = whole_spectra(self.stft, self.n_samples)
        inverse = np.linalg.pinv(self.matrix)
        self.inverse = inverse
        self.F = np.eye(len(self.matrix)) - self.matrix @ inverse
        self.mean = self.v[:, 0].sum(axis=0).mean()
        self.variances = [mirrored(v[0] / self.mean + 1e-10) for v in self.v]

    def solve(self):
        """Return the minimiser and the minimum, from the equations of Lagrange."""
        n = len(self.matrix)
        system = np.zeros((n * 4, n * 4), complex)
        for j, v in enumerate(self.variances):
            rows = slice(j * n, (j + 1) * n)
            system[rows, rows] = np.diag(1 / v) + self.weight * self.F
            system[rows, 3 * n :] = -np.eye(n)
            system[3 * n :, rows] = np.eye(n)
        right = np.concatenate([np.zeros(3 * n), self.matrix @ self.x])
        scale = np.abs(system).max(axis=1)
        S = np.linalg.solve(system / scale[:, None], right / scale)[: 3 * n].reshape(3, n)
        return (self.inverse @ S.T).T.real, self.objective(S)

    def objective(self, S):
        fit = sum((np.abs(s) ** 2 / v).sum() for s, v in zip(S, self.variances, strict=True))
        return fit + self.weight * sum(np.linalg.norm(self.F @ s) ** 2 for s in S)

    def wiener(self):
        return [self.matrix @ self.x * v / sum(self.variances) for v in self.variances]


def test_consistent_wiener_solves_its_equations():
    dense = Dense()
    expected, minimum = dense.solve()
    s, loss = consistent_wiener(dense.X, dense.v, weight=dense.weight, n_iter=500)
    assert len(loss) < 300, "rounding is reached"
    np.testing.assert_allclose(s[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(loss[0], dense.objective(dense.wiener()), rtol=1e-9)
    np.testing.assert_allclose(loss[-1], minimum, rtol=1e-7)
    assert np.all(np.diff(loss) <= 0)
    assert loss[-1] < 0.99 * loss[0]


@pytest.mark.core
def test_consistent_wiener_is_the_papers_for_two_sources():
    dense = Dense()
    v = dense.v[:2]
    mean = v[:, 0].sum(axis=0).mean()
    one, two = (mirrored(each[0] / mean + 1e-10) for each in v)
    precision = 1 / one + 1 / two
    # (Lambda + gamma F) S = Lambda mu, for the first source alone, and gamma twice the weight.
    right = precision * (one / (one + two)) * (dense.matrix @ dense.x)
    system = np.diag(precision) + 2 * dense.weight * dense.F
    S = np.linalg.solve(system / precision[:, None], right / precision)
    s, _ = consistent_wiener(dense.X, v, weight=dense.weight, n_iter=500)
    np.testing.assert_allclose(s[0, 0], (dense.inverse @ S).real, atol=1e-6)


def test_consistent_wiener_without_weight_is_wiener():
    dense = Dense()
    s, loss = consistent_wiener(dense.X, dense.v, weight=0.0)
    np.testing.assert_allclose(s[:, 0], (dense.inverse @ np.transpose(dense.wiener())).T.real, atol=1e-8)
    assert len(loss) == 1


def test_consistent_wiener_ends_more_consistent():
    x = noise(4000)
    X = SMALL.forward(x, 8000)
    v = np.abs(noise(3, *X.values.shape, seed=2)) ** 4
    losses = [consistent_wiener(X, v, weight=w, n_iter=60)[1] for w in (0.3, 3.0, 30.0)]
    for loss in losses:
        assert np.all(np.diff(loss) <= 0)
    single = consistent_wiener(SMALL.forward(x.astype(np.float32), 8000), v.astype(np.float32), weight=3.0)
    np.testing.assert_allclose(single[1][-1], losses[1][min(30, len(losses[1]) - 1)], rtol=1e-4)


@pytest.mark.core
@pytest.mark.parametrize("momentum", MOMENTA)
def test_griffin_lim_is_librosas(momentum):
    with np.load(STORED, allow_pickle=False) as stored:
        assert json.loads(str(stored["versions"]))["librosa"] >= "0.11"
        expected = stored[f"griffin_lim_{momentum}"]
    stft = STFT(N_FFT, HOP)
    S = stft.forward(signals()[0], 8000).magnitude()[0]
    x, _ = griffin_lim(S, stft, n_iter=N_ITER, momentum=momentum, start=np.ones_like(S) + 0j)
    np.testing.assert_allclose(x, expected, atol=1e-8)


def test_griffin_lim_falls_without_momentum():
    S = SMALL.forward(noise(2, 3000), 8000).magnitude()
    x, loss = griffin_lim(S, SMALL, n_samples=3000, n_iter=40, momentum=0.0)
    assert x.shape == (2, 3000)
    assert len(loss) == 41
    assert np.all(np.diff(loss) <= 0)
    reached = SMALL.forward(x, 8000).magnitude()
    twice = np.full((33, 1), 2.0)
    twice[[0, -1]] = 1.0
    convergence = np.sqrt((twice * (reached - S) ** 2).sum() / (twice * S**2).sum())
    np.testing.assert_allclose(loss[-1], convergence, rtol=1e-10)
    _, fast = griffin_lim(S, SMALL, n_samples=3000, n_iter=40)
    assert fast[-1] < loss[-1]


def test_griffin_lim_keeps_true_phases():
    x = noise(3000)
    X = SMALL.forward(x, 8000)
    again, loss = griffin_lim(X.magnitude(), SMALL, n_samples=3000, n_iter=5, start=X.values)
    np.testing.assert_allclose(again[0], x, atol=1e-12)
    assert max(loss) < 1e-12


def test_griffin_lim_odds_and_ends():
    S = np.abs(noise(33, 9))
    first, _ = griffin_lim(S, SMALL, n_iter=2, seed=3)
    assert first.shape == (128,)
    assert np.array_equal(first, griffin_lim(S, SMALL, n_iter=2, seed=3)[0])
    assert not np.array_equal(first, griffin_lim(S, SMALL, n_iter=2, seed=4)[0])
    loud, loss = griffin_lim(S * 4.0**40, SMALL, n_iter=2, seed=3)
    assert np.array_equal(loud, first * 4.0**40)
    silent, loss = griffin_lim(0 * S, SMALL, n_iter=2)
    assert not silent.any()
    assert loss == (0.0,)
    one, _ = griffin_lim(S[:, :1].astype(np.float32), SMALL)
    assert one.shape == (1,)
    assert one.dtype == np.float32
    _, loss = griffin_lim(S, SMALL, callback=lambda progress: progress.iteration == 3)
    assert len(loss) == 4


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"S": np.ones((32, 9))}, "S"),
        ({"S": -np.ones((33, 9))}, "S"),
        ({"S": np.full((33, 9), np.nan)}, "S"),
        ({"n_samples": 500}, "S"),
        ({"stft": 64}, "stft"),
        ({"momentum": 1.5}, "momentum"),
        ({"n_iter": -1}, "n_iter"),
        ({"seed": -1}, "seed"),
        ({"start": np.ones((33, 9))}, "start"),
        ({"start": np.ones((33, 8)) + 0j}, "start"),
        ({"start": np.full((33, 9), np.nan) + 0j}, "start"),
        ({"start": np.full((33, 9), complex(0, np.inf))}, "start"),
    ],
)
def test_griffin_lim_refuses(change, name):
    with pytest.raises(InputError) as error:
        griffin_lim(**({"S": np.ones((33, 9)), "stft": SMALL} | change))
    assert error.value.name == name


@pytest.mark.core
def test_misi_is_the_papers():
    with np.load(STORED, allow_pickle=False) as stored:
        expected = stored["misi"]
    stft, sources = STFT(N_FFT, HOP), signals()
    A = np.stack([stft.forward(source, 8000).magnitude() for source in sources])
    s, _ = misi(stft.forward(sources.sum(axis=0), 8000), A, n_iter=N_ITER)
    np.testing.assert_allclose(s[:, 0], expected, atol=1e-10)


def test_misi_sums_to_the_mixture_and_falls():
    x = noise(2, 3000)
    X = SMALL.forward(x, 8000)
    A = np.abs(noise(3, *X.values.shape, seed=1))
    for n_iter in (0, 1, 2, 30):
        s, loss = misi(X, A, n_iter=n_iter)
        np.testing.assert_allclose(s.sum(axis=0), x, atol=1e-12)
        assert len(loss) == n_iter + 1
    assert np.all(np.diff(loss) <= 0)
    twice = np.full((33, 1), 2.0)
    twice[[0, -1]] = 1.0
    reached = np.stack([SMALL.forward(estimate, 8000).magnitude() for estimate in s])
    inconsistency = np.sqrt((twice * (reached - A) ** 2).sum() / (twice * A**2).sum())
    np.testing.assert_allclose(loss[-1], inconsistency, rtol=1e-10)


def test_misi_keeps_true_phases():
    sources = noise(2, 3000)
    spectra = [SMALL.forward(source, 8000).values for source in sources]
    start = np.stack(spectra)
    s, loss = misi(SMALL.forward(sources.sum(axis=0), 8000), np.abs(start), n_iter=3, start=start)
    np.testing.assert_allclose(s[:, 0], sources, atol=1e-12)
    assert max(loss) < 1e-12


@pytest.mark.parametrize("function", [misi, consistent_wiener])
def test_functions_of_spectra_refuse(function):
    X = SMALL.forward(noise(500), 8000)
    good = np.ones((2, *X.values.shape))
    for bad in (good[0], good[:, :, :-1], -good, good * np.inf, good[:0]):
        with pytest.raises(InputError):
            function(X, bad)
    with pytest.raises(InputError):
        function(X.values, good)
    with pytest.raises(InputError):
        function(X, good, n_iter=-1)
    with pytest.raises(InputError, match=r"^start must be finite"):
        misi(X, good, start=good * np.nan + 0j)


def test_misi_of_magnitudes_far_above_the_mixture():
    X = SMALL.forward(noise(200).astype(np.float32), 8000)
    s, loss = misi(X, np.full((2, *X.values.shape), 1e30), n_iter=3)
    assert np.isfinite(s).all()
    assert np.isfinite(loss).all()
    np.testing.assert_allclose(s.sum(axis=0)[0], noise(200), atol=1e-5 * np.abs(s).max())


@pytest.mark.parametrize("function", [misi, consistent_wiener])
def test_functions_of_spectra_cope(function):
    for n_samples in (1, 2, 16, 65):
        X = SMALL.forward(noise(n_samples), 8000)
        for values in (0.0, 1e-30, 1.0 if function is misi else 1e30):
            s, loss = function(X, np.full((3, *X.values.shape), values), n_iter=3)
            assert np.isfinite(s).all()
            assert np.isfinite(loss).all()
            np.testing.assert_allclose(s.sum(axis=0)[0], noise(n_samples), atol=1e-12)
    silent, _ = function(SMALL.forward(np.zeros(100), 8000), np.ones((2, 1, 33, 7)))
    np.testing.assert_allclose(silent[0], -silent[1], atol=1e-12)


def test_other_libraries():
    x = noise(1000)
    X = SMALL.forward(x, 8000)
    A = np.abs(noise(2, *X.values.shape, seed=1))
    there = X.with_values(array_api_strict.asarray(X.values))
    for function in (misi, consistent_wiener):
        s, loss = function(X, A, n_iter=3)
        found, same = function(there, array_api_strict.asarray(A), n_iter=3)
        np.testing.assert_allclose(np.asarray(found), s, atol=1e-12)
        np.testing.assert_allclose(same, loss, rtol=1e-12)
    audio, loss = griffin_lim(A[0], SMALL, n_samples=1000, n_iter=3)
    found, same = griffin_lim(array_api_strict.asarray(A[0]), SMALL, n_samples=1000, n_iter=3)
    np.testing.assert_allclose(np.asarray(found), audio, atol=1e-12)
    np.testing.assert_allclose(same, loss, rtol=1e-12)


@pytest.mark.parametrize("refiner", REFINERS, ids=repr)
def test_refiners_keep_names_sum_and_input(refiner):
    mixture = noise(2, 1500)
    parts = {"b": 0.3 * mixture + noise(2, 1500, seed=1), "a": noise(2, 1500, seed=2)}
    parts["c"] = mixture - parts["a"] - parts["b"]
    sources = Sources.from_dict(parts, 8000)
    before = {name: array.copy() for name, array in sources.items()}
    copy = mixture.copy()
    refined = refiner.refine(mixture, sources)
    assert refined.names == refiner.names_after(sources.names) == ("b", "a", "c")
    np.testing.assert_allclose(refined.mixture(), mixture, atol=1e-13)
    assert np.array_equal(mixture, copy)
    for name in sources:
        assert np.array_equal(sources[name], before[name])
        assert not np.allclose(refined[name], sources[name], atol=1e-3)
    # Channels by themselves, with a channel axis or none.
    left = refiner.refine(mixture[0], Sources.from_dict({k: p[0] for k, p in parts.items()}, 8000))
    for name in sources:
        np.testing.assert_allclose(left[name], refined[name][0], atol=1e-12)
    # At other levels.
    for level in (-1.0, 4.0**10, 4.0**-10, 1e30):
        scaled = refiner.refine(
            level * mixture, Sources.from_dict({k: level * parts[k] for k in parts}, 8000)
        )
        for name in sources:
            np.testing.assert_allclose(scaled[name] / level, refined[name], atol=1e-9)


@pytest.mark.parametrize("refiner", REFINERS, ids=repr)
def test_refiners_cope(refiner):
    for n_samples in (1, 2, 15, 64, 200):
        mixture = noise(n_samples).astype(np.float32)
        for first in (0 * mixture, mixture, 1e6 * mixture, noise(n_samples, seed=1).astype(np.float32)):
            sources = Sources.from_dict({"one": first, "two": mixture - first}, 8000)
            refined = refiner.refine(mixture, sources)
            for name in refined:
                assert refined[name].dtype == np.float32
                assert np.isfinite(refined[name]).all()
            np.testing.assert_allclose(refined.mixture(), mixture, atol=1e-6)
    # A pause, in which nothing is known.
    paused = np.concatenate([noise(200), np.zeros(300), noise(200, seed=1)])
    refined = refiner.refine(paused, Sources.from_dict({"one": 0.3 * paused, "two": 0.7 * paused}, 8000))
    np.testing.assert_allclose(refined.mixture(), paused, atol=1e-12)
    silence = np.zeros((2, 300))
    silence[1] = noise(300)
    refined = refiner.refine(silence, Sources.from_dict({"one": 0.5 * silence, "two": 0.5 * silence}, 8000))
    for name in refined:
        assert not refined[name][0].any()
        np.testing.assert_allclose(refined[name][1], 0.5 * silence[1], atol=1e-12)
    alone = refiner.refine(silence, Sources.from_dict({"all": silence}, 8000))
    np.testing.assert_allclose(alone["all"], silence, atol=1e-12)


@pytest.mark.parametrize("kind", [MISI, ConsistentWiener])
def test_estimates_far_above_the_mixture_are_within_all_numbers(kind):
    # They cancel but for a trillionth; the fourth power of that is more than single precision has.
    mixture, loud = noise(200).astype(np.float32), 1e10 * noise(200, seed=1).astype(np.float32)
    sources = Sources.from_dict({"one": loud, "two": -loud, "three": mixture}, 8000)
    refined = kind(stft=STFT(64), power=4.0).refine(mixture, sources)
    assert all(np.isfinite(source).all() for source in refined.values())
    np.testing.assert_allclose(refined.mixture(), mixture, atol=1e-5)


@pytest.mark.parametrize("refiner", REFINERS, ids=repr)
def test_refiners_are_values(refiner):
    assert eval(repr(refiner), {"MISI": MISI, "ConsistentWiener": ConsistentWiener, "STFT": STFT}) == refiner
    pipeline = HPSS(stft=SMALL) >> refiner >> Regroup(all=["harmonic", "percussive"])
    again = from_json(pipeline.to_json())
    assert again == pipeline
    assert pipeline.source_names == ("all",)
    assert pipeline.reach(8000) is None
    mixture = noise(800)
    assert np.array_equal(again.separate(mixture, 8000)["all"], pipeline.separate(mixture, 8000)["all"])


@pytest.mark.parametrize("refiner", REFINERS[::2], ids=repr)
def test_refiners_report(refiner):
    mixture = noise(2, 500)
    sources = Sources.from_dict({"one": 0.5 * mixture, "two": noise(2, 500, seed=1)}, 8000)
    seen = []
    refiner.refine(mixture, sources, callback=seen.append)
    assert {progress.stage for progress in seen} == {"refine channel 1 of 2", "refine channel 2 of 2"}
    assert [progress.iteration for progress in seen] == 2 * list(range(refiner.n_iter + 1))
    assert all(progress.n_iterations == refiner.n_iter for progress in seen)
    assert seen[refiner.n_iter].loss < seen[0].loss
    stopped = []
    refiner.refine(mixture, sources, callback=lambda progress: stopped.append(progress) or True)
    assert [progress.iteration for progress in stopped] == [0, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: MISI(n_iter=0),
        lambda: MISI(stft=512),
        lambda: MISI(power=0),
        lambda: ConsistentWiener(weight=-1),
        lambda: ConsistentWiener(n_iter=1.5),
        lambda: ConsistentWiener(power=5),
        lambda: MISI(stft=SMALL).refine(np.ones(10), Sources.from_dict({"one": np.ones(11)}, 8000)),
    ],
)
def test_refiners_refuse(make):
    with pytest.raises(InputError):
        make()


def test_what_true_magnitudes_are_worth():
    case = real_case("a_caesium")
    part = slice(4 * case.sample_rate, 6 * case.sample_rate)
    sources = np.stack([source[0, part] for source in case.references.values()])
    stft = STFT()
    X = stft.forward(sources.sum(axis=0), case.sample_rate)
    A = np.stack([stft.forward(source, case.sample_rate).magnitude() for source in sources])

    def score(s):
        return np.mean([si_sdr(source, estimate[0]) for source, estimate in zip(sources, s, strict=True)])

    wiener = score(consistent_wiener(X, A**2, weight=0.0)[0])
    assert score(consistent_wiener(X, A**2)[0]) > wiener + 0.5
    assert score(misi(X, A)[0]) > score(misi(X, A, n_iter=0)[0]) + 6
