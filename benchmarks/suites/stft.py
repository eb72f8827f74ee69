"""The transform: forward, inverse, and there and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import Comparison, Contender, Goal, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.suites._generic import with_generic_kernels

if TYPE_CHECKING:
    from scipy.signal import ShortTimeFFT

__all__ = ["SUITE"]

N_FFT, HOP = 2048, 512


def _dspsep(job: str, source: Music, *, generic: bool = False) -> Task:
    from dspsep import STFT

    stft = STFT(N_FFT, HOP)
    call = _call(job, lambda: stft.forward(*source), stft.inverse)
    comparable = (lambda result: result.values) if job == "forward" else np.asarray
    return Task(with_generic_kernels(call) if generic else call, comparable)


def _librosa(job: str, source: Music) -> Task:
    import librosa

    samples, n_samples = source.samples, source.samples.shape[1]

    def forward() -> Any:
        return librosa.stft(samples, n_fft=N_FFT, hop_length=HOP)

    def inverse(values: Any) -> Any:
        return librosa.istft(values, n_fft=N_FFT, hop_length=HOP, length=n_samples)

    return Task(_call(job, forward, inverse))


def _torch(job: str, source: Music) -> Task:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    samples, n_samples = torch.from_numpy(source.samples.copy()), source.samples.shape[1]
    window = torch.hann_window(N_FFT)

    def forward() -> Any:
        return torch.stft(samples, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)

    def inverse(values: Any) -> Any:
        return torch.istft(values, N_FFT, HOP, window=window, length=n_samples)

    return Task(_call(job, forward, inverse))


def _short_time_fft(job: str, source: Music) -> Task:
    transform, n_samples = _new_short_time_fft(source.sample_rate), source.samples.shape[1]
    if job == "forward":
        n_frames = 1 + n_samples // HOP  # those of the others; by itself, and for the inverse, it adds three
        return Task(lambda: transform.stft(source.samples, p0=0, p1=n_frames))
    return Task(
        _call(
            job,
            lambda: transform.stft(source.samples),
            lambda spectra: transform.istft(spectra, k1=n_samples),
        )
    )


def _new_short_time_fft(sample_rate: int) -> ShortTimeFFT:
    from scipy.signal import ShortTimeFFT, get_window

    window = get_window("hann", N_FFT).astype(np.float32)
    # Without a phase shift the phase refers to the first sample of a frame, as everywhere else here.
    return ShortTimeFFT(window, HOP, sample_rate, fft_mode="onesided", phase_shift=None)


def _scipy_stft(job: str, source: Music) -> Task:
    from scipy import signal

    samples, n_samples = source.samples, source.samples.shape[1]
    settings = {"nperseg": N_FFT, "noverlap": N_FFT - HOP}
    n_frames, scale = 1 + n_samples // HOP, np.float32(N_FFT / 2)  # it divides by the sum of the window

    def forward() -> Any:
        return signal.stft(samples, **settings)[2]

    def inverse(values: Any) -> Any:
        return signal.istft(values, **settings)[1]

    if job == "forward":  # the last frame it may add holds padding only
        return Task(forward, lambda result: result[:, :, :n_frames] * scale)
    return Task(_call(job, forward, inverse), lambda result: result[:, :n_samples])


def _call(job: str, forward: Callable[[], Any], inverse: Callable[[Any], Any]) -> Callable[[], Any]:
    if job == "forward":
        return forward
    if job == "round trip":
        return lambda: inverse(forward())
    spectra = forward()
    return lambda: inverse(spectra)


def _contenders(job: str) -> tuple[Contender, ...]:
    entries: list[tuple[str, str, Callable[..., Task]]] = [
        ("dspsep", "dspsep", _dspsep),
        ("dspsep, generic kernels", "dspsep", partial(_dspsep, generic=True)),
        ("librosa", "librosa", _librosa),
        ("torch", "torch", _torch),
        ("scipy.signal.stft", "scipy", _scipy_stft),
        ("scipy ShortTimeFFT", "scipy", _short_time_fft),
    ]
    return tuple(
        Contender(name=name, package=package, prepare=partial(prepare, job))
        for name, package, prepare in entries
    )


SUITE = Suite(
    name="stft",
    title="Short-time Fourier transform",
    note=(
        f"Frames of {N_FFT} samples every {HOP}, periodic Hann window, centred frames, zeros beyond the ends."
        " Every contender inverts the spectrogram that it made itself, in its own memory layout. What is "
        "compared is every bin of every frame, and every sample that comes back."
    ),
    comparisons=(
        Comparison(
            name="stft-round-trip",
            title="STFT + ISTFT",
            note="ShortTimeFFT returns double precision whatever it is given, as the output column shows.",
            contenders=_contenders("round trip"),
            make_input=music,
            tolerance=2e-6,
            goal=Goal(at_least=1.5, over=("librosa",)),
            grows=("dspsep", "librosa", "torch", "scipy ShortTimeFFT"),
        ),
        Comparison(
            name="stft-forward",
            title="STFT",
            note="scipy.signal.stft divides by the sum of the window; undone, untimed, before comparing.",
            contenders=_contenders("forward"),
            make_input=music,
            tolerance=2e-6,
        ),
        Comparison(
            name="stft-inverse",
            title="ISTFT",
            note="Least-squares synthesis, to the exact length of the audio.",
            contenders=_contenders("inverse"),
            make_input=music,
            tolerance=2e-6,
        ),
    ),
)
