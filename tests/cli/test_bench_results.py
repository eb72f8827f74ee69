"""What the command line makes of results, and what it cites."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dspsep.cli import _bench_results, main
from dspsep.errors import InputError
from tests.bench.folders import measured, of_values, record, scored, write


def run(action: str, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    {
        "table": _bench_results.add_table,
        "compare": _bench_results.add_compare,
        "plot": _bench_results.add_plot,
    }[action](parser)
    options = parser.parse_args([str(argument) for argument in arguments])
    done = options.run(options)
    assert isinstance(done, int)
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    steps = range(8)
    values = {
        "mixture": [0.1 * k for k in steps],
        "A": [0.3 * k + 1 for k in steps],
        "IRM": [None, *range(7)],
    }
    times = {("A", "track 0"): 3.0, ("mixture", "track 1"): 0.1}
    return of_values(tmp_path / "results", values, 1.0, times=times)


def test_tables_in_all_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("table", folder) == 0
    told = capsys.readouterr()
    assert told.out.startswith("method        voice SDR  band SDR  tracks  missing\nmixture")
    assert told.err == "dspsep: note: of 24 separations 1 is not done yet\n"
    for form, begin in (("markdown", "| method |"), ("latex", "% by hand"), ("csv", "method,kind,source")):
        assert run("table", folder, "--format", form, "--source", "band,voice", "--gain", "--common") == 0
        assert capsys.readouterr().out.startswith(begin)


def test_comparisons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", folder, "--source", "voice", "--statistic", "mean") == 0
    out = capsys.readouterr().out
    assert out.startswith("method  difference")
    assert "SDR of voice: mean difference to mixture" in out
    assert (
        run("compare", folder, "--against", "A", "--method", "mixture", "--method", "IRM", "-f", "csv") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines if line] == ["method", "mixture", "IRM"] * 2  # two sources


@pytest.mark.parametrize(
    ("kind", "ending"), [("scores", "png"), ("pairs", "pdf"), ("times", "svg"), ("scores", "svg")]
)
def test_pictures(
    folder: Path, tmp_path: Path, kind: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"picture.{ending}"
    methods = ["--method", "A,mixture"] if kind == "pairs" else []
    assert run("plot", folder, "-o", target, "--kind", kind, "--source", "band", *methods) == 0
    begin = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending]
    assert target.read_bytes().startswith(begin)
    assert capsys.readouterr().out == f"Wrote {target}.\n"


def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path) -> None:
    for arguments in (
        ("plot", folder, "-o", tmp_path / "picture.exe"),
        ("plot", folder, "-o", tmp_path / "picture.png", "--kind", "pairs"),
        ("table", tmp_path / "nowhere"),
        ("table", folder, "--metric", "SIR"),
    ):
        with pytest.raises(InputError):
            run(*arguments)  # type: ignore[arg-type]


def test_sets_of_sources_have_tables_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        record("A", "song", scored("song", (1.0, 2.0))),
        record("A", "loop", scored("loop", {"drums": 7.0})),
    ]
    run("table", write(tmp_path, ["A"], ["song", "loop"], records), "-f", "markdown")
    out = capsys.readouterr().out
    assert "| method | voice SDR | band SDR | tracks |" in out
    assert "| method | drums SDR | tracks |" in out


def test_sets_of_sources_that_have_nothing_to_compare_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both, drums = scored("song", (1.0, 2.0)), scored("loop", {"drums": 7.0})
    records = [record("mixture", "song", both), record("A", "song", both), record("mixture", "loop", drums)]
    folder = write(tmp_path, ["mixture", "A"], ["song", "loop"], records)
    assert run("compare", folder) == 0
    out = capsys.readouterr().out
    assert "SDR of band: " in out
    assert "drums" not in out
    assert run("table", folder, "--source", "drums") == 0
    assert "voice" not in capsys.readouterr().out
    with pytest.raises(InputError, match="'mixture' and oracles; got none of mixture, A"):
        run("compare", folder, "--source", "drums")
    assert run("plot", folder, "--source", "drums", "-o", tmp_path / "a.svg") == 0


@pytest.mark.parametrize("action", ["table", "compare", "plot"])
def test_without_any_score_there_is_an_error(tmp_path: Path, action: str) -> None:
    folder = write(tmp_path, ["mixture", "A"], ["song"], [record("A", "song")])
    more = ["-o", tmp_path / "a.svg"] if action == "plot" else []
    with pytest.raises(InputError, match="at least one track that was scored; got none"):
        run(action, folder, *more)


def test_cite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["cite", "repet", "IRM"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("@misc{dspsep,\n")
    assert "@article{rafii2013repeating,\n" in out
    assert main(["cite", "hpss", "--describe"]) == 0
    assert "HPSS (harmonic-percussive separation by median filtering;" in capsys.readouterr().out
    assert main(["cite", "hpss", "--latex", "--every"]) == 0
    assert r"\cite{fitzgerald2010harmonic,driedger2014extending}" in capsys.readouterr().out
    assert main(["cite", str(measured(tmp_path))]) == 0
    assert "stoter2018signal" in capsys.readouterr().out
    assert main(["cite", "nothing"]) == 2
    assert "subject must be" in capsys.readouterr().err
