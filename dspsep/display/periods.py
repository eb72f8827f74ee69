"""Periods as pictures: how much a mixture resembles itself later on, and what period was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep.display._axes import COLOURS, axes_of, colour_bar, host, legend_above, note, places
from dspsep.display._image import along_frequency, edges_around, edges_of
from dspsep.display.spectrogram import COLOUR_MAP, label_seconds
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_beat_spectrogram", "plot_beat_spectrum", "plot_periods"]

# Lags beyond this part of all are means of few frames, and REPET does not look at them either.
_RELIABLE = 3 / 4
# So many periods are shown: more would be too narrow to see.
_N_PERIODS = 8


def plot_beat_spectrum(
    spectrum: npt.ArrayLike,
    *,
    hop_seconds: float | None = None,
    period: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a beat spectrum, with the period that was found in it.

    Parameters
    ----------
    spectrum : array of shape (n_lags,)
        How much a mixture resembles itself at lags of 0, 1, … frames, as `beat_spectrum` has it.
    hop_seconds : float, optional
        How long a frame is after the other: hop length by sampling rate. By default lags are in frames.
    period : float, optional
        The period to mark, in seconds, or in frames without `hop_seconds`. Its multiples are dotted, and no
        more than eight are shown.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        The line is ``ax.lines[0]``, relative to its value at lag 0, and the period ``ax.lines[1]``.

    Raises
    ------
    InputError
        If the spectrum is none, or a number is not above 0.

    See Also
    --------
    beat_spectrum : From magnitudes to beat spectra.

    Notes
    -----
    The last quarter of the lags is left out: these are means of few frames.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import beat_spectrum
    >>> from dspsep.display import plot_beat_spectrum
    >>> V = np.tile([[1.0, 0.0, 0.0, 0.0]], 6)
    >>> ax = plot_beat_spectrum(beat_spectrum(V), hop_seconds=0.01, period=0.04)
    >>> ax.get_xlabel(), [float(x) for x in ax.lines[1].get_xdata()]
    ('Lag (s)', [0.04, 0.04])
    """
    values = host("spectrum", spectrum, 1)
    hop = 1.0 if hop_seconds is None else _above_zero("hop_seconds", hop_seconds)
    longest = max(1, int(values.size * _RELIABLE) - 1)
    if period is not None:
        period = _above_zero("period", period)
        longest = min(longest, max(1, int(np.ceil(_N_PERIODS * period / hop))))
    values = values[: longest + 1] / (values[0] or 1.0)
    axes = axes_of(ax)
    axes.plot(hop * np.arange(values.size), values, color=COLOURS[0], linewidth=1.2)
    last = hop * longest
    if period is not None:
        unit = "frames" if hop_seconds is None else "s"
        axes.axvline(period, color=COLOURS[1], linestyle="--", label=f"period {period:.4g} {unit}")
        for multiple in np.arange(2, last / period * (1 + 1e-9)):
            axes.axvline(multiple * period, color=COLOURS[1], linestyle=":", linewidth=1.0)
        legend_above(axes)
    axes.set_xlim(0.0, last)
    axes.set_ylim(0.0, 1.05 * max(1.0, float(values.max())))
    _label_lags(axes, "x", last, seconds=hop_seconds is not None)
    axes.set_ylabel("Resemblance (1 at lag 0)")
    axes.grid(alpha=0.3)
    return axes


