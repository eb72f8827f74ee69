"""Reports from the command line: beside stems, resumable, and of several methods on one page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import dspsep
from dspsep import HPSS, NMF, STFT
from dspsep.cli import main
from dspsep.cli._comparison import methods_of
from dspsep.display import _figures
from dspsep.display._html import number
from dspsep.metrics import evaluate
from dspsep.reports import _files
from dspsep.reports._compose import mark_of
from tests.display.test_page import Parsed, assert_harmless, noise, sounds

RATE = 8000


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(_figures.Spectrograms, "picture", lambda self, index: b"picture")


@pytest.fixture
def song(tmp_path, monkeypatch):
    """Work in a folder with a song of three seconds and its true sources."""
    monkeypatch.chdir(tmp_path)
    signals = {name: noise(2, 3 * RATE, 0.2, seed) for seed, name in enumerate(["harmonic", "percussive"])}
    signals["percussive"][:, RATE // 2 :] *= 0.1
    mixture = np.sum(list(signals.values()), axis=0)
    dspsep.save("song.wav", mixture, RATE)
    Path("true").mkdir()
    for name, signal in signals.items():
        dspsep.save(f"true/{name}.wav", signal, RATE)
    return mixture, signals


def read(path):
    return Path(path).read_text(encoding="utf-8")


def rows_of(page):
    rows = re.findall(r"<tr[ >].*?</tr>", page)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)] for row in rows]


ARGUMENTS = ["song.wav", "-p", "n_fft=256", "--report"]
REPORT = "separated/hpss/song/report.html"


def test_a_report_beside_the_stems(song, capsys):
    mixture, _ = song
    assert main([*ARGUMENTS, "--offset", "1", "--duration", "1.5"]) == 0
    said = capsys.readouterr().out
    assert str(Path(REPORT).resolve()) in said
    page = read(REPORT)
    parsed = Parsed(page)
    assert_harmless(parsed)
    assert parsed.content("title") == "song"
    program = "dspsep separate song.wav -p n_fft=256 --offset=1 --duration=1.5"
    assert parsed.content("code").startswith(program)
    assert repr(HPSS(stft=STFT(256))) in parsed.content("code")
    (_, heard, _), (_, harmonic, _), _ = sounds(page)
    assert np.abs(heard - mixture[:, RATE : RATE * 5 // 2]).max() < 1e-4
    expected = dspsep.load("separated/hpss/song/harmonic.flac")[0]
    assert np.abs(harmonic - expected).max() < 1e-4


def test_scores_are_those_of_the_stems(song):
    _, signals = song
    assert main([*ARGUMENTS, "--references", "true"]) == 0
    stems = {name: dspsep.load(f"separated/hpss/song/{name}.flac")[0] for name in signals}
    scores = evaluate(signals, stems, RATE)
    rows = rows_of(read(REPORT))
    for row, name in zip(rows[1:], signals, strict=True):
        assert row[:-1] == [name, *(number(scores[name, metric]) for metric in scores.metrics)]


def test_a_report_is_kept_and_redone_when_it_has_to_be(song, capsys):
    assert main([*ARGUMENTS, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"] == REPORT
    path = Path(REPORT)
    before, mark = path.stat().st_mtime_ns, mark_of(path)
    assert main(ARGUMENTS) == 0
    assert (path.stat().st_mtime_ns, mark_of(path)) == (before, mark)
    assert len(mark) == 64
    path.unlink()  # as if it had been interrupted
    assert main([*ARGUMENTS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"]
    assert mark_of(path) == mark
    assert main([*ARGUMENTS, "--report-duration", "1", "--report-start", "2"]) == 0
    assert mark_of(path) != mark
    assert "from 2 to 3 s of 3 s." in read(path)
    assert main([*ARGUMENTS, "--references", "true"]) == 0
    with_scores = mark_of(path)
    changed, rate = dspsep.load("true/harmonic.wav")
    dspsep.save("true/harmonic.wav", changed / 2, rate)
    assert main([*ARGUMENTS, "--references", "true"]) == 0
    assert mark_of(path) not in {mark, with_scores}


def test_a_report_of_each_track(song):
    mixture, signals = song
    Path("music/other").mkdir(parents=True)
    dspsep.save("music/one.wav", mixture, RATE)
    dspsep.save("music/other/mixture.wav", -mixture, RATE)
    for name, signal in signals.items():
        Path("truth/other").mkdir(parents=True, exist_ok=True)
        dspsep.save(f"truth/other/{name}.wav", -signal, RATE)
    command = ["music", "-p", "n_fft=256", "--report", "--references", "truth", "--filename"]
    assert main([*command, "{track}.{source}.{ext}"]) == 0
    reports = sorted(Path("separated/hpss").glob("*.html"))
    assert [path.name for path in reports] == ["one.report.html", "other-mixture.report.html"]
    assert [len(rows_of(read(path))) for path in reports] == [0, 3]


def test_a_gain_is_undone(song):
    mixture, _ = song
    dspsep.save("loud.wav", 5 * mixture, RATE, subtype="FLOAT")
    assert main(["loud.wav", "-p", "n_fft=256", "--report"]) == 0
    page = Parsed(read("separated/hpss/loud/report.html"))
    assert "The sources add up to the mixture:" in page.content("p")
    assert "quieter than the original" in page.content("p")
    assert "W_GAIN" in page.content("li")


def test_what_is_not_ours_is_not_replaced(song, capsys):
    Path(REPORT).parent.mkdir(parents=True)
    Path(REPORT).write_text("mine")
    assert main(ARGUMENTS) == 1
    assert "no report of dspsep's" in capsys.readouterr().err
    assert Path(REPORT).read_text() == "mine"
    assert [path.name for path in Path(REPORT).parent.iterdir()] == ["report.html"]


def test_what_others_put_there_meanwhile_is_not_replaced(song, capsys, monkeypatch):
    def slow(*arguments, **options):
        Path(REPORT).write_text("mine")
        return "page"

    monkeypatch.setattr(_files, "page_of_files", slow)
    assert main(ARGUMENTS) == 1
    assert "no report of dspsep's" in capsys.readouterr().err
    assert Path(REPORT).read_text() == "mine"


def test_a_part_behind_the_end_is_refused_before_any_work(song, capsys):
    assert main([*ARGUMENTS, "--report-start", "99"]) == 1
    assert "--report-start must be before the end, at" in capsys.readouterr().err
    assert not list(Path().glob("separated/*/*/*.flac"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--references", "true"], "--references must be given with --report"),
        (["--report-start", "1"], "--report-start must be given with --report"),
        (["--report", "--map", "a=b"], "--map must be given with --references"),
        (["--report", "--report-start", "-1"], "--report-start must be"),
        (["--report", "--report-duration", "0"], "--report-duration must be"),
        (["--report", "--references", "nowhere"], "--references must be an existing folder"),
        (["--report", "--references", "empty"], "--references must be a folder with audio"),
        (["--report", "--references", "true", "--map", "harmonic=x"], "--references must be of the names"),
        (["--report", "--references", "true", "--map", "harmonic"], "--map must be REFERENCE=SOURCE"),
        (["--report", "--references", "true", "-m", "repetsim"], "say so: --map harmonic=background"),
    ],
)
def test_nonsense_is_explained_before_any_work(song, arguments, said, capsys):
    Path("empty").mkdir()
    assert main(["song.wav", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(Path().glob("separated/*/*"))


def test_references_unlike_the_mixture(song, capsys):
    _, signals = song
    dspsep.save("true/harmonic.wav", signals["harmonic"][:, :-5], RATE)
    assert main([*ARGUMENTS, "--references", "true"]) == 1
    assert "like the mixture, of 24000 samples; got 23995" in capsys.readouterr().err
    assert not list(Path().glob("separated/hpss/*/*"))


def test_methods_side_by_side(song, capsys):
    mixture, signals = song
    first = ["compare", "song.wav", "--references", "true", "--map", "harmonic=background"]
    arguments = [*first, "--map", "percussive=foreground", "-q", "-m", "HPSS(stft=STFT(256))", "nearest=hpss"]
    assert main([*arguments, "repetsim"]) == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    page = read("comparison.html")
    assert_harmless(Parsed(page))
    estimates = dspsep.REPETSim().separate(mixture.astype(np.float32), RATE)
    scores = evaluate(
        signals, estimates, RATE, mapping={"harmonic": "background", "percussive": "foreground"}
    )
    numbers = [number(scores["harmonic", metric]) for metric in scores.metrics]
    assert ["REPETSim ← background", *numbers, "3 of 3"] in rows_of(page)
    assert Parsed(page).content("title") == "song: 3 methods side by side"


def test_a_method_that_fails_is_told(song, capsys):
    mixture, _ = song
    dspsep.save("mono.wav", mixture[0], RATE)
    assert main(["compare", "mono.wav", "-m", "duet", "HPSS(stft=STFT(256))", "-o", "page.html"]) == 1
    captured = capsys.readouterr()
    assert "DUET: mixture must be audio of at least 2 channels" in captured.err
    assert "page.html" in captured.out
    assert "DUET" not in Parsed(read("page.html")).content("bdi")
    assert main(["compare", "mono.wav", "-m", "duet", "-o", "none.html"]) == 1
    assert not Path("none.html").exists()


def test_methods_as_they_are_typed():
    found = methods_of(["hpss", "HPSS(margin=2.0)", "short = HPSS(stft=STFT(512))", "hard=nmf"])
    assert found == {
        "HPSS": HPSS(),
        "HPSS(margin=2.0)": HPSS(margin=2.0),
        "short": HPSS(stft=STFT(512)),
        "hard": NMF(),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--methods must be at least one method"),
        (["-m", "hpss", "HPSS"], "--methods must be of different names"),
        (["-m", "hpsss"], "--methods must be of what dspsep has"),
        (["-m", "hpss", "-o", "link.html"], "--report must be where nothing of others is replaced"),
        (["-m", "hpss", "--report-start", "99"], "--report-start must be before the end"),
        (["-m", "HPSS(margin=0)"], "margin must be"),
        (["-m", "hpss", "-o", "true"], "--report must be the name of a file"),
        (["-m", "hpss", "-o", "song.wav"], "--report must be where nothing of others is replaced"),
        (["-m", "hpss", "--map", "a=b"], "--map must be given with --references"),
        (["-m", "hpss", "--references", "true", "--map", "a=b"], "--map must be of references there are"),
        (["-m", "repetsim", "--references", "true"], "those of REPETSim are background, foreground"),
        (["-m", "hpss", "--offset", "-1"], "--offset must be"),
        (["-m", "hpss", "--report-duration", "0"], "--report-duration must be"),
    ],
)
def test_comparisons_that_make_no_sense(song, arguments, said, capsys):
    Path("link.html").symlink_to("nowhere")
    assert main(["compare", "song.wav", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("comparison.html").exists()
