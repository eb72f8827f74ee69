"""What was measured, as it is kept: every round of every contender, and what the figures depend on."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import inputs
from benchmarks.child import compare_in_a_child, measure_in_a_child
from benchmarks.harness import Comparison, Record, Suite
from benchmarks.machine import machine, versions

if TYPE_CHECKING:
    from benchmarks.bounds import BoundsResult
    from benchmarks.quality.task import QualityResult

__all__ = ["FOLDER", "ComparisonResult", "Growth", "Settings", "SuiteResult", "load", "measure", "store"]

FOLDER = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How it is measured.

    Parameters
    ----------
    threads : int
        Of every library.
    rounds : int
        Turns that contenders take.
    seconds : float
        Of audio.
    lengths : tuple of float
        Seconds of audio at which memory and time are measured in fresh processes.
    repeats : int
        Fresh processes per contender and length.
    """

    threads: int = 1
    rounds: int = 7
    seconds: float = 30.0
    lengths: tuple[float, ...] = (10.0, 60.0, 600.0, 3600.0)
    repeats: int = 3


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One contender alone on so many seconds of audio: one figure per process, in seconds and bytes."""

    contender: str
    seconds: float
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    peak_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """One comparison: turns, growth, and who was not installed."""

    name: str
    tolerance: float | None
    records: tuple[Record, ...]
    growth: tuple[Growth, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """One suite on one machine. `load` is how many processes wanted to run, before and after."""

    suite: str
    date: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    settings: Settings
    audio: str
    load: tuple[float, float]
    comparisons: tuple[ComparisonResult, ...]


def measure(suite: Suite, settings: Settings) -> SuiteResult:
    """Measure a suite: turns in one process, then growth in one process for each figure."""
    settings = replace(settings, threads=suite.threads or settings.threads)
    before = _load()
    print(f"{suite.name}: {settings.rounds} rounds", flush=True)
    turns = compare_in_a_child(
        [comparison.name for comparison in suite.comparisons],
        seconds=settings.seconds,
        rounds=settings.rounds,
        threads=settings.threads,
    )
    comparisons = tuple(
        _with_growth(comparison, turns[comparison.name], settings) for comparison in suite.comparisons
    )
    packages = {contender.package for comparison in suite.comparisons for contender in comparison.contenders}
    return SuiteResult(
        suite=suite.name,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=machine() | ({"device": device} if (device := suite.device()) else {}),
        versions=versions(packages),
        settings=settings,
        audio=suite.audio or inputs.describe(),
        load=(before, _load()),
        comparisons=comparisons,
    )


def _with_growth(comparison: Comparison, records: tuple[Record, ...], settings: Settings) -> ComparisonResult:
    present = {record.contender for record in records}
    growth: list[Growth] = []
    for seconds in settings.lengths:
        growing = [
            name
            for name, limit in comparison.grows.items()
            if name in present and (limit is None or seconds <= limit)
        ]
        if growing:
            print(f"{comparison.name}: {seconds:g} s, alone", flush=True)
            growth += _measure_growth(comparison.name, growing, seconds, settings)
    return ComparisonResult(
        name=comparison.name,
        tolerance=comparison.tolerance,
        records=records,
        growth=tuple(growth),
        absent=tuple(contender.name for contender in comparison.contenders if contender.name not in present),
    )


def _measure_growth(name: str, contenders: list[str], seconds: float, settings: Settings) -> list[Growth]:
    turns = [
        (contender, measure_in_a_child(name, contender, seconds=seconds, threads=settings.threads))
        for _ in range(settings.repeats)
        for contender in contenders
    ]
    return [
        Growth(
            contender=contender,
            seconds=seconds,
            wall=tuple(alone["wall"] for whose, alone in turns if whose == contender),
            cpu=tuple(alone["cpu"] for whose, alone in turns if whose == contender),
            peak_bytes=tuple(int(alone["peak_bytes"]) for whose, alone in turns if whose == contender),
        )
        for contender in contenders
    ]


def _load() -> float:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def store(result: SuiteResult | BoundsResult | QualityResult, folder: Path = FOLDER) -> Path:
    """Write a result to its file, whole or not at all."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{result.suite}.json"
    unfinished = path.with_suffix(".json.tmp")
    unfinished.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
    return path


def load(path: Path) -> SuiteResult:
    """Read a result back."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    comparisons = tuple(
        ComparisonResult(
            name=entry["name"],
            tolerance=entry["tolerance"],
            records=tuple(Record(**_tuples(record)) for record in entry["records"]),
            growth=tuple(Growth(**_tuples(growth)) for growth in entry["growth"]),
            absent=tuple(entry["absent"]),
        )
        for entry in stored["comparisons"]
    )
    settings = Settings(**_tuples(stored["settings"]))
    return SuiteResult(**{**_tuples(stored), "settings": settings, "comparisons": comparisons})


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
