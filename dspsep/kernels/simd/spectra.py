"""Products of spectra with their sums in registers.

Real and imaginary parts of a piece of all spectra are laid out apart first, so that a vector holds
neighbouring bins and nothing has to be shuffled; a sum over blocks, or over inputs, then touches memory
for its factors alone.
"""

from __future__ import annotations

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.simd._vectors import LANES, load, splat, store

__all__ = ["cross_spectra", "filter_spectra"]

#: Bins of a piece: with a dozen channels and eight blocks, half a megabyte.
_PIECE = 16 * LANES


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
    n_blocks = left.shape[1]
    real, imaginary = _parts(left, start, stop)
    other_real, other_imaginary = _parts(right, start, stop)
    many, others = left.shape[0] * n_blocks, right.shape[0] * n_blocks
    sums = np.empty(2 * LANES)
    for f in range(0, stop - start, LANES):
        n = min(LANES, stop - start - f)
        for i in range(left.shape[0]):
            for j in range(right.shape[0]):
                sum_real, sum_imaginary = splat(0.0), splat(0.0)
                for block in range(n_blocks):
                    place = f * many + (i * n_blocks + block) * LANES
                    other = f * others + (j * n_blocks + block) * LANES
                    a, b = load(real, place), load(imaginary, place)
                    c, d = load(other_real, other), load(other_imaginary, other)
                    sum_real = sum_real + a * c + b * d
                    sum_imaginary = sum_imaginary + a * d - b * c
                store(sums, 0, sum_real)
                store(sums, LANES, sum_imaginary)
                for k in range(n):
                    total[i, j, start + f + k] += complex(sums[k], sums[LANES + k])


@kernel
def _filter(filters: Array, spectra: Array, start: int, stop: int, filtered: Array) -> None:
    n_inputs, n_blocks = spectra.shape[0], spectra.shape[1]
    real, imaginary = _parts(filters, start, stop)
    other_real, other_imaginary = _parts(spectra, start, stop)
    many, others = filters.shape[0] * n_inputs, n_inputs * n_blocks
    sums = np.empty(2 * LANES)
    for f in range(0, stop - start, LANES):
        n = min(LANES, stop - start - f)
        for o in range(filters.shape[0]):
            for block in range(n_blocks):
                sum_real, sum_imaginary = splat(0.0), splat(0.0)
                for i in range(n_inputs):
                    place = f * many + (o * n_inputs + i) * LANES
                    other = f * others + (i * n_blocks + block) * LANES
                    a, b = load(real, place), load(imaginary, place)
                    c, d = load(other_real, other), load(other_imaginary, other)
                    sum_real = sum_real + a * c - b * d
                    sum_imaginary = sum_imaginary + a * d + b * c
                store(sums, 0, sum_real)
                store(sums, LANES, sum_imaginary)
                for k in range(n):
                    filtered[o, block, start + f + k] = complex(sums[k], sums[LANES + k])


@inlined
def _parts(values: Array, start: int, stop: int) -> tuple[Array, Array]:
    """Return real and imaginary parts of a piece, apart: `LANES` bins of every run, then the next.

    What is worked on at a time then lies together. The last vectors are filled up with zeros.
    """
    n = stop - start
    runs = values.shape[0] * values.shape[1]
    size = -(-n // LANES) * runs * LANES
    real, imaginary = np.zeros(size), np.zeros(size)
    run = 0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            for f in range(n):
                place = (f // LANES * runs + run) * LANES + f % LANES
                real[place] = values[i, j, start + f].real
                imaginary[place] = values[i, j, start + f].imag
            run += 1
    return real, imaginary
