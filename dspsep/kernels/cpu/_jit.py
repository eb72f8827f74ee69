"""How every CPU kernel is compiled, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from dspsep._typing import Array

__all__ = ["kernel", "readonly"]

F = TypeVar("F", bound=Callable[..., Any])

# "fast" would also assume that NaN and infinity never occur, and then `isnan` is compiled to False.
_NAN_SAFE_FLAGS = {"contract", "arcp", "nsz", "reassoc"}


def kernel(function: F) -> F:
    """Compile `function` with numba on first use: without the GIL, cached on disk where that can be.

    Signatures are lazy, one for each precision. Where neither the package's folder nor the user's
    cache can be written (a read-only container), the kernel is compiled anew in every process.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _NAN_SAFE_FLAGS}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function …: no locator available for file …"
        compiled = numba.njit(**options)(function)
    return cast("F", compiled)


def readonly(array: Array) -> Array:
    """Return a read-only, C-contiguous view of `array` (a copy only where its layout asks for one).

    Every kernel input passes here, so that a writable and a read-only array, which are different types
    to numba, share one compiled signature.
    """
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view
