"""Streams: in blocks of any sizes, a separator gives what it gives for the whole, not later than promised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import (
    HPSS,
    MISI,
    STFT,
    Ensemble,
    InputError,
    Pipeline,
    Reach,
    Regroup,
    Separator,
    Sources,
    Split,
    Stream,
)
from dspsep.streaming import LocalStream
from tests.toys import Good

RATE = 100  # a segment of a second is short, then


@dataclass(frozen=True, kw_only=True)
class Frames(Separator):
    """The mean of each frame, and of the frames beside it; and what is left."""

    frame: int = 7
    around: int = 1

    @property
    def source_names(self):
        return ("mean", "rest")

    def reach(self, sample_rate):
        return Reach(samples=(self.around + 1) * self.frame - 1, step=self.frame)

    def separate(self, mixture, sample_rate, *, callback=None):
        mean = self.mean(np.atleast_2d(mixture)).astype(mixture.dtype).reshape(mixture.shape)
        return Sources({"mean": mean, "rest": mixture - mean}, sample_rate, None, self.provenance())

    def mean(self, samples):
        n = samples.shape[1]
        mean = np.empty(samples.shape)
        for start in range(0, n, self.frame):
            near = samples[
                :, max(0, start - self.around * self.frame) : start + (self.around + 1) * self.frame
            ]
            mean[:, start : start + self.frame] = near.mean(axis=1, keepdims=True)
        return mean


@dataclass(frozen=True, kw_only=True)
class NamesUnknown(Frames):
    @property
    def source_names(self):
        return None


def noise(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def cut(audio, sizes):
    """Yield blocks of these sizes and, as the last one, what is left."""
    begin = 0
    for size in sizes:
        yield audio[..., begin : begin + size]
        begin += size
    yield audio[..., begin:]


def fed(stream: Stream, blocks) -> dict[str, np.ndarray]:
    """Return all that comes out of a stream, and check its promises on the way."""
    out: dict[str, list[np.ndarray]] = {name: [] for name in stream.source_names}
    n_in = n_out = 0
    for block in blocks:
        parts = stream.push(block)
        n_in += block.shape[-1]
        assert tuple(parts) in (stream.source_names, ())
        lengths = {part.shape[-1] for part in parts.values()}
        assert len(lengths) <= 1
        n_out += lengths.pop() if lengths else 0
        assert 0 <= n_in - n_out <= stream.latency_samples
        for name, part in parts.items():
            out[name].append(part)
    for name, part in stream.flush().items():
        out[name].append(part)
    return {name: np.concatenate(parts, axis=-1) for name, parts in out.items()}


def assert_same(got, expected, atol):
    assert tuple(got) == tuple(expected)
    for name, source in expected.items():
        assert got[name].dtype == source.dtype
        np.testing.assert_allclose(got[name], source, atol=atol, rtol=0)


# --- any sizes of blocks ---

sizes = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 400)), max_size=30)


@pytest.mark.core
@given(sizes=sizes, n_samples=st.integers(1, 1500), frame=st.integers(1, 40), around=st.integers(0, 3))
def test_in_blocks_of_any_sizes(sizes, n_samples, frame, around):
    separator = Frames(frame=frame, around=around)
    audio = noise(2, n_samples)
    stream = separator.stream(RATE, 2)
    assert_same(fed(stream, cut(audio, sizes)), separator.separate(audio, RATE), 1e-12)


@pytest.mark.core
def test_sample_by_sample():
    separator = Frames()
    audio = noise(700)
    assert_same(fed(separator.stream(RATE), cut(audio, [1] * 700)), separator.separate(audio, RATE), 1e-12)


@pytest.mark.core
@pytest.mark.parametrize("n_samples", [3 * RATE - 1, 3 * RATE, 3 * RATE + 1])
@pytest.mark.parametrize("size", [1, RATE, 3 * RATE])
def test_nothing_is_no_segment_where_the_mixture_ends_with_one(n_samples, size):
    class Refusing(Frames):
        def separate(self, mixture, sample_rate, *, callback=None):
            assert mixture.shape[-1] > 0
            return super().separate(mixture, sample_rate)

    separator = Refusing(frame=1, around=0)
    assert separator.reach(RATE) == Reach(samples=0)
    audio = noise(2, n_samples)
    blocks = cut(audio, [size] * (n_samples // size))
    assert_same(fed(separator.stream(RATE, 2), blocks), separator.separate(audio, RATE), 1e-12)


@given(sizes=st.lists(st.integers(0, 6000), max_size=12), n_samples=st.integers(1, 30_000))
def test_hpss_in_blocks_of_any_sizes(sizes, n_samples):
    hpss = HPSS(stft=STFT(256), margin=2.0)
    audio = noise(1, n_samples, dtype="float32")
    assert_same(fed(hpss.stream(8000, 1), cut(audio, sizes)), hpss.separate(audio, 8000), 5e-6)


@pytest.mark.core
@pytest.mark.parametrize("size", [1000, 4096, 10_007, 100_000])
def test_a_pipeline_streams(size):
    long, short = HPSS(stft=STFT(512)), HPSS(stft=STFT(96, hop_length=24), percussive_bins=9)
    pipeline = long >> {"percussive": short} >> Regroup(rest=["harmonic", "percussive/harmonic"])
    audio = noise(2, 60_000)
    got = fed(pipeline.stream(8000, 2), cut(audio, [size] * (60_000 // size)))
    assert tuple(got) == ("rest", "percussive/percussive")
    assert_same(got, pipeline.separate(audio, 8000), 1e-12)


def test_arrays_of_another_library_stay_there():
    strict = pytest.importorskip("array_api_strict")
    hpss = HPSS(stft=STFT(64))
    audio = noise(2, 4000)
    stream = hpss.stream(1000, 2)
    blocks = [strict.asarray(block, device=strict.Device("device1")) for block in cut(audio, [900] * 4)]
    parts = [*map(stream.push, blocks), stream.flush()]
    assert {str(part["harmonic"].device) for part in parts} == {str(blocks[0].device)}
    whole = strict.concat([part["harmonic"] for part in parts], axis=1)
    expected = hpss.separate(audio, 1000)["harmonic"]
    host = np.asarray(whole.to_device(strict.Device("CPU_DEVICE")))
    np.testing.assert_allclose(host, expected, atol=1e-12)


def test_a_buffer_can_be_used_again():
    separator = Frames()
    audio = noise(2, 900)
    stream = separator.stream(RATE, 2)
    buffer = np.empty((2, 50))

    def blocks():
        for start in range(0, 900, 50):
            buffer[:] = audio[:, start : start + 50]
            yield buffer

    assert_same(fed(stream, blocks()), separator.separate(audio, RATE), 1e-12)


def test_blocks_are_not_changed():
    block = noise(2, 500)
    block.setflags(write=False)
    Frames().stream(RATE, 2).push(block)


def test_what_came_out_is_not_changed_later():
    stream = Frames().stream(RATE)
    first = stream.push(noise(400))["mean"]
    before = first.copy()
    stream.push(noise(400, seed=1))
    stream.flush()
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("dtype", ["int16", "float16", "float32", ">f4"])
def test_types_are_those_of_separate(dtype):
    audio = (10_000 * noise(2, 500)).astype(dtype) if dtype == "int16" else noise(2, 500).astype(dtype)
    hpss = HPSS(stft=STFT(32))
    assert_same(fed(hpss.stream(RATE, 2), cut(audio, [99] * 5)), hpss.separate(audio, RATE), 5e-6)


def test_one_channel_with_and_without_an_axis():
    audio = noise(500)
    flat = fed(Frames().stream(RATE), cut(audio, [99] * 5))
    row = fed(Frames().stream(RATE, 1), cut(audio[None], [99] * 5))
    assert flat["mean"].shape == (500,)
    assert row["mean"].shape == (1, 500)
    np.testing.assert_array_equal(flat["mean"], row["mean"][0])


def test_empty_blocks_give_nothing_and_change_nothing():
    stream = Frames().stream(RATE, 2)
    assert stream.push(np.zeros((2, 0))) == {}
    audio = noise(2, 500, dtype="float32")  # of another precision than the empty block
    stream.push(audio)
    parts = stream.push(np.zeros((2, 0)))
    assert [part.shape for part in parts.values()] == [(2, 0), (2, 0)]
    assert stream.flush()["mean"].dtype == np.float32


@pytest.mark.core
def test_memory_does_not_grow_with_what_was_fed():
    longest = 0

    class Watched(Frames):
        def separate(self, mixture, sample_rate, *, callback=None):
            nonlocal longest
            longest = max(longest, mixture.shape[-1])
            return super().separate(mixture, sample_rate)

    stream = Watched().stream(RATE)
    fed(stream, cut(noise(30_000), [333] * 90))
    reach = Frames().reach(RATE)
    assert longest <= stream.latency_samples + reach.samples + reach.step


# --- latency ---


@pytest.mark.parametrize(("frame", "around"), [(7, 1), (10, 0), (30, 4)])
def test_latency_is_a_segment_and_the_reach(frame, around):
    separator = Frames(frame=frame, around=around)
    reach = separator.reach(RATE)
    before = -(-reach.samples // frame) * frame
    segment = max(RATE, 4 * (before + reach.samples))
    latency = separator.stream(RATE).latency_samples
    assert latency == -(-segment // frame) * frame + reach.samples
    # It is reached, and no sooner does anything come out.
    stream = separator.stream(RATE)
    assert stream.push(np.zeros(latency - 1))["mean"].size == 0
    assert stream.push(np.zeros(1))["mean"].size == latency - reach.samples


# --- reach ---


def test_reach_adds_up_and_widens():
    a, b = Reach(samples=100, step=8), Reach(samples=30, step=12)
    assert a.then(b) == b.then(a) == Reach(samples=130, step=24)
    assert a.beside(b) == b.beside(a) == Reach(samples=100, step=24)
    assert Reach(samples=5) == Reach(samples=5, step=1)


def test_the_reach_of_a_pipeline():
    long, short = HPSS(stft=STFT(4096)), HPSS(stft=STFT(96, hop_length=24))
    mine = long.reach(44100)
    assert mine == Reach(samples=4096 + 15 * 1024, step=1024)
    split = Split({"harmonic": short, "percussive": HPSS()})
    assert split.reach(44100) == short.reach(44100).beside(HPSS().reach(44100))
    whole = Pipeline([long, split, Regroup(all=["harmonic", "percussive"])])
    assert whole.reach(44100) == mine.then(split.reach(44100))
    assert whole.reach(44100) == Reach(samples=4096 + 15 * 1024 + 2048 + 15 * 512, step=3072)


@pytest.mark.parametrize("seconds", [0.05, 0.4])
def test_hpss_looks_no_further_than_it_says(seconds):
    hpss = HPSS(stft=STFT(128), harmonic_seconds=seconds)
    reach = hpss.reach(4000)
    assert reach.samples == 128 + hpss.stft.n_frames_in(seconds, 4000) // 2 * 32
    audio = noise(1, 8000)
    changed = audio.copy()
    changed[:, 4000:] = noise(1, 4000, seed=1)
    before, after = (hpss.separate(x, 4000)["harmonic"] for x in (audio, changed))
    differs = np.flatnonzero(np.abs(before - after)[0] > 1e-12)
    assert 4000 - reach.samples <= differs[0] < 4000


@pytest.mark.core
@pytest.mark.parametrize(
    ("separator", "which"),
    [
        (Good(), "Good"),
        (Good() >> {"rest": HPSS()}, "Good in step 1"),
        (HPSS() >> {"percussive": Good()}, "Good in 'percussive' in step 2"),
        (HPSS() >> Regroup(a=["harmonic"]) >> MISI(), "MISI in step 3"),
        (Ensemble([HPSS(), HPSS() >> MISI()]), "MISI in step 2 in member 2"),
        (
            HPSS() >> {"harmonic": HPSS(), "percussive": HPSS() >> MISI()},
            "MISI in step 2 in 'percussive' in step 2",
        ),
        (NamesUnknown(), "NamesUnknown"),
        (NamesUnknown() >> {"a": HPSS()}, "NamesUnknown in step 1"),
    ],
)
def test_what_needs_the_whole_does_not_stream(separator, which):
    with pytest.raises(InputError) as caught:
        separator.stream(44100, 2)
    assert str(caught.value) == (
        "separator must be one whose sources depend on a bounded part of the mixture, to work in blocks;"
        f" got {which}. Use separate() on the whole mixture."
    )


def test_a_local_stream_needs_names():
    with pytest.raises(InputError, match="settings decide its sources"):
        LocalStream(NamesUnknown(), Reach(samples=1), RATE, None)


# --- errors ---


def started(n_channels=2, dtype="float64"):
    stream = Frames().stream(RATE, n_channels)
    stream.push(noise(*(() if n_channels is None else (n_channels,)), 10, dtype=dtype))
    return stream


@pytest.mark.core
@pytest.mark.parametrize(
    ("n_channels", "block", "said"),
    [
        (2, np.zeros(5), "block must be of shape (2, n_samples), as this stream was made for; got (5,)."),
        (
            2,
            np.zeros((3, 5)),
            "block must be of shape (2, n_samples), as this stream was made for; got (3, 5).",
        ),
        (
            None,
            np.zeros((1, 5)),
            "block must be of shape (n_samples,), as this stream was made for; got (1, 5).",
        ),
        (2, np.zeros((2, 5), "f4"), "block must be float64, as the first one; got float32."),
        (
            2,
            np.full((2, 5), 2.0**41),
            "block must be of a peak of at most 2**40; got a peak of 2.19902e+12. Scale the audio to",
        ),
        (2, np.full((2, 5), np.nan), "block must be finite; got 10 NaN or infinite samples"),
        (2, np.zeros((2, 5), complex), "block must be real floating-point audio"),
    ],
)
def test_a_block_that_does_not_fit_is_refused_and_not_taken(n_channels, block, said):
    stream, other = started(n_channels), started(n_channels)
    with pytest.raises(InputError) as caught:
        stream.push(block)
    assert str(caught.value).startswith(said)
    good = noise(*(() if n_channels is None else (2,)), 300)
    for a, b in ((stream.push(good), other.push(good)), (stream.flush(), other.flush())):
        np.testing.assert_array_equal(a["mean"], b["mean"])


@pytest.mark.core
def test_a_flushed_stream_is_over():
    stream = started()
    stream.flush()
    for call in (stream.flush, lambda: stream.push(noise(2, 5)), lambda: stream.push(noise(2, 0))):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == "stream must be one that was not flushed; got one that was. Make another."


@pytest.mark.parametrize("blocks", [0, 2])
def test_there_is_nothing_to_flush_before_a_sample(blocks):
    stream = Frames().stream(RATE, 2)
    for _ in range(blocks):
        stream.push(np.zeros((2, 0)))
    with pytest.raises(InputError) as caught:
        stream.flush()
    assert (
        str(caught.value)
        == "block must be at least one sample long in all; got a flush before any. Push first."
    )
    stream.push(noise(2, 5))  # it goes on
    assert stream.flush()["mean"].shape == (2, 5)


@pytest.mark.parametrize(("rate", "n_channels", "name"), [(0, 2, "sample_rate"), (RATE, 0, "n_channels")])
def test_streams_that_make_no_sense(rate, n_channels, name):
    with pytest.raises(InputError) as caught:
        Frames().stream(rate, n_channels)
    assert caught.value.name == name


def test_a_peak_that_is_just_allowed():
    audio = np.full((2, 400), 2.0**40)
    assert_same(fed(Frames().stream(RATE, 2), [audio]), Frames().separate(audio, RATE), 1.0)
