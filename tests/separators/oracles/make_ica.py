"""Write `ica.npz`: demixing matrices that scikit-learn and picard find, and the versions that made them.

    python tests/separators/oracles/make_ica.py

Run by hand; tests never make what they compare with. It needs scikit-learn and python-picard.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np

N_SAMPLES = 6000
MIXING = np.array(
    [[1.0, 0.5, -0.3, 0.2], [0.4, 1.0, 0.3, -0.6], [-0.2, 0.3, 1.0, 0.5], [0.3, -0.4, 0.2, 1.0]]
)


def uniform(seed: int) -> np.ndarray:
    """Return numbers between 0 and 1, from integers only: the same whatever the version of NumPy."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    bits = (np.arange(N_SAMPLES, dtype=np.uint64) + np.uint64(1 + 1_000_000 * seed)) * golden
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52


def mixture(kind: str) -> np.ndarray:
    """Return four mixed signals: all peaked, or two of them flat."""
    peaked = [np.sign(uniform(k) - 0.5) * np.log(uniform(k + 10)) for k in range(4)]
    if kind == "mixed":
        peaked[1], peaked[3] = uniform(1), np.sin(2 * np.pi * uniform(3))
    return MIXING @ np.stack(peaked)


def main() -> None:
    """Write the file beside this script."""
    from picard import picard
    from sklearn.decomposition import FastICA

    found = {}
    for kind in ("peaked", "mixed"):
        X = mixture(kind)
        for fun in ("logcosh", "exp", "cube"):
            fit = FastICA(fun=fun, whiten="unit-variance", tol=1e-14, max_iter=2000, random_state=0).fit(X.T)
            found[f"{kind}_sklearn_{fun}"] = fit.components_
        for ortho, extended in ((False, False), (False, True), (True, True)):
            if extended or kind == "peaked":
                K, W, _ = picard(X, ortho=ortho, extended=extended, tol=1e-12, max_iter=2000, random_state=0)
                found[f"{kind}_picard_{ortho}_{extended}"] = W @ K
    versions = {name: metadata.version(name) for name in ("scikit-learn", "python-picard", "numpy")}
    path = Path(__file__).with_name("ica.npz")
    np.savez_compressed(path, versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
