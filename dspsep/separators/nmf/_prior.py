"""What is known of templates before the mixture is heard: they may change, at a price.

To V = W H a term is added for the components that are known, with W0 what they are known to be,

    weight * sum_f d_beta(W0[k, f] | W[k, f] + floor)

as if the mixture had, beside its frames, some in which one of them is heard alone. For beta 1 that is minus
the logarithm of a Dirichlet density of each template, up to constants. It has the form of the divergence
itself, so the same bound holds, and numerators and denominators gain what those frames would add to them:

    weight * W0 (W + floor)**(beta - 2)        and        weight * (W + floor)**(beta - 1)
"""

from __future__ import annotations

from dataclasses import dataclass

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for

__all__ = ["Prior"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """Templates that are known, frame-major, of the first components; and how much they count.

    Parameters
    ----------
    templates : array of shape (n_known, n_freqs)
        What they are known to be; not below the floor for beta <= 0.
    weight : float
        How many frames, each of a level of one, they count as.
    beta, floor : float
        Of the divergence, and what is added to templates.
    """

    templates: Array
    weight: float
    beta: float
    floor: float

    def value(self, W: Array) -> Array:
        """Return what the templates of all components cost: a number where they are."""
        known = W[: self.templates.shape[0], :]
        xp = _backend.namespace(W)
        if self.beta == 2:
            square: Array = xp.sum((self.templates - known) ** 2, dtype=xp.float64)
            return self.weight / 2 * square
        *_, loss = kernels_for(W).divergence_terms(
            self.templates, xp.asarray(known, copy=True), self.floor, self.beta, True
        )
        return self.weight * loss

    def of_templates(self, W: Array) -> tuple[Array, Array]:
        """Return what numerators and denominators of templates gain: (n_components, n_freqs) each."""
        xp = _backend.namespace(W)
        known = W[: self.templates.shape[0], :]
        none = xp.zeros_like(W[self.templates.shape[0] :, :])
        if self.beta == 2:
            pull, push = self.templates, known
        else:
            pull, plain, _ = kernels_for(W).divergence_terms(
                self.templates, xp.asarray(known, copy=True), self.floor, self.beta, False
            )
            push = xp.ones_like(known) if plain is None else plain
        return xp.concat([self.weight * pull, none], axis=0), xp.concat([self.weight * push, none], axis=0)

    def of_gram(self, gram: Array) -> Array:
        """Return products of activations, which coordinate descent divides by, with what is known in them."""
        xp = _backend.namespace(gram)
        n_known, n_components = self.templates.shape[0], gram.shape[0]
        which = xp.astype(xp.arange(n_components, device=gram.device) < n_known, gram.dtype)
        own = xp.eye(n_components, dtype=gram.dtype, device=gram.device)
        with_known: Array = gram + self.weight * own * which
        return with_known
