"""The noise of a Sony α7S II, from its calibration table (data/sony_a7s2_noise.csv)."""

from functools import cache

import numpy as np
import pandas as pd

from sidlib import paths
from sidlib.raw import camera_to_srgb

MODEL = "Sony ILCE-7SM2"
BLACK, WHITE = 512, 16383  # counts (DN), 14 bit
PATTERN = "RGGB"
# CIE XYZ to camera RGB, × 10⁴: LibRaw's entry for this camera.
XYZ_TO_CAMERA = np.array([[5838, -1430, -246], [-3497, 11477, 2297], [-748, 1885, 5778]])
TO_SRGB = camera_to_srgb(XYZ_TO_CAMERA)


@cache
def load_noise_table():
    """Return the calibrated noise per ISO: a DataFrame indexed by iso, in counts (DN) of the 14-bit raw."""
    return pd.read_csv(paths.DATA / "sony_a7s2_noise.csv", index_col="iso")


def expose(signal_dn, ratio, iso, rng):
    """Simulate one capture of a scene: D = K · Poisson(I / (ratio · K)) + read + row + black_error + rounding.

    Args:
        signal_dn: float (H, W), the noise-free signal I of the long exposure, in DN above black, as a mosaic.
        ratio: how many times shorter than the long exposure this one is; 1 simulates the long exposure itself.
        iso: an ISO of the calibration table.
        rng: numpy Generator; the only source of chance.
    Returns:
        uint16 (H, W), raw counts in 0…16383 with the black level of 512 on.
    Raises:
        ValueError: the table has no such ISO, or the ratio is not positive.
    Source: the physics-based model of Wei et al. (CVPR 2020) with the calibration of Feng et al. (ACM MM 2022).
    """
    table = load_noise_table()
    if iso not in table.index:
        raise ValueError(f"iso must be one of {list(table.index)}. Received: {iso}")
    if not ratio > 0:
        raise ValueError(f"ratio must be positive. Received: {ratio}")
    noise = table.loc[iso]
    gain = noise.gain_dn_per_e
    counts = gain * rng.poisson(signal_dn / (ratio * gain))
    counts += noise.tukey_scale_dn * _tukey_lambda(rng.random(signal_dn.shape), noise.tukey_lambda)
    counts += rng.normal(0, noise.row_sigma_dn, (len(signal_dn), 1))
    counts += noise.black_error_dn + BLACK
    return np.clip(np.rint(counts), 0, WHITE).astype(np.uint16)


def _tukey_lambda(uniform, shape):
    """Quantiles of the Tukey-lambda distribution: like a normal one, with the heavier tails of real read noise.

    The formula of scipy.stats.tukeylambda.ppf for a shape other than 0, at a tenth of its time.
    """
    return (uniform**shape - (1 - uniform) ** shape) / shape
