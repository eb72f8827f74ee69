"""Ensembles: means and pools with known answers, names that must agree, and text that comes back."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

import dspsep
from dspsep import (
    HPSS,
    STFT,
    ADRess,
    Ensemble,
    InputError,
    MidSide,
    MixtureAsEstimate,
    Reach,
    Regroup,
    Separator,
    Sources,
    from_json,
    log_opinion_pool,
)
from dspsep._registry import METHODS
from dspsep.streaming import LocalStream
from tests.test_stft import noise

A, B, C = HPSS(stft=STFT(128)), HPSS(stft=STFT(64)), HPSS(stft=STFT(32), margin=2.0)
NAMES = ("a", "b")
NAMESPACE = {name: getattr(dspsep, name) for name in ("HPSS", "STFT", "Ensemble", "Regroup", "MidSide")}


@dataclass(frozen=True, kw_only=True)
class Shares(Separator):
    """Gives every source a share of the mixture; `late` hides the names until then."""

    shares: dict = field(default_factory=dict)
    late: bool = False

    @property
    def source_names(self):
        return None if self.late else tuple(self.shares)

    def separate(self, mixture, sample_rate, *, callback=None):
        return Sources({name: share * mixture for name, share in self.shares.items()}, sample_rate)


def shares(late=False, **given):
    return Shares(shares=given, late=late)


# --- the mean ---


@pytest.mark.core
def test_the_mean_is_of_the_waveforms():
    audio = noise(500, "float64", 2)
    one, two = A.separate(audio, 8000), B.separate(audio, 8000)
    for weights, share in ((None, 0.5), ((1, 3), 0.25), ((0.2, 0.6), 0.25), ((0, 5), 0.0)):
        both = Ensemble([A, B], weights=weights).separate(audio, 8000)
        for name in ("harmonic", "percussive"):
            expected = share * one[name] + (1 - share) * two[name]
            np.testing.assert_allclose(both[name], expected, atol=1e-14)


@pytest.mark.core
def test_a_member_without_a_residual_leaves_none():
    audio = noise(400)
    for members, names in (([A, C], A.source_names), ([C, A], ("harmonic", "percussive"))):
        both = Ensemble(members)
        assert both.source_names == (*names, "residual")
        sources = both.separate(audio, 8000)
        np.testing.assert_allclose(sources["residual"], C.separate(audio, 8000)["residual"] / 2, atol=1e-14)
        np.testing.assert_allclose(sources.mixture(), audio, atol=1e-13)
    assert Ensemble([A, B]).source_names == ("harmonic", "percussive")


def test_the_order_is_the_first_members():
    swapped = B >> Regroup(percussive=["percussive"], harmonic=["harmonic"])
    assert swapped.source_names == ("percussive", "harmonic")
    for method in ("mean", "log-opinion"):
        sources = Ensemble([A, swapped], method=method, stft=STFT(64)).separate(noise(300), 8000)
        assert sources.names == ("harmonic", "percussive")
        plain = Ensemble([A, B], method=method, stft=STFT(64)).separate(noise(300), 8000)
        for name in plain:
            np.testing.assert_allclose(sources[name], plain[name], atol=1e-13)


# --- the pool ---


def test_the_pool_has_known_answers():
    certain, doubtful = np.array([0.999, 0.001]), np.array([0.4, 0.6])
    odds = np.sqrt(999 * 2 / 3)
    np.testing.assert_allclose(
        log_opinion_pool([certain, doubtful]), [odds / (1 + odds), 1 / (1 + odds)], 1e-3
    )
    # Only ratios count: of weights, and of what a member says.
    twice = log_opinion_pool([certain * 7, doubtful], [2, 4])
    np.testing.assert_allclose(twice, log_opinion_pool([certain, doubtful], [0.1, 0.2]), rtol=1e-12)
    np.testing.assert_allclose(log_opinion_pool([doubtful], [3]), doubtful, rtol=1e-5)
    np.testing.assert_allclose(log_opinion_pool([certain, doubtful], [0, 3]), doubtful, rtol=1e-5)
    np.testing.assert_allclose(log_opinion_pool([np.array([1.2e308, 0.6e308])]), [2 / 3, 1 / 3], rtol=1e-5)
    # Who says nothing does not count; those who exclude one another leave both possible.
    np.testing.assert_allclose(log_opinion_pool([np.zeros(2), doubtful], [1, 0]), [0.5, 0.5])
    np.testing.assert_allclose(log_opinion_pool([np.array([1.0, 0]), np.array([0, 1.0])]), [0.5, 0.5])


@given(
    st.integers(1, 4), st.integers(2, 4), st.integers(0, 1000),
)  # fmt: skip
def test_the_pool_is_nearest_to_all_opinions(n_members, n_sources, seed):
    rng = np.random.default_rng(seed)
    opinions = rng.dirichlet(np.ones(n_sources), n_members) * 0.98 + 0.02 / n_sources
    weights = rng.uniform(0.1, 1, n_members)

    def divergence(logits):
        p = np.exp(logits - np.logaddexp.reduce(logits))
        return sum(w * np.sum(p * np.log(p / r)) for w, r in zip(weights, opinions, strict=True))

    found = scipy.optimize.minimize(divergence, np.zeros(n_sources), tol=1e-12).x
    expected = np.exp(found - np.logaddexp.reduce(found))
    np.testing.assert_allclose(log_opinion_pool(list(opinions), weights), expected, atol=1e-4)


def test_separators_are_pooled_by_the_energies_of_what_they_give():
    audio, stft, weights = noise(600, "float64", 2), STFT(64), (1, 2)
    masks = []
    for member in (A, C):
        sources = dict(member.separate(audio, 8000))
        sources.setdefault("residual", np.zeros_like(audio))
        energies = [np.abs(stft.forward(sources[name], 8000).values) ** 2 for name in C.source_names]
        masks.append(np.stack(energies) / np.sum(energies, axis=0))
    pooled = log_opinion_pool(masks, weights)
    np.testing.assert_allclose(pooled.sum(axis=0), 1, atol=1e-12)
    spectrogram = stft.forward(audio, 8000)
    found = Ensemble([A, C], weights=weights, method="log-opinion", stft=stft).separate(audio, 8000)
    for name, mask in zip(C.source_names, pooled, strict=True):
        np.testing.assert_allclose(found[name], stft.inverse(spectrogram, mask=mask), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("late", [False, True])
def test_where_nobody_has_a_residual_there_is_none(late, dtype):
    members = [shares(a=0.2, b=0.8, late=late), shares(b=0.5, a=0.5, late=late)]
    audio = noise(400, dtype)
    sources = Ensemble(members, method="log-opinion", stft=STFT(64)).separate(audio, 8000)
    assert sources.names == NAMES
    # Energies of 1 to 16 and of 1 to 1: odds of 1 to 4.
    np.testing.assert_allclose(sources["a"], audio * 0.2, atol=1e-5)
    np.testing.assert_allclose(sources.mixture(), audio, atol=2e-7 if dtype == "float32" else 1e-14)


def test_the_pool_looks_a_frame_further():
    widest = A.reach(8000).beside(B.reach(8000))
    assert Ensemble([A, B]).reach(8000) == widest
    pool = Ensemble([A, B], method="log-opinion", stft=STFT(96, 24))
    assert pool.reach(8000) == widest.then(Reach(samples=96, step=24))
    audio = noise(40_000)
    whole = pool.separate(audio, 8000)
    stream = LocalStream(pool, pool.reach(8000), 8000, None)
    parts = [stream.push(audio), stream.flush()]
    for name in whole:
        np.testing.assert_allclose(np.concatenate([p[name] for p in parts]), whole[name], atol=1e-12)


def test_members_that_disagree_are_told_before_the_next_works():
    called = []

    class Called(Shares):
        def separate(self, mixture, sample_rate, *, callback=None):
            called.append(self)
            return super().separate(mixture, sample_rate)

    members = [Called(shares=dict.fromkeys(names, 0.5), late=True) for names in ("ab", "ac", "ab")]
    with pytest.raises(InputError, match="member 2"):
        Ensemble(members).separate(noise(300), 8000)
    assert called == members[:2]


# --- names that only the data decide ---


def test_late_names_are_compared_when_they_are_there():
    with_residual = shares(b=0.2, a=0.5, residual=0.3, late=True)
    for method in ("mean", "log-opinion"):
        both = Ensemble([shares(a=0.5, b=0.5, late=True), with_residual], method=method, stft=STFT(64))
        assert both.source_names is None
        sources = both.separate(noise(300), 8000)
        assert sources.names == ("a", "b", "residual")
        np.testing.assert_allclose(sources.mixture(), noise(300), atol=1e-13)
        half_known = Ensemble([shares(a=0.5, b=0.5), with_residual], method=method, stft=STFT(64))
        for name in sources:
            np.testing.assert_allclose(half_known.separate(noise(300), 8000)[name], sources[name], atol=1e-13)
    with pytest.raises(
        InputError, match=r"^member 2, Shares, must be of the sources that member 1 has, a, b;"
    ):
        Ensemble([shares(a=0.5, b=0.5), shares(a=1.0, late=True)]).separate(noise(300), 8000)


# --- settings ---


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ensemble([]), "members must be at least one separator"),
        (lambda: Ensemble(None), "member 1 must be a separator; got None"),
        (lambda: Ensemble([A, "hpss"]), "member 2 must be a separator"),
        (lambda: Ensemble([A, Regroup(a=["b"])]), "member 2 must be a separator"),
        (lambda: Ensemble([A, B], weights=[1]), "weights must be one for each of the 2 members; got 1"),
        (lambda: Ensemble([A, B], weights=[1, -1]), r"weights\[1\] must be a number of at least 0"),
        (lambda: Ensemble([A, B], weights=[0, 0]), "weights must be above zero for at least one member"),
        (lambda: Ensemble([A, B], weights="ab"), "weights must be a number for each member"),
        (lambda: Ensemble([A, B], weights={1: 2, 2: 1}), "weights must be a number for each member"),
        (lambda: Ensemble([A, B], weights={1, 2}), "weights must be a number for each member"),
        (lambda: Ensemble([A, B], weights=3), "weights must be a number for each member"),
        (lambda: Ensemble([A, B], method="median"), "method must be one of 'mean', 'log-opinion'"),
        (lambda: Ensemble([A, B], stft=512), "stft must be an STFT"),
        (
            lambda: Ensemble([A, MixtureAsEstimate()]),
            "member 2, MixtureAsEstimate, must be of the sources that member 1 has, harmonic, percussive; "
            "got vocals, accompaniment. Name them alike: member >> "
            r"Regroup\({'harmonic': \['vocals'\], ...}\)",
        ),
        (lambda: Ensemble([A, B >> {"harmonic": A}]), "member 2, Pipeline, must be of the sources"),
        (lambda: log_opinion_pool([]), "masks must be of at least one member"),
        (lambda: log_opinion_pool([np.ones(2), np.ones(3)]), r"masks\[1\] must be of shape"),
        (lambda: log_opinion_pool(None), "masks must be a sequence of arrays"),
        (lambda: log_opinion_pool([np.ones((0, 3))]), r"masks\[0\] must be of shape"),
        (lambda: log_opinion_pool([np.ones(2), -np.ones(2)]), r"masks\[1\] must be finite and not negative"),
        (lambda: log_opinion_pool([np.array([1, np.nan])]), r"masks\[0\] must be finite and not negative"),
        (lambda: log_opinion_pool([np.array([1, np.inf])]), r"masks\[0\] must be finite and not negative"),
        (lambda: log_opinion_pool([np.ones(2)], [1, 2]), "weights must be one for each of the 1 members"),
    ],
)
def test_mistakes_are_found_when_it_is_made(make, said):
    with pytest.raises(InputError, match=f"^{said}"):
        make()


def test_one_separator_is_an_ensemble_of_one():
    assert Ensemble(A) == Ensemble([A]) == Ensemble((A,))
    sources = Ensemble(A).separate(noise(300), 8000)
    for name, expected in A.separate(noise(300), 8000).items():
        assert np.array_equal(sources[name], expected)


@pytest.mark.core
@pytest.mark.parametrize(
    "ensemble",
    [
        Ensemble([A, B]),
        Ensemble([A, B >> {"harmonic": C} >> Regroup(harmonic=["harmonic"])], weights=(np.float32(0.5), 2)),
        Ensemble([Ensemble([A, B], method="log-opinion"), A], weights=[1, 0]),
        Ensemble([A, B]) >> {"harmonic": Ensemble([B, C])},
    ],
)
def test_text_comes_back(ensemble):
    assert eval(repr(ensemble), NAMESPACE) == ensemble
    again = from_json(ensemble.to_json())
    assert again == ensemble == pickle.loads(pickle.dumps(ensemble)) == ensemble.replace()
    assert hash(again) == hash(ensemble)
    one, other = (separator.separate(noise(300), 8000) for separator in (ensemble, again))
    assert one.names == other.names == ensemble.source_names
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_it_prints_as_a_list_of_shares():
    ensemble = Ensemble([A, B >> Regroup(harmonic=["harmonic"])], weights=[3, 1])
    assert str(ensemble).splitlines() == [
        "Ensemble: mean",
        "  0.75 of HPSS(stft=STFT(128))",
        "  0.25 of Pipeline",
        "            1. HPSS(stft=STFT(64))",
        "            2. harmonic = harmonic",
        "            gives harmonic, percussive",
    ]


def test_channels_are_those_that_all_members_take():
    stereo = MidSide(stft=STFT(64))
    named = A >> Regroup(center=["harmonic"], sides=["percussive"])
    both = Ensemble([named, stereo])
    assert (both.min_channels, both.max_channels) == (2, 2)
    called = []
    with pytest.raises(InputError, match="mixture must be audio of at least 2 channels"):
        both.separate(noise(300), 8000, callback=called.append)
    assert not called
    assert (Ensemble([A, B]).min_channels, Ensemble([A, B]).max_channels) == (1, None)
    assert METHODS["MidSide"].min_channels == 2

    class Three(Shares):
        min_channels = 3

    with pytest.raises(InputError, match="members must be separators that can work on the same audio"):
        Ensemble([stereo, Three(shares={"center": 0.5, "sides": 0.5})])
    with pytest.raises(InputError, match="steps must be separators that can work on the same audio"):
        ADRess() >> {"source_0": Three(shares={"a": 1.0})}


def test_members_report_and_their_models_are_kept():
    stages = []
    member = B >> {"harmonic": A} >> Regroup(harmonic=["harmonic"])
    sources = Ensemble([A, member]).separate(
        noise(300), 8000, callback=lambda progress: stages.append(progress.stage)
    )
    assert stages[:3] == ["member 1: transform", "member 1: fit", "member 1: harmonic"]
    assert "member 2: harmonic: fit" in stages
    assert list(sources.model) == ["member 1", "member 2", "member 2/harmonic"]
    assert sources.provenance.settings == repr(Ensemble([A, member]))


def test_arrays_of_another_library_stay_there():
    strict = pytest.importorskip("array_api_strict")
    audio = noise(500, "float32", 2)
    for method in ("mean", "log-opinion"):
        ensemble = Ensemble([A, C], method=method, stft=STFT(64))
        found, expected = ensemble.separate(strict.asarray(audio), 8000), ensemble.separate(audio, 8000)
        for name in expected:
            assert isinstance(found[name], type(strict.asarray(audio)))
            np.testing.assert_allclose(np.asarray(found[name]), expected[name], atol=5e-6)
