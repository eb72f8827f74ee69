"""Methods that learn as they go: every frame is masked once, by what was known when it came.

Frames are taken in batches, one after the other. A *learner* is shown the frames of a batch and answers with
their masks; it remembers what it wants. Here is the rest: which samples make which frames, and which samples
of the sources are complete after a batch. With frames of N samples every R, frame t reaches from
t R - N // 2 to t R - N // 2 + N, so that after the frames before n, samples before n R - N // 2 are complete.
They are kept of the inverse of a segment of the mixture that holds all frames they depend on; frames that the
segment cuts off reach no further than to samples that are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from dspsep import _backend
from dspsep._typing import Array
from dspsep.stft import STFT
from dspsep.streaming import Stream

__all__ = ["CausalStream", "Learner"]


class Learner(Protocol):
    """What masks one batch of frames after the other."""

    def masks(self, frames: Array) -> Iterator[Array]:
        """Learn from the next frames, and return their masks.

        Parameters
        ----------
        frames : array of shape (n_channels, n_freqs, n_frames)
            Complex; in memory frames lie one after the other.

        Returns
        -------
        iterator of array of shape (1 or n_channels, n_freqs, n_frames)
            One for each source, in [0, 1]; they sum to one. The last one is not asked for: that source is
            what the others leave.
        """
        ...


class CausalStream(Stream):
    """A stream of batches of frames, which a learner masks.

    Parameters
    ----------
    source_names : tuple of str
        In order.
    n_channels : int or None
        None if the audio has no channel axis.
    stft : STFT
        The transform.
    sample_rate : float
        In hertz.
    n_batch : int
        Frames of a batch; there are fewer in the last one.
    learner : Learner
        Used by this stream alone.
    """

    def __init__(
        self,
        source_names: tuple[str, ...],
        n_channels: int | None,
        stft: STFT,
        sample_rate: float,
        n_batch: int,
        learner: Learner,
    ) -> None:
        super().__init__(source_names, n_channels)
        self._stft, self._sample_rate, self._n_batch, self._learner = stft, sample_rate, n_batch, learner
        hop = stft.hop_length
        # Frames that reach beyond the samples that are complete, and those that a segment cuts off at first.
        self._n_tail, self._n_cut = -(-stft.n_fft // hop) - 1, -(-(stft.n_fft // 2) // hop)
        self._report: Callable[[int], object] | None = None
        self._n_masked = 0
        self._n_out = 0
        self._begin = 0  # where the pending samples begin in the mixture: at the centre of a frame
        self._pending: list[Array] = []
        self._n_pending = 0
        self._tails: list[Array] = []  # the masks of the last frames, for every source but the last

    @property
    def latency_samples(self) -> int:
        """What comes out is never further than so many samples behind what went in."""
        return self._n_batch * self._stft.hop_length + self._stft.n_fft - self._stft.hop_length

    def run(
        self,
        samples: Array,
        report: Callable[[int], object] | None = None,
        into: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Return the sources (n_channels, n_samples) of a whole mixture, or write them where they belong.

        At first and after each batch `report` is told how many frames are done. What is needed beside the
        mixture and the sources does not grow with its length.
        """
        xp = _backend.namespace(samples)
        sources = dict(into) if into is not None else {n: xp.empty_like(samples) for n in self.source_names}
        n_samples, size = samples.shape[1], self._n_batch * self._stft.hop_length
        self._report = report
        if report is not None:
            report(0)
        for start in range(0, n_samples, size):
            written = self._n_out
            parts = self._push(samples[:, start : min(start + size, n_samples)])
            _write(parts, sources, slice(written, self._n_out))
        written = self._n_out
        _write(self._flush(), sources, slice(written, n_samples))
        return sources

    def _push(self, samples: Array) -> Mapping[str, Array]:
        xp = _backend.namespace(samples)
        self._pending.append(xp.asarray(samples, copy=True))
        self._n_pending += samples.shape[1]
        hop, parts = self._stft.hop_length, []
        while self._begin + self._n_pending >= self._needed:
            segment = self._joined()[:, : self._needed - self._begin]
            stop = (self._n_masked + self._n_batch) * hop - self._stft.n_fft // 2
            parts.append(self._next(segment, self._n_batch, max(0, stop)))
        return self._put_together(parts)

    @property
    def _needed(self) -> int:
        """Where the last frame of the next batch ends."""
        stft = self._stft
        return (self._n_masked + self._n_batch - 1) * stft.hop_length - stft.n_fft // 2 + stft.n_fft

    def _flush(self) -> Mapping[str, Array]:
        n_samples, parts = self._begin + self._n_pending, []
        n_frames = self._stft.n_frames(n_samples)
        while self._n_out < n_samples or self._n_masked < n_frames:
            n_new = min(self._n_batch, n_frames - self._n_masked)
            is_last = self._n_masked + n_new == n_frames
            stop = (self._n_masked + n_new) * self._stft.hop_length - self._stft.n_fft // 2
            stop = n_samples if is_last else min(max(0, stop), n_samples)
            parts.append(self._next(self._joined(), n_new, stop))
        return self._put_together(parts)

    def _joined(self) -> Array:
        if len(self._pending) > 1:
            self._pending = [_backend.namespace(*self._pending).concat(self._pending, axis=1)]
        return self._pending[0]

    def _put_together(self, parts: list[dict[str, Array]]) -> Mapping[str, Array]:
        if not parts:
            return {}
        if len(parts) == 1:
            return parts[0]
        xp = _backend.namespace(*parts[0].values())
        return {name: xp.concat([part[name] for part in parts], axis=1) for name in self.source_names}

    def _next(self, segment: Array, n_new: int, stop: int) -> dict[str, Array]:
        """Return the samples of the sources up to `stop`, which the next frames of the segment complete."""
        spectrogram = self._stft._forward(segment, self._sample_rate, mono=False)
        end = self._n_masked + n_new - self._begin // self._stft.hop_length
        *names, last = self.source_names
        known = self._tails
        if n_new:
            masks = self._learner.masks(spectrogram.values[:, :, end - n_new : end])
            # Frame-major, as they lie in memory.
            new = [_swap(mask) for _, mask in zip(names, masks, strict=False)]
            known = [_behind(*pair) for pair in zip(known, new, strict=True)] if known else new
        kept = slice(self._n_out - self._begin, stop - self._begin)
        sources = {}
        remainder = _backend.namespace(segment).asarray(segment[:, kept], copy=True)
        for name, mask in zip(names, known, strict=True):
            whole = _swap(_between_nothing(mask, end, spectrogram.n_frames))
            sources[name] = self._stft._inverse(spectrogram, whole)[:, kept]
            remainder = remainder - sources[name]
        sources[last] = remainder
        self._go_on(known, n_new, stop)
        return sources

    def _go_on(self, masks: list[Array], n_new: int, stop: int) -> None:
        """Forget what no frame and no sample to come depends on."""
        self._n_masked, self._n_out = self._n_masked + n_new, stop
        if n_new and self._report is not None:
            self._report(self._n_masked)
        self._tails = [_copy(mask[:, max(0, mask.shape[1] - self._n_tail) :, :]) for mask in masks]
        begin = max(0, self._n_masked - self._n_tail - self._n_cut) * self._stft.hop_length
        rest = _copy(self._joined()[:, begin - self._begin :])
        self._pending, self._n_pending, self._begin = [rest], rest.shape[1], begin


def _write(parts: Mapping[str, Array], sources: Mapping[str, Array], where: slice) -> None:
    for name, part in parts.items():
        sources[name][:, where] = part


def _swap(values: Array) -> Array:
    """Exchange the last two axes, without a copy."""
    return _backend.namespace(values).permute_dims(values, (0, 2, 1))  # type: ignore[no-any-return]


def _copy(values: Array) -> Array:
    return _backend.namespace(values).asarray(values, copy=True)  # type: ignore[no-any-return]


def _behind(before: Array, after: Array) -> Array:
    return _backend.namespace(before, after).concat([before, after], axis=1)  # type: ignore[no-any-return]


def _between_nothing(mask: Array, end: int, n_frames: int) -> Array:
    """Return a frame-major mask whose last frame is that before `end`, and zeros for all other frames."""
    xp = _backend.namespace(mask)
    whole = xp.zeros((mask.shape[0], n_frames, mask.shape[2]), dtype=mask.dtype, device=mask.device)
    whole[:, end - mask.shape[1] : end, :] = mask
    return whole  # type: ignore[no-any-return]
