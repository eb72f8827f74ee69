"""The steps that all factorisations are made of, over blocks of frames.

Everything here is **frame-major**: V (n_frames, n_freqs), W (n_components, n_freqs), H (n_frames,
n_components), so that the model of a block of frames is ``H[block] @ W``. The objective is

    J(W, H) = sum d_beta(V | W H + floor) + penalties

where the floor stands for one more component, constant and never changed. It takes the place of an epsilon in
denominators, and what is proved of the updates remains true with it.

With L = W H + floor, majorisation-minimisation (Fevotte & Idier 2011) multiplies each factor by

    (N / D)**gamma,    N_H = (V L**(beta - 2)) W',    D_H = L**(beta - 1) W',    and the same for W with H'

where gamma is 1 / (2 - beta) below 1, 1 up to 2, and 1 / (beta - 1) above: then J never rises. One pass over
V serves both factors: while a block is in the cache its activations are updated, and the numerators of the
*next* templates are collected. The order (templates, then activations) is that of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from dspsep import _backend
from dspsep._typing import Array, Namespace
from dspsep.kernels import kernels_for
from dspsep.separators.nmf._history import History
from dspsep.separators.nmf._penalties import Penalties

__all__ = [
    "Moments",
    "Objective",
    "Step",
    "blocks",
    "collect",
    "energy_of",
    "multiplied",
    "on_host",
    "sweep",
]

# A block of V should stay in a second-level cache. On a device a call takes as long as some 20 MB take to be
# read, so that blocks are as large as there is room for their temporaries, two or three of the same size.
_BLOCK_BYTES, _BLOCK_BYTES_ELSEWHERE = 2**20, 2**28
# Kernels take so many frames at a time, or a divisor of that.
_MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is minimised.

    Parameters
    ----------
    beta : float
        Of the divergence, from -1 to 3.
    floor : float
        What is added to the model: a small part of the mean of V. 0 for beta 2, which needs none.
    penalties : Penalties
        On the activations.
    energy : float, optional
        The sum of the squares of V, for beta 2: computed anew in every pass if it is not given.
    history : History, optional
        What came before, which templates are to explain, too. Not for solvers by coordinates.
    """

    beta: float
    floor: float
    energy: float | None = None
    penalties: Penalties = field(default_factory=Penalties)
    history: History | None = None

    @property
    def exponent(self) -> float:
        """The exponent with which multiplicative updates never let the objective rise."""
        beta = self.beta
        if beta > 2:
            return 1 / (beta - 1)
        if self.penalties.quadratic:
            # Everything is majorised by squares, as the penalty is.
            return 1 / (3 - beta)
        return 1 / (2 - beta) if beta < 1 else 1.0


class Moments(NamedTuple):
    """What the next templates depend on, at a pair of factors; and the objective there.

    `numerator` and `denominator` are (n_components, n_freqs), the latter (n_components, 1) for beta 1;
    `gram` is (n_components, n_components), of the activations, for beta 2 and else None. `loss` may be on the
    device, where nothing waits for it; `on_host` takes it from there.
    """

    numerator: Array
    denominator: Array
    gram: Array | None
    loss: Array | float


class Step(NamedTuple):
    """Where a pass goes: the templates to update activations with, and how."""

    exponent: float
    #: From the updated activations of a block, and where it lies, to those that the moments are taken at.
    beyond: Callable[[Array, slice], Array] | None = None


def multiplied(
    factor: Array, numerator: Array, denominator: Array, exponent: float, kept: Array | None = None
) -> Array:
    """Return a factor after an update: see `dspsep.kernels.Kernels.multiplied`."""
    return kernels_for(factor).multiplied(factor, numerator, denominator, exponent, kept)


