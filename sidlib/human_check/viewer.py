"""The viewer that all modes share: pictures that are compared in the browser, by stage.js, their names and scores."""

from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import anywidget
import ipywidgets as widgets
import matplotlib
import numpy as np
from traitlets import Bool, Bytes, Dict, Float, Int, List, Unicode

from sidlib.human_check.captures import INPUTS, check_names, describe_scores, make_picture
from sidlib.losses import WINDOW_PX
from sidlib.plots import round_picture
from sidlib.rawfile import RawError

COLOURS = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, 2::-1].tobytes().hex()  # of error maps: BGR


class View(NamedTuple):
    """The visible part of all pictures: at zoom 1 all of them, at 2 half their width and height."""

    zoom: float = 1
    across: float = 0.5  # 0 left to 1 right
    down: float = 0.5  # 0 upper to 1 lower


class Mode:
    """A mode of the panel, as the viewer asks it; this one shows nothing."""

    controls = ()  # widgets below the pictures
    choices = []  # names of the captures to choose from
    capture = None  # to show; if it is None, the invitation is shown
    invitation = ""
    hides = False  # names and scores

    def __init__(self, viewer):
        self.viewer = viewer

    def begin(self):
        """Show another capture, other models, or this mode after another."""
        self.viewer.render()

    @contextmanager
    def telling(self, doing):
        """Show what is done and, if it fails, why."""
        self.viewer.busy, self.viewer.status = True, f"{doing} …"
        try:
            yield
        except Exception as error:  # of the disk, of a name, of a file, of a model, or of a GPU without memory
            reason = str(error).split(": ", 1)[-1] if isinstance(error, RawError) else error  # without a path
            self.viewer.status = f"{doing} failed: {reason}"
        finally:
            self.viewer.busy = False

    def show_full(self, view):
        """Return the part of a picture at full size that a View shows, as in Viewer.pictures: a list, empty if none."""
        return []

    @property
    def titles(self):
        """{title to show: name} of the chosen models."""
        return {name: name for name in self.viewer.models if name in self.viewer.shown}


class Pixels(widgets.Widget):
    """The samples of one picture, a widget of their own: a list of a widget is sent as a whole."""

    data = Bytes().tag(sync=True)


