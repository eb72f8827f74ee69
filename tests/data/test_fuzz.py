"""Three hundred damaged files of each container: every one is read, or refused in clear words.

Decoders run in a process of their own here, so that a crash in native code fails a test, which names the
file, and does not end the tests.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dspsep import load
from dspsep.batch._manifest import MANIFEST
from tests.data.mutations import CONTAINERS, mutated, originals, sealed

ROOT = Path(__file__).resolve().parents[2]
N_FILES = 300
SEED = 20


def damaged(folder, container, count=N_FILES, seed=SEED):
    folder.mkdir()
    for name, data in itertools.islice(mutated(container, seed), count):
        (folder / name).write_bytes(data)
    return folder


def run(*arguments, status=(0,)):
    """Run Python on the side, with its temporary files where the caller can count them."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=600,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "DSPSEP_NUM_THREADS": "1"},
    )  # fmt: skip
    last = (done.stdout.splitlines() or ["nothing"])[-1]
    assert done.returncode in status, f"status {done.returncode} after {last}: {done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return done


def loaded(folder, *options):
    """Return what `load` makes of every file in a folder."""
    lines = map(json.loads, run("-m", "tests.data.fuzz_worker", folder, *options).stdout.splitlines())
    outcomes = dict(line for line in lines if isinstance(line, list))
    assert outcomes.keys() == {path.name for path in folder.iterdir()}
    return outcomes


@pytest.mark.parametrize("container", CONTAINERS)
def test_load_reads_or_refuses(tmp_path, container):
    outcomes = loaded(damaged(tmp_path / "in", container))
    assert len(outcomes) == N_FILES
    surprises = {name: said for name, said in outcomes.items() if said.startswith("surprise")}
    assert not surprises
    read = sum(said == "read" for said in outcomes.values())
    assert N_FILES / 10 < read < N_FILES * 0.9, f"{read} read: the changes are too weak or too strong"
    assert all(said == "read" or said.startswith("refused: path must be") for said in outcomes.values())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
def test_isolation_changes_nothing(tmp_path, container):
    folder = damaged(tmp_path / "in", container, 12, SEED + 1)
    assert loaded(folder, "isolate") == loaded(folder)


@pytest.mark.filterwarnings("ignore::dspsep.DspsepWarning")
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_command_line_goes_on(tmp_path, container):
    folder, out = damaged(tmp_path / "in", container), tmp_path / "out"
    options = ["-p", "n_fft=256", "-f", "wav", "--json", "-q", "-o", out]
    done = run("-m", "dspsep", "separate", folder, *options, status=(1,))
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(report["file"] for report in reports) == sorted(map(str, folder.iterdir()))
    succeeded = [report for report in reports if report["error"] is None]
    assert N_FILES / 10 < len(succeeded) < N_FILES * 0.9
    expected = {out / "hpss" / MANIFEST}
    for report in succeeded:
        stems = Path(report["folder"])
        expected |= {stems / "provenance.json", *(stems / f"{name}.wav" for name in report["sources"])}
        check_sum(Path(report["file"]), stems, report["sources"], report["seconds"])
    for report in reports:
        assert report["error"] is None or " must be " in report["error"]
    # Neither temporary files nor folders of what failed.
    assert {path for path in out.rglob("*") if path.is_file()} == expected


def check_sum(file, folder, names, seconds):
    """Check that the sources in a folder are finite, and the mixture together."""
    # Some headers announce terabytes, which `load` refuses to begin with: ask for little more than there is.
    mixture, rate = load(file, duration=seconds + 1)
    sources = []
    for name in names:
        source, source_rate = load(folder / f"{name}.wav")  # refuses what is not finite
        assert (source_rate, source.shape) == (rate, mixture.shape)
        sources.append(source)
    # Single precision, of the mixture and of each source.
    largest = max(float(np.abs(part).max()) for part in [mixture, *sources])
    np.testing.assert_allclose(sum(sources), mixture, rtol=0, atol=4e-7 * largest)


# --- the changes themselves ---


@pytest.mark.parametrize("container", CONTAINERS)
def test_originals_are_read(tmp_path, container):
    for number, data in enumerate(originals(container)):
        (tmp_path / f"{number}.{container}").write_bytes(data)
    assert set(loaded(tmp_path).values()) == {"read"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_changes_are_the_same_each_time(container):
    first, second = (list(itertools.islice(mutated(container, 3), 50)) for _ in range(2))
    assert first == second
    assert len({data for _, data in first}) > 45


def test_a_sealed_ogg_is_what_it_was():
    for data in originals("ogg"):
        assert sealed(bytearray(data)) == data


def test_a_crash_names_the_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(originals("wav")[0])
    code = (
        "import os, sys; from dspsep.data import _reading; _reading.content_of = lambda path: os.abort();"
        "from tests.data import fuzz_worker; fuzz_worker.main(sys.argv[1])"
    )
    with pytest.raises(AssertionError, match=r'status -6 after "a\.wav"'):
        run("-c", code, tmp_path / "in")
