"""Steps that factors take, on the device: one launch where array expressions need some eight for each row.

**What bounds it**, estimated, not measured: factors are small beside spectrograms (26000 frames of 32
components are 3.3 MB), so launches outweigh what they do. `multiplied` and `extrapolated` read and write each
value once, neighbouring threads neighbouring values. `coordinate_sweeps` goes through rows in their order, so
that a column is the work of one thread: K**2 fused multiply-adds a sweep, 27e6 for 26000 columns of 32, each
with one value from shared memory and one of the Gram matrix, the same for all threads. Latency bounds it:
there are 1025 threads for the templates of as many bins. As array expressions two sweeps are 24 K launches.

Columns stay in shared memory while 64 of them fit into 32 kB: 128 components in single precision, 64 in
double. Longer ones stay in global memory, where neighbouring threads read neighbouring values.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous
from dspsep.kernels.gpu._launch import REAL, blocks, launch

__all__ = ["coordinate_sweeps", "extrapolated", "multiplied"]

_COLUMNS, _SHARED_BYTES = 64, 32768


def multiplied(
    factor: Array, numerator: Array, denominator: Array, exponent: float, kept: Array | None
) -> Array:
    """See `dspsep.kernels.Kernels.multiplied`."""
    if factor.dtype.name not in REAL or not factor.dtype == numerator.dtype == denominator.dtype:
        return generic.multiplied(factor, numerator, denominator, exponent, kept)
    xp = _backend.namespace(factor, numerator, denominator)
    factor, denominator = contiguous(factor), contiguous(denominator)
    numerator = contiguous(xp.broadcast_to(numerator, factor.shape))
    stays = xp.empty((0, 0), dtype=xp.bool, device=factor.device) if kept is None else kept
    stays = contiguous(stays)
    result: Array = xp.empty_like(factor)
    n_rows, n_columns = factor.shape
    real = factor.dtype.type
    tiny = real(xp.finfo(factor.dtype).smallest_normal)
    has_kept = np.int32(kept is not None)
    scalars = real(exponent), tiny, *_strides(denominator), has_kept, *_strides(stays), np.int64(n_columns)
    n = n_rows * n_columns
    source = _source(_MULTIPLIED, factor.dtype.name)
    arrays = factor, numerator, denominator, stays, result
    launch(source, "multiplied", (blocks(n, 256),), (256,), *arrays, *scalars, np.int64(n))
    return result


def _strides(array: Array) -> tuple[np.int64, np.int64]:
    """Return how far apart rows and columns are in a contiguous array: 0 where there is but one."""
    n_rows, n_columns = array.shape
    return np.int64(n_columns if n_rows > 1 else 0), np.int64(n_columns > 1)


def extrapolated(new: Array, last: Array, momentum: float) -> Array:
    """See `dspsep.kernels.Kernels.extrapolated`."""
    if new.dtype != last.dtype or new.shape != last.shape or new.dtype.name not in REAL:
        return generic.extrapolated(new, last, momentum)
    xp = _backend.namespace(new, last)
    new, last = contiguous(new), contiguous(last)
    result: Array = xp.empty_like(new)
    real, n = new.dtype.type, new.shape[0] * new.shape[1]
    scalars = real(momentum), real(xp.finfo(new.dtype).smallest_normal), np.int64(n)
    source = _source(_EXTRAPOLATED, new.dtype.name)
    launch(source, "extrapolated", (blocks(n, 256),), (256,), new, last, result, *scalars)
    return result


def coordinate_sweeps(
    numerator: Array, gram: Array, factor: Array, kept: Array | None, n_sweeps: int
) -> Array:
    """See `dspsep.kernels.Kernels.coordinate_sweeps`."""
    dtype = factor.dtype
    if dtype.name not in REAL or not dtype == numerator.dtype == gram.dtype:
        return generic.coordinate_sweeps(numerator, gram, factor, kept, n_sweeps)
    xp = _backend.namespace(numerator, gram, factor)
    stays = xp.empty((0,), dtype=xp.bool, device=factor.device) if kept is None else kept
    numerator, gram, factor, stays = (contiguous(each) for each in (numerator, gram, factor, stays))
    result: Array = xp.empty_like(factor)
    n_components, n = factor.shape
    most = max(16, 1 << (n_components - 1).bit_length())
    near = most * _COLUMNS * dtype.itemsize <= _SHARED_BYTES
    source = _source(_SWEEPS, dtype.name, NEAR=near, MOST=most if near else 1, COLUMNS=_COLUMNS)
    has_kept = np.int32(kept is not None)
    scalars = np.int32(n_components), np.int64(n), np.int32(n_sweeps), has_kept
    arrays = numerator, gram, factor, stays, result
    launch(source, "sweeps", (blocks(n, _COLUMNS),), (_COLUMNS,), *arrays, *scalars)
    return result


@cache
def _source(body: str, dtype: str, **settings: int) -> str:
    defined = "".join(f"#define {name} {int(value)}\n" for name, value in settings.items())
    suffix = "f" if dtype == "float32" else ""
    return defined + body.replace("REAL", REAL[dtype]).replace("pow(", f"pow{suffix}(")


_MULTIPLIED = r"""
extern "C" __global__ void multiplied(
    const REAL *__restrict__ factor, const REAL *__restrict__ numerator,
    const REAL *__restrict__ denominator, const bool *__restrict__ kept, REAL *__restrict__ result,
    REAL exponent, REAL tiny, long long row, long long column, int has_kept, long long kept_row,
    long long kept_column, long long n_columns, long long n) {
    const long long place = blockIdx.x * 256LL + threadIdx.x;
    if (place >= n) return;
    const long long i = place / n_columns, j = place - i * n_columns;
    const REAL old = factor[place], below = denominator[i * row + j * column];
    REAL ratio = below > tiny ? numerator[place] / below : (REAL)1;
    if (exponent != 1) ratio = pow(ratio, exponent);
    const bool stays = has_kept && kept[i * kept_row + j * kept_column];
    result[place] = stays ? old : old * ratio;
}
"""

_EXTRAPOLATED = r"""
extern "C" __global__ void extrapolated(
    const REAL *__restrict__ latest, const REAL *__restrict__ last, REAL *__restrict__ result,
    REAL momentum, REAL tiny, long long n) {
    const long long place = blockIdx.x * 256LL + threadIdx.x;
    if (place >= n) return;
    const REAL value = latest[place], before = last[place];
    REAL ratio = before > tiny && value > tiny ? value / before : (REAL)1;
    if (ratio < (REAL)1e-3) ratio = (REAL)1e-3;
    if (ratio > (REAL)1e3) ratio = (REAL)1e3;
    result[place] = value * pow(ratio, momentum);
}
"""

_SWEEPS = r"""
#if NEAR
#define AT(k) column[(k) * COLUMNS + threadIdx.x]
#else
#define AT(k) result[(k) * n + place]
#endif
extern "C" __global__ void __launch_bounds__(COLUMNS) sweeps(
    const REAL *__restrict__ numerator, const REAL *__restrict__ gram, const REAL *__restrict__ factor,
    const bool *__restrict__ kept, REAL *result, int n_components, long long n, int n_sweeps,
    int has_kept) {
#if NEAR
    __shared__ REAL column[MOST * COLUMNS];  // each thread has its own, and meets no other
#endif
    const long long place = blockIdx.x * (long long)COLUMNS + threadIdx.x;
    if (place >= n) return;
    for (int k = 0; k < n_components; k++) AT(k) = factor[k * n + place];
    for (int sweep = 0; sweep < n_sweeps; sweep++)
        for (int k = 0; k < n_components; k++) {
            const REAL *row = gram + (long long)k * n_components;
            const REAL diagonal = row[k];
            if (!(diagonal > 0)) continue;
            if (has_kept && kept[k * n + place]) continue;
            REAL dots[4] = {0, 0, 0, 0};
            int other = 0;
            for (; other + 4 <= n_components; other += 4) {
                dots[0] += row[other] * AT(other);
                dots[1] += row[other + 1] * AT(other + 1);
                dots[2] += row[other + 2] * AT(other + 2);
                dots[3] += row[other + 3] * AT(other + 3);
            }
            for (; other < n_components; other++) dots[0] += row[other] * AT(other);
            const REAL pull = numerator[k * n + place] - ((dots[0] + dots[1]) + (dots[2] + dots[3]));
            const REAL following = AT(k) + pull / diagonal;
            AT(k) = following < 0 ? (REAL)0 : following;  // NaN stays what it is
        }
#if NEAR
    for (int k = 0; k < n_components; k++) result[k * n + place] = AT(k);
#endif
}
"""
