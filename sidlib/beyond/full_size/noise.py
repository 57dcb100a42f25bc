"""The noise of one capture: from the calibration of its camera, from its file, or from the mosaic itself."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import nnls

from sidlib.beyond.full_size.stable import align, pack
from sidlib.sample import camera

ROUNDING_DN = 12**-0.5  # the standard deviation of rounding to whole counts
BLOCK_PX = 16  # side of the blocks of a place that variance and mean are taken of
SPREAD = 0.17  # relative standard deviation of such a block's variance where there is noise alone
FEWEST = 16  # blocks that a line can be drawn through
LIT = 0.8  # of the highest count: what is higher may be clipped, for the white level is often stated too high
CUT_VARIANCE = 0.5 - 1 / (2 * np.pi)  # of noise with a variance of 1 around 0, once what is below 0 was cut off
LOWEST, BEGIN = 0.1, 0.8  # the share of blocks to begin with, and about how low their variance is
NEAR = (1 - 2.5 * SPREAD, 1 + 0.5 * SPREAD)  # of the line's variance: blocks that it follows, few of them with texture
NEAR_MEAN = 0.915  # times its variance is the mean of those, where there is noise alone (χ² of 68 degrees of freedom)
USUAL_READ_E = 3.0  # read noise in electrons, taken where a mosaic has too little light to tell its gain


class Noise(NamedTuple):
    """The noise of a capture: its variance is gain_dn × signal + read_dn².

    Attributes:
        gain_dn: K, counts an electron.
        read_dn: standard deviation in the dark, counts, rounding included.
        black_dn: how much too low the file states its black level, counts.
        source: "calibration", "NoiseProfile" or "estimate".
    """

    gain_dn: float
    read_dn: float
    black_dn: float
    source: str

    @property
    def black_doubt_dn(self):
        """About how wrong the black level may still be, counts: little where its error was calibrated or measured.

        What files state is off by 0.03 to 1.8 times the read noise at the ISOs of the calibration, most by 0.1 to 0.7.
        """
        return self.read_dn * (0.002 if self.source == "calibration" else 0.05 if self.black_dn else 1)


def find_noise(mosaic, camera_name="", iso=0, profile=None, masked=None):
    """Return the Noise of a Bayer capture from the best source that there is.

    Args:
        mosaic: its raw.Mosaic.
        camera_name: maker and model; that of the calibration is known at the ISOs of its table, where black and white
            lie where they did then.
        iso: of the capture.
        profile: the numbers of the DNG tag NoiseProfile, scale and offset for each colour or once for all.
        masked: counts of pixels that no light reached, if the sensor has some; their black level is that of `mosaic`.
    """
    table = camera.load_noise_table()
    as_calibrated = np.allclose([*mosaic.black, mosaic.white], [camera.BLACK] * 4 + [camera.WHITE], rtol=0.02)
    if camera_name.casefold() == camera.MODEL.casefold() and iso in table.index and as_calibrated:
        known = table.loc[iso]
        read_dn = np.hypot(known.read_sigma_dn, ROUNDING_DN)
        return Noise(float(known.gain_dn_per_e), float(read_dn), float(known.black_error_dn), "calibration")
    black_dn = measure_black(masked, mosaic)
    if (levels := read_profile(profile, mosaic.white - mosaic.black.mean())) is not None:
        return Noise(*levels, black_dn, "NoiseProfile")
    return Noise(*estimate_noise(mosaic, black_dn), black_dn, "estimate")


def read_profile(profile, span_dn):
    """Return gain and read noise in counts of a NoiseProfile, means over its colours; None where it states no noise.

    Source: Adobe's DNG specification 1.4: the variance is scale × signal + offset where black is 0 and white 1.
    """
    values = np.ravel([] if profile is None else profile).astype(float)
    if values.size < 2 or values.size % 2 or not np.isfinite(values).all():
        return None
    scale, offset = values.reshape(-1, 2).mean(axis=0)
    if scale <= 0 or offset < 0:
        return None
    return float(scale * span_dn), float(max(offset**0.5 * span_dn, ROUNDING_DN))


def measure_black(masked, mosaic):
    """Return by how many counts masked pixels lie above the black level; 0 where they are none or not evenly dark.

    Some cameras fill their borders with zeros or leak light into them: what lies more than its own spread beside black,
    or spreads more than the darkest tenth of the picture, is not believed.
    """
    if masked is None or masked.size < 1000:
        return 0.0
    spread, dark = (np.ptp(np.percentile(counts, (16, 84))) / 2 for counts in (masked, _darkest(mosaic.counts)))
    offset = masked[np.abs(masked - np.median(masked)) <= 3 * spread].mean() - mosaic.black.mean()
    return float(offset) if 0 < spread <= 2 * dark + 1 and abs(offset) <= spread else 0.0


def _darkest(counts):
    rows = counts.mean(axis=1).argsort(kind="stable")
    return counts[rows[: max(1, len(rows) // 10)]]


def estimate_noise(mosaic, black_dn=0.0):
    """Return gain and read noise in counts that a Bayer mosaic itself shows: variance against mean of small blocks.

    A line through blocks whose variance is that of noise alone: begun at the least varied blocks, it moves to where
    most lie around it, and those with texture stay above. Where there is so little light, or so even, that its slope
    is not to be told, the read noise is taken for USUAL_READ_E electrons. So it is where a camera has taken black off
    and cut off what was below, and nothing is bright enough to be whole.

    Args:
        mosaic: a raw.Mosaic with a pattern of Bayer's. black_dn: see Noise.
    """
    means, variances, cut, highest = _measure_blocks(mosaic)
    brightest = min(highest.max(initial=0), mosaic.white)
    unclipped = highest < (LIT * brightest if brightest > mosaic.white / 2 else np.inf)
    if unclipped.sum() < FEWEST:  # all is as bright
        unclipped = highest < mosaic.white
    whole, half = unclipped & (cut < 0.01), np.abs(cut - 0.5) < 0.2
    if whole.sum() < FEWEST and half.any():
        return _from_one(0, np.median(variances[half]) / CUT_VARIANCE)
    means, variances = means[whole] - black_dn, variances[whole]
    if len(means) < FEWEST:
        return _from_one(np.median(means), np.median(variances)) if len(means) else (1.0, 1.0)
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
        return _from_one(np.median(means), np.median(_predict(line, means)))
    return float(gain), float(max(dark, ROUNDING_DN**2)) ** 0.5


def _from_one(mean, variance):
    """The gain and read noise of USUAL_READ_E electrons with a given variance at one mean: K · mean + (E · K)²."""
    mean, variance = max(float(mean), 0), max(float(variance), ROUNDING_DN**2)
    square = USUAL_READ_E**2
    gain = (np.sqrt(mean**2 + 4 * square * variance) - mean) / (2 * square)
    return float(gain), float(USUAL_READ_E * gain)


def _measure_blocks(mosaic):
    """Return of blocks of each place: mean (above black), variance, share of zeros, and the highest count; (4, blocks).

    The variance is that of the second difference both ways, which planes and curved surfaces do not have, nor have it
    rows of another level. Source: Immerkær, Fast Noise Variance Estimation (CVIU 1996).
    """
    counts, _ = align(mosaic.counts, "RGGB")  # the places in the order of mosaic.black
    blocks = []
    for place, black in zip(np.moveaxis(pack(counts), -1, 0), mosaic.black, strict=True):
        values = place.astype(np.float32)
        smooth = np.diff(np.diff(values, 2, axis=0), 2, axis=1) ** 2 / 36
        smooth, values = (_cut_blocks(each) for each in (smooth, values[1:-1, 1:-1]))
        cut, highest = (values <= 0).mean(axis=1), values.max(axis=1, initial=0)
        blocks.append(np.stack([values.mean(axis=1) - black, smooth.mean(axis=1), cut, highest]))
    return np.concatenate(blocks, axis=1)


def _cut_blocks(values):
    """The blocks of a picture, one a row: (blocks, BLOCK_PX²)."""
    if min(values.shape) < BLOCK_PX:
        return np.empty((0, BLOCK_PX**2), values.dtype)
    windows = sliding_window_view(values, (BLOCK_PX, BLOCK_PX))[::BLOCK_PX, ::BLOCK_PX]
    return windows.reshape(-1, BLOCK_PX**2)


def _predict(line, means):
    """The variances of a line (gain, variance in the dark) at given means, nowhere less than that of rounding."""
    return np.maximum(line[0] * means + line[1], ROUNDING_DN**2)


def _fit_line(means, variances, line):
    """Return the least squares line (gain, variance in the dark), and the standard error of its gain.

    A block counts by how well its variance is known, which is relative to the variance that the line before predicts.
    """
    scale = SPREAD * (np.maximum(variances, ROUNDING_DN**2) if line is None else _predict(line, means))
    design = np.stack([means, np.ones_like(means)], axis=1) / scale[:, None]
    fitted, _ = nnls(design, variances / scale)  # neither is negative
    return fitted, np.linalg.pinv(design.T @ design)[0, 0] ** 0.5
