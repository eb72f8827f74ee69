"""Write `fastmnmf.npz`: what pyroomacoustics' FastMNMF2 finds from given factors, and the versions used.

    python tests/separators/oracles/make_fastmnmf.py

Run by hand; tests never make what they compare with. Only its likelihoods are kept: its images follow from
other steps than ours, and need not be the same.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

N_ITER, N_COMPONENTS = 30, 3
#: Channels and sources.
CASES = ((2, 2), (2, 3), (3, 3), (4, 4))


def numbers(seed: int, *shape: int) -> np.ndarray:
    """Return numbers between 0 and 1, from integers only: the same whatever the version of NumPy."""
    index = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(100_000 * seed)
    noise = (index * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) % np.uint64(2**32)
    noise = (noise * np.uint64(1664525) + np.uint64(1013904223)) % np.uint64(2**32)
    return (noise / 2**32).reshape(shape)


def gaussians(seed: int, *shape: int) -> np.ndarray:
    """Return complex Gaussian numbers, by Box and Muller."""
    radius = np.sqrt(-np.log(numbers(seed, *shape) * 0.999 + 5e-4))
    return radius * np.exp(2j * np.pi * numbers(seed + 1, *shape))


def case(n_channels: int, n_sources: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a spectrum of reverberant sources with few spectra each, and W and H to begin with."""
    n_freqs, n_frames = 20, 60
    X = 0.1 * gaussians(1, n_channels, n_freqs, n_frames)
    for n in range(n_sources):
        level = (numbers(10 + n, n_freqs, 2) ** 4) @ (numbers(20 + n, 2, n_frames) ** 4)
        source = np.sqrt(level) * gaussians(30 + 2 * n, n_freqs, n_frames)
        X += gaussians(50 + 2 * n, n_channels, n_freqs)[:, :, None] * source
    X /= np.sqrt(np.mean(np.abs(X) ** 2))
    W, H = numbers(3, n_sources, n_freqs, N_COMPONENTS), numbers(4, n_sources, N_COMPONENTS, n_frames)
    return X, W + 0.01, H + 0.01


def loss(X: np.ndarray, Q: np.ndarray, g: np.ndarray, W: np.ndarray, H: np.ndarray) -> float:
    """Return the negative log-likelihood but for a constant, without any noise."""
    power = np.abs(np.einsum("fmc,cft->mft", Q, X)) ** 2
    model = np.einsum("nm,nft->mft", g, W @ H)
    determinants = np.linalg.slogdet(Q)[1].sum()
    return float(np.sum(power / model + np.log(model)) - 2 * X.shape[2] * determinants)


def main() -> None:
    """Write the file beside this script."""
    import pyroomacoustics

    found = {}
    for n_channels, n_sources in CASES:
        X, W, H = case(n_channels, n_sources)
        starts = iter((H, W))
        kept: dict[str, np.ndarray] = {}

        def look(frame, event, _, kept=kept):
            if event == "return" and frame.f_code.co_name == "fastmnmf2":
                kept.update(
                    {key: np.array(frame.f_locals[key]) for key in ("Q_FMM", "g_NM", "W_NFK", "H_NKT")}
                )

        drawn = np.random.rand
        np.random.rand = lambda *_, starts=starts: next(starts).copy()
        sys.setprofile(look)
        try:
            pyroomacoustics.bss.fastmnmf2(
                X.transpose(2, 1, 0), n_src=n_sources, n_iter=N_ITER, n_components=N_COMPONENTS
            )
        finally:
            sys.setprofile(None)
            np.random.rand = drawn
        found[f"loss_{n_channels}_{n_sources}"] = np.array(loss(X, *kept.values()))
    versions = {name: metadata.version(name) for name in ("pyroomacoustics", "numpy")}
    path = Path(__file__).with_name("fastmnmf.npz")
    np.savez_compressed(path, versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
