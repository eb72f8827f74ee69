"""Warming up compiles what is compiled later, and says so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

import dspsep
from dspsep import _warmup
from dspsep.cli import main

numba = pytest.importorskip("numba")

#: Separate with everything there is, and tell what had to be compiled for it.
USE = """
import json, sys
import numpy as np
import dspsep
from dspsep import _warmup
for dtype in ("float32", "float64"):
    audio = np.random.default_rng(0).standard_normal((2, 50000)).astype(dtype)
    for shape in (audio, audio[0]):
        for margin in (1.0, 2.0):
            for mask in ("soft", "hard"):
                dspsep.HPSS(mask=mask, margin=margin).separate(shape, 44100)
        dspsep.HPSS(stft=dspsep.STFT(600), power=1.5).separate(shape, 44100)
        dspsep.HPSS(harmonic_frames=301, percussive_bins=17).separate(shape, 44100)
    dspsep.hpss_masks(abs(audio[:, :40000].reshape(400, 200)))
compiled, loaded = _warmup._counts()
print(json.dumps([compiled, loaded]))
"""

#: The same with every method as it is by default, at the rates of music.
FAMILY = """
import numpy as np
import dspsep
audio = np.random.default_rng(0).standard_normal((2, 50000)).astype("float32")
for method in ("HPSS", "CascadedHPSS", "IterativeHPSS", "TwoStageHPSS"):
    for rate in (44100, 48000):
        getattr(dspsep, method)().separate(audio, rate)
"""

#: The command, as if there were this family only: to compile all kernels from nothing takes minutes, and what
#: is not used afterwards tells nothing. That every method can be warmed up is the last test here.
WARM_UP = """
import sys
from dspsep import _registry, cli
family = ("HPSS", "CascadedHPSS", "IterativeHPSS", "TwoStageHPSS")
_registry.METHODS = {name: _registry.METHODS[name] for name in family}
sys.exit(cli.main(["warmup"]))
"""


def python(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout


def test_what_was_warmed_up_is_not_compiled_again(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path), "DSPSEP_KERNELS": "auto"}
    first = python("-c", WARM_UP, **cache)
    compiled, found = map(
        int, re.match(r"(\d+) kernels compiled, (\d+) found in the cache, in", first).groups()
    )
    assert compiled >= 8
    assert found == 0
    assert f"Cache: {tmp_path}" in first
    assert list(tmp_path.rglob("*.nbc"))
    compiled, loaded = json.loads(python("-c", USE, **cache))
    assert compiled == 0
    assert loaded >= 4
    # Networks for medians are not among what numba counts: they are files of the cache.
    stored = set(tmp_path.rglob("*.nbc"))
    python("-c", FAMILY, **cache)
    assert set(tmp_path.rglob("*.nbc")) == stored
    again = python("-c", WARM_UP, **cache)
    assert again.startswith("0 kernels compiled, ")


def test_there_is_nothing_to_do_without_compiled_kernels(tmp_path):
    said = python("-m", "dspsep", "warmup", DSPSEP_KERNELS="generic", NUMBA_CACHE_DIR=str(tmp_path))
    assert said.startswith("Nothing to do")
    assert not list(tmp_path.iterdir())


def test_a_second_time_in_a_process_counts_nothing(capsys):
    assert dspsep.warmup().seconds > 0
    assert main(["warmup"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Nothing to do" if not _warmup._are_compiled() else "0 kernels compiled, 0 found")
