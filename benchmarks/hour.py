"""REPET-SIM of long mixtures: ``python -m benchmarks.hour`` tells what five, fifteen and sixty minutes take.

An hour of stereo has 155 000 frames, whose matrix of similarities would take 96 GB, and 5e13 operations: a
quarter of an hour or more. It is therefore in no suite, and nothing is kept. Each length has a process of its
own, as in `benchmarks.memory`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.child import measure_in_a_child
from benchmarks.figures import digits, megabytes, seconds, table
from benchmarks.suites import find_comparison
from benchmarks.suites.repetition import HOUR, long_music

__all__ = ["main"]

_LENGTHS = (300.0, 900.0, 3600.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hour", description=__doc__)
    parser.add_argument("lengths", nargs="*", type=float, default=_LENGTHS, help="seconds of audio")
    parser.add_argument("--threads", type=int, default=1, help="of every library (default 1)")
    options = parser.parse_args(arguments)
    name = find_comparison(HOUR).contenders[0].name
    rows = []
    for length in options.lengths:
        alone = measure_in_a_child(HOUR, name, seconds=length, threads=options.threads)
        rows.append([f"{length:g} s", *_cells(length, alone)])
        print(" | ".join(rows[-1]), flush=True)
    print("\n".join(table(["audio", "CPU time", "on the wall", "10^9 op/s", "peak beyond sources"], rows)))
    return 0


def _cells(length: float, alone: dict[str, float]) -> list[str]:
    """Return times, what the products alone come to, and what is held beside the mixture and two sources."""
    from dspsep import STFT

    source = long_music(1.0)
    n_channels, n_samples = source.samples.shape[0], round(length * source.sample_rate)
    stft = STFT(2048, 1024, "hamming")
    operations = 2 * stft.n_freqs * stft.n_frames(n_samples) ** 2
    n_bytes = 2 * n_channels * n_samples * source.samples.itemsize
    return [
        seconds(alone["cpu"]),
        seconds(alone["wall"]),
        digits(operations / alone["cpu"] / 1e9),
        megabytes(alone["peak_bytes"] - n_bytes),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
