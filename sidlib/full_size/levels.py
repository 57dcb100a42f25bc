"""White and black of a capture as its own pixels show them."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import ndtr

from sidlib.full_size.noise import BLOCK_PX, MOST_BLOCKS, is_cut, split_blocks

PILE_PX = 16  # clipped pixels of a CFA position, at least
PILE_TIMES = 4  # as many as the same interval of counts holds on average farther below
PILE_WIDTH = 1 / 256  # width of an interval, of the counts above black
PILE_HIGH, PILE_BELOW = 8, 24  # a pile-up lies in the highest intervals; these are compared with those below
ALIKE = 0.85  # of the highest count of all: CFA positions that clip do so at nearly the same count
PILE_SPREAD = 0.5  # times the noise: a pile-up is narrower than what is evenly bright
NEAR_PX = 7  # side, within a CFA position, of the mean that tells how much was cut off
BELOW = 6  # standard errors that they lie below the black level if that is wrong: noise of rows makes it 5
BELOW_DN = 0.5  # counts, at least: the mean of rounded counts is off by so much where there is little noise
CUT_SHARE = 0.005  # of all pixels at the lowest count: more of them are a black that was cut off


def find_white(mosaic, noise):
    """Return the count at which a Bayer raw.Mosaic is clipped: where its highest counts pile up, or else as stated.

    Each CFA position may have its own; the lowest is returned, so that clipped pixels stay white.
    """
    found, lowest = [mosaic.white], ALIKE * float(mosaic.counts.max())
    for position, (row, column) in enumerate(np.ndindex(2, 2)):
        counts, black = mosaic.counts[row::2, column::2], mosaic.black[position]
        top = float(counts.max(initial=0))
        width = max(1, int((top - black) * PILE_WIDTH))
        if top - black < 2 * PILE_BELOW * width:  # too few levels to tell a pile-up from noise
            continue
        high = counts[counts > top - PILE_BELOW * width]
        intervals = (top - high).astype(int) // width
        numbers = np.bincount(intervals, minlength=PILE_BELOW)
        peak = int(numbers[:PILE_HIGH].argmax())
        near = numbers[max(peak - 1, 0) : peak + 2].sum()
        pile = high[np.abs(intervals - peak) <= 1]
        narrow = pile.std() < PILE_SPREAD * np.sqrt(noise.predict_variance(top - black))
        many = near >= max(PILE_PX, PILE_TIMES * 3 * numbers[peak + 3 :].mean())
        if many and narrow and pile.min() > lowest and _fill_square((counts >= pile.min()) & (counts <= pile.max())):
            found.append(float(np.percentile(pile, 10)))
    return min(found)


def _fill_square(clipped):
    """Whether pixels of one CFA position (h, w) fill a square of 2 × 2 somewhere, which no defect does."""
    return (clipped[1:, 1:] & clipped[1:, :-1] & clipped[:-1, 1:] & clipped[:-1, :-1]).any()


def lower_black(mosaic):
    """Return the black levels, (4,), of a Bayer raw.Mosaic: as stated, or lower where its darkest blocks lie below.

    Light only adds to black. A block is told by the mean of the middle half of its counts, which defects do not move;
    of blocks without light, the lowest in a hundred is 2.3 standard errors too low.
    """
    middle, found, below = np.s_[:, BLOCK_PX**2 // 4 : 3 * BLOCK_PX**2 // 4], mosaic.black.copy(), False
    for position, (row, column) in enumerate(np.ndindex(2, 2)):
        plane = mosaic.counts[row::2, column::2]
        if min(plane.shape) < BLOCK_PX:
            return mosaic.black
        blocks = split_blocks(plane)
        blocks = blocks[:: -(-len(blocks) // MOST_BLOCKS)]
        blocks = blocks[np.ptp(blocks, axis=1) > 0]  # others are filled
        if not len(blocks):
            continue
        ends = middle[1].start, middle[1].stop - 1
        blocks = np.partition(blocks, ends, axis=1)[middle]
        means, spreads = blocks.mean(axis=1), (blocks.max(axis=1) - blocks.min(axis=1)) / 1.35
        low, darker = np.percentile(means, (1, 5))
        error = 1.1 * np.median(spreads[means <= darker]) / BLOCK_PX  # that of a mean of all is 1.1 times as small
        below |= mosaic.black[position] - low > max(BELOW * error, BELOW_DN)
        found[position] = min(found[position], low + 2.3 * error)
    return found if below else mosaic.black


def restore_cut(mosaic, noise):
    """Return a Bayer raw.Mosaic whose black was cut off as if it had not been, see fill_cut; any other as it is.

    Black and white of the result are higher by a pedestal of six times the read noise.
    """
    floor = int(mosaic.counts.min())
    if not is_cut(floor, mosaic.black) or np.mean(mosaic.counts == floor) < CUT_SHARE:
        return mosaic
    pedestal, rng = int(np.ceil(6 * noise.read_dn)) + 1, np.random.default_rng(0)
    counts = (fill_cut(mosaic.counts, floor, noise, rng) + pedestal).clip(0, 65535).astype(np.uint16)
    white = min(mosaic.white + pedestal, 65535.0)
    return replace(mosaic, counts=counts, black=mosaic.black + pedestal, white=white)


def fill_cut(counts, floor, noise, rng):
    """Return a mosaic, int32 (H, W), in which pixels at the floor have the mean of the noise that was cut off there.

    The mean of its like neighbours tells a pixel's light μ: E[max(0, x)] = μ Φ(μ/σ) + σ φ(μ/σ) is inverted, with
    σ² = read² + K μ. The pixel becomes E[x | x < ½]; a dither keeps fractions of a count.
    """
    light = np.concatenate([np.linspace(-4, 4, 81), np.geomspace(4.1, 50, 40)]) * noise.read_dn  # μ above the floor
    sigma = np.sqrt(noise.predict_variance(light))
    below = (0.5 - light) / sigma  # a count is at the floor if it is less than half a count above
    density = np.exp(-(below**2) / 2) / np.sqrt(2 * np.pi)
    left = light * ndtr(-below) + sigma * density  # the mean, zeros included
    lost = light - sigma * density / np.maximum(ndtr(below), 1e-6)  # the mean of what was cut
    filled = counts.astype(np.int32)
    for row, column in np.ndindex(2, 2):
        plane = filled[row::2, column::2]
        near = uniform_filter((plane - floor).astype(np.float32), NEAR_PX, mode="reflect")
        means = floor + np.interp(near, left, lost) + rng.random(plane.shape, np.float32)
        plane[:] = np.where(plane == floor, np.minimum(np.floor(means), floor), plane)
    return filled
