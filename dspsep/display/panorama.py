"""Where sources are between two channels: places from left to right, and delays beside levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.display import _image
from dspsep.display._axes import COLOURS, axes_of, colour_bar, host, note, outlined, places
from dspsep.display.spectrogram import COLOUR_MAP
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_duet_histogram", "plot_panorama"]

_FLOOR_DB = -40.0


def plot_panorama(
    energies: npt.ArrayLike,
    *,
    positions: Sequence[float] = (),
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how much of a stereo mixture is where between left and right, and where sources were found.

    Parameters
    ----------
    energies : array of shape (n_places,)
        What part of the energy is at which place, places being evenly spread from left to right.
    positions : sequence of float, default=()
        The places of sources, from -1, left, to 1, right.
    width : float, optional
        How wide a place is.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Levels are relative to the loudest place, ``ax.lines[0]``; then there is a line for each source.

    Raises
    ------
    InputError
        If there is no energy of each place, or a position is none.

    See Also
    --------
    plot_duet_histogram : Delays, too.

    Examples
    --------
    >>> from dspsep.display import plot_panorama
    >>> ax = plot_panorama([0.1, 1.0, 0.1, 0.0, 0.5], positions=[-0.5, 1.0], width=0.2)
    >>> ax.lines[0].get_ydata().round(0).tolist()
    [-10.0, 0.0, -10.0, -40.0, -3.0]
    """
    values = host("energies", energies, 1)
    grid = np.linspace(-1.0, 1.0, values.size)
    axes = axes_of(ax)
    levels = _image.decibels(values, _FLOOR_DB, exponent=2.0)
    axes.plot(grid, levels, color=COLOURS[0], drawstyle="steps-mid", linewidth=1.2)
    axes.fill_between(grid, levels, _FLOOR_DB, step="mid", color=COLOURS[0], alpha=0.2, linewidth=0)
    for number, position in enumerate(positions):
        place = _checks.number("positions", position, minimum=-1, maximum=1)
        axes.axvline(place, color=COLOURS[1], linestyle="--", linewidth=1.2)
        if width is not None:
            axes.axvspan(place - width / 2, place + width / 2, color=COLOURS[1], alpha=0.15, linewidth=0)
        axes.annotate(
            str(number), (place, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", color=COLOURS[1], annotation_clip=False,
        )  # fmt: skip
    if not values.any():
        note(axes, "silence")
    axes.set_xlim(-1.02, 1.02)
    axes.set_ylim(_FLOOR_DB, 3.0)
    axes.set_xlabel("Position (-1 left to 1 right)")
    axes.set_ylabel("Level (dB)")
    axes.grid(alpha=0.3)
    return axes


def plot_duet_histogram(
    H: npt.ArrayLike,
    attenuations: npt.ArrayLike,
    delays: npt.ArrayLike,
    *,
    peaks: Sequence[tuple[float, float]] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw how much of two channels has which difference in level and which delay, and the peaks found.

    Parameters
    ----------
    H : array of shape (n_attenuations, n_delays)
        How much is where, as `duet_histogram` has it.
    attenuations : array of shape (n_attenuations,)
        The middles of the bins, as symmetric attenuations a - 1 / a, of a source that is a times as loud in
        the second channel as in the first.
    delays : array of shape (n_delays,)
        The middles of the bins, in seconds: how much later the second channel is.
    peaks : sequence of pairs of float, default=()
        Of each source the factor a, and the delay in seconds: `peaks` of the model of `DUET`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Delays in milliseconds, and levels of the second channel beside the first in decibels. The picture is
        ``ax.collections[0]``, in decibels below its highest; the peaks are ``ax.lines[0]``.

    Raises
    ------
    InputError
        If arrays do not fit each other, or a peak is none.

    See Also
    --------
    duet_histogram : From two spectra to this.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_duet_histogram
    >>> H = np.zeros((3, 5))
    >>> H[1, 3] = 1.0
    >>> ax = plot_duet_histogram(H, [-0.2, 0, 0.2], 1e-4 * np.arange(-2, 3), peaks=[(1.0, 1e-4)])
    >>> ax.get_xlabel(), ax.lines[0].get_xydata().tolist()
    ('Delay of the second channel (ms)', [[0.1, 0.0]])
    """
    values = host("H", H, 2)
    alpha, delta = (
        places("attenuations", attenuations, values.shape[0]),
        places("delays", delays, values.shape[1]),
    )
    if alpha is None or delta is None:
        raise InputError("attenuations and delays", "given", "None")
    axes = axes_of(ax, height=3.8)
    mesh = axes.pcolormesh(
        1e3 * _image.edges_around(delta), _levels(_image.edges_around(alpha)),
        _image.decibels(values, _FLOOR_DB, exponent=2.0),
        cmap=COLOUR_MAP, vmin=_FLOOR_DB, vmax=0.0, shading="flat", rasterized=True,
    )  # fmt: skip
    found = []
    for gain, delay in peaks:
        louder = _checks.number("peaks", gain, minimum=0, above=True)
        found.append((1e3 * _checks.number("peaks", delay), 20 * np.log10(louder)))
    if found:
        x, y = zip(*found, strict=True)
        style: dict[str, Any] = {"color": "white", "path_effects": outlined()}
        axes.plot(x, y, linestyle="none", marker="o", markersize=11, fillstyle="none", **style)
        for number, place in enumerate(found):
            axes.annotate(str(number), place, xytext=(8, 6), textcoords="offset points", **style)
    axes.set_xlim(*(1e3 * _image.edges_around(delta)[[0, -1]]))
    axes.set_ylim(*_levels(_image.edges_around(alpha))[[0, -1]])
    axes.set_xlabel("Delay of the second channel (ms)")
    axes.set_ylabel("Level beside the first (dB)")
    colour_bar(ax, axes, mesh, "Weight (dB)")
    return axes


def _levels(alpha: FloatArray) -> FloatArray:
    """Return the level of the second channel beside the first in decibels, of a - 1 / a = alpha."""
    return 20 / np.log(10) * np.arcsinh(alpha / 2)  # type: ignore[no-any-return]
