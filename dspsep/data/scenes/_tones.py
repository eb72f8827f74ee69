"""What every instrument is made of: band-limited oscillators, coloured noise, envelopes, echoes.

Nothing here can alias. Oscillators are sums of sinusoids that stop below the Nyquist frequency, in closed
form rather than partial by partial: with z = r·exp(iφ), the sum of z^k for k = 1 … K is
z (1 − z^K) / (1 − z) (Moorer, "The synthesis of complex audio spectra by means of discrete summation
formulas", J. Audio Eng. Soc. 24(9), 1976).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dspsep._typing import FloatArray

#: Oscillators stop here, as a fraction of the sampling rate: short of Nyquist by what an attack smears.
BAND_LIMIT = 0.47


def hertz(pitch: FloatArray | float) -> FloatArray:
    """Return the frequency of a MIDI pitch (69 is 440 Hz)."""
    return np.asarray(440.0 * 2.0 ** ((np.asarray(pitch) - 69.0) / 12.0))


def add_at(track: FloatArray, onset: float, sound: FloatArray, sample_rate: float) -> None:
    """Add `sound` to `track` from `onset` in seconds, as much of it as fits."""
    start = round(onset * sample_rate)
    first = max(0, -start)
    n = min(track.shape[-1] - start, sound.shape[-1])
    if n > first:
        track[..., start + first : start + n] += sound[..., first:n]


def plucked(
    frequency: float, n_samples: int, sample_rate: float, *, damping: float, brightness: float
) -> FloatArray:
    """Return a string-like tone: partial k starts at exp(−k·f/brightness) and decays k times as fast.

    `damping` is the decay rate of the first partial in nepers per second, `brightness` is in hertz.
    """
    n_partials = int(BAND_LIMIT * sample_rate / frequency)
    if n_partials < 1:
        return np.zeros(n_samples)
    per_sample = (2j * np.pi * frequency - damping) / sample_rate
    z = _geometric(-frequency / brightness, per_sample, n_samples)
    last = _geometric(-frequency / brightness * n_partials, per_sample * n_partials, n_samples)
    # The partials start as sines, so the tone starts at zero.
    return np.asarray((z * (1 - last) / (1 - z)).imag)


def _geometric(
    log_start: complex, log_ratio: complex, n_samples: int
) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    """Return exp(log_start + n·log_ratio), as products of a coarse and a fine factor.

    Two short tables and one product cost a tenth of an exponential per sample.
    """
    block = 256
    coarse = np.exp(log_start + log_ratio * block * np.arange(-(-n_samples // block)))
    fine = np.exp(log_ratio * np.arange(block))
    return np.outer(coarse, fine).ravel()[:n_samples]


def pulses(frequency: FloatArray, sample_rate: float, *, brightness: float) -> FloatArray:
    """Return a harmonic tone that follows `frequency` (hertz, one a sample), falling by exp(−f/brightness).

    The highest partial fades out before it reaches the band limit, so a rising pitch sheds its partials
    without a click.
    """
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    log_z = -frequency / brightness + 1j * phase
    room = BAND_LIMIT * sample_rate / frequency
    highest = np.maximum(np.floor(room), 1.0)
    z = np.exp(log_z)
    top = np.exp(log_z * highest)
    # z + … + z^(highest-1) in full, and the highest by how far it is from the limit.
    return np.asarray(((z - top) / (1 - z) + np.clip(room - highest, 0, 1) * top).imag)


def coloured_noise(
    rng: np.random.Generator,
    n_samples: int,
    sample_rate: float,
    colour: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Return Gaussian noise of unit RMS whose magnitude spectrum follows `colour` (of hertz), without DC."""
    n_fft = fast_length(n_samples)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples), n_fft)
    spectrum *= colour(np.fft.rfftfreq(n_fft, 1 / sample_rate))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, n_fft)[:n_samples]
    level = float(np.sqrt(np.mean(noise**2)))
    return np.asarray(noise / level if level > 0 else noise)


