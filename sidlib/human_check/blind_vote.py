"""The mode of blind votes: which output is best, when nobody says whose it is."""

from html import escape

import ipywidgets as widgets
import numpy as np

from sidlib.human_check.viewer import Mode, row
from sidlib.human_check.votes import append_vote, load_votes, rank_votes, shuffle_names


class BlindVote(Mode):
    """A vote on the test picture that the comparison shows: names and scores are hidden until it is cast.

    Attributes:
        labels: {"A": name, …} of the models that are shown.
        revealed: whether the vote has been cast.
        ballot, next, ranking: buttons to vote, the one to go on, and how all votes stand.
    """

    def __init__(self, viewer, comparison, file, seed):
        self.viewer, self.comparison, self.file, self.seed = viewer, comparison, file, seed
        self.labels, self.revealed, self.count = {}, False, 0
        self.ballot, self.ranking = row(), widgets.HTML()
        self.next = widgets.Button(description="Next picture", button_style="primary")
        self.next.on_click(self.choose_next)
        self.controls, self.choices = [self.ballot, self.ranking], comparison.choices

    @property
    def capture(self):
        return self.comparison.capture

    @property
    def hides(self):
        return not self.revealed

    def title_models(self, titles):
        return {label if self.hides else f"{label}: {titles[name]}": name for label, name in self.labels.items()}

    def begin(self, chosen):
        """Shuffle the chosen models and offer a button for each, to be pressed once they are shown."""
        self.revealed, problem = False, "" if len(chosen) > 1 else "Choose at least two models to vote on."
        try:
            self.count = len(load_votes(self.file))
        except OSError as error:
            problem = f"The votes cannot be read: {error}"
        self.labels = shuffle_names(chosen, self.seed, self.count)
        self.ballot.children = [*map(self._offer, [*self.labels, ""]), self.next]
        self.next.disabled, self.ranking.value = True, escape(problem)

    def ready(self):
        for button in self.ballot.children:
            button.disabled = button is self.next or bool(self.ranking.value)  # which says why none can be taken

    def _offer(self, label):
        text = f"{label} is best" if label else "They cannot be told apart"
        button = widgets.Button(description=text, disabled=True, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self.vote(label))
        return button

    def vote(self, label):
        """Keep a vote for a label, "" for none, and reveal the names; without a second vote on the same."""
        if self.revealed:
            return
        try:
            append_vote(self.file, self._describe(label))
            votes = load_votes(self.file)
        except OSError as error:
            self.ranking.value = escape(f"The vote could not be kept: {error}")
            return
        self.revealed, self.count = True, len(votes)
        for button in self.ballot.children:
            button.disabled = button is not self.next
        self.ranking.value = describe_votes(votes)
        self.viewer.render()
        chosen = f"You chose {label}, which is {self.labels[label]}" if label else "You could not tell them apart"
        self.viewer.stage.status = f"{chosen}. The vote is kept."
        self.next.focus()

    def _describe(self, label):
        vote = {name: getattr(self.comparison.pair, name) for name in ("dataset", "scene", "frame", "short_s")}
        vote |= {name: getattr(self.viewer.stage, name) for name in ("zoom", "across", "down", "stops")}
        return vote | {"shown": list(self.labels.values()), "best": self.labels.get(label, ""), "seed": self.seed}

    def choose_next(self, _=None):
        """Go on to the next picture, in an order drawn from the seed."""
        stage = self.viewer.stage
        order = np.random.default_rng(self.seed).permutation(len(self.choices))
        following = int(order[self.count % len(order)])
        if following == stage.choice:
            self.viewer.begin()
        stage.choice = following
        self.ballot.children[0].focus()


def describe_votes(votes):
    """Return how votes stand, as HTML."""
    none = int((votes.best == "").sum())
    return (
        f"<p>{len(votes)} vote{'s' * (len(votes) > 1)}, {none} of them for none. Share: of the votes in which a model "
        "was shown, with its 95 % Wilson interval; chance: the share of a model that looks like the others.</p>"
        + rank_votes(votes).to_html(float_format="{:.2f}".format)
    )
