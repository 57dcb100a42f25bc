"""The stage of the human check: pictures that are compared in the browser, by stage.js, which this only hands over."""

from pathlib import Path

import anywidget
import ipywidgets
import matplotlib
import numpy as np
import traitlets

COLOURS = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, 2::-1].tobytes().hex()  # of error maps: BGR


class Stage(anywidget.AnyWidget):
    """A viewer. The browser holds the pictures, and asks here for other ones and for scores of the visible part.

    Attributes:
        pictures: list of dicts: name (as in offered, "" while it is hidden), title, detail, caption, width, height and
            pixels (see show) or, in a saved page, url. Error maps are against the one called "truth". A large one
            is sent reduced, and has the size [width, height] of the whole, and which part of that it covers: left,
            top, width and height as fractions. One that is brightened here for `stops` says so: stops.
        details: parts of large pictures that are drawn over those of the same title; their pixels are bytes.
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
    pictures = traitlets.List().tag(sync=True, **ipywidgets.widget_serialization)
    details, offered, shown, modes, choices = (traitlets.List().tag(sync=True) for _ in range(5))
    sent = traitlets.Dict()  # {bytes: Pixels}, what the browser has
    visible = traitlets.Dict().tag(sync=True)
    scored, busy = (traitlets.Bool(False).tag(sync=True) for _ in range(2))
    mode, status = (traitlets.Unicode().tag(sync=True) for _ in range(2))
    choice = traitlets.Int(0).tag(sync=True)
    zoom = traitlets.Float(1).tag(sync=True)
    across, down = (traitlets.Float(0.5).tag(sync=True) for _ in range(2))
    stops = traitlets.Float(0).tag(sync=True)

    def show(self, pictures):
        """Show pictures whose pixels are bytes of take_samples; what the browser has of them is not sent again."""
        sent = {}
        for picture in pictures:
            data = picture["pixels"]
            sent[data] = sent.get(data) or self.sent.get(data) or Pixels(data=data)
        self.pictures = [picture | {"pixels": sent[picture["pixels"]]} for picture in pictures]
        for data in self.sent.keys() - sent.keys():
            self.sent[data].close()
        self.sent = sent


class Pixels(ipywidgets.Widget):
    """The samples of one picture: a widget of their own, for a widget's list goes to the browser as a whole."""

    data = traitlets.Bytes().tag(sync=True)


def take_samples(picture):
    """Return a picture for the stage: bytes of 8 bits a sample where that loses nothing, else of 16 (255 is 65535).

    What is no number is black.

    Args:
        picture: (height, width, 3), values in 0…255.
    """
    levels = np.clip(np.nan_to_num(picture), 0, 255)
    whole = (levels == np.rint(levels)).all()
    return levels.astype(np.uint8).tobytes() if whole else np.rint(levels * 257.0).astype("<u2").tobytes()
