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
import psutil
import pytest
from playwright.sync_api import Error, expect

from sidlib import catalog, paths, preprocess, sample, training
from sidlib.human_check import votes

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
            yield server.pid
        finally:
            server.terminate()
            server.wait(30)


def is_error(message):
    """Whether a message of the console is an error, other than that the internet is not there."""
    return message.type == "error" and not message.location["url"].startswith("https://")


def open_page(browser, address):
    """A page of a laptop's size; what goes wrong on it is kept in its list `errors`."""
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
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
    with serve(*command, **environment) as server:
        page = open_page(browser, f"http://127.0.0.1:{port}/lab/tree/05_evaluation.ipynb?token=dark")
        page.get_by_text("| Idle").wait_for(timeout=WAIT_MS)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0, timeout=WAIT_MS)
        page.server = server
        yield page


def read_names(page):
    """What a screen reader says of each picture: its name, its scores and those of its visible part."""
    return page.locator(".sid-pictures canvas").evaluate_all("all => all.map((of) => of.ariaLabel)")


def read_pictures(page):
    return page.locator(".sid-pictures canvas").evaluate_all("all => all.map((of) => of.toDataURL())")


def settle(page):
    """Wait until the pictures stay as they are; return them."""
    shown = read_pictures(page)
    while True:
        page.wait_for_timeout(500)
        before, shown = shown, read_pictures(page)
        if shown == before:
            return shown


def status(page):
    return page.locator(".sid-stage > [role=status]")


def show_all(page):
    """Choose every picture that there is."""
    page.get_by_role("button", name=re.compile("of 10 shown")).click()
    for box in page.locator(".sid-section input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="10 of 10 shown").click()


def change_mode(page, mode):
    page.get_by_role("combobox", name="Mode").select_option(mode)


def test_the_panel_opens_on_the_fixed_picture_and_the_pictures_fill_the_screen(page):
    names = [name.split("\n")[0] for name in read_names(page)]
    assert names == ["input", "CNN · ReLU · MAE · 2 epochs", "U-Net · leaky ReLU · MAE · no flips · 2 epochs", "truth"]
    expect(status(page)).to_contain_text("scene 10001, frame 0")
    assert all("MAE" in name and "SSIM" in name for name in read_names(page)[:-1])
    stage, pictures = (page.locator(part).bounding_box() for part in (".sid-stage", ".sid-pictures"))
    assert pictures["y"] - stage["y"] < 110


def test_another_picture_and_all_models_are_chosen(page):
    before = settle(page)
    page.get_by_role("combobox", name="Picture").select_option(index=2)
    expect(status(page)).to_contain_text("scene 10002")
    assert not set(before) & set(settle(page))
    show_all(page)
    expect(page.locator(".sid-pictures figure")).to_have_count(10)
    assert page.locator(".sid-pictures figure").nth(3).get_attribute("title") == "cnn-leaky_relu-mae-flips-epochs2"


def test_the_mouse_zooms_and_moves_all_pictures_together(page):
    whole = settle(page)
    page.locator(".sid-pictures canvas").nth(3).dblclick()
    expect(page.get_by_label("Zoom", exact=True)).to_have_text("2 ×")
    first = page.locator(".sid-pictures canvas").first
    expect(first).to_have_attribute("aria-label", re.compile("visible: MAE"))
    zoomed = settle(page)
    box = first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 50, steps=4)
    page.mouse.up()
    moved = settle(page)
    assert all(len({a, b, c}) == 3 for a, b, c in zip(whole, zoomed, moved, strict=True))
    expect(first).to_have_attribute("aria-label", re.compile("visible: MAE"))
    page.mouse.wheel(0, -100)  # a picture was clicked: the wheel is its own
    expect(page.get_by_label("Zoom", exact=True)).not_to_have_text("2 ×")


