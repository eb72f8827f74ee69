"""A song: drums, bass, chords and a singer, who agree on a key and a tempo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dspsep._typing import FloatArray
from dspsep.data.scenes._drums import BAR, STEP, TEMPO, play_drums
from dspsep.data.scenes._scene import Scene, assemble, check_settings, stream
from dspsep.data.scenes._tones import (
    add_at,
    convolve,
    faded_out,
    hertz,
    pan,
    plucked,
    room_tail,
    without_offset,
)
from dspsep.data.scenes._voice import CONSONANTS, Style, Syllable, utter

_CHORD_SECONDS = 8 * STEP
_LOOP = 4 * _CHORD_SECONDS
_PHRASE_STEPS = 32
_RELEASE = 0.08

_NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MAJOR = (0, 2, 4, 5, 7, 9, 11)

# Degrees of the major scale, from zero: the four-chord loops that much popular music stands on.
_PROGRESSIONS = ((5, 3, 0, 4), (0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 5))

# Bass notes of one chord: (step, steps long, scale degree above the root or octave).
_BASS_LINES = (
    ((0, 3, 0), (3, 3, 0), (6, 2, 7)),
    ((0, 4, 0), (4, 2, 4), (6, 2, 0)),
    ((0, 2, 0), (2, 2, 0), (4, 2, 7), (6, 2, 4)),
)

# Rhythms of a phrase of two bars: (step, steps long). Each leaves room to breathe before it.
_RHYTHMS = (
    ((4, 3), (7, 1), (8, 4), (12, 3), (15, 3), (18, 2), (20, 9)),
    ((4, 2), (6, 2), (8, 6), (14, 2), (16, 4), (20, 2), (22, 7)),
    ((4, 4), (8, 4), (12, 2), (14, 2), (16, 10)),
    ((6, 2), (8, 2), (10, 2), (12, 4), (16, 3), (19, 3), (22, 2), (24, 5)),
)

_LEVELS = {"kick": 0.7, "snare": 0.85, "hihat": 0.85, "bass": 0.15, "chords": 0.1, "vocals": 0.5}
_POSITIONS = {"kick": 0.0, "snare": 0.12, "hihat": 0.45, "bass": 0.0, "chords": -0.4, "vocals": 0.0}
_WET = {"chords": 0.45, "vocals": 0.2}

Note = tuple[str, float, float, float]


class _Harmony(NamedTuple):
    """The key as a pitch class, and the four chords of the loop as degrees of its major scale."""

    key: int
    degrees: tuple[int, ...]

    def pitch(self, degree: int) -> int:
        """Return the pitch class number of a scale degree, counted on above the octave."""
        return self.key + _MAJOR[degree % 7] + 12 * (degree // 7)

    def triad(self, chord: int) -> list[int]:
        """Return the pitches of one chord of the loop, root first."""
        return [self.pitch(self.degrees[chord % 4] + third) for third in (0, 2, 4)]

    def name(self, chord: int) -> str:
        """Return a chord's name, such as ``Am``."""
        root, third, _ = self.triad(chord)
        return _NOTE_NAMES[root % 12] + ("m" if third - root == 3 else "")


def _harmony(seed: int) -> _Harmony:
    rng = stream(seed, 10)
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    return _Harmony(int(rng.integers(12)), progression)


def _bass(seed: int, harmony: _Harmony, n_samples: int, rate: float) -> tuple[FloatArray, list[Note]]:
    """Return the bass: the root of each chord, with octaves and fifths, plucked."""
    line = _BASS_LINES[int(stream(seed, 11).integers(len(_BASS_LINES)))]
    track, notes = np.zeros(n_samples), []
    for chord in range(int(n_samples / rate / _CHORD_SECONDS) + 1):
        rng = stream(seed, 11, chord)
        for step, length, degree in line:
            pitch = 28 + (harmony.pitch(harmony.degrees[chord % 4]) - 28) % 12
            pitch += {0: 0, 4: 7, 7: 12}[degree]
            onset = chord * _CHORD_SECONDS + step * STEP + float(np.clip(rng.normal(0.004, 0.003), 0, 0.012))
            duration = length * STEP * 0.94
            n = max(2, round((duration + 0.03) * rate))
            tone = plucked(float(hertz(pitch)), n, rate, damping=0.9, brightness=rng.uniform(330, 400))
            tone *= np.minimum(1, np.arange(n) / (0.005 * rate)) * rng.uniform(0.85, 1.0)
            add_at(track, onset, without_offset(faded_out(tone, rate, 0.04)), rate)
            notes.append(("bass", onset, duration, float(pitch)))
    return track, notes


