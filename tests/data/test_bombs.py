"""Small files that ask for a lot, large ones that hold nothing, and things that are no files.

Each gets a prompt answer, the same with the decoder in this process and in one of its own.
"""

from __future__ import annotations

import os
import re
import struct
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dspsep import DspsepWarning, InputError, load, separate_file
from dspsep.data import _reading
from dspsep.data.files import audio_info
from tests.data.bombs import BOMBS, MP3, encoded
from tests.data.mutations import sealed
from tests.data.test_files_damaged import wav_bytes
from tests.data.test_separate_file import Halves

#: Seconds. All take below one on a slow core, but machines can be busy.
PROMPT = 20.0

HOW = [False, True] if os.name == "posix" else [False]


def answer(path, *, isolate):
    """Return the samples of a file or the words of its refusal; either must come soon."""
    begun = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        try:
            samples, rate = load(path, isolate=isolate)
        except InputError as error:
            result = str(error)
        else:
            assert np.isfinite(samples).all()
            assert samples.size > 0
            assert 0 < rate <= 768_000
            result = (samples.shape, samples.tobytes())
    assert time.monotonic() - begun < PROMPT
    return result


def answers(path):
    """Return the answer to a file, which must be the same in both ways."""
    first, *others = [answer(path, isolate=isolate) for isolate in HOW]
    assert not isinstance(first, str) or first.isprintable()
    for other in others:
        assert other == first
    return first


#: What players would play of them, whatever else the header says: channels and samples.
PLAYABLE = {
    "a rate of 1": (1, 4000),
    "no block align": (1, 64),
    "a block align of 65535": (1, 64),
    "a byte rate of 0": (1, 64),
    "a byte rate of 2**32 - 1": (1, 64),
    "lists in lists, 20 000 deep": (1, 64),
    "2**32 - 1 cue points": (1, 64),
    "2**32 - 1 loops": (1, 64),
    "a RIFF of no length": (1, 64),
    "AIFF of 65535 markers": (1, 64),
    "FLAC with 20 000 blocks of metadata": (2, 22050),
    "500 Ogg streams one after another": (2, 2205),
}
#: What no decoder should make samples of.
REFUSED = {
    "60 bytes, 4 GiB of channels": "1 to 64 channels|does not decode",
    "1024 channels": "1 to 64 channels|does not decode",
    "2000 channels": "1 to 64 channels|does not decode",
    "a rate of 2**31": "1 to 768000 Hz|does not decode",
    "a rate of 2**32 - 1": "1 to 768000 Hz|does not decode",
    "AIFF at an infinite rate": "1 to 768000 Hz|does not decode",
    "AIFF at a rate of 2**16383": "1 to 768000 Hz|does not decode",
    "AIFF of 65535 channels": "1 to 64 channels|does not decode",
    "0 bits": "does not decode",
    "an unknown coding": "does not decode",
    "Ogg of 100 000 empty pages": "does not decode",
    "a megabyte of 0xff": "no audio format that is known",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path, name):
    path = tmp_path / "a.wav"
    path.write_bytes(BOMBS[name]())
    result = answers(path)
    if name in PLAYABLE:
        assert result[0] == PLAYABLE[name]
    elif name in REFUSED:
        assert re.search(REFUSED[name], result), result


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_what_is_refused_is_closed(tmp_path):
    # A caller that keeps the error keeps all its frames, and with them what was not closed.
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = []
    for name in ("1024 channels", "AIFF at an infinite rate"):
        path = tmp_path / "a.wav"
        path.write_bytes(BOMBS[name]())
        with pytest.raises(InputError) as caught:
            load(path)
        kept.append(caught)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_lists_name_bombs():
    assert PLAYABLE.keys() | REFUSED.keys() <= BOMBS.keys()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "no audio format that is known"),
        (b"fLaC", "does not decode"),
        (b"OggS", "does not decode"),
        (b"RIFF\xff\xff\xff\xffWAVE", "does not decode"),
        (b"ID3\3\0\0\0\0\0\0", "does not decode"),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f", "does not decode"),
        (wav_bytes(b"", claim=2**32 - 100), "at most 8 GB when decoded; got 8.59 GB"),
        (wav_bytes(b"", claim=2**32 - 100, bits=8), "at most 8 GB when decoded; got 17.2 GB"),
    ],
    ids=["nothing", "flac", "ogg", "riff", "id3", "a long id3", "wav", "wav of 8 bits"],
)
def test_five_gigabytes_of_zeros(tmp_path, head, message):
    if (head.endswith(b"WAVE") or head.startswith(b"ID3")) and find_spec("av"):
        pytest.skip("FFmpeg looks for audio in all of it, which takes minutes")
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(5 * 10**9)
    if path.stat().st_blocks * 512 > 10**8:
        pytest.skip("the file system knows no holes")
    assert re.search(message, answers(path))


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices by name")
@pytest.mark.parametrize("isolate", HOW)
def test_things_that_are_no_files(tmp_path, isolate):
    loop = tmp_path / "loop.wav"
    loop.symlink_to(tmp_path / "other.wav")
    (tmp_path / "other.wav").symlink_to(loop)
    assert "path must be a file that can be opened" in answer(loop, isolate=isolate)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "pipe link.wav").symlink_to("pipe.wav")
    for name in ("pipe.wav", "pipe link.wav", "zero.wav"):
        assert "path must be a regular file" in answer(tmp_path / name, isolate=isolate)


