"""A browser for the tests that are marked `browser`, which are skipped where there is none, and what they share."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """A Chromium (Debian: apt-get install chromium), that draws without a graphics card."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"no Chromium here: {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])


def read_names(page):
    """What a screen reader says of each picture: its name, its scores and those of its visible part."""
    return page.locator(".sid-pictures canvas").evaluate_all("all => all.map((of) => of.ariaLabel)")


def assert_accessible(page, *selector):
    """Let axe look at a page, or at a part of it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, *selector).response
    assert {"color-contrast", "button-name", "label", "select-name"} <= {rule["id"] for rule in found["passes"]}
    assert [(fault["id"], fault["impact"], fault["nodes"]) for fault in found["violations"]] == []
