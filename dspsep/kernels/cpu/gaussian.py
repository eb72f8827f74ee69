"""Sources that are Gaussian in every bin, in one or two channels.

Frequencies are lanes: a run of them is worked on for all frames, in double precision, and what is between the
steps of one frame lies in one short array whose rows are a fixed distance apart, so that the compiler can see
that they do not overlap. More than two channels run through `generic`, and so do posterior covariances.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from dspsep import _parallel
from dspsep._typing import Array
from dspsep.kernels import _gaussian
from dspsep.kernels.cpu._jit import inlined, kernel, readonly

__all__ = ["gaussian_estimates", "gaussian_model", "gaussian_step"]

# Frequencies per run at most, which is also the distance of rows. The longer, the less time goes to finding
# pages of memory, one for each frame and array; at powers of two rows would get into one another's way.
_RUN = 544
_NOTHING = 1e-290
_ROUNDING = 2.0**-50


def gaussian_model(spectra: Array, gain: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_model`."""
    n_channels, n_frames, n_freqs = spectra.shape
    if n_channels > 2:
        return _gaussian.gaussian_model(spectra, gain)
    Y = readonly(spectra)
    v = np.empty((n_frames, n_freqs), np.float32 if Y.dtype == np.complex64 else np.float64)
    R = np.empty((n_freqs, n_channels, n_channels), np.complex128)
    model = _model_of_one if n_channels == 1 else _model_of_two
    _parallel.run(model, [(Y, v, R, float(gain), *run) for run in _runs(n_freqs)])
    return v, R


