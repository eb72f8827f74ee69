"""What of an estimate is its source, what are the other sources, and what is neither.

The estimate x̂ of source j is projected on the delayed copies of source j alone, which gives Q, and on those
of all sources, which gives P (Vincent et al. 2006, section III.B, with filters for images as in
Vincent et al. 2012). With s the source itself, padded with silence for the tails of the filters,

    spatial (or filtering) error   Q − s
    interference                   P − Q
    artifacts                      x̂ − P

and all scores are ratios of the energies of these. Filters are those of least squares over the samples
that they are fitted on; they can be applied to other samples, as version 4 does with its windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from dspsep import _backend
from dspsep._typing import Array, FloatArray
from dspsep.kernels import kernels_for
from dspsep.metrics._correlations import block_length, correlations, spectra_of
from dspsep.metrics._stacks import Stack
from dspsep.metrics._toeplitz import BlockToeplitz

__all__ = ["ENERGIES", "Filters", "Pairs", "energies", "fit"]

Pairs = list[tuple[int, int]]

#: The columns of what `energies` returns: s source, x estimate, Q and P its two projections.
ENERGIES = ("s", "x", "Q", "P", "x-s", "Q-s", "P-Q", "x-P", "x-Q")

#: Blocks that are filtered together.
_TOGETHER = 8


@dataclass(frozen=True, eq=False)
class Filters:
    """The filters of both projections, on the host.

    Attributes
    ----------
    everything : array of shape (estimate channels, reference channels, n_taps)
        From all references to all estimates.
    own : array of shape (n_pairs, n_channels, n_channels, n_taps)
        From the channels of one reference to those of one estimate, for every pair.
    condition : float
        A lower bound on the condition of the references' inner products: see `BlockToeplitz`.
    loading : float
        The white noise that was added to the references, as a part of their energy.
    """

    everything: FloatArray
    own: FloatArray
    condition: float
    loading: float

    @property
    def n_taps(self) -> int:
        """The length of the filters."""
        return int(self.everything.shape[-1])


def fit(references: Stack, estimates: Stack, within: tuple[int, int], n_taps: int, pairs: Pairs) -> Filters:
    """Return the filters that project the estimates on the references, over the samples `within`."""
    n_rows, n_channels = references.n_rows, references.n_channels
    products = correlations(references, references.beside(estimates), within, n_taps)
    # Both need Σ_t x_i[t] y_j[t + p]: the blocks of the matrix are those of the references with themselves,
    # transposed, because block m of its first row is Σ_t x_i[t + m] x_j[t].
    inner = products[:, :, :n_rows].transpose(0, 2, 1)
    outer = products[:, :, n_rows:]
    joint = BlockToeplitz(inner[None])
    everything = joint.solve(outer[None])[0].transpose(2, 1, 0)
    condition, loading = float(joint.condition[0]), joint.loading
    del joint  # the largest thing here
    if len(references.signals) == 1:  # one source is all sources
        return Filters(everything, _own_of_one(everything, n_channels, pairs), condition, loading)
    spans = [slice(j * n_channels, (j + 1) * n_channels) for j in range(len(references.signals))]
    apart = BlockToeplitz(np.stack([inner[:, span, span] for span in spans]))
    sides = np.stack([outer[:, span, :] for span in spans])
    taps = apart.solve(sides).transpose(0, 3, 2, 1)
    own = np.stack([taps[i, j * n_channels : (j + 1) * n_channels] for i, j in pairs])
    return Filters(everything, own, condition, loading)


def _own_of_one(everything: FloatArray, n_channels: int, pairs: Pairs) -> FloatArray:
    return np.stack([everything[j * n_channels : (j + 1) * n_channels] for _, j in pairs])


def energies(
    references: Stack, estimates: Stack, within: tuple[int, int], filters: Filters, pairs: Pairs
) -> Array:
    """Return the energies of all parts of all pairs, (n_pairs, 9), where the signals are: see `ENERGIES`.

    Only the samples `within` count, but the tails that the filters add after them do, too.
    """
    start, stop = within
    tail = filters.n_taps - 1
    length = block_length(stop - start + tail, filters.n_taps)
    hop = length - tail
    xp = _backend.namespace(references.like)
    everything = _spectra_of_filters(filters.everything, length, references.like)
    own = _spectra_of_filters(filters.own, length, references.like)
    total = None
    for first in range(start, stop + tail, hop * _TOGETHER):
        n_blocks = min(_TOGETHER, -(-(stop + tail - first) // hop))
        last = first + n_blocks * hop
        sources = references.read(first - tail, last, within)
        made = estimates.read(first, last, within)
        spectra = spectra_of(sources, n_blocks, hop, length, length)
        projected = _filtered(everything, spectra, length, hop)
        rows = [
            _energies_of_pair(pair, sources[:, tail:], made, projected, own[k, ...], spectra, length, hop)
            for k, pair in enumerate(pairs)
        ]
        table = xp.stack(rows)
        total = table if total is None else total + table
    return cast("Array", total)


def _spectra_of_filters(taps: FloatArray, length: int, like: Array) -> Array:
    there = _backend.asarray_like(np.ascontiguousarray(taps), like)
    return _backend.namespace(there).fft.rfft(there, n=length, axis=-1)


def _filtered(filters: Array, spectra: Array, length: int, hop: int) -> Array:
    """Return the filtered rows (outputs, n_blocks · hop): of each block, the part that is right."""
    xp = _backend.namespace(spectra)
    blocks = xp.fft.irfft(kernels_for(spectra).filter_spectra(filters, spectra), n=length, axis=-1)
    return xp.reshape(blocks[:, :, length - hop :], (filters.shape[0], -1))


def _energies_of_pair(
    pair: tuple[int, int],
    sources: Array,
    made: Array,
    projected: Array,
    own: Array,
    spectra: Array,
    length: int,
    hop: int,
) -> Array:
    xp = _backend.namespace(sources)
    n_channels = own.shape[0]
    i, j = pair[0] * n_channels, pair[1] * n_channels
    s, x, P = sources[i : i + n_channels, :], made[j : j + n_channels, :], projected[j : j + n_channels, :]
    Q = _filtered(own, spectra[i : i + n_channels, :, :], length, hop)
    parts = (s, x, Q, P, x - s, Q - s, P - Q, x - P, x - Q)
    return xp.stack([xp.sum(part * part) for part in parts])
