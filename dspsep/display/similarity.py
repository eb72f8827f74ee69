"""Which frames are alike: the similarity of each to each, and the ones that were taken to repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dspsep import _backend
from dspsep._typing import Array
from dspsep.display._axes import COLOURS, SHARES_MAP, axes_of, colour_bar, host, note, places
from dspsep.display._image import along_time
from dspsep.display.spectrogram import label_seconds
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_neighbors", "plot_similarity"]

_MOST = 600


def plot_similarity(
    similarity: npt.ArrayLike, *, times: npt.ArrayLike | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a similarity matrix: how much each frame resembles each.

    Parameters
    ----------
    similarity : array of shape (n_frames, n_frames)
        From 0 for frames that have nothing in common to 1 for equal ones. What is beyond is drawn so.
    times : array of shape (n_frames,), optional
        Where the frames are in seconds, as ``spectrogram.times()`` has it; by default frames are counted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        With frames to the right and upwards. The picture is ``ax.collections[0]``.

    Raises
    ------
    InputError
        If it is no square matrix, or the times are not as many.

    See Also
    --------
    plot_neighbors : What `REPETSim` takes from it.

    Notes
    -----
    Of more than 600 frames neighbours are averaged.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_similarity
    >>> frames = np.tile(np.eye(3), (4, 1))
    >>> ax = plot_similarity(frames @ frames.T, times=0.1 * np.arange(12))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Time (s)', 'Time (s)')
    """
    values = host("similarity", similarity, 2, negative=True)
    if values.shape[0] != values.shape[1]:
        raise InputError("similarity", "a square matrix", f"shape {values.shape}")
    seconds = places("times", times, values.shape[0])
    values, edges = along_time(values, seconds, _MOST)
    values = along_time(values.T, seconds, _MOST)[0].T
    axes = axes_of(ax, height=4.4, width=5.4)
    mesh = axes.pcolormesh(
        edges, edges, values, cmap=SHARES_MAP, vmin=0.0, vmax=1.0, shading="flat", rasterized=True
    )
    _square(axes, float(edges[0]), float(edges[-1]), seconds=seconds is not None)
    colour_bar(ax, axes, mesh, "Similarity (0 to 1)")
    return axes


def plot_neighbors(neighbors: Array, *, times: npt.ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Draw which frames each frame is taken to repeat.

    Parameters
    ----------
    neighbors : array of shape (n_frames, n_neighbors)
        The numbers of the frames, -1 for none: `neighbors` of the models of `REPETSim` and
        `NearestNeighborMedian`.
    times : array of shape (n_frames,), optional
        Where the frames are in seconds, as ``spectrogram.times()`` has it; by default frames are counted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure, which ``ax.figure`` is.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each frame and one that it repeats; the points are ``ax.lines[0]``. Parallels to the
        diagonal are passages that come again.

    Raises
    ------
    InputError
        If it is no list of frames, or the times are not as many.

    See Also
    --------
    plot_similarity : How alike all frames are.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_neighbors
    >>> ax = plot_neighbors(np.array([[0, 2], [1, -1], [2, 0]]))
    >>> ax.lines[0].get_xydata().tolist()
    [[0.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, 2.0], [2.0, 0.0]]
    """
    lists: Any = np.asarray(_backend.to_host(neighbors))
    n_frames = lists.shape[0] if lists.ndim == 2 else 0
    if not n_frames or lists.dtype.kind not in "iu" or lists.min() < -1 or lists.max() >= n_frames:
        raise InputError("neighbors", "numbers of frames, (n_frames, n_neighbors), or -1", repr(lists)[:60])
    seconds = places("times", times, n_frames)
    frames, columns = np.nonzero(lists >= 0)
    where = np.arange(n_frames, dtype=np.float64) if seconds is None else seconds
    axes = axes_of(ax, height=4.4, width=4.8)
    axes.plot(
        where[frames], where[lists[frames, columns]],
        linestyle="none", marker=".", markersize=2.0, markeredgewidth=0, color=COLOURS[0], rasterized=True,
    )  # fmt: skip
    last = float(where[-1])
    _square(axes, 0.0, last if last > 0 else 1.0, seconds=seconds is not None)
    axes.set_ylabel(f"Frames it repeats ({'s' if seconds is not None else 'frames'})")
    if not frames.size:
        note(axes, "no similar frames")
    return axes


def _square(axes: Axes, first: float, last: float, *, seconds: bool) -> None:
    axes.set_xlim(first, last)
    axes.set_ylim(first, last)
    axes.set_aspect("equal")
    if seconds:
        label_seconds(axes, "x", last)
        label_seconds(axes, "y", last)
    else:
        axes.set_xlabel("Time (frames)")
        axes.set_ylabel("Time (frames)")
