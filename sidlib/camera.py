"""The simulated and calibrated camera, in the order of its pipeline: each step stands beside its inverse.

Simulating a capture is unprocess, mosaic, expose; developing one is reduce (see raw), correct_black, render. The noise
is that of a Sony α7S II, SID's camera, from its calibration table (data/sony_a7s2_noise.csv).
"""

import math
from functools import cache

import numpy as np
import pandas as pd

from sidlib import paths

MODEL = "Sony ILCE-7SM2"
MAKE_TAG, MODEL_TAG = "SONY", "ILCE-7SM2"  # as the camera itself spells them
BLACK, WHITE = 512, 16383  # counts (DN), 14 bit
SPAN = WHITE - BLACK
# The number of pixels whose plain mean is as noisy as a pixel at a tenth: along a side, and in all for R, G, B.
WEIGHTS = np.array([0.75, 1, 1, 1, 1, 0.25])  # raw._sum_rows gives them to one position's pixels
SIDE_SAMPLES = WEIGHTS.sum() ** 2 / np.square(WEIGHTS).sum()
SAMPLES = SIDE_SAMPLES**2 * np.array([1, 2, 1])
STRIP_PX = 512  # rows that are exposed at once, for the memory of a capture of 12 megapixels
PATTERN = "RGGB"
ORDERS = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}  # row and column of the first red
# Linear sRGB to CIE XYZ for a D65 white: IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
# CIE XYZ to camera RGB, × 10⁴: LibRaw's entry for this camera.
XYZ_TO_CAMERA = np.array([[5838, -1430, -246], [-3497, 11477, 2297], [-748, 1885, 5778]])


def decode_srgb(encoded):
    """Return linear light in 0…1 of sRGB values in 0…1 (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear):
    """Return sRGB values in 0…1 of linear light, which is clipped to 0…1: the inverse of decode_srgb."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def quantize(linear, bits=8):
    """Return the sRGB picture of linear light, uint8 with 8 bits or uint16 with 16."""
    return np.rint(encode_srgb(linear) * (2**bits - 1)).astype(f"uint{bits}")


def compute_ccm(xyz_to_camera):
    """Return the camera matrix, (3, 3): white-balanced camera RGB to linear sRGB; rows sum to 1: grey stays grey.

    Source: dcraw's cam_xyz_coeff: rows of (XYZ to camera RGB) · (sRGB to XYZ) are scaled to sum to 1, then inverted.
    """
    srgb_to_camera = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    return np.linalg.inv(srgb_to_camera / srgb_to_camera.sum(axis=1, keepdims=True))


CCM = compute_ccm(XYZ_TO_CAMERA)


def unprocess(linear, white_balance, ccm=CCM, most=1):
    """Return camera RGB of linear sRGB (H, W, 3), green's white 1: render's inverse, in float64 as noise needs it.

    Light above `most` times white is clipped.
    """
    return np.clip(_multiply(linear, np.linalg.inv(ccm)), 0, most) / np.asarray(white_balance, float)


def render(camera_rgb, white_balance, ccm, gain=1.0):
    """Return linear sRGB of linear camera RGB: gain, white balance, clip at white, camera matrix; float32.

    Channels are clipped before the matrix, at most at a saturated pixel's level: such highlights stay neutral.
    """
    balanced = np.minimum(camera_rgb * np.float32(gain) * white_balance.astype(np.float32), np.float32(min(gain, 1)))
    return _multiply(balanced, ccm.astype(np.float32))


def _multiply(colours, matrix):
    """The product of a matrix and each colour, in its type. BLAS rounds differently for other sizes and processors."""
    product = np.empty(colours.shape, matrix.dtype)
    for place, (red, green, blue) in enumerate(matrix):
        product[..., place] = colours[..., 0] * red + colours[..., 1] * green + colours[..., 2] * blue
    return product


