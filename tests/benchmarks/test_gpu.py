"""The suite for a GPU: that its lines are right is shown on a stand-in; without a GPU it measures nothing."""

from __future__ import annotations

import dataclasses
import re
import sys
import types

import numpy as np
import pytest

from benchmarks import gpu, report, results
from benchmarks.__main__ import main
from benchmarks.goals import Goal, Within
from benchmarks.harness import Record, compare
from benchmarks.results import ComparisonResult
from benchmarks.suites import SUITES
from benchmarks.suites import gpu as suite
from dspsep import _backend
from tests.devices import on_device

# Seconds of audio of which each comparison makes its own multiple.
SECONDS = {"gpu-hpss": 0.02, "gpu-stft": 0.02, "gpu-nmf": 0.1, "gpu-auxiva": 1.0, "gpu-repet-sim": 0.02}


@pytest.fixture
def stand_in(monkeypatch):
    waits = []

    def held(call):
        call()
        return 12_000_000

    there = gpu.Device(
        name="a stand-in", put=on_device, back=_backend.to_host, wait=lambda: waits.append(1), held=held
    )
    monkeypatch.setattr(gpu, "find", lambda: there)
    monkeypatch.setattr(suite, "_N_ITER", 3)
    monkeypatch.setattr(suite.iva, "_N_ITER", 2)
    monkeypatch.setenv("DSPSEP_KERNELS", "generic")
    return waits


@pytest.mark.filterwarnings("ignore::dspsep.DspsepWarning")
@pytest.mark.parametrize("found", SUITES["gpu"].comparisons, ids=lambda found: found.name)
def test_what_is_compared_is_the_same(found, stand_in):
    here = [
        dataclasses.replace(contender, package="numpy")
        for contender in found.contenders
        if contender.name in (suite.ON_GPU, suite.ON_CPU, suite.BOUND)
    ]
    found = dataclasses.replace(found, contenders=tuple(here))
    records = compare(found, found.make_input(SECONDS.get(found.name, 0.1)), rounds=1)
    assert [record.contender for record in records] == [contender.name for contender in here]
    on_gpu, on_cpu = records[:2]
    assert on_gpu.device_bytes == 12_000_000
    assert on_cpu.device_bytes is None
    if found.tolerance is not None:
        assert on_cpu.difference <= found.tolerance
    assert stand_in


def test_goals_are_those_that_were_set():
    goals = {
        found.name: {str(goal): goal.over for goal in found.goals} for found in SUITES["gpu"].comparisons
    }
    assert goals["gpu-hpss"] == {"≥ 10 ×": (suite.ON_CPU,), "≤ 5 × the limit of bandwidth": (suite.BOUND,)}
    assert goals["gpu-median-time"] == goals["gpu-median-frequency"] == {"≥ 10 ×": (suite.CUPYX,)}
    assert goals["gpu-nmf"] == {
        "≥ 20 ×": (suite.SKLEARN,),
        "≥ 1.2 ×": (suite.TORCH,),
        "≥ 2 ×": (suite.TORCH,),
    }
    assert goals["gpu-repet-sim"] == goals["gpu-auxiva"] == {"≥ 10 ×": (suite.ON_CPU,)}


def test_the_job_of_factorisation_has_its_size():
    problem = suite._problem(0.15)
    assert problem.V.shape == (1025, 26_000 * 0.15 / 30)
    assert problem.W.shape == (1025, 32)
    assert problem.H.shape == (32, problem.V.shape[1])


def measured(**seconds):
    records = tuple(
        Record(contender=name, difference=None, output="", wall=(time,), cpu=(9.0,), device_bytes=memory)
        for name, (time, memory) in seconds.items()
    )
    return ComparisonResult(name="any", tolerance=None, records=records, growth=(), absent=())


def test_a_bound_is_kept_or_not():
    found = measured(ours=(4.0, 5_000_000), limit=(1.0, None))
    assert Within(at_most=5, bound="limit").verdict(found, "ours", 2) == ("4.00 ×", "limit", True)
    assert Within(at_most=3, bound="limit").verdict(found, "ours", 2).met is False
    assert Within(at_most=3, bound="other").verdict(found, "ours", 2).met is None
    assert Goal(at_least=2, over=("limit",)).verdict(found, "ours", 2).met is False


def test_memory_of_a_device_is_shown_where_it_was_measured():
    lines = "\n".join(report._turns(measured(ours=(4.0, 5_000_000), limit=(1.0, None)), 2))
    assert "device memory" in lines
    assert re.search(r"\| 5(\.0*)? MB \|", lines)
    assert "device memory" not in "\n".join(report._turns(measured(ours=(4.0, None)), 2))


def test_without_cupy_nothing_is_measured_and_that_is_an_error(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(results, "measure", lambda *_: pytest.fail("measured"))
    assert main(["run", "gpu", "--smoke"]) == 1
    assert "gpu: not measured: CuPy cannot be imported" in capsys.readouterr().out
    assert gpu.name() == ""


@pytest.mark.parametrize(("count", "reason"), [(0, "CUDA finds no device"), (None, "no driver"), (1, "")])
def test_what_is_in_the_way(monkeypatch, count, reason):
    def counted():
        if count is None:
            raise RuntimeError("no driver")
        return count

    runtime = types.SimpleNamespace(getDeviceCount=counted)
    module = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", module)
    assert reason in gpu.obstacle()
    assert bool(gpu.obstacle()) == bool(reason)


def test_the_page_says_that_nothing_was_measured_until_it_was(tmp_path):
    page = report.page({"gpu": SUITES["gpu"]}, tmp_path)
    assert "Nothing has been measured on a GPU yet" in page
    assert "python -m benchmarks run gpu --rounds 3" in page
    assert page.count("not measured") >= 8


def test_the_name_of_the_device_is_kept(monkeypatch):
    found = dataclasses.replace(SUITES["gpu"], device=lambda: "H100, 80 GB", comparisons=())
    monkeypatch.setattr(results, "compare_in_a_child", lambda names, **_: {})
    result = results.measure(found, results.Settings(rounds=1))
    assert result.machine["device"] == "H100, 80 GB"
    assert "H100, 80 GB" in report._conditions(result)


def test_a_copy_of_so_many_bytes(stand_in):
    task = gpu.at_bandwidth(4096)
    assert task.comparable is None
    assert task.call() is None
    assert np.float32(0).nbytes * 1024 == 4096


def test_a_copy_larger_than_the_device_goes_in_turns(stand_in, monkeypatch):
    copied = []

    class Buffer:
        def __init__(self, values):
            self.size = values.size

        def __add__(self, _):
            return self

        def __setitem__(self, _, source):
            copied.append(source.size)

    monkeypatch.setattr(gpu, "_MOST_VALUES", 100)
    there = dataclasses.replace(gpu.device(), put=Buffer)
    monkeypatch.setattr(gpu, "find", lambda: there)
    gpu.at_bandwidth(8 * 1000).call()
    assert copied == [100] * 10
