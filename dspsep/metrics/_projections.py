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

from dspsep import _backend, _parallel
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
        About the condition of the references' inner products: see `BlockToeplitz`.
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
    spans = [_of(j, n_channels) for j in range(len(references.signals))]
    energy = [float(np.trace(inner[0, span, span])) for span in spans]
    if sum(value > 0 for value in energy) <= 1:  # one source is all sources: not even rounding apart
        own = np.stack([everything[_of(j, n_channels), spans[i]] for i, j in pairs])
        return Filters(everything, own, condition, loading)
    apart = BlockToeplitz(np.stack([inner[:, span, span] for span in spans]))
    sides = np.stack([outer[:, span, :] for span in spans])
    taps = apart.solve(sides).transpose(0, 3, 2, 1)
    own = np.stack([taps[i, _of(j, n_channels)] for i, j in pairs])
    return Filters(everything, own, condition, loading)


def _of(signal: int, n_channels: int) -> slice:
    """Return the rows of a signal."""
    return slice(signal * n_channels, (signal + 1) * n_channels)


def energies(
    references: Stack,
    estimates: Stack,
    windows: list[tuple[int, int]],
    filters: Filters,
    pairs: Pairs,
) -> FloatArray:
    """Return the energies of all parts of all pairs in every window, (n_windows, n_pairs, 9): see `ENERGIES`.

    Only the samples of a window (start, stop) count in it, but the tails that the filters add after them
    do, too.
    """
    tail = filters.n_taps - 1
    longest = max(stop - start for start, stop in windows)
    length = block_length(longest + tail, filters.n_taps)
    hop = length - tail
    like = references.like
    xp = _backend.namespace(like)
    pieces = [
        (number, first, min(_TOGETHER, -(-(stop + tail - first) // hop)))
        for number, (start, stop) in enumerate(windows)
        for first in range(start, stop + tail, hop * _TOGETHER)
    ]
    projection = _Projection(
        references,
        estimates,
        pairs,
        everything=_spectra_of_filters(filters.everything, length, like),
        own=_spectra_of_filters(filters.own, length, like),
        length=length,
        hop=hop,
    )
    tables: list[Array] = [like] * len(pieces)

    def measure(k: int) -> None:
        number, first, n_blocks = pieces[k]
        tables[k] = projection.energies(windows[number], first, n_blocks)

    _parallel.run(measure, [(k,) for k in range(len(pieces))], serial=not _backend.is_numpy(like))
    found = _backend.to_host(xp.stack(tables))
    # Added up in their order, so that any number of threads gives the same bytes.
    total = np.zeros((len(windows), *found.shape[1:]))
    for (number, *_), table in zip(pieces, found, strict=True):
        total[number] += table
    return total


@dataclass(frozen=True, eq=False)
class _Projection:
    """The spectra of filters, and what is left to do with them."""

    references: Stack
    estimates: Stack
    pairs: Pairs
    everything: Array
    own: Array
    length: int
    hop: int

    def energies(self, window: tuple[int, int], first: int, n_blocks: int) -> Array:
        """Return the energies (n_pairs, 9) of some blocks of a window, from a sample on."""
        tail = self.length - self.hop
        last = first + n_blocks * self.hop
        sources = self.references.read(first - tail, last, window)
        made = self.estimates.read(first, last, window)
        # A block's transform sees the samples before it, and what of it is wrong for that is left out.
        spectra = spectra_of(sources, n_blocks, self.hop, self.length, self.length)
        sources = sources[:, tail:]
        projected = self._filtered(self.everything, spectra)
        n = self.references.n_channels
        rows = []
        for k, (i, j) in enumerate(self.pairs):
            s, x, P = (
                rows_of[at * n : (at + 1) * n, :] for rows_of, at in ((sources, i), (made, j), (projected, j))
            )
            Q = self._filtered(self.own[k, ...], spectra[i * n : (i + 1) * n, :, :])
            parts = (s, x, Q, P, x - s, Q - s, P - Q, x - P, x - Q)
            rows.append(_backend.namespace(s).stack([_energy(part) for part in parts]))
        return cast("Array", _backend.namespace(made).stack(rows))

    def _filtered(self, filters: Array, spectra: Array) -> Array:
        """Return the filtered signals, (outputs, n_blocks · hop)."""
        xp = _backend.namespace(spectra)
        products = kernels_for(spectra).filter_spectra(filters, spectra)
        blocks = xp.fft.irfft(products, n=self.length, axis=-1)
        filtered: Array = xp.reshape(blocks[:, :, self.length - self.hop :], (filters.shape[0], -1))
        return filtered


def _spectra_of_filters(taps: FloatArray, length: int, like: Array) -> Array:
    there = _backend.asarray_like(np.ascontiguousarray(taps), like)
    spectra: Array = _backend.namespace(there).fft.rfft(there, n=length, axis=-1)
    return spectra


def _energy(signals: Array) -> Array:
    return cast("Array", _backend.namespace(signals).sum(signals * signals))
