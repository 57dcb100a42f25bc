"""Whether a picture of a flat colour is flat."""

import numpy as np

FLAT_COLOURS = {
    "grey": (128, 128, 128),
    "blue": (20, 30, 220),
    "green": (30, 200, 40),
    "red": (220, 30, 20),
    "cyan": (20, 200, 200),
    "magenta": (200, 20, 200),
    "yellow": (220, 220, 20),
}


def score_flat(output, colour):
    """Return the errors of a picture (height, width, 3) that should show one colour, in its worst channel: a dict.

    grid: the range of the means at the four positions of 2 × 2 pixels (a checkerboard artefact). off: the mean's error.
    """
    positions = [output[row::2, column::2].mean(axis=(0, 1)) for row, column in np.ndindex(2, 2)]
    return {"grid": np.ptp(positions, axis=0).max(), "off": np.abs(output.mean(axis=(0, 1)) - colour).max()}
