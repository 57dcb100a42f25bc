"""The viewer that all modes share: which models are shown, how they are displayed, their pictures and scores."""

from dataclasses import replace
from functools import lru_cache

import ipywidgets as widgets

from sidlib.human_check.captures import INPUTS, make_picture
from sidlib.human_check.stage import Stage
from sidlib.human_check.view import View, crop_picture, describe_broken, describe_scores, show_row


def fit(width="auto"):
    """Return the Layout of a control that is never wider than the panel."""
    return widgets.Layout(width=width, max_width="100%", margin="2px 12px 2px 2px")


def row(*controls):
    """Return controls beside each other, in several rows where they need them."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


class Mode:
    """What the viewer asks of a mode, and the answers of one that has nothing special.

    Attributes:
        controls: the widgets that are there in this mode.
        capture: the Capture to show, or None; then `invitation` is shown.
        hides: whether names and scores are hidden now.
    """

    controls, capture, invitation, hides = (), None, "", False

    def begin(self, chosen):
        """Make ready for another capture, or for other models: the names of the chosen ones."""

    def title_models(self, chosen):
        """Return {title to show: name} of the models to show."""
        return {name: name for name in chosen}


class Viewer:
    """Shows the capture of a mode as each model makes it. Models run once a capture; what they made is kept.

    Attributes:
        stage: the pictures, with the controls that they are moved by.
        choices, display: rows of the other controls: shown (which models), left and right (a wipe's), errors.
        mode: the Mode that is shown.
    """

    def __init__(self, models):
        self.models, self.mode, self.rendered = dict(models), Mode(), None
        self.run, self.describe = lru_cache(256)(self._run), lru_cache(4096)(self._describe)
        self.stage = Stage()
        self.shown = {
            name: widgets.Checkbox(value=True, description=name, indent=False, layout=fit()) for name in models
        }
        self.errors = widgets.Checkbox(description="Error map", indent=False, layout=fit())
        self.left, self.right = (widgets.Dropdown(description=name, layout=fit("22em")) for name in ("Wipe", "against"))
        self.choices, self.display = row(*self.shown.values()), row(self.left, self.right, self.errors)
        for control in self.shown.values():
            control.observe(self.begin, "value")
        for control in (self.errors, self.left, self.right):
            control.observe(self.render, "value")
        self.stage.observe(self.render, ["zoom", "across", "down", "stops", "place"])

    @property
    def chosen(self):
        """The names of the models that are chosen."""
        return [name for name, box in self.shown.items() if box.value]

    def show_mode(self, mode):
        """Show the pictures of another mode."""
        self.mode = mode
        self.begin()

    def begin(self, change=None):
        """Begin anew: with another capture, other models, or in another mode."""
        self.mode.begin(self.chosen)
        self.offer()
        self.render()

    def offer(self):
        """Offer the pictures that are shown for a wipe, and the error map where there is a truth."""
        titles = self.name_pictures()
        self.errors.disabled = "truth" not in titles or self.mode.hides
        for control in (self.left, self.right):
            kept = control.value
            control.options = [("off", None), *zip(titles, titles, strict=True)]  # a model may be called "off"
            control.value = kept if kept in titles else None

    def name_pictures(self):
        """Return {title: name} of the pictures to show, none where there is no capture."""
        if self.mode.capture is None:
            return {}
        models = self.mode.title_models(self.chosen)
        truth = {} if self.mode.capture.truth is None else {"truth": "truth"}
        return {name: name for name in INPUTS} | models | truth

    def picture_of(self, capture, name):
        """Return a picture by its name: an input, an output or the truth."""
        return capture.truth if name == "truth" else self.run(capture, name)

    def _run(self, capture, name):
        self.stage.busy, self.stage.status = True, "The models run …"  # which one it is, a blind vote must not tell
        return make_picture(self.models, capture, name)

    def _describe(self, capture, name, view):
        return describe_scores(*(crop_picture(p, view) for p in (self.picture_of(capture, name), capture.truth)))

    def caption_of(self, capture, name, view):
        """Return the scores under a picture: over all of it and, zoomed, in a second line over its visible part."""
        if name == "truth":
            return "long exposure"
        if capture.truth is None or self.mode.hides:
            return describe_broken(self.picture_of(capture, name))
        text = self.describe(capture, name, View())
        if view.zoom > 1:
            text += "\nvisible: " + self.describe(capture, name, replace(view, stops=0, errors=False))
        return text

    def render(self, change=None):
        """Show what is chosen; what goes wrong is said, and raised."""
        try:
            self._render()
        except Exception as error:  # any that a model may raise
            self.rendered, self.stage.html = None, ""
            self.stage.status = f"This cannot be shown: {error}"
            raise
        finally:
            self.stage.busy = False

    def _render(self):
        capture, stage = self.mode.capture, self.stage
        if capture is None:
            stage.html, stage.wiping, self.rendered, stage.status = "", False, None, self.mode.invitation
            return
        errors = self.errors.value and not self.errors.disabled
        view = View(stage.zoom, stage.across, stage.down, stage.stops, errors)
        titles = self.name_pictures()
        wiped = (self.left.value, self.right.value) if {self.left.value, self.right.value} <= set(titles) else None
        wanted = (capture, titles, view, wiped, stage.place)
        if wanted == self.rendered:  # several changes may come at once
            return
        pictures = {title: self.picture_of(capture, name) for title, name in titles.items()}
        captions = {title: self.caption_of(capture, name, view) for title, name in titles.items()}
        stage.html = show_row(pictures, captions, view, wiped, stage.place)
        self.rendered, stage.wiping = wanted, bool(wiped)
        shown = f"{capture.name}, amplified ×{capture.ratio:.0f}" if capture.truth is None else capture.name
        stage.status = f"{shown} · brightened for display, scores are not" if stage.stops else shown
