"""A separator under test, and the audio it is tried on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep.separator import Separator
from dspsep.sources import Sources

__all__ = ["Bench", "ContractError"]


class ContractError(AssertionError):
    """A clause of the contract that a separator does not keep.

    Examples
    --------
    >>> from dspsep.testing import ContractError
    >>> issubclass(ContractError, AssertionError)
    True
    """


@dataclass(frozen=True)
class Bench:
    """A separator, and the audio it is tried on."""

    separator: Separator
    channels: tuple[int, ...]
    sample_rate: float
    scale_tolerance: float
    precision_snr: float

    @cached_property
    def mixture(self) -> Array:
        """A second with notes, clicks and noise; read-only, in double precision."""
        return self.audio(round(self.sample_rate))

    def audio(self, n_samples: int, dtype: str = "float64", n_channels: int | None = None) -> Array:
        """Make notes, clicks and noise, different in every channel."""
        n_channels = self.channels[-1] if n_channels is None else n_channels
        rng = np.random.default_rng(7)
        time = np.arange(n_samples) / self.sample_rate
        notes = sum(
            np.sin(2 * np.pi * hertz * time) / order for order, hertz in ((1, 220), (2, 443), (3, 1310))
        )
        clicks = np.zeros(n_samples)
        clicks[:: max(1, round(self.sample_rate / 7))] = 2.0
        noise = rng.standard_normal((n_channels, n_samples)) * (0.3 + 0.3 * np.sin(5 * time))
        gains = rng.uniform(0.2, 1.0, (2, n_channels, 1))
        audio = (0.1 * (gains[0] * notes + gains[1] * clicks + noise)).astype(dtype)
        audio.setflags(write=False)
        return np.asarray(audio)

    def run(self, mixture: Any, **options: Any) -> Sources:
        return self.separator.separate(mixture, self.sample_rate, **options)

    def run_quietly(self, mixture: Any) -> Sources:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.run(mixture)
