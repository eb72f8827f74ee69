"""Write `iva.npz`: what pyroomacoustics and ssspy find from given starts, and the versions that made it.

    python tests/separators/oracles/make_iva.py

Run by hand; tests never make what they compare with. Outputs depend on scales that no method decides, so
what is kept of matrices is the image of each output at the first microphone, for a few frames.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np

N_ITER, N_COMPONENTS = 20, 2


def numbers(seed: int, *shape: int) -> np.ndarray:
    """Return numbers between 0.05 and 1.05, from integers only: the same whatever the version of NumPy."""
    # The steps of splitmix64.
    noise = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(100_000 * seed)
    with np.errstate(over="ignore"):
        noise *= np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            noise = (noise ^ (noise >> np.uint64(shift))) * np.uint64(factor)
    noise = (noise ^ (noise >> np.uint64(31))) >> np.uint64(32)
    return (noise / 2**32 + 0.05).reshape(shape)


def mixture(n_channels: int, n_freqs: int = 33, n_frames: int = 90) -> np.ndarray:
    """Return spectra (n_channels, n_freqs, n_frames) of mixed sources that come and go."""
    shape = (n_channels, n_freqs, n_frames)
    radius = np.sqrt(-np.log(numbers(1, *shape) / 1.06))
    loud = numbers(2, n_channels, 1, n_frames // 3) ** 3
    sources = np.repeat(loud, 3, axis=2) * radius * np.exp(2j * np.pi * numbers(3, *shape))
    A = numbers(4, n_freqs, n_channels, n_channels) * np.exp(
        2j * np.pi * numbers(5, n_freqs, n_channels, n_channels)
    )
    X = np.einsum("fcn,nft->cft", A, sources)
    # The scale at which dspsep begins by itself.
    return X * 2.0 ** round(0.5 * np.log2(n_freqs / np.mean(np.abs(X) ** 2)))


def models(n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return templates and activations to begin with."""
    _, n_freqs, n_frames = mixture(n_channels).shape
    T = numbers(6, n_channels, n_freqs, N_COMPONENTS)
    return T, numbers(7, n_channels, N_COMPONENTS, n_frames)


def images(W: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return images at the first microphone, of every ninth frame."""
    A = np.linalg.inv(W)[:, 0, :]
    return np.einsum("fk,fkc,cft->kft", A, W, X[:, :, ::9]).astype(np.complex64)


def main() -> None:
    """Write the file beside this script."""
    import pyroomacoustics as pra
    from ssspy.bss.ilrma import GaussILRMA
    from ssspy.bss.iva import AuxLaplaceIVA

    found: dict[str, np.ndarray] = {}
    for n in (2, 3):
        X = mixture(n)
        for contrast in ("laplace", "gauss"):
            _, W = pra.bss.auxiva(
                X.transpose(2, 1, 0).copy(),
                n_iter=N_ITER,
                proj_back=False,
                model=contrast,
                return_filters=True,
            )
            found[f"pra_{contrast}_{n}"] = images(W, X)
        for update, name in (("ip", "IP"), ("ip2", "IP2"), ("iss", "ISS")):
            iva = AuxLaplaceIVA(spatial_algorithm=name, scale_restoration=False)
            iva(X, n_iter=N_ITER)
            found[f"ssspy_{update}_{n}"] = np.array(iva.loss)
        for update, name in (("ip", "IP"), ("iss", "ISS")):
            T, V = models(n)
            ilrma = GaussILRMA(n_basis=N_COMPONENTS, spatial_algorithm=name, scale_restoration=False)
            ilrma(X, n_iter=N_ITER, basis=T, activation=V)
            found[f"ssspy_ilrma_{update}_{n}"] = np.array(ilrma.loss)
        if n == 3:
            _, W = pra.bss.auxiva(
                X.transpose(2, 1, 0).copy(), n_src=2, n_iter=N_ITER, proj_back=False, return_filters=True
            )
            found["pra_overiva_3"] = np.abs(np.einsum("fkc,cft->kft", W, X[:, :, ::9])).astype(np.float32)
    versions = {name: metadata.version(name) for name in ("pyroomacoustics", "ssspy", "numpy")}
    path = Path(__file__).with_name("iva.npz")
    np.savez_compressed(path, versions=np.array(json.dumps(versions)), **found)


if __name__ == "__main__":
    main()
