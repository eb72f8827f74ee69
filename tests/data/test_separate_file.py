"""From a file to the files of its sources: what load, separate and save give, in a few seconds of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from dspsep import HPSS, STFT, DspsepError, DspsepWarning, InputError, Reach, Separator, Sources, load, save
from dspsep.data import _reading, _separation, _writing
from dspsep.data.files import SavedSources, safe_file_name, separate_file
from tests.data.test_files import correlation, tone
from tests.data.test_files_whole import failing_write
from tests.toys import Good

FAST = HPSS(stft=STFT(256), margin=1.5)
RATE = 8000


@dataclass(frozen=True, kw_only=True)
class Halves(Separator):
    """A half of every sample, and the other: in blocks, equal to the last bit."""

    factor: float = 0.5

    @property
    def source_names(self):
        return ("part/one", "other")

    def reach(self, sample_rate):
        return Reach(samples=0)

    def separate(self, mixture, sample_rate, *, callback=None):
        one = mixture * np.float32(self.factor)
        return Sources({"part/one": one, "other": mixture - one}, sample_rate, None, self.provenance())


class Whole(Halves):
    """The same for whom the whole must be there."""

    def reach(self, sample_rate):
        return None


def song(folder, n_channels=2, seconds=6.3, name="song.wav", rate=RATE, scale=1.0, **kwargs):
    path = folder / name
    audio = (scale * tone(n_channels, seconds, rate)).T
    soundfile.write(path, audio, rate, **({"subtype": "FLOAT"} if path.suffix == ".wav" else {}), **kwargs)
    return path


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DspsepWarning)
        return function(*args, **kwargs)


def whole(path, folder, separator, format="wav", **span):
    """Return what the three steps give."""
    samples, rate = quietly(load, path, **span)
    return quietly(separator.separate(samples, rate).save, folder, format=format)


def contents(folder):
    """Return what lies in a folder and those in it; of folders only that they are there."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


# --- equal to the three steps ---


@pytest.mark.core
@pytest.mark.parametrize("format", ["wav", "flac", "aiff", "mp3"])
@pytest.mark.parametrize(("n_channels", "scale"), [(1, 1.0), (2, 1.0), (2, 4.0)])
def test_the_same_bytes_as_load_separate_save(tmp_path, format, n_channels, scale):
    path = song(tmp_path, n_channels, scale=scale)
    saved = quietly(separate_file, path, tmp_path / "a", Halves(factor=0.9), format=format)
    paths = whole(path, tmp_path / "b", Halves(factor=0.9), format)
    assert saved.in_blocks
    assert {name: file.name for name, file in saved.paths.items()} == {n: f.name for n, f in paths.items()}
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(("format", "rate"), [("ogg", RATE), ("opus", RATE), ("opus", 11025)])
def test_the_same_samples_where_ogg_numbers_its_streams_at_random(tmp_path, format, rate):
    path = song(tmp_path, rate=rate)
    saved = quietly(separate_file, path, tmp_path / "a", Halves(), format=format)
    for name, file in whole(path, tmp_path / "b", Halves(), format).items():
        (got, got_rate), (expected, expected_rate) = load(saved.paths[name]), load(file)
        assert got_rate == expected_rate == saved.sample_rate
        assert saved.n_samples == expected.shape[1]
        np.testing.assert_array_equal(got, expected)
    assert saved.duration == pytest.approx(6.3, abs=1e-3)


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    "span", [{}, {"offset": 1.03}, {"offset": 0.4, "duration": 3.21}, {"duration": 0.001}]
)
def test_hpss_is_equal_to_the_three_steps(tmp_path, n_channels, span):
    path = song(tmp_path, n_channels)
    saved = separate_file(path, tmp_path / "a", FAST, **span)
    assert saved.in_blocks
    for name, file in whole(path, tmp_path / "b", FAST, **span).items():
        expected = load(file)[0]
        assert saved.n_samples == expected.shape[1]
        np.testing.assert_allclose(load(saved.paths[name])[0], expected, atol=1e-6)


