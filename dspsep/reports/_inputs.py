"""Sources, mixtures and references as they are given, checked before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.metrics._tasks import named_signals, task_of
from dspsep.metrics.evaluation import protocol_named
from dspsep.metrics.protocols import Protocol
from dspsep.reports._passage import Passage
from dspsep.sources import Sources

__all__ = ["Scoring", "blocks_of", "checked_mixture", "checked_sources", "cut", "scoring"]

_BLOCK = 2**18


@dataclass(frozen=True)
class Scoring:
    """What sources are scored with.

    Attributes
    ----------
    references : mapping of str to array
        As they were given, by name.
    protocol : Protocol
        How.
    permutation : bool
        Whether the best matching is looked for.
    """

    references: Mapping[str, Any]
    protocol: Protocol
    permutation: bool


def checked_sources(argument: str, sources: object) -> dict[str, Array]:
    """Return sources as (n_channels, n_samples), where they are."""
    if not isinstance(sources, Sources):
        remedy = "Separators return them; Sources.from_dict makes them of a dict."
        raise InputError(argument, "Sources", repr(sources)[:60], remedy)
    _checks.sample_rate(sources.sample_rate)
    found: dict[str, Array] = {}
    shape = None
    for name, audio in sources.items():
        if not isinstance(name, str):
            raise InputError("a source's name", "a string", repr(name)[:60])
        found[name], _, _ = _audio.finite_samples_of(f"{argument}[{name!r}]", audio)
        shape = np.shape(audio) if shape is None else shape
        if np.shape(audio) != shape:
            raise InputError(f"{argument}[{name!r}]", f"of the others' shape {shape}", f"{np.shape(audio)}")
    return found


def checked_mixture(mixture: Any, sources: Sources) -> tuple[Array, float]:
    """Return the mixture as (n_channels, n_samples), or the sum of the sources, and its peak."""
    given = sources.mixture() if mixture is None else mixture
    whole, _, peak = _audio.finite_samples_of("mixture", given)
    if np.shape(given) != sources.shape:
        raise InputError("mixture", f"of the sources' shape, {sources.shape}", f"{np.shape(given)}")
    return whole, peak


def scoring(
    references: Any,
    separations: Mapping[str, Sources],
    mappings: Mapping[str, Any],
    protocol: object,
    mixture: object,
    *,
    permutation: bool,
) -> Scoring | None:
    """Return how separations are scored, having checked that all of them can be; None without references."""
    if not isinstance(permutation, bool):
        raise InputError("permutation", "True or False", repr(permutation)[:60])
    way = protocol_named(protocol)
    if references is None:
        if permutation or any(mappings.values()):
            given = "permutation" if permutation else "mapping"
            raise InputError(given, "left out without references", "it", "There is nothing to compare with.")
        return None
    true: dict[str, Any] = {}
    for method, sources in separations.items():
        stated = getattr(references, "sample_rate", sources.sample_rate)
        if stated != sources.sample_rate:
            raise InputError(
                "references", f"at the sources' rate, {sources.sample_rate:g} Hz", f"{stated:g} Hz"
            )
        try:
            true, made = named_signals(references, sources, mappings.get(method), permutation)
            task_of(true, made, mixture, sources.sample_rate, False)
        except InputError as error:
            if not method:
                raise
            got = f"{error.got} ({method})"
            raise InputError(error.name, error.requirement, got, error.remedy) from error
    return Scoring(true, way, permutation)


def cut(signal: Array, passage: Passage) -> Array:
    """Return a passage of a signal (n_channels, n_samples), on the host."""
    return _backend.to_host(signal[:, passage.start : passage.stop])


def blocks_of(signal: Array, peak: float | None = None) -> Iterator[Array]:
    """Yield a signal (n_channels, n_samples) in blocks, on the host, with a peak of one."""
    for start in range(0, signal.shape[1], _BLOCK):
        block = _backend.to_host(signal[:, start : start + _BLOCK])
        yield block / peak if peak else block
