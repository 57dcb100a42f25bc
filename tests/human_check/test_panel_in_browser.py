"""The panel in a real browser: JupyterLab runs notebook 05 in fast mode, and a person uses what it shows.

Needs a Chromium (Debian: apt-get install chromium); skipped where there is none.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Error, expect

from sidlib import catalog, paths, preprocess, sample, training
from sidlib.human_check import votes
from sidlib.human_check.view import encode_png

pytestmark = pytest.mark.browser
RESULTS = paths.results_folder("sample", fast=True)
WAIT_MS = 300_000  # for the notebook; the panel's own answers are there in a moment


NAME_OF_FOCUSED = """() => {
    const element = document.activeElement;
    return element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent;
}"""
REMEMBER = """status => {  // all that it says, in a list
    status.said = [];
    new MutationObserver(() => status.said.push(status.textContent)).observe(status, { childList: true });
}"""
COLOURS = """element => {  // of its text and of what lies behind it
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = of => {
        const colour = getComputedStyle(of).backgroundColor;
        return colour === 'rgba(0, 0, 0, 0)' && of.parentElement ? behind(of.parentElement) : colour;
    };
    return [getComputedStyle(element).color, behind(element)].map(numbers);
}"""


def find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve(*command, **environment):
    """Run a server until the block ends; what it says goes to results/fast/<its name>.log."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{command[0]}.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], env=os.environ | environment, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            server.terminate()
            server.wait(30)


def is_error(message):
    """Whether a message of the console is an error, other than that the internet is not there."""
    return message.type == "error" and not message.location["url"].startswith("https://")


def open_page(browser, address):
    """A page of a laptop's size; what goes wrong on it is kept in its list `errors`."""
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    for _ in range(120):  # until the server is there
        try:
            page.goto(address, wait_until="commit")
            break
        except Error:
            page.wait_for_timeout(500)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: is_error(message) and page.errors.append(message.text))
    return page


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """JupyterLab with notebook 05, run top to bottom in fast mode, after what notebook 04 trains."""
    sample.build_sample()
    pairs = catalog.take_scenes(preprocess.develop_pairs(catalog.load_pairs("sample")), 2)
    for experiment in (*training.COURSE_EXPERIMENTS, training.LONG_EXPERIMENT):
        training.train(replace(experiment, epochs=2), pairs, RESULTS)
    folder, settings = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("settings")
    shutil.copy(paths.ROOT / "notebooks" / "05_evaluation.ipynb", folder)
    for name, setting in {
        "notebook-extension/tracker": '{"windowingMode": "none"}',  # all cells are in the page
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(setting)
    port = find_port()
    environment = {
        "SID_DATASET": "sample",
        "SID_FAST": "1",
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings),
        "JUPYTER_TOKEN": "dark",
    }
    command = ["jupyterlab", "--no-browser", "--allow-root", f"--port={port}", f"--ServerApp.root_dir={folder}"]
    with serve(*command, **environment):
        page = open_page(browser, f"http://127.0.0.1:{port}/lab/tree/05_evaluation.ipynb?token=dark")
        page.get_by_text("| Idle").wait_for(timeout=WAIT_MS)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0, timeout=WAIT_MS)
        yield page


def read_images(page):
    return page.locator(".sid-pictures .row img").evaluate_all("images => images.map(image => [image.alt, image.src])")


def settle(page):
    """Wait until the pictures stay as they are; return them."""
    shown = read_images(page)
    while True:
        page.wait_for_timeout(500)
        before, shown = shown, read_images(page)
        if shown == before:
            return shown


def status(page):
    return page.locator(".sid-stage [role=status]")


def test_the_panel_opens_on_the_fixed_picture_with_every_model(page):
    names = [alt.split(":")[0] for alt, _ in read_images(page)]
    assert names[:2] == ["input", "input, amplified"] and names[-1] == "truth" and len(names) == 10
    expect(status(page)).to_contain_text("scene 10001, frame 0")
    assert all("MAE" in alt and "SSIM" in alt for alt, _ in read_images(page)[:-1])


def test_another_picture_and_fewer_models_are_chosen(page):
    before = read_images(page)
    page.get_by_label("Picture", exact=True).select_option(index=2)
    expect(status(page)).to_contain_text("scene 10002")
    page.get_by_label("cnn-relu-mae-flips").uncheck()
    expect(page.locator(".sid-pictures .row img")).to_have_count(9)
    assert not {source for _, source in before} & {source for _, source in read_images(page)}


