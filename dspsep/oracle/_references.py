"""The true sources as a setting, and their spectra one at a time, in one scale with the mixture's.

Masks are ratios, and do not see a common factor; so where the mixture was scaled to keep squares in range,
the references are, and where a reference is so loud that it would overflow, all are scaled down together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from dspsep import _audio, _backend
from dspsep._frozen_array import FrozenArray
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.sources import check_source_name
from dspsep.stft import Spectrogram

__all__ = ["RESIDUAL", "Material", "Pairs", "frozen"]

#: The name of what the references leave of the mixture.
RESIDUAL = "residual"

Pairs: TypeAlias = tuple[tuple[str, FrozenArray], ...]

# What the references leave of the mixture is rounding if its peak is so many units in the last place of the
# largest sum of magnitudes, or fewer: of the sum itself, and of a transform and its inverse.
_ROUNDING = 64

# Up to this power of two nothing that is squared overflows, in single precision and after a transform.
_LOUDEST = 40


def frozen(references: Any) -> Pairs:
    """Return references as pairs of a name and an array that cannot change; refuse what are none."""
    try:  # settings that were stored, or are replaced, come back as pairs
        given: dict[str, Any] = dict(references)
    except (TypeError, ValueError):
        given = {}
    if not given:
        requirement = "a mapping from the name of each source to its true audio"
        remedy = "For example references={'vocals': vocals, 'accompaniment': accompaniment}."
        raise InputError("references", requirement, repr(references)[:60], remedy)
    pairs = tuple((check_source_name(name), _checked(name, audio)) for name, audio in given.items())
    first_name, first = pairs[0]
    for name, audio in pairs:
        if name == RESIDUAL:
            remedy = "Give it another name, or leave it out: what is left is called residual."
            raise InputError("references", "named otherwise than what they leave over", repr(name), remedy)
        if audio.values.shape != first.values.shape:
            raise InputError(
                f"references[{name!r}]",
                f"of the shape of references[{first_name!r}], {first.values.shape}",
                f"{audio.values.shape}",
                "They are what was added up to the mixture: all have its length and its channels.",
            )
    return pairs


def _checked(name: str, audio: object) -> FrozenArray:
    argument = f"references[{name!r}]"
    given = audio.values if isinstance(audio, FrozenArray) else audio
    samples = _audio.samples_of(argument, given)
    _audio.finite_samples_of(argument, samples)
    if samples is given and isinstance(audio, FrozenArray):
        return audio
    return FrozenArray(_backend.to_host(samples))


@dataclass(frozen=True, kw_only=True)
class Material:
    """A mixture and its references, in one scale, as spectra.

    Parameters
    ----------
    pairs : tuple of pairs
        The references.
    samples : array of shape (n_channels, n_samples)
        The mixture, times ``2.0 ** exponent``.
    mixture : Spectrogram
        Of these samples.
    exponent : int
        What the references have to be multiplied by, likewise.
    shift : int
        What is multiplied to both beside that, so that references that are much louder do not overflow.
    """

    pairs: Pairs
    samples: Array
    mixture: Spectrogram
    exponent: int
    shift: int

    @classmethod
    def of(
        cls, pairs: Pairs, samples: Array, mixture: Spectrogram, *, exponent: int, peak: float
    ) -> Material:
        """Return the material for samples that were multiplied by ``2.0 ** exponent``, and their peak."""
        loudest = max(float(np.abs(audio.values).max()) for _, audio in pairs)
        powers = [math.frexp(peak)[1]] if peak else []
        powers += [math.frexp(loudest)[1] + exponent] if loudest else []
        power = max(powers, default=0)
        return cls(
            pairs=pairs,
            samples=samples,
            mixture=mixture,
            exponent=exponent,
            shift=-power if power > _LOUDEST else 0,
        )

    def X(self) -> Array:  # noqa: N802 - the symbol of the papers
        """Return the spectrum of the mixture, (n_channels, n_freqs, n_frames), in the references' scale."""
        values = self.mixture.values
        return _audio.times_power_of_two(values, self.shift) if self.shift else values

    def spectra(self) -> Iterator[Array]:
        """Yield the spectrum of one reference after the other, each (n_channels, n_freqs, n_frames)."""
        for _, audio in self.pairs:
            yield self._spectrum(self._there(audio.values))

    def spectra_and_rest(self) -> Iterator[Array]:
        """Yield the spectra of the references, and then that of what they leave of the mixture."""
        yield from self.spectra()
        yield self._spectrum(self._rest())

    def _rest(self) -> Array:
        """Return the mixture minus the references; zeros, if that is rounding."""
        xp = _backend.namespace(self.samples)
        rest = _audio.times_power_of_two(self.samples, self.shift) if self.shift else self.samples
        sizes = xp.abs(rest)
        for _, audio in self.pairs:
            samples = self._there(audio.values)
            rest = rest - samples
            sizes = sizes + xp.abs(samples)
        # Decided where the arrays are: not a number goes to the host.
        rounding = _ROUNDING * float(xp.finfo(rest.dtype).eps) * xp.max(sizes)
        counts = xp.astype(xp.max(xp.abs(rest)) > rounding, rest.dtype)
        counted: Array = rest * counts
        return counted

    def _spectrum(self, samples: Array) -> Array:
        return self.mixture.stft._forward(samples, self.mixture.sample_rate, mono=False).values

    def _there(self, samples: np.ndarray[Any, Any]) -> Array:
        """Return a reference in the scale, precision and library of the mixture, (n_channels, n_samples)."""
        exponent = self.exponent + self.shift
        if exponent:  # in double precision, whose range it cannot leave
            samples = _audio.times_power_of_two(samples.astype(np.float64), exponent)
        single = str(self.samples.dtype).endswith("float32")
        samples = samples.astype(np.float32 if single else np.float64, copy=False)
        samples = samples[None, :] if samples.ndim == 1 else samples
        return _backend.asarray_like(samples, self.samples)