def plot_beat_spectrogram(
    spectra: npt.ArrayLike,
    *,
    times: npt.ArrayLike | None = None,
    hop_seconds: float | None = None,
    periods: npt.ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the beat spectra of windows beside each other, with the period of each.

    Parameters
    ----------
    spectra : array of shape (n_lags, n_windows)
        How much each window resembles itself at lags of 0, 1, … frames.
    times : array of shape (n_windows,), optional
        Where the middles of the windows are, in seconds; by default they are counted.
    hop_seconds : float, optional
        How long a frame is after the other: hop length by sampling rate. By default lags are in frames.
    periods : array of shape (n_windows,), optional
        The periods to mark, in seconds, or in frames without `hop_seconds`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        The picture is ``ax.collections[0]``, each window relative to its lag 0; the periods are
        ``ax.lines[0]``.

    Raises
    ------
    InputError
        If the spectra are none, or the times or periods are not as many as the windows.

    See Also
    --------
    plot_beat_spectrum : That of a whole mixture.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_beat_spectrogram
    >>> spectra = np.tile([[1.0, 1.0], [0.0, 0.5], [1.0, 0.0]], (4, 1))
    >>> ax = plot_beat_spectrogram(spectra, times=[0.5, 1.5], hop_seconds=0.1, periods=[0.2, 0.3])
    >>> ax.get_xlabel(), ax.get_ylabel(), [float(period) for period in ax.lines[0].get_ydata()]
    ('Time (s)', 'Lag (s)', [0.2, 0.3])
    """
    values = host("spectra", spectra, 2)
    n_lags, n_windows = values.shape
    middles = places("times", times, n_windows)
    hop = 1.0 if hop_seconds is None else _above_zero("hop_seconds", hop_seconds)
    values = values[: max(2, int(n_lags * _RELIABLE))]
    values = values / np.where(values[0] > 0, values[0], 1.0)
    values, lags = along_frequency(values, None)
    lags = np.maximum(lags, 0.0) * hop
    axes = axes_of(ax)
    columns = edges_of(None, n_windows) if middles is None else np.maximum(edges_around(middles), 0.0)
    mesh = axes.pcolormesh(
        columns,
        lags,
        np.clip(values, 0, 1),
        cmap=COLOUR_MAP,
        vmin=0.0,
        vmax=1.0,
        shading="flat",
        rasterized=True,
    )
    if periods is not None:
        marked = host("periods", periods, 1)
        if marked.size != n_windows:
            raise InputError("periods", f"{n_windows}, one for each window", f"{marked.size}")
        x = np.arange(n_windows) if middles is None else middles
        axes.plot(x, marked, color="#56B4E9", marker="o", markersize=4, linewidth=1.5, label="period")
        legend_above(axes)
    axes.set_xlim(float(columns[0]), float(columns[-1]))
    axes.set_ylim(0.0, float(lags[-1]))
    if middles is None:
        axes.set_xlabel("Window (number)")
    else:
        label_seconds(axes, "x", float(columns[-1]))
    _label_lags(axes, "y", float(lags[-1]), seconds=hop_seconds is not None)
    colour_bar(ax, axes, mesh, "Resemblance (1 at lag 0)")
    return axes


def plot_periods(
    periods: Sequence[float],
    segments: Sequence[tuple[float, float]],
    *,
    seconds: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the period of each part of a mixture, from where the part begins to where it ends.

    Parameters
    ----------
    periods : sequence of float
        In seconds.
    segments : sequence of pairs of float
        Where each part begins and ends; parts may overlap.
    seconds : bool, default=True
        Whether that is in seconds, or else in frames.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each part.

    Raises
    ------
    InputError
        If periods and segments are not as many, or no numbers.

    See Also
    --------
    plot_beat_spectrum : What a period is seen in.

    Examples
    --------
    >>> from dspsep.display import plot_periods
    >>> ax = plot_periods([0.5, 0.75], [(0.0, 10.0), (5.0, 15.0)])
    >>> ax.get_ylabel(), len(ax.lines)
    ('Period (s)', 2)
    """
    values = host("periods", periods, 1)
    parts = host("segments", segments, 2)
    if parts.shape != (values.size, 2):
        raise InputError("segments", f"{values.size} pairs, one for each period", f"shape {parts.shape}")
    axes = axes_of(ax)
    for period, (start, stop) in zip(values, parts, strict=True):
        axes.plot(
            [start, stop], [period, period],
            color=COLOURS[0], marker="|", markersize=8, linewidth=3.0, solid_capstyle="butt", alpha=0.7,
        )  # fmt: skip
    last = float(parts.max()) or 1.0
    axes.set_xlim(0.0, last)
    axes.set_ylim(0.0, 1.25 * float(values.max()) or 1.0)
    if seconds:
        label_seconds(axes, "x", last)
    else:
        axes.set_xlabel("Time (frames)")
    axes.set_ylabel("Period (s)")
    axes.grid(alpha=0.3)
    if not values.any():
        note(axes, "no periods")
    return axes


def _above_zero(name: str, value: float) -> float:
    return _checks.number(name, value, minimum=0, above=True)


def _label_lags(axes: Axes, which: str, last: float, *, seconds: bool) -> None:
    if seconds:
        label_seconds(axes, "x" if which == "x" else "y", last, "Lag")
    elif which == "x":
        axes.set_xlabel("Lag (frames)")
    else:
        axes.set_ylabel("Lag (frames)")
