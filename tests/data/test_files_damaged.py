"""Files that are not what they seem: each is decoded as far as it goes, or refused by a clear error."""

from __future__ import annotations

import os
import re
import struct
import warnings

import numpy as np
import pytest
import soundfile

from dspsep.data import _reading
from dspsep.data._content import content_of, ogg_tail
from dspsep.data.files import audio_info, load, save
from dspsep.errors import DspsepWarning, InputError
from tests.data.test_files import correlation, tone

FORMATS = [("wav", 44100), ("flac", 44100), ("ogg", 44100), ("opus", 48000), ("mp3", 44100), ("aiff", 44100)]


def wav_bytes(
    data: bytes, *, claim: int | None = None, channels: int = 1, rate: int = 44100, bits: int = 16
) -> bytes:
    """Return a PCM file by hand, with a header that may lie."""
    size = len(data) if claim is None else claim
    frame = channels * bits // 8
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * frame % 2**32, frame, bits)
    riff = min(size + 36, 2**32 - 1)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size) + data


# --- no audio at all ---


@pytest.mark.core
@pytest.mark.parametrize("read", [load, audio_info])
def test_missing_folder_and_empty(tmp_path, read):
    with pytest.raises(InputError, match=r"path must be an existing file; got '.*nowhere\.wav'"):
        read(tmp_path / "nowhere.wav")
    with pytest.raises(InputError, match="path must be a file; got the folder"):
        read(tmp_path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InputError, match="which is empty"):
        read(tmp_path / "empty.wav")
    with pytest.raises(InputError, match="existing file"):
        read(tmp_path / "empty.wav" / "x.wav")
    with pytest.raises(InputError, match="path must be"):
        read(str(tmp_path / "a\0b.wav"))
    with pytest.raises(InputError, match="path must be"):
        read(tmp_path / ("x" * 5000))


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    with pytest.raises(InputError) as caught:
        load(str(tmp_path / "a\x1b[31m\u202egpj.wav"))
    assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name on this system")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="regular file"):
        load(tmp_path / "pipe.wav")


@pytest.mark.parametrize(
    "extension", ["wav", "flac", "ogg", "mp3", "m4a", "aiff", "au", "vox", "raw", "gsm", "sd2", "txt"]
)
def test_random_bytes(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    for seed in range(20):
        path.write_bytes(np.random.default_rng(seed).bytes(5000))
        with pytest.raises(InputError, match="path must be"):
            load(path)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"MThd\0\0\0\6", "MIDI"),
        (b"PK\3\4" + bytes(60), "a ZIP archive"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html>404", "a web page"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "a playlist"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "RIFF, but no audio"),
        (b"hello", "no audio format that is known"),
        (b"F", "no audio format that is known"),
    ],
)
def test_the_error_says_what_was_seen(tmp_path, content, seen):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=f"holds {seen}"):
        load(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "head", [b"RIFF\x24\0\0\0WAVE", b"fLaC", b"OggS", b"FORM", b"ID3\3\0\0\0\0\0\0", b"caff", b"RF64"]
)
def test_a_head_without_a_body(tmp_path, head):
    for rest in (b"", bytes(100), np.random.default_rng(0).bytes(3000)):
        (tmp_path / "a.wav").write_bytes(head + rest)
        with pytest.raises(InputError, match="path must be"):
            load(tmp_path / "a.wav")


# --- formats ---


@pytest.mark.core
@pytest.mark.parametrize(("extension", "rate"), FORMATS)
@pytest.mark.parametrize("other", ["wav", "mp3", "m4a", "raw", "vox", "txt", ""])
def test_content_counts_and_not_the_extension(tmp_path, extension, rate, other):
    right = save(tmp_path / f"right.{extension}", tone(rate=rate), rate)
    expected, _ = load(right)
    wrong = right.rename(tmp_path / f"wrong.{other}")
    np.testing.assert_array_equal(load(wrong)[0], expected)


M4A = b"\0\0\0\x20ftypM4A \0\0\2\0" + bytes(200)
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100)


@pytest.mark.parametrize(
    ("content", "seen"),
    [(M4A, "MP4/M4A"), (ASF, "WMA"), (b"\xff\xf1\x50\x80" + bytes(90), "AAC"), (b"wvpk", "WavPack")],
)
@pytest.mark.parametrize("extension", ["m4a", "wav"])
def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch, content, seen, extension):
    monkeypatch.setattr(_reading, "_has_av", lambda: False)
    (tmp_path / f"a.{extension}").write_bytes(content)
    with pytest.raises(InputError, match=seen) as caught:
        load(tmp_path / f"a.{extension}")
    assert 'pip install "dspsep[av]"' in str(caught.value)
    assert "ffmpeg -i" in str(caught.value)


def test_id3_tags_before_mp3_and_flac(tmp_path):
    picture = b"ID3\3\0\0" + bytes([0, 2, 0, 0]) + b"\xff" * 2 * 128**2
    for extension in ("mp3", "flac"):
        path = save(tmp_path / f"a.{extension}", tone(), 44100)
        expected = load(path)[0]
        path.write_bytes(picture + path.read_bytes())
        assert content_of(path).label == extension.upper()
        np.testing.assert_array_equal(load(path)[0], expected)


