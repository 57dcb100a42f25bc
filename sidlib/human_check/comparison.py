"""The mode that compares models on any test picture, with their names and scores."""

from functools import lru_cache

from sidlib.human_check.captures import choose_pair, describe_pair, load_capture
from sidlib.human_check.viewer import Mode


class Comparison(Mode):
    """Any test picture, chosen by its place among them.

    Attributes:
        choices: what they are called.
        pair, capture: what is chosen.
    """

    def __init__(self, viewer, pairs, number):
        choose_pair(pairs, number)
        self.test = list(pairs[pairs.split == "test"].itertuples())
        self.choices = [describe_pair(pair) for pair in self.test]
        self.stage = viewer.stage
        self.stage.choice = number
        self.load = lru_cache(256)(lambda number: load_capture(self.test[number]))

    @property
    def pair(self):
        return self.test[self.stage.choice]

    @property
    def capture(self):
        return self.load(self.stage.choice)
