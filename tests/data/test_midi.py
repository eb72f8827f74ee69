"""MIDI files: times, tempi, pedals, names of parts, and files that are damaged or hostile."""

from __future__ import annotations

import contextlib
import struct
import sys

import numpy as np
import pytest

from dspsep import BackendError, InputError, Note, ScoreInformedNMF, read_midi
from dspsep.data import midi

pytest.importorskip("mido")


def variable(number):
    """Return an integer in groups of seven bits, the highest first."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(0x80 | (number & 0x7F))
    return bytes(reversed(groups))


def track(*events, name=None):
    """Return a chunk of events, each ticks after the one before, and bytes."""
    title = [(0, b"\xff\x03" + variable(len(name)) + name)] if name is not None else []
    body = b"".join(variable(ticks) + event for ticks, event in [*title, *events, (0, b"\xff\x2f\x00")])
    return b"MTrk" + struct.pack(">L", len(body)) + body


def smf(*tracks, kind=1, division=480):
    return b"MThd" + struct.pack(">LHHh", 6, kind, len(tracks), division) + b"".join(tracks)


def on(pitch, channel=0, velocity=64):
    return bytes([0x90 | channel, pitch, velocity])


def off(pitch, channel=0):
    return bytes([0x80 | channel, pitch, 0])


def control(number, value, channel=0):
    return bytes([0xB0 | channel, number, value])


def tempo(microseconds):
    return b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


@pytest.fixture
def notes_of(tmp_path):
    def read(content, **settings):
        path = tmp_path / "score.mid"
        path.write_bytes(content)
        return [(note.onset, note.duration, note.pitch, note.part) for note in read_midi(path, **settings)]

    return read


def test_notes_have_seconds_pitches_and_parts(notes_of):
    right = track((0, on(72)), (480, off(72)), (480, on(74)), (240, on(74, velocity=0)), name=b"right hand")
    left = track((0, on(48)), (960, off(48)), name=b"left hand")
    # 120 beats a minute unless the file says otherwise.
    assert notes_of(smf(right, left)) == [
        (0.0, 1.0, 48, "left hand"),
        (0.0, 0.5, 72, "right hand"),
        (1.0, 0.25, 74, "right hand"),
    ]
    running = track((0, on(60)), (480, bytes([60, 0])), (480, bytes([62, 50])), (480, bytes([62, 0])))
    assert notes_of(smf(running, kind=0)) == [(0.0, 0.5, 60, "track 1"), (1.0, 0.5, 62, "track 1")]


def test_changes_of_tempo_hold_for_all_tracks(notes_of):
    conductor = track((480, tempo(1_000_000)), (480, tempo(250_000)))
    part = track((0, on(60)), (480, off(60)), (0, on(62)), (480, off(62)), (240, on(64)), (480, off(64)))
    for tracks in ((conductor, part), (part, conductor)):
        found = [(onset, duration) for onset, duration, _, _ in notes_of(smf(*tracks))]
        assert found == [(0.0, 0.5), (0.5, 1.0), (1.625, 0.25)]
    # In the middle of a note.
    long = track((0, on(60)), (960, off(60)))
    assert notes_of(smf(conductor, long)) == [(0.0, 1.5, 60, "track 2")]


@pytest.mark.parametrize(("frames", "ticks", "rate"), [(25, 40, 1000), (29, 100, 100 * 30_000 / 1001)])
def test_times_may_be_in_frames_of_film(notes_of, frames, ticks, rate):
    content = smf(
        track((500, tempo(1)), (0, on(60)), (1000, off(60))),
        division=struct.unpack(">h", bytes([256 - frames, ticks]))[0],
    )
    ((onset, duration, _, _),) = notes_of(content)
    np.testing.assert_allclose((onset, duration), (500 / rate, 1000 / rate))


def test_the_pedal_holds_notes_of_its_channel(notes_of):
    pedal = track((240, control(64, 127)), (1200, control(64, 0)), name=b"pedal")
    part = track(
        (0, on(60)), (0, on(72)), (120, off(72)), (360, off(60)), (240, on(62)), (0, on(60, 1)),
        (240, off(60, 1)), (0, on(64)), (240, on(64)), (120, off(64)), (1200, off(62)),
        (0, on(65)), (240, off(65)), (240, on(36, 9)), name=b"piano",
    )  # fmt: skip
    found = notes_of(smf(pedal, part))
    beat = 0.5 / 480
    assert found == [
        (0.0, 1440 * beat, 60, "piano, channel 1"),  # held by the pedal
        (0.0, 120 * beat, 72, "piano, channel 1"),  # before the pedal
        (720 * beat, 240 * beat, 60, "piano, channel 2"),  # of another channel
        (720 * beat, 1800 * beat, 62, "piano, channel 1"),  # held longer by hand
        (960 * beat, 240 * beat, 64, "piano, channel 1"),  # until it is struck again
        (1200 * beat, 240 * beat, 64, "piano, channel 1"),
        (2520 * beat, 240 * beat, 65, "piano, channel 1"),  # after the pedal
    ]
    plain = notes_of(smf(pedal, part), pedal=False)
    assert [duration for _, duration, pitch, _ in plain if pitch == 60] == [480 * beat, 240 * beat]
    # A pedal that is not quite down is not down.
    half = track((240, control(64, 63)), (1200, control(64, 0)), name=b"pedal")
    assert notes_of(smf(half, part)) == plain


def test_notes_end_by_themselves(notes_of):
    again = track((0, on(60)), (480, on(60)), (480, off(60)), (480, off(60)))
    assert notes_of(smf(again)) == [(0.0, 0.5, 60, "track 1"), (0.5, 0.5, 60, "track 1")]
    never = track((0, on(60)), (0, on(62)), (480, off(62)), (480, b"\xff\x01\x01x"))
    assert notes_of(smf(never)) == [(0.0, 1.0, 60, "track 1"), (0.0, 0.5, 62, "track 1")]
    for number in (120, 123):
        silenced = track(
            (0, on(60)), (0, on(60, 1)), (480, control(number, 0)), (480, off(60)), (0, off(60, 1))
        )
        assert sorted(duration for _, duration, _, _ in notes_of(smf(silenced))) == [0.5, 1.0]
    stray = track(
        (0, off(60)), (0, control(64, 127)), (0, off(61)), (0, on(60)), (480, off(60)), (0, control(64, 0))
    )
    assert notes_of(smf(stray)) == [(0.0, 0.5, 60, "track 1")]


def test_controllers_and_the_pedal(notes_of):
    """Beats of 480 ticks: a key is let go after one, something is said after two, all ends after three."""
    lasts = {}
    for number in (7, 120, 121, 123):
        held = track(
            (0, control(64, 127)), (0, on(60)), (0, on(62)), (480, off(60)), (480, control(number, 0)),
            (480, control(64, 0)), (0, off(62)),
        )  # fmt: skip
        lasts[number] = [duration for _, duration, _, _ in notes_of(smf(held))]
    # The volume ends nothing; silence ends everything, without a pedal the key that was let go; and keys that
    # are all let go are held by the pedal.
    assert lasts == {7: [1.5, 1.5], 120: [1.0, 1.0], 121: [1.0, 1.5], 123: [1.5, 1.5]}


def test_scores_without_end_are_refused(notes_of, monkeypatch):
    monkeypatch.setattr("dspsep.data.midi.MAX_N_NOTES", 3)
    few = track(*[(10, on(60))] * 3)
    assert len(notes_of(smf(few))) == 3
    with pytest.raises(InputError, match="more than 3 notes"):
        notes_of(smf(track(*[(10, on(60))] * 4)))
    with pytest.raises(InputError, match="more than 32767 tracks"):
        notes_of(b"MThd" + struct.pack(">LHHh", 6, 1, 2**15, 480))


def test_drums_are_left_out(notes_of):
    both = track((0, on(36, 9)), (0, on(60)), (480, off(60)), (0, off(36, 9)))
    assert notes_of(smf(both)) == [(0.0, 0.5, 60, "track 1")]
    with pytest.raises(InputError, match="no notes but for drums"):
        notes_of(smf(track((0, on(36, 9)), (480, off(36, 9)))))


NOTE = ((0, on(60)), (480, off(60)))


def test_parts_have_names_that_can_name_sources(notes_of):
    def names(*given):
        return [part for *_, part in sorted(notes_of(smf(*given)), key=lambda note: note[0])]

    def late(place, name):
        return track((480 * place, on(60)), (480, off(60)), name=name)

    assert names(late(0, b"hand"), late(1, b"hand"), late(2, b"other")) == [
        "hand, track 1",
        "hand, track 2",
        "other",
    ]
    assert names(late(0, b"a, track 2"), late(1, b"a"), late(2, b"a")) == [
        "a, track 2",
        "a, track 2'",
        "a, track 3",
    ]
    assert names(late(0, b""), late(1, b"\x00\n "), late(2, b"residual")) == ["track 1", "track 2", "track 3"]
    assert names(late(0, "Flöte".encode()), late(1, "Flöte".encode("latin-1"))) == [
        "Flöte, track 1",
        "Flöte, track 2",
    ]
    assert names(late(0, b"../\x1b[31m\xe2\x80\xae" + b"x" * 500)) == ["../ [31m " + "x" * 71]
    several = notes_of(smf(track(*NOTE, (0, on(60, 4)), (480, off(60, 4)), name=b"song"), kind=0))
    assert [part for *_, part in several] == ["song, channel 1", "song, channel 5"]
    score = [Note(pitch=p, onset=o, duration=d, part=part) for o, d, p, part in several]
    assert ScoreInformedNMF(notes=score).source_names == ("song, channel 1", "song, channel 5", "residual")


GOOD = smf(track(*NOTE, name=b"part"))
DAMAGED = {
    "text": b"not MIDI at all",
    "riff": b"RIFF" + GOOD,
    "header": GOOD[:10],
    "no tracks": smf(),
    "missing track": smf(track(*NOTE))[:10] + b"\x00\x05" + smf(track(*NOTE))[12:],
    "format 2": smf(track(*NOTE), kind=2),
    "format 7": smf(track(*NOTE), kind=7),
    "no ticks": smf(track(*NOTE), division=0),
    "no frames": smf(track(*NOTE), division=-256 * 25),
    "short tempo": smf(track((0, b"\xff\x51\x00"), *NOTE)),
    "bad key": smf(track((0, b"\xff\x59\x02\x7f\x7f"), *NOTE)),
    "running without status": smf(track((0, b"\x3c\x40"))),
    "undefined status": smf(track((0, b"\xf5"))),
    "high data": smf(track((0, b"\x90\xff\xff"))),
    "long message": smf(track((0, b"\xff\x01\xff\xff\xff\x7f"))),
    "endless time": smf(b"MTrk" + struct.pack(">L", 1_900_000) + b"\xff" * 1_900_000),
    "long time": smf(b"MTrk" + struct.pack(">L", 4004) + b"\xff" * 4000 + b"\x00" + on(60)),
    "eleven days": smf(track((0, tempo(0xFFFFFF)), (0xFFFFFFF, on(60)), (0, off(60))), division=1),
    "only rests": smf(track((480, b"\xff\x01\x01x"))),
    "too large": smf(track(*NOTE)) + bytes(2_000_000),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_files_are_refused(notes_of, damage):
    with pytest.raises(InputError) as caught:
        notes_of(DAMAGED[damage])
    assert caught.value.name == "path"
    assert len(str(caught.value)) < 400


def test_whatever_the_bytes_there_are_notes_or_an_error(notes_of):
    rng = np.random.default_rng(0)
    whole = smf(
        track(
            (0, tempo(400_000)),
            (10, b"\xff\x58\x04\x04\x02\x18\x08"),
            (0, b"\xf0\x03\x01\x02\xf7"),
            name=b"map",
        ),
        track((0, control(64, 127)), *NOTE, (480, control(64, 0)), (3, b"\xe0\x00\x40"), name=b"part"),
    )
    assert notes_of(whole)
    for length in range(len(whole)):
        with pytest.raises(InputError):
            notes_of(whole[:length])
    read = 0
    for _ in range(600):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 5)):
            changed[place] = rng.integers(0, 256)
        with contextlib.suppress(InputError):
            read += bool(notes_of(bytes(changed)))
    assert 50 < read < 550


def test_paths_are_checked(tmp_path):
    with pytest.raises(InputError, match="path must be an existing file"):
        read_midi(tmp_path / "nothing.mid")
    with pytest.raises(InputError, match="path must be a file"):
        read_midi(tmp_path)
    with pytest.raises(InputError, match="path must be the path of a MIDI file; got int"):
        read_midi(3)
    (tmp_path / "empty.mid").touch()
    with pytest.raises(InputError, match=r"path must be a MIDI file; got .* which is empty"):
        read_midi(tmp_path / "empty.mid")
    with pytest.raises(InputError, match="pedal must be True or False"):
        read_midi(tmp_path / "nothing.mid", pedal=1)


def test_without_mido_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "score.mid").write_bytes(GOOD)
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(BackendError, match=r'read_midi needs mido: pip install "dspsep\[midi\]"'):
        midi.read_midi(tmp_path / "score.mid")


def test_what_mido_writes_is_read(tmp_path):
    import mido

    file = mido.MidiFile(ticks_per_beat=96)
    for part, pitch in (("flute", 79), ("bassoon", 41)):
        voice = mido.MidiTrack([mido.MetaMessage("track_name", name=part)])
        voice += [
            mido.Message("note_on", note=pitch, time=96),
            mido.Message("note_off", note=pitch, time=192),
        ]
        file.tracks.append(voice)
    file.save(tmp_path / "score.mid")
    assert read_midi(str(tmp_path / "score.mid")) == (
        Note(pitch=41, onset=0.5, duration=1.0, part="bassoon"),
        Note(pitch=79, onset=0.5, duration=1.0, part="flute"),
    )
