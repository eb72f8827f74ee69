"""Make bss_eval.json: what other people's code says of the cases in bss_cases.py.

The tests read the file and never make it. To make it again, in an environment with the versions that it
names, on one core (some minutes)::

    pip install numpy scipy soundfile threadpoolctl museval==0.4.1 mir_eval==0.8.2 fast_bss_eval==0.1.4 torch
    DSPSEP_TEST_DATA=... python -m tests.metrics.oracles.make_bss_eval [CASE ...]

With names of cases, only these are made again. By measure and by voice, a case has ``sdr``, ``isr``, ``sir``
and ``sar`` in dB, (n_sources,) or (n_sources, n_windows), and perhaps ``order``: the estimate of each source.

Measures
--------
v4
    Filters of 512 taps from the whole file; windows of one second, one after the other; estimates in order.
v3_images, v3_sources
    The whole file, the best order of estimates by their mean SIR.
v3_images_framewise, v3_sources_framewise
    Filters of their own for every window of one second, half a second apart; estimates in order.
si
    One tap, mono, estimates in order. ``lstsq`` is written out below, after Le Roux et al.

Voices
------
museval, mir_eval, fast_bss_eval
    As they are (fast_bss_eval through PyTorch, in double precision). museval began as mir_eval's code, so the
    two agree to the last digits; fast_bss_eval is another road to the same numbers.
museval_other_solver
    museval with its ``np.linalg.solve`` replaced by Cholesky's method on the matrix with a unit diagonal, or,
    where that fails, by its pseudo-inverse (``solver`` says which). How far it is from museval is how far
    museval's own number can be trusted.

References
----------
J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR – half-baked or well done?", ICASSP 2019,
doi:10.1109/ICASSP.2019.8683855.
"""

import json
import sys
import types
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.linalg
import soundfile
from threadpoolctl import threadpool_limits

from tests.metrics.bss_cases import NAMES, BssCase, bss_case, real_names

PATH = Path(__file__).with_name("bss_eval.json")
COMMAND = "OPENBLAS_NUM_THREADS=1 taskset -c 1 nice python -m tests.metrics.oracles.make_bss_eval"
TAPS = 512
IMAGES_FRAMEWISE = ("plain_01", "plain_02", "plain_13")
SOURCES_FRAMEWISE = ("plain_01", "plain_07", "plain_16")
#: Rows of the Gram matrix up to which the more expensive measures are made as well.
SMALL = 2048


class OtherSolver:
    """What museval finds under ``np.linalg``: NumPy's, with another ``solve``."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._kept: list[tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(np.linalg, name)

    def solve(self, G: np.ndarray, D: np.ndarray) -> np.ndarray:
        for known, inverse in self._kept:
            if known.shape == G.shape and np.array_equal(known, G):
                return inverse(D)
        self._kept = [*self._kept[-4:], (G, self._inverse(G))]
        return self._kept[-1][1](D)

    def _inverse(self, G: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        scaled, q = unit_diagonal(G)
        try:
            factor = scipy.linalg.cho_factor(scaled, lower=True)
        except scipy.linalg.LinAlgError:
            self.used.add("pseudo-inverse")
            values, vectors = scipy.linalg.eigh(scaled, driver="evd")
            kept = values > len(values) * np.finfo(float).eps * values[-1]
            V, w = vectors[:, kept], values[kept, None]
            return lambda D: q[:, None] * (V @ ((V.T @ (q[:, None] * D)) / w))
        self.used.add("cholesky")
        return lambda D: q[:, None] * scipy.linalg.cho_solve(factor, q[:, None] * D)


def unit_diagonal(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return G between two factors that make its diagonal 1, where it is not 0, and the factors."""
    q = np.ones(len(G))
    np.divide(1.0, np.sqrt(np.diag(G)), out=q, where=np.diag(G) > 1e-15)
    return (G + G.T) / 2 * q[:, None] * q, q


