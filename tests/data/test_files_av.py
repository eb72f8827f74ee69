"""Reading through PyAV, where it is installed: M4A, AAC, and containers of videos."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dspsep.data.files import audio_info, load
from dspsep.errors import DspsepWarning, InputError
from tests.data.test_files import correlation, tone

av = pytest.importorskip("av")

RATE = 44100


def encoded(path, container: str, codec: str, audio: np.ndarray, layout: str = "stereo", options=None):
    """Write `audio` with PyAV."""
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=RATE)
        stream.layout = layout
        stream.bit_rate = 192_000
        fifo = av.AudioFifo()
        kind = {"alac": "s32p", "pcm_s16le": "s16", "wmav2": "fltp", "aac": "fltp"}[codec]
        converter = av.AudioResampler(format=kind, layout=layout, rate=RATE)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
        frame.sample_rate = RATE
        frame.pts = 0
        for part in converter.resample(frame):
            fifo.write(part)
        size = 1024 if codec == "aac" else 2048 if codec == "wmav2" else 4096
        position = 0
        while (part := fifo.read(size, partial=True)) is not None:
            # With times, the encoder tells the container how much silence it put before the music.
            part.pts, part.time_base = position, Fraction(1, RATE)
            position += part.samples
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("extension", "container", "codec"),
    [
        ("m4a", "ipod", "aac"),
        ("mp4", "mp4", "aac"),
        ("aac", "adts", "aac"),
        ("wma", "asf", "wmav2"),
        ("mkv", "matroska", "aac"),
        ("wav", "ipod", "aac"),
    ],
)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_lossy_containers(tmp_path, extension, container, codec, layout):
    audio = tone(1 if layout == "mono" else 2, 3.0)
    path = encoded(tmp_path / f"a.{extension}", container, codec, audio, layout)
    samples, rate = load(path)
    assert rate == RATE
    assert samples.shape[0] == audio.shape[0]
    assert samples.dtype == np.float32
    # Encoders put silence before the music and fill up their last frame; M4A says how much. FFmpeg's
    # encoder of WMA drops what does not fill a frame of 2048.
    assert -2048 < samples.shape[1] - audio.shape[1] < 6000
    best = max(correlation(samples[:, k : k + 60_000], audio[:, :60_000]) for k in range(0, 4200, 1))
    assert best > (0.95 if codec == "wmav2" else 0.99)
    assert audio_info(path).duration == pytest.approx(3.0, abs=0.15)


def test_m4a_begins_where_the_music_does(tmp_path):
    audio = tone(2, 2.0)
    samples, _ = load(encoded(tmp_path / "a.m4a", "ipod", "aac", audio))
    assert correlation(samples[:, : audio.shape[1]], audio) > 0.99


def test_alac_is_exact(tmp_path):
    audio = tone(2, 2.0)
    samples, _ = load(encoded(tmp_path / "a.m4a", "ipod", "alac", audio))
    np.testing.assert_allclose(samples[:, : audio.shape[1]], audio, atol=2**-22)


@pytest.mark.parametrize(
    ("extension", "container", "codec", "tolerance"),
    [("m4a", "ipod", "aac", 0.02), ("m4a", "ipod", "alac", 1e-7), ("mkv", "matroska", "aac", 0.02)],
)
def test_parts_are_slices_of_the_whole(tmp_path, extension, container, codec, tolerance):
    path = encoded(tmp_path / f"a.{extension}", container, codec, tone(2, 5.0))
    whole, _ = load(path)
    for offset, duration in [(0.0, 0.5), (0.3, 1.0), (2.0, 1.5), (4.5, None)]:
        part, _ = load(path, offset=offset, duration=duration)
        start = round(offset * RATE)
        expected = whole[:, start : None if duration is None else start + round(duration * RATE)]
        assert part.shape == expected.shape
        np.testing.assert_allclose(part, expected, atol=tolerance)


def test_mono_and_rate(tmp_path):
    path = encoded(tmp_path / "a.m4a", "ipod", "aac", tone(2, 1.0))
    samples, rate = load(path, mono=True, sample_rate=22050, duration=0.5)
    assert (samples.shape, rate) == ((1, 11025), 22050)


def test_damaged(tmp_path):
    path = encoded(tmp_path / "a.m4a", "ipod", "aac", tone(2, 5.0), options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[:300])
    with pytest.raises(InputError, match="path must be"):
        load(path)
    path.write_bytes(data[: int(0.6 * len(data))])
    with pytest.warns(DspsepWarning, match="W_TRUNCATED"):
        samples, _ = load(path)
    assert 0.4 < samples.shape[1] / (5 * RATE) < 0.8
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    with pytest.raises(InputError, match="path must be"):
        load(path)


def test_a_video_without_sound(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            output.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24"))
            )
        output.mux(stream.encode(None))
    with pytest.raises(InputError, match="no sound in it"):
        load(path)
