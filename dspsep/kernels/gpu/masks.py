"""Ratio masks in one pass over two spectrograms, with no temporaries of their size.

Threads stride over the memory as it lies: arrays whose axes are exchanged alike need no copies. What bounds
it is that memory (estimate; nothing of this was measured): two arrays are read and one is written, 12 bytes
a value in single precision, where array expressions move some 100.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels.gpu._arrays import contiguous, precision
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._selection import typed

__all__ = ["soft_mask"]

_THREADS = 256
# Blocks at most, each of which goes on where the last one ends: several waves of the largest devices.
_BLOCKS = 2**16

_SOURCE = """
extern "C" __global__ void soft_mask(
    const REAL *values, const REAL *rivals, REAL *mask, long long n, REAL margin, REAL power, REAL tie,
    REAL smallest
) {
    const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long i = first; i < n; i += (long long)gridDim.x * blockDim.x) {
        REAL own = values[i], other = rivals[i] * margin;
        const REAL largest = own > other ? own : other;
        if (largest < smallest) {
            mask[i] = tie;
        } else {
            own /= largest;
            other /= largest;
            own = POWER(own);
            other = POWER(other);
            mask[i] = own / (own + other);
        }
    }
}
"""
# Usual powers need no logarithm.
_POWERS = {1.0: "x", 2.0: "x * x"}
_POWER = "#define POWER(x) ({})\n"


def soft_mask(values: Array, rival: Array, margin: float, power: float, tie: float) -> Array:
    """See `dspsep.kernels.Kernels.soft_mask`."""
    xp = _backend.namespace(values, rival)
    # The axes in the order in which `values` lies in memory, and back.
    axes = sorted(range(values.ndim), key=lambda axis: (-abs(values.strides[axis]), axis))
    back = sorted(range(values.ndim), key=axes.__getitem__)
    own, other = (contiguous(xp.permute_dims(array, tuple(axes))) for array in (values, rival))
    mask: Array = xp.empty(own.shape, dtype=own.dtype, device=own.device)
    n = int(np.prod(own.shape, dtype=np.int64))
    if n:
        real = np.dtype(precision(values)).type
        settings = real(margin), real(power), real(tie), np.finfo(real).tiny
        grid = (min(_BLOCKS, blocks(n, _THREADS)),)
        function = "powf(x, power)" if real is np.float32 else "pow(x, power)"
        source = _POWER.format(_POWERS.get(power, function)) + _SOURCE
        name = "soft_mask"
        launch(
            typed(source, precision(values)),
            name,
            grid,
            (_THREADS,),
            own,
            other,
            mask,
            np.int64(n),
            *settings,
        )
    turned: Array = xp.permute_dims(mask, tuple(back))
    return turned
