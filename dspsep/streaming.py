"""Separation in blocks: audio goes in as it comes, and sources come out a stated time later.

A separator can be fed in blocks if every sample of its sources depends on the mixture within a bounded
distance only: its `Reach`. That alone is enough to stream it. With r the reach, a segment of the mixture
from a - r to b + r has, between a and b, the sources that the whole mixture has there, provided that the
segment begins where a frame of the whole is centred. `LocalStream` cuts such segments, overlapping by 2 r,
and keeps the middle of each. Methods that can do better (fused HPSS carries its state from block to block and
computes nothing twice) bring a `Stream` of their own; what is promised is the same.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dspsep import _audio, _backend, _checks, _devices
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["LocalStream", "Reach", "Stream"]

# A stream does not know the peak of what is to come, so it cannot bring it to where nothing overflows.
_LOUDEST = 2.0**40
# Segments are at least this long, and at least so many times what neighbours compute twice.
_SECONDS, _OVERLAPS = 1.0, 4


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a separator looks around a sample.

    Parameters
    ----------
    samples : int
        What a source is at one sample depends on the mixture at most so many samples before and after it.
    step : int, default=1
        A segment of the mixture that begins at a multiple of this has the frames that the whole has: the hop
        of its transform or, if there are several, the least common multiple of their hops.

    Examples
    --------
    >>> import dspsep
    >>> reach = dspsep.HPSS().reach(44100)
    >>> reach.samples, reach.step  # a frame and half of the median along time, in hops
    (9728, 512)
    """

    samples: int
    step: int = 1

    def then(self, other: Reach) -> Reach:
        """Return the reach of this step followed by another."""
        return Reach(samples=self.samples + other.samples, step=math.lcm(self.step, other.step))

    def beside(self, other: Reach) -> Reach:
        """Return the reach of this step and another that works on the same audio."""
        return Reach(samples=max(self.samples, other.samples), step=math.lcm(self.step, other.step))


class Stream(ABC):
    """A separator that is fed in blocks: made by ``separator.stream(…)``, used by one thread.

    What comes out of all calls, put together, is what ``separate`` gives for all blocks put together,
    whatever their sizes.

    Parameters
    ----------
    source_names : tuple of str
        In order.
    n_channels : int or None
        None if the audio has no channel axis.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import HPSS
    >>> stream = HPSS().stream(sample_rate=44100)
    >>> tone = np.sin(0.05 * np.arange(44100))
    >>> parts = [stream.push(tone[start : start + 4096]) for start in range(0, tone.size, 4096)]
    >>> parts.append(stream.flush())
    >>> harmonic = np.concatenate([part["harmonic"] for part in parts])
    >>> bool(np.allclose(harmonic, HPSS().separate(tone, 44100)["harmonic"], atol=1e-6))
    True
    """

    def __init__(self, source_names: tuple[str, ...], n_channels: int | None) -> None:
        if n_channels is not None:
            n_channels = _checks.integer("n_channels", n_channels, minimum=1)
        self.source_names = source_names
        self.n_channels = n_channels
        self._like: Array | None = None
        self._flushed = False

    @property
    @abstractmethod
    def latency_samples(self) -> int:
        """What comes out is never further than so many samples behind what went in."""

    def push(self, block: Array) -> dict[str, Array]:
        """Take the next samples of the mixture.

        Parameters
        ----------
        block : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio of any length, also none. Never changed. The first block decides precision and
            device.

        Returns
        -------
        dict of str to array
            The next samples of every source: of equal lengths, which may be zero.

        Raises
        ------
        InputError
            If the block is not audio like the ones before it, its peak is above 2**40, or the stream was
            flushed.
        """
        with _devices.at_home(block):
            samples = self._checked(block)
            return self._restored(self._push(samples) if samples.shape[1] else {})

    def flush(self) -> dict[str, Array]:
        """Say that the mixture has ended.

        Returns
        -------
        dict of str to array
            The rest of every source.

        Raises
        ------
        InputError
            If there was no sample before, or the stream was flushed already.
        """
        self._refuse_if_flushed()
        if self._like is None:
            raise InputError("block", "at least one sample long in all", "a flush before any", "Push first.")
        self._flushed = True
        with _devices.at_home(self._like):
            return self._restored(self._flush())

    @abstractmethod
    def _push(self, samples: Array) -> Mapping[str, Array]:
        """Take checked samples (n_channels, n_samples), at least one; return what is ready, or nothing."""

    @abstractmethod
    def _flush(self) -> Mapping[str, Array]:
        """Return the rest."""

    def _refuse_if_flushed(self) -> None:
        if self._flushed:
            raise InputError("stream", "one that was not flushed", "one that was", "Make another.")

    def _checked(self, block: Array) -> Array:
        self._refuse_if_flushed()
        array = _backend.as_array("block", block)
        expected = 1 if self.n_channels is None else 2
        n_channels = self.n_channels or 1
        if array.ndim != expected or (expected == 2 and array.shape[0] != n_channels):
            shape = "(n_samples,)" if self.n_channels is None else f"({n_channels}, n_samples)"
            raise InputError(
                "block", f"of shape {shape}, as this stream was made for", f"{tuple(array.shape)}"
            )
        if not array.shape[-1]:
            xp = _backend.namespace(array)
            return xp.zeros((n_channels, 0))  # type: ignore[no-any-return]
        samples, _, peak = _audio.finite_samples_of("block", array)
        if peak > _LOUDEST:
            remedy = "Scale the audio to [-1, 1]."
            raise InputError("block", "of a peak of at most 2**40", f"a peak of {peak:g}", remedy)
        if self._like is None:
            self._like = samples[:, :0]
        _backend.namespace(self._like, samples)
        if samples.dtype != self._like.dtype:
            raise InputError("block", f"{self._like.dtype}, as the first one", f"{samples.dtype}")
        return samples

    def _restored(self, sources: Mapping[str, Array]) -> dict[str, Array]:
        if self._like is None:  # nothing but empty blocks so far
            return {}
        nothing = self._like
        given = {name: sources.get(name, nothing) for name in self.source_names}
        return given if self.n_channels is not None else {name: x[0, ...] for name, x in given.items()}


