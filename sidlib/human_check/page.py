"""The human check without a kernel: one file that any browser opens from disk."""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from sidlib import paths
from sidlib.human_check.captures import check_names, choose_pair, load_capture
from sidlib.human_check.viewer import Viewer

MAX_BYTES = 6_000_000
FOLDER = Path(__file__).parent
STATE = ["details", "offered", "shown", "visible", "colours", "modes", "mode", "choice", "busy"]
STATE += ["zoom", "across", "down", "stops"]


def save_page(models, pairs, path, title="The human check", max_bytes=MAX_BYTES):
    """Write the viewer, with test pictures and what models make of them, as one self-contained HTML file.

    It holds the first frame of each test scene, in their order, as many as `max_bytes` allow.

    Args:
        models: {name: model}. The first and the last are shown at first, the others when they are chosen.
        pairs: DataFrame of preprocess.develop_pairs.
        path: the file to write.
        title: its heading.
        max_bytes: how large the file may become.
    Returns:
        the names of the test pictures that it holds.
    Raises:
        ValueError: not even one test picture fits, or there are none, or no models.
    """
    check_names(models)
    choose_pair(pairs)
    viewer, captures, size = Viewer(models), {}, len(_fill_page(Viewer(models).stage, title, {}))
    viewer.stage.shown, shown = list(viewer.titles), viewer.stage.shown
    for pair in pairs[pairs.split == "test"].drop_duplicates("scene").itertuples():
        viewer.mode.capture = load_capture(pair)
        pictures = [_encode(viewer, title, name) for title, name in viewer.name_pictures().items()]
        size += len(json.dumps({viewer.mode.capture.name: pictures}))
        if size > max_bytes:
            break
        captures[viewer.mode.capture.name] = pictures
    if not captures:
        raise ValueError(f"{len(models)} models on one test picture do not fit in {max_bytes} bytes: give fewer models")
    viewer.stage.shown = shown
    with paths.write_whole(path) as file:
        file.write_bytes(_fill_page(viewer.stage, title, captures))
    return list(captures)


def _encode(viewer, title, name):
    """Return a picture of the viewer's capture as stage.Stage.pictures wants it, as PNG."""
    picture = viewer.hand_over(viewer.mode.capture, title, name)
    url = encode_png(viewer.picture_of(viewer.mode.capture, name))
    return {key: value for key, value in picture.items() if key != "pixels"} | {"url": url}


def _fill_page(stage, title, captures):
    """Return the page as bytes; captures are {name: pictures}."""
    state = {name: getattr(stage, name) for name in STATE}
    state |= {"captures": list(captures.values()), "choices": list(captures), "scored": True}
    parts = {
        "TITLE": html.escape(title),
        "CSS": FOLDER.joinpath("stage.css").read_text("utf-8"),
        "JS": FOLDER.joinpath("stage.js").read_text("utf-8"),
        "STATE": json.dumps(state).replace("<", "\\u003c"),
    }
    skeleton = FOLDER.joinpath("page.html").read_text("utf-8")
    return re.sub("%([A-Z]+)%", lambda part: parts[part[1]], skeleton).encode()


def encode_png(picture):
    """Return a picture as the data URL of a PNG; what is no number is black."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(np.clip(np.nan_to_num(picture), 0, 255)).astype(np.uint8)).save(
        buffer, "png", optimize=True
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
