"""The human check: inputs, each model's output and the truth side by side, for a person to judge.

compare is the static figure of one test picture, HumanCheck the interactive panel, and save_page writes the panel's
viewer (viewer.py; in the browser stage.js) as a file that needs no kernel.
"""

import math
from functools import lru_cache
from textwrap import fill

import ipywidgets as widgets

from sidlib import plots
from sidlib.backend import keras
from sidlib.human_check.captures import choose_pair, collect_pictures, describe_pair, describe_scores, load_capture
from sidlib.human_check.own_capture import OwnCapture
from sidlib.human_check.page import save_page
from sidlib.human_check.viewer import Mode, Viewer
from sidlib.human_check.votes import BlindVote
from sidlib.training import is_finished

__all__ = ["HumanCheck", "choose_pair", "collect_pictures", "compare", "load_models", "save_page"]


def compare(models, pairs):
    """Return the static human check: a Figure of the inputs, each model's output and the truth, with their scores.

    Args:
        models: {name: Keras model, or function from a batch of pictures to a batch}.
        pairs: DataFrame of preprocess.develop_pairs; the picture is that of choose_pair.
    """
    pictures = collect_pictures(models, choose_pair(pairs))
    captions = {name: describe_scores(picture, pictures["truth"]) for name, picture in pictures.items()}
    captions["truth"] = "long exposure"
    titles = [f"{fill(name, 34)}\n{text}" for name, text in captions.items()]
    columns = math.ceil(len(titles) / math.ceil(len(titles) / 5))  # rows of up to five, all as long
    figure = plots.show_pictures(list(pictures.values()), titles, columns, width=min(3.2, 11 / columns))
    for axis in figure.axes:
        axis.title.set_fontsize(8)
    return figure


def load_models(experiments, folder):
    """Return the trained models among experiments in a results folder: {title: model}; others are left out."""
    runs = {experiment.title: folder / experiment.name for experiment in experiments}
    return {title: keras.saving.load_model(run / "best.keras") for title, run in runs.items() if is_finished(run)}


class HumanCheck(widgets.VBox):
    """The interactive human check: models on any test picture, blind votes, and a RAW file of your own.

    models, pairs: see compare. folder: a results folder, for votes.jsonl and for saved pictures in own/.

    Example:
        >>> HumanCheck({"as it is": evaluation.identity, "best": best}, pairs, folder)
    """

    def __init__(self, models, pairs, folder):
        choose_pair(pairs)
        super().__init__()
        self.viewer = Viewer(models)
        self.comparison = Comparison(self.viewer, pairs[pairs.split == "test"])
        self.blind = BlindVote(self.viewer, self.comparison, folder / "votes.jsonl")
        self.own = OwnCapture(self.viewer, folder / "own")
        self.modes = {"Compare": self.comparison, "Vote blind": self.blind, "Your own capture": self.own}
        self.viewer.modes = list(self.modes)
        self.viewer.observe(self.change_mode, "mode")
        self.viewer.mode = "Compare"

    def _repr_mimebundle_(self, **options):
        """Show the panel; where no kernel runs, on a code host for example, a sentence."""
        return super()._repr_mimebundle_(**options) | {"text/plain": "The panel needs a kernel: make lab."}

    def change_mode(self, change):
        """Show the controls and the pictures of the chosen mode."""
        mode = self.viewer.active = self.modes[change.new]
        self.children = [self.viewer, *mode.controls]
        self.viewer.choices = mode.choices
        mode.begin()


class Comparison(Mode):
    """The mode that compares models on any test picture, with their names and scores."""

    def __init__(self, viewer, test):
        super().__init__(viewer)
        self.test = list(test.itertuples())
        self.choices = [describe_pair(pair) for pair in self.test]
        self.load = lru_cache(256)(lambda number: load_capture(self.test[number]))

    def begin(self):
        self.capture = self.load(self.viewer.choice)
        super().begin()
