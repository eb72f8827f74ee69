"""Reading and writing audio files: what comes back is what was written, and where it was asked for."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dspsep.data import _reading, _writing
from dspsep.data.files import AudioInfo, audio_info, load, save
from dspsep.errors import DspsepWarning, InputError

LOSSY = [("ogg", 44100), ("mp3", 44100), ("opus", 48000)]


def tone(n_channels: int = 2, seconds: float = 1.0, rate: int = 44100, seed: int = 0) -> np.ndarray:
    """Chords with a little noise, different in each channel: what lossy codecs can follow."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal((n_channels, len(t)))
    chords = [sum(np.sin(2 * np.pi * f * (c + 1) * t) for f in (220, 331, 587)) for c in range(n_channels)]
    return (0.2 * np.array(chords) + 0.002 * noise).astype(np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a * b) / math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b))))


# --- round trips ---


@pytest.mark.core
@pytest.mark.parametrize("shape", [(1000,), (1, 1), (2, 70_001), (7, 333)])
def test_wav_is_exact(tmp_path, shape):
    audio = np.random.default_rng(1).standard_normal(shape).astype(np.float32) * 5  # beyond ±1 on purpose
    path = save(tmp_path / "a.wav", audio, 44100)
    samples, rate = load(path)
    assert rate == 44100
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    np.testing.assert_array_equal(samples, np.atleast_2d(audio))


def test_same_samples_give_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    first = save(tmp_path / "a.wav", tone(), 44100).read_bytes()
    at = first.index(b"PEAK")
    # Name, size, version, time: libsndfile writes the clock there.
    assert first[at + 12 : at + 16] == bytes(4)
    assert first[at + 8 : at + 12] == b"\1\0\0\0"
    aiff = save(tmp_path / "a.aiff", tone(), 44100, subtype="FLOAT").read_bytes()
    assert aiff[aiff.index(b"PEAK") + 12 :][:4] == bytes(4)


@pytest.mark.parametrize("extension", ["flac", "aiff", "AIF"])
def test_24_bits_are_exact_to_a_step(tmp_path, extension):
    audio = tone()
    audio[0, :2] = 1, -1
    samples, _ = load(save(tmp_path / f"a.{extension}", audio, 44100))
    assert np.abs(samples - audio).max() <= 2**-23
    assert soundfile.info(tmp_path / f"a.{extension}").subtype == "PCM_24"


@pytest.mark.parametrize(("extension", "rate"), LOSSY)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_lossy_keep_length_and_sound(tmp_path, extension, rate, n_channels):
    audio = tone(n_channels, rate=rate)[:, :30_001]
    samples, got_rate = load(save(tmp_path / f"a.{extension}", audio, rate))
    assert (samples.shape, got_rate) == (audio.shape, rate)
    assert correlation(samples, audio) > 0.99


@pytest.mark.parametrize(("extension", "rate"), LOSSY)
@pytest.mark.parametrize("n_samples", [1, 100, 1152])
def test_lossy_take_any_length(tmp_path, extension, rate, n_samples):
    samples, _ = load(save(tmp_path / f"a.{extension}", tone()[:, :n_samples], rate))
    assert samples.shape == (2, n_samples)


def test_a_minute_of_stereo_vorbis(tmp_path):
    # One call with this much ends the interpreter: libsndfile/libsndfile#1095.
    audio = tone(2, 60.0)
    path = save(tmp_path / "a.ogg", audio, 44100)
    assert audio_info(path).n_samples == audio.shape[1]
    samples, _ = load(path, offset=59.0)
    assert correlation(samples, audio[:, 59 * 44100 :]) > 0.99


@pytest.mark.parametrize("rate", [8000, 12000, 16000, 24000, 48000])
def test_opus_keeps_its_own_rates(tmp_path, rate):
    assert load(save(tmp_path / "a.opus", tone()[:, :9001], rate))[1] == rate


def test_opus_resamples_other_rates_and_says_so(tmp_path):
    audio = tone()
    with pytest.warns(DspsepWarning, match=r"\[W_RESAMPLED\].*44100") as caught:
        path = save(tmp_path / "a.opus", audio, 44100)
    assert caught[0].filename == __file__
    samples, rate = load(path)
    assert (samples.shape, rate) == ((2, 48000), 48000)
    back, _ = load(path, sample_rate=44100)
    assert correlation(back, audio) > 0.99


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("pcm_32", 2**-23)])
def test_subtypes(tmp_path, subtype, step):
    audio = tone()
    path = save(tmp_path / "a.wav", audio, 44100, subtype=subtype)
    assert audio_info(path).subtype == subtype.upper()
    assert np.abs(load(path)[0] - audio).max() <= step


