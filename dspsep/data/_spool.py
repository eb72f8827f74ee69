"""Samples that wait on the disk until the gain is known that they are to be written with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from dspsep._typing import Array
from dspsep.errors import DspsepError

__all__ = ["Spool"]


class Spool:
    """A source on its way into a file: floating point as it came, in a temporary file without a name.

    Where the system knows such files the space is free again however the process ends; elsewhere they are
    removed when they are closed.

    Parameters
    ----------
    folder : Path
        Where the sources are going: there must be room for them there, and memory is often what lies
        behind the system's own temporary folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".dspsep-", suffix=".part")  # noqa: SIM115
        self._folder = folder
        self._like: Array | None = None

    def write(self, samples: Array) -> None:
        """Append samples (n_channels, n_samples)."""
        self._like = samples[:, :0]
        with self._told():
            self._file.write(np.ascontiguousarray(samples.T).data)

    def blocks(self, n_frames: int) -> Iterator[Array]:
        """Yield what was written in blocks (n_channels, n_frames), the last one shorter."""
        if self._like is None:
            return
        n_channels, dtype = self._like.shape[0], self._like.dtype
        with self._told():
            self._file.seek(0)  # which writes what was held back
        while data := self._file.read(n_frames * n_channels * dtype.itemsize):
            yield np.frombuffer(data, dtype).reshape(-1, n_channels).T

    def close(self) -> None:
        """Let the file go."""
        with suppress(OSError):  # of what was held back, and nobody needs any more
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DspsepError(
                f"no room for temporary samples in {str(self._folder)!r} ({error.strerror})."
                " Is the disk full? Nothing was left behind."
            ) from error
