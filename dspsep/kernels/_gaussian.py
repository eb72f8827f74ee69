"""Sources that are Gaussian in every bin, as array-API expressions: a part of `generic`.

A source j has the covariance v_j[t, f] R_j[f] between its channels, and the mixture

    K = sum_j v_j R_j + noise I.

Matrices are lists of rows of arrays (n_frames, n): nothing is solved one bin at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from dspsep import _backend
from dspsep._typing import Array, Namespace

__all__ = ["gaussian_estimates", "gaussian_model", "gaussian_step"]

# Bins that are worked on at a time: an array of them in double precision and complex is 2 MiB.
_BINS = 2**17
# Pivots are no smaller than this part of the diagonal, which only rounding could make them.
_ROUNDING = 2.0**-50
# Less than this in double precision has no inverse to count on.
_NOTHING = 1e-290

_Matrix: TypeAlias = list[list[Array]]
_Vector: TypeAlias = list[Array]


def gaussian_model(spectra: Array, gain: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_model`."""
    xp = _backend.namespace(spectra)
    n_channels = spectra.shape[0]
    precision = xp.float32 if spectra.dtype == xp.complex64 else xp.float64
    largest = xp.asarray(xp.finfo(precision).max, dtype=xp.float64, device=spectra.device)
    powers, places = [], []
    for part in _parts(spectra):
        y = _in_double(xp, spectra, part, gain)
        v = sum(_squared(xp, channel) for channel in y[1:]) + _squared(xp, y[0])
        v = v / n_channels
        # The largest number rather than infinity, of which NumPy would warn: `LocalGaussian` mends either.
        powers.append(xp.astype(xp.minimum(v, largest), precision))
        rows = [[xp.sum(one * xp.conj(two), axis=0) for two in y] for one in y]
        places.append(_scaled(xp, rows, xp.sum(v, axis=0)))
    return xp.concat(powers, axis=1), xp.concat(places, axis=0)


