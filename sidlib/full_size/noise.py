"""The noise of one capture: from its camera's calibration, from its file, or from the mosaic itself."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import nnls
from scipy.special import ndtr, ndtri

from sidlib import camera

ROUNDING_DN = 12**-0.5  # the standard deviation of rounding to whole counts
BLOCK_PX = 16  # side of the blocks whose variance and mean are measured, within one CFA position
SPREAD = 0.17  # relative standard deviation of the variance of a block that holds nothing but noise
FEWEST = 16  # blocks that a line is fitted to
LIT = 0.8  # of the highest count: brighter blocks may be clipped, since the white level is often stated too high
EVEN = 0.54  # (mean |d|)² / mean d² is 2 / π of normal noise, less of texture and of blocks that a codec flattened
QUIET = 0.2  # share of the blocks: so many that are flat and even are noise
FLAT_DN = 0.4  # blocks that vary less may have been flattened: they are believed where there are no others
FULL_WELL_E = 4e5  # no pixel holds more electrons, which bounds K from below
LEAST_READ_E = 0.7  # of today's sensors, and of the network's training
MOST_BLOCKS = 3000  # of each CFA position, about: more tell no more
MOST_CUT = 0.8  # share of a block's pixels that may be cut off at black
REFUSED = 0.67, 2.0  # times the variance that a claim predicts: where the mosaic has less or more, it is refused
LOWEST, BEGIN = 0.1, 0.8  # share of the blocks to start from, and their variance relative to noise alone
NEAR = (1 - 2.5 * SPREAD, 1 + 0.5 * SPREAD)  # variances, relative to the line's, of blocks that are fitted: no texture
NEAR_MEAN = 0.915  # mean of those relative variances for noise alone (χ² with 68 degrees of freedom)
UNEVEN, FLATTENED = 0.3, 0.15  # share of the blocks below the line, and the part of their variance that is calm, if a
# codec made them uneven: it took noise from the dark ones
ALL, LOST = 0.95, 1.5  # such a share that it took noise from all of them, and σ over what it left
LOSSY_READ_E = 2.0  # read noise in electrons, at least, where a codec took it
USUAL_READ_E = 3.0  # read noise in electrons, assumed where a mosaic has too little light to tell its gain


class Noise(NamedTuple):
    """The noise of a capture."""

    gain_dn: float  # K, counts per electron
    read_dn: float  # standard deviation in the dark in counts, rounding included
    black_dn: float  # how many counts the black level lies above the stated one
    source: str  # "calibration", "NoiseProfile" or "estimate"

    @property
    def black_doubt_dn(self):
        """Standard error of the black level in counts; stated ones are off by 0.03 to 1.8 times the read noise."""
        if self.source == "calibration":
            return 0.002 * self.read_dn
        return (0.05 if self.black_dn else 1) * self.read_dn  # masked pixels told it, or nothing

    def predict_variance(self, light_dn):
        """Return the variance of pixels of given counts above black."""
        return self.gain_dn * np.maximum(light_dn, 0) + self.read_dn**2


def find_noise(mosaic, camera_name="", iso=0, profile=None, black_dn=0.0):
    """Return the Noise of a Bayer raw.Mosaic, and a list of sentences on a claim that it refutes, see REFUSED.

    Args:
        camera_name: maker and model. black_dn: see Noise, where masked pixels tell it.
        profile: the numbers of the DNG tag NoiseProfile, scale and offset, once or per colour.
    """
    claim = None
    if (known := find_own_calibration(mosaic, camera_name, iso)) is not None:
        black_dn, read_dn = float(known.black_error_dn), float(np.hypot(known.read_sigma_dn, ROUNDING_DN))
        claim = Noise(float(known.gain_dn_per_e), read_dn, black_dn, "calibration")
    elif levels := read_profile(profile, mosaic.white - mosaic.black.mean()):
        claim = Noise(*levels, black_dn, "NoiseProfile")
    *levels, means = estimate_noise(mosaic, black_dn)
    seen = Noise(*levels, black_dn, "estimate")
    if not claim:
        return seen, []
    ratios = seen.predict_variance(means) / claim.predict_variance(means)
    if (REFUSED[0] < ratios).all() and (ratios < REFUSED[1]).all():
        return claim, []
    off = ratios.min() if ratios.min() <= REFUSED[0] else ratios.max()
    return seen, [f"Its {claim.source} is not believed: the mosaic has {off:.2g} times the variance that it states"]


def find_own_calibration(mosaic, camera_name, iso):
    """Return camera.find_calibration, or None if a mosaic states another black level than the calibrated camera's."""
    return camera.find_calibration(camera_name, iso) if np.allclose(mosaic.black, camera.BLACK, rtol=0.02) else None


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
    gain, read_dn = float(scale * span_dn), float(offset**0.5 * span_dn)
    return gain, max(read_dn, ROUNDING_DN, LEAST_READ_E * gain)


