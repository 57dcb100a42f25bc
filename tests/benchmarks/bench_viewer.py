"""How fast the viewer draws in a browser: in every frame of a drag of large pictures."""

import numpy as np

from tests.human_check.conftest import browser  # noqa: F401  a fixture
from tests.human_check.test_viewer_in_browser import SHAPE, open_viewer, settle

DRAG = """async () => {  // a second of a hand that moves in every frame; how often and how fast all is drawn anew
  const grid = document.querySelector(".sid-pictures");
  const canvases = grid.querySelectorAll("canvas");
  const { x, y } = canvases[3].getBoundingClientRect();
  const act = (type, across, down) =>
    grid["on" + type]({ pointerId: 1, button: 0, clientX: x + across, clientY: y + down });
  grid.setPointerCapture = () => {};
  const [wait, draw] = [requestAnimationFrame, CanvasRenderingContext2D.prototype.drawImage];
  let draws = 0, frames = 0;
  const spent = [];
  CanvasRenderingContext2D.prototype.drawImage = function (...of) { draws++; return draw.apply(this, of); };
  window.requestAnimationFrame = (act) => wait((now) => {
    const before = performance.now();
    act(now);
    canvases[0].getContext("2d").getImageData(0, 0, 1, 1); // until it is drawn, not only asked for
    spent.push(performance.now() - before);
  });
  act("pointerdown", 80, 60);
  const began = performance.now();
  await new Promise((done) => {
    const step = () => {
      act("pointermove", 80 + 40 * Math.sin(frames / 7), 60 + 20 * Math.cos(frames / 5));
      frames++;
      performance.now() - began < 1000 ? wait(step) : done();
    };
    wait(step);
  });
  const seconds = (performance.now() - began) / 1000;
  [CanvasRenderingContext2D.prototype.drawImage, window.requestAnimationFrame] = [draw, wait];
  return { redraws: draws / canvases.length / seconds, frames: frames / seconds, spent: spent.sort((a, b) => a - b) };
}"""


def bench_drag_of_four_pictures_of_12_megapixels(browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    open_viewer(page, {name: np.zeros(SHAPE) for name in ("one", "two", "three", "four")}, zoom=2)
    page.evaluate("""() => {
        const bytes = new Uint8Array(3 * 4000 * 3000).map((_, at) => at % 251);
        const large = { width: 4000, height: 3000, pixels: new DataView(bytes.buffer) };
        tell({ pictures: state.pictures.map((picture) => ({ ...picture, ...large })) });
    }""")
    page.wait_for_function("document.querySelector('.sid-pictures figure').style.getPropertyValue('--shape') == 4 / 3")
    settle(page)
    page.evaluate(DRAG)  # what is made when it is needed is made now
    measured = page.evaluate(DRAG)
    milliseconds = np.median(measured["spent"])
    print(f"\n{measured['redraws']:.0f} of {measured['frames']:.0f} frames, {milliseconds:.1f} ms each")
    assert measured["redraws"] > 0.9 * measured["frames"]
    assert milliseconds < 16  # a frame
