"""Majorisation and projection: what all methods of the family do in an iteration.

With y = W x in every bin, all of them minimise, over demixing matrices and what else a model has,

    sum over sources of the mean over frames of G(y)  -  2 sum over f of log |det W_f|

G falls short of a quadratic function of y that touches it where one is (Ono 2011): so with weights from the
present outputs, and ``V[f, k]`` the mean of weighted ``x x^H``, lowering

    sum over k of  w_k^H V[f, k] w_k  -  2 log |det W_f|

by any means lowers the objective: one row after the other (iterative projection, IP), two at once (IP2), or
along one output after the other (iterative source steering, ISS). A multiple of the identity is added to all V,
that is ``ridge * |w|**2`` to the objective, so that no V is singular; losses are those of what is minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.iva._whitening import Whitened

__all__ = ["CONTRASTS", "UPDATES", "Found", "Report", "Trace", "minimise_contrast", "pairs", "sweep"]

UPDATES = ("ip", "ip2", "iss")
CONTRASTS = ("laplace", "gauss")

#: Called with the iterations that are done and the loss; True ends them.
Report: TypeAlias = Callable[[int, float], bool | None]

# What is added to the energy of a frame, as a part of the mean: frames 120 dB below it weigh no more than that.
_FLOOR = 2.0**-40


@dataclass(kw_only=True, eq=False)
class Trace:
    """Losses as they come: numbers where the arrays are, unless somebody wants to know."""

    report: Report | None
    constant: float
    values: list[Array] = field(default_factory=list)

    def ends(self, loss: Array) -> bool:
        """Note a loss, and tell whether whoever is told of it wants no more iterations."""
        self.values.append(loss)
        iteration = len(self.values) - 1
        if self.report is None or iteration == 0:
            return False
        return bool(self.report(iteration, _backend.scalar(loss) + self.constant))

    def losses(self) -> tuple[float, ...]:
        """Return all losses."""
        xp = _backend.namespace(self.values[0])
        host = _backend.to_host(xp.stack(self.values)) + self.constant
        return tuple(float(loss) for loss in host)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What iterations end with.

    Attributes
    ----------
    demixing : array of shape (n_active, n_sources, rank)
        Of whitened spectra.
    losses : tuple of float
        At the start and after each iteration.
    templates : array of shape (n_sources, n_active, n_components), optional
        Of a low-rank model, in units of the scaled outputs.
    activations : array of shape (n_sources, n_components, n_frames), optional
        Of a low-rank model.
    """

    demixing: Array
    losses: tuple[float, ...]
    templates: Array | None = None
    activations: Array | None = None


def pairs(n_sources: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs that an iteration of IP2 goes through: each source and the next."""
    for first in range(n_sources):
        yield first, (first + 1) % n_sources


def sweep(update: str, W: Array, covariances: Array) -> tuple[Array, Array]:
    """Return matrices after one update of all sources, and log |det W| of each bin."""
    kernels = kernels_for(W)
    if update == "ip":
        return kernels.projection_sweep(W, covariances)
    return kernels.steering_sweep(W, covariances)


def log_determinants(W: Array) -> Array:
    """Return log |det W|, (n_freqs,); of wide matrices, half of log det (W W^H)."""
    xp = _backend.namespace(W)
    if W.shape[1] == W.shape[2]:
        return xp.linalg.slogdet(W).logabsdet  # type: ignore[no-any-return]
    return xp.linalg.slogdet(W @ xp.conj(xp.matrix_transpose(W))).logabsdet / 2  # type: ignore[no-any-return]


def penalty(W: Array, ridge: Array) -> Array:
    """Return the sum of ``ridge[k] * |w_k|**2``."""
    xp = _backend.namespace(W, ridge)
    squares = xp.sum(xp.real(W) ** 2 + xp.imag(W) ** 2, axis=(0, 2))
    return xp.sum(ridge * squares)  # type: ignore[no-any-return]


def ridges(data: Whitened, n_sources: int, per: float) -> Array:
    """Return the ridge of each source where weights are about one over `per`."""
    return _backend.asarray_like(np.full(n_sources, data.ridge / per), data.spectra)


@dataclass(frozen=True, eq=False)
class _Contrast:
    """How outputs are distributed: G as a function of the energy of a frame, all bins together.

    Laplace: 2 r, with r the root of the energy. Gauss, with a variance for each frame: F log (r**2 / F).
    `floor` is added to r**2, per source.
    """

    name: str
    n_freqs: int
    floor: Array

    def values(self, energies: Array) -> Array:
        """Return the sum over sources of the means over frames of G."""
        xp = _backend.namespace(energies)
        energies = energies + self.floor
        if self.name == "laplace":
            terms = 2 * xp.sqrt(energies)
        else:
            terms = self.n_freqs * xp.log(energies / self.n_freqs)
        return xp.sum(xp.mean(terms, axis=1))  # type: ignore[no-any-return]

    def weights(self, energies: Array, rows: tuple[int, ...] | None = None) -> Array:
        """Return the derivatives of G by the energy; of some sources, if `rows` says which."""
        xp = _backend.namespace(energies)
        floor = self.floor if rows is None else xp.stack([self.floor[row, :] for row in rows])
        energies = energies + floor
        weights: Array = 1 / xp.sqrt(energies) if self.name == "laplace" else self.n_freqs / energies
        return weights


def minimise_contrast(
    data: Whitened, W: Array, *, update: str, contrast: str, n_iter: int, report: Report | None
) -> Found:
    """Return what iterations make of W~ (n_active, n_sources, rank) if bins share their weights."""
    kernels, xp = kernels_for(data.spectra), _backend.namespace(data.spectra)
    n_sources, square = W.shape[1], W.shape[1] == W.shape[2]
    ridge = ridges(data, n_sources, len(data.active))
    energies = kernels.demixed_powers(data.spectra, W)
    density = _Contrast(contrast, len(data.active), _FLOOR * xp.mean(energies, axis=1, keepdims=True))
    trace = Trace(report=report, constant=-2 * data.constant() if square else 0.0)
    logarithms = log_determinants(W)
    for _ in range(n_iter):
        if trace.ends(density.values(energies) - 2 * xp.sum(logarithms) + penalty(W, ridge)):
            return Found(demixing=W, losses=trace.losses())
        if update == "ip2":
            for pair in pairs(n_sources):
                rows = xp.stack([W[:, row, :] for row in pair], axis=1)
                weights = density.weights(kernels.demixed_powers(data.spectra, rows), pair)
                covariances = kernels.weighted_covariances(data.spectra, weights, ridge[:2])
                W, logarithms = kernels.pair_projection(W, covariances, *pair)
        else:
            weights = density.weights(energies)
            W, logarithms = sweep(update, W, kernels.weighted_covariances(data.spectra, weights, ridge))
        energies = kernels.demixed_powers(data.spectra, W)
    trace.ends(density.values(energies) - 2 * xp.sum(logarithms) + penalty(W, ridge))
    return Found(demixing=W, losses=trace.losses())
