"""Products of spectra, added up in pieces that stay in a core's cache."""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["cross_spectra", "filter_spectra"]

#: Bins of a piece: a row is two kilobytes.
_PIECE = 256

#: Blocks that are added up at once.
_ABREAST = 4


def cross_spectra(total: Array, left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.cross_spectra`."""
    left, right = readonly(left), readonly(right)
    total = np.ascontiguousarray(total)
    n_freqs = total.shape[2]
    jobs = [(total, left, right, start, min(start + _PIECE, n_freqs)) for start in range(0, n_freqs, _PIECE)]
    _parallel.run(_cross, jobs)
    return total


def filter_spectra(filters: Array, spectra: Array) -> Array:
    """See `dspsep.kernels.Kernels.filter_spectra`."""
    filters, spectra = readonly(filters), readonly(spectra)
    n_freqs = spectra.shape[2]
    filtered = np.empty((filters.shape[0], *spectra.shape[1:]), dtype=spectra.dtype)
    jobs = [
        (filters, spectra, start, min(start + _PIECE, n_freqs), filtered)
        for start in range(0, n_freqs, _PIECE)
    ]
    _parallel.run(_filter, jobs)
    return filtered


@kernel
def _cross(total: Array, left: Array, right: Array, start: int, stop: int) -> None:
    n_blocks, n = left.shape[1], stop - start
    real, imaginary = _parts(left, start, stop)
    other_real, other_imaginary = _parts(right, start, stop)
    for i in range(left.shape[0]):
        for j in range(right.shape[0]):
            for block in range(0, n_blocks, _ABREAST):
                # Four blocks abreast, so that the sum is loaded and stored once for all of them.
                a, b, c, d = block, block + 1, block + 2, block + 3
                for f in range(n):
                    total[i, j, start + f] += complex(
                        real[i, a, f] * other_real[j, a, f]
                        + imaginary[i, a, f] * other_imaginary[j, a, f]
                        + real[i, b, f] * other_real[j, b, f]
                        + imaginary[i, b, f] * other_imaginary[j, b, f]
                        + real[i, c, f] * other_real[j, c, f]
                        + imaginary[i, c, f] * other_imaginary[j, c, f]
                        + real[i, d, f] * other_real[j, d, f]
                        + imaginary[i, d, f] * other_imaginary[j, d, f],
                        real[i, a, f] * other_imaginary[j, a, f]
                        - imaginary[i, a, f] * other_real[j, a, f]
                        + real[i, b, f] * other_imaginary[j, b, f]
                        - imaginary[i, b, f] * other_real[j, b, f]
                        + real[i, c, f] * other_imaginary[j, c, f]
                        - imaginary[i, c, f] * other_real[j, c, f]
                        + real[i, d, f] * other_imaginary[j, d, f]
                        - imaginary[i, d, f] * other_real[j, d, f],
                    )


@kernel
def _filter(filters: Array, spectra: Array, start: int, stop: int, filtered: Array) -> None:
    n = stop - start
    real, imaginary = _parts(spectra, start, stop)
    filter_real, filter_imaginary = _parts(filters, start, stop)
    sum_real, sum_imaginary = np.empty(n), np.empty(n)
    for o in range(filters.shape[0]):
        for block in range(spectra.shape[1]):
            sum_real[:] = 0
            sum_imaginary[:] = 0
            for i in range(filters.shape[1]):
                for f in range(n):
                    a, b = filter_real[o, i, f], filter_imaginary[o, i, f]
                    sum_real[f] += a * real[i, block, f] - b * imaginary[i, block, f]
                    sum_imaginary[f] += a * imaginary[i, block, f] + b * real[i, block, f]
            for f in range(n):
                filtered[o, block, start + f] = complex(sum_real[f], sum_imaginary[f])


@inlined
def _parts(values: Array, start: int, stop: int) -> tuple[Array, Array]:
    """Return real and imaginary parts of a piece, apart: loops over them become vector instructions.

    The middle axis is filled up with zeros to a multiple of `_ABREAST`.
    """
    rows, columns, n = values.shape[0], values.shape[1], stop - start
    shape = rows, -(-columns // _ABREAST) * _ABREAST, n
    real, imaginary = np.zeros(shape), np.zeros(shape)
    for i in range(rows):
        for j in range(columns):
            for f in range(n):
                real[i, j, f] = values[i, j, start + f].real
                imaginary[i, j, f] = values[i, j, start + f].imag
    return real, imaginary
