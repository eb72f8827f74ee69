"""The factors of a spectrogram: spectra, and when they sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep.display import _image
from dspsep.display._axes import axes_of, colour_bar, host, index_ticks, names_of, places
from dspsep.display.spectrogram import COLOUR_MAP, label_seconds
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_activations", "plot_templates"]


def plot_templates(
    templates: npt.ArrayLike,
    *,
    frequencies: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    exponent: float = 1.0,
    floor_db: float = -60.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the templates of a factorisation beside each other: the spectra of which a mixture is made.

    Parameters
    ----------
    templates : array of shape (n_freqs, n_components) or (n_freqs, n_components, n_template_frames)
        Not negative: the W of an `NMF`, or the patches of an `NMFD`. Each is drawn relative to its own
        loudest point, since only with the activations it has a level.
    frequencies : array of shape (n_freqs,), optional
        Where the bins are in hertz, as ``spectrogram.frequencies()`` has it; by default bins are counted.
    names : sequence of str, optional
        One for each component; by default their numbers from 0.
    exponent : float, default=1.0
        What magnitudes were raised to: 2 for spectra of power.
    floor_db : float, default=-60.0
        The level that is drawn black, in decibels; negative.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Component k is between k - 1/2 and k + 1/2, a patch from left to right. The picture is
        ``ax.collections[0]``.

    Raises
    ------
    InputError
        If an array is none that can be drawn, or a setting is out of range.

    See Also
    --------
    plot_activations : The other factor.

    Examples
    --------
    >>> import dspsep
    >>> from dspsep.display import plot_templates
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> nmf = dspsep.NMF(n_components=3, n_iter=10)
    >>> spectrogram = nmf.stft.forward(scene.mixture, scene.sample_rate)
    >>> ax = plot_templates(nmf.fit(spectrogram).templates, frequencies=spectrogram.frequencies())
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_xticklabels()]
    ('Component', ['0', '1', '2'])
    """
    exponent, floor_db = _checked(exponent, floor_db)
    values = host("templates", templates, (2, 3))
    n_freqs, n_components = values.shape[:2]
    hertz = places("frequencies", frequencies, n_freqs)
    named = names_of(names, n_components)
    patches = values.reshape(n_freqs, n_components, -1)
    patches, rows = _image.along_frequency(patches, hertz)
    levels = [_image.decibels(patches[:, k], floor_db, exponent) for k in range(n_components)]
    columns = np.linspace(-0.5, n_components - 0.5, n_components * patches.shape[2] + 1)
    axes = axes_of(ax, height=3.6)
    mesh = _image.draw(
        axes, np.concatenate(levels, axis=1), columns, rows,
        hertz=hertz is not None, seconds=None, colours=COLOUR_MAP, limits=(floor_db, 0.0),
    )  # fmt: skip
    if n_components <= 100:
        axes.vlines(np.arange(1, n_components) - 0.5, *axes.get_ylim(), color="white", linewidth=0.8)
    index_ticks(axes.xaxis, named, np.arange(n_components))
    _tilt(axes, named)
    axes.set_xlabel("Component")
    colour_bar(ax, axes, mesh, "Level (dB)")
    return axes


def plot_activations(
    activations: npt.ArrayLike,
    *,
    times: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    exponent: float = 1.0,
    floor_db: float = -60.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the activations of a factorisation: when each component sounds, and how loud.

    Parameters
    ----------
    activations : array of shape (n_components, n_frames)
        Not negative: the H of an `NMF`. Levels are relative to the largest of all; those of two components
        can be compared if their templates have the same sum.
    times : array of shape (n_frames,), optional
        Where the frames are in seconds, as ``spectrogram.times()`` has it; by default frames are counted.
    names : sequence of str, optional
        One for each component; by default their numbers from 0.
    exponent : float, default=1.0
        What magnitudes were raised to: 2 for spectra of power.
    floor_db : float, default=-60.0
        The level that is drawn black, in decibels; negative.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        The first component above. The picture is ``ax.collections[0]``.

    Raises
    ------
    InputError
        If an array is none that can be drawn, or a setting is out of range.

    See Also
    --------
    plot_templates : The other factor.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_activations
    >>> ax = plot_activations(np.eye(3), names=["kick", "snare", "hi-hat"])
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_yticklabels()]
    ('Time (frames)', ['kick', 'snare', 'hi-hat'])
    """
    exponent, floor_db = _checked(exponent, floor_db)
    values = host("activations", activations, 2)
    n_components = values.shape[0]
    seconds = places("times", times, values.shape[1])
    named = names_of(names, n_components)
    values, columns = _image.along_time(values, seconds)
    axes = axes_of(ax, height=min(1.4 + 0.24 * n_components, 6.0))
    mesh = axes.pcolormesh(
        columns, np.arange(n_components + 1) - 0.5, _image.decibels(values, floor_db, exponent),
        cmap=COLOUR_MAP, vmin=floor_db, vmax=0.0, shading="flat", rasterized=True,
    )  # fmt: skip
    axes.set_xlim(float(columns[0]), float(columns[-1]))
    axes.set_ylim(n_components - 0.5, -0.5)
    if n_components <= 100:
        axes.hlines(np.arange(1, n_components) - 0.5, *axes.get_xlim(), color="white", linewidth=0.8)
    if seconds is None:
        axes.set_xlabel("Time (frames)")
    else:
        label_seconds(axes, "x", float(columns[-1]))
    index_ticks(axes.yaxis, named, np.arange(n_components))
    axes.set_ylabel("Component")
    colour_bar(ax, axes, mesh, "Level (dB)")
    return axes


def _checked(exponent: float, floor_db: float) -> tuple[float, float]:
    exponent = _checks.number("exponent", exponent, minimum=0, above=True)
    floor_db = _checks.number("floor_db", floor_db)
    if floor_db >= 0:
        raise InputError("floor_db", "negative", repr(floor_db), "It is in decibels below the loudest.")
    return exponent, floor_db


def _tilt(axes: Axes, names: Sequence[str]) -> None:
    """Turn names that would touch each other, and those that stand for a number stay as they are."""
    if sum(map(len, names)) + 2 * len(names) > 90:
        axes.tick_params(axis="x", rotation=40 if max(map(len, names)) > 3 else 0)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right" if label.get_rotation() else "center")
