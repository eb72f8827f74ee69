"""The pictures of a page: bare spectrograms, with labels that are text.

Labels inside a picture would shrink with it on a telephone, keep their colour in the dark, and be out of
reach of whoever has the page read aloud.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np

from dspsep._typing import Array
from dspsep.display._html import Markup, element, number
from dspsep.display.spectrogram import (
    COLOUR_MAP,
    Levels,
    axis_share,
    draw_levels,
    frequency_ticks,
    has_minutes,
    levels_of,
    time_label,
    time_ticks,
)

__all__ = ["Spectrograms"]

_FLOOR_DB = -80.0

_WIDTH, _HEIGHT, _DPI = 1200, 320, 100

#: WebP at this quality shows no blocks at this size, in about 80 kB.
_QUALITY = 80


class Spectrograms:
    """The spectrograms of several sounds, all on one scale of levels.

    Parameters
    ----------
    signals : sequence of array of shape (n_channels, n_samples)
        The sounds.
    sample_rate : float
        In hertz.
    """

    def __init__(self, signals: Sequence[Array], sample_rate: float) -> None:
        self._levels = [levels_of("mixture", signal, sample_rate) for signal in signals]
        self._zero_db = max(levels.loudest for levels in self._levels)

    def figure(self, index: int, label: str) -> Markup:
        """Return the picture of one sound, with its axes."""
        levels = self._levels[index]
        duration, highest = float(levels.times[-1]), float(levels.frequencies[-1])
        picture = element(
            "img",
            src=f"data:image/webp;base64,{base64.b64encode(self.picture(index)).decode()}",
            width=_WIDTH,
            height=_HEIGHT,
            alt=self._described(label, levels),
        )
        return element(
            "figure",
            element("div", *_hertz(highest), class_="hertz", aria_hidden="true"),
            picture,
            element("div", *_seconds(duration), class_="seconds", aria_hidden="true"),
        )

    def picture(self, index: int) -> bytes:
        """Return the bare spectrogram of one sound as WebP."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image

        figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        draw_levels(self._levels[index], ax, self._zero_db, _FLOOR_DB)
        ax.set_axis_off()
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", quality=_QUALITY, method=4)
        return buffer.getvalue()

    def scale(self) -> Markup:
        """Return the legend of the colours."""
        import matplotlib as mpl

        colours = mpl.colormaps[COLOUR_MAP](np.linspace(0, 1, 9), bytes=True)[:, :3]
        stops = ", ".join("rgb({}, {}, {})".format(*colour) for colour in colours.tolist())
        return element(
            "p",
            element("span", f"{number(_FLOOR_DB, digits=0)} dB"),
            element("i", style=f"background: linear-gradient(to right, {stops})"),
            element("span", "0 dB, the loudest point on this page. All pictures share this scale."),
            class_="scale",
        )

    def _described(self, label: str, levels: Levels) -> str:
        """Return what the picture shows, for those who do not see it."""
        extent = (
            f"{number(levels.times[-1])} seconds, 0 to {number(levels.frequencies[-1] / 1000, 1)} kilohertz"
        )
        if not levels.loudest:
            return f"Spectrogram of {label}: {extent}, silent."
        row, column = np.unravel_index(int(levels.amplitude.argmax()), levels.amplitude.shape)
        # Not of their quotient, which may be too small for a number.
        below = 20 * (math.log10(levels.loudest) - math.log10(self._zero_db))
        seconds = float(levels.times[column : column + 2].mean())
        hertz = float(levels.frequencies[row : row + 2].mean())
        return (
            f"Spectrogram of {label}: {extent}; its loudest point, {number(below, 0)} decibels on the page's "
            f"scale, is at {number(seconds)} seconds and {number(hertz, 0)} hertz."
        )


def _hertz(highest: float) -> list[Markup]:
    return [
        element(
            "span",
            f"{number(hertz / 1000, 0)} kHz" if hertz >= 1000 else f"{hertz:g} Hz",
            style=f"bottom: {100 * axis_share(hertz, highest):.2f}%",
        )
        for hertz in frequency_ticks(highest)
    ]


def _seconds(duration: float) -> list[Markup]:
    spans = []
    for seconds in time_ticks(duration):
        share = seconds / duration
        # At the ends of the picture a label stays inside instead of being centred.
        place = "start" if share < 0.02 else "end" if share > 0.97 else "inner"
        text = time_label(seconds, duration) + ("" if seconds or has_minutes(duration) else " s")
        spans.append(element("span", text, class_=place, style=f"left: {100 * share:.2f}%"))
    return spans
