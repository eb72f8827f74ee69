"""From whatever a caller calls references and estimates to signals that can be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from dspsep import _audio, _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.metrics._signals import Signal, alike, scaling
from dspsep.metrics._stacks import Stack
from dspsep.metrics.permutation import named
from dspsep.metrics.protocols import Task

__all__ = ["estimates_for", "named_signals", "refuse_silence", "task_of"]

#: How much quieter than the loudest signal a reference may be: beyond that, squares of both do not fit double
#: precision. It is 2400 dB.
_RANGE = 2.0**400


def named_signals(
    references: Any, estimates: Any, mapping: Mapping[str, str | Sequence[str]] | None, permutation: bool
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return references by name, and the estimates that each estimate is the sum of, mostly one.

    The latter are under the names of the references, but for permutations.
    """
    true, made = _several("references", references), _several("estimates", estimates)
    _check_mapping(mapping, true)
    if not permutation:
        return true, _matched(true, made, mapping)
    if mapping:
        got = repr(mapping)[:60]
        raise InputError("mapping", "None where permutation=True", got, "It is one or the other.")
    if len(made) < len(true):
        raise InputError("estimates", f"at least as many as the {len(true)} references", len(made))
    return true, {name: {name: audio} for name, audio in made.items()}


def _several(argument: str, sources: Any) -> dict[str, Any]:
    """Return sources by name. An array of two axes could be several sources, or one of several channels."""
    if not isinstance(sources, (Mapping, Sequence)):
        array = _backend.as_array(argument, sources)
        if array.ndim != 3:
            raise InputError(
                argument,
                "a mapping of names to audio, a sequence, or an array (n_sources, n_channels, n_samples)",
                f"an array of shape {tuple(array.shape)}",
                "Pass one source as {'name': audio} or [audio].",
            )
    return named(argument, sources)


def estimates_for(name: str, mapping: Mapping[str, str | Sequence[str]] | None) -> tuple[str, ...]:
    """Return the names of the estimates that are, or add up to, that of a reference."""
    chosen = (mapping or {}).get(name, name)
    return (chosen,) if isinstance(chosen, str) else tuple(chosen)


def _matched(
    true: dict[str, Any], made: dict[str, Any], mapping: Mapping[str, str | Sequence[str]] | None
) -> dict[str, dict[str, Any]]:
    """Return the estimates of each reference, under the name of the reference."""
    wanted = {name: estimates_for(name, mapping) for name in true}
    missing = [estimate for chosen in wanted.values() for estimate in chosen if estimate not in made]
    if missing:
        raise InputError(
            "estimates",
            f"audio for every reference ({_listed(true)})",
            f"none called {_listed(missing)}, but {_listed(made)}",
            "Rename them, say which are meant (mapping={reference: estimate} or {reference: [one, two]}), or "
            "pass permutation=True if the method cannot know which source is which.",
        )
    return {name: {estimate: made[estimate] for estimate in wanted[name]} for name in true}


def _check_mapping(mapping: object, true: dict[str, Any]) -> None:
    if mapping is None:
        return
    if not isinstance(mapping, Mapping):
        requirement = "a mapping of names of references to names of estimates"
        raise InputError("mapping", requirement, repr(mapping)[:60])
    for name, chosen in mapping.items():
        if name not in true:
            raise InputError("mapping", f"of references ({_listed(true)})", repr(name)[:60])
        several = isinstance(chosen, Sequence) and all(isinstance(one, str) for one in chosen)
        if not several or not chosen:
            raise InputError("mapping", "to a name or to a sequence of names", repr(chosen)[:60])


def _sum(parts: dict[str, Any]) -> tuple[str, Any]:
    """Return the sum of estimates in double precision, and what errors call it; a single one as it is."""
    if len(parts) == 1:
        return next(iter(parts.items()))
    signals = alike(parts.items())
    exponent = scaling(max(signal.peak for signal in signals))
    total = Stack(signals, exponent).summed("sum").array
    mono = _backend.as_array(*next(iter(parts.items()))).ndim == 1
    return " + ".join(parts), total[0, :] if mono else total


def _listed(names: Any) -> str:
    return ", ".join(repr(name)[:60] for name in list(names)[:20])


def task_of(
    true: dict[str, Any], made: dict[str, dict[str, Any]], mixture: object, rate: float, pad: bool
) -> tuple[Task, dict[str, int]]:
    """Return what is to be done, and the samples that were added to estimates."""
    references = [(f"references[{name!r}]", audio) for name, audio in true.items()]
    parts = [
        {f"estimates[{name!r}]": audio for name, audio in summands.items()} for summands in made.values()
    ]
    padded: dict[str, int] = {}
    if pad:
        like = _backend.as_array(*references[0])
        _audio.check_shape(references[0][0], like)
        for summands in made.values():
            lengths = {name: _backend.as_array(name, audio).shape[-1:] for name, audio in summands.items()}
            padded.update({name: like.shape[-1] - n for name, (n,) in lengths.items() if n != like.shape[-1]})
        parts = [{name: _fitted(name, audio, like) for name, audio in each.items()} for each in parts]
    estimates = [_sum(summands) for summands in parts]
    whole = [] if mixture is None else [("mixture", mixture)]
    signals = alike([*references, *estimates, *whole])
    loudest = max(signal.peak for signal in signals)
    n = len(references)
    for signal in signals[:n]:
        if 0 < signal.peak < loudest / _RANGE:
            raise InputError(
                signal.name,
                "within 2400 dB of the loudest signal",
                f"a peak of {signal.peak:.3g}, and {loudest:.3g} elsewhere",
                "Bring them to one scale.",
            )
    exponent = scaling(loudest)
    heard, scored = Stack(signals[:n], exponent), Stack(signals[n : n + len(estimates)], exponent)
    given = Stack(signals[n + len(estimates) :], exponent) if whole else None
    return Task(heard, scored, given, rate), padded


def _fitted(name: str, audio: object, like: Array) -> Array:
    """Return the estimate with as many samples as a reference."""
    array = _backend.as_array(name, audio)
    _audio.check_shape(name, array)
    n_samples = like.shape[-1]
    if array.ndim != like.ndim or array.shape[-1] == n_samples:
        return array  # what differs otherwise is refused later
    if array.shape[-1] > n_samples:
        return array[..., :n_samples]
    array = _audio.samples_of(name, array)  # zero is not silence in every type of integer
    xp = _backend.namespace(array)
    shape = (*array.shape[:-1], n_samples - array.shape[-1])
    silence = xp.zeros(shape, dtype=array.dtype, device=array.device)
    return cast("Array", xp.concat([array, silence], axis=-1))


def refuse_silence(signals: Sequence[Signal], silent: Sequence[bool] | None = None) -> None:
    """Refuse signals that are silent throughout: as it is said, or as it is known."""
    for signal, nothing in zip(signals, silent or [signal.silent for signal in signals], strict=True):
        if nothing:
            raise InputError(
                signal.name,
                "audible",
                "silence throughout",
                "Leave this source out, or score by a protocol whose setting silence is strict "
                '(BSSEval(silence="strict"); -p silence=strict), which leaves out no other for it.',
            )
