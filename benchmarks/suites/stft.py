"""The transform: forward, inverse, and there and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.suites._levels import GENERIC, PLAIN, at_level

if TYPE_CHECKING:
    from scipy.signal import ShortTimeFFT

__all__ = ["SUITE", "contenders"]


class Frames(NamedTuple):
    """How a signal is cut."""

    n_fft: int
    hop: int


USUAL = Frames(2048, 512)
ODD = Frames(2000, 500)  # not a power of two, as whoever thinks in milliseconds has it


def _dspsep(job: str, frames: Frames, source: Music) -> Task:
    from dspsep import STFT

    stft = STFT(frames.n_fft, frames.hop)
    call = _call(job, lambda: stft.forward(*source), stft.inverse)
    return Task(call, (lambda result: result.values) if job == "forward" else np.asarray)


def _librosa(job: str, frames: Frames, source: Music) -> Task:
    import librosa

    samples, n_samples = source.samples, source.samples.shape[1]

    def forward() -> Any:
        return librosa.stft(samples, n_fft=frames.n_fft, hop_length=frames.hop)

    def inverse(values: Any) -> Any:
        return librosa.istft(values, n_fft=frames.n_fft, hop_length=frames.hop, length=n_samples)

    return Task(_call(job, forward, inverse))


def _torch(job: str, frames: Frames, source: Music) -> Task:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    samples, n_samples = torch.from_numpy(source.samples.copy()), source.samples.shape[1]
    window = torch.hann_window(frames.n_fft)

    def forward() -> Any:
        return torch.stft(samples, *frames, window=window, pad_mode="constant", return_complex=True)

    def inverse(values: Any) -> Any:
        return torch.istft(values, *frames, window=window, length=n_samples)

    return Task(_call(job, forward, inverse))


def _short_time_fft(job: str, frames: Frames, source: Music) -> Task:
    transform, n_samples = _new_short_time_fft(frames, source.sample_rate), source.samples.shape[1]
    if job == "forward":
        n_frames = (
            1 + n_samples // frames.hop
        )  # those of the others; by itself, and for the inverse, it adds three
        return Task(lambda: transform.stft(source.samples, p0=0, p1=n_frames))
    return Task(
        _call(
            job,
            lambda: transform.stft(source.samples),
            lambda spectra: transform.istft(spectra, k1=n_samples),
        )
    )


def _new_short_time_fft(frames: Frames, sample_rate: int) -> ShortTimeFFT:
    from scipy.signal import ShortTimeFFT, get_window

    window = get_window("hann", frames.n_fft).astype(np.float32)
    # Without a phase shift the phase refers to the first sample of a frame, as everywhere else here.
    return ShortTimeFFT(window, frames.hop, sample_rate, fft_mode="onesided", phase_shift=None)


def _scipy_stft(job: str, frames: Frames, source: Music) -> Task:
    from scipy import signal

    samples, n_samples = source.samples, source.samples.shape[1]
    settings = {"nperseg": frames.n_fft, "noverlap": frames.n_fft - frames.hop}
    n_frames, scale = (
        1 + n_samples // frames.hop,
        np.float32(frames.n_fft / 2),
    )  # it divides by the sum of the window

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


OTHERS = ("librosa", "torch", "scipy.signal.stft", "scipy ShortTimeFFT")


def contenders(job: str, frames: Frames = USUAL) -> tuple[Contender, ...]:
    """Return who does a job: ``forward``, ``inverse`` or ``round trip``."""
    entries: list[tuple[str, str, Callable[..., Task]]] = [
        ("dspsep", "dspsep", _dspsep),
        (PLAIN, "numba", at_level("cpu", _dspsep)),
        (GENERIC, "dspsep", at_level("generic", _dspsep)),
        ("librosa", "librosa", _librosa),
        ("torch", "torch", _torch),
        ("scipy.signal.stft", "scipy", _scipy_stft),
        ("scipy ShortTimeFFT", "scipy", _short_time_fft),
    ]
    return tuple(
        Contender(name=name, package=package, prepare=partial(prepare, job, frames))
        for name, package, prepare in entries
    )


def _one_way(
    job: str, frames: Frames, *, title: str, note: str, goals: tuple[Goal, ...], suffix: str = ""
) -> Comparison:
    return Comparison(
        name=f"stft-{job}{suffix}",
        title=title,
        note=note,
        contenders=contenders(job, frames),
        make_input=music,
        tolerance=2e-6,
        goals=goals,
    )


_IN_ODD_FRAMES = f"Frames of {ODD.n_fft} samples every {ODD.hop}, which is no power of two."

SUITE = Suite(
    name="stft",
    title="Short-time Fourier transform",
    note=(
        f"Frames of {USUAL.n_fft} samples every {USUAL.hop} where nothing else is said, periodic Hann "
        "window, centred frames, zeros beyond the ends. Every contender inverts the spectrogram that it "
        "made itself, in its own memory layout. What is compared is every bin of every frame, and every "
        "sample that comes back."
    ),
    comparisons=(
        _one_way(
            "forward",
            USUAL,
            title="STFT",
            note="scipy.signal.stft divides by the sum of the window; undone, untimed, before comparing.",
            goals=(Goal(at_least=2, over=("librosa",)),),
        ),
        _one_way(
            "inverse",
            USUAL,
            title="ISTFT",
            note="Least-squares synthesis, to the exact length of the audio.",
            goals=(Goal(at_least=2.5, over=("librosa",)),),
        ),
        Comparison(
            name="stft-round-trip",
            title="STFT + ISTFT",
            note="ShortTimeFFT returns double precision whatever it is given, as the output column shows.",
            contenders=contenders("round trip"),
            make_input=music,
            tolerance=2e-6,
            grows={"dspsep": 600, "librosa": 600, "torch": 600, "scipy ShortTimeFFT": 600},
        ),
        _one_way(
            "forward",
            ODD,
            title="STFT, odd frames",
            note=_IN_ODD_FRAMES,
            goals=(Goal(at_least=1, over=OTHERS),),
            suffix="-odd",
        ),
        _one_way(
            "inverse",
            ODD,
            title="ISTFT, odd frames",
            note=_IN_ODD_FRAMES,
            goals=(Goal(at_least=1, over=OTHERS),),
            suffix="-odd",
        ),
    ),
)
