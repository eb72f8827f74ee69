"""What finds demixing matrices, as array-API expressions: a part of `generic`."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array, Namespace

__all__ = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "low_rank_covariances",
    "low_rank_terms",
    "pair_projection",
    "projection_sweep",
    "steering_sweep",
    "weighted_covariances",
]

# Numbers in what is made of the spectra at a time: 64 MB of them in single precision.
_NUMBERS = 2**24
# What tells two nearly equal vectors apart is no less than this part of them.
_ROUNDING = 2.0**-50


def weighted_covariances(spectra: Array, weights: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.weighted_covariances`."""
    xp = _backend.namespace(spectra, weights)
    weights = xp.astype(weights, spectra.dtype)
    weights = weights[None, :, :]
    blocks = _blocks(spectra, weights.shape[1])
    parts = [_means(xp, spectra[part, ...], weights, ridge) for part in blocks]
    return xp.concat(parts, axis=0)  # type: ignore[no-any-return]


def demixed_powers(spectra: Array, demixing: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.demixed_powers`."""
    xp = _backend.namespace(spectra, demixing)
    shape = (demixing.shape[1], spectra.shape[3])
    total: Array = xp.zeros(shape, dtype=xp.float64, device=spectra.device)
    for part in _blocks(spectra, demixing.shape[1]):
        powers = _powers(xp, spectra[part, ...], demixing[part, ...], ridge)
        total = total + xp.sum(powers, axis=0, dtype=xp.float64)
    return total


def contrast_step(
    spectra: Array, weights: Array, demixing: Array, ridge: float, steers: bool
) -> tuple[Array, Array, Array]:
    """See `dspsep.kernels.Kernels.contrast_step`."""
    covariances = weighted_covariances(spectra, weights, ridge)
    W, logarithms = (steering_sweep if steers else projection_sweep)(demixing, covariances)
    return W, logarithms, demixed_powers(spectra, W, ridge)


def bin_covariances(spectra: Array, demixing: Array, ridge: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.bin_covariances`."""
    xp = _backend.namespace(spectra, demixing)
    covariances, norms = [], []
    for part in _blocks(spectra, demixing.shape[1]):
        radius = xp.sqrt(_powers(xp, spectra[part, ...], demixing[part, ...], ridge))
        norms.append(xp.mean(xp.astype(radius, xp.float64), axis=-1))
        covariances.append(_means(xp, spectra[part, ...], 1 / radius, ridge))
    return xp.concat(covariances, axis=0), xp.concat(norms, axis=0)


def low_rank_covariances(spectra: Array, templates: Array, activations: Array, ridge: float) -> Array:
    """See `dspsep.kernels.Kernels.low_rank_covariances`."""
    xp = _backend.namespace(spectra, templates, activations)
    parts = []
    for part in _blocks(spectra, templates.shape[0]):
        model = templates[:, part, :] @ activations
        weights = xp.permute_dims(1 / model, (1, 0, 2))
        parts.append(_means(xp, spectra[part, ...], weights, ridge))
    return xp.concat(parts, axis=0)  # type: ignore[no-any-return]


def low_rank_terms(
    spectra: Array, demixing: Array, templates: Array, activations: Array, ridge: float
) -> tuple[Array, Array, Array, Array]:
    """See `dspsep.kernels.Kernels.low_rank_terms`."""
    xp = _backend.namespace(spectra, demixing, templates, activations)
    turned = _swap(xp, activations)
    updated, loss = [], xp.zeros((), dtype=xp.float64, device=spectra.device)
    numerator: Array = xp.zeros(activations.shape, dtype=xp.float64, device=spectra.device)
    denominator = numerator
    for part in _blocks(spectra, templates.shape[0]):
        T = templates[:, part, :]
        power = xp.permute_dims(_powers(xp, spectra[part, ...], demixing[part, ...], ridge), (1, 0, 2))
        model = T @ activations
        loss = loss + xp.sum(power / model + xp.log(model), dtype=xp.float64) / spectra.shape[3]
        above, below = (power / model**2) @ turned, (1 / model) @ turned
        used = below > 0
        T = T * xp.sqrt(xp.where(used, above, xp.ones_like(T)) / xp.where(used, below, xp.ones_like(T)))
        updated.append(T)
        model = T @ activations
        numerator = numerator + xp.astype(_swap(xp, T) @ (power / model**2), xp.float64)
        denominator = denominator + xp.astype(_swap(xp, T) @ (1 / model), xp.float64)
    return xp.concat(updated, axis=1), numerator, denominator, loss


def projection_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.projection_sweep`."""
    xp = _backend.namespace(demixing, covariances)
    W: Array = xp.asarray(demixing, copy=True)
    for k in range(W.shape[1]):
        a = _inverse(xp, W)[:, :, k]
        u = xp.linalg.solve(covariances[:, k, :, :], a[..., None])[..., 0]
        gain = xp.sqrt(xp.real(xp.sum(xp.conj(a) * u, axis=1)))
        W[:, k, :] = xp.conj(u) / xp.astype(gain, u.dtype)[:, None]
    return W, _logarithms(xp, W)


def steering_sweep(demixing: Array, covariances: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.steering_sweep`."""
    xp = _backend.namespace(demixing, covariances)
    W: Array = xp.asarray(demixing, copy=True)
    traces = xp.real(xp.linalg.trace(covariances))
    for s in range(W.shape[1]):
        row = W[:, s, :]
        # V w of the source that steers, for each of the others' V: (n_freqs, n_sources, n_channels).
        images = (covariances @ xp.conj(row)[:, None, :, None])[..., 0]
        own = xp.real(xp.sum(row[:, None, :] * images, axis=2))
        size = xp.sum(xp.real(row) ** 2 + xp.imag(row) ** 2, axis=1)
        # Only rounding could make it less than zero.
        own = xp.where(own > 0, own, _ROUNDING * size[:, None] * traces)
        step = xp.sum(W * images, axis=2) / xp.astype(own, W.dtype)
        step[:, s] = xp.astype(1 - 1 / xp.sqrt(own[:, s]), W.dtype)
        W = W - step[..., None] * row[:, None, :]
    return W, _logarithms(xp, W)


def pair_projection(demixing: Array, covariances: Array, first: int, second: int) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.pair_projection`."""
    xp = _backend.namespace(demixing, covariances)
    W: Array = xp.asarray(demixing, copy=True)
    A = _inverse(xp, W)
    pair = xp.stack([A[:, :, first], A[:, :, second]], axis=-1)
    P = xp.linalg.solve(covariances, xp.broadcast_to(pair[:, None, ...], (*covariances.shape[:3], 2)))
    G = xp.conj(_swap(xp, pair))[:, None, ...] @ P
    # Cholesky's factor of the second makes it one; the first becomes `inner`, whose vectors are wanted.
    factor = _inverse_factor(xp, G[:, 1, ...])
    turned = xp.conj(_swap(xp, factor))
    inner = factor @ G[:, 0, ...] @ turned
    values, vectors = xp.linalg.eigh((inner + xp.conj(_swap(xp, inner))) / 2)
    h = turned @ vectors
    size = xp.astype(xp.sqrt(values[:, 1]), h.dtype)[:, None]
    for m, row, column in ((0, first, h[:, :, 1] / size), (1, second, h[:, :, 0])):
        # Of all phases the one that makes the new row times the old column positive, as projection does.
        across = xp.sum(G[:, m, m, :] * column, axis=1)
        length = xp.abs(across)
        there = length > 0
        turn = xp.where(there, xp.conj(across), xp.ones_like(across))
        turn = turn / xp.astype(xp.where(there, length, xp.ones_like(length)), turn.dtype)
        W[:, row, :] = xp.conj((P[:, m, ...] @ (column * turn[:, None])[..., None])[..., 0])
    return W, _logarithms(xp, W)


def _inverse_factor(xp: Namespace, G: Array) -> Array:
    """Return the inverses of Cholesky's factors of (n, 2, 2), which rounding cannot make singular."""
    top, bottom = xp.real(G[:, 0, 0]), xp.real(G[:, 1, 1])
    root = xp.sqrt(top)
    lower = G[:, 1, 0] / xp.astype(root, G.dtype)
    left = bottom - xp.real(lower) ** 2 - xp.imag(lower) ** 2
    last = xp.sqrt(xp.maximum(left, _ROUNDING * bottom))
    factor: Array = xp.zeros_like(G)
    factor[:, 0, 0] = xp.astype(1 / root, G.dtype)
    factor[:, 1, 0] = -lower / xp.astype(root * last, G.dtype)
    factor[:, 1, 1] = xp.astype(1 / last, G.dtype)
    return factor


def _blocks(spectra: Array, n_sources: int) -> list[slice]:
    n_freqs, n_channels, _, n_frames = spectra.shape
    step = max(1, _NUMBERS // (n_frames * n_channels * n_sources))
    return [slice(start, min(start + step, n_freqs)) for start in range(0, n_freqs, step)]


def _swap(xp: Namespace, values: Array) -> Array:
    """Exchange the last two axes."""
    return xp.matrix_transpose(values)  # type: ignore[no-any-return]


def _powers(xp: Namespace, spectra: Array, demixing: Array, ridge: float) -> Array:
    """Return |W x|**2 with that of noise, (n_freqs, n_sources, n_frames)."""
    a, b = (xp.astype(part(demixing), spectra.dtype) for part in (xp.real, xp.imag))
    real, imaginary = spectra[:, :, 0, :], spectra[:, :, 1, :]
    noise = ridge * xp.sum(a * a + b * b, axis=2, keepdims=True)
    powers: Array = noise + (a @ real - b @ imaginary) ** 2 + (a @ imaginary + b @ real) ** 2
    return powers


def _means(xp: Namespace, spectra: Array, weights: Array, ridge: float) -> Array:
    """Return weighted means over frames of x x^H and noise; weights (n_freqs or 1, n_sources, n_frames)."""
    real, imaginary = spectra[:, None, :, 0, :], spectra[:, None, :, 1, :]
    noise = ridge * xp.mean(xp.astype(weights, xp.float64), axis=-1)
    weights = weights[:, :, None, :]
    turned, other = _swap(xp, real), _swap(xp, imaginary)
    n_frames = spectra.shape[3]
    means = (weights * real) @ turned + (weights * imaginary) @ other
    across = (weights * imaginary) @ turned
    across = across - _swap(xp, across)
    means, across = (xp.astype(part, xp.float64) / n_frames for part in (means, across))
    identity = xp.eye(spectra.shape[1], dtype=xp.float64, device=spectra.device)
    return means + noise[:, :, None, None] * identity + 1j * across  # type: ignore[no-any-return]


def _inverse(xp: Namespace, W: Array) -> Array:
    """Return the inverse of square matrices, W^H (W W^H)^-1 of others."""
    if W.shape[1] == W.shape[2]:
        return xp.linalg.inv(W)  # type: ignore[no-any-return]
    turned = xp.conj(_swap(xp, W))
    return turned @ xp.linalg.inv(W @ turned)  # type: ignore[no-any-return]


def _logarithms(xp: Namespace, W: Array) -> Array:
    """Return log |det W| of square matrices, half of log det (W W^H) of others."""
    if W.shape[1] == W.shape[2]:
        return xp.linalg.slogdet(W).logabsdet  # type: ignore[no-any-return]
    return xp.linalg.slogdet(W @ xp.conj(_swap(xp, W))).logabsdet / 2  # type: ignore[no-any-return]
