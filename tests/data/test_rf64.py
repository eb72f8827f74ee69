"""WAV that passes 4 GiB is RF64 from the first byte. The limit is lowered here: files are small."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from dspsep import load, save
from dspsep.data import _writing
from dspsep.data.files import audio_info, separate_file
from tests.data.test_files import tone
from tests.data.test_separate_file import FAST, RATE, Halves, song

LIMIT = 100_000
# What fits, in stereo single precision, with the room that is kept for the header.
MOST = (LIMIT - _writing._HEADER_ROOM) // 8


@pytest.fixture(autouse=True)
def low_limit(monkeypatch):
    monkeypatch.setattr(_writing, "WAV_LIMIT", LIMIT)


def head(path):
    """Return the container's name, and the sizes that it states: of all that follows, and of the samples."""
    data = path.read_bytes()[:80]
    if data[:4] == b"RF64":
        assert (data[4:8], data[8:16]) == (b"\xff\xff\xff\xff", b"WAVEds64")
        return ("RF64", *struct.unpack("<QQQ", data[20:44]))
    return "WAV", struct.unpack("<I", data[4:8])[0]


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2, 1000])
def test_the_limit_is_met_exactly(tmp_path, beyond):
    n_samples = MOST + beyond
    audio = tone(2, n_samples / RATE, RATE)[:, :n_samples]
    path = save(tmp_path / "x.wav", audio, RATE)
    container, size, *sizes = head(path)
    assert container == ("RF64" if beyond > 0 else "WAV")
    assert size == path.stat().st_size - 8
    assert beyond > 0 or path.stat().st_size <= LIMIT
    assert not sizes or sizes == [8 * n_samples, n_samples]
    info = audio_info(path)
    assert (info.format, info.n_samples) == (container, n_samples)
    np.testing.assert_array_equal(load(path)[0], audio)
    last = load(path, offset=(n_samples - 10) / RATE)[0]
    np.testing.assert_array_equal(last, audio[:, -10:])


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("separator", [Halves(), FAST], ids=["halves", "hpss"])
def test_sources_that_pass_it_though_their_file_does_not(tmp_path, separator, subtype):
    samples = tone(2, 2.0, RATE)
    path = tmp_path / "song.wav"
    soundfile.write(path, samples.T, RATE, subtype=subtype)
    saved = separate_file(path, tmp_path / "a", separator, format="wav")
    assert saved.in_blocks
    for file in saved.paths.values():
        assert head(file) == ("RF64", file.stat().st_size - 8, 8 * 16_000, 16_000)
    total = sum(load(file)[0] for file in saved.paths.values())
    np.testing.assert_allclose(total, load(path)[0], atol=1e-6)


def test_a_part_of_a_long_file(tmp_path):
    path = save(tmp_path / "song.wav", tone(2, 3.0, RATE), RATE)
    assert head(path)[0] == "RF64"
    saved = separate_file(path, tmp_path / "a", Halves(), format="wav", offset=2.5)
    assert [head(file)[0] for file in saved.paths.values()] == ["WAV", "WAV"]
    total = sum(load(file)[0] for file in saved.paths.values())
    np.testing.assert_array_equal(total, load(path, offset=2.5)[0])


def test_a_file_of_unknown_length(tmp_path):
    # Known only when all is decoded, and after that the sources are written.
    path = song(tmp_path, seconds=2.5, name="song.flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the number of samples, of 36 bits: 0 is unknown
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert soundfile.info(path).frames == 2**63 - 1
    saved = separate_file(path, tmp_path / "a", Halves(), format="wav")
    assert (saved.in_blocks, saved.n_samples) == (True, 20_000)
    assert [head(file)[0] for file in saved.paths.values()] == ["RF64", "RF64"]


def test_as_a_whole(tmp_path):
    sources = FAST.separate(tone(2, 2.0, RATE), RATE)
    paths = sources.save(tmp_path / "a", format="wav")
    assert [head(file)[0] for file in paths.values()] == ["RF64"] * 3
    for name, file in paths.items():
        np.testing.assert_array_equal(load(file)[0], sources[name])
