"""What was heard before, as a penalty on templates: the memory of a factorisation that goes on and on.

In multiplicative updates all that the past says of the templates is two sums over frames. With N and D the
numerators and denominators of `_updates.py` at the factors that a batch ended with, its divergence is
majorised by a function whose derivative at other templates is

    - A W**-p + B W**-q,        A = N W~**p,    B = D W~**q,    p = max(0, 2 - beta),    q = min(0, 1 - beta)

W~ being the templates that it ended with (Fevotte & Idier 2011). These functions can be added, whatever W~
was: so A and B are sums over all batches, and the batch at hand is factorised under its own divergence and
this sum. As p - q is 1 / gamma, that takes no more than to add A W**-p to the numerators of templates and
B W**-q to their denominators. For beta 0 and 1 these are the statistics of Lefevre, Bach & Fevotte (2011).

What is forgotten, and when: the D of a batch, weighed with the templates, is how much was heard of each
component. What came before weighs with a power of how much had been heard by then,

    A <- (E / (E + e))**4 A + N W~**p,        E <- E + e,        and the same for B

e being what was heard of the component in this batch, and E in all. The first batches were explained by
templates that knew little, and this frees what comes later from them. Where E reaches 4 times `memory` frames
of the loudest batch it stays: from then on A and B are those of about `memory` frames. Old sounds fade as new
ones come, and not because nothing comes.

Templates that were given, and may change, count as if they had been heard for all of the memory, as loud as
the loudest batch so far: that part of the sums is kept apart, and rises with the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["History"]

# The power above. On two drum loops components gain much from 0 to 4, and little more from 4 to 8.
_FRESHNESS = 4


class _Batch(NamedTuple):
    """What a batch adds to the sums."""

    pull: Array
    push: Array
    heard: Array
    loudest: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """Sums over all that was heard, in double precision.

    Parameters
    ----------
    beta : float
        Of the divergence.
    pull, push : array of shape (n_components, n_freqs)
        The A and B above, in units of V**beta, of what was heard.
    given_pull, given_push : array of shape (n_components, n_freqs)
        What is left of the same of templates that were given; zero for others.
    heard : array of shape (n_components,)
        The E above.
    loudest : array of shape (n_components,)
        The most that was heard of each component in a frame, on the mean of a batch.
    """

    beta: float
    pull: Array
    push: Array
    given_pull: Array
    given_push: Array
    heard: Array
    loudest: Array

    @classmethod
    def of_nothing(cls, W: Array, beta: float) -> History:
        """Return that of templates like W before anything was heard."""
        xp = _backend.namespace(W)
        zeros = xp.zeros(W.shape, dtype=xp.float64, device=W.device)
        level = zeros[:, 0]
        return cls(
            beta=beta, pull=zeros, push=zeros, given_pull=zeros, given_push=zeros, heard=level, loudest=level
        )

    @property
    def _powers(self) -> tuple[float, float]:
        """The p and q above."""
        return max(0.0, 2 - self.beta), min(0.0, 1 - self.beta)

    def scaled(self, exponent: int) -> History:
        """Return that of data times ``2.0 ** exponent``."""
        # Beyond 2**900 one of the two is so much louder that the other one counts for nothing.
        factor = 2.0 ** max(-900.0, min(exponent * self.beta, 900.0))
        return replace(
            self,
            pull=self.pull * factor,
            push=self.push * factor,
            given_pull=self.given_pull * factor,
            given_push=self.given_push * factor,
            heard=self.heard * factor,
            loudest=self.loudest * factor,
        )

    def raised(self, factor: float) -> History:
        """Return it with given templates as if heard so much louder."""
        xp = _backend.namespace(self.pull)
        is_given = xp.sum(self.given_push, axis=1) > 0
        heard, loudest = (xp.where(is_given, factor * level, level) for level in (self.heard, self.loudest))
        given_pull, given_push = factor * self.given_pull, factor * self.given_push
        return replace(self, given_pull=given_pull, given_push=given_push, heard=heard, loudest=loudest)

    def after(self, W: Array, numerator: Array, denominator: Array, n_frames: int, memory: float) -> History:
        """Return it after a batch of `n_frames` that ended with W, N and D, if it holds `memory` frames."""
        new = self._of_a_batch(W, numerator, denominator, n_frames)
        xp = _backend.namespace(W)
        total = self.heard + new.heard
        share = self.heard / xp.where(total > 0, total, xp.ones_like(total))
        # Of what nothing is heard, nothing is forgotten.
        kept = xp.where(new.heard > 0, share**_FRESHNESS, xp.ones_like(share))[:, None]
        loudest = xp.maximum(self.loudest, new.loudest)
        if not math.isinf(memory):
            total = xp.minimum(total, _FRESHNESS * memory * loudest)
        return replace(
            self,
            pull=kept * self.pull + new.pull,
            push=kept * self.push + new.push,
            given_pull=kept * self.given_pull,
            given_push=kept * self.given_push,
            heard=total,
            loudest=loudest,
        )

    def as_if_heard(self, W: Array, denominator: Array, n_frames: int, memory: float) -> History:
        """Return it as if templates had been heard, as in a batch with D, for all of the memory."""
        # Numerators equal to denominators: these are the best templates there are.
        new = self._of_a_batch(W, denominator, denominator, n_frames)
        times = memory / n_frames
        heard = _FRESHNESS * memory * new.loudest
        return replace(
            self,
            given_pull=times * new.pull,
            given_push=times * new.push,
            heard=heard,
            loudest=new.loudest,
        )

    def _of_a_batch(self, W: Array, numerator: Array, denominator: Array, n_frames: int) -> _Batch:
        xp = _backend.namespace(W, numerator)
        p, q = self._powers
        values, heard = xp.astype(W, xp.float64), xp.astype(denominator, xp.float64)
        zero = xp.zeros_like(values)
        there = values > 0
        safe = xp.where(there, values, xp.ones_like(values))
        sums = xp.sum(heard * values, axis=1)
        return _Batch(
            pull=xp.where(there, xp.astype(numerator, xp.float64) * safe**p, zero),
            push=xp.where(there, heard * safe**q, zero),
            heard=sums,
            loudest=sums / n_frames,
        )

    def gains(self, W: Array) -> tuple[Array, Array]:
        """Return what numerators and denominators of templates gain, in the precision of W."""
        xp = _backend.namespace(W)
        p, q = self._powers
        safe = _positive(W)
        largest = float(xp.finfo(W.dtype).max) / 4
        pull = xp.clip((self.pull + self.given_pull) * safe**-p, 0, largest)
        push = xp.clip((self.push + self.given_push) * safe**-q, 0, largest)
        return xp.astype(pull, W.dtype), xp.astype(push, W.dtype)

    def value(self, W: Array) -> Array:
        """Return the sum of the functions above, less its least value: a number where the templates are."""
        xp = _backend.namespace(W)
        p, q = self._powers
        safe = _positive(W)
        one = xp.ones_like(safe)
        pulls, pushes = self.pull + self.given_pull, self.push + self.given_push
        known = (pulls > 0) & (pushes > 0)
        pull, push = (xp.where(known, sums, one) for sums in (pulls, pushes))
        # Around the best templates, (A / B)**gamma, both terms are multiples of one number.
        best = (pull / push) ** (1 / (p - q))
        ratio = safe / best
        rising = _integral(ratio, q) - _integral(ratio, p)
        around = xp.where(known, pull * best ** (1 - p) * rising, 0 * one)
        # Where nothing pulls there is no best template but zero.
        alone = xp.where(pulls > 0, 0 * one, pushes * safe ** (1 - q) / (1 - q))
        value: Array = xp.sum(around + alone)
        return value


def _positive(W: Array) -> Array:
    """Return W in double precision, without zeros, which stay zero whatever they are multiplied by."""
    xp = _backend.namespace(W)
    values = xp.astype(W, xp.float64)
    return xp.clip(values, float(xp.finfo(xp.float32).smallest_normal), None)  # type: ignore[no-any-return]


def _integral(ratio: Array, power: float) -> Array:
    """Return the integral of ``x ** -power`` from 1 to `ratio`."""
    xp = _backend.namespace(ratio)
    if abs(power - 1) < 1e-9:
        return xp.log(ratio)  # type: ignore[no-any-return]
    return (ratio ** (1 - power) - 1) / (1 - power)
