"""The player in a notebook: in a frame that takes after the notebook and reaches nothing of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dspsep import Sources
from tests.browser.harness import LIVE, RATE, stems

pytestmark = pytest.mark.browser

SOURCES, REFERENCES = stems(2)


def notebook(output, attributes=""):
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>N</title>'
    return f"{head}<body {attributes}>{output}</body></html>"


@pytest.mark.parametrize("picture", ["spectrogram", "waveform"])
def test_a_notebook_plays(browser, tmp_path, picture):
    sources = Sources.from_dict(SOURCES, RATE)
    output = sources.play(references=REFERENCES, start=0.5, duration=1.0, picture=picture)._repr_html_()
    browser.show(tmp_path, notebook(output), width=716, height=1000)
    assert browser.evaluate("window.origin") == "null"  # isolated
    browser.click(".dspsep-main")
    browser.press("2", "b")
    part = slice(RATE // 2, 3 * RATE // 2)
    expected = REFERENCES["source 1"][:, part]
    np.testing.assert_allclose(browser.render(**{"from": 0}), expected, rtol=0, atol=2e-5)
    note = browser.evaluate("document.querySelector('.dspsep-note').textContent")
    assert "0.5 s to 1.5 s of 2.0 s" in note
    browser.assert_clean()


@pytest.mark.parametrize("width", [716, 1216])
def test_the_frame_is_as_high_as_what_is_in_it(browser, tmp_path, width):
    sources = Sources.from_dict(SOURCES, RATE)
    for output in (
        sources._repr_html_(),
        sources.play()._repr_html_(),
        sources.play(duration=1, references=REFERENCES, picture="waveform")._repr_html_(),
    ):
        browser.show(tmp_path, notebook(output), width=width, height=1200)
        content, frame, across = browser.evaluate(
            "[document.body.scrollHeight, innerHeight, document.documentElement.scrollWidth - innerWidth]"
        )
        lower = browser.evaluate("document.body.firstElementChild.getBoundingClientRect().bottom")
        assert content <= frame
        assert frame - lower < 45
        assert across <= 0
    browser.assert_clean()


@pytest.mark.parametrize(
    ("attributes", "dark"),
    [
        ('data-jp-theme-light="false"', True),
        ('data-jp-theme-light="true"', False),
        ('class="vscode-dark"', True),
        ('style="color-scheme: dark"', True),
        ("", False),
    ],
)
def test_the_frame_takes_after_the_notebook(browser, tmp_path, attributes, dark):
    sources = Sources.from_dict(SOURCES, RATE)
    browser.show(tmp_path, notebook(sources._repr_html_(), attributes), scheme=None)
    ground = browser.evaluate("getComputedStyle(document.querySelector('.dspsep-player')).backgroundColor")
    assert (ground != "rgb(255, 255, 255)") == dark
    browser.assert_clean()


def test_without_scripts_a_notebook_has_audio_elements(browser, tmp_path):
    sources = Sources.from_dict(SOURCES, RATE)
    # Forbidden by the frame itself, too: one in a process of its own may begin before the driver forbids it.
    shown = sources._repr_html_().replace('sandbox="allow-scripts"', 'sandbox=""')
    browser.show(tmp_path, notebook(shown), scripts=False)
    for _ in range(100):  # the frame may come after the page
        seen = browser.evaluate("[...document.querySelectorAll('audio')].map((one) => one.checkVisibility())")
        if seen == 4 * [True]:
            break
        time.sleep(0.05)
    assert seen == 4 * [True]
    assert browser.evaluate(f"typeof ({LIVE})") == "undefined"