def condition(case: BssCase, metrics: types.ModuleType) -> float:
    """Return the condition number of museval's Gram matrix after scaling; inf where it is singular."""
    G, _ = metrics._compute_reference_correlations(np.moveaxis(case.references, 1, 2), TAPS)
    values = scipy.linalg.eigvalsh(unit_diagonal(metrics._reshape_G(G))[0], driver="evd")
    safe = values[0] > len(values) * np.finfo(float).eps * values[-1]
    return float(values[-1] / values[0]) if safe else float("inf")


def attempt(
    call: Callable[..., tuple], *args: object, names: str = "sdr isr sir sar order", **kw: object
) -> dict:
    """Return a peer's numbers by name; what it raised instead, in words."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = call(*args, **kw)
    except (ValueError, AttributeError, RuntimeError, np.linalg.LinAlgError) as error:
        return {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    found = {name: np.asarray(x) for name, x in zip(names.split(), results, strict=True)}
    if not kw.get("compute_permutation"):
        found.pop("order", None)
    flat = found.get("order", found["sdr"]).shape[-1] == 1 and kw.get("window") == np.inf
    return {name: (x[:, 0] if flat else x).tolist() for name, x in found.items()}


def by_museval(case: BssCase, *, other: bool, sources: bool, **kw: object) -> dict:
    """Return museval's numbers, with its own solver or the other."""
    from museval import metrics

    s, x = (np.moveaxis(a, 1, 2) for a in (case.references, case.estimates))
    linalg = OtherSolver() if other else np.linalg
    metrics.np = types.SimpleNamespace(**{k: getattr(np, k) for k in dir(np) if not k.startswith("__")})
    metrics.np.linalg = linalg
    found = attempt(metrics.bss_eval, s, x, bsseval_sources_version=sources, filters_len=TAPS, **kw)
    if sources:
        found.pop("isr", None)
    return found | ({"solver": " and ".join(sorted(linalg.used))} if other else {})


def by_fast_bss_eval(case: BssCase, taps: int, *, permute: bool) -> dict:
    """Return fast_bss_eval's numbers of a mono case."""
    import fast_bss_eval.torch as fast
    import torch

    torch.set_num_threads(1)
    s, x = (torch.from_numpy(a[:, 0].copy()) for a in (case.references, case.estimates))
    names = "sdr sir sar order" if permute else "sdr sir sar"
    call = fast.bss_eval_sources
    return attempt(call, s, x, filter_length=taps, compute_permutation=permute, names=names)


def by_lstsq(case: BssCase) -> dict:
    """Return the scale-invariant ratios by explicit least squares.

    ``sar`` is of the target alone, as in the paper; ``sar_of_projection`` of target and interference, as in
    BSS Eval and fast_bss_eval.
    """
    s, x = case.references[:, 0], case.estimates[:, 0]
    found: dict[str, list[float]] = {"sdr": [], "sir": [], "sar": [], "sar_of_projection": [], "sd_sdr": []}
    for own, estimate in zip(s, x, strict=True):
        target = np.linalg.lstsq(own[:, None], estimate, rcond=None)[0][0] * own
        projection = s.T @ np.linalg.lstsq(s.T, estimate, rcond=None)[0]
        power = np.sum(target**2)
        for name, signal, error in (
            ("sdr", power, estimate - target),
            ("sir", power, projection - target),
            ("sar", power, estimate - projection),
            ("sar_of_projection", np.sum(projection**2), estimate - projection),
            ("sd_sdr", power, own - estimate),
        ):
            with np.errstate(divide="ignore"):
                found[name].append(float(10 * np.log10(signal / np.sum(error**2))))
    return found


