"""Batches of frames: each is masked once, and what comes out is the inverse of the whole, masked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dspsep import STFT, InputError
from dspsep.causal import CausalStream
from tests.test_stft import noise

NAMES = ("one", "two", "rest")
TRANSFORMS = [
    STFT(16, 4),
    STFT(15, 4, "hamming"),
    STFT(16, 5, "hamming"),
    STFT(16, 8),
    STFT(8, 8, "boxcar"),
    STFT(9, 1),
    STFT(2, 1),
    STFT(32, 20, "hamming"),  # with a closing frame
]


class Numbered:
    """Masks of numbers that depend on where a frame lies; looks at every frame once, in order."""

    def __init__(self, n_freqs, n_channels=1):
        self.seen = []
        self._shape = (len(NAMES), n_channels, n_freqs)

    def expected(self, n_frames):
        return np.stack([self._of(frame) for frame in range(n_frames)], axis=-1)

    def _of(self, frame):
        return np.random.default_rng(frame).dirichlet(np.ones(3), self._shape[1:]).transpose(2, 0, 1)

    def masks(self, frames):
        first = sum(batch.shape[2] for batch in self.seen)
        self.seen.append(frames.copy())
        found = np.stack([self._of(first + t) for t in range(frames.shape[2])], axis=-1)
        yield from found[:2]
        raise AssertionError("the last mask is not asked for")


def pieces(audio, sizes):
    begin, turn = 0, 0
    while begin < audio.shape[-1]:
        yield audio[:, begin : begin + sizes[turn % len(sizes)]]
        begin += sizes[turn % len(sizes)]
        turn += 1


@pytest.mark.core
@settings(deadline=None, max_examples=150)
@given(
    stft=st.sampled_from(TRANSFORMS),
    n_batch=st.integers(1, 9),
    n_samples=st.integers(1, 150),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    n_channels=st.integers(1, 2),
    own_masks=st.booleans(),
)
@example(TRANSFORMS[-1], 1, 1, [1], 1, False)  # frames beyond the last sample
@example(TRANSFORMS[4], 2, 16, [16], 1, False)  # frames that do not overlap
def test_what_comes_out_is_the_inverse_of_the_whole(stft, n_batch, n_samples, sizes, n_channels, own_masks):
    audio = noise(n_samples, n_channels=n_channels)
    learner = Numbered(stft.n_freqs, n_channels if own_masks else 1)
    stream = CausalStream(NAMES, n_channels, stft, 8000.0, n_batch, learner)
    parts, n_in, n_out = [], 0, 0
    for piece in pieces(audio, sizes):
        parts.append(stream.push(piece))
        n_in, n_out = n_in + piece.shape[1], n_out + parts[-1]["one"].shape[1]
        assert n_in - n_out <= stream.latency_samples
    parts.append(stream.flush())
    spectrogram = stft.forward(audio, 8000)
    frames = np.concatenate(learner.seen, axis=2)
    assert all(batch.shape[2] == n_batch for batch in learner.seen[:-1])
    np.testing.assert_allclose(frames, spectrogram.values, atol=1e-12)
    for name, mask in zip(NAMES, learner.expected(spectrogram.n_frames), strict=True):
        found = np.concatenate([part[name] for part in parts], axis=1)
        np.testing.assert_allclose(found, stft.inverse(spectrogram, mask=mask), atol=1e-11)


def test_the_latency_is_needed():
    stft = STFT(16, 4)
    stream = CausalStream(NAMES, 1, stft, 8000.0, 3, Numbered(9))
    most = n_in = n_out = 0
    for _ in range(100):
        out = stream.push(noise(1, n_channels=1))
        n_in, n_out = n_in + 1, n_out + out["one"].shape[1]
        most = max(most, n_in - n_out)
    assert stream.latency_samples - 1 <= most <= stream.latency_samples


def test_a_whole_mixture_is_run_in_blocks():
    stft, audio = STFT(16, 4), noise(201, n_channels=2)
    learner, told = Numbered(9), []
    sources = CausalStream(NAMES, 2, stft, 8000.0, 5, learner).run(audio, told.append)
    assert told == [*range(0, 51, 5), 51]
    stream = CausalStream(NAMES, 2, stft, 8000.0, 5, Numbered(9))
    parts = [stream.push(audio), stream.flush()]
    for name in NAMES:
        assert np.array_equal(sources[name], np.concatenate([part[name] for part in parts], axis=1))
    np.testing.assert_allclose(sum(sources.values()), audio, atol=1e-14)


def test_one_source_is_the_mixture_and_is_learned_from():
    class Silent:
        n_seen = 0

        def masks(self, frames):
            self.n_seen += frames.shape[2]
            return iter(())

    learner, audio = Silent(), noise(100, n_channels=1)
    stream = CausalStream(("all",), 1, STFT(16, 4), 8000.0, 4, learner)
    parts = [stream.push(audio), stream.flush()]
    assert np.array_equal(np.concatenate([part["all"] for part in parts], axis=1), audio)
    assert learner.n_seen == 26


def test_what_is_pending_does_not_grow():
    stream = CausalStream(NAMES, 1, STFT(16, 4), 8000.0, 4, Numbered(9))
    for _ in range(300):
        stream.push(noise(7, n_channels=1))
        assert sum(part.shape[1] for part in stream._pending) <= stream.latency_samples + 16 + 8 + 4 + 7


def test_streams_are_not_used_again():
    stream = CausalStream(NAMES, 1, STFT(16, 4), 8000.0, 4, Numbered(9))
    stream.push(noise(30, n_channels=1))
    stream.flush()
    with pytest.raises(InputError, match="one that was not flushed"):
        stream.push(noise(3, n_channels=1))
