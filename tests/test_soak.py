"""Thousands of separations in one process leave nothing behind: memory, open files, threads, temporary files.

``SOAK_CALLS`` sets how many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
N_CALLS = int(os.environ.get("SOAK_CALLS", "2000"))
WARM_UP = 300
#: In MB for each thousand calls. Measured: 0.35 ± 0.05 for 2000 calls and 0.05 for 10 000, which is the
#: allocator settling. The sources of a call are 0.1 MB on average: if one in fifty were kept, it would be 2.
STEEPEST = 1.0

PROGRAM = """
import json, os, sys, threading
from pathlib import Path
import numpy as np
import dspsep
from dspsep import HPSS, STFT
from dspsep.data.scenes import song

n_calls, folder = int(sys.argv[1]), Path(sys.argv[2])
rng = np.random.default_rng(0)
separators = [
    HPSS(stft=STFT(128)),
    HPSS(stft=STFT(128), margin=2.0),
    HPSS(stft=STFT(120)),  # through spectrogram and masks
    HPSS(stft=STFT(128)) >> {"percussive": HPSS(stft=STFT(64))},
]
track = dspsep.save(folder / "track.wav", rng.uniform(-0.1, 0.1, (2, 3000)), 8000)
page = os.sysconf("SC_PAGE_SIZE")


def look():
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * page / 1e6
    return resident, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


seen = np.full((n_calls, 3), -1.0)  # all of it now: a list would grow
for call in range(n_calls):
    separator = separators[rng.integers(len(separators))]
    if call % 10 == 9:
        duration = rng.uniform(0.01, 0.4)
        form = ("wav", "flac")[call // 10 % 2]
        dspsep.separate_file(track, folder / "stems", separator, format=form, duration=duration)
    else:
        shape = (int(rng.integers(1, 3)), int(rng.integers(1, 8000)))
        separator.separate(rng.standard_normal(shape).astype("float32"), 8000)
    seen[call] = look()
print(json.dumps(seen.tolist()))
"""


def slope(values):
    """Return how much `values` grow over a thousand of them.

    From the median of their first third to that of their last: what is high for a moment does not count.
    """
    n = len(values) // 3
    return (np.median(values[-n:]) - np.median(values[:n])) / (len(values) - n) * 1000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc, which tells memory and files")
def test_nothing_grows(tmp_path):
    temporary = tmp_path / "temporary"
    folder = tmp_path / "folder"
    temporary.mkdir()
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(N_CALLS), str(folder)],
        cwd=ROOT, env={**os.environ, "DSPSEP_NUM_THREADS": "2", "TMPDIR": str(temporary)},
        capture_output=True, text=True, timeout=60 + N_CALLS / 10, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resident, n_files, n_threads = zip(*json.loads(done.stdout)[WARM_UP:], strict=True)
    assert len(set(n_files)) == 1, sorted(set(n_files))
    assert len(set(n_threads)) == 1, sorted(set(n_threads))
    assert slope(resident) <= STEEPEST, f"{slope(resident):.2f} MB for each thousand calls"
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == ["stems", "track.wav"]
    record = json.loads((folder / "stems" / "provenance.json").read_text())
    names = {path.name for path in (folder / "stems").iterdir()}
    assert names == {"provenance.json", *record["files"].values()}


@pytest.mark.parametrize(("grows", "expected"), [(0.0, 0.0), (0.002, 2.0)])
def test_the_estimate_of_growth(grows, expected):
    calls = np.arange(1700)
    noise = np.random.default_rng(0).normal(0, 0.3, calls.size)
    assert slope(100 + grows * calls + noise) == pytest.approx(expected, abs=0.1)