def band(low: float, high: float, order: int = 2) -> Callable[[FloatArray], FloatArray]:
    """Return a band-pass magnitude: flat from `low` to `high` hertz, 6·order dB an octave outside."""

    def magnitude(frequency: FloatArray) -> FloatArray:
        below = (low / np.maximum(frequency, 1e-3)) ** (2 * order)
        above = (frequency / high) ** (2 * order)
        return np.asarray(1 / np.sqrt((1 + below) * (1 + above)))

    return magnitude


def decay(n_samples: int, sample_rate: float, seconds: float, attack: float = 0.001) -> FloatArray:
    """Return a rise over `attack` seconds, then a fall by 1/e every `seconds`."""
    t = np.arange(n_samples) / sample_rate
    return np.asarray(
        np.exp(-t / seconds) * np.minimum(1.0, (t + 1 / sample_rate) / max(attack, 1 / sample_rate))
    )


def faded_out(sound: FloatArray, sample_rate: float, seconds: float) -> FloatArray:
    """Return `sound` with its last `seconds` faded to zero."""
    n = max(1, min(len(sound), round(seconds * sample_rate)))
    result = sound.copy()
    result[-n:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(n) + 1) / n)
    return result


def without_offset(sound: FloatArray) -> FloatArray:
    """Return a hit that sums to zero: its offset is taken off under a smooth arch, so no step appears."""
    arch = np.sin(np.pi * (np.arange(len(sound)) + 0.5) / len(sound)) ** 2
    return np.asarray(sound - arch * (sound.sum() / arch.sum()))


def pan(position: float) -> FloatArray:
    """Return the gains (2,) of constant power for a position from −1 (left) to 1 (right)."""
    angle = (position + 1) * np.pi / 4
    return np.array([np.cos(angle), np.sin(angle)])


def fast_length(n: int) -> int:
    """Return the least power of two that is at least `n`."""
    return 1 << max(0, n - 1).bit_length()


def convolve(signal: FloatArray, responses: FloatArray) -> FloatArray:
    """Convolve `signal` (n_samples,) with `responses` (…, n_taps), cut to n_samples.

    In blocks of a few times the responses' length: the memory does not grow with the signal's.
    """
    n_samples, n_taps = len(signal), responses.shape[-1]
    n_fft = fast_length(2 * min(n_taps, n_samples) + 2)
    hop = n_fft - min(n_taps, n_samples) + 1
    spectra = np.fft.rfft(responses[..., :n_samples], n_fft)
    result = np.zeros((*responses.shape[:-1], n_samples))
    for start in range(0, n_samples, hop):
        block = np.fft.irfft(spectra * np.fft.rfft(signal[start : start + hop], n_fft), n_fft)
        stop = min(start + n_fft, n_samples)
        result[..., start:stop] += block[..., : stop - start]
    return result


def room_tail(rng: np.random.Generator, sample_rate: float, seconds: float = 0.35) -> FloatArray:
    """Return a stereo reverberation (2, n_taps) of unit energy a channel: echoes, then a decaying tail."""
    n_taps = max(2, round(seconds * sample_rate))
    t = np.arange(n_taps) / sample_rate
    envelope = np.exp(-t / (seconds / 5)) * (t > 0.012)
    tail = np.stack([envelope * coloured_noise(rng, n_taps, sample_rate, band(250, 5000)) for _ in range(2)])
    scale = float(np.sqrt(np.mean(envelope**2))) * np.sqrt(n_taps)
    delays = rng.uniform(0.008, 0.045, (2, 5))
    echoes = np.zeros_like(tail)
    for channel, side in enumerate(delays):
        # Signs alternate, so the echoes add no DC.
        gains = 0.25 * scale * np.array([1, -1, 1, -1, 1]) * (0.01 / side)
        np.add.at(echoes[channel], np.minimum(np.round(side * sample_rate).astype(int), n_taps - 1), gains)
    response = tail + echoes
    return np.asarray(response / np.sqrt(np.sum(response**2, axis=-1, keepdims=True)))
