"""How every CPU kernel is compiled, in one place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.sigutils import normalize_signature

from dspsep._typing import Array

__all__ = ["inlined", "kernel", "native", "readonly"]

F = TypeVar("F", bound=Callable[..., Any])

# "fast" would also assume that NaN and infinity never occur, and then `isnan` is compiled to False.
_NAN_SAFE_FLAGS = {"contract", "arcp", "nsz", "reassoc"}

# numba compiles under one lock. A child that is forked while another thread holds it would wait for a thread
# that it does not have, the first time that it compiles or loads a kernel. So forks wait for that thread.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


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
    _stamp(compiled)
    return cast("F", compiled)


def inlined(function: F) -> F:
    """Compile `function` as a part of the kernels that call it; it is not called from outside.

    As a part of them always, and never as a function of its own: of that, the process that compiles would
    run the copy that it compiled first, and those that load the kernel the copy that is in it. LLVM may have
    ordered the sums of the two differently, and the same seed would give other bytes.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _NAN_SAFE_FLAGS}
    return cast("F", numba.njit(forceinline=True, **options)(function))


def native(signature: Any) -> Callable[[F], Any]:
    """Compile a function of one signature, now, to one that kernels can call by its `address`."""

    def compiled_now(function: F) -> Any:
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": _NAN_SAFE_FLAGS}
        # `numba.cfunc` by hand, which compiles before anything can be stamped.
        compiled = CFunc(function, normalize_signature(signature), {}, options)
        try:
            compiled.enable_caching()
        except RuntimeError:
            pass
        else:
            _stamp(compiled)
        compiled.compile()
        return compiled

    return compiled_now


def _stamp(compiled: Any) -> None:
    """Make what is cached on disk depend on the source of all kernels.

    numba looks at the size and the time of the kernel's own file. But a kernel is made of functions in
    other files, too, and installers give every version's files the same time.
    """
    file = getattr(compiled._cache, "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, _fingerprint())


@cache
def _fingerprint() -> str:
    folder = Path(__file__).parents[1]
    sources = sorted([folder / "_networks.py", *folder.glob("*/*.py")])
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def readonly(array: Array) -> Array:
    """Return a read-only, C-contiguous view of `array` (a copy only where its layout asks for one).

    Every kernel input passes here, so that a writable and a read-only array, which are different types
    to numba, share one compiled signature.
    """
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view