class _Separates(Protocol):
    """What `LocalStream` needs of a separator."""

    @property
    def source_names(self) -> tuple[str, ...] | None: ...

    def separate(self, mixture: Array, sample_rate: float) -> Mapping[str, Array]: ...


class LocalStream(Stream):
    """A stream of any separator of bounded reach: overlapping segments, of which the middle is kept.

    Parameters
    ----------
    separator : Separator
        Whose `source_names` are known from its settings.
    reach : Reach
        That of the separator at this rate.
    sample_rate : float
        In hertz.
    n_channels : int or None
        None if the audio has no channel axis.

    Notes
    -----
    A segment is a second long or four times what it shares with its neighbours, whichever is more, so that
    at most a third of the work is done twice. That length and the reach are the latency, and memory is what
    the separator needs for one segment.
    """

    def __init__(
        self, separator: _Separates, reach: Reach, sample_rate: float, n_channels: int | None
    ) -> None:
        names = separator.source_names
        if names is None:
            raise InputError("separator", "one whose settings decide its sources", repr(separator)[:80])
        super().__init__(names, n_channels)
        self._separator = separator
        self._sample_rate = _checks.sample_rate(sample_rate)
        self._after = reach.samples
        self._before = -(-reach.samples // reach.step) * reach.step
        least = max(_SECONDS * self._sample_rate, _OVERLAPS * (self._before + self._after))
        self._length = -(-int(least) // reach.step) * reach.step
        self._begin = 0  # where the pending samples begin in the mixture
        self._done = 0  # how many samples of the sources are out
        self._pending: list[Array] = []
        self._n_pending = 0

    @property
    def latency_samples(self) -> int:
        """What comes out is never further than so many samples behind what went in."""
        return self._length + self._after

    def _push(self, samples: Array) -> Mapping[str, Array]:
        xp = _backend.namespace(samples)
        self._pending.append(xp.asarray(samples, copy=True))
        self._n_pending += samples.shape[1]
        parts: list[Mapping[str, Array]] = []
        while self._begin + self._n_pending >= self._done + self._length + self._after:
            pending = self._joined()
            stop = self._done + self._length
            parts.append(self._between(pending[:, : stop + self._after - self._begin], stop))
            begin = max(0, stop - self._before)
            rest = xp.asarray(pending[:, begin - self._begin :], copy=True)
            self._pending, self._n_pending = [rest], rest.shape[1]
            self._begin, self._done = begin, stop
        if not parts:
            return {}
        return {name: xp.concat([part[name] for part in parts], axis=1) for name in self.source_names}

    def _flush(self) -> Mapping[str, Array]:
        pending = self._joined()
        self._pending = []
        stop = self._begin + pending.shape[1]
        # What looks no further than a sample has nothing left where the mixture ends with a segment.
        return self._between(pending, stop) if stop > self._done else {}

    def _joined(self) -> Array:
        xp = _backend.namespace(*self._pending)
        return self._pending[0] if len(self._pending) == 1 else xp.concat(self._pending, axis=1)

    def _between(self, segment: Array, stop: int) -> dict[str, Array]:
        """Return the sources from what is done to `stop`."""
        sources = self._separator.separate(segment, self._sample_rate)
        start, end = self._done - self._begin, stop - self._begin
        return {name: sources[name][:, start:end] for name in self.source_names}
