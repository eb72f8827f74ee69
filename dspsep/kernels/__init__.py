"""The inner loops: one protocol, three implementations, chosen by the array.

* `generic`: array-API expressions. They are the reference that the others are tested against, and
  what runs where numba is not installed, or when ``DSPSEP_KERNELS=generic`` is set.
* `cpu`: numba kernels for NumPy arrays, where they beat the best array expression.
* `gpu`: kernels for CuPy arrays. Until they are written, CuPy arrays run through `generic`.

All spectrogram-shaped arrays here are **frame-major**: (n_channels, n_frames, n_freqs), C-contiguous,
so that one frame is one run of memory for the FFT, and neighbouring bins are neighbouring lanes for the
medians. `dspsep.stft.Spectrogram.values` is the same memory seen as (n_channels, n_freqs, n_frames).
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Protocol, cast

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["Kernels", "kernels_for"]


class Kernels(Protocol):
    """What every implementation provides. Arguments are passed by position."""

    def stft(self, samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
        """Return the spectra (n_channels, n_frames, n_fft // 2 + 1) of centred, zero-padded frames.

        `samples` is (n_channels, n_samples); frame t is centred on sample ``t * hop_length``.
        """

    def istft(
        self, spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array
    ) -> Array:
        """Return samples (n_channels, n_samples): windowed overlap-add of masked spectra, over `weight`.

        `mask` multiplies the spectra (None: nothing does); one channel of mask serves all channels.
        `weight` (n_samples,) is the overlap-added squared window.
        """

    def median_over_time(self, values: Array, length: int) -> Array:
        """Return the running median of odd `length` over frames; edges are mirrored, edge repeated."""

    def median_over_frequency(self, values: Array, length: int) -> Array:
        """Return the running median of odd `length` over bins; edges are mirrored, edge repeated."""

    def soft_mask(self, values: Array, rival: Array, margin: float, power: float, tie: float) -> Array:
        """Return ``values**power / (values**power + (margin * rival)**power)``, and `tie` for 0/0.

        Both count as zero if they are below the smallest normal number, which has no finite inverse.
        """


def kernels_for(array: Array) -> Kernels:
    """Return the implementation for the library that `array` belongs to."""
    if _backend.is_numpy(array) and _use_compiled(os.environ.get("DSPSEP_KERNELS", "")):
        from dspsep.kernels import cpu

        return cast("Kernels", cpu)
    from dspsep.kernels import generic

    return cast("Kernels", generic)


@cache
def _use_compiled(setting: str) -> bool:
    if setting not in ("", "auto", "generic", "cpu"):
        raise InputError("DSPSEP_KERNELS", "'auto', 'cpu' or 'generic'", repr(setting))
    if setting == "generic":
        return False
    installed = importlib.util.find_spec("numba") is not None
    if setting == "cpu" and not installed:
        raise InputError("DSPSEP_KERNELS", "'generic' where numba is not installed", "'cpu'")
    return installed
