"""What every test file gets: settings of hypothesis, and a guard of global state."""

from __future__ import annotations

import os

# The suite is about results, not about speed: one BLAS thread gives the same bytes on every machine size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis

from tests.cases import case_names, data_folder, manifest, real_case

__all__ = ["case_names", "data_folder", "manifest", "real_case"]

hypothesis.settings.register_profile(
    "dspsep", deadline=None, print_blob=True, max_examples=60, derandomize=True, database=None
)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dspsep"))
