"""HPSS from samples to samples in tiles that stay in the cache, for `dspsep.separators.hpss.median`.

A tile of `TILE` frames is transformed; its magnitudes are filtered along frequency as they lie, frames in
lanes, and go to a ring of rows, frames in rows. Once the ring reaches far enough ahead, a tile further back
is filtered along time, and its masks, its inverse transforms and its part of the output are made:

    samples ─ window, FFT ─▶ spectra (ring) ─ |.| ─▶ magnitudes ─ median over bins ─▶ percussive (ring)
                                                         │
                                                         ▼
                              magnitudes, frames in rows (ring) ─ median over frames ─▶ harmonic
    spectra × mask(harmonic, percussive) ─ inverse FFT, window, overlap-add ─▶ source ─ ÷ weight ─▶ samples

So what is in use at a time is about a megabyte for each channel, whatever the length of the audio; and the
same steps serve audio that comes in blocks. Since a frame depends on nothing but the frames around it, and
frames are added in their order, what comes out is the same wherever the work begins and is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined, kernel, readonly
from dspsep.kernels.cpu.masks import soft_mask_of_any_power
from dspsep.kernels.simd._fft import (
    complex_fft,
    has_fft,
    inverse_window,
    to_half_masked,
    to_spectrum,
    twiddles,
)
from dspsep.kernels.simd._selection import medians, selection
from dspsep.kernels.simd._vectors import (
    LANES,
    load,
    load_rows,
    maximum,
    splat,
    square_root,
    store,
    store_rows,
    transpose,
    where_less,
)
from dspsep.kernels.simd.medians import LONGEST, mirrored, outputs_at_once
from dspsep.kernels.simd.transforms import add_frames, padded, read_frames

__all__ = [
    "ENDLESS",
    "TILE",
    "Audio",
    "Extent",
    "Memory",
    "Output",
    "Plan",
    "advance",
    "can_fuse",
    "lag",
    "memory_for",
    "padded",
    "plan_for",
]

#: Frames per step.
TILE = 16
#: The number of frames, or of samples, as long as it is not known.
ENDLESS = 2**60


class Plan(NamedTuple):
    """What does not change while a mixture is taken apart."""

    n_fft: int
    hop_length: int
    n_sources: int
    window: Array
    inverse_window: Array
    factors: Array
    half: Array
    # The medians: length, outputs at once, address and table of the network.
    frames: int
    frames_at_once: int
    over_time: int
    time_table: Array
    bins_at_once: int
    over_frequency: int
    frequency_table: Array
    frequency_places: Array
    # The masks.
    hard: bool
    power: float
    margins: Array
    tie: float
    smallest: float


class Memory(NamedTuple):
    """What is known of one channel between two steps, and room to work in."""

    spectra: Array
    percussive: Array
    magnitudes: Array
    totals: Array
    # Room to work in.
    z: Array
    y: Array
    tile: Array
    harmonic: Array
    mask: Array
    places: Array


def can_fuse(n_fft: int, hop_length: int, harmonic_frames: int, percussive_bins: int) -> bool:
    """Tell whether these settings can be worked on here."""
    return has_fft(n_fft) and hop_length <= n_fft and max(harmonic_frames, percussive_bins) <= LONGEST


def plan_for(
    window: Array, hop_length: int, harmonic_frames: int, percussive_bins: int, n_sources: int, *,
    hard: bool, power: float, margins: tuple[float, float], tie: float,
) -> Plan:  # fmt: skip
    """Return the plan for settings that can be fused; `window` decides precision."""
    dtype, n_fft = window.dtype, window.size
    real = dtype.type
    time = selection(harmonic_frames, str(dtype), TILE)
    frequency = selection(percussive_bins, str(dtype), outputs_at_once(percussive_bins))
    factors, half = twiddles(n_fft, str(dtype))
    n_freqs, side = n_fft // 2 + 1, percussive_bins // 2
    padded = _rounded_up(n_freqs, frequency.n_outputs)
    return Plan(
        n_fft=n_fft, hop_length=hop_length, n_sources=n_sources, window=window,
        inverse_window=inverse_window(window), factors=factors, half=half, frames=harmonic_frames,
        frames_at_once=time.n_outputs, over_time=time.address, time_table=time.table,
        bins_at_once=frequency.n_outputs, over_frequency=frequency.address, frequency_table=frequency.table,
        frequency_places=mirrored(-side, padded + side, n_freqs) * LANES,
        hard=hard, power=real(power), margins=np.array(margins, dtype), tie=real(tie),
        smallest=np.finfo(dtype).tiny,
    )  # fmt: skip


def lag(harmonic_frames: int) -> int:
    """Return how many tiles the output is behind."""
    return -(-(harmonic_frames // 2) // TILE)


def memory_for(plan: Plan) -> Memory:
    """Return the memory of a channel of which nothing is known yet: silence."""
    dtype, n_freqs = plan.window.dtype, plan.n_fft // 2 + 1
    kept = (lag(plan.frames) + 1) * TILE
    pitch = _rounded_up(n_freqs, LANES)
    return Memory(
        spectra=np.zeros(kept * 2 * n_freqs, dtype),
        percussive=np.zeros(kept * _rounded_up(n_freqs, plan.bins_at_once), dtype),
        # The mirrored end of the audio may be up to a tile further back than the oldest output's own frames.
        magnitudes=np.zeros(2 * kept * pitch, dtype),
        totals=np.zeros((plan.n_sources - 1) * (TILE * plan.hop_length + plan.n_fft), dtype),
        z=np.empty(plan.n_fft * LANES, dtype),
        y=np.empty(plan.n_fft * LANES, dtype),
        tile=np.zeros(pitch * LANES, dtype),
        harmonic=np.empty(TILE * pitch, dtype),
        mask=np.empty(n_freqs * LANES, dtype),
        places=np.empty(TILE + plan.frames, np.int64),
    )


def _rounded_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


class Audio(NamedTuple):
    """Samples of one channel from some place of the mixture on; before and after that there are others."""

    samples: Array
    origin: int


class Output(NamedTuple):
    """Where to write a channel of the sources, from `origin` on: i at ``values[place + i * pitch]``."""

    values: Array
    place: int
    pitch: int
    origin: int


class Extent(NamedTuple):
    """How long the mixture is, or `ENDLESS`, and the weights of its hops: `Overlap.reciprocals`."""

    n_frames: int
    n_samples: int
    weights: Array


def advance(
    plan: Plan,
    memory: Memory,
    begin: int,
    end: int,
    ahead: Audio,
    behind: Audio,
    extent: Extent,
    output: Output,
) -> None:
    """Transform tiles `begin` to `end` and write the sources of those that are `lag` tiles further back.

    `ahead` holds all samples that frames of these tiles reach, zeros where there are none; `behind` holds the
    samples that are written, of which the last source gets what the others leave.
    """
    ahead, behind = (Audio(readonly(audio.samples), audio.origin) for audio in (ahead, behind))
    _advance(plan, memory, begin, end, ahead, behind, extent, output)


@kernel
def _advance(
    plan: Plan,
    memory: Memory,
    begin: int,
    end: int,
    ahead: Audio,
    behind: Audio,
    extent: Extent,
    output: Output,
) -> None:
    n_kept = (plan.frames // 2 + TILE - 1) // TILE + 1
    for tile in range(begin, end):
        if tile * TILE < extent.n_frames:
            place = tile * TILE * plan.hop_length - plan.n_fft // 2 - ahead.origin
            _analyse(plan, memory, n_kept, tile, extent.n_frames, ahead.samples, place)
        done = tile - n_kept + 1
        if done >= 0:
            if done * TILE < extent.n_frames:
                _synthesise(plan, memory, n_kept, done, extent.n_frames)
            _give(plan, memory.totals, done, behind, extent, output)


@inlined
def _analyse(plan: Plan, memory: Memory, n_kept: int, tile: int, n_frames: int, x: Array, place: int) -> None:
    """Transform a tile that begins at ``x[place]``; keep spectra, magnitudes and their medians."""
    n, n_freqs = plan.n_fft // 2, plan.n_fft // 2 + 1
    size, pitch = 2 * n_freqs * LANES, memory.tile.size // LANES
    n_tiles = -(-n_freqs // plan.bins_at_once)
    rows = memory.magnitudes.size // pitch
    for part in range(TILE // LANES):
        frame = tile * TILE + part * LANES
        if frame >= n_frames:
            break
        slot = tile % n_kept * (TILE // LANES) + part
        read_frames(x, place + part * LANES * plan.hop_length, plan.hop_length, plan.window, memory.z)
        spectrum = memory.spectra[slot * size : (slot + 1) * size]
        to_spectrum(complex_fft(memory.z, memory.y, plan.factors, n), plan.half, n, spectrum)
        for k in range(n_freqs):
            re, im = load(spectrum, 2 * k * LANES), load(spectrum, (2 * k + 1) * LANES)
            store(memory.tile, k * LANES, square_root(re * re + im * im))
        steps = (0, plan.bins_at_once, plan.bins_at_once * LANES)
        target = slot * n_tiles * plan.bins_at_once * LANES
        medians(
            plan.over_frequency, plan.frequency_table, memory.tile, 0, plan.frequency_places, 0,
            memory.percussive, target, LANES, n_tiles, steps,
        )  # fmt: skip
        row = frame % rows * pitch
        for column in range(0, pitch, LANES):
            block = transpose(load_rows(memory.tile, column * LANES, LANES))
            store_rows(memory.magnitudes, row + column, pitch, block)


@inlined
def _synthesise(plan: Plan, memory: Memory, n_kept: int, tile: int, n_frames: int) -> None:
    """Add the frames of a tile, masked, to the totals of all sources but the last."""
    n, n_freqs = plan.n_fft // 2, plan.n_fft // 2 + 1
    size, pitch = 2 * n_freqs * LANES, memory.tile.size // LANES
    width = -(-n_freqs // plan.bins_at_once) * plan.bins_at_once * LANES
    length = TILE * plan.hop_length + plan.n_fft
    _harmonic_rows(plan, memory, tile, n_frames, pitch)
    for part in range(TILE // LANES):
        n_valid = min(LANES, n_frames - tile * TILE - part * LANES)
        if n_valid <= 0:
            break
        slot = tile % n_kept * (TILE // LANES) + part
        spectrum = memory.spectra[slot * size : (slot + 1) * size]
        percussive = memory.percussive[slot * width : slot * width + n_freqs * LANES]
        for column in range(0, pitch, LANES):
            block = transpose(load_rows(memory.harmonic, part * LANES * pitch + column, pitch))
            store_rows(memory.tile, column * LANES, LANES, block)
        harmonic = memory.tile[: n_freqs * LANES]
        for source in range(plan.n_sources - 1):
            if source == 0:
                _mask(plan, harmonic, percussive, plan.margins[0], memory.mask)
            else:
                _mask(plan, percussive, harmonic, plan.margins[1], memory.mask)
            to_half_masked(spectrum, memory.mask, plan.half, n, memory.z)
            time = complex_fft(memory.z, memory.y, plan.factors, n)
            start = source * length + part * LANES * plan.hop_length
            add_frames(time, plan.inverse_window, 0, n_valid, plan.hop_length, memory.totals, start)


@inlined
def _harmonic_rows(plan: Plan, memory: Memory, tile: int, n_frames: int, pitch: int) -> None:
    """Filter a tile along time, frames in rows; at its ends the audio is mirrored, the edge repeated."""
    rows = memory.magnitudes.size // pitch
    for element in range(TILE + plan.frames - 1):
        folded = (tile * TILE - plan.frames // 2 + element) % (2 * n_frames)
        frame = folded if folded < n_frames else 2 * n_frames - 1 - folded
        memory.places[element] = frame % rows * pitch
    for first in range(0, TILE, plan.frames_at_once):
        medians(
            plan.over_time, plan.time_table, memory.magnitudes, 0, memory.places, first,
            memory.harmonic, first * pitch, pitch, pitch // LANES, (LANES, 0, LANES),
        )  # fmt: skip


@inlined
def _mask(plan: Plan, values: Array, rival: Array, margin: float, mask: Array) -> None:
    """Write the mask of `values` against ``rival * margin``; see `Kernels.soft_mask`."""
    factor, tie, smallest = splat(margin), splat(plan.tie), splat(plan.smallest)
    if plan.hard:
        zero = smallest - smallest
        one = smallest / smallest
        for i in range(0, mask.size, LANES):
            store(mask, i, where_less(load(rival, i) * factor, load(values, i), one, zero))
    elif plan.power == 1:
        for i in range(0, mask.size, LANES):
            own, other = load(values, i), load(rival, i) * factor
            share = own / (own + other)
            store(mask, i, where_less(maximum(own, other), smallest, tie, share))
    elif plan.power == 2:
        for i in range(0, mask.size, LANES):
            own, other = load(values, i), load(rival, i) * factor
            # A magnitude is the root of a number, so its square does not overflow, nor vanish. If that of a
            # rival overflows with its margin, the share is zero, as it should be.
            share = own * own / (own * own + other * other)
            store(mask, i, where_less(maximum(own, other), smallest, tie, share))
    else:
        soft_mask_of_any_power(values, rival, margin, plan.power, plan.tie, plan.smallest, mask)


@inlined
def _give(plan: Plan, totals: Array, tile: int, mixture: Audio, extent: Extent, output: Output) -> None:
    """Write the samples that no later frame reaches, and move the totals on."""
    hop_length, n_others = plan.hop_length, plan.n_sources - 1
    length = TILE * hop_length + plan.n_fft
    n_blocks = (plan.n_fft + hop_length - 1) // hop_length
    for hop in range(TILE):
        number = tile * TILE + hop
        sample = number * hop_length - plan.n_fft // 2
        first, last = max(0, -sample, output.origin - sample), min(hop_length, extent.n_samples - sample)
        if first >= last:
            continue
        row = number
        if number >= n_blocks - 1:
            row = n_blocks - 1 if number < extent.n_frames else n_blocks + number - extent.n_frames
        weight = extent.weights[row * hop_length + first : row * hop_length + last]
        place = output.place + sample + first - output.origin
        remainder = output.values[place + n_others * output.pitch :][: last - first]
        whole = mixture.samples[sample + first - mixture.origin :][: last - first]
        for i in range(last - first):
            remainder[i] = whole[i]
        for source in range(n_others):
            total = totals[source * length + hop * hop_length + first :][: last - first]
            target = output.values[place + source * output.pitch :][: last - first]
            for i in range(last - first):
                value = total[i] * weight[i]
                target[i] = value
                remainder[i] -= value
    for source in range(n_others):
        total = totals[source * length : (source + 1) * length]
        for i in range(plan.n_fft):
            total[i] = total[TILE * hop_length + i]
        for i in range(plan.n_fft, length):
            total[i] = 0