# --- headers that lie ---


def test_mp3_without_a_length_is_read_to_its_end(tmp_path):
    # Quiet, then loud, with a variable bit rate: a length guessed from the first frames is wrong.
    audio = tone(2, 5.0)
    audio[:, : 44100 * 2] = 0
    audio[:, 44100 * 2 :] += 0.1 * np.random.default_rng(0).standard_normal((2, 44100 * 3)).astype(np.float32)
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(
        path, "w", 44100, 2, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    ) as file:
        file.write(audio.T)
    complete, _ = load(path)
    data = path.read_bytes()
    assert data.find(b"Xing") > 0
    path.write_bytes(data[data.index(b"\xff\xfb", 4) :])  # from the second frame on
    guessed = soundfile.info(path).frames
    assert not 0.9 < guessed / audio.shape[1] < 1.1, "the guess is right: this test shows nothing"
    samples, _ = load(path)
    assert abs(samples.shape[1] - audio.shape[1]) < 3 * 1152
    assert audio_info(path).n_samples == samples.shape[1]
    np.testing.assert_allclose(load(path, offset=4.0)[0], samples[:, 4 * 44100 :], atol=1e-6)
    # Without the tag nobody takes the decoder's delay away: the same samples come later.
    known = complete[:, -30_000:-20_000]
    last = samples.shape[1] - 20_000
    best = max(correlation(samples[:, end - 10_000 : end], known) for end in range(last - 4000, last + 1))
    assert best > 0.999
    with pytest.raises(InputError, match="offset must be before the end of what can be decoded"):
        load(path, offset=60.0)


def test_joined_mp3_files_are_announced_as_cut(tmp_path):
    data = save(tmp_path / "a.mp3", tone(2, 5.0), 44100).read_bytes()
    (tmp_path / "a.mp3").write_bytes(data * 3)
    with pytest.warns(DspsepWarning, match="holds more than its header announces"):
        load(tmp_path / "a.mp3")


def test_flac_without_a_length_is_read_to_its_end(tmp_path):
    path = save(tmp_path / "a.flac", tone(), 44100)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert soundfile.info(path).frames == 2**63 - 1
    np.testing.assert_allclose(load(path)[0], tone(), atol=2**-23)
    assert audio_info(path).n_samples == 44100


def test_a_header_that_asks_for_too_much_is_refused_before_it_gets_it(tmp_path, monkeypatch):
    path = save(tmp_path / "a.flac", tone(), 44100)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    assert soundfile.info(path).frames == 2**36 - 1
    with pytest.raises(InputError, match=r"at most 8 GB when decoded; got 550 GB"):
        load(path)
    part, _ = load(path, duration=0.5)
    np.testing.assert_allclose(part, tone()[:, :22050], atol=2**-23)


def test_the_limit_also_holds_while_decoding_and_resampling(tmp_path, monkeypatch):
    monkeypatch.setattr(_reading, "MAX_DECODED_BYTES", 4 * 2 * 44100)
    path = save(tmp_path / "a.wav", tone(), 44100)
    load(path)
    with pytest.raises(InputError, match="when decoded"):
        load(path, sample_rate=48000)
    longer = save(tmp_path / "b.wav", tone(2, 1.1), 44100)
    with pytest.raises(InputError, match="when decoded"):
        load(longer)
    load(longer, mono=True)
    mp3 = save(tmp_path / "a.mp3", tone(2, 1.2), 44100)
    data = mp3.read_bytes()
    mp3.write_bytes(data[data.index(b"\xff\xfb", 4) :])
    with pytest.raises(InputError, match="when decoded"):
        load(mp3)


def test_a_wav_that_claims_4_gib_gives_what_it_has(tmp_path):
    values = np.arange(32, dtype="<i2")
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(values.tobytes(), claim=0xFFFFFFF0))
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        samples, _ = load(path)
    np.testing.assert_array_equal(samples[0], values / 32768)


@pytest.mark.parametrize("placeholder", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_streamed_wav_is_whole(tmp_path, placeholder):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.arange(32, dtype="<i2").tobytes(), claim=placeholder))
    assert load(path)[0].shape == (1, 32)  # a warning would be an error here


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 65}, "audio of 1 to 64 channels; got 65"),
        ({"channels": 1000}, "audio of 1 to 64 channels; got 1000"),
        ({"channels": 0}, "got .*0 in|does not decode"),  # whichever decoder is there
        ({"rate": 0}, "got .*0 Hz in|does not decode"),
        ({"rate": 768_001}, "audio at 1 to 768000 Hz"),
        ({"rate": 2**31 - 1}, "audio at 1 to 768000 Hz"),
    ],
)
def test_absurd_headers(tmp_path, changes, message):
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(bytes(8000), **changes))
    with pytest.raises(InputError, match=message):
        load(path)


