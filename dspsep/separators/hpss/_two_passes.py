"""What separators of two resolutions share: one pass over the mixture, another over what the first left.

    mixture ──first──▶ harmonic
                └────▶ the rest ──second──▶ between, percussive, residual

The second pass gets the mixture less the first's harmonic part, so that what the first gave to nobody is
looked at again. What the second calls harmonic lies `between`: too short or too wide for the long frames of
the first, too steady for the short ones of the second. Separators of this kind differ in what they call it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from dspsep import _audio, _checks
from dspsep._audio import Mixture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import Model
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.streaming import Reach

__all__ = ["Parts", "check_pass", "leaves_residual", "reach_of_both", "separate_twice"]

_REQUIRED, _OPTIONAL = ("harmonic", "percussive"), "residual"


@dataclass(frozen=True)
class Parts:
    """The parts of a mixture after two passes, each (n_channels, n_samples); they sum to the mixture."""

    audio: Mixture
    sample_rate: float
    harmonic: Array
    between: Array
    percussive: Array
    residual: Array | None
    models: dict[str, Model | None]

    def restored(self, sources: dict[str, Array]) -> dict[str, Array]:
        """Return sources in the caller's shape and scale."""
        return {name: self.audio.restore(source) for name, source in sources.items()}


def separate_twice(
    mixture: object,
    sample_rate: float,
    first: SpectralSeparator,
    second: SpectralSeparator,
    callback: Callback | None,
) -> Parts:
    """Run `first` on a mixture, and `second` on what it does not call harmonic."""
    rate = _checks.sample_rate(sample_rate)
    audio = _audio.mixture_of(mixture)
    once = first.separate(audio.samples, rate, callback=_staged("first", callback))
    harmonic, models = once["harmonic"], {"first": once.model}
    del once  # the percussive part of the first pass is not held through the second
    twice = second.separate(audio.samples - harmonic, rate, callback=_staged("second", callback))
    return Parts(
        audio=audio,
        sample_rate=rate,
        harmonic=harmonic,
        between=twice["harmonic"],
        percussive=twice["percussive"],
        residual=twice.get(_OPTIONAL),
        models={**models, "second": twice.model},
    )


def check_pass(name: str, separator: object) -> None:
    """Refuse what does not tell harmonic from percussive on one spectrogram."""
    if isinstance(separator, SpectralSeparator):
        names = separator.source_names or ()
        if set(_REQUIRED) <= set(names) <= {*_REQUIRED, _OPTIONAL}:
            return
    requirement = "a spectral separator into harmonic and percussive"
    raise InputError(name, requirement, repr(separator)[:80], "For example HPSS() or IterativeHPSS().")


def leaves_residual(separator: SpectralSeparator) -> bool:
    """Tell whether a pass gives something to nobody."""
    return _OPTIONAL in (separator.source_names or ())


def reach_of_both(first: SpectralSeparator, second: SpectralSeparator, sample_rate: float) -> Reach | None:
    """Return the sum of what both look around; None if one of them needs all of the mixture."""
    one, two = first.reach(sample_rate), second.reach(sample_rate)
    return None if one is None or two is None else one.then(two)


def _staged(name: str, callback: Callback | None) -> Callback | None:
    """Return a callback that says which pass it is told of."""
    if callback is None:
        return None
    report: Callable[[Progress], bool | None] = callback

    def staged(progress: Progress) -> bool | None:
        return report(dataclasses.replace(progress, stage=f"{name}: {progress.stage}"))

    return staged
