"""The noise of one capture: from its camera's calibration, from its file, or from the mosaic itself."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import nnls

from sidlib import camera

ROUNDING_DN = 12**-0.5  # the standard deviation of rounding to whole counts
BLOCK_PX = 16  # side of the blocks whose variance and mean are measured, within one CFA position
SPREAD = 0.17  # relative standard deviation of the variance of a block that holds nothing but noise
FEWEST = 16  # blocks that a line is fitted to
LIT = 0.8  # of the highest count: brighter blocks may be clipped, since the white level is often stated too high
CUT_VARIANCE = 0.5 - 1 / (2 * np.pi)  # of normal noise with a variance of 1 whose values below 0 were cut off to 0
LOWEST, BEGIN = 0.1, 0.8  # share of the blocks to start from, and their variance relative to noise alone
NEAR = (1 - 2.5 * SPREAD, 1 + 0.5 * SPREAD)  # variances, relative to the line's, of blocks that are fitted: no texture
NEAR_MEAN = 0.915  # mean of those relative variances for noise alone (χ² with 68 degrees of freedom)
USUAL_READ_E = 3.0  # read noise in electrons, assumed where a mosaic has too little light to tell its gain


class Noise(NamedTuple):
    """The noise of a capture: its variance is gain_dn × signal + read_dn².

    Attributes:
        gain_dn: K, counts per electron. read_dn: standard deviation in the dark in counts, rounding included.
        black_dn: how many counts the black level lies above the stated one.
        source: "calibration", "NoiseProfile" or "estimate".
    """

    gain_dn: float
    read_dn: float
    black_dn: float
    source: str

    @property
    def black_doubt_dn(self):
        """Standard error of the black level in counts; stated ones are off by 0.03 to 1.8 times the read noise."""
        if self.source == "calibration":
            return 0.002 * self.read_dn
        return (0.05 if self.black_dn else 1) * self.read_dn  # masked pixels told it, or nothing


def find_noise(mosaic, camera_name="", iso=0, profile=None, masked=None):
    """Return the Noise of a Bayer raw.Mosaic from the best source: calibration, then NoiseProfile, then estimate.

    Args:
        camera_name: maker and model. masked: counts of the sensor's masked pixels, which saw no light.
        profile: the numbers of the DNG tag NoiseProfile, scale and offset, once or per colour.
    """
    known = camera.find_calibration(camera_name, iso)
    levels = [*mosaic.black, mosaic.white]
    if known is not None and np.allclose(levels, [camera.BLACK] * 4 + [camera.WHITE], rtol=0.02):
        read_dn = np.hypot(known.read_sigma_dn, ROUNDING_DN)
        return Noise(float(known.gain_dn_per_e), float(read_dn), float(known.black_error_dn), "calibration")
    black_dn = measure_black_error(masked, mosaic)
    if levels := read_profile(profile, mosaic.white - mosaic.black.mean()):
        return Noise(*levels, black_dn, "NoiseProfile")
    return Noise(*estimate_noise(mosaic, black_dn), black_dn, "estimate")


def read_profile(profile, span_dn):
    """Return gain and read noise in counts of a NoiseProfile, averaged over colours; None if it states no noise.

    Source: Adobe's DNG specification 1.4: the variance is scale × signal + offset, with black 0 and white 1.
    """
    values = np.ravel([] if profile is None else profile).astype(float)
    if values.size < 2 or values.size % 2 or not np.isfinite(values).all():
        return None
    scale, offset = values.reshape(-1, 2).mean(axis=0)
    if scale <= 0 or offset < 0:
        return None
    return float(scale * span_dn), float(max(offset**0.5 * span_dn, ROUNDING_DN))


def measure_black_error(masked, mosaic):
    """Return how many counts masked pixels lie above the stated black level; 0 if they are few or not evenly dark.

    Borders filled with zeros, or lit, show by an offset above their own spread, or by more spread than in the darkest
    tenth of the picture.
    """
    if masked is None or masked.size < 1000:
        return 0.0
    rows = mosaic.counts.mean(axis=1).argsort(kind="stable")
    darkest = mosaic.counts[rows[: max(1, len(rows) // 10)]]
    spread, dark = (np.ptp(np.percentile(counts, (16, 84))) / 2 for counts in (masked, darkest))
    offset = masked[np.abs(masked - np.median(masked)) <= 3 * spread].mean() - mosaic.black.mean()
    return float(offset) if 0 < spread <= 2 * dark + 1 and abs(offset) <= spread else 0.0


def estimate_noise(mosaic, black_dn=0.0):
    """Return gain and read noise in counts, estimated from variance and mean of small blocks of a Bayer raw.Mosaic.

    Blocks of noise alone lie on a line, blocks with texture above it. The fit starts from the least varied blocks and
    follows those near the line until they no longer change. In too little or too even light to tell a slope, and where
    the camera cut off noise below black, the read noise is assumed to be USUAL_READ_E electrons. black_dn: see Noise.
    """
    means, variances, cut, highest = _measure_blocks(mosaic)
    brightest = min(highest.max(initial=0), mosaic.white)
    unclipped = highest < (LIT * brightest if brightest > mosaic.white / 2 else np.inf)
    if unclipped.sum() < FEWEST:  # all are equally bright
        unclipped = highest < mosaic.white
    whole, half = unclipped & (cut < 0.01), np.abs(cut - 0.5) < 0.2
    if whole.sum() < FEWEST and half.any():
        return _assume_read_noise(0, np.median(variances[half]) / CUT_VARIANCE)
    means, variances = means[whole] - black_dn, variances[whole]
    if len(means) < FEWEST:
        return _assume_read_noise(np.median(means), np.median(variances)) if len(means) else (1.0, 1.0)
    kept, line = np.zeros(len(means), bool), None
    for alike in np.array_split(np.argsort(means, kind="stable"), 8):
        kept[alike] = variances[alike] <= np.quantile(variances[alike], LOWEST)
    for step in range(30):
        line, error = _fit_line(means[kept], variances[kept], line)
        line = line / (NEAR_MEAN if step else BEGIN)
        relative = variances / _predict(line, means)
        near = (relative > NEAR[0]) & (relative < NEAR[1])
        if (near == kept).all() or near.sum() < FEWEST:
            break
        kept = near
    gain, dark = line
    if not gain > 2 * error:
        return _assume_read_noise(np.median(means), np.median(_predict(line, means)))
    return float(gain), float(max(dark, ROUNDING_DN**2)) ** 0.5


def _assume_read_noise(mean, variance):
    """Gain and read noise of a given variance at one mean: variance = K · mean + (USUAL_READ_E · K)²."""
    mean, variance, square = max(float(mean), 0), max(float(variance), ROUNDING_DN**2), USUAL_READ_E**2
    gain = (np.sqrt(mean**2 + 4 * square * variance) - mean) / (2 * square)
    return float(gain), float(USUAL_READ_E * gain)


def _measure_blocks(mosaic):
    """Mean above black, variance, share of zeros and highest count of each block of each CFA position: (4, blocks).

    The variance is that of second differences in both directions, which ignore slopes, curvature and row offsets.
    Source: Immerkær, Fast Noise Variance Estimation (CVIU 1996).
    """
    counts, _ = camera.align(mosaic.counts, "RGGB")  # of even size, positions in the order of mosaic.black
    blocks = []
    for position, black in zip(np.moveaxis(camera.pack(counts), -1, 0), mosaic.black, strict=True):
        values = position.astype(np.float32)
        differences = np.diff(np.diff(values, 2, axis=0), 2, axis=1) ** 2 / 36
        differences, values = (_split_blocks(each) for each in (differences, values[1:-1, 1:-1]))
        cut, highest = (values <= 0).mean(axis=1), values.max(axis=1, initial=0)
        blocks.append(np.stack([values.mean(axis=1) - black, differences.mean(axis=1), cut, highest]))
    return np.concatenate(blocks, axis=1)


def _split_blocks(values):
    """The blocks of a picture (H, W), a row each: (blocks, BLOCK_PX²)."""
    if min(values.shape) < BLOCK_PX:
        return np.empty((0, BLOCK_PX**2), values.dtype)
    return sliding_window_view(values, (BLOCK_PX, BLOCK_PX))[::BLOCK_PX, ::BLOCK_PX].reshape(-1, BLOCK_PX**2)


def _predict(line, means):
    """The variances of a line (gain, variance in the dark) at given means, at least that of rounding."""
    return np.maximum(line[0] * means + line[1], ROUNDING_DN**2)


def _fit_line(means, variances, line):
    """The least-squares line (gain, variance in the dark), neither negative, and the standard error of its gain.

    Blocks are weighted by the precision of their variance, relative to that predicted by the previous line.
    """
    scale = SPREAD * (np.maximum(variances, ROUNDING_DN**2) if line is None else _predict(line, means))
    design = np.stack([means, np.ones_like(means)], axis=1) / scale[:, None]
    fitted, _ = nnls(design, variances / scale)
    return fitted, np.linalg.pinv(design.T @ design)[0, 0] ** 0.5
