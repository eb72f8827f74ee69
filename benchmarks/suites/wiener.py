"""Wiener filters that refine estimates, beside norbert."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.expressions import Array
from benchmarks.goals import Goal
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import stems

__all__ = ["SUITE"]

_PEER = "norbert"
# What the constants of norbert amount to where its scaling acts.
_REGULARISATION = 2.0**-26 / 100


class _Spectra(NamedTuple):
    """Magnitudes of estimates, (n_sources, n_channels, n_freqs, n_frames), and the mixture's spectra."""

    magnitudes: Array
    mixture: Array


class _Audio(NamedTuple):
    """Estimates, (n_sources, n_channels, n_samples), and their mixture."""

    estimates: Array
    mixture: Array
    sample_rate: int


def _audio(seconds: float) -> _Audio:
    made = stems(4, seconds)
    return _Audio(made.estimates, made.references.sum(axis=0), made.sample_rate)


def _spectra(seconds: float) -> _Spectra:
    from dspsep import STFT

    audio, stft = _audio(seconds), STFT(2048, 512)
    magnitudes = [stft.forward(one, audio.sample_rate).magnitude() for one in audio.estimates]
    return _Spectra(np.stack(magnitudes), stft.forward(audio.mixture, audio.sample_rate).values)


def _dspsep(n_iter: int, dtype: str, spectra: _Spectra) -> Task:
    from dspsep import alpha_wiener, wiener_em

    V, x = spectra.magnitudes.astype(dtype), spectra.mixture.astype(np.result_type(dtype, np.complex64))
    V, x = (array.swapaxes(-1, -2).copy().swapaxes(-1, -2) for array in (V, x))
    return Task(lambda: wiener_em(alpha_wiener(V, x), x, n_iter=n_iter, regularisation=_REGULARISATION))


def _norbert(n_iter: int, spectra: _Spectra) -> Task:
    V = np.ascontiguousarray(spectra.magnitudes.transpose(3, 2, 1, 0), np.float64)
    x = np.ascontiguousarray(spectra.mixture.transpose(2, 1, 0), np.complex128)
    return Task(partial(_norbert_wiener, V, x, n_iter), partial(_with_noise, x))


def _norbert_wiener(V: Array, x: Array, n_iter: int) -> tuple[Array, Array]:
    """Do what `norbert.wiener` does, and return the powers, too, which it has and does not return."""
    import norbert

    y = norbert.softmask(V, x)
    scale = max(1, np.abs(x).max() / 10)
    y, v, _ = norbert.expectation_maximization(y / scale, x / scale, n_iter)
    return y * scale, v


def _with_noise(x: Array, found: tuple[Array, Array]) -> Array:
    """Return sources that share, as dspsep's do, what norbert leaves to nobody."""
    y, v = found
    level = v.sum(axis=-1, keepdims=True)
    share = np.where(level > 0, v / np.where(level > 0, level, 1), 1 / v.shape[-1])
    whole = y + share[:, :, None, :] * (x - y.sum(axis=-1))[..., None]
    return np.asarray(whole.transpose(3, 2, 1, 0))


def _steps(n_iter: int) -> Comparison:
    return Comparison(
        name=f"wiener-{n_iter}",
        title=f"Shares, and {n_iter} step{'s' if n_iter > 1 else ''} of expectation maximisation",
        note="`dspsep.wiener_em` of what `dspsep.alpha_wiener` gives, and what `norbert.wiener` does, from "
        "magnitudes of estimates to spectra of sources. norbert works in double precision, as its authors "
        "advise. What it leaves to nobody is shared before results are compared.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep, n_iter, "float32")),
            Contender(name="dspsep, double", package="dspsep", prepare=partial(_dspsep, n_iter, "float64")),
            Contender(name=_PEER, package=_PEER, prepare=partial(_norbert, n_iter)),
        ),
        make_input=_spectra,
        tolerance=1e-5,
        goals=(Goal(at_least=8, over=(_PEER,)),),
    )


def _refine(n_iter: int, audio: _Audio) -> Task:
    from dspsep import Sources, Wiener

    names = [f"source_{j}" for j in range(len(audio.estimates))]
    sources = Sources.from_dict(dict(zip(names, audio.estimates, strict=True)), audio.sample_rate)
    refiner = Wiener(n_iter=n_iter, regularisation=_REGULARISATION)
    return Task(lambda: refiner.refine(audio.mixture, sources), _stacked)


def _stacked(sources: Any) -> Array:
    return np.stack(list(sources.values()))


def _refine_norbert(n_iter: int, audio: _Audio) -> Task:
    from dspsep import STFT

    stft = STFT(2048, 512)
    kept: dict[str, Any] = {}

    def run() -> Array:
        spectrogram = stft.forward(audio.mixture, audio.sample_rate)
        shape = (spectrogram.n_frames, spectrogram.n_freqs, spectrogram.n_channels, len(audio.estimates))
        V = np.empty(shape)
        for j, one in enumerate(audio.estimates):
            V[..., j] = stft.forward(one, audio.sample_rate).magnitude().transpose(2, 1, 0)
        x = np.ascontiguousarray(spectrogram.values.transpose(2, 1, 0), np.complex128)
        y, v = _norbert_wiener(V, x, n_iter)
        kept.update(spectrogram=spectrogram, x=x, found=(y, v))
        return audio_of(spectrogram, (y[..., j].transpose(2, 1, 0) for j in range(shape[3])))

    def audio_of(spectrogram: Any, images: Iterable[Array]) -> Array:
        dtype = spectrogram.values.dtype
        return np.stack([stft.inverse(spectrogram.with_values(image.astype(dtype))) for image in images])

    return Task(run, lambda _: audio_of(kept["spectrogram"], _with_noise(kept["x"], kept["found"])))


SUITE = Suite(
    name="wiener",
    title="Wiener filters that refine estimates",
    note="Estimates of four stereo stems, 2048 samples every 512.",
    comparisons=(
        _steps(1),
        _steps(3),
        Comparison(
            name="wiener-refiner",
            title="From audio to audio",
            note="`dspsep.Wiener(n_iter=1)`, and norbert between the transforms of dspsep; what it leaves to "
            "nobody is shared before results are compared.",
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=partial(_refine, 1)),
                Contender(name=_PEER, package=_PEER, prepare=partial(_refine_norbert, 1)),
            ),
            make_input=_audio,
            tolerance=1e-5,
            grows={"dspsep": None, _PEER: 120.0},
        ),
    ),
    threads=1,
    audio="four stems of songs in stereo at 44100 Hz",
)
