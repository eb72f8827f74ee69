"""What every test file gets: settings of hypothesis, and an order that compiles each kernel once."""

from __future__ import annotations

import os
from typing import Any

# The suite is about results, not about speed: one BLAS thread gives the same bytes on every machine size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

from tests.cases import case_names, data_folder, manifest, real_case
from tests.scheduling import KERNELS, scope_of

__all__ = ["case_names", "data_folder", "manifest", "real_case"]

hypothesis.settings.register_profile(
    "dspsep", deadline=None, print_blob=True, max_examples=60, derandomize=True, database=None
)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dspsep"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the tests, begin with those of the kernels: see `tests.scheduling`."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(KERNELS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole groups of tests, in their order, unless the command line says how."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)
