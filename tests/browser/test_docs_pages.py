"""The pages of the documentation as they were built: they load nothing, and their players play.

`.ci/run docs` runs this after it has built them. Elsewhere it is skipped unless they are there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.harness import LIVE

pytestmark = pytest.mark.browser

PAGES = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"


@pytest.fixture
def built():
    if not (PAGES / "player.html").is_file():
        pytest.skip("the documentation is not built here")
    return PAGES


def assert_from_files(browser):
    seen = browser("seen")
    assert [url for url in seen["requests"] if not url.startswith(("file:", "about:srcdoc"))] == []
    assert seen["errors"] == []


@pytest.mark.parametrize("page", ["index.html", "start.html", "methods/hpss.html", "api/index.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_nothing(browser, built, page, scheme):
    browser.open(built / page, scheme=scheme)
    assert_from_files(browser)


@pytest.mark.parametrize("page", ["player.html", "gallery/plot_player.html"])
def test_players_play(browser, built, page):
    browser.open(built / page, scheme=None)
    browser.click(".dspsep-main")
    browser.press("2")
    browser.evaluate(f"{LIVE}.ready()")
    assert browser.state()["playing"]
    assert [strip["gain"] for strip in browser.state()["strips"]] == [0, 0, 1, 0, 0]
    assert_from_files(browser)
