"""The viewer alone in a real browser: arrays are given, and what the canvases show is compared with NumPy."""

import base64
import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from sidlib.camera import decode_srgb, encode_srgb
from sidlib.human_check import viewer
from sidlib.human_check.page import STATE

pytestmark = pytest.mark.browser
FOLDER = Path(viewer.__file__).parent
NAMES = ["input", "cnn", "best", "truth"]
SHAPE = (40, 60, 3)
PAGE = """<!doctype html><html lang="en"><title>x</title><style>%CSS%</style><div id="stage"></div>
<div style="height: 3000px"></div><script type="module">%JS%
const listeners = [];
window.asked = [];
window.state = {};
window.model = {
  get: (name) => state[name],
  set(name, value) {
    asked.push(name);
    tell({ [name]: value });
  },
  save_changes() {},
  on: (names, act) => listeners.push([names, act]),
};
window.tell = (change) => {
  const given = [...(change.pictures ?? []), ...(change.details ?? [])];
  for (const picture of given.filter(({ pixels }) => typeof pixels === "string")) {
    const bytes = Uint8Array.from(atob(picture.pixels), (of) => of.charCodeAt(0));
    const shifted = new Uint8Array(bytes.length + 1); // pieces of a message begin anywhere
    shifted.set(bytes, 1);
    picture.pixels = new DataView(shifted.buffer, 1);
  }
  Object.assign(state, change);
  for (const [names, act] of listeners) if (Object.keys(change).some((of) => names.includes(`change:${of}`))) act();
};
window.start = (first) => {
  tell(first);
  render({ model, el: document.getElementById("stage") });
};
</script></html>"""


def make_pictures(shape=SHAPE, whole=False):
    """{name: picture} of random levels with fractions, or of whole ones."""
    draw = np.random.default_rng(0)
    pictures = {name: draw.uniform(0, 255, shape) for name in NAMES}
    pictures["cnn"] = np.clip(pictures["truth"] + draw.uniform(-60, 60, shape), 0, 255)
    return {name: np.rint(picture) if whole else picture for name, picture in pictures.items()}


def hand_over(pictures):
    given = []
    for name, picture in pictures.items():
        pixels = base64.b64encode(viewer.take_samples(picture)).decode()
        given.append({"name": name, "title": name, "caption": f"MAE of {name}", "pixels": pixels})
        given[-1] |= {"height": picture.shape[0], "width": picture.shape[1]}
    return given


def open_viewer(page, pictures, **state):
    """Show pictures in a viewer whose kernel never answers."""
    script, style = (FOLDER.joinpath(f"stage.{suffix}").read_text("utf-8") for suffix in ("js", "css"))
    page.set_content(PAGE.replace("%CSS%", style).replace("%JS%", script))
    page.wait_for_function("() => Boolean(window.start)")
    first = {name: getattr(viewer.Viewer({"cnn": None}), name) for name in STATE}
    first |= {"offered": list(pictures), "shown": list(pictures), "choices": ["one", "two"], "status": "ready"}
    first |= {"scored": "truth" in pictures, "pictures": hand_over(pictures)}
    page.evaluate("first => start(first)", first | state)
    settle(page)


def settle(page):
    page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => done()), 60))")


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    assert page.errors == []
    page.close()


def focus_pictures(page, *keys):
    page.get_by_role("group", name="Pictures", exact=True).focus()
    for key in keys:
        page.keyboard.press(key)


def find(page, name):
    return page.locator(f'.sid-pictures canvas[aria-label^="{name}"]')


def read_canvas(page, name):
    """The pixels of a canvas, (height, width, 3)."""
    url = find(page, name).evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def read_picture(page, name, rows, columns):
    """What a canvas shows of a picture, given the rows and columns that are visible: at each pixel's middle."""
    shown = read_canvas(page, name)
    places = [
        ((np.arange(count) + 0.5) * size / count).astype(int)
        for count, size in zip((rows, columns), shown.shape[:2], strict=True)
    ]
    return shown[np.ix_(*places)].astype(int)


def test_the_canvas_shows_the_very_pixels_that_were_given(page):
    pictures = make_pictures()
    open_viewer(page, pictures)
    for name, picture in pictures.items():
        shown = read_picture(page, name, *SHAPE[:2])
        np.testing.assert_array_equal(shown, np.rint(np.rint(picture * 257) / 257))


