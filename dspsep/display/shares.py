"""What part each source gets, over whatever decides it: a level, a frequency, a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy.typing as npt

from dspsep.display._axes import axes_of, host, legend, places, shown, styles
from dspsep.display.spectrogram import label_hertz
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_shares"]


def plot_shares(
    shares: Mapping[str, npt.ArrayLike],
    where: npt.ArrayLike,
    *,
    xlabel: str = "Frequency (Hz)",
    ax: Axes | None = None,
) -> Axes:
    """Draw what part each source gets, over frequency, level or place.

    Parameters
    ----------
    shares : mapping of str to array of shape (n_places,)
        By the name of the source, not negative.
    where : array of shape (n_places,)
        Rising: what the shares depend on.
    xlabel : str, default="Frequency (Hz)"
        What that is, with its unit. The default makes the axis that of a spectrogram.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each source.

    Raises
    ------
    InputError
        If there are no sources, or shares and places are not as many.

    See Also
    --------
    plot_mask : Shares over time and frequency.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_shares
    >>> decibels = np.linspace(-20, 20, 5)
    >>> ratio = 10 ** (decibels / 10)
    >>> shares = {"tonal": ratio / (ratio + 1), "noisy": 1 / (ratio + 1)}
    >>> ax = plot_shares(shares, decibels, xlabel="Tones above noise (dB)")
    >>> [line.get_label() for line in ax.lines], float(ax.lines[0].get_ydata()[2])
    (['tonal', 'noisy'], 0.5)
    """
    if not isinstance(shares, Mapping) or not shares:
        raise InputError("shares", "a mapping of at least one name to numbers", repr(shares)[:60])
    x = places("where", where, len(next(iter(shares.values()))))  # type: ignore[arg-type]
    if x is None:
        raise InputError("where", "given", "None")
    axes = axes_of(ax)
    highest = 0.0
    for (name, share), style in zip(shares.items(), styles(), strict=False):
        values = host("shares", share, 1)
        if values.size != x.size:
            raise InputError("shares", f"{x.size} numbers, as `where` has", f"{values.size} of {name!r}"[:80])
        highest = max(highest, float(values.max()))
        axes.plot(x, values, label=shown(name), linewidth=1.4, **style)
    if xlabel == "Frequency (Hz)" and x[0] >= 0 and x[-1] > 0:
        label_hertz(axes, "x", float(x[-1]))
    else:
        if x.size > 1:
            axes.set_xlim(float(x[0]), float(x[-1]))
        axes.set_xlabel(shown(xlabel, 80))
    axes.set_ylim(0.0, 1.05 * highest or 1.0)
    axes.set_ylabel("Share (0 to 1)")
    axes.grid(alpha=0.3)
    legend(axes)
    return axes