def test_what_comes_back(tmp_path):
    path = song(tmp_path, seconds=1.0)
    saved = separate_file(path, str(tmp_path / "new" / "stems"), Halves())
    assert isinstance(saved, SavedSources)
    assert dict(saved.paths) == {
        "part/one": tmp_path / "new" / "stems" / "part-one.flac",
        "other": tmp_path / "new" / "stems" / "other.flac",
    }
    assert (saved.sample_rate, saved.n_samples, saved.gain, saved.duration) == (RATE, RATE, 1.0, 1.0)
    record = json.loads((tmp_path / "new" / "stems" / "provenance.json").read_text())
    assert record["settings"] == repr(Halves())
    with pytest.raises(TypeError):
        saved.paths["other"] = path


def test_hpss_unless_told_otherwise(tmp_path):
    saved = separate_file(song(tmp_path, seconds=0.5), tmp_path / "stems")
    assert tuple(saved.paths) == ("harmonic", "percussive")
    assert json.loads((tmp_path / "stems" / "provenance.json").read_text())["settings"] == repr(HPSS())


@pytest.mark.core
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_separator_that_needs_the_whole_gets_it(tmp_path, format):
    path = song(tmp_path)
    stages = []
    saved = separate_file(
        path, tmp_path / "a", Good(), format=format, callback=lambda p: stages.append(p.stage)
    )
    assert not saved.in_blocks
    assert stages == ["read", "split", "write"]
    whole(path, tmp_path / "b", Good(), format)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("peak", [2.0**41, 2.0**-41])
def test_a_peak_that_asks_for_scaling_needs_the_whole(tmp_path, peak):
    audio = tone(2, 3.0, RATE)
    path = tmp_path / "odd.wav"
    soundfile.write(path, (audio / np.abs(audio).max() * peak).T, RATE, subtype="FLOAT")
    saved = separate_file(path, tmp_path / "a", FAST, format="wav")
    assert not saved.in_blocks
    whole(path, tmp_path / "b", FAST)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_silence_goes_in_blocks(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros((30_000, 2)), RATE)
    saved = separate_file(path, tmp_path / "a", FAST, format="flac")
    assert saved.in_blocks
    assert saved.gain == 1.0
    assert not load(saved.paths["harmonic"])[0].any()


# --- gain ---


@pytest.mark.core
def test_one_gain_for_all_where_one_would_clip(tmp_path):
    path = song(tmp_path, scale=5.0)
    with pytest.warns(DspsepWarning) as caught:
        saved = separate_file(path, tmp_path / "a", FAST, format="flac")
    assert [(w.message.code, w.filename) for w in caught] == [("W_GAIN", __file__)]
    peak = max(np.abs(x).max() for x in FAST.separate(*load(path)).values())
    assert peak > 1.5
    assert saved.gain == pytest.approx((1 - 2**-15) / peak, rel=1e-5)
    assert json.loads((tmp_path / "a" / "provenance.json").read_text())["gain"] == saved.gain
    total = sum(load(file)[0] for file in saved.paths.values())
    np.testing.assert_allclose(total / saved.gain, load(path)[0], atol=4 * peak * 2**-23)


def test_wav_holds_what_is_beyond_full_scale(tmp_path):
    path = song(tmp_path, scale=5.0)
    saved = separate_file(path, tmp_path / "a", Halves(), format="wav")
    np.testing.assert_array_equal(load(saved.paths["other"])[0], load(path)[0] / 2)


def test_resampling_is_told(tmp_path):
    with pytest.warns(DspsepWarning, match="W_RESAMPLED") as caught:
        saved = separate_file(song(tmp_path, rate=11025), tmp_path / "a", FAST, format="opus")
    assert len(caught) == 1
    assert saved.sample_rate == 48000


# --- lengths that headers do not say, or say wrongly ---


