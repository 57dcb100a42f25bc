"""The panel: one viewer, and a switch between the modes over it."""

from functools import lru_cache

import ipywidgets as widgets

from sidlib.human_check.blind_vote import BlindVote
from sidlib.human_check.captures import check_names, choose_pair, describe_pair, load_capture
from sidlib.human_check.own_capture import OwnCapture
from sidlib.human_check.viewer import Mode, Viewer


class HumanCheck:
    """The interactive human check: display its `panel`.

    It compares models on any test picture, takes blind votes, and shows what models make of a RAW file of your own.

    Args:
        models: {name: model}. The first and the last are shown at first, the others when they are chosen.
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder, for votes.jsonl and for saved pictures in own/.
        number: which test pair to begin with; by default always the same.
        seed: of the order of models and pictures in blind votes.
    Example:
        >>> HumanCheck({"as it is": evaluation.identity, "best": best}, pairs, folder).panel
    """

    def __init__(self, models, pairs, folder, number=0, seed=0):
        check_names(models)
        choose_pair(pairs, number)
        self.viewer = Viewer(models)
        self.viewer.choice = number
        self.comparison = Comparison(self.viewer, pairs[pairs.split == "test"])
        self.blind = BlindVote(self.viewer, self.comparison, folder / "votes.jsonl", seed)
        self.own = OwnCapture(self.viewer, folder / "own")
        self.modes = {"Compare": self.comparison, "Vote blind": self.blind, "Your own capture": self.own}
        self.viewer.modes, self.viewer.mode = list(self.modes), "Compare"
        controls = [control for mode in self.modes.values() for control in mode.controls]
        self.panel = widgets.VBox([self.viewer, *controls])
        self.viewer.observe(self.change_mode, "mode")
        self.change_mode()

    def change_mode(self, change=None):
        """Show the controls and the pictures of the chosen mode."""
        for name, mode in self.modes.items():
            for control in mode.controls:
                control.layout.display = None if name == self.viewer.mode else "none"
        self.viewer.show_mode(self.modes[self.viewer.mode])


class Comparison(Mode):
    """The mode that compares models on any test picture, with their names and scores."""

    def __init__(self, viewer, test):
        self.viewer, self.test = viewer, list(test.itertuples())
        self.choices = [describe_pair(pair) for pair in self.test]
        self.load = lru_cache(256)(lambda number: load_capture(self.test[number]))

    @property
    def pair(self):
        return self.test[self.viewer.choice]

    @property
    def capture(self):
        return self.load(self.viewer.choice)
