"""Which output of one bin belongs to which of another: aligned by when they are loud.

What is compared is how much of a bin each output has in every frame,

    v[k, f, t] = ||a_k y_k||**2 / sum over j of ||a_j y_j||**2

a_k being the column of the inverse of W: these power ratios correlate over all bins of a source, and
negatively between sources, better than powers do (Sawada, Araki & Makino 2011). First all bins are put in
the order that agrees best with the mean of each source, again and again; then each bin with its neighbours
and its octaves.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.errors import InputError

__all__ = ["PERMUTATIONS", "align_permutation"]

PERMUTATIONS = ("correlation", "score")

_Order: TypeAlias = npt.NDArray[np.intp]
_Scores: TypeAlias = npt.NDArray[np.float64]

# Up to so many sources all orders are tried at once; beyond, the best is found one bin after the other.
_ALL_ORDERS = 5
# Most rounds of each stage; they end when nothing changes.
_ROUNDS = 30
# Neighbours on each side, and around half the bin.
_NEAR, _OCTAVE = 3, 1


def align_permutation(powers: Array, *, method: Literal["correlation", "score"] = "correlation") -> Array:
    """Find which output of each bin belongs to which source.

    Parameters
    ----------
    powers : array of shape (n_sources, n_freqs, n_frames)
        Of the outputs of each bin, in their scale at the microphones. Not negative.
    method : {"correlation", "score"}, default="correlation"
        Power ratios, first of all bins and then of neighbours and octaves; or amplitudes, bins being added to
        the sources one after the other, those first whose outputs are least alike (Murata et al. 2001).

    Returns
    -------
    array of shape (n_freqs, n_sources)
        Integers: source k is output ``order[f, k]`` of bin f.

    Raises
    ------
    InputError
        If `powers` or `method` is out of range.

    See Also
    --------
    FDICA : What needs it.

    Notes
    -----
    Deviation from the paper of 2011: the order of bins at the start is the one that "score" finds, so that
    there is no random start.

    References
    ----------
    H. Sawada, S. Araki, S. Makino, "Underdetermined convolutive blind source separation via frequency
    bin-wise clustering and permutation alignment", IEEE Transactions on Audio, Speech, and Language
    Processing 19(3), 2011, pp. 516-527. doi:10.1109/TASL.2010.2051355

    N. Murata, S. Ikeda, A. Ziehe, "An approach to blind source separation based on temporal structure of
    speech signals", Neurocomputing 41(1-4), 2001, pp. 1-24. doi:10.1016/S0925-2312(00)00345-3

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import align_permutation
    >>> rng = np.random.default_rng(0)
    >>> loud = rng.exponential(1.0, (2, 1, 100)) ** 2
    >>> powers = loud * rng.exponential(1.0, (2, 40, 100))
    >>> powers[:, ::3] = powers[::-1, ::3]  # exchange every third bin
    >>> order = align_permutation(powers)
    >>> [int(source) for source in order[:6, 0] != order[1, 0]]
    [1, 0, 0, 1, 0, 0]
    """
    _checks.choice("method", method, PERMUTATIONS)
    powers = _backend.real_floating("powers", powers)
    if powers.ndim != 3 or 0 in powers.shape:
        raise InputError("powers", "of shape (n_sources, n_freqs, n_frames)", f"{tuple(powers.shape)}")
    xp = _backend.namespace(powers)
    lowest, highest = _backend.to_host(xp.stack([xp.min(powers), xp.max(powers)])).tolist()
    if not 0 <= lowest <= highest < np.inf:
        raise InputError("powers", "finite and not negative", f"values from {lowest:g} to {highest:g}")
    by_bin = xp.permute_dims(powers, (1, 0, 2))
    # Amplitudes are compared with no regard to how loud an output is on the mean.
    mean = xp.mean(by_bin, axis=2, keepdims=True)
    there = mean > float(xp.finfo(powers.dtype).smallest_normal)
    level = by_bin / xp.where(there, mean, xp.ones_like(mean))
    order = _grown(xp, xp.sqrt(xp.where(there, level, xp.zeros_like(level))))
    if method == "correlation":
        ratios = _standard(xp, _ratios(xp, by_bin))
        order = _locally(xp, ratios, _globally(xp, ratios, order))
    return _backend.asarray_like(np.asarray(order, np.int64), powers)


def _ratios(xp: Namespace, powers: Array) -> Array:
    total = xp.sum(powers, axis=1, keepdims=True)
    tiny = float(xp.finfo(powers.dtype).smallest_normal)
    there = total > tiny
    share = powers / xp.where(there, total, xp.ones_like(total))
    return xp.where(there, share, xp.full_like(share, 1 / powers.shape[1]))  # type: ignore[no-any-return]


def _standard(xp: Namespace, values: Array) -> Array:
    """Return rows over frames of mean 0 and norm 1; those that do not change become 0."""
    centred = values - xp.mean(values, axis=2, keepdims=True)
    norm = xp.sqrt(xp.sum(centred * centred, axis=2, keepdims=True))
    there = norm > 8 * float(xp.finfo(values.dtype).eps)
    return xp.where(there, centred / xp.where(there, norm, xp.ones_like(norm)), xp.zeros_like(centred))  # type: ignore[no-any-return]


def _reordered(xp: Namespace, values: Array, order: _Order) -> Array:
    index = _backend.asarray_like(np.ascontiguousarray(order)[:, :, None], values)
    shape = (*order.shape, values.shape[2])
    return xp.take_along_axis(values, xp.broadcast_to(index, shape), axis=1)  # type: ignore[no-any-return]


def _chooser(n_sources: int) -> Callable[[_Scores], _Order]:
    """Return what finds, for scores (n, n_sources, n_sources) of source and output, the best outputs."""
    if n_sources <= _ALL_ORDERS:
        every = np.array(list(permutations(range(n_sources))))

        def best(scores: _Scores) -> _Order:
            sums = scores[:, np.arange(n_sources), every].sum(axis=2)
            return np.asarray(every[np.argmax(sums, axis=1)])

        return best
    from scipy.optimize import linear_sum_assignment

    return lambda scores: np.array([linear_sum_assignment(each, maximize=True)[1] for each in scores])


def _grown(xp: Namespace, amplitudes: Array) -> _Order:
    """Return the order that comes of adding bins, (n_freqs, n_sources, n_frames), one after the other."""
    n_freqs, n_sources, _ = amplitudes.shape
    norm = xp.sqrt(xp.sum(amplitudes * amplitudes, axis=1, keepdims=True))
    there = norm > float(xp.finfo(amplitudes.dtype).smallest_normal)
    shares = xp.where(
        there, amplitudes / xp.where(there, norm, xp.ones_like(norm)), xp.zeros_like(amplitudes)
    )
    alike = xp.sum(xp.sum(shares, axis=1) ** 2, axis=1)
    # Those whose outputs are never loud together first; silent ones last.
    silent = xp.sum(xp.astype(there, alike.dtype), axis=(1, 2)) == 0
    alike = xp.where(silent, xp.full_like(alike, xp.inf), alike)
    turns = np.argsort(_backend.to_host(alike), kind="stable")
    if n_sources > _ALL_ORDERS:  # what finds their order works on the host
        shares, xp = _backend.to_host(shares), np
    choose = _choice(xp, shares)
    order: dict[int, Array] = {}
    centre = xp.zeros(shares.shape[1:], dtype=shares.dtype, device=shares.device)
    for f in turns.tolist():
        share = shares[f, ...]
        order[f] = choose(xp.astype(centre @ xp.matrix_transpose(share), xp.float64))
        centre = centre + xp.take(share, order[f], axis=0)
    return np.asarray(_backend.to_host(xp.stack([order[f] for f in range(n_freqs)])))


def _choice(xp: Namespace, like: Array) -> Callable[[Array], Array]:
    """Return what finds the best outputs for scores (n_sources, n_sources), all of it where `like` lives."""
    n_sources = int(like.shape[1])
    if n_sources > _ALL_ORDERS:
        choose = _chooser(n_sources)
        return lambda scores: choose(scores[None])[0]
    orders = np.array(list(permutations(range(n_sources))))
    every = _backend.asarray_like(orders, like)
    places = _backend.asarray_like((orders + n_sources * np.arange(n_sources)).ravel(), like)

    def best(scores: Array) -> Array:
        sums = xp.sum(xp.reshape(xp.take(xp.reshape(scores, (-1,)), places), orders.shape), axis=1)
        return xp.take(every, xp.reshape(xp.argmax(sums), (1,)), axis=0)[0, ...]  # type: ignore[no-any-return]

    return best


def _globally(xp: Namespace, ratios: Array, order: _Order) -> _Order:
    """Return the order that agrees best with the mean of each source over all bins."""
    choose = _chooser(int(ratios.shape[1]))
    for _ in range(_ROUNDS):
        centre = xp.mean(_reordered(xp, ratios, order), axis=0, keepdims=True)
        scores = _backend.to_host(_standard(xp, centre) @ xp.matrix_transpose(ratios))
        following = choose(np.asarray(scores, np.float64))
        if (following == order).all():
            break
        order = following
    return order


def _locally(xp: Namespace, ratios: Array, order: _Order) -> _Order:
    """Return the order in which each bin agrees best with its neighbours and octaves."""
    n_freqs = int(ratios.shape[0])
    choose = _chooser(int(ratios.shape[1]))
    links: list[list[tuple[int, Any]]] = [[] for _ in range(n_freqs)]
    for lower, upper in _linked(n_freqs):
        take = (xp.take(ratios, _backend.asarray_like(side, ratios), axis=0) for side in (lower, upper))
        left, right = take
        found = np.asarray(_backend.to_host(left @ xp.matrix_transpose(right)), np.float64)
        for f, g, products in zip(lower.tolist(), upper.tolist(), found, strict=True):
            links[f].append((g, products.T))
            links[g].append((f, products))
    stacked = [
        (np.array([g for g, _ in near], np.intp), np.array([products for _, products in near]))
        for near in links
    ]
    order = order.copy()
    for _ in range(_ROUNDS):
        changed = False
        for f, (near, products) in enumerate(stacked):
            if not len(near):
                continue
            # products[i, a, b]: output a of the neighbour with output b of this bin.
            chosen = np.take_along_axis(products, order[near][:, :, None], axis=1).sum(axis=0)
            best = choose(chosen[None])[0]
            changed |= bool((best != order[f]).any())
            order[f] = best
        if not changed:
            break
    return order


def _linked(n_freqs: int) -> list[tuple[_Order, _Order]]:
    """Return pairs of bins that are compared: near ones, and ones about an octave apart."""
    bins = np.arange(n_freqs)
    linked = [(bins[:-step], bins[step:]) for step in range(1, min(_NEAR, n_freqs - 1) + 1)]
    for shift in range(-_OCTAVE, _OCTAVE + 1):
        half = bins // 2 + shift
        inside = (half >= 0) & (bins - half > _NEAR)
        if inside.any():
            linked.append((half[inside], bins[inside]))
    return linked
