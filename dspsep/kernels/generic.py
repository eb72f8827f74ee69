"""The kernels as array-API expressions: the reference, and what runs on any array library."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array, Namespace
from dspsep.kernels._composed import composed
from dspsep.kernels._demixing import (
    bin_covariances,
    contrast_step,
    demixed_powers,
    low_rank_covariances,
    low_rank_terms,
    pair_projection,
    projection_sweep,
    steering_sweep,
    weighted_covariances,
)
from dspsep.kernels._gaussian import gaussian_estimates, gaussian_model, gaussian_step
from dspsep.kernels._multiplicative import extrapolated, multiplied

__all__ = [
    "activation_terms",
    "bin_covariances",
    "contrast_step",
    "coordinate_sweeps",
    "cross_spectra",
    "demixed_powers",
    "diffusion_step",
    "divergence_terms",
    "extrapolated",
    "fastmnmf_covariances",
    "fastmnmf_sweep",
    "filter_spectra",
    "gaussian_estimates",
    "gaussian_model",
    "gaussian_step",
    "istft",
    "low_rank_covariances",
    "low_rank_terms",
    "median_of_frames",
    "median_over_frequency",
    "median_over_time",
    "multiplied",
    "pair_projection",
    "product",
    "product_with_transposed",
    "projection_sweep",
    "similar_frames",
    "soft_mask",
    "steering_sweep",
    "stft",
    "template_terms",
    "weighted_covariances",
]

# Running medians gather `length` neighbours of every value before they sort; this bounds the gathered
# values that exist at once (in float32: 64 MiB, and sorting doubles it).
_GATHERED_VALUES = 2**24


def stft(samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
    """See `dspsep.kernels.Kernels.stft`."""
    xp = _backend.namespace(samples, window)
    n_channels, n_samples = samples.shape
    n_fft = window.shape[0]
    before = n_fft // 2
    after = max(0, (n_frames - 1) * hop_length + n_fft - before - n_samples)
    padded = xp.concat(
        [_zeros(xp, samples, (n_channels, before)), samples, _zeros(xp, samples, (n_channels, after))], axis=1
    )
    starts = xp.arange(n_frames, device=samples.device) * hop_length
    index = starts[:, None] + xp.arange(n_fft, device=samples.device)[None, :]
    frames = xp.take(padded, xp.reshape(index, (-1,)), axis=1)
    spectra: Array = xp.fft.rfft(xp.reshape(frames, (n_channels, n_frames, n_fft)) * window, axis=-1)
    return spectra


def istft(spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array) -> Array:
    """See `dspsep.kernels.Kernels.istft`."""
    xp = _backend.namespace(spectra, window, weight)
    n_fft, n_samples = window.shape[0], weight.shape[0]
    if mask is not None:
        spectra = spectra * mask
    frames = xp.fft.irfft(spectra, n=n_fft, axis=-1) * window
    n_channels, n_frames, _ = frames.shape
    # A frame is cut into blocks of one hop: block r of frame t lands on block t + r of the output.
    n_blocks = -(-n_fft // hop_length)
    missing = n_blocks * hop_length - n_fft
    if missing:
        frames = xp.concat([frames, _zeros(xp, frames, (n_channels, n_frames, missing))], axis=-1)
    blocks = xp.reshape(frames, (n_channels, n_frames, n_blocks, hop_length))
    total = _zeros(xp, frames, (n_channels, n_frames + n_blocks - 1, hop_length))
    for block in range(n_blocks):
        total[:, block : block + n_frames, :] += blocks[:, :, block, :]
    flat = xp.reshape(total, (n_channels, -1))
    before = n_fft // 2
    samples: Array = flat[:, before : before + n_samples]
    if samples.shape[1] < n_samples:  # a hop longer than the window leaves the end to the padding
        missing = n_samples - samples.shape[1]
        samples = xp.concat([samples, _zeros(xp, frames, (n_channels, missing))], axis=1)
    return samples / weight


def median_over_time(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_time`."""
    xp = _backend.namespace(values)
    return _swap(xp, median_over_frequency(_swap(xp, values), length))


