"""How far a frame is displaced from another of the same scene, and the frame as the other sees it.

Frames are compared as levels: means of ever larger blocks in the stabilised domain, where noise has a standard
deviation of 1 and detail of any brightness counts alike. Displacements are in squares of 2 × 2 pixels, down and right.
A block is 2 × 2 squares, or more in coarser levels; a cell 8 × 8 squares, which have one displacement and one share.
"""

import math
from itertools import product

import numpy as np
from scipy import ndimage

from sidlib import camera
from sidlib.full_size.tiles import map_ahead

CELL = 8  # squares along a cell, for which one displacement is found
FINER = 3  # levels that may be the finest: their blocks fit a cell
LOOK_BLOCKS = 96  # along the coarsest level, at most
CLIP = 4.0  # times the noise: larger differences count no more
SLOPE_NOISE = 1 / (8 * np.pi)  # variance of the slope of noise alone, see find_slope
STILL = 16.0  # χ² with 3 degrees of freedom, below which the whole did not move
BENT = 60.0  # that of all of a homography, with 5 more, below which the whole was shifted and turned alone
LAST = 0.3  # χ² of the last step over that of all, above which they do not converge
EVIDENCE = 9.0  # χ² with 2 degrees of freedom, below which a neighbourhood moves as the whole does
TILE = 192  # squares along a tile that a thread interpolates at a time
AROUND = 3.0  # cells, standard deviation of the neighbourhood that tells how a cell moves


