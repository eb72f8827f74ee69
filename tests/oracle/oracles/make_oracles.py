"""Write ``sisec18.npz``: what the published programs of SiSEC 2018 make of a short mixture.

    git clone https://github.com/sigsep/sigsep-mus-oracle
    python make_oracles.py sigsep-mus-oracle

The programs are run as they are, each as a module of its own, with the two packages that load data and score
results replaced by nothing, and with two repairs from outside:

- ``np.float``, which NumPy no longer has, is double precision;
- ``np.trace`` of matrices (F, I, I) is that of each matrix, (F, 1, 1). The program calls it with its
  defaults, which add up over frequencies and channels; that is stored, too, as ``mwf_unrepaired``, to show
  what it does.

The sources are made from a seed: a tone and clicks, wide in stereo; a chord and noise at another place; noise
that mostly comes from one place. They are loud, and none has rank one, so that the constants that the program
adds to determinants do not matter (for a source of rank one it is half of the determinant). Of the estimates
every third sample is kept.
"""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import scipy

FOLDER = Path(__file__).parent
EVERY = 3
_REPAIRED = {"IBM": False, "IRM": False, "MWF": True}


class _NumPy(types.ModuleType):
    """NumPy, with what the programs need of another age."""

    def __init__(self, trace):
        super().__init__("numpy")
        self.float = np.float64
        if trace is not None:
            self.trace = trace

    def __getattr__(self, name):
        return getattr(np, name)


def sources(n_samples=5000, rate=8000):
    """Return three stereo sources (2, n_samples) by name."""
    rng = np.random.default_rng(2018)
    time = np.arange(n_samples) / rate
    tone = np.sin(2 * np.pi * (440 + 30 * np.sin(5 * time)) * time)
    clicks = np.zeros(n_samples)
    clicks[::1111] = 4.0
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330))
    noise = rng.standard_normal((6, n_samples))
    first = np.stack([tone + 0.5 * clicks, 0.6 * np.roll(tone, 3) + clicks]) + 0.1 * noise[:2]
    second = np.stack([0.4 * chord, 0.9 * np.roll(chord, 2)]) + 0.05 * noise[1:3]
    third = np.array([[0.8], [0.3]]) * noise[3] + 0.03 * noise[4:]
    return {"first": 1000 * first, "second": 1000 * second, "third": 1000 * third}


def traces(matrices):
    """Return the trace of every matrix (F, I, I) in the shape (F, 1, 1)."""
    return np.trace(matrices, axis1=1, axis2=2)[:, None, None]


def program(folder, name, trace=None):
    """Return the function `name` of the published program of that name."""
    namespace = {"__name__": name}
    source = (Path(folder) / f"{name}.py").read_text(encoding="utf-8")
    stubs = {"musdb": types.ModuleType("musdb"), "museval": types.ModuleType("museval")}
    proxy = _NumPy(trace)
    kept = {module: sys.modules.get(module) for module in (*stubs, "numpy")}
    sys.modules.update(stubs, numpy=proxy)
    try:
        exec(compile(source, f"{name}.py", "exec"), namespace)
    finally:
        for module, value in kept.items():
            if value is None:
                del sys.modules[module]
            else:
                sys.modules[module] = value
    return namespace[name]


def main(folder):
    """Run all programs and write what they make."""
    references = sources()
    track = types.SimpleNamespace(
        audio=sum(references.values()).T,
        sources={name: types.SimpleNamespace(audio=audio.T) for name, audio in references.items()},
    )
    runs = {
        "ibm1": program(folder, "IBM")(track, alpha=1),
        "ibm2": program(folder, "IBM")(track, alpha=2),
        "irm1": program(folder, "IRM")(track, alpha=1),
        "irm2": program(folder, "IRM")(track, alpha=2),
        "mwf": program(folder, "MWF", traces)(track),
        "mwf_unrepaired": program(folder, "MWF")(track),
    }
    kept = {
        f"{run}/{name}": estimates[name].T[:, ::EVERY].astype(np.float32)
        for run, estimates in runs.items()
        for name in references
    }
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    commit = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    facts = f"sigsep-mus-oracle {commit}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    np.savez_compressed(FOLDER / "sisec18.npz", facts=np.frombuffer(facts.encode(), np.uint8), **kept)
    sys.stdout.write(f"{facts}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
