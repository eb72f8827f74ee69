"""From the scores of windows to one number: over the windows of a track, then over tracks.

NaN stands for a window, or a track, in which a score is undefined, and is left out; where nothing
is left, the result is NaN. Infinite scores count: a median can be infinite, and the mean of ``inf`` and
``-inf`` is NaN.
"""

from __future__ import annotations

import numpy as np

from dspsep._typing import FloatArray

__all__ = ["OVER_TRACKS", "OVER_WINDOWS", "defined", "over_tracks", "over_windows", "spread"]

#: How the windows of a track can become its score.
OVER_WINDOWS = ("median", "mean")

#: How the scores of tracks can become one; the weighted mean has the tracks' durations as weights, which
#: is the "global" NSDR of MIREX.
OVER_TRACKS = ("median", "mean", "weighted mean")


def defined(values: FloatArray) -> FloatArray:
    """Return the values that are not NaN."""
    return values[~np.isnan(values)]


def over_windows(values: FloatArray, how: str) -> float:
    """Return the median or mean of the windows that are defined."""
    return _central(defined(values), how)


def over_tracks(values: FloatArray, durations: FloatArray, how: str) -> float:
    """Return the median, mean or mean weighted by duration of the tracks that are defined."""
    if how != "weighted mean":
        return _central(defined(values), how)
    values, weights = values[~np.isnan(values)], durations[~np.isnan(values)]
    if not weights.any():
        return _central(values, "mean")  # equal weights, as zeros are
    # Relative to the longest, so that no sum of durations can overflow. A track of no duration has no
    # weight, not even where its score is infinite.
    weights = weights / weights.max()
    values, weights = values[weights > 0], weights[weights > 0]
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sum(values * weights) / np.sum(weights))


def spread(values: FloatArray) -> dict[str, float]:
    """Return median, mean, standard deviation (of a sample, n - 1), minimum and maximum of what is defined.

    The deviation is NaN for fewer than two values, and where one is infinite.
    """
    values = defined(values)
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
    return {
        "median": _central(values, "median"),
        "mean": _central(values, "mean"),
        "std": deviation,
        "min": float(values.min()) if values.size else float("nan"),
        "max": float(values.max()) if values.size else float("nan"),
    }


def _central(values: FloatArray, how: str) -> float:
    if not values.size:
        return float("nan")
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is NaN, as documented
        return float(np.median(values) if how == "median" else np.mean(values))
