"""What several microphones hear of sources, and from where a demixing matrix listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._typing import FloatArray
from dspsep.display import _image
from dspsep.display._axes import axes_of, colour_bar, host, index_ticks, names_of, places
from dspsep.display.spectrogram import COLOUR_MAP, label_hertz
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_beam_pattern", "plot_mixing"]

_FLOOR_DB = -30.0


def plot_mixing(
    mixing: npt.ArrayLike,
    *,
    frequencies: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how loud each source is at each microphone, beside the other microphones.

    Parameters
    ----------
    mixing : array of shape (n_channels, n_sources) or (n_freqs, n_channels, n_sources)
        Gains, real or complex: the inverse of a demixing matrix, or one in each bin. Of each source, and in
        each bin, they are divided by the root of their sum of squares, so that the scale of the outputs,
        which means nothing, does not count.
    frequencies : array of shape (n_freqs,), optional
        Where the bins are in hertz, as ``spectrogram.frequencies()`` has it; by default bins are counted.
    names : sequence of str, optional
        Of the sources; by default their numbers from 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each source and microphone, or with one matrix for all bins a row for each microphone and a
        column for each source, in which ``inv.`` are those of opposite sign to the loudest. The picture is
        ``ax.collections[0]``, in decibels.

    Raises
    ------
    InputError
        If it is no matrix, or names and frequencies are not as many.

    See Also
    --------
    plot_beam_pattern : From where a source is heard, if it is known where the microphones are.

    Notes
    -----
    Of demixing matrices alone no directions can be told, since these need the places of the microphones;
    levels can. A source that is near one microphone is bright there and dark elsewhere. 0 dB is a source that
    one microphone alone hears, and with two that hear it alike both have -3 dB.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_mixing
    >>> ax = plot_mixing(np.array([[1.0, 4.0], [1.0, -3.0]]))
    >>> ax.collections[0].get_array().round(1).tolist()
    [[-3.0, -1.9], [-3.0, -4.4]]
    >>> [text.get_text() for text in ax.texts]
    ['-3.0', '-1.9', '-3.0', '-4.4 (inv.)']
    """
    gains = _complex("mixing", mixing, (2, 3))
    per_bin = gains.ndim == 3
    named = names_of(names, gains.shape[-1])
    power = _shares_of_power(gains)
    hertz = places("frequencies", frequencies, gains.shape[0]) if per_bin else None
    n_rows, n_columns = power.shape[-2] * (power.shape[-1] if per_bin else 1), power.shape[-1]
    width = 9.0 if per_bin else min(2.2 + 1.5 * n_columns, 9.0)
    axes = axes_of(ax, height=min(1.3 + 0.32 * n_rows, 7.0), width=width)
    draw = _rows_of_levels if per_bin else _matrix_of_levels
    mesh = draw(axes, power, hertz, named)
    if not per_bin:
        _write_levels(axes, power, gains)
    colour_bar(ax, axes, mesh, "Level (dB)")
    return axes


