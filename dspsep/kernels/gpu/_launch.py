"""CUDA C, compiled once for each device, and launched on the current stream.

Everything that the GPU kernels ask of CuPy beyond array-API expressions is here, so that a test can put
another compiler in its place: the sources in this folder are plain enough to be compiled for the host as
well, where each thread of a block is run in turn (tests/kernels/gpu). Hence the rules that they keep:

* ``extern "C" __global__ void name(...)``, parameters of plain types, no templates there, no headers;
* shared memory of a size known when the source is written, no dynamic one;
* threads meet in ``__syncthreads()``, ``__syncwarp()``, ``__ballot_sync`` and ``__shfl_*_sync``, and all
  lanes do;
* sums in a fixed order and no atomic additions of fractions: the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep.errors import BackendError

__all__ = ["REAL", "blocks", "launch"]

#: What stands for the type of an array in a source: put in by `str.replace` or in a first line ``typedef``.
REAL = {"float32": "float", "float64": "double"}

# No fast mathematics: infinities and NaN mean here what they mean on the host. Subnormal numbers of single
# precision do not: CuPy compiles everything with -ftz=true, its own functions too, so they count as zero.
_OPTIONS = ("--std=c++14",)
_SCALARS = (np.int32, np.int64, np.float32, np.float64)


def blocks(n: int, size: int) -> int:
    """Return how many blocks of `size` threads cover `n`; at least one, since a grid cannot be empty."""
    return max(1, -(-n // size))


def launch(
    source: str, name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Array | np.generic
) -> None:
    """Run the kernel `name` of a source: arrays are passed by address, and must be C-contiguous.

    Scalars are NumPy's, of the width that the kernel declares.
    """
    for argument in arguments:
        if not isinstance(argument, _SCALARS) and not argument.flags.c_contiguous:
            raise ValueError(f"{name} needs C-contiguous arrays")
    _compiled(source, name)(grid, block, arguments)


@cache
def _compiled(source: str, name: str) -> Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]:
    import cupy

    kernel = cupy.RawKernel(source, name, options=_OPTIONS)  # one binary for each device

    def run(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
        # A kernel runs on the current device, and reads whatever the addresses mean there.
        current = cupy.cuda.runtime.getDevice()
        for argument in arguments:
            if not isinstance(argument, _SCALARS) and argument.device.id != current:
                raise BackendError(
                    f"arrays must live on CuPy's current device; got one of device {argument.device.id},"
                    f" and device {current} is current. Work on it inside `with array.device:`."
                )
        kernel(grid, block, arguments)

    return run
