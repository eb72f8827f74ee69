"""What the refiners of phase share: norms of half spectra, phasors, and the way through the channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = [
    "Report",
    "bin_weights",
    "by_channel",
    "check_finite",
    "check_n_iter",
    "check_power",
    "check_stft",
    "energy",
    "inner",
    "laid_out",
    "phasors",
    "positive",
    "reported",
    "root",
    "stacked",
]

#: Told the iteration and the loss; True ends the iterations.
Report: TypeAlias = Callable[[int, float], bool]
#: From the spectrogram of one channel and its estimates, each (1, n_samples), to others.
Refinement: TypeAlias = Callable[[Spectrogram, list[Array], Report], list[Array]]

# Iterations beyond this are a slip.
MAX_N_ITER = 1_000_000


def check_stft(stft: object) -> STFT:
    """Return `stft` if it is one."""
    if not isinstance(stft, STFT):
        raise InputError("stft", "an STFT", repr(stft)[:80], "For example STFT(n_fft=2048).")
    return stft


def check_n_iter(n_iter: object, minimum: int = 0) -> int:
    """Return a number of iterations."""
    return _checks.integer("n_iter", n_iter, minimum=minimum, maximum=MAX_N_ITER)


def check_power(power: object) -> float:
    """Return the power of magnitudes that shares are of."""
    remedy = "1 compares magnitudes, 2 energies."
    return _checks.number("power", power, minimum=0, above=True, maximum=4, remedy=remedy)


def check_finite(name: str, values: Array) -> None:
    """Refuse numbers that are infinite, or none."""
    xp = _backend.namespace(values)
    if not _backend.scalar(xp.all(xp.isfinite(values))):
        raise InputError(name, "finite", "values that are infinite, or no numbers")


def positive(name: str, values: object) -> Array:
    """Return `values` as real floating numbers, if they are finite and not negative."""
    array = _backend.real_floating(name, values)
    xp = _backend.namespace(array)
    # One trip from the device for both ends; not a number fails both comparisons.
    low, high = _backend.to_host(xp.stack((xp.min(array), xp.max(array)))) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= float(xp.finfo(array.dtype).max)):
        raise InputError(name, "finite and not negative", f"values from {low:g} to {high:g}")
    return array


def bin_weights(stft: STFT, like: Array) -> Array:
    """Return how often each bin of a half spectrum stands in the whole one, (n_freqs, 1).

    Only so weighted is the inner product that of whole spectra, in which the transform of the inverse is an
    orthogonal projection.
    """
    xp = _backend.namespace(like)
    real = xp.float32 if like.dtype in (xp.complex64, xp.float32) else xp.float64
    weights: Array = xp.full((stft.n_freqs, 1), 2.0, dtype=real, device=like.device)
    weights[0, 0] = 1.0
    if stft.n_fft % 2 == 0:
        weights[-1, 0] = 1.0
    return weights


def inner(A: Sequence[Array], B: Sequence[Array], weights: Array) -> float:
    """Return the real inner product of half spectra, source by source, summed in double precision."""
    xp = _backend.namespace(*A)
    sums = []
    for a, b in zip(A, B, strict=True):
        products = (xp.real(a) * xp.real(b) + xp.imag(a) * xp.imag(b)) * weights
        sums.append(xp.sum(products, dtype=xp.float64))
    return _backend.scalar(sum(sums[1:], start=sums[0]))


def energy(A: Array, weights: Array) -> Array:
    """Return the squared norm of real half spectra, summed in double precision, where they live."""
    xp = _backend.namespace(A)
    total: Array = xp.sum(A**2 * weights, dtype=xp.float64)
    return total


def root(energies: Sequence[Array]) -> float:
    """Return the norm that energies sum to, in one trip from the device."""
    return float(_backend.scalar(sum(energies[1:], start=energies[0])) ** 0.5)


def phasors(values: Array) -> Array:
    """Return complex numbers of modulus one with the phases of `values`, 1 where these are nearly nothing."""
    xp = _backend.namespace(values)
    modulus = xp.abs(values)
    # What is divided by numbers below the smallest normal one may overflow.
    none = modulus < xp.finfo(modulus.dtype).smallest_normal
    moduli = xp.where(none, xp.ones_like(modulus), modulus)
    units: Array = xp.where(none, xp.ones_like(values), values / moduli)
    return units


def reported(callback: Callback | None, stage: str, n_iter: int, unit: float = 1.0) -> Report:
    """Return a function of iteration and loss, in a unit, that tells `callback`, and returns True to end."""

    def report(iteration: int, loss: float) -> bool:
        if callback is None:
            return False
        progress = Progress(stage=stage, iteration=iteration, n_iterations=n_iter, loss=loss * unit)
        return callback(progress) is True

    return report


def by_channel(
    mixture: Array, sources: Sources, stft: STFT, n_iter: int, callback: Callback | None, refine: Refinement
) -> Sources:
    """Refine every channel by itself, at a level of one, and share what is missing to the mixture equally."""
    audio = _audio.mixture_of(mixture)
    xp = _backend.namespace(audio.samples, *sources.values())
    n_channels = audio.samples.shape[0]
    names = sources.names
    shape = tuple(audio.restore(audio.samples).shape)
    if sources.shape != shape:
        raise InputError("sources", f"of the shape of the mixture, {shape}", f"{sources.shape}")
    refined: dict[str, list[Array]] = {name: [] for name in names}
    for channel in range(n_channels):
        x = audio.samples[channel : channel + 1, ...]
        stage = "refine" if n_channels == 1 else f"refine channel {channel + 1} of {n_channels}"
        report = reported(callback, stage, n_iter)
        level = _backend.scalar(xp.max(xp.abs(x)))
        if level == 0.0:
            # Whatever the estimates are, they cancel: there is no telling them apart.
            report(0, 0.0)
            s = [xp.zeros_like(x) for _ in names]
        else:
            given = [_channel(sources[name], channel, audio) / level for name in names]
            X = stft._forward(x / level, sources.sample_rate, mono=True)
            s = [estimate * level for estimate in refine(X, given, report)]
        missing = (x - sum(s[1:], start=s[0])) / len(names)
        for name, estimate in zip(names, s, strict=True):
            refined[name].append(estimate + missing)
    arrays = {name: audio.restore(xp.concat(parts, axis=0)) for name, parts in refined.items()}
    return Sources(arrays, sources.sample_rate, sources.model, sources.provenance)


def laid_out(values: Array, X: Array) -> Array:
    """Return real numbers of the shape of a spectrogram in its precision and its order in memory."""
    xp = _backend.namespace(values, X)
    result: Array = xp.zeros_like(xp.real(X))
    result[...] = xp.astype(values, result.dtype, copy=False)
    return result


def stacked(name: str, values: object, X: Spectrogram) -> Array:
    """Return numbers of sources, (n_sources, n_channels, n_freqs, n_frames), if they fit a spectrogram."""
    if not isinstance(X, Spectrogram):
        raise InputError("X", "a Spectrogram", repr(X)[:80], "Made by STFT.forward.")
    array = positive(name, values)
    expected = tuple(X.values.shape)
    if array.ndim != 4 or not array.shape[0] or tuple(array.shape[1:]) != expected:
        raise InputError(name, f"of shape (n_sources, *{expected})", f"{tuple(array.shape)}")
    return array


def _channel(source: Array, channel: int, audio: _audio.Mixture) -> Array:
    samples = source[None, :] if audio.mono else source[channel : channel + 1, ...]
    return _audio.times_power_of_two(samples, audio.exponent) if audio.exponent else samples
