"""Where FastMNMF2 begins: at random, or at what another separator makes of the mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.separators.spatial._multichannel import Split, blocks, check_parameters, split
from dspsep.separators.spatial._multichannel_updates import Factors, iterate, matched, model_of

__all__ = ["fitting_image", "from_images", "in_units", "powers_fit", "random_start", "with_given"]

# What a source of the start has of the directions that are not its own.
_ELSEWHERE = 0.05
# Iterations in which the spectra of each source alone are learned.
_N_ITER = 20
# What a direction of one source keeps from those of others, so that there is an inverse.
_APART = 1e-4
# Powers of images below this part of their mean count less: what is there is rounding.
_QUIET = 1e-6
# Scales of spectra beyond which powers are no numbers even in double precision, or leave single precision.
_MAX_SCALE, _SINGLE_SCALE = 2.0**450, 2.0**40
# Sizes of the rows of a Q that is given, and powers of a model that is, for a mixture of power 1: within
# these squares of inverses, times powers of the mixture, are numbers, in single and in double precision.
_ROWS = 1e-8, 1e8
_SINGLE_POWERS, _DOUBLE_POWERS = (1e-14, 1e18), (1e-100, 1e100)


class _Place(NamedTuple):
    """A source's covariance R (n_freqs, n, n) in each frequency, over its own power, and its energy."""

    R: Array
    energy: float


def random_start(data: Split, n_sources: int, n_components: int, seed: int) -> Factors:
    """Return the paper's circular start: each direction belongs to one source, and spectra are random."""
    xp = _backend.namespace(data.parts)
    rng = np.random.default_rng(seed)
    W = rng.random((n_sources, data.n_freqs, n_components))
    H = rng.random((n_sources, n_components, data.n_frames))
    W, H = (xp.astype(_backend.asarray_like(factor, data.parts), data.parts.dtype) for factor in (W, H))
    identity = xp.eye(data.n_channels, dtype=xp.complex128, device=data.parts.device)
    Q = xp.broadcast_to(identity, (data.n_freqs, data.n_channels, data.n_channels))
    return matched(data, Factors(xp.asarray(Q, copy=True), _circular(data, n_sources), W, H))


def powers_fit(data: Split) -> None:
    """Refuse a spectrum whose powers are beyond all numbers."""
    if not 1 / _MAX_SCALE <= data.scale <= _MAX_SCALE:
        got = f"numbers near {1 / data.scale:.0e}"
        raise InputError("X", "a spectrum whose powers are in the range of numbers", got, "Scale it.")


def in_units(data: Split, H: Array) -> Array:
    """Return activations in the units of the spectrum, in double precision if that needs their range."""
    if not 1 / _SINGLE_SCALE <= data.scale <= _SINGLE_SCALE:
        xp = _backend.namespace(H)
        H = xp.astype(H, xp.float64)
    return H / data.scale**2


def with_given(data: Split, start: Factors, given: Mapping[str, Array | None]) -> Factors:
    """Return a start with those factors that a user gives, checked, and scaled to fit unless H is given."""
    xp = _backend.namespace(data.parts)
    fitting = {}
    for name, value in given.items():
        if value is None:
            continue
        like = getattr(start, name)
        checked = check_parameters(name, value, tuple(like.shape), signed=name == "Q")
        if name == "H":
            checked = xp.astype(checked, xp.float64) * data.scale**2
        limit = 1e30 if like.dtype == xp.float32 else 1e100
        largest = _backend.scalar(xp.max(xp.abs(checked)))
        if largest and not 1 / limit <= largest <= limit:
            requirement = f"numbers of which the largest is from {1 / limit:g} to {limit:g}"
            raise InputError(name, requirement, f"{largest:g}")
        fitting[name] = xp.astype(checked, like.dtype)
    if not fitting:
        return start
    start = start._replace(**fitting)
    if "Q" in fitting:
        _check_demixing(start.Q)
    lowest, highest = _SINGLE_POWERS if data.parts.dtype == xp.float32 else _DOUBLE_POWERS
    if "H" not in fitting:
        start = matched(data, start)
    least, most = _extremes(data, start)
    if not (data.silent or lowest <= least <= most <= highest):
        got = f"powers from {least:.0e} to {most:.0e} of the mixture's mean"
        requirement = "a model that is neither nothing nor far too much in any bin"
        raise InputError(", ".join(fitting), requirement, got, "Put small numbers in place of zeros.")
    return start


def _check_demixing(Q: Array) -> None:
    xp = _backend.namespace(Q)
    rows = xp.max(xp.abs(Q), axis=2)
    least, most = (_backend.scalar(find(rows)) for find in (xp.min, xp.max))
    if not _ROWS[0] <= least <= most <= _ROWS[1]:
        raise InputError("Q", "with rows of sizes from 1e-8 to 1e8", f"from {least:.0e} to {most:.0e}")
    if not _backend.scalar(xp.min(xp.linalg.slogdet(Q)[1])) > -np.inf:
        raise InputError("Q", "of matrices that have an inverse", "a singular one")


