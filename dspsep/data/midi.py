"""MIDI files as scores: the notes, when they sound in seconds, and who plays them."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dspsep.data._reading import existing_file
from dspsep.errors import BackendError, InputError
from dspsep.separators.nmf._grouping import RESIDUAL
from dspsep.separators.nmf.score import MAX_N_NOTES, MAX_SECONDS, Note

__all__ = ["read_midi"]

# Scores of hours have some hundred thousand bytes. What is larger would fill the memory with messages.
_MAX_BYTES = 2_000_000
# A time has four bytes at most, of which all but the last are above 127. One without end would take forever.
_ENDLESS = re.compile(rb"[\x80-\xff]{4096}")
# More ticks between two events than this are no music, and more than a float can count.
_MAX_TICKS = 2**53
_DRUMS, _SUSTAIN, _SOUND_OFF, _RESET, _NOTES_OFF = 9, 64, 120, 121, 123
# The format has 16 bits for their number, of which mido reads the highest as a sign.
_MAX_TRACKS = 2**15 - 1
_DEFAULT_TEMPO = 500_000  # microseconds a beat, 120 beats a minute, until the file says otherwise
_LONGEST_NAME = 80
_KIND = "a MIDI file"


def read_midi(path: object, *, pedal: bool = True) -> tuple[Note, ...]:
    """Read the notes of a MIDI file.

    Parameters
    ----------
    path : str or Path
        A standard MIDI file of at most 2 MB and 100 000 notes, of format 0 or 1. What counts is the content,
        whatever the name ends in.
    pedal : bool, default=True
        Whether the sustain pedal (controller 64) is heeded: notes that it holds last until it is released,
        or until the same key is struck again.

    Returns
    -------
    tuple of Note
        In the order of onsets, and of pitches where these are the same. Parts are named after their tracks.
        Where a track has no name, it is ``track 1``, …, by its place in the file; where it has notes on
        several channels, ``, channel 1``, … is added; where two tracks have one name, their places.

    Raises
    ------
    BackendError
        If mido is not installed: it comes with ``pip install "dspsep[midi]"``.
    InputError
        If the file cannot be read, or has no notes.

    See Also
    --------
    Note : A note of a score.
    ScoreInformedNMF : Separation of its parts.

    Notes
    -----
    Channel 10 is left out: by the General MIDI standard it has drums, whose keys are not pitches. So are
    velocities, and bends of the pitch. A key that is struck again while it sounds ends the note before; notes
    that never end, end with the last event of the file. Changes of tempo on any track are heeded on all; so
    are All Sound Off, All Notes Off (keys are let go; what the pedal holds sounds on), and, for the pedal,
    Reset All Controllers.

    Examples
    --------
    >>> import tempfile
    >>> import mido
    >>> from dspsep import read_midi
    >>> played = [mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=480)]
    >>> song = mido.MidiFile(tracks=[mido.MidiTrack(played)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     song.save(f"{folder}/song.mid")
    ...     read_midi(f"{folder}/song.mid")
    (Note(pitch=60, onset=0.0, duration=0.5, part='track 1'),)
    """
    if not isinstance(pedal, bool):
        raise InputError("pedal", "True or False", repr(pedal)[:60])
    file = existing_file(path, _KIND)
    score = _parsed(file)
    stage = _Stage(pedal=pedal)
    now = 0.0
    for now, track, message in _events(score, file):
        stage.take(track, message, now)
        if stage.n_struck > MAX_N_NOTES:
            raise _refused(file, f"more than {MAX_N_NOTES} notes")
    stage.close(now)
    names = _names(score.tracks, [key for key, voice in stage.voices.items() if voice.notes])
    notes = [
        Note(pitch=pitch, onset=onset, duration=duration, part=names[key])
        for key, voice in stage.voices.items()
        for onset, pitch, duration in voice.notes
    ]
    if not notes:
        raise _refused(file, "no notes but for drums, if any")
    return tuple(sorted(notes, key=lambda note: (note.onset, note.pitch)))


class _Voice:
    """A channel of one track: what sounds, since when, and what has sounded."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._let_go: set[int] = set()
        self.notes: list[tuple[float, int, float]] = []

    def strike(self, pitch: int, now: float) -> None:
        self.end(pitch, now)
        self._since[pitch] = now

    def let_go(self, pitch: int, now: float, *, kept: bool) -> None:
        if not kept:
            self.end(pitch, now)
        elif pitch in self._since:
            self._let_go.add(pitch)

    def let_go_all(self) -> None:
        self._let_go.update(self._since)

    def end(self, pitch: int, now: float) -> None:
        onset = self._since.pop(pitch, None)
        self._let_go.discard(pitch)
        if onset is not None:
            self.notes.append((onset, pitch, now - onset))

    def end_all(self, now: float, *, let_go: bool = False) -> None:
        for pitch in tuple(self._let_go if let_go else self._since):
            self.end(pitch, now)


class _Stage:
    """All voices, and the pedals: one for each channel, on whatever track it is pressed."""

    def __init__(self, *, pedal: bool) -> None:
        self._heeds_pedal = pedal
        self._pressed: set[int] = set()
        self.n_struck = 0
        self.voices: dict[tuple[int, int], _Voice] = {}
        # By channel, and by track: those that may sound, and those that only the pedal may keep sounding. So
        # controllers cost no more than notes do, however many tracks there are.
        self._sounding: defaultdict[int, dict[int, _Voice]] = defaultdict(dict)
        self._kept: defaultdict[int, dict[int, _Voice]] = defaultdict(dict)

    def take(self, track: int, message: Any, now: float) -> None:
        channel = getattr(message, "channel", _DRUMS)
        if channel == _DRUMS:
            return
        if message.type == "control_change":
            self._control(channel, message, now)
        elif message.type == "note_on" and message.velocity:
            voice = self.voices.setdefault((track, channel), _Voice())
            voice.strike(message.note, now)
            self.n_struck += 1
            self._sounding[channel][track] = voice
        elif message.type in ("note_on", "note_off") and track in self._sounding[channel]:
            voice, is_kept = self.voices[track, channel], channel in self._pressed
            voice.let_go(message.note, now, kept=is_kept)
            if is_kept:
                self._kept[channel][track] = voice

    def _control(self, channel: int, message: Any, now: float) -> None:
        if message.control == _NOTES_OFF and channel in self._pressed:
            # Keys are let go, and the pedal keeps what they struck.
            for track, voice in self._sounding[channel].items():
                voice.let_go_all()
                self._kept[channel][track] = voice
        elif message.control in (_SOUND_OFF, _NOTES_OFF):
            for voice in self._sounding.pop(channel, {}).values():
                voice.end_all(now)
        elif message.control == _SUSTAIN and self._heeds_pedal and message.value >= 64:
            self._pressed.add(channel)
        elif message.control in (_SUSTAIN, _RESET):
            self._pressed.discard(channel)
            for voice in self._kept.pop(channel, {}).values():
                voice.end_all(now, let_go=True)

    def close(self, now: float) -> None:
        for voice in self.voices.values():
            voice.end_all(now)


def _parsed(file: Path) -> Any:
    """Return the file as mido reads it."""
    try:
        mido: Any = importlib.import_module("mido")
    except ImportError as error:
        raise BackendError('read_midi needs mido: pip install "dspsep[midi]".') from error
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError("path", "a file that can be read", f"{str(file)!r}: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise _refused(file, f"more than {_MAX_BYTES // 1_000_000} MB")
    if not content.startswith(b"MThd") or _ENDLESS.search(content):
        raise _refused(file, "no MIDI")
    if int.from_bytes(content[10:12], "big") > _MAX_TRACKS:
        raise _refused(file, f"more than {_MAX_TRACKS} tracks")
    damage = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
    try:
        score = mido.MidiFile(file=io.BytesIO(content))
    except (*damage, struct.error, mido.KeySignatureError) as error:
        raise _refused(file, f"damaged: {type(error).__name__} {error}"[:100].strip()) from None
    if score.type not in (0, 1):
        raise _refused(file, f"format {score.type}", "Its tracks have no common time: save it as format 1.")
    return score


def _refused(file: Path, seen: str, remedy: str = "") -> InputError:
    return InputError("path", f"{_KIND} with notes", f"{str(file)!r} ({seen})", remedy)


def _events(score: Any, file: Path) -> Iterator[tuple[float, int, Any]]:
    """Yield seconds, track and message, in the order of time."""
    beat, is_seconds = _ticks(score.ticks_per_beat, file)
    timed: list[tuple[int, int, Any]] = []
    for place, track in enumerate(score.tracks):
        tick = 0
        for message in track:
            tick += message.time
            timed.append((tick, place, message))
    tempo, now, last = _DEFAULT_TEMPO, 0.0, 0
    for tick, place, message in sorted(timed, key=lambda event: event[0]):
        if tick - last > _MAX_TICKS:
            raise _refused(file, "longer than any music")
        now += (tick - last) / beat * (1.0 if is_seconds else tempo / 1e6)
        if now > MAX_SECONDS:
            raise _refused(file, "longer than any music")
        last = tick
        if message.type == "set_tempo":
            tempo = message.tempo
        yield now, place, message


def _ticks(division: int, file: Path) -> tuple[float, bool]:
    """Return how many ticks a beat or a second has, and whether it is a second."""
    if division > 0:
        return float(division), False
    # Negative: frames of film a second in the upper byte, and ticks a frame in the lower one.
    frames, ticks = -(division >> 8), division & 0xFF
    if not frames or not ticks:
        raise _refused(file, "no unit of time")
    return (30_000 / 1001 if frames == 29 else frames) * ticks, True


def _names(tracks: Any, voices: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Return a name for each voice, no two of them alike."""
    said = {place: _clean(tracks[place].name) or f"track {place + 1}" for place, _ in voices}
    n_channels = Counter(place for place, _ in voices)
    n_namesakes = Counter(said.values())
    names: dict[tuple[int, int], str] = {}
    for place, channel in sorted(voices):
        name = said[place]
        if n_namesakes[name] > 1 and name != f"track {place + 1}":
            name = f"{name}, track {place + 1}"
        if n_channels[place] > 1:
            name = f"{name}, channel {channel + 1}"
        while name in names.values():
            name += "'"
        names[place, channel] = name
    return names


def _clean(name: str) -> str:
    """Return what a track is called as far as it can name a source: mido takes all bytes for Latin-1."""
    with contextlib.suppress(UnicodeError):
        name = name.encode("latin-1").decode("utf-8")
    name = "".join(character if character.isprintable() else " " for character in name)
    name = " ".join(name.split())[:_LONGEST_NAME].strip()
    return "" if name == RESIDUAL else name
