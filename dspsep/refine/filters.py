"""Wiener filters of spectra: what `dspsep.refine.wiener.Wiener` is made of, for those who have spectra."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.refine._local_gaussian import LocalGaussian

__all__ = [
    "alpha_wiener",
    "checked_alpha",
    "checked_regularisation",
    "inverse_total",
    "parts",
    "powers",
    "share",
    "swap",
    "wiener_em",
]

_MAX_ALPHA = 4.0
# Numbers that are made of spectra at a time.
_NUMBERS = 2**18


def alpha_wiener(V: Array, x: Array, *, alpha: float = 1.0) -> Array:
    """Return the bins of a mixture, shared as sources share a power of their magnitudes.

    Parameters
    ----------
    V : array of shape (n_sources, n_channels or 1, n_freqs, n_frames)
        The magnitudes of the sources, not negative.
    x : array of shape (n_channels, n_freqs, n_frames)
        The spectrum of the mixture, complex.
    alpha : float, default=1.0
        Above 0 and at most 4: the power. 1 shares by magnitudes, 2 by energies.

    Returns
    -------
    array of shape (n_sources, n_channels, n_freqs, n_frames)
        ``V[j] ** alpha / sum(V ** alpha) * x``, in the precision of `x`. Equal parts where all are 0.

    Raises
    ------
    InputError
        If the arrays are not of such shapes or not finite, or magnitudes are negative.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import alpha_wiener
    >>> V = np.array([3.0, 1.0]).reshape(2, 1, 1, 1)
    >>> alpha_wiener(V, np.full((1, 1, 1), 10j), alpha=2).ravel().imag
    array([9., 1.])
    """
    V, x = _backend.real_floating("V", V), _complex("x", x, 3)
    xp = _backend.namespace(V, x)
    alpha = checked_alpha(alpha)
    if V.ndim != 4 or V.shape[1] not in (1, x.shape[0]) or V.shape[2:] != x.shape[1:]:
        raise InputError("V", f"of the shape (n_sources, *{tuple(x.shape)}), or of one channel", f"{V.shape}")
    if 0 in (*V.shape, *x.shape):
        raise InputError("V", "of at least one source, channel, frequency and frame", f"{tuple(V.shape)}")
    peak = _backend.scalar(xp.max(V))
    if not (math.isfinite(peak) and _backend.scalar(xp.min(V)) >= 0):
        raise InputError("V", "finite and not negative", f"values up to {peak:g}")
    # Of the smallest numbers there are, the inverse would be too large.
    gain = 2.0 ** -max(math.frexp(peak)[1], -1020)
    precision = xp.float32 if x.dtype == xp.complex64 else xp.float64
    n_sources, (n_channels, n_freqs, n_frames) = V.shape[0], x.shape
    V, x = xp.permute_dims(V, (0, 1, 3, 2)), swap(xp, x)
    y = xp.empty((n_sources, n_channels, n_frames, n_freqs), dtype=x.dtype, device=x.device)
    for part in parts(x):
        if not _backend.scalar(xp.all(xp.isfinite(x[:, part, :]))):
            raise InputError("x", "finite", "NaN or infinity")
        # In range first, and then in the precision of the mixture.
        levels = (xp.astype(V[j, :, part, :] * gain, precision, copy=False) for j in range(n_sources))
        raised = [_raised(level, 1.0, alpha) for level in levels]
        inverse = inverse_total(xp, sum(raised[1:], start=raised[0]))
        for j, power in enumerate(raised):
            y[j, :, part, :] = share(xp, power, inverse, n_sources) * x[:, part, :]
    return xp.permute_dims(y, (0, 1, 3, 2))  # type: ignore[no-any-return]


def wiener_em(
    y: Array,
    x: Array,
    *,
    n_iter: int = 1,
    regularisation: float = 1e-10,
    posterior: bool = False,
    callback: Callback | None = None,
) -> Array:
    """Return estimates after steps of expectation maximisation in the local Gaussian model.

    Parameters
    ----------
    y : array of shape (n_sources, n_channels, n_freqs, n_frames)
        The spectra of the estimates, complex. Never changed.
    x : array of shape (n_channels, n_freqs, n_frames)
        That of the mixture. Never changed.
    n_iter : int, default=1
        How many steps, at least 1.
    regularisation : float, default=1e-10
        White noise in all channels, in parts of the largest ``abs(x) ** 2``. From 1e-12 to 1.
    posterior : bool, default=False
        See `Wiener`.
    callback : callable, optional
        See `Wiener.refine`.

    Returns
    -------
    array of shape (n_sources, n_channels, n_freqs, n_frames)
        They sum to `x`, whose precision they have. In memory frames lie one after the other.

    Raises
    ------
    InputError
        If the arrays are not of such shapes, or not finite.

    Notes
    -----
    norbert 0.2.1 gives the same where its scaling acts, at a peak of `x` of 10 or more, in double precision
    and with ``regularisation=2 ** -26 / 100``, but for the noise: there it belongs to no source, and sources
    of songs sum to all but 1e-4 to 3e-3 of the peak.

    Peak memory beside arguments and result: a real number for each source and bin, in the precision of `x`,
    and a spectrum of an estimate and of the mixture unless frames lie one after the other there.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import wiener_em
    >>> rng = np.random.default_rng(0)
    >>> left, right = rng.standard_normal((2, 1, 5, 40)) + 1j * rng.standard_normal((2, 1, 5, 40))
    >>> x = np.concatenate([left, right])
    >>> y = np.stack([x * [[[0.9]], [[0.1]]], x * [[[0.1]], [[0.9]]]])
    >>> refined = wiener_em(y, x, n_iter=3)
    >>> bool(abs(refined[0, 1]).max() < 0.5 * abs(y[0, 1]).max())
    True
    """
    y, x = _complex("y", y, 4), _complex("x", x, 3)
    xp = _backend.namespace(y, x)
    n_iter = _checks.integer("n_iter", n_iter, minimum=1)
    regularisation = checked_regularisation(regularisation)
    if tuple(y.shape[1:]) != tuple(x.shape) or 0 in y.shape:
        raise InputError("y", f"of the shape (n_sources, *{tuple(x.shape)})", f"{tuple(y.shape)}")
    gaussian = LocalGaussian(swap(xp, x), y.shape[0], regularisation, posterior)
    for j in range(y.shape[0]):
        gaussian.learn(j, xp.astype(swap(xp, y[j, ...]), x.dtype, copy=False))
    gaussian.iterate(n_iter - 1, callback)
    return xp.permute_dims(gaussian.estimates(), (0, 1, 3, 2))  # type: ignore[no-any-return]


def _complex(name: str, value: Array, n_axes: int) -> Array:
    array = _backend.as_array(name, value)
    xp = _backend.namespace(array)
    if array.dtype not in (xp.complex64, xp.complex128) or array.ndim != n_axes:
        axes = (
            "(n_sources, n_channels, n_freqs, n_frames)" if n_axes == 4 else "(n_channels, n_freqs, n_frames)"
        )
        raise InputError(name, f"complex and of shape {axes}", f"{tuple(array.shape)} of {array.dtype}")
    return array


def checked_alpha(alpha: object) -> float:
    """Return the exponent of magnitudes as a number in range."""
    return _checks.number("alpha", alpha, minimum=0, above=True, maximum=_MAX_ALPHA)


def checked_regularisation(value: object) -> float:
    """Return the noise, in parts of the energy of the loudest bin, as a number in range."""
    return _checks.number("regularisation", value, minimum=1e-12, maximum=1.0)


def powers(xp: Namespace, spectra: Array, gain: float, alpha: float) -> Array:
    """Return magnitudes times a gain, to the power of alpha."""
    if alpha == 2:
        return (xp.real(spectra) * gain) ** 2 + (xp.imag(spectra) * gain) ** 2  # type: ignore[no-any-return]
    return _raised(xp.abs(spectra), gain, alpha)


def _raised(magnitudes: Array, gain: float, alpha: float) -> Array:
    scaled = magnitudes if gain == 1 else magnitudes * gain
    return scaled if alpha == 1 else scaled**alpha


def inverse_total(xp: Namespace, total: Array) -> Array:
    """Return one over the sum of all powers; 0 where there is nothing to go by."""
    heard = total >= xp.finfo(total.dtype).smallest_normal
    return xp.where(heard, 1 / xp.where(heard, total, xp.ones_like(total)), xp.zeros_like(total))  # type: ignore[no-any-return]


def share(xp: Namespace, power: Array, inverse: Array, n_sources: int) -> Array:
    """Return powers over their total, and equal parts where there is nothing to go by."""
    equal = xp.asarray(1 / n_sources, dtype=power.dtype, device=power.device)
    return xp.where(inverse > 0, power * inverse, equal)  # type: ignore[no-any-return]


def parts(spectra: Array) -> Iterator[slice]:
    """Yield runs of frames, of which little is made at a time."""
    n_channels, n_frames, n_freqs = spectra.shape
    step = max(1, _NUMBERS // (n_channels * n_freqs))
    for start in range(0, n_frames, step):
        yield slice(start, min(start + step, n_frames))


def swap(xp: Namespace, values: Array) -> Array:
    """Exchange frequencies and frames."""
    return xp.permute_dims(values, (0, 2, 1))  # type: ignore[no-any-return]