def test_the_mouse_zooms_and_moves_all_pictures_together(page):
    whole = read_images(page)
    page.locator(".sid-pictures img").nth(3).dblclick()
    expect(page.get_by_label("Zoom", exact=True)).to_have_value("2")
    expect(page.locator(".sid-pictures img").first).to_have_attribute("alt", re.compile("visible: MAE"))
    zoomed = read_images(page)
    caption = page.locator(".sid-pictures figcaption").first.inner_text().splitlines()
    assert [line.split()[0] for line in caption] == ["input", "MAE", "visible:"]
    box = page.locator(".sid-pictures img").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 50, steps=4)
    page.mouse.up()
    expect(page.get_by_label("Across", exact=True)).not_to_have_value("0.5")
    expect(page.locator(".sid-pictures img").first).not_to_have_attribute("src", zoomed[0][1])
    assert all(a[1] != b[1] != c[1] for a, b, c in zip(whole, zoomed, settle(page), strict=True))


def test_a_picture_that_has_to_be_reduced_keeps_its_pixels(page):
    renderings = """sources => {
        const pictures = document.querySelector('.sid-pictures .row');
        const kept = pictures.innerHTML;
        pictures.innerHTML = sources.map(source => `<figure><img src="${source}"></figure>`).join('');
        return Promise.all([...pictures.querySelectorAll('img')].map(image => image.decode()))
            .then(() => new Promise(resolve => setTimeout(resolve, 200)))
            .then(() => [...pictures.querySelectorAll('img')].map(image => image.style.imageRendering))
            .finally(() => { pictures.innerHTML = kept; });
    }"""
    sources = [encode_png(np.zeros((20, width, 3))) for width in (40, 4000)]
    assert page.evaluate(renderings, sources) == ["pixelated", "auto"]


def test_a_wipe_an_error_map_and_brightness_change_the_display_alone(page):
    scores = [alt for alt, _ in read_images(page)]
    page.get_by_role("combobox", name="Wipe").select_option("input, amplified")
    page.get_by_label("against").select_option("truth")
    wipe = page.locator(".sid-pictures img").first
    expect(wipe).to_have_attribute("alt", "wipe: input, amplified | truth")
    half = wipe.get_attribute("src")
    page.get_by_label("Wipe's edge").fill("0.2")
    expect(wipe).not_to_have_attribute("src", half)
    half = wipe.get_attribute("src")
    box = wipe.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    expect(page.get_by_label("Wipe's edge")).to_have_value("0.8")
    expect(wipe).not_to_have_attribute("src", half)
    page.get_by_label("Error map").check()
    expect(page.locator(".sid-pictures .legend")).to_contain_text("of 255")
    page.get_by_label("Error map").uncheck()
    page.get_by_label("Brightness").fill("2")
    expect(status(page)).to_contain_text("brightened for display")
    page.get_by_role("combobox", name="Wipe").select_option("off")
    expect(page.locator(".sid-pictures .legend")).to_have_count(0)
    assert [alt for alt, _ in settle(page)] == scores
    page.get_by_label("Brightness").fill("0")


def test_the_keyboard_alone_does_everything(page):
    page.get_by_label("Compare").focus()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(NAME_OF_FOCUSED))
        if any(name.startswith("Pictures") for name in reached):
            break
    assert {"Picture", "Error map", "Wipe", "against"} <= reached
    assert "Zoom" in reached
    zoom = page.get_by_label("Zoom", exact=True)
    page.keyboard.press("+")
    expect(zoom).to_have_value("4")
    before = page.get_by_label("Down", exact=True).input_value()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Down", exact=True)).not_to_have_value(before)
    zoom.focus()
    page.keyboard.press("Home")
    expect(zoom).to_have_value("1")
    expect(page.locator(".sid-pictures img").first).not_to_have_attribute("alt", re.compile("visible"))


def test_a_blind_vote_hides_names_until_it_is_cast_and_is_kept_at_once(page):
    before = len(votes.load_votes(RESULTS / "votes.csv"))
    page.get_by_label("Vote blind").check()
    expect(page.get_by_role("button", name="A is best")).to_be_enabled()
    hidden = [alt for alt, _ in read_images(page)]
    assert hidden[2:-1] == list("ABCDEF") and "MAE" not in "".join(hidden)
    assert "unet" not in page.locator(".sid-pictures").inner_html()
    page.get_by_role("button", name="B is best").focus()
    page.keyboard.press("Space")
    expect(page.locator(".sid-pictures img").nth(3)).to_have_attribute("alt", re.compile("MAE"))
    kept = votes.load_votes(RESULTS / "votes.csv")
    assert len(kept) == before + 1
    assert read_images(page)[3][0].startswith(f"B: {kept.best.iloc[-1]}")
    expect(page.locator(".widget-html table")).to_contain_text(kept.best.iloc[-1])
    page.get_by_role("button", name="Next picture").click()
    expect(page.get_by_role("button", name="A is best")).to_be_enabled()
    page.get_by_role("button", name="They cannot be told apart").click()
    expect(page.get_by_text(f"{before + 2} vote")).to_be_visible()
    assert votes.load_votes(RESULTS / "votes.csv").best.iloc[-1] == ""


