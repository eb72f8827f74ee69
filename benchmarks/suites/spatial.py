"""Models of several microphones, beside a library for rooms and arrays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from tests.cases import case_names, real_case, tiled

if TYPE_CHECKING:
    from dspsep import Spectrogram

__all__ = ["SUITE"]

_N_ITER, _N_COMPONENTS = 50, 8
_PEER = "pyroomacoustics"


def _spectrogram(case: str, n_fft: int, seconds: float) -> Spectrogram:
    from dspsep import STFT

    room = real_case(case_names(case)[0])
    return STFT(n_fft, n_fft // 4).forward(tiled(room, seconds), room.sample_rate)


def _dspsep(spectrogram: Spectrogram) -> Task:
    from dspsep import FastMNMF2

    separator = FastMNMF2(
        stft=spectrogram.stft,
        n_sources=spectrogram.n_channels,
        n_components=_N_COMPONENTS,
        n_iter=_N_ITER,
        init="random",
    )
    return Task(lambda: list(separator.fit(spectrogram).iter_images(spectrogram)))


def _pyroomacoustics(spectrogram: Spectrogram) -> Task:
    from pyroomacoustics.bss import fastmnmf2

    frames = np.ascontiguousarray(spectrogram.values.transpose(2, 1, 0))
    settings = {"n_iter": _N_ITER, "n_components": _N_COMPONENTS, "mic_index": "all"}
    return Task(lambda: fastmnmf2(frames, **settings))


def _dspsep_masks(spectrogram: Spectrogram) -> Task:
    from dspsep import CACGMM

    separator = CACGMM(stft=spectrogram.stft, n_sources=spectrogram.n_channels)
    return Task(lambda: list(separator.fit(spectrogram).iter_masks(spectrogram)))


def _fastmnmf(n_channels: int, n_fft: int) -> Comparison:
    case = f"c_sim_{n_channels}x{n_channels}_rt150"
    return Comparison(
        name=f"fastmnmf2-{n_channels}-{n_fft}",
        title=f"FastMNMF2 of {n_channels} channels, {n_fft} samples every {n_fft // 4}",
        note=f"{_N_ITER} iterations of as many sources as channels, with {_N_COMPONENTS} spectra each, from "
        "random spectra, to images at all microphones. Starts are drawn in other ways, so that results are "
        "not compared.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=_dspsep),
            Contender(name=_PEER, package=_PEER, prepare=_pyroomacoustics),
        ),
        make_input=partial(_spectrogram, case, n_fft),
        tolerance=None,
        goals=(Goal(at_least=4, over=(_PEER,)),),
        grows={"dspsep": None} if n_fft == 4096 else {},
    )


SUITE = Suite(
    name="spatial",
    title="Several microphones",
    note="Talkers in a room at 16 kHz, in single precision.",
    comparisons=(
        *(_fastmnmf(n_channels, n_fft) for n_channels in (2, 4) for n_fft in (4096, 2048)),
        Comparison(
            name="cacgmm",
            title="CACGMM of 2 channels: masks",
            note="Two sources in 2048 samples every 512, in order over frequencies. No library measured "
            "here has it.",
            contenders=(Contender(name="dspsep", package="dspsep", prepare=_dspsep_masks),),
            make_input=partial(_spectrogram, "c_sim_2x2_rt150", 2048),
            tolerance=None,
            grows={"dspsep": None},
        ),
    ),
    threads=1,
    audio="talkers in a simulated room at 16000 Hz in single precision, repeated to length",
)
