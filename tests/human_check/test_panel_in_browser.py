"""The panel in a real browser: JupyterLab runs its notebook, as `make lab` does, and a person uses what it shows.

Needs a Chromium (Debian: apt-get install chromium); skipped where there is none.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import psutil
import pytest
from playwright.sync_api import Error, expect

from sidlib import paths
from sidlib.experiment import COURSE_EXPERIMENTS, LONG_EXPERIMENT
from tests.human_check.conftest import assert_accessible, read_names

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)  # of a busy machine
EXPERIMENTS = COURSE_EXPERIMENTS[0], COURSE_EXPERIMENTS[4], LONG_EXPERIMENT
WAIT_MS = 300_000  # for the notebook; the panel's own answers are there in a moment
NAME = "of => of.ariaLabel || of.labels?.[0]?.textContent || of.textContent"
LARGE_BYTES = 12_000_000  # of a RAW file; the servers' own limit is 10 MB


@contextmanager
def serve(browser, target, address, log, cwd, *options, **environment):
    """Run the server of a make target, with more options, until the block ends; yield a page of it.

    The page has a laptop's size, lists of its `requests` and `errors`, and the process id of its `server`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = ["make", "--no-print-directory", "-n", "-o", f".venv/ready-{target}", target]
    *_, command = subprocess.run(run, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    command = " ".join(["exec env", command.replace(".venv/bin/python", sys.executable), f"--port={port}", *options])
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT), "SID_DATASET": "sample"} | environment
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.requests, page.errors = [], []
    page.on("request", lambda request: page.requests.append(request.url))

    def keep_error(message):
        if message.type == "error" and not message.location["url"].startswith("https://"):  # there is no internet
            page.errors.append(message.text)

    with open(log, "w") as output:
        server = subprocess.Popen(["sh", "-c", command], cwd=cwd, env=environment, stdout=output, stderr=output)
        try:
            for _ in range(240):  # until the server is there
                with suppress(Error):
                    page.goto(f"http://127.0.0.1:{port}/{address}?token=dark", wait_until="commit")
                    break
                page.wait_for_timeout(250)
            page.on("pageerror", lambda error: page.errors.append(str(error)))
            page.on("console", keep_error)
            page.server = server.pid
            yield page
        finally:
            server.terminate()
            server.wait(30)
            print(log.read_text()[-3000:])  # which pytest shows of a test that failed


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder of the sample with networks that have not learned anything."""
    folder = tmp_path_factory.mktemp("results") / "sample"
    for experiment in EXPERIMENTS:
        (folder / experiment.name).mkdir(parents=True)
        experiment.build_model().save(folder / experiment.name / "best.keras")
    return folder


@pytest.fixture(scope="module")
def page(browser, results, tmp_path_factory):
    """JupyterLab with the panel's notebook, run top to bottom."""
    folder, settings = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("settings")
    (folder / "notebooks").mkdir()
    shutil.copy(paths.ROOT / "notebooks" / "panel.ipynb", folder / "notebooks")
    for name, setting in {
        "notebook-extension/tracker": '{"windowingMode": "none"}',  # all cells are in the page
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(setting)
    environment = {
        "SID_RESULTS": str(results.parent),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings),
        "JUPYTER_TOKEN": "dark",
    }
    options = ["--no-browser", "--allow-root"]
    with serve(browser, "lab", "lab/tree/panel.ipynb", folder / "log", folder, *options, **environment) as page:
        page.get_by_text("| Idle").wait_for(timeout=WAIT_MS)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".jp-InputPrompt", has_text="[*]")).to_have_count(0, timeout=WAIT_MS)
        yield page


def settle(page):
    """Wait until the pictures stay as they are; return them."""
    canvases, before, shown = page.locator(".sid-pictures canvas"), None, []
    while shown != before:
        page.wait_for_timeout(200)
        before, shown = shown, canvases.evaluate_all("all => all.map((of) => of.toDataURL())")
    return shown


def status(page):
    return page.locator(".sid-stage > [role=status]")


