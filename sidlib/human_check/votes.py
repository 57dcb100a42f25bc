"""Blind votes: which of several outputs looks best to a person who does not know whose they are."""

import csv
import io
import json
import os
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
    """Append a vote to a CSV file; it is on disk when this returns, and what was there stays.

    Args:
        file: votes.csv; made where it is not there.
        vote: dict of COLUMNS without time: shown is the list of names in the order shown, best one of them or "" if
            they cannot be told apart.
    Raises:
        ValueError: best is not among those shown. OSError: the file cannot be written.
    """
    if vote["best"] and vote["best"] not in vote["shown"]:
        raise ValueError(f"best must be one of {vote['shown']}, or empty. Received: {vote['best']!r}")
    texts = {name: _write_text(vote[name]) for name in ("dataset", "scene", "best")}
    vote = vote | texts | {"time": datetime.now(UTC).isoformat(timespec="seconds"), "shown": json.dumps(vote["shown"])}
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+b") as target:
        lines = io.StringIO()
        if target.seek(0, os.SEEK_END) == 0:
            lines.write(",".join(COLUMNS) + "\n")
        else:
            target.seek(-1, os.SEEK_END)
            lines.write("" if target.read() == b"\n" else "\n")  # the line before was cut off
        csv.DictWriter(lines, COLUMNS, lineterminator="\n").writerow(vote)
        target.write(lines.getvalue().encode())
        target.flush()
        os.fsync(target.fileno())


def load_votes(file):
    """Return the votes of a CSV file, a DataFrame of COLUMNS with lists in `shown`; lines that were cut off are not."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").split("\n") if file.is_file() else []
    rows = [row for line in lines for row in csv.reader([line]) if len(row) == len(COLUMNS) and row != COLUMNS]
    return pd.DataFrame(map(_read_row, rows), columns=COLUMNS)


def _write_text(text):
    """A vote is a line: text that does not fit into one, or not into UTF-8, is written as JSON."""
    text = str(text)
    return text if text.isprintable() and not text.startswith('"') else json.dumps(text)


def _read_row(row):
    vote = dict(zip(COLUMNS, row, strict=True))
    try:
        texts = {name: json.loads(text) for name, text in vote.items() if name == "shown" or text.startswith('"')}
    except ValueError:  # votes were kept so before names could hold anything
        texts = {"shown": vote["shown"].split(" | ")}
    return vote | texts


def rank_votes(votes):
    """Return how often each model was voted best of those it was shown with, the best first.

    Returns:
        DataFrame indexed by model: shown (votes in which it took part), best, share (best / shown), low and high (the
        95 % Wilson score interval of the share), chance (the share of a model that looks like all others). Votes for
        none count as shown and are nobody's.
    """
    rows = votes.explode("shown")
    rows = rows.assign(won=rows.best == rows.shown, chance=1 / rows.groupby(level=0).shown.transform("size"))
    ranks = rows.groupby("shown").agg(best=("won", "sum"), of=("won", "size"), chance=("chance", "mean"))
    intervals = [binomtest(row.best, row.of).proportion_ci(method="wilson") for row in ranks.astype(int).itertuples()]
    ranks = ranks.rename(columns={"of": "shown"}).rename_axis("model")
    ranks = ranks.assign(
        share=ranks.best / ranks.shown,
        low=[interval.low for interval in intervals],
        high=[interval.high for interval in intervals],
    )
    return ranks[["shown", "best", "share", "low", "high", "chance"]].sort_values("share", ascending=False)
