"""What factorising a spectrogram takes beside products of matrices, in one pass over its arrays.

The logarithm in single precision is computed here, because a call for each value would cost more than all the
rest: with q = 2**e * m and m between sqrt(1/2) and sqrt(2),

    log q = e log 2 + 2 artanh(s),    s = (m - 1) / (m + 1),    |s| < 0.172

of whose series five terms leave an error below 1e-8.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels._composed import composed
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = [
    "activation_terms",
    "coordinate_sweeps",
    "divergence_terms",
    "product",
    "product_with_transposed",
    "scalar_logarithm",
    "template_terms",
]

# Values, and columns, per unit of work.
_BLOCK = 2**18
_COLUMNS = 512

_LOG_2 = math.log(2.0)
# The bits of sqrt(1/2), from which the exponent is counted, and the place where it begins.
_ROOT_BITS, _EXPONENT = 0x3F3504F3, 23


def divergence_terms(
    values: Array, model: Array, floor: float, beta: float, with_loss: bool
) -> tuple[Array, Array | None, Array]:
    """See `dspsep.kernels.Kernels.divergence_terms`."""
    values, model = readonly(values), readonly(model)
    numerator = np.empty_like(values)
    denominator = None if beta == 1 else np.empty_like(values)
    rows = max(1, _BLOCK // values.shape[1])
    starts = range(0, values.shape[0], rows)
    # One place for each unit, added up in their order: the same bytes on any number of threads.
    losses = np.zeros(len(starts))
    real = values.dtype.type
    jobs = []
    for unit, start in enumerate(starts):
        part = slice(start, start + rows)
        plain = numerator[part] if denominator is None else denominator[part]
        where = values[part], model[part], real(floor), numerator[part], plain, losses[unit : unit + 1]
        jobs.append((*where, real(beta), with_loss))
    _parallel.run({1.0: _kullback_leibler, 0.0: _itakura_saito}.get(beta, _general), jobs)
    return numerator, denominator, np.asarray(losses.sum())


@inlined
def scalar_logarithm(ratio: Any) -> Any:
    """Return the logarithm of a ratio in single precision; that of zero is finite."""
    bits = np.float32(ratio).view(np.int32)
    exponent = (bits - np.int32(_ROOT_BITS)) >> np.int32(_EXPONENT)
    m = np.int32(bits - (exponent << np.int32(_EXPONENT))).view(np.float32)
    s = (m - np.float32(1)) / (m + np.float32(1))
    z = s * s
    series = np.float32(2 / 9)
    series = series * z + np.float32(2 / 7)
    series = series * z + np.float32(2 / 5)
    series = series * z + np.float32(2 / 3)
    series = series * z + np.float32(2)
    return np.float32(exponent) * np.float32(_LOG_2) + s * series


@inlined
def _logarithms(ratios: Array, logarithms: Array) -> None:
    """Take the logarithm of a row of ratios; those of zero are finite."""
    if ratios.itemsize == 4:
        for k in range(ratios.size):
            logarithms[k] = scalar_logarithm(ratios[k])
    else:
        for k in range(ratios.size):
            logarithms[k] = math.log(ratios[k]) if ratios[k] > 0 else 0.0


@kernel
def _kullback_leibler(
    values: Array, model: Array, floor: float, numerator: Array, _: Array, losses: Array, _beta: float,
    with_loss: bool,
) -> None:  # fmt: skip
    n_frames, n_freqs = values.shape
    logarithms = np.empty(n_freqs, values.dtype)
    for frame in range(n_frames):
        v, whole, ratios = values[frame], model[frame], numerator[frame]
        for k in range(n_freqs):
            ratios[k] = v[k] / (whole[k] + floor)
        if with_loss and values.itemsize == 4:
            loss = values.dtype.type(0)
            for k in range(n_freqs):
                loss += v[k] * scalar_logarithm(ratios[k]) - v[k] + (whole[k] + floor)
            losses[0] += loss
        elif with_loss:
            _logarithms(ratios, logarithms)
            loss = values.dtype.type(0)
            for k in range(n_freqs):
                loss += v[k] * logarithms[k] - v[k] + (whole[k] + floor)
            losses[0] += loss


@kernel
def _itakura_saito(
    values: Array, model: Array, floor: float, numerator: Array, denominator: Array, losses: Array,
    _beta: float, with_loss: bool,
) -> None:  # fmt: skip
    n_frames, n_freqs = values.shape
    one = values.dtype.type(1)
    ratios, logarithms = np.empty(n_freqs, values.dtype), np.empty(n_freqs, values.dtype)
    for frame in range(n_frames):
        v, whole, weighted, plain = values[frame], model[frame], numerator[frame], denominator[frame]
        for k in range(n_freqs):
            inverse = one / (whole[k] + floor)
            ratio = v[k] * inverse
            ratios[k] = ratio
            plain[k] = inverse
            weighted[k] = ratio * inverse
        if with_loss:
            _logarithms(ratios, logarithms)
            loss = values.dtype.type(0)
            for k in range(n_freqs):
                loss += ratios[k] - logarithms[k] - one
            losses[0] += loss


@kernel
def _general(
    values: Array, model: Array, floor: float, numerator: Array, denominator: Array, losses: Array,
    beta: float, with_loss: bool,
) -> None:  # fmt: skip
    n_frames, n_freqs = values.shape
    less = beta - values.dtype.type(1)
    for frame in range(n_frames):
        v, whole, weighted, plain = values[frame], model[frame], numerator[frame], denominator[frame]
        for k in range(n_freqs):
            level = whole[k] + floor
            power = level**less
            plain[k] = power
            weighted[k] = v[k] * (power / level)
        if with_loss:
            loss = 0.0
            for k in range(n_freqs):
                level = whole[k] + floor
                if beta == 2:
                    term = (v[k] - level) ** 2 / 2
                else:
                    term = v[k] ** beta / (beta * less) + plain[k] * (level / beta - v[k] / less)
                loss += term
            losses[0] += loss


def product(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product`."""
    result: Array = np.matmul(np.ascontiguousarray(left), np.ascontiguousarray(right))
    return result


