"""From a spectrogram to demixing matrices, whatever finds them: checks, lost sources, silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.separators._names import numbered
from dspsep.separators.iva._updates import Found
from dspsep.separators.iva._whitening import Whitened, whiten

__all__ = ["Demixed", "checked_matrices", "checked_spectra", "demixed"]

# Rows of matrices to begin with are no larger than this, or smaller than its inverse, in whitened spectra.
_MOST = 2.0**50
# Matrices with singular values below this, of rows of about one, have no useful inverse.
_SINGULAR = 1e-13


@dataclass(frozen=True, kw_only=True, eq=False)
class Demixed:
    """What was found, for all bins and microphones; see `DemixingModel`."""

    demixing: Array
    mixing: Array
    losses: tuple[float, ...]
    templates: Array | None = None
    activations: Array | None = None


def checked_spectra(X: object) -> Array:
    """Return a spectrogram (n_channels, n_freqs, n_frames), complex and finite, of at least two channels."""
    values = _backend.as_array("X", X)
    xp = _backend.namespace(values)
    if values.dtype not in (xp.complex64, xp.complex128):
        raise InputError("X", "a complex spectrogram", f"dtype {values.dtype}")
    if values.ndim != 3 or 0 in values.shape or values.shape[0] < 2:
        requirement = "of shape (n_channels, n_freqs, n_frames) with at least two channels"
        raise InputError("X", requirement, f"shape {tuple(values.shape)}")
    if not bool(_backend.to_host(xp.all(xp.isfinite(values)))):
        raise InputError("X", "finite", "NaN or infinite numbers")
    return values


def checked_matrices(name: str, value: object, shape: tuple[int | None, ...]) -> Array:
    """Return finite complex matrices of a shape; None stands for any length."""
    values = _backend.as_array(name, value)
    xp = _backend.namespace(values)
    fits = values.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, values.shape, strict=True)
    )
    if not fits or not xp.isdtype(values.dtype, ("real floating", "complex floating")):
        wanted = tuple("any" if length is None else length for length in shape)
        raise InputError(name, f"of shape {wanted}", f"shape {tuple(values.shape)} of {values.dtype}")
    if not bool(_backend.to_host(xp.all(xp.isfinite(values)))):
        raise InputError(name, "finite", "NaN or infinite numbers")
    return xp.astype(values, xp.complex128)  # type: ignore[no-any-return]


def demixed(
    X: Array,
    n_sources: int,
    learn: Callable[[Whitened, Array], Found],
    *,
    demixing: Array | None = None,
    stacklevel: int = 4,
) -> Demixed:
    """Return what `learn` makes of checked spectra, and of the matrices W~ to begin with.

    Those are of the given `demixing` (n_freqs, n_sources, n_channels), or make the first microphones the
    sources. Sources that are lost for want of rank have zeros in the end.
    """
    data = whiten(X)
    if data is None:
        return _of_silence(X, n_sources)
    rank = min(n_sources, data.n_channels)
    if rank < n_sources:
        warn(
            "W_RANK",
            f"the channels hold {rank} independent signals where {n_sources} sources are looked for: "
            f"{', '.join(numbered(n_sources)[rank:])} will be silent.",
            stacklevel=stacklevel,
        )
    W = data.start(rank) if demixing is None else _given(data, demixing[:, :rank, :])
    found = learn(data, W)
    templates, activations = found.templates, found.activations
    if templates is not None and activations is not None:
        templates = _widened(data.of_all_bins(templates), n_sources, 0)
        activations = _widened(data.of_all_frames(activations), n_sources, 0)
    return Demixed(
        demixing=_widened(data.back(found.demixing), n_sources, 1),
        mixing=_widened(data.mixing(found.demixing), n_sources, 2),
        losses=found.losses,
        templates=templates,
        activations=activations,
    )


def _given(data: Whitened, demixing: Array) -> Array:
    """Return the W~ of given matrices; refuse those whose outputs are zero, or one and the same."""
    W = _backend.to_host(data.into(demixing))
    largest = np.max(np.abs(W), axis=2, keepdims=True)
    there = (largest > 1 / _MOST) & (largest < _MOST)
    rows = np.where(there, W / np.where(there, largest, 1), 0)
    values = np.linalg.svd(rows, compute_uv=False)
    if not np.all(values[:, -1] > _SINGULAR):
        raise InputError("demixing", "of independent rows, in the scale of X", "a singular matrix")
    return _backend.asarray_like(W, data.factor)


def _of_silence(X: Array, n_sources: int) -> Demixed:
    n_channels, n_freqs, _ = X.shape
    identity = np.zeros((n_freqs, n_channels, n_channels), np.complex128)
    identity[:] = np.eye(n_channels)
    rows, columns = identity[:, :n_sources], identity[:, :, :n_sources]
    return Demixed(
        demixing=_backend.asarray_like(np.ascontiguousarray(rows), X),
        mixing=_backend.asarray_like(np.ascontiguousarray(columns), X),
        losses=(),
    )


def _widened(values: Array, n_sources: int, axis: int) -> Array:
    """Return an array with zeros for the sources that were lost."""
    xp = _backend.namespace(values)
    shape = list(values.shape)
    shape[axis] = n_sources - shape[axis]
    if not shape[axis]:
        return values
    zeros = xp.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return xp.concat([values, zeros], axis=axis)  # type: ignore[no-any-return]
