"""Make the pictures of the README: ``python docs/pictures/make.py``, beside which they lie.

The picture of the player is taken by a browser: see tests/browser.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dspsep import HPSS
from dspsep.data import scenes
from dspsep.display import plot_spectrogram

HERE = Path(__file__).parent


def separation() -> None:
    """Draw four seconds of a song and the two parts that `HPSS` takes it apart into."""
    scene = scenes.song(duration=12.0)
    sources = HPSS().separate(scene.mixture, scene.sample_rate)
    start, stop = (round(second * scene.sample_rate) for second in (4, 8))
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharey=True)
    titles = {"the mixture": scene.mixture, **{f"{name}": audio for name, audio in sources.items()}}
    signs = ("", "= ", "+ ")
    for ax, sign, (name, audio) in zip(panels, signs, titles.items(), strict=True):
        plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
        ax.set_title(f"{sign}{name}", loc="left", fontsize=13)
    for ax in panels[1:]:
        ax.set_ylabel("")
    figure.colorbar(panels[-1].collections[-1], ax=panels, label="Level (dB)", pad=0.01)
    figure.savefig(HERE / "separation.png", dpi=110)


if __name__ == "__main__":
    separation()