def product_with_transposed(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product_with_transposed`."""
    result: Array = np.matmul(np.ascontiguousarray(left), np.ascontiguousarray(right).T)
    return result


activation_terms, template_terms = composed(product, product_with_transposed, divergence_terms)


def coordinate_sweeps(
    numerator: Array, gram: Array, factor: Array, kept: Array | None, n_sweeps: int
) -> Array:
    """See `dspsep.kernels.Kernels.coordinate_sweeps`."""
    numerator, gram = readonly(numerator), readonly(gram)
    result = np.array(factor, order="C")
    kept = np.empty((result.shape[0], 0), np.bool_) if kept is None else kept
    kept = readonly(kept)
    jobs = []
    for start in range(0, result.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        jobs.append((numerator[:, part], gram, kept[:, part], n_sweeps, result[:, part]))
    _parallel.run(_coordinate_sweeps, jobs)
    return result


@inlined
def _replace(row: Array, new: Array, kept: Array) -> None:
    if kept.size:
        for i in range(row.size):
            row[i] = row[i] if kept[i] else new[i]
    else:
        for i in range(row.size):
            row[i] = new[i]


@kernel
def _coordinate_sweeps(numerator: Array, gram: Array, kept: Array, n_sweeps: int, factor: Array) -> None:
    n_components, n = factor.shape
    zero = factor.dtype.type(0)
    slope = np.empty(n, factor.dtype)
    for _ in range(n_sweeps):
        for k in range(n_components):
            own = gram[k, k]
            if not own > 0:
                continue
            above, row = numerator[k], factor[k]
            for i in range(n):
                slope[i] = above[i]
            for other in range(n_components):
                weight, rival = gram[k, other], factor[other]
                for i in range(n):
                    slope[i] -= weight * rival[i]
            inverse = 1 / own
            for i in range(n):
                value = row[i] + slope[i] * inverse
                slope[i] = value if value > zero else zero
            _replace(row, slope, kept[k])
