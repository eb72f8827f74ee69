"""The player on the page about it: a song that is taken apart while the documentation is built."""

from __future__ import annotations

from pathlib import Path

from dspsep import HPSS
from dspsep.data import scenes


def write(folder: Path) -> None:
    """Write the player as a piece of HTML into `folder`, unless it is there already."""
    file = folder / "player.html"
    if file.is_file():
        return
    scene = scenes.song(duration=4.0)
    mixture = scene.mixture.mean(axis=0)  # one channel, to keep the page small
    drums = sum(scene.sources[name] for name in ("kick", "snare", "hihat")).mean(axis=0)
    sources = HPSS().separate(mixture, scene.sample_rate)
    player = sources.play(references={"harmonic": mixture - drums, "percussive": drums})
    folder.mkdir(exist_ok=True)
    file.write_text(player._repr_html_(), encoding="utf-8")