def median_over_frequency(values: Array, length: int) -> Array:
    """See `dspsep.kernels.Kernels.median_over_frequency`."""
    xp = _backend.namespace(values)
    n = values.shape[-1]
    half = length // 2
    position = xp.arange(-half, n + half, device=values.device)
    folded = xp.remainder(position, 2 * n)
    mirrored = xp.where(folded < n, folded, 2 * n - 1 - folded)
    padded = xp.take(values, mirrored, axis=-1)
    offsets = xp.arange(length, device=values.device)
    step = max(1, _GATHERED_VALUES // (length * max(1, values.shape[0] * values.shape[1])))
    columns = []
    for start in range(0, n, step):
        stop = min(start + step, n)
        index = xp.arange(start, stop, device=values.device)[:, None] + offsets[None, :]
        gathered = xp.take(padded, xp.reshape(index, (-1,)), axis=-1)
        gathered = xp.reshape(gathered, (*values.shape[:-1], stop - start, length))
        columns.append(xp.sort(gathered, axis=-1)[..., half])
    medians: Array = xp.concat(columns, axis=-1)
    return medians


def median_of_frames(values: Array, frames: Array) -> Array:
    """See `dspsep.kernels.Kernels.median_of_frames`."""
    xp = _backend.namespace(values, frames)
    n_channels, _, n_freqs = values.shape
    n, most = frames.shape
    medians: Array = xp.zeros((n_channels, n, n_freqs), dtype=values.dtype, device=values.device)
    step = max(1, _GATHERED_VALUES // max(1, most * n_channels * n_freqs))
    for start in range(0, n if most else 0, step):
        part = frames[start : min(start + step, n), :]
        flat = xp.reshape(xp.clip(part, 0, None), (-1,))
        gathered = xp.reshape(xp.take(values, flat, axis=1), (n_channels, *part.shape, n_freqs))
        named = (part >= 0)[None, :, :, None]
        ordered = xp.sort(xp.where(named, gathered, xp.full_like(gathered, xp.inf)), axis=2)
        count = xp.sum(xp.astype(part >= 0, xp.int64), axis=1)[None, :, None, None]
        shape = (n_channels, part.shape[0], 1, n_freqs)
        lower, upper = (
            xp.take_along_axis(ordered, xp.broadcast_to(xp.clip(place, 0, None), shape), axis=2)[:, :, 0, :]
            for place in ((count - 1) // 2, xp.where(count > 0, count // 2, 0 * count))
        )
        middle = xp.where(lower == upper, upper, (lower + upper) / 2)
        medians[:, start : start + part.shape[0], :] = xp.where(
            count[:, :, 0, :] > 0, middle, xp.zeros_like(middle)
        )
    return medians


def similar_frames(similarity: Array, threshold: float, distance: int, most: int) -> Array:
    """See `dspsep.kernels.Kernels.similar_frames`."""
    xp = _backend.namespace(similarity)
    n, n_frames = similarity.shape
    is_peak = similarity >= threshold
    for step in range(1, min(distance, n_frames - 1) + 1):
        higher = similarity[:, step:] > similarity[:, :-step]
        lower = similarity[:, :-step] > similarity[:, step:]
        none = xp.ones((n, step), dtype=xp.bool, device=similarity.device)
        is_peak = is_peak & xp.concat([none, higher], axis=1) & xp.concat([lower, none], axis=1)
    last = xp.full_like(similarity, xp.inf)
    order = xp.argsort(xp.where(is_peak, -similarity, last), axis=1, stable=True)[:, : min(most, n_frames)]
    frames: Array = xp.where(xp.take_along_axis(is_peak, order, axis=1), order, -1 * xp.ones_like(order))
    if most > n_frames:
        missing = xp.full((n, most - n_frames), -1, dtype=frames.dtype, device=frames.device)
        frames = xp.concat([frames, missing], axis=1)
    return frames


def soft_mask(values: Array, rival: Array, margin: float, power: float, tie: float) -> Array:
    """See `dspsep.kernels.Kernels.soft_mask`."""
    xp = _backend.namespace(values, rival)
    scaled = rival * margin
    # Both are divided by the larger first, so that no power of them can overflow or vanish. What is below
    # the normal numbers cannot be divided by; separators scale their input so that it is never heard.
    largest = xp.maximum(values, scaled)
    silent = largest < xp.finfo(values.dtype).smallest_normal
    largest = xp.where(silent, xp.ones_like(largest), largest)
    own = (values / largest) ** power
    other = (scaled / largest) ** power
    total = xp.where(silent, xp.ones_like(own), own + other)
    mask: Array = xp.where(silent, xp.full_like(own, tie), own / total)
    return mask


def diffusion_step(whole: Array, harmonic: Array, weight: float) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.diffusion_step`."""
    xp = _backend.namespace(whole, harmonic)
    percussive = whole - harmonic
    along_time = harmonic[:, 1:, :] - harmonic[:, :-1, :]
    along_frequency = percussive[:, :, 1:] - percussive[:, :, :-1]
    loss = weight * _energy(along_time) + (1 - weight) * _energy(along_frequency)
    flow = (weight / 4) * _second_difference(along_time, 1)
    flow = flow - ((1 - weight) / 4) * _second_difference(along_frequency, 2)
    following: Array = xp.minimum(xp.maximum(harmonic + flow, xp.zeros_like(whole)), whole)
    return following, loss


def divergence_terms(
    values: Array, model: Array, floor: float, beta: float, with_loss: bool
) -> tuple[Array, Array | None, Array]:
    """See `dspsep.kernels.Kernels.divergence_terms`."""
    xp = _backend.namespace(values, model)
    model = model + floor
    loss = (
        _divergence(values, model, beta)
        if with_loss
        else xp.zeros((), dtype=xp.float64, device=values.device)
    )
    if beta == 1:
        return values / model, None, loss
    denominator = 1 / model if beta == 0 else model ** (beta - 1)
    return values * (denominator / model), denominator, loss


def product(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product`."""
    return left @ right


def product_with_transposed(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.product_with_transposed`."""
    result: Array = left @ _backend.namespace(right).permute_dims(right, (1, 0))
    return result


activation_terms, template_terms = composed(product, product_with_transposed, divergence_terms)


def coordinate_sweeps(
    numerator: Array, gram: Array, factor: Array, kept: Array | None, n_sweeps: int
) -> Array:
    """See `dspsep.kernels.Kernels.coordinate_sweeps`."""
    xp = _backend.namespace(numerator, gram, factor)
    for _ in range(n_sweeps):
        for k in range(factor.shape[0]):
            own = gram[k : k + 1, k : k + 1]
            used = own > 0
            old = factor[k : k + 1, :]
            step = (numerator[k : k + 1, :] - gram[k : k + 1, :] @ factor) / xp.where(
                used, own, xp.ones_like(own)
            )
            stays = ~used if kept is None else ~used | kept[k : k + 1, :]
            row = xp.where(stays, old, xp.maximum(old + step, xp.zeros_like(step)))
            factor = xp.concat([factor[:k, :], row, factor[k + 1 :, :]], axis=0)
    return factor


def cross_spectra(left: Array, right: Array) -> Array:
    """See `dspsep.kernels.Kernels.cross_spectra`."""
    xp = _backend.namespace(left, right)
    # Products of matrices, one a bin: (bins, left rows, blocks) by (bins, blocks, right rows).
    products = xp.conj(xp.permute_dims(left, (2, 0, 1))) @ xp.permute_dims(right, (2, 1, 0))
    total: Array = xp.permute_dims(products, (1, 2, 0))
    return total


def filter_spectra(filters: Array, spectra: Array) -> Array:
    """See `dspsep.kernels.Kernels.filter_spectra`."""
    xp = _backend.namespace(filters, spectra)
    # Products of matrices, one a bin: (bins, outputs, inputs) by (bins, inputs, blocks).
    products = xp.permute_dims(filters, (2, 0, 1)) @ xp.permute_dims(spectra, (2, 0, 1))
    filtered: Array = xp.permute_dims(products, (1, 2, 0))
    return filtered


def fastmnmf_covariances(parts: Array, weights: Array) -> Array:
    """See `dspsep.kernels.Kernels.fastmnmf_covariances`."""
    xp = _backend.namespace(parts, weights)
    n_channels = parts.shape[1] // 2
    exact = xp.astype(parts, xp.float64, copy=False)
    real, imaginary = exact[:, :n_channels, :], exact[:, n_channels:, :]
    pairs = [(i, j) for i in range(n_channels) for j in range(n_channels)]
    # (bins, weights, frames) by (bins, frames, pairs)
    rows = xp.permute_dims(xp.astype(weights, xp.float64, copy=False), (1, 0, 2))
    one = xp.stack(
        [real[:, i, :] * real[:, j, :] + imaginary[:, i, :] * imaginary[:, j, :] for i, j in pairs]
    )
    V = xp.astype(rows @ xp.permute_dims(one, (1, 2, 0)), xp.complex128)
    one = xp.stack(
        [imaginary[:, i, :] * real[:, j, :] - real[:, i, :] * imaginary[:, j, :] for i, j in pairs]
    )
    V = V + 1j * (rows @ xp.permute_dims(one, (1, 2, 0)))
    covariances: Array = xp.reshape(V, (*V.shape[:2], n_channels, n_channels))
    return covariances


def fastmnmf_sweep(Q: Array, V: Array) -> tuple[Array, Array]:
    """See `dspsep.kernels.Kernels.fastmnmf_sweep`."""
    xp = _backend.namespace(Q, V)
    gains = xp.zeros(Q.shape[0], dtype=xp.float64, device=Q.device)
    rows = [Q[:, m : m + 1, :] for m in range(Q.shape[1])]
    for m in range(len(rows)):
        A = xp.linalg.inv(xp.concat(rows, axis=1))
        a = A[:, :, m : m + 1]
        y = xp.linalg.solve(V[:, m, :, :], a)
        norm = xp.sqrt(xp.sum(xp.real(xp.conj(a) * y), axis=1, keepdims=True))
        rows[m] = xp.conj(xp.permute_dims(y, (0, 2, 1))) / norm
        gains = gains + xp.log(norm[:, 0, 0])
    return xp.concat(rows, axis=1), gains


def _divergence(values: Array, model: Array, beta: float) -> Array:
    """Return the sum of the beta-divergences, in double precision."""
    xp = _backend.namespace(values, model)
    if beta == 2:
        terms = (values - model) ** 2 / 2
    elif beta == 1:
        # 0 log 0 = 0
        ratio = xp.where(values > 0, values / model, xp.ones_like(values))
        terms = values * xp.log(ratio) - values + model
    elif beta == 0:
        ratio = values / model
        terms = ratio - xp.log(ratio) - 1
    else:
        power = model ** (beta - 1)
        terms = values**beta / (beta * (beta - 1)) + power * (model / beta - values / (beta - 1))
    divergence: Array = xp.sum(terms, dtype=xp.float64)
    return divergence


def _energy(values: Array) -> Array:
    xp = _backend.namespace(values)
    energy: Array = xp.sum(values * values, dtype=xp.float64)
    return energy


def _second_difference(differences: Array, axis: int) -> Array:
    """Return the differences of differences, none flowing over the edges."""
    xp = _backend.namespace(differences)
    shape = list(differences.shape)
    shape[axis] = 1
    edge = _zeros(xp, differences, tuple(shape))
    second: Array = xp.concat([differences, edge], axis=axis) - xp.concat([edge, differences], axis=axis)
    return second


def _zeros(xp: Namespace, like: Array, shape: tuple[int, ...]) -> Array:
    zeros: Array = xp.zeros(shape, dtype=like.dtype, device=like.device)
    return zeros


def _swap(xp: Namespace, values: Array) -> Array:
    return xp.permute_dims(values, (0, 2, 1))  # type: ignore[no-any-return]