# --- memory instead of samples ---


@pytest.mark.parametrize("isolate", HOW)
def test_opus_whose_last_page_begins_before_zero(tmp_path, isolate):
    """What libsndfile makes of it is memory that it never wrote to."""
    data = bytearray(encoded("OGG", "OPUS", 0.5, 16000))
    pages = [place for place in range(len(data)) if data.startswith(b"OggS", place)]
    assert len(pages) == 3, "the audio is on one page"
    struct.pack_into("<I", data, pages[2] + 18, 9)  # pages 2 to 8 are lost
    struct.pack_into("<q", data, pages[2] + 6, 2000)  # fewer samples than are on the page
    path = tmp_path / "a.opus"
    path.write_bytes(sealed(data))
    assert re.search("does not decode|no sample decodes", answer(path, isolate=isolate))


def test_opus_with_a_lost_page_is_read_on(tmp_path):
    data = encoded("OGG", "OPUS", 4.0, 48000)
    pages = [place for place in range(len(data)) if data.startswith(b"OggS", place)]
    assert len(pages) > 5
    path = tmp_path / "a.opus"
    path.write_bytes(data[: pages[3]] + data[pages[4] :])
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        samples, _ = load(path)
    assert samples.shape[1] > 2.5 * 48000


# --- ten minutes of silence in 100 kB ---


@pytest.fixture(scope="module")
def silence(tmp_path_factory):
    path = tmp_path_factory.mktemp("bomb") / "silence.flac"
    with soundfile.SoundFile(path, "w", 44100, 2, "PCM_16", format="FLAC") as file:
        minute = np.zeros((60 * 44100, 2), np.int16)
        for _ in range(10):
            file.write(minute)
    assert path.stat().st_size < 150_000
    return path


@pytest.mark.parametrize("isolate", HOW)
def test_silence_is_refused_by_what_it_decodes_to(silence, monkeypatch, isolate):
    assert audio_info(silence).duration == 600.0
    monkeypatch.setattr(_reading, "MAX_DECODED_BYTES", 4 * 2 * 600 * 44100 - 1)
    with pytest.raises(InputError, match="audio of at most"):
        load(silence, isolate=isolate)
    assert load(silence, mono=True, isolate=isolate)[0].shape == (1, 600 * 44100)
    assert load(silence, offset=599.5, isolate=isolate)[0].shape == (2, 22050)


@pytest.mark.parametrize("isolate", HOW)
def test_a_length_that_the_header_hides(tmp_path, silence, monkeypatch, isolate):
    data = bytearray(silence.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # no length: only decoding tells
    path = tmp_path / "endless.flac"
    path.write_bytes(data)
    monkeypatch.setattr(_reading, "MAX_DECODED_BYTES", 10**7)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"audio of at most 0\.01 GB when decoded; got 0\.0"):
        load(path, isolate=isolate)
    assert time.monotonic() - begun < PROMPT


def test_silence_is_not_separated_without_end(tmp_path, silence, monkeypatch):
    # A file of music is not refused by its length, but this decodes to 2000 times its size.
    monkeypatch.setattr(_reading, "MAX_DECODED_BYTES", 10**6)
    with pytest.raises(InputError, match=r"audio of at most 0\.0\d* GB when decoded"):
        separate_file(silence, tmp_path / "a", Halves())
    assert list(tmp_path.iterdir()) == []


# --- lengths in headers ---


@pytest.mark.parametrize("isolate", HOW)
def test_flac_of_all_the_samples_there_can_be(tmp_path, isolate):
    data = encoded("FLAC", "PCM_16")
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    assert "at most 8 GB when decoded; got 550 GB" in answer(path, isolate=isolate)
    part, _ = load(path, duration=0.25, isolate=isolate)
    assert part.shape == (2, 11025)
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        part, _ = load(path, duration=60.0, isolate=isolate)
    assert part.shape == (2, 22050)


@pytest.mark.parametrize("isolate", HOW)
def test_wav_that_claims_4_gib(tmp_path, isolate):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.arange(32, dtype="<i2").tobytes(), claim=0xFFFFFFF0))
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        samples, _ = load(path, isolate=isolate)
    np.testing.assert_array_equal(samples[0], np.arange(32) / 32768)


@pytest.mark.parametrize("isolate", HOW)
def test_mp3_of_more_frames_than_there_are(tmp_path, isolate):
    data = bytearray(MP3)
    at = max(data.find(b"Xing"), data.find(b"Info"))
    n_frames = struct.unpack_from(">I", data, at + 8)[0]
    struct.pack_into(">I", data, at + 8, 4 * n_frames)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        samples, _ = load(path, isolate=isolate)
    assert 20_000 < samples.shape[1] < 26_000
