"""Singular values as a picture: how many spectra a background is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dspsep.display import _image
from dspsep.display._axes import COLOURS, axes_of, host, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_singular_values"]

_FLOOR_DB = -120.0


def plot_singular_values(values: npt.ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw singular values, the largest first: how many spectra, and how much of each.

    Parameters
    ----------
    values : array of shape (rank,)
        Not negative. May be empty.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        In decibels below the largest; those 120 dB below it and less are drawn there. The points are
        ``ax.lines[0]``.

    Raises
    ------
    InputError
        If there is anything but numbers that are finite and not negative.

    Examples
    --------
    >>> from dspsep.display import plot_singular_values
    >>> plot_singular_values([10.0, 1.0, 0.1]).lines[0].get_ydata().tolist()
    [0.0, -20.0, -40.0]
    """
    axes = axes_of(ax)
    if np.size(values):
        from matplotlib.ticker import MaxNLocator

        ordered = np.sort(host("values", values, 1))[::-1]
        levels = _image.decibels(ordered, _FLOOR_DB)
        marker = "o" if ordered.size <= 60 else "."
        axes.plot(1 + np.arange(ordered.size), levels, color=COLOURS[0], marker=marker, markersize=4)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.grid(alpha=0.3)
    if not np.any(values):
        note(axes, "no singular values")
    axes.set_xlabel("Singular value (number)")
    axes.set_ylabel("Level (dB)")
    return axes
