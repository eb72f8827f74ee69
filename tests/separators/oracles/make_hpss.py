"""Write `hpss.npz`: masks of librosa on a small synthetic spectrogram, and the versions that made them.

    python tests/separators/oracles/make_hpss.py

Run by hand, once for each change of `SETTINGS`; tests never make what they compare with.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

#: What librosa calls the settings, by the name of the stored masks.
SETTINGS = {
    "default": {},
    "margin": {"margin": 2.0},
    "margins": {"margin": (1.0, 3.0)},
    "hard": {"power": np.inf},
    "hard_margins": {"power": np.inf, "margin": (1.5, 2.0)},
    "power": {"power": 1.0},
    "steep": {"power": 3.5, "kernel_size": (17, 9)},
}


def spectrogram() -> np.ndarray:
    """Return notes, clicks, noise, silence and ties, (n_freqs, n_frames), from integers only."""
    index = np.arange(45 * 60, dtype=np.uint64).reshape(45, 60)
    # A congruential generator: the same numbers whatever the version of NumPy's generators.
    noise = (index * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) % np.uint64(2**32)
    noise = (noise * np.uint64(1664525) + np.uint64(1013904223)) % np.uint64(2**32)
    V = noise / 2**32
    V[20, 10:50] += 8
    V[31, 20:] += 5
    V[:, 25] += 6
    V[5:40, 45] += 4
    V[35:, :20] = 0
    V[:6, 40:] = 0.25
    return V.astype(np.float64)


def main() -> None:
    """Write the file beside this script."""
    import librosa
    import scipy

    V = spectrogram()
    masks = {}
    for name, settings in SETTINGS.items():
        harmonic, percussive = librosa.decompose.hpss(V, mask=True, **settings)
        masks[f"{name}_harmonic"] = harmonic.astype(np.float32)
        masks[f"{name}_percussive"] = percussive.astype(np.float32)
    versions = {module.__name__: module.__version__ for module in (librosa, np, scipy)}
    np.savez_compressed(
        Path(__file__).with_name("hpss.npz"), V=V, versions=np.array(json.dumps(versions)), **masks
    )


if __name__ == "__main__":
    main()
