"""The pictures of a benchmark: scores over tracks, one method against another, and what it costs.

Each draws on axes of yours, or on a new figure, and returns the axes. Colours are those of Okabe and Ito,
which readers with any colour vision tell apart, and shapes tell the same again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dspsep._typing import FloatArray
from dspsep.bench.results import BenchmarkResults
from dspsep.bench.tables import some
from dspsep.errors import InputError
from dspsep.metrics._tables import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_pairs", "plot_scores", "plot_times"]

#: By kind of method: blue, grey and orange.
_COLOURS = {"separator": "#0072B2", "mixture": "#7F7F7F", "oracle": "#D55E00"}
_MARKERS = {"separator": "o", "mixture": "s", "oracle": "^"}

#: Names longer than this would leave no room for the picture.
_LONGEST = 28


def plot_scores(
    results: BenchmarkResults,
    *,
    metric: str,
    source: str,
    methods: Sequence[str] | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the scores of methods over tracks: a box for each method, and a point for each track.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    metric, source : str
        What of.
    methods : sequence of str, optional
        Which; all that have scores, unless given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Methods from top to bottom by their median, the best above, with the number of their tracks.

    Raises
    ------
    InputError
        If there is no such name, or nothing to draw.

    See Also
    --------
    table : The same in numbers.

    Notes
    -----
    A box is from the lower to the upper quartile with the median in it, its whiskers reach the furthest point
    within 1.5 times its length. Infinite and undefined scores have no place on an axis: they are left out,
    and counted with the method's name.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, plot_scores
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> ax = plot_scores(results, metric="SDR", source="vocals")  # doctest: +SKIP
    >>> ax.figure.savefig("scores.pdf")  # doctest: +SKIP
    """
    scores = _scores(results, metric, source, methods)
    order = sorted(scores, key=lambda name: float(np.median(scores[name][0])))
    ax = _axes(ax, 1.2 + 0.42 * len(order))
    for position, name in enumerate(order):
        values, kind = scores[name][0], results.kind(name)
        ax.boxplot(
            [values], positions=[position], orientation="horizontal", widths=0.55, showfliers=False,
            patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": _COLOURS[kind], "alpha": 0.25, "edgecolor": _COLOURS[kind]},
            medianprops={"color": _COLOURS[kind], "linewidth": 2.0},
            whiskerprops={"color": _COLOURS[kind]}, capprops={"color": _COLOURS[kind]},
        )  # fmt: skip
        ax.scatter(
            values, position + _spread(values.size), s=14, marker=_MARKERS[kind], color=_COLOURS[kind],
            alpha=0.8, linewidths=0, zorder=3, label=kind,
        )  # fmt: skip
    ax.set_yticks(range(len(order)), [_label(name, *scores[name]) for name in order])
    ax.set_ylim(-0.6, len(order) - 0.4)
    ax.set_xlabel(f"{_name(metric)} of {_name(source)} (dB)")
    ax.grid(axis="x", alpha=0.3)
    _legend(ax)
    return ax


