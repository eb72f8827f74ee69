"""Streams of stages: sources that come different ways meet at the same moment, whatever each way takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import (
    HPSS,
    STFT,
    Ensemble,
    InputError,
    OnlineNMF,
    Pipeline,
    Reach,
    Refiner,
    Regroup,
    REPETSim,
    Separator,
    Sources,
    Split,
    Stream,
)
from dspsep.staged import StagedStream
from dspsep.streaming import LocalStream
from tests.test_stft import noise
from tests.test_streaming import cut, fed

RATE = 1000


class LateStream(Stream):
    """Holds so many samples back, and splits each into a quarter and the rest."""

    def __init__(self, late, n_channels):
        super().__init__(("quarter", "rest"), n_channels)
        self.late = late
        self.held = None

    @property
    def latency_samples(self):
        return self.late

    def _push(self, samples):
        self.held = samples.copy() if self.held is None else np.concatenate([self.held, samples], axis=1)
        ready = max(0, self.held.shape[1] - self.late)
        now, self.held = self.held[:, :ready], self.held[:, ready:]
        return {"quarter": 0.25 * now, "rest": 0.75 * now} if ready else {}

    def _flush(self):
        return {"quarter": 0.25 * self.held, "rest": 0.75 * self.held}


@dataclass(frozen=True, kw_only=True)
class Late(Separator):
    """A separator with a stream of its own and no reach."""

    late: int = 0

    @property
    def source_names(self):
        return ("quarter", "rest")

    def separate(self, mixture, sample_rate, *, callback=None):
        return Sources({"quarter": 0.25 * mixture, "rest": 0.75 * mixture}, sample_rate)

    def streams(self, sample_rate):
        return True

    def stream(self, sample_rate, n_channels=None):
        return LateStream(self.late, n_channels)


@dataclass(frozen=True, kw_only=True)
class Smooth(Refiner):
    """Moves what is rough in a source, next to its neighbours, to the others; looks at the mixture, too."""

    around: int = 3

    def names_after(self, names):
        return None if names is None else ("smooth", "remainder")

    def reach(self, sample_rate):
        return Reach(samples=self.around)

    def refine(self, mixture, sources, *, callback=None):
        kernel = np.ones(2 * self.around + 1) / (2 * self.around + 1)
        first = sources[sources.names[0]]
        smooth = np.stack([np.convolve(row, kernel, "same") for row in np.atleast_2d(first)])
        smooth = smooth.reshape(first.shape)
        return Sources({"smooth": smooth, "remainder": mixture - smooth}, sources.sample_rate)


@dataclass(frozen=True, kw_only=True)
class Whole(Smooth):
    def reach(self, sample_rate):
        return None


def late_pipeline(a, b, c, d):
    return (
        Late(late=a)
        >> {"quarter": Late(late=b) >> {"rest": Late(late=c)}, "rest": Late(late=d)}
        >> Regroup({"both": ["quarter/quarter", "rest/rest"]})
    )


def assert_streams(separator, audio, sizes, tolerance=0.0, rate=RATE):
    expected = separator.separate(audio, rate)
    n_channels = None if audio.ndim == 1 else audio.shape[0]
    got = fed(separator.stream(rate, n_channels), cut(audio, sizes))
    assert tuple(got) == expected.names
    for name in expected:
        assert got[name].shape == audio.shape
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=tolerance)


@given(
    late=st.tuples(*[st.integers(0, 50)] * 4),
    sizes=st.lists(st.integers(0, 40), max_size=12),
    n_samples=st.integers(1, 300),
    n_channels=st.sampled_from([None, 1, 2]),
)
def test_what_is_early_waits(late, sizes, n_samples, n_channels):
    assert_streams(late_pipeline(*late), noise(n_samples, "float64", n_channels), sizes)


def test_latency_is_the_longest_way_and_is_kept():
    stream = late_pipeline(5, 7, 11, 13).stream(RATE)
    assert stream.latency_samples == 5 + max(7 + 11, 13)
    assert late_pipeline(5, 1, 1, 13).stream(RATE).latency_samples == 5 + 13
    assert stream.push(np.ones(23))["both"].size == 0
    assert stream.push(np.ones(1))["both"].size == 1
    assert stream.flush()["both"].size == 23


def test_a_refiner_of_bounded_reach_is_given_mixture_and_sources_of_one_moment():
    audio = noise(5000, "float64", 2)
    steps = Late(late=123) >> Smooth() >> {"smooth": Late(late=7)} >> Smooth(around=5)
    assert steps.reach(RATE) is None
    assert steps.streams(RATE)
    assert_streams(steps, audio, [100, 3, 0, 1700], 1e-15)
    assert_streams(steps, audio[0, :40], [7], 1e-15)  # shorter than a segment
    latency = steps.stream(RATE).latency_samples
    assert latency == 123 + (RATE + 3) + 7 + (RATE + 5)


def test_buffers_may_be_used_again():
    steps = Late(late=50) >> Smooth()
    audio = noise(3000, "float64")
    stream, buffer, parts = steps.stream(RATE), np.empty(100), []
    for start in range(0, 3000, 100):
        buffer[:] = audio[start : start + 100]
        parts.append(stream.push(buffer)["remainder"])
        buffer[:] = np.nan
    parts.append(stream.flush()["remainder"])
    np.testing.assert_allclose(np.concatenate(parts), steps.separate(audio, RATE)["remainder"], atol=1e-15)


@pytest.mark.parametrize(
    "separator",
    [
        Late() >> Whole(),
        Late() >> {"rest": HPSS(), "quarter": REPETSim()},
        REPETSim() >> {"background": Late()},
        Ensemble([Late(), Late() >> Whole() >> Regroup(quarter=["smooth"], rest=["remainder"])]),
    ],
)
def test_one_stage_that_needs_the_whole_is_enough(separator):
    assert not separator.streams(RATE)
    with pytest.raises(InputError, match="to work in blocks"):
        separator.stream(RATE)


def test_a_refiner_alone_says_when_it_cannot():
    with pytest.raises(InputError, match=r"^step must be one whose .*; got Whole"):
        Whole().stream(("a",), RATE, 1)
    with pytest.raises(InputError, match="step must"):
        Split({"a": NamesUnknown()}).stream(("a",), RATE, 1)


@dataclass(frozen=True, kw_only=True)
class NamesUnknown(Late):
    @property
    def source_names(self):
        return None


def test_the_stream_that_is_less_late_is_taken():
    short = HPSS(stft=STFT(256))
    high = Smoothing()
    assert isinstance((high >> {"a": high}).stream(RATE), LocalStream)  # one segment, not two
    steps = short >> {"percussive": short}
    one, both = short.stream(RATE), steps.stream(RATE)
    if not isinstance(
        one, LocalStream
    ):  # where a short way is compiled, two of them are sooner than a segment
        assert isinstance(both, StagedStream)
        assert both.latency_samples == 2 * one.latency_samples


@dataclass(frozen=True, kw_only=True)
class Smoothing(Late):
    """Of bounded reach, and without a stream of its own."""

    @property
    def source_names(self):
        return ("a", "b")

    def reach(self, sample_rate):
        return Reach(samples=2)

    def separate(self, mixture, sample_rate, *, callback=None):
        return Sources({"a": 0.5 * mixture, "b": 0.5 * mixture}, sample_rate)

    stream = Separator.stream


def test_channels_of_a_stream_are_checked():
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(InputError, match=r"^n_channels"):
            late_pipeline(1, 2, 3, 4).stream(RATE, wrong)
        with pytest.raises(InputError, match=r"^n_channels"):
            Ensemble([Late()]).stream(RATE, wrong)


def test_causal_methods_in_a_row():
    nmf = OnlineNMF(stft=STFT(256), n_components=2, n_iter=3, batch_seconds=0.1)
    past = REPETSim(stft=STFT(128), distance_seconds=0.05, past_seconds=0.3)
    steps = Pipeline([nmf, {"component_1": past}, {"component_1/foreground": HPSS(stft=STFT(128))}])
    first, second = nmf.stream(8000).latency_samples, past.stream(8000).latency_samples
    stream = steps.stream(8000, 2)
    assert stream.latency_samples == first + second + HPSS(stft=STFT(128)).stream(8000).latency_samples
    assert_streams(steps, noise(9000, "float32", 2), [700, 1], 1e-6, 8000)


def test_members_of_different_latency_meet():
    members = [Late(late=9), Late(late=30), Late() >> Regroup(quarter=["quarter"])]
    audio = noise(500, "float64", 2)
    mean = Ensemble(members, weights=[1, 2, 3])
    assert mean.stream(RATE).latency_samples == 30
    assert_streams(mean, audio, [10, 33], 1e-15)
    assert_streams(mean >> {"rest": Late(late=4)}, audio, [10, 33], 1e-15)
    pool = mean.replace(method="log-opinion", stft=STFT(32))
    assert_streams(pool, audio, [100], 1e-12)
    assert_streams(pool, audio[0], [100], 1e-12)


def test_stages_stay_where_the_array_lives():
    strict = pytest.importorskip("array_api_strict")
    audio = noise(3000, "float32", 2)
    members = [
        HPSS(stft=STFT(64)),
        HPSS(stft=STFT(32)) >> {"harmonic": HPSS(stft=STFT(64))} >> Regroup(harmonic=["harmonic"]),
    ]
    for separator in (members[1], Ensemble(members), Ensemble(members, method="log-opinion", stft=STFT(64))):
        stream = separator.stream(RATE, 2)
        parts = [stream.push(strict.asarray(block)) for block in cut(audio, [1000])] + [stream.flush()]
        expected = separator.separate(audio, RATE)
        for name in expected:
            got = np.concatenate([np.asarray(part[name]) for part in parts], axis=1)
            np.testing.assert_allclose(got, expected[name], atol=5e-6)