class Viewer(anywidget.AnyWidget):
    """Shows the capture of a Mode as each of {name: model} makes it, once per capture; the browser keeps the pictures.

    Attributes:
        active: the Mode that is shown; modes, mode: names of all, and of this one.
        choices, choice: the captures to choose from, and the number of the chosen one.
        offered, shown: names of all pictures, and of the chosen ones.
        pictures: list of dicts: name (as in offered, "" while it is hidden), title, caption, width, height and pixels
            (of take_samples) or, in a saved page, url. One that is sent reduced or in part has the size [width, height]
            of the whole, and its part: left, top, width, height as fractions. One that the kernel brightens has stops.
        details: parts of large pictures that are drawn over those of the same title; their pixels are bytes.
        zoom, across, down, stops: the View, and the brightness, light × 2 ** stops; set once the hand rests.
        visible: zoom, across and down of a part, and its scores, {title: text}.
        scored: there is a truth and no vote, so that errors may be seen.
        status: a line above the pictures, read aloud when it changes; with a sign while `busy`.
    """

    _esm = Path(__file__).with_name("stage.js")
    _css = Path(__file__).with_name("stage.css")
    colours = Unicode(COLOURS).tag(sync=True)
    pictures = List().tag(sync=True, **widgets.widget_serialization)
    details, offered, shown, modes, choices = (List().tag(sync=True) for _ in range(5))
    visible = Dict().tag(sync=True)
    scored, busy = (Bool(False).tag(sync=True) for _ in range(2))
    mode, status = (Unicode().tag(sync=True) for _ in range(2))
    choice = Int(0).tag(sync=True)
    zoom = Float(1).tag(sync=True)
    across, down = (Float(0.5).tag(sync=True) for _ in range(2))
    stops = Float(0).tag(sync=True)

    def __init__(self, models):
        check_names(models)
        first, *_, last = [*models, *models]
        shown = dict.fromkeys(["input", first, last, "truth"])
        super().__init__(offered=[*INPUTS, *models, "truth"], shown=list(shown))
        self.models, self.active, self.sent = dict(models), Mode(self), {}  # sent: {bytes: Pixels} in the browser
        self.picture_of, self.describe = lru_cache(256)(self._make_picture), lru_cache(4096)(self._describe)
        self.observe(lambda _: self.active.begin(), ["choice", "shown"])
        self.observe(self.show_visible, ["zoom", "across", "down"])
        self.observe(lambda _: self.active.show_full(View()) and self.render(), "stops")

    def _make_picture(self, capture, name):
        self.busy, self.status = True, "The models run …"  # a blind vote must not say which one
        return make_picture(self.models, capture, name)

    def _describe(self, capture, name, view):
        part = find_part(capture.truth.shape, view)
        return describe_scores(self.picture_of(capture, name)[part], capture.truth[part])

    def render(self):
        """Show the chosen pictures; an error is shown and raised."""
        capture, names = self.active.capture, {}  # by the titles of pictures
        if capture:
            names = {name: name for name in INPUTS if name in self.shown} | self.active.titles
            if capture.truth is not None:
                names["truth"] = "truth"  # even if it is not shown: error maps need it
        try:
            pictures = [self.hand_over(capture, title, name) for title, name in names.items()]
            pictures += self.active.show_full(View())
            with self.hold_sync():
                self._show(pictures)
                self.scored = "truth" in names and not self.active.hides
                self.status = capture.name if capture else self.active.invitation
                self.show_visible()
        except Exception as error:  # any that a model may raise
            self.pictures, self.status = [], f"This cannot be shown: {error}"
            raise
        finally:
            self.busy = False

    def hand_over(self, capture, title, name):
        """Return a picture in the form of `pictures`, with its scores unless they are secret."""
        picture, hides = self.picture_of(capture, name), self.active.hides
        if name == "truth":
            caption = "long exposure"
        elif hides or capture.truth is None:
            caption = describe_scores(picture)
        else:
            caption = self.describe(capture, name, View())
        known = {"name": "" if hides and name in self.models else name, "title": title, "caption": caption}
        return known | {"height": picture.shape[0], "width": picture.shape[1], "pixels": take_samples(picture)}

    def _show(self, pictures):
        """Show pictures; pixels that the browser has are not sent again."""
        before, self.sent = self.sent, {}
        for picture in pictures:
            data = picture["pixels"]
            picture["pixels"] = self.sent[data] = self.sent.get(data) or before.get(data) or Pixels(data=data)
        self.pictures = pictures
        for data in before.keys() - self.sent.keys():
            before[data].close()

    def show_visible(self, change=None):
        """Show the visible part of a picture at full size, and the scores of the visible parts, unless secret."""
        view, scores = View(self.zoom, self.across, self.down), {}
        if view.zoom > 1 and self.scored:
            names = {picture["title"]: picture["name"] for picture in self.pictures if picture["name"] != "truth"}
            scores = {title: self.describe(self.active.capture, name, view) for title, name in names.items()}
        self.visible = view._asdict() | {"scores": scores}
        self.details = self.active.show_full(view) if view.zoom > 1 else []


def find_part(shape, view):
    """Return the slices (rows, columns) of a picture's shape that a View shows; at least the window of SSIM."""
    zoom = max(1, min(view.zoom, min(shape[:2]) / WINDOW_PX))

    def cut(size, place):
        length = round(size / zoom)
        start = round(place * (size - length))
        return slice(start, start + length)

    return cut(shape[0], view.down), cut(shape[1], view.across)


def take_samples(picture):
    """Return a picture (height, width, 3) in 0…255 as bytes: uint8 if that loses nothing, else uint16."""
    return round_picture(picture, 8 if (picture == np.rint(picture)).all() else 16).tobytes()


def fit(width="auto"):
    """Return the Layout of a control that is never wider than the panel."""
    return widgets.Layout(width=width, max_width="100%", margin="2px 12px 2px 2px")


def row(*controls):
    """Return controls beside each other, in several rows where they need them."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def button(text, act, **options):
    """Return a Button that calls a function of itself."""
    made = widgets.Button(description=text, layout=fit(), **options)
    made.on_click(act)
    return made