def test_double_precision_is_stored(tmp_path):
    audio = np.random.default_rng(0).standard_normal((2, 500))
    path = save(tmp_path / "a.wav", audio, 8000, subtype="DOUBLE")
    np.testing.assert_array_equal(soundfile.read(path, dtype="float64")[0].T, audio)


@pytest.mark.core
def test_16_bits_are_divided_by_full_scale(tmp_path):
    values = np.array([-32768, -1, 0, 1, 12345, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", values, 8000, "PCM_16")
    np.testing.assert_array_equal(load(tmp_path / "a.wav")[0][0], values.astype(np.float32) / 32768)
    # And integers given to `save` are scaled the same way.
    save(tmp_path / "b.wav", values, 8000, subtype="PCM_16")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "b.wav", dtype="int16")[0], values)


def test_strided_and_read_only_input(tmp_path):
    audio = np.asfortranarray(tone())[:, ::2]
    audio.setflags(write=False)
    np.testing.assert_array_equal(load(save(tmp_path / "a.wav", audio, 44100))[0], audio)


def test_device_arrays_are_brought_to_the_host(tmp_path):
    strict = pytest.importorskip("array_api_strict")
    audio = tone()[:, :5000]
    device = strict.Device("device1")
    path = save(tmp_path / "a.wav", strict.asarray(audio, device=device), 44100)
    np.testing.assert_array_equal(load(path)[0], audio)


def test_beyond_4_gib_wav_becomes_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(_writing, "WAV_LIMIT", 100_000)
    audio = tone()
    path = save(tmp_path / "a.wav", audio, 44100)
    assert path.read_bytes()[:4] == b"RF64"
    assert audio_info(path).format == "RF64"
    np.testing.assert_array_equal(load(path)[0], audio)
    with pytest.raises(InputError, match=r"less than 4 GiB in an \.aiff"):
        save(tmp_path / "a.aiff", audio, 44100)
    assert save(tmp_path / "b.wav", audio[:, :9000], 44100).read_bytes()[:4] == b"RIFF"


# --- parts, channels, rates ---


@pytest.mark.parametrize(("extension", "rate"), [("wav", 44100), ("flac", 44100), ("aiff", 44100), *LOSSY])
def test_parts_are_slices_of_the_whole(tmp_path, extension, rate):
    path = save(tmp_path / f"a.{extension}", tone(2, 5.0, rate, seed=3), rate)
    whole, _ = load(path)
    n = whole.shape[1]
    for start, count in [
        (0, 100),
        (1, 1),
        (rate // 3, rate),
        (137_165, 70_000),
        (n - 3000, None),
        (n - 1, 50),
    ]:
        duration = None if count is None else count / rate
        part, _ = load(path, offset=start / rate, duration=duration)
        expected = whole[:, start : None if count is None else start + count]
        assert part.shape == expected.shape
        np.testing.assert_allclose(part, expected, atol=1e-6)


def test_what_is_skipped_is_not_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.flac", tone(1, 20.0), 44100)
    read = []
    original = soundfile.SoundFile.read

    def counting(self, *args, **kwargs):
        block = original(self, *args, **kwargs)
        read.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    load(path, offset=15.0, duration=1.0)
    assert sum(read) == 44100


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"offset": 1.0}, "offset"),
        ({"offset": 99.0}, "offset"),
        ({"offset": -1.0}, "offset"),
        ({"offset": math.nan}, "offset"),
        ({"duration": 0}, "duration"),
        ({"duration": 1e-9}, "duration"),
        ({"duration": "1"}, "duration"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 0.5}, "sample_rate"),
        ({"sample_rate": 1e9}, "sample_rate"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong, name):
    path = save(tmp_path / "a.wav", tone(), 44100)
    with pytest.raises(InputError) as caught:
        load(path, **wrong)
    assert caught.value.name == name


