"""Demixing matrices whose outputs have low-rank models, on the GPU.

What bounds it, as estimates, for F bins, T frames, N channels, K sources and J components in single
precision: `low_rank_covariances` reads the spectra once, 8 F N T bytes, and of each bin the ``K J T``
activations, which are in the cache. `low_rank_terms` has a block for each bin and source: the spectra of a
bin come from memory once and then from the cache; it writes powers, 4 F K T bytes, which are read once more
to update activations. That is three launches, and memory for the powers beside the spectra.

With many components products of matrices are most of the work: those are `generic`, and so cuBLAS's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._covariances import covariance_source
from dspsep.kernels.gpu._launch import blocks, launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS, THREADS, source_of
from dspsep.kernels.gpu.demixing import sum_of_parts

__all__ = ["low_rank_covariances", "low_rank_terms"]

# A thread has two sums for each component, and its level.
_MOST_COMPONENTS = 16
# Bins that a thread goes through which updates activations.
_BINS = 16

_LEVELS = r"""
    __shared__ REAL levels[K][J];
    for (int i = threadIdx.x; i < K * J; i += THREADS)
        levels[i / J][i % J] = templates[((i / J) * n_freqs + f) * J + i % J];
"""
_MODEL_WEIGHT = r"""
                REAL model = 0;
                #pragma unroll
                for (int j = 0; j < J; j++)
                    model += levels[source][j] * activations[((long long)source * J + j) * n_frames + t];
                w[k] = 1 / model;
