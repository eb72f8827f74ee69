"""A real browser for tests: Chromium, driven by playwright-core from a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

from dspsep.display import _sound
from dspsep.display._html import document
from dspsep.display._player import Strip, player
from dspsep.display._waveforms import Waveforms

HERE = Path(__file__).parent
RATE = 8000
LIVE = "document.querySelector('section.dspsep-player').dspsepPlayer"


def chromium():
    """Return the program, or None: Debian's, or what DSPSEP_CHROMIUM names."""
    names = [os.environ.get("DSPSEP_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def missing():
    """Return what is not there that these tests need; nothing if all is."""
    wanted = {"chromium": chromium(), "node": shutil.which("node"), "npm": shutil.which("npm")}
    return [name for name, found in wanted.items() if not found]


def install(folder):
    """Install the pinned playwright-core into `folder`, whose content the lock file knows by its hash."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command += ["--cache", str(folder / "cache")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode == 0, done.stderr


class Browser:
    """One browser; `open` shows a page in a context of its own, without what the last one left."""

    def __init__(self, folder):
        command = ["node", str(HERE / "driver.mjs"), str(folder), chromium()]
        # The log of the wrapper that Debian starts Chromium with is of no interest.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __call__(self, command, **options):
        self.process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser's driver has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{command} {options}: {answer['error']}"
        return answer["value"]

    def open(self, path, **options):
        self("open", url=Path(path).resolve().as_uri(), **options)

    def show(self, folder, html, **options):
        """Write a page into `folder` and open it from there."""
        path = Path(folder, "page.html")
        path.write_text(html, encoding="utf-8")
        self.open(path, **options)

    def evaluate(self, expression):
        return self("evaluate", expression=expression)

    def click(self, selector, **options):
        self("click", selector=selector, **options)

    def focus(self, selector):
        self("focus", selector=selector)

    def press(self, *keys):
        for key in keys:
            self("press", key=key)

    def state(self):
        return self.evaluate(f"{LIVE}.state()")

    def strip(self, index):
        return self.state()["strips"][index]

    def render(self, **options):
        """Return what playing now would give, as the player's own mixer has it: (n_channels, n_samples)."""
        promise = f"{LIVE}.render({json.dumps(options)})"
        text = self.evaluate(f"{promise}.then(all => JSON.stringify(all.map(one => Array.from(one))))")
        return np.array(json.loads(text))

    def assert_clean(self):
        """Assert that the page loaded nothing but itself, and that nothing was wrong with it."""
        seen = self("seen")
        assert [url for url in seen["requests"][1:] if url != "about:srcdoc"] == []
        assert seen["requests"][0].startswith("file://")
        # Deprecated, and still the one way to listen that needs no file of its own.
        assert [text for text in seen["errors"] if "ScriptProcessorNode" not in text] == []
        assert seen["dialogs"] == []

    def close(self):
        try:
            self("close")
        finally:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait(timeout=20)


def noise(seed, n_channels=1, n_samples=2 * RATE, level=0.1):
    """Return noise in steps of 16 bits, so that its FLAC is exactly it."""
    values = np.random.default_rng(seed).uniform(-level, level, (n_channels, n_samples))
    return np.rint(values * 2**15) / 2**15


def stems(n_channels=1, n_samples=2 * RATE, n_sources=3):
    """Return sources and references of two of them, by name."""
    sources = {f"source {k}": noise(k, n_channels, n_samples) for k in range(n_sources)}
    references = {name: noise(10 + k, n_channels, n_samples) for k, name in enumerate(list(sources)[:2])}
    return sources, references


def player_of(sources, references=None, *, rate=RATE, group=None, pictures=True, label="Test"):
    """Return a player: the mixture, the sources, the references, in this order."""
    references = references or {}
    mixture = np.sum(list(sources.values()), axis=0)
    signals = [mixture, *sources.values(), *references.values()]
    sounds = _sound.encode(signals, rate)
    waves = Waveforms(signals, rate)
    rows = [("Mixture", "mixture"), *((name, "source") for name in sources)]
    rows += [(name, "reference") for name in references]
    strips = [
        Strip(
            name=name,
            audio=sounds.uris[index],
            role=role,
            of=name if role == "reference" else None,
            picture=waves.figure(index, name) if pictures else None,
            about=["-1.0 dB"],
            group=group if role == "source" else None,
        )
        for index, (name, role) in enumerate(rows)
    ]
    seconds = mixture.shape[1] / rate
    return player(strips, duration=seconds, sample_rate=sounds.sample_rate, label=label)


def page_of(sources, references=None, **options):
    return document("Test", player_of(sources, references, **options))