def gaussian_step(
    spectra: Array, v: Array, R: Array, gain: float, noise: float, posterior: bool, with_loss: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.gaussian_step`."""
    xp = _backend.namespace(spectra, v, R)
    found_v: Array = xp.empty_like(v)
    places = []
    loss: Array = xp.zeros((), dtype=xp.float64, device=spectra.device)
    for part in _parts(spectra):
        x = _in_double(xp, spectra, part, gain)
        powers = [xp.astype(v[j, :, part], xp.float64) for j in range(v.shape[0])]
        R_part = R[:, part, :, :]
        factor, pivots = _factored(xp, _mixture(powers, R_part, noise))
        z = _solved(xp, factor, pivots, x)
        if with_loss:
            likelihood = sum(xp.real(xp.conj(x[c]) * z[c]) + xp.log(pivots[c]) for c in range(len(x)))
            loss = loss + xp.sum(likelihood)
        sources = []
        for j, power in enumerate(powers):
            where = _entries(R_part, j)
            if posterior:
                new, place = _posterior(xp, power, where, factor, pivots, z)
            else:
                new, place = _estimated(xp, power, where, z)
            sources.append(place)
            found_v[j, :, part] = xp.astype(new, v.dtype)
        places.append(xp.stack(sources))
    return found_v, xp.concat(places, axis=1), loss


def gaussian_estimates(spectra: Array, v: Array, R: Array, noise: float, source: int | None) -> Array:
    """See `dspsep.kernels.Kernels.gaussian_estimates`."""
    xp = _backend.namespace(spectra, v, R)
    n_sources = v.shape[0]
    wanted = range(n_sources) if source is None else (source,)
    parts = []
    for part in _parts(spectra):
        x = _in_double(xp, spectra, part, 1.0)
        powers = [xp.astype(v[j, :, part], xp.float64) for j in range(n_sources)]
        level = sum(powers[1:], start=powers[0])
        R_part = R[:, part, :, :]
        z = _solved(xp, *_factored(xp, _mixture(powers, R_part, noise)), x)
        heard = level > _NOTHING
        level = xp.where(heard, level, xp.ones_like(level))
        found: list[_Vector] = []
        for j in wanted:
            # What is left is noise z: the sources share it as they share the power.
            share = powers[j] / level * noise
            y = [
                powers[j] * row + share * z_c
                for row, z_c in zip(_times(_entries(R_part, j), z), z, strict=True)
            ]
            found.append([xp.where(heard, y_c, x_c / n_sources) for y_c, x_c in zip(y, x, strict=True)])
        if source is None:
            # The rest, so that the sum is exact but for rounding however near to singular a matrix is.
            found[-1] = [
                x_c - sum((y[c] for y in found[:-1]), start=xp.zeros_like(x_c)) for c, x_c in enumerate(x)
            ]
        parts.append(xp.astype(xp.stack([xp.stack(y) for y in found]), spectra.dtype))
    return xp.concat(parts, axis=3)  # type: ignore[no-any-return]


def _estimated(xp: Namespace, v: Array, R: _Matrix, z: _Vector) -> tuple[Array, Array]:
    """Return the power and the place of an estimate."""
    y = [v * row for row in _times(R, z)]
    new = sum((_squared(xp, channel) for channel in y[1:]), start=_squared(xp, y[0])) / len(y)
    rows = [[xp.sum(one * xp.conj(two), axis=0) for two in y] for one in y]
    return new, _scaled(xp, rows, xp.sum(new, axis=0))


def _posterior(
    xp: Namespace, v: Array, R: _Matrix, factor: _Matrix, pivots: _Vector, z: _Vector
) -> tuple[Array, Array]:
    """Return what maximises the expected likelihood of a source: first its power, and then its place.

    The source is y give or take the covariance v R - v R K^-1 R v. With R^-1 written out, nothing that is
    singular has to be inverted:

        tr(R^-1 C) = C v + v^2 (z^H R z - tr(K^-1 R)).
    """
    n = len(z)
    along = _times(R, z)
    columns = [_solved(xp, factor, pivots, [xp.zeros_like(z[0]) + R[row][c] for row in range(n)])
               for c in range(n)]  # fmt: skip
    energy = sum(xp.real(xp.conj(z[c]) * along[c]) for c in range(n))
    spread = sum(xp.real(columns[c][c]) for c in range(n))
    new = xp.maximum(v + v * v * (energy - spread) / n, _ROUNDING * v)
    heard = new > _NOTHING
    ratio = xp.where(heard, v / xp.where(heard, new, xp.ones_like(new)), xp.ones_like(v))
    count = xp.sum(ratio, axis=0)
    rows = []
    for one in range(n):
        row = []
        for two in range(n):
            # R K^-1 R, by the columns of K^-1 R.
            inner = sum(R[one][c] * columns[two][c] for c in range(n))
            change = ratio * v * (along[one] * xp.conj(along[two]) - inner)
            row.append((R[one][two] * count + xp.sum(change, axis=0)) / v.shape[0])
        rows.append(row)
    return new, _stacked(xp, rows)


def _mixture(powers: _Vector, R: Array, noise: float) -> _Matrix:
    """Return the lower half of K."""
    n = R.shape[2]
    K: _Matrix = []
    for row in range(n):
        K.append([])
        for column in range(row + 1):
            total = powers[0] * R[0, :, row, column]
            for j in range(1, len(powers)):
                total = total + powers[j] * R[j, :, row, column]
            K[row].append(total + noise if row == column else total)
    return K


def _factored(xp: Namespace, K: _Matrix) -> tuple[_Matrix, _Vector]:
    """Return L and D of K = L D L^H, ones on the diagonal of L left out."""
    L: _Matrix = [[] for _ in K]
    D: _Vector = []
    for j in range(len(K)):
        diagonal = xp.real(K[j][j])
        pivot = diagonal
        for i in range(j):
            pivot = pivot - _squared(xp, L[j][i]) * D[i]
        D.append(xp.maximum(pivot, _ROUNDING * diagonal))
        for k in range(j + 1, len(K)):
            total = K[k][j]
            for i in range(j):
                total = total - L[k][i] * xp.conj(L[j][i]) * D[i]
            L[k].append(total / D[j])
    return L, D


def _solved(xp: Namespace, L: _Matrix, D: _Vector, x: _Vector) -> _Vector:
    """Return K^-1 x."""
    z = list(x)
    for k in range(len(z)):
        for i in range(k):
            z[k] = z[k] - L[k][i] * z[i]
    for k in reversed(range(len(z))):
        z[k] = z[k] / D[k]
        for i in range(k + 1, len(z)):
            z[k] = z[k] - xp.conj(L[i][k]) * z[i]
    return z


def _times(R: _Matrix, z: _Vector) -> _Vector:
    return [
        sum((R[row][c] * z[c] for c in range(1, len(z))), start=R[row][0] * z[0]) for row in range(len(z))
    ]


def _scaled(xp: Namespace, rows: _Matrix, weight: Array) -> Array:
    """Return matrices (n, n_channels, n_channels) of sums over a sum of weights; 0 in silence."""
    heard = weight > _NOTHING
    per_weight = xp.where(heard, 1 / xp.where(heard, weight, xp.ones_like(weight)), xp.zeros_like(weight))
    return _stacked(xp, [[entry * per_weight for entry in row] for row in rows])


def _stacked(xp: Namespace, rows: _Matrix) -> Array:
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)  # type: ignore[no-any-return]


def _entries(R: Array, source: int) -> _Matrix:
    n = R.shape[2]
    return [[R[source, :, row, column] for column in range(n)] for row in range(n)]


def _squared(xp: Namespace, values: Array) -> Array:
    squared: Array = xp.real(values) ** 2 + xp.imag(values) ** 2
    return squared


def _in_double(xp: Namespace, spectra: Array, part: slice, gain: float) -> _Vector:
    return [xp.astype(spectra[c, :, part], xp.complex128) * gain for c in range(spectra.shape[0])]


def _parts(spectra: Array) -> Iterator[slice]:
    """Yield the frequencies of blocks: all frames of a frequency are summed together."""
    _, n_frames, n_freqs = spectra.shape
    size = max(1, _BINS // n_frames)
    for start in range(0, n_freqs, size):
        yield slice(start, min(start + size, n_freqs))
