"""Hot, warm, dead and stuck pixels, columns and rows: found against neighbours of their CFA position, and replaced.

A lens spreads a star over the pixels around it, and a lamp, an edge or a line lights the like neighbours as well. So a
defect lies beyond nearly all of its eight like neighbours, two pixels away, and the four pixels beside it do not.
"""

import numpy as np
from scipy.ndimage import binary_propagation

from sidlib.camera import stabilise
from sidlib.full_size.tiles import map_ahead

BEYOND = 3.5  # times the noise: so far a defect lies beyond the second of its like neighbours (5 σ of their mean)
TEXTURE = 1.5  # times what its like neighbours, and those of the pixels beside, differ by: the like, if that is noise
LIKELY, SURE = 2.0, 8.0  # times the same: likely no texture, and no texture at all
NOISE = 3.0  # times the noise: so far like neighbours of noise alone differ
SURE_SHARE, SHARE = 5e-5, 8e-4  # of all pixels: no texture has more that are beyond doubt, or that are found
BESIDE, CALM = 0.1, 1.5  # times that, and times the noise: by less three of the pixels beside it stand out
LINE_BEYOND, LINE_SHARE = 3.0, 0.6  # so far so many of a line's pixels lie beyond those on both sides
LINE_LENGTH = 0.3  # of the height or width: so long a line is at least
STRIP_PX = 64  # rows that are looked at together, and pieces that a line is looked for in
HALO_PX = 4  # pixels beyond a strip that are looked at
ROWS, COLUMNS = np.array([(row, column) for row in (-2, 0, 2) for column in (-2, 0, 2) if row or column]).T


def mend_defects(counts, black, noise):
    """Return a mosaic, uint16 (H, W), without its defects, and how many pixels, columns and rows they were.

    A pixel becomes the median of its like neighbours, a line the mean of both sides. Pixels that texture may be taken
    for stay, unless there are more than texture gives. Where few are beyond doubt, their number is 0.

    Args:
        counts: uint16 (H, W), any Bayer pattern. black: (4,), the levels of its 2 × 2 positions, row by row.
        noise: its Noise, roughly.
    """
    above, before = (np.pad(np.arange(side), HALO_PX, "reflect") for side in counts.shape)

    def read_strip(top):
        strip = counts[above[top : top + STRIP_PX + 2 * HALO_PX]][:, before].astype(np.float32)
        for row, column in np.ndindex(2, 2):
            strip[row::2, column::2] -= np.float32(black[2 * row + column])
        return stabilise(strip, noise.gain_dn, noise.read_dn)

    tops = range(0, len(counts), STRIP_PX)
    pieces = map_ahead(lambda top: _measure_lines(read_strip(top)), tops)
    columns, rows = (np.concatenate(each) for each in zip(*pieces, strict=True))
    columns, rows = _find_lines(columns), _find_lines(rows.T)
    if columns.any() or rows.any():
        counts = counts.copy()
        _interpolate(counts, columns), _interpolate(counts.T, rows)
    found = map_ahead(lambda top: _find_pixels(read_strip(top)) + [[top], [0], [0]], tops)
    down, right, times = np.concatenate(list(found), axis=1)
    certain = (times > SURE).sum() > SURE_SHARE * counts.size
    least = LIKELY if certain else 0 if len(times) > SHARE * counts.size else SURE
    down, right = (place[times > least].astype(int) for place in (down, right))
    like = np.sort(counts[above[down[:, None] + ROWS], before[right[:, None] + COLUMNS]], axis=1)
    if len(down):
        counts = counts.copy()
        counts[above[down], before[right]] = (like[:, 3].astype(int) + like[:, 4] + 1) // 2  # their median
    pixels = len(down) if certain else 0
    return counts, (pixels, int(columns.any(axis=0).sum()), int(rows.any(axis=0).sum()))


