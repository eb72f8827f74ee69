"""Signals for BSS Eval that are the same bits on every machine, and real ones cut from the data folder.

Nothing here depends on a mathematical library: the noise is PCG64's raw stream, whose bits NumPy keeps from
version to version; tones are parabolas of an integer phase; filters are short sums of integers. All is int64
until one exact division by a power of two. ``oracles/bss_eval.json`` holds what other people's code says of
these signals, and the SHA-256 of each case, which a test compares.

Groups
------
plain
    Broadband references with a noise floor: the Gram matrix of 512 delays, scaled to a unit diagonal, has a
    condition number below 1e6, so two solvers agree to many digits.
limited
    Low-passed references, and references panned by amplitudes only: from nearly to exactly singular. Where
    they are low-passed without rounding, two solvers agree on the SDR of images and on little else.
silent
    References or estimates that are silent for whole windows, or only seem so in the sum of their channels.
real
    The first seconds of the recordings in the data folder, with estimates made from their references.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tests.cases import manifest, real_case

#: Sources, channels, sample rate and seconds of each plain case.
PLAIN = (
    (1, 1, 8000, 2.0),
    (2, 1, 16000, 3.0),
    (2, 2, 8000, 4.0),
    (3, 1, 11025, 3.0),
    (1, 2, 16000, 2.5),
    (2, 2, 12000, 3.0),
    (4, 1, 8000, 3.0),
    (2, 1, 8000, 5.0),
    (3, 2, 8000, 3.0),
    (2, 2, 16000, 2.0),
    (3, 1, 16000, 2.0),
    (2, 1, 11025, 4.0),
    (1, 2, 8000, 3.0),
    (2, 2, 11025, 3.5),
    (4, 1, 12000, 2.0),
    (2, 2, 8000, 5.0),
    (3, 1, 8000, 4.0),
    (4, 2, 8000, 2.5),
    (2, 1, 16000, 4.0),
    (2, 2, 16000, 4.0),
)
NAMES = {
    "plain": tuple(f"plain_{i:02d}" for i in range(len(PLAIN))),
    "limited": (
        "limited_mono_rounded",
        "limited_mono_exact",
        "limited_stereo_rounded",
        "limited_stereo_exact",
        "limited_panned",
        "limited_panned_three",
    ),
    "silent": (
        "silent_reference",
        "silent_estimate",
        "silent_both",
        "silent_sum_of_channels",
        "silent_channel",
    ),
}
#: Colours of noise, as integer filters of unequal slope; none has a zero on the unit circle.
COLOURS = ((8, 3, 1), (8, -3, 1), (4, 3, 2, 1), (8, 0, -4, 0, 2), (6, -1, 2), (2, 1, 1))
REAL_SECONDS = 6.0
#: How many channels a real case keeps, where all of them would make the peers' matrices too large.
REAL_CHANNELS = {"c_sim_3x3_rt150": 2, "c_sim_4x4_rt150": 2, "c_sim_4x4_rt350": 2}


@dataclass(frozen=True, eq=False)
class BssCase:
    """True and estimated sources, (n_sources, n_channels, n_samples) float64, and the framing to try."""

    name: str
    references: np.ndarray
    estimates: np.ndarray
    sample_rate: int

    @property
    def window(self) -> int:
        """Return the length of a window in samples: one second."""
        return self.sample_rate

    @property
    def digest(self) -> str:
        """Return the SHA-256 of shapes and samples, as little-endian doubles."""
        total = hashlib.sha256(repr((self.references.shape, self.sample_rate)).encode())
        for signal in (self.references, self.estimates):
            total.update(np.ascontiguousarray(signal, dtype="<f8").tobytes())
        return total.hexdigest()


def real_names() -> tuple[str, ...]:
    """Return the recordings that are there; empty without the data folder."""
    return tuple(sorted(manifest()))


@lru_cache(maxsize=4)
def bss_case(name: str) -> BssCase:
    """Return a case by its name."""
    group = name.split("_", maxsplit=1)[0]
    if group == "plain":
        return _plain(int(name[-2:]))
    if group == "limited":
        return _limited(name)
    return _silent(name) if group == "silent" else _real(name)


def uniform(seed: int, n: int) -> np.ndarray:
    """Return n integers from -32768 to 32767 of PCG64's raw stream, as int64."""
    raw = np.random.PCG64(seed).random_raw(-(-n // 4))
    parts = (raw[:, None] >> np.array([0, 16, 32, 48], dtype=np.uint64)) & np.uint64(0xFFFF)
    return parts.reshape(-1)[:n].astype(np.int64) - 32768


def coloured(seed: int, n: int) -> np.ndarray:
    """Return noise of one of six colours, below 2**19."""
    return _filtered(uniform(seed, n), COLOURS[seed % len(COLOURS)])


def modulated(seed: int, n: int) -> np.ndarray:
    """Return coloured noise under an envelope that goes up and down some times, over a floor at -24 dB."""
    period = n // (3 + seed % 3)
    ramp = np.abs(np.arange(n) % period * 512 // period - 256)
    return (coloured(seed, n) * (ramp + 16)) >> 8


def tones(seed: int, n: int) -> np.ndarray:
    """Return three partials that decay and are struck again, over white noise at about -30 dB."""
    k = np.arange(n)
    period = n // (4 + seed % 5)
    decay = (period - k % period) * 256 // period
    total = np.zeros(n, dtype=np.int64)
    for partial in range(1, 4):
        phase = (k * (partial * (1900 + 613 * (seed % 7))) & 0xFFFF) - 32768
        total += (phase * (32768 - np.abs(phase)) >> 13) // partial
    return (total * decay * decay >> 16) + (uniform(seed, n) >> 3)


KINDS = (coloured, tones, modulated)


def _filtered(x: np.ndarray, taps: tuple[int, ...]) -> np.ndarray:
    """Return the causal convolution at x's length, exactly."""
    return sum(h * _delayed(x, k) for k, h in enumerate(taps) if h)


def _delayed(x: np.ndarray, k: int) -> np.ndarray:
    """Return x delayed by k samples at its own length; advanced where k is negative."""
    out = np.zeros_like(x)
    out[..., max(k, 0) : x.shape[-1] + min(k, 0)] = x[..., max(-k, 0) : x.shape[-1] - max(k, 0)]
    return out


def _shifted(x: np.ndarray, bits: int) -> np.ndarray:
    """Return x times a power of two, rounded down."""
    return x << bits if bits >= 0 else x >> -bits


def _bits(x: np.ndarray) -> int:
    """Return how many bits the largest magnitude has."""
    return int(np.max(np.abs(x))).bit_length()


def _references(seed: int, n_sources: int, n_channels: int, n: int) -> np.ndarray:
    """Return sources of several kinds, up to 18 dB apart, with channels that are correlated but not equal."""
    out = np.zeros((n_sources, n_channels, n), dtype=np.int64)
    for j in range(n_sources):
        kind = KINDS[(seed + j) % 3]
        own = 100 * seed + 10 * j
        shared = kind(own, n)
        for c in range(n_channels):
            # What is common to the channels comes later in the second, and is 12 dB above what is not.
            out[j, c] = _delayed(shared, 3 * c) + (kind(own + 1 + c, n) >> 2) if n_channels > 1 else shared
        out[j] = _shifted(out[j], 18 - (seed + 3 * j) % 4 - _bits(out[j]))
    return out


def _estimates(seed: int, references: np.ndarray, *, shuffled: bool) -> np.ndarray:
    """Return 64 times: filtered references, leaks, and noise. The better, the larger ``seed % 7``."""
    quality = seed % 7
    n_sources, n_channels, n = references.shape
    out = np.zeros_like(references)
    for j in range(n_sources):
        taps = (64, 0, -(32 >> quality), 16 >> quality) + (0,) * (4 * quality) + (8 >> (quality // 2),)
        out[j] = _filtered(references[j], taps)
        for i in range(n_sources):
            if i != j:
                # Two or one samples early as well: out of reach of causal filters
                out[j] += _delayed(references[i], (5 * i + j) % 11 - 2) * ((40 + 8 * i) >> quality)
        for c in range(n_channels):
            noise = uniform(100 * seed + 10 * j + 5 + c, n)
            out[j, c] += _shifted(noise, _bits(references[j]) - 15 + 6 - 3 - quality)
    return np.roll(out, 1, axis=0) if shuffled else out


def _finished(name: str, references: np.ndarray, estimates: np.ndarray, rate: int) -> BssCase:
    """Divide integers by powers of two, which is exact below 2**53."""
    assert max(np.max(np.abs(references)), np.max(np.abs(estimates))) < 2**53
    scale = 2.0 ** -_bits(references)
    return BssCase(name, references * scale, estimates * (scale / 64), rate)


def _plain(index: int) -> BssCase:
    n_sources, n_channels, rate, seconds = PLAIN[index]
    references = _references(index, n_sources, n_channels, round(rate * seconds))
    estimates = _estimates(index, references, shuffled=index % 3 == 1)
    return _finished(f"plain_{index:02d}", references, estimates, rate)


def _low_passed(x: np.ndarray, n_boxes: int) -> np.ndarray:
    """Return x after moving sums of 4, one after the other: 2 bits more and 13 dB less by each."""
    for _ in range(n_boxes):
        x = _filtered(x, (1, 1, 1, 1))
    return x


def _limited(name: str) -> BssCase:
    seed = 40 + NAMES["limited"].index(name)
    rate, n = 16000, 48000
    if "panned" in name:
        n_sources = 3 if "three" in name else 2
        gains = np.array([[4, 1], [2, 3], [1, 4]])[:n_sources, :, None]
        references = _references(seed, n_sources, 1, n) * gains
    else:
        n_boxes = 12 if "stereo" in name else 10
        references = _low_passed(_references(seed, 2, 2 if "stereo" in name else 1, n), n_boxes)
        if "rounded" in name:
            # to about 16 bits, like a file
            shift = _bits(references) - 15
            references = (references + (1 << (shift - 1))) >> shift
    return _finished(name, references, _estimates(seed, references, shuffled=False), rate)


def _silent(name: str) -> BssCase:
    seed = 60 + NAMES["silent"].index(name)
    rate = 8000
    n_channels = 2 if "channel" in name else 1
    references = _references(seed, 2, n_channels, 5 * rate + 1000)
    second, fourth = slice(rate, 2 * rate), slice(3 * rate, 4 * rate)
    if name in {"silent_reference", "silent_both"}:
        references[1, :, second] = 0
    if name == "silent_sum_of_channels":
        references[0, 1, second] = -references[0, 0, second]
    if name == "silent_channel":
        references[1, 1] = 0
    estimates = _estimates(seed, references, shuffled=False)
    if name in {"silent_estimate", "silent_both"}:
        estimates[0, :, fourth] = 0
    return _finished(name, references, estimates, rate)


def _real(name: str) -> BssCase:
    """Return the first seconds of a recording, and estimates by sums that double precision has exactly."""
    recording = real_case(name)
    n_channels = REAL_CHANNELS.get(name, 64)
    n = round(REAL_SECONDS * recording.sample_rate)
    start = _first_sound(list(recording.references.values()), n)
    cut = np.s_[:n_channels, start : start + n]
    references = np.stack([s[cut].astype(np.float64) for s in recording.references.values()])
    mixture = recording.mixture[: references.shape[1], start : start + n].astype(np.float64)
    seed = sum(name.encode())
    estimates = np.zeros_like(references)
    for j in range(len(references)):
        # Both delays are needed: causal filters reach what is late, and not what is early.
        estimates[j] = 0.75 * references[j] + 0.1875 * _delayed(mixture, 3)
        estimates[j] += 0.125 * _delayed(references[(j + 1) % len(references)], -2)
        peak = np.frexp(np.max(np.abs(references[j])))[1]
        for c in range(references.shape[1]):
            noise = uniform(100 * seed + 10 * j + c, references.shape[2])
            estimates[j, c] += noise * 2.0 ** (float(peak) - 15 - 6)
    return BssCase(name, references, estimates, recording.sample_rate)


def _first_sound(references: list[np.ndarray], n: int) -> int:
    """Return the first whole second from which every reference sounds within n samples."""
    second = round(n / REAL_SECONDS)
    total = references[0].shape[1]
    for start in range(0, max(total - n, 0) + 1, second):
        if all(np.any(s[:, start : start + n]) for s in references):
            return start
    return 0