def test_a_raw_file_is_uploaded_shown_and_saved_and_a_bad_one_is_refused(page, tmp_path):
    bad = tmp_path / "holiday.ARW"
    bad.write_text("this is no photograph")
    good = next((paths.DATA / "sample" / "short").glob("2*.dng"))
    page.get_by_label("Your own capture").check()
    page.get_by_label("Upload a RAW file").set_input_files(bad)
    expect(status(page)).to_contain_text("holiday.ARW: not a RAW file")
    page.get_by_label("Upload a RAW file").set_input_files(good)
    expect(status(page)).to_contain_text(f"{good.name}: exposure ratio estimated")
    names = [alt for alt, _ in read_images(page)]
    assert names[0] == "input" and "truth" not in names and "unet-leaky_relu-mse-flips-epochs2" in names
    amplified = read_images(page)[1][1]
    page.get_by_label("Exposure ratio").fill("20")
    page.get_by_label("Exposure ratio").press("Enter")
    expect(page.locator(".sid-pictures img").nth(1)).not_to_have_attribute("src", amplified)
    page.get_by_role("button", name="as 16-bit PNG").click()
    expect(status(page)).to_contain_text("Saved")
    page.get_by_label("Upload a RAW file").set_input_files(bad)
    expect(status(page)).to_contain_text("holiday.ARW: not a RAW file")
    assert len(read_images(page)) == len(names)
    page.get_by_label("Compare").check()
    expect(status(page)).to_contain_text("scene")


def test_every_control_and_image_has_a_name(page):
    panel = page.locator(".jp-OutputArea-output:has(.sid-stage)")
    named = panel.evaluate(
        """panel => [...panel.querySelectorAll('input, select, button, img')].map(element => [
            element.alt || element.getAttribute('aria-label') || element.textContent.trim()
            || [...(element.labels || [])].map(label => label.textContent.trim()).join(), element.outerHTML])"""
    )
    assert len(named) > 30
    assert [element for name, element in named if not name] == []


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_it_can_be_read_in_both_themes(page, theme):
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).first.hover()
    page.get_by_role("menuitem", name=theme, exact=True).click()
    page.wait_for_timeout(1000)
    for part in (".sid-pictures figcaption", ".sid-stage [role=status]", ".sid-sliders label"):
        text, ground = page.locator(part).first.evaluate(COLOURS)
        assert abs(np.mean(text[:3]) - np.mean(ground[:3])) > 120, part


def test_nothing_on_the_page_has_failed(page):
    assert page.errors == []
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []


def test_two_files_that_are_uploaded_at_once_both_arrive(page, tmp_path):
    good = next((paths.DATA / "sample" / "short").glob("2*.dng"))
    large = tmp_path / "large.ARW"
    large.write_bytes(b"this is no photograph" * 10**6)  # in several pieces, between which the other comes
    page.get_by_label("Your own capture").check()
    status(page).evaluate(REMEMBER)
    for file in (large, good):
        page.get_by_label("Upload a RAW file").set_input_files(file)
    for answer in ("large.ARW: not a RAW file", f"{good.name}: exposure ratio estimated"):
        page.wait_for_function(
            "answer => document.querySelector('.sid-stage [role=status]').said.some(text => text.startsWith(answer))",
            arg=answer,
        )


def test_an_upload_to_a_kernel_that_was_restarted_says_that_it_stopped(page):
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(5000)
    good = next((paths.DATA / "sample" / "short").glob("2*.dng"))
    page.get_by_label("Upload a RAW file").set_input_files(good)
    expect(status(page)).to_contain_text(f"{good.name}: the upload stopped")


def test_the_panel_stands_alone_as_a_web_page(browser):
    port = find_port()
    command = ["voila", paths.ROOT / "notebooks" / "panel.ipynb", "--no-browser", "--Voila.ip=127.0.0.1"]
    with serve(*command, f"--port={port}", "--Voila.token=dark", SID_DATASET="sample"):
        page = open_page(browser, f"http://127.0.0.1:{port}/?token=dark")
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".sid-pictures .row img").last).to_have_attribute("alt", "truth: long exposure")
        assert "import" not in page.locator("body").inner_text()
        box = page.locator(".sid-stage").bounding_box()
        page.set_viewport_size({"width": 1366, "height": int(box["y"] + box["height"]) + 20})
        page.screenshot(path=RESULTS / "panel.png")
        assert page.errors == []
