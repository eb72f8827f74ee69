"""What a scene is, and the steps that all of them share: settings, random streams, one common gain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from dspsep import _checks
from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError
from dspsep.sources import Sources

#: The largest absolute sample of every mixture: loud, with room left for what a separator adds.
PEAK = 0.9

#: Below this a voice keeps its fundamental and little else.
_LOWEST_RATE = 2000

#: More channels than this, with few samples, would be taken for transposed audio everywhere else.
_MOST_CHANNELS = 64


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scene:
    """A mixture whose sources are known.

    Parameters
    ----------
    mixture : array of shape (n_samples,) or (n_channels, n_samples)
        The sum of the sources, in single precision, with a peak of 0.9.
    sources : Sources
        The sources by name, each of the mixture's shape: as heard in the mixture, panned and
        reverberated, with the same gain.
    sample_rate : float
        In hertz.
    mixing : array, optional
        How the sources came to the channels: gains (n_channels, n_sources) or impulse responses
        (n_channels, n_sources, n_taps). Read-only; None where there is no such array.
    dry : array of shape (n_sources, n_samples), optional
        The sources before `mixing`, which turns them into `sources`. Read-only; None if `mixing` is.
    description : str, default=""
        What is heard, in a sentence.
    facts : mapping of str to Any
        What else is known: tempo and period, notes, positions in a room. Times in seconds, lengths
        in metres.

    Examples
    --------
    >>> from dspsep.data.scenes import drum_loop
    >>> scene = drum_loop(duration=2.0, sample_rate=8000)
    >>> scene
    Scene(kick, snare, hihat; mono, 16000 samples at 8000 Hz)
    >>> bool((scene.sources.mixture() == scene.mixture).all())
    True
    """

    mixture: Array
    sources: Sources
    sample_rate: float
    mixing: Array | None = None
    dry: Array | None = None
    description: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        for name in ("mixing", "dry"):
            array = getattr(self, name)
            if array is not None:
                # A view, so that the caller's own array stays as it was.
                view = array.view()
                view.setflags(write=False)
                object.__setattr__(self, name, view)

    def __getstate__(self) -> dict[str, Any]:
        # A mapping proxy cannot be pickled or copied; the dict inside it can.
        return {**self.__dict__, "facts": dict(self.facts)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __repr__(self) -> str:
        return "Scene" + repr(self.sources).removeprefix("Sources")


def check_settings(duration: object, sample_rate: object, seed: object) -> tuple[int, float, int]:
    """Return the number of samples, the sampling rate and the seed, checked."""
    seconds = _checks.number(
        "duration", duration, minimum=0, above=True, remedy="Pass the length of the scene in seconds."
    )
    rate = _checks.sample_rate(sample_rate)
    _checks.number(
        "sample_rate",
        rate,
        minimum=_LOWEST_RATE,
        remedy="Below that little of a voice or a drum is left.",
    )
    return max(1, round(seconds * rate)), rate, _checks.integer("seed", seed, minimum=0)


def check_channels(n_channels: object) -> int:
    """Return a number of channels that no other check takes for a number of samples."""
    channels = _checks.integer("n_channels", n_channels, minimum=1)
    if channels > _MOST_CHANNELS:
        raise InputError("n_channels", f"at most {_MOST_CHANNELS}", f"{channels}")
    return channels


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return a random stream of its own for every `key`: what one draws, no other notices.

    The streams are the children that ``SeedSequence(seed).spawn`` would give, but reached by number,
    so that a further instrument, or a longer song, changes nothing that was there before.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def common_gain(mixture: FloatArray) -> float:
    """Return the factor that brings the mixture's peak to `PEAK`; one where it is silent."""
    peak = float(np.abs(mixture).max())
    # A subnormal peak would take the gain to infinity; it is as good as silence.
    return PEAK / peak if math.isfinite(peak) and peak > 1e-30 else 1.0


def assemble(stems: Mapping[str, FloatArray], sample_rate: float, **details: Any) -> Scene:
    """Return the scene of these stems, with one gain in common."""
    gain = common_gain(np.asarray(sum(stems.values())))
    audio = {name: np.ascontiguousarray(stem * gain, dtype=np.float32) for name, stem in stems.items()}
    sources = Sources.from_dict(audio, sample_rate)
    return Scene(mixture=sources.mixture(), sources=sources, sample_rate=sample_rate, **details)


def mix(dry: FloatArray, mixing: FloatArray, sample_rate: float, **details: Any) -> Scene:
    """Return the scene of dry sources (n_sources, n_samples) heard through gains (n_channels, n_sources)."""
    gains = np.ascontiguousarray(mixing, dtype=np.float32)
    scaled = np.ascontiguousarray(dry * common_gain(gains @ dry), dtype=np.float32)
    # Rounded first, multiplied afterwards: the images then equal gains times dry sources to the bit.
    audio = {f"source_{i + 1}": gains[:, i, None] * scaled[i] for i in range(len(dry))}
    sources = Sources.from_dict(audio, sample_rate)
    return Scene(
        mixture=sources.mixture(),
        sources=sources,
        sample_rate=sample_rate,
        mixing=gains,
        dry=scaled,
        **details,
    )
