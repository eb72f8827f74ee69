"""Make phase.npz: Griffin-Lim by librosa, and MISI written from the paper with SciPy's transform.

    python tests/refine/oracles/make_phase.py

Run by hand; tests never make what they compare with.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

N_FFT, HOP, N_SAMPLES = 128, 32, 2048
MOMENTA = (0.0, 0.5, 0.99)
N_ITER = 20


def signals():
    """Return two sources (2, n_samples): a glide and decaying noise."""
    n = np.arange(N_SAMPLES)
    noise = np.random.default_rng(7).standard_normal(N_SAMPLES)
    return np.stack([np.sin(0.2 * n + 2e-5 * n**2), noise * np.exp(-(n % 500) / 100)])


def scipy_misi(x, A, n_iter):
    """Return the sources, by the steps of Gunawan and Sen."""
    from scipy.signal import istft, stft

    settings = {"window": "hann", "nperseg": N_FFT, "noverlap": N_FFT - HOP}
    *_, X = stft(x, **settings)
    # SciPy divides by the sum of the window.
    A = A / np.sum(np.hanning(N_FFT + 1)[:-1])
    phase = np.stack([np.angle(X)] * len(A))
    for iteration in range(n_iter + 1):
        s = istft(A * np.exp(1j * phase), **settings)[1]
        s = s + (x - s.sum(axis=0)) / len(A)
        if iteration < n_iter:
            phase = np.angle(stft(s, **settings)[2])
    return s


def main():
    """Write the file beside this one."""
    import librosa
    import scipy

    sources = signals()
    spectra = librosa.stft(sources, n_fft=N_FFT, hop_length=HOP)
    found = {}
    for momentum in MOMENTA:
        found[f"griffin_lim_{momentum}"] = librosa.griffinlim(
            np.abs(spectra[0]), n_iter=N_ITER, n_fft=N_FFT, hop_length=HOP, momentum=momentum, init=None
        )
    found["misi"] = scipy_misi(sources.sum(axis=0), np.abs(spectra), N_ITER)
    versions = json.dumps({"librosa": librosa.__version__, "scipy": scipy.__version__})
    np.savez_compressed(Path(__file__).parent / "phase.npz", versions=versions, **found)


if __name__ == "__main__":
    main()
