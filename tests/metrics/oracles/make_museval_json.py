"""Make the folder museval: small files that museval wrote, and what its aggregation says of them.

The tests read the files and never make them. To make them again, in an environment of its own::

    pip install museval==0.4.1 pandas==3.1.1
    python tests/metrics/oracles/make_museval_json.py

Three tracks of different lengths, scored by museval's BSS Eval v4 in windows of a second at 4 kHz. One has a
silent reference in a window (NaN), and one a perfect estimate, to which an infinite score is written by hand,
as numerical noise keeps museval from ever giving one: its writer makes NaN of it.
"""

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np

RATE = 4000
TRACKS = {"First": 5, "Second": 4, "Third": 2}
SOURCES = ("vocals", "drums", "bass")


def signals(rng: np.random.Generator, seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """References (n_sources, n_samples, n_channels), and estimates into which they leak."""
    references = rng.standard_normal((3, seconds * RATE, 2)) * np.array([1.0, 0.5, 0.2])[:, None, None]
    leak = np.array([[0.9, 0.3, 0.1], [0.2, 1.1, 0.0], [0.05, 0.1, 0.8]])
    estimates = np.einsum("ij,jtc->itc", leak, references) + 0.05 * rng.standard_normal(references.shape)
    return references, estimates


def main() -> None:
    # museval loads a reader of data sets, which needs ffmpeg, and which its metrics do not use.
    sys.modules.setdefault("musdb", types.ModuleType("musdb"))
    import museval

    folder = Path(__file__).with_name("museval")
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(20180702)
    stores = {}
    for name, seconds in TRACKS.items():
        references, estimates = signals(rng, seconds)
        if name == "Second":
            references[1, RATE : 2 * RATE] = 0
        scores = museval.evaluate(references, estimates, win=RATE, hop=RATE, mode="v4", padding=False)
        values = {key: np.array(rows) for key, rows in zip(("SDR", "ISR", "SIR", "SAR"), scores, strict=True)}
        if name == "First":
            values["SDR"][2, 3] = np.inf
        stores[name] = museval.TrackStore(win=1.0, hop=1.0, track_name=name)
        for index, source in enumerate(SOURCES):
            stores[name].add_target(source, {key: rows[index].tolist() for key, rows in values.items()})
        stores[name].validate()
        stores[name].save(folder / f"{name}.json")
    found: dict[str, object] = {
        "versions": {package: version(package) for package in ("museval", "numpy", "pandas")}
    }
    for over_windows in ("median", "mean"):
        for over_tracks in ("median", "mean"):
            evaluation = museval.EvalStore(frames_agg=over_windows, tracks_agg=over_tracks)
            for store in stores.values():
                evaluation.add_track(store)
            table = evaluation.agg_frames_tracks_scores()
            found[f"{over_windows}, {over_tracks}"] = [[*key, float(score)] for key, score in table.items()]
    tracks = museval.EvalStore()
    for store in stores.values():
        tracks.add_track(store)
    found["tracks"] = [[*key, float(score)] for key, score in tracks.agg_frames_scores().items()]
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (folder / "aggregated.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
