"""Make ratios.npz: small signals, and what other people's code says of them.

The tests read the file and never make it. To make it again, in an environment of its own::

    pip install numpy scipy museval==0.4.1 mir_eval==0.8.2 fast_bss_eval==0.1.4
    python tests/metrics/oracles/make_oracles.py

What is compared with what:

* ``si_sdr``: fast_bss_eval's SI-SDR, with and without the mean, of single channels; and BSS Eval's SDR with
  an allowed filter of one tap, from mir_eval, which is the same number by another road.
* ``sdr``: museval's SDR of source images over the whole file, which allows no filter.
* the permutation: that of mir_eval's search through all orders, by its own SDR of 512 taps.
"""

import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np

N_SOURCES, N_CHANNELS, N_SAMPLES = 3, 2, 1500


def signals(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Correlated, unequally loud references with an offset, and shuffled estimates from poor to good."""
    shape = (N_SOURCES, N_CHANNELS, N_SAMPLES)
    references = np.cumsum(rng.standard_normal(shape), axis=-1) * 0.01 + rng.standard_normal(shape) * 0.1
    references *= np.array([1.0, 0.3, 0.05])[:, None, None]
    leak = np.array([[0.9, 0.4, 0.2], [0.1, 1.3, 0.0], [0.05, 0.01, 0.7]])
    estimates = np.einsum("ij,jct->ict", leak, references) + 0.003 * rng.standard_normal(shape)
    return references.astype(np.float32), estimates[[2, 0, 1]].astype(np.float32)


def si_sdr_by_mir_eval(reference: np.ndarray, estimate: np.ndarray) -> float:
    import mir_eval.separation as mir

    parts = mir._bss_decomp_mtifilt(reference[None, :], estimate, 0, 1)
    return float(mir._bss_source_crit(*parts)[0])


def main() -> None:
    # museval loads a reader of data sets, which needs ffmpeg, and which its metrics do not use.
    sys.modules.setdefault("musdb", types.ModuleType("musdb"))
    import fast_bss_eval.numpy as fast
    import mir_eval.separation as mir
    from museval.metrics import bss_eval

    references, estimates = signals(np.random.default_rng(20190512))
    s, x = references.astype(np.float64), estimates.astype(np.float64)
    pairs = [(i, j) for i in range(N_SOURCES) for j in range(N_SOURCES)]
    table = np.zeros((N_SOURCES, N_SOURCES))

    mono = {name: table.copy() for name in ("fast", "fast_zero_mean", "mir")}
    images = table.copy()
    for i, j in pairs:
        ref, est = s[i, 0], x[j, 0]
        mono["fast"][i, j] = -fast.si_sdr_loss(est[None], ref[None])[0]
        mono["fast_zero_mean"][i, j] = -fast.si_sdr_loss(est[None], ref[None], zero_mean=True)[0]
        mono["mir"][i, j] = si_sdr_by_mir_eval(ref, est)
        # (n_sources, n_samples, n_channels); the other metrics need a second source, the SDR does not see it.
        second = s[(i + 1) % N_SOURCES].T
        images[i, j] = bss_eval(
            np.stack([s[i].T, second]), np.stack([x[j].T, second]), window=np.inf, filters_len=1
        )[0][0, 0]

    *_, order = mir.bss_eval_sources(s[:, 0], x[:, 0], compute_permutation=True)
    np.savez_compressed(
        Path(__file__).with_name("ratios.npz"),
        references=references,
        estimates=estimates,
        si_sdr_fast_bss_eval=mono["fast"],
        si_sdr_zero_mean_fast_bss_eval=mono["fast_zero_mean"],
        si_sdr_mir_eval=mono["mir"],
        sdr_museval=images,
        order_mir_eval=order,
        versions=[f"{name} {version(name)}" for name in ("numpy", "fast_bss_eval", "mir_eval", "museval")],
    )


if __name__ == "__main__":
    main()