def test_a_wipe_an_error_map_and_brightness_change_the_display_alone(page):
    scores = [name.split("\n")[:2] for name in read_names(page)]
    page.get_by_role("button", name="Wipe").click()
    page.get_by_role("combobox", name="Left").select_option("input, amplified")
    wipe = page.locator(".sid-pictures canvas").first
    expect(wipe).to_have_attribute("aria-label", "wipe\ninput, amplified | truth")
    page.get_by_role("button", name="Error map").click()
    expect(page.locator(".sid-legend")).to_contain_text("of 255")
    page.get_by_role("button", name="Error map").click()
    page.get_by_role("button", name="Brightness").click()
    page.get_by_role("slider", name="Brightness").fill("2")
    expect(status(page)).to_contain_text("brightened for display")
    page.get_by_role("button", name="Wipe").click()
    expect(page.locator(".sid-legend")).to_be_hidden()
    assert [name.split("\n")[:2] for name in read_names(page)] == scores
    page.get_by_role("slider", name="Brightness").fill("0")
    page.get_by_role("button", name="Brightness").click()


def test_the_keyboard_alone_does_everything(page):
    page.get_by_role("combobox", name="Mode").focus()
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(NAME_OF_FOCUSED))
        if reached[-1] == "Pictures":
            break
    assert reached[0] == "Picture" and {"Error map", "Wipe", "Brightness", "Zoom in"} <= set(reached)
    zoom = page.get_by_label("Zoom", exact=True)
    for key, text in {"0": "1 ×", "+": "2 ×"}.items():
        page.keyboard.press(key)
        expect(zoom).to_have_text(text)
    before = settle(page)
    page.keyboard.press("ArrowUp")
    assert settle(page) != before
    for _ in range(2):  # in the notebook, it would restart the kernel
        page.keyboard.press("0")
    expect(zoom).to_have_text("1 ×")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".sid-pictures canvas").first).not_to_have_attribute("aria-label", re.compile("visible"))


def test_a_blind_vote_hides_names_until_it_is_cast_and_is_kept_at_once(page):
    before = len(votes.load_votes(RESULTS / "votes.csv"))
    change_mode(page, "Vote blind")
    expect(page.get_by_role("button", name="A is best")).to_be_enabled()
    expect(page.locator(".sid-pictures canvas").nth(2)).to_have_attribute("aria-label", "A", timeout=30_000)
    hidden = read_names(page)
    assert hidden[2:-1] == list("ABCDEFG") and "MAE" not in "".join(hidden)
    assert "U-Net" not in page.locator(".sid-pictures").inner_html()
    expect(page.get_by_role("button", name="Error map")).to_be_disabled()
    page.get_by_role("button", name="B is best").focus()
    page.keyboard.press("Space")
    expect(page.locator(".sid-pictures canvas").nth(3)).to_have_attribute("aria-label", re.compile("MAE"))
    kept = votes.load_votes(RESULTS / "votes.csv")
    assert len(kept) == before + 1
    figure = page.locator(".sid-pictures figure").nth(3)
    assert figure.get_attribute("title") == kept.best.iloc[-1] and figure.inner_text().startswith("B: ")
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
    change_mode(page, "Your own capture")
    page.get_by_label("upload a RAW file").set_input_files(bad)
    expect(status(page)).to_contain_text("holiday.ARW: not a RAW file")
    page.get_by_label("upload a RAW file").set_input_files(good)
    expect(status(page)).to_contain_text(f"{good.name}: exposure ratio estimated")
    names = read_names(page)
    assert names[0] == "input" and "truth" not in names and "U-Net · leaky ReLU · MSE · 2 epochs" in names
    before = settle(page)
    page.get_by_label("Exposure ratio").fill("20")
    page.get_by_label("Exposure ratio").press("Enter")
    page.wait_for_function(
        "before => document.querySelectorAll('.sid-pictures canvas')[1].toDataURL() !== before", arg=before[1]
    )
    page.get_by_role("button", name="as 16-bit PNG").click()
    expect(status(page)).to_contain_text("Saved")
    page.get_by_label("upload a RAW file").set_input_files(bad)
    expect(status(page)).to_contain_text("holiday.ARW: not a RAW file")
    assert read_names(page) == names
    page.get_by_role("button", name="Restore at full size").click()
    expect(status(page)).to_contain_text(re.compile("restored at full size|No network for full size"), timeout=60_000)
    change_mode(page, "Compare")
    expect(status(page)).to_contain_text("scene")


