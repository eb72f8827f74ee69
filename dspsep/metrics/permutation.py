"""Which estimate is which source: blind methods return their sources in an order of their own.

Every reference is given one estimate, and no estimate is given twice, so that the scores add up to the
most. This is the assignment problem, which is solved exactly in polynomial time: trying all n! orders is
not needed.

The scores of all pairs follow from the inner products of all references with all estimates, which one
pass over the samples gives. With c = ⟨ŝ, s⟩ / (|ŝ| |s|), the cosine of the angle between the two, and
q = |ŝ| / |s|, the ratio of their lengths,

    SI-SDR = 10 log10( c² / (1 − c²) )
    SDR    = 10 log10( 1 / (1 + q² − 2 q c) )

Where the denominator is the small difference of large numbers, which is where an estimate is nearly
perfect, the pair is computed from its samples instead.

References
----------
R. Scheibler, "SDR – medium rare with fast computations", ICASSP 2022. DOI 10.48550/arXiv.2110.06440
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError
from dspsep.metrics._signals import Signal, alike, require_sound, scaling
from dspsep.metrics.ratios import BY_NAME, Metric

__all__ = ["Permutation", "assignment", "best_permutation", "named"]

#: Totals closer than this, in decibels, are a tie: less than rounding can tell apart, and than anyone hears.
_TIE = 1e-6

#: Errors below this fraction of the energy are computed from the samples: the difference of energies in
#: double precision is then still good to 1e-9, and no ratio over some 60 dB rests on it.
_NEAR = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class Permutation:
    """Which estimate belongs to which reference, and how well every pair fits.

    Parameters
    ----------
    references : tuple of str
        The names of the references, in their order; for sequences "0", "1", ….
    estimates : tuple of str
        The names of the estimates, in their order.
    estimate_for : tuple of int
        For each reference, the position of its estimate.
    scores : array of shape (n_references, n_estimates)
        The score of every pair, read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import best_permutation
    >>> voice, drums = np.eye(2, 8)
    >>> found = best_permutation({"voice": voice, "drums": drums}, [drums + 0.1 * voice, voice])
    >>> found.estimate_for
    (1, 0)
    >>> found.names
    {'voice': '1', 'drums': '0'}
    >>> found.matched["voice"], round(found.matched["drums"], 6)
    (inf, 20.0)
    """

    references: tuple[str, ...]
    estimates: tuple[str, ...]
    estimate_for: tuple[int, ...]
    scores: FloatArray

    @property
    def names(self) -> dict[str, str]:
        """The name of the estimate of each reference."""
        chosen = (self.estimates[index] for index in self.estimate_for)
        return dict(zip(self.references, chosen, strict=True))

    @property
    def matched(self) -> dict[str, float]:
        """The score of each reference with its estimate."""
        pairs = zip(self.references, enumerate(self.estimate_for), strict=True)
        return {name: float(self.scores[pair]) for name, pair in pairs}

    @property
    def unmatched(self) -> tuple[str, ...]:
        """The names of the estimates that no reference was given."""
        given = set(self.estimate_for)
        return tuple(name for index, name in enumerate(self.estimates) if index not in given)

    def rename(self, estimates: Mapping[str, Any] | Sequence[Any] | Array) -> dict[str, Any]:
        """Return the estimates under the names of their references, in the order of the references.

        Parameters
        ----------
        estimates : mapping, sequence or array
            The estimates that were matched, or anything else with an entry for each.

        Returns
        -------
        dict of str to array
            The same arrays; unmatched ones are left out.
        """
        values = list(named("estimates", estimates).values())
        if len(values) != len(self.estimates):
            raise InputError("estimates", f"the {len(self.estimates)} that were matched", len(values))
        return {name: values[index] for name, index in zip(self.references, self.estimate_for, strict=True)}


def best_permutation(
    references: Mapping[str, Any] | Sequence[Any] | Array,
    estimates: Mapping[str, Any] | Sequence[Any] | Array,
    *,
    metric: str | Metric = "si_sdr",
) -> Permutation:
    """Find the estimate of each reference, so that the scores add up to the most.

    Use it for methods that cannot know which source is which, such as independent component analysis.
    Do not use it for methods that name their sources: it would hide that they mixed them up.

    Parameters
    ----------
    references : mapping of str to array, sequence of arrays, or array of shape (n_sources, …)
        The true sources, each (n_samples,) or (n_channels, n_samples): `Sources`, for example.
    estimates : mapping of str to array, sequence of arrays, or array of shape (n_estimates, …)
        At least as many, of the same shape each. Names are not looked at.
    metric : {"si_sdr", "sdr"} or callable, default="si_sdr"
        What to add up, in decibels: see `si_sdr` and `sdr`. A function ``metric(reference, estimate)``
        that returns a number, larger for a better estimate, is called for every pair.

    Returns
    -------
    Permutation
        Who belongs to whom, and the scores of all pairs.

    Raises
    ------
    InputError
        If there are fewer estimates than references, if shapes differ, if anything is not finite, if a
        reference is silent (the two named metrics), or if a function returns NaN.
    BackendError
        If the arrays are of different libraries.

    See Also
    --------
    score : Scores by source; with ``permutation=True`` it calls this function.

    Notes
    -----
    Scores can be infinite. First as few pairs as possible score ``-inf``, then as many as possible score
    ``inf``, then the finite scores add up to the most. Totals within a millionth of a decibel are a
    tie; of those the first in lexicographic order is taken, so that the first reference gets the first
    estimate that serves it.

    Two passes over the samples, n_references × n_estimates multiplications a sample, and half a megabyte
    for each signal. For the assignment, at most n_references × n_estimates solutions of cubic cost.

    References
    ----------
    D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions on Aerospace
    and Electronic Systems 52(4), 2016, pp. 1679–1696. DOI 10.1109/TAES.2016.140952

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import best_permutation
    >>> references = {"bass": np.array([1.0, 0.0, 0.0, 1.0]), "flute": np.array([0.0, 1.0, 1.0, 0.0])}
    >>> estimates = {"first": references["flute"] * -2, "second": references["bass"] + 0.1}
    >>> best_permutation(references, estimates).names
    {'bass': 'second', 'flute': 'first'}
    """
    if not callable(metric):
        _checks.choice("metric", metric, BY_NAME)
    true, made = named("references", references), named("estimates", estimates)
    if len(made) < len(true):
        raise InputError(
            "estimates",
            f"at least as many as the {len(true)} references",
            len(made),
            "Leave out references that the method was not asked for, or add them up.",
        )
    signals = alike(
        [(f"references[{name!r}]", audio) for name, audio in true.items()]
        + [(f"estimates[{name!r}]", audio) for name, audio in made.items()]
    )
    if callable(metric):
        scores = _scores_by_function(true, made, metric)
    else:
        scores = _scores_by_angle(signals[: len(true)], signals[len(true) :], metric)
    scores.setflags(write=False)
    return Permutation(
        references=tuple(true), estimates=tuple(made), estimate_for=assignment(scores), scores=scores
    )


def named(argument: str, sources: Mapping[str, Any] | Sequence[Any] | Array) -> dict[str, Any]:
    """Return sources by name; those that have none are numbered."""
    if isinstance(sources, Mapping):
        named = dict(sources)
    elif isinstance(sources, (list, tuple)):
        named = {str(index): audio for index, audio in enumerate(sources)}
    elif not isinstance(sources, Sequence):
        array = _backend.as_array(argument, sources)
        named = {str(index): array[index, ...] for index in range(array.shape[0] if array.ndim else 0)}
    else:
        named = {}
    if not named or not all(isinstance(name, str) for name in named):
        raise InputError(
            argument,
            "a mapping of names to audio, a sequence of audio, or an array (n_sources, …)",
            repr(sources)[:60],
        )
    return named


def _scores_by_function(true: dict[str, Any], made: dict[str, Any], metric: Metric) -> FloatArray:
    scores = np.array([[float(metric(s, x)) for x in made.values()] for s in true.values()])
    if np.isnan(scores).any():
        row, column = (int(index) for index in np.argwhere(np.isnan(scores))[0])
        raise InputError(
            "metric",
            "a function that returns a number for every pair",
            f"NaN for reference {list(true)[row]!r} and estimate {list(made)[column]!r}",
            "Return -inf for a pair that must not be matched.",
        )
    return scores


def _scores_by_angle(references: list[Signal], estimates: list[Signal], metric: str) -> FloatArray:
    for reference in references:
        require_sound(reference)
    cosine, log_ratio = _angles(references, estimates)
    with np.errstate(divide="ignore"):  # log 0 is the score of a silent estimate
        if metric == "si_sdr":
            gain, error = 20 * np.log10(abs(cosine)), 1 - cosine**2
        else:
            # In terms of p = q or 1/q, whichever is at most one, because q² may be more than any number.
            p = np.exp2(-abs(log_ratio))
            gain, error = -20 * math.log10(2) * np.maximum(log_ratio, 0), 1 + p**2 - 2 * p * cosine
    scores: FloatArray = gain - 10 * np.log10(np.maximum(error, _NEAR))
    for row, column in np.argwhere(error < _NEAR):
        scores[row, column] = BY_NAME[metric](references[row], estimates[column])
    return scores


def _angles(references: list[Signal], estimates: list[Signal]) -> tuple[FloatArray, FloatArray]:
    """Return the cosine of each reference with each estimate, and log2 of the ratio of their lengths."""
    signals = [*references, *estimates]
    exponents = np.array([scaling(signal.peak) for signal in signals])
    energies, products = _inner_products(signals, exponents, len(references))
    lengths = np.sqrt(energies)
    with np.errstate(divide="ignore"):
        log_lengths = np.log2(lengths) - exponents
    true, made = np.split(lengths, [len(references)])
    log_true, log_made = np.split(log_lengths, [len(references)])
    # A silent estimate has no direction; zero is the cosine that makes both scores what they should be.
    cosine = products / (true[:, None] * np.where(made == 0, 1, made))
    return cosine, log_made - log_true[:, None]


def _inner_products(
    signals: list[Signal], exponents: Array, n_references: int
) -> tuple[FloatArray, FloatArray]:
    """Return the energy of each signal, and the inner product of each reference with each estimate."""
    xp = _backend.namespace(signals[0].array)
    energies: list[Array] = []
    products: list[Array] = []
    streams = (signal.blocks(int(power)) for signal, power in zip(signals, exponents, strict=True))
    for blocks in zip(*streams, strict=True):
        # Sums of products rather than one matrix product: the same bytes whatever the threads of the BLAS,
        # and the same score for two estimates that are the same.
        made = xp.stack(blocks[n_references:])
        energies.append(xp.stack([xp.sum(block * block) for block in blocks]))
        products.append(xp.stack([xp.sum(block * made, axis=-1) for block in blocks[:n_references]]))
    table = _backend.to_host(xp.stack(energies)), _backend.to_host(xp.stack(products))
    return table[0].sum(axis=0), table[1].sum(axis=0)


def assignment(scores: FloatArray) -> tuple[int, ...]:
    """Return the column of each row of the best assignment; the first in order, of those that tie."""
    weights = _without_infinities(scores)
    best = _best_total(weights)
    free = list(range(weights.shape[1]))
    taken: list[int] = []
    total = 0.0
    for row, weight in enumerate(weights):
        rest = weights[row + 1 :]
        # The best total that each column still allows, were it given to this row.
        totals = np.array(
            [
                total + weight[column] + _best_total(rest[:, [other for other in free if other != column]])
                for column in free
            ]
        )
        column = free.pop(int(np.argmax(totals >= min(best - _TIE, totals.max()))))
        total += weight[column]
        taken.append(column)
    return tuple(taken)


def _best_total(weights: FloatArray) -> float:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(weights, maximize=True)
    return float(weights[rows, columns].sum())


def _without_infinities(scores: FloatArray) -> FloatArray:
    """Put numbers for infinities: one ``inf`` outweighs all finite scores, one ``-inf`` all others."""
    finite = scores[np.isfinite(scores)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    n_pairs = len(scores)
    perfect = high + (n_pairs + 1) * (high - low + 1)
    hopeless = low - (n_pairs + 1) * (perfect - low)
    return np.select([scores == np.inf, scores == -np.inf], [perfect, hopeless], scores)
