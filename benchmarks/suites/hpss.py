"""Harmonic-percussive separation: from audio to audio, whole and in blocks, and the masks alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks import expressions
from benchmarks.expressions import Array
from benchmarks.goals import Goal, Linear
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.suites._levels import GENERIC, PLAIN, at_level

__all__ = ["SUITE", "audio_contenders"]

LENGTH = 31
STREAM = "dspsep, in blocks of 1 s"


def _parts(sources: Mapping[str, Array]) -> Array:
    return np.stack([sources["harmonic"], sources["percussive"]])


def _hpss(**settings: Any) -> Any:
    from dspsep import HPSS

    return HPSS(harmonic_frames=LENGTH, percussive_bins=LENGTH, **settings)


def _dspsep_audio(settings: dict[str, Any], source: Music) -> Task:
    hpss = _hpss(**settings)
    return Task(lambda: hpss.separate(*source), _parts)


def _dspsep_stream(source: Music) -> Task:
    """Return what hands every block on and forgets it; to be compared, all of it is made again and kept."""
    hpss = _hpss()

    def outputs() -> Iterator[Mapping[str, Array]]:
        samples, rate = source
        stream = hpss.stream(rate, n_channels=samples.shape[0])
        for start in range(0, samples.shape[1], rate):
            yield stream.push(samples[:, start : start + rate])
        yield stream.flush()

    def call() -> None:
        for _ in outputs():
            pass

    return Task(call, lambda _: np.concatenate([_parts(output) for output in outputs()], axis=-1))


def _librosa_audio(settings: dict[str, Any], source: Music) -> Task:
    from librosa.effects import hpss

    return Task(lambda: hpss(source.samples, kernel_size=LENGTH, **settings), np.stack)


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


def audio_contenders(**settings: Any) -> tuple[Contender, ...]:
    """Return dspsep and librosa, with settings that both know by the same name."""
    return (
        Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep_audio, settings)),
        Contender(name="librosa", package="librosa", prepare=partial(_librosa_audio, settings)),
    )


_FASTEST, _LIBROSA = audio_contenders()

SUITE = Suite(
    name="hpss",
    title="Harmonic-percussive separation",
    note=(
        f"Medians over {LENGTH} frames and {LENGTH} bins of a spectrogram of 2048 samples every 512, soft "
        "masks of power 2, margin 1 where nothing else is said."
    ),
    comparisons=(
        Comparison(
            name="hpss-audio",
            title="HPSS, from audio to audio",
            note=(
                "`dspsep.HPSS().separate` and `librosa.effects.hpss`: both parts, from and to samples. In "
                "blocks, `dspsep.HPSS().stream`: each is forgotten when the next comes."
            ),
            contenders=(
                _FASTEST,
                Contender(name=STREAM, package="dspsep", prepare=_dspsep_stream),
                Contender(name=PLAIN, package="numba", prepare=at_level("cpu", partial(_dspsep_audio, {}))),
                Contender(
                    name=GENERIC, package="dspsep", prepare=at_level("generic", partial(_dspsep_audio, {}))
                ),
                _LIBROSA,
            ),
            make_input=music,
            tolerance=1e-5,
            goals=(
                Goal(at_least=100, over=("librosa",)),
                Goal(at_least=10, over=("librosa",), of=PLAIN),
                Linear(at_most=1.25, of=STREAM),
            ),
            grows={"dspsep": None, STREAM: None, "librosa": 600},
        ),
        Comparison(
            name="hpss-margin",
            title="HPSS with a margin of 3",
            note="Both parts; what is in neither, dspsep returns as a third.",
            contenders=audio_contenders(margin=3.0),
            make_input=music,
            tolerance=1e-5,
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
                Contender(name=PLAIN, package="numba", prepare=at_level("cpu", _dspsep_masks)),
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
