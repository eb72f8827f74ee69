"""Convolutive factorisation of a spectrogram alone: the algorithm of `NMFD` as a function of arrays."""

from __future__ import annotations

import math
from typing import Any

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separators.nmf._convolutive import Task, solve
from dspsep.separators.nmf._core import Prepared, mask_of, prepare
from dspsep.separators.nmf._settings import check_divergence, check_iterations, matrix

__all__ = ["check_adaptation", "deconvolve", "frame_major", "nmfd", "paper_order", "patches"]


def nmfd(
    V: Array,
    W: Array,
    H: Array,
    *,
    beta: float = 1.0,
    n_iter: int = 60,
    tol: float = 0.0,
    adapt_after: int = 0,
    fixed_templates: Any = None,
    fixed_activations: Any = None,
    callback: Callback | None = None,
) -> tuple[Array, Array, tuple[float, ...]]:
    """Factorise a spectrogram into templates of several frames and their activations, from given ones.

    The algorithm of `NMFD` for those who have their own transform or their own start. With L frames a
    template, the model is

        sum over l = 0 … L - 1 and k of  W[f, k, l] H[k, t - l],        H[k, t] = 0 for t < 0

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames)
        Magnitudes or powers: finite, not negative. Not changed.
    W : array of shape (n_freqs, n_components, n_template_frames)
        The templates to begin with. Not changed.
    H : array of shape (n_components, n_frames)
        The activations to begin with. Not changed.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, 1 Kullback-Leibler, 0 Itakura-Saito.
    n_iter : int, default=60
        The most iterations.
    tol : float, default=0.0
        They end where ten of them lower the objective by less than this part of what it was at first; 0 makes
        all of them.
    adapt_after : int, default=0
        In so many iterations at the start only the activations are updated.
    fixed_templates : array of bool, optional
        What is never changed: components (n_components,), or entries of the shape of W.
    fixed_activations : array of bool, optional
        The same of activations: components (n_components,), or entries of the shape of H.
    callback : callable, optional
        Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_components, n_template_frames)
        The templates.
    H : array of shape (n_components, n_frames)
        The activations.
    losses : tuple of float
        The objective at the start and after each iteration; never rises.

    Raises
    ------
    InputError
        If an array or a setting cannot be used.

    See Also
    --------
    NMFD : From audio to audio.

    Notes
    -----
    In each iteration the templates are updated together, then the activations together. Smaragdis (2004)
    updates activations for one frame of the templates after the other and takes the mean, for which nothing
    is proved; here numerators and denominators are added up over the frames first.

    The model has ``2**-33`` of the mean of V added, except for beta 2; for beta <= 0 values of V below that
    are raised to it. Zeros stay zero: a template whose last frames are zero stays short. If V is all zeros,
    so are the activations, and the templates stay.

    Cost: O(n_iter n_freqs n_frames n_components n_template_frames). Peak memory beside V, W and H: one array
    of the size of V, and some five of n_frames x n_components x n_template_frames.

    References
    ----------
    P. Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources from
    monophonic inputs", Independent Component Analysis and Blind Signal Separation (ICA), 2004, pp. 494-499.
    doi:10.1007/978-3-540-30110-3_63

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import nmfd
    >>> V = np.full((8, 20), 1e-3)
    >>> V[[2, 3, 4], [5, 6, 7]] = V[[2, 3, 4], [12, 13, 14]] = 1.0  # a falling tone, twice
    >>> W, H, losses = nmfd(V, np.ones((8, 1, 3)), V.sum(axis=0)[None] + 0.1, n_iter=200)
    >>> [int(frame) for frame in np.flatnonzero(H[0] > 0.5 * H.max())], losses[-1] < 0.02 * losses[0]
    ([5, 12], True)
    """
    beta, n_iter, tol, adapt_after = _checks.plain((beta, n_iter, tol, adapt_after))
    check_divergence(beta, "auto", squares=False)
    check_iterations(n_iter, tol)
    check_adaptation(adapt_after)
    V = matrix("V", V, (None, None), "(n_freqs, n_frames)")
    W = patches("W", W, V.shape[0])
    xp = _backend.namespace(V, W, H)
    W = xp.astype(W, V.dtype, copy=False)
    H = xp.astype(matrix("H", H, (W.shape[1], V.shape[1]), "(n_components, n_frames)"), V.dtype, copy=False)
    task = {
        "fixed_templates": _fixed_templates(fixed_templates, W),
        "fixed_activations": _fixed_activations(fixed_activations, H),
        "n_iter": n_iter,
        "tol": float(tol),
        "hold": adapt_after,
    }
    prepared = prepare(V, float(beta))
    activations = prepared.scaled(xp.permute_dims(H, (1, 0)))
    rows, activations, losses = deconvolve(prepared, frame_major(W), activations, float(beta), task, callback)
    H = xp.asarray(xp.permute_dims(prepared.restored(activations), (1, 0)), copy=True)
    return paper_order(rows, H.shape[0]), H, losses