def on_host(losses: Sequence[Array | float]) -> list[float]:
    """Return losses as floats: those that are on a device come in one transfer."""
    there = [loss for loss in losses if not isinstance(loss, float)]
    if len(there) < 2:  # nothing to put together
        return [float(loss) if isinstance(loss, float) else _backend.scalar(loss) for loss in losses]
    found = iter(_backend.to_host(_backend.namespace(*there).stack(there)).tolist())
    return [float(loss) if isinstance(loss, float) else next(found) for loss in losses]


def blocks(V: Array) -> list[slice]:
    """Return where the blocks of V lie."""
    n_frames, n_freqs = V.shape
    bits = _backend.namespace(V).finfo(V.dtype).bits
    length = 8 * (_BLOCK_BYTES if _backend.is_numpy(V) else _BLOCK_BYTES_ELSEWHERE) // (bits * n_freqs)
    length = max(2 * _MULTIPLE, length - length % _MULTIPLE)
    return [slice(start, min(start + length, n_frames)) for start in range(0, n_frames, length)]


def collect(objective: Objective, V: Array, W: Array, H: Array, *, with_loss: bool = True) -> Moments:
    """Return what the next templates depend on, at W and H: a pass that changes nothing."""
    collector = _Collector(objective, V, W, with_loss)
    for block in blocks(V):
        collector.add(V[block, :], H[block, :])
    return collector.moments(H)


def sweep(
    objective: Objective,
    V: Array,
    W: Array,
    H: Array,
    step: Step,
    *,
    ahead: Array | None = None,
    fixed: Array | None = None,
    with_loss: bool = True,
) -> tuple[Array, Array, Moments]:
    """Update all activations in one pass, and return what the next templates depend on.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    V, W, H : array
        (n_frames, n_freqs), (n_components, n_freqs), (n_frames, n_components). Not changed.
    step : Step
        The exponent, and how far to go beyond.
    ahead : array, optional
        The templates that the moments are taken at, if not W.
    fixed : array of bool, optional
        Activations to leave as they are: of the shape of H, or (n_components,).
    with_loss : bool, default=True
        Whether the objective is computed; it is 0 otherwise.

    Returns
    -------
    updated : array
        The activations after the step.
    beyond : array
        Those that the moments are taken at; the same array if there is nothing beyond.
    moments : Moments
        At `ahead` and `beyond`.
    """
    xp = _backend.namespace(V, W, H)
    updater = _Updater(objective, V, W, H)
    collector = _Collector(objective, V, W if ahead is None else ahead, with_loss)
    updated: list[Array] = []
    beyond: list[Array] = []
    for block in blocks(V):
        values = V[block, :]
        kept = None if fixed is None else fixed[None, :] if fixed.ndim == 1 else fixed[block, :]
        new = multiplied(H[block, :], *updater.terms(values, block), step.exponent, kept)
        updated.append(new)
        if step.beyond is not None:
            new = step.beyond(new, block)
            beyond.append(new)
        collector.add(values, new)
    whole = _joined(xp, updated)
    further = _joined(xp, beyond) if beyond else whole
    return whole, further, collector.moments(further)


def _joined(xp: Namespace, parts: list[Array]) -> Array:
    """Return all blocks of frames as one array; a single one as it is."""
    whole: Array = parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
    return whole


class _Updater:
    """Numerators and denominators of activations, block by block."""

    def __init__(self, objective: Objective, V: Array, W: Array, H: Array) -> None:
        xp = _backend.namespace(W)
        self._objective, self._W, self._H = objective, W, H
        self._kernels = kernels_for(V)
        self._gram = W @ xp.permute_dims(W, (1, 0)) if objective.beta == 2 else None
        self._size = xp.sum(W, axis=1)
        self._penalty = objective.penalties.of_activations(self._size, H)

    def terms(self, values: Array, block: slice) -> tuple[Array, Array]:
        objective, H = self._objective, self._H[block, :]
        kernels, W = self._kernels, self._W
        if self._gram is not None:
            numerator, denominator = kernels.product_with_transposed(values, W), H @ self._gram
        else:
            numerator, plain = kernels.activation_terms(values, W, H, objective.floor, objective.beta)
            denominator = self._size[None, :] if plain is None else plain
        if self._penalty is None:
            return numerator, denominator
        pull, push = self._penalty(block)
        return numerator + pull, denominator + push


