"""The suites: names that refer to something, other kernels, files, streams, threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import dspsep
from benchmarks import inputs, machine, results
from benchmarks.harness import Suite, Task, compare
from benchmarks.inputs import Music, music
from benchmarks.suites import SUITES, find_comparison
from benchmarks.suites import imports as imports_suite
from benchmarks.suites import repetition as repetition_suite
from benchmarks.suites import threads as threads_suite
from benchmarks.suites._levels import at_level, with_kernels
from dspsep import get_num_threads
from dspsep.kernels import level_for


def test_names_are_unique_and_refer_to_contenders():
    names = [comparison.name for suite in SUITES.values() for comparison in suite.comparisons]
    assert len(names) == len(set(names))
    for name in names:
        found = find_comparison(name)
        contenders = [contender.name for contender in found.contenders]
        assert len(contenders) == len(set(contenders))
        named = {name for goal in found.goals for name in (*(goal.over or ()), goal.of) if name is not None}
        assert {*found.grows, *named} <= set(contenders)


def test_results_name_no_path_and_no_user():
    for path in results.FOLDER.glob("*.json"):
        assert "/home" not in path.read_text()
        assert "/root" not in path.read_text()
        assert "/tmp" not in path.read_text()


@pytest.mark.parametrize("before", [None, "generic"])
def test_kernels_of_a_level_are_used_within_the_call_only(monkeypatch, before):
    monkeypatch.delenv("DSPSEP_KERNELS", raising=False)
    if before is not None:
        monkeypatch.setenv("DSPSEP_KERNELS", before)
    assert with_kernels("cpu", level_for)() == "cpu"
    assert at_level("cpu", lambda _: Task(level_for))(None).call() == "cpu"
    assert os.environ.get("DSPSEP_KERNELS") == before

    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        with_kernels("cpu", fail)()
    assert os.environ.get("DSPSEP_KERNELS") == before


def test_contenders_named_after_kernels_use_these(monkeypatch):
    from dspsep import kernels

    monkeypatch.delenv("DSPSEP_KERNELS", raising=False)
    seen = []
    level = kernels.level_for
    monkeypatch.setattr(kernels, "level_for", lambda array=None: seen.append(level(array)) or level(array))
    found = find_comparison("stft-forward")
    for contender in found.contenders[:3]:
        seen.clear()
        contender.prepare(music(0.2)).call()
        expected = {"dspsep": level(), "dspsep, plain kernels": "cpu", "dspsep, generic kernels": "generic"}
        assert set(seen) == {expected[contender.name]}


def test_a_song_file_is_the_music_at_half_its_level_and_goes_with_its_owner():
    seconds = 31.0  # the loop is shorter
    song = inputs.song_file(seconds)
    samples, rate = soundfile.read(song.path, dtype="float32")
    expected = music(seconds)
    assert rate == expected.sample_rate
    assert np.max(np.abs(samples.T - 0.5 * expected.samples)) <= 2**-15  # a step of 16 bits
    folder = song.folder
    assert folder.is_dir()
    del song
    assert not folder.exists()


@pytest.mark.parametrize("name", ["hpss-audio", "repet-sim-online"])
def test_blocks_give_what_the_whole_gives(name):
    found = find_comparison(name)
    whole, stream = found.contenders[:2]
    source = music(2.6)
    task = stream.prepare(source)
    assert task.call() is None  # it keeps nothing
    parts = task.comparable(None)
    expected = whole.prepare(source)
    np.testing.assert_allclose(parts, expected.comparable(expected.call()), atol=2e-6)


@pytest.mark.parametrize("name", ["repet", "repet-extended", "repet-adaptive", "repet-sim"])
def test_repetition_is_the_same_in_plain_numpy(name):
    found = find_comparison(name)
    records = compare(found, found.make_input(1.0), rounds=1)
    assert [record.contender for record in records] == ["dspsep", "plain NumPy"]
    assert records[1].difference <= found.tolerance


@pytest.mark.parametrize("name", ["pipeline-deep", "pipeline-families", "pipeline-ensemble"])
@pytest.mark.filterwarnings("ignore::dspsep.DspsepWarning")
def test_compositions_give_what_their_parts_give(name):
    found = find_comparison(name)
    records = compare(found, found.make_input(2.5), rounds=1)
    assert records[1].difference <= found.tolerance


def test_long_music_repeats_not_to_the_bit():
    samples, rate = repetition_suite.long_music(30.0)
    loop, _ = music(30.0)
    assert samples.shape == loop.shape
    assert 0.5e-3 < np.std(samples - loop) < 2e-3
    np.testing.assert_array_equal(samples, repetition_suite.long_music(30.0).samples)
    assert repetition_suite.long_music(1.0).samples.shape[1] == 5 * rate


def test_medians_are_compared_for_every_window_along_both_axes():
    names = {comparison.name for comparison in SUITES["medians"].comparisons}
    assert names == {f"median-{axis}-{n}" for axis in ("time", "frequency") for n in (17, 31, 101)}
    short = find_comparison("median-time-17")
    values = np.random.default_rng(0).random((1, 40, 24), np.float32)
    records = compare(short, values, rounds=1)
    assert len(records) >= 5  # bottleneck may not be installed
    assert {record.difference for record in records} == {0.0}


def test_contenders_with_one_and_two_threads_have_them():
    seen = []

    def note() -> np.ndarray:
        seen.append(get_num_threads())
        return np.ones(1)

    contender = find_comparison("stft-forward").contenders[0]
    two, one = threads_suite._one_or_two(
        type(contender)(name="any", package="numpy", prepare=lambda _: Task(note))
    )
    for each in (two, one):
        each.prepare(Music(np.zeros((1, 8)), 8)).call()
    assert ([two.name, one.name], seen) == (["2 threads", "1 thread"], [2, 1])


@pytest.mark.parametrize("cores", [1, 2])
def test_two_threads_are_measured_on_two_cores_only(monkeypatch, cores):
    monkeypatch.setattr(threads_suite, "available_cores", lambda: cores)
    suite: Suite = SUITES["threads"]
    assert suite.threads == 2
    assert bool(suite.obstacle()) == (cores == 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert machine.available_cores() == len(allowed)


def test_files_are_compared_as_they_were_written(monkeypatch):
    def separate_file(path, folder, separator=None, *, format):
        mixture, rate = dspsep.load(path)
        dspsep.HPSS().separate(mixture, rate).save(folder, format=format)

    monkeypatch.setattr(dspsep, "separate_file", separate_file, raising=False)
    assert SUITES["files"].obstacle() == ""
    source = inputs.song_file(0.5)
    expected = dspsep.HPSS().separate(*dspsep.load(source.path))
    tasks = [contender.prepare(source) for contender in find_comparison("file-to-files").contenders[:2]]
    for task in tasks:
        found = task.comparable(task.call())
        for part, name in zip(found, ("harmonic", "percussive"), strict=True):
            np.testing.assert_allclose(part.T, expected[name], atol=2**-22)  # a step of 24 bits, and some


def test_time_of_processes_is_of_the_whole_process():
    work = "import time\nwhile time.process_time() < 0.15: sum(range(100_000))"
    timing = imports_suite._of_children(lambda: subprocess.run([sys.executable, "-c", work], check=True))
    assert timing.wall >= timing.cpu * 0.9
    assert 0.1 < timing.cpu < 1  # the system counts in ticks


def test_an_empty_cache_is_empty_every_time():
    use = (
        'import os; folder = os.environ["NUMBA_CACHE_DIR"]; assert not os.listdir(folder)\n'
        'open(folder + "/compiled", "w").close()'
    )
    for _ in range(2):
        assert imports_suite._timed_with_an_empty_cache(use).wall > 0
