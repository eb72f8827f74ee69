"""Why each compiled kernel exists: it beats the best array expression for the same job."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks import expressions
from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import music
from benchmarks.suites.medians import magnitudes

__all__ = ["SUITE"]

LENGTH = 31
N_FFT, HOP = 2048, 512
WEIGHT = 0.3
CHUNK = 64  # frames that the inverse transforms and adds at a time


class Rivals(NamedTuple):
    """The two medians of one spectrogram."""

    harmonic: Array
    percussive: Array


def _rivals(seconds: float) -> Rivals:
    from dspsep.kernels import cpu

    values = magnitudes(seconds)
    return Rivals(cpu.median_over_time(values, LENGTH), cpu.median_over_frequency(values, LENGTH))


class Frames(NamedTuple):
    """Frames (n_frames, n_fft) that are added to the signal again and again, as many at a time."""

    chunk: Array
    n_chunks: int

    @property
    def n_samples(self) -> int:
        """Of the signal that they make."""
        return (self.n_chunks * len(self.chunk) - 1) * HOP + N_FFT

    @property
    def offsets(self) -> range:
        """Where each chunk begins."""
        step = len(self.chunk) * HOP
        return range(0, self.n_chunks * step, step)


def _frames(seconds: float) -> Frames:
    """Return one chunk of one channel: the inverse, too, finds its frames in the cache, after the FFT."""
    samples = music(seconds).samples[0]
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]
    return Frames(np.ascontiguousarray(frames[:CHUNK]), max(1, len(frames) // CHUNK))


def _mask_kernel(rivals: Rivals) -> Task:
    from dspsep.kernels import cpu

    return Task(lambda: cpu.soft_mask(*rivals, 1.0, 2.0, 0.5))


def _mask_generic(rivals: Rivals) -> Task:
    from dspsep.kernels import generic

    return Task(lambda: generic.soft_mask(*rivals, 1.0, 2.0, 0.5))


def _diffusion(module: str) -> Callable[[Rivals], Task]:
    def prepare(rivals: Rivals) -> Task:
        from dspsep.kernels import cpu, generic

        step = {"cpu": cpu, "generic": generic}[module].diffusion_step
        whole = rivals.harmonic + rivals.percussive
        return Task(lambda: step(whole, rivals.harmonic, WEIGHT), lambda result: result[0])

    return prepare


def _diffusion_numpy(rivals: Rivals) -> Task:
    whole = rivals.harmonic + rivals.percussive
    return Task(lambda: expressions.diffusion_in_place(whole, rivals.harmonic, WEIGHT))


def _mask_librosa(rivals: Rivals) -> Task:
    import librosa

    return Task(lambda: librosa.util.softmask(*rivals, power=2.0, split_zeros=True))


def _overlap_add_kernel(frames: Frames) -> Task:
    from dspsep.kernels.cpu._jit import readonly
    from dspsep.kernels.cpu.transforms import _overlap_add

    window = readonly(_window())

    def call() -> Array:
        samples = np.zeros(frames.n_samples, np.float32)
        for offset in frames.offsets:
            _overlap_add(readonly(frames.chunk), window, HOP, offset, samples)
        return samples

    return Task(call)


def _overlap_add_by(function: Callable[[Array, Array, int], Array]) -> Callable[[Frames], Task]:
    window = _window()

    def call(frames: Frames) -> Array:
        samples = np.zeros(frames.n_samples, np.float32)
        for offset in frames.offsets:
            added = function(frames.chunk, window, HOP)
            samples[offset : offset + added.size] += added
        return samples

    return lambda frames: Task(lambda: call(frames))


def _window() -> Array:
    return np.hanning(N_FFT + 1)[:N_FFT].astype(np.float32)


SUITE = Suite(
    name="kernels",
    title="Other compiled kernels and the array expressions they replace",
    note="A numba kernel stays only while it beats the best expression that needs no compiler of ours.",
    comparisons=(
        Comparison(
            name="kernel-soft-mask",
            title="Soft mask",
            note="Of power 2, from the two medians.",
            contenders=(
                Contender(name="numba kernel", package="numba", prepare=_mask_kernel),
                Contender(
                    name="numpy, in place",
                    package="numpy",
                    prepare=lambda rivals: Task(lambda: expressions.soft_mask_squared(*rivals)),
                ),
                Contender(name="librosa.util.softmask", package="librosa", prepare=_mask_librosa),
                Contender(name="array API (generic.py)", package="dspsep", prepare=_mask_generic),
            ),
            make_input=_rivals,
            tolerance=1e-6,
            goals=(Goal(at_least=1),),
        ),
        Comparison(
            name="kernel-diffusion",
            title="A step of diffusion",
            note="As `IterativeHPSS` makes fifty of, with the objective.",
            contenders=(
                Contender(name="numba kernel", package="numba", prepare=_diffusion("cpu")),
                Contender(name="numpy, in place", package="numpy", prepare=_diffusion_numpy),
                Contender(name="array API (generic.py)", package="dspsep", prepare=_diffusion("generic")),
            ),
            make_input=_rivals,
            tolerance=1e-6,
            goals=(Goal(at_least=1),),
        ),
        Comparison(
            name="kernel-overlap-add",
            title="Windowed overlap-add",
            note=(
                f"Frames of {N_FFT} samples every {HOP}, {CHUNK} at a time as the inverse adds them, one "
                "channel. Block by block works only where the hop divides the frame."
            ),
            contenders=(
                Contender(name="numba kernel", package="numba", prepare=_overlap_add_kernel),
                Contender(
                    name="numpy, block by block",
                    package="numpy",
                    prepare=_overlap_add_by(expressions.overlap_add_blocks),
                ),
                Contender(
                    name="numpy, frame by frame",
                    package="numpy",
                    prepare=_overlap_add_by(expressions.overlap_add_frames),
                ),
            ),
            make_input=_frames,
            tolerance=1e-6,
            goals=(Goal(at_least=1),),
        ),
    ),
)