def test_all_pictures_show_the_same_part_when_zoomed_and_its_scores_stand_there_for_that_part_alone(page):
    pictures = make_pictures(whole=True)
    open_viewer(page, pictures, zoom=2, across=1, down=0)
    for name, picture in pictures.items():
        np.testing.assert_array_equal(read_picture(page, name, 20, 30), picture[:20, 30:])
    page.evaluate("tell({ visible: { zoom: 2, across: 1, down: 0, scores: { cnn: 'MAE 7.5 · 20.0 dB' } } })")
    expect(find(page, "cnn")).to_have_attribute("aria-label", "cnn\nMAE of cnn\nvisible: MAE 7.5 · 20.0 dB")
    expect(page.locator("figcaption").nth(1)).to_contain_text("visible:")
    focus_pictures(page, "ArrowLeft")
    expect(find(page, "cnn")).to_have_attribute("aria-label", "cnn\nMAE of cnn")


def test_the_slider_brightens_in_stops_of_linear_light_and_says_that_it_is_of_the_display_alone(page):
    pictures = make_pictures()
    open_viewer(page, pictures, stops=-4)
    page.get_by_role("button", name="Brightness").click()
    for stops in (-4, 0.5, 8):
        page.get_by_role("slider", name="Brightness").fill(str(stops))
        settle(page)
        for name, picture in pictures.items():
            expected = 255 * encode_srgb(decode_srgb(picture / 255) * 2**stops)
            assert np.abs(read_picture(page, name, *SHAPE[:2]) - expected).max() <= 1
        expect(page.get_by_role("status").last).to_have_text("ready · brightened for display, scores are not")
        page.wait_for_function("stops => state.stops === stops", arg=stops)  # votes keep it


def test_an_error_map_has_one_scale_for_all_and_spares_the_truth(page):
    pictures = make_pictures()
    open_viewer(page, pictures)
    expect(page.locator(".sid-legend")).to_be_hidden()
    page.get_by_role("button", name="Error map").click()
    settle(page)
    colours = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3].astype(int)
    for name in NAMES[:-1]:
        expected = np.abs(pictures[name] - pictures["truth"]).mean(axis=-1) / 100 * 256
        shown = read_picture(page, name, *SHAPE[:2])
        steps = np.stack([colours[np.clip(expected + step, 0, 255).astype(int)] for step in (-0.05, 0, 0.05)])
        assert (shown == steps).all(axis=-1).any(axis=0).all()
    np.testing.assert_array_equal(read_picture(page, "truth", *SHAPE[:2]), np.rint(pictures["truth"]))
    expect(page.locator(".sid-legend")).to_contain_text("100 of 255 and more")
    ramp = page.locator(".sid-legend canvas").evaluate("of => [...of.getContext('2d').getImageData(0, 0, 256, 1).data]")
    np.testing.assert_array_equal(np.reshape(ramp, (256, 4))[:, :3], colours)
    page.evaluate("tell({ scored: false })")  # there is no truth, or it is a secret
    expect(page.get_by_role("button", name="Error map")).to_be_disabled()


def test_a_wipe_lays_any_picture_over_any_other(page):
    def assert_wiped(edge):
        settle(page)
        shown = read_picture(page, "wipe", *SHAPE[:2])
        np.testing.assert_array_equal(shown[:, : edge - 1], pictures["cnn"][:, : edge - 1])
        np.testing.assert_array_equal(shown[:, edge + 1 :], pictures["input"][:, edge + 1 :])

    pictures = make_pictures(whole=True)
    open_viewer(page, pictures)
    page.get_by_role("button", name="Wipe").click()
    expect(find(page, "wipe")).to_have_attribute("aria-label", "wipe\nbest | truth")
    page.get_by_role("combobox", name="Left").select_option("cnn")
    page.get_by_role("combobox", name="Right").select_option("input")
    page.get_by_role("slider", name="Edge").fill("0.25")
    assert_wiped(15)
    box = find(page, "wipe").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20, steps=3)
    page.mouse.up()
    assert_wiped(45)


def test_a_picture_that_is_reduced_is_averaged(page):
    open_viewer(page, {"truth": np.indices((1025, 2050, 3))[:2].sum(axis=0) % 2 * 255})  # a checkerboard
    shown = read_canvas(page, "truth")
    assert shown.shape[1] < 700
    assert abs(shown.mean() - 127.5) < 2 and shown.std() < 20


def test_a_double_click_zooms_where_the_pointer_is(page):
    pictures = make_pictures(whole=True)
    open_viewer(page, pictures)
    box = find(page, "best").bounding_box()
    x, y = box["x"] + 0.72 * box["width"], box["y"] + 0.31 * box["height"]
    before = read_canvas(page, "best")
    point = (int(0.31 * before.shape[0]), int(0.72 * before.shape[1]))
    page.mouse.dblclick(x, y)
    settle(page)
    expect(page.get_by_label("Zoom", exact=True)).to_have_text("2 ×")
    assert (read_canvas(page, "best")[point] == before[point]).all()
    page.keyboard.down("Shift")
    page.mouse.dblclick(x, y)
    settle(page)
    np.testing.assert_array_equal(read_canvas(page, "best"), before)


