"""Numba kernels made of explicit vectors: the fastest on processors; see `benchmarks/`.

Where they have no route of their own (masks, diffusion, divergences, products of spectra, demixing
matrices, frames of other
lengths than powers of two, very long medians), they are those of `dspsep.kernels.cpu`, which leave the
vectors to the compiler.
"""

from __future__ import annotations

from dspsep.kernels._multiplicative import extrapolated, multiplied
from dspsep.kernels.cpu.demixing import (
    bin_covariances,
    contrast_step,
    demixed_powers,
    pair_projection,
    projection_sweep,
    steering_sweep,
    weighted_covariances,
)
from dspsep.kernels.cpu.diffusion import diffusion_step
from dspsep.kernels.cpu.factors import coordinate_sweeps, divergence_terms
from dspsep.kernels.cpu.gaussian import gaussian_estimates, gaussian_model, gaussian_step
from dspsep.kernels.cpu.low_rank_demixing import low_rank_covariances, low_rank_terms
from dspsep.kernels.cpu.masks import soft_mask
from dspsep.kernels.cpu.multichannel import fastmnmf_covariances, fastmnmf_sweep
from dspsep.kernels.cpu.similarity import similar_frames
from dspsep.kernels.cpu.spectra import cross_spectra, filter_spectra
from dspsep.kernels.simd.factors import activation_terms, template_terms
from dspsep.kernels.simd.medians import median_over_frequency, median_over_time
from dspsep.kernels.simd.neighbours import median_of_frames
from dspsep.kernels.simd.products import product, product_with_transposed
from dspsep.kernels.simd.transforms import istft, stft

__all__ = [
    "activation_terms",
    "bin_covariances",
    "contrast_step",
    "coordinate_sweeps",
    "cross_spectra",
    "demixed_powers",
    "diffusion_step",
    "divergence_terms",
    "extrapolated",
    "fastmnmf_covariances",
    "fastmnmf_sweep",
    "filter_spectra",
    "gaussian_estimates",
    "gaussian_model",
    "gaussian_step",
    "istft",
    "low_rank_covariances",
    "low_rank_terms",
    "median_of_frames",
    "median_over_frequency",
    "median_over_time",
    "multiplied",
    "pair_projection",
    "product",
    "product_with_transposed",
    "projection_sweep",
    "similar_frames",
    "soft_mask",
    "steering_sweep",
    "stft",
    "template_terms",
    "weighted_covariances",
]
