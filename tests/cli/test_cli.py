"""The command line, as a shell sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from dspsep import STFT, CascadedHPSS, __version__
from dspsep.cli import _console, main
from dspsep.cli._settings import separator_from
from dspsep.data import _reading
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case


@pytest.fixture
def song(tmp_path):
    """Two seconds of a real song as a file, and its samples."""
    case = real_case(case_names("b_")[0])
    samples = case.mixture[:, : 2 * case.sample_rate]
    path = tmp_path / "song.wav"
    soundfile.write(path, samples.T, case.sample_rate, subtype="FLOAT")
    return path, samples


def stems_of(folder):
    return {
        path.stem: soundfile.read(path, dtype="float32")[0].T
        for path in folder.iterdir()
        if path.suffix != ".json"
    }


@pytest.mark.core
def test_separate_writes_stems_that_sum_to_the_song(song, tmp_path, capsys):
    path, samples = song
    assert main(["separate", str(path), "-m", "hpss", "-o", str(tmp_path / "out")]) == 0
    stems = stems_of(tmp_path / "out" / "hpss" / "song")
    assert set(stems) == {"harmonic", "percussive"}
    np.testing.assert_allclose(sum(stems.values()), samples, atol=5e-6 * np.abs(samples).max())
    assert "song.wav" in capsys.readouterr().out


@pytest.mark.core
def test_a_file_alone_is_separated(song, tmp_path, monkeypatch):
    path, _ = song
    monkeypatch.chdir(tmp_path)
    assert main([str(path)]) == 0
    assert (tmp_path / "separated" / "hpss" / "song" / "percussive.flac").is_file()


def test_settings_reach_the_separator(song, tmp_path):
    path, _ = song
    arguments = ["-p", "margin=1.5,3", "-p", "n_fft=1024", "-p", "mask=hard", "-o", str(tmp_path / "out")]
    assert main([str(path), *arguments]) == 0
    provenance = json.loads((tmp_path / "out" / "hpss" / "song" / "provenance.json").read_text())
    for setting in ("margin=(1.5, 3.0)", "n_fft=1024, hop_length=256", "mask='hard'"):
        assert setting in provenance["settings"]
    assert set(provenance["files"]) == {"harmonic", "percussive", "residual"}


def test_offset_and_duration_cut_the_song(song, tmp_path):
    path, samples = song
    rate = soundfile.info(path).samplerate
    assert main([str(path), "--offset", "0.5", "--duration", "0.25", "-o", str(tmp_path / "out")]) == 0
    total = sum(stems_of(tmp_path / "out" / "hpss" / "song").values())
    expected = samples[:, rate // 2 : rate // 2 + rate // 4]
    np.testing.assert_allclose(total, expected, atol=1e-5)


def test_a_bad_file_is_reported_and_the_rest_go_on(song, tmp_path, capsys):
    path, _ = song
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"this is not music" * 50)
    missing = tmp_path / "missing.wav"
    status = main(["separate", str(bad), str(missing), str(path), "-o", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert status == 1
    assert (tmp_path / "out" / "hpss" / "song" / "harmonic.flac").is_file()
    assert "bad.mp3: path must be" in captured.err
    assert "missing.wav: path must be" in captured.err
    assert "2 of 3 failed" in captured.err
    assert "Traceback" not in captured.err


def test_tracks_of_one_name_do_not_overwrite_one_another(song, tmp_path):
    path, samples = song
    other = tmp_path / "other" / "song.wav"
    other.parent.mkdir()
    soundfile.write(other, -samples.T, soundfile.info(path).samplerate, subtype="FLOAT")
    assert main([str(path), str(other), "-o", str(tmp_path / "out")]) == 0
    folders = sorted(path for path in (tmp_path / "out" / "hpss").iterdir() if path.is_dir())
    assert len(folders) == 2
    first, second = (sum(stems_of(folder).values()) for folder in folders)
    np.testing.assert_allclose(first, -second, atol=1e-5)


def test_json_is_one_line_for_every_file(song, tmp_path, capsys):
    path, _ = song
    missing = tmp_path / "missing.wav"
    assert main([str(path), str(missing), "--json", "-o", str(tmp_path / "out")]) == 1
    good, bad = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert good["sources"] == ["harmonic", "percussive"]
    assert good["error"] is None
    assert good["seconds"] == pytest.approx(2.0, abs=0.001)
    assert "existing file" in bad["error"]


def test_hostile_track_names_stay_in_the_output_folder(song, tmp_path, capsys):
    path, _ = song
    evil = tmp_path / "..\x1b[31m\u202ename.wav"
    evil.write_bytes(path.read_bytes())
    assert main([str(evil), "-o", str(tmp_path / "out")]) == 0
    (folder,) = (path for path in (tmp_path / "out" / "hpss").iterdir() if path.is_dir())
    assert folder.parent == tmp_path / "out" / "hpss"
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "nothing"], "method must be one of hpss"),
        (["x.wav", "-m", "nothing"], "method must be one of hpss"),
        (["x.wav", "-p", "margin"], "--param must be NAME=VALUE"),
        (["x.wav", "-p", "colour=2"], "--param must be one of harmonic_seconds"),
        (["x.wav", "-p", "margin=0.5"], "margin must be a number of at least 1"),
        (["x.wav", "-p", "n_fft=big"], "n_fft must be an integer"),
        (["x.wav", "-m", "cascaded-hpss", "-p", "first=HPSS"], "--param must be one of between, first.NAME"),
        (["x.wav", "-m", "cascaded-hpss", "-p", "first.colour=2"], "for HPSS; got 'colour'"),
        (["x.wav", "-m", "cascaded-hpss", "-p", "second.margin=0"], "margin must be a number of at least 1"),
    ],
)
def test_nonsense_is_explained_before_any_work(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.core
def test_settings_of_settings():
    given = ["between=residual", "first.n_fft=1024", "first.power=2", "second.mask=hard"]
    default, found = CascadedHPSS(), separator_from("cascaded-hpss", given)
    assert found == CascadedHPSS(
        first=default.first.replace(stft=STFT(1024), power=2.0),
        second=default.second.replace(mask="hard"),
        between="residual",
    )


def test_unknown_options_are_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["separate", "--nonsense"])
    assert caught.value.code == 2
    capsys.readouterr()


@pytest.mark.core
def test_list_and_info_show_every_method(capsys):
    assert main(["list"]) == 0
    assert "harmonic, percussive" in capsys.readouterr().out
    assert main(["info", "HPSS"]) == 0
    out = capsys.readouterr().out
    for word in ("harmonic_seconds", "margin", "FitzGerald", "n_fft"):
        assert word in out
    assert main(["info", "two-stage-hpss"]) == 0
    out = capsys.readouterr().out
    assert "--param first.n_fft=4096; it is HPSS(stft=STFT(n_fft=8192" in out


def test_unknown_options_are_told_by_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["separate", "x.wav", "--formt", "wav"])
    err = capsys.readouterr().err
    assert "dspsep separate: error: unrecognized arguments: --formt" in err
    assert "did you mean --format?" in err


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_success(song, tmp_path):
    path, _ = song
    child = subprocess.Popen(
        [sys.executable, "-m", "dspsep", "separate", str(path), "--json", "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 141


def test_tables_fit_terminals_and_wide_letters(monkeypatch):
    rows = [("file", "x"), ("音楽.wav", "1"), ("e\u0301" + "a" * 200, "2"), ("\x1b[31m", "3")]
    lines = _console.table(rows).splitlines()
    assert max(map(len, lines)) > 200
    assert "\x1b" not in "".join(lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    lines = _console.table(rows).splitlines()
    assert max(map(len, lines)) < 50
    assert lines[2].index("1") == lines[0].index("x") - 2  # two letters of two columns


def test_what_a_shell_makes_of_names_does_not_reach_the_terminal_raw(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["separate", "x.wav", "--\x1b[31mx.wav"])
    assert caught.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("output", ["--output=--", "--output=\0"])
def test_outputs_that_are_no_folders(output, capsys):
    assert main(["x.wav", output]) in (1, 2)  # newer versions of argparse make a folder "--" of it
    assert "must be" in capsys.readouterr().err


def test_without_arguments_help_is_shown(capsys):
    assert main([]) == 0
    assert "separate" in capsys.readouterr().out


def test_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "dspsep", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"dspsep {__version__}"


def test_progress_stays_off_pipes(song, tmp_path):
    path, _ = song
    command = [sys.executable, "-m", "dspsep", str(path), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_demo_leaves_stems_scores_and_a_page(tmp_path, capsys):
    folder = tmp_path / "demo"
    assert main(["demo", "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "SI-SDR before" in out
    stems = {
        name: soundfile.read(folder / f"{name}.wav")[0].T for name in ("harmonic", "percussive", "mixture")
    }
    np.testing.assert_allclose(stems["harmonic"] + stems["percussive"], stems["mixture"], atol=5e-6)
    assert si_sdr(stems["mixture"], stems["harmonic"]) > 0
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 3
    gains = [
        float(line.split()[5]) for line in out.splitlines() if line.startswith(("harmonic", "percussive"))
    ]
    assert len(gains) == 2
    assert min(gains) > 1.0


@pytest.fixture
def long_song(tmp_path):
    """Some minutes of music as a file."""
    case = real_case(case_names("b_")[0])
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", case.sample_rate, len(case.mixture), "FLOAT") as file:
        for _ in range(20):
            file.write(case.mixture.T)
    return path


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_ctrl_c_ends_promptly_and_leaves_nothing(long_song, tmp_path, form):
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-m", "dspsep", str(long_song), "-o", str(out), "-f", form],
        stderr=subprocess.PIPE,
        text=True,
        # Background jobs of a shell are started deaf to it, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    # Samples that wait for their gain have no name here: the folder for the track tells that work began.
    begun = time.monotonic()
    while not (out / "hpss" / "long").is_dir() and time.monotonic() - begun < 60:
        time.sleep(0.01)
    assert child.poll() is None
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert time.monotonic() - sent < 5.0
    assert child.returncode == 130
    told = "dspsep: 0 of 1 are done; the same command goes on from there\ndspsep: interrupted\n"
    assert stderr == told
    assert list(out.rglob("*")) == [out / "hpss"]


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize("quiet", [[], ["--quiet"], ["--json"]])
def test_progress_is_shown_on_terminals(long_song, tmp_path, quiet):
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "dspsep", str(long_song), "-o", str(tmp_path / "out"), *quiet],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # Linux says in this way that the other end was closed
        pass
    os.close(ours)
    assert child.wait() == 0
    percent = sorted({int(part) for part in re.findall(rb"(\d+)%\|", shown)})
    if quiet:
        assert shown == b""
    else:
        assert len(percent) > 2
        assert re.search(rb"separate \d+/\d+", shown)


@pytest.mark.core
def test_separating_holds_no_whole_file(song, tmp_path, monkeypatch):
    def refuse(self, *, mono):
        raise AssertionError("all of it was read")

    monkeypatch.setattr(_reading.Excerpt, "samples", refuse)
    path, _ = song
    for form in ("wav", "flac"):
        assert main([str(path), "-f", form, "-o", str(tmp_path / "out")]) == 0


def test_separating_loads_nothing_that_it_does_not_need(song, tmp_path):
    path, _ = song
    code = "import sys; from dspsep.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, str(path), "-o", str(tmp_path / "out"), "--quiet"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "soundfile" in loaded
    slow = {"matplotlib", "librosa", "sklearn", "joblib", "pandas", "soxr", "tqdm", "av", "scipy.signal"}
    assert loaded & slow == set()


def test_a_mistyped_command_is_not_taken_for_a_file(song, tmp_path, monkeypatch, capsys):
    path, _ = song
    monkeypatch.chdir(tmp_path)
    assert main(["seperate", str(path)]) == 2
    assert "did you mean `dspsep separate`" in capsys.readouterr().err
    assert not (tmp_path / "separated").exists()


@pytest.mark.parametrize("arguments", [["--offset", "-1"], ["--duration", "0"]])
def test_times_that_make_no_sense_are_refused_at_once(arguments, song, capsys):
    path, _ = song
    assert main([str(path), *arguments]) == 2
    assert f"{arguments[0]} must be a number" in capsys.readouterr().err


def test_an_output_that_is_no_folder_is_refused_before_any_work(song, tmp_path, capsys):
    path, _ = song
    assert main([str(path), "-o", str(path)]) == 2
    assert "--output must be a folder that can be written to" in capsys.readouterr().err


def test_a_gain_is_told_unless_one_wants_quiet(song, tmp_path, capsys):
    path, samples = song
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, 5 * samples.T, soundfile.info(path).samplerate, subtype="FLOAT")
    assert main([str(loud), "-f", "flac", "-o", str(tmp_path / "out")]) == 0
    assert "[W_GAIN]" in capsys.readouterr().err
    assert main([str(loud), "-f", "flac", "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_names_that_the_terminal_cannot_show_do_not_end_the_work(song, tmp_path):
    path, _ = song
    named = tmp_path / "s\N{LATIN SMALL LETTER O WITH DIAERESIS}ng.wav"
    named.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "dspsep", str(named), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "s\\xf6ng.wav" in done.stdout
