"""Methods on tracks: every record once, whatever comes between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

import dspsep
from dspsep.bench import Counted
from dspsep.bench._plan import checked
from dspsep.bench._task import seed_for
from dspsep.bench.runner import Run
from dspsep.data import Track
from dspsep.metrics import evaluate
from tests.bench.songs import records_in, songs

METHODS = ["HPSS", "REPETSim"]


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    return songs(tmp_path_factory.mktemp("songs"), 3)


@pytest.fixture(scope="module")
def serial(tmp_path_factory, tracks):
    folder = tmp_path_factory.mktemp("serial")
    return folder, dspsep.run_benchmark(METHODS, tracks, folder, protocol="mdx", seed=1)


def done(folder, methods, tracks, **settings):
    """Return what a run does, as pairs of a record and whether it was there."""
    given = {"protocol": "mdx", "sources": None, "seed": None, "baselines": False}
    n_jobs = settings.pop("n_jobs", 1)
    asked = checked(methods, tracks, folder, **{**given, **settings})
    with Run(asked, n_jobs=n_jobs, cluster=None) as run:
        return list(run.results())


def statuses(found):
    return {(record["method"], record["track"]): record["status"] for record, _ in found}


def test_scores_are_those_of_a_separation_by_hand(serial, tracks):
    _, results = serial
    track = tracks[1].load()
    sources = dspsep.HPSS().separate(track.mixture, track.sample_rate)
    by_hand = evaluate(track.sources, sources, track.sample_rate, "mdx", mixture=track.mixture)
    (mine,) = (r for r in results.done if (r.method, r.track) == ("HPSS", "song 1"))
    assert mine.scores["percussive", "uSDR"] == by_hand["percussive", "uSDR"]
    assert mine.matching == "name"
    assert mine.matched == {"harmonic": "harmonic", "percussive": "percussive"}


def test_bounds_and_the_mixture_are_rows_by_default(serial):
    _, results = serial
    assert results.methods == ("mixture", "IBM", "IRM", "MWF", "HPSS", "REPETSim")
    assert len(results.done) == 18
    assert not results.failed


def test_records_are_the_same_for_any_number_of_workers(tmp_path, serial, tracks):
    folder, _ = serial
    dspsep.run_benchmark(METHODS, tracks[::-1], tmp_path, protocol="mdx", seed=1, n_jobs=2)
    assert records_in(tmp_path) == records_in(folder)
    assert len(list(tmp_path.glob("times/*/*"))) == 18


def test_what_is_done_is_not_done_again(serial, tracks):
    folder, _ = serial
    before = {path: path.stat().st_mtime_ns for path in folder.glob("records/*/*")}
    found = done(folder, METHODS, tracks, seed=1, baselines=True)
    assert all(kept for _, kept in found)
    assert len(found) == 18
    assert {path: path.stat().st_mtime_ns for path in folder.glob("records/*/*")} == before


def test_what_differs_is_done_again(tmp_path, tracks):
    done(tmp_path, "HPSS", tracks)

    def kept(*arguments, **settings):
        return [kept for _, kept in done(tmp_path, *arguments, **settings)]

    assert kept("HPSS", tracks) == [True] * 3
    assert kept({"HPSS": dspsep.HPSS(margin=2.0)}, tracks) == [False] * 3
    assert kept("HPSS", tracks, protocol="scale_invariant") == [False] * 3
    assert kept("HPSS", tracks, seed=1) == [False] * 3
    assert kept("HPSS", tracks, sources=["percussive"]) == [False] * 3
    assert kept("HPSS", [tracks[0].excerpt(0, 0.5), *tracks[1:]], sources=["percussive"]) == [
        True,
        True,
        False,
    ]


def test_the_content_of_files_counts_and_their_place_does_not(tmp_path):
    (tmp_path / "a").mkdir()
    (track,) = songs(tmp_path / "a", 1)
    done(tmp_path / "r", "HPSS", track)
    (tmp_path / "a").rename(tmp_path / "b")
    files = {name: tmp_path / "b" / "song 0" / f"{name}.wav" for name in track.source_names}
    moved = Track(name=track.name, sources=files)
    assert [kept for _, kept in done(tmp_path / "r", "HPSS", moved)] == [True]
    samples, rate = dspsep.load(files["harmonic"])
    dspsep.save(files["harmonic"], samples * 0.5, rate)
    assert [kept for _, kept in done(tmp_path / "r", "HPSS", moved)] == [False]


def test_stale_records_are_gone_before_new_ones_come(tmp_path, tracks):
    done(tmp_path, "HPSS", tracks)
    asked = checked("HPSS", tracks, tmp_path, protocol="mdx", sources=None, seed=5, baselines=False)
    with Run(asked, n_jobs=1, cluster=None) as run:
        results = run.results()
        next(results)
        assert len(list(tmp_path.glob("records/*/*"))) == 1
        assert json.loads((tmp_path / "benchmark.json").read_text())["seed"] == 5
        results.close()


def test_half_a_record_is_none(tmp_path, tracks):
    done(tmp_path, "HPSS", tracks)
    (path, *_) = sorted(tmp_path.glob("records/*/*"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert sorted(kept for _, kept in done(tmp_path, "HPSS", tracks)) == [False, True, True]
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("records", "status", None), ("records", "status", ["done"]), ("records", "error", []),
        ("records", "warnings", [3]), ("records", "scores", {}), ("records", "track", "another"),
        ("times", "seconds", "long"), ("times", "method", "another"),
    ],
)  # fmt: skip
def test_what_a_benchmark_would_not_write_is_done_again(tmp_path, tracks, kind, name, value):
    files = [part.path for _, (part,) in tracks[0].sources]
    three = Track(name="three", sources={name: files[0] for name in "abc"})  # noqa: C420
    what = three if name == "error" else tracks[0]
    done(tmp_path, "HPSS", what)
    (path,) = tmp_path.glob(f"{kind}/*/*")
    whole = json.loads(path.read_bytes())
    path.write_text(json.dumps({**whole, name: value}))
    assert [kept for _, kept in done(tmp_path, "HPSS", what)] == [False]
    assert json.loads(path.read_bytes())[name] == whole[name] or name == "seconds"
    dspsep.bench.BenchmarkResults.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_pipes_in_the_place_of_files_are_not_waited_for(tmp_path, tracks):
    done(tmp_path, "HPSS", tracks[0])
    for path in list(tmp_path.glob("*/*/*")):
        path.unlink()
        os.mkfifo(path)
    assert [kept for _, kept in done(tmp_path, "HPSS", tracks[0])] == [False]
    assert len(dspsep.bench.BenchmarkResults.load(tmp_path).times()) == 1


def test_folders_in_the_place_of_files_are_told(tmp_path, tracks):
    (tmp_path / "records" / "HPSS" / "song 0.json").mkdir(parents=True)
    with pytest.raises(dspsep.DspsepError, match=r"song 0.json' could not be removed: "):
        done(tmp_path, "HPSS", tracks[0])


@pytest.mark.parametrize("name", ["records", "times/HPSS"])
def test_nothing_is_written_where_links_lead(tmp_path, tracks, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "r" / name
    link.parent.mkdir(parents=True)
    try:
        link.symlink_to(elsewhere, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(dspsep.InputError, match="no folder is a link"):
        done(tmp_path / "r", "HPSS", tracks[0])
    assert not list(elsewhere.iterdir())
    (tmp_path / "whole").symlink_to(elsewhere)  # which is the user's own
    assert len(done(tmp_path / "whole", "HPSS", tracks[0])) == 1


def test_a_method_that_does_not_fit_says_why(tmp_path, tracks):
    files = {name: _mono(tmp_path, name, parts[0].path) for name, parts in tracks[0].sources}
    mono = Track(name="mono", sources=files)
    one = dspsep.HPSS() >> dspsep.Regroup(all=["harmonic", "percussive"])
    found = done(tmp_path / "r", ["DUET", "FastICA", "HPSS", one], mono)
    assert statuses(found) == {
        ("DUET", "mono"): "unfit", ("FastICA", "mono"): "unfit", ("HPSS", "mono"): "done",
        ("Pipeline", "mono"): "unfit",
    }  # fmt: skip
    messages = {record["method"]: (record["error"] or {}).get("message") for record, _ in found}
    assert messages["DUET"] == "it takes 2 channels, and the track has 1."
    assert messages["FastICA"] == "it takes at least 2 channels, and the track has 1."
    assert messages["Pipeline"].startswith("it has 1 output (all) for 2 sources (harmonic, percussive)")


def test_outputs_are_counted_before_any_work(tmp_path, tracks, monkeypatch):
    monkeypatch.setattr(dspsep.HPSS, "separate", lambda *_, **__: pytest.fail("it was tried"))
    files = [part.path for _, (part,) in tracks[0].sources]
    three = Track(name="three", sources={name: files[0] for name in "abc"})  # noqa: C420
    assert statuses(done(tmp_path, "HPSS", three)) == {("HPSS", "three"): "unfit"}


def _mono(folder, name, path):
    samples, rate = dspsep.load(path)
    return dspsep.save(folder / f"{name}.wav", samples[:1], rate)


def test_a_number_of_sources_that_is_refused_is_left_to_the_method(tmp_path):
    rng = np.random.default_rng(0)
    files = {
        name: dspsep.save(tmp_path / f"{name}.wav", rng.uniform(-0.1, 0.1, (3, 8000)), 8000) for name in "ab"
    }
    track = Track(name="noise", sources=files)
    method = {"AuxIVA": Counted(dspsep.AuxIVA(n_iter=1))}
    assert statuses(done(tmp_path / "r", method, track)) == {("AuxIVA", "noise"): "done"}
    own = {"own": dspsep.AuxIVA(n_sources=2)}
    assert statuses(done(tmp_path / "r", own, track)) == {("own", "noise"): "failed"}
    more = Track(name="more", sources={name: [files["a"]] for name in "abcd"})
    assert statuses(done(tmp_path / "r", method, more)) == {("AuxIVA", "more"): "unfit"}


def broken(track):
    if track.name == "song 1":
        raise RuntimeError("no luck")
    return dspsep.HPSS()


def deadly(track):
    if track.name == "song 1":
        os.kill(os.getpid(), signal.SIGKILL)
    return dspsep.HPSS()


def slow(track):
    time.sleep(30 if track.name == "song 2" else 0)
    return dspsep.HPSS()


def test_an_error_is_a_record_and_is_tried_again(tmp_path, tracks):
    found = done(tmp_path, {"broken": broken, "HPSS": "HPSS"}, tracks)
    assert sorted(statuses(found).values()) == ["done"] * 5 + ["failed"]
    (error,) = (record["error"] for record, _ in found if record["error"])
    assert error["type"] == "RuntimeError"
    assert error["message"] == "no luck"
    assert "in broken: raise RuntimeError" in error["traceback"]
    again = done(tmp_path, {"broken": broken, "HPSS": "HPSS"}, tracks)
    assert [record["track"] for record, kept in again if not kept] == ["song 1"]


def test_files_that_cannot_be_read_are_errors_of_their_track(tmp_path, tracks):
    bad = Track(name="gone", sources=dict.fromkeys(("harmonic", "percussive"), tmp_path / "none.wav"))
    found = done(tmp_path, ["HPSS", "mixture"], [tracks[0], bad])
    assert statuses(found)["HPSS", "gone"] == "failed"
    assert statuses(found)["HPSS", "song 0"] == "done"
    results = dspsep.bench.BenchmarkResults.load(tmp_path)
    assert len(results.failed) == 2


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_worker_that_dies_takes_nothing_with_it(tmp_path, tracks):
    found = done(tmp_path, {"deadly": deadly, "HPSS": "HPSS"}, tracks, n_jobs=2)
    assert sorted(statuses(found).values()) == ["done"] * 5 + ["failed"]
    (record,) = (record for record, _ in found if record["status"] == "failed")
    assert (record["method"], record["track"]) == ("deadly", "song 1")
    assert "alone as well" in record["error"]["message"]
    assert len(found) == len(records_in(tmp_path)) == 6


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interruption_ends_soon_and_leaves_whole_records(tmp_path, tracks, n_jobs):
    code = (
        "import sys; from pathlib import Path; import dspsep\n"
        "from tests.bench.test_runner import slow; from dspsep.data import Track; import json\n"
        "tracks = [Track.from_dict(plain) for plain in json.loads(sys.argv[1])]\n"
        "dspsep.run_benchmark({'slow': slow, 'HPSS': 'HPSS'}, tracks, sys.argv[2], protocol='mdx',"
        f" baselines=False, n_jobs={n_jobs})\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps([track.to_dict() for track in tracks]), str(tmp_path)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root), "DSPSEP_KERNELS": "generic"},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        # What a shell starts in the background ignores the signal, and so would what is started here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        limit = time.monotonic() + 60
        while len(list(tmp_path.glob("records/*/*.json"))) < 4 and time.monotonic() < limit:
            time.sleep(0.05)
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()  # one that is left would fail another test
        process.wait()
        process.stderr.close()
    assert time.monotonic() - begin < 5
    assert "KeyboardInterrupt" in errors
    assert process.returncode != 0
    for path in tmp_path.glob("records/*/*"):
        assert json.loads(path.read_bytes())["status"] == "done"
    assert len(list(tmp_path.glob("records/*/*.json"))) >= 4
    assert not list(tmp_path.glob("**/*.part"))


def test_a_folder_is_one_benchmarks_at_a_time(tmp_path, tracks):
    asked = checked("HPSS", tracks, tmp_path, protocol="mdx", sources=None, seed=None, baselines=False)
    with Run(asked, n_jobs=1, cluster=None) as run:
        results = run.results()
        next(results)
        with pytest.raises(dspsep.InputError, match=r"folder must be a folder that no benchmark of other"):
            done(tmp_path, "REPET", tracks)
        assert len(done(tmp_path, "HPSS", tracks)) == 3  # the same, which does no harm
        results.close()


def test_seeds_are_one_for_each_track_and_method(tmp_path, tracks):
    seeds = {seed_for(0, track, method) for track in ("a", "b", "ab") for method in ("a", "b", "ab")}
    assert len(seeds) == 9
    assert seed_for(0, "a", "b") == seed_for(0, "a", "b") != seed_for(1, "a", "b")
    assert seed_for(None, "a", "b") is None
    found = done(tmp_path, ["RPCA", "HPSS"], tracks[:1], seed=4)
    told = {record["method"]: record["seed"] for record, _ in found}
    assert told == {"RPCA": seed_for(4, "song 0", "RPCA"), "HPSS": None}


def test_one_thread_and_inputs_that_stay_as_they_are(tmp_path, tracks):
    seen = []

    def look(track):
        limits = {library["num_threads"] for library in threadpoolctl.threadpool_info()}
        seen.append((limits, dspsep.get_num_threads(), track.mixture.flags.writeable))
        return dspsep.HPSS()

    done(tmp_path, look, tracks[:1])
    assert seen == [({1}, 1, False)]


def test_warnings_are_in_the_record(tmp_path, tracks):
    found = done(tmp_path, dspsep.REPET(), tracks[0].excerpt(0, 0.1))
    ((record, _),) = found
    assert [notice["code"] for notice in record["warnings"]] == ["W_TOO_SHORT"]


def test_progress_is_told_and_ends_the_run(tmp_path, tracks):
    told = []

    def callback(progress):
        told.append((progress.stage, progress.iteration, progress.n_iterations))
        return progress.iteration == 2 and progress.stage != "read"

    results = dspsep.run_benchmark(
        "HPSS", tracks, tmp_path, protocol="mdx", baselines=False, callback=callback
    )
    assert told[:4] == [("read", 0, 3), ("read", 1, 3), ("read", 2, 3), ("benchmark", 0, 3)]
    assert told[4:] == [("HPSS: song 0", 1, 3), ("HPSS: song 1", 2, 3)]
    assert len(results.done) == 2
    assert len(results.missing) == 1
    at_once = dspsep.run_benchmark(
        "HPSS", tracks, tmp_path / "none", protocol="mdx", baselines=False, callback=lambda _: True
    )
    assert not at_once.done


def test_names_of_any_kind_have_files_of_their_own(tmp_path, tracks):
    files = {name: parts[0].path for name, parts in tracks[0].sources}
    odd = [Track(name=name, sources=files) for name in ("a/b", "a-b", "A-B", "..", "con", "ü" * 150)]
    found = done(tmp_path, {"../x": "HPSS", "x": Counted(dspsep.DUET())}, odd)
    assert len(found) == len(records_in(tmp_path)) == 12
    assert all(kept for _, kept in done(tmp_path, {"../x": "HPSS", "x": Counted(dspsep.DUET())}, odd[::-1]))
    assert {path.parent.name for path in tmp_path.glob("*/*")} == {"records", "times"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tracks": []}, "tracks"), ({"tracks": "folder"}, "tracks"), ({"folder": 3}, "folder"),
        ({"protocol": "none"}, "protocol"), ({"sources": ["drums"]}, "sources"),
        ({"sources": "harmonic"}, "sources"), ({"seed": -1}, "seed"), ({"n_jobs": 0}, "n_jobs"),
        ({"cluster": "host"}, "cluster"), ({"baselines": 3}, "methods"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path, tracks, changes, says):
    given = {"methods": "HPSS", "tracks": tracks, "folder": tmp_path / "r", **changes}
    with pytest.raises(dspsep.InputError, match=says):
        dspsep.run_benchmark(given.pop("methods"), given.pop("tracks"), given.pop("folder"), **given)
    assert not (tmp_path / "r").exists()
