"""Spatial models on the GPU: covariances with a block for each bin, matrices with a thread for each bin.

What bounds `fastmnmf_covariances`, as an estimate: each bin's channels and weights are read once, some
``(8 N + 4 K) T`` bytes in single precision, for ``2 K N**2 T`` operations in double precision, as the
protocol has it. These are about even on GPUs of data centres; on others, which have few units for double
precision, the operations take longer.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.kernels import generic
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._covariances import covariance_source
from dspsep.kernels.gpu._launch import launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS, THREADS
from dspsep.kernels.gpu.sweeps import swept

__all__ = ["fastmnmf_covariances", "fastmnmf_sweep"]


def fastmnmf_covariances(parts: Array, weights: Array) -> Array:
    """See `dspsep.kernels.Kernels.fastmnmf_covariances`."""
    n_freqs, n_parts, n_frames = parts.shape
    n_channels, n_weights = n_parts // 2, weights.shape[0]
    if max(n_channels, n_weights) > MOST_CHANNELS:
        return generic.fastmnmf_covariances(parts, weights)
    _backend.namespace(parts, weights)  # which refuses arrays of two places
    stored = parts.dtype.name
    covariances = empty((n_freqs, n_weights, n_channels, n_channels), "complex128", parts)
    source, per_bin = covariance_source(
        "float64",
        n_channels,
        n_weights,
        "const STORED *weights, ",
        "w[k] = (REAL)weights[(source * n_freqs + f) * n_frames + t];",
        stored=stored,
        parts_apart=True,
        mean=False,
    )
    if n_freqs:
        arrays = contiguous(weights, stored), contiguous(parts), covariances
        sizes = np.float64(0), np.int64(n_freqs), np.int64(n_frames)
        launch(source, "covariances", (n_freqs * per_bin,), (THREADS,), *arrays, *sizes)
    return covariances


def fastmnmf_sweep(Q: Array, V: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.fastmnmf_sweep`."""
    if Q.shape[2] > MOST_CHANNELS:
        return generic.fastmnmf_sweep(Q, V)
    return swept("project", Q, V, np.int32(1))
