"""Demixing matrices: weighted covariances with frames in lanes, and small matrices bin by bin.

Sums over frames are in the precision of the spectra, some hundred frames at a time, and those of the pieces in
double precision, as everything of the size of a few channels is.
"""

from __future__ import annotations

import math

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.cpu._matrices import ROUNDING, hermitian_solve, inverse, pair_step, pseudoinverse
from dspsep.kernels.cpu.factors import scalar_logarithm

__all__ = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "low_rank_covariances",
    "low_rank_terms",
    "pair_projection",
    "projection_sweep",
    "steering_sweep",
    "weighted_covariances",
]

# Bins of a job, and frames of a piece.
_BINS = 256
_FRAMES = 512


def _blocks(n_freqs: int) -> list[slice]:
    return [slice(start, min(start + _BINS, n_freqs)) for start in range(0, n_freqs, _BINS)]


def weighted_covariances(spectra: Array, weights: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.weighted_covariances`."""
    spectra, weights = readonly(spectra), readonly(weights.astype(spectra.dtype, copy=False))
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, len(weights), n_channels, n_channels), np.complex128)
    parts = _blocks(n_freqs)
    _parallel.run(_covariances, [(spectra[part], weights, ridge, covariances[part]) for part in parts])
    return covariances


def demixed_powers(spectra: Array, demixing: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.demixed_powers`."""
    spectra, demixing = readonly(spectra), readonly(demixing)
    n_freqs, _, _, n_frames = spectra.shape
    parts = _blocks(n_freqs)
    # One place for each job, added up in their order: the same bytes on any number of threads.
    powers = np.zeros((len(parts), demixing.shape[1], n_frames), spectra.dtype)
    jobs = [(spectra[part], demixing[part], power) for part, power in zip(parts, powers, strict=True)]
    _parallel.run(_powers, jobs)
    return _with_noise(powers, demixing, ridge)


def contrast_step(
    spectra: Array, weights: Array, demixing: Array, ridge: float, steers: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.contrast_step`."""
    spectra, weights = readonly(spectra), readonly(weights.astype(spectra.dtype, copy=False))
    n_freqs, _, _, n_frames = spectra.shape
    result = np.array(demixing, np.complex128, order="C")
    logarithms, parts = np.empty(n_freqs), _blocks(n_freqs)
    powers = np.zeros((len(parts), demixing.shape[1], n_frames), spectra.dtype)
    jobs = [
        (spectra[part], weights, ridge, steers, result[part], logarithms[part], power)
        for part, power in zip(parts, powers, strict=True)
    ]
    _parallel.run(_step, jobs)
    return result, logarithms, _with_noise(powers, result, ridge)


def _with_noise(powers: Array, demixing: Array, ridge: float) -> Array:
    """Add the powers of jobs up, in their order, and what noise adds to them."""
    squares = demixing.view(np.float64) ** 2
    total: Array = powers.sum(axis=0, dtype=np.float64) + ridge * squares.sum(axis=(0, 2))[:, None]
    return total


def bin_covariances(spectra: Array, demixing: Array, ridge: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.bin_covariances`."""
    spectra, demixing = readonly(spectra), readonly(demixing)
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, demixing.shape[1], n_channels, n_channels), np.complex128)
    norms = np.empty((n_freqs, demixing.shape[1]))
    jobs = [
        (spectra[part], demixing[part], ridge, covariances[part], norms[part]) for part in _blocks(n_freqs)
    ]
    _parallel.run(_own_covariances, jobs)
    return covariances, norms


def low_rank_covariances(spectra: Array, templates: Array, activations: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.low_rank_covariances`."""
    spectra, activations = readonly(spectra), readonly(activations)
    by_bin = readonly(templates.transpose(1, 0, 2))
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, len(activations), n_channels, n_channels), np.complex128)
    jobs = [
        (spectra[part], by_bin[part], activations, ridge, covariances[part]) for part in _blocks(n_freqs)
    ]
    _parallel.run(_model_covariances, jobs)
    return covariances


def low_rank_terms(
    spectra: Array, demixing: Array, templates: Array, activations: Array, ridge: float
) -> tuple[Array, Array, Array, Array]:
    """See `dspsep.kernels.Kernels.low_rank_terms`."""
    spectra, demixing, activations = readonly(spectra), readonly(demixing), readonly(activations)
    by_bin = np.array(templates.transpose(1, 0, 2), order="C")
    parts = _blocks(len(spectra))
    sums = np.zeros((len(parts), 2, *activations.shape), spectra.dtype)
    losses = np.zeros(len(parts))
    jobs = [
        (spectra[part], demixing[part], activations, ridge, by_bin[part], sums[i], losses[i : i + 1])
        for i, part in enumerate(parts)
    ]
    _parallel.run(_model_terms, jobs)
    numerator, denominator = sums.sum(axis=0, dtype=np.float64)
    return np.ascontiguousarray(by_bin.transpose(1, 0, 2)), numerator, denominator, np.asarray(losses.sum())


def projection_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.projection_sweep`."""
    return _swept(_sweep, demixing, covariances, False)


def steering_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.steering_sweep`."""
    return _swept(_sweep, demixing, covariances, True)


def pair_projection(demixing: Array, covariances: Array, first: int, second: int) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.pair_projection`."""
    return _swept(_project_pair, demixing, covariances, first, second)


def _swept(sweep: object, demixing: Array, covariances: Array, *options: int) -> tuple[Array, Array]:
    result = np.array(demixing, np.complex128, order="C")
    logarithms = np.empty(len(result))
    covariances = readonly(covariances)
    parts = _blocks(len(result))
    _parallel.run(sweep, [(covariances[part], *options, result[part], logarithms[part]) for part in parts])
    return result, logarithms


@inlined
def _accumulate(x: Array, weights: Array, total: Array) -> None:
    """Add the weighted sums of products of channels x (n_channels, 2, n_frames) to lower triangles."""
    n_channels, _, n_frames = x.shape
    n_sources = weights.shape[0]
    zero = x.dtype.type(0)
    # Pieces of rows are runs of memory to the compiler, and loops that begin at 0 become vectors. Two sources at
    # a time share their products, which stay in registers.
    for start in range(0, n_frames, _FRAMES):
        stop = min(start + _FRAMES, n_frames)
        for a in range(n_channels):
            left, left_turned = x[a, 0, start:stop], x[a, 1, start:stop]
            for b in range(a + 1):
                right, right_turned = x[b, 0, start:stop], x[b, 1, start:stop]
                for k in range(0, n_sources, 2):
                    other = min(k + 1, n_sources - 1)
                    weight, second = weights[k, start:stop], weights[other, start:stop]
                    real, imaginary, real_second, imaginary_second = zero, zero, zero, zero
                    if a == b:
                        for t in range(weight.size):
                            product = left[t] * left[t] + left_turned[t] * left_turned[t]
                            real += weight[t] * product
                            real_second += second[t] * product
                    else:
                        for t in range(weight.size):
                            product = left[t] * right[t] + left_turned[t] * right_turned[t]
                            turned = left_turned[t] * right[t] - left[t] * right_turned[t]
                            real += weight[t] * product
                            imaginary += weight[t] * turned
                            real_second += second[t] * product
                            imaginary_second += second[t] * turned
                    total[k, a, b] += complex(real, imaginary)
                    if other > k:
                        total[other, a, b] += complex(real_second, imaginary_second)


@inlined
def _finish(weights: Array, ridge: float, total: Array) -> None:
    """Make means of the sums in lower triangles, add what noise adds, and mirror them."""
    n_frames = weights.shape[1]
    for k in range(total.shape[0]):
        weight, noise = weights[k], 0.0
        for start in range(0, n_frames, _FRAMES):
            piece = weight[start : min(start + _FRAMES, n_frames)]
            part = weights.dtype.type(0)
            for t in range(piece.size):
                part += piece[t]
            noise += part
        noise *= ridge / n_frames
        # Complex numbers are divided by real ones as if these were complex; products are quicker.
        per_frame = 1 / n_frames
        for a in range(total.shape[1]):
            for b in range(a + 1):
                mean = total[k, a, b] * per_frame
                total[k, a, b] = mean
                total[k, b, a] = mean.conjugate()
            total[k, a, a] += noise


@inlined
def _noise(row: Array, ridge: float) -> float:
    """Return the power of noise of so much power in an output."""
    size = 0.0
    for c in range(row.size):
        size += row[c].real ** 2 + row[c].imag ** 2
    return ridge * size


@kernel
def _covariances(spectra: Array, weights: Array, ridge: float, covariances: Array) -> None:
    for f in range(spectra.shape[0]):
        covariances[f] = 0
        _accumulate(spectra[f], weights, covariances[f])
        _finish(weights, ridge, covariances[f])


@inlined
def _power(x: Array, row: Array, y: Array, power: Array) -> None:
    """Write |y|**2 of y = row x, for channels x (n_channels, 2, n_frames): two channels at a time."""
    n_channels, _, n = x.shape
    real_of = x.dtype.type
    y_real, y_imaginary = y[0], y[1]
    for c in range(0, n_channels, 2):
        other = min(c + 1, n_channels - 1)
        a, b = real_of(row[c].real), real_of(row[c].imag)
        d, e = real_of(row[other].real), real_of(row[other].imag)
        if other == c:
            d, e = real_of(0), real_of(0)
        real, imaginary, second, second_imaginary = x[c, 0], x[c, 1], x[other, 0], x[other, 1]
        if n_channels <= 2:
            for t in range(n):
                u = a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
                v = a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
                power[t] = u * u + v * v
        elif c == 0:
            for t in range(n):
                y_real[t] = a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
            for t in range(n):
                y_imaginary[t] = a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
        elif c + 2 < n_channels:
            for t in range(n):
                y_real[t] += a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
            for t in range(n):
                y_imaginary[t] += a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
        else:
            for t in range(n):
                u = y_real[t] + a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
                v = y_imaginary[t] + a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
                power[t] = u * u + v * v


@kernel
def _powers(spectra: Array, demixing: Array, powers: Array) -> None:
    n_frames = spectra.shape[3]
    y, power = np.empty((2, n_frames), spectra.dtype), np.empty(n_frames, spectra.dtype)
    for f in range(spectra.shape[0]):
        for k in range(demixing.shape[1]):
            _power(spectra[f], demixing[f, k], y, power)
            total = powers[k]
            for t in range(n_frames):
                total[t] += power[t]


@kernel
def _own_covariances(
    spectra: Array, demixing: Array, ridge: float, covariances: Array, norms: Array
) -> None:
    n_frames, n_sources = spectra.shape[3], demixing.shape[1]
    y = np.empty((2, n_frames), spectra.dtype)
    weights = np.empty((n_sources, n_frames), spectra.dtype)
    one, zero = spectra.dtype.type(1), spectra.dtype.type(0)
    for f in range(spectra.shape[0]):
        for k in range(n_sources):
            weight = weights[k]
            _power(spectra[f], demixing[f, k], y, weight)
            noise = spectra.dtype.type(_noise(demixing[f, k], ridge))
            for t in range(n_frames):
                weight[t] = np.sqrt(weight[t] + noise)
            total = 0.0
            for start in range(0, n_frames, _FRAMES):
                piece = weight[start : min(start + _FRAMES, n_frames)]
                part = zero
                for t in range(piece.size):
                    part += piece[t]
                total += part
            norms[f, k] = total / n_frames
            for t in range(n_frames):
                weight[t] = one / weight[t]
        covariances[f] = 0
        _accumulate(spectra[f], weights, covariances[f])
        _finish(weights, ridge, covariances[f])


@inlined
def _model(template: Array, activations: Array, model: Array) -> None:
    """Write template @ activations: two components at a time."""
    n_components = template.size
    for k in range(0, n_components, 2):
        other = min(k + 1, n_components - 1)
        level, second = template[k], template[other]
        if other == k:
            second = model.dtype.type(0)
        activation, next_activation = activations[k], activations[other]
        if k == 0:
            for t in range(model.size):
                model[t] = level * activation[t] + second * next_activation[t]
        else:
            for t in range(model.size):
                model[t] += level * activation[t] + second * next_activation[t]


@kernel
def _model_covariances(
    spectra: Array, templates: Array, activations: Array, ridge: float, covariances: Array
) -> None:
    n_frames, n_sources = spectra.shape[3], activations.shape[0]
    weights = np.empty((n_sources, n_frames), spectra.dtype)
    one = spectra.dtype.type(1)
    for f in range(spectra.shape[0]):
        for k in range(n_sources):
            weight = weights[k]
            _model(templates[f, k], activations[k], weight)
            for t in range(n_frames):
                weight[t] = one / weight[t]
        covariances[f] = 0
        _accumulate(spectra[f], weights, covariances[f])
        _finish(weights, ridge, covariances[f])


@inlined
def _deviance(power: Array, inverse_model: Array) -> float:
    """Return the sum of p / r + log r for 1 / r."""
    total = 0.0
    for start in range(0, power.size, _FRAMES):
        stop = min(start + _FRAMES, power.size)
        values, ratios = power[start:stop], inverse_model[start:stop]
        part = power.dtype.type(0)
        if power.itemsize == 4:
            for t in range(values.size):
                part += values[t] * ratios[t] - scalar_logarithm(ratios[t])
        else:
            for t in range(values.size):
                part += values[t] * ratios[t] - math.log(ratios[t])
        total += part
    return total


@inlined
def _ratios(power: Array, template: Array, activations: Array, weighted: Array, plain: Array) -> None:
    """Write p / r**2 and 1 / r."""
    one = power.dtype.type(1)
    _model(template, activations, plain)
    for t in range(power.size):
        inverse_model = one / plain[t]
        plain[t] = inverse_model
        weighted[t] = power[t] * inverse_model * inverse_model


@kernel
def _model_terms(
    spectra: Array, demixing: Array, activations: Array, ridge: float, templates: Array, sums: Array,
    losses: Array,
) -> None:  # fmt: skip
    n_frames, n_components = spectra.shape[3], templates.shape[2]
    y, power = np.empty((2, n_frames), spectra.dtype), np.empty(n_frames, spectra.dtype)
    plain, weighted = np.empty(n_frames, spectra.dtype), np.empty(n_frames, spectra.dtype)
    zero = spectra.dtype.type(0)
    for f in range(spectra.shape[0]):
        for s in range(templates.shape[1]):
            _power(spectra[f], demixing[f, s], y, power)
            noise = spectra.dtype.type(_noise(demixing[f, s], ridge))
            for t in range(n_frames):
                power[t] += noise
            template, V = templates[f, s], activations[s]
            _ratios(power, template, V, weighted, plain)
            losses[0] += _deviance(power, plain) / n_frames
            for k in range(n_components):
                activation = V[k]
                above, below = zero, zero
                for t in range(n_frames):
                    above += activation[t] * weighted[t]
                    below += activation[t] * plain[t]
                if below > zero:
                    template[k] *= np.sqrt(above / below)
            _ratios(power, template, V, weighted, plain)
            for k in range(n_components):
                level, above_sum, below_sum = template[k], sums[0, s, k], sums[1, s, k]
                for t in range(n_frames):
                    above_sum[t] += level * weighted[t]
                    below_sum[t] += level * plain[t]


@inlined
def _project_bin(V: Array, W: Array, A: Array, w: Array, work: Array) -> float:
    """Project each row of W (n_sources, n_channels) in turn, and return log |det W|."""
    n_sources, n_channels = W.shape
    square = n_sources == n_channels
    logarithm = inverse(W, A, work) if square else pseudoinverse(W, A, work)
    for k in range(n_sources):
        gain = math.sqrt(hermitian_solve(V[k], A[:, k], w, work))
        per_gain = 1 / gain
        for c in range(n_channels):
            W[k, c] = w[c].conjugate() * per_gain
        if not square:
            logarithm = pseudoinverse(W, A, work)
            continue
        logarithm += math.log(gain)
        # The inverse of what differs in one row; the new row times the old column is the gain.
        for j in range(n_sources):
            if j != k:
                share = 0j
                for c in range(n_channels):
                    share += W[k, c] * A[c, j]
                share *= per_gain
                for c in range(n_channels):
                    A[c, j] -= share * A[c, k]
        for c in range(n_channels):
            A[c, k] *= per_gain
    return logarithm


@inlined
def _steer_bin(V: Array, W: Array, A: Array, image: Array, work: Array) -> float:
    """Steer along each row of W (n_sources, n_sources) in turn, and return log |det W|."""
    n = W.shape[0]
    logarithm = inverse(W, A, work)
    step = A[0]
    for s in range(n):
        size = 0.0
        for c in range(n):
            size += W[s, c].real ** 2 + W[s, c].imag ** 2
        for k in range(n):
            # V w of the source that steers, then its products with both rows.
            across, own, trace = 0j, 0.0, 0.0
            for a in range(n):
                trace += V[k, a, a].real
                image[a] = 0
                for b in range(n):
                    image[a] += V[k, a, b] * W[s, b].conjugate()
                across += W[k, a] * image[a]
                own += (W[s, a] * image[a]).real
            if own <= 0:  # by rounding alone
                own = ROUNDING * trace * size
            if k == s:
                root = math.sqrt(own)
                step[k] = 1 - 1 / root
                logarithm -= math.log(root)
            else:
                step[k] = across * (1 / own)
        for k in range(n):
            if k != s:
                for c in range(n):
                    W[k, c] -= step[k] * W[s, c]
        for c in range(n):
            W[s, c] -= step[s] * W[s, c]
    return logarithm


@kernel
def _sweep(covariances: Array, steers: bool, demixing: Array, logarithms: Array) -> None:
    n_sources, n_channels = demixing.shape[1], demixing.shape[2]
    A, work = np.empty((n_channels, n_sources), np.complex128), np.empty((n_channels, n_channels), np.complex128)
    w = np.empty(n_channels, np.complex128)
    for f in range(demixing.shape[0]):
        if steers:
            logarithms[f] = _steer_bin(covariances[f], demixing[f], A, w, work)
        else:
            logarithms[f] = _project_bin(covariances[f], demixing[f], A, w, work)


@kernel
def _step(
    spectra: Array, weights: Array, ridge: float, steers: bool, demixing: Array, logarithms: Array,
    powers: Array,
) -> None:  # fmt: skip
    n_sources, n_channels = demixing.shape[1], demixing.shape[2]
    n_frames = spectra.shape[3]
    V = np.empty((n_sources, n_channels, n_channels), np.complex128)
    A, work = np.empty((n_channels, n_sources), np.complex128), np.empty((n_channels, n_channels), np.complex128)
    w = np.empty(n_channels, np.complex128)
    y, power = np.empty((2, n_frames), spectra.dtype), np.empty(n_frames, spectra.dtype)
    for f in range(spectra.shape[0]):
        V[:] = 0
        _accumulate(spectra[f], weights, V)
        _finish(weights, ridge, V)
        if steers:
            logarithms[f] = _steer_bin(V, demixing[f], A, w, work)
        else:
            logarithms[f] = _project_bin(V, demixing[f], A, w, work)
        for k in range(n_sources):
            _power(spectra[f], demixing[f, k], y, power)
            total = powers[k]
            for t in range(n_frames):
                total[t] += power[t]


@kernel
def _project_pair(
    covariances: Array, first: int, second: int, demixing: Array, logarithms: Array
) -> None:
    n = demixing.shape[1]
    A, work = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    P, G = np.empty((2, 2, n), np.complex128), np.empty((2, 2, 2), np.complex128)
    h = np.empty((2, 2), np.complex128)
    rows = np.array([first, second])
    for f in range(demixing.shape[0]):
        W = demixing[f]
        inverse(W, A, work)
        for m in range(2):
            for j in range(2):
                hermitian_solve(covariances[f, m], A[:, rows[j]], P[m, j], work)
            for i in range(2):
                for j in range(2):
                    total = 0j
                    for c in range(n):
                        total += A[c, rows[i]].conjugate() * P[m, j, c]
                    G[m, i, j] = total
        pair_step(G[0], G[1], h)
        for m in range(2):
            for c in range(n):
                W[rows[m], c] = (P[m, 0, c] * h[m, 0] + P[m, 1, c] * h[m, 1]).conjugate()
        logarithms[f] = inverse(W, A, work)
