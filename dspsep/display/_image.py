"""Pictures of matrices over time and frequency, with no more points than a screen shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dspsep._typing import FloatArray
from dspsep.display.spectrogram import axis_share, label_hertz, label_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

__all__ = ["along_frequency", "along_time", "decibels", "draw", "edges_around", "edges_of"]

_MOST_COLUMNS, _MOST_ROWS = 1200, 400


def edges_of(centres: FloatArray | None, number: int) -> FloatArray:
    """Return where cells begin and end: half-way between their centres, and at the first and last of them.

    Without centres they are whole numbers, and all cells are one wide.
    """
    if centres is None or number == 1:
        first = 0.0 if centres is None else float(centres[0])
        return np.arange(number + 1) - 0.5 + first
    return np.concatenate([centres[:1], (centres[1:] + centres[:-1]) / 2, centres[-1:]])


def edges_around(centres: FloatArray) -> FloatArray:
    """Return where cells begin and end, the outer ones as wide to either side of their centres."""
    if centres.size == 1:
        return edges_of(centres, 1)
    middles = (centres[1:] + centres[:-1]) / 2
    outer = 2 * centres[[0, -1]] - middles[[0, -1]]
    return np.concatenate([outer[:1], middles, outer[1:]])


def along_time(
    values: FloatArray, times: FloatArray | None, most: int = _MOST_COLUMNS
) -> tuple[FloatArray, FloatArray]:
    """Return the mean of neighbouring frames, the last axis, and the edges of what is left."""
    n_frames = values.shape[-1]
    starts = np.arange(0, n_frames, -(-n_frames // most))
    return _means(values, starts, edges_of(times, n_frames))


def along_frequency(values: FloatArray, frequencies: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return the mean of neighbouring bins, the first axis, and the edges of what is left.

    In hertz only those are joined that the axis has no room for, so that low bins stay apart.
    """
    n_freqs = values.shape[0]
    if n_freqs <= _MOST_ROWS:
        return values, edges_of(frequencies, n_freqs)
    if frequencies is None or frequencies[0] < 0:
        starts = np.arange(0, n_freqs, -(-n_freqs // _MOST_ROWS))
    else:
        shares = [axis_share(float(hertz), float(frequencies[-1])) for hertz in frequencies]
        rows = np.minimum((np.asarray(shares) * _MOST_ROWS).astype(int), _MOST_ROWS - 1)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
    pooled, edges = _means(np.moveaxis(values, 0, -1), starts, edges_of(frequencies, n_freqs))
    return np.moveaxis(pooled, -1, 0), edges


def _means(
    values: FloatArray, starts: npt.NDArray[np.intp], edges: FloatArray
) -> tuple[FloatArray, FloatArray]:
    if len(starts) == values.shape[-1]:
        return values, edges
    counts = np.diff(np.append(starts, values.shape[-1]))
    means: FloatArray = np.add.reduceat(values, starts, axis=-1) / counts
    return means, np.append(edges[starts], edges[-1])


def decibels(values: FloatArray, floor_db: float, exponent: float = 1.0) -> FloatArray:
    """Return magnitudes ** exponent as levels below the largest, none below `floor_db`."""
    largest = values.max() or 1.0
    lowest = 10 ** (floor_db * exponent / 20)
    levels: FloatArray = 20 / exponent * np.log10(np.maximum(values / largest, lowest))
    return levels if values.any() else np.full(values.shape, float(floor_db))


def draw(
    ax: Axes,
    values: FloatArray,
    times: FloatArray,
    frequencies: FloatArray,
    *,
    hertz: bool,
    seconds: bool | None,
    colours: str,
    limits: tuple[float, float],
) -> QuadMesh:
    """Draw `values` between edges, and name the axes; with `seconds` None the horizontal one is left."""
    mesh = ax.pcolormesh(
        times,
        frequencies,
        values,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        shading="flat",
        rasterized=True,
    )
    ax.set_xlim(float(times[0]), float(times[-1]))
    if hertz:
        label_hertz(ax, "y", float(frequencies[-1]))
    else:
        ax.set_ylim(float(frequencies[0]), float(frequencies[-1]))
        ax.set_ylabel("Frequency (bins)")
    if seconds:
        label_seconds(ax, "x", float(times[-1]))
    elif seconds is False:
        ax.set_xlabel("Time (frames)")
    return mesh