def _voicing(triad: list[int]) -> list[int]:
    """Return four pitches of a chord around the middle of the keyboard, whatever its root."""
    inside = sorted(55 + (pitch - 55) % 12 for pitch in triad)
    return [*inside, inside[0] + 12]


def _chords(seed: int, harmony: _Harmony, n_samples: int, rate: float) -> tuple[FloatArray, list[Note]]:
    """Return the keyboard (2, n_samples): each chord held, a little out of tune between left and right."""
    track, notes = np.zeros((2, n_samples)), []
    for chord in range(int(n_samples / rate / _CHORD_SECONDS) + 1):
        rng = stream(seed, 12, chord)
        n = max(2, round((_CHORD_SECONDS + _RELEASE) * rate))
        rise = np.minimum(1, np.arange(n) / (0.012 * rate))
        for voice, pitch in enumerate(_voicing(harmony.triad(chord))):
            # A hand does not strike four keys at once: they follow each other within milliseconds.
            onset = chord * _CHORD_SECONDS + 0.003 * voice + float(np.clip(rng.normal(0.003, 0.002), 0, 0.01))
            force = float(rng.uniform(0.85, 1.0))
            for side, cents in enumerate((-2.5, 2.5)):
                frequency = float(hertz(pitch + cents / 100))
                tone = plucked(frequency, n, rate, damping=0.7, brightness=620 * force)
                add_at(track[side], onset, faded_out(force * rise * tone, rate, _RELEASE), rate)
            notes.append(("chords", onset, _CHORD_SECONDS, float(pitch)))
    return track, notes


