"""The viewer that all modes share: which pictures the browser gets, what they are called and how they are scored."""

import re
from functools import lru_cache

import ipywidgets as widgets

from sidlib.human_check.captures import INPUTS, make_picture
from sidlib.human_check.stage import Stage, take_samples
from sidlib.human_check.view import View, describe_broken, describe_scores, find_part
from sidlib.training import TITLES


def fit(width="auto"):
    """Return the Layout of a control that is never wider than the panel."""
    return widgets.Layout(width=width, max_width="100%", margin="2px 12px 2px 2px")


def row(*controls):
    """Return controls beside each other, in several rows where they need them."""
    return widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def shorten_names(names):
    """Return {name: title}: an Experiment's name as people say it, "CNN · leaky ReLU · MAE"; any other as it is."""
    titles = {name: _shorten(name) for name in names}
    return {name: title if list(titles.values()).count(title) == 1 else name for name, title in titles.items()}


def _shorten(name):
    model, *rest = name.split("-")
    if len(rest) < 3 or not {model, rest[0]} <= set(TITLES):
        return name
    activation, loss, flips, *others = rest
    parts = [TITLES[model], TITLES[activation], loss.upper(), *(["no flips"] if flips == "noflips" else []), *others]
    return " · ".join(re.sub(r"^epochs(\d+)$", r"\1 epochs", part) for part in parts)


class Mode:
    """What the viewer asks of a mode, and the answers of one that has nothing special.

    Attributes:
        controls: the widgets that are there in this mode, below the pictures.
        choices: what captures there are to choose from.
        capture: the Capture to show, or None; then `invitation` is shown.
        hides: whether names and scores are hidden now.
    """

    controls, choices, capture, invitation, hides = (), [], None, "", False

    def begin(self, chosen):
        """Make ready for another capture, or for other models: the names of the chosen ones."""

    def ready(self):
        """Take answers: the pictures are shown."""

    def show_large(self, view):
        """Return what a View shows of a picture at full size, a list for stage.Stage: empty if there is none."""
        return []

    def title_models(self, titles):
        """Return {title to show: name} of the models to show, given {name: title} of the chosen ones."""
        return {title: name for name, title in titles.items()}


class Viewer:
    """Shows the capture of a mode as each model makes it. Models run once a capture; what they made is kept.

    Attributes:
        stage: what the browser shows.
        titles: {name: title} of all pictures, in their order.
        mode: the Mode that is shown.
    """

    def __init__(self, models):
        self.models, self.mode = dict(models), Mode()
        self.run, self.describe = lru_cache(256)(self._run), lru_cache(4096)(self._describe)
        self.titles = shorten_names([*INPUTS, *models, "truth"])
        first, *_, last = [*models, *models]
        offered = [{"name": name, "title": title, "detail": name} for name, title in self.titles.items()]
        self.stage = Stage(offered=offered, shown=list(dict.fromkeys(["input", first, last, "truth"])))
        self.stage.observe(self.begin, ["choice", "shown"])
        self.stage.observe(self.show_visible, ["zoom", "across", "down"])
        self.stage.observe(lambda _: self.mode.show_large(View()) and self.render(), "stops")

    @property
    def chosen(self):
        """The names of the models that are chosen."""
        return [name for name in self.models if name in self.stage.shown]

    def show_mode(self, mode):
        """Show the pictures of another mode."""
        self.mode = mode
        self.stage.choices = mode.choices
        self.begin()

    def begin(self, change=None):
        """Begin anew: with another capture, other models, or in another mode."""
        if self.mode.hides:  # no name stays while the models run
            self.stage.pictures = []
        self.mode.begin(self.chosen)
        self.render()
        self.mode.ready()

    def name_pictures(self):
        """Return {title: name} of the pictures to show, none where there is no capture."""
        capture, shown = self.mode.capture, self.stage.shown
        if capture is None:
            return {}
        inputs = {name: name for name in INPUTS if name in shown}
        truth = {} if capture.truth is None else {"truth": "truth"}  # shown or not: error maps need it
        return inputs | self.mode.title_models({name: self.titles[name] for name in self.chosen}) | truth

    def picture_of(self, capture, name):
        """Return a picture by its name: an input, an output or the truth."""
        return capture.truth if name == "truth" else self.run(capture, name)

    def _run(self, capture, name):
        self.stage.busy, self.stage.status = True, "The models run …"  # which one it is, a blind vote must not tell
        return make_picture(self.models, capture, name)

    def _describe(self, capture, name, view):
        part = find_part(capture.truth.shape, view)
        return describe_scores(self.picture_of(capture, name)[part], capture.truth[part])

    def caption_of(self, capture, name):
        """Return what stands under a picture: its scores, where they are no secret."""
        if name == "truth":
            return "long exposure"
        if capture.truth is None or self.mode.hides:
            return describe_broken(self.picture_of(capture, name))
        return self.describe(capture, name, View())

    def render(self):
        """Show what is chosen; what goes wrong is said, and raised."""
        try:
            self._render()
        except Exception as error:  # any that a model may raise
            self.stage.pictures, self.stage.status = [], f"This cannot be shown: {error}"
            raise
        finally:
            self.stage.busy = False

    def _render(self):
        capture, stage = self.mode.capture, self.stage
        pictures = [self.hand_over(capture, title, name) for title, name in self.name_pictures().items()]
        pictures += self.mode.show_large(View())
        with stage.hold_sync():
            stage.show(pictures)
            stage.scored = bool(pictures) and capture.truth is not None and not self.mode.hides
            if capture is None:
                stage.status = self.mode.invitation
            else:
                stage.status = capture.name + ("" if capture.truth is not None else f", amplified ×{capture.ratio:.0f}")
            self.show_visible()

    def hand_over(self, capture, title, name):
        """Return a picture as stage.Stage.pictures wants it."""
        picture = self.picture_of(capture, name)
        secret = self.mode.hides and name in self.models
        return {
            "name": "" if secret else name,
            "title": title,
            "detail": "" if secret else name,
            "caption": self.caption_of(capture, name),
            "height": picture.shape[0],
            "width": picture.shape[1],
            "pixels": take_samples(picture),
        }

    def show_visible(self, change=None):
        """Show the visible part of what is large, and say the scores of that part, if they are no secret."""
        stage, capture = self.stage, self.mode.capture
        view, scores = View(stage.zoom, stage.across, stage.down), {}
        if view.zoom > 1 and stage.scored:
            titles = {title: name for title, name in self.name_pictures().items() if name != "truth"}
            scores = {title: self.describe(capture, name, view) for title, name in titles.items()}
        stage.visible = vars(view) | {"scores": scores}
        stage.details = self.mode.show_large(view) if view.zoom > 1 else []