def plot_pairs(
    results: BenchmarkResults,
    method: str,
    against: str,
    *,
    metric: str,
    source: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw one method against another, a point for each track that both have.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    method, against : str
        Up, and to the right: above the diagonal `method` is better.
    metric, source : str
        What of.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        With one scale on both axes, and the diagonal.

    Raises
    ------
    InputError
        If there is no such name, or no track with finite scores of both.

    See Also
    --------
    compare : Whether the difference is more than chance.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, plot_pairs
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> ax = plot_pairs(results, "REPETSim", "REPET", metric="SDR", source="vocals")  # doctest: +SKIP
    """
    one, other = (results.values(name, source, metric) for name in (method, against))
    tracks = results.common_tracks((method, against), source, metric)
    up, right = (np.array([values[track] for track in tracks]) for values in (one, other))
    finite = np.isfinite(up) & np.isfinite(right)
    n_others = int((~finite).sum())
    up, right = up[finite], right[finite]
    if not up.size:
        raise InputError("results", "with finite scores of both methods on a track", "none")
    ax = _axes(ax, 4.6, width=5.0)
    low, high = (float(function([up.min(), right.min(), up.max(), right.max()])) for function in (min, max))
    margin = 0.06 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    ax.axline((low, low), slope=1.0, color="#7F7F7F", linewidth=1.0, linestyle="--", zorder=1)
    for better, name, colour, marker in (
        (up > right, f"{_name(method)} better", "#0072B2", "o"),
        (up < right, f"{_name(against)} better", "#D55E00", "v"),
        (up == right, "equal", "#7F7F7F", "s"),
    ):
        if better.any():
            label = f"{name}: {int(better.sum())}"
            style: dict[str, Any] = {"color": colour, "marker": marker, "label": label}
            ax.scatter(right[better], up[better], s=26, alpha=0.85, linewidths=0, **style)
    ax.legend(fontsize="small", loc="best")
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_aspect("equal")
    others = f", {n_others} not finite" if n_others else ""
    ax.set_title(f"{up.size} of {len(results.tracks)} tracks{others}", fontsize="medium")
    ax.set_xlabel(f"{_name(against)}: {_name(metric)} of {_name(source)} (dB)")
    ax.set_ylabel(f"{_name(method)}: {_name(metric)} of {_name(source)} (dB)")
    ax.grid(alpha=0.3)
    return ax


def plot_times(
    results: BenchmarkResults,
    *,
    metric: str,
    source: str,
    methods: Sequence[str] | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the median score of each method against the time that it took.

    Parameters
    ----------
    results : BenchmarkResults
        What was found.
    metric, source : str
        What of.
    methods : sequence of str, optional
        Which; all that have scores and times, unless given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        Time is seconds for each second of audio, the median over tracks, on a logarithmic axis: to the left
        of 1 a method is faster than the sound. Bars are from the lower to the upper quartile of scores.

    Raises
    ------
    InputError
        If there is no such name, or nothing to draw.

    Notes
    -----
    Times are those of the machine, and of how many tasks it had at once: compare them within one run only.

    Examples
    --------
    >>> from dspsep.bench import BenchmarkResults, plot_times
    >>> results = BenchmarkResults.load("results")  # doctest: +SKIP
    >>> ax = plot_times(results, metric="SDR", source="vocals")  # doctest: +SKIP
    """
    scores = _scores(results, metric, source, methods)
    factors: dict[str, list[float]] = {}
    for row in results.times():
        if math.isfinite(row["real_time_factor"]) and row["real_time_factor"] > 0:
            factors.setdefault(row["method"], []).append(row["real_time_factor"])
    drawn = [name for name in scores if name in factors]
    if not drawn:
        raise InputError("results", "with run times of methods that have scores", "none")
    ax = _axes(ax, 4.2)
    ax.set_xscale("log")
    for name in drawn:
        low, median, high = np.percentile(scores[name][0], [25, 50, 75])
        time, kind = float(np.median(factors[name])), results.kind(name)
        ax.errorbar(
            [time], [median], yerr=[[median - low], [high - median]], fmt=_MARKERS[kind], markersize=6,
            color=_COLOURS[kind], elinewidth=1.0, alpha=0.9, label=kind,
        )  # fmt: skip
        ax.annotate(
            _name(name), (time, median), xytext=(6, 4), textcoords="offset points", fontsize="small",
            bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    ax.margins(x=0.15, y=0.1)
    ax.set_xlabel("Seconds for each second of audio")
    ax.set_ylabel(f"{_name(metric)} of {_name(source)} (dB)")
    ax.grid(alpha=0.3)
    _legend(ax)
    return ax


def _scores(
    results: BenchmarkResults, metric: str, source: str, methods: Sequence[str] | str | None
) -> dict[str, tuple[FloatArray, int]]:
    """Return finite scores by method, and how many others there are; methods without any are left out."""
    found = {}
    for name in some("methods", methods, results.methods):
        values = np.array(list(results.values(name, source, metric).values()))
        finite = values[np.isfinite(values)]
        if finite.size:
            found[name] = (finite, values.size - finite.size)
    if not found:
        raise InputError("results", "with finite scores of these methods", "none")
    return found


def _axes(ax: Axes | None, height: float, width: float = 7.0) -> Axes:
    """Return where to draw; a new figure knows nothing of pyplot."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def _spread(n_points: int) -> FloatArray:
    """Return small offsets that keep points apart, the same each time."""
    golden = (math.sqrt(5) - 1) / 2
    return np.asarray(0.36 * (np.mod(np.arange(n_points) * golden, 1.0) - 0.5))


def _label(name: str, values: FloatArray, n_others: int) -> str:
    others = f", {n_others} not finite" if n_others else ""
    return f"{_name(name)}  ({values.size}{others})"


def _name(text: str) -> str:
    """Return a name that matplotlib takes for no formula."""
    shown = visible(text).replace("$", r"\$")
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _legend(ax: Axes) -> None:
    """Tell kinds of methods apart, where there are several; each once."""
    handles, labels = ax.get_legend_handles_labels()
    kinds = dict(zip(labels, handles, strict=True))
    if len(kinds) > 1:
        ax.legend(kinds.values(), kinds.keys(), fontsize="small", loc="best")