def mosaic(camera_rgb, pattern=PATTERN):
    """Return the CFA mosaic (H, W) of a picture (H, W, 3): each pixel keeps the colour of its filter."""
    sampled = np.empty(camera_rgb.shape[:2], camera_rgb.dtype)
    for (row, column), colour in zip(np.ndindex(2, 2), pattern, strict=True):
        sampled[row::2, column::2] = camera_rgb[row::2, column::2, "RGB".index(colour)]
    return sampled


def align(counts, pattern, margin=0, multiple=2):
    """Return a mosaic (H, W) as RGGB with a margin, and the slices (rows, columns) that cut the given one out of it.

    Borders are reflected until height and width are multiples of `multiple`, which is even, as is the margin.
    """
    starts = [margin + first for first in ORDERS[pattern]]
    inner = tuple(slice(start, start + size) for start, size in zip(starts, counts.shape, strict=True))
    borders = [(each.start, margin + -(each.stop + margin) % multiple) for each in inner]
    return np.pad(counts, borders, "reflect"), inner


def align_levels(levels, pattern):
    """Return the levels of a pattern's four CFA positions, such as black levels, in the order of RGGB: (4,)."""
    return np.roll(np.reshape(levels, (2, 2)), ORDERS[pattern], axis=(0, 1)).ravel()


def pack(mosaic):
    """Return a mosaic (H, W) of even size as (H / 2, W / 2, 4): its four CFA positions, of RGGB in this order."""
    return np.stack([mosaic[row::2, column::2] for row, column in np.ndindex(2, 2)], axis=-1)


def unpack(packed):
    """Return the mosaic (H, W) of a packed one, (H / 2, W / 2, 4): the inverse of pack."""
    height, width, _ = packed.shape
    return packed.reshape(height, width, 2, 2).swapaxes(1, 2).reshape(2 * height, 2 * width)


@cache
def load_noise_table():
    """Return the calibrated noise per ISO: a DataFrame indexed by iso, in counts (DN) of the 14-bit raw."""
    return pd.read_csv(paths.DATA / "sony_a7s2_noise.csv", index_col="iso")


def find_calibration(name, iso):
    """Return the row of load_noise_table for a camera's name and an ISO, or None if it was not calibrated."""
    table = load_noise_table()
    return table.loc[iso] if name.casefold() == MODEL.casefold() and iso in table.index else None


def add_noise(electrons, gain_dn, read_dn, rng, tail=None, row_dn=0.0):
    """Return counts above black with shot, read and row noise, drawn in this order: float64 (H, W), not rounded.

    Electrons are the mean per pixel of a mosaic (H, W), gain_dn is K, counts per electron, read_dn and row_dn are
    standard deviations in counts. Read noise follows the Tukey lambda distribution of shape `tail`, or the normal one.
    Source: the physics-based model of Wei et al. (CVPR 2020).
    """
    counts = float(gain_dn) * rng.poisson(electrons)
    if tail is None:
        counts += rng.normal(0, read_dn, counts.shape)
    else:  # scipy.stats.tukeylambda.ppf in a tenth of its time
        uniform = rng.random(counts.shape)
        counts += read_dn / tukey_std(tail) * ((uniform**tail - (1 - uniform) ** tail) / tail)
    return counts + rng.normal(0, row_dn, (len(counts), 1))


def tukey_std(shape):
    """Return the standard deviation of the Tukey lambda distribution, for a shape above −½."""
    shape = shape if abs(shape) > 1e-4 else 1e-4  # the formula cancels out at 0
    return math.sqrt(2 * (1 / (1 + 2 * shape) - math.gamma(1 + shape) ** 2 / math.gamma(2 + 2 * shape))) / abs(shape)


