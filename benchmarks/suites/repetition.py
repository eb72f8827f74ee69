"""Repetition: beside plain NumPy for what is published, and beside librosa's recipe."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks import expressions
from benchmarks.expressions import Array
from benchmarks.goals import Goal, Linear, PeakLimit
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music

__all__ = ["HOUR", "STREAM", "SUITE", "long_music"]

PLAIN = "plain NumPy"
AUTHOR = "the author's program"
LIBROSA = "librosa's recipe"
STREAM = "dspsep, in blocks of 1 s"
#: The comparison whose first contender is measured on an hour by `benchmarks.hour`.
HOUR = "repet-sim"

# The authors' settings.
_N_FFT, _HOP, _WINDOW = 2048, 1024, "hamming"
_PERIODS, _SEGMENT, _STEP, _ORDER = (1.0, 10.0), 10.0, 5.0, 5
_CUTOFF, _APART, _MOST, _PAST = 100.0, 1.0, 100, 10.0
# Three periods of a second, and what neighbours two seconds away need.
_LEAST_SECONDS = 5.0
_DISTANCE, _MARGIN = 2.0, (2.0, 10.0)
# Who is like whom may turn on a rounding; another frame among some dozen makes another median of few bins.
_NEAR = 5e-3


def long_music(seconds: float) -> Music:
    """Return music that is repeated to length, but not to the bit: with noise 60 dB below full scale."""
    samples, rate = music(max(seconds, _LEAST_SECONDS))
    rng, size = np.random.default_rng(0), 2**20
    for channel in samples:
        for start in range(0, len(channel), size):
            part = channel[start : start + size]
            part += np.float32(1e-3) * rng.standard_normal(len(part), np.float32)
    return Music(samples, rate)


def _separator(kind: str, **settings: Any) -> Any:
    import dspsep

    return getattr(dspsep, kind)(stft=dspsep.STFT(_N_FFT, _HOP, _WINDOW), **settings)


def _dspsep(kind: str, settings: Mapping[str, Any], source: Music) -> Task:
    separator = _separator(kind, **settings)
    return Task(lambda: separator.separate(*source), lambda sources: sources["background"])


def _stream(source: Music) -> Task:
    """Return what hands every block on and forgets it; to be compared, all of it is made again and kept."""
    separator = _separator("REPETSim", past_seconds=_PAST)

    def outputs() -> Iterator[Mapping[str, Array]]:
        samples, rate = source
        stream = separator.stream(rate, n_channels=samples.shape[0])
        for start in range(0, samples.shape[1], rate):
            yield stream.push(samples[:, start : start + rate])
        yield stream.flush()

    def call() -> None:
        for _ in outputs():
            pass

    return Task(call, lambda _: np.concatenate([output["background"] for output in outputs()], axis=-1))


def _plain(share: Callable[[Array, float, tuple[int, ...]], Array], kind: str, source: Music) -> Task:
    """Return librosa's transform around a share of the background, and what is left for the foreground.

    dspsep looks for the shortest of the periods that are nearly as good as the best: with periods of its
    own the recipe could not return the same. It finds its own when it is timed.
    """
    import librosa

    samples, rate = source
    n_below = 1 + int(_CUTOFF * _N_FFT / rate)
    n_missing = -samples.shape[1] % _HOP  # for the last frame, which librosa leaves out

    def call(periods: tuple[int, ...] = ()) -> tuple[Array, Array]:
        padded = np.pad(samples, ((0, 0), (0, n_missing)))
        spectra = librosa.stft(padded, n_fft=_N_FFT, hop_length=_HOP, window=_WINDOW)
        mask = share(np.abs(spectra), rate / _HOP, periods)
        mask[:, :n_below] = 1
        background = librosa.istft(
            mask * spectra, hop_length=_HOP, n_fft=_N_FFT, window=_WINDOW, length=samples.shape[1]
        )
        return background, samples - background

    def comparable(_: Any) -> Array:
        model = _separator(kind).separate(*source).model
        seconds = [model.period] if hasattr(model, "period") else getattr(model, "periods", ())
        frames = tuple(round(float(period) * rate / _HOP) for period in seconds)
        return call(frames)[0]

    return Task(call, comparable)


def _author(function: str, source: Music) -> Task:
    """Return a function of the author's ``repet.py``: it has no licence to be here, and must be on the path.

    It was written for a SciPy that had windows in another place.
    """
    import scipy.signal

    for window in ("hamming", "triang"):
        if not hasattr(scipy.signal, window):
            setattr(scipy.signal, window, getattr(scipy.signal.windows, window))
    call = getattr(importlib.import_module("repet"), function)
    samples = source.samples.T.astype(float)
    return Task(lambda: call(samples, source.sample_rate))


def _period(V: Array, per_second: float) -> int:
    shortest, longest = (round(seconds * per_second) for seconds in _PERIODS)
    beats = expressions.repet_beat_spectrum(V)
    return shortest + int(np.argmax(beats[shortest : max(shortest, min(longest, V.shape[-1] // 3)) + 1]))


def _segments(n_frames: int, per_second: float) -> tuple[tuple[int, int], ...]:
    length, step = round(_SEGMENT * per_second), round(_STEP * per_second)
    starts = range(0, max(1, n_frames - length + 1), step)
    return tuple((start, n_frames if start == starts[-1] else start + length) for start in starts)


def _whole(V: Array, per_second: float, periods: tuple[int, ...]) -> Array:
    return expressions.repet_periodic(V, *(periods or (_period(V, per_second),)))


def _parts(V: Array, per_second: float, periods: tuple[int, ...]) -> Array:
    segments = _segments(V.shape[-1], per_second)
    periods = periods or tuple(_period(V[..., start:stop], per_second) for start, stop in segments)
    return expressions.repet_extended(V, segments, periods)


def _moments(V: Array, per_second: float, periods: tuple[int, ...]) -> Array:
    windows = _segments(V.shape[-1], per_second)
    periods = periods or tuple(_period(V[..., start:stop], per_second) for start, stop in windows)
    middles = np.asarray([(start + stop - 1) / 2 for start, stop in windows])
    nearest = np.searchsorted((middles[1:] + middles[:-1]) / 2, np.arange(V.shape[-1]))
    return expressions.repet_adaptive(V, np.asarray(periods)[nearest], _ORDER)


def _alike(V: Array, per_second: float, _: tuple[int, ...]) -> Array:
    return expressions.repet_lists(V, expressions.repet_alike(V, round(_APART * per_second), _MOST))


def _alike_before(V: Array, per_second: float, _: tuple[int, ...]) -> Array:
    n_past, distance = round(_PAST * per_second), round(_APART * per_second)
    return expressions.repet_lists(V, expressions.repet_alike_before(V, n_past, distance, _MOST))


def _dspsep_nearest(source: Music) -> Task:
    from dspsep import NearestNeighborMedian

    separator = NearestNeighborMedian(cutoff_hertz=None, distance_seconds=_DISTANCE, margin=_MARGIN)
    return Task(lambda: separator.separate(*source), _both)


def _both(sources: Mapping[str, Array]) -> Array:
    return np.stack([sources["background"], sources["foreground"]])


def _librosa_recipe(source: Music) -> Task:
    """Return what librosa's documentation has for vocals; channels share their neighbours."""
    import librosa

    samples, rate = source
    width = int(librosa.time_to_frames(_DISTANCE, sr=rate))

    def call() -> Array:
        spectra = librosa.stft(samples)
        V = np.abs(spectra)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sparse matrices
            near = librosa.segment.recurrence_matrix(
                V.mean(axis=0), metric="cosine", width=width, mode="distance", sparse=True
            )
        near.data[:] = 1
        repeating = np.minimum(V, librosa.decompose.nn_filter(V, aggregate=np.median, rec=near))
        certain, margin = _MARGIN
        masks = (
            librosa.util.softmask(repeating, certain * (V - repeating), power=2),
            librosa.util.softmask(V - repeating, margin * repeating, power=2),
        )
        return np.stack([librosa.istft(mask * spectra, length=samples.shape[1]) for mask in masks])

    return Task(call)


