"""How an objective falls, from one iteration to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dspsep import _checks
from dspsep.display._axes import axes_of, host, legend, note, shown, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_losses"]


def plot_losses(
    losses: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    first: int = 0,
    xlabel: str = "Iteration",
    ylabel: str = "Loss",
    marks: Sequence[int] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw what iterations lowered, after each of them.

    Parameters
    ----------
    losses : sequence of float, or mapping of str to such
        The numbers of one run, as models have them, or of several by name. May be empty.
    first : int, default=0
        The number of the first: 0 if it is that of the start, 1 if it is that after one iteration.
    xlabel, ylabel : str, default="Iteration" and "Loss"
        What the axes are called.
    marks : sequence of int, default=()
        Iterations to mark with a line, counted as they are on the axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A line for each run.

    Raises
    ------
    InputError
        If there is anything but finite numbers.

    Examples
    --------
    >>> import dspsep
    >>> from dspsep.display import plot_losses
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> runs = {
    ...     f"beta {beta:g}": dspsep.NMF(n_components=3, n_iter=5, beta=beta)
    ...     .separate(scene.mixture, scene.sample_rate)
    ...     .model.losses
    ...     for beta in (1, 2)
    ... }
    >>> ax = plot_losses(runs)
    >>> [line.get_label() for line in ax.lines], len(ax.lines[0].get_xdata())
    (['beta 1', 'beta 2'], 6)
    """
    first = _checks.integer("first", first, minimum=0)
    runs = losses if isinstance(losses, Mapping) else {"_": losses}
    axes = axes_of(ax)
    longest = 0
    for (name, run), style in zip(runs.items(), styles(), strict=False):
        if not np.size(run):
            continue
        values = host("losses", run, 1, negative=True)
        longest = max(longest, values.size)
        label = shown(name) if isinstance(losses, Mapping) else "_nolegend_"
        marker = "." if values.size <= 40 else None
        axes.plot(first + np.arange(values.size), values, marker=marker, label=label, **style)
    for mark in marks:
        axes.axvline(mark, color="0.5", linestyle=":", linewidth=1.0)
    if longest:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.grid(alpha=0.3)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        note(axes, "no iterations")
    axes.set_xlabel(shown(xlabel, 80))
    axes.set_ylabel(shown(ylabel, 80))
    legend(axes)
    return axes
