"""The terms of updates with beta 1 and 0, from a block of a spectrogram to a few numbers for each component.

Both passes go through the block tile by tile. What they need is a product as large as the model, and as many
sums; see `dspsep.kernels.simd._tiles`. Everything else (other divergences, double precision, a few last
frames) is composed of single kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels._composed import composed
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.cpu.factors import divergence_terms, scalar_logarithm
from dspsep.kernels.simd._tiles import (
    ROWS,
    WIDTH,
    add_over_bins,
    add_over_frames,
    keep,
    logarithm,
    model_of,
    sum_of,
    tile_of,
)
from dspsep.kernels.simd._vectors import LANES, load, splat, store, total
from dspsep.kernels.simd.products import product, product_with_transposed

__all__ = ["activation_terms", "template_terms"]

# With more components the templates leave the cache that tiles read them from, and libraries are faster.
_MOST_COMPONENTS = 256
# Bins after the last strip that are not worth one of their own: one is left of 2**k + 1.
_FEW = 8
# Frames, and bins, per unit of work.
_FRAMES, _BINS = 128, 512

_COMPOSED = composed(product, product_with_transposed, divergence_terms)


def activation_terms(
    values: Array, templates: Array, activations: Array, floor: float, beta: float
) -> tuple[Array, Array | None]:
    """See `dspsep.kernels.Kernels.activation_terms`."""
    n_tiled = _n_tiled(values, templates, activations, beta)
    if not n_tiled:
        return _COMPOSED.activation_terms(values, templates, activations, floor, beta)
    numerator = np.zeros(activations.shape, np.float32)
    denominator = np.zeros((activations.shape[0] if beta == 0 else 0, activations.shape[1]), np.float32)
    values, templates, activations = readonly(values), readonly(templates), readonly(activations)
    for piece in _pieces(values[:n_tiled], templates, floor):
        jobs = []
        for start in range(0, n_tiled, _FRAMES):
            part = slice(start, min(start + _FRAMES, n_tiled))
            out = numerator[part], denominator[part]
            own = piece.values[part], piece.templates, activations[part]
            jobs.append((*own, np.float32(floor), piece.n_bins, *out))
        _parallel.run(_activation_terms, jobs)
    if n_tiled < values.shape[0]:
        rest = slice(n_tiled, None)
        found = _COMPOSED.activation_terms(values[rest], templates, activations[rest], floor, beta)
        numerator[rest], denominator[rest] = found[0], 0 if found[1] is None else found[1]
    return numerator, denominator if beta == 0 else None


def template_terms(
    values: Array, templates: Array, activations: Array, floor: float, beta: float, with_loss: bool
) -> tuple[Array, Array | None, Array]:
    """See `dspsep.kernels.Kernels.template_terms`."""
    n_tiled = _n_tiled(values, templates, activations, beta)
    if not n_tiled:
        return _COMPOSED.template_terms(values, templates, activations, floor, beta, with_loss)
    values, templates, activations = readonly(values), readonly(templates), readonly(activations)
    numerators, denominators, loss = [], [], 0.0
    for piece in _pieces(values[:n_tiled], templates, floor):
        numerator = np.empty((templates.shape[0], piece.n_bins), np.float32)
        denominator = np.empty((numerator.shape[0] if beta == 0 else 0, piece.n_bins), np.float32)
        starts = range(0, max(1, piece.n_bins - _BINS + 1), _BINS)
        # One place for each unit, added up in their order: the same bytes on any number of threads.
        losses = np.zeros(len(starts))
        jobs = []
        for unit, start in enumerate(starts):
            where = start, piece.n_bins if unit == len(starts) - 1 else start + _BINS
            own = piece.values, piece.templates, activations[:n_tiled], np.float32(floor)
            jobs.append((*own, *where, with_loss, numerator, denominator, losses[unit : unit + 1]))
        _parallel.run(_template_terms, jobs)
        numerators.append(numerator)
        denominators.append(denominator)
        loss += losses.sum()
    numerator, denominator = _joined(numerators, values), _joined(denominators, values)
    if n_tiled < values.shape[0]:
        rest = values[n_tiled:], templates, activations[n_tiled:]
        more = _COMPOSED.template_terms(*rest, floor, beta, with_loss)
        numerator, loss = numerator + more[0], loss + float(more[2])
        denominator = denominator if more[1] is None else denominator + more[1]
    return numerator, denominator if beta == 0 else None, np.asarray(loss)


def _n_tiled(values: Array, templates: Array, activations: Array, beta: float) -> int:
    """Return how many frames go through tiles."""
    single = values.dtype == templates.dtype == activations.dtype == np.float32
    if not single or beta not in (0, 1) or templates.shape[0] > _MOST_COMPONENTS:
        return 0
    n_frames = int(values.shape[0])
    return n_frames - n_frames % ROWS


class _Piece(NamedTuple):
    """Bins that are whole strips, and perhaps a few: the first ones of arrays that may have more."""

    values: Array
    templates: Array
    n_bins: int


def _pieces(values: Array, templates: Array, floor: float) -> list[_Piece]:
    """Return all bins: those after the last whole strip, unless they are few, as a strip of their own.

    That is filled up with bins that add nothing to any sum, since the model is there what the values are.
    """
    n_freqs = values.shape[1]
    n_left = n_freqs % WIDTH
    if n_left <= _FEW:
        return [_Piece(values, templates, n_freqs)]
    first = n_freqs - n_left
    last = np.full((values.shape[0], WIDTH), floor, np.float32)
    last[:, :n_left] = values[:, first:]
    its = np.zeros((templates.shape[0], WIDTH), np.float32)
    its[:, :n_left] = templates[:, first:]
    whole = [_Piece(values, templates, first)] if first else []
    return [*whole, _Piece(readonly(last), readonly(its), WIDTH)]


def _joined(pieces: list[Array], values: Array) -> Array:
    """Return the bins of all pieces, without those that were filled up."""
    return (
        pieces[0]
        if len(pieces) == 1 and pieces[0].shape[1] == values.shape[1]
        else (np.concatenate(pieces, axis=1)[:, : values.shape[1]])
    )


@inlined
def _aligned(n: int, like: Array) -> Array:
    """Return room for so many numbers, where a vector never lies on two lines of the cache."""
    room = np.empty(n + LANES, like.dtype)
    first = -(room.ctypes.data // room.itemsize) % LANES
    return room[first : first + n]


@inlined
def _copy_strip(templates: Array, column: int, strip: Array, start: int) -> None:
    """Copy the strip of templates that begins at a bin."""
    n_components, n_freqs = templates.shape
    flat = templates.reshape(-1)
    for k in range(n_components):
        for part in range(0, WIDTH, LANES):
            store(strip, start + k * WIDTH + part, load(flat, k * n_freqs + column + part))


@kernel
def _activation_terms(
    values: Array, templates: Array, activations: Array, floor: float, n_bins: int, numerator: Array,
    denominator: Array,
) -> None:  # fmt: skip
    n_frames, n_freqs = values.shape
    n_components, n_strips = templates.shape[0], n_bins // WIDTH
    size, inverses = n_components * WIDTH, denominator.shape[0] > 0
    strips = _aligned(n_strips * size, values)
    for number in range(n_strips):
        _copy_strip(templates, number * WIDTH, strips, number * size)
    rows, flat = activations.reshape(-1), values.reshape(-1)
    n_sums = n_components * ROWS * LANES
    sums, plain = _aligned(n_sums, values), _aligned(n_sums if inverses else 0, values)
    level, one = splat(floor), splat(np.float32(1))
    for frame in range(0, n_frames, ROWS):
        _clear(sums)
        _clear(plain)
        for number in range(n_strips):
            start = number * size
            model = model_of(rows, frame * n_components, n_components, strips, start, n_components, level)
            own = tile_of(flat, frame * n_freqs + number * WIDTH, n_freqs)
            if inverses:
                inverse = one / model
                add_over_bins(plain, inverse, strips, start, n_components)
                add_over_bins(sums, own * inverse * inverse, strips, start, n_components)
            else:
                add_over_bins(sums, own / model, strips, start, n_components)
        _add_lanes(sums, numerator, frame)
        if inverses:
            _add_lanes(plain, denominator, frame)
    for column in range(n_strips * WIDTH, n_bins):
        _add_bin(values, templates, activations, floor, column, numerator, denominator)


@inlined
def _add_lanes(sums: Array, out: Array, frame: int) -> None:
    for row in range(ROWS):
        for k in range(out.shape[1]):
            out[frame + row, k] += total(load(sums, (k * ROWS + row) * LANES))


@inlined
def _add_bin(
    values: Array, templates: Array, activations: Array, floor: float, column: int, numerator: Array,
    denominator: Array,
) -> None:  # fmt: skip
    """Add what one bin adds to the terms of activations."""
    n_frames, n_components = activations.shape
    its = _bin_of(templates, column)
    for frame in range(n_frames):
        model = floor
        for k in range(n_components):
            model += activations[frame, k] * its[k]
        ratio = values[frame, column] / model
        if denominator.shape[0]:
            ratio /= model
            for k in range(n_components):
                denominator[frame, k] += its[k] / model
        for k in range(n_components):
            numerator[frame, k] += ratio * its[k]


@inlined
def _bin_of(templates: Array, column: int) -> Array:
    """Return a copy of one bin of all templates."""
    its = np.empty(templates.shape[0], templates.dtype)
    for k in range(its.size):
        its[k] = templates[k, column]
    return its


@inlined
def _clear(array: Array) -> None:
    for i in range(array.size):
        array[i] = 0


@kernel
def _template_terms(
    values: Array, templates: Array, activations: Array, floor: float, start: int, stop: int,
    with_loss: bool, numerator: Array, denominator: Array, losses: Array,
) -> None:  # fmt: skip
    n_frames, n_freqs = values.shape
    n_components = templates.shape[0]
    size, inverses = n_components * WIDTH, denominator.shape[0] > 0
    rows, flat = activations.reshape(-1), values.reshape(-1)
    strip, sums = _aligned(size, values), _aligned(size, values)
    plain, kept = _aligned(size if inverses else 0, values), _aligned(ROWS * WIDTH, values)
    level, one = splat(floor), splat(np.float32(1))
    for column in range(start, stop - WIDTH + 1, WIDTH):
        _copy_strip(templates, column, strip, 0)
        _clear(sums)
        _clear(plain)
        loss = splat(np.float32(0))
        for frame in range(0, n_frames, ROWS):
            begin, place = frame * n_components, frame * n_freqs + column
            model = model_of(rows, begin, n_components, strip, 0, n_components, level)
            own = tile_of(flat, place, n_freqs)
            if inverses:
                inverse = one / model
                add_over_frames(plain, inverse, rows, begin, n_components, n_components)
                ratio = own * inverse
                keep(kept, ratio)
                add_over_frames(sums, ratio * inverse, rows, begin, n_components, n_components)
                if with_loss:
                    loss = loss + _itakura_saito(kept)
            else:
                if with_loss:
                    loss = loss + sum_of(model - own)
                ratio = own / model
                keep(kept, ratio)
                add_over_frames(sums, ratio, rows, begin, n_components, n_components)
                if with_loss:
                    loss = loss + _weighted_logarithms(flat, place, n_freqs, kept)
        losses[0] += total(loss)
        _write_strip(sums, numerator, column)
        if inverses:
            _write_strip(plain, denominator, column)
    for column in range(stop - (stop - start) % WIDTH, stop):
        losses[0] += _bin_terms(
            values, templates, activations, floor, column, with_loss, numerator, denominator
        )


@inlined
def _write_strip(sums: Array, out: Array, column: int) -> None:
    n_components, n_bins = out.shape
    flat = out.reshape(-1)
    for k in range(n_components):
        for part in range(0, WIDTH, LANES):
            store(flat, k * n_bins + column + part, load(sums, k * WIDTH + part))


@inlined
def _weighted_logarithms(values: Array, place: int, stride: int, ratios: Array) -> Any:
    result, its = splat(np.float32(0)), 0
    for row in range(ROWS):
        for part in range(0, WIDTH, LANES):
            value = load(values, place + row * stride + part)
            result = result + value * logarithm(load(ratios, its))
            its += LANES
    return result


@inlined
def _itakura_saito(ratios: Array) -> Any:
    result, one = splat(np.float32(0)), splat(np.float32(1))
    for its in range(0, ROWS * WIDTH, LANES):
        ratio = load(ratios, its)
        result = result + (ratio - logarithm(ratio) - one)
    return result


@inlined
def _bin_terms(
    values: Array, templates: Array, activations: Array, floor: float, column: int, with_loss: bool,
    numerator: Array, denominator: Array,
) -> float:  # fmt: skip
    """Set the terms of one bin of templates, and return the loss of it."""
    n_frames, n_components = activations.shape
    inverses = denominator.shape[0] > 0
    its, loss = _bin_of(templates, column), 0.0
    sums, plain = np.zeros(n_components, its.dtype), np.zeros(n_components, its.dtype)
    for frame in range(n_frames):
        model = floor
        for k in range(n_components):
            model += activations[frame, k] * its[k]
        value = values[frame, column]
        ratio = value / model
        if with_loss and inverses:
            loss += ratio - scalar_logarithm(ratio) - 1
        elif with_loss:
            loss += value * scalar_logarithm(ratio) - value + model
        weight = ratio / model if inverses else ratio
        for k in range(n_components):
            sums[k] += weight * activations[frame, k]
            plain[k] += activations[frame, k] / model
    for k in range(n_components):
        numerator[k, column] = sums[k]
        if inverses:
            denominator[k, column] = plain[k]
    return loss
