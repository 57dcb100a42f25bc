"""Which differences between scores are real, and whether a picture of a flat colour is flat."""

import numpy as np
from scipy.stats import bootstrap

FLAT_COLOURS = {
    "grey": (128, 128, 128),
    "blue": (20, 30, 220),
    "green": (30, 200, 40),
    "red": (220, 30, 20),
    "cyan": (20, 200, 200),
    "magenta": (200, 20, 200),
    "yellow": (220, 220, 20),
}


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


def score_flat(output, colour):
    """Return the errors of a picture (height, width, 3) that should show one colour, in its worst channel: a dict.

    grid: the range of the means at the four positions of 2 × 2 pixels (a checkerboard artefact). off: the mean's error.
    """
    positions = [output[row::2, column::2].mean(axis=(0, 1)) for row, column in np.ndindex(2, 2)]
    return {"grid": np.ptp(positions, axis=0).max(), "off": np.abs(output.mean(axis=(0, 1)) - colour).max()}