def _against_plain(
    name: str,
    kind: str,
    share: Callable[[Array, float, tuple[int, ...]], Array],
    at_least: float,
    *more: Contender,
    settings: Mapping[str, Any] | None = None,
    title: str = "",
    note: str = "",
    plain_up_to: float | None = None,
) -> Comparison:
    own = settings or {}
    stream = [contender.name for contender in more if contender.name == STREAM]
    bounded = (PeakLimit(at_most=50, of=STREAM), Linear(at_most=1.25, of=STREAM)) if stream else ()
    return Comparison(
        name=name,
        title=f"{title or kind}, from audio to audio",
        note=note,
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep, kind, own)),
            *more,
            Contender(name=PLAIN, package="librosa", prepare=partial(_plain, share, kind)),
        ),
        make_input=long_music,
        tolerance=1e-5 if kind != "REPETSim" else _NEAR,
        goals=(Goal(at_least=at_least, over=(PLAIN,)), *bounded),
        grows=dict.fromkeys(stream or ["dspsep"], 600.0)
        | ({} if plain_up_to is None else {PLAIN: plain_up_to}),
    )


def _against_author(
    method: str,
    kind: str,
    function: str,
    at_least: float,
    settings: Mapping[str, Any] | None = None,
    title: str = "",
) -> Comparison:
    return Comparison(
        name=f"{method}-author",
        title=f"{title or kind}, beside the author's program",
        note=f"`repet.{function}`, in double precision, as it is.",
        contenders=(
            Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep, kind, settings or {})),
            Contender(name=AUTHOR, package="repet", prepare=partial(_author, function)),
        ),
        make_input=long_music,
        # Its periods and neighbours are others: see the note of the suite.
        tolerance=None,
        goals=(Goal(at_least=at_least, over=(AUTHOR,)),),
    )


