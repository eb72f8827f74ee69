"""The scores of a whole separation, source by source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspsep import _checks
from dspsep.errors import InputError
from dspsep.metrics._signals import alike
from dspsep.metrics.permutation import best_permutation
from dspsep.metrics.ratios import BY_NAME, Metric

__all__ = ["score"]


def score(
    references: Mapping[str, Any],
    estimates: Mapping[str, Any],
    *,
    metric: str | Metric = "si_sdr",
    permutation: bool = False,
) -> dict[str, float]:
    """Return the score of every source of a separation.

    Parameters
    ----------
    references : mapping of str to array
        The true sources, each (n_samples,) or (n_channels, n_samples), all alike: `Sources` or a dict.
    estimates : mapping of str to array
        What a method made of them: `Sources` as separators return them, or a dict. Names without a
        reference, such as ``residual``, are not scored.
    metric : {"si_sdr", "sdr"} or callable, default="si_sdr"
        See `si_sdr` and `sdr`. A function ``metric(reference, estimate)`` gets the arrays as they are;
        ``functools.partial(si_sdr, zero_mean=True)`` is one.
    permutation : bool, default=False
        Match each reference with the estimate that serves it best (see `best_permutation`) instead of
        the estimate of the same name. For blind methods only: say so beside the numbers.

    Returns
    -------
    dict of str to float
        The score of each reference, under its name, in the order of the references.

    Raises
    ------
    InputError
        If a reference has no estimate of its name, if shapes differ, if anything is not finite, or if a
        reference is silent.
    BackendError
        If the arrays are of different libraries.

    See Also
    --------
    best_permutation : Which estimate was matched with which reference.

    Notes
    -----
    All audio is checked before the first score is computed. Scores depend on what counts as a source:
    two stems and four stems of the same song are two different tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import score
    >>> voice, band = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0])
    >>> references = {"voice": voice, "band": band}
    >>> scores = score(references, {"voice": voice + 0.1 * band, "band": 0.9 * band})
    >>> {name: round(value, 3) for name, value in scores.items()}
    {'voice': 20.0, 'band': inf}
    >>> score(references, {"first": band, "second": voice}, permutation=True)
    {'voice': inf, 'band': inf}
    """
    if not callable(metric):
        _checks.choice("metric", metric, BY_NAME)
    _check_mapping("references", references)
    _check_mapping("estimates", estimates)
    if permutation:
        estimates = best_permutation(references, estimates, metric=metric).rename(estimates)
    missing = [name for name in references if name not in estimates]
    if missing:
        raise InputError(
            "estimates",
            f"audio for every reference ({', '.join(map(repr, references))})",
            f"none for {', '.join(map(repr, missing))}, but {', '.join(map(repr, estimates))}",
            "Rename them, or pass permutation=True if the method cannot know which source is which.",
        )
    signals = alike(
        [(f"references[{name!r}]", audio) for name, audio in references.items()]
        + [(f"estimates[{name!r}]", estimates[name]) for name in references]
    )
    if callable(metric):
        return {name: float(metric(references[name], estimates[name])) for name in references}
    pairs = zip(signals[: len(references)], signals[len(references) :], strict=True)
    return {name: BY_NAME[metric](*pair) for name, pair in zip(references, pairs, strict=True)}


def _check_mapping(name: str, sources: object) -> None:
    if not isinstance(sources, Mapping) or not sources:
        raise InputError(
            name,
            "a mapping of at least one name to its audio",
            repr(sources)[:60],
            "Sources or a dict will do.",
        )