def test_a_header_without_samples(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav_bytes(b""))
    for read in (load, audio_info):
        with pytest.raises(InputError, match="at least one sample"):
            read(tmp_path / "a.wav")


# --- cut short ---


@pytest.mark.core
@pytest.mark.parametrize(("extension", "rate"), FORMATS)
@pytest.mark.parametrize("part", [0.4, 0.9])
def test_cut_files_give_what_is_there_and_warn(tmp_path, extension, rate, part):
    path = save(tmp_path / f"a.{extension}", tone(2, 4.0, rate), rate)
    whole, _ = load(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.warns(DspsepWarning, match=r"\[W_TRUNCATED\]") as caught:
        samples, _ = load(path)
    assert caught[0].filename == __file__
    n = samples.shape[1]
    assert 0.6 * part < n / whole.shape[1] < part + 0.1
    settled = n - 2000 if extension == "mp3" else n  # the last frame of a cut MP3 lacks part of its bits
    np.testing.assert_allclose(samples[:, :settled], whole[:, :settled], atol=1e-6)


@pytest.mark.parametrize(("extension", "rate"), FORMATS)
def test_parts_before_the_cut_do_not_warn(tmp_path, extension, rate):
    path = save(tmp_path / f"a.{extension}", tone(2, 4.0, rate), rate)
    whole, _ = load(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])
    part, _ = load(path, offset=0.5, duration=0.5)
    np.testing.assert_allclose(part, whole[:, rate // 2 : rate], atol=1e-6)


def ogg_page(body: bytes, granule: int, kind: int) -> bytes:
    laces = bytes([255] * (len(body) // 255) + [len(body) % 255])
    return (
        b"OggS\0"
        + bytes([kind])
        + struct.pack("<qIII", granule, 1, 0, 0)
        + bytes([len(laces)])
        + laces
        + body
    )


def test_the_end_of_an_ogg_file(tmp_path):
    path = tmp_path / "a.ogg"
    pages = [ogg_page(bytes(300), 1000, 0), ogg_page(b"1 OggS 2" * 50, 2000, 0), ogg_page(bytes(40), 2345, 4)]
    path.write_bytes(b"".join(pages))
    assert (ogg_tail(path).ends_early, ogg_tail(path).last_page_start) == (False, 2000)
    path.write_bytes(b"".join(pages)[:-1])
    assert ogg_tail(path).ends_early
    path.write_bytes(pages[2])
    assert (ogg_tail(path).ends_early, ogg_tail(path).last_page_start) == (False, 0)


def test_joined_ogg_files_are_announced_as_cut(tmp_path):
    first, second = (save(tmp_path / f"{name}.ogg", tone(2, 1.0, seed=1), 44100) for name in "ab")
    load(first)
    joined = tmp_path / "joined.ogg"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    load(joined, duration=0.5)  # nothing of this is missing
    with pytest.warns(DspsepWarning, match=r"several streams one after another; only the first, 1\.000 s"):
        samples, _ = load(joined)
    np.testing.assert_array_equal(samples, load(first)[0])


def test_a_flac_cut_in_its_first_frame_is_refused(tmp_path):
    path = save(tmp_path / "a.flac", tone(), 44100)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match="of which no sample decodes"):
        load(path)
    with pytest.raises(InputError, match="offset must be before the end of what can be decoded"):
        load(path, offset=0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 70_000])
def test_non_finite_samples_are_refused(tmp_path, bad, where):
    audio = np.zeros((80_000, 2), np.float32)
    audio[where, 1] = bad
    soundfile.write(tmp_path / "a.wav", audio, 10_000, "FLOAT")
    place = re.escape(f"channel 1 at {where / 10_000:.3f} s")
    with pytest.raises(InputError, match=f"path must be a file of finite samples; .*{place}"):
        load(tmp_path / "a.wav")
    with pytest.raises(InputError, match=place):
        load(tmp_path / "a.wav", offset=where / 10_000, mono=True)
    load(tmp_path / "a.wav", offset=(where + 1) / 10_000)


@pytest.mark.parametrize(("extension", "rate"), FORMATS)
def test_mutated_files_never_surprise(tmp_path, extension, rate):
    """Single bytes changed anywhere: audio that is finite, or an `InputError`, and nothing else."""
    path = save(tmp_path / f"a.{extension}", tone(1, 1.5, rate), rate)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(7)
    outcomes = set()
    for trial in range(60):
        mutated = data.copy()
        reach = 120 if trial % 2 else len(data)
        mutated[rng.integers(0, reach, 3)] = rng.integers(0, 256, 3)
        path.write_bytes(mutated[: rng.integers(1, len(data) + 1)] if trial % 3 == 0 else mutated)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DspsepWarning)
            try:
                samples, _ = load(path)
            except InputError:
                outcomes.add("refused")
                continue
        assert np.isfinite(samples).all()
        assert samples.shape[1] > 0
        outcomes.add("read")
    assert outcomes == {"refused", "read"}
