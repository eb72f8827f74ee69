"""What a protocol is: how a separation is scored, as a value that is stored with every score.

Numbers of two papers can be compared if and only if they were made in the same way: by the same version, over
the same windows, with the same treatment of silence, and of the same set of sources. A protocol is a frozen
dataclass of all that but the sources, which are added when it is used.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, cast

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.errors import InputError
from dspsep.metrics._projections import Pairs
from dspsep.metrics._stacks import Stack

__all__ = ["Measured", "Protocol", "Task", "decibels", "in_windows", "without_silence"]

#: What is done about silence: see `Protocol`.
SILENCE = ("sisec", "strict")


@dataclass(frozen=True, eq=False)
class Task:
    """A track to be scored, checked."""

    references: Stack
    estimates: Stack
    mixture: Stack | None
    sample_rate: float

    @property
    def n_samples(self) -> int:
        """Of every signal."""
        return self.references.n_samples


@dataclass(frozen=True, eq=False)
class Measured:
    """What a protocol found: a score of every pair, metric and window, and what else is worth knowing.

    Attributes
    ----------
    values : array of shape (n_pairs, n_metrics, n_windows)
        In decibels, NaN where undefined; nothing has been done about silence.
    windows : list of tuple of two int
        First sample of each window, and the one after the last.
    details : dict
        Plain data.
    heard, made : array of shape (n_references, n_windows) and (n_estimates, n_windows), optional
        The energies of the signals, where silence is looked for.
    """

    values: FloatArray
    windows: list[tuple[int, int]]
    details: dict[str, Any] = field(default_factory=dict)
    heard: FloatArray | None = None
    made: FloatArray | None = None


class Protocol(ABC):
    """Base class of the ways of scoring a separation.

    A protocol is a frozen, keyword-only dataclass: it prints as it is written, and equal settings are equal.
    `evaluate` puts it to use.

    See Also
    --------
    BSSEval : SDR, ISR, SIR, SAR of BSS Eval, versions 3 and 4.
    ScaleInvariant : SI-SDR and its family.
    MDX : The global SDR of the Music Demixing Challenge.
    MIREX : NSDR, and GNSDR over tracks, of singing voice separation.
    """

    #: How windows, and then tracks, become one number.
    over_windows: ClassVar[str] = "median"
    over_tracks: ClassVar[str] = "median"

    @property
    @abstractmethod
    def name(self) -> str:
        """What the protocol is called in tables and files."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The metrics, in their order; all in decibels, and larger is better."""

    @property
    @abstractmethod
    def decides(self) -> str:
        """The metric that decides which estimate is which source, where that is asked for."""

    @property
    def needs_mixture(self) -> bool:
        """Whether estimates are compared with what was separated, too; ask for nothing that is not used."""
        return True

    @property
    def policy(self) -> str:
        """What is done about silence: "sisec", "strict", or nothing."""
        return getattr(self, "silence", "")

    @property
    def refuses_silence(self) -> bool:
        """Whether a track with a source or an estimate that is silent throughout is an error."""
        return self.policy == "sisec"

    @abstractmethod
    def measure(self, task: Task, pairs: Pairs) -> Measured:
        """Return the scores of pairs of a reference and an estimate, each by its position in the task."""

    def replace(self, **changes: Any) -> Self:
        """Return the same with some settings changed.

        Parameters
        ----------
        **changes : Any
            Settings by name.

        Returns
        -------
        Protocol
            Of the same class.

        Examples
        --------
        >>> from dspsep.metrics import BSSEval
        >>> BSSEval().replace(silence="strict")
        BSSEval(version='v4', window_seconds=None, hop_seconds=None, n_taps=512, silence='strict')
        """
        return cast("Self", replace(cast("Any", self), **changes))

    def describe(self) -> dict[str, Any]:
        """Return the name and all settings as plain data: what is stored with every score.

        Returns
        -------
        dict
            Strings and numbers by name.

        Examples
        --------
        >>> from dspsep.metrics import MDX
        >>> MDX().describe()
        {'name': 'mdx', 'over_windows': 'median', 'over_tracks': 'mean'}
        """
        settings = {item.name: getattr(self, item.name) for item in fields(cast("Any", self))}
        if "window_seconds" in settings:
            settings["window_seconds"], settings["hop_seconds"] = self._framing()
        return {
            "name": self.name,
            **settings,
            "over_windows": self.over_windows,
            "over_tracks": self.over_tracks,
        }

    def _framing(self) -> tuple[float | str, float | None]:
        """Return length and distance of windows in seconds, as they are where none are given."""
        window = getattr(self, "window_seconds", None)
        hop = getattr(self, "hop_seconds", None)
        if window is None or window == "whole":
            return "whole", None
        return window, window if hop is None else hop

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_windows(self, window: object, hop: object) -> None:
        """Check lengths in seconds: None for what is usual, "whole" for one window over the whole track."""
        if window is not None and window != "whole":
            self._set("window_seconds", _checks.number("window_seconds", window, minimum=0, above=True))
        if hop is not None:
            self._set("hop_seconds", _checks.number("hop_seconds", hop, minimum=0, above=True))
        if hop is not None and (window is None or window == "whole"):
            raise InputError(
                "hop_seconds", "None unless window_seconds is a number", hop, "Windows of what length?"
            )


