"""dspsep without its compiled kernels, in the same process as dspsep with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

__all__ = ["with_generic_kernels"]

T = TypeVar("T")


def with_generic_kernels(call: Callable[[], T]) -> Callable[[], T]:
    """Return the same call with ``DSPSEP_KERNELS=generic``, read by dspsep whenever it picks its kernels."""

    def generic() -> T:
        before = os.environ.get("DSPSEP_KERNELS")
        os.environ["DSPSEP_KERNELS"] = "generic"
        try:
            return call()
        finally:
            if before is None:
                del os.environ["DSPSEP_KERNELS"]
            else:
                os.environ["DSPSEP_KERNELS"] = before

    return generic
