"""Streams of several stages: each is fed what the one before it has ready, and what is early waits.

Stages are late by different amounts. Where sources meet that came different ways, those that are early wait
in a line of their own until the last is there, so that what comes out of a stage is of one moment. A stage is
given the mixture of the same moment beside its sources. The latency of all is the sum along the way, where
the ways part the longest of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from dspsep import _backend
from dspsep._typing import Array
from dspsep.sources import Sources
from dspsep.streaming import LocalStream, Reach, Stream

__all__ = [
    "LocalRefinerStream",
    "PointwiseStream",
    "RefinerStream",
    "SideBySide",
    "SplitStream",
    "StagedStream",
]

# The next samples (n_channels, n_samples) of every source, all of one length; an empty mapping is nothing.
_Blocks: TypeAlias = Mapping[str, Array]


class RefinerStream(ABC):
    """A refiner that is fed in blocks: made by ``refiner.stream(…)``, used by one `StagedStream`.

    Parameters
    ----------
    source_names : tuple of str
        Of what comes out, in order.
    """

    def __init__(self, source_names: tuple[str, ...]) -> None:
        self.source_names = source_names

    @property
    @abstractmethod
    def latency_samples(self) -> int:
        """What comes out is never further than so many samples behind what went in."""

    @abstractmethod
    def push(self, mixture: Array, sources: Mapping[str, Array]) -> Mapping[str, Array]:
        """Take the next samples of all sources.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            At least one sample.
        sources : mapping of str to array of shape (n_channels, n_samples)
            The same samples of every source.

        Returns
        -------
        mapping of str to array
            The next samples of what comes out, of equal lengths; empty if there are none yet.
        """

    @abstractmethod
    def flush(self) -> Mapping[str, Array]:
        """Return the rest: there was at least one sample, and there are no more."""


class PointwiseStream(RefinerStream):
    """A refiner of which every sample depends on that sample alone, as sums do.

    Parameters
    ----------
    source_names : tuple of str
        Of what comes out.
    refined : callable
        From a block of mixture and sources to one of what comes out.
    """

    def __init__(
        self, source_names: tuple[str, ...], refined: Callable[[Array, Mapping[str, Array]], _Blocks]
    ) -> None:
        super().__init__(source_names)
        self._refined = refined

    @property
    def latency_samples(self) -> int:
        """None at all."""
        return 0

    def push(self, mixture: Array, sources: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return the same samples of what comes out."""
        return self._refined(mixture, sources)

    def flush(self) -> Mapping[str, Array]:
        """Return nothing: all is out."""
        return {}


