"""From a file to the files of its sources, in memory that does not grow with its length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from dspsep import _audio, _backend, _registry
from dspsep._devices import Device
from dspsep._typing import Array
from dspsep.data import _reading
from dspsep.data._layout import Layout
from dspsep.data._reading import Excerpt, opened, refuse_too_long
from dspsep.data._source_files import (
    DEFAULT_FORMAT,
    SourceFiles,
    extension_of,
    gain_for,
    layout_of,
    write_sources,
)
from dspsep.data._spool import Spool
from dspsep.data._writing import BLOCK_FRAMES, Plan, peak_of, plan_for
from dspsep.errors import InputError, warn
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.streaming import Stream

__all__ = ["SavedSources", "separate_file", "separate_to"]

#: A file that decodes to more than this many times its size is there to fill a disk: music is below 20,
#: speech at 24 kbit/s below 120, and silence that compresses so well is not what one separates.
_MAX_RATIO = 500
_HOST = Device(name="cpu")


@dataclass(frozen=True, kw_only=True)
class SavedSources:
    """What `separate_file` wrote.

    Parameters
    ----------
    paths : mapping of str to Path
        The file of each source, in the order of the sources.
    sample_rate : float
        Of these files, in hertz.
    n_samples : int
        Of each of them, per channel.
    gain : float
        The one factor that all sources carry relative to the mixture.
    in_blocks : bool
        Whether the separator was fed in blocks; else the file was held in memory.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> scene = dspsep.data.scenes.drum_loop(duration=1.0, sample_rate=8000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     song = dspsep.save(Path(folder) / "song.wav", scene.mixture, scene.sample_rate)
    ...     saved = dspsep.separate_file(song, Path(folder) / "stems")
    >>> sorted(saved.paths), saved.duration, saved.in_blocks
    (['harmonic', 'percussive'], 1.0, True)
    """

    paths: Mapping[str, Path]
    sample_rate: float
    n_samples: int
    gain: float
    in_blocks: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", MappingProxyType(dict(self.paths)))

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return self.n_samples / self.sample_rate


def separate_file(
    path: object,
    folder: str | Path,
    separator: Separator | None = None,
    *,
    format: str = DEFAULT_FORMAT,
    offset: float = 0.0,
    duration: float | None = None,
    isolate: bool = False,
    callback: Callback | None = None,
) -> SavedSources:
    """Take an audio file apart, into a file for each source.

    The same as `load`, `Separator.separate` and `Sources.save`, but in blocks wherever the separator can be
    fed in blocks (see `Separator.stream`): then memory does not depend on the length of the file.

    Parameters
    ----------
    path : str or Path
        As of `load`.
    folder : str or Path
        Where the files go, as of `Sources.save`: made if it is not there.
    separator : Separator, optional
        By default ``HPSS()``.
    format : {"flac", "wav", "ogg", "opus", "mp3", "aiff"}, default="flac"
        As of `Sources.save`.
    offset : float, default=0.0
        Where to begin, in seconds of the file.
    duration : float, optional
        How much to take, in seconds of the file; less if it ends before. By default, all of it.
    isolate : bool, default=False
        As of `load`: decode in a process with limits of its own.
    callback : callable, optional
        Called with a `Progress` as work goes on. In blocks, the stages are ``"separate"``, in seconds of the
        file, and ``"write"``, in sources; else ``"read"``, those of the separator, and ``"write"``. What it
        raises ends the work, and nothing is left behind.

    Returns
    -------
    SavedSources
        The files, their rate and length, and their common gain.

    Raises
    ------
    InputError
        As `load` and `save` do. A file that decodes to more than 8 GB is taken in blocks, unless that is more
        than 500 times its size.
    DspsepError
        If the system refuses to take all of it. What was in the folder before is left as it was.

    Warns
    -----
    DspsepWarning
        ``W_TRUNCATED`` as `load`, ``W_GAIN`` and ``W_RESAMPLED`` as `Sources.save`, and those of the
        separator.

    See Also
    --------
    Separator.stream : The same for audio that is not in a file.

    Notes
    -----
    Floating-point WAV cannot clip, so its samples are written as they come. For the other formats the common
    gain must be known first: the sources wait as floating point in nameless temporary files beside the
    results, which takes 0.35 MB for each second, source and channel pair at 44.1 kHz. The same goes for WAV
    where the length is not known before, or is above 4 GiB.

    A separator that needs the whole mixture gets it. So does any other if the peak of the file is above
    2**40 or below 2**-40, where the whole must be scaled first.

    Peak memory in blocks is what the separator needs for its `Reach`, and some blocks of 1.5 s: for `HPSS`
    in stereo some tens of MB in all.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     song = dspsep.save(Path(folder) / "song.wav", scene.mixture, scene.sample_rate)
    ...     saved = dspsep.separate_file(song, Path(folder) / "stems", dspsep.HPSS())
    >>> [path.name for path in saved.paths.values()], saved.duration
    (['harmonic.flac', 'percussive.flac'], 2.0)
    """
    separator = _registry.load(_registry.METHODS["HPSS"].target)() if separator is None else separator
    if not isinstance(separator, Separator):
        raise InputError("separator", "a separator", repr(separator)[:80], "For example dspsep.HPSS().")
    job = _Job(separator, layout_of(folder), extension_of(format), callback)
    return job.do(path, offset, duration, isolate=isolate)


def separate_to(
    path: Path,
    layout: Layout,
    separator: Separator,
    *,
    format: str,
    offset: float,
    duration: float | None,
    isolate: bool,
    callback: Callback | None,
    facts: Callable[[], Mapping[str, Any]],
    device: Device = _HOST,
) -> SavedSources:
    """Do what `separate_file` does, into a layout, on a device.

    Before the files get their names, `facts` is called for what is to stand in the record, too; what it
    raises ends the work.
    """
    job = _Job(separator, layout, extension_of(format), callback, facts, device)
    return job.do(path, offset, duration, isolate=isolate)


class _NeedsAllError(Exception):
    """The peak of the file asks for scaling, and that for all of it."""


class _Sink(Protocol):
    def write(self, samples: Array) -> None: ...


class _Job:
    """One file on its way; `notices` is what to warn of in the end."""

    def __init__(
        self,
        separator: Separator,
        layout: Layout,
        extension: str,
        callback: Callback | None,
        facts: Callable[[], Mapping[str, Any]] = dict,
        device: Device = _HOST,
    ) -> None:
        self.notices: list[tuple[str, str]] = []
        self._separator = separator
        self._layout = layout
        self._extension = extension
        self._callback = callback
        self._facts = facts
        self._device = device

    def do(self, path: object, offset: float, duration: float | None, *, isolate: bool) -> SavedSources:
        """Do it, and warn for the one who called."""
        saved = None
        with opened(path, offset, duration, isolate=isolate) as excerpt:
            if self.can_stream(excerpt):
                with suppress(_NeedsAllError):
                    saved = self.in_blocks(excerpt)
            else:
                saved = self.as_a_whole(excerpt)
        if saved is None:
            with opened(path, offset, duration, isolate=isolate) as excerpt:
                saved = self.as_a_whole(excerpt)
        for code, message in self.notices:
            warn(code, message, stacklevel=4)
        return saved

    def can_stream(self, excerpt: Excerpt) -> bool:
        """Tell whether the separator can be fed in blocks."""
        return self._separator.streams(excerpt.sample_rate)

    def as_a_whole(self, excerpt: Excerpt) -> SavedSources:
        """Load, separate, save."""
        self._report("read")
        try:
            samples = excerpt.samples(mono=False)
            notices = excerpt.end()
            there = self._device.put(samples)
            sources = self._separator.separate(there, excerpt.sample_rate, callback=self._callback)
        except MemoryError as error:
            size = 4 * excerpt.n_channels * max(excerpt.n_read, excerpt.span.count or 0) / 1e6
            raise MemoryError(
                f"there is not enough memory for all of {str(excerpt.file)!r} at once: its samples alone take"
                f" {size:.0f} MB, and to separate them takes several times that. Take parts of it, with an"
                " offset and a duration"
            ) from error
        self._report("write", 0, len(sources))
        files, gain_notices = write_sources(
            sources, self._layout, self._extension, self._facts(), excerpt.file
        )
        self.notices = [*notices, *gain_notices]
        return _saved(files, in_blocks=False)

    def in_blocks(self, excerpt: Excerpt) -> SavedSources:
        """Read, separate and write block by block."""
        rate = excerpt.sample_rate
        stream = self._separator.stream(rate, excerpt.n_channels)
        with (
            SourceFiles(self._layout, stream.source_names, self._extension, excerpt.file) as files,
            ExitStack() as spools,
        ):
            plan = self._plan_to_write_at_once(excerpt)
            sinks: Mapping[str, _Sink]
            if plan is not None:
                sinks = {name: files.writer(name, plan) for name in files.paths}
            else:
                waiting = {name: Spool(files.root) for name in files.paths}
                for spool in waiting.values():
                    spools.callback(spool.close)
                sinks = waiting
            peak = self._separate(excerpt, stream, sinks)
            self.notices = excerpt.end()
            if plan is None:
                self._write(waiting, files, excerpt, peak)
            files.publish(self._separator.provenance(), self._facts())
        return _saved(files, in_blocks=True)

    def _plan_to_write_at_once(self, excerpt: Excerpt) -> Plan | None:
        """Return how to write samples as they come, or None if gain or container depend on those to come."""
        shortest = self._plan(excerpt, 1)  # refuses rates and channels that the format cannot hold
        if shortest.clips or excerpt.span.count is None:
            return None
        plan = self._plan(excerpt, excerpt.span.count)
        return plan if plan == shortest else None

    def _plan(self, excerpt: Excerpt, n_samples: int) -> Plan:
        return plan_for(self._extension, None, excerpt.sample_rate, (excerpt.n_channels, n_samples))

    def _separate(self, excerpt: Excerpt, stream: Stream, sinks: Mapping[str, _Sink]) -> float:
        """Send all of the excerpt through the stream; return the highest peak of the sources."""
        rate, span = excerpt.sample_rate, excerpt.span
        n_seconds = None if span.count is None else -(-span.count // rate)
        limit = max(_reading.MAX_DECODED_BYTES, _MAX_RATIO * excerpt.file.stat().st_size)
        highest = loudest = 0.0
        self._report("separate", 0, n_seconds)
        for block in excerpt.blocks():
            refuse_too_long(excerpt.n_read, excerpt.n_channels, limit)
            samples = np.ascontiguousarray(block.T)
            loudest = max(loudest, float(np.abs(samples).max()))
            if loudest > 1 and _audio.safe_exponent(loudest):
                raise _NeedsAllError
            highest = max(highest, _send(stream.push(self._device.put(samples)), sinks))
            self._report("separate", excerpt.n_read // rate, n_seconds)
        excerpt.end()  # refuses what had no samples
        if _audio.safe_exponent(loudest):
            raise _NeedsAllError
        return max(highest, _send(stream.flush(), sinks))

    def _write(self, waiting: Mapping[str, Spool], files: SourceFiles, excerpt: Excerpt, peak: float) -> None:
        rate = excerpt.sample_rate
        plan = self._plan(excerpt, excerpt.n_read)
        gain, notices = gain_for(peak, plan, self._extension, rate)
        self.notices = [*self.notices, *notices]
        for done, (name, spool) in enumerate(waiting.items()):
            self._report("write", done, len(waiting))
            files.write(name, spool.blocks(BLOCK_FRAMES), rate, plan, gain)
            spool.close()

    def _report(self, stage: str, iteration: int = 0, n_iterations: int | None = None) -> None:
        if self._callback is not None:
            self._callback(Progress(stage=stage, iteration=iteration, n_iterations=n_iterations))


def _send(parts: Mapping[str, Array], sinks: Mapping[str, _Sink]) -> float:
    """Send the next samples of every source where they go; return their peak."""
    peak = 0.0
    for name, made in parts.items():
        if made.shape[1]:
            part = _backend.to_host(made)
            peak = max(peak, peak_of(f"sources[{name!r}]", part))
            sinks[name].write(part)
    return peak


def _saved(files: SourceFiles, *, in_blocks: bool) -> SavedSources:
    return SavedSources(
        paths=files.paths,
        sample_rate=files.sample_rate,
        n_samples=files.n_samples,
        gain=files.gain,
        in_blocks=in_blocks,
    )