def plot_beam_pattern(
    demixing: npt.ArrayLike,
    positions: npt.ArrayLike,
    frequencies: npt.ArrayLike,
    *,
    speed_of_sound: float = 343.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw from which directions one output hears, for microphones whose places are known.

    Parameters
    ----------
    demixing : array of shape (n_freqs, n_channels)
        The row of one source in each bin, ``model.demixing[:, k, :]``.
    positions : array of shape (n_channels, 2) or (n_channels, 3)
        Where the microphones are, in metres.
    frequencies : array of shape (n_freqs,)
        Where the bins are in hertz, as ``spectrogram.frequencies()`` has it.
    speed_of_sound : float, default=343.0
        In metres per second.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Azimuths in degrees from the first axis towards the second. The picture is ``ax.collections[0]``: the
        gain for a plane wave from there, in decibels below the highest of the same bin.

    Raises
    ------
    InputError
        If arrays do not fit each other.

    See Also
    --------
    plot_mixing : What can be told without places of microphones.

    Notes
    -----
    The sound comes from far away, in the plane of the first two axes, and there is no room: in a room a
    source is heard from many directions, and what the matrix does to its echoes is not in this picture.
    Microphones in a line do not tell one side from the other, and those that are more than half a wavelength
    apart have several directions that are alike.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_beam_pattern
    >>> difference = np.tile([1.0, -1.0], (5, 1))  # deaf for what reaches both at the same time
    >>> ax = plot_beam_pattern(difference, [[-0.02, 0.0], [0.02, 0.0]], np.linspace(0, 4000, 5))
    >>> ax.get_xlabel(), float(ax.collections[0].get_array()[2].min())
    ('Azimuth (°)', -30.0)
    """
    rows = _complex("demixing", demixing, (2,))
    where = host("positions", positions, 2, negative=True)
    if where.shape not in ((rows.shape[1], 2), (rows.shape[1], 3)):
        raise InputError(
            "positions", f"of shape ({rows.shape[1]}, 2) or ({rows.shape[1]}, 3)", f"{where.shape}"
        )
    hertz = places("frequencies", frequencies, rows.shape[0])
    speed = _checks.number("speed_of_sound", speed_of_sound, minimum=0, above=True)
    if hertz is None:
        raise InputError("frequencies", "given", "None")
    degrees = np.arange(-180.0, 180.5, 1.0)
    towards = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    earlier = (where[:, :2] @ towards) / speed  # in seconds: nearer microphones hear it first
    gains = np.stack(
        [np.abs(row @ np.exp(2j * np.pi * f * earlier)) for row, f in zip(rows, hertz, strict=True)]
    )
    gains, edges = _image.along_frequency(gains, hertz)
    highest = gains.max(axis=1, keepdims=True)
    relative = gains / np.where(highest > 0, highest, 1.0)
    levels = 20 * np.log10(np.maximum(relative, 10 ** (_FLOOR_DB / 20)))
    axes = axes_of(ax, height=3.8)
    mesh = axes.pcolormesh(
        _image.edges_of(degrees, degrees.size), edges, levels,
        cmap=COLOUR_MAP, vmin=_FLOOR_DB, vmax=0.0, shading="flat", rasterized=True,
    )  # fmt: skip
    axes.set_xlim(-180.0, 180.0)
    axes.set_xticks(np.arange(-180, 181, 45))
    axes.set_xlabel("Azimuth (°)")
    label_hertz(axes, "y", float(edges[-1]))
    colour_bar(ax, axes, mesh, "Gain (dB)")
    return axes


def _complex(name: str, values: npt.ArrayLike, n_axes: tuple[int, ...]) -> Any:
    """Return finite real or complex numbers on the host, in double precision."""
    array = np.asarray(_backend.to_host(_backend.as_array(name, values)))
    if array.ndim not in n_axes or not array.size or array.dtype.kind not in "iufc":
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(name, f"numbers with {' or '.join(map(str, n_axes))} axes", got)
    if not np.isfinite(array).all():
        raise InputError(name, "finite", "NaN or infinite numbers")
    return array.astype(np.complex128)


def _shares_of_power(gains: Any) -> FloatArray:
    """Return what share of the power of a source each microphone has, 0 where a source was lost."""
    size = np.abs(gains)
    size = size / (size.max(axis=-2, keepdims=True) + (size.max(axis=-2, keepdims=True) == 0))
    power = np.square(size)
    total = power.sum(axis=-2, keepdims=True)
    return power / np.where(total > 0, total, 1.0)  # type: ignore[no-any-return]


def _in_decibels(power: FloatArray) -> FloatArray:
    return 10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10)))


def _rows_of_levels(axes: Axes, power: FloatArray, hertz: FloatArray | None, named: Sequence[str]) -> Any:
    """Draw (n_freqs, n_channels, n_sources) with a row for each source and microphone."""
    power, edges = _image.along_frequency(power, hertz)
    n_channels, n_sources = power.shape[1:]
    levels = _in_decibels(np.reshape(np.moveaxis(power, 0, -1).swapaxes(0, 1), (-1, power.shape[0])))
    n_rows = n_channels * n_sources
    mesh = axes.pcolormesh(
        edges, np.arange(n_rows + 1) - 0.5, levels,
        cmap=COLOUR_MAP, vmin=_FLOOR_DB, vmax=0.0, shading="flat", rasterized=True,
    )  # fmt: skip
    axes.set_ylim(n_rows - 0.5, -0.5)
    rows = [f"{name}, mic {channel}" for name in named for channel in range(n_channels)]
    index_ticks(axes.yaxis, rows, np.arange(n_rows))
    for source in range(1, n_sources):
        axes.axhline(source * n_channels - 0.5, color="white", linewidth=2.0)
    if hertz is None:
        axes.set_xlim(float(edges[0]), float(edges[-1]))
        axes.set_xlabel("Frequency (bins)")
    else:
        label_hertz(axes, "x", float(edges[-1]))
    axes.set_ylabel("Source and microphone")
    return mesh


def _matrix_of_levels(axes: Axes, power: FloatArray, _hertz: FloatArray | None, named: Sequence[str]) -> Any:
    """Draw (n_channels, n_sources) with its numbers in it."""
    n_channels, n_sources = power.shape
    mesh = axes.pcolormesh(
        np.arange(n_sources + 1) - 0.5, np.arange(n_channels + 1) - 0.5, _in_decibels(power),
        cmap=COLOUR_MAP, vmin=_FLOOR_DB, vmax=0.0, edgecolors="white", linewidth=1.0,
    )  # fmt: skip
    axes.set_ylim(n_channels - 0.5, -0.5)
    index_ticks(axes.xaxis, named, np.arange(n_sources))
    index_ticks(axes.yaxis, [str(channel) for channel in range(n_channels)], np.arange(n_channels))
    axes.set_xlabel("Source")
    axes.set_ylabel("Microphone")
    return mesh


def _write_levels(axes: Axes, power: FloatArray, gains: Any) -> None:
    """Write the levels in their cells, and which are of opposite sign to the loudest of their source."""
    loudest = np.take_along_axis(gains, np.abs(gains).argmax(axis=0)[None, :], axis=0)
    inverted = (gains * loudest.conj()).real < 0
    levels = _in_decibels(power)
    if power.shape[1] > 12 or power.shape[0] > 16:
        return
    for (row, column), share in np.ndenumerate(power):
        text = f"{levels[row, column]:.1f}" if share > 10 ** (_FLOOR_DB / 10) else f"< {_FLOOR_DB:.0f}"
        text += " (inv.)" if inverted[row, column] and share > 0 else ""
        # The upper part of the map is light.
        colour = "black" if levels[row, column] > 0.4 * _FLOOR_DB else "white"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
