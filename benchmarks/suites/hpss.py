"""Harmonic-percussive separation: from audio to audio, and the masks alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import expressions
from benchmarks.expressions import Array
from benchmarks.harness import Comparison, Contender, Goal, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.suites._generic import with_generic_kernels

__all__ = ["SUITE"]

LENGTH = 31


def _dspsep_audio(source: Music) -> Task:
    from dspsep import HPSS

    hpss = HPSS(harmonic_frames=LENGTH, percussive_bins=LENGTH)
    return Task(
        lambda: hpss.separate(*source),
        lambda sources: np.stack([sources["harmonic"], sources["percussive"]]),
    )


def _librosa_audio(source: Music) -> Task:
    from librosa.effects import hpss

    return Task(lambda: hpss(source.samples, kernel_size=LENGTH), np.stack)


def _magnitudes(seconds: float) -> Array:
    from dspsep import STFT

    # A plain array, rows of bins one after the other, as someone with a transform of their own would have it.
    return np.ascontiguousarray(STFT(2048, 512).forward(*music(seconds)).magnitude())


def _dspsep_masks(magnitudes: Array) -> Task:
    from dspsep import hpss_masks

    return Task(lambda: hpss_masks(magnitudes, LENGTH, LENGTH), np.stack)


def _librosa_masks(magnitudes: Array) -> Task:
    from librosa.decompose import hpss

    return Task(lambda: hpss(magnitudes, kernel_size=LENGTH, mask=True), np.stack)


def _masks_by(median: Callable[[Array, int, int], Array]) -> Callable[[Array], Task]:
    """Return the masks written in a few lines around somebody's median filter."""

    def masks(magnitudes: Array) -> tuple[Array, Array]:
        harmonic, percussive = median(magnitudes, LENGTH, 2), median(magnitudes, LENGTH, 1)
        mask = expressions.soft_mask_squared(harmonic, percussive)
        return mask, 1 - mask

    return lambda magnitudes: Task(lambda: masks(magnitudes), np.stack)


def _generic(prepare: Callable[..., Task]) -> Callable[..., Task]:
    def prepare_generic(source: object) -> Task:
        task = prepare(source)
        return task._replace(call=with_generic_kernels(task.call))

    return prepare_generic


SUITE = Suite(
    name="hpss",
    title="Harmonic-percussive separation",
    note=(
        f"Medians over {LENGTH} frames and {LENGTH} bins of a spectrogram of 2048 samples every 512, soft "
        "masks of power 2, margin 1."
    ),
    comparisons=(
        Comparison(
            name="hpss-audio",
            title="HPSS, from audio to audio",
            note="`dspsep.HPSS().separate` and `librosa.effects.hpss`: both parts, from and to samples.",
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=_dspsep_audio),
                Contender(name="dspsep, generic kernels", package="dspsep", prepare=_generic(_dspsep_audio)),
                Contender(name="librosa", package="librosa", prepare=_librosa_audio),
            ),
            make_input=music,
            tolerance=5e-6,
            goal=Goal(at_least=10, over=("librosa",)),
            grows=("dspsep", "librosa"),
        ),
        Comparison(
            name="hpss-masks",
            title="HPSS masks",
            note=(
                "From given magnitudes to both masks: `dspsep.hpss_masks`, `librosa.decompose.hpss`, and a "
                "few lines around the two fastest median filters that can be had without writing one."
            ),
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=_dspsep_masks),
                Contender(name="librosa", package="librosa", prepare=_librosa_masks),
                Contender(
                    name="scipy medians, row by row",
                    package="scipy",
                    prepare=_masks_by(expressions.median_rows),
                ),
                Contender(
                    name="bottleneck medians",
                    package="bottleneck",
                    prepare=_masks_by(expressions.median_bottleneck),
                ),
            ),
            make_input=_magnitudes,
            tolerance=1e-6,
        ),
    ),
)