def test_mono_is_the_mean_and_stays_two_dimensional(tmp_path):
    audio = tone(3)
    samples, _ = load(save(tmp_path / "a.wav", audio, 44100), mono=True)
    assert samples.shape == (1, audio.shape[1])
    assert samples.flags.c_contiguous
    np.testing.assert_allclose(samples[0], audio.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("n_samples", [1, 2, 10, 999, 44100])
@pytest.mark.parametrize(("rate", "target"), [(44100, 22050), (44100, 48000), (8000, 11025.5), (48000, 1)])
def test_resampled_length_is_exact(tmp_path, n_samples, rate, target):
    path = save(tmp_path / "a.wav", np.ones((2, n_samples), np.float32), rate)
    samples, got = load(path, sample_rate=target)
    assert got == target
    assert samples.shape == (2, math.ceil(n_samples * target / rate))
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous


@pytest.mark.parametrize("target", [22050, 48000])
def test_a_resampled_sine_is_the_same_sine(tmp_path, target):
    sine = np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    samples, _ = load(save(tmp_path / "a.wav", sine, 44100), sample_rate=target)
    expected = np.sin(2 * np.pi * 1000 * np.arange(samples.shape[1]) / target)
    middle = slice(target // 20, -target // 20)  # silence before and after rings at the ends
    np.testing.assert_allclose(samples[0][middle], expected[middle], atol=1e-4)


def test_resampling_removes_what_would_alias(tmp_path):
    sine = np.sin(2 * np.pi * 15_000 * np.arange(44100) / 44100)
    samples, _ = load(save(tmp_path / "a.wav", sine, 44100), sample_rate=22050)
    assert np.abs(samples[0][2000:-2000]).max() < 1e-4


def test_audio_info(tmp_path):
    path = save(tmp_path / "a.flac", tone()[:, :22050], 44100)
    info = audio_info(str(path))
    assert info == AudioInfo(
        n_samples=22050, sample_rate=44100, n_channels=2, format="FLAC", subtype="PCM_24"
    )
    assert info.duration == 0.5


# --- what is refused in writing ---


@pytest.mark.core
@pytest.mark.parametrize("extension", list(_writing.EXTENSIONS))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_samples_are_never_written(tmp_path, extension, bad):
    audio = tone()[:, :500]
    audio[1, 77] = bad
    with pytest.raises(InputError, match="finite; got 1 NaN or infinite samples, the first in channel 1"):
        save(tmp_path / f"a{extension}", audio, 48000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", ["flac", "aiff", "ogg", "opus", "mp3"])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_would_clip_is_refused(tmp_path, extension, sign):
    audio = tone()[:, :500]
    audio[1, 77] = sign * 1.001
    with pytest.raises(InputError, match=r"within ±1 in a .* a peak of 1\.001\. Save it as \.wav"):
        save(tmp_path / f"a.{extension}", audio, 48000)
    assert not list(tmp_path.iterdir())


def test_16_bit_wav_clips_too(tmp_path):
    with pytest.raises(InputError, match="PCM_16"):
        save(tmp_path / "a.wav", 2 * np.ones(10), 8000, subtype="PCM_16")


def test_doubles_beyond_single_precision_are_refused(tmp_path):
    with pytest.raises(InputError, match="within"):
        save(tmp_path / "a.wav", np.array([1e60, 0.0]), 8000)
    save(tmp_path / "a.wav", np.array([1e60, 0.0]), 8000, subtype="DOUBLE")


@pytest.mark.parametrize(
    ("path", "shape", "rate", "subtype", "name"),
    [
        ("a.mp3", (3, 100), 44100, None, "audio"),
        ("a.flac", (9, 100), 44100, None, "audio"),
        ("a.wav", (65, 100), 44100, None, "audio"),
        ("a.mp3", (2, 100), 96000, None, "sample_rate"),
        ("a.wav", (2, 100), 44100.5, None, "sample_rate"),
        ("a.wav", (2, 100), 10**6, None, "sample_rate"),
        ("a.wav", (2, 100), -1, None, "sample_rate"),
        ("a.flac", (2, 100), 700_000, None, "audio"),
        ("a.wav", (2, 100), 44100, "VORBIS", "subtype"),
        ("a.opus", (2, 100), 48000, "VORBIS", "subtype"),
        ("a.wav", (2, 100), 44100, 16, "subtype"),
        ("a.xyz", (2, 100), 44100, None, "path"),
        ("a", (2, 100), 44100, None, "path"),
        (".wav", (2, 100), 44100, None, "path"),
        ("a\0.wav", (2, 100), 44100, None, "path"),
        ("missing/a.wav", (2, 100), 44100, None, "path"),
        ("folder.wav", (2, 100), 44100, None, "path"),
        ("a.wav", (2, 0), 44100, None, "audio"),
        ("a.wav", (2, 2, 2), 44100, None, "audio"),
        ("a.wav", (44100, 2000), 44100, None, "audio"),
    ],
)
def test_what_a_format_cannot_hold_is_named(tmp_path, path, shape, rate, subtype, name):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError) as caught:
        save(f"{tmp_path}/{path}", np.zeros(shape, np.float32), rate, subtype=subtype)
    assert caught.value.name == name
    assert [file.name for file in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize("path", [None, 3, object()])
def test_a_path_is_a_path(path):
    for call in (lambda: load(path), lambda: save(path, np.zeros(9), 8000), lambda: audio_info(path)):
        with pytest.raises(InputError, match="path must be"):
            call()


def test_importing_decodes_nothing():
    import subprocess
    import sys

    code = "import sys, dspsep.data.files;print(sorted({'soundfile', 'soxr', 'av'} & set(sys.modules)))"
    root = Path(_reading.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_warns_in_ordinary_use(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for extension in _writing.EXTENSIONS:
            load(save(tmp_path / f"a{extension}", tone(rate=48000), 48000), sample_rate=16000, mono=True)
