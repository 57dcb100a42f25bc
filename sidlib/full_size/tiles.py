"""A network over a mosaic of any size, tile by tile, and what is put right in its picture afterwards."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from sidlib.camera import destabilise, mosaic, pack, stabilise
from sidlib.full_size.network import MULTIPLE_PX, find_margin, predict_capped

TILE_PX = 896  # largest side of a tile without margins, a multiple of MULTIPLE_PX
OUTLIER = 8  # times the noise: farther below black, or away from the picture, are dead and hot pixels
BLOCK_PX = 32  # side of the blocks of remove_checkerboard; MULTIPLE_PX is a multiple of it
TEXTURE = 0.25  # times the noise: stronger differences between neighbours are texture
STRIP_PX = 32  # rows that a thread works on at a time
THREADS = min(4, joblib.cpu_count())


def run_tiles(network, counts, black, noise, cap=np.inf, on_tile=None):
    """Return the output of a network for a mosaic with margins: float16 (H, W, 3), stabilised camera RGB.

    Tiles overlap by the margin that the network sees. The result's own margins are not set.

    Args:
        counts: (H, W), see camera.align, with the margin of find_margin. black: (4,), the levels of its CFA positions.
        cap: see network.predict_capped.
        on_tile: function that is called with the numbers of tiles done and of all tiles, first and after each tile.
    """
    stable, margin = np.empty((*counts.shape, 3), np.float16), find_margin(network)
    tops, lefts = (_place_tiles(length - 2 * margin) for length in counts.shape)
    tiles = [(top, left) for top in tops for left in lefts]
    on_tile = on_tile or (lambda done, count: None)
    for done, (top, left) in enumerate(tiles):
        on_tile(done, len(tiles))
        window = counts[top.start : top.stop + 2 * margin, left.start : left.stop + 2 * margin]
        packed = np.maximum(stabilise(pack(window) - black, noise.gain_dn, noise.read_dn), -OUTLIER)
        stable[margin:, margin:][top, left] = predict_capped(network, packed, cap)[margin:-margin, margin:-margin]
    on_tile(len(tiles), len(tiles))
    return stable


def _place_tiles(length):
    """Slices of one size that cover a length, a multiple of MULTIPLE_PX; the last may overlap."""
    count = -(-length // TILE_PX)
    size = -(-length // count // MULTIPLE_PX) * MULTIPLE_PX
    return [slice(start, start + size) for start in (min(number * size, length - size) for number in range(count))]


def remove_checkerboard(stable):
    """Remove, in place, patterns of 2 × 2 pixels that repeat over a block: a network's artefact, never a scene.

    Pixels that differ by TEXTURE or more from their neighbourhood do not count. stable: of run_tiles, without margins.
    """

    def clean_strip(top):
        strip = stable[top : top + BLOCK_PX].astype(np.float32)
        rows = np.pad(strip, [(1, 1), (1, 1), (0, 0)], "reflect")
        rows = rows[:-2] + 2 * rows[1:-1] + rows[2:]
        around = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
        blocks = BLOCK_PX // 2, 2, strip.shape[1] // BLOCK_PX, BLOCK_PX // 2, 2, 3
        pattern = strip - around
        pattern *= np.abs(pattern) < TEXTURE
        pattern = pattern.reshape(blocks).mean(axis=(0, 3), keepdims=True)
        pattern -= pattern.mean(axis=(1, 4), keepdims=True)
        stable[top : top + BLOCK_PX] = (strip.reshape(blocks) - pattern).reshape(strip.shape)

    list(map_ahead(clean_strip, range(0, len(stable), BLOCK_PX)))


def match_means(stable, counts, black, noise):
    """Return the factors of R, G, B, in 0…2, that make the mean light of a picture that of its sensor: float32 (3,).

    The factors are those of a ridge regression towards 1, with the doubt about the black level as its penalty. Sums
    within the noise of the dark are shrunk to 0, so that black stays black (James and Stein 1961). Args: see run_tiles,
    all without margins.
    """
    levels = (noise.gain_dn, noise.read_dn)

    def sum_strip(top):
        counted = pack(counts[top : top + STRIP_PX]) - np.float32(black)
        found = pack(mosaic(stable[top : top + STRIP_PX]))
        near = np.abs(stabilise(counted, *levels) - found) < OUTLIER
        return np.sum([near * counted, near * destabilise(found, *levels), near], axis=(1, 2), dtype=float)

    sums = sum(map_ahead(sum_strip, range(0, len(counts), STRIP_PX)))
    counted, found, pixels = np.add.reduceat(sums, [0, 1, 3], axis=1)  # R, G and G, B
    doubt = (noise.black_doubt_dn * np.maximum(pixels, 1)) ** 2
    counted *= np.maximum(0, 1 - pixels * noise.read_dn**2 / np.maximum(counted**2, 1))
    return np.float32(np.clip((counted * found + doubt) / (found**2 + doubt), 0, 2))


def map_ahead(function, items):
    """Yield the results of a function in order, computed by several threads that are at most a few items ahead."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = deque()
        for item in items:
            if len(waiting) == 2 * THREADS:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        for result in waiting:
            yield result.result()
