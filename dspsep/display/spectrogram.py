"""Spectrograms as pictures: decibels over seconds and hertz, on axes that show music well.

The frequency axis is f ↦ asinh(f / 200 Hz): linear below, logarithmic above, close to the ERB-rate scale of
hearing (which bends at 229 Hz). A linear axis would give half of the picture to the top octave.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array, FloatArray
from dspsep.display._axes import axes_of, colour_bar
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

    from dspsep.stft import STFT

__all__ = [
    "Levels",
    "axis_share",
    "draw_levels",
    "frequency_ticks",
    "has_minutes",
    "label_hertz",
    "label_seconds",
    "levels_of",
    "plot_spectrogram",
    "time_label",
    "time_ticks",
]

#: Even in lightness, so that more energy is brighter to every reader, with colour vision or without.
COLOUR_MAP = "magma"

_N_ROWS, _MAX_COLUMNS = 320, 1200

#: Frames transformed at a time: bounds the memory, whatever the length of the audio.
_BLOCK_FRAMES = 1024

_BEND_HERTZ = 200.0


@dataclass(frozen=True, eq=False)
class Levels:
    """A spectrogram reduced to the points of a picture.

    Attributes
    ----------
    amplitude : array of shape (n_rows, n_columns)
        The amplitude of a sinusoid that would give as much energy: 1 is a sine at full scale.
    times : array of shape (n_columns + 1,)
        Where columns begin and end, in seconds.
    frequencies : array of shape (n_rows + 1,)
        Where rows begin and end, in hertz.
    """

    amplitude: FloatArray
    times: FloatArray
    frequencies: FloatArray

    @property
    def loudest(self) -> float:
        """The largest amplitude."""
        return float(self.amplitude.max())


def plot_spectrogram(
    audio: npt.ArrayLike,
    sample_rate: float,
    *,
    ax: Axes | None = None,
    n_fft: int = 2048,
    floor_db: float = -80.0,
    reference: float | npt.ArrayLike | None = None,
) -> Axes:
    """Draw the spectrogram of audio, in decibels.

    Parameters
    ----------
    audio : array of shape (n_samples,) or (n_channels, n_samples)
        Finite audio of any length. The energy of its channels is averaged.
    sample_rate : float
        In hertz.
    ax : matplotlib.axes.Axes, optional
        Where to draw. By default a new figure with a colour bar, which ``ax.figure`` is: show it in a
        notebook, or save it with ``ax.figure.savefig("picture.png")``. pyplot is neither imported nor
        changed.
    n_fft : int, default=2048
        Length of a frame in samples: 46 ms at 44.1 kHz. Frames overlap by three quarters.
    floor_db : float, default=-80.0
        The level that is drawn black, in decibels below the reference; negative.
    reference : float or array, optional
        What is 0 dB, drawn brightest: an amplitude (1.0 is a sine at full scale), or audio whose loudest
        point it is. By default the loudest point of `audio` itself. Pass the mixture to compare its
        sources: then quiet sources look quiet.

    Returns
    -------
    matplotlib.axes.Axes
        With time in seconds and frequency in hertz as data coordinates, so that more can be drawn on top. The
        picture is ``ax.collections[-1]``, to which a colour bar of your own can refer.

    Raises
    ------
    InputError
        If the audio is not audio, or a setting is out of range.

    See Also
    --------
    write_page : Spectrograms of a mixture and its sources, with their sound.

    Notes
    -----
    A picture has at most 1200 columns and 320 rows. Where it has fewer columns than there are frames, a
    column shows their mean energy; rows weight the bins around them by a triangle. Cost: one transform of the
    audio, in blocks, so that the memory needed does not grow with the length.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.display import plot_spectrogram
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    >>> ax = plot_spectrogram(tone, 8000)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Time (s)', 'Frequency (Hz)')
    """
    floor_db = _checks.number("floor_db", floor_db)
    if floor_db >= 0:
        raise InputError("floor_db", "negative", repr(floor_db), "It is in decibels below the reference.")
    levels = levels_of("audio", audio, sample_rate, n_fft)
    zero_db = _reference_amplitude(reference, levels, sample_rate, n_fft)
    axes = axes_of(ax)
    mesh = draw_levels(levels, axes, zero_db, floor_db)
    label_seconds(axes, "x", float(levels.times[-1]))
    label_hertz(axes, "y", float(levels.frequencies[-1]))
    colour_bar(ax, axes, mesh, "Level (dB)")
    return axes


def _reference_amplitude(reference: Any, levels: Levels, sample_rate: float, n_fft: int) -> float:
    """Return the amplitude that is 0 dB; zero where all is silent."""
    if reference is None:
        return levels.loudest
    if np.ndim(reference) == 0:
        return _checks.number(
            "reference", reference, minimum=0, above=True, remedy="It is an amplitude: 1.0 is full scale."
        )
    return levels_of("reference", reference, sample_rate, n_fft).loudest


def levels_of(name: str, audio: npt.ArrayLike, sample_rate: float, n_fft: int = 2048) -> Levels:
    """Return the levels of a picture of `audio`; errors call it `name`."""
    from dspsep.stft import STFT

    rate = _checks.sample_rate(sample_rate)
    stft = STFT(n_fft)
    mixture = _audio.mixture_of(audio, name=name)
    samples = _backend.to_host(mixture.samples)
    n_samples = samples.shape[1]
    n_frames = stft.n_frames(n_samples)
    frames_per_column = -(-n_frames // _MAX_COLUMNS)
    frequencies, weights = _rows(stft, rate)
    power = np.concatenate(
        [
            _pooled(weights @ block, frames_per_column)
            for block in _power_blocks(samples, stft, rate, frames_per_column)
        ],
        axis=1,
    )
    # Half the sum of the window is what a sine of amplitude 1 has in its bin. The power of two undoes
    # what was done to audio whose squares would not have been normal numbers.
    amplitude = np.ldexp(np.sqrt(power) * (4.0 / stft.n_fft), -mixture.exponent)
    times = (np.arange(power.shape[1] + 1) * frames_per_column - 0.5) * (stft.hop_length / rate)
    times[0], times[-1] = 0.0, n_samples / rate
    return Levels(amplitude, times, frequencies)


def _power_blocks(samples: Array, stft: STFT, rate: float, frames_per_column: int) -> Iterator[FloatArray]:
    """Yield the energy (n_freqs, n_frames) of whole columns, some at a time, averaged over channels."""
    hop = stft.hop_length
    n_frames = stft.n_frames(samples.shape[1])
    step = frames_per_column * max(1, _BLOCK_FRAMES // frames_per_column)
    context = -(-stft.n_fft // hop)  # so many hops to either side, and frames are those of the whole audio
    for first in range(0, n_frames, step):
        last = min(first + step, n_frames)
        before = min(first, context)
        part = samples[:, (first - before) * hop : (last + context) * hop]
        values = stft.forward(part, rate).values[:, :, before : before + last - first]
        yield np.mean(np.square(np.abs(values), dtype=np.float64), axis=0)


def _pooled(power: FloatArray, frames_per_column: int) -> FloatArray:
    """Return the mean over every `frames_per_column` frames, of the fewer that are left in the last."""
    starts = np.arange(0, power.shape[1], frames_per_column)
    counts = np.diff(np.append(starts, power.shape[1]))
    pooled: FloatArray = np.add.reduceat(power, starts, axis=1) / counts
    return pooled


def _rows(stft: STFT, rate: float) -> tuple[FloatArray, FloatArray]:
    """Return the edges of rows in hertz (n_rows + 1,), and their weights of bins (n_rows, n_freqs).

    A weight is a triangle around the row's centre, as wide as the row or as the distance of two bins, if
    that is more. So rows between bins interpolate, and rows of many bins average.
    """
    bend = _bend(rate / 2)
    warped = np.linspace(0.0, math.asinh(rate / 2 / bend), 2 * _N_ROWS + 1)
    hertz = bend * np.sinh(warped)
    edges, centres = hertz[::2], hertz[1::2]
    edges[-1] = rate / 2  # which sinh(asinh(x)) misses by a rounding error
    bins = np.arange(stft.n_freqs) * (rate / stft.n_fft)
    half_width = np.maximum(np.diff(edges), rate / stft.n_fft)[:, None]
    weights = np.maximum(0.0, 1.0 - np.abs(bins - centres[:, None]) / half_width)
    total = weights.sum(axis=1, keepdims=True)
    return edges, weights / np.where(total > 0, total, 1.0)


def _bend(highest: float) -> float:
    """Return where the axis turns from linear to logarithmic, in hertz."""
    return min(_BEND_HERTZ, highest / 10)  # with very low rates, show the shape all the same


def _hertz_label(hertz: float, _position: int | None = None) -> str:
    return f"{hertz:g}" if hertz < 1000 else f"{hertz / 1000:g}k"


def axis_share(hertz: float, highest: float) -> float:
    """Return how far up an axis that ends at `highest` a frequency lies, from 0 to 1."""
    bend = _bend(highest)
    return math.asinh(hertz / bend) / math.asinh(highest / bend)


def draw_levels(levels: Levels, ax: Axes, zero_db: float, floor_db: float) -> QuadMesh:
    """Draw levels on `ax`, between black at `floor_db` and the brightest colour at amplitude `zero_db`."""
    decibels = np.full(levels.amplitude.shape, floor_db)
    audible = levels.amplitude > zero_db * 10 ** (floor_db / 20)
    decibels[audible] = 20 * np.log10(levels.amplitude[audible] / (zero_db or 1.0))
    highest = float(levels.frequencies[-1])
    ax.set_yscale("asinh", linear_width=_bend(highest))
    mesh = ax.pcolormesh(
        levels.times,
        levels.frequencies,
        decibels,
        cmap=COLOUR_MAP,
        vmin=floor_db,
        vmax=0.0,
        shading="flat",
        rasterized=True,
    )
    ax.set_xlim(0.0, float(levels.times[-1]))
    ax.set_ylim(0.0, highest)
    return mesh


def label_seconds(ax: Axes, which: Literal["x", "y"], duration: float, name: str = "Time") -> None:
    """Give an axis of seconds from 0 to `duration` its labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(time_ticks(duration)))
    axis.set_major_formatter(FuncFormatter(lambda seconds, _: time_label(seconds, duration)))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text(f"{name} (min:s)" if has_minutes(duration) else f"{name} (s)")