"""


def low_rank_covariances(spectra: Array, templates: Array, activations: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.low_rank_covariances`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources, _, n_components = templates.shape
    if max(n_channels, n_sources) > MOST_CHANNELS or n_components > _MOST_COMPONENTS:
        return generic.low_rank_covariances(spectra, templates, activations, ridge)
    _backend.namespace(spectra, templates, activations)  # which refuses arrays of two places
    dtype = spectra.dtype.name
    models = (contiguous(part, dtype) for part in (templates, activations))
    covariances = empty((n_freqs, n_sources, n_channels, n_channels), "complex128", spectra)
    source, per_bin = covariance_source(
        dtype,
        n_channels,
        n_sources,
        "const REAL *templates, const REAL *activations, ",
        _MODEL_WEIGHT,
        before=_LEVELS,
        J=n_components,
    )
    if n_freqs:
        arrays = *models, contiguous(spectra), covariances
        sizes = np.float64(ridge), np.int64(n_freqs), np.int64(n_frames)
        launch(source, "covariances", (n_freqs * per_bin,), (THREADS,), *arrays, *sizes)
    return covariances


_TERMS = r"""
extern "C" __global__ void update_templates(const REAL *spectra, const double2 *demixing,
        const REAL *templates, const REAL *activations, REAL *updated, REAL *powers, double *losses,
        double ridge, long long n_freqs, long long n_frames) {
    __shared__ double totals[2 * J + 1];
    __shared__ REAL row[2 * N], level[J];
    const long long place = blockIdx.x, f = place / K, s = place % K;
    const REAL *bin = spectra + f * 2 * N * n_frames;
    if (threadIdx.x < N) {
        row[2 * threadIdx.x] = (REAL)demixing[place * N + threadIdx.x].x;
        row[2 * threadIdx.x + 1] = (REAL)demixing[place * N + threadIdx.x].y;
    }
    if (threadIdx.x < J) level[threadIdx.x] = templates[(s * n_freqs + f) * J + threadIdx.x];
    if (threadIdx.x < 2 * J + 1) totals[threadIdx.x] = 0;
    __syncthreads();
    REAL size = 0;
    for (int i = 0; i < 2 * N; i++) size += row[i] * row[i];
    const REAL noise = (REAL)ridge * size;
    for (long long start = 0; start < n_frames; start += THREADS * FRAMES) {
        const long long end = start + THREADS * FRAMES < n_frames ? start + THREADS * FRAMES : n_frames;
        REAL own[2 * J + 1] = {};
        for (long long t = start + threadIdx.x; t < end; t += THREADS) {
            REAL u = 0, v = 0, model = 0, active[J];
            #pragma unroll
            for (int c = 0; c < N; c++) {
                const REAL x = bin[2 * c * n_frames + t], y = bin[(2 * c + 1) * n_frames + t];
                u += row[2 * c] * x - row[2 * c + 1] * y;
                v += row[2 * c] * y + row[2 * c + 1] * x;
            }
            #pragma unroll
            for (int j = 0; j < J; j++) {
                active[j] = activations[(s * J + j) * n_frames + t];
                model += level[j] * active[j];
            }
            const REAL power = noise + u * u + v * v, inverse = 1 / model;
            const REAL weighted = power * inverse * inverse;
            powers[place * n_frames + t] = power;
            own[2 * J] += power * inverse + log(model);
            #pragma unroll
            for (int j = 0; j < J; j++) { own[j] += active[j] * weighted; own[J + j] += active[j] * inverse; }
        }
        add_block_sums(own, totals);
    }
    if (threadIdx.x == 0) losses[place] = totals[2 * J] / n_frames;
    if (threadIdx.x < J) {
        const double above = totals[threadIdx.x], below = totals[J + threadIdx.x];
        const REAL root = (REAL)sqrt(below > 0 ? above / below : 1.0);
        updated[(s * n_freqs + f) * J + threadIdx.x] = level[threadIdx.x] * root;
    }
}
"""

_ACTIVATIONS = r"""
extern "C" __global__ void sum_activations(const REAL *powers, const REAL *updated, const REAL *activations,
        REAL *parts, long long n_freqs, long long n_frames, long long n_runs) {
    __shared__ REAL levels[BINS][J];
    const long long place = blockIdx.x / n_runs, s = place % K, group = place / K;
    const long long t = blockIdx.x % n_runs * THREADS + threadIdx.x;
    const long long begin = group * BINS;
    const int n = (int)(begin + BINS < n_freqs ? BINS : n_freqs - begin);
    for (int i = threadIdx.x; i < n * J; i += THREADS)
        levels[i / J][i % J] = updated[(s * n_freqs + begin) * J + i];
    __syncthreads();
    if (t >= n_frames) return;
    REAL active[J], above[J] = {}, below[J] = {};
    #pragma unroll
    for (int j = 0; j < J; j++) active[j] = activations[(s * J + j) * n_frames + t];
    for (int f = 0; f < n; f++) {
        REAL model = 0;
        #pragma unroll
        for (int j = 0; j < J; j++) model += levels[f][j] * active[j];
        const REAL inverse = 1 / model;
        const REAL weighted = powers[((begin + f) * K + s) * n_frames + t] * inverse * inverse;
        #pragma unroll
        for (int j = 0; j < J; j++) {
            above[j] += levels[f][j] * weighted;
            below[j] += levels[f][j] * inverse;
        }
    }
    #pragma unroll
    for (int j = 0; j < J; j++) {
        parts[(((group * 2) * K + s) * J + j) * n_frames + t] = above[j];
        parts[(((group * 2 + 1) * K + s) * J + j) * n_frames + t] = below[j];
    }
}
"""


@cache
def _terms_source(dtype: str, n_channels: int, n_sources: int, n_components: int) -> str:
    return source_of(_TERMS, dtype, n_channels, n_sources, sums=True, J=n_components, FRAMES=512)


@cache
def _activations_source(dtype: str, n_sources: int, n_components: int) -> str:
    return source_of(_ACTIVATIONS, dtype, 1, n_sources, J=n_components, BINS=_BINS)


def low_rank_terms(
    spectra: Array, demixing: Array, templates: Array, activations: Array, ridge: float
) -> tuple[Array, Array, Array, Array]:
    """See `dspsep.kernels.Kernels.low_rank_terms`."""
    n_freqs, n_channels, _, n_frames = spectra.shape
    n_sources, _, n_components = templates.shape
    if max(n_channels, n_sources) > MOST_CHANNELS or n_components > _MOST_COMPONENTS:
        return generic.low_rank_terms(spectra, demixing, templates, activations, ridge)
    xp, dtype = _backend.namespace(spectra, demixing, templates, activations), spectra.dtype.name
    spectra, demixing = contiguous(spectra), contiguous(demixing)
    templates, activations = contiguous(templates, dtype), contiguous(activations, dtype)
    updated = empty(templates.shape, dtype, spectra)
    powers = empty((n_freqs, n_sources, n_frames), dtype, spectra)
    losses = empty((n_freqs, n_sources), "float64", spectra)
    n_groups, n_runs = -(-n_freqs // _BINS), blocks(n_frames, THREADS)
    parts = empty((n_groups, 2, *activations.shape), dtype, spectra)
    if n_freqs:
        sizes = np.int64(n_freqs), np.int64(n_frames)
        source = _terms_source(dtype, n_channels, n_sources, n_components)
        arrays = spectra, demixing, templates, activations, updated, powers, losses
        launch(
            source, "update_templates", (n_freqs * n_sources,), (THREADS,),
            *arrays, np.float64(ridge), *sizes,
        )  # fmt: skip
        source, grid = _activations_source(dtype, n_sources, n_components), (n_groups * n_sources * n_runs,)
        models = powers, updated, activations, parts
        launch(source, "sum_activations", grid, (THREADS,), *models, *sizes, np.int64(n_runs))
    sums = sum_of_parts(parts)
    return updated, sums[0, ...], sums[1, ...], xp.sum(losses)