class _Collector:
    """The sums over frames that the next templates depend on."""

    def __init__(self, objective: Objective, V: Array, W: Array, with_loss: bool) -> None:
        self._objective, self._V, self._W, self._with_loss = objective, V, W, with_loss
        self._kernels = kernels_for(V)
        self._sums: tuple[Array, Array] | None = None
        self._losses: list[Array] = []

    def add(self, values: Array, H: Array) -> None:
        xp = _backend.namespace(values, H)
        objective, kernels = self._objective, self._kernels
        transposed = xp.permute_dims(H, (1, 0))
        if objective.beta == 2:
            self._add(kernels.product(transposed, values), transposed @ H)
            return
        numerator, plain, loss = kernels.template_terms(
            values, self._W, H, objective.floor, objective.beta, self._with_loss
        )
        self._add(numerator, xp.sum(transposed, axis=1, keepdims=True) if plain is None else plain)
        self._losses.append(loss)

    def _add(self, numerator: Array, denominator: Array) -> None:
        if self._sums is None:
            self._sums = numerator, denominator
            return
        numerators, denominators = self._sums
        numerators += numerator
        denominators += denominator

    def moments(self, H: Array) -> Moments:
        objective, W = self._objective, self._W
        numerator, denominator = cast("tuple[Array, Array]", self._sums)
        gram = denominator if objective.beta == 2 else None
        denominator = denominator if gram is None else gram @ W
        loss: Array | float = 0.0
        if self._with_loss:
            if gram is None:
                loss = _total(self._losses)
            else:
                energy = energy_of(self._V) if objective.energy is None else objective.energy
                loss = _euclidean(self._V, W, H, numerator, gram, energy)
            if objective.penalties.any or objective.penalties.prior is not None:
                loss = loss + objective.penalties.value(W, H)
        pushed = objective.penalties.of_templates(W, H)
        if pushed is not None:
            denominator = denominator + pushed
        prior, history = objective.penalties.prior, objective.history
        if prior is not None:
            pull, push = prior.of_templates(W)
            numerator, denominator = numerator + pull, denominator + push
        if history is not None:
            pull, push = history.gains(W)
            numerator, denominator, loss = numerator + pull, denominator + push, loss + history.value(W)
        return Moments(numerator, denominator, gram, loss)


def _total(losses: list[Array]) -> Array:
    xp = _backend.namespace(*losses)
    total: Array = losses[0] if len(losses) == 1 else xp.sum(xp.stack(losses))
    return total


def _euclidean(V: Array, W: Array, H: Array, numerator: Array, gram: Array, energy: float) -> float:
    """Return half the squared distance: from the products that are there, if they are exact enough."""
    xp = _backend.namespace(V)
    dot = xp.sum(xp.astype(numerator, xp.float64) * xp.astype(W, xp.float64))
    square = xp.sum(xp.astype(gram, xp.float64) * xp.astype(W @ xp.permute_dims(W, (1, 0)), xp.float64))
    loss = _backend.scalar(energy / 2 - dot + square / 2)
    # The difference of large numbers: where little is left, so is little of their digits.
    if loss > energy * (1e-3 if V.dtype == xp.float32 else 1e-6):
        return loss
    zero = 0.0
    for block in blocks(V):
        zero += _energy(V[block, :] - H[block, :] @ W)
    return zero / 2


def energy_of(V: Array) -> float:
    """Return the sum of the squares of V."""
    return sum(_energy(V[block, :]) for block in blocks(V))


def _energy(values: Array) -> float:
    xp = _backend.namespace(values)
    return _backend.scalar(xp.sum(values * values, dtype=xp.float64))