def deconvolve(
    prepared: Prepared, W: Array, H: Array, beta: float, task: dict[str, Any], callback: Callback | None
) -> tuple[Array, Array, tuple[float, ...]]:
    """Return frame-major factors of the scaled values, and the losses in units of V."""
    xp = _backend.namespace(prepared.values, W, H)
    if not prepared.mean:  # silence: nothing sounds, and there is nothing to learn from
        return W, xp.zeros_like(H), (0.0,)
    scale = prepared.loss_scale(beta)

    def report(iteration: int, loss: float, _W: Array, _H: Array) -> bool:
        told = Progress(stage="fit", iteration=iteration, n_iterations=task["n_iter"], loss=loss * scale)
        return callback is not None and bool(callback(told))

    whole = Task(objective=prepared.objective(beta), **task)
    W, H, losses = solve(whole, prepared.values, W, H, report if callback is not None else None)
    return W, H, tuple(loss * scale for loss in losses)


def frame_major(W: Array) -> Array:
    """Return templates (n_freqs, n_components, n_lags) as (n_lags * n_components, n_freqs), a copy."""
    xp = _backend.namespace(W)
    moved = xp.asarray(xp.permute_dims(W, (2, 1, 0)), copy=True)
    rows: Array = xp.reshape(moved, (-1, W.shape[0]))
    return rows


def paper_order(rows: Array, n_components: int) -> Array:
    """Return what `frame_major` made as it was before, a copy."""
    xp = _backend.namespace(rows)
    lags = xp.reshape(rows, (-1, n_components, rows.shape[1]))
    W: Array = xp.asarray(xp.permute_dims(lags, (2, 1, 0)), copy=True)
    return W


def patches(name: str, value: object, n_freqs: int | None) -> Array:
    """Return templates (n_freqs, n_components, n_template_frames), finite and not negative."""
    array = _backend.real_floating(name, value)
    if array.ndim != 3 or 0 in array.shape or n_freqs not in (None, array.shape[0]):
        here = "any" if n_freqs is None else n_freqs
        requirement = f"of shape (n_freqs, n_components, n_template_frames), here ({here}, any, any)"
        raise InputError(name, requirement, f"{tuple(array.shape)}")
    xp = _backend.namespace(array)
    lowest, highest = _backend.to_host(xp.stack([xp.min(array), xp.max(array)])).tolist()
    if not (lowest >= 0 and highest < math.inf):
        raise InputError(name, "finite and not negative", f"values from {lowest:g} to {highest:g}")
    return array


def check_adaptation(adapt_after: object) -> None:
    """Refuse what is no number of iterations."""
    _checks.integer("adapt_after", adapt_after, minimum=0, maximum=1_000_000)


def _fixed_templates(fixed: object, W: Array) -> Array | None:
    mask = mask_of("fixed_templates", fixed, W, W.shape[1])
    if mask is None or mask.ndim == 3:
        return None if mask is None else frame_major(mask)
    xp = _backend.namespace(mask)
    rows: Array = xp.concat([mask] * W.shape[2])[:, None]
    return rows


def _fixed_activations(fixed: object, H: Array) -> Array | None:
    mask = mask_of("fixed_activations", fixed, H, H.shape[0])
    if mask is None:
        return None
    xp = _backend.namespace(mask)
    columns: Array = mask[None, :] if mask.ndim == 1 else xp.permute_dims(mask, (1, 0))
    return columns