class SplitStream(RefinerStream):
    """Some sources through streams of their own, while the others wait for them.

    Parameters
    ----------
    source_names : tuple of str
        Of what comes out.
    streams : mapping of str to Stream
        By the source that each splits.
    """

    def __init__(self, source_names: tuple[str, ...], streams: Mapping[str, Stream]) -> None:
        super().__init__(source_names)
        self._streams = dict(streams)
        self._lines = _Lines(source_names)

    @property
    def latency_samples(self) -> int:
        """That of the stream which is furthest behind."""
        return max(stream.latency_samples for stream in self._streams.values())

    def push(self, mixture: Array, sources: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return what all sources have ready."""
        for name, samples in sources.items():
            if name in self._streams:
                self._lines.put(_below(name, self._streams[name]._push(samples)))
            else:
                self._lines.put({name: samples})
        return self._lines.take()

    def flush(self) -> Mapping[str, Array]:
        """Return the rest of all sources."""
        for name, stream in self._streams.items():
            self._lines.put(_below(name, stream._flush()))
        return self._lines.take()


class _Refines(Protocol):
    """What `LocalRefinerStream` needs of a refiner."""

    def refine(self, mixture: Array, sources: Sources) -> Mapping[str, Array]: ...


class LocalRefinerStream(RefinerStream):
    """Any refiner of bounded reach: overlapping segments of mixture and sources, of which the middle is kept.

    Parameters
    ----------
    refiner : Refiner
        What refines a segment.
    names : tuple of str
        The sources that go in.
    source_names : tuple of str
        Those that come out.
    reach : Reach
        Of the refiner.
    sample_rate : float
        In hertz.
    n_channels : int
        Of each source.
    """

    def __init__(
        self,
        refiner: _Refines,
        names: tuple[str, ...],
        source_names: tuple[str, ...],
        reach: Reach,
        sample_rate: float,
        n_channels: int,
    ) -> None:
        super().__init__(source_names)
        self._names = names
        # Mixture and sources as channels of one signal: what is cut, kept and given back is the same.
        stacked = _Stacked(refiner, names, source_names, n_channels)
        self._stream = LocalStream(stacked, reach, sample_rate, n_channels * (1 + len(names)))

    @property
    def latency_samples(self) -> int:
        """A segment and the reach."""
        return self._stream.latency_samples

    def push(self, mixture: Array, sources: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return what the segments that are full give."""
        xp = _backend.namespace(mixture)
        return self._stream._push(xp.concat([mixture, *(sources[name] for name in self._names)], axis=0))

    def flush(self) -> Mapping[str, Array]:
        """Return what the last segment gives."""
        return self._stream._flush()


class _Stacked:
    """A refiner of mixture and sources that come as the channels of one signal."""

    def __init__(
        self, refiner: _Refines, names: tuple[str, ...], source_names: tuple[str, ...], n_channels: int
    ) -> None:
        self._refiner, self._names, self._n_channels = refiner, names, n_channels
        self.source_names = source_names

    def separate(self, mixture: Array, sample_rate: float) -> Mapping[str, Array]:
        n = self._n_channels
        signals = [mixture[first : first + n, :] for first in range(0, mixture.shape[0], n)]
        sources = Sources(dict(zip(self._names, signals[1:], strict=True)), sample_rate)
        return self._refiner.refine(signals[0], sources)


class SideBySide(Stream):
    """Several streams of one mixture, their sources put beside one another.

    Parameters
    ----------
    streams : mapping of str to Stream
        By what their sources are to be called after: ``name/source``.
    n_channels : int or None
        None if the audio has no channel axis.
    """

    def __init__(self, streams: Mapping[str, Stream], n_channels: int | None) -> None:
        names = tuple(f"{name}/{part}" for name, stream in streams.items() for part in stream.source_names)
        super().__init__(names, n_channels)
        self._streams = dict(streams)
        self._lines = _Lines(names)

    @property
    def latency_samples(self) -> int:
        """That of the stream which is furthest behind."""
        return max(stream.latency_samples for stream in self._streams.values())

    def _push(self, samples: Array) -> Mapping[str, Array]:
        for name, stream in self._streams.items():
            self._lines.put(_below(name, stream._push(samples)))
        return self._lines.take()

    def _flush(self) -> Mapping[str, Array]:
        for name, stream in self._streams.items():
            self._lines.put(_below(name, stream._flush()))
        return self._lines.take()


class StagedStream(Stream):
    """A stream, and the streams of refiners that its sources go through.

    Parameters
    ----------
    first : Stream
        Of the separator that begins.
    stages : sequence of RefinerStream
        In order.
    n_channels : int or None
        None if the audio has no channel axis.
    """

    def __init__(self, first: Stream, stages: Sequence[RefinerStream], n_channels: int | None) -> None:
        super().__init__(stages[-1].source_names if stages else first.source_names, n_channels)
        self._first, self._stages = first, tuple(stages)
        # What each stage is yet to be shown of the mixture.
        self._mixtures = [_Lines(("mixture",)) for _ in self._stages]

    @property
    def latency_samples(self) -> int:
        """The sum of what the stages are behind."""
        return self._first.latency_samples + sum(stage.latency_samples for stage in self._stages)

    def _push(self, samples: Array) -> Mapping[str, Array]:
        if self._mixtures:  # a copy, since sound cards use their buffers again
            self._mixtures[0].put({"mixture": _backend.namespace(samples).asarray(samples, copy=True)})
        return self._through(0, self._first._push(samples))

    def _flush(self) -> Mapping[str, Array]:
        rests = [self._through(0, self._first._flush())]
        for position, stage in enumerate(self._stages, start=1):
            rests.append(self._through(position, stage.flush()))
        rests = [rest for rest in rests if _length(rest)]
        if len(rests) < 2:
            return rests[0] if rests else {}
        xp = _backend.namespace(*rests[0].values())
        return {name: xp.concat([rest[name] for rest in rests], axis=1) for name in self.source_names}

    def _through(self, begin: int, blocks: _Blocks) -> _Blocks:
        """Take what a stage gave through the stages from `begin` on."""
        for position in range(begin, len(self._stages)):
            n_samples = _length(blocks)
            if not n_samples:
                return {}
            mixture = self._mixtures[position].take(n_samples)
            if position + 1 < len(self._stages):
                self._mixtures[position + 1].put(mixture)
            blocks = self._stages[position].push(mixture["mixture"], blocks)
        return blocks


class _Lines:
    """Signals that come at different times, and leave side by side."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._waiting: dict[str, list[Array]] = {name: [] for name in names}

    def put(self, blocks: _Blocks) -> None:
        """Let blocks wait, each behind those of its signal."""
        for name, block in blocks.items():
            if block.shape[1]:
                self._waiting[name].append(block)

    def take(self, n_samples: int | None = None) -> _Blocks:
        """Return the next samples of every signal: as many as all have, if it is not said how many."""
        if n_samples is None:
            n_samples = min(sum(block.shape[1] for block in line) for line in self._waiting.values())
        return {name: _cut(line, n_samples) for name, line in self._waiting.items()} if n_samples else {}


def _cut(line: list[Array], n_samples: int) -> Array:
    """Take so many samples, which are there, from the front of a line."""
    taken: list[Array] = []
    while n_samples:
        block = line[0]
        if block.shape[1] <= n_samples:
            taken.append(line.pop(0))
        else:
            taken.append(block[:, :n_samples])
            line[0] = block[:, n_samples:]
        n_samples -= taken[-1].shape[1]
    joined: Array = taken[0] if len(taken) == 1 else _backend.namespace(*taken).concat(taken, axis=1)
    return joined


def _below(name: str, blocks: _Blocks) -> _Blocks:
    return {f"{name}/{part}": block for part, block in blocks.items()}


def _length(blocks: _Blocks) -> int:
    return int(next(iter(blocks.values())).shape[1]) if blocks else 0