def measure_black_errors(masked, mosaic):
    """Return how many counts masked pixels lie above the stated black levels, (4,); 0 if few or not evenly dark.

    Lit or filled ones are off by more than their own spread, or spread more than the darkest tenth of the picture.
    masked: their counts, an array for each CFA position.
    """
    if min(map(len, masked), default=0) < 250:  # a standard error of 0.06 times their spread
        return np.zeros(4)
    rows = mosaic.counts.mean(axis=1).argsort(kind="stable")
    darkest = mosaic.counts[rows[: max(1, len(rows) // 10)]]
    offsets = [counts - black for counts, black in zip(masked, mosaic.black, strict=True)]
    spread, dark = (np.ptp(np.percentile(counts, (16, 84))) / 2 for counts in (np.concatenate(offsets), darkest))
    errors = np.array([each[np.abs(each - np.median(each)) <= 3 * spread].mean() for each in offsets])
    return errors if 0 < spread <= 2 * dark + 1 and np.abs(errors).max() <= spread else np.zeros(4)


def estimate_noise(mosaic, black_dn=0.0):
    """Return gain and read noise in counts of a Bayer raw.Mosaic, and the means above black that they were found at.

    They are told by variance and mean of small blocks. Blocks of noise alone lie on a line, blocks with texture above
    it. In too little or too even light to tell a slope, the read noise is assumed to be USUAL_READ_E electrons.
    black_dn: see Noise. The means are their 2nd, 50th and 98th percentile.
    """
    means, variances, highest, even = _measure_blocks(mosaic)
    means, top, black = means - black_dn, mosaic.counts.max(initial=1), mosaic.black.mean()
    brightest = min(top, mosaic.white)
    unclipped = highest < (LIT * brightest if brightest > mosaic.white / 2 else np.inf)
    if unclipped.sum() < FEWEST:  # all are equally bright
        unclipped = highest < brightest
    even, rough = unclipped & (even > 0), unclipped & (variances > FLAT_DN**2)
    kept = even & rough
    if kept.sum() < FEWEST and even.sum() > QUIET * unclipped.sum():
        kept = even  # a camera with so little noise
    elif kept.sum() < 4:  # texture is everywhere, or a codec has flattened nearly all
        calm = _measure_blocks(mosaic, of_quartile=True)[1]
        textured = rough & (calm > FLAT_DN**2)
        if textured.sum() >= FEWEST:
            variances, even, kept = calm, textured, textured
        else:
            kept = rough if rough.any() else unclipped
    if not kept.any():
        return 1.0, 1.0, means[kept]
    if kept.sum() >= FEWEST and even[kept].any():
        gain, read_dn = _fit_blocks(means[kept], variances[kept])
    else:
        gain, read_dn = _assume_read_noise(np.median(means[kept]), np.median(variances[kept]))
    line = Noise(gain, read_dn, black_dn, "estimate").predict_variance(means)
    below = unclipped & (variances > 1) & (variances < line)
    if is_cut(mosaic.counts.min(), black):
        below &= means > 2 * np.sqrt(line)
    uneven = below & ~even
    share = uneven.sum() / max(below.sum(), FEWEST)
    if share > UNEVEN and _is_flattened(mosaic, variances, uneven):
        gain, read_dn = np.multiply(LOST if share > ALL else 1, (gain, max(read_dn, LOSSY_READ_E * gain)))
    gain = max(gain, max(top - black, 1) / FULL_WELL_E)
    return float(gain), float(max(read_dn, ROUNDING_DN, LEAST_READ_E * gain)), np.percentile(means[kept], (2, 50, 98))


def _is_flattened(mosaic, variances, uneven):
    """Whether a codec made blocks uneven: most of their pixels hardly vary, which neither texture nor a table does."""
    calm = _measure_blocks(mosaic, of_quartile=True)[1][uneven]
    if np.median(calm / variances[uneven]) >= FLATTENED:
        return False
    low, middle = np.percentile(mosaic.counts, (10, 50))
    dark = mosaic.counts[(low <= mosaic.counts) & (mosaic.counts <= middle)]
    return len(np.unique(dark)) > 1 + 0.5 * (middle - low)  # a table of few levels rounds, but takes no noise away


def _fit_blocks(means, variances):
    """Gain and read noise of the line near which, from the least varied blocks on, blocks of noise alone lie."""
    kept, predicted = np.zeros(len(means), bool), np.maximum(variances, ROUNDING_DN**2)
    for alike in np.array_split(np.argsort(means, kind="stable"), 8):
        kept[alike] = variances[alike] <= np.quantile(variances[alike], LOWEST)
    for step in range(30):
        scale = SPREAD * predicted[kept]  # the error of a variance
        design = np.stack([means[kept], np.ones_like(scale)], axis=1) / scale[:, None]
        line = nnls(design, variances[kept] / scale)[0] / (NEAR_MEAN if step else BEGIN)
        predicted = np.maximum(line[0] * means + line[1], ROUNDING_DN**2)
        relative = variances / predicted
        near = (relative > NEAR[0]) & (relative < NEAR[1])
        if (near == kept).all() or near.sum() < FEWEST:
            break
        kept = near
    error = np.linalg.pinv(design.T @ design)[0, 0] ** 0.5  # of the gain
    if not line[0] > 2 * error:
        return _assume_read_noise(np.median(means), np.median(predicted))
    return line[0], max(line[1], 0) ** 0.5


def _assume_read_noise(mean, variance):
    """Gain and read noise of a given variance at one mean: variance = K · mean + (USUAL_READ_E · K)²."""
    mean, variance, square = max(float(mean), 0), max(float(variance), ROUNDING_DN**2), USUAL_READ_E**2
    gain = (np.sqrt(mean**2 + 4 * square * variance) - mean) / (2 * square)
    return gain, USUAL_READ_E * gain


def _measure_blocks(mosaic, of_quartile=False):
    """Mean above black, variance, highest count of blocks of each CFA position, and 1 if they are even: (4, blocks).

    The variance is that of second differences in both directions, which are normal in even blocks, or is told by the
    quartile of their size, which texture in less than half of a block hardly moves.
    Source: Immerkær, Fast Noise Variance Estimation (CVIU 1996).
    """
    counts, _ = camera.align(mosaic.counts, "RGGB")  # of even size, positions in the order of mosaic.black
    floor, blocks, tall = counts.min(), [], 2 * BLOCK_PX
    skip = -(-counts.size // (4 * BLOCK_PX**2 * MOST_BLOCKS))  # one row of blocks of so many is enough
    for top in range(0, max(len(counts) - tall - 3, 1), tall * skip):
        strip = camera.pack(counts[top : top + tall + 4])
        for position, black in zip(np.moveaxis(strip, -1, 0), mosaic.black, strict=True):
            values = position.astype(np.float32)
            differences = np.diff(np.diff(values, 2, axis=0), 2, axis=1)
            differences, values = (split_blocks(each) for each in (differences, values[1:-1, 1:-1]))
            squares = np.square(differences).mean(axis=1)
            even = np.abs(differences).mean(axis=1) ** 2 > EVEN * np.maximum(squares, 36 / 12 / 2)
            cut = (values <= floor).mean(axis=1) * is_cut(floor, black)
            cut[cut <= 0.01] = 0
            # Of normal noise, a share was cut off at 0
            level = -ndtri(np.clip(cut, 1e-3, 1 - 1e-3))  # mean, in standard deviations above the cut
            density, above = np.exp(-(level**2) / 2) / np.sqrt(2 * np.pi), ndtr(level)
            whole = squares / 36 / ((1 + level**2) * above + level * density - (density + level * above) ** 2)
            means = np.where(cut > 0, level * np.sqrt(whole), values.mean(axis=1) - black)
            variances = np.where(cut > 0, whole, squares / 36)
            if of_quartile:
                variances = np.square(np.quantile(np.abs(differences), 0.25, axis=1) / ndtri(0.625)) / 36
            blocks.append(np.stack([means, variances, values.max(axis=1, initial=0), even & (cut < MOST_CUT)]))
    return np.concatenate(blocks, axis=1)


def is_cut(floor, black):
    """Return whether the lowest count of a mosaic is where a camera cuts off: 0, or its black level."""
    return floor == 0 or floor >= np.mean(black)


def split_blocks(values):
    """Return the blocks of a picture (H, W), a row each: (blocks, BLOCK_PX²); a small picture is one."""
    if min(values.shape) < BLOCK_PX:
        return values.reshape(1, -1)
    return sliding_window_view(values, (BLOCK_PX, BLOCK_PX))[::BLOCK_PX, ::BLOCK_PX].reshape(-1, BLOCK_PX**2)