def test_every_control_and_image_has_a_name(page):
    panel = page.locator(".jp-OutputArea-output:has(.sid-stage)")
    named = panel.evaluate(
        """panel => [...panel.querySelectorAll('input, select, button, canvas')].map(element => [
            element.getAttribute('aria-label') || element.textContent.trim()
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
    for part in (".sid-pictures figcaption", ".sid-stage > [role=status]", ".sid-bar label"):
        text, ground = page.locator(part).first.evaluate(COLOURS)
        assert abs(np.mean(text[:3]) - np.mean(ground[:3])) > 120, part


def test_nothing_on_the_page_has_failed(page):
    assert page.errors == []
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []


def test_two_files_that_are_uploaded_at_once_both_arrive(page, tmp_path):
    good = next((paths.DATA / "sample" / "short").glob("2*.dng"))
    large = tmp_path / "large.ARW"
    large.write_bytes(b"this is no photograph" * 10**6)  # in several pieces, between which the other comes
    change_mode(page, "Your own capture")
    status(page).evaluate(REMEMBER)
    for file in (large, good):
        page.get_by_label("upload a RAW file").set_input_files(file)
    for answer in ("large.ARW: not a RAW file", f"{good.name}: exposure ratio estimated"):
        page.wait_for_function(
            "answer => document.querySelector('.sid-stage > [role=status]').said.some(text => text.startsWith(answer))",
            arg=answer,
        )


def test_what_is_shown_stays_usable_when_the_kernel_is_killed_and_it_says_that_new_pictures_need_it(page):
    change_mode(page, "Compare")
    expect(status(page)).to_contain_text("scene")
    for process in psutil.Process(page.server).children(recursive=True):
        if any("ipykernel" in part for part in process.cmdline()):
            process.kill()
    page.wait_for_timeout(5000)
    for button in page.locator(".jp-Dialog button:has-text('Ok')").all():  # that it died
        button.click()
    before = settle(page)
    page.locator(".sid-pictures canvas").nth(3).dblclick()
    page.get_by_role("button", name="Error map").click()
    expect(page.locator(".sid-legend")).to_be_visible()
    assert not set(before) & set(settle(page)[:-1])
    picture = page.get_by_role("combobox", name="Picture")
    picture.select_option(index=0 if picture.evaluate("select => select.selectedIndex") else 1)
    expect(status(page)).to_contain_text("new pictures need the kernel", timeout=15_000)
    assert len(read_names(page)) == len(before)


def test_an_upload_to_a_kernel_that_was_restarted_says_that_it_stopped(page):
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(5000)
    good = next((paths.DATA / "sample" / "short").glob("2*.dng"))
    page.get_by_label("upload a RAW file").set_input_files(good)
    expect(page.get_by_text(f"{good.name}: the upload stopped")).to_have_count(1)


def test_the_panel_stands_alone_as_a_web_page(browser):
    port = find_port()
    command = ["voila", paths.ROOT / "notebooks" / "panel.ipynb", "--no-browser", "--Voila.ip=127.0.0.1"]
    command += [f"--port={port}", "--Voila.token=dark", "--template=offline"]  # as `make panel` does
    with serve(*command, SID_DATASET="sample", JUPYTER_PATH=str(paths.ROOT / "sidlib" / "human_check")):
        page = open_page(browser, f"http://127.0.0.1:{port}/?token=dark")
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".sid-pictures canvas").last).to_have_attribute("aria-label", "truth\nlong exposure")
        assert [url for url in page.requests if "//127.0.0.1" not in url and not url.startswith("data:")] == []
        assert "import" not in page.locator("body").inner_text()
        box = page.locator(".sid-stage").bounding_box()
        page.set_viewport_size({"width": 1366, "height": int(box["y"] + box["height"]) + 20})
        page.screenshot(path=RESULTS / "panel.png")
        assert page.errors == []
