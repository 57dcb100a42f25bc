"""The human check without a kernel: one file that any browser opens from disk."""

import base64
import html
import io
import json
import re
from pathlib import Path

from PIL import Image

from sidlib import paths
from sidlib.human_check.captures import choose_pair, load_capture
from sidlib.human_check.viewer import Viewer
from sidlib.plots import round_picture

FOLDER = Path(__file__).parent
STATE = ["details", "offered", "shown", "visible", "colours", "modes", "mode", "choice", "busy"]
STATE += ["zoom", "across", "down", "stops"]


def save_page(models, pairs, path, title="The human check", max_bytes=6_000_000):
    """Write the viewer, with test pictures and what models make of them, as one self-contained HTML file.

    It holds the first frame of as many test scenes as fit in max_bytes; their names are returned. Models and pairs are
    those of compare. A ValueError says that not even one test picture fits, or that there are none, or no models.
    """
    choose_pair(pairs)
    viewer, shown = Viewer(models), {}
    size = len(_fill_page(viewer, title, {}))
    for pair in pairs[pairs.split == "test"].drop_duplicates("scene").itertuples():
        capture = load_capture(pair)
        pictures = [viewer.hand_over(capture, name, name) for name in viewer.offered]
        for picture in pictures:
            image, file = Image.fromarray(round_picture(viewer.picture_of(capture, picture["name"]))), io.BytesIO()
            image.save(file, "WEBP", lossless=True)  # four fifths of a PNG's bytes
            picture["url"] = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
            del picture["pixels"]
        size += len(json.dumps({capture.name: pictures}))
        if size > max_bytes:
            break
        shown[capture.name] = pictures
    if not shown:
        raise ValueError(f"{len(models)} models on one test picture do not fit in {max_bytes} bytes: give fewer models")
    with paths.write_atomically(path) as file:
        file.write_bytes(_fill_page(viewer, title, shown))
    return list(shown)


def _fill_page(viewer, title, captures):
    """The page as bytes; captures are {name: pictures}."""
    state = {name: getattr(viewer, name) for name in STATE}
    state |= {"captures": list(captures.values()), "choices": list(captures), "scored": True}
    parts = {"TITLE": html.escape(title), "STATE": json.dumps(state).replace("<", "\\u003c")}
    parts |= {suffix.upper(): FOLDER.joinpath(f"stage.{suffix}").read_text("utf-8") for suffix in ("css", "js")}
    skeleton = FOLDER.joinpath("page.html").read_text("utf-8")
    return re.sub("%([A-Z]+)%", lambda part: parts[part[1]], skeleton).encode()
