"""The browser: installed and started once, for the tests that are marked `browser`."""

from __future__ import annotations

import os

import pytest

from tests.browser import harness


def pytest_collection_modifyitems(config, items):
    """Skip browser tests in runs that do not ask for them: CI has a stage of its own for them."""
    asked = "browser" in config.option.markexpr or any("browser" in str(name) for name in config.args)
    missing = harness.missing()
    reason = f"no {' and no '.join(missing)} here" if missing else ""
    if not asked:
        reason = "browser tests run when asked for: pytest -m browser"
    for item in items:
        if reason and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playwright")
    installed, said = harness.install(folder)
    if not installed and not os.environ.get("DSPSEP_BROWSER_REQUIRED"):
        pytest.skip(f"npm could not install playwright-core: {said.strip()[:200]}")
    assert installed, said
    driver = harness.Browser(folder)
    yield driver
    driver.close()
