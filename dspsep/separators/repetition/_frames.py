"""Frames as they come: for similar frames of the past, and for mixtures whose spectrum is too large.

Both are learners of `dspsep.causal`: they see the frames of a mixture in batches, in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from dspsep import _backend
from dspsep._typing import Array
from dspsep.causal import CausalStream
from dspsep.kernels import kernels_for
from dspsep.separators._background import share_of
from dspsep.separators.repetition._similar import directions_of, similar_to
from dspsep.stft import STFT

__all__ = ["ListLearner", "PastLearner", "magnitudes_of", "separated"]

# Frames that are transformed at a time where nobody waits for them.
_BATCH = 256


class PastLearner:
    """Masks each frame by the frames of the past that are like it: online REPET-SIM.

    Parameters
    ----------
    n_past : int
        Frames that are remembered.
    threshold, distance, most : float, int, int
        As of `similar_to`.
    n_below : int
        Bins that are background whatever is found.
    keeps_lists : bool
        Whether the similar frames are kept, for a model.
    """

    def __init__(
        self, n_past: int, threshold: float, distance: int, most: int, n_below: int, *, keeps_lists: bool
    ) -> None:
        self._n_past, self._threshold, self._distance, self._most = n_past, threshold, distance, most
        self._n_below, self._keeps_lists = n_below, keeps_lists
        self._n_seen = 0
        self._V: Array | None = None  # (n_channels, n_remembered, n_freqs)
        self._directions: Array | None = None
        self.lists: list[Array] = []

    def masks(self, frames: Array) -> Iterator[Array]:
        """Return the mask of the background for the next frames."""
        xp = _backend.namespace(frames)
        new = xp.permute_dims(xp.abs(frames), (0, 2, 1))
        V, directions = new, directions_of(new)
        if self._V is not None and self._directions is not None:
            V = xp.concat([self._V, new], axis=1)
            directions = xp.concat([self._directions, directions], axis=0)
        n_new, n_all = new.shape[1], V.shape[1]
        block = slice(n_all - n_new, n_all)
        lists = similar_to(directions, block, self._threshold, self._distance, self._most, self._n_past)
        share = share_of(kernels_for(V).median_of_frames(V, lists), new)
        share[:, :, : self._n_below] = 1
        if self._keeps_lists:
            first = self._n_seen + n_new - n_all  # where what is remembered begins
            self.lists.append(xp.where(lists < 0, lists, lists + first))
        self._n_seen += n_new
        kept = slice(max(0, n_all - self._n_past), n_all)
        self._V = xp.asarray(V[:, kept, :], copy=True)
        self._directions = xp.asarray(directions[kept, :], copy=True)
        return iter((xp.permute_dims(share, (0, 2, 1)),))


class ListLearner:
    """Masks one channel by lists of its frames; of magnitudes (1, n_frames, n_freqs) that are all known."""

    def __init__(self, V: Array, lists: Array, n_below: int) -> None:
        self._V, self._lists, self._n_below = V, lists, n_below
        self._n_done = 0

    def masks(self, frames: Array) -> Iterator[Array]:
        """Return the mask of the background for the next frames."""
        xp = _backend.namespace(frames)
        block = slice(self._n_done, self._n_done + frames.shape[2])
        self._n_done = block.stop
        medians = kernels_for(self._V).median_of_frames(self._V, self._lists[block, :])
        share = share_of(medians, self._V[:, block, :])
        share[:, :, : self._n_below] = 1
        return iter((xp.permute_dims(share, (0, 2, 1)),))


class _Recorder:
    """Writes the magnitudes of frames where they belong, or what is made of them."""

    def __init__(self, target: Array, *, directions: bool) -> None:
        self._target, self._directions, self._n_done = target, directions, 0

    def masks(self, frames: Array) -> Iterator[Array]:
        xp = _backend.namespace(frames)
        block = slice(self._n_done, self._n_done + frames.shape[2])
        self._n_done = block.stop
        V = xp.permute_dims(xp.abs(frames), (0, 2, 1))
        self._target[block, :] = directions_of(V) if self._directions else V[0, ...]
        return iter(())


def magnitudes_of(samples: Array, stft: STFT, sample_rate: float, *, directions: bool) -> Array:
    """Return magnitudes of one channel (n_frames, n_freqs), or directions of all, without their spectrum."""
    xp = _backend.namespace(samples)
    shape = (stft.n_frames(samples.shape[1]), stft.n_freqs)
    target: Array = xp.empty(shape, dtype=samples.dtype, device=samples.device)
    recorder = _Recorder(target, directions=directions)
    stream = CausalStream(("all",), samples.shape[0], stft, sample_rate, _BATCH, recorder)
    n_samples, size = samples.shape[1], _BATCH * stft.hop_length
    for start in range(0, n_samples, size):
        stream.push(samples[:, start : min(start + size, n_samples)])  # what comes out is of no use here
    stream.flush()
    return target


def separated(
    samples: Array, stft: STFT, sample_rate: float, lists: Array, n_below: int, names: tuple[str, ...]
) -> dict[str, Array]:
    """Return background and foreground of samples whose similar frames are known, channel by channel."""
    xp = _backend.namespace(samples)
    sources = {name: xp.empty_like(samples) for name in names}
    for channel in range(samples.shape[0]):
        own = samples[channel : channel + 1, :]
        V = magnitudes_of(own, stft, sample_rate, directions=False)[None, :, :]
        into = {name: source[channel : channel + 1, :] for name, source in sources.items()}
        CausalStream(names, 1, stft, sample_rate, _BATCH, ListLearner(V, lists, n_below)).run(own, into=into)
    return sources
