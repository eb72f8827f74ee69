"""What the updates of factorisations need of a spectrogram, on the device.

**Routes.** In single precision, with at most 64 components, terms come from a kernel that never writes the
model (`_fused_terms`). Everything else is composed: products by cuBLAS, and one pass over the model that
makes all terms of it and sums the divergence. Double precision is composed, since cuBLAS has units for it
that our kernel would leave idle. So are more components: then products outweigh what is moved, and their sums
no longer fit into registers. Where beta is 2, callers need products alone: `product` and
`product_with_transposed` are those of `generic`, that is, cuBLAS.

**What bounds it**, estimated, not measured: for F bins, T frames and K components in single precision, a
half-update reads 4 F T bytes and makes 2 F T K fused multiply-adds, half as many again for the sums of
denominators (beta other than 1). With 1025 x 26000 and 32 components these are 107 MB and 1.7e9: some 0.03 ms
of what an H100 can move, and 0.05 ms of what it can compute; arithmetic bounds it from some 20 components on.
Composed, the model and the terms are written and read as well: at least 530 MB, some 0.16 ms.

**Shape.** A block owns 128 frames, or bins, with as many threads (64 where shared memory has no room for the
factor of 128). It uses 24 to 46 kB of shared memory and 120 to 255 registers a thread, of which two to four
blocks fit on a multiprocessor. The other side is cut so that there are some 1500 blocks, whatever the device:
the order of sums, and so every byte, depends on shapes alone. Where bins are 2**n + 1, the last one of them
makes a block in which one warp works and the others only load. A warp reads values of 4 frames in runs of 32
bins, or of 8 in runs of 16.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from dspsep import _backend
from dspsep._typing import Array, Namespace
from dspsep.kernels import generic
from dspsep.kernels._composed import composed
from dspsep.kernels.generic import product, product_with_transposed
from dspsep.kernels.gpu._arrays import contiguous, empty
from dspsep.kernels.gpu._fused_terms import ADD_PARTS, N_OTHER, fused_source, n_own
from dspsep.kernels.gpu._launch import REAL, blocks, launch
from dspsep.kernels.gpu._terms import DIVERGENCES, TERMS, divergence_of

__all__ = ["activation_terms", "divergence_terms", "template_terms"]

# With more, sums of 8 frames leave no registers for anything else.
_MOST_COMPONENTS = 64
# About how many blocks there are, and the least that one takes of the other side, to be worth its start.
_N_BLOCKS, _LEAST_TILES = 1536, 4
# The most blocks of what is done value by value: each of 256 threads, and each has a sum of its own.
_MOST_BLOCKS = 4096


def divergence_terms(
    values: Array, model: Array, floor: float, beta: float, with_loss: bool
) -> tuple[Array, Array | None, Array]:
    """See `dspsep.kernels.Kernels.divergence_terms`."""
    if values.dtype != model.dtype or values.shape != model.shape or values.dtype.name not in REAL:
        return generic.divergence_terms(values, model, floor, beta, with_loss)
    xp = _backend.namespace(values, model)
    values, model = contiguous(values), contiguous(model)
    numerator = xp.empty_like(values)
    denominator = None if beta == 1 else xp.empty_like(values)
    n = values.shape[0] * values.shape[1]
    n_blocks = min(blocks(n, 256), _MOST_BLOCKS)
    losses = empty((n_blocks if with_loss else 0,), xp.float64, values)
    real = values.dtype.type
    plain = empty((0,), values.dtype, values) if denominator is None else denominator
    scalars = real(floor), real(beta), real(beta - 1), np.int32(with_loss), np.int64(n)
    source = _source(values.dtype.name, beta)
    launch(source, "terms", (n_blocks,), (256,), values, model, numerator, plain, losses, *scalars)
    return numerator, denominator, _loss(xp, losses, values)


@cache
def _source(dtype: str, beta: float) -> str:
    single = dtype == "float32"
    divergence = DIVERGENCES[divergence_of(beta)]
    source = (
        f"#define HAS_PLAIN {int(beta != 1)}\ntypedef {REAL[dtype]} real;\n"
        + divergence
        + TERMS.replace("REAL", REAL[dtype])
    )
    return source.replace("LOG", "logf" if single else "log").replace("POW", "powf" if single else "pow")


_COMPOSED = composed(product, product_with_transposed, divergence_terms)


def activation_terms(
    values: Array, templates: Array, activations: Array, floor: float, beta: float
) -> tuple[Array, Array | None]:
    """See `dspsep.kernels.Kernels.activation_terms`."""
    if not _are_fused(values, templates, activations):
        return _COMPOSED.activation_terms(values, templates, activations, floor, beta)
    sums = _summed(_parts(values, templates, activations, floor, beta, by_frames=True))
    return sums.numerator, sums.denominator


def template_terms(
    values: Array, templates: Array, activations: Array, floor: float, beta: float, with_loss: bool
) -> tuple[Array, Array | None, Array]:
    """See `dspsep.kernels.Kernels.template_terms`."""
    if not _are_fused(values, templates, activations):
        return _COMPOSED.template_terms(values, templates, activations, floor, beta, with_loss)
    numerator, denominator, loss = _summed(
        _parts(values, templates, activations, floor, beta, by_frames=False)
    )
    if not with_loss:
        loss = _backend.namespace(loss).zeros_like(loss)
    return numerator, denominator, loss


def _are_fused(*arrays: Array) -> bool:
    """Tell whether terms of values, templates and activations come from one kernel."""
    single = all(array.dtype.name == "float32" for array in arrays)
    return single and arrays[1].shape[0] <= _MOST_COMPONENTS


class _Parts(NamedTuple):
    """Sums of parts of the other side, (1 or 2, n_parts, *shape of the factor), and losses of all blocks."""

    sums: Array
    losses: Array


class _Sums(NamedTuple):
    """Those of all of them; a loss without meaning, if there were none."""

    numerator: Array
    denominator: Array | None
    loss: Array


def _parts(
    values: Array,
    templates: Array,
    activations: Array,
    floor: float,
    beta: float,
    *,
    by_frames: bool,
) -> _Parts:
    xp = _backend.namespace(values, templates, activations)
    arrays = [contiguous(array) for array in (values, templates, activations)]
    n_components = templates.shape[0]
    filled = 8 * blocks(n_components, 8)
    n_frames, n_freqs = values.shape
    n_rows = blocks(n_frames if by_frames else n_freqs, n_own(filled))
    n_tiles, n_parts = _split(n_rows, n_freqs if by_frames else n_frames)
    shape = (1 if beta == 1 else 2, n_parts, *(activations if by_frames else templates).shape)
    sums = empty(shape, xp.float32, values)
    losses = empty((0 if by_frames else n_rows * n_parts,), xp.float64, values)
    launch(
        fused_source(filled, by_frames, divergence_of(beta)),
        "terms",
        (n_rows, n_parts),
        (n_own(filled),),
        *(*arrays, sums, losses),
        *(np.float32(floor), np.float32(beta), np.float32(beta - 1)),
        *(np.int32(n_components), np.int32(n_tiles), np.int64(n_frames), np.int64(n_freqs)),
    )
    return _Parts(sums, losses)


def _split(n_rows: int, n_other: int) -> tuple[int, int]:
    """Return how many tiles of the other side a block takes, and into how many parts that cuts it."""
    n_all = blocks(n_other, N_OTHER)
    n_tiles = max(_LEAST_TILES, blocks(n_all, max(1, _N_BLOCKS // n_rows)))
    return n_tiles, blocks(n_all, n_tiles)


def _summed(parts: _Parts) -> _Sums:
    xp = _backend.namespace(parts.sums)
    n_sums, n_parts, *shape = parts.sums.shape
    n, n_losses = shape[0] * shape[1], parts.losses.shape[0]
    sums = xp.empty_like(parts.sums[:, 0, ...])
    loss = empty((), xp.float64, sums)
    if n_parts > 1 or n_losses:
        arrays = parts.sums, sums, parts.losses, loss
        numbers = np.int64(n), np.int32(n_parts), np.int32(n_losses)
        launch(ADD_PARTS, "add_parts", (blocks(n, 256) + 1, n_sums), (256,), *arrays, *numbers)
    else:
        sums = parts.sums[:, 0, ...]
    return _Sums(sums[0, ...], sums[1, ...] if n_sums == 2 else None, loss)


def _loss(xp: Namespace, losses: Array, like: Array) -> Array:
    """Return the sum of the losses of all blocks, in their order; that of none is 0."""
    n_losses = losses.shape[0]
    if n_losses == 0:
        return xp.zeros((), dtype=xp.float64, device=like.device)  # type: ignore[no-any-return]
    loss, none = empty((), xp.float64, like), empty((0,), xp.float32, like)
    numbers = np.int64(0), np.int32(0), np.int32(n_losses)
    launch(ADD_PARTS, "add_parts", (1, 1), (256,), none, none, losses, loss, *numbers)
    return loss
