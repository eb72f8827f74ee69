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
#: Kernels that are made of the same functions, and separators that use the same ones.
_TOGETHER = {
    **dict.fromkeys(
        ("bin_covariances", "contrast_step", "demixed_powers", "low_rank_covariances"), "demixing"
    ),
    **dict.fromkeys(("low_rank_terms", "pair_projection", "projection_sweep", "steering_sweep"), "demixing"),
    "weighted_covariances": "demixing",
    **dict.fromkeys(("activation_terms", "divergence_terms", "template_terms"), "factors"),
    **dict.fromkeys(("fastmnmf_covariances", "fastmnmf_sweep"), "fastmnmf"),
    **dict.fromkeys(("median_of_frames", "median_over_frequency", "median_over_time"), "medians"),
    **dict.fromkeys(("istft", "stft"), "transforms"),
    **dict.fromkeys(("cascaded", "iterative", "two"), "hpss"),
}
# Kernels have underscores in their names, and nothing else in the parameters of these tests has.
_KERNEL = re.compile(r"(?:^|-)([a-z]+(?:_[a-z]+)+|product|stft|istft|multiplied|extrapolated)(?=-|$)")


def scope_of(nodeid: str) -> str:
    """Return what a test is run together with: its kernel, its family's contract, or its function."""
    function, _, parameters = nodeid.partition("[")
    parameters = parameters.removesuffix("]")
    if function.startswith(KERNELS):
        kernel = _KERNEL.search(parameters)
        return f"{KERNELS}{_TOGETHER.get(kernel[1], kernel[1])}" if kernel else function
    if function == _CONTRACT:
        family = parameters.partition("-")[0]
        return f"{function}[{_TOGETHER.get(family, family)}"
    return function
