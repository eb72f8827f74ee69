"""A voice that sings or speaks: syllables of a pitch, a vowel and a consonant, through a vocal tract.

The source-filter model (Fant, "Acoustic Theory of Speech Production", 1960): pulses of the glottis and
noise of the breath pass through resonances that move from vowel to vowel; hissed consonants bypass them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dspsep._typing import FloatArray
from dspsep.data.scenes._tones import add_at, band, coloured_noise, hertz, pulses

# The first three formants are the men's averages of Peterson & Barney, "Control methods used in a study
# of the vowels", J. Acoust. Soc. Am. 24(2), 1952, DOI 10.1121/1.1906875; the upper two vary little.
VOWELS = {
    "i": (270, 2290, 3010, 3500, 4500),
    "e": (530, 1840, 2480, 3500, 4500),
    "a": (730, 1090, 2440, 3400, 4500),
    "o": (570, 840, 2410, 3300, 4500),
    "u": (300, 870, 2240, 3200, 4500),
    "m": (250, 1100, 2200, 3000, 4300),
}
CONSONANTS = ("", "s", "t", "m", "h")

_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 190.0, 300.0])
_FORMANT_GAINS = np.array([1.0, 0.75, 0.55, 0.55, 0.3])

#: Controls move at this rate in hertz; the ear follows nothing faster in a pitch or a loudness.
_CONTROL_RATE = 1000

_FRAME_SECONDS = 0.024


class Syllable(NamedTuple):
    """One sung note or spoken syllable: times in seconds, pitch in MIDI numbers."""

    onset: float
    duration: float
    pitch: float
    vowel: str
    consonant: str = ""
    accent: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Style:
    """What makes one voice differ from another.

    `tract` stretches the formants (1 for a long vocal tract, 1.2 for a short one); `glide` is how long
    a change of pitch takes in seconds; `vibrato` is its depth in semitones; `wander` is the pitch's
    unrest in semitones; `breath` is noise relative to the voice; `brightness` in hertz is how far the
    glottal pulses reach.
    """

    tract: float = 1.0
    glide: float = 0.09
    vibrato: float = 0.0
    wander: float = 0.1
    breath: float = 0.03
    brightness: float = 1300.0


def utter(
    syllables: list[Syllable],
    n_samples: int,
    sample_rate: float,
    style: Style,
    rng: np.random.Generator,
) -> FloatArray:
    """Return one phrase (n_samples,), with the breath that is taken before it."""
    n_controls = int(n_samples / sample_rate * _CONTROL_RATE) + 2
    times = np.arange(n_controls) / _CONTROL_RATE
    pitch = _pitch(syllables, times, style, rng)
    voiced, breath, hiss = _loudness(syllables, times, style)
    at = np.arange(n_samples) / sample_rate
    excitation = pulses(np.interp(at, times, hertz(pitch)), sample_rate, brightness=style.brightness)
    excitation *= np.interp(at, times, voiced)
    air = coloured_noise(rng, n_samples, sample_rate, band(300, 9000, order=1))
    sound = _through_tract(excitation + air * np.interp(at, times, breath), syllables, sample_rate, style)
    hissed = coloured_noise(rng, n_samples, sample_rate, band(min(5000.0, 0.3 * sample_rate), 11000, order=3))
    return np.asarray(sound + hissed * np.interp(at, times, hiss))


def _pitch(
    syllables: list[Syllable], times: FloatArray, style: Style, rng: np.random.Generator
) -> FloatArray:
    """Return the pitch over time: steps made into glides, a late vibrato, a slow unrest."""
    onsets = np.array([syllable.onset for syllable in syllables])
    current = np.maximum(np.searchsorted(onsets, times, side="right") - 1, 0)
    steps = np.array([syllable.pitch for syllable in syllables])[current]
    # The first note is reached from below, as singers do.
    steps = np.where(times < onsets[0] + 0.03, steps - 1.5, steps)
    pitch = _smooth(steps, style.glide)
    since = times - onsets[current]
    depth = style.vibrato * np.clip((since - 0.18) / 0.25, 0, 1)
    rate = 5.4 + 0.2 * _smooth(rng.standard_normal(len(times)), 0.8) * np.sqrt(0.8 * _CONTROL_RATE)
    pitch = pitch + depth * np.sin(2 * np.pi * np.cumsum(rate) / _CONTROL_RATE)
    unrest = _smooth(rng.standard_normal(len(times)), 0.12) * np.sqrt(0.12 * _CONTROL_RATE)
    return np.asarray(pitch + style.wander * unrest)


def _loudness(
    syllables: list[Syllable], times: FloatArray, style: Style
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how loud over time the voice is, the breath, and the hiss of consonants."""
    voiced, breath, hiss = (np.zeros(len(times)) for _ in range(3))
    for s in syllables:
        within = (times >= s.onset) & (times < s.onset + s.duration)
        fall = 1 - 0.3 * (times[within] - s.onset) / s.duration
        voiced[within] = s.accent * fall
        breath[within] = style.breath * s.accent
        lead = (times >= s.onset - 0.07) & (times < s.onset)
        if s.consonant == "s":
            hiss[lead] += 0.09 * s.accent
            voiced[(times >= s.onset - 0.09) & (times < s.onset + 0.01)] = 0
        elif s.consonant == "t":
            voiced[(times >= s.onset - 0.06) & (times < s.onset + 0.015)] = 0
            hiss[(times >= s.onset - 0.012) & (times < s.onset + 0.012)] += 0.16 * s.accent
        elif s.consonant == "m":
            voiced[lead] = 0.35 * s.accent
        elif s.consonant == "h":
            breath[lead] += 0.12 * s.accent
            voiced[lead] *= 0.3
    inhaled = (times >= syllables[0].onset - 0.32) & (times < syllables[0].onset - 0.1)
    breath[inhaled] += 1.5 * style.breath
    return _smooth(voiced, 0.045), _smooth(breath, 0.06), _smooth(hiss, 0.02)


