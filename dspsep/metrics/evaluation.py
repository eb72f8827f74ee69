"""From references and estimates to scores, by whatever protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dspsep import _checks
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.errors import InputError
from dspsep.metrics._projections import Pairs
from dspsep.metrics._tasks import estimates_for, named_signals, refuse_silence, task_of
from dspsep.metrics._track_scores import TrackScores
from dspsep.metrics.permutation import assignment
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
    Arguments are checked before anything is computed. Audio of any type is read in blocks of double
    precision, without a copy but for estimates that are filled up or add up, and never changed. Signals on
    a GPU are read there; only inner products come to the host.

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
    for name, flag in (("permutation", permutation), ("pad", pad)):
        if not isinstance(flag, bool):
            raise InputError(name, "True or False", repr(flag)[:60])
    if not isinstance(track, str):
        raise InputError("track", "a string", repr(track)[:60])
    true, made = named_signals(references, estimates, mapping, permutation)
    task, padded = task_of(true, made, mixture, rate, pad)
    measured, order = _measured(task, way, permutation)
    if permutation:
        names = [list(made)[j] for j in order]
    else:
        names = [" + ".join(estimates_for(name, mapping)) for name in true]
    if padded:
        measured = replace(measured, details={**measured.details, "padded": padded})
    return _scores(track, list(true), names, measured, way, task, permutation)


def protocol_named(protocol: object) -> Protocol:
    """Return the protocol of a name; a protocol is returned as it is."""
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, type) and issubclass(protocol, Protocol):
        name = protocol.__name__
        raise InputError("protocol", "a name or a Protocol", f"the class {name}", f"Make one: {name}().")
    return named_protocols()[_checks.choice("protocol", protocol, named_protocols())]


def _measured(task: Task, way: Protocol, permutation: bool) -> tuple[Measured, tuple[int, ...]]:
    """Return the scores of each reference with its estimate, and which estimate that is."""
    true, made = task.references.signals, task.estimates.signals
    if way.refuses_silence:
        refuse_silence([*true, *([] if permutation else made)])
    n = len(true)
    pairs = [(i, j) for i in range(n) for j in range(len(made)) if permutation or i == j]
    measured = way.measure(task, pairs)
    if way.refuses_silence and measured.heard is not None:  # constants, where means are taken away
        refuse_silence(true, (measured.heard.sum(axis=1) == 0).tolist())
    order = tuple(range(n))
    if permutation:
        order = _order(measured, pairs, way)
        if way.refuses_silence:
            refuse_silence([made[j] for j in order])
    chosen = list(enumerate(order))
    measured = replace(measured, values=measured.values[[pairs.index(pair) for pair in chosen]])
    return replace(measured, values=without_silence(measured, chosen, way.policy)), order


def _order(measured: Measured, pairs: Pairs, way: Protocol) -> tuple[int, ...]:
    """Return the estimate of each reference, so that the mean of the deciding metric is largest."""
    n_references, n_estimates = (1 + max(side) for side in zip(*pairs, strict=True))
    # With one source there is no interference to decide by: the first metric is the whole error.
    metric = way.decides if n_references > 1 else way.metrics[0]
    values = measured.values[:, way.metrics.index(metric)]
    if measured.heard is not None:  # windows in which a source rests tell nothing of it
        resting = measured.heard == 0
        rest = resting.any(axis=0)[None, :] if way.policy == "sisec" else resting[[i for i, _ in pairs]]
        values = np.where(rest, np.nan, values)
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
