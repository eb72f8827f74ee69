"""Read through FFmpeg, by PyAV: what libsndfile lacks, as M4A, WMA and the sound of videos.

FFmpeg gets an open file and the container to take it for. It neither sees a name, in which it would
recognise protocols and playlists, nor chooses among its many demuxers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dspsep.data._reading import Samples, Span
from dspsep.errors import InputError

__all__ = ["AvReader", "UndecodableError"]

#: Decoders carry state over from what was before, and containers seek to the packet before the one asked.
_PREROLL_SECONDS = 1.0

#: Only MP4 and its kin index every packet to the sample. Matroska and ASF round times to milliseconds,
#: and bare AAC has none: there, the length is unknown, and what is skipped is decoded too.
_EXACT = "MOV"


class UndecodableError(Exception):
    """FFmpeg cannot decode the file; the message says why."""


class AvReader:
    """A `Reader` on FFmpeg."""

    def __init__(self, path: Path, demuxer: str, stream: int = 0) -> None:
        import av

        self._error = av.FFmpegError
        self._to_planar = av.AudioResampler(format="fltp")  # layout and rate follow the first frame
        self._raw = path.open("rb")
        try:
            self._container: Any = av.open(self._raw, format=demuxer, metadata_errors="replace")
            streams: Any = self._container.streams.audio
            chosen: Any = streams[stream] if stream < len(streams) else None
            context = getattr(chosen, "codec_context", None)
        except (self._error, ValueError, LookupError) as error:
            self._raw.close()
            raise UndecodableError(str(error)) from None
        if context is None:
            self._raw.close()
            if 0 < len(streams) <= stream:
                raise InputError("stream", f"less than {len(streams)}, as many as {str(path)!r} has", stream)
            raise UndecodableError("there is no sound in it, or its codec is unknown")
        self._stream = chosen
        self.sample_rate: int = int(context.sample_rate or 0)
        self.n_channels: int = int(context.channels or 0)
        self.subtype: str = str(context.name).upper()
        self.format = demuxer.upper()
        self.n_samples = self._announced() if self.format == _EXACT else None
        self.slack = self.sample_rate // 4  # the last packets may hold padding
        self.notices: list[tuple[str, str]] = []

    def _announced(self) -> int | None:
        if self._stream.duration is None:
            return None
        return round(float(self._stream.duration * self._stream.time_base) * self.sample_rate) or None

    def blocks(self, span: Span) -> Iterator[Samples]:
        stop = None if span.count is None else span.start + span.count
        at: int | None = None
        for frame in self._frames(span.start):
            if at is None:
                at = self._position(frame)
            for converted in self._planar(frame):
                block = np.ascontiguousarray(converted.T, np.float32)
                first = max(0, span.start - at)
                kept = block[first : None if stop is None else max(0, stop - at)]
                at += len(block)
                if len(kept):
                    yield kept
            if stop is not None and at >= stop:
                return

    def _frames(self, start: int) -> Iterator[Any]:
        """Yield decoded frames from before sample `start`, as far as they decode."""
        seconds = start / self.sample_rate - _PREROLL_SECONDS
        base = self._stream.time_base
        try:
            if seconds > 0 and self.format == _EXACT:
                origin = self._stream.start_time or 0
                self._container.seek(origin + int(seconds / base), stream=self._stream, backward=True)
            yield from self._container.decode(self._stream)
        except self._error:
            return

    def _position(self, frame: Any) -> int:
        """Return the sample, from the start of the stream, that `frame` begins with."""
        if frame.pts is None:
            return 0
        base = frame.time_base or self._stream.time_base
        origin = max(0, self._stream.start_time or 0) * self._stream.time_base
        return max(0, round(float(frame.pts * base - origin) * self.sample_rate))

    def _planar(self, frame: Any) -> list[np.ndarray[Any, Any]]:
        """Return the samples of `frame` as arrays (n_channels, n_frames) in floating point."""
        if frame.format.name == "fltp":
            return [frame.to_ndarray()]
        return [part.to_ndarray() for part in self._to_planar.resample(frame)]

    def close(self) -> None:
        self._container.close()
        self._raw.close()
