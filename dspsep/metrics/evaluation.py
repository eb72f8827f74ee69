"""From references and estimates to scores, by whatever protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.errors import InputError
from dspsep.metrics._projections import Pairs
from dspsep.metrics._signals import Signal, alike, scaling
from dspsep.metrics._stacks import Stack
from dspsep.metrics._track_scores import TrackScores
from dspsep.metrics.permutation import assignment, named
from dspsep.metrics.protocols import Measured, Protocol, Task, named_protocols, without_silence
from dspsep.metrics.results import Scores

__all__ = ["estimates_for", "evaluate", "protocol_named"]


def evaluate(
    references: Mapping[str, Any] | Sequence[Any] | Array,
    estimates: Mapping[str, Any] | Sequence[Any] | Array,
    sample_rate: float,
    protocol: str | Protocol = "bss_eval_v4",
    *,
    mixture: object = None,
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    permutation: bool = False,
    pad: bool = False,
    track: str = "",
) -> Scores:
    """Score a separation, source by source and window by window.

    Parameters
    ----------
    references : mapping of str to array, sequence of arrays, or array (n_sources, n_channels, n_samples)
        The true sources, each (n_samples,) or (n_channels, n_samples), all alike: `Sources` or a dict; those
        without names are called "0", "1", …. **All sources of the mixture**: what is not among them counts as
        artifacts, and the scores of one source depend on which others there are.
    estimates : mapping of str to array, sequence of arrays, or array (n_estimates, n_channels, n_samples)
        What a method made of them, likewise. Those without a reference of their name, such as ``residual``,
        are not scored.
    sample_rate : float
        In hertz.
    protocol : str or Protocol, default="bss_eval_v4"
        ``"bss_eval_v4"``, ``"bss_eval_v3_images"``, ``"bss_eval_v3_sources"`` (see `BSSEval`),
        ``"scale_invariant"`` (`ScaleInvariant`), ``"mdx"`` (`MDX`), ``"mirex"`` (`MIREX`), or one of these
        with settings of your own.
    mixture : array of the shape of a reference, optional
        What was separated, for protocols that compare with it. The default is the sum of the references.
    mapping : mapping of str to str or sequence of str, optional
        The name of the estimate of each reference, where they differ, or the names of those that add up to
        it: ``{"vocals": "voice", "accompaniment": ["harmonic", "percussive"]}``.
    permutation : bool, default=False
        Match each reference with the estimate that serves it best, by the metric that the protocol has for
        it. For blind methods only: say so beside the numbers.
    pad : bool, default=False
        Cut estimates, or fill them up with silence, to the length of the references. Without it a
        difference is an error, since it may come from a delay, which no score forgives.
    track : str, default=""
        What the scores are filed under.

    Returns
    -------
    Scores
        Of one track. ``scores["vocals", "SDR"]`` is one number, ``scores.summary()`` is a table with the
        spread and with the number of windows that do not count, and `Scores.join` puts tracks together.

    Raises
    ------
    InputError
        If a reference has no estimate, if shapes differ, if anything is not finite audio, or if a source or
        an estimate is silent throughout and the protocol refuses that.
    BackendError
        If the arrays are of different libraries.

    See Also
    --------
    score : One number a source, without windows.
    best_permutation : Which estimate is which source.

    Notes
    -----
    Everything is checked before anything is computed. Audio of any type is read in blocks of double
    precision, without a copy, and never changed. Signals on a GPU are read there; only inner products come
    to the host.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=4.0)
    >>> references = dspsep.Regroup(
    ...     harmonic=["bass", "chords", "vocals"], percussive=["kick", "snare", "hihat"]
    ... ).refine(scene.mixture, dspsep.Sources(scene.sources, scene.sample_rate))
    >>> estimates = dspsep.HPSS().separate(scene.mixture, scene.sample_rate)
    >>> scores = dspsep.metrics.evaluate(references, estimates, scene.sample_rate)
    >>> scores["percussive", "SDR"] > 3
    True
    """
    rate = _checks.sample_rate(sample_rate)
    way = protocol_named(protocol)
    if not isinstance(track, str):
        raise InputError("track", "a string", repr(track)[:60])
    true, made = _several("references", references), _several("estimates", estimates)
    if permutation and mapping is not None:
        raise InputError(
            "mapping", "None where permutation=True", repr(mapping)[:60], "It is one or the other."
        )
    if not permutation:
        made = _matched(true, made, mapping)
    elif len(made) < len(true):
        raise InputError("estimates", f"at least as many as the {len(true)} references", len(made))
    task, padded = _task(true, made, mixture, rate, pad)
    n = len(true)
    if way.refuses_silence:
        _refuse_silence([*task.references.signals, *([] if permutation else task.estimates.signals)])
    pairs = [(i, j) for i in range(n) for j in range(len(made)) if permutation or i == j]
    measured = way.measure(task, pairs)
    if permutation:
        order = _order(measured, pairs, way)
        if way.refuses_silence:
            _refuse_silence([task.estimates.signals[j] for j in order])
        measured = measured.of([pairs.index((i, j)) for i, j in enumerate(order)])
        pairs = list(enumerate(order))
        names = [list(made)[j] for j in order]
    else:
        names = [" + ".join(estimates_for(name, mapping)) for name in true]
    details = {**measured.details, **({"padded": padded} if padded else {})}
    measured = replace(measured, values=without_silence(measured, pairs, way.policy), details=details)
    return _scores(track, list(true), names, measured, way, task, permutation)


def protocol_named(protocol: object) -> Protocol:
    """Return the protocol of a name; a protocol is returned as it is."""
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, type) and issubclass(protocol, Protocol):
        name = protocol.__name__
        raise InputError("protocol", "a name or a Protocol", f"the class {name}", f"Make one: {name}().")
    return named_protocols()[_checks.choice("protocol", protocol, named_protocols())]


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
) -> dict[str, Any]:
    """Return the estimate of each reference, under the name of the reference."""
    _check_mapping(mapping, true)
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
    return {name: _sum([(estimate, made[estimate]) for estimate in wanted[name]]) for name in true}


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


def _sum(parts: list[tuple[str, Any]]) -> Any:
    """Return the sum of estimates in double precision; a single one as it is."""
    if len(parts) == 1:
        return parts[0][1]
    signals = alike((f"estimates[{name!r}]", audio) for name, audio in parts)
    total = Stack(signals).summed("sum").like
    return total if _backend.as_array(*parts[0]).ndim == 2 else total[0, :]


def _listed(names: Any) -> str:
    return ", ".join(repr(name)[:60] for name in list(names)[:20])


def _task(
    true: dict[str, Any], made: dict[str, Any], mixture: object, rate: float, pad: bool
) -> tuple[Task, dict[str, int]]:
    """Return what is to be done, and the samples that were added to estimates."""
    references = [(f"references[{name!r}]", audio) for name, audio in true.items()]
    estimates = [(f"estimates[{name!r}]", audio) for name, audio in made.items()]
    padded: dict[str, int] = {}
    if pad:
        like = _backend.as_array(*references[0])
        _audio.check_shape(references[0][0], like)
        fitted = [(name, _fitted(name, audio, like)) for name, audio in estimates]
        for short, (name, audio) in zip(made, estimates, strict=True):
            missing = like.shape[-1] - _backend.as_array(name, audio).shape[-1]
            padded.update({short: missing} if missing else {})
        estimates = fitted
    whole = [] if mixture is None else [("mixture", mixture)]
    signals = alike([*references, *estimates, *whole])
    exponent = scaling(max(signal.peak for signal in signals))
    n = len(references)
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
    xp = _backend.namespace(array)
    shape = (*array.shape[:-1], n_samples - array.shape[-1])
    silence = xp.zeros(shape, dtype=array.dtype, device=array.device)
    return cast("Array", xp.concat([array, silence], axis=-1))


def _refuse_silence(signals: list[Signal]) -> None:
    for signal in signals:
        if signal.silent:
            raise InputError(
                signal.name,
                "audible",
                "silence throughout",
                "Leave this source out, or score by a protocol whose setting silence is strict "
                '(BSSEval(silence="strict"); -p silence=strict), which leaves out no other for it.',
            )


def _order(measured: Measured, pairs: Pairs, way: Protocol) -> tuple[int, ...]:
    """Return the estimate of each reference, so that the mean of the deciding metric is largest."""
    values = measured.values[:, way.metrics.index(way.decides)]
    if measured.heard is not None:  # windows in which a source rests tell nothing of it
        resting = measured.heard == 0
        rest = resting.any(axis=0)[None, :] if way.policy == "sisec" else resting[[i for i, _ in pairs]]
        values = np.where(rest, np.nan, values)
    n_references, n_estimates = (1 + max(side) for side in zip(*pairs, strict=True))
    table = np.full((n_references, n_estimates), -np.inf)
    for pair, row in zip(pairs, values, strict=True):
        defined = row[~np.isnan(row)]
        with np.errstate(invalid="ignore"):  # the mean of both infinities
            mean = defined.mean() if defined.size else np.nan
        table[pair] = -np.inf if np.isnan(mean) else mean
    return assignment(table)


def _scores(
    track: str,
    sources: list[str],
    estimates: list[str],
    measured: Measured,
    way: Protocol,
    task: Task,
    permutation: bool,
) -> Scores:
    edges = np.array(measured.windows, dtype=np.float64) / task.sample_rate
    scored = TrackScores(
        track=track,
        sources=tuple(sources),
        metrics=way.metrics,
        values=measured.values,
        starts=edges[:, 0],
        durations=edges[:, 1] - edges[:, 0],
        duration=task.n_samples / task.sample_rate,
        protocol={**way.describe(), "permutation": permutation, "sources": tuple(sources)},
        estimates=tuple(estimates),
        details={**measured.details, "sample_rate": task.sample_rate, "dspsep": __version__},
    )
    return Scores((scored,))
