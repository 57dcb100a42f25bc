"""The stage of the human check: pictures that are compared in the browser, by stage.js, which this only hands over."""

from pathlib import Path

import anywidget
import matplotlib
import numpy as np
import traitlets

COLOURS = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, 2::-1].tobytes().hex()  # of error maps: BGR


class Stage(anywidget.AnyWidget):
    """A viewer. The browser holds the pictures, and asks here for other ones and for scores of the visible part.

    Attributes:
        pictures: list of dicts: name (as in offered, "" while it is hidden), title, detail, caption, width, height and
            pixels (take_samples) or, in a saved page, url. Error maps are against the one called "truth".
        offered: list of dicts of name, title and detail of all pictures that there can be; shown: the names chosen.
        visible: scores of a part: zoom, across and down of that part, and scores, {title: text}.
        scored: errors may be looked at: there is a truth, and the vote is not blind.
        modes, mode: what the panel can do, and what it does.
        choices, choice: the captures to choose from, and which one is chosen.
        zoom, across, down, stops: see view.View, and the brightness of the display: light × 2 ** stops. The browser
            sets them once a hand rests.
        status: a line above the pictures, read aloud when it changes; with a sign while `busy`.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    colours = traitlets.Unicode(COLOURS).tag(sync=True)
    pictures, offered, shown, modes, choices = (traitlets.List().tag(sync=True) for _ in range(5))
    visible = traitlets.Dict().tag(sync=True)
    scored, busy = (traitlets.Bool(False).tag(sync=True) for _ in range(2))
    mode, status = (traitlets.Unicode().tag(sync=True) for _ in range(2))
    choice = traitlets.Int(0).tag(sync=True)
    zoom = traitlets.Float(1).tag(sync=True)
    across, down = (traitlets.Float(0.5).tag(sync=True) for _ in range(2))
    stops = traitlets.Float(0).tag(sync=True)


def take_samples(picture):
    """Return a picture for the stage: bytes of 8 bits a sample where that loses nothing, else of 16 (255 is 65535).

    What is no number is black.

    Args:
        picture: (height, width, 3), values in 0…255.
    """
    levels = np.clip(np.nan_to_num(picture), 0, 255)
    whole = (levels == np.rint(levels)).all()
    return levels.astype(np.uint8).tobytes() if whole else np.rint(levels * 257.0).astype("<u2").tobytes()
