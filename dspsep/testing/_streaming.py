"""The clause on streams: in blocks, a separator gives what it gives for the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.streaming import Stream
from dspsep.testing._bench import Bench, ContractError

__all__ = ["streams_what_it_separates"]


def streams_what_it_separates(bench: Bench) -> None:
    """Check the stream of a separator that says it has one, and that there is none of another."""
    n_channels = bench.channels[-1]
    start = partial(bench.separator.stream, bench.sample_rate, n_channels)
    if not bench.separator.streams(bench.sample_rate):
        try:
            start()
        except InputError:
            return
        raise ContractError("it streams, and says that it does not")
    # Long enough for the stream to come into its steady state and go on for a while. What says of no sample
    # how far it looks answers after its latency.
    latency = start().latency_samples
    reach = bench.separator.reach(bench.sample_rate)
    depth = latency if reach is None else reach.samples
    long = bench.audio(2 * latency + 3 * depth + 1, "float32")
    _compare(bench, start(), long, _blocks(long, (10_007,)), "in blocks")
    _compare(bench, start(), long, [long], "in one block")
    short = long[:, : 2 * depth + 77]
    _compare(bench, start(), short, _blocks(short, (1, 0, 640, 3, 5000, 17)), "in odd blocks")
    double = short.astype(np.float64)
    _compare(bench, start(), double, _blocks(double, (4096,)), "in double precision")
    silent = np.zeros_like(short)
    _compare(bench, start(), silent, _blocks(silent, (4096,)), "of silence")
    if 1 in bench.channels:
        mono = bench.audio(short.shape[1], "float32", 1)[0]
        _compare(bench, bench.separator.stream(bench.sample_rate), mono, _blocks(mono, (999,)), "of mono")


def _blocks(audio: Array, sizes: Iterable[int]) -> Iterator[Array]:
    """Cut audio into blocks of these sizes, in turn."""
    begin, sizes = 0, tuple(sizes)
    while begin < audio.shape[-1]:
        for size in sizes:
            yield audio[..., begin : begin + size]
            begin += size


def _compare(bench: Bench, stream: Stream, audio: Array, blocks: Iterable[Array], what: str) -> None:
    expected = bench.run_quietly(audio)
    parts: dict[str, list[Array]] = {name: [] for name in expected}
    n_in = n_out = 0
    for block in blocks:
        n_in += block.shape[-1]
        for name, part in stream.push(block).items():
            parts[name].append(part)
        n_out = sum(part.shape[-1] for part in parts[expected.names[0]])
        if n_in - n_out > stream.latency_samples:
            raise ContractError(f"{what}: {n_in - n_out} samples behind, {stream.latency_samples} promised")
    for name, part in stream.flush().items():
        parts[name].append(part)
    peak = float(np.abs(audio).max())
    tolerance = 1e-6 if audio.dtype == np.float32 else 1e-12
    for name, source in expected.items():
        whole = np.concatenate(parts[name], axis=-1)
        if whole.shape != source.shape or whole.dtype != source.dtype:
            raise ContractError(f"{what}: {name!r} is {whole.shape} of {whole.dtype}, not {source.shape}")
        error = float(np.abs(whole - source).max())
        if not error <= tolerance * peak:
            raise ContractError(f"{what}: {name!r} is off by {error / (peak or 1):.1e} of the peak")
