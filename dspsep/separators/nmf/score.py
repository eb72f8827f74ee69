"""What a score says of a spectrogram: where the partials of a pitch may lie, and when it may sound.

With f_0 = tuning * 2 ** ((pitch - 69) / 12) and a tolerance r, the template of a pitch begins as

    W[f, k] = m ** -exponent    where |f - m f_0| <= max(r m f_0, two bins), for the least such m;    else 0

and its activation as something from ``onset - onset_tolerance`` to ``onset + duration + offset_tolerance`` of
each of its notes, else 0. Another template, level over all frequencies, is for how the pitch is struck: its
activation is something near onsets alone (Ewert & Mueller 2012). What it is decides nothing for good, but few
iterations do not get far from it: so notes fade as those of a piano do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.errors import InputError
from dspsep.separators.nmf._grouping import RESIDUAL, Groups
from dspsep.separators.nmf.templates import MAX_N_COMPONENTS
from dspsep.sources import check_source_name
from dspsep.stft import STFT

__all__ = ["MAX_N_NOTES", "MAX_SECONDS", "Note", "Tolerances", "checked_notes", "score_start"]

#: Times beyond this, eleven days, are a slip.
MAX_SECONDS = 1e6
MAX_N_NOTES = 100_000
_MAX_TOLERANCE_SECONDS, _MAX_TOLERANCE_CENTS, _MAX_N_PARTIALS = 60.0, 600.0, 10_000
_TUNING = (20.0, 20_000.0)

# The main lobe of a Hann window: a partial is seen so many bins to either side, however well it is in tune.
_LOBE_BINS = 2.0
# How long an attack lasts, and how loud it begins in every bin, in amplitude relative to the fundamental.
_ATTACK_SECONDS, _ATTACK_LEVEL = 0.05, 0.01
# How fast the amplitude of notes falls at the start, while they last and after, and its least value.
_FADE_SECONDS, _RELEASE_SECONDS, _FAINTEST = 2.0, 0.2, 0.03
# What rounding does to times and frequencies that lie on the edge.
_ROUNDING = 1e-9


@final
@dataclass(frozen=True, kw_only=True)
class Note:
    """A note of a score: what is played, when, and by whom.

    Parameters
    ----------
    pitch : float
        In semitones as in MIDI, from 0 to 127: 69 is the A of the tuning, 60 the middle C. Fractions are
        fine.
    onset : float
        When it begins, in seconds from the beginning of the mixture. It may be negative, where the mixture is
        an excerpt.
    duration : float
        How long it is held, in seconds.
    part : str, default="notes"
        Who plays it: the name of a source, as an instrument or a hand.

    Raises
    ------
    InputError
        If one of them is out of range.

    See Also
    --------
    read_midi : The notes of a MIDI file.
    ScoreInformedNMF : Separation of the parts.

    Examples
    --------
    >>> from dspsep import Note
    >>> Note(pitch=60, onset=0.5, duration=1.0, part="left hand")
    Note(pitch=60, onset=0.5, duration=1.0, part='left hand')
    """

    pitch: float
    onset: float
    duration: float
    part: str = "notes"

    def __post_init__(self) -> None:
        pitch, onset, duration = _checks.plain((self.pitch, self.onset, self.duration))
        pitch = _checks.number("pitch", pitch, minimum=0, maximum=127, remedy="The middle C is 60.")
        onset = _checks.number("onset", onset, minimum=-MAX_SECONDS, maximum=MAX_SECONDS)
        # Whole numbers are printed and stored alike, however they were given.
        object.__setattr__(self, "pitch", int(pitch) if pitch.is_integer() else pitch)
        object.__setattr__(self, "onset", onset)
        duration = _checks.number("duration", duration, minimum=0, maximum=MAX_SECONDS)
        object.__setattr__(self, "duration", duration)
        check_source_name(self.part)


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far audio may be from the score; see `score_start`, which documents the fields."""

    tuning: float = 440.0
    n_partials: int | None = None
    pitch_tolerance: float = 50.0
    onset_tolerance: float = 0.05
    offset_tolerance: float = 0.2
    attack: bool = True

    def __post_init__(self) -> None:
        longest = _MAX_TOLERANCE_SECONDS
        _checks.number("tuning", self.tuning, minimum=_TUNING[0], maximum=_TUNING[1])
        if self.n_partials is not None:
            _checks.integer("n_partials", self.n_partials, minimum=1, maximum=_MAX_N_PARTIALS)
        _checks.number("pitch_tolerance", self.pitch_tolerance, minimum=0, maximum=_MAX_TOLERANCE_CENTS)
        _checks.number("onset_tolerance", self.onset_tolerance, minimum=0, maximum=longest)
        _checks.number("offset_tolerance", self.offset_tolerance, minimum=0, maximum=longest)
        if not isinstance(self.attack, bool):
            raise InputError("attack", "True or False", repr(self.attack)[:60])


