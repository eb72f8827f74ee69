"""HPSS from audio to audio without a spectrogram in between: the same separation, many times faster.

`HPSS` takes this route for NumPy arrays where the kernels have one (see `fused`). It is tested equal to the
route through `Spectrogram` and masks. Work on a mixture and work on a stream of blocks are the same tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dspsep import _backend, _parallel
from dspsep._typing import Array
from dspsep._windows import window_values
from dspsep.kernels import level_for
from dspsep.stft import STFT
from dspsep.streaming import Stream

if TYPE_CHECKING:
    from dspsep.separators.hpss.median import HPSSModel

__all__ = ["Fused", "FusedStream", "fused"]

# Tiles that are worked on between two looks at the keyboard: some three quarters of a minute of audio.
_TILES_PER_CALL = 256
# The kernels square magnitudes. With a window that is neither weak nor strong, and peaks as they are let in,
# no square that is heard leaves the range of single precision.
_LEAST_PEAK, _LARGEST_SUM = 2.0**-10, 2.0**20
# Where there are more threads than channels, channels are cut into runs of at least so many tiles.
_LEAST_RUN = 64


def fused(stft: STFT, model: HPSSModel) -> Fused | None:
    """Return the short way for NumPy arrays, or None where there is none."""
    if level_for() != "simd":
        return None
    from dspsep.kernels.simd import hpss

    values = np.abs(window_values(stft.window, stft.n_fft))
    if float(values.max()) < _LEAST_PEAK or float(values.sum()) > _LARGEST_SUM:
        return None
    if not hpss.can_fuse(stft.n_fft, stft.hop_length, model.harmonic_frames, model.percussive_bins):
        return None
    return Fused(stft, model, hpss)


@dataclass(frozen=True)
class Fused:
    """A separation by settings that can be fused, of any audio."""

    stft: STFT
    model: HPSSModel
    kernels: Any

    @property
    def lag(self) -> int:
        """How many tiles the output is behind."""
        return int(self.kernels.lag(self.model.harmonic_frames))

    @property
    def tile(self) -> int:
        """The number of samples from one tile to the next."""
        return int(self.kernels.TILE * self.stft.hop_length)

    @property
    def span(self) -> int:
        """The number of samples that the frames of a tile reach."""
        return self.tile - self.stft.hop_length + self.stft.n_fft

    def plan(self, dtype: np.dtype[Any]) -> Any:
        """Return the plan of the kernels, for a precision."""
        model, margin = self.model, self.model.margin
        margins = margin if isinstance(margin, tuple) else (margin, margin)
        return self.kernels.plan_for(
            window_values(self.stft.window, self.stft.n_fft).astype(dtype),
            self.stft.hop_length,
            model.harmonic_frames,
            model.percussive_bins,
            len(model.source_names),
            hard=model.mask == "hard",
            power=model.power,
            margins=margins,
            tie=0.5 if margins == (1, 1) else 0.0,
        )

    def extent(self, n_samples: int | None, dtype: np.dtype[Any]) -> Any:
        """Return the length of a mixture as the kernels take it; None if it is not known yet."""
        endless = self.kernels.ENDLESS
        n_frames = endless if n_samples is None else self.stft.n_frames(n_samples)
        weights = self.stft._overlap.reciprocals(n_frames, str(dtype)).reshape(-1)
        return self.kernels.Extent(n_frames, endless if n_samples is None else n_samples, weights)

    def begin_of(self, tile: int) -> int:
        """Return the first sample that the frames of a tile reach; before the beginning it is negative."""
        return tile * self.tile - self.stft.n_fft // 2

    def tiles_until(self, sample: int) -> int:
        """Return how many tiles of output it takes to reach a sample."""
        return -(-(sample + self.stft.n_fft // 2) // self.tile)

    def separate(self, samples: Array) -> Array:
        """Return the sources (n_sources, n_channels, n_samples) of samples (n_channels, n_samples)."""
        n_channels, n_samples = samples.shape
        out = np.empty((len(self.model.source_names), n_channels, n_samples), samples.dtype)
        plan, extent = self.plan(samples.dtype), self.extent(n_samples, samples.dtype)
        n_tiles = self.tiles_until(n_samples)
        n_runs = min(-(-_parallel.get_num_threads() // n_channels), max(1, n_tiles // _LEAST_RUN))
        length = -(-n_tiles // n_runs)
        jobs = [
            (plan, extent, samples, channel, first, min(first + length, n_tiles), out)
            for channel in range(n_channels)
            for first in range(0, n_tiles, length)
        ]
        _parallel.run(self._run, jobs)
        return out

    def _run(
        self, plan: Any, extent: Any, samples: Array, channel: int, first: int, stop: int, out: Array
    ) -> None:
        """Write tiles `first` to `stop` of the sources of a channel.

        What is there does not depend on where the run begins, if the tiles before it are done again that its
        frames and their medians reach.
        """
        kernels, (n_channels, n_samples) = self.kernels, samples.shape
        frames_before = -(-self.stft.n_fft // self.stft.hop_length) - 1
        tile = (first * kernels.TILE - frames_before) // kernels.TILE  # the first whose frames reach the run
        tile = max(0, (tile * kernels.TILE - self.model.harmonic_frames // 2) // kernels.TILE)
        begin = max(0, self.begin_of(first))
        output = kernels.Output(out.reshape(-1), channel * n_samples + begin, n_channels * n_samples, begin)
        # No further than to the next run, which another thread may be writing.
        extent = extent._replace(n_samples=min(n_samples, self.begin_of(stop)))
        row = np.ascontiguousarray(samples[channel])
        mixture, memory, end = kernels.Audio(row, 0), kernels.memory_for(plan), stop + self.lag
        while tile < end:
            start = self.begin_of(tile)
            whole = (n_samples - start - self.span) // self.tile + 1 if start >= 0 else 0
            count = max(1, min(whole, end - tile, _TILES_PER_CALL))
            ahead = kernels.padded(row, start, start + self.span + (count - 1) * self.tile)
            ahead = kernels.Audio(ahead, start)
            kernels.advance(plan, memory, tile, tile + count, ahead, mixture, extent, output)
            tile += count


class FusedStream(Stream):
    """A stream of blocks through the same tiles.

    If the first block is not a NumPy array, it and all others go through the stream `other`.
    """

    def __init__(self, fused: Fused, other: Stream) -> None:
        super().__init__(fused.model.source_names, other.n_channels)
        self._fused = fused
        self._other = other
        self._is_other = False
        n_channels = other.n_channels
        self._tile = 0  # the next to be transformed
        self._memories: list[Any] = []
        # What has come in and is still needed, and which sample of the mixture it begins with.
        self._pending = np.zeros((n_channels or 1, 0), np.float32)
        self._origin = -(fused.stft.n_fft // 2)

    @property
    def latency_samples(self) -> int:
        """What comes out is never further than so many samples behind what went in."""
        if self._is_other:
            return self._other.latency_samples
        return self._fused.span + self._fused.lag * self._fused.tile

    def _push(self, samples: Array) -> Mapping[str, Array]:
        self._is_other = not _backend.is_numpy(samples)
        if self._is_other:
            return self._other._push(samples)
        if not self._memories:
            self._plan = self._fused.plan(samples.dtype)
            self._extent = self._fused.extent(None, samples.dtype)
            self._memories = [self._fused.kernels.memory_for(self._plan) for _ in samples]
            self._pending = np.zeros((samples.shape[0], self._fused.stft.n_fft // 2), samples.dtype)
        self._pending = np.concatenate([self._pending, samples], axis=1)
        received = self._origin + self._pending.shape[1]
        whole = (received - self._fused.begin_of(self._tile) - self._fused.span) // self._fused.tile + 1
        return {} if whole < 1 else self._advance(self._tile + whole)

    def _flush(self) -> Mapping[str, Array]:
        if self._is_other:
            return self._other._flush()
        n_samples = self._origin + self._pending.shape[1]
        self._extent = self._fused.extent(n_samples, self._pending.dtype)
        end = self._fused.tiles_until(n_samples) + self._fused.lag
        missing = max(0, self._fused.begin_of(end - 1) + self._fused.span - n_samples)
        self._pending = np.pad(self._pending, ((0, 0), (0, missing)))
        return self._advance(end)

    def _advance(self, end: int) -> dict[str, Array]:
        """Take the tiles before `end`, and return what that gives of the sources."""
        fused, kernels = self._fused, self._fused.kernels
        first = max(0, fused.begin_of(self._tile - fused.lag))
        last = max(first, min(self._extent.n_samples, fused.begin_of(end - fused.lag)))
        extent = self._extent._replace(n_samples=last)
        n_channels, n_samples = self._pending.shape[0], last - first
        out = np.empty((len(self.source_names), n_channels, n_samples), self._pending.dtype)
        place = fused.begin_of(self._tile) - self._origin
        jobs = [
            (
                self._plan,
                self._memories[channel],
                self._tile,
                end,
                kernels.Audio(self._pending[channel, place:], self._origin + place),
                kernels.Audio(self._pending[channel], self._origin),
                extent,
                kernels.Output(out.reshape(-1), channel * n_samples, n_channels * n_samples, first),
            )
            for channel in range(n_channels)
        ]
        _parallel.run(kernels.advance, jobs)
        self._tile = end
        # Kept is what is still to be given out, or to be transformed.
        done = max(self._origin, min(fused.begin_of(end - fused.lag), fused.begin_of(end)))
        self._pending, self._origin = self._pending[:, done - self._origin :].copy(), done
        return dict(zip(self.source_names, out, strict=True))
