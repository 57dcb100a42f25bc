"""The noise of a Sony α7S II, from its calibration table (data/sony_a7s2_noise.csv)."""

from functools import cache

import numpy as np
import pandas as pd

from sidlib import paths
from sidlib.raw import camera_to_srgb

MODEL = "Sony ILCE-7SM2"
MAKE_TAG, MODEL_TAG = "SONY", "ILCE-7SM2"  # as the camera itself spells them
BLACK, WHITE = 512, 16383  # counts (DN), 14 bit
PATTERN = "RGGB"
# CIE XYZ to camera RGB, × 10⁴: LibRaw's entry for this camera.
XYZ_TO_CAMERA = np.array([[5838, -1430, -246], [-3497, 11477, 2297], [-748, 1885, 5778]])
TO_SRGB = camera_to_srgb(XYZ_TO_CAMERA)


@cache
def load_noise_table():
    """Return the calibrated noise per ISO: a DataFrame indexed by iso, in counts (DN) of the 14-bit raw."""
    return pd.read_csv(paths.DATA / "sony_a7s2_noise.csv", index_col="iso")


def see(linear, white_balance, to_srgb=TO_SRGB):
    """Return what a camera sees of a picture under a light: linear camera RGB, white of green 1; raw.render undoes it.

    Args:
        linear: float (height, width, 3), linear sRGB in 0…1.
        white_balance: gains of R, G, B under the light. to_srgb: of the camera, see raw.Mosaic.
    Returns:
        float64 (height, width, 3): what gains of less precision would change, the noise of a simulation makes other.
    """
    return np.clip(linear @ np.linalg.inv(to_srgb).T, 0, 1) / np.asarray(white_balance, float)


def lay_mosaic(camera_rgb, pattern=PATTERN):
    """Return what the pixels of a sensor with a Bayer pattern see of a picture (height, width, 3): (height, width)."""
    mosaic = np.empty(camera_rgb.shape[:2], camera_rgb.dtype)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = camera_rgb[row::2, column::2, "RGB".index(colour)]
    return mosaic


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
    noise = _find_noise(iso)
    if not ratio > 0:
        raise ValueError(f"ratio must be positive. Received: {ratio}")
    gain = noise.gain_dn_per_e
    counts = gain * rng.poisson(signal_dn / (ratio * gain))
    counts += noise.tukey_scale_dn * tukey_lambda(rng.random(signal_dn.shape), noise.tukey_lambda)
    counts += rng.normal(0, noise.row_sigma_dn, (len(signal_dn), 1))
    counts += noise.black_error_dn + BLACK
    return np.clip(np.rint(counts), 0, WHITE).astype(np.uint16)


def expose_reduced(camera_rgb, ratio, iso, rng, scale=10):
    """Simulate the short exposure of a scene at reduced size, as raw.reduce_mosaic would find it after expose.

    Where a block averages so many pixels, the sum of their noise is all but normal, so one draw a block and colour
    takes the place of a draw a pixel: a hundredth of the work, which makes fresh noise in every epoch affordable.

    Args:
        camera_rgb: float (h, w, 3), the long exposure as linear camera RGB, black 0 and white 1.
        ratio, iso, rng: see expose.
        scale: side in pixels of the blocks that became one pixel.
    Returns:
        float32 (h, w, 3), linear camera RGB, black 0 and white 1.
    Source: that of expose.
    """
    noise, span = load_noise_table().loc[iso], WHITE - BLACK
    side, samples = _count_samples(scale)
    gain = noise.gain_dn_per_e
    electrons = np.maximum(camera_rgb, 0) * (span / (ratio * gain))
    counts = gain / samples * rng.poisson(electrons * samples)
    pixel_dn = np.hypot(noise.read_sigma_dn, np.sqrt(1 / 12))  # with rounding
    counts += rng.normal(0, pixel_dn / np.sqrt(samples), camera_rgb.shape)
    red_rows, blue_rows = rng.normal(0, noise.row_sigma_dn / np.sqrt(side), (2, len(camera_rgb), 1))
    counts += np.stack([red_rows, (red_rows + blue_rows) / 2, blue_rows], axis=-1)
    return ((counts + noise.black_error_dn) / span).astype(np.float32)


def average_noise(iso, scale=10):
    """Return the noise of a picture at 1 / scale of its size: its variance is gain × signal + variance.

    Returns:
        gain and variance, two arrays of R, G, B, for a signal whose black is 0 and white 1.
    Raises:
        ValueError: the table has no such ISO.
    """
    noise, span = _find_noise(iso), WHITE - BLACK
    side, samples = _count_samples(scale)
    rows = noise.row_sigma_dn**2 / side * np.array([1, 0.5, 1])  # green has its pixels from both kinds of rows
    variance = (noise.read_sigma_dn**2 + 1 / 12) / samples + rows
    return noise.gain_dn_per_e / samples / span, variance / span**2


def _find_noise(iso):
    """The row of the calibration table for an ISO; ValueError if it has none."""
    table = load_noise_table()
    if iso not in table.index:
        raise ValueError(f"iso must be one of {list(table.index)}. Received: {iso}")
    return table.loc[iso]


def _count_samples(scale):
    """Of how many pixels a plain mean is as noisy as a reduced pixel: along a side, and in all for R, G, B."""
    weights = np.array([0.75, *[1] * (scale // 2 - 1), 0.25])  # raw._sum_rows gives them to one place's pixels in a row
    side = weights.sum() ** 2 / np.square(weights).sum()
    return side, side**2 * np.array([1, 2, 1])


def correct_black(camera_rgb, iso):
    """Return linear camera RGB without the black level error that this camera is known to have at an ISO.

    One to three counts of 16383 are nothing to a long exposure; in a short one that is amplified three hundred times
    they colour all shadows. An ISO that the calibration lacks is left as it is.

    Args:
        camera_rgb: float (h, w, 3), black 0 and white 1.
        iso: of the capture.
    Source: a part of the dark shading correction of Feng et al. (ACM MM 2022), whose calibration this is.
    """
    offset_dn = load_noise_table().black_error_dn.get(iso, 0.0)
    return camera_rgb - np.float32(offset_dn / (WHITE - BLACK))


def tukey_lambda(uniform, shape):
    """Quantiles of the Tukey-lambda distribution: like a normal one, with the heavier tails of real read noise.

    The formula of scipy.stats.tukeylambda.ppf for a shape other than 0, at a tenth of its time.
    """
    return (uniform**shape - (1 - uniform) ** shape) / shape
