"""Talkers in a room, heard by several microphones: the image method for a box with equal walls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.data.scenes._mixtures import at_unit_level
from dspsep.data.scenes._scene import Scene, check_channels, check_settings, common_gain, stream
from dspsep.data.scenes._tones import convolve
from dspsep.data.scenes._voice import talk
from dspsep.errors import InputError
from dspsep.sources import Sources

#: Length, width and height in metres: a living room.
ROOM = (5.2, 4.1, 2.7)
SPEED_OF_SOUND = 343.0

_RT60_BOUNDS = (0.05, 1.0)

#: Delays are placed on a grid this many times finer than the samples, linearly between its points: the
#: band below Nyquist loses less than 0.02 dB by it.
_OVERSAMPLING = 16

#: Image sources handled at a time: keeps a long reverberation within some tens of megabytes.
_CHUNK = 1 << 20

#: Samples on either side of a reflection beyond which its band limit leaves less than −60 dB of it.
_MARGIN = 32

_SPACING = 0.05
_DECAY_BIN = 0.001


class _Geometry(NamedTuple):
    """Where things are, in metres: microphones (n_channels, 3) and sources (n_sources, 3)."""

    microphones: FloatArray
    sources: FloatArray

    def distances(self) -> FloatArray:
        """Return the distances (n_channels, n_sources)."""
        between = self.microphones[:, None] - self.sources[None]
        return np.asarray(np.linalg.norm(between, axis=-1))


def _place(rng: np.random.Generator, n_channels: int, n_sources: int) -> _Geometry:
    """Return a line of microphones near the middle, and talkers in the half circle before it."""
    centre = np.array([2.4, 1.5, 1.25]) + rng.uniform(-0.15, 0.15, 3)
    spacing = min(_SPACING, 1.0 / max(1, n_channels - 1))
    offsets = (np.arange(n_channels) - (n_channels - 1) / 2) * spacing
    microphones = centre + offsets[:, None] * np.array([1.0, 0.0, 0.0])
    stray = rng.uniform(-0.2, 0.2, n_sources)
    angles = np.radians(15 + 150 * (np.arange(n_sources) + 0.5 + stray) / n_sources)
    distances = rng.uniform(0.9, 1.3, n_sources)
    heights = rng.uniform(-0.1, 0.35, n_sources)
    directions = np.stack([np.cos(angles) * distances, np.sin(angles) * distances, heights], axis=-1)
    return _Geometry(microphones, centre + directions)


def _axis_images(
    size: float, source: float, microphone: float, reach: float
) -> tuple[FloatArray, FloatArray]:
    """Return where the images lie along one axis, from the microphone, and how often each was reflected.

    Equation (9) of Allen & Berkley: (1 − 2q) x + 2 n L, reflected |n − q| times by the near wall and |n|
    times by the far one.
    """
    furthest = int(np.ceil((reach + size) / (2 * size)))
    n, q = np.meshgrid(np.arange(-furthest, furthest + 1), (0, 1), indexing="ij")
    place = (1 - 2 * q) * source + 2 * n * size - microphone
    return place.ravel(), np.abs(n - q).ravel() + np.abs(n).ravel()


def _images(
    source: FloatArray, microphone: FloatArray, reach: float
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the distances and the numbers of reflections of all images within `reach` metres, in parts."""
    (x, along_x), (y, along_y), (z, along_z) = (
        _axis_images(ROOM[axis], source[axis], microphone[axis], reach) for axis in range(3)
    )
    flat = x[:, None] ** 2 + y**2
    flat_order = (along_x[:, None] + along_y)[flat < reach**2]
    flat = flat[flat < reach**2]
    rows = max(1, _CHUNK // max(1, len(flat)))
    for start in range(0, len(z), rows):
        squared = z[start : start + rows, None] ** 2 + flat
        inside = squared < reach**2
        yield np.sqrt(squared[inside]), (along_z[start : start + rows, None] + flat_order)[inside]


def _reflection(source: FloatArray, microphone: FloatArray, rt60: float) -> float:
    """Return the reflection coefficient of the walls with which this room decays by 60 dB in `rt60`.

    Sabine's and Eyring's formulas are off by tens of per cent in a box with equal walls, whose decay is
    not diffuse. Here the energies of the images themselves are added up by time and number of
    reflections, once; the decay for any coefficient follows from that table, and bisection finds it.
    """
    reach = SPEED_OF_SOUND * rt60 * 1.1
    n_bins = int(reach / SPEED_OF_SOUND / _DECAY_BIN) + 1
    table: FloatArray = np.zeros((1, n_bins))
    for distance, order in _images(source, microphone, reach):
        place = (distance / SPEED_OF_SOUND / _DECAY_BIN).astype(np.intp)
        n_orders = max(len(table), int(order.max()) + 1)
        added = np.bincount(order * n_bins + place, 1 / distance**2, n_orders * n_bins)
        table = np.pad(table, ((0, n_orders - len(table)), (0, 0))) + added.reshape(n_orders, n_bins)
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        # Without the direct sound, which is no part of the decay.
        energy = middle ** (2.0 * np.arange(1, len(table))) @ table[1:]
        low, high = (middle, high) if _decay_time(energy, _DECAY_BIN) < rt60 else (low, middle)
    return low


def _decay_time(energy: FloatArray, step: float) -> float:
    """Return the time of a decay by 60 dB, from its slope between −5 and −35 dB (Schroeder 1965)."""
    left = np.cumsum(energy[::-1])[::-1]
    level = 10 * np.log10(np.maximum(left / left[0], 1e-12))
    inside = (level <= -5) & (level >= -35)
    if np.count_nonzero(inside) < 3:
        return 0.0
    slope = np.polyfit(np.flatnonzero(inside) * step, level[inside], 1)[0]
    return float(-60 / slope)


def _response(
    source: FloatArray, microphone: FloatArray, reflection: float, n_taps: int, sample_rate: float
) -> FloatArray:
    """Return one impulse response (n_taps,): every image at its exact delay, within the band there is."""
    # The band limit spreads a reflection to both sides; what that puts before time zero comes back at the
    # end of the padding, and is cut off with it.
    n_padded = n_taps + 2 * _MARGIN
    n_fine = n_padded * _OVERSAMPLING
    fine = np.zeros(n_fine)
    reach = (n_taps - _MARGIN) * SPEED_OF_SOUND / sample_rate
    for distance, order in _images(source, microphone, reach):
        place = distance * (sample_rate * _OVERSAMPLING / SPEED_OF_SOUND)
        whole = place.astype(np.intp)
        # Walls that keep the sign would pile up all images at the lowest frequencies, as no room does:
        # Allen & Berkley take that off with a high-pass, here the sign alternates.
        gain = (-reflection) ** order / distance
        part = place - whole
        fine += np.bincount(whole, gain * (1 - part), n_fine)
        fine += np.bincount(whole + 1, gain * part, n_fine)
    spectrum = np.fft.rfft(fine)[: n_padded // 2 + 1]
    # The upper fifth of the band fades out, or each reflection would ring for a hundred samples.
    fade = np.clip((np.fft.rfftfreq(n_padded) - 0.4) / 0.1, 0, 1)
    return np.fft.irfft(spectrum * (0.5 + 0.5 * np.cos(np.pi * fade)), n_padded)[:n_taps]


def _check_rt60(value: object) -> float:
    low, high = _RT60_BOUNDS
    rt60 = _checks.number("rt60", value, minimum=low)
    if rt60 > high:
        raise InputError("rt60", f"at most {high:g} seconds", f"{rt60:g}", "A living room has 0.3 to 0.6.")
    return rt60


def reverberant(
    *,
    n_sources: int = 2,
    n_channels: int = 2,
    duration: float = 5.0,
    sample_rate: float = 16000,
    rt60: float = 0.15,
    seed: int = 0,
) -> Scene:
    """Make a recording of several talkers in a room, by a line of microphones five centimetres apart.

    The model of FDICA, AuxIVA, ILRMA, FastMNMF and CACGMM: convolutive mixtures of speech.

    Parameters
    ----------
    n_sources : int, default=2
        Talkers, each with a pitch and a vocal tract of its own, about a metre from the microphones and
        spread over the half circle before them. Syllables, hisses and pauses; no words.
    n_channels : int, default=2
        Microphones, at most 64. More than 21 move closer, to stay within a metre.
    duration : float, default=5.0
        In seconds: any, from one sample up.
    sample_rate : float, default=16000
        In hertz, at least 2000.
    rt60 : float, default=0.15
        Seconds in which the reverberation falls by 60 dB, from 0.05 (a studio) to 1.
    seed : int, default=0
        Decides the talkers, what they utter and where all stand.

    Returns
    -------
    Scene
        In single precision: sources ``source_1``, ``source_2``, … as images (n_channels, n_samples) at the
        microphones; `mixing`, the impulse responses (n_channels, n_sources, n_taps); `dry`, the talkers.
        Its facts: ``rt60``, ``reflection`` (the coefficient of all walls), ``room``, ``microphones``,
        ``sources`` and ``distances`` (n_channels by n_sources) in metres, ``speed_of_sound``.

    Raises
    ------
    InputError
        If a setting is out of range.

    Notes
    -----
    Cost: the number of image sources, which grows with the cube of `rt60`: some ten thousand for each pair
    at 0.15 s, three million at 1 s. Deviations from the paper: delays are fractional (on a grid sixteen times
    finer than the samples) rather than rounded; walls turn the sign, which instead of a high-pass keeps the
    images from piling up at the lowest frequencies; and the walls' coefficient is solved for from the images
    themselves, not from Eyring's formula. Images later than `rt60` after the direct sound are left out.

    References
    ----------
    J. B. Allen and D. A. Berkley, "Image method for efficiently simulating small-room acoustics", J. Acoust.
    Soc. Am. 65(4), 1979. DOI 10.1121/1.382599

    Examples
    --------
    >>> from dspsep.data.scenes import reverberant
    >>> scene = reverberant(duration=1.0, rt60=0.1)
    >>> scene.mixture.shape, scene.mixing.shape[:2]
    ((2, 16000), (2, 2))
    """
    n_samples, rate, number = check_settings(duration, sample_rate, seed)
    count = _checks.integer("n_sources", n_sources, minimum=1)
    channels = check_channels(n_channels)
    decay_time = _check_rt60(rt60)
    geometry = _place(stream(number, 31), channels, count)
    distances = geometry.distances()
    n_taps = int((decay_time + distances.max() / SPEED_OF_SOUND) * rate) + _MARGIN
    reflection = _reflection(geometry.sources[0], geometry.microphones[0], decay_time)
    responses = np.stack(
        [[_response(s, m, reflection, n_taps, rate) for s in geometry.sources] for m in geometry.microphones]
    ).astype(np.float32)
    talkers = [talk(stream(number, 30, index), index, n_samples, rate) for index in range(count)]
    dry = at_unit_level(np.stack(talkers))
    images = np.stack([convolve(dry[index], responses[:, index]) for index in range(count)])
    gain = common_gain(images.sum(axis=0))
    audio = {f"source_{index + 1}": (gain * image).astype(np.float32) for index, image in enumerate(images)}
    sources = Sources.from_dict(audio, rate)
    return Scene(
        mixture=sources.mixture(),
        sources=sources,
        sample_rate=rate,
        mixing=responses,
        dry=(gain * dry).astype(np.float32),
        description=f"{count} talkers and {channels} microphones in a room that decays in {decay_time:g} s.",
        facts={
            "rt60": decay_time,
            "reflection": reflection,
            "room": ROOM,
            "microphones": tuple(map(tuple, geometry.microphones.tolist())),
            "sources": tuple(map(tuple, geometry.sources.tolist())),
            "distances": tuple(map(tuple, distances.tolist())),
            "speed_of_sound": SPEED_OF_SOUND,
        },
    )
