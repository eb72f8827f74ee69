"""Inner products of delayed signals, by the fast Fourier transform, in blocks.

    r[p, i, j] = Σ_t x_i[t] y_j[t + p],    p = 0 … n_delays − 1

A block of H samples of x, padded with zeros to N = H + n_delays − 1, meets N samples of y that begin with it:
their circular correlation is then right at these delays. The spectra of all blocks are multiplied and added
up, bin by bin and pair by pair, and only the sum is transformed back.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array, FloatArray
from dspsep.kernels import kernels_for
from dspsep.metrics._stacks import Stack

__all__ = ["block_length", "correlations", "spectra_of"]

#: Blocks are at least this many times as long as the filters, so that little of each is padding.
_LONG = 16

#: Blocks that are transformed together: eighty megabytes for a dozen channels and 512 delays.
_TOGETHER = 32


def block_length(n_samples: int, n_delays: int) -> int:
    """Return a length for transforms of `n_samples`, with room for `n_delays` at one end.

    A power of two; no longer than needed for short signals.
    """
    longest = 1 << (_LONG * n_delays - 1).bit_length()
    needed = 1 << (n_samples + n_delays - 2).bit_length()
    return max(min(longest, needed), 2)


def correlations(left: Stack, right: Stack, within: tuple[int, int], n_delays: int) -> FloatArray:
    """Return the inner products of the rows of `left` and `right`, (n_delays, left rows, right rows).

    Only the samples `within` (start, stop) count: what is before and after them is taken for silence.
    """
    start, stop = within
    length = block_length(stop - start, n_delays)
    hop = length - n_delays + 1
    xp = _backend.namespace(left.like)
    kernels = kernels_for(left.like)
    shape = left.n_rows, right.n_rows, length // 2 + 1
    total = xp.zeros(shape, dtype=xp.complex128, device=left.like.device)
    for first in range(start, stop, hop * _TOGETHER):
        n_blocks = min(_TOGETHER, -(-(stop - first) // hop))
        rows = left.read(first, first + n_blocks * hop, within)
        one = spectra_of(rows, n_blocks, hop, hop, length)
        rows = right.read(first, first + (n_blocks - 1) * hop + length, within)
        other = spectra_of(rows, n_blocks, hop, length, length)
        total += kernels.cross_spectra(one, other)
    sums = xp.fft.irfft(total, n=length, axis=-1)[:, :, :n_delays]
    return np.ascontiguousarray(_backend.to_host(sums).transpose(2, 0, 1))


def spectra_of(rows: Array, n_blocks: int, hop: int, size: int, length: int) -> Array:
    """Return the transforms of `length` of blocks of `size` samples every `hop` samples of each row."""
    xp = _backend.namespace(rows)
    blocks = xp.stack([rows[:, b * hop : b * hop + size] for b in range(n_blocks)], axis=1)
    spectra: Array = xp.fft.rfft(blocks, n=length, axis=-1)
    return spectra
