"""What a model has to show, before anything is drawn.

Models are below `dspsep.display` and do not import it. They say which of its functions draws a picture, and
of what; `dspsep.model.Model.plot` makes the call. So a model can tell what it has to show without a picture
being made, and all it needs for that are its own numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dspsep import _backend, _registry
from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dspsep.stft import STFT, Spectrogram

__all__ = [
    "Picture",
    "Pictures",
    "Recipe",
    "Scale",
    "each_name",
    "of_beat_spectrum",
    "of_factors",
    "of_factors_of_each",
    "of_losses",
    "of_mixing",
    "of_neighbors",
    "picture",
]


@dataclass(frozen=True)
class Picture:
    """A call of a function of `dspsep.display` that was not made yet."""

    function: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def draw(self, ax: Axes | None) -> Axes:
        """Make the call."""
        function = _registry.load(f"dspsep.display:{self.function}")
        axes: Axes = function(*self.arguments, **self.options, ax=ax)
        return axes


def picture(function: str, *arguments: Any, **options: Any) -> Picture:
    """Return the call of the function ``plot_{function}`` with these arguments."""
    return Picture(f"plot_{function}", arguments, options)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many seconds a frame is after the other and how many hertz bins are apart, where that is known.

    Attributes
    ----------
    spectrogram : Spectrogram or None
        Of the mixture.
    hop_seconds, bin_hertz : float or None
        From one to the next.
    """

    spectrogram: Spectrogram | None = None
    hop_seconds: float | None = None
    bin_hertz: float | None = None

    @classmethod
    def of(cls, spectrogram: Spectrogram | None) -> Scale:
        """Return the scale of a spectrogram, or none."""
        if spectrogram is None:
            return cls()
        rate, stft = spectrogram.sample_rate, spectrogram.stft
        return cls.of_transform(stft, rate, spectrogram)

    @classmethod
    def of_transform(cls, stft: STFT, rate: float, spectrogram: Spectrogram | None = None) -> Scale:
        """Return the scale of a transform at a sampling rate."""
        return cls(spectrogram=spectrogram, hop_seconds=stft.hop_length / rate, bin_hertz=rate / stft.n_fft)

    def times(self, n_frames: int) -> FloatArray | None:
        """Return where so many frames are in seconds, or None."""
        self._check("frames", n_frames)
        return None if self.hop_seconds is None else np.arange(n_frames) * self.hop_seconds

    def frequencies(self, n_freqs: int) -> FloatArray | None:
        """Return where so many bins are in hertz, or None."""
        self._check("bins", n_freqs)
        return None if self.bin_hertz is None else np.arange(n_freqs) * self.bin_hertz

    def _check(self, what: str, number: int) -> None:
        if self.spectrogram is not None:
            got = self.spectrogram.n_frames if what == "frames" else self.spectrogram.n_freqs
            if got != number:
                remedy = "It is that of the mixture that was learned from."
                raise InputError("spectrogram", f"of {number} {what}, as the model is", f"{got}", remedy)


@dataclass(frozen=True)
class Recipe:
    """How a picture is made, and whether it takes a spectrogram of the mixture."""

    make: Callable[[Scale], Picture]
    needs_spectrogram: bool = False


#: By name, the most telling first.
Pictures = dict[str, Recipe]


def each_name(counts: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return a name for each component of sources with so many: numbered where there are several."""
    return tuple(
        name if count == 1 else f"{name} {number}" for name, count in counts for number in range(count)
    )


def of_losses(losses: Sequence[float], **options: Any) -> Recipe:
    """Return the picture of what iterations lowered."""
    return Recipe(lambda _: picture("losses", losses, **options))


def of_factors(templates: Array, activations: Array, names: Sequence[str], exponent: float = 1.0) -> Pictures:
    """Return the pictures of templates and activations.

    They are (n_freqs, n_components[, n_template_frames]) and (n_components, n_frames). Activations are drawn
    times the sums of their templates, which is what makes them levels.
    """

    def drawn_templates(scale: Scale) -> Picture:
        hertz = scale.frequencies(templates.shape[0])
        return picture("templates", templates, frequencies=hertz, names=names, exponent=exponent)

    def drawn_activations(scale: Scale) -> Picture:
        W, H = (np.asarray(_backend.to_host(one), np.float64) for one in (templates, activations))
        levels = W.sum(axis=(0, *range(2, W.ndim)))[:, None] * H
        return picture("activations", levels, times=scale.times(H.shape[1]), names=names, exponent=exponent)

    return {"templates": Recipe(drawn_templates), "activations": Recipe(drawn_activations)}


def of_factors_of_each(
    templates: Array, activations: Array, names: Sequence[str], exponent: float
) -> Pictures:
    """Return the same for factors of each source.

    (n_sources, n_freqs, n_components) and (n_sources, n_components, n_frames).
    """
    n_sources, n_freqs, n_components = templates.shape
    each = each_name(tuple((name, n_components) for name in names))
    xp = _backend.namespace(templates)
    W = xp.reshape(xp.permute_dims(templates, (1, 0, 2)), (n_freqs, n_sources * n_components))
    return of_factors(W, xp.reshape(activations, (n_sources * n_components, -1)), each, exponent)


def of_mixing(mixing: Array, names: Sequence[str]) -> Recipe:
    """Return the picture of levels at microphones, (n_freqs, n_channels, n_sources)."""

    def make(scale: Scale) -> Picture:
        return picture("mixing", mixing, frequencies=scale.frequencies(mixing.shape[0]), names=names)

    return Recipe(make)


def of_neighbors(neighbors: Array) -> Recipe:
    """Return the picture of which frames are alike."""
    return Recipe(lambda scale: picture("neighbors", neighbors, times=scale.times(neighbors.shape[0])))


def of_beat_spectrum(spectrum: Array, period: Callable[[Scale], float | None]) -> Recipe:
    """Return the picture of a beat spectrum. The period is in seconds, in frames without a scale."""

    def make(scale: Scale) -> Picture:
        return picture("beat_spectrum", spectrum, hop_seconds=scale.hop_seconds, period=period(scale))

    return Recipe(make)
