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
        # What is remembered is between the two, with room behind: it is moved but now and then.
        self._first, self._stop = 0, 0
        self._V: Array | None = None  # (n_channels, n_frames, n_freqs)
        self._directions: Array | None = None
        self.lists: list[Array] = []

    def masks(self, frames: Array) -> Iterator[Array]:
        """Return the mask of the background for the next frames."""
        xp = _backend.namespace(frames)
        new = xp.permute_dims(xp.abs(frames), (0, 2, 1))
        n_new = new.shape[1]
        V, directions = self._with(new)
        first, stop = self._first, self._stop
        block = slice(stop - n_new - first, stop - first)
        lists = similar_to(
            directions[first:stop, :], block, self._threshold, self._distance, self._most, self._n_past
        )
        share = share_of(kernels_for(V).median_of_frames(V, xp.where(lists < 0, lists, lists + first)), new)
        share[:, :, : self._n_below] = 1
        self._n_seen += n_new
        if self._keeps_lists:
            remembered = self._n_seen + first - stop  # the first frame that is
            self.lists.append(xp.where(lists < 0, lists, lists + remembered))
        self._first = max(first, stop - self._n_past)
        return iter((xp.permute_dims(share, (0, 2, 1)),))

    def _with(self, new: Array) -> tuple[Array, Array]:
        """Return magnitudes and directions with new frames behind what is remembered."""
        xp = _backend.namespace(new)
        n_channels, n_new, n_freqs = new.shape
        V, directions = self._V, self._directions
        if V is None or directions is None or self._stop + n_new > V.shape[1]:
            kept = slice(self._first, self._stop)
            self._first, self._stop = 0, self._stop - self._first
            room = 2 * (self._stop + n_new)
            before = V, directions
            V = xp.zeros((n_channels, room, n_freqs), dtype=new.dtype, device=new.device)
            directions = xp.zeros((room, n_freqs), dtype=new.dtype, device=new.device)
            if before[0] is not None and before[1] is not None:
                V[:, : self._stop, :] = before[0][:, kept, :]
                directions[: self._stop, :] = before[1][kept, :]
            self._V, self._directions = V, directions
        behind = slice(self._stop, self._stop + n_new)
        V[:, behind, :] = new
        directions[behind, :] = directions_of(new)
        self._stop = behind.stop
        return V, directions


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
