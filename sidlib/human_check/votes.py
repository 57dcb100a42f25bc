"""Blind votes: which of several outputs looks best to a person who does not know which model made them."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime

import ipywidgets as widgets
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from sidlib.human_check.viewer import Mode, button, row

PAIR, VIEW = ["dataset", "scene", "frame", "short_s"], ["zoom", "across", "down", "stops"]
COLUMNS = ["time", *PAIR, "shown", "best", *VIEW]
SEED = 0  # of the order of models and pictures


class BlindVote(Mode):
    """A vote on the test picture that the comparison shows: names and scores are hidden until it is cast."""

    def __init__(self, viewer, comparison, file):
        super().__init__(viewer)
        self.comparison, self.file, self.choices = comparison, file, comparison.choices
        self.labels, self.count = {}, 0  # {"A": name, …}; votes so far
        self.ballot, self.ranking = row(), widgets.HTML()
        self.next = button("Next picture", self.choose_next, button_style="primary")
        self.controls = [row(self.ballot, self.next), self.ranking]

    @property
    def titles(self):
        return {label if self.hides else f"{label}: {name}": name for label, name in self.labels.items()}

    def begin(self):
        """Shuffle the chosen models by SEED and the number of votes; once they are shown, offer a button for each."""
        self.viewer.pictures, self.ballot.children, self.ranking.value = [], [], ""  # no name stays while models run
        self.capture, self.hides = self.comparison.load(self.viewer.choice), True
        chosen = [*super().titles]
        self.count = len(load_votes(self.file))
        order = np.random.default_rng((SEED, self.count)).permutation(len(chosen))
        self.labels = {chr(ord("A") + place): chosen[of] for place, of in enumerate(order)}
        super().begin()
        if len(chosen) < 2:
            self.ranking.value = "Choose at least two models to vote on."
            return
        texts = {label: f"{label} is best" for label in self.labels} | {"": "They cannot be told apart"}
        self.ballot.children = [button(text, lambda _, label=label: self.vote(label)) for label, text in texts.items()]

    def vote(self, label):
        """Keep a vote for a label, "" for none, and reveal the names; a second vote on the same is ignored."""
        if not self.hides:
            return
        pair = self.comparison.test[self.viewer.choice]
        vote = {name: getattr(pair, name) for name in PAIR} | {name: getattr(self.viewer, name) for name in VIEW}
        vote |= {"shown": list(self.labels.values()), "best": self.labels.get(label, "")}
        with self.telling("Keeping the vote"):
            append_vote(self.file, vote)
            votes = load_votes(self.file)
            self.hides, self.count, self.ranking.value = False, len(votes), describe_votes(votes)
            self.ballot.children = []
            self.viewer.render()
            chosen = f"You chose {label}, which is {self.labels[label]}" if label else "You could not tell them apart"
            self.viewer.status = f"{chosen}. The vote is kept."
            self.next.focus()

    def choose_next(self, button=None):
        """Go on to the picture whose turn it is, in an order drawn from SEED."""
        order = np.random.default_rng(SEED).permutation(len(self.choices))
        following = int(order[self.count % len(order)])
        if following == self.viewer.choice:
            self.begin()
        self.viewer.choice = following
        if self.ballot.children:
            self.ballot.children[0].focus()


def append_vote(file, vote):
    """Append a vote to a file of JSON Lines; it is on disk when this returns.

    A vote is a dict of COLUMNS without time: shown is the list of names in the order shown, best one of them or "".
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
    rows = votes.assign(model=votes.shown, chance=1 / votes.shown.str.len()).explode("model")
    rows = rows.assign(won=rows.best == rows.model)
    ranks = rows.groupby("model").agg(shown=("won", "size"), best=("won", "sum"), chance=("chance", "mean"))
    tests = [binomtest(int(row.best), int(row.shown)) for row in ranks.itertuples()]
    ranks[["low", "high"]] = [test.proportion_ci(method="wilson") for test in tests]
    ranks["share"] = ranks.best / ranks.shown
    return ranks[["shown", "best", "share", "low", "high", "chance"]].sort_values("share", ascending=False)


def describe_votes(votes):
    """Return the shares of all models, as HTML."""
    none = int((votes.best == "").sum())
    return (
        f"<p>{len(votes)} vote{'s' * (len(votes) > 1)}, {none} of them for none. Share: of the votes in which a model "
        "was shown, with its 95 % Wilson interval; chance: the share of a model that looks like the others.</p>"
        + rank_votes(votes).to_html(float_format="{:.2f}".format)
    )
