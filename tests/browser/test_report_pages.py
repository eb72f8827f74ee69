"""Reports in a real browser: nothing loaded, nothing live, the sound exact, readable at any width."""

from __future__ import annotations

import io
import json
import math
import time

import numpy as np
import pytest
from PIL import Image

from dspsep import HPSS, STFT, Provenance, Sources, write_comparison, write_report
from dspsep.display import _figures
from tests.browser.harness import LIVE, RATE, noise
from tests.browser.test_player_page import CONTRASTS, FACTS, HOSTILE, shown_as_text

pytestmark = pytest.mark.browser

N_SAMPLES = RATE
SIGNALS = {name: noise(seed, 2, N_SAMPLES) for seed, name in enumerate(["tones", "drums"])}
SOURCES = Sources(SIGNALS, RATE, provenance=Provenance(version="0.1.0", settings=repr(HPSS(stft=STFT(256)))))
REFERENCES = {name: noise(seed, 2, N_SAMPLES) for seed, name in enumerate(SIGNALS, start=5)}
WARNINGS = ["[W_LONG] " + "a warning that is long " * 10]


def report(folder, sources=SOURCES, references=REFERENCES, **settings):
    return write_report(
        folder / "report.html", sources, references=references, protocol="scale_invariant",
        warnings=WARNINGS, **settings,
    )  # fmt: skip


def comparison(folder, sources=SOURCES, references=REFERENCES, **settings):
    other = Sources({name: audio / 2 for name, audio in sources.items()}, RATE, provenance=sources.provenance)
    names = settings.pop("methods", ("one", "other"))
    return write_comparison(
        folder / "comparison.html", dict(zip(names, (sources, other), strict=True)), references=references,
        mixture=sources.mixture(), protocol="scale_invariant", **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    title = "A rather_long_title_without_any_place_to_break_it " * 3
    return {written.__name__: written(folder, title=title) for written in (report, comparison)}


@pytest.mark.parametrize("written", ["report", "comparison"])
def test_sound_is_exact_after_clicks_and_keys(browser, pages, written):
    browser.open(pages[written])
    mixture = sum(SIGNALS.values())
    heard = browser.render()
    assert heard.shape == mixture.shape
    assert np.abs(heard - mixture).max() < 1e-4
    n_references = len(REFERENCES)
    first = 1 + n_references
    assert browser.strip(first)["name"] == "tones"
    browser.click("[aria-label='Solo tones'] >> nth=0")
    assert np.abs(browser.render() - SIGNALS["tones"]).max() < 1e-4
    browser.click("[aria-label='Solo tones'] >> nth=0")
    browser.press("b")
    assert np.abs(browser.render() - sum(REFERENCES.values())).max() < 1e-4
    browser.assert_clean()


def test_methods_are_heard_in_turn(browser, pages):
    browser.open(pages["comparison"])
    whole = browser.render()
    browser.press("g")
    assert np.abs(browser.render() - whole / 2).max() < 1e-4
    browser.assert_clean()


def test_hostile_names_leave_no_live_markup(browser, tmp_path, monkeypatch):
    """Names of sources, methods, references, settings, versions, titles and warnings, all at once."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "WEBP")
    monkeypatch.setattr(_figures.Spectrograms, "picture", lambda self, index: buffer.getvalue())
    audio = noise(0, 1, 80)
    plain = [f"name {index}" for index in range(len(HOSTILE))]
    facts = {}
    for kind, names in (("plain", plain), ("hostile", HOSTILE)):
        provenance = Provenance(version=names[1], settings=names[2])
        sources = Sources(dict.fromkeys(names, audio), RATE, provenance=provenance)
        given = {
            "references": dict.fromkeys(names[:3], audio), "protocol": "scale_invariant", "title": names[4],
            "intro": names[5], "duration": 0.01, "mixture": audio,
        }  # fmt: skip
        one = write_report(tmp_path / "one.html", sources, warnings=names, **given)
        few = Sources(dict.fromkeys(names[:3], audio), RATE, provenance=provenance)
        two = write_comparison(tmp_path / "two.html", dict.fromkeys(names[:6], few), **given)
        for path in (one, two):
            browser.open(path, width=360)
            browser.press("g", "1", "Shift+Digit1", "b")
            browser.evaluate(f"{LIVE}.render()")
            found = json.loads(browser.evaluate(FACTS))
            facts[kind, path.name] = found
            assert found["width"] <= 0, path
            browser.assert_clean()
        assert facts[kind, "one.html"]["names"][1:4] == [shown_as_text(name) for name in names[:3]]
    assert len(HOSTILE) >= 40
    for name in ("one.html", "two.html"):
        assert facts["hostile", name]["elements"] == facts["plain", name]["elements"]


@pytest.mark.parametrize("written", ["report", "comparison"])
def test_without_scripts_all_is_there(browser, pages, written):
    browser.open(pages[written], scripts=False)
    for _ in range(100):
        audios = browser.evaluate(
            "[...document.querySelectorAll('audio')].map((one) => [one.duration, one.checkVisibility()])"
        )
        if all(audio[0] is not None and math.isfinite(audio[0]) for audio in audios):
            break
        time.sleep(0.05)
    assert len(audios) == (5 if written == "report" else 7)
    for duration, visible in audios:
        assert duration == pytest.approx(N_SAMPLES / RATE, abs=1e-6)
        assert visible
    assert browser.evaluate("document.querySelectorAll('figure img, table, pre, blockquote').length") >= 9
    browser.click("summary")
    assert browser.evaluate("document.querySelector('details pre').checkVisibility()")
    browser.assert_clean()


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1280)])
@pytest.mark.parametrize("written", ["report", "comparison"])
def test_it_fits_and_can_be_read(browser, pages, tmp_path, written, scheme, width):
    browser.open(pages[written], width=width, scheme=scheme)
    browser.click("main > section > details > summary")
    browser("screenshot", path=str(tmp_path / f"{scheme}-{width}.png"))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [pair for pair in contrasts if pair[1] < 4.5] == []
    browser.assert_clean()