def expose(signal_dn, ratio, iso, rng):
    """Simulate a capture by the calibrated camera, with black-level error and rounding: uint16 (H, W), raw counts.

    signal_dn is the noise-free mosaic, counts above black, of an exposure `ratio` times as long.
    Source: add_noise, with the calibration of Feng et al. (ACM MM 2022).
    """
    noise, strips = load_noise_table().loc[iso], []
    gain, tail = noise.gain_dn_per_e, noise.tukey_lambda
    read_dn = noise.tukey_scale_dn * tukey_std(tail)
    for strip in np.split(signal_dn, range(STRIP_PX, len(signal_dn), STRIP_PX)):
        counts = add_noise(strip / (ratio * gain), gain, read_dn, rng, tail, noise.row_sigma_dn)
        strips.append(np.clip(np.rint(counts + (noise.black_error_dn + BLACK)), 0, WHITE).astype(np.uint16))
    return np.concatenate(strips)


def expose_reduced(camera_rgb, ratio, iso, rng):
    """Simulate a short exposure at a tenth from the long one's camera RGB; float32 (h, w, 3), black 0, white 1.

    It is expose and raw.reduce_mosaic (blocks of 10 × 10 pixels, whose mean is nearly normal) in 1 % of the time.
    """
    noise = load_noise_table().loc[iso]
    gain = noise.gain_dn_per_e
    electrons = np.maximum(camera_rgb, 0) * (SPAN / (ratio * gain))
    counts = gain / SAMPLES * rng.poisson(electrons * SAMPLES)
    pixel_dn = np.hypot(noise.read_sigma_dn, np.sqrt(1 / 12))  # with rounding
    counts += rng.normal(0, pixel_dn / np.sqrt(SAMPLES), camera_rgb.shape)
    red_rows, blue_rows = rng.normal(0, noise.row_sigma_dn / np.sqrt(SIDE_SAMPLES), (2, len(camera_rgb), 1))
    counts += np.stack([red_rows, (red_rows + blue_rows) / 2, blue_rows], axis=-1)
    return ((counts + noise.black_error_dn) / SPAN).astype(np.float32)


def reduced_noise(iso):
    """Return gain and variance, by R, G, B, of a picture at a tenth: noise² = gain × signal + variance."""
    noise = load_noise_table().loc[iso]
    rows = noise.row_sigma_dn**2 / SIDE_SAMPLES * np.array([1, 0.5, 1])  # green has its pixels from both kinds of rows
    variance = (noise.read_sigma_dn**2 + 1 / 12) / SAMPLES + rows
    return noise.gain_dn_per_e / SAMPLES / SPAN, variance / SPAN**2


def correct_black(signal, iso):
    """Return a raw.Signal's camera RGB without its calibrated black-level error; unchanged without a calibration.

    The error of one to three counts tints shadows that are amplified 300 times. Source: Feng et al. (ACM MM 2022).
    """
    noise = find_calibration(signal.camera, iso)
    return signal.camera_rgb if noise is None else signal.camera_rgb - np.float32(noise.black_error_dn / SPAN)


def stabilise(counts, gain_dn, read_dn):
    """Return the variance-stabilising transform of counts above black: noise of standard deviation 1, float32.

    s = 2 (√(e + σ²) − σ) for e ≥ 0 and s = e / σ for e < 0, with e = counts / K and σ in electrons; smooth at 0.
    gain_dn is K, counts per electron, and read_dn the standard deviation in the dark, counts; both are positive.
    Source: the generalised Anscombe transform (Starck, Murtagh and Bijaoui 1998) without its constant 3/8.
    """
    electrons, sigma = np.asarray(counts, np.float32) / np.float32(gain_dn), np.float32(read_dn / gain_dn)
    light = 2 * (np.sqrt(np.maximum(electrons, 0) + sigma**2) - sigma)
    return light + np.minimum(electrons, 0) / sigma


def destabilise(stable, gain_dn, read_dn):
    """Return counts above black, float32: the exact inverse of stabilise."""
    stable, sigma = np.asarray(stable, np.float32), np.float32(read_dn / gain_dn)
    light = np.maximum(stable, 0)
    return (light * (light / 4 + sigma) + np.minimum(stable, 0) * sigma) * np.float32(gain_dn)
