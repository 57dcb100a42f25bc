"""The panel: one viewer, and a switch between the modes over it."""

from pathlib import Path

import ipywidgets as widgets

from sidlib import paths
from sidlib.human_check.blind_vote import BlindVote
from sidlib.human_check.captures import check_names
from sidlib.human_check.comparison import Comparison
from sidlib.human_check.own_capture import OwnCapture
from sidlib.human_check.viewer import Viewer


class HumanCheck:
    """The interactive human check: display its `panel`.

    It compares models on any test picture, takes blind votes, and shows what models make of a RAW file of one's own.

    Args:
        models: {name: model}. The first and the last are shown at first, the others when they are chosen.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair to begin with; by default always the same.
        folder: where votes.csv and saved pictures go; None for results/<data set>.
        seed: of the order of models and pictures in blind votes.
    """

    def __init__(self, models, pairs, number=0, folder=None, seed=0):
        check_names(models)
        self.viewer = Viewer(models)
        stage = self.viewer.stage
        self.comparison = Comparison(self.viewer, pairs, number)
        folder = Path(folder or paths.results_folder(pairs.dataset.iloc[0]))
        self.blind = BlindVote(self.viewer, self.comparison, folder / "votes.csv", seed)
        self.own = OwnCapture(self.viewer, pairs, folder / "own")
        self.modes = {"Compare": self.comparison, "Vote blind": self.blind, "Your own capture": self.own}
        stage.modes, stage.mode = list(self.modes), "Compare"
        self.panel = widgets.VBox([stage, self.blind.ballot, self.blind.ranking, self.own.box])
        stage.observe(self.change_mode, "mode")
        self.change_mode()

    def change_mode(self, change=None):
        """Show the controls and the pictures of a mode."""
        mode = self.modes[self.viewer.stage.mode]
        for control in {*self.blind.controls, *self.own.controls}:
            control.layout.display = None if control in mode.controls else "none"
        self.viewer.show_mode(mode)
