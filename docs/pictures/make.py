"""Make the pictures of the README, which lie beside this: ``python docs/pictures/make.py``.

That of the player is taken by Chromium, and left as it is where there is none.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dspsep import HPSS
from dspsep.data import scenes
from dspsep.display import plot_spectrogram

HERE = Path(__file__).parent
SCENE = scenes.song(duration=12.0)
WINDOW, PLAYER = (1100, 1500), (24, 384, 1076, 1118)  # in pixels; the second without the last strip


def separation() -> None:
    """Draw four seconds of a song and the two parts that `HPSS` takes it apart into."""
    sources = HPSS().separate(SCENE.mixture, SCENE.sample_rate)
    start, stop = (round(second * SCENE.sample_rate) for second in (4, 8))
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharey=True)
    parts = {"the mixture": SCENE.mixture, **sources}
    for ax, sign, (name, audio) in zip(panels, ("", "= ", "+ "), parts.items(), strict=True):
        plot_spectrogram(audio[:, start:stop], SCENE.sample_rate, ax=ax, reference=SCENE.mixture)
        ax.set_title(f"{sign}{name}", loc="left", fontsize=13)
    for ax in panels[1:]:
        ax.set_ylabel("")
    figure.colorbar(panels[-1].collections[-1], ax=panels, label="Level (dB)", pad=0.01)
    figure.savefig(HERE / "separation.png", dpi=110)
    small(HERE / "separation.png")


def player(chromium: str) -> None:
    """Take a picture of the stem player on a report of the same song."""
    sources = HPSS().separate(SCENE.mixture, SCENE.sample_rate)
    with tempfile.TemporaryDirectory() as folder:
        page, whole = Path(folder, "page.html"), Path(folder, "page.png")
        sources.report(page)
        size, shot = f"--window-size={WINDOW[0]},{WINDOW[1]}", f"--screenshot={whole}"
        command = [chromium, "--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=8000"]
        command += [size, shot, page.as_uri()]
        subprocess.run(command, check=True, timeout=120)  # noqa: S603 - a browser and a page of our own
        Image.open(whole).crop(PLAYER).save(HERE / "player.png")
    small(HERE / "player.png")


def small(path: Path) -> None:
    """Write a picture again in fewer colours."""
    Image.open(path).convert("RGB").quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    separation()
    browser = shutil.which("chromium")
    if browser:
        player(browser)
