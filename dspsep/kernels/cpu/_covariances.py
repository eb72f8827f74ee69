"""Weighted covariances of split spectra, with frames in lanes: parts of kernels.

Sums over frames are in the precision of the spectra, some hundred frames at a time, and those of the pieces
in double precision.
"""

from __future__ import annotations

from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined

__all__ = ["FRAMES", "accumulate", "blocks", "finish", "noise_of", "power_of"]

# Bins of a job, and frames of a piece.
_BINS = 256
FRAMES = 512


def blocks(n_freqs: int) -> list[slice]:
    return [slice(start, min(start + _BINS, n_freqs)) for start in range(0, n_freqs, _BINS)]


@inlined
def accumulate(x: Array, weights: Array, total: Array) -> None:
    """Add the weighted sums of products of channels x (n_channels, 2, n_frames) to lower triangles."""
    n_channels, _, n_frames = x.shape
    n_sources = weights.shape[0]
    zero = x.dtype.type(0)
    # Pieces of rows are runs of memory to the compiler, and loops that begin at 0 become vectors. Two
    # sources at a time share their products, which stay in registers.
    for start in range(0, n_frames, FRAMES):
        stop = min(start + FRAMES, n_frames)
        for a in range(n_channels):
            left, left_turned = x[a, 0, start:stop], x[a, 1, start:stop]
            for b in range(a + 1):
                right, right_turned = x[b, 0, start:stop], x[b, 1, start:stop]
                for k in range(0, n_sources, 2):
                    other = min(k + 1, n_sources - 1)
                    weight, second = weights[k, start:stop], weights[other, start:stop]
                    real, imaginary, real_second, imaginary_second = zero, zero, zero, zero
                    if a == b:
                        for t in range(weight.size):
                            product = left[t] * left[t] + left_turned[t] * left_turned[t]
                            real += weight[t] * product
                            real_second += second[t] * product
                    else:
                        for t in range(weight.size):
                            product = left[t] * right[t] + left_turned[t] * right_turned[t]
                            turned = left_turned[t] * right[t] - left[t] * right_turned[t]
                            real += weight[t] * product
                            imaginary += weight[t] * turned
                            real_second += second[t] * product
                            imaginary_second += second[t] * turned
                    total[k, a, b] += complex(real, imaginary)
                    if other > k:
                        total[other, a, b] += complex(real_second, imaginary_second)


@inlined
def finish(weights: Array, ridge: float, total: Array) -> None:
    """Make means of the sums in lower triangles, add what noise adds, and mirror them."""
    n_frames = weights.shape[1]
    for k in range(total.shape[0]):
        weight, noise = weights[k], 0.0
        for start in range(0, n_frames, FRAMES):
            piece = weight[start : min(start + FRAMES, n_frames)]
            part = weights.dtype.type(0)
            for t in range(piece.size):
                part += piece[t]
            noise += part
        noise *= ridge / n_frames
        # Complex numbers are divided by real ones as if these were complex; products are quicker.
        per_frame = 1 / n_frames
        for a in range(total.shape[1]):
            for b in range(a + 1):
                mean = total[k, a, b] * per_frame
                total[k, a, b] = mean
                total[k, b, a] = mean.conjugate()
            total[k, a, a] += noise


@inlined
def noise_of(row: Array, ridge: float) -> float:
    """Return the power of noise of so much power in an output."""
    size = 0.0
    for c in range(row.size):
        size += row[c].real ** 2 + row[c].imag ** 2
    return ridge * size


@inlined
def power_of(x: Array, row: Array, y: Array, power: Array) -> None:  # noqa: C901 - loops over a few channels
    """Write |y|**2 of y = row x, for channels x (n_channels, 2, n_frames): two channels at a time."""
    n_channels, _, n = x.shape
    real_of = x.dtype.type
    y_real, y_imaginary = y[0], y[1]
    for c in range(0, n_channels, 2):
        other = min(c + 1, n_channels - 1)
        a, b = real_of(row[c].real), real_of(row[c].imag)
        d, e = real_of(row[other].real), real_of(row[other].imag)
        if other == c:
            d, e = real_of(0), real_of(0)
        real, imaginary, second, second_imaginary = x[c, 0], x[c, 1], x[other, 0], x[other, 1]
        if n_channels <= 2:
            for t in range(n):
                u = a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
                v = a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
                power[t] = u * u + v * v
        elif c == 0:
            for t in range(n):
                y_real[t] = a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
            for t in range(n):
                y_imaginary[t] = a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
        elif c + 2 < n_channels:
            for t in range(n):
                y_real[t] += a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
            for t in range(n):
                y_imaginary[t] += a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
        else:
            for t in range(n):
                u = y_real[t] + a * real[t] - b * imaginary[t] + d * second[t] - e * second_imaginary[t]
                v = y_imaginary[t] + a * imaginary[t] + b * real[t] + d * second_imaginary[t] + e * second[t]
                power[t] = u * u + v * v