def score_start(
    notes: Iterable[Note],
    stft: STFT,
    sample_rate: float,
    n_frames: int,
    *,
    exponent: float = 1.0,
    tuning: float = 440.0,
    n_partials: int | None = None,
    pitch_tolerance: float = 50.0,
    onset_tolerance: float = 0.05,
    offset_tolerance: float = 0.2,
    attack: bool = True,
) -> tuple[FloatArray, FloatArray, Groups]:
    """Return templates and activations that are zero where the score says that nothing is.

    What `ScoreInformedNMF` begins with, for those who go on in their own way: with `nmf`, or with
    ``NMF(templates=W, activations=H, groups=groups)``.

    Parameters
    ----------
    notes : iterable of Note
        The score: at least one note.
    stft : STFT
        The transform of the spectrogram.
    sample_rate : float
        In hertz.
    n_frames : int
        How many frames the spectrogram has.
    exponent : float, default=1.0
        What its magnitudes are raised to, from 0.1 to 2.
    tuning : float, default=440.0
        The frequency of pitch 69, in hertz.
    n_partials : int, optional
        How many partials a pitch has; by default all up to half the sampling rate.
    pitch_tolerance : float, default=50.0
        How far partials may be from harmonics, in cents: half a semitone. Never less than two bins.
    onset_tolerance : float, default=0.05
        How much earlier than in the score a note may begin, in seconds; and how much later its attack.
    offset_tolerance : float, default=0.2
        How much longer a note may be heard, in seconds.
    attack : bool, default=True
        Whether each pitch has one more template, for how it is struck.

    Returns
    -------
    W : array of shape (n_freqs, n_components)
        1 / m at the partial m, to the power of `exponent`.
    H : array of shape (n_components, n_frames)
        Zero where nothing sounds. Notes begin at 1 and fall to 1 / e in amplitude in two seconds, and once
        they have ended in 0.2 s; attacks are 1. To the power of `exponent`.
    groups : tuple of (str, tuple of int)
        The parts, in the order in which they are met, and their components: pitches in the order in which
        they are met, each followed by its attack.

    Raises
    ------
    InputError
        If a setting is out of range, or there are no notes or too many.

    See Also
    --------
    ScoreInformedNMF : From audio to audio.

    Notes
    -----
    Notes outside of the frames are left out, and pitches above half the sampling rate have templates of
    zeros, and no attack: nothing can be heard of them. A note between two frames sounds in the nearest.

    References
    ----------
    S. Ewert, M. Müller, "Using score-informed constraints for NMF-based source separation", IEEE
    International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2012, pp. 129-132.
    doi:10.1109/ICASSP.2012.6287834

    Examples
    --------
    >>> from dspsep import STFT, Note, score_start
    >>> score = [Note(pitch=69, onset=0.1, duration=0.2, part="flute")]
    >>> W, H, groups = score_start(score, STFT(1024), 16000, n_frames=60, attack=False)
    >>> W.shape, int((H > 0).sum()), groups
    ((513, 1), 28, (('flute', (0,)),))
    """
    n_partials, attack = _checks.plain((n_partials, attack))
    tolerances = Tolerances(
        tuning=tuning,
        n_partials=n_partials,
        pitch_tolerance=pitch_tolerance,
        onset_tolerance=onset_tolerance,
        offset_tolerance=offset_tolerance,
        attack=attack,
    )
    if not isinstance(stft, STFT):
        raise InputError("stft", "an STFT", repr(stft)[:80], "For example STFT(n_fft=4096).")
    rate = _checks.sample_rate(sample_rate)
    n_frames = _checks.integer("n_frames", n_frames, minimum=1)
    _checks.number("exponent", exponent, minimum=0.1, maximum=2)
    score = checked_notes(notes, attack=attack)
    frequencies = np.arange(stft.n_freqs) * (rate / stft.n_fft)
    templates: list[FloatArray] = []
    activations: list[FloatArray] = []
    parts: dict[str, list[int]] = {}
    for (part, pitch), played in _by_pitch(score):
        template = _harmonic(frequencies, pitch, tolerances)
        templates.append(template)
        activations.append(_spans(played, stft, rate, n_frames, tolerances))
        if attack:
            templates.append(np.full_like(template, _ATTACK_LEVEL if template.any() else 0.0))
            activations.append(_spans(played, stft, rate, n_frames, tolerances, struck=True))
        first = parts.setdefault(part, [])
        first.extend(range(len(templates) - 1 - attack, len(templates)))
    groups = tuple((part, tuple(members)) for part, members in parts.items())
    return np.stack(templates, axis=1) ** float(exponent), np.stack(activations) ** float(exponent), groups


