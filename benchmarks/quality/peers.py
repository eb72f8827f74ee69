"""Other libraries for several microphones, with dspsep's transform, and brought to images at all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "N_COMPONENTS",
    "N_ITER",
    "N_TEMPLATES",
    "Call",
    "pra_auxiva",
    "pra_fastmnmf2",
    "pra_ilrma",
    "projected_back",
    "separated",
    "ssspy_auxiva",
    "ssspy_fdica",
    "ssspy_ilrma",
]

#: As dspsep's defaults: iterations, and spectra of each source in ILRMA.
N_ITER, N_COMPONENTS = 50, 2
#: Spectra of each source in FastMNMF2: the default of pyroomacoustics.
N_TEMPLATES = 8
_N_FFT, _HOP = 4096, 1024

Array = np.ndarray[Any, Any]
#: From spectra (n_channels, n_freqs, n_frames), the number of sources and a seed to outputs
#: (n_sources, n_freqs, n_frames), or to images (n_sources, n_channels, n_freqs, n_frames).
Call = Callable[[Array, int, int], Array]


def separated(call: Call, mixture: Array, sample_rate: float, n_sources: int, seed: int) -> list[Array]:
    """Return images at all microphones; all NaN if there is one in what the library returns."""
    from dspsep import STFT

    spectrogram = STFT(_N_FFT, _HOP).forward(mixture, sample_rate)
    X = np.asarray(spectrogram.values, np.complex128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = call(X.copy(), n_sources, seed)
    if not np.isfinite(found).all():
        return [np.full_like(mixture, np.nan) for _ in found]
    images = found if found.ndim == 4 else projected_back(X, found)
    values = images.astype(spectrogram.values.dtype)
    return [spectrogram.stft.inverse(spectrogram.with_values(image)) for image in values]


def projected_back(X: Array, Y: Array) -> Array:
    """Return images (n_sources, n_channels, n_freqs, n_frames): outputs times what fits each microphone best.

    Least squares in each frequency, all outputs at once. Where as many outputs as microphones are a matrix
    times the mixture, that is its inverse, and images sum to the mixture.
    """
    x, y = X.transpose(1, 2, 0), Y.transpose(1, 2, 0)
    fits = np.stack(
        [np.linalg.lstsq(outputs, heard, rcond=None)[0] for outputs, heard in zip(y, x, strict=True)]
    )
    return np.asarray(np.einsum("fnc,nft->ncft", fits, Y))


def pra_auxiva(model: str, *, few: bool = False) -> Call:
    """Return AuxIVA of pyroomacoustics, with one output for each microphone, or for each source if `few`."""

    def call(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
        from pyroomacoustics.bss import auxiva

        n_outputs = n_sources if few else None
        found = auxiva(_frames_first(X), n_src=n_outputs, n_iter=N_ITER, proj_back=False, model=model)
        return np.asarray(found).transpose(2, 1, 0)

    return call


def pra_ilrma(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
    """Return what ILRMA of pyroomacoustics does, with one output for each microphone."""
    from pyroomacoustics.bss import ilrma

    np.random.seed(seed)  # noqa: NPY002  # it draws from there
    found = ilrma(_frames_first(X), n_iter=N_ITER, n_components=N_COMPONENTS, proj_back=False)
    return np.asarray(found).transpose(2, 1, 0)


def pra_fastmnmf2(X: Array, n_sources: int, seed: int) -> Array:
    """Return the images of FastMNMF2 of pyroomacoustics."""
    from pyroomacoustics.bss import fastmnmf2

    np.random.seed(seed)  # noqa: NPY002
    settings = {"n_iter": N_ITER, "n_components": N_TEMPLATES, "mic_index": "all"}
    found = fastmnmf2(_frames_first(X), n_src=n_sources, **settings)
    return np.asarray(found).transpose(3, 0, 2, 1)


def _frames_first(X: Array) -> Array:
    return np.ascontiguousarray(X.transpose(2, 1, 0))


def ssspy_auxiva(model: str) -> Call:
    """Return AuxIVA of ssspy, by iterative projection."""

    def call(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
        from ssspy.bss import iva

        kind = {"Laplace": iva.AuxLaplaceIVA, "Gauss": iva.AuxGaussIVA}[model]
        return np.asarray(kind(scale_restoration=False, record_loss=False)(X, n_iter=N_ITER))

    return call


def ssspy_fdica(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
    """Return what FDICA of ssspy does by auxiliary functions, and its order of frequencies."""
    from ssspy.bss.fdica import AuxLaplaceFDICA

    return np.asarray(AuxLaplaceFDICA(scale_restoration=False, record_loss=False)(X, n_iter=N_ITER))


def ssspy_ilrma(X: Array, n_sources: int, seed: int) -> Array:  # noqa: ARG001
    """Return what ILRMA of ssspy does."""
    from ssspy.bss.ilrma import GaussILRMA

    method = GaussILRMA(
        n_basis=N_COMPONENTS, scale_restoration=False, record_loss=False, rng=np.random.default_rng(seed)
    )
    return np.asarray(method(X, n_iter=N_ITER))