def _find_pixels(stable):
    """Rows and columns of defects in a strip, without its halo, and how far beyond texture they are: (3, defects)."""
    here, up, down = stable[4:-4, 4:-4], stable[2:-6, 4:-4], stable[6:-2, 4:-4]
    left, right = stable[4:-4, 2:-6], stable[4:-4, 6:-2]
    low, high = np.minimum(up, down), np.maximum(up, down)
    lower, higher = np.minimum(left, right), np.maximum(left, right)
    second, last = np.maximum(low, lower), np.minimum(high, higher)  # of the four, in either order
    maybe = (here > np.maximum(second, last) + BEYOND) | (here < np.minimum(second, last) - BEYOND)
    place = np.flatnonzero(maybe)
    width, flat, inside = stable.shape[1], stable.ravel(), maybe.shape[1]
    place = (place // inside + HALO_PX) * width + place % inside + HALO_PX
    steps = ROWS * width + COLUMNS
    like = np.sort(flat[place[:, None] + steps], axis=1)
    out = flat[place] - (like[:, 3] + like[:, 4]) / 2
    beyond = np.maximum(flat[place] - like[:, 6], like[:, 1] - flat[place])
    differ = like[:, 6] - like[:, 1]
    far = beyond > np.maximum(BEYOND, TEXTURE * differ)
    place, out, beyond, differ = place[far], out[far], beyond[far], differ[far]
    beside = place[:, None] + np.array([-width, -1, 1, width])
    like = np.sort(flat[beside[:, :, None] + steps], axis=2)
    differ = np.maximum(differ, (like[..., 6] - like[..., 1]).max(axis=1, initial=1))
    beside = np.sign(out)[:, None] * (flat[beside] - (like[..., 3] + like[..., 4]) / 2)
    alone = np.median(beside, axis=1) < BESIDE * np.abs(out)
    alone &= np.sort(np.abs(beside), axis=1)[:, 2] < CALM + BESIDE * np.abs(out)
    alone &= beyond > np.where(differ < NOISE, TEXTURE, LIKELY) * differ
    return np.stack([*np.divmod(place[alone], width), (beyond / differ)[alone]])


def _measure_lines(stable):
    """Of a strip, the share of pixels beyond both like neighbours: of its columns (1, W), and rows by pieces (H, n)."""
    here, shares = stable[4:-4, 4:-4], []
    for first, second in ((stable[4:-4, 2:-6], stable[4:-4, 6:-2]), (stable[2:-6, 4:-4], stable[6:-2, 4:-4])):
        beyond = here > np.maximum(first, second) + LINE_BEYOND
        shares.append(beyond | (here < np.minimum(first, second) - LINE_BEYOND))
    starts = np.arange(0, here.shape[1], STRIP_PX)
    lengths = np.diff(np.append(starts, here.shape[1]))
    return shares[0].mean(axis=0)[None], np.add.reduceat(shares[1], starts, axis=1, dtype=np.int32) / lengths


def _find_lines(share):
    """Which pieces (pieces, lines) are defect: most of their pixels are, and not so beside; and what continues such."""
    share = share.copy()
    share[:, [0, 1, -2, -1]] = 0  # like neighbours on one side only tell no line from an edge
    beside = np.pad(share, [(0, 0), (1, 1)])
    alone = share > 2 * np.maximum(beside[:, :-2], beside[:, 2:])
    sure = alone & (share >= LINE_SHARE)
    sure &= sure.mean(axis=0) > LINE_LENGTH
    return binary_propagation(sure, np.ones((3, 1)), mask=alone & (share > LINE_SHARE / 6))


def _interpolate(counts, pieces):
    """Replace pieces of columns, in place, by the mean of the like columns beside, or the one that is no defect."""
    for piece, line in zip(*np.nonzero(pieces), strict=True):
        sides = [side for side in (line - 2, line + 2) if 0 <= side < len(pieces[0]) and not pieces[piece, side]]
        if sides:
            part = np.s_[piece * STRIP_PX : (piece + 1) * STRIP_PX]
            counts[part, line] = counts[part, sides].mean(axis=1)
