"""Majorisation and projection: what all methods of the family do in an iteration.

With y = W x in every bin, all of them minimise, over demixing matrices and what else a model has,

    sum over sources of the mean over frames of G(y)  -  2 sum over f of log |det W_f|

G falls short of a quadratic function of y that touches it where one is (Ono 2011): so with weights from the
present outputs, and ``V[f, k]`` the mean of weighted ``x x^H``, lowering

    sum over k of  w_k^H V[f, k] w_k  -  2 log |det W_f|

by any means lowers the objective: one row after the other (iterative projection, IP), two at once (IP2), or
along one output after the other (iterative source steering, ISS).

What keeps all this from dividing by zero is one thing: spectra are taken as if there was white noise in their
whitened channels, `ridge` of their power, of which expectations are known. An output has the power of what it
makes of that noise added to its own, and every covariance that of the noise. So it is a part of the
objective, which does not rise; it is the same for all scales and microphones; and no frame weighs more than
rounding allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import kernels_for
from dspsep.separators.iva._whitening import Whitened

__all__ = ["CONTRASTS", "UPDATES", "Found", "Report", "Trace", "minimise_contrast", "pairs", "sweep"]

UPDATES = ("ip", "ip2", "iss")
CONTRASTS = ("laplace", "gauss")

#: Called with the iterations that are done and the loss; True ends them.
Report: TypeAlias = Callable[[int, float], bool | None]


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
    if update != "iss":
        return kernels.projection_sweep(W, covariances)
    return kernels.steering_sweep(W, covariances)


def log_determinants(W: Array) -> Array:
    """Return log |det W|, (n_freqs,); of wide matrices, half of log det (W W^H)."""
    xp = _backend.namespace(W)
    if W.shape[1] == W.shape[2]:
        return xp.linalg.slogdet(W).logabsdet  # type: ignore[no-any-return]
    return xp.linalg.slogdet(W @ xp.conj(xp.matrix_transpose(W))).logabsdet / 2  # type: ignore[no-any-return]


def _value(contrast: str, energies: Array, n_freqs: int) -> Array:
    """Return the sum over sources of the means over frames of G(energy), all bins of a frame together.

    Laplace: 2 r, with r the root of the energy. Gauss, with a variance for each frame: F log (r**2 / F).
    """
    xp = _backend.namespace(energies)
    terms = 2 * xp.sqrt(energies) if contrast == "laplace" else n_freqs * xp.log(energies / n_freqs)
    return xp.sum(xp.mean(terms, axis=1))  # type: ignore[no-any-return]


def _weights(contrast: str, energies: Array, n_freqs: int) -> Array:
    """Return the derivatives of G by the energy."""
    if contrast == "laplace":
        return 1 / _backend.namespace(energies).sqrt(energies)  # type: ignore[no-any-return]
    return n_freqs / energies


def minimise_contrast(
    data: Whitened, W: Array, *, update: str, contrast: str, n_iter: int, report: Report | None
) -> Found:
    """Return what iterations make of W~ (n_active, n_sources, rank) if bins share their weights."""
    kernels, xp = kernels_for(data.spectra), _backend.namespace(data.spectra)
    x, ridge, n_freqs, n_sources = data.spectra, data.ridge, len(data.active), W.shape[1]
    trace = Trace(report=report, constant=-2 * data.constant() if n_sources == W.shape[2] else 0.0)
    energies, logarithms = kernels.demixed_powers(x, W, ridge), log_determinants(W)
    for iteration in range(n_iter + 1):
        loss = _value(contrast, energies, n_freqs) - 2 * xp.sum(logarithms)
        if trace.ends(loss) or iteration == n_iter:
            break
        if update == "ip2" and n_sources > 1:
            for pair in pairs(n_sources):
                rows = xp.stack([W[:, row, :] for row in pair], axis=1)
                weights = _weights(contrast, kernels.demixed_powers(x, rows, ridge), n_freqs)
                covariances = kernels.weighted_covariances(x, weights, ridge)
                W, logarithms = kernels.pair_projection(W, covariances, *pair)
            energies = kernels.demixed_powers(x, W, ridge)
        else:
            weights = _weights(contrast, energies, n_freqs)
            W, logarithms, energies = kernels.contrast_step(x, weights, W, ridge, update == "iss")
    return Found(demixing=W, losses=trace.losses())
