"""What a DNG says of its black beside BlackLevel: masked pixels, and steps of rows and columns. Goes into rawfile/raw.

rawfile.KEPT_TAGS gains "MaskedAreas", "BlackLevelDeltaH" and "BlackLevelDeltaV".
"""

from contextlib import suppress

import numpy as np
from sidlib.rawfile import find_raw_pages


def read_masked(raw, pages):
    """Return the counts of the masked pixels of an open file: those of MaskedAreas, none without that tag."""
    with suppress(IndexError, KeyError, TypeError, ValueError):
        areas = np.reshape(find_raw_pages(pages)[-1].tags["MaskedAreas"].value, (-1, 4)).tolist()
        return np.concatenate([raw.raw_image[top:bottom, left:right].ravel() for top, left, bottom, right in areas])
    return np.empty(0, np.uint16)


def take_black_deltas(counts, raw, pages):
    """Return counts without BlackLevelDeltaV and H, what black has more in each row and column: as they are if none.

    LibRaw adds the mean of each, rounded, to the black level, so that is left. Fractions are rounded.
    """
    tags = find_raw_pages(pages)[-1].tags if find_raw_pages(pages) else {}
    black = np.zeros((1, 1))
    for axis, name in enumerate(("BlackLevelDeltaV", "BlackLevelDeltaH")):
        with suppress(KeyError, TypeError, ValueError):
            pairs = np.reshape(tags[name].value, (-1, 2)).astype(float)
            deltas = np.divide(*pairs.T, out=np.zeros(len(pairs)), where=pairs[:, 1] != 0)
            # LibRaw drops one row or column more at an odd border
            steps = deltas[len(deltas) - counts.shape[axis] :] - np.floor(deltas.mean() + 0.5)
            black = black + (steps[:, None] if axis == 0 else steps)
    return np.clip(counts - np.rint(black), 0, 65535).astype(np.uint16) if black.any() else counts
