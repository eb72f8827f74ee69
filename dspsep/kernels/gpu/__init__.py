"""Kernels for CuPy arrays, on the device where the arrays are.

CUDA C where it saves what array expressions cannot: passes over memory, launches, or sorts. Everything else
is `dspsep.kernels.generic`, whose array-API expressions run on the device as they are.
"""

from __future__ import annotations

from dspsep.kernels.generic import (
    product,
    product_with_transposed,
)
from dspsep.kernels.gpu.demixing import bin_covariances, contrast_step, demixed_powers, weighted_covariances
from dspsep.kernels.gpu.diffusion import diffusion_step
from dspsep.kernels.gpu.factors import activation_terms, divergence_terms, template_terms
from dspsep.kernels.gpu.gaussian import gaussian_estimates, gaussian_model, gaussian_step
from dspsep.kernels.gpu.low_rank_demixing import low_rank_covariances, low_rank_terms
from dspsep.kernels.gpu.masks import soft_mask
from dspsep.kernels.gpu.medians import median_over_frequency, median_over_time
from dspsep.kernels.gpu.multichannel import fastmnmf_covariances, fastmnmf_sweep
from dspsep.kernels.gpu.neighbours import median_of_frames
from dspsep.kernels.gpu.similarity import similar_frames
from dspsep.kernels.gpu.spectra import cross_spectra, filter_spectra
from dspsep.kernels.gpu.sweeps import pair_projection, projection_sweep, steering_sweep
from dspsep.kernels.gpu.transforms import istft, stft
from dspsep.kernels.gpu.updates import coordinate_sweeps, extrapolated, multiplied

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