def label_hertz(ax: Axes, which: Literal["x", "y"], highest: float) -> None:
    """Make an axis one of hertz from 0 to `highest`, with its labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if which == "x":
        ax.set_xscale("asinh", linear_width=_bend(highest))
        ax.set_xlim(0.0, highest)
    else:
        ax.set_yscale("asinh", linear_width=_bend(highest))
        ax.set_ylim(0.0, highest)
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(FixedLocator(frequency_ticks(highest)))
    axis.set_major_formatter(FuncFormatter(_hertz_label))
    axis.set_minor_locator(NullLocator())
    axis.set_label_text("Frequency (Hz)")


def has_minutes(duration: float) -> bool:
    """Tell whether times within a duration in seconds are written as minutes and seconds."""
    return duration >= 120


#: Distances of labels in seconds that read well as minutes and seconds: half a minute to a day.
_CLOCK_STEPS = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def time_ticks(duration: float) -> list[float]:
    """Return some round times from 0 to `duration` in seconds."""
    from matplotlib.ticker import MaxNLocator

    if has_minutes(duration):
        step = next((step for step in _CLOCK_STEPS if duration <= 8 * step), duration / 8)
        return [float(tick) for tick in np.arange(0.0, duration * (1 + 1e-9), step)]
    ticks = MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(0.0, duration)
    return [float(tick) for tick in ticks if 0 <= tick <= duration * (1 + 1e-9)]


def time_label(seconds: float, duration: float) -> str:
    """Return a time as seconds, or in audio of two minutes and more as minutes and seconds."""
    if not has_minutes(duration):
        return f"{seconds:.4g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def frequency_ticks(highest: float) -> list[float]:
    """Return 1 and 3 times powers of ten in hertz, where the axis up to `highest` has room for them."""
    lowest = _bend(highest) / 2
    first = math.floor(math.log10(lowest))
    ladder = [digit * 10.0**power for power in range(first, first + 4) for digit in (1, 3)]
    return [hertz for hertz in ladder if lowest <= hertz <= 0.95 * highest]
