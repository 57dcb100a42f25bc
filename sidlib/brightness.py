"""How much brighter a dark capture has to become."""

import numpy as np
from scipy.ndimage import maximum_filter, median_filter

MAX_RATIO = 300  # the paper's code amplifies by no more
BRIGHT = 0.49  # geometric mean of find_bright over the sample's train and val photographs
BLOCKS = 3  # side of the median: hot pixels, lines and lamps of up to two blocks do not move it
TAIL = 1.25  # times the 95th percentile: where the 98th is higher, it is one of lamps
LIGHTS = 2.0  # times the 75th: what is brighter are lights; in photographs the 98th is 1.2 to 4 times as high
SHOWN = 2.0  # times the noise of blocks: a 75th percentile of less shows nothing, and only lights are there to see
CLIPPED, FEWEST = 0.95, 0.1  # of white, in a block that is saturated; share of blocks that have to be left
DARK = 0.25  # times the read noise: where medians of green differ by less, a capture shows nothing


def exposure_ratio(short_s, long_s):
    """Return the gain that makes a short exposure as bright as its long one, at most MAX_RATIO."""
    return np.minimum(long_s / short_s, MAX_RATIO)


def find_bright(signal, lights=LIGHTS):
    """Return the level in 0…1 of what is bright in a raw.Signal, white-balanced, lamps and defects apart.

    It is the 98th percentile of medians over 3 × 3 blocks, each of its brightest colour, or not far above the 95th and
    the 75th: a window, fire or moon does not darken the room. Nor do saturated blocks and their neighbours, which do
    not count, unless they are nearly all. lights: np.inf keeps what is not clipped.
    """
    medians = median_filter(signal.camera_rgb, (BLOCKS, BLOCKS, 1), mode="nearest")
    unclipped = maximum_filter(medians.max(axis=-1), BLOCKS) < CLIPPED  # and not beside such
    balanced = (medians * signal.white_balance).max(axis=-1).clip(max=1)
    counted = balanced[unclipped] if unclipped.mean() > FEWEST else balanced
    usual, often, seldom = np.percentile(counted, (75, 95, 98))
    noise = np.median(np.abs(signal.camera_rgb - medians), axis=(0, 1)) * signal.white_balance
    most = lights * usual if usual > SHOWN * noise.max() else np.inf
    return max(float(min(seldom, TAIL * often, most)), 1e-6)


def estimate_ratio(signal, most=MAX_RATIO, lights=LIGHTS):
    """Return the exposure ratio, 1 to `most`, that makes a raw.Signal as bright as photographs usually are.

    For captures without a long exposure. The estimate is off by as much as the scene is brighter or darker than usual;
    photographs spread by a stop. lights: see find_bright.
    """
    return float(np.clip(BRIGHT / find_bright(signal, lights), 1, most))


def is_dark(signal, read, black_doubt):
    """Return whether a Signal shows no light: green differs no more than the noise of the dark, nor lies above it.

    Args:
        read, black_doubt: read noise and standard error of the black level, where white is 1.
    """
    greens = median_filter(signal.camera_rgb[..., 1], BLOCKS, mode="nearest")
    low, middle, high = np.percentile(greens, (5, 50, 95))
    return bool(high - low < DARK * read and middle < max(black_doubt, DARK * read))
