"""What all pictures share: a figure of their own, colours, names, and axes in seconds and hertz.

Colours are those of Okabe and Ito, which readers with any colour vision tell apart; lines differ in their
strokes, too, and pictures are in maps that are even in lightness. pyplot is neither imported nor changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dspsep import _backend
from dspsep._typing import FloatArray
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable

__all__ = [
    "COLOURS",
    "GREY",
    "SHARES_MAP",
    "axes_of",
    "colour_bar",
    "host",
    "index_ticks",
    "legend",
    "legend_above",
    "names_of",
    "note",
    "outlined",
    "places",
    "shown",
    "styles",
]

#: Blue, vermilion, green, pink, orange, sky blue, and black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#7F7F7F"

#: For shares from 0 to 1, beside which levels in decibels have a map of their own.
SHARES_MAP = "cividis"

_LONGEST = 28
#: More names than this on one axis would touch each other.
_MOST_NAMES = 24


def axes_of(ax: Axes | None, *, height: float = 3.2, width: float = 9.0) -> Axes:
    """Return where to draw: `ax`, or the axes of a new figure, in inches."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def colour_bar(given: Axes | None, ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Add a colour bar to a figure of our own; on the axes of others it would take room from theirs."""
    if given is None:
        ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.015)


def host(
    name: str, values: npt.ArrayLike, n_axes: int | tuple[int, ...], *, negative: bool = False
) -> FloatArray:
    """Return finite numbers in double precision on the host, or refuse them."""
    array = np.asarray(_backend.to_host(_backend.real_floating(name, values)), np.float64)
    wanted = (n_axes,) if isinstance(n_axes, int) else n_axes
    if array.ndim not in wanted or not array.size:
        axes = " or ".join(map(str, wanted))
        raise InputError(name, f"of {axes} axes, and not empty", f"shape {array.shape}")
    if not np.isfinite(array).all() or (not negative and array.min() < 0):
        raise InputError(name, "finite" if negative else "finite and not negative", "other numbers")
    return array


def places(name: str, values: npt.ArrayLike | None, number: int) -> FloatArray | None:
    """Return where `number` frames or bins are, rising; None if that is not known."""
    if values is None:
        return None
    array = host(name, values, 1, negative=True)
    if array.size != number or (np.diff(array) <= 0).any():
        got = f"{array.size}"
        raise InputError(name, f"{number} rising numbers", got, "One for each frame or bin of the picture.")
    return array


def shown(text: str, longest: int = _LONGEST) -> str:
    """Return a name on one line, not too long, that matplotlib takes for no formula."""
    visible = "".join(
        character
        if character.isprintable()
        else " "
        if character.isspace()
        else ""
        if unicodedata.category(character) == "Cf"
        else "\ufffd"
        for character in str(text)
    )
    short = visible if len(visible) <= longest else f"{visible[: longest - 1]}…"
    return short.replace("$", r"\$")


def names_of(names: Sequence[str] | None, number: int) -> tuple[str, ...]:
    """Return one name for each of `number` things: those given, or numbers from 0."""
    if names is None:
        return tuple(str(index) for index in range(number))
    if isinstance(names, str) or len(names) != number:
        raise InputError("names", f"{number} names", repr(names)[:60])
    return tuple(shown(name) for name in names)


def index_ticks(axis: Axis, names: Sequence[str], centres: npt.ArrayLike) -> None:
    """Put names at places of an axis, as many as there is room for."""
    step = -(-len(names) // _MOST_NAMES)
    axis.set_ticks(np.asarray(centres, np.float64)[::step].tolist(), list(names)[::step])
    axis.set_tick_params(length=0)


def styles() -> Iterator[dict[str, Any]]:
    """Yield how lines are drawn, one after the other: first other colours, then other strokes."""
    for stroke in cycle(("-", "--", ":", "-.")):
        for colour in COLOURS:
            yield {"color": colour, "linestyle": stroke}


def legend(ax: Axes, *, least: int = 2) -> None:
    """Name the lines where there are several."""
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) >= least:
        ax.legend(handles, labels, fontsize="small", loc="best", ncols=1 + (len(labels) > 6))


def legend_above(ax: Axes) -> None:
    """Name what is marked, above the axes, where it hides nothing."""
    ax.legend(
        fontsize="small",
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
        frameon=False,
        ncols=4,
    )


def outlined() -> list[Any]:
    """Return what makes white marks visible on bright ground, too."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="black")]


def note(ax: Axes, text: str) -> None:
    """Say in the middle of axes why nothing is on them."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
