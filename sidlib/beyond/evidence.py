"""Which differences between scores are real."""

import numpy as np
from scipy.stats import bootstrap


def average_photographs(scores, metric="mae"):
    """Return means over frames, then scenes, of one experiment's rows of load_study: a DataFrame (photograph, seed)."""
    of_scenes = scores.groupby(["photograph", "scene", "seed"], as_index=False)[metric].mean()
    return of_scenes.pivot_table(metric, "photograph", "seed")


def compare_photographs(first, second):
    """Return how two DataFrames of average_photographs differ, as a dict.

    It has the mean difference, first − second; low and high of its 95 % bootstrap interval over the photographs; the
    numbers of photographs and seeds; and the verdict: "lower" or "higher" if the interval and all pairs of seeds agree,
    else "cannot be told". A ValueError says that the photographs are not the same.
    """
    if set(first.index) != set(second.index):
        raise ValueError(f"Both need the same photographs. Received: {sorted(first.index)} and {sorted(second.index)}")
    differences = (first.mean(axis=1) - second.mean(axis=1)[first.index]).to_numpy()
    low, high = -np.inf, np.inf  # one photograph says nothing about others
    if len(differences) > 1:
        low, high = bootstrap((differences,), np.mean, method="percentile", rng=0).confidence_interval
    of_seeds = np.subtract.outer(first.mean().to_numpy(), second.mean().to_numpy())
    verdict = "cannot be told"
    if high < 0 and (of_seeds < 0).all():
        verdict = "lower"
    elif low > 0 and (of_seeds > 0).all():
        verdict = "higher"
    counts = {"photographs": len(differences), "seeds": f"{first.shape[1]}, {second.shape[1]}"}
    return {"difference": differences.mean(), "low": low, "high": high, **counts, "verdict": verdict}