def _melody(harmony: _Harmony, phrase: int, rng: np.random.Generator) -> list[Syllable]:
    """Return one phrase: chord tones where the bar leans, scale steps between, never twice the same."""
    rhythm = _RHYTHMS[int(rng.integers(len(_RHYTHMS)))]
    scale = [p for p in range(57, 75) if (p - harmony.key) % 12 in (0, 2, 4, 7, 9)]
    pitch = scale[len(scale) // 2 + int(rng.integers(-1, 2))]
    syllables = []
    for step, length in rhythm:
        chord = phrase * (_PHRASE_STEPS // 8) + step // 8
        if step % 8 == 0 or length >= 4:
            tones = [p for p in range(57, 75) if any((p - tone) % 12 == 0 for tone in harmony.triad(chord))]
            near = sorted(tones, key=lambda p: (abs(p - pitch), p))
            pitch = near[int(rng.integers(2))]
        else:
            place = int(np.argmin([abs(p - pitch) for p in scale])) + int(rng.choice([-2, -1, 1, 1]))
            pitch = scale[min(max(place, 0), len(scale) - 1)]
        onset = step * STEP + float(np.clip(rng.normal(0.008, 0.012), -0.02, 0.04))
        vowel = "aeoiu"[int(rng.choice(5, p=[0.3, 0.2, 0.25, 0.15, 0.1]))]
        consonant = CONSONANTS[int(rng.choice(5, p=[0.25, 0.2, 0.15, 0.25, 0.15]))]
        accent = float(rng.uniform(0.8, 1.0))
        syllables.append(Syllable(onset, length * STEP * 0.97, float(pitch), vowel, consonant, accent))
    return syllables


def _vocals(seed: int, harmony: _Harmony, n_samples: int, rate: float) -> tuple[FloatArray, list[Note]]:
    """Return the singer, phrase by phrase, and the notes sung."""
    style = Style(tract=1.12, glide=0.1, vibrato=0.4, wander=0.08, breath=0.035, brightness=1500)
    track, notes = np.zeros(n_samples), []
    seconds = _PHRASE_STEPS * STEP
    for phrase in range(int(n_samples / rate / seconds) + 1):
        rng = stream(seed, 13, phrase)
        syllables = _melody(harmony, phrase, rng)
        sound = utter(syllables, max(2, round(seconds * rate)), rate, style, rng)
        add_at(track, phrase * seconds, sound, rate)
        notes += [("vocals", phrase * seconds + s.onset, s.duration, s.pitch) for s in syllables]
    return track, notes


def _placed(name: str, track: FloatArray, rate: float, rng: np.random.Generator) -> FloatArray:
    """Return a track at its level and place (2, n_samples), in a small room where it has one."""
    gains = _LEVELS[name] * pan(_POSITIONS[name])[:, None]
    placed = gains * track
    if name in _WET:
        mono = track if track.ndim == 1 else track.mean(axis=0)
        placed += _WET[name] * _LEVELS[name] * convolve(mono, room_tail(rng, rate))
    return placed


def song(*, duration: float = 12.0, sample_rate: float = 44100, seed: int = 0) -> Scene:
    """Make a short song in stereo: drums, bass, chords and a singing voice.

    It has what the classical methods listen for. Drums are broadband and brief, chords and bass are
    steady and tonal (HPSS); four chords and a bar of drums come round again while the voice does not
    (REPET, low rank and sparse); each instrument keeps to few spectra (NMF); kick, bass and voice stand
    in the middle, hi-hat and chords beside it (panning methods). And a little of what makes songs hard:
    uneven hands, fills, vibrato and glides, breath, reverberation, spectra that overlap.

    Parameters
    ----------
    duration : float, default=12.0
        In seconds: any, from one sample up. A longer song begins with the shorter one, but for the
        common gain, and goes on: the accompaniment comes round, the melody goes elsewhere.
    sample_rate : float, default=44100
        In hertz, at least 2000. What would lie above half of it is not played.
    seed : int, default=0
        Decides key, chords, groove, melody and every irregularity.

    Returns
    -------
    Scene
        Stereo, in single precision: sources ``kick``, ``snare``, ``hihat``, ``bass``, ``chords`` and
        ``vocals``. Its facts: ``tempo_bpm``; ``bar_seconds``, after which the drums repeat;
        ``period_seconds``, after which the whole accompaniment does; ``key`` and ``chords`` by name;
        ``hits`` of the drums (name, onset, velocity); ``notes`` of the others (name, onset, duration,
        MIDI pitch), in seconds.

    Raises
    ------
    InputError
        If `duration`, `sample_rate` or `seed` is out of range.

    Notes
    -----
    Twelve seconds at 44.1 kHz take about half a second to make. Oscillators are sums of partials below the
    Nyquist frequency, so nothing aliases; every instrument draws from a random stream of its own.

    Examples
    --------
    >>> from dspsep.data.scenes import song
    >>> scene = song(duration=4.0, sample_rate=16000)
    >>> scene
    Scene(kick, snare, hihat, bass, chords, vocals; 2 channels, 64000 samples at 16000 Hz)
    >>> scene.facts["tempo_bpm"], scene.facts["period_seconds"]
    (120.0, 4.0)
    """
    n_samples, rate, number = check_settings(duration, sample_rate, seed)
    harmony = _harmony(number)
    tracks, hits = play_drums(number, n_samples, rate)
    notes: list[Note] = []
    for name, play in (("bass", _bass), ("chords", _chords), ("vocals", _vocals)):
        tracks[name], played = play(number, harmony, n_samples, rate)
        notes += [note for note in played if note[1] * rate < n_samples]
    stems = {
        name: _placed(name, track, rate, stream(number, 14, index))
        for index, (name, track) in enumerate(tracks.items())
    }
    chords = tuple(harmony.name(chord) for chord in range(4))
    key = f"{_NOTE_NAMES[harmony.key]} major"
    return assemble(
        stems,
        rate,
        description=f"A song in {key} at {TEMPO:g} beats a minute: {' '.join(chords)}, repeated every "
        f"{_LOOP:g} s under a voice that does not repeat.",
        facts={
            "tempo_bpm": TEMPO,
            "bar_seconds": BAR,
            "period_seconds": _LOOP,
            "key": key,
            "chords": chords,
            "hits": hits,
            "notes": tuple(sorted(notes, key=lambda note: note[1])),
        },
    )
