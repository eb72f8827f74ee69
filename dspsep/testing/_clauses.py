"""The clauses of the contract: each a function of a `Bench` that raises `ContractError` if it is broken."""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import random
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from dspsep import _parallel, _registry
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel, load_model
from dspsep.progress import Progress
from dspsep.separator import SpectralSeparator, from_json
from dspsep.sources import Sources
from dspsep.testing._bench import Bench, ContractError
from dspsep.testing._streaming import streams_what_it_separates

__all__ = ["CLAUSES"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ContractError(message)


def _require_lawful(sources: Sources, mixture: Array, what: str) -> None:
    """Finite, of the mixture's shape and precision, and summing to it."""
    _require(isinstance(sources, Sources), f"{what}: separate returned {type(sources).__name__}")
    peak = float(np.abs(mixture).max())
    for name, source in sources.items():
        _require(source.shape == mixture.shape, f"{what}: {name!r} has shape {source.shape}")
        _require(source.dtype == mixture.dtype, f"{what}: {name!r} is {source.dtype}")
        _require(bool(np.isfinite(source).all()), f"{what}: {name!r} is not finite")
    error = float(np.abs(sources.mixture().astype(np.float64) - mixture).max())
    allowed = (5e-6 if mixture.dtype == np.float32 else 1e-10) * peak
    _require(error <= allowed, f"{what}: the sum is off by {error / (peak or 1):.2e} of the peak")


def _same_bytes(one: Sources, other: Sources) -> bool:
    return one.names == other.names and all(one[name].tobytes() == other[name].tobytes() for name in one)


def _is_a_value(bench: Bench) -> None:
    separator = bench.separator
    for twin in (pickle.loads(pickle.dumps(separator)), copy.deepcopy(separator), separator.replace()):
        _require(twin == separator and hash(twin) == hash(separator), "a copy is not equal to it")
        _require(repr(twin) == repr(separator), "a copy prints differently")
    try:
        field = next(iter(vars(separator)), "setting")
        setattr(separator, field, getattr(separator, field, None))
    except AttributeError:
        return
    raise ContractError("its settings can be changed after it was made")


def _can_be_stored(bench: Bench) -> None:
    if not _registry.is_registered(type(bench.separator)):
        return
    _require(from_json(bench.separator.to_json()) == bench.separator, "JSON gives another separator")


def _names_its_sources(bench: Bench) -> None:
    names = bench.separator.source_names
    sources = bench.run(bench.mixture)
    _require(names is None or names == sources.names, f"said {names}, gave {sources.names}")
    _require(sources.sample_rate == bench.sample_rate, "the sources have another rate")
    _require(sources.provenance is not None, "the sources do not say how they came about")
    again = pickle.loads(pickle.dumps(sources))
    _require(_same_bytes(again, sources), "pickled sources come back changed")


def _keeps_the_sum(bench: Bench) -> None:
    for dtype in ("float32", "float64"):
        for n_channels in bench.channels:
            mixture = bench.audio(bench.mixture.shape[1], dtype, n_channels)
            _require_lawful(bench.run(mixture), mixture, f"{n_channels} channels of {dtype}")
    if 1 in bench.channels:
        mono = bench.audio(5000, "float32", 1)[0]
        _require_lawful(bench.run_quietly(mono), mono, "without a channel axis")


def _takes_any_length(bench: Bench) -> None:
    for n_samples in (1, 2, 3, 255, 256, 257, 2047, 2048, 2049, 4999, 44101):
        mixture = bench.audio(n_samples, "float32")
        _require_lawful(bench.run_quietly(mixture), mixture, f"{n_samples} samples")


def _copes_with_odd_signals(bench: Bench) -> None:
    shape = (bench.channels[-1], 6000)
    time = np.arange(shape[1])
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(shape).astype(np.float32)
    impulse = np.zeros(shape, np.float32)
    impulse[:, 3000] = 1
    spectrum = np.fft.rfft(noise)
    spectrum[:, 1000:] = 0
    one_dead = noise.copy()
    one_dead[-1] = 0
    odd = {
        "a constant": np.ones(shape, np.float32),
        "an impulse": impulse,
        "a Nyquist tone": np.broadcast_to((-1.0) ** time, shape).astype(np.float32),
        "a tone": np.broadcast_to(np.sin(0.3 * time), shape).astype(np.float32),
        "a clipped square": np.broadcast_to(np.sign(np.sin(0.01 * time)), shape).astype(np.float32),
        "a band-limited signal": np.fft.irfft(spectrum, shape[1]).astype(np.float32),
        "equal channels": np.broadcast_to(noise[0], shape),
        "a silent channel": one_dead,
        "an inverted channel": np.concatenate([noise[:-1], -noise[:1]]),
        "a delayed channel": np.concatenate([noise[:-1], np.roll(noise[:1], 3, axis=1)]),
        "a faint leak": np.concatenate([noise[:-1], noise[:1] * np.float32(1e-8)]),
        "a fade below the smallest normal number": noise * np.float32(10) ** -(time / 130).astype(np.float32),
        "a peak of 1e30": noise * np.float32(1e30),
        "a peak of 1e-30": noise * np.float32(1e-30),
    }
    for what, signal in odd.items():
        _require_lawful(bench.run_quietly(signal), signal, what)


def _maps_silence_to_silence(bench: Bench) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        sources = bench.run(np.zeros((bench.channels[-1], 4000), np.float32))
    for name, source in sources.items():
        _require(not source.any(), f"{name!r} is not silent")


def _scales(bench: Bench) -> None:
    mixture = bench.mixture
    sources = bench.run(mixture)
    peak = float(np.abs(mixture).max())
    for factor in (-1.0, 4.0**10, 4.0**-10):
        scaled = bench.run(mixture * factor)
        for name in sources:
            error = float(np.abs(scaled[name] / factor - sources[name]).max()) / peak
            _require(error <= bench.scale_tolerance, f"times {factor:g}: {name!r} is off by {error:.1e}")


def _agrees_across_precisions(bench: Bench) -> None:
    single = bench.mixture.astype(np.float32)
    double = single.astype(np.float64)
    rough, fine = bench.run(single), bench.run(double)
    power = float(np.square(double).mean())
    for name in fine:
        noise = float(np.square(rough[name] - fine[name]).mean())
        snr = 10 * math.log10(power / noise) if noise else math.inf
        _require(snr >= bench.precision_snr, f"{name!r} in single precision: {snr:.1f} dB")


def _leaves_everything_untouched(bench: Bench) -> None:
    mixture = bench.mixture.copy()  # writable, so that a change would succeed
    before = hashlib.sha256(mixture.tobytes()).digest()
    state = _global_state()
    sources = bench.run(mixture)
    _require(hashlib.sha256(mixture.tobytes()).digest() == before, "the mixture was changed")
    _require(state == _global_state(), "a random generator, error state or warning filter was changed")
    for name, source in sources.items():
        _require(not np.shares_memory(source, mixture), f"{name!r} is a view of the mixture")


def _global_state() -> tuple[Any, ...]:
    legacy = np.random.get_state()  # noqa: NPY002 - the point is that it has not moved
    return (
        pickle.dumps(legacy),
        random.getstate(),
        np.geterr(),
        list(warnings.filters),
        _parallel.get_num_threads(),
    )


def _is_reproducible(bench: Bench) -> None:
    sources = bench.run(bench.mixture)
    _require(_same_bytes(sources, bench.run(bench.mixture)), "twice the same gave other bytes")
    long = bench.audio(10 * bench.mixture.shape[1], "float32")  # enough for every kernel to be cut up
    with _parallel.num_threads(1):
        alone = bench.run(long)
    for n_threads in (2, 3):
        with _parallel.num_threads(n_threads):
            _require(_same_bytes(alone, bench.run(long)), f"{n_threads} threads gave other bytes")
    with ThreadPoolExecutor(4) as pool:
        for shared in pool.map(bench.run, [bench.mixture] * 4):
            _require(_same_bytes(sources, shared), "shared by four callers, it gave other bytes")


def _takes_any_layout(bench: Bench) -> None:
    mixture = bench.audio(6000, "float32")
    expected = bench.run(mixture)
    every_second = np.zeros((mixture.shape[0], 12000), np.float32)[:, ::2]
    every_second[:] = mixture
    backwards = np.ascontiguousarray(mixture[::-1, ::-1])[::-1, ::-1]
    subclass = type("Subclass", (np.ndarray,), {})
    layouts = {
        "an array subclass": mixture.view(subclass),
        "Fortran order": np.asfortranarray(mixture),
        "every second sample": every_second,
        "negative strides": backwards,
        "big-endian": mixture.astype(">f4"),
        "nested lists": mixture.tolist(),
    }
    # Numbers in lists are in double precision: what that changes is the matter of another clause.
    double = bench.run(mixture.astype(np.float64))
    for what, view in layouts.items():
        given, wanted = bench.run(view), double if what == "nested lists" else expected
        for name in wanted:
            error = float(np.abs(given[name] - wanted[name]).max())
            _require(error <= 1e-5 * float(np.abs(mixture).max()), f"{what}: {name!r} differs by {error:.1e}")


def _takes_pcm(bench: Bench) -> None:
    pcm = np.rint(bench.audio(6000) * 20000).astype(np.int16)
    scaled = pcm / np.float32(2**15)
    _require_lawful(bench.run(pcm), scaled, "16-bit PCM")
    _require_lawful(bench.run(pcm.astype(np.int32) << 16), scaled.astype(np.float64), "32-bit PCM")
    unsigned = (pcm // 256 + 128).astype(np.uint8)
    _require_lawful(bench.run(unsigned), (unsigned - np.float32(128)) / np.float32(128), "8-bit PCM")
    half = scaled.astype(np.float16)
    _require_lawful(bench.run(half), half.astype(np.float32), "half precision")


def _refuses_what_is_not_audio(bench: Bench) -> None:
    good = bench.audio(4000, "float32")
    with_nan, with_inf = good.copy(), good.copy()
    with_nan[0, 100], with_inf[-1, 7] = np.nan, -np.inf
    bad: dict[str, Any] = {
        "NaN": with_nan,
        "infinity": with_inf,
        "no samples": good[:, :0],
        "no channels": good[:0],
        "no axis": np.float32(1.0),
        "three axes": good[None],
        "samples first": np.zeros((500, 2), np.float32),
        "complex numbers": good.astype(np.complex64),
        "booleans": good > 0,
        "64-bit integers": good.astype(np.int64),
        "text": "mixture.wav",
        "nothing": None,
        "ragged lists": [[0.0, 1.0], [0.0]],
    }
    if 1 not in bench.channels:
        bad["mono"] = good[0]
    for what, mixture in bad.items():
        _require_refused(what, "mixture", partial(bench.run, mixture))
    for rate in (0, -1, math.nan, math.inf, "44100", None, True):
        _require_refused(
            f"a rate of {rate!r}",
            "sample_rate",
            partial(bench.separator.separate, good, rate),  # type: ignore[arg-type]
        )


def _require_refused(what: str, argument: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except InputError as error:
        _require(error.name == argument, f"{what}: the error names {error.name!r}, not {argument!r}")
    except Exception as error:
        raise ContractError(f"{what}: raised {type(error).__name__} instead of InputError") from error
    else:
        raise ContractError(f"{what}: was accepted")


def _learns_a_model(bench: Bench) -> None:
    sources = bench.run(bench.mixture)
    if not isinstance(sources.model, MaskModel) or not isinstance(bench.separator, SpectralSeparator):
        return
    spectrogram = bench.separator.stft.forward(bench.mixture, bench.sample_rate)
    masks = sources.model.masks(spectrogram)
    _require(tuple(masks) == sources.names, f"its masks are {tuple(masks)}")
    for name, mask in masks.items():
        _require(bool(((mask >= 0) & (mask <= 1 + 1e-12)).all()), f"the mask of {name!r} leaves [0, 1]")
    error = float(np.abs(sum(masks.values()) - 1).max())
    _require(error <= 1e-12, f"the masks sum to one but for {error:.1e}")
    if _registry.is_registered(type(sources.model)):
        with tempfile.TemporaryDirectory() as folder:
            sources.model.save(Path(folder, "model.npz"))
            stored = load_model(Path(folder, "model.npz"))
        again = cast("MaskModel", stored).masks(spectrogram)
        same = all(np.array_equal(again[name], masks[name]) for name in masks)
        _require(same, "a stored model gives other masks")


def _reports_progress(bench: Bench) -> None:
    seen: list[Progress] = []
    reported = bench.run(bench.mixture, callback=seen.append)
    _require(bool(seen), "the callback was never called")
    _require(all(isinstance(progress, Progress) for progress in seen), "the callback got something else")
    _require(_same_bytes(reported, bench.run(bench.mixture)), "with a callback the result differs")

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    try:
        bench.run(bench.mixture, callback=interrupt)
    except KeyboardInterrupt:
        return
    raise ContractError("an interrupt raised in the callback was swallowed")


CLAUSES: dict[str, Callable[[Bench], None]] = {
    "is a value": _is_a_value,
    "can be stored": _can_be_stored,
    "names its sources": _names_its_sources,
    "keeps the sum": _keeps_the_sum,
    "takes any length": _takes_any_length,
    "copes with odd signals": _copes_with_odd_signals,
    "maps silence to silence": _maps_silence_to_silence,
    "scales": _scales,
    "agrees across precisions": _agrees_across_precisions,
    "leaves everything untouched": _leaves_everything_untouched,
    "is reproducible": _is_reproducible,
    "takes any layout": _takes_any_layout,
    "takes PCM": _takes_pcm,
    "refuses what is not audio": _refuses_what_is_not_audio,
    "streams what it separates": streams_what_it_separates,
    "learns a model": _learns_a_model,
    "reports progress": _reports_progress,
}