def _extremes(data: Split, factors: Factors) -> tuple[float, float]:
    """Return the least and the largest of the powers of a model."""
    xp = _backend.namespace(data.parts)
    least, most = np.inf, 0.0
    for part in blocks(data, data.n_channels):
        Y = model_of(factors.W[:, part, :] @ factors.H, factors.g)
        least, most = min(least, _backend.scalar(xp.min(Y))), max(most, _backend.scalar(xp.max(Y)))
    return least, most


def fitting_image(source: Array, samples: Array) -> Array:
    """Return a source that a separator, which may be anyone's, made of samples, if it is like these."""
    found = _backend.as_array("init", source)
    if found.shape != samples.shape:
        got = f"{tuple(found.shape)}"
        raise InputError("init", f"a separator whose sources have the mixture's shape {samples.shape}", got)
    xp = _backend.namespace(found)
    if not _backend.scalar(xp.max(xp.abs(found))) < np.inf:
        raise InputError("init", "a separator whose sources are finite", "NaN or infinite numbers")
    return found


def from_images(data: Split, images: Iterable[Array], n_components: int, seed: int) -> Factors:
    """Return a start from the spectra (n_channels, n_freqs, n_frames) of the images of all sources.

    Spectra are learned from the power of each image alone. The principal directions of the images, of the
    loudest if there are more than channels, are the columns of the inverse of Q; the directivity of a source
    is what it has behind Q, over its power.
    """
    xp = _backend.namespace(data.parts)
    places, all_W, all_H = [], [], []
    for number, image in enumerate(images):
        power = xp.zeros(tuple(image.shape[1:]), dtype=data.parts.dtype, device=data.parts.device)
        for channel in range(image.shape[0]):
            values = image[channel, :, :] * data.scale
            power += xp.real(values) ** 2 + xp.imag(values) ** 2
        power = power / image.shape[0]
        places.append(_place(split(image, scale=data.scale), power))
        del image  # it is as large as the mixture
        W, H = _spectra_of(power, n_components, seed + number)
        all_W.append(W)
        all_H.append(H)
    W, H = xp.concat(all_W, axis=0), xp.concat(all_H, axis=0)
    Q = _demixing(data, places)
    g = []
    for place in places:
        behind = xp.real(xp.sum((Q @ place.R) * xp.conj(Q), axis=2))
        g.append(xp.mean(behind, axis=0))
    directivity = xp.stack(g)
    directivity = directivity / (_backend.scalar(xp.max(directivity)) or 1.0)
    return matched(data, Factors(Q, directivity + _ELSEWHERE**2, W, H))


def _circular(data: Split, n_sources: int) -> Array:
    g = np.full((n_sources, data.n_channels), _ELSEWHERE)
    for m in range(data.n_channels):
        g[m % n_sources, m] = 1
    return _backend.asarray_like(g, data.parts)


def _place(image: Split, power: Array) -> _Place:
    xp = _backend.namespace(power)
    energy = _backend.scalar(xp.sum(power, dtype=xp.float64))
    floor = _QUIET * energy / (power.shape[0] * power.shape[1]) if energy else 1.0
    weights = (1 / (power + floor))[None, :, :]
    R = kernels_for(weights).fastmnmf_covariances(image.parts, weights)[:, 0, :, :]
    return _Place(R / image.n_frames, energy)


def _spectra_of(power: Array, n_components: int, seed: int) -> tuple[Array, Array]:
    """Return W (1, n_freqs, k) and H (1, k, n_frames) of the power of one source."""
    xp = _backend.namespace(power)
    # The model of one channel, in which phases do not matter.
    parts = xp.stack([xp.sqrt(power), xp.zeros_like(power)], axis=1)
    means = xp.sum(power, axis=1, dtype=xp.float64) / power.shape[1]
    mean = _backend.scalar(xp.mean(means))
    noise = _QUIET * (means + mean) if mean else xp.ones_like(means)
    data = Split(parts, noise, mean, 1.0)
    factors, _ = iterate(data, random_start(data, 1, n_components, seed), _N_ITER)
    # The row of Q, which is one number, may differ in size from frequency to frequency.
    squares = xp.real(factors.Q[:, 0, 0]) ** 2 + xp.imag(factors.Q[:, 0, 0]) ** 2
    return factors.W / xp.astype(squares, factors.W.dtype)[None, :, None], factors.H


def _demixing(data: Split, places: list[_Place]) -> Array:
    """Return the inverse of the principal directions of the loudest sources, with others at right angles."""
    xp = _backend.namespace(data.parts)
    n = data.n_channels
    loudest = sorted(range(len(places)), key=lambda number: -places[number].energy)[:n]
    columns = [xp.linalg.eigh(places[number].R)[1][:, :, -1] for number in sorted(loudest)]
    directions = xp.stack(columns, axis=2)
    if len(columns) < n:
        # The left singular vectors of what there is, beyond its rank, are at right angles to it.
        others = xp.linalg.svd(directions, full_matrices=True)[0][:, :, len(columns) :]
        directions = xp.concat([directions, others], axis=2)
    left, sizes, right = xp.linalg.svd(directions)
    # Directions that are the same leave no inverse: none is nearer to another than this.
    sizes = xp.maximum(sizes, _APART * sizes[:, :1])
    left, right = (xp.conj(xp.permute_dims(vectors, (0, 2, 1))) for vectors in (left, right))
    demixing: Array = (right / sizes[:, None, :]) @ left
    return demixing