def gaussian_step(
    spectra: Array, v: Array, R: Array, gain: float, noise: float, posterior: bool, with_loss: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_step`."""
    n_channels, _, n_freqs = spectra.shape
    if n_channels > 2 or posterior:
        return _gaussian.gaussian_step(spectra, v, R, gain, noise, posterior, with_loss)
    X, v, R = readonly(spectra), readonly(v), readonly(R)
    found_v, found = np.empty_like(v), np.empty(R.shape, np.complex128)
    runs = _runs(n_freqs)
    losses = np.zeros(len(runs))
    step = _step_of_one if n_channels == 1 else _step_of_two
    jobs = [
        (X, v, R, found_v, found, float(gain), float(noise), bool(with_loss), losses, number, *run)
        for number, run in enumerate(runs)
    ]
    _parallel.run(step, jobs)
    return found_v, found, np.asarray(losses.sum())


def gaussian_estimates(spectra: Array, v: Array, R: Array, noise: float, source: int | None) -> Array:
    """See `dspsep.kernels.Kernels.gaussian_estimates`."""
    n_channels, n_frames, n_freqs = spectra.shape
    if n_channels > 2:
        return _gaussian.gaussian_estimates(spectra, v, R, noise, source)
    X, v, R = readonly(spectra), readonly(v), readonly(R)
    n_sources = v.shape[0] if source is None else 1
    Y = np.empty((n_sources, n_channels, n_frames, n_freqs), X.dtype)
    wanted = -1 if source is None else source
    estimates = _estimates_of_one if n_channels == 1 else _estimates_of_two
    _parallel.run(estimates, [(X, v, R, Y, float(noise), wanted, *run) for run in _runs(n_freqs)])
    return Y


def _runs(n_freqs: int) -> list[tuple[int, int]]:
    """Return runs of nearly equal length."""
    n_runs = -(-n_freqs // _RUN)
    bounds = [n_freqs * number // n_runs for number in range(n_runs + 1)]
    return list(pairwise(bounds))


@inlined
def _entries_of_two(R: Array, start: int, stop: int) -> Array:
    """Return R00, R11 and the parts of R01 of every source as rows."""
    n_sources = R.shape[0]
    rows = np.zeros((n_sources, 4 * _RUN))
    for j in range(n_sources):
        for i in range(stop - start):
            rows[j, i] = R[j, start + i, 0, 0].real
            rows[j, i + _RUN] = R[j, start + i, 1, 1].real
            rows[j, i + 2 * _RUN] = R[j, start + i, 0, 1].real
            rows[j, i + 3 * _RUN] = R[j, start + i, 0, 1].imag
    return rows


@inlined
def _places_of_two(sums: Array, R: Array, start: int, stop: int) -> None:
    """Write covariances of a trace of two to R (n_freqs, 2, 2); 0 in silence."""
    for i in range(stop - start):
        weight = (sums[i] + sums[i + _RUN]) / 2
        scale = 1 / weight if weight > _NOTHING else 0.0
        across = complex(sums[i + 2 * _RUN] * scale, sums[i + 3 * _RUN] * scale)
        R[start + i, 0, 0] = sums[i] * scale
        R[start + i, 1, 1] = sums[i + _RUN] * scale
        R[start + i, 0, 1] = across
        R[start + i, 1, 0] = across.conjugate()


@kernel
def _model_of_two(Y: Array, v: Array, R: Array, gain: float, start: int, stop: int) -> None:
    n = stop - start
    sums = np.zeros(4 * _RUN)
    for t in range(v.shape[0]):
        y0, y1, row = Y[0, t, start:stop], Y[1, t, start:stop], v[t, start:stop]
        for i in range(n):
            a, b = gain * np.float64(y0[i].real), gain * np.float64(y0[i].imag)
            c, d = gain * np.float64(y1[i].real), gain * np.float64(y1[i].imag)
            e0, e1 = a * a + b * b, c * c + d * d
            row[i] = (e0 + e1) * 0.5
            sums[i] += e0
            sums[i + _RUN] += e1
            sums[i + 2 * _RUN] += a * c + b * d
            sums[i + 3 * _RUN] += b * c - a * d
    _places_of_two(sums, R, start, stop)


# The rows of what is between the steps: x (4), K00, K11 and the parts of K01, z (4), the level, y (4).
_X, _K, _Z, _LEVEL, _Y = 0, 4 * _RUN, 8 * _RUN, 12 * _RUN, 13 * _RUN
_ROWS = 17 * _RUN


@inlined
def _solve_two(
    X: Array, v: Array, rows: Array, work: Array, gain: float, noise: float, t: int, start: int, n: int
) -> None:
    """Write x, K, z = K^-1 x and the level of a run of a frame to `work`."""
    x0, x1 = X[0, t, start : start + n], X[1, t, start : start + n]
    for i in range(n):
        work[i + _X] = gain * np.float64(x0[i].real)
        work[i + _X + _RUN] = gain * np.float64(x0[i].imag)
        work[i + _X + 2 * _RUN] = gain * np.float64(x1[i].real)
        work[i + _X + 3 * _RUN] = gain * np.float64(x1[i].imag)
    for i in range(n):
        work[i + _K] = noise
        work[i + _K + _RUN] = noise
        work[i + _K + 2 * _RUN] = 0.0
        work[i + _K + 3 * _RUN] = 0.0
        work[i + _LEVEL] = 0.0
    for j in range(v.shape[0]):
        powers, place = v[j, t, start : start + n], rows[j]
        for i in range(n):
            power = np.float64(powers[i])
            work[i + _K] += power * place[i]
            work[i + _K + _RUN] += power * place[i + _RUN]
            work[i + _K + 2 * _RUN] += power * place[i + 2 * _RUN]
            work[i + _K + 3 * _RUN] += power * place[i + 3 * _RUN]
            work[i + _LEVEL] += power
    for i in range(n):
        a, d = work[i + _K], work[i + _K + _RUN]
        b, c = work[i + _K + 2 * _RUN], work[i + _K + 3 * _RUN]
        p, q = work[i + _X], work[i + _X + _RUN]
        r, s = work[i + _X + 2 * _RUN], work[i + _X + 3 * _RUN]
        # Cholesky without roots, from the first channel: K01 = b + i c.
        per_a = 1 / a
        pivot = max(d - (b * b + c * c) * per_a, _ROUNDING * d)
        e, g = b * per_a, c * per_a
        z1r = (r - (e * p + g * q)) / pivot
        z1i = (s - (e * q - g * p)) / pivot
        work[i + _Z] = p * per_a - (e * z1r - g * z1i)
        work[i + _Z + _RUN] = q * per_a - (e * z1i + g * z1r)
        work[i + _Z + 2 * _RUN] = z1r
        work[i + _Z + 3 * _RUN] = z1i


@kernel
def _step_of_two(
    X: Array, v: Array, R: Array, found_v: Array, found: Array, gain: float, noise: float,
    with_loss: bool, losses: Array, number: int, start: int, stop: int,
) -> None:  # fmt: skip
    n, n_sources = stop - start, v.shape[0]
    rows = _entries_of_two(R, start, stop)
    sums = np.zeros((n_sources, 4 * _RUN))
    work = np.zeros(_ROWS)
    loss = 0.0
    for t in range(X.shape[1]):
        _solve_two(X, v, rows, work, gain, noise, t, start, n)
        if with_loss:
            for i in range(n):
                a, d = work[i + _K], work[i + _K + _RUN]
                b, c = work[i + _K + 2 * _RUN], work[i + _K + 3 * _RUN]
                loss += math.log(a) + math.log(max(d - (b * b + c * c) / a, _ROUNDING * d))
                for k in range(4):
                    loss += work[i + _X + k * _RUN] * work[i + _Z + k * _RUN]
        for j in range(n_sources):
            powers, new = v[j, t, start:stop], found_v[j, t, start:stop]
            place, total = rows[j], sums[j]
            for i in range(n):
                power = np.float64(powers[i])
                r00, r11 = place[i], place[i + _RUN]
                b, c = place[i + 2 * _RUN], place[i + 3 * _RUN]
                p, q = work[i + _Z], work[i + _Z + _RUN]
                r, s = work[i + _Z + 2 * _RUN], work[i + _Z + 3 * _RUN]
                y0r, y0i = power * (r00 * p + b * r - c * s), power * (r00 * q + b * s + c * r)
                y1r, y1i = power * (b * p + c * q + r11 * r), power * (b * q - c * p + r11 * s)
                e0, e1 = y0r * y0r + y0i * y0i, y1r * y1r + y1i * y1i
                new[i] = (e0 + e1) * 0.5
                total[i] += e0
                total[i + _RUN] += e1
                total[i + 2 * _RUN] += y0r * y1r + y0i * y1i
                total[i + 3 * _RUN] += y0i * y1r - y0r * y1i
    for j in range(n_sources):
        _places_of_two(sums[j], found[j], start, stop)
    losses[number] = loss


@kernel
def _estimates_of_two(
    X: Array, v: Array, R: Array, Y: Array, noise: float, source: int, start: int, stop: int
) -> None:
    n, n_sources = stop - start, v.shape[0]
    rows = _entries_of_two(R, start, stop)
    work = np.zeros(_ROWS)
    one_of = 1 / n_sources
    begin, end = (0, n_sources - 1) if source < 0 else (source, source + 1)
    for t in range(X.shape[1]):
        _solve_two(X, v, rows, work, 1.0, noise, t, start, n)
        for i in range(n):
            level = work[i + _LEVEL]
            # What is left is noise z: the sources share it as they share the power.
            work[i + _K] = noise / max(level, _NOTHING)
            work[i + _K + _RUN] = 0.0 if level > _NOTHING else one_of
        for j in range(begin, end):
            powers, place = v[j, t, start:stop], rows[j]
            y0, y1 = Y[j - begin, 0, t, start:stop], Y[j - begin, 1, t, start:stop]
            for i in range(n):
                power = np.float64(powers[i])
                share, rest = work[i + _K], work[i + _K + _RUN]
                r00, r11 = place[i] + share, place[i + _RUN] + share
                b, c = place[i + 2 * _RUN], place[i + 3 * _RUN]
                p, q = work[i + _Z], work[i + _Z + _RUN]
                r, s = work[i + _Z + 2 * _RUN], work[i + _Z + 3 * _RUN]
                work[i + _Y] = power * (r00 * p + b * r - c * s) + rest * work[i + _X]
                work[i + _Y + _RUN] = power * (r00 * q + b * s + c * r) + rest * work[i + _X + _RUN]
                work[i + _Y + 2 * _RUN] = power * (b * p + c * q + r11 * r) + rest * work[i + _X + 2 * _RUN]
                work[i + _Y + 3 * _RUN] = power * (b * q - c * p + r11 * s) + rest * work[i + _X + 3 * _RUN]
            # Apart from the arithmetic: the compiler gives up where it has to watch so many arrays.
            for i in range(n):
                y0[i] = complex(work[i + _Y], work[i + _Y + _RUN])
            for i in range(n):
                y1[i] = complex(work[i + _Y + 2 * _RUN], work[i + _Y + 3 * _RUN])
        if source < 0:
            _subtract_others(X, Y, t, start, stop)


@inlined
def _subtract_others(X: Array, Y: Array, t: int, start: int, stop: int) -> None:
    """Make the last source the rest, so that the sum is exact however near to singular a matrix is."""
    last = Y.shape[0] - 1
    for c in range(X.shape[0]):
        rest, whole = Y[last, c, t, start:stop], X[c, t, start:stop]
        for i in range(stop - start):
            rest[i] = whole[i]
        for j in range(last):
            other = Y[j, c, t, start:stop]
            for i in range(stop - start):
                rest[i] -= other[i]


@kernel
def _model_of_one(Y: Array, v: Array, R: Array, gain: float, start: int, stop: int) -> None:
    heard = np.zeros(stop - start)
    for t in range(v.shape[0]):
        y, row = Y[0, t, start:stop], v[t, start:stop]
        for i in range(stop - start):
            a, b = gain * np.float64(y[i].real), gain * np.float64(y[i].imag)
            power = a * a + b * b
            row[i] = power
            heard[i] += power
    for i in range(stop - start):
        R[start + i, 0, 0] = 1.0 if heard[i] > _NOTHING else 0.0


@kernel
def _step_of_one(
    X: Array, v: Array, R: Array, found_v: Array, found: Array, gain: float, noise: float,
    with_loss: bool, losses: Array, number: int, start: int, stop: int,
) -> None:  # fmt: skip
    n_sources = v.shape[0]
    sums = np.zeros((n_sources, stop - start))
    loss = 0.0
    for t in range(X.shape[1]):
        for f in range(start, stop):
            total = noise
            for j in range(n_sources):
                total += np.float64(v[j, t, f]) * R[j, f, 0, 0].real
            a, b = gain * np.float64(X[0, t, f].real), gain * np.float64(X[0, t, f].imag)
            energy = a * a + b * b
            if with_loss:
                loss += math.log(total) + energy / total
            ratio = math.sqrt(energy) / total
            for j in range(n_sources):
                root = np.float64(v[j, t, f]) * R[j, f, 0, 0].real * ratio
                found_v[j, t, f] = root * root
                sums[j, f - start] += root * root
    for j in range(n_sources):
        for f in range(start, stop):
            found[j, f, 0, 0] = 1.0 if sums[j, f - start] > _NOTHING else 0.0
    losses[number] = loss


@kernel
def _estimates_of_one(
    X: Array, v: Array, R: Array, Y: Array, noise: float, source: int, start: int, stop: int
) -> None:
    n_sources = v.shape[0]
    begin, end = (0, n_sources - 1) if source < 0 else (source, source + 1)
    for t in range(X.shape[1]):
        for f in range(start, stop):
            total, level = noise, 0.0
            for j in range(n_sources):
                power = np.float64(v[j, t, f])
                total += power * R[j, f, 0, 0].real
                level += power
            p, q = np.float64(X[0, t, f].real), np.float64(X[0, t, f].imag)
            left_p, left_q = p, q
            for j in range(begin, end):
                part = 1 / n_sources
                if level > _NOTHING:
                    part = np.float64(v[j, t, f]) * (R[j, f, 0, 0].real + noise / level) / total
                Y[j - begin, 0, t, f] = complex(part * p, part * q)
                left_p -= part * p
                left_q -= part * q
            if source < 0:
                Y[n_sources - 1, 0, t, f] = complex(left_p, left_q)
