"""Robust principal component analysis of a matrix: its checks and its scale; `_core.py` does the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.lowrank._core import LowRank, Pursuit, pursue

__all__ = ["check_solver", "check_sparsity", "checked_weights", "pursue_scaled", "rpca", "sparsity_for"]

# What is of low rank itself, a constant above all, would be cheap as either part: recovery needs a k near 1.
_BALANCED = 0.5, 2.0


def rpca(
    V: Array,
    *,
    sparsity: float | Literal["auto"] = 1.0,
    weights: Array | None = None,
    max_rank: int | None = None,
    n_iter: int = 100,
    tol: float = 1e-7,
    seed: int = 0,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, Array, tuple[float, ...]]:
    """Part a matrix into one of low rank and a sparse one.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames)
        Magnitudes: finite and not negative. Never changed.
    sparsity : float or "auto", default=1.0
        The paper's k: an entry of S costs ``sparsity / sqrt(max(V.shape))``, a singular value of L costs 1.
        ``"auto"`` is the k with which a V that is all S would cost what a V that is all L does, but from 1/2
        to 2.
    weights : array of shape (n_freqs,), optional
        What an entry of each row costs, as a multiple of that. Above 0.
    max_rank : int, optional
        The most singular values that L may have. By default as many as there are.
    n_iter : int, default=100
        The most iterations.
    tol : float, default=1e-7
        They end where the norm of V - L - S is this part of that of V; in single precision, at 1e-6.
    seed : int, default=0
        Of the random directions in which singular vectors are looked for.
    callback : callable, optional
        Called with the number of iterations and the residual after each. Returning True ends them.

    Returns
    -------
    L : array of shape (n_freqs, n_frames)
        Of low rank.
    S : array of shape (n_freqs, n_frames)
        Sparse, of either sign.
    residuals : tuple of float
        The norm of V - L - S over that of V, after each iteration; nothing where V is zero.

    Raises
    ------
    InputError
        If `V` or a setting is out of range.

    See Also
    --------
    RPCA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import rpca
    >>> rng = np.random.default_rng(0)
    >>> background = np.outer(rng.random(60), rng.random(80))
    >>> struck = rng.random((60, 80)) < 0.05
    >>> L, S, residuals = rpca(background + struck)
    >>> bool(abs(L - background).max() < 1e-4), bool(abs(S - struck).max() < 1e-4)
    (True, True)
    """
    V = _backend.real_floating("V", V)
    check_sparsity(sparsity)
    check_solver(max_rank, n_iter, tol, seed)
    if V.ndim != 2 or 0 in V.shape:
        raise InputError("V", "of shape (n_freqs, n_frames)", f"{tuple(V.shape)}")
    if weights is not None:
        weights = checked_weights(weights, int(V.shape[0]))
    xp = _backend.namespace(V)
    task = Pursuit(max_rank=max_rank, n_iter=n_iter, tol=tol, seed=seed)
    report = None if callback is None else lambda *told: bool(callback(*told))
    V = xp.permute_dims(V, (1, 0))
    frames, S, residuals = pursue_scaled(V, sparsity_for(V, sparsity), weights, task, report)
    return xp.permute_dims(frames.left @ frames.right, (1, 0)), xp.permute_dims(S, (1, 0)), residuals


def pursue_scaled(
    V: Array,
    sparsity: float,
    weights: Array | None,
    task: Pursuit,
    report: Callable[[int, float], bool] | None,
) -> tuple[LowRank, Array, tuple[float, ...]]:
    """Return what `pursue` does of frame-major magnitudes of any size; of silence, nothing."""
    xp = _backend.namespace(V)
    lowest, largest = _range(V)
    if not (lowest >= 0 and largest < math.inf):
        raise InputError("V", "finite and not negative", f"values from {lowest:g} to {largest:g}")
    if largest < float(xp.finfo(V.dtype).smallest_normal):
        left, right = (
            xp.zeros(shape, dtype=V.dtype, device=V.device) for shape in ((V.shape[0], 0), (0, V.shape[1]))
        )
        return LowRank(left, right), xp.zeros_like(V), ()
    thresholds = np.ones(1) if weights is None else weights
    thresholds = thresholds * (sparsity / math.sqrt(max(V.shape)))
    thresholds = xp.astype(_backend.asarray_like(np.asarray(thresholds), V), V.dtype)
    scale = _scale(largest)
    low_rank, S, residuals = pursue(V * scale, thresholds, task, report)
    return LowRank(low_rank.left / scale, low_rank.right), S / scale, residuals


def sparsity_for(V: Array, sparsity: float | Literal["auto"]) -> float:
    """Return the scale of the costs, taken from V (n_frames, n_freqs) if it is ``"auto"``.

    With ``||V||_*`` the sum of singular values and ``||V||_1`` that of entries, ``L = V`` costs the former
    and ``S = V`` costs ``k ||V||_1 / sqrt(max(F, T))``; k is where they meet.
    """
    if not isinstance(sparsity, str):
        return sparsity
    xp = _backend.namespace(V)
    largest = _range(V)[1]
    if not float(xp.finfo(V.dtype).smallest_normal) <= largest < math.inf:
        # Of silence all are right; what is not finite is refused by others.
        return 1.0
    exact = xp.astype(V * _scale(largest), xp.float64)
    across = xp.permute_dims(exact, (1, 0))
    squares = xp.linalg.eigvalsh(across @ exact if V.shape[1] <= V.shape[0] else exact @ across)
    nuclear = xp.sum(xp.sqrt(xp.maximum(squares, xp.zeros_like(squares))))
    balanced = _backend.scalar(nuclear / xp.sum(exact)) * math.sqrt(max(V.shape))
    return min(max(balanced, _BALANCED[0]), _BALANCED[1])


def _range(V: Array) -> tuple[float, float]:
    xp = _backend.namespace(V)
    lowest, largest = _backend.to_host(xp.stack([xp.min(V), xp.max(V)])).tolist()
    return lowest, largest


def _scale(largest: float) -> float:
    """Return a power of two, which rounds nothing, that brings the largest between 1/2 and 1."""
    return float(2.0 ** -math.frexp(largest)[1])


def check_sparsity(sparsity: object) -> None:
    """Refuse a scale of the costs out of range."""
    if isinstance(sparsity, str):
        _checks.choice("sparsity", sparsity, ("auto",))
    else:
        _checks.number("sparsity", sparsity, minimum=1e-3, maximum=1e3)


def check_solver(max_rank: object, n_iter: object, tol: object, seed: object) -> None:
    """Refuse settings out of range."""
    if max_rank is not None:
        _checks.integer("max_rank", max_rank, minimum=1)
    _checks.integer("n_iter", n_iter, minimum=1, maximum=1000)
    _checks.number("tol", tol, minimum=0, maximum=1)
    _checks.integer("seed", seed, minimum=0)


def checked_weights(weights: object, n_freqs: int) -> Array:
    """Return weights on the host, one for each frequency."""
    values = np.asarray(_backend.to_host(_backend.real_floating("weights", weights)), np.float64)
    if values.shape != (n_freqs,):
        raise InputError("weights", f"of shape ({n_freqs},), one for each frequency", f"{values.shape}")
    if not (values.min() >= 1e-6 and values.max() <= 1e6):
        got = f"values from {values.min():g} to {values.max():g}"
        raise InputError("weights", "from a millionth to a million", got)
    return values
