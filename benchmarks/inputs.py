"""The audio that is measured on: real music where it is, the synthetic song where it is not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.cases import Case, real_case, tiled

__all__ = ["Music", "describe", "music"]

_CASE = "b_mdn_funk"  # 14 s of a funk band, drums and pitched instruments in stereo


class Music(NamedTuple):
    """Stereo (n_channels, n_samples) in single precision."""

    samples: np.ndarray[Any, Any]
    sample_rate: int


def music(seconds: float) -> Music:
    """Return so many seconds of music, the same every time."""
    case = _case()
    return Music(tiled(case, seconds).astype(np.float32, copy=False), case.sample_rate)


def describe() -> str:
    """Say what the music is."""
    case = _case()
    n_channels, n_samples = case.mixture.shape
    kind = f"the real recording `{case.name}`" if case.real else "the synthetic song of `dspsep.data.scenes`"
    return (
        f"{kind}, {n_channels} channels at {case.sample_rate} Hz in single precision, "
        f"{n_samples / case.sample_rate:.1f} s repeated to length"
    )


def _case() -> Case:
    case = real_case(_CASE)
    return case if case.real else real_case("b_scene")
