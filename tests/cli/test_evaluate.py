"""``dspsep evaluate``, as a shell sees it."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dspsep import HPSS, STFT, evaluate_folders, load
from dspsep.cli import _evaluate, _evaluation, main
from dspsep.data import _isolated, _reading
from dspsep.metrics import BSSEval, Scores, _scores_json, si_sdr
from dspsep.metrics.protocols import named_protocols
from tests.batch.test_evaluation import RATE, SOURCES, make, sounds, spoilt, write
from tests.cases import case_names, real_case

FAST = ["--protocol", "scale_invariant"]
HOSTILE = "=..\x1b[31m\u202e|ha$ck\n"


@pytest.fixture
def one(tmp_path):
    sources = sounds(0, n_samples=RATE)
    make(tmp_path / "true", sources)
    make(tmp_path / "made", spoilt(sources))
    return [str(tmp_path / "true"), str(tmp_path / "made")]


@pytest.fixture
def tree(tmp_path):
    for seed, track in enumerate(("b", "sub/a")):
        sources = sounds(seed, n_samples=RATE)
        make(tmp_path / "true" / track, sources)
        make(tmp_path / "made" / track, spoilt(sources), "flac")
    return [str(tmp_path / "true"), str(tmp_path / "made")]


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


@pytest.mark.core
def test_a_table_is_printed(one, capsys):
    assert evaluate(*one, *FAST) == 0
    said = capsys.readouterr()
    assert said.out == f"{evaluate_folders(*one, 'scale_invariant').scores}\n"
    assert said.err == ""


@pytest.mark.core
def test_every_format_can_be_read(tree, capsys):
    scores = evaluate_folders(*tree, "scale_invariant").scores
    out = {}
    for form in ("markdown", "latex", "csv", "json"):
        assert evaluate(*tree, *FAST, "-f", form) == 0
        said = capsys.readouterr()
        assert said.err == ""
        out[form] = said.out
    assert Scores.from_json(out["json"]) == scores
    rows = list(csv.DictReader(io.StringIO(out["csv"])))
    assert [row["track"] for row in rows] == [row["track"] for row in scores.records()]
    assert float(rows[-1]["score"]) == scores.records()[-1]["score"]
    assert out["markdown"] == scores.to_markdown()
    assert out["latex"] == scores.to_latex()


@pytest.mark.core
def test_files_hold_all_of_it(tree, tmp_path, capsys):
    files = ["--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv", "--museval", tmp_path / "m" / "n"]
    assert evaluate(*tree, *FAST, *files) == 0
    scores = evaluate_folders(*tree, "scale_invariant").scores
    assert Scores.from_json((tmp_path / "s.json").read_bytes()) == scores
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == scores.to_csv()
    there = sorted(path.relative_to(tmp_path / "m/n").as_posix() for path in (tmp_path / "m").rglob("*.json"))
    assert there == ["b.json", "sub/a.json"]
    back = Scores.from_museval(tmp_path / "m/n/sub/a.json")
    np.testing.assert_allclose(back["bass"]["SI-SDR"], scores.value("bass", "SI-SDR", "sub/a"), atol=1e-5)
    assert not list(tmp_path.rglob(".dspsep-*"))


def test_results_are_replaced_only_if_that_is_asked_for(one, tmp_path, capsys):
    for option, name in (("--json", "a.json"), ("--csv", "a.csv"), ("--museval", "m")):
        target = tmp_path / name
        file = target / "true.json" if option == "--museval" else target
        assert evaluate(*one, *FAST, option, target) == 0
        file.write_text("mine")
        assert evaluate(*one, *FAST, option, target) == 2
        said = capsys.readouterr().err
        assert f"{option} must be the name of a new file; got {str(file)!r}, which is there" in said
        assert file.read_text() == "mine"
        assert evaluate(*one, *FAST, option, target, "--overwrite") == 0
        assert file.read_text() != "mine"


def test_what_came_to_be_there_meanwhile_is_left_as_it_is(tree, tmp_path, monkeypatch, capsys):
    (tmp_path / "m").mkdir()
    targets = {"--json": "s.json", "--csv": "s", "--museval": "m"}
    files = [tmp_path / name for name in ("s.json", "s", "m/sub/a.json", "s-1")]
    shown = _evaluation._shown

    def late(*given):
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_text("of somebody else")
        return shown(*given)

    monkeypatch.setattr(_evaluation, "_shown", late)
    options = [part for option, name in targets.items() for part in (option, tmp_path / name)]
    assert evaluate(*tree, *FAST, *options) == 1
    assert all(file.read_text() == "of somebody else" for file in files)
    said = capsys.readouterr().err
    assert f"dspsep: --csv: {str(tmp_path / 's')!r} came to be there meanwhile" in said
    assert f"The scores are in {str(tmp_path / 's-2')!r}: rename one of the two." in said
    scores = evaluate_folders(*tree, "scale_invariant").scores
    assert Scores.from_json((tmp_path / "s-1.json").read_bytes()) == scores
    assert (tmp_path / "s-2").read_text() == scores.to_csv()
    names = sorted(path.relative_to(tmp_path / "m").as_posix() for path in (tmp_path / "m").rglob("*.json"))
    assert names == ["b.json", "sub/a-1.json", "sub/a.json"]
    assert not list(tmp_path.rglob(".dspsep-*"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_what_is_no_file_is_not_replaced(one, tmp_path, capfd, overwrite):
    pipe, nowhere, device = tmp_path / "pipe", tmp_path / "nowhere", tmp_path / "device"
    os.mkfifo(pipe)
    nowhere.symlink_to(tmp_path / "none")
    device.symlink_to(os.devnull)
    for target in (pipe, nowhere, device, "/dev/null", "/dev/stdout", "/dev/stderr"):
        assert evaluate(*one, *FAST, "--json", target, *overwrite) == 2
        said = capfd.readouterr().err
        assert f"--json must be the name of a file; got {str(target)!r}, which is a pipe, a device" in said
        assert "--overwrite" not in said
    assert pipe.is_fifo()
    assert nowhere.is_symlink()
    assert device.is_char_device()
    assert not (tmp_path / "none").exists()


def test_the_file_that_is_printed_to_is_not_replaced(one, tmp_path):
    for target in ("/dev/stdout", tmp_path / "printed"):
        with (tmp_path / "printed").open("w") as printed:
            command = [
                sys.executable,
                "-m",
                "dspsep",
                "evaluate",
                *one,
                *FAST,
                "--overwrite",
                "--csv",
                target,
            ]
            done = subprocess.run(command, stdout=printed, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 2
        assert "or where output goes already" in done.stderr


def test_through_a_link_the_file_is_replaced_that_it_points_to(one, tmp_path, capsys):
    there = tmp_path / "elsewhere/s.csv"
    there.parent.mkdir()
    there.write_text("before")
    link = tmp_path / "s.csv"
    try:
        link.symlink_to(there)
    except OSError:
        pytest.skip("no symbolic links here")
    assert evaluate(*one, *FAST, "--csv", link) == 2
    assert evaluate(*one, *FAST, "--csv", link, "--overwrite") == 0
    assert link.is_symlink()
    assert there.read_text() == evaluate_folders(*one, "scale_invariant").scores.to_csv()


def test_tracks_whose_files_would_be_the_folders_of_others(tmp_path, capsys):
    sources = sounds(0, ["a", "b"], n_samples=RATE)
    for track in ("A", "a.JSON/B"):
        make(tmp_path / "true" / track, sources)
        make(tmp_path / "made" / track, sources)
    assert evaluate(tmp_path / "true", tmp_path / "made", *FAST, "--museval", tmp_path / "m") == 2
    said = capsys.readouterr()
    assert "--museval must be of files none of which is the folder of another; got " in said.err
    assert f"beside the file {str(tmp_path / 'm/A.json')!r}" in said.err
    assert said.out == ""
    assert not (tmp_path / "m").exists()


def test_folders_are_made_when_there_is_something_to_write(one, tmp_path, monkeypatch, capsys):
    target = tmp_path / "m/n"
    original = _evaluation._scores

    def ended(*given):
        assert not target.parent.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(_evaluation, "_scores", ended)
    assert evaluate(*one, *FAST, "--museval", target) == 130
    assert not target.parent.exists()
    monkeypatch.setattr(_evaluation, "_scores", original)

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert evaluate(*one, *FAST, "--museval", target) == 1
    said = capsys.readouterr().err
    assert f"--museval: {str(target / 'true.json')!r} was not written: No space left on device" in said
    assert not target.parent.exists()


def test_what_a_killed_process_left_is_removed(one, tmp_path, capsys):
    left = tmp_path / ".dspsep-0123456789abcdef.part"
    left.write_text("half of it")
    other = tmp_path / ".dspsep-notes"
    other.write_text("mine")
    assert evaluate(*one, *FAST, "--csv", tmp_path / "s.csv") == 0
    assert not left.exists()
    assert other.exists()


def test_scores_too_large_for_json_are_written_otherwise(one, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_scores_json, "_MAX_LENGTH", 100)
    files = ["--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv", "--museval", tmp_path / "m"]
    assert evaluate(*one, *FAST, *files, "-f", "json") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "dspsep: nothing can be printed as json: tracks must be at most 100 characters" in said.err
    assert f"dspsep: --json: {str(tmp_path / 's.json')!r} was not written: tracks must be at most" in said.err
    assert not (tmp_path / "s.json").exists()
    assert (tmp_path / "s.csv").read_text() == evaluate_folders(*one, "scale_invariant").scores.to_csv()
    assert (tmp_path / "m/true.json").exists()


def test_a_plus_adds_unless_it_is_in_a_name(one, tmp_path, capsys):
    command = [*one, *FAST, "--sources", "bass", "--map", "bass=bass+drums", "-f", "json"]
    estimates = []
    for turn in range(2):
        assert evaluate(*command) == 0
        estimates += Scores.from_json(capsys.readouterr().out).tracks[0].estimates
        if not turn:
            write(tmp_path / "made/bass+drums.wav", sounds(0, n_samples=RATE)["bass"])
    assert estimates == ["bass + drums", "bass+drums"]


def test_what_cannot_be_written_leaves_what_was_there(one, tmp_path, monkeypatch, capsys):
    target = tmp_path / "s.json"
    target.write_text("before")
    write_bytes = Path.write_bytes

    def full(path, data):
        write_bytes(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert evaluate(*one, *FAST, "--json", target, "--overwrite") == 1
    said = capsys.readouterr()
    assert "No space left on device" in said.err
    assert "SI-SDR" in said.out
    assert target.read_text() == "before"
    assert not list(tmp_path.glob(".dspsep-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "true/bass.wav"], "true/bass.wav', which is scored"),
        (["--json", "made/bass.wav", "--csv", "x"], "made/bass.wav', which is scored"),
        (
            ["--json", "x", "--csv", "x"],
            "--csv must be a file of its own; got 'x', which is written to by --json",
        ),
        (["--json", "no/x.json"], "--json must be in a folder that is there"),
        (["--csv", "true"], "--csv must be the name of a file; got 'true', which is a folder"),
        (["--museval", "true/bass.wav"], "--museval must be a folder that can be written to"),
        (["--protocol", "sdr"], "--protocol must be one of 'bss_eval_v4', "),
        (["-p", "silence"], "--param must be NAME=VALUE"),
        (
            ["-p", "version=v3_images"],
            "--param must be one of window_seconds, hop_seconds, n_taps, silence for",
        ),
        (["-p", "silence=golden"], "silence must be one of"),
        (["-p", "n_taps=0"], "n_taps must be"),
        (["--protocol", "mdx", "-p", "n_taps=9"], "--param must be left out, since there are none, for mdx"),
        (["--sources", "bass,,drums"], "--sources must be different names"),
        (["--sources", "bass,bass"], "--sources must be different names"),
        (["--map", "bass"], "--map must be REFERENCE=ESTIMATE; got 'bass'"),
        (["--map", "bass=a", "--map", "bass=b"], "--map must be one estimate for each reference"),
        (["--map", "choir=bass"], "mapping must be of references that are scored"),
        (["--map", "bass=drums", "--permutation"], "--map must be left out with --permutation"),
        (["--sources", "choir"], "sources must be names of references that some track has"),
        (["--json", "made/new", "--csv", "made/NEW/x"], "--csv must be in a folder that is there"),
        (["--json", "true/bass.wav/x"], "--json must be in a folder that is there"),
        (["--museval", "m", "--json", "m"], "--museval must be of files none of which is the folder of"),
        (["--sources", "mixture"], "sources must be names of references other than the mixture"),
        (["-j", "0"], "--jobs must be an integer"),
    ],
)
def test_nonsense_is_explained_before_any_work(one, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert evaluate("true", "made", *arguments, "--overwrite") == 2
    err = capsys.readouterr()
    assert said in err.err
    assert err.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_that_are_not_there(one, tmp_path, capsys):
    assert evaluate(one[0], tmp_path / "none", *FAST) == 2
    assert "estimate_dir must be an existing folder" in capsys.readouterr().err


@pytest.mark.core
def test_a_failed_track_is_told_and_the_rest_is_written(tree, tmp_path, capsys):
    (tmp_path / "made/sub/a/bass.flac").write_bytes(b"no music" * 99)
    (tmp_path / "true/c").mkdir()
    (tmp_path / "true/c/bass.wav").write_bytes(b"")
    target = tmp_path / "s.json"
    assert evaluate(*tree, *FAST, "--json", target) == 1
    said = capsys.readouterr()
    assert "dspsep: sub/a: path must be" in said.err
    assert "dspsep: c: references must be the same for all tracks" in said.err
    assert said.err.endswith("2 of 3 failed\n")
    assert "SI-SDR" in said.out
    assert said.out.endswith("\n1 of 3 tracks; failed: 'c', 'sub/a'\n")
    assert [track.track for track in Scores.from_json(target.read_bytes()).tracks] == ["b"]


def test_nothing_is_printed_and_written_if_all_fail(one, tmp_path, capsys):
    (tmp_path / "made/bass.wav").write_bytes(b"")
    target = tmp_path / "s.json"
    assert evaluate(*one, *FAST, "--json", target) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 2
    assert not target.exists()


def test_any_number_of_jobs_writes_the_same_bytes(tree, tmp_path, capsys):
    for n in (1, 2):
        arguments = [
            "-p",
            "n_taps=32",
            "-p",
            "window_seconds=0.25",
            "-j",
            n,
            "--json",
            tmp_path / f"{n}.json",
        ]
        assert evaluate(*tree, *arguments) == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    expected = evaluate_folders(*tree, BSSEval(n_taps=32, window_seconds=0.25)).scores
    assert Scores.from_json((tmp_path / "2.json").read_bytes()) == expected


def test_options_reach_the_scores(one, tmp_path, capsys):
    made = tmp_path / "made"
    (made / "vocals.wav").rename(made / "voice.wav")
    write(made / "residual.wav", sounds(0, n_samples=RATE)["bass"])
    target = tmp_path / "s.json"
    more = ["--map", "vocals=voice", "--sources", "vocals, bass", "-p", "silence=strict"]
    assert evaluate(*one, *FAST, *more, "--json", target) == 0
    said = capsys.readouterr()
    assert said.out.endswith("\nNot scored: residuals (1); references 'drums'; estimates 'drums'\n")
    (track,) = Scores.from_json(target.read_bytes()).tracks
    assert track.estimates == ("voice", "bass")
    assert track.protocol["sources"] == ("vocals", "bass")
    assert track.protocol["silence"] == "strict"
    assert evaluate(*one, *FAST, "--permutation", "--json", target, "--overwrite", "-f", "csv") == 0
    said = capsys.readouterr()
    assert said.err == "Not scored: residuals (1)\n"
    (track,) = Scores.from_json(target.read_bytes()).tracks
    assert track.estimates == ("bass", "drums", "voice")
    assert evaluate(*one, *FAST, "--permutation", "--quiet") == 0
    assert "Not scored" not in "".join(capsys.readouterr())


def test_silence_and_length_are_refused_unless_one_says_what_to_do(one, tmp_path, capsys):
    write(tmp_path / "true/bass.wav", np.zeros((2, RATE)))
    assert evaluate(*one, *FAST) == 1
    assert 'silence="strict"' in capsys.readouterr().err
    assert evaluate(*one, *FAST, "-p", "silence=strict") == 0
    assert "–" in capsys.readouterr().out
    write(tmp_path / "made/drums.wav", sounds(0, n_samples=RATE + 9)["drums"])
    assert evaluate(*one, *FAST, "-p", "silence=strict") == 1
    assert "--pad" in capsys.readouterr().err
    assert evaluate(*one, *FAST, "-p", "silence=strict", "--pad") == 0


def test_hostile_names_are_no_more_than_names(one, tmp_path, capsys):
    for folder in ("true", "made"):
        try:
            (tmp_path / folder / HOSTILE).mkdir()
        except OSError:
            pytest.skip("no such names here")
        for file in sorted((tmp_path / folder).glob("*.wav")):
            file.rename(file.parent / HOSTILE / f"{HOSTILE}{file.name}")
    sources = [f"{HOSTILE}{name}" for name in SOURCES]
    inside = tmp_path / "museval"
    for form in ("text", "markdown", "latex", "csv", "json"):
        assert evaluate(*one, *FAST, "-f", form, "--museval", inside, "--overwrite") == 0
        said = capsys.readouterr()
        assert not {"\x1b", "\u202e"} & set(said.out + said.err)
    assert list(Scores.from_json(said.out).sources) == sources
    (file,) = inside.rglob("*.json")
    assert file.parent == inside
    (tmp_path / "made" / HOSTILE / f"{HOSTILE}bass.wav").rename(
        tmp_path / "made" / HOSTILE / f"{HOSTILE}.wav"
    )
    assert evaluate(*one, *FAST, "--sources", sources[1]) == 0
    said = capsys.readouterr().out
    assert "; estimates '=" in said
    assert not {"\x1b", "\u202e"} & set(said)
    assert evaluate(*one, *FAST) == 1
    assert not {"\x1b", "\u202e"} & set(capsys.readouterr().err)


def test_museval_names_do_not_meet(tmp_path, capsys):
    sources = sounds(0, ["a", "b"], n_samples=RATE)
    for track in ("x", "X", "a:b", "a*b"):
        try:
            make(tmp_path / "true" / track, sources)
            make(tmp_path / "made" / track, spoilt(sources))
        except OSError:
            pytest.skip("no such names here")
    assert evaluate(tmp_path / "true", tmp_path / "made", *FAST, "--museval", tmp_path / "m") == 0
    names = [path.name.casefold() for path in (tmp_path / "m").iterdir()]
    assert len(set(names)) == 4


def test_estimates_of_unknown_origin(one, monkeypatch, capsys):
    monkeypatch.setattr(_isolated, "limited", lambda: False)
    assert evaluate(*one, *FAST, "--isolate") == 2
    assert "--isolate must be left out on this system" in capsys.readouterr().err


@pytest.mark.skipif(not _isolated.limited(), reason="no limits here")
def test_isolated_files_are_decoded_elsewhere(one, monkeypatch, capsys):
    def refuse(*given):
        raise AssertionError("decoded here")

    monkeypatch.setattr(_reading, "open_audio", refuse)
    assert evaluate(*one, *FAST, "--sources", "bass", "--isolate") == 0
    assert evaluate(*one, *FAST, "--sources", "bass") == 1
    assert "decoded here" in capsys.readouterr().err


@pytest.mark.skipif(not _isolated.limited(), reason="no limits here")
def test_isolated_files_give_the_same_scores(one, capsys):
    outs = []
    for more in ([], ["--isolate"]):
        assert evaluate(*one, *FAST, "--sources", "bass", *more) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]


def test_notices_are_told_unless_one_wants_quiet(one, tmp_path, capsys):
    file = tmp_path / "made/bass.wav"
    file.write_bytes(file.read_bytes()[:-4000])
    assert evaluate(*one, *FAST, "--pad") == 0
    assert "dspsep: true: note: [W_TRUNCATED]" in capsys.readouterr().err
    assert evaluate(*one, *FAST, "--pad", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_protocols_are_those_there_are():
    assert tuple(named_protocols()) == _evaluate.PROTOCOLS


def test_other_commands_do_not_import_what_scores():
    code = "import sys, dspsep.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "dspsep.cli._evaluate" in done.stdout.split()
    assert not [name for name in done.stdout.split() if name.startswith("dspsep.metrics")]


def test_a_real_separation_written_by_separate(tmp_path, capsys):
    case = real_case(case_names("b_")[0])
    part = slice(0, 3 * case.sample_rate)
    (percussive,) = (audio[:, part] for name, audio in case.references.items() if name == "drums")
    write(tmp_path / "true/song/percussive.wav", percussive, case.sample_rate)
    write(tmp_path / "true/song/harmonic.wav", case.mixture[:, part] - percussive, case.sample_rate)
    write(tmp_path / "mixes/song.wav", case.mixture[:, part], case.sample_rate)
    assert main(["separate", str(tmp_path / "mixes"), "-f", "wav", "-o", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    target = tmp_path / "s.json"
    assert evaluate(tmp_path / "true", tmp_path / "out/hpss", "--json", target, "-p", "n_taps=64") == 0
    assert "Not scored" not in capsys.readouterr().out
    scores = Scores.from_json(target.read_bytes())
    assert scores.tracks[0].track == "song"
    separated = HPSS().separate(case.mixture[:, part], case.sample_rate)
    assert set(scores.sources) == set(separated)
    assert scores["percussive", "SDR"] > -5
    assert scores["harmonic", "SDR"] > -5


@pytest.mark.parametrize(
    ("template", "before"), [("{track}/{source}.{ext}", ""), ("{track}_{source}.{ext}", "a_")]
)
def test_the_level_of_stems_that_would_clip_is_that_of_the_separation(tmp_path, capsys, template, before):
    loud = {name: 9 * audio for name, audio in sounds(0, ["harmonic", "percussive"], n_samples=RATE).items()}
    make(tmp_path / "true/a", loud)
    mixture = write(tmp_path / "a.wav", sum(loud.values()))
    values = []
    for form in ("flac", "wav"):
        out = tmp_path / form
        how = ["-f", form, "-o", str(out), "--filename", template, "-p", "n_fft=256", "-q"]
        assert main(["separate", str(mixture), *how]) == 0
        made = out / "hpss" if before else out / "hpss/a"
        capsys.readouterr()
        names = [part for name in loud for part in ("--map", f"{name}={before}{name}")]
        assert evaluate(tmp_path / "true/a", made, "--protocol", "mdx", *names, "-f", "json") == 0
        (track,) = Scores.from_json(capsys.readouterr().out).tracks
        values.append(track.values)
        assert ("gains_undone" in track.details) is (form == "flac")
    np.testing.assert_allclose(*values, atol=1e-3)


def test_mixtures_that_have_one_name_are_told_apart_by_the_manifest(tree, tmp_path, capsys):
    true = tmp_path / "true"
    mixtures = []
    for track in ("b", "sub/a"):
        files = sorted((true / track).glob("*.wav"))
        audio = [soundfile.read(file)[0].T for file in files]
        for file in files:
            file.unlink()
        write(true / track / "percussive.wav", audio[0])
        write(true / track / "harmonic.wav", audio[1] + audio[2])
        mixtures.append(str(write(true / track / "mixture.wav", sum(audio))))
    # What was made of a source is not what was made of the mixture beside it.
    separated = [*mixtures, str(true / "b/percussive.wav")]
    out = tmp_path / "out"
    assert main(["separate", *separated, "-f", "wav", "-p", "n_fft=256", "-o", str(out), "-q"]) == 0
    assert not (out / "hpss" / "b").exists()
    capsys.readouterr()
    assert evaluate(true, out / "hpss", *FAST, "-f", "json") == 0
    scores = Scores.from_json(capsys.readouterr().out)
    for track, mixture in zip(("b", "sub/a"), mixtures, strict=True):
        made = HPSS(stft=STFT(256)).separate(*load(mixture))["harmonic"]
        expected = si_sdr(load(true / track / "harmonic.wav")[0], made)
        # The stems are written and read in single precision.
        assert scores.value("harmonic", "SI-SDR", track) == pytest.approx(expected, abs=1e-3)
    manifest = out / "hpss" / "manifest.jsonl"
    manifest.write_text("")
    assert evaluate(true, out / "hpss", *FAST) == 2
    assert "estimate_dir must be a folder with estimates of the tracks" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_ctrl_c_ends_promptly_and_writes_nothing(tmp_path, n_jobs):
    sources = sounds(0, ["a", "b"], n_samples=60 * RATE)
    for track in "xyz":
        make(tmp_path / "true" / track, sources)
        make(tmp_path / "made" / track, sources)
    out = tmp_path / "out"
    out.mkdir()
    flag = out / "begun"
    code = (
        "import sys, pathlib, dspsep.cli._evaluation as e\n"
        "from dspsep.cli import main, _console\n"
        "begin = _console.Bar.begin\n"
        f"_console.Bar.begin = lambda *given: (pathlib.Path({str(flag)!r}).touch(), begin(*given))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, "evaluate", str(tmp_path / "true"), str(tmp_path / "made"), "-j", n_jobs,
         "--json", str(out / "s.json"), "-p", "n_taps=2000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    begun = time.monotonic()
    while not flag.exists() and time.monotonic() - begun < 60:
        time.sleep(0.01)
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=30)
    assert time.monotonic() - sent < 10.0
    assert child.returncode == 130
    assert stdout == ""
    assert stderr == "dspsep: 0 of 3 were scored; nothing was written\ndspsep: interrupted\n"
    assert [path.name for path in out.iterdir()] == ["begun"]


def test_records_are_strict_json(one, capsys):
    assert evaluate(*one, *FAST, "-f", "json") == 0

    def refuse(word):
        raise AssertionError(word)

    json.loads(capsys.readouterr().out, parse_constant=refuse)
