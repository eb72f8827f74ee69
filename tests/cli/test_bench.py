"""``dspsep bench``: a folder of results, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dspsep
from dspsep.bench import BenchmarkResults
from dspsep.cli import main
from tests.bench.songs import records_in, songs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    songs(folder, 2)
    return folder


def run(folder, results, *more):
    return main(["bench", "run", str(folder), "-o", str(results), "--protocol", "mdx", *more])


def test_a_folder_of_tracks_becomes_one_of_results(folder, tmp_path, capsys):
    assert run(folder, tmp_path, "--methods", "hpss,FastICA,IWM", "--baselines", "mixture") == 0
    said = capsys.readouterr()
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["method", "done", "unfit", "failed"]
    assert ["HPSS", "2"] in lines
    assert said.err == ""
    results = BenchmarkResults.load(tmp_path)
    assert results.methods == ("mixture", "HPSS", "FastICA", "IWM")
    assert results.tracks == ("song 0", "song 1")
    assert run(folder, tmp_path, "--methods", "hpss,FastICA,IWM", "--baselines", "mixture") == 0
    assert "8 of 8 were there already, of the same content and settings" in capsys.readouterr().out


def test_it_is_what_the_function_does(folder, tmp_path, capsys):
    settings = ["--baselines", "none", "--seed", "5", "--sources", "percussive", "--duration", "0.5"]
    assert run(folder, tmp_path / "a", "--methods", "RPCA", "-q", *settings) == 0
    assert capsys.readouterr().out == ""
    tracks = dspsep.data.stem_folders(folder).excerpt(0.0, 0.5)
    dspsep.run_benchmark(
        "RPCA", tracks, tmp_path / "b", protocol="mdx", seed=5, sources=["percussive"], baselines=False
    )
    assert records_in(tmp_path / "a") == records_in(tmp_path / "b")
    for name in ("a", "b"):
        assert (tmp_path / name / "benchmark.json").read_bytes() == (
            tmp_path / "a" / "benchmark.json"
        ).read_bytes()


def test_sources_are_summed_and_methods_come_from_files(folder, tmp_path, capsys):
    (tmp_path / "methods.json").write_text(
        json.dumps({"wide": json.loads(dspsep.HPSS(margin=2.0).to_json())})
    )
    methods = f"{tmp_path / 'methods.json'},REPET"
    assert run(folder, tmp_path / "r", "--methods", methods, "--group", "all=harmonic+percussive") == 0
    results = BenchmarkResults.load(tmp_path / "r")
    assert results.methods[-2:] == ("wide", "REPET")
    assert results.sources == ("all",)


def test_what_fails_is_told_and_is_the_exit_status(folder, tmp_path, capsys):
    broken = tmp_path / "tracks" / "bad"
    broken.mkdir(parents=True)
    for name in ("harmonic", "percussive"):
        (broken / f"{name}.wav").write_bytes(b"no audio")
    status = main(
        ["bench", "run", str(folder), str(tmp_path / "tracks"), "-o", str(tmp_path / "r"), "-m", "HPSS",
         "--baselines", "none", "--protocol", "mdx"]
    )  # fmt: skip
    said = capsys.readouterr()
    assert status == 1
    assert "HPSS: bad: " in said.err
    assert "1 of 3 failed" in said.err
    assert any(line.split() == ["HPSS", "2", "1"] for line in said.out.splitlines())


@pytest.mark.parametrize(
    "more",
    [["-m", "nothing"], ["-m", "none.json"], ["--group", "a"], ["--subset", "test"], ["--jobs", "0"],
     ["--cluster", "host"], ["--protocol", "none"], ["--duration", "0"], ["--sources", "drums"]],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(folder, tmp_path, capsys, more):
    assert run(folder, tmp_path / "r", *more) == 2
    assert "must be" in capsys.readouterr().err
    assert not (tmp_path / "r" / "records").exists()


def test_bench_alone_shows_its_actions(capsys):
    assert main(["bench"]) == 0
    said = capsys.readouterr().out
    for action in ("run", "table", "compare", "plot"):
        assert action in said


def test_the_commands_are_light():
    code = (
        "import sys, dspsep.cli as cli; cli._parser(); "
        "print([m for m in ('joblib', 'scipy', 'numba', 'distributed', 'matplotlib') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
