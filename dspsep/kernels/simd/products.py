"""Products of thin matrices, as factorisations need them, in vectors.

The libraries for products of matrices are made for large ones. Here one length is that of a spectrum, and the
others are a block of frames and a few components, and copying into the order that a library likes costs as
much as multiplying. These keep a tile of the result in registers, and go along the rows as they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep.kernels.cpu import factors as cpu
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.simd._vectors import LANES, load, splat, spread, store, total

__all__ = ["product", "product_with_transposed"]

_WIDTH = 4 * LANES
# Rows of both factors in a tile of sums of products.
_TILE = 4
# With more components libraries are as fast; with fewer than 32 registers they are sooner.
_MOST_COMPONENTS = 96 if LANES == 16 else 4


def product(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product`."""
    if not _is_thin(left, right, min(left.shape)):
        return cpu.product(left, right)
    out = np.empty((left.shape[0], right.shape[1]), left.dtype)
    _product(readonly(left), readonly(right), out)
    return out


def product_with_transposed(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product_with_transposed`."""
    if not _is_thin(left, right, right.shape[0]):
        return cpu.product_with_transposed(left, right)
    out = np.zeros((left.shape[0], right.shape[0]), left.dtype)
    _product_with_transposed(readonly(left), readonly(right), out)
    return out


def _is_thin(left: Array, right: Array, n_components: int) -> bool:
    """Tell whether a library is slower: in double precision vectors are too few for a tile."""
    return left.dtype == right.dtype == np.float32 and n_components <= _MOST_COMPONENTS


@kernel
def _product(left: Array, right: Array, out: Array) -> None:
    m, n_inner = left.shape
    n = right.shape[1]
    flat_left, flat, flat_out = left.reshape(-1), right.reshape(-1), out.reshape(-1)
    wide, whole = n - n % _WIDTH, n - n % LANES
    # The last tile may overlap the one before; fewer rows than a tile are done one by one.
    n_tiles = (m + _TILE - 1) // _TILE if m >= _TILE else 0
    # Rows of a strip lie thousands of bytes apart. Copied, they do not compete for lines of the cache.
    strip = np.empty(n_inner * _WIDTH, left.dtype)
    for column in range(0, wide, _WIDTH):
        for k in range(n_inner):
            for part in range(0, _WIDTH, LANES):
                store(strip, k * _WIDTH + part, load(flat, k * n + column + part))
        for tile in range(n_tiles):
            _tile(flat_left, strip, flat_out, min(tile * _TILE, m - _TILE), column, n_inner, n)
    for row in range(m):
        for column in range(wide if n_tiles else 0, whole, LANES):
            value = splat(left.dtype.type(0))
            for k in range(n_inner):
                value = value + spread(flat_left, row * n_inner + k) * load(flat, k * n + column)
            store(flat_out, row * n + column, value)
        for column in range(whole, n):
            number = left[row, 0] * right[0, column]
            for k in range(1, n_inner):
                number += left[row, k] * right[k, column]
            out[row, column] = number


@inlined
def _tile(left: Array, right: Array, out: Array, row: int, column: int, n_inner: int, n: int) -> None:
    zero = splat(left.dtype.type(0))
    aw, ax, ay, az, bw, bx, by, bz = zero, zero, zero, zero, zero, zero, zero, zero
    cw, cx, cy, cz, dw, dx, dy, dz = zero, zero, zero, zero, zero, zero, zero, zero
    place, its = row * n_inner, 0
    for _ in range(n_inner):
        w, x = load(right, its), load(right, its + LANES)
        y, z = load(right, its + 2 * LANES), load(right, its + 3 * LANES)
        a = spread(left, place)
        aw, ax, ay, az = aw + a * w, ax + a * x, ay + a * y, az + a * z
        b = spread(left, place + n_inner)
        bw, bx, by, bz = bw + b * w, bx + b * x, by + b * y, bz + b * z
        c = spread(left, place + 2 * n_inner)
        cw, cx, cy, cz = cw + c * w, cx + c * x, cy + c * y, cz + c * z
        d = spread(left, place + 3 * n_inner)
        dw, dx, dy, dz = dw + d * w, dx + d * x, dy + d * y, dz + d * z
        place += 1
        its += _WIDTH
    place = row * n + column
    _store_four(out, place, aw, ax, ay, az)
    _store_four(out, place + n, bw, bx, by, bz)
    _store_four(out, place + 2 * n, cw, cx, cy, cz)
    _store_four(out, place + 3 * n, dw, dx, dy, dz)


@inlined
def _store_four(out: Array, place: int, w: Any, x: Any, y: Any, z: Any) -> None:
    store(out, place, w)
    store(out, place + LANES, x)
    store(out, place + 2 * LANES, y)
    store(out, place + 3 * LANES, z)


@kernel
def _product_with_transposed(left: Array, right: Array, out: Array) -> None:
    m, n = left.shape
    n_components = right.shape[0]
    flat_left, flat_right = left.reshape(-1), right.reshape(-1)
    whole = n - n % LANES
    if m >= _TILE and n_components >= _TILE:
        # The last tiles may overlap those before.
        for row in range(0, m, _TILE):
            for k in range(0, n_components, _TILE):
                own, its = min(row, m - _TILE), min(k, n_components - _TILE)
                _sums_of_sixteen(flat_left, flat_right, out, own, its, n, whole)
    else:
        for row in range(m):
            for k in range(n_components):
                out[row, k] = _sum_of_one(flat_left, flat_right, row * n, k * n, whole)
    for row in range(m):
        for k in range(n_components):
            for column in range(whole, n):
                out[row, k] += left[row, column] * right[k, column]


@inlined
def _sum_of_one(left: Array, right: Array, start: int, other: int, whole: int) -> Any:
    value = splat(left.dtype.type(0))
    for column in range(0, whole, LANES):
        value = value + load(left, start + column) * load(right, other + column)
    return total(value)


@inlined
def _sums_of_sixteen(left: Array, right: Array, out: Array, row: int, k: int, n: int, whole: int) -> None:
    zero = splat(left.dtype.type(0))
    aw, ax, ay, az, bw, bx, by, bz = zero, zero, zero, zero, zero, zero, zero, zero
    cw, cx, cy, cz, dw, dx, dy, dz = zero, zero, zero, zero, zero, zero, zero, zero
    start, other = row * n, k * n
    for column in range(0, whole, LANES):
        place, its = start + column, other + column
        w, x = load(right, its), load(right, its + n)
        y, z = load(right, its + 2 * n), load(right, its + 3 * n)
        a = load(left, place)
        aw, ax, ay, az = aw + a * w, ax + a * x, ay + a * y, az + a * z
        b = load(left, place + n)
        bw, bx, by, bz = bw + b * w, bx + b * x, by + b * y, bz + b * z
        c = load(left, place + 2 * n)
        cw, cx, cy, cz = cw + c * w, cx + c * x, cy + c * y, cz + c * z
        d = load(left, place + 3 * n)
        dw, dx, dy, dz = dw + d * w, dx + d * x, dy + d * y, dz + d * z
    out[row, k], out[row, k + 1] = total(aw), total(ax)
    out[row, k + 2], out[row, k + 3] = total(ay), total(az)
    out[row + 1, k], out[row + 1, k + 1] = total(bw), total(bx)
    out[row + 1, k + 2], out[row + 1, k + 3] = total(by), total(bz)
    out[row + 2, k], out[row + 2, k + 1] = total(cw), total(cx)
    out[row + 2, k + 2], out[row + 2, k + 3] = total(cy), total(cz)
    out[row + 3, k], out[row + 3, k + 1] = total(dw), total(dx)
    out[row + 3, k + 2], out[row + 3, k + 3] = total(dy), total(dz)
