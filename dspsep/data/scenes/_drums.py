"""A drum kit, a groove with a drummer's unevenness, and the scene that is only that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dspsep._typing import FloatArray
from dspsep.data.scenes._scene import Scene, assemble, check_settings, stream
from dspsep.data.scenes._tones import add_at, band, coloured_noise, decay, faded_out, without_offset

TEMPO = 120.0
STEP = 60.0 / TEMPO / 4
BAR = 16 * STEP

#: Every fourth bar ends in a fill.
FILL_EVERY = 4

#: Later by this part of a step: every second sixteenth. Less than a shuffle, more than a machine.
_SWING = 0.16

_KIT = ("kick", "snare", "hihat")

# One bar of sixteenths each: the velocities of a groove, from 0 to 9.
_GROOVES = (
    {"kick": "9000009090000000", "snare": "0000900200008002", "hihat": "8040703080407050"},
    {"kick": "9002000080900000", "snare": "0000900000208000", "hihat": "8050705080507052"},
    {"kick": "9000000590005000", "snare": "0000800002009000", "hihat": "8343734383437343"},
)
_FILL = {"kick": "9000", "snare": "4678", "hihat": "0000"}


class Hit(NamedTuple):
    """One stroke: when it falls in seconds, how hard (1 is a full stroke), and whether the hi-hat is open."""

    onset: float
    velocity: float
    is_open: bool = False


def groove(seed: int) -> dict[str, str]:
    """Return the groove that belongs to a seed."""
    return _GROOVES[int(stream(seed, 0).integers(len(_GROOVES)))]


def bar_of_hits(seed: int, name: str, bar: int, rng: np.random.Generator) -> list[Hit]:
    """Return what one drum plays in one bar, with the timing and the force of a hand."""
    steps = groove(seed)[name]
    if bar % FILL_EVERY == FILL_EVERY - 1:
        steps = steps[:12] + _FILL[name]
    lateness = np.clip(rng.normal(0.0, 0.003, 16), -0.008, 0.008)
    force = np.clip(rng.normal(1.0, 0.08, 16), 0.75, 1.25)
    hits = []
    for step, digit in enumerate(steps):
        if digit == "0":
            continue
        onset = bar * BAR + (step + _SWING * (step % 2)) * STEP + lateness[step]
        is_open = name == "hihat" and step == 14 and bar % 2 == 1
        hits.append(Hit(max(0.0, float(onset)), int(digit) / 9 * float(force[step]), is_open))
    return hits


def kick(sample_rate: float, velocity: float, rng: np.random.Generator) -> FloatArray:
    """Return a bass drum: a skin whose pitch falls as it settles, and the beater's click."""
    n = max(2, round(0.3 * sample_rate))
    t = np.arange(n) / sample_rate
    frequency = 50 + 160 * np.exp(-t / 0.03)
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    skin = np.sin(phase) * decay(n, sample_rate, 0.065, 0.001)
    skin += 0.25 * np.sin(2 * phase) * decay(n, sample_rate, 0.03, 0.001)
    click = coloured_noise(rng, n, sample_rate, band(400, 4500)) * decay(n, sample_rate, 0.006)
    return without_offset(faded_out(velocity * (skin + 0.3 * velocity * click), sample_rate, 0.05))


def snare(sample_rate: float, velocity: float, rng: np.random.Generator) -> FloatArray:
    """Return a snare drum: two modes of the skin, and wires that rattle longer the harder it is hit."""
    n = max(2, round(0.35 * sample_rate))
    t = np.arange(n) / sample_rate
    skin = np.sin(2 * np.pi * 187 * t) * decay(n, sample_rate, 0.045)
    skin += 0.6 * np.sin(2 * np.pi * 331 * t) * decay(n, sample_rate, 0.035)
    wires = coloured_noise(rng, n, sample_rate, band(1300, 8500))
    wires *= decay(n, sample_rate, 0.05 + 0.035 * velocity)
    return without_offset(faded_out(velocity * (0.4 * skin + 0.32 * wires), sample_rate, 0.05))