def measure(case: BssCase, group: str) -> dict[str, dict[str, dict]]:
    """Return every measure that a case of this group has."""
    import mir_eval.separation as mir

    rate, mono = case.sample_rate, case.references.shape[1] == 1
    small = case.references.shape[0] * case.references.shape[1] * TAPS <= SMALL
    mono_pair = (case.references[:, 0], case.estimates[:, 0])
    pair = tuple(np.moveaxis(a, 1, 2) for a in (case.references, case.estimates))
    framewise = {"window": rate, "hop": rate // 2, "framewise_filters": True}
    whole = {"window": np.inf, "hop": np.inf, "framewise_filters": True, "compute_permutation": True}
    found: dict[str, dict[str, dict]] = {}

    def museval(name: str, **kw: object) -> None:
        for voice, other in (("museval", False), ("museval_other_solver", True)):
            found.setdefault(name, {})[voice] = by_museval(case, other=other, sources="sources" in name, **kw)

    museval("v4", window=rate, hop=rate)
    if group != "silent" and (small or group == "plain"):
        museval("v3_images", **whole)
        museval("v3_sources", **whole)
    if group != "silent" and small and (mono or group == "plain"):
        found["v3_images"]["mir_eval"] = attempt(mir.bss_eval_images, *pair, compute_permutation=True)
    if group != "silent" and mono:
        found["v3_sources"]["mir_eval"] = attempt(
            mir.bss_eval_sources, *mono_pair, compute_permutation=True, names="sdr sir sar order"
        )
        found["v3_sources"]["fast_bss_eval"] = by_fast_bss_eval(case, TAPS, permute=True)
    if group == "silent" or case.name in IMAGES_FRAMEWISE:
        museval("v3_images_framewise", **framewise)
    if mono and (group == "silent" or case.name in SOURCES_FRAMEWISE):
        museval("v3_sources_framewise", **framewise)
        found["v3_sources_framewise"]["mir_eval"] = attempt(
            mir.bss_eval_sources_framewise,
            *mono_pair,
            window=rate,
            hop=rate // 2,
            names="sdr sir sar order",
        )
    if mono:
        found["si"] = {"lstsq": by_lstsq(case), "fast_bss_eval": by_fast_bss_eval(case, 1, permute=False)}
    return found


def write(cases: dict[str, dict]) -> None:
    """Write one line for each voice, so that a difference can be read."""
    packages = ("numpy", "scipy", "museval", "mir_eval", "fast_bss_eval", "torch", "soundfile")
    head = {"command": COMMAND, "versions": [f"{name} {version(name)}" for name in packages]}
    lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
    lines.append(f' "libsndfile": "{soundfile.__libsndfile_version__}",\n "cases": {{')
    texts = []
    for name, entry in sorted(cases.items()):
        plain = [f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in entry.items() if k != "results"]
        measures = [
            f"    {json.dumps(m)}: {{\n"
            + ",\n".join(f"     {json.dumps(v)}: {json.dumps(x)}" for v, x in voices.items())
            + "\n    }"
            for m, voices in entry["results"].items()
        ]
        results = '   "results": {\n' + ",\n".join(measures) + "\n   }"
        texts.append(f"  {json.dumps(name)}: {{\n" + ",\n".join([*plain, results]) + "\n  }")
    PATH.write_text("{\n" + "\n".join(lines) + "\n" + ",\n".join(texts) + "\n }\n}\n")


def main(wanted: list[str]) -> None:
    # museval loads a reader of data sets, which needs ffmpeg, and which its metrics do not use.
    sys.modules.setdefault("musdb", types.ModuleType("musdb"))
    from museval import metrics

    everything = {name: group for group, names in NAMES.items() for name in names}
    everything |= dict.fromkeys(real_names(), "real")
    cases = json.loads(PATH.read_text())["cases"] if wanted and PATH.exists() else {}
    with threadpool_limits(1):
        for name in wanted or everything:
            case = bss_case(name)
            cases[name] = {
                "group": everything[name],
                "sha256": case.digest,
                "shape": list(case.references.shape),
                "sample_rate": case.sample_rate,
                "condition": condition(case, metrics),
                "results": measure(case, everything[name]),
            }
            write(cases)


if __name__ == "__main__":
    main(sys.argv[1:])
