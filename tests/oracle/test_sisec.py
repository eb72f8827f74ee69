"""The oracles against the published programs of SiSEC 2018: oracles/make_oracles.py made the numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dspsep import STFT
from dspsep.oracle import IBM, IRM, IWM, MWF

ORACLES = Path(__file__).parent / "oracles"
THEIR_TRANSFORM = STFT(2048, 1024)


def _maker():
    spec = importlib.util.spec_from_file_location("make_oracles", ORACLES / "make_oracles.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _maker()
REFERENCES = MAKER.sources()
MIXTURE = sum(REFERENCES.values())


@pytest.fixture(scope="module")
def stored():
    with np.load(ORACLES / "sisec18.npz") as arrays:  # a missing file is an error: nothing here can make it
        return dict(arrays)


def _differences(stored, run, separator):
    sources = separator.separate(MIXTURE, 8000)
    peak = np.abs(MIXTURE).max()
    return {
        name: float(np.abs(sources[name][:, :: MAKER.EVERY] - stored[f"{run}/{name}"]).max() / peak)
        for name in REFERENCES
    }


# What is stored is in single precision; the program's Wiener filter has gains in single precision, too, and
# adds constants to determinants.
@pytest.mark.parametrize(
    ("run", "kind", "settings", "tolerance"),
    [
        ("ibm1", IBM, {}, 1e-7),
        ("ibm2", IBM, {"exponent": 2.0}, 1e-7),
        ("irm1", IRM, {}, 1e-7),
        ("irm2", IRM, {"exponent": 2.0}, 1e-7),
        ("irm2", IWM, {}, 1e-7),
        ("mwf", MWF, {}, 2e-5),
    ],
)
def test_sources_are_those_of_the_published_program(stored, run, kind, settings, tolerance):
    separator = kind(references=REFERENCES, stft=THEIR_TRANSFORM, **settings)
    assert max(_differences(stored, run, separator).values()) < tolerance


def test_the_program_takes_the_trace_across_frequencies(stored):
    # The deviation that MWF documents: without the repair the program gives something else.
    separator = MWF(references=REFERENCES, stft=THEIR_TRANSFORM)
    assert min(_differences(stored, "mwf_unrepaired", separator).values()) > 1e-2


def test_the_baseline_says_what_made_it(stored):
    facts = bytes(stored["facts"]).decode()
    assert facts.startswith("sigsep-mus-oracle 1590b096c3fc66055109cd66adfc7b63ff9cc979, NumPy ")
    assert len(stored) == 1 + 6 * len(REFERENCES)
