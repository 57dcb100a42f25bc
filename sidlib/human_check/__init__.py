"""The human check: inputs, each model's output and the truth side by side, as a figure and as a panel."""

import tempfile
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from sidlib import paths, plots
from sidlib.backend import keras
from sidlib.beyond.baselines import Baseline
from sidlib.dataset import measure_brightness
from sidlib.human_check import captures
from sidlib.human_check.stage import Stage
from sidlib.human_check.view import View, crop_picture, describe_scores, show_row
from sidlib.human_check.votes import append_vote, load_votes, rank_votes, shuffle_names
from sidlib.raw import RawError
from sidlib.training import is_finished

INPUTS = {"input": Baseline("dark8"), "input, amplified": Baseline("amplified16")}
MODES = COMPARE, BLIND, OWN = "Compare", "Vote blind", "Your own capture"


def choose_pair(pairs, number=0):
    """Return a test pair as a DataFrame of one row; by default always the same, the first."""
    test = pairs[pairs.split == "test"]
    if not 0 <= number < len(test):
        raise IndexError(f"There are {len(test)} test pairs, numbered from 0. Received: {number}")
    return test.iloc[[number]]


def collect_pictures(models, pair):
    """Return the pictures of a human check, in the order that every figure keeps: inputs, outputs, truth.

    Args:
        models: {name: Keras model, or function from batch to batch}.
        pair: DataFrame of one row.
    Returns:
        {name: float32 (height, width, 3) in 0…255}: "input" as it is, "input, amplified" by the exposure ratio,
        the outputs, "truth".
    """
    _check_models(models)
    capture = captures.load_capture(next(pair.itertuples()))
    outputs = {name: captures.run_model(model, capture) for name, model in (INPUTS | models).items()}
    return outputs | {"truth": capture.truth}


def _check_models(models):
    if not models:
        raise ValueError("A human check needs at least one model. Received: none")
    if taken := {*INPUTS, "truth"} & set(models):
        raise ValueError(f"These names are kept for other pictures. Received: models called {sorted(taken)}")


def compare(models, pairs, number=0):
    """Return the static human check: a Figure of the inputs, each model's output and the truth, with their scores.

    Args:
        models: {name: model}.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair; by default always the same.
    """
    pictures = collect_pictures(models, choose_pair(pairs, number))
    truth = pictures["truth"]
    captions = {name: describe_scores(picture, truth) for name, picture in pictures.items() if name != "truth"}
    captions["truth"] = "long exposure"
    return plots.show_pictures(list(pictures.values()), [f"{name}\n{text}" for name, text in captions.items()])


def load_models(experiments, folder):
    """Return the trained models among experiments in a results folder: {name: model}; others are left out."""
    runs = {experiment.name: folder / experiment.name for experiment in experiments}
    return {name: keras.saving.load_model(run / "best.keras") for name, run in runs.items() if is_finished(run)}


