"""White, black and grey of a capture, as its mosaic shows them."""

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import ndtr

PILE_PX = 16  # so many pixels of a CFA position at least are a pile-up
PILE_TIMES = 4  # as many as the same interval of counts holds on average farther below
PILE_WIDTH = 1 / 256  # of the counts above black, an interval; a pile-up is in the highest PILE_HIGH of them
PILE_HIGH, PILE_BELOW = 8, 24
PILE_SPREAD = 0.5  # times the noise: a pile-up is narrower, and what is evenly bright is not
NEAR_PX = 7  # side, in pixels of one CFA position, of the mean that tells how much was cut off
CUT_SHARE = 0.005  # of all pixels at the lowest count: more are a black that was cut off


def find_white(mosaic, noise):
    """Return the count at which a Mosaic is clipped: where its highest counts pile up, or else what its file states.

    Each CFA position may have its own; the lowest is taken, so that what is clipped stays white.
    """
    found = [mosaic.white]
    for place, (row, column) in enumerate(np.ndindex(2, 2)):
        counts, black = mosaic.counts[row::2, column::2], mosaic.black[place]
        top = float(counts.max(initial=0))
        width = max(1, int((top - black) * PILE_WIDTH))
        if top - black < 2 * PILE_BELOW * width:  # too few levels of counts to tell a pile-up from noise
            continue
        high = counts[counts > top - PILE_BELOW * width]
        intervals = np.bincount((top - high).astype(int) // width, minlength=PILE_BELOW)
        peak = int(intervals[:PILE_HIGH].argmax())
        near = intervals[max(peak - 1, 0) : peak + 2].sum()
        if near < PILE_PX or near < PILE_TIMES * 3 * intervals[peak + 3 :].mean():
            continue
        pile = high[np.abs((top - high) // width - peak) <= 1]
        noise_dn = np.sqrt(noise.read_dn**2 + noise.gain_dn * max(top - black, 0))
        if pile.std() < PILE_SPREAD * noise_dn:
            found.append(float(np.percentile(pile, 10)))
    return min(found)


def restore_cut(mosaic, noise, seed=0):
    """Return a Mosaic whose black was cut off as if it had not been: counts below black are there, on a pedestal.

    A pixel at the lowest count becomes the mean of the normal noise below it, of the light that the mean of its like
    neighbours tells: E[max(0, x)] = μ Φ(μ / σ) + σ φ(μ / σ), inverted, with σ² = read² + K μ. So means are right at all
    levels, and the noise nearly. A dither keeps fractions of a count.

    Args:
        mosaic: a raw.Mosaic; one whose black was not cut off is returned as it is.
        noise: its Noise.
    Returns:
        the Mosaic; black and white lie higher by a pedestal of six times the read noise.
    """
    floor = int(mosaic.counts.min())
    if (floor > 0 and floor < mosaic.black.mean()) or np.mean(mosaic.counts == floor) < CUT_SHARE:
        return mosaic
    pedestal, rng = int(np.ceil(6 * noise.read_dn)) + 1, np.random.default_rng(seed)
    light = np.concatenate([np.linspace(-4, 4, 81), np.geomspace(4.1, 50, 40)]) * noise.read_dn  # μ, above the floor
    sigma = np.sqrt(noise.read_dn**2 + noise.gain_dn * np.maximum(light, 0))
    below = (0.5 - light) / sigma  # a count is at the floor if it is less than half a count above
    density = np.exp(-(below**2) / 2) / np.sqrt(2 * np.pi)
    left = light * ndtr(-below) + sigma * density  # the mean of what was not cut, and of zeros
    lost = light - sigma * density / np.maximum(ndtr(below), 1e-6)  # the mean of what was cut
    counts = mosaic.counts.astype(np.int32)
    for row, column in np.ndindex(2, 2):
        plane = counts[row::2, column::2]
        near = uniform_filter((plane - floor).astype(np.float32), NEAR_PX, mode="reflect")
        filled = np.floor(floor + np.interp(near, left, lost) + rng.random(plane.shape, np.float32)).astype(np.int32)
        counts[row::2, column::2] = np.where(plane == floor, np.minimum(filled, floor), plane)
    counts = np.clip(counts + pedestal, 0, 65535).astype(np.uint16)
    white = min(mosaic.white + pedestal, 65535.0)
    return type(mosaic)(**{**vars(mosaic), "counts": counts, "black": mosaic.black + pedestal, "white": white})


def grey_world(mosaic):
    """Return the white balance (3,) that makes a Bayer Mosaic grey on average: LibRaw's automatic one.

    Source: LibRaw's scale_colors with use_auto_wb: means over blocks of 8 × 8 pixels, of which those are left out that
    hold a pixel within 25 counts of white; below black is 0.
    """
    height, width = (side // 8 * 8 for side in mosaic.counts.shape)
    blocks = mosaic.counts[:height, :width].reshape(height // 8, 8, width // 8, 8)
    kept = blocks.max(axis=(1, 3)) <= mosaic.white - 25
    sums = dict.fromkeys("RGB", 0.0)
    for place, colour in enumerate(mosaic.pattern):
        row, column = divmod(place, 2)
        light = np.maximum(blocks[:, row::2, :, column::2].astype(np.float32) - np.float32(mosaic.black[place]), 0)
        sums[colour] += light.sum(axis=(1, 3))[kept].sum(dtype=float) / mosaic.pattern.count(colour)
    means = np.array([sums[colour] for colour in "RGB"])
    return means.max() / means if means.min() > 0 else np.ones(3)