SUITE = Suite(
    name="repetition",
    title="Repetition",
    note=(
        "The settings of the authors: frames of 2048 samples every 1024, a Hamming window, the rule of 100"
        " Hz."
        f" *{PLAIN}* is what a user of NumPy, SciPy and librosa's transform would write from the papers, and"
        " not the code of anybody; its periods are the highest lags of the beat spectrum. To be compared, it"
        " is given those that dspsep found; it looks for its own when it is timed. The music has noise in it"
        " 60 dB below full scale, so that no repeat is exact. *The author's program* is `repet.py` of Zafar"
        " Rafii's REPET-Python, the one other that runs; it competes where it has been put on Python's path."
        " It takes periods a frame longer than they are, so its results are others, and are not compared."
    ),
    comparisons=(
        _against_author("repet", "REPET", "original", 5),
        _against_author("repet-extended", "REPETExtended", "extended", 5),
        _against_author("repet-adaptive", "AdaptiveREPET", "adaptive", 8),
        _against_author("repet-sim", "REPETSim", "sim", 20),
        _against_author(
            "repet-sim-online", "REPETSim", "simonline", 20, {"past_seconds": _PAST}, "Online REPET-SIM"
        ),
        _against_plain(
            "repet", "REPET", _whole, 4, note="One period. Segments are stacked, and their median is taken."
        ),
        _against_plain(
            "repet-extended",
            "REPETExtended",
            _parts,
            4,
            note="A period for each ten seconds, five seconds apart, whose masks are faded.",
        ),
        _against_plain(
            "repet-adaptive",
            "AdaptiveREPET",
            _moments,
            5,
            note="A period for each five seconds, and a median of five frames for each frame.",
        ),
        _against_plain(
            HOUR,
            "REPETSim",
            _alike,
            10,
            note="The matrix of similarities as a whole, peaks and medians frame by frame.",
            plain_up_to=300,
        ),
        _against_plain(
            "repet-sim-online",
            "REPETSim",
            _alike_before,
            3,
            Contender(name=STREAM, package="dspsep", prepare=_stream),
            settings={"past_seconds": _PAST},
            title="Online REPET-SIM",
            note="Frames of the last ten seconds. In blocks, each is forgotten when the next comes.",
        ),
        Comparison(
            name="nearest-neighbours",
            title="NearestNeighborMedian, from audio to audio",
            note="`NearestNeighborMedian(margin=(2, 10), cutoff_hertz=None)` with the default transform, and"
            " the example of vocal separation of librosa's documentation, whose neighbours are sorted by"
            " distance so that they are the nearest. Channels share them. dspsep returns the residual, too.",
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=_dspsep_nearest),
                Contender(name=LIBROSA, package="librosa", prepare=_librosa_recipe),
            ),
            make_input=long_music,
            tolerance=_NEAR,
            grows={"dspsep": 600},
        ),
        Comparison(
            name="repet-sim-librosa",
            title="REPETSim beside librosa's recipe",
            note="Another method for the same purpose, so that results are not compared.",
            contenders=(
                Contender(name="dspsep", package="dspsep", prepare=partial(_dspsep, "REPETSim", {})),
                Contender(name=LIBROSA, package="librosa", prepare=_librosa_recipe),
            ),
            make_input=long_music,
            tolerance=None,
        ),
    ),
    threads=1,
)