def upload(page, file):
    """Choose a file as a person does."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=re.compile("upload RAW files")).click()
    chooser.value.set_files(file)


def write_large(folder):
    """A RAW file of LARGE_BYTES: one of the sample, and zeros behind it."""
    file = shutil.copy(next((paths.DATA / "sample" / "short").glob("0*.dng")), folder / "large.dng")
    os.truncate(file, LARGE_BYTES)
    return file


def change_mode(page, mode):
    page.get_by_role("combobox", name="Mode").select_option(mode)


def test_the_panel_opens_on_the_fixed_picture_and_another_one_and_all_models_are_chosen(page):
    names = ["input", EXPERIMENTS[0].title, "better model", "truth"]
    assert [name.split("\n")[0] for name in read_names(page)] == names
    expect(status(page)).to_contain_text("scene 10001, frame 0")
    stage, pictures = (page.locator(part).bounding_box() for part in (".sid-stage", ".sid-pictures"))
    assert pictures["y"] - stage["y"] < 110
    page.get_by_role("combobox", name="Picture").select_option(index=3)
    expect(status(page)).to_contain_text("scene 10002")
    page.get_by_role("button", name="4 of 11 shown").click()
    for box in page.locator(".sid-section input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="11 of 11 shown").click()
    expect(page.locator(".sid-pictures figure")).to_have_count(11)


def test_the_keyboard_alone_reaches_all_and_zooms_and_its_keys_are_not_the_notebooks(page):
    zoom, first = page.get_by_label("Zoom", exact=True), page.locator(".sid-pictures canvas").first
    page.get_by_role("combobox", name="Mode").focus()
    reached = []
    while "Pictures" not in reached and len(reached) < 20:
        page.keyboard.press("Tab")
        reached.append(page.locator(":focus").evaluate(NAME))
    assert reached[0] == "Picture" and {"Error map", "Wipe", "Brightness", "Zoom in"} <= set(reached)
    page.keyboard.press("+")
    expect(zoom).to_have_text("2 ×")
    expect(first).to_have_attribute("aria-label", re.compile("visible: MAE"))
    for _ in range(2):  # in the notebook, it would restart the kernel
        page.keyboard.press("0")
    expect(zoom).to_have_text("1 ×")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(first).not_to_have_attribute("aria-label", re.compile("visible"))


def test_a_blind_vote_hides_names_until_it_is_cast_by_the_keyboard_alone(page):
    change_mode(page, "Vote blind")
    expect(page.get_by_role("button", name="A is best")).to_be_enabled()
    expect(page.locator(".sid-pictures canvas").nth(2)).to_have_attribute("aria-label", "A")
    hidden = read_names(page)
    assert hidden[2:-1] == list("ABCDEFGH") and "MAE" not in "".join(hidden)
    assert "U-Net" not in page.locator(".sid-pictures").inner_html()
    expect(page.get_by_role("button", name="Error map")).to_be_disabled()
    page.get_by_role("button", name="B is best").focus()
    page.keyboard.press("Space")
    expect(page.locator(".sid-pictures canvas").nth(3)).to_have_attribute("aria-label", re.compile("MAE"))
    expect(page.locator(".widget-html table")).to_be_visible()
    expect(page.get_by_role("button", name="Next picture")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="A is best")).to_be_focused()


def test_a_large_raw_file_is_uploaded_shown_and_restored(page, tmp_path):
    change_mode(page, "Your own capture")
    upload(page, write_large(tmp_path))
    expect(status(page)).to_contain_text("large.dng: exposure ratio estimated")
    names = read_names(page)
    assert names[0] == "input" and "truth" not in names and EXPERIMENTS[1].title in names
    before = settle(page)
    page.get_by_label("Exposure ratio").fill("20")
    page.get_by_label("Exposure ratio").press("Enter")
    page.wait_for_function(
        "before => document.querySelectorAll('.sid-pictures canvas')[1].toDataURL() !== before", arg=before[1]
    )
    page.get_by_role("button", name="Restore at full size").click()
    expect(status(page)).to_contain_text("restored at full size")


def test_axe_finds_nothing_wrong_with_the_panel_in_either_theme(page):
    change_mode(page, "Your own capture")
    page.get_by_role("button", name="Open", exact=True).wait_for()
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.get_by_text("Theme", exact=True).first.hover()
        page.get_by_role("menuitem", name=theme, exact=True).click()
        page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
        assert_accessible(page, ".jp-OutputArea-output:has(.sid-stage)")


def test_nothing_has_failed_and_what_is_shown_stays_usable_when_the_kernel_is_killed(page):
    assert page.errors == []
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []
    change_mode(page, "Compare")
    expect(status(page)).to_contain_text("scene")
    for process in psutil.Process(page.server).children(recursive=True):
        if any("ipykernel" in part for part in process.cmdline()):
            process.kill()
    page.locator(".jp-Dialog button:has-text('Ok')").click()  # that it died
    before = settle(page)
    page.locator(".sid-pictures canvas").nth(3).dblclick()
    page.get_by_role("button", name="Error map").click()
    expect(page.locator(".sid-legend")).to_be_visible()
    assert not set(before) & set(settle(page)[:-1])
    picture = page.get_by_role("combobox", name="Picture")
    picture.select_option(index=0 if picture.evaluate("select => select.selectedIndex") else 1)
    expect(status(page)).to_contain_text("new pictures need the kernel")
    assert len(read_names(page)) == len(before)


def test_the_panel_stands_alone_as_a_web_page_and_takes_a_large_file(browser, tmp_path):
    options = ["--no-browser", "--Voila.token=dark"]
    with serve(browser, "panel", "", tmp_path / "log", paths.ROOT, *options, SID_RESULTS=str(tmp_path)) as page:
        page.locator(".sid-pictures figure").first.wait_for(timeout=WAIT_MS)
        expect(page.locator(".sid-pictures canvas").last).to_have_attribute("aria-label", "truth\nlong exposure")
        assert [url for url in page.requests if "//127.0.0.1" not in url and not url.startswith("data:")] == []
        assert "import" not in page.locator("body").inner_text()
        if file := os.environ.get("SID_SCREENSHOT"):  # of `make reference`
            box = page.locator(".sid-stage").bounding_box()
            page.set_viewport_size({"width": 1366, "height": int(box["y"] + box["height"]) + 20})
            page.screenshot(path=file)
        change_mode(page, "Your own capture")
        upload(page, write_large(tmp_path))
        expect(status(page)).to_contain_text("large.dng: exposure ratio estimated")
        assert page.errors == []