def checked_notes(notes: object, *, attack: bool) -> tuple[Note, ...]:
    """Return notes as a tuple; refuse what are none, none at all, and more than can be worked on."""
    remedy = "For example notes=[Note(pitch=60, onset=0.0, duration=1.0)], or read_midi(path)."
    try:
        score: tuple[Any, ...] = tuple(notes)  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError("notes", "a list of Note", repr(notes)[:60], remedy) from None
    if not score:
        raise InputError("notes", "at least one note", "none", remedy)
    if len(score) > MAX_N_NOTES:
        raise InputError("notes", f"at most {MAX_N_NOTES}", f"{len(score)}")
    for place, note in enumerate(score):
        if not isinstance(note, Note):
            raise InputError(f"notes[{place}]", "a Note", repr(note)[:60], remedy)
        if note.part == RESIDUAL:
            requirement = "of a part named otherwise than what the parts leave over"
            raise InputError(f"notes[{place}]", requirement, repr(note.part))
    n_components = len({(note.part, note.pitch) for note in score}) * (1 + attack)
    if n_components >= MAX_N_COMPONENTS:
        requirement = f"of fewer than {MAX_N_COMPONENTS} templates: pitches of parts, and attacks"
        raise InputError("notes", requirement, f"{n_components}")
    return score


def _by_pitch(score: tuple[Note, ...]) -> Iterator[tuple[tuple[str, float], list[Note]]]:
    """Yield part and pitch, and the notes of it: in the order in which they are met, part by part."""
    found: dict[str, dict[float, list[Note]]] = {}
    for note in score:
        found.setdefault(note.part, {}).setdefault(note.pitch, []).append(note)
    for part, pitches in found.items():
        for pitch, played in pitches.items():
            yield (part, pitch), played


def _harmonic(frequencies: FloatArray, pitch: float, tolerances: Tolerances) -> FloatArray:
    """Return 1 / m for the least m whose partial reaches so far, in every bin; else 0."""
    fundamental = tolerances.tuning * 2.0 ** ((pitch - 69) / 12)
    ratio = 2.0 ** (tolerances.pitch_tolerance / 1200) - 1
    lobe = _LOBE_BINS * float(frequencies[1])
    if fundamental > frequencies[-1]:
        return np.zeros_like(frequencies)
    # The upper edges of partials, m f_0 + max(r m f_0, lobe), rise with m, and so do the lower ones.
    reached = np.minimum((frequencies - lobe) / fundamental, frequencies / (fundamental * (1 + ratio)))
    order = np.maximum(np.ceil(reached - _ROUNDING), 1.0)
    centre = order * fundamental
    inside = frequencies >= centre - np.maximum(ratio * centre, lobe) * (1 + _ROUNDING)
    if tolerances.n_partials is not None:
        inside &= order <= tolerances.n_partials
    return np.where(inside, 1 / order, 0.0)


def _spans(
    played: list[Note],
    stft: STFT,
    sample_rate: float,
    n_frames: int,
    tolerances: Tolerances,
    *,
    struck: bool = False,
) -> FloatArray:
    """Return amplitudes in the frames in which notes of a pitch may sound, or be struck; else 0."""
    level = np.zeros(n_frames)
    rate = sample_rate / stft.hop_length
    early = tolerances.onset_tolerance
    for note in played:
        held = early + _ATTACK_SECONDS if struck else note.duration + tolerances.offset_tolerance
        begin, end = (note.onset - early) * rate, (note.onset + held) * rate
        first, last = math.ceil(begin - _ROUNDING), math.floor(end + _ROUNDING)
        if first > last:
            first = last = round((begin + end) / 2)
        frames = np.arange(max(first, 0), min(last + 1, n_frames))
        since = np.maximum(frames / rate - note.onset, 0.0)
        after = np.maximum(since - note.duration, 0.0)
        faded = np.exp(-since / _FADE_SECONDS - after / _RELEASE_SECONDS)
        level[frames] = np.maximum(level[frames], 1.0 if struck else np.maximum(faded, _FAINTEST))
    return level