def test_the_wheel_scrolls_the_page_until_a_picture_was_clicked(page):
    open_viewer(page, make_pictures())
    zoom = page.get_by_label("Zoom", exact=True)
    find(page, "best").hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function("scrollY > 0")
    expect(zoom).to_have_text("1 ×")
    page.evaluate("scrollTo(0, 0)")
    find(page, "best").click()
    page.mouse.wheel(0, -100)
    expect(zoom).not_to_have_text("1 ×")
    for _ in range(4):
        page.mouse.wheel(0, 100)
    expect(zoom).to_have_text("1 ×")


def test_two_fingers_zoom_and_one_moves(browser):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_viewer(page, make_pictures())
    session = page.context.new_cdp_session(page)
    box = find(page, "input").bounding_box()

    def touch(kind, *places):
        points = [{"x": box["x"] + x, "y": box["y"] + y, "id": finger} for finger, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (100, 60), (140, 60))
    for spread in (10, 20, 30, 40):
        touch("touchMove", (100 - spread, 60), (140 + spread, 60))
    touch("touchEnd")
    page.wait_for_function("state.zoom > 2.5 && state.zoom < 3.5")
    across = page.evaluate("state.across")
    touch("touchStart", (100, 60))
    for step in range(1, 6):
        touch("touchMove", (100 + 10 * step, 60))
    touch("touchEnd")
    page.wait_for_function("across => state.across < across", arg=across)
    page.close()


def test_keys_do_all_that_the_pointer_does(page):
    open_viewer(page, make_pictures())
    zoom = page.get_by_label("Zoom", exact=True)
    for key, text in {"+": "2 ×", "=": "3.6 ×", "-": "1.8 ×", "0": "1 ×"}.items():  # 40 pixels are 3.6 windows of SSIM
        focus_pictures(page, key)
        expect(zoom).to_have_text(text)
    focus_pictures(page, "+", "ArrowLeft", "ArrowUp")
    page.wait_for_function("state.across === 0.25 && state.down === 0.25")
    focus_pictures(page, "ArrowRight", "ArrowDown")
    page.wait_for_function("state.across === 0.5 && state.down === 0.5")
    assert set(page.evaluate("asked")) == {"zoom", "across", "down", "stops"}  # where it rested; for no picture


def test_a_large_picture_is_drawn_from_what_was_sent_and_sharp_where_a_part_of_it_was(page):
    whole = np.rint(np.random.default_rng(0).uniform(0, 255, (804, 1203, 3)))
    reduced = np.pad(whole, [(0, 0), (0, 1), (0, 0)], "edge").reshape(201, 4, 301, 4, 3).mean((1, 3))
    large = {"name": "", "size": [1203, 804]}
    base = hand_over({"large": reduced})[0] | large | {"part": [0, 0, 1204 / 1203, 1]}
    page.set_viewport_size({"width": 800, "height": 700})
    open_viewer(page, {"small": reduced})
    page.evaluate("base => tell({ pictures: [...state.pictures, base] })", base)
    settle(page)
    box = find(page, "large").bounding_box()
    assert box["width"] > 600 and box["y"] < find(page, "small").bounding_box()["y"]
    focus_pictures(page, "1", *["ArrowLeft"] * 9, *["ArrowUp"] * 9)
    settle(page)
    blurred = read_canvas(page, "large").astype(float)
    height, width = blurred.shape[:2]
    page.wait_for_function("zoom => Math.abs(state.zoom - zoom) < 1e-6", arg=1203 / width)  # told once the keys rest
    rows, columns = slice(101, 402), slice(203, 604)
    detail = hand_over({"large": whole[rows, columns]})[0] | large
    detail["part"] = [203 / 1203, 101 / 804, 401 / 1203, 301 / 804]
    page.evaluate("detail => tell({ details: [detail] })", detail)
    settle(page)
    sharp = read_canvas(page, "large").astype(float)
    inner, left = np.s_[103:400, 205:602], np.s_[:, :201]
    np.testing.assert_array_equal(sharp[inner], whole[inner])
    assert np.abs(blurred[inner] - whole[inner]).mean() > 20
    np.testing.assert_array_equal(sharp[left], blurred[left])
    page.evaluate("tell({ details: [{ ...state.details[0], stops: 1 }] })")  # the kernel knows what is above white
    page.get_by_role("button", name="Brightness").click()
    page.get_by_role("slider", name="Brightness").fill("1")
    settle(page)
    brighter = read_canvas(page, "large").astype(float)
    np.testing.assert_array_equal(brighter[inner], whole[inner])
    assert brighter[left].mean() > 1.2 * sharp[left].mean()
