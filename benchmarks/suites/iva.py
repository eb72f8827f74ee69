"""Demixing in the frequency domain: beside pyroomacoustics and ssspy, where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task

__all__ = ["SUITE"]

_RATE, _N_ITER = 16_000, 50
_PRA, _SSSPY = "pyroomacoustics", "ssspy"


def _mixture(n_channels: int, seconds: float) -> Array:
    """Return noises that come and go, heard by as many microphones over short echoes."""
    rng = np.random.default_rng(0)
    n_samples, n_taps = round(_RATE * seconds), 800
    loud = np.repeat(rng.random((n_channels, -(-n_samples // n_taps))) ** 2, n_taps, axis=1)[:, :n_samples]
    dry = rng.laplace(size=loud.shape) * loud
    echoes = rng.standard_normal((n_channels, n_channels, n_taps)) * np.exp(-np.arange(n_taps) / 150)
    size = n_samples + n_taps
    spectra = np.einsum("cnf,nf->cf", np.fft.rfft(echoes, size), np.fft.rfft(dry, size))
    return np.fft.irfft(spectra, size)[:, :n_samples].astype(np.float32)


def _spectra(n_fft: int, n_channels: int, seconds: float) -> Array:
    from dspsep import STFT

    values = STFT(n_fft).forward(_mixture(n_channels, seconds), _RATE).values
    # At the scale at which dspsep begins by itself, so that objectives are of the same data.
    scale = 2.0 ** round(0.5 * np.log2(values.shape[1] / np.mean(np.abs(values) ** 2)))
    return np.asarray(values * np.float32(scale))


def _images(X: Array, W: Array) -> Array:
    """Return how loud each output is at the first microphone in every bin."""
    A = np.linalg.inv(np.asarray(W, np.complex128))[:, 0, :]
    return np.asarray(np.mean(np.abs(np.einsum("fk,fkc,cft->kft", A, W, X)), axis=2))


def _dspsep(update: str, X: Array) -> Task:
    from dspsep import auxiva

    call: Callable[..., Any] = auxiva
    return Task(lambda: call(X, update=update, n_iter=_N_ITER)[0], partial(_images, X))


def _pyroomacoustics(X: Array) -> Task:
    from pyroomacoustics.bss import auxiva

    frames = np.ascontiguousarray(X.transpose(2, 1, 0), np.complex128)
    call = partial(auxiva, frames, n_iter=_N_ITER, proj_back=False, return_filters=True)
    return Task(lambda: call()[1], partial(_images, X))


def _ssspy(update: str, X: Array) -> Task:
    from ssspy.bss.iva import AuxLaplaceIVA

    spectra = np.ascontiguousarray(X, np.complex128)

    def call() -> Array:
        method = AuxLaplaceIVA(spatial_algorithm=update, scale_restoration=False, record_loss=False)
        outputs = method(spectra, n_iter=_N_ITER)
        if method.demix_filter is not None:
            return np.asarray(method.demix_filter)
        # Outputs, from which the matrices that make them follow.
        x, y = spectra.transpose(1, 0, 2), outputs.transpose(1, 0, 2)
        turned = x.conj().transpose(0, 2, 1)
        return np.asarray(y @ turned @ np.linalg.inv(x @ turned))

    return Task(call, partial(_images, X))


def _auxiva(n_fft: int, n_channels: int, update: str, peer: str, at_least: float) -> Comparison:
    theirs: Callable[[Any], Task] = _pyroomacoustics
    if peer == _SSSPY:
        theirs = partial(_ssspy, {"iss": "ISS", "ip2": "IP2"}[update])
    return Comparison(
        name=f"auxiva-{update}-{n_fft}-{n_channels}",
        title=f"AuxIVA, {update}, frames of {n_fft}, {n_channels} channels",
        note=f"Spectra to matrices, {_N_ITER} iterations, Laplace.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep, update)),
            Contender(name=peer, package=peer, prepare=theirs),
        ),
        make_input=partial(_spectra, n_fft, n_channels),
        tolerance=1e-2,
        goals=(Goal(at_least=at_least),),
        grows={"dspsep": None, peer: None} if update == "ip" and n_channels == 2 and n_fft == 4096 else {},
    )


def _dspsep_ilrma(X: Array) -> Task:
    from dspsep import ilrma

    return Task(lambda: ilrma(X, n_iter=_N_ITER)[0])


def _pyroomacoustics_ilrma(X: Array) -> Task:
    from pyroomacoustics.bss import ilrma

    frames = np.ascontiguousarray(X.transpose(2, 1, 0), np.complex128)
    return Task(lambda: ilrma(frames, n_iter=_N_ITER, proj_back=False, n_components=2))


def _ilrma(n_fft: int, n_channels: int) -> Comparison:
    return Comparison(
        name=f"ilrma-{n_fft}-{n_channels}",
        title=f"ILRMA, frames of {n_fft}, {n_channels} channels",
        note=f"Spectra to matrices, {_N_ITER} iterations, two components. Starts are random, so results are "
        "not compared.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=_dspsep_ilrma),
            Contender(name=_PRA, package=_PRA, prepare=_pyroomacoustics_ilrma),
        ),
        make_input=partial(_spectra, n_fft, n_channels),
        tolerance=None,
        goals=(Goal(at_least=5),),
    )


_SIZES = [(n_fft, n_channels) for n_fft in (4096, 2048) for n_channels in (2, 4)]

SUITE = Suite(
    name="iva",
    title="Demixing in the frequency domain",
    note=f"Noises that come and go, mixed over echoes of 50 ms, at {_RATE} Hz.",
    comparisons=(
        *(_auxiva(*size, "ip", _PRA, 5) for size in _SIZES),
        *(_auxiva(*size, "iss", _SSSPY, 8) for size in _SIZES),
        *(_auxiva(*size, "ip2", _SSSPY, 8) for size in _SIZES),
        *(_ilrma(*size) for size in _SIZES),
    ),
    threads=1,
    audio="noises that come and go, mixed over echoes of 50 ms, at 16000 Hz in single precision",
)