def headless_mp3(folder):
    mp3 = save(folder / "a.mp3", tone(2, 2.0, 16000), 16000)
    data = mp3.read_bytes()
    # Without the first frame, which holds the length.
    mp3.write_bytes(data[data.index(b"\xff\xf3", 4) :])
    with _reading.opened(mp3) as excerpt:
        assert excerpt.span.count is None
    return mp3


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_an_unknown_length(tmp_path, format):
    path = headless_mp3(tmp_path)
    seen = []
    saved = separate_file(path, tmp_path / "a", Halves(), format=format, callback=seen.append)
    assert saved.in_blocks
    assert {progress.n_iterations for progress in seen if progress.stage == "separate"} == {None}
    whole(path, tmp_path / "b", Halves(), format)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_truncated_file_gives_what_decodes(tmp_path):
    path = song(tmp_path)
    path.write_bytes(path.read_bytes()[:-100_003])
    with pytest.warns(DspsepWarning, match="W_TRUNCATED") as caught:
        separate_file(path, tmp_path / "a", Halves(), format="wav")
    assert caught[0].filename == __file__
    whole(path, tmp_path / "b", Halves())
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("separator", [Halves(), Good()])
def test_a_file_of_which_nothing_decodes(tmp_path, separator):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(2, 1.0, RATE).T, RATE)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"^path must be an audio file that can be decoded"):
        separate_file(path, tmp_path / "a", separator)
    assert not (tmp_path / "a").exists()


def test_warnings_are_the_same_where_the_whole_is_needed(tmp_path):
    path = song(tmp_path, scale=5.0)
    path.write_bytes(path.read_bytes()[:-10_003])
    with pytest.warns(DspsepWarning) as caught:
        separate_file(path, tmp_path / "a", Good(), format="flac")
    assert [(w.message.code, w.filename) for w in caught] == [("W_TRUNCATED", __file__), ("W_GAIN", __file__)]


def test_a_wav_beyond_4_gib_is_the_one_that_save_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(_writing, "WAV_LIMIT", 100_000)
    path = song(tmp_path)
    saved = separate_file(path, tmp_path / "a", Halves(), format="wav")
    assert saved.in_blocks
    assert soundfile.info(saved.paths["other"]).format == "RF64"
    whole(path, tmp_path / "b", Halves())
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_file_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_reading, "MAX_DECODED_BYTES", 4 * 2 * 30_000)
    bomb = tmp_path / "bomb.flac"
    soundfile.write(bomb, np.zeros((4_000_000, 2)), RATE)
    assert _separation._MAX_RATIO * bomb.stat().st_size < 4 * 2 * 4_000_000
    with pytest.raises(InputError, match="when decoded"):
        separate_file(bomb, tmp_path / "a", Halves())
    assert not (tmp_path / "a").exists()
    # Music as long is not: memory is no limit to it.
    assert separate_file(song(tmp_path), tmp_path / "a", Halves()).n_samples > 30_000
    with pytest.raises(InputError, match="when decoded"):
        separate_file(song(tmp_path), tmp_path / "b", Good())


# --- progress ---


@pytest.mark.core
@pytest.mark.parametrize(("format", "writes"), [("wav", []), ("flac", [(0, 2), (1, 2)])])
def test_progress_is_in_seconds_then_in_sources(tmp_path, format, writes):
    path = song(tmp_path, seconds=30.5)
    seen = []
    separate_file(path, tmp_path / "a", Halves(), format=format, callback=seen.append)
    separating = [(p.iteration, p.n_iterations) for p in seen if p.stage == "separate"]
    assert separating[0] == (0, 31)
    assert separating[-1] == (30, 31)
    assert separating == sorted(separating)
    assert len(separating) > 3
    assert [(p.iteration, p.n_iterations) for p in seen if p.stage == "write"] == writes


def test_true_from_a_callback_ends_nothing(tmp_path):
    path = song(tmp_path)
    assert separate_file(path, tmp_path / "a", Halves(), callback=lambda _: True).duration == 6.3


# --- whole or not at all ---


def interrupt_at(stage, iteration):
    def callback(progress):
        if (progress.stage, progress.iteration) == (stage, iteration):
            raise KeyboardInterrupt

    return callback


