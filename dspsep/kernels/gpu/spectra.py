"""Products of spectra, bin by bin, where they lie.

Batches of small matrix products are what cuBLAS is for, but its batches would be the bins, which are the
last axis here: both factors would be transposed on the way in, each of them another pass over memory, for
products of a few rows. A filter of one channel is even a mere multiplication. Here a thread has one bin, so
that all reads are coalesced, and up to four rows of the left factor, so that what it reads of the right one
serves all of them.

What bounds it is memory (estimate; nothing of this was measured): for `n` outputs of `m` inputs each input
is read once for four outputs, from a cache after the first time, and each output is written once: 8 bytes
for each complex number of single precision. Sums are made in the precision of the spectra, in their order.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import typed

__all__ = ["cross_spectra", "filter_spectra"]

_THREADS, _ROWS = 128, 4

# out[p, q, f] is the sum over r of a[p, r, f] * b[r, q, f], or with the conjugate of a.
_SOURCE = """
extern "C" __global__ void products(
    const COMPLEX *a, const COMPLEX *b, COMPLEX *out, int n_p, int n_q, int n_r, int n_freqs, long long b_q,
    long long b_r, REAL sign, int n_columns
) {
    const int k = blockIdx.x % n_columns * blockDim.x + threadIdx.x;
    const long long q = blockIdx.x / n_columns % n_q, p = blockIdx.x / n_columns / n_q * ROWS;
    if (k >= n_freqs) return;
    REAL real[ROWS] = {}, imaginary[ROWS] = {};
    for (long long r = 0; r < n_r; r++) {
        const COMPLEX right = b[(q * b_q + r * b_r) * n_freqs + k];
        #pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const COMPLEX left = a[(min(p + i, n_p - 1LL) * n_r + r) * n_freqs + k];
            const REAL turned = sign * left.y;
            real[i] += left.x * right.x - turned * right.y;
            imaginary[i] += left.x * right.y + turned * right.x;
        }
    }
    #pragma unroll
    for (int i = 0; i < ROWS; i++)
        if (p + i < n_p) {
            COMPLEX sum;
            sum.x = real[i];
            sum.y = imaginary[i];
            out[((p + i) * n_q + q) * n_freqs + k] = sum;
        }
}
"""


def cross_spectra(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.cross_spectra`."""
    n_blocks = left.shape[1]
    return _products(left, right, right.shape[0], (n_blocks, 1), -1)


def filter_spectra(filters: Array, spectra: Array) -> Array:
    """See `dspsep.kernels.Kernels.filter_spectra`."""
    n_blocks = spectra.shape[1]
    return _products(filters, spectra, n_blocks, (1, n_blocks), 1)


def _products(a: Array, b: Array, n_q: int, steps: tuple[int, int], sign: int) -> Array:
    """Return the sums over the second axis of `a`; `steps` are those in `b` to an output and an addend."""
    xp = _backend.namespace(a, b)
    kind = xp.result_type(a.dtype, b.dtype)
    a, b = (contiguous(xp.astype(array, kind, copy=False)) for array in (a, b))
    n_p, n_r, n_freqs = a.shape
    out: Array = xp.empty((n_p, n_q, n_freqs), dtype=kind, device=a.device)
    if 0 in out.shape:
        return out
    rows, n_columns = min(_ROWS, n_p), blocks(n_freqs, _THREADS)
    launch(
        typed(_SOURCE, precision(a), ROWS=rows),
        "products",
        (blocks(n_p, rows) * n_q * n_columns,),
        (_THREADS,),
        a,
        b,
        out,
        *map(np.int32, (n_p, n_q, n_r, n_freqs)),
        *map(np.int64, steps),
        np.dtype(precision(a)).type(sign),
        np.int32(n_columns),
    )
    return out
