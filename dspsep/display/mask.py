"""Masks as pictures: which part of each bin a source gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy.typing as npt

from dspsep.display import _image
from dspsep.display._axes import SHARES_MAP, axes_of, colour_bar, host, places, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_mask"]


def plot_mask(
    mask: npt.ArrayLike,
    *,
    times: npt.ArrayLike | None = None,
    frequencies: npt.ArrayLike | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a mask: which part of each bin a source gets.

    Parameters
    ----------
    mask : array of shape (n_freqs, n_frames) or (n_channels, n_freqs, n_frames)
        In [0, 1]; channels are averaged. What is beyond is drawn as 0 or 1.
    times : array of shape (n_frames,), optional
        Where the frames are in seconds, as ``spectrogram.times()`` has it; by default frames are counted.
    frequencies : array of shape (n_freqs,), optional
        Where the bins are in hertz, as ``spectrogram.frequencies()`` has it; by default bins are counted.
    name : str, optional
        The source, for the title.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        The picture is ``ax.collections[-1]``.

    Raises
    ------
    InputError
        If an array is none that can be drawn, or the places are not as many as the bins and frames.

    See Also
    --------
    plot_spectrogram : What is masked.

    Notes
    -----
    Of more than 1200 frames neighbours are averaged, and so are bins that a picture of 400 rows has no room
    for.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import HPSS
    >>> from dspsep.display import plot_mask
    >>> hpss = HPSS()
    >>> spectrogram = hpss.stft.forward(np.sin(np.arange(8000.0)), 8000)
    >>> mask = hpss.fit(spectrogram).masks(spectrogram)["harmonic"]
    >>> ax = plot_mask(mask, times=spectrogram.times(), frequencies=spectrogram.frequencies())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Time (s)', 'Frequency (Hz)')
    """
    values = host("mask", mask, (2, 3), negative=True)
    if values.ndim == 3:
        values = values.mean(axis=0)
    seconds = places("times", times, values.shape[1])
    hertz = places("frequencies", frequencies, values.shape[0])
    values, columns = _image.along_time(values, seconds)
    values, rows = _image.along_frequency(values, hertz)
    axes = axes_of(ax)
    mesh = _image.draw(
        axes, values, columns, rows,
        hertz=hertz is not None, seconds=seconds is not None, colours=SHARES_MAP, limits=(0.0, 1.0),
    )  # fmt: skip
    if name is not None:
        axes.set_title(shown(name), fontsize="medium")
    colour_bar(ax, axes, mesh, "Share (0 to 1)")
    return axes
