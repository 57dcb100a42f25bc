"""How much brighter a dark capture has to become."""

import numpy as np

MAX_RATIO = 300  # the paper's code amplifies by no more
BRIGHT = 0.38  # geometric mean of find_bright over the long exposures of the sample's train photographs


def exposure_ratio(short_s, long_s):
    """Return the gain that makes a short exposure as bright as its long one, at most MAX_RATIO."""
    return np.minimum(long_s / short_s, MAX_RATIO)


def find_bright(signal):
    """Return the 99th percentile of a raw.Signal's white-balanced values in 0…1: bright, but not a lamp."""
    return max(float(np.percentile(signal.camera_rgb * signal.white_balance, 99)), 1e-6)


def estimate_ratio(signal):
    """Return the exposure ratio, 1 to MAX_RATIO, that makes a raw.Signal as bright as long exposures usually are.

    For captures without a long exposure. The estimate is off by as much as the scene is brighter or darker than usual;
    the train photographs' long exposures spread by one stop.
    """
    return float(np.clip(BRIGHT / find_bright(signal), 1, MAX_RATIO))
