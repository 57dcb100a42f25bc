"""How much brighter a capture has to become: one function for the panel and for restore."""

import numpy as np
from scipy.ndimage import median_filter

MAX_RATIO = 300  # the largest of the data set
BRIGHT = 0.54  # the median of find_bright over the sample's train photographs: one of them is of a night
BLOCKS_PX = 3  # side of the median over blocks: hot pixels, lines and lamps of up to two blocks do not move it
TAIL = 1.25  # times the 95th percentile: more the 98th is not, where it is one of lamps
DARK = 0.25  # times the read noise: where medians of greens differ by less, a capture shows nothing


def find_bright(signal):
    """Return the level in 0…1 of what is bright in a Signal, white balanced, lamps and defects apart.

    It is the 98th percentile of medians over 3 × 3 blocks, each of its brightest colour, or not far above the 95th,
    where a few percent are lamps.
    """
    medians = median_filter(signal.camera_rgb, (BLOCKS_PX, BLOCKS_PX, 1), mode="nearest") * signal.white_balance
    often, seldom = np.percentile(medians.max(axis=-1).clip(max=1), (95, 98))
    return max(float(min(seldom, TAIL * often)), 1e-6)


def estimate_ratio(signal, most=MAX_RATIO):
    """Return the exposure ratio that would make a Signal as bright as photographs are, from 1 to `most`."""
    return float(np.clip(BRIGHT / find_bright(signal), 1, most))


def is_dark(signal, read, black_doubt):
    """Return whether a Signal shows no light: its greens differ no more than the noise of the dark, nor lie above it.

    Args:
        read, black_doubt: of its Noise, where white is 1.
    """
    greens = median_filter(signal.camera_rgb[..., 1], BLOCKS_PX, mode="nearest")
    low, middle, high = np.percentile(greens, (5, 50, 95))
    return bool(high - low < DARK * read and middle < max(black_doubt, DARK * read))
