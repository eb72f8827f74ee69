"""Factorisation of a spectrogram alone: the algorithm of `NMF` on arrays, in the papers' symbols."""

from __future__ import annotations

from typing import Any

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.progress import Callback, Progress
from dspsep.separators.nmf._core import Weights, factorise, mask_of, prepare
from dspsep.separators.nmf._settings import check_divergence, check_iterations, check_penalties, matrix

__all__ = ["nmf"]


def nmf(
    V: Array,
    W: Array,
    H: Array,
    *,
    beta: float = 1.0,
    n_iter: int = 200,
    tol: float = 0.0,
    solver: str = "auto",
    l1: float = 0.0,
    l2: float = 0.0,
    continuity: float = 0.0,
    fixed_templates: Any = None,
    fixed_activations: Any = None,
    callback: Callback | None = None,
) -> tuple[Array, Array, tuple[float, ...]]:
    """Factorise a spectrogram into templates and activations, from given ones.

    The algorithm of `NMF` for those who have their own transform or their own start.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames)
        Magnitudes or powers: finite, not negative. Not changed.
    W : array of shape (n_freqs, n_components)
        The templates to begin with. Not changed.
    H : array of shape (n_components, n_frames)
        The activations to begin with. Not changed.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, 1 Kullback-Leibler, 0 Itakura-Saito.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=0.0
        They end where ten of them lower the objective by less than this part of what it was at first; 0 makes
        all of them.
    solver : {"auto", "mu", "accelerated", "hals"}, default="auto"
        See `NMF`.
    l1, l2, continuity : float, default=0.0
        Weights of penalties on the activations; see `NMF`.
    fixed_templates : array of bool, optional
        What is never changed: components (n_components,), or entries of the shape of W.
    fixed_activations : array of bool, optional
        The same of activations: components (n_components,), or entries of the shape of H.
    callback : callable, optional
        Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_components)
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
    NMF : From audio to audio.

    Notes
    -----
    The model is W H plus ``2**-33`` of the mean of V, except for beta 2; for beta <= 0 values of V below that
    are raised to it, since the divergence of zero is infinite. Penalties are in the losses.

    Zeros of W and H stay zero with ``"mu"`` and ``"accelerated"``, but not with ``"hals"``. If V is all
    zeros, so are the activations, and the templates stay.

    Peak memory beside V, W and H: one array of the size of V, blocks of some hundred frames, and a few copies
    of W and H.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import nmf
    >>> rng = np.random.default_rng(0)
    >>> V = rng.random((30, 2)) @ rng.random((2, 40))
    >>> W, H, losses = nmf(V, rng.random((30, 2)), rng.random((2, 40)), n_iter=500)
    >>> W.shape, H.shape, losses[-1] < 1e-4 * losses[0]
    ((30, 2), (2, 40), True)
    """
    beta, solver, n_iter, tol, l1, l2, continuity = _checks.plain(
        (beta, solver, n_iter, tol, l1, l2, continuity)
    )
    check_penalties(l1, l2, continuity)
    weights = Weights(l1=float(l1), l2=float(l2), continuity=float(continuity))
    check_divergence(beta, solver, squares=weights.squares)
    check_iterations(n_iter, tol)
    V = matrix("V", V, (None, None), "(n_freqs, n_frames)")
    xp = _backend.namespace(V, W, H)
    W = xp.astype(matrix("W", W, (V.shape[0], None), "(n_freqs, n_components)"), V.dtype, copy=False)
    H = xp.astype(matrix("H", H, (W.shape[1], V.shape[1]), "(n_components, n_frames)"), V.dtype, copy=False)
    beta = float(beta)
    fixed = (
        mask_of("fixed_templates", fixed_templates, W, W.shape[1]),
        mask_of("fixed_activations", fixed_activations, H, W.shape[1]),
    )
    prepared = prepare(V, beta)
    scale = prepared.loss_scale(beta)

    def report(iteration: int, loss: float, _W: Array, _H: Array) -> bool:
        told = Progress(stage="fit", iteration=iteration, n_iterations=n_iter, loss=loss * scale)
        return callback is not None and bool(callback(told))

    factors = factorise(
        prepared,
        _transposed(W),
        prepared.scaled(_transposed(H)),
        beta=beta,
        solver=solver,
        n_iter=n_iter,
        tol=tol,
        weights=weights,
        fixed_templates=None if fixed[0] is None else _transposed(fixed[0]),
        fixed_activations=None if fixed[1] is None else _transposed(fixed[1]),
        report=report if callback is not None else None,
    )
    H = _transposed(prepared.restored(factors.H))
    return _transposed(factors.W), H, tuple(loss * scale for loss in factors.losses)


def _transposed(array: Array) -> Array:
    """Return a transposed copy; what has one axis as it is."""
    if array.ndim == 1:
        return array
    xp = _backend.namespace(array)
    transposed: Array = xp.empty(array.shape[::-1], dtype=array.dtype, device=array.device)
    transposed[...] = xp.permute_dims(array, (1, 0))
    return transposed
