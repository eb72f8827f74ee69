"""Real FFTs of many frames side by side: `LANES` frames, one in each lane of every vector.

A tile of frames lies in memory as vectors: ``z[2 n]`` holds sample 2n of all frames and ``z[2 n + 1]`` sample
2n + 1, which together are element n of a complex signal of half the length (the usual way of computing a real
FFT with a complex one). So there are no shuffles inside the transform, and every step is the textbook's with
vectors for numbers.

The complex FFT is Stockham's: the order of elements is put right on the way, from one array to another and
back. With M elements, radix r and m = M / r, a step takes stride s to r s,

    y[q + s (r p + k)] = w^(p k) sum_j x[q + s (p + m j)] exp(-2 pi i j k / r),    w = exp(-2 pi i / M),

for 0 <= p < m and 0 <= q < s: by fours, and one step of two where the length is no power of four.

With Z the transform of the complex signal of M = N / 2 elements, the spectrum of the N real samples is

    X[k] = (Z[k] + conj Z[M - k]) / 2 - i exp(-2 pi i k / N) (Z[k] - conj Z[M - k]) / 2,    0 <= k <= M,

and back, Z[k] = (X[k] + conj X[M - k]) / 2 + i exp(2 pi i k / N) (X[k] - conj X[M - k]) / 2. The inverse
FFT is the forward one of the conjugate, conjugated; the latter, a change of sign of every second sample, is
left to the window that the frames are multiplied with: see `inverse_window`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined
from dspsep.kernels.simd._vectors import LANES, load, splat, store

__all__ = ["complex_fft", "has_fft", "inverse_window", "to_half", "to_half_masked", "to_spectrum", "twiddles"]

# From one register of frames to what is left of the memory of a core.
_SMALLEST, _LARGEST = 2 * LANES, 2**15
_PAIR = 2 * LANES  # numbers from one complex element to the next


def has_fft(n_fft: int) -> bool:
    """Tell whether frames of this length can be transformed here."""
    return _SMALLEST <= n_fft <= _LARGEST and n_fft & (n_fft - 1) == 0


@lru_cache(maxsize=16)
def twiddles(n_fft: int, dtype: str) -> tuple[Array, Array]:
    """Return the factors of the complex FFT, and those from it to the real one.

    The factors of the step for n elements begin at place 2 n: they end before those for the next larger n.
    """
    n = n_fft // 2
    steps = np.zeros(4 * n, dtype)
    while n > 1:
        radix = 4 if n % 4 == 0 else 2
        turns = np.outer(np.arange(n // radix), np.arange(1, radix)) / n
        factors = _factors(turns.reshape(-1), dtype)
        steps[2 * n : 2 * n + factors.size] = factors
        n //= radix
    half = _factors(np.arange(n_fft // 2 + 1) / n_fft, dtype)
    return _frozen(steps), _frozen(half)


def inverse_window(window: Array) -> Array:
    """Return what to multiply frames with that come out of the inverse, for them to be windowed."""
    signs = np.where(np.arange(window.size) % 2, -1, 1).astype(window.dtype)
    return _frozen(window * signs / window.dtype.type(window.size))


def _factors(turns: Array, dtype: str) -> Array:
    """Return exp(-2 pi i turns), real and imaginary parts in turn."""
    angle = -2 * np.pi * turns
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(-1).astype(dtype)


def _frozen(values: Array) -> Array:
    values.setflags(write=False)
    return values


@inlined
def complex_fft(x: Array, y: Array, factors: Array, size: int) -> Array:
    """Transform `size` elements that are in `x`; return the array, `x` or `y`, that holds the result."""
    n = size
    while n > 1:
        if n % 4 == 0:
            _step_of_four(x, y, factors, n, size // n)
            n //= 4
        else:
            _step_of_two(x, y, factors, n, size // n)
            n //= 2
        x, y = y, x
    return x


@inlined
def _step_of_four(x: Array, y: Array, factors: Array, n: int, stride: int) -> None:
    m, width, place = n // 4, stride * _PAIR, 2 * n
    for p in range(m):
        w1r, w1i = splat(factors[place]), splat(factors[place + 1])
        w2r, w2i = splat(factors[place + 2]), splat(factors[place + 3])
        w3r, w3i = splat(factors[place + 4]), splat(factors[place + 5])
        place += 6
        for q in range(0, width, _PAIR):
            i = width * p + q
            ar, ai = load(x, i), load(x, i + LANES)
            i += width * m
            br, bi = load(x, i), load(x, i + LANES)
            i += width * m
            cr, ci = load(x, i), load(x, i + LANES)
            i += width * m
            dr, di = load(x, i), load(x, i + LANES)
            sum_r, sum_i, difference_r, difference_i = ar + cr, ai + ci, ar - cr, ai - ci
            # Of the others, the difference times -i.
            other_r, other_i, turned_r, turned_i = br + dr, bi + di, bi - di, dr - br
            o = 4 * width * p + q
            store(y, o, sum_r + other_r)
            store(y, o + LANES, sum_i + other_i)
            o += width
            ur, ui = difference_r + turned_r, difference_i + turned_i
            store(y, o, ur * w1r - ui * w1i)
            store(y, o + LANES, ur * w1i + ui * w1r)
            o += width
            ur, ui = sum_r - other_r, sum_i - other_i
            store(y, o, ur * w2r - ui * w2i)
            store(y, o + LANES, ur * w2i + ui * w2r)
            o += width
            ur, ui = difference_r - turned_r, difference_i - turned_i
            store(y, o, ur * w3r - ui * w3i)
            store(y, o + LANES, ur * w3i + ui * w3r)


@inlined
def _step_of_two(x: Array, y: Array, factors: Array, n: int, stride: int) -> None:
    m, width, place = n // 2, stride * _PAIR, 2 * n
    for p in range(m):
        wr, wi = splat(factors[place]), splat(factors[place + 1])
        place += 2
        for q in range(0, width, _PAIR):
            i = width * p + q
            ar, ai = load(x, i), load(x, i + LANES)
            i += width * m
            br, bi = load(x, i), load(x, i + LANES)
            o = 2 * width * p + q
            store(y, o, ar + br)
            store(y, o + LANES, ai + bi)
            o += width
            ur, ui = ar - br, ai - bi
            store(y, o, ur * wr - ui * wi)
            store(y, o + LANES, ur * wi + ui * wr)


@inlined
def to_spectrum(z: Array, half: Array, n: int, spectrum: Array) -> None:
    """Write the n + 1 bins of the real frames whose complex transform of `n` elements is in `z`."""
    ar, ai = load(z, 0), load(z, LANES)
    nothing = ar - ar
    store(spectrum, 0, ar + ai)
    store(spectrum, LANES, nothing)
    store(spectrum, n * _PAIR, ar - ai)
    store(spectrum, n * _PAIR + LANES, nothing)
    point_five = splat(half[0] * half.dtype.type(0.5))
    # Bins k and n - k are made of the same two elements.
    for k in range(1, n // 2 + 1):
        i, j = k * _PAIR, (n - k) * _PAIR
        ar, ai, br, bi = load(z, i), load(z, i + LANES), load(z, j), load(z, j + LANES)
        even_r, even_i = (ar + br) * point_five, (ai - bi) * point_five
        odd_r, odd_i = (ai + bi) * point_five, (br - ar) * point_five
        wr, wi = splat(half[2 * k]), splat(half[2 * k + 1])
        turned_r, turned_i = odd_r * wr - odd_i * wi, odd_r * wi + odd_i * wr
        store(spectrum, i, even_r + turned_r)
        store(spectrum, i + LANES, even_i + turned_i)
        store(spectrum, j, even_r - turned_r)
        store(spectrum, j + LANES, turned_i - even_i)


@inlined
def to_half(spectrum: Array, half: Array, n: int, z: Array) -> None:
    """Write the conjugate of the complex transform of `n` elements of real frames of n + 1 bins.

    That undoes `to_spectrum`, but without the factor 1/2. The imaginary parts of bins 0 and n count as
    zero, as in every inverse FFT of real signals.
    """
    _half_ends(load(spectrum, 0), load(spectrum, n * _PAIR), z)
    for k in range(1, n // 2 + 1):
        i, j = k * _PAIR, (n - k) * _PAIR
        ar, ai = load(spectrum, i), load(spectrum, i + LANES)
        br, bi = load(spectrum, j), load(spectrum, j + LANES)
        _half_pair(ar, ai, br, bi, splat(half[2 * k]), splat(half[2 * k + 1]), z, i, j)


@inlined
def to_half_masked(spectrum: Array, mask: Array, half: Array, n: int, z: Array) -> None:
    """Do the same with bins that are multiplied by a mask on the way."""
    first, last = load(spectrum, 0) * load(mask, 0), load(spectrum, n * _PAIR) * load(mask, n * LANES)
    _half_ends(first, last, z)
    for k in range(1, n // 2 + 1):
        i, j = k * _PAIR, (n - k) * _PAIR
        a, b = load(mask, k * LANES), load(mask, (n - k) * LANES)
        ar, ai = load(spectrum, i) * a, load(spectrum, i + LANES) * a
        br, bi = load(spectrum, j) * b, load(spectrum, j + LANES) * b
        _half_pair(ar, ai, br, bi, splat(half[2 * k]), splat(half[2 * k + 1]), z, i, j)


@inlined
def _half_ends(first: Any, last: Any, z: Array) -> None:
    store(z, 0, first + last)
    store(z, LANES, last - first)


@inlined
def _half_pair(ar: Any, ai: Any, br: Any, bi: Any, wr: Any, wi: Any, z: Array, i: int, j: int) -> None:
    """Write two elements that are made of the same two bins."""
    even_r, opposite, turned_r, turned_i = ar + br, bi - ai, ar - br, ai + bi
    # Times the conjugate of the factor.
    odd_r, odd_i = turned_r * wr + turned_i * wi, turned_i * wr - turned_r * wi
    store(z, i, even_r - odd_i)
    store(z, i + LANES, opposite - odd_r)
    store(z, j, even_r + odd_i)
    store(z, j + LANES, ai - bi - odd_r)
