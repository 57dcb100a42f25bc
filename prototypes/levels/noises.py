"""The noise of one capture: what its camera's calibration or its file claims, held against what the mosaic shows.

Drops into full_size/noise.py: find_noise, estimate_noise and _measure_blocks replace those of the same names;
_fit_line, _predict, _from_one, measure_black and read_profile stay.
"""

import numpy as np
from scipy.special import ndtr, ndtri
from sidlib.beyond.full_size.noise import (
    BEGIN,
    BLOCK_PX,
    FEWEST,
    LIT,
    LOWEST,
    NEAR,
    NEAR_MEAN,
    ROUNDING_DN,
    Noise,
    _cut_blocks,
    _fit_line,
    _from_one,
    _predict,
    measure_black,
    read_profile,
)
from sidlib.beyond.full_size.stable import align, pack
from sidlib.sample import camera

EVEN = 0.54  # (mean |d|)² / mean d² is 2 / π of normal noise; less of texture, and of blocks that a codec made flat
QUIET = 0.2  # of all blocks: so many that are flat and even are noise
FLAT_DN = 0.4  # what varies less may have been flattened: it is believed where there is nothing else
FULL_WELL_E = 4e5  # more electrons no pixel holds: so K is bounded from below
LEAST_READ_E = 0.7  # of today's sensors, and of the network's training
MOST_BLOCKS = 3000  # of each CFA position, about: more do not make the line better known
MOST_CUT = 0.8  # the share of a block's pixels that may be cut off at black
REFUSED = 0.67, 2.0  # times what a claim predicts: where the mosaic's variance is less or more, it is refused


def find_noise(mosaic, camera_name="", iso=0, profile=None, masked=None, remarks=None):
    """Return the Noise of a Bayer capture: calibrated or stated, if the mosaic bears it out, or else its own estimate.

    Args: see noise.find_noise.
        remarks: a list that a sentence is added to where a claim is refused.
    """
    claim, black_dn = None, measure_black(masked, mosaic)
    table = camera.load_noise_table()
    as_calibrated = np.allclose(mosaic.black, camera.BLACK, rtol=0.02)
    if camera_name.casefold() == camera.MODEL.casefold() and iso in table.index and as_calibrated:
        known = table.loc[iso]
        black_dn = float(known.black_error_dn)
        claim = float(known.gain_dn_per_e), float(np.hypot(known.read_sigma_dn, ROUNDING_DN)), "calibration"
    elif (levels := read_profile(profile, mosaic.white - mosaic.black.mean())) is not None:
        claim = levels[0], max(levels[1], LEAST_READ_E * levels[0]), "NoiseProfile"
    seen, means = estimate_noise(mosaic, black_dn, with_means=True)
    if claim:
        ratios = _variance(seen, means) / _variance(claim, means)
        if not len(means) or REFUSED[0] < ratios.min() and ratios.max() < REFUSED[1]:
            return Noise(*claim[:2], black_dn, claim[2])
        if remarks is not None:
            off = ratios.min() if ratios.min() <= REFUSED[0] else ratios.max()
            remarks.append(
                f"Its {claim[2]} is not believed: the mosaic has {off:.2g} times the variance that it claims"
            )
    return Noise(*seen, black_dn, "estimate")


def _variance(noise, means):
    return noise[0] * np.maximum(means, 0) + noise[1] ** 2


def estimate_noise(mosaic, black_dn=0.0, with_means=False):
    """Return gain and read noise in counts that a Bayer mosaic itself shows: see noise.estimate_noise.

    with_means: return also the means at which it was seen, the 2nd, 50th and 98th percentile, or none.
    """
    means, variances, highest, even = _measure_blocks(mosaic)
    means, top = means - black_dn, mosaic.counts.max(initial=1)
    brightest = min(top, mosaic.white)
    unclipped = highest < (LIT * brightest if brightest > mosaic.white / 2 else np.inf)
    if unclipped.sum() < FEWEST:  # all is as bright
        unclipped = highest < brightest
    least = max(top - mosaic.black.mean(), 1) / FULL_WELL_E
    even, rough = unclipped & (even > 0), unclipped & (variances > FLAT_DN**2)
    kept = even & rough
    if kept.sum() < FEWEST and even.sum() > QUIET * unclipped.sum():
        kept = even  # a camera with so little noise
    elif kept.sum() < 4:  # a codec has flattened nearly all
        kept = rough if rough.any() else unclipped
    if kept.sum() >= FEWEST and (kept & even).any():
        noise = _draw_line(means[kept], variances[kept])
    else:
        noise = _from_one(np.median(means[kept]), np.median(variances[kept])) if kept.any() else (1.0, 1.0)
    means = means[kept]
    gain = max(noise[0], least)
    noise = gain, max(noise[1], ROUNDING_DN, LEAST_READ_E * gain)
    return (noise, np.percentile(means, (2, 50, 98)) if len(means) else means) if with_means else noise


def _draw_line(means, variances):
    """Gain and read noise of the line that the least varied blocks are on: the loop of noise.estimate_noise."""
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


def _measure_blocks(mosaic):
    """Return of blocks: mean (above black), variance, the highest count, and 1 where it is of noise alone; (4, blocks).

    See noise._measure_blocks. Second differences that are not normal are not of noise alone (EVEN). Of a block that
    is partly cut off at black, mean and variance are those of the normal noise that has such a share below 0.
    """
    counts, _ = align(mosaic.counts, "RGGB")  # the places in the order of mosaic.black
    floor, blocks, tall = counts.min(), [], 2 * BLOCK_PX
    skip = -(-counts.size // (4 * BLOCK_PX**2 * MOST_BLOCKS))  # of rows of blocks every so manieth is enough
    cut_blocks = _cut_blocks if min(counts.shape) >= tall + 4 else lambda values: values.reshape(1, -1)  # all as one
    for top in range(0, max(len(counts) - tall - 3, 1), tall * skip):
        for place, black in zip(np.moveaxis(pack(counts[top : top + tall + 4]), -1, 0), mosaic.black, strict=True):
            values = place.astype(np.float32)
            steps = np.diff(np.diff(values, 2, axis=0), 2, axis=1)
            steps, values = (cut_blocks(each) for each in (steps, values[1:-1, 1:-1]))
            squares = np.square(steps).mean(axis=1)
            even = np.abs(steps).mean(axis=1) ** 2 > EVEN * np.maximum(squares, 36 / 12 / 2)
            cut = (values <= floor).mean(axis=1) if is_cut(floor, black) else np.zeros(len(values))
            means, variances = uncut(values.mean(axis=1) - black, squares / 36, np.where(cut > 0.01, cut, 0))
            even &= cut < MOST_CUT
            blocks.append(np.stack([means, variances, values.max(axis=1, initial=0), even]))
    return np.concatenate(blocks, axis=1)


def is_cut(floor, black):
    """Whether the lowest count of a mosaic is where a camera cuts off: at its black level, or at 0."""
    return floor == 0 or floor >= np.mean(black)


def uncut(means, variances, cut):
    """Return mean and variance of normal noise, of which a share was cut off at 0, from those of what was left."""
    level = -ndtri(np.clip(cut, 1e-3, 1 - 1e-3))  # in standard deviations above the cut
    density, above = np.exp(-(level**2) / 2) / np.sqrt(2 * np.pi), ndtr(level)
    mean = density + level * above
    whole = variances / ((1 + level**2) * above + level * density - mean**2)
    return np.where(cut > 0, level * np.sqrt(whole), means), np.where(cut > 0, whole, variances)
