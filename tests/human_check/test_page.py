"""The human check as one file: what it holds, and how it opens from disk in a browser without a network."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from sidlib import human_check
from sidlib.human_check.captures import load_capture
from tests.human_check.conftest import assert_accessible, read_names
from tests.human_check.test_viewer_in_browser import read_picture

MODELS = {
    "CNN": lambda x: x,
    "</script><b>": lambda x: x * 0 + 200.4,
    "grey": lambda x: x * 0 + 99,
    "best": lambda x: np.clip(x * 4.3, 0, 255),
}


@pytest.fixture(scope="module")
def file(tiny_pairs, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "human check.html"
    human_check.save_page(MODELS, tiny_pairs, file, title="Night & <day>")
    return file


def read_state(file):
    (state,) = re.findall(r'<script id="state" type="application/json">(.*?)</script>', file.read_text("utf-8"))
    return json.loads(state)


def read_pixels(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_a_page_holds_a_picture_of_each_test_scene_with_all_that_models_make_of_it(file, tiny_pairs):
    state = read_state(file)
    assert [name.split(",")[0] for name in state["choices"]] == ["scene 10001", "scene 10002"]
    assert state["shown"] == ["input", "CNN", "best", "truth"]
    capture = load_capture(next(tiny_pairs[tiny_pairs.split == "test"].itertuples()))
    pictures = {picture["name"]: picture for picture in state["captures"][0]}
    assert list(pictures) == ["input", "RAW, amplified", *MODELS, "truth"]
    np.testing.assert_array_equal(read_pixels(pictures["truth"]["url"]), capture.truth)
    assert (read_pixels(pictures["</script><b>"]["url"]) == 200).all()
    page = file.read_text("utf-8")
    assert "%CSS%" not in page and "Night &amp; &lt;day&gt;" in page and "https://" not in page
    scores = [picture["caption"] for picture in state["captures"][0]]
    assert all(re.fullmatch(r"MAE \S+ · \S+ dB · SSIM \S+", caption) for caption in scores[:-1])


def test_a_page_holds_as_many_pictures_as_fit_and_at_least_one(tiny_pairs, tmp_path):
    file = tmp_path / "page.html"
    with pytest.raises(ValueError, match="needs a test pair"):
        human_check.save_page(MODELS, tiny_pairs[tiny_pairs.split == "train"], file)
    both = human_check.save_page(MODELS, tiny_pairs, file)
    size = file.stat().st_size
    assert human_check.save_page(MODELS, tiny_pairs, file, max_bytes=size + 100) == both
    assert human_check.save_page(MODELS, tiny_pairs, file, max_bytes=size - 2000) == both[:1]
    assert file.stat().st_size < size - 2000
    before = file.read_bytes()
    with pytest.raises(ValueError, match="4 models on one test picture do not fit in 9999 bytes"):
        human_check.save_page(MODELS, tiny_pairs, file, max_bytes=9999)
    assert file.read_bytes() == before


@pytest.fixture
def page(browser, file):
    """The page, opened from disk with the network off; it asks for nothing else, and nothing on it fails."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True)
    page, requests, errors = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())
    page.locator(".sid-pictures figure").first.wait_for()
    yield page
    assert errors == [] and [url for url in requests if not url.startswith(("file:", "data:"))] == []
    context.close()


@pytest.mark.browser
def test_a_page_opens_from_disk_without_a_network_and_shows_any_of_its_pictures(page, file):
    state = read_state(file)
    page.wait_for_function("document.querySelector('.sid-pictures canvas').ariaLabel")
    assert [name.split("\n")[0] for name in read_names(page)] == ["input", "CNN", "best", "truth"]
    page.get_by_role("button", name="4 of 7 shown").click()
    box = page.get_by_role("checkbox", name="</script><b>")
    box.press("Space")
    expect(page.locator(".sid-pictures figure")).to_have_count(5)
    expect(box).to_be_focused()
    expect(page.locator(".sid-bar")).to_contain_text("5 of 7 shown")
    assert "</script><b>" in page.locator("figcaption b").all_text_contents()
    page.get_by_role("combobox", name="Picture").select_option(state["choices"][1])
    captions = {picture["title"]: picture["caption"] for picture in state["captures"][1]}
    first = page.locator(".sid-pictures canvas").first
    expect(first).to_have_attribute("aria-label", f"input\n{captions['input']}")
    assert f"best\n{captions['best']}" in read_names(page)
    truth = read_pixels(state["captures"][1][-1]["url"])
    np.testing.assert_array_equal(read_picture(page, "truth", *truth.shape[:2]), truth)


def click_sections(page):
    """Open all sections, or close them."""
    for button in page.locator("button[aria-expanded]").all():
        button.click()


@pytest.mark.browser
def test_axe_finds_nothing_wrong_with_a_page_when_all_of_it_is_open(page):
    click_sections(page)
    page.get_by_role("button", name="Error map").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "top"), [(1366, 110), (390, 230)])
def test_a_page_fits_a_laptop_and_a_telephone(page, width, top):
    page.set_viewport_size({"width": width, "height": 768})
    click_sections(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    click_sections(page)
    assert page.locator(".sid-pictures").bounding_box()["y"] < top
