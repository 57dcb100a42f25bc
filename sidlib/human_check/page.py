"""The human check without a kernel: one file that any browser opens from disk."""

import base64
import html
import json
import re
from pathlib import Path

from sidlib import paths
from sidlib.human_check.captures import check_names, choose_pair, encode_png, load_capture
from sidlib.human_check.viewer import Viewer

MAX_BYTES = 6_000_000
FOLDER = Path(__file__).parent
STATE = ["details", "offered", "shown", "visible", "colours", "modes", "mode", "choice", "busy"]
STATE += ["zoom", "across", "down", "stops"]


def save_page(models, pairs, path, title="The human check", max_bytes=MAX_BYTES):
    """Write the viewer, with test pictures and what models make of them, as one self-contained HTML file.

    It holds the first frame of as many test scenes as fit in max_bytes; their names are returned.

    Args:
        models, pairs: see panel.HumanCheck. path: the file to write. title: its heading.
    Raises:
        ValueError: not even one test picture fits, or there are none, or no models.
    """
    check_names(models)
    choose_pair(pairs)
    viewer, shown = Viewer(models), {}
    size = len(_fill_page(viewer, title, {}))
    for pair in pairs[pairs.split == "test"].drop_duplicates("scene").itertuples():
        capture = load_capture(pair)
        pictures = [_encode(viewer, capture, name) for name in viewer.offered]
        size += len(json.dumps({capture.name: pictures}))
        if size > max_bytes:
            break
        shown[capture.name] = pictures
    if not shown:
        raise ValueError(f"{len(models)} models on one test picture do not fit in {max_bytes} bytes: give fewer models")
    with paths.write_atomically(path) as file:
        file.write_bytes(_fill_page(viewer, title, shown))
    return list(shown)


def _encode(viewer, capture, name):
    """A picture in the form of Viewer.pictures, as PNG."""
    png = base64.b64encode(encode_png(viewer.picture_of(capture, name))).decode()
    picture = viewer.hand_over(capture, name, name) | {"url": "data:image/png;base64," + png}
    del picture["pixels"]
    return picture


def _fill_page(viewer, title, captures):
    """The page as bytes; captures are {name: pictures}."""
    state = {name: getattr(viewer, name) for name in STATE}
    state |= {"captures": list(captures.values()), "choices": list(captures), "scored": True}
    parts = {"TITLE": html.escape(title), "STATE": json.dumps(state).replace("<", "\\u003c")}
    parts |= {suffix.upper(): FOLDER.joinpath(f"stage.{suffix}").read_text("utf-8") for suffix in ("css", "js")}
    skeleton = FOLDER.joinpath("page.html").read_text("utf-8")
    return re.sub("%([A-Z]+)%", lambda part: parts[part[1]], skeleton).encode()