def _smooth(values: FloatArray, seconds: float) -> FloatArray:
    """Return `values` averaged under an arch of `seconds`, the ends held."""
    n = max(1, round(seconds * _CONTROL_RATE) // 2)
    arch = np.hanning(2 * n + 3)[1:-1]
    padded = np.concatenate([np.full(n, values[0]), values, np.full(n, values[-1])])
    return np.convolve(padded, arch / arch.sum(), mode="valid")


def _through_tract(
    excitation: FloatArray, syllables: list[Syllable], sample_rate: float, style: Style
) -> FloatArray:
    """Return the excitation shaped by the formants, frame by frame, with frames that overlap by half."""
    half = max(2, round(_FRAME_SECONDS / 2 * sample_rate))
    n_frames = -(-len(excitation) // half) + 1
    padded = np.zeros((n_frames + 1) * half)
    padded[half : half + len(excitation)] = excitation
    blocks = padded.reshape(-1, half)
    window = np.sin(np.pi * (np.arange(2 * half) + 0.5) / (2 * half))
    spectra = np.fft.rfft(np.concatenate([blocks[:-1], blocks[1:]], axis=1) * window)
    frequencies = np.fft.rfftfreq(2 * half, 1 / sample_rate)
    spectra *= _tract(frequencies, np.arange(n_frames) * half / sample_rate, syllables, style)
    frames = np.fft.irfft(spectra, 2 * half) * window
    result = np.zeros_like(blocks)
    result[:-1] += frames[:, :half]
    result[1:] += frames[:, half:]
    return result.ravel()[half : half + len(excitation)]


def _tract(frequencies: FloatArray, times: FloatArray, syllables: list[Syllable], style: Style) -> FloatArray:
    """Return the vocal tract's gain (n_frames, n_freqs): a sum of resonances that glide between vowels."""
    knots: list[float] = []
    shapes: list[tuple[int, ...]] = []
    for s in syllables:
        if s.consonant == "m":
            knots += [s.onset - 0.06, s.onset - 0.01]
            shapes += [VOWELS["m"], VOWELS["m"]]
        knots += [s.onset + 0.04, s.onset + max(0.05, s.duration - 0.06)]
        shapes += [VOWELS[s.vowel], VOWELS[s.vowel]]
    order = np.argsort(knots, kind="stable")
    table = np.array(shapes, dtype=float)[order] * style.tract
    gain = np.full((len(times), len(frequencies)), 0.02)
    for formant, (width, level) in enumerate(zip(_BANDWIDTHS, _FORMANT_GAINS, strict=True)):
        centre = np.interp(times, np.array(knots)[order], table[:, formant])[:, None]
        gain += level / np.hypot(1, (frequencies - centre) / (width / 2 * style.tract))
    # Lips radiate low frequencies poorly; what is left below a voice would only be rumble.
    return np.asarray(gain * band(90, 1e9)(frequencies))


def talk(rng: np.random.Generator, talker: int, n_samples: int, sample_rate: float) -> FloatArray:
    """Return speech-like sound (n_samples,) in the voice of one talker: phrases, pauses, no words."""
    low = (0, 1, 0, 1)[talker % 4]
    base = (45.0, 55.5, 48.5, 58.5)[talker % 4] + rng.uniform(-1, 1)
    style = Style(tract=1.0 + 0.15 * low + rng.uniform(-0.03, 0.03), glide=0.12, wander=0.25, breath=0.04)
    track = np.zeros(n_samples)
    clock = float(rng.uniform(0.0, 0.15))
    while clock * sample_rate < n_samples:
        syllables, length = _spoken_phrase(rng, base)
        sound = utter(syllables, max(2, round(length * sample_rate)), sample_rate, style, rng)
        add_at(track, clock, sound, sample_rate)
        clock += length + float(rng.exponential(0.12))
    return track


def _spoken_phrase(rng: np.random.Generator, base: float) -> tuple[list[Syllable], float]:
    """Return three to eight syllables whose pitch falls towards the end, and how long they take."""
    n = int(rng.integers(3, 9))
    clock = 0.12
    syllables = []
    for i in range(n):
        duration = float(rng.uniform(0.11, 0.24)) * (1.4 if i == n - 1 else 1.0)
        accent = float(rng.uniform(0.45, 1.0))
        pitch = base + 3.0 - 5.0 * i / n + 2.5 * accent + float(rng.normal(0, 0.7))
        vowel = "aeiou"[int(rng.integers(5))]
        consonant = CONSONANTS[int(rng.integers(len(CONSONANTS)))]
        syllables.append(Syllable(clock, duration, pitch, vowel, consonant, accent))
        clock += duration + (0.07 if consonant in ("s", "t") else 0.02)
    return syllables, clock + 0.08
