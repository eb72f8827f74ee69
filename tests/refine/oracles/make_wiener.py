"""Write `wiener.npz`: what norbert makes of estimates, and the versions that made it.

    python tests/refine/oracles/make_wiener.py

Run by hand; tests never make what they compare with. It needs norbert 0.2.1.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np

N_SOURCES, N_FREQS, N_FRAMES = 4, 6, 16


def uniform(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers between 0 and 1, from integers only: the same whatever the version of NumPy."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    bits = (np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(1 + 1_000_000 * seed)) * golden
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return (((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52).reshape(shape)


def spectra(n_channels: int, peak: float) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitudes of sources that are not quite theirs, and the mixture, its largest bin `peak`.

    Sources come and go by 60 dB. They are panned in every bin and have some echo; the last frequency is
    silent in all of them but one, and one frame is silent.
    """
    shape = (N_SOURCES, N_FREQS, N_FRAMES)
    loud = 10.0 ** (-3 * uniform(1, shape) ** 2)
    dry = loud * np.exp(2j * np.pi * uniform(2, shape))
    pans = uniform(3, (N_SOURCES, n_channels, N_FREQS, 1)) * np.exp(
        2j * np.pi * uniform(4, (N_SOURCES, n_channels, N_FREQS, 1))
    )
    echo = 0.2 * np.exp(2j * np.pi * uniform(5, (N_SOURCES, n_channels, N_FREQS, N_FRAMES)))
    images = dry[:, None] * (pans + echo)
    images[1:, :, -1] = 0
    images[..., 7] = 0
    x = images.sum(axis=0)
    V = np.abs(images) * 10.0 ** (uniform(6, images.shape) - 0.5)
    scale = peak / np.abs(x).max()
    return V * scale, x * scale


def steps(y: np.ndarray, x: np.ndarray, n_iter: int) -> np.ndarray:
    """Return what `norbert.wiener` returns, and a share of what that leaves to nobody, as its powers are.

    The mixture is scaled as there, and in a copy, since norbert writes into what it is given.
    """
    import norbert

    scale = max(1, np.abs(x).max() / 10)
    y, v = y / scale, np.ones((*x.shape[:2], y.shape[3]))
    if n_iter:
        y, v, _ = norbert.expectation_maximization(y, x / scale, n_iter)
        level = v.sum(axis=-1, keepdims=True)
        share = np.where(level > 0, v / np.where(level > 0, level, 1), 1 / v.shape[-1])
        y = y + share[:, :, None, :] * (x / scale - y.sum(axis=-1))[..., None]
    return (y * scale).transpose(3, 2, 1, 0).astype(np.complex64)


def main() -> None:
    """Write the file beside this script."""
    import norbert

    found = {}
    for n_channels in (1, 2, 3):
        V, x = spectra(n_channels, peak=200.0)
        V, x = V.transpose(3, 2, 1, 0), x.transpose(2, 1, 0)
        for start in (True, False):
            y = norbert.softmask(V, x) if start else V * np.exp(1j * np.angle(x)[..., None])
            for n_iter in (0, 1, 3):
                found[f"{n_channels}_{'softmask' if start else 'estimates'}_{n_iter}"] = steps(y, x, n_iter)
    versions = {name: metadata.version(name) for name in ("norbert", "numpy")}
    path = Path(__file__).with_name("wiener.npz")
    np.savez_compressed(path, versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
