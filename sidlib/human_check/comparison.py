"""The mode that compares models on any test picture, with their names and scores."""

from functools import lru_cache

import ipywidgets as widgets

from sidlib.human_check.captures import choose_pair, describe_pair, load_capture
from sidlib.human_check.viewer import Mode, fit


class Comparison(Mode):
    """Any test picture, chosen by its place among them.

    Attributes:
        picture: the control.
        pair, capture: what is chosen.
    """

    def __init__(self, viewer, pairs, number):
        choose_pair(pairs, number)
        test = list(pairs[pairs.split == "test"].itertuples())
        options = [(describe_pair(pair), place) for place, pair in enumerate(test)]
        self.picture = widgets.Dropdown(options=options, value=number, description="Picture", layout=fit("34em"))
        self.picture.observe(viewer.begin, "value")
        self.controls = [self.picture]
        self.test = test
        self.load = lru_cache(256)(lambda number: load_capture(test[number]))

    @property
    def pair(self):
        return self.test[self.picture.value]

    @property
    def capture(self):
        return self.load(self.picture.value)
