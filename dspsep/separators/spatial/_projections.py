"""What projections of a stereo bin look like, and which bins look alike: the data of `PROJET`.

A bin (L, R) of energy E = |L|^2 + |R|^2 is projected on b = (sin phi, -cos phi), which is silent for a source
at the angle phi, (cos phi, sin phi):

    |b . x|^2 = E / 2 (1 - r cos(psi - 2 phi)),
    r exp(i psi) = (|L|^2 - |R|^2 + 2i Re(L conj R)) / E,      1 - r^2 = (2 Im(L conj R) / E)^2

Beside its energy a bin is no more than a point of the unit disk, on the edge of which panned sources are, at
psi = 2 phi. Divergences of power V have d(k V | k S) = k^beta d(V | S), and are linear in V but for what S
does not change. So bins at one point are as good as one bin with the sum of their weights E^(alpha beta / 2):
a recording of any length is a histogram of the disk. Its cells are equal steps of psi and of sqrt(1 - r), in
which the projection that is silent is linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.spatial._projet import matrix
from dspsep.separators.spatial._stereo import energy_of

__all__ = [
    "MOST_ANGLES",
    "MOST_SOURCES",
    "N_CELLS",
    "angles",
    "cell_projections",
    "cells_of",
    "check_losses",
    "check_profiles",
    "directions",
    "looked_up",
    "projectors",
    "share_of_bins",
    "shares",
]

#: Half a degree of pan angle, and 1/31 of the way from the edge of the disk to its middle.
_N_TURNS, _N_DEPTHS = 360, 32
N_CELLS = _N_TURNS * _N_DEPTHS
MOST_SOURCES, MOST_ANGLES = 100, 1000

_Matrix = npt.NDArray[np.float64]


def angles(number: int, opposite: bool) -> _Matrix:
    """Return so many angles from left to right, and as many again for opposite phases."""
    if not opposite:
        return np.linspace(0, math.pi / 2, number)
    # The two ends are one line.
    return np.linspace(-math.pi / 2, math.pi / 2, 2 * number - 1)[1:]


def check_profiles(value: object, opposite: bool) -> None:
    """Refuse what is not how much of each source is at each of some angles: a model may come from a file."""
    profiles = matrix("profiles", value)
    shape = tuple(profiles.shape)
    if shape[1] > MOST_SOURCES or shape[0] > 2 * MOST_ANGLES:
        raise InputError("profiles", "of shape (n_angles, n_sources)", f"{shape}")
    if opposite and shape[0] % 2:
        raise InputError("profiles", "of an even number of angles", f"{shape[0]}")
    largest = _backend.scalar(_backend.namespace(profiles).max(profiles))
    if largest > 1 + 1e-6:
        raise InputError("profiles", "parts of the sources, from 0 to 1", f"{largest:g}")


def check_losses(losses: object) -> None:
    """Refuse what is no tuple of finite numbers."""
    if not isinstance(losses, tuple):
        raise InputError("losses", "a tuple of numbers", repr(losses)[:60])
    for loss in losses:
        _checks.number("losses", loss)


def directions(theta: _Matrix) -> _Matrix:
    """Return the gains (2, n) of sources at some angles."""
    return np.stack([np.cos(theta), np.sin(theta)])


def projectors(phi: _Matrix) -> _Matrix:
    """Return what is silent for sources at some angles, (n, 2)."""
    return np.stack([np.sin(phi), -np.cos(phi)], axis=1)


def cell_projections(phi: _Matrix, alpha: float) -> _Matrix:
    """Return |b . x|^alpha (N_CELLS, n) of bins of unit energy in the middle of each cell."""
    psi = 2 * math.pi * np.arange(_N_TURNS) / _N_TURNS
    r = 1 - (np.arange(_N_DEPTHS) / (_N_DEPTHS - 1)) ** 2
    # 1 - r cos = (1 - r) + 2 r sin^2 of the half: nothing cancels near the null.
    half = np.sin(psi[:, None, None] / 2 - phi) ** 2
    energy = (1 - r[:, None]) + 2 * r[:, None] * half
    return np.asarray((energy.reshape(N_CELLS, -1) / 2) ** (alpha / 2))


def cells_of(L: Array, R: Array) -> tuple[Array, Array]:
    """Return the cell of each bin, as integers, and its energy."""
    xp = _backend.namespace(L, R)
    left, right = energy_of(L), energy_of(R)
    energy = left + right
    heard = energy > 0
    divisor = xp.where(heard, energy, xp.ones_like(energy))
    cross = L * xp.conj(R)
    across, along = (left - right) / divisor, 2 * xp.real(cross) / divisor
    r = xp.sqrt(across * across + along * along)
    # sqrt(1 - r), from what 1 - r^2 is.
    depth = 2 * xp.abs(xp.imag(cross)) / divisor / xp.sqrt(1 + r)
    turn = xp.round(xp.atan2(along, across) * (_N_TURNS / (2 * math.pi)))
    place = xp.round(xp.clip(depth, 0, 1) * (_N_DEPTHS - 1))
    turn = xp.where(turn < 0, turn + _N_TURNS, turn)
    return xp.astype(turn * _N_DEPTHS + place, xp.int32), energy


def shares(parts: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the parts over their sum; equal ones where that is zero."""
    total = parts.sum(axis=0)
    for part in parts:
        yield np.divide(part, total, out=np.full_like(part, 1 / len(parts)), where=total > 0)


def share_of_bins(table: npt.NDArray[np.float64], L: Array, R: Array) -> Array:
    """Return the entry of each bin of two spectra."""
    return looked_up(table, L, R, cells_of(L, R)[0])


def looked_up(table: npt.NDArray[np.float64], L: Array, R: Array, cells: Array) -> Array:
    """Return the entry of each cell, in the precision of the spectra."""
    xp = _backend.namespace(L, R)
    real = "float32" if "64" in str(L.dtype) else "float64"
    values = _backend.asarray_like(table.astype(real), L)
    return xp.reshape(xp.take(values, xp.reshape(cells, (-1,))), cells.shape)  # type: ignore[no-any-return]
