"""The mode of blind votes: which output is best, while the models' names are hidden."""

from html import escape

import ipywidgets as widgets
import numpy as np

from sidlib.human_check.viewer import Mode, button, row
from sidlib.human_check.votes import append_vote, load_votes, rank_votes, shuffle_names


class BlindVote(Mode):
    """A vote on the test picture that the comparison shows: names and scores are hidden until it is cast."""

    def __init__(self, viewer, comparison, file, seed):
        self.viewer, self.comparison, self.file, self.seed = viewer, comparison, file, seed
        self.labels, self.revealed, self.count = {}, False, 0  # {"A": name, …}; the vote is cast; votes so far
        self.ballot, self.ranking = row(), widgets.HTML()
        self.next = button("Next picture", self.choose_next, button_style="primary")
        self.controls, self.choices = [self.ballot, self.ranking], comparison.choices

    @property
    def capture(self):
        return self.comparison.capture

    @property
    def hides(self):
        return not self.revealed

    def title_models(self, chosen):
        return {label if self.hides else f"{label}: {name}": name for label, name in self.labels.items()}

    def begin(self, chosen):
        """Shuffle the chosen models and offer a button for each, to be pressed once they are shown."""
        self.revealed, problem = False, "" if len(chosen) > 1 else "Choose at least two models to vote on."
        try:
            self.count = len(load_votes(self.file))
        except OSError as error:
            problem = f"The votes cannot be read: {error}"
        self.labels = shuffle_names(chosen, self.seed, self.count)
        texts = {label: f"{label} is best" for label in self.labels} | {"": "They cannot be told apart"}
        offers = [button(text, lambda _, label=label: self.vote(label)) for label, text in texts.items()]
        self.ballot.children, self.ranking.value = [*offers, self.next], escape(problem)
        self._enable()

    def ready(self):
        if not self.ranking.value:  # which says why no vote can be taken
            self._enable(*self.ballot.children[:-1])

    def _enable(self, *buttons):
        for each in self.ballot.children:
            each.disabled = each not in buttons

    def vote(self, label):
        """Keep a vote for a label, "" for none, and reveal the names; a second vote on the same is ignored."""
        if self.revealed:
            return
        try:
            append_vote(self.file, self._describe(label))
            votes = load_votes(self.file)
        except OSError as error:
            self.ranking.value = escape(f"The vote could not be kept: {error}")
            return
        self.revealed, self.count, self.ranking.value = True, len(votes), describe_votes(votes)
        self._enable(self.next)
        self.viewer.render()
        chosen = f"You chose {label}, which is {self.labels[label]}" if label else "You could not tell them apart"
        self.viewer.status = f"{chosen}. The vote is kept."
        self.next.focus()

    def _describe(self, label):
        vote = {name: getattr(self.comparison.pair, name) for name in ("dataset", "scene", "frame", "short_s")}
        vote |= {name: getattr(self.viewer, name) for name in ("zoom", "across", "down", "stops")}
        return vote | {"shown": list(self.labels.values()), "best": self.labels.get(label, ""), "seed": self.seed}

    def choose_next(self, button=None):
        """Go on to the next picture, in an order drawn from the seed."""
        order = np.random.default_rng(self.seed).permutation(len(self.choices))
        following = int(order[self.count % len(order)])
        if following == self.viewer.choice:
            self.viewer.begin()
        self.viewer.choice = following
        self.ballot.children[0].focus()


def describe_votes(votes):
    """Return the shares of all models, as HTML."""
    none = int((votes.best == "").sum())
    return (
        f"<p>{len(votes)} vote{'s' * (len(votes) > 1)}, {none} of them for none. Share: of the votes in which a model "
        "was shown, with its 95 % Wilson interval; chance: the share of a model that looks like the others.</p>"
        + rank_votes(votes).to_html(float_format="{:.2f}".format)
    )