class HumanCheck:
    """The interactive human check: display its `panel`.

    It compares models on any test picture, takes blind votes, and shows what models make of a RAW file of one's own.
    Models run once a picture; what they made is kept.

    Args:
        models: {name: model}.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair to begin with; by default always the same.
        folder: where votes.csv and saved pictures go; None for results/<data set>.
        seed: of the order of models and pictures in blind votes.
    """

    def __init__(self, models, pairs, number=0, folder=None, seed=0):
        _check_models(models)
        choose_pair(pairs, number)
        self.models, self.pairs, self.seed = INPUTS | models, pairs, seed
        self.folder = folder or paths.results_folder(pairs.dataset.iloc[0])
        self.votes = self.folder / "votes.csv"
        self.own = None  # the Capture that was opened
        self.labels, self.revealed = {}, False  # of the blind vote: {"A": name, …}
        self.rendered = None
        self.run = lru_cache(256)(self._run)
        self.describe = lru_cache(4096)(self._describe)
        self.load = lru_cache(256)(lambda number: captures.load_capture(next(choose_pair(pairs, number).itertuples())))
        self._build_controls(list(models), number)
        self.panel = widgets.VBox(
            [self.mode, self.picture, self.own_box, self.choices, self.display, self.vote_box, self.stage, self.ranking]
        )
        self.change_mode()

    def _build_controls(self, names, number):
        def layout(width="auto"):
            return widgets.Layout(width=width, max_width="100%", margin="2px 12px 2px 2px")

        def row():
            return widgets.Layout(flex_flow="row wrap", align_items="center")

        scenes = [captures.describe_pair(pair) for pair in self.pairs[self.pairs.split == "test"].itertuples()]
        self.mode = widgets.RadioButtons(options=MODES, description="Mode", orientation="horizontal", layout=layout())
        self.picture = widgets.Dropdown(
            options=[(name, place) for place, name in enumerate(scenes)],
            value=number,
            description="Picture",
            layout=layout("34em"),
        )
        self.shown = {
            name: widgets.Checkbox(value=True, description=name, indent=False, layout=layout()) for name in names
        }
        self.errors = widgets.Checkbox(description="Error map", indent=False, layout=layout())
        self.left, self.right = (
            widgets.Dropdown(description=text, layout=layout("22em")) for text in ("Wipe", "against")
        )
        self.stage = Stage(max_bytes=captures.MAX_FILE_BYTES)

        self.next = widgets.Button(description="Next picture", button_style="primary")
        self.ranking = widgets.HTML()

        self.path = widgets.Text(
            description="Path", placeholder="of a RAW file here, or upload one below", layout=layout("34em")
        )
        self.open = widgets.Button(description="Open", layout=layout())
        self.ratio = widgets.BoundedFloatText(
            value=1, min=1, max=10_000, step=1, description="Exposure ratio", style={"description_width": "initial"}
        )
        self.saved = widgets.Dropdown(description="Save", layout=layout("26em"))
        self.save8, self.save16 = (
            widgets.Button(description=f"as {bits}-bit PNG", layout=layout()) for bits in (8, 16)
        )

        self.own_box = widgets.VBox(
            [
                widgets.HBox([self.path, self.open], layout=row()),
                widgets.HBox([self.ratio, self.saved, self.save8, self.save16], layout=row()),
            ]
        )
        self.choices = widgets.HBox(list(self.shown.values()), layout=row())
        self.display = widgets.HBox([self.left, self.right, self.errors], layout=row())
        self.vote_box = widgets.HBox(layout=row())

        self.mode.observe(self.change_mode, "value")
        for control in (self.picture, *self.shown.values()):
            control.observe(self.change_pictures, "value")
        for control in (self.errors, self.left, self.right):
            control.observe(self.render, "value")
        self.stage.observe(self.render, ["zoom", "across", "down", "stops", "place"])
        self.next.on_click(self.choose_next)
        self.stage.on_msg(self.receive)
        self.open.on_click(lambda _: self.open_file(Path(self.path.value.strip()), self.path.value))
        self.ratio.observe(self.change_ratio, "value")
        for button, bits in ((self.save8, 8), (self.save16, 16)):
            button.on_click(lambda _, bits=bits: self.save(bits))

    # What is shown

    @property
    def capture(self):
        """The Capture that is shown; None before one's own is opened."""
        return self.own if self.mode.value == OWN else self.load(self.picture.value)

    @property
    def chosen(self):
        """The names of the models that are chosen."""
        return [name for name, box in self.shown.items() if box.value]

    @property
    def hides(self):
        """Whether names and scores are hidden: from the beginning of a blind vote until it is cast."""
        return self.mode.value == BLIND and not self.revealed

    def name_pictures(self):
        """Return {title: name} of the pictures to show; in a blind vote titles tell names only once it is cast."""
        titles = {name: name for name in self.chosen}
        if self.mode.value == BLIND:
            titles = {label if self.hides else f"{label}: {name}": name for label, name in self.labels.items()}
        truth = {} if self.capture.truth is None else {"truth": "truth"}
        return {name: name for name in INPUTS} | titles | truth

    def picture_of(self, capture, name):
        """Return a picture by its name: an input, an output or the truth."""
        return capture.truth if name == "truth" else self.run(capture, name)

    def _run(self, capture, name):
        self.stage.busy, self.stage.status = True, "The models run …"  # which one it is, a blind vote must not tell
        return captures.run_model(self.models[name], capture)

    def _describe(self, capture, name, view):
        return describe_scores(*(crop_picture(p, view) for p in (self.picture_of(capture, name), capture.truth)))

    def caption_of(self, capture, name, view):
        """Return the scores under a picture: over all of it and, when zoomed, over the visible part."""
        if name == "truth":
            return "long exposure"
        if capture.truth is None or self.hides:
            return ""
        text = self.describe(capture, name, View())
        if view.zoom > 1:
            text += "\nvisible: " + self.describe(capture, name, replace(view, stops=0, errors=False))
        return text

    def render(self, change=None):
        """Show what is chosen."""
        capture, stage = self.capture, self.stage
        if capture is None:
            stage.html, stage.wiping, self.rendered = "", False, None
            stage.status = "Open a RAW file of any camera: it is developed like the data set and shown to the models."
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
        self.rendered = wanted
        stage.wiping, stage.busy = bool(wiped), False
        shown = f"{capture.name}, amplified ×{capture.ratio:.0f}" if capture.truth is None else capture.name
        stage.status = f"{shown} · brightened for display, scores are not" if stage.stops else shown

    # What changes

    def change_mode(self, change=None):
        """Show the controls of a mode."""
        modes = {self.picture: (COMPARE, BLIND), self.own_box: (OWN,), self.vote_box: (BLIND,), self.ranking: (BLIND,)}
        for box, of in modes.items():
            box.layout.display = None if self.mode.value in of else "none"
        self.stage.uploading = self.mode.value == OWN
        self.change_pictures()

    def change_pictures(self, change=None):
        """Begin anew with other pictures: in a blind vote with new labels, and with other ends of a wipe."""
        self.revealed = False
        if self.mode.value == BLIND:
            self.begin_vote()
        self.offer_pictures()
        self.render()

    def offer_pictures(self):
        """Offer the pictures that are shown for a wipe and for saving."""
        titles = [] if self.capture is None else list(self.name_pictures())
        self.errors.disabled = "truth" not in titles or self.hides
        for control in (self.left, self.right):
            kept = control.value
            control.options = ["off", *titles]
            control.value = kept if kept in titles else "off"
        outputs = [title for title in titles if title != "truth"]
        self.saved.options = outputs
        self.saved.value = outputs[-1] if outputs else None
        for control in (self.ratio, self.saved, self.save8, self.save16):
            control.disabled = not outputs

    # Blind votes

    def begin_vote(self):
        """Shuffle the chosen models and offer a button for each."""
        enough = len(self.chosen) > 1
        self.labels = shuffle_names(self.chosen, self.seed, len(load_votes(self.votes)))
        buttons = []
        for label in [*self.labels, ""]:
            button = widgets.Button(description=f"{label} is best" if label else "They cannot be told apart")
            button.layout.width = "auto"
            button.disabled = not enough
            button.on_click(lambda _, label=label: self.vote(label))
            buttons.append(button)
        self.next.disabled = True
        self.vote_box.children = [*buttons, self.next]
        self.ranking.value = "" if enough else "Choose at least two models to vote on."

    def vote(self, label):
        """Keep a vote for a label, "" for none, and reveal the names; without a second vote on the same."""
        if self.revealed:
            return
        pair = next(choose_pair(self.pairs, self.picture.value).itertuples())
        vote = {name: getattr(pair, name) for name in ("dataset", "scene", "frame", "short_s")}
        vote |= {name: getattr(self.stage, name) for name in ("zoom", "across", "down", "stops")}
        vote |= {"shown": list(self.labels.values()), "best": self.labels.get(label, ""), "seed": self.seed}
        try:
            append_vote(self.votes, vote)
        except OSError as error:
            self.ranking.value = f"The vote could not be kept: {error}"
            return
        self.revealed = True
        for button in self.vote_box.children:
            button.disabled = button is not self.next
        votes = load_votes(self.votes)
        none = int((votes.best == "").sum())
        self.ranking.value = (
            f"<p>{len(votes)} vote{'s' * (len(votes) > 1)}, {none} of them for none. Share: of the votes in which a "
            "model was shown, with its 95 % Wilson interval; chance: the share of a model that looks like the others."
            "</p>" + rank_votes(votes).to_html(float_format="{:.2f}".format)
        )
        self.offer_pictures()
        self.render()
        chosen = f"You chose {label}, which is {vote['best']}" if label else "You could not tell them apart"
        self.stage.status = f"{chosen}. The vote is kept."
        self.next.focus()

    def choose_next(self, _=None):
        """Go on to the next picture, in an order drawn from the seed."""
        count = len(self.picture.options)
        order = np.random.default_rng(self.seed).permutation(count)
        following = int(order[len(load_votes(self.votes)) % count])
        if following == self.picture.value:
            self.change_pictures()
        self.picture.value = following
        self.vote_box.children[0].focus()

    # One's own capture

    def receive(self, stage, piece, buffers):
        """Take a piece of a file that is uploaded, and open the file with its last one."""
        name, size, end = Path(piece["name"]).name, piece["size"], piece["end"]
        try:
            captures.check_size(name, size)
            if piece["start"] == 0:
                self.arriving = tempfile.TemporaryDirectory()  # goes with its last reference
            path = Path(self.arriving.name, name)
            with open(path, "ab") as file:
                file.write(buffers[0])
        except (RawError, OSError) as error:
            stage.status = str(error)
            return
        stage.status = f"Uploading {name} … {100 * end // max(size, 1)} %"
        if end == size:
            self.open_file(path, name)
            self.arriving.cleanup()

    def open_file(self, path, name):
        """Open a RAW file, or say why not; what was shown before stays."""
        self.stage.busy, self.stage.status = True, f"Developing {name} …"
        try:
            self.own = captures.open_capture(path, self.brightness)
            self.ratio.value = round(self.own.ratio, 1)
            self.change_pictures()
            self.stage.status = f"{name}: exposure ratio estimated, ×{self.own.ratio:.0f}"
        except (RawError, OSError, RuntimeError, ValueError) as error:  # the latter: names that cannot be
            self.stage.status = f"{name}: {str(error).removeprefix(f'{path}: ')}"
        finally:
            self.stage.busy = False

    @cached_property
    def brightness(self):
        """How bright long exposures of the train split are."""
        train = self.pairs[self.pairs.split == "train"]
        return measure_brightness(self.pairs if train.empty else train)

    def change_ratio(self, change=None):
        """Show one's own capture with an exposure ratio set by hand."""
        if self.own is not None and round(self.own.ratio, 1) != self.ratio.value:
            self.own = replace(self.own, ratio=self.ratio.value)
            self.render()

    def save(self, bits):
        """Save the chosen picture of one's own capture as a PNG, and say where."""
        name = self.saved.value
        file = self.folder / "own" / f"{Path(self.own.name).stem}-{name}-x{self.own.ratio:.0f}-{bits}bit.png"
        try:
            captures.save_picture(self.picture_of(self.own, name), file, bits)
            self.stage.status = f"Saved {file}"
        except OSError as error:
            self.stage.status = f"Not saved: {error}"