def make_levels(light, noise):
    """Return the levels, finest first, of mean counts above black of blocks of 2 × 2 squares, (rows, columns)."""
    levels, count = [], max(FINER, 1 + math.ceil(math.log2(max(light.shape) / LOOK_BLOCKS)))
    for level in range(1, count + 1):
        pixels = 4 ** (level + 1)
        levels.append(camera.stabilise(light, noise.gain_dn / pixels, noise.read_dn / pixels**0.5))
        height, width = (side // 2 * 2 for side in light.shape)
        light = average(light[:height, :width], 2)
    return levels


def average(values, side):
    """Return means of side × side values: (h, w, …) to (h / side, w / side, …)."""
    rows = sum(values[start::side] for start in range(side))  # faster than a mean over axes
    return np.float32(sum(rows[:, start::side] for start in range(side)) / side**2)


def spread(cells, factor, shape):
    """Interpolate values of cells (…, rows, columns) linearly at factor times as many places, cut to a shape."""
    flat, part = cells.reshape(-1, *cells.shape[-2:]), tuple(slice(length) for length in shape)
    wide = [ndimage.zoom(each, factor, order=1, mode="nearest", grid_mode=True)[part] for each in flat]
    return np.reshape(wide, (*cells.shape[:-2], *shape))


def fetch(values, motion, mode="constant"):
    """Return values (rows, columns) at displaced places; motion: (2, rows, columns). NaN outside, or the "nearest"."""
    at = motion + np.indices(values.shape, np.float32)
    return ndimage.map_coordinates(values, at, order=1, mode=mode, cval=np.nan)


def find_slope(level):
    """Return the derivatives of a level, smoothed by a Gaussian of 1: (2, rows, columns)."""
    return np.stack([ndimage.gaussian_filter(level, 1, order=order) for order in ((1, 0), (0, 1))])


def find_motion(reference, levels, shift, relative):
    """Return how far the scene is displaced in a frame, by cell: float32 (2, rows, columns).

    Gauss-Newton steps (Lucas and Kanade 1981) from coarse to fine find a homography of the whole, and then what moves
    apart from it where that is beyond doubt.

    Args:
        reference, levels: of the reference and of the frame, in the same domain. shift: (2,), to begin with.
        relative: variance of the frame over that of the reference.
    """
    size, variance = np.array(reference[0].shape) * 2, 1 + relative
    slopes = [find_slope(level) for level in reference]
    energies = np.array([np.square(slope).sum() for slope in slopes])
    known = 1 - np.array([2 * SLOPE_NOISE * level.size for level in reference]) / energies  # share that is no noise
    tells = np.maximum(known, 0.1) ** 2 * energies / 4.0 ** np.arange(len(levels))
    finest = int(np.argmax(tells[:FINER]))
    first, slope, side, pose = reference[finest], slopes[finest], 2 ** (finest + 1), np.zeros(8)
    ways = {level: _find_ways(reference[level].shape, 2 ** (level + 1), size) for level in range(finest, len(levels))}
    found = np.array([*shift, *pose[2:]], float)
    for free, coarsest, steps in ((3, len(levels), 4), (8, finest + 2, 2)):  # shift, rotation; all of a homography
        for level in reversed(range(finest, min(coarsest, len(levels)))):
            block, share = 2 ** (level + 1), max(known[level], 0.25)
            for _ in range(steps):
                motion = _combine(found / block, ways[level])
                seen, apart = _compare(reference[level], levels[level], motion, variance)
                jacobian = np.einsum("ahw,kahw->khw", slopes[level] * seen, ways[level][:free])
                curvature = np.einsum("ihw,khw->ik", jacobian, jacobian) * share
                gradient = np.einsum("khw,hw->k", jacobian, apart)
                last = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
                found[:free] -= block * last
        step = (found - pose)[:free] / side
        evidence = step @ curvature @ step * share
        if evidence < (STILL if free == 3 else BENT) * variance or last @ curvature @ last > LAST * evidence:
            break
        pose = found.copy()
    local = np.zeros((2, *(size // CELL)), np.float32)
    for _ in range(2):
        motion = _combine(pose, ways[finest]) + spread(local, CELL // side, first.shape)
        seen, apart = _compare(first, levels[finest], motion / side, variance)
        local -= side * _step_locally(slope * seen, apart, CELL // side, variance)
    return _combine(pose, _find_ways(local.shape[1:], CELL, size)) + local


def _find_ways(shape, side, size):
    """How blocks of a plane move before a camera that shifts and turns, to first order: (8, 2, *shape).

    The ways of a homography: shifts and rotation, scale and two shears, two tilts. Their unit is a square, of all but
    shifts a square at the longer side's length from the middle.
    """
    down, right = (((np.arange(n) + 0.5) * side - whole / 2) / max(size) for n, whole in zip(shape, size, strict=True))
    still, moved, (down, right) = np.zeros(shape), np.ones(shape), np.meshgrid(down, right, indexing="ij")
    rigid, linear = [[moved, still], [still, moved], [-right, down]], [[down, right], [right, down], [down, -right]]
    return np.float32([*rigid, *linear, [down * down, down * right], [down * right, right * right]])


def _combine(amounts, ways):
    """The displacements by given amounts of the ways; einsum, since threads of BLAS would wait busily."""
    return np.einsum("k,kahw->ahw", np.float32(amounts), ways)


def _compare(first, second, motion, variance):
    """Where the displaced second is seen, and by how much it differs there."""
    apart, bound = fetch(second, motion) - first, CLIP * variance**0.5
    seen = np.isfinite(apart)
    return seen, np.where(seen, apart, 0).clip(-bound, bound)


def _step_locally(slope, apart, side, variance):
    """The Gauss-Newton steps of the cells by their neighbourhoods, shrunk towards 0 (James and Stein 1961)."""
    down, right = slope
    edges = [(0, -length % side) for length in apart.shape]
    products = (down * down, down * right, right * right, down * apart, right * apart)
    sums = [average(np.pad(product, edges), side) * side**2 for product in products]
    sums = [ndimage.gaussian_filter(each, AROUND, mode="constant") * (4 * np.pi * AROUND**2) for each in sums]
    (yy, yx, xx), (y, x) = sums[:3], sums[3:]
    step = np.stack([xx * y - yx * x, yy * x - yx * y]) / np.maximum(yy * xx - yx**2, 1e-6)
    chi2 = (step[0] * y + step[1] * x) / variance
    return step * np.maximum(0, 1 - EVIDENCE / np.maximum(chi2, 1e-6))


def measure_sharpness(reference, levels, motion, visible):
    """Return the share of the reference's detail that a frame shows, at the finest level with `visible` × the noise.

    The median over tiles of 8 × 8 blocks, weighted by their detail, is not misled by what moves, nor by a few lamps:
    more detail than CLIP times the noise counts no more.
    """
    noise = 2 * SLOPE_NOISE
    for level, first in enumerate(reference[:FINER]):
        side, whole = 2 ** (level + 1), tuple(slice(length // 8 * 8) for length in first.shape)
        one, two = find_slope(first), find_slope(fetch(levels[level], spread(motion, CELL // side, first.shape) / side))
        detail, common = (average((one * each).sum(axis=0)[whole], 8) - own for each, own in ((one, noise), (two, 0)))
        told = np.isfinite(common)
        weights = np.minimum(detail, CLIP * noise)[told]
        if weights.sum() > visible * noise * detail.size:
            return weighted_median(common[told] / detail[told], np.maximum(weights, 0))
    return 1.0


def weighted_median(values, weights):
    """Return the value below which lies half the weight; weights are not negative."""
    return float(np.quantile(values, 0.5, weights=weights, method="inverted_cdf"))


def displace(counts, black, gains, motion):
    """Return a frame's counts above black as the reference sees them: float32 (h, w, 4).

    Between the pixels of a colour the other colours tell detail: the frame is demosaiced, then interpolated by cubic
    splines, which keep detail, and noise as white as the network knows it; linearly, both would be blurred.

    Args:
        counts: (2h, 2w), RGGB. black: (4,). gains: white balance. motion: see align, or None.
    """
    if motion is None or not motion.any():
        return camera.pack(counts) - black
    gains, size = np.float32(gains)[[0, 1, 1, 2]].reshape(2, 2), [length // 2 for length in counts.shape]
    flow, found = spread(2 * motion, CELL, size), np.empty((*size, 4), np.float32)

    def fill(tile):
        at = flow[:, *tile] + np.float32(2 * np.mgrid[tile])
        first = np.clip(at.min(axis=(1, 2)) - 8, 0, np.subtract(counts.shape, 16)).astype(int) // 2 * 2
        last = np.maximum(first + 16, at.max(axis=(1, 2)).astype(int) // 2 * 2 + 10)
        part = counts[first[0] : last[0], first[1] : last[1]]
        tiled = [side // 2 for side in part.shape]
        colours = demosaic((part - np.tile(black.reshape(2, 2), tiled)) * np.tile(gains, tiled))
        splines = [ndimage.spline_filter(colour, output=np.float32) for colour in colours]
        for place, offset in enumerate(np.ndindex(2, 2)):
            here = at + np.reshape(offset - first, (2, 1, 1))
            seen = ndimage.map_coordinates(splines[sum(offset)], here, order=3, mode="nearest", prefilter=False)
            found[tile][..., place] = seen / gains[offset]

    sides = ([slice(start, min(start + TILE, length)) for start in range(0, length, TILE)] for length in size)
    list(map_ahead(fill, product(*sides)))
    return found


def demosaic(values):
    """Return R, G and B, each (H, W), of a white-balanced RGGB mosaic. Source: Malvar, He and Cutler (ICASSP 2004)."""
    edged = np.pad(values, 2, "reflect")
    height, width = values.shape

    def move(down, right):
        return edged[2 + down : 2 + down + height, 2 + right : 2 + right + width]

    beside, across = move(0, -1) + move(0, 1), move(-1, 0) + move(1, 0)
    far_beside, far_across = move(0, -2) + move(0, 2), move(-2, 0) + move(2, 0)
    corners = move(-1, -1) + move(-1, 1) + move(1, -1) + move(1, 1)
    green = values / 2 + (beside + across) / 4 - (far_beside + far_across) / 8
    in_row = (5 * values + 4 * beside - far_beside - corners + far_across / 2) / 8
    in_column = (5 * values + 4 * across - far_across - corners + far_beside / 2) / 8
    corner = (6 * values + 2 * corners - 1.5 * (far_beside + far_across)) / 8
    red, blue = values.copy(), values.copy()
    green[::2, 1::2], green[1::2, ::2] = values[::2, 1::2], values[1::2, ::2]
    red[::2, 1::2], red[1::2, ::2], red[1::2, 1::2] = in_row[::2, 1::2], in_column[1::2, ::2], corner[1::2, 1::2]
    blue[1::2, ::2], blue[::2, 1::2], blue[::2, ::2] = in_row[1::2, ::2], in_column[::2, 1::2], corner[::2, ::2]
    return red, green, blue