def in_windows(
    n_samples: int, sample_rate: float, window: float | str, hop: float | None
) -> list[tuple[int, int]]:
    """Return first and last sample of whole windows: what is left over at the end is not scored.

    A track that is no longer than a window is one window; so is every track if `window` is "whole".
    """
    if isinstance(window, str):
        return [(0, n_samples)]
    lengths = [_samples_in(name, value, sample_rate, n_samples) for name, value in
               (("window_seconds", window), ("hop_seconds", window if hop is None else hop))]  # fmt: skip
    length, step = lengths
    if length >= n_samples:
        return [(0, n_samples)]
    return [(start, start + length) for start in range(0, n_samples - length + 1, step)]


def _samples_in(name: str, seconds: float, sample_rate: float, n_samples: int) -> int:
    samples = min(seconds * sample_rate, float(n_samples))  # either may be beyond all integers
    if samples < 0.5:
        raise InputError(
            name, f"at least a sample long, {1 / sample_rate:.3g} s at this rate", f"{seconds:g}"
        )
    return round(samples)


def decibels(energy: FloatArray, error: FloatArray) -> FloatArray:
    """Return ratios in decibels: infinite where one of the two is nothing, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast("FloatArray", 10 * (np.log10(energy) - np.log10(error)))


def without_silence(measured: Measured, pairs: Pairs, silence: str) -> FloatArray:
    """Return the scores (n_pairs, n_metrics, n_windows) of chosen pairs, as the policy has them."""
    values = measured.values.copy()
    if measured.heard is None or measured.made is None:
        return values
    resting = measured.heard == 0
    if silence == "sisec":
        quiet = [measured.made[j] == 0 for _, j in pairs]
        values[:, :, resting.any(axis=0) | np.any(quiet, axis=0)] = math.nan
        return values
    # What is undefined where the source sounds is 0/0: an estimate without a trace of it, nor of any else.
    values[np.isnan(values)] = -math.inf
    for k, (i, _) in enumerate(pairs):
        values[k][:, resting[i]] = math.nan
    return values


def named_protocols() -> Mapping[str, Protocol]:
    """Return the protocols that have a name, by name."""
    from dspsep.metrics.bss_eval import BSSEval
    from dspsep.metrics.mdx import MDX
    from dspsep.metrics.mirex import MIREX
    from dspsep.metrics.scale_invariant import ScaleInvariant

    versions = [BSSEval(), BSSEval(version="v3_images"), BSSEval(version="v3_sources")]
    protocols: list[Protocol] = [*versions, ScaleInvariant(), MDX(), MIREX()]
    return {protocol.name: protocol for protocol in protocols}