@pytest.mark.core
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(
    ("separator", "format", "stage", "iteration"),
    [
        (FAST, "wav", "separate", 0),
        (FAST, "wav", "separate", 16),
        (FAST, "flac", "separate", 16),
        (FAST, "flac", "write", 2),
        (Good(), "wav", "write", 0),
    ],
)
def test_an_interrupt_leaves_what_was(tmp_path, separator, format, stage, iteration, earlier):
    path = song(tmp_path, seconds=30.0)
    folder = tmp_path / "new" / "stems"
    if earlier:
        whole(path, folder, Halves(), format)
    before = contents(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        separate_file(path, folder, separator, format=format, callback=interrupt_at(stage, iteration))
    assert contents(tmp_path) == before


def test_temporary_samples_are_not_seen_meanwhile(tmp_path):
    seen = set()
    separate_file(
        song(tmp_path, seconds=30.0),
        tmp_path / "a",
        FAST,
        format="flac",
        callback=lambda _: seen.update(file.suffix for file in (tmp_path / "a").glob("*")),
    )
    # Those of the files to be; where the system has no nameless files, also the samples that wait.
    assert seen <= {".part"}


@pytest.mark.core
@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_full_disk_leaves_what_was(tmp_path, monkeypatch, format, after):
    path = song(tmp_path, seconds=30.0)
    before = contents(tmp_path)
    monkeypatch.setattr(soundfile.SoundFile, "write", failing_write(after))
    with pytest.raises(DspsepError, match="could not be written"):
        separate_file(path, tmp_path / "new", FAST, format=format)
    monkeypatch.undo()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("limit", "seconds"), [(1000, 30.0), (400_000, 30.0), (1000, 0.1)])
def test_no_room_for_temporary_samples(tmp_path, limit, seconds):
    resource = pytest.importorskip("resource")
    path = song(tmp_path, 1, seconds=seconds)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(DspsepError, match="no room for temporary samples"):
            separate_file(path, tmp_path / "a", Halves(), format="flac")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "a").exists()


def test_nan_in_the_middle_leaves_nothing(tmp_path):
    audio = tone(2, 30.0, RATE)
    audio[1, 200_000] = np.nan
    path = tmp_path / "a.wav"
    soundfile.write(path, audio.T, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"NaN or infinity, first in channel 1 at 25\.000 s"):
        separate_file(path, tmp_path / "a", Halves())
    assert not (tmp_path / "a").exists()


def test_a_separator_that_fails_leaves_nothing(tmp_path):
    class Nan(Halves):
        def separate(self, mixture, sample_rate, *, callback=None):
            sources = super().separate(mixture, sample_rate)
            sources["other"][:, -1] = np.nan
            return sources

    with pytest.raises(InputError, match=r"sources\['other'\] must be finite"):
        separate_file(song(tmp_path, seconds=30.0), tmp_path / "a", Nan())
    assert not (tmp_path / "a").exists()


def test_files_of_others_stay(tmp_path):
    path = song(tmp_path)
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    separate_file(path, folder, FAST)
    separate_file(path, folder, Halves(), format="flac")
    assert {file.name for file in folder.iterdir()} == {
        "notes.txt", "provenance.json", "part-one.flac", "other.flac"
    }  # fmt: skip


def test_the_file_itself_may_lie_in_the_folder(tmp_path):
    path = song(tmp_path, name="mine.wav")
    before = path.read_bytes()
    separate_file(path, tmp_path, Halves(), format="wav")
    assert path.read_bytes() == before


@pytest.mark.core
@pytest.mark.parametrize("separator", [Halves(), Whole()])
def test_the_file_itself_is_never_replaced(tmp_path, separator):
    path = song(tmp_path, name="other.wav")
    (tmp_path / "link.wav").symlink_to(path)
    before = contents(tmp_path)
    for name in ("other.wav", "link.wav"):
        with pytest.raises(InputError, match="in which the file that is separated is not replaced"):
            separate_file(tmp_path / name, tmp_path, separator, format="wav")
    assert contents(tmp_path) == before
    # Nor as a file of an earlier set, which would be removed.
    stems = separate_file(path, tmp_path / "stems", separator, format="wav")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is not replaced"):
        separate_file(stems.paths["other"], tmp_path / "stems", separator, format="flac")
    assert contents(tmp_path) == before


