r"""A logarithmic opinion pool: the masks on which several sets of masks agree best.

What a member gives is an opinion on each bin of a spectrogram: the probability that the energy in it belongs
to source :math:`j`. Of estimates :math:`S_{mj}` of the sources by members :math:`m` with weights
:math:`w_m \ge 0`, :math:`\sum_m w_m = 1`,

.. math:: r_{mj} = \frac{|S_{mj}|^2}{\sum_i |S_{mi}|^2}, \qquad
          p_j = \frac{\prod_m (r_{mj} + \epsilon)^{w_m}}{\sum_i \prod_m (r_{mi} + \epsilon)^{w_m}} .

The weighted geometric mean, normalised again, is the distribution from which the divergences to all opinions,
:math:`\sum_m w_m \mathrm{KL}(p \| r_m)`, are least: with a Lagrange multiplier :math:`\lambda` for
:math:`\sum_j p_j = 1`, the derivative is :math:`\log p_j + 1 - \sum_m w_m \log r_{mj} + \lambda = 0`.

Heskes (1997) has the same pool, and its error as the mean error of the members less their disagreement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["checked_weights", "energy_of", "log_opinion_pool", "normalised", "shares_of", "with_opinion"]

# What is certain for a member stays possible: 60 dB of energy below all there is. Without it one share of
# zero would decide alone, and two members that exclude one another's sources would leave nothing.
_DOUBT = 1e-6


def log_opinion_pool(masks: Sequence[Array], weights: Sequence[float] | None = None) -> Array:
    """Return the masks on which several opinions agree best: their geometric mean, normalised.

    Parameters
    ----------
    masks : sequence of array of shape (n_sources, ...)
        One of each member, not negative: what share of each bin belongs to which source. They need not sum
        to one; a member that gives a bin to nobody has no opinion on it.
    weights : sequence of float, optional
        Of the members, not negative; only their ratios count. By default all are equal.

    Returns
    -------
    array of shape (n_sources, ...)
        In [0, 1]; they sum to one.

    Raises
    ------
    InputError
        If there are no masks, their shapes differ, one holds what is negative or not finite, or there is not
        one weight for each.

    See Also
    --------
    Ensemble : Separators whose estimates are pooled.

    Notes
    -----
    A share of zero counts as one of 1e-6, so that nobody decides alone.

    References
    ----------
    T. Heskes, "Selecting weighting factors in logarithmic opinion pools", Advances in Neural Information
    Processing Systems 10, 1997, pp. 266-272.

    Examples
    --------
    Who is certain has more to say than in the mean, which is 0.75:

    >>> import numpy as np
    >>> from dspsep import log_opinion_pool
    >>> log_opinion_pool([np.array([0.99, 0.01]), np.array([0.51, 0.49])]).round(2)
    array([0.91, 0.09])
    """
    if not isinstance(masks, Iterable):
        raise InputError("masks", "a sequence of arrays, one of each member", type(masks).__name__)
    given = [_checked_mask(f"masks[{position}]", mask) for position, mask in enumerate(masks)]
    if not given:
        raise InputError("masks", "of at least one member", "none")
    shape = tuple(given[0].shape)
    for position, mask in enumerate(given):
        if not shape or not shape[0] or tuple(mask.shape) != shape:
            requirement = "of shape (n_sources, ...), as all others"
            raise InputError(f"masks[{position}]", requirement, f"shape {tuple(mask.shape)}")
    xp = _backend.namespace(*given)
    logs: list[Array] = []
    for mask, weight in zip(given, shares_of(weights, len(given)), strict=True):
        with_opinion(logs, [mask[source, ...] for source in range(shape[0])], weight)
    return xp.stack(list(normalised(logs)))  # type: ignore[no-any-return]


def _checked_mask(name: str, mask: object) -> Array:
    """Return a mask whose sum over the sources is a number, if it is finite and not negative."""
    array = _backend.real_floating(name, mask)
    xp = _backend.namespace(array)
    # One trip from the device for both ends; not a number fails both comparisons.
    low, high = _backend.to_host(xp.stack((xp.min(array), xp.max(array)))) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= float(xp.finfo(array.dtype).max)):
        raise InputError(name, "finite and not negative", f"values from {low:g} to {high:g}")
    # Only ratios count.
    return array / float(high) if high > 1 else array


def checked_weights(weights: object, n_members: int) -> tuple[float, ...]:
    """Return weights as plain numbers, of which one is above zero."""
    if isinstance(weights, (str, Mapping, Set)) or not isinstance(weights, Iterable):  # no order, no weights
        raise InputError("weights", "a number for each member", repr(weights)[:60])
    numbers = tuple(
        _checks.number(f"weights[{place}]", weight, minimum=0, maximum=_checks.MAX_MARGIN)
        for place, weight in enumerate(weights)
    )
    if len(numbers) != n_members:
        raise InputError("weights", f"one for each of the {n_members} members", f"{len(numbers)}")
    if not sum(numbers):
        raise InputError("weights", "above zero for at least one member", repr(numbers)[:60])
    return numbers


def shares_of(weights: Sequence[float] | None, n_members: int) -> tuple[float, ...]:
    """Return weights that sum to one."""
    given = (1.0,) * n_members if weights is None else checked_weights(weights, n_members)
    total = math.fsum(given)
    return tuple(weight / total for weight in given)


def energy_of(values: Array) -> Array:
    """Return the squares of the absolute values."""
    magnitudes: Array = _backend.namespace(values).abs(values)
    return magnitudes * magnitudes


def with_opinion(logs: list[Array], shares: list[Array], weight: float) -> None:
    """Add a member's opinion, what each source has of a bin, to the logarithms of the pool, at first none.

    The list of shares is emptied on the way, so that no more is held than is needed yet.
    """
    xp = _backend.namespace(*shares)
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    total = xp.where(total > 0, total, xp.ones_like(total))
    for source in range(len(shares)):
        opinion = weight * xp.log(shares.pop(0) / total + _DOUBT)
        if source < len(logs):
            logs[source] = logs[source] + opinion
        else:
            logs.append(opinion)


def normalised(logs: list[Array]) -> Iterator[Array]:
    """Yield what the logarithms are of, divided by its sum over the sources; the list is emptied first.

    Yields
    ------
    array
        Of one source after the other.
    """
    xp = _backend.namespace(*logs)
    likely = []
    while logs:
        likely.append(xp.exp(logs.pop(0)))  # the floor keeps the logarithm above -14
    total = likely[0]
    for share in likely[1:]:
        total = total + share
    while likely:
        yield likely.pop(0) / total
