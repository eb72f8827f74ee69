"""A table of scores as a picture: the number that counts, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dspsep import _registry
from dspsep.display._axes import COLOURS, GREY, axes_of, note, shown
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dspsep.metrics import Scores

__all__ = ["plot_scores"]


def plot_scores(scores: Scores, *, metrics: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw scores: for each source and metric the headline number, and the tracks or windows behind it.

    Parameters
    ----------
    scores : Scores
        As `evaluate` returns them.
    metrics : sequence of str, optional
        Which, in which order; by default all.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each source and metric, the first above, with a point for each track, or for each window if
        there is one track, and a diamond at ``scores[source, metric]``.

    Raises
    ------
    InputError
        If these are no scores, or there is no such metric.

    See Also
    --------
    dspsep.metrics.Scores.summary : The same in numbers.
    dspsep.bench.plot_scores : Several methods beside each other.

    Notes
    -----
    Infinite and undefined scores have no place on an axis: they are left out and counted with the name.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_scores
    >>> from dspsep.metrics import Scores, TrackScores
    >>> track = TrackScores(
    ...     track="One", sources=("voice", "band"), metrics=("SDR",), values=[[[6.0, 8.0]], [[11.0, np.nan]]],
    ...     starts=[0.0, 1.0], durations=[1.0, 1.0], duration=2.0,
    ...     protocol={"name": "by hand", "over_windows": "median", "over_tracks": "mean"},
    ... )  # fmt: skip
    >>> ax = plot_scores(Scores((track,)))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['voice SDR', 'band SDR (1 not finite)']
    """
    if not isinstance(scores, _registry.load("dspsep.metrics.results:Scores")):
        raise InputError(
            "scores", "of dspsep.metrics", f"a {type(scores).__name__}", "evaluate() returns them."
        )
    chosen = scores.metrics if metrics is None else tuple(metrics)
    for metric in chosen:
        if metric not in scores.metrics:
            raise InputError("metrics", f"some of {', '.join(scores.metrics)}", repr(metric)[:60])
    rows = [(source, metric) for source in scores.sources for metric in chosen]
    axes = axes_of(ax, height=1.1 + 0.3 * len(rows), width=7.0)
    labels = []
    drawn = 0
    for position, (source, metric) in enumerate(rows):
        values = _behind(scores, source, metric)
        finite = values[np.isfinite(values)]
        drawn += finite.size
        colour = COLOURS[chosen.index(metric) % len(COLOURS)]
        axes.plot(
            finite, position + _spread(finite.size), linestyle="none", marker="o", markersize=4, color=colour,
            alpha=0.6, markeredgewidth=0,
        )  # fmt: skip
        headline = scores.value(source, metric)
        if np.isfinite(headline):
            axes.plot(
                [headline], [position], linestyle="none", marker="D", markersize=8, color=colour,
                markeredgecolor="white", markeredgewidth=1.0,
            )  # fmt: skip
        others = values.size - finite.size
        label = f"{shown(source)} {shown(metric)}"
        labels.append(f"{label} ({others} not finite)" if others else label)
    for border in range(len(chosen), len(rows), len(chosen)):
        axes.axhline(border - 0.5, color=GREY, linewidth=0.6, alpha=0.5)
    if not drawn:
        note(axes, "no finite scores")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    what = "tracks" if scores.n_tracks > 1 else "windows"
    axes.set_xlabel(f"Score (dB), of {what} and as a whole")
    axes.set_ylabel("Source and metric")
    axes.grid(axis="x", alpha=0.3)
    return axes


def _behind(scores: Scores, source: str, metric: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the scores of tracks, or of the windows of the only track."""
    if scores.n_tracks == 1:
        return np.asarray(scores.windows(source, metric), np.float64)
    return np.array([scores.value(source, metric, track=track.track) for track in scores.tracks])


def _spread(n_points: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return small offsets that keep points apart, the same each time."""
    golden = (np.sqrt(5) - 1) / 2
    offsets = 0.4 * (np.mod(np.arange(n_points) * golden, 1.0) - 0.5)
    return np.asarray(offsets if n_points > 1 else np.zeros(n_points))
