"""Every method with its defaults on every recording that it fits, by `dspsep.run_benchmark`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.figures import table
from benchmarks.machine import versions
from benchmarks.quality.task import Cell, QualityResult, QualityTask, Row, decibels
from tests.cases import case_names, data_folder, manifest

__all__ = ["COLUMN", "GROUPS", "TASK", "condensed", "separated", "tracks"]

#: The mean over the true sources of a recording, each with its estimate.
COLUMN = "SI-SDR gain"
#: Recordings by task, and what they are called in the head of its table.
GROUPS: dict[str, dict[str, str]] = {
    "a voice, or a solo guitar, and the rest of a song": {
        "a_caesium": "caesium", "a_hydrogen": "hydrogen", "a_metal_madness_guitar": "metal (guitar)",
        "a_political_captain": "captain", "a_sodium": "sodium",
    },
    "drums and the rest": {
        "b_freedoom_dm28": "dm28", "b_greensleeves": "greensleeves", "b_mdn_funk": "funk",
        "b_rubidium": "rubidium",
    },
    "several microphones in a room": {
        "c_meas_anechoic_hats": "no echoes", "c_music_2x2_rt150": "music", "c_sim_2x2_rt150": "2, 0.15 s",
        "c_sim_2x2_rt350": "2, 0.35 s", "c_sim_3x3_rt150": "3, 0.15 s", "c_sim_3x3_rt350": "3, 0.35 s",
        "c_sim_4x4_rt150": "4, 0.15 s", "c_sim_4x4_rt350": "4, 0.35 s", "c_torchiva_2src_3mic": "2 by 3",
    },
    "several channels without a room": {
        "d_duet_3speech": "delays, 3 by 2", "d_inst_2x2_speech": "desk, 2 by 2",
        "d_inst_4x4_mixed": "desk, 4 by 4", "d_pan_mdn_funk": "panned, 4 by 2",
    },
    "instruments in one channel": {
        "e_drums_acoustic": "drums, acoustic", "e_drums_electronic": "drums, electronic",
        "e_piano_greensleeves": "two hands",
    },
}  # fmt: skip
_METRIC = "SI-SDR"


def tracks(folder: Path) -> list[Any]:
    """Return the recordings as tracks; what mono sources are at the channels is written to `folder`."""
    from dspsep.data import Track

    root, found = data_folder(), []
    assert root is not None, "the recordings are not here"
    for name in (name for heads in GROUPS.values() for name in heads):
        entry = manifest()[name]
        files = {Path(file).stem: root / name / file for file in entry["sources"]}
        if "mixing_matrix" in entry:
            files = _at_the_channels(files, np.asarray(entry["mixing_matrix"]), folder / name)
        mixture = None if entry["mix"] != "mix.flac" else root / name / "mix.flac"
        found.append(Track(name=name, sources=files, mixture=mixture))
    return found


def _at_the_channels(files: Mapping[str, Path], A: np.ndarray[Any, Any], folder: Path) -> dict[str, Path]:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for gains, (name, file) in zip(A.T, files.items(), strict=True):
        made[name] = folder / f"{name}.wav"
        if made[name].exists():  # written again it would have another time in it, and be another track
            continue
        samples, rate = soundfile.read(file)
        soundfile.write(made[name], (samples[:, None] * gains).astype(np.float32), rate, subtype="FLOAT")
    return made


def separated(folder: Path, n_jobs: int = 1) -> QualityResult:
    """Run what has not been run yet, keep all records in `folder`, and return what the page shows of them."""
    import dspsep

    if list(case_names("")) != sorted(name for heads in GROUPS.values() for name in heads):
        raise ValueError("a recording is in no table: add it to GROUPS")
    with_stems = tracks(folder / "stems")
    results = dspsep.run_benchmark(
        "all", with_stems, folder / "results", protocol="scale_invariant", n_jobs=n_jobs, callback=_told
    )
    return condensed(results)


def _told(progress: Any) -> None:
    print(f"{progress.iteration} of {progress.n_iterations}: {progress.stage}", flush=True)


def condensed(results: Any) -> QualityResult:
    """Return the gain of each method on each track; one that failed has none, and what is unfit no cell."""
    mixture = next(method.name for method in results.asked_methods if method.kind == "mixture")
    rows = []
    for method in results.methods:
        cells = {
            track: _cell(record, results.all_records[mixture, track])
            for track in results.tracks
            if (record := results.all_records[method, track]).status != "unfit"
        }
        rows.append(Row(name=_name(results, method), cells=cells))
    return QualityResult(
        suite=TASK.suite,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        versions=versions({"dspsep"}),
        cases=results.tracks,
        rows=tuple(rows),
    )


def _name(results: Any, method: str) -> str:
    kind = results.kind(method)
    return "the mixture" if kind == "mixture" else f"`oracle.{method}`" if kind == "oracle" else f"`{method}`"


def _cell(record: Any, untouched: Any) -> Cell:
    gain = math.nan
    if record.scores is not None:
        sources = record.scores.sources
        gain = fmean(
            float(record.scores[source, _METRIC] - untouched.scores[source, _METRIC]) for source in sources
        )
    codes = sorted({code for code, _ in record.warnings})
    return Cell(scores={COLUMN: (round(gain, 3) if math.isfinite(gain) else None,)}, warned=tuple(codes))


def _lines(result: QualityResult) -> list[str]:
    """Return a table for each task, and what they are of."""
    lines: list[str] = []
    for title, heads in GROUPS.items():
        names = {case: head for case, head in heads.items() if case in result.cases}
        if names:
            lines += [f"**{title[0].upper()}{title[1:]}**", "", *_table(result, names)]
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return [*lines, f"*Measured {result.date}. {packages}.*"]


def _table(result: QualityResult, names: Mapping[str, str]) -> list[str]:
    rows = [row for row in result.rows if any(case in row.cells for case in names)]
    return table(["dB", *names.values(), "mean"], ([row.name, *_figures(row, list(names))] for row in rows))


def _figures(row: Row, cases: Sequence[str]) -> Iterator[str]:
    """Yield the gains, in italics where the method warned, and their mean if there are all of them."""
    gains = []
    for case in cases:
        cell = row.cells.get(case)
        gain = None if cell is None else cell.median(COLUMN)
        if cell is None:
            yield "–"
        elif gain is None:
            yield "fails"
        else:
            gains.append(gain)
            yield f"*{decibels(gain)}*" if cell.warned else decibels(gain)
    yield decibels(fmean(gains)) if len(gains) == len(cases) else "–"


TASK = QualityTask(
    name="baselines",
    prefixes=("a_", "b_", "c_", "d_", "e_"),
    columns=(COLUMN,),
    methods=tuple,
    lines=_lines,
)
