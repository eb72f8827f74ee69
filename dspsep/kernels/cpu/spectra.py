"""Products of spectra, added up in pieces that stay in a core's cache."""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["cross_spectra", "filter_spectra"]

#: Bins of a piece: a row is two kilobytes.
_PIECE = 256


def cross_spectra(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.cross_spectra`."""
    left, right = readonly(left), readonly(right)
    n_freqs = left.shape[2]
    total = np.empty((left.shape[0], right.shape[0], n_freqs), dtype=left.dtype)
    jobs = [(left, right, start, min(start + _PIECE, n_freqs), total) for start in range(0, n_freqs, _PIECE)]
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
def _cross(left: Array, right: Array, start: int, stop: int, total: Array) -> None:
    n = stop - start
    real, imaginary = _parts(left, start, stop)
    other_real, other_imaginary = _parts(right, start, stop)
    sum_real, sum_imaginary = np.empty(n), np.empty(n)
    for i in range(left.shape[0]):
        for j in range(right.shape[0]):
            sum_real[:] = 0
            sum_imaginary[:] = 0
            for block in range(left.shape[1]):
                for f in range(n):
                    a, b = real[i, block, f], imaginary[i, block, f]
                    sum_real[f] += a * other_real[j, block, f] + b * other_imaginary[j, block, f]
                    sum_imaginary[f] += a * other_imaginary[j, block, f] - b * other_real[j, block, f]
            for f in range(n):
                total[i, j, start + f] = complex(sum_real[f], sum_imaginary[f])


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
    """Return real and imaginary parts of a piece, apart: loops over them become vector instructions."""
    shape = values.shape[0], values.shape[1], stop - start
    real, imaginary = np.empty(shape), np.empty(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for f in range(shape[2]):
                real[i, j, f] = values[i, j, start + f].real
                imaginary[i, j, f] = values[i, j, start + f].imag
    return real, imaginary
