"""What factorisations need of a block, from kernels that each do a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array

__all__ = ["Terms", "composed"]


class Terms(NamedTuple):
    """Two functions of the protocol."""

    activation_terms: Callable[[Array, Array, Array, float, float], tuple[Array, Array | None]]
    template_terms: Callable[[Array, Array, Array, float, float, bool], tuple[Array, Array | None, Array]]


def composed(
    product: Callable[[Array, Array], Array],
    product_with_transposed: Callable[[Array, Array], Array],
    divergence_terms: Callable[[Array, Array, float, float, bool], tuple[Array, Array | None, Array]],
) -> Terms:
    """Return them as made of three others: the model, what it does to the values, and the sums of that."""

    def activation_terms(
        values: Array, templates: Array, activations: Array, floor: float, beta: float
    ) -> tuple[Array, Array | None]:
        """See `dspsep.kernels.Kernels.activation_terms`."""
        weighted, plain, _ = divergence_terms(values, product(activations, templates), floor, beta, False)
        numerator = product_with_transposed(weighted, templates)
        return numerator, None if plain is None else product_with_transposed(plain, templates)

    def template_terms(
        values: Array, templates: Array, activations: Array, floor: float, beta: float, with_loss: bool
    ) -> tuple[Array, Array | None, Array]:
        """See `dspsep.kernels.Kernels.template_terms`."""
        model = product(activations, templates)
        weighted, plain, loss = divergence_terms(values, model, floor, beta, with_loss)
        transposed = _backend.namespace(activations).permute_dims(activations, (1, 0))
        numerator = product(transposed, weighted)
        return numerator, None if plain is None else product(transposed, plain), loss

    return Terms(activation_terms, template_terms)
