"""Blind votes: which of several outputs looks best to a person who does not know which model made them."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.stats import binomtest

COLUMNS = ["time", "dataset", "scene", "frame", "short_s", "shown", "best", "seed", "zoom", "across", "down", "stops"]


def shuffle_names(names, seed, number):
    """Return {"A": name, "B": name, …} in an order drawn from a seed and the number of the vote alone."""
    order = np.random.default_rng((seed, number)).permutation(len(names))
    return {chr(ord("A") + place): names[of] for place, of in enumerate(order)}


def append_vote(file, vote):
    """Append a vote to a file of JSON Lines; it is on disk when this returns.

    Args:
        vote: dict of COLUMNS without time: shown is the list of names in the order shown, best one of them or "" if
            they cannot be told apart.
    Raises:
        ValueError: best is not among those shown. OSError: the file cannot be written.
    """
    if vote["best"] and vote["best"] not in vote["shown"]:
        raise ValueError(f"best must be one of {vote['shown']}, or empty. Received: {vote['best']!r}")
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
    """Return how often each model was voted best of those it was shown with, the best first.

    Returns:
        DataFrame indexed by model: shown (votes in which it took part), best, share (best / shown), low and high (the
        95 % Wilson score interval of the share), chance (the share of a model that looks like all others). A vote for
        none counts as shown for all.
    """
    rows = votes.explode("shown")
    rows = rows.assign(won=rows.best == rows.shown, chance=1 / rows.groupby(level=0).shown.transform("size"))
    ranks = rows.groupby("shown").agg(best=("won", "sum"), of=("won", "size"), chance=("chance", "mean"))
    ranks = ranks.rename(columns={"of": "shown"}).rename_axis("model")
    intervals = [binomtest(int(row.best), int(row.shown)).proportion_ci(method="wilson") for row in ranks.itertuples()]
    low, high = ([getattr(interval, end) for interval in intervals] for end in ("low", "high"))
    ranks = ranks.assign(share=ranks.best / ranks.shown, low=low, high=high)
    return ranks[["shown", "best", "share", "low", "high", "chance"]].sort_values("share", ascending=False)
