"""``dspsep demo``: a song whose sources are known, taken apart, with a page to look at and listen to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.cli import _console
from dspsep.sources import Sources

__all__ = ["NAME", "add_to"]

NAME = "demo"

_DRUMS = ("kick", "snare", "hihat")

_INTRODUCTION = (
    "A synthetic song was mixed from drums, bass, chords and a sung lead, and then taken apart by median "
    "filtering of its spectrogram (HPSS): what lasts goes to the harmonic part, what is short and broad "
    "to the percussive part. Because the song was made here, the true parts are known, and the table says "
    "how near the separation came: SI-SDR in decibels, higher is better. Consonants and plucked attacks "
    "end up with the drums, and the ringing of the drums with the notes: that is how this method hears."
)


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="make a song, take it apart, and show the result on a page",
        description="Make a song whose sources are known, take it apart, and write stems, scores and a page.",
    )
    parser.add_argument(
        "-o", "--output", default="dspsep-demo", metavar="FOLDER", help="default: dspsep-demo"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another song (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write stems and a page, and print the scores."""
    from dspsep.data import files, scenes
    from dspsep.display import page
    from dspsep.separators.hpss.median import HPSS

    folder = Path(options.output)
    scene = scenes.song(seed=options.seed)
    separator = HPSS()
    sources = separator.separate(scene.mixture, scene.sample_rate)
    paths = sources.save(folder, format="wav")
    files.save(folder / "mixture.wav", scene.mixture, scene.sample_rate)
    scores = score_against(scene.sources, scene.mixture, sources)
    page_path = folder / "index.html"
    page.write_page(
        page_path,
        mixture=scene.mixture,
        sources=sources,
        sample_rate=scene.sample_rate,
        title="A song taken apart",
        intro=_INTRODUCTION,
        scores={
            name: {
                "SI-SDR of the mixture (dB)": before,
                "SI-SDR of the estimate (dB)": after,
                "improvement (dB)": after - before,
            }
            for name, (before, after) in scores.items()
        },
        settings=repr(separator),
        version=__version__,
        reproduce=f"dspsep demo --seed {options.seed}",
    )
    rows = [("source", "SI-SDR before", "after", "gain", "file")]
    for name, (before, after) in scores.items():
        cells = (f"{before:.1f} dB", f"{after:.1f} dB", f"{after - before:+.1f} dB")
        rows.append((name, *cells, _console.printable(str(paths[name]))))
    print(_console.table(rows))
    print(f"\nLook and listen: {_console.printable(str(page_path.resolve()))}")
    return 0


def score_against(truth: Sources, mixture: Array, estimates: Sources) -> dict[str, tuple[float, float]]:
    """Return the SI-SDR of the mixture and of the estimate, for the harmonic and the percussive part."""
    from dspsep.metrics import si_sdr

    references = {
        "harmonic": np.sum([truth[name] for name in truth if name not in _DRUMS], axis=0),
        "percussive": np.sum([truth[name] for name in _DRUMS], axis=0),
    }
    return {
        name: (si_sdr(reference, mixture), si_sdr(reference, estimates[name]))
        for name, reference in references.items()
    }
