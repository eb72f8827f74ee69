"""Which worker runs which test: each kernel is compiled by one of them, and loaded by the others.

Compiling takes most of the time of a first run. Two workers that come to a kernel at the same moment both
compile it, so tests that need the same kernels go to the same worker, and those of the kernels go first:
whatever comes later finds nearly everything in the cache. Nothing else about the tests changes.
"""

from __future__ import annotations

import re

__all__ = ["KERNELS", "scope_of"]

#: The folder whose tests go first.
KERNELS = "tests/kernels/"
_CONTRACT = "tests/contract/test_contract.py::test_contract"
# Kernels have underscores in their names, and nothing else in the parameters of these tests has.
_KERNEL = re.compile(r"(?:^|-)([a-z]+(?:_[a-z]+)+|product|stft|istft)(?=-|$)")


def scope_of(nodeid: str) -> str:
    """Return what a test is run together with: its kernel, its family's contract, or its function."""
    function, _, parameters = nodeid.partition("[")
    parameters = parameters.removesuffix("]")
    if function.startswith(KERNELS):
        kernel = _KERNEL.search(parameters)
        return f"{KERNELS}{kernel[1]}" if kernel else function
    if function == _CONTRACT:
        return f"{function}[{parameters.partition('-')[0]}"
    return function
