"""Write `nmfd.npz`: factors that torchnmf finds from given ones, and the versions that made them.

    python tests/separators/oracles/make_nmfd.py

Run by hand; tests never make what they compare with. torchnmf has no activations in the last frames of the
spectrogram, in which a template does not end: here they are zeros, which stay.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np

N_ITER, BETAS = 30, (0.0, 0.5, 1.0, 2.0, 3.0)


def factors(seed: int, *shape: int) -> np.ndarray:
    """Return numbers between 0.1 and 1.1, from integers only: the same whatever the version of NumPy."""
    index = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(1000 * seed)
    noise = (index * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) % np.uint64(2**32)
    noise = (noise * np.uint64(1664525) + np.uint64(1013904223)) % np.uint64(2**32)
    return (noise / 2**32 + 0.1).reshape(shape)


def start() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return V (n_freqs, n_frames), W (n_freqs, n_components, n_lags) and H (n_components, n_frames)."""
    n_freqs, n_frames, n_components, n_lags = 14, 33, 3, 5
    V, W = factors(1, n_freqs, n_frames) ** 3, factors(2, n_freqs, n_components, n_lags)
    H = factors(3, n_components, n_frames)
    H[:, n_frames - n_lags + 1 :] = 0
    return V, W, H


def main() -> None:
    """Write the file beside this script."""
    import torch
    from torchnmf.nmf import NMFD

    torch.set_default_dtype(torch.float64)
    V, W, H = start()
    n_lags = W.shape[2]
    found = {}
    for beta in BETAS:
        model = NMFD(W=torch.tensor(W), H=torch.tensor(H[None, :, : 1 - n_lags]))
        model.fit(torch.tensor(V[None]), beta=beta, tol=-1.0, max_iter=N_ITER)
        found[f"W_{beta}"] = model.W.detach().numpy()
        found[f"H_{beta}"] = model.H.detach().numpy()[0]
        found[f"model_{beta}"] = model().detach().numpy()[0]
    versions = {name: metadata.version(name) for name in ("torchnmf", "torch", "numpy")}
    path = Path(__file__).with_name("nmfd.npz")
    np.savez_compressed(path, versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