# --- what makes no sense ---


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"path": "missing.wav"}, "path"),
        ({"path": 3}, "path"),
        ({"separator": "hpss"}, "separator"),
        ({"separator": HPSS}, "separator"),
        ({"format": "m4a"}, "format"),
        ({"format": ".wav"}, "format"),
        ({"offset": -1}, "offset"),
        ({"offset": 100}, "offset"),
        ({"duration": 0}, "duration"),
        ({"folder": "song.wav"}, "folder"),
        ({"folder": 7}, "folder"),
        ({"format": "mp3", "path": "odd.wav"}, "sample_rate"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, monkeypatch, change, name):
    monkeypatch.chdir(tmp_path)
    song(tmp_path, seconds=0.5)
    song(tmp_path, name="odd.wav", rate=9000)
    before = contents(tmp_path)
    arguments = {"path": "song.wav", "folder": "out", "separator": FAST, **change}
    with pytest.raises(InputError) as caught:
        separate_file(arguments.pop("path"), arguments.pop("folder"), **arguments)
    assert caught.value.name == name
    assert contents(tmp_path) == before


def test_a_format_without_room_for_the_channels(tmp_path):
    with pytest.raises(InputError, match=r"at most 2 channels in a \.mp3 file"):
        separate_file(song(tmp_path, n_channels=3), tmp_path / "a", FAST, format="mp3")
    assert not (tmp_path / "a").exists()


def test_names_of_sources_stay_in_the_folder(tmp_path):
    class Evil(Halves):
        @property
        def source_names(self):
            return ("../evil", "other")

        def separate(self, mixture, sample_rate, *, callback=None):
            return Sources({"../evil": mixture, "other": 0 * mixture}, sample_rate, None, self.provenance())

    saved = separate_file(song(tmp_path), tmp_path / "a", Evil())
    assert saved.paths["../evil"] == tmp_path / "a" / f"{safe_file_name('../evil')}.flac"


# --- memory ---

MEASURE = """
import resource, sys
import dspsep
separator = {
    "hpss": dspsep.HPSS(stft=dspsep.STFT(512)),
    "online-nmf": dspsep.OnlineNMF(stft=dspsep.STFT(512), n_components=2, n_iter=3),
}[sys.argv.pop()]
short, long, folder, form = sys.argv[1:]
peaks = []
for path in (short, long):
    assert dspsep.separate_file(path, folder, separator, format=form).in_blocks
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX tells the peak")
@pytest.mark.parametrize(("method", "format"), [("hpss", "wav"), ("hpss", "flac"), ("online-nmf", "flac")])
def test_memory_does_not_grow_with_the_length(tmp_path, method, format):
    unit = 1024 if sys.platform == "darwin" else 1
    second = tone(2, 1.0, 16000).T
    for name, seconds in (("short", 60), ("long", 300)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 16000, 2, "PCM_16") as file:
            for _ in range(seconds):
                file.write(second)
    arguments = [str(tmp_path / f"{name}.wav") for name in ("short", "long")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments, str(tmp_path / "out"), format, method],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DSPSEP_NUM_THREADS": "1"},
    )
    short, long = (int(number) / unit for number in done.stdout.split())
    # A minute of the mixture alone takes 7.5 MB more: four of it, and two sources, 90 MB.
    assert long - short < 6000, f"{(long - short) / 1024:.1f} MB more for four minutes more"


def test_lossy_sources_sound_like_them(tmp_path):
    path = song(tmp_path, rate=44100)
    saved = separate_file(path, tmp_path / "a", Halves(), format="ogg")
    assert correlation(load(saved.paths["other"])[0], load(path)[0]) > 0.99
