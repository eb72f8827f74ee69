"""Demixing matrices whose outputs have low-rank models: each bin is visited twice in an iteration."""

from __future__ import annotations

import math

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels.cpu._covariances import FRAMES, accumulate, blocks, finish, noise_of, power_of
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.cpu.factors import scalar_logarithm

__all__ = ["low_rank_covariances", "low_rank_terms"]


def low_rank_covariances(spectra: Array, templates: Array, activations: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.low_rank_covariances`."""
    spectra, activations = readonly(spectra), readonly(activations)
    by_bin = readonly(templates.transpose(1, 0, 2))
    n_freqs, n_channels, _, _ = spectra.shape
    covariances = np.empty((n_freqs, len(activations), n_channels, n_channels), np.complex128)
    jobs = [(spectra[part], by_bin[part], activations, ridge, covariances[part]) for part in blocks(n_freqs)]
    _parallel.run(_model_covariances, jobs)
    return covariances


def low_rank_terms(
    spectra: Array, demixing: Array, templates: Array, activations: Array, ridge: float
) -> tuple[Array, Array, Array, Array]:
    """See `dspsep.kernels.Kernels.low_rank_terms`."""
    spectra, demixing, activations = readonly(spectra), readonly(demixing), readonly(activations)
    by_bin = np.array(templates.transpose(1, 0, 2), order="C")
    parts = blocks(len(spectra))
    sums = np.zeros((len(parts), 2, *activations.shape), spectra.dtype)
    losses = np.zeros(len(parts))
    jobs = [
        (spectra[part], demixing[part], activations, ridge, by_bin[part], sums[i], losses[i : i + 1])
        for i, part in enumerate(parts)
    ]
    _parallel.run(_model_terms, jobs)
    numerator, denominator = sums.sum(axis=0, dtype=np.float64)
    return np.ascontiguousarray(by_bin.transpose(1, 0, 2)), numerator, denominator, np.asarray(losses.sum())


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
        accumulate(spectra[f], weights, covariances[f])
        finish(weights, ridge, covariances[f])


@inlined
def _deviance(power: Array, inverse_model: Array) -> float:
    """Return the sum of p / r + log r for 1 / r."""
    total = 0.0
    for start in range(0, power.size, FRAMES):
        stop = min(start + FRAMES, power.size)
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
            power_of(spectra[f], demixing[f, s], y, power)
            noise = spectra.dtype.type(noise_of(demixing[f, s], ridge))
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
