"""Blind votes: which of several outputs looks best to a person who does not know which model made them."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from html import escape

import ipywidgets as widgets
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sidlib.human_check.viewer import Mode, button, row

COLUMNS = ["time", "dataset", "scene", "frame", "short_s", "shown", "best", "seed", "zoom", "across", "down", "stops"]


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
        vote = {name: getattr(self.comparison.pair, name) for name in ("dataset", "scene", "frame", "short_s")}
        vote |= {name: getattr(self.viewer, name) for name in ("zoom", "across", "down", "stops")}
        vote |= {"shown": list(self.labels.values()), "best": self.labels.get(label, ""), "seed": self.seed}
        try:
            append_vote(self.file, vote)
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

    def choose_next(self, button=None):
        """Go on to the next picture, in an order drawn from the seed."""
        order = np.random.default_rng(self.seed).permutation(len(self.choices))
        following = int(order[self.count % len(order)])
        if following == self.viewer.choice:
            self.viewer.begin()
        self.viewer.choice = following
        self.ballot.children[0].focus()


def shuffle_names(names, seed, number):
    """Return {"A": name, "B": name, …} in an order drawn from a seed and the number of the vote alone."""
    order = np.random.default_rng((seed, number)).permutation(len(names))
    return {chr(ord("A") + place): names[of] for place, of in enumerate(order)}


def append_vote(file, vote):
    """Append a vote to a file of JSON Lines; it is on disk when this returns.

    A vote is a dict of COLUMNS without time: shown is the list of names in the order shown, best one of them or "" if
    they cannot be told apart. An OSError says that the file cannot be written.
    """
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds")} | vote)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab", buffering=0) as target:  # one write: other panels may vote at the same time
        target.write(f"\n{line}\n".encode())  # the line before may have been cut off; empty lines are skipped
        os.fsync(target.fileno())


def load_votes(file):
    """Return the votes of a file: a DataFrame of COLUMNS with lists in `shown`; lines that were cut off are skipped."""
    votes = []
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        with suppress(ValueError):
            votes.append(json.loads(line))
    return pd.DataFrame(votes, columns=COLUMNS)


def rank_votes(votes):
    """Return how often each model was voted best of those it was shown with: a DataFrame by model, the best first.

    Its columns are shown (votes in which it took part, those for none, too), best, share (best / shown), low and high
    (the 95 % Wilson score interval of the share), and chance (the share of a model that looks like all others).
    """
    rows = votes.explode("shown")
    rows = rows.assign(won=rows.best == rows.shown, chance=1 / rows.groupby(level=0).shown.transform("size"))
    ranks = rows.groupby("shown").agg(best=("won", "sum"), of=("won", "size"), chance=("chance", "mean"))
    ranks = ranks.rename(columns={"of": "shown"}).rename_axis("model")
    intervals = [binomtest(int(row.best), int(row.shown)).proportion_ci(method="wilson") for row in ranks.itertuples()]
    low, high = ([getattr(interval, end) for interval in intervals] for end in ("low", "high"))
    ranks = ranks.assign(share=ranks.best / ranks.shown, low=low, high=high)
    return ranks[["shown", "best", "share", "low", "high", "chance"]].sort_values("share", ascending=False)


def describe_votes(votes):
    """Return the shares of all models, as HTML."""
    none = int((votes.best == "").sum())
    return (
        f"<p>{len(votes)} vote{'s' * (len(votes) > 1)}, {none} of them for none. Share: of the votes in which a model "
        "was shown, with its 95 % Wilson interval; chance: the share of a model that looks like the others.</p>"
        + rank_votes(votes).to_html(float_format="{:.2f}".format)
    )