def hihat(
    sample_rate: float, velocity: float, rng: np.random.Generator, *, is_open: bool = False
) -> FloatArray:
    """Return a hi-hat: noise above seven kilohertz, coloured by the many modes of two plates.

    At low rates the plates move down, to the upper half of the band there is: a duller hi-hat, not none.
    """
    n = max(2, round((0.5 if is_open else 0.16) * sample_rate))
    low = min(7000.0, 0.28 * sample_rate)
    modes = low * np.array([1.0, 1.13, 1.31, 1.46, 1.78, 2.07, 2.35])

    def plates(frequency: FloatArray) -> FloatArray:
        ring = (0.4 / np.hypot(1, (frequency[:, None] - modes) / (0.01 * modes))).sum(-1) + 0.35
        return np.asarray(ring * band(low, 14000, order=4)(frequency))

    sound = coloured_noise(rng, n, sample_rate, plates)
    sound *= decay(n, sample_rate, 0.16 if is_open else 0.022 + 0.014 * velocity)
    return without_offset(faded_out(0.25 * velocity * sound, sample_rate, 0.03))


def play_drums(
    seed: int, n_samples: int, sample_rate: float
) -> tuple[dict[str, FloatArray], tuple[tuple[str, float, float], ...]]:
    """Return each drum's track (n_samples,), and its hits as (name, onset in seconds, velocity)."""
    tracks: dict[str, FloatArray] = {name: np.zeros(n_samples) for name in _KIT}
    played = []
    for bar in range(int(n_samples / sample_rate / BAR) + 1):
        for index, name in enumerate(_KIT):
            rng = stream(seed, 1 + index, bar)
            for hit in bar_of_hits(seed, name, bar, rng):
                if name == "hihat":
                    sound = hihat(sample_rate, hit.velocity, rng, is_open=hit.is_open)
                else:
                    sound = (kick if name == "kick" else snare)(sample_rate, hit.velocity, rng)
                add_at(tracks[name], hit.onset, sound, sample_rate)
                if hit.onset * sample_rate < n_samples:
                    played.append((name, hit.onset, hit.velocity))
    return tracks, tuple(sorted(played, key=lambda hit: hit[1]))


def drum_loop(*, duration: float = 8.0, sample_rate: float = 44100, seed: int = 0) -> Scene:
    """Make a mono loop of kick, snare and hi-hat.

    One bar of two seconds is repeated with small differences of timing, force and noise; the hi-hat
    opens at the end of every second bar, and every fourth ends in a fill. For templates (NMF, NMFD) and
    for everything that follows onsets.

    Parameters
    ----------
    duration : float, default=8.0
        In seconds: any, from one sample up. A longer loop begins with the shorter one, but for the
        common gain.
    sample_rate : float, default=44100
        In hertz, at least 2000.
    seed : int, default=0
        Decides the groove and the hand that plays it.

    Returns
    -------
    Scene
        Mono, in single precision: sources ``kick``, ``snare`` and ``hihat``. Its facts are
        ``tempo_bpm``, ``period_seconds`` (a bar) and ``hits``: (name, onset in seconds, velocity).

    Raises
    ------
    InputError
        If `duration`, `sample_rate` or `seed` is out of range.

    Examples
    --------
    >>> from dspsep.data.scenes import drum_loop
    >>> scene = drum_loop(duration=4.0, sample_rate=16000)
    >>> scene.mixture.shape, scene.facts["period_seconds"]
    ((64000,), 2.0)
    """
    n_samples, rate, number = check_settings(duration, sample_rate, seed)
    tracks, hits = play_drums(number, n_samples, rate)
    return assemble(
        {"kick": 0.9 * tracks["kick"], "snare": 0.9 * tracks["snare"], "hihat": tracks["hihat"]},
        rate,
        description="A drum kit in mono: kick, snare and hi-hat, one bar repeated by an uneven hand.",
        facts={"tempo_bpm": TEMPO, "period_seconds": BAR, "hits": hits},
    )
