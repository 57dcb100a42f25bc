"""Several frames of one scene to one picture: their light is added where they show the same.

In counts, the mean of N frames has 1 / N of their gain and 1 / √N of their read noise. Sources: Hasinoff et al., Burst
photography (HDR+, SIGGRAPH Asia 2016); Wronski et al., Handheld multi-frame super-resolution (SIGGRAPH 2019).
"""

import math
import tempfile
import threading
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.stats import median_abs_deviation

from sidlib import camera
from sidlib.full_size import align
from sidlib.full_size.align import CELL, average, spread
from sidlib.full_size.capture import read_capture
from sidlib.full_size.noise import Noise
from sidlib.full_size.restore import find_stops, load_network, restore_mosaic
from sidlib.full_size.tiles import STRIP_PX, map_ahead
from sidlib.raw import Mosaic
from sidlib.rawfile import RawError

SHIFT = 0.04  # of the longer side, the largest that is searched
ALIKE = 0.5  # correlation of two looks above which they show one scene
LOOK_NOISE = 0.07  # variance of the look of noise alone
LOOK_CLIP = 2.0  # larger values of a look are cut, at its median magnitude if that is more: moving lamps count less
SHARP = 0.65  # of the sharpest frame's gradient energy, or of what the reference shows: frames with less are blurred
VISIBLE = 0.5  # gradient energy over that of noise, above which a level tells sharpness
LONGER = 1.2  # exposure ratio above which frames are compared only where neither clips
FULL = 0.9  # of the white level: larger counts clip
CLIPPED = 0.01  # of the blocks: a reference has at most so many more that clip than the fewest; more are overexposed
UNCLIPPED = 0.99  # of a part, at least, for its light to be compared: what clips lies elsewhere where the camera moved
LIT = 0.01  # of the parts, at least, must show light that can be compared
CLOSE = 0.02  # relative change of the exposure ratio up to which frames need not be aligned anew
UNEVEN = 0.25  # relative error of a part's brightness beside noise: lamps that move may brighten a few of them
BLOCKS = CELL // 2  # along a cell, of 2 × 2 squares
WINDOWS = {1: 0.6, 3: 1.0, 6: 1.0}  # weight of the χ² of differences averaged over windows of n × n cells
CONTRASTS = np.array([[1, 1, 1, 1], [2, 0, 0, -2]]) / 4  # of R, G, G, B: brightness and colour, which are compared
LIKELY = np.array([1.0, 0.5])  # weight of the χ² of CONTRASTS: colours alone seldom move
TRIPOD = 0.3  # of the errors of alignment: what is left where nothing is displaced; it grows by 1 per square, up to 1
MISPLACED = (0.5, 0.12, 0.01)  # errors of alignment, over the texture of blocks and cells, and of the exposure ratio
MOVED, DOUBTED = 14.0, 4.0  # χ², in one test, of what moved, and of what belongs to it
REACH = 7  # cells along the window around what moved in one frame, in which it is looked for in all
FINE = 4.4, 36.0  # put mean squared differences of blocks, in cells and in 3 × 3 cells, on the scale of χ²
TORN = 0.75  # squares: where displacements of neighbouring cells differ by more, one thing covers another
CHANCE_OF_PIXELS = 1.25  # mean squared difference of a cell's pixels over that of noise, up to which it is noise
CHANCE_OF_CELLS = {3: 1.5, 6: 1.25}  # that of windows of n × n cells
BANDS = 0.7  # times the read noise: larger differences of rows and columns are not of the readout
MEDIAN = np.pi / 2  # variance of a median over that of a mean
MISFIT = "cannot be aligned: it is blurred, or much in it moved or changed its light"
OVEREXPOSED = "is overexposed"
TOO_LITTLE = "shows too little to compare"
FEW = 0.25  # of the frames that see a cell: where fewer take part, none does
LEADS = 0.5  # share of the reference above which its own restoration is mixed in
ALONE = 64  # cells along the tiles in which it is restored: no more of each than what is wanted
CONTEXT = 8  # cells that the network is to see around those in which the reference is restored alone
SEEN = 0.3  # of the cells that it shows, at least, in which a frame of the same scene takes part
READING = threading.Lock()  # threads share the reference's file, which has one position


class Burst(NamedTuple):
    """Several captures as one."""

    mosaic: Mosaic  # that of the reference; its counts are float32 means
    noise: Noise  # where all frames take part
    info: object  # CaptureInfo of the reference, or None
    remarks: tuple = ()  # sentences that say which frames were left out and why
    maps: np.ndarray | None = None  # gain_dn, read_dn and the reference's share of each cell of 16 × 16 pixels of
    # the mosaic as RGGB: float32 (3, rows, columns); None for one capture
    alone: tuple = ()  # Mosaic and Noise of the reference; () for one capture


@dataclass(eq=False)
class _Frame:
    """A capture whose counts wait in a temporary file, so that few are in memory at a time, and what is known of it."""

    name: str
    mosaic: Mosaic
    noise: Noise  # of counts divided by the ratio, once that is known
    info: object
    file: object
    kind: dict  # what frames of one burst share
    look: np.ndarray = None  # its coarsest level without slow changes
    detail: np.ndarray = None  # the energy of each level
    clipped: np.ndarray = None  # blocks (rows, columns, 4) in which a pixel is above FULL
    misfit: str = ""  # why it is left out
    shift: tuple = (0, 0)  # from the reference, in squares, roughly
    ratio: float = 1.0  # times as bright as the reference
    motion: np.ndarray = None  # see align.find_motion; None of the reference
    banding: float = 0.0  # variance of the cells that those of a row or a column have in common
    cells: np.ndarray = None  # mean counts as the reference sees them, (rows, columns, 4), NaN where torn or outside
    texture: np.ndarray = None  # of the reference: variance of a cell's blocks beyond noise
    slack: np.ndarray = None  # of another frame: the texture as far as it may be misaligned
    block_test: np.ndarray = None  # χ² of differences of blocks from the reference's, see _test_blocks
    share: np.ndarray = None  # of its weight with which it takes part in each cell, 0 to 1

    def load(self):
        """Return the counts as RGGB, height and width multiples of a cell's, and the slices that cut them out."""
        with READING:
            self.file.seek(0)
            counts = np.load(self.file)
        return camera.align(counts, self.mosaic.pattern, multiple=2 * CELL)

    @property
    def black(self):
        """The black level of the positions of RGGB."""
        return np.float32(camera.align_levels(self.mosaic.black, self.mosaic.pattern) + self.noise.black_dn)

    @property
    def full(self):
        """The largest counts above black of the positions of RGGB that are compared with another exposure."""
        return np.float32(FULL * self.mosaic.white) - self.black

    def measure_blocks(self, most=None):
        """Return means of 2 × 2 squares of counts above black, cut at most (4,): (rows, columns, 4)."""
        packed = camera.pack(self.load()[0])
        return average(packed if most is None else np.minimum(packed, self.black + most), 2) - self.black


def restore_burst(paths, network=None, on_tile=None):
    """Return the Restoration of RAW files of one scene; args: see merge_burst and restore_capture."""
    return restore_merged(merge_burst(paths), network or load_network(), on_tile)


def restore_merged(burst, network, on_tile=None):
    """Return the Restoration of a Burst by a network.

    The network sees the same noise everywhere: where fewer frames take part, the stabilised signal is smaller. Its
    picture is put back to the unit of the whole. Where the reference alone takes part, what surrounds it, as bright as
    many frames, would mislead the network: there it is restored alone.
    """
    mosaic, noise, info = burst.mosaic, burst.noise, burst.info
    info = info and replace(info, remarks=(*info.remarks, *burst.remarks))
    if burst.maps is None:
        return restore_mosaic((mosaic, noise, info), network, on_tile)
    counts, whole = mosaic.counts.copy(), (noise.gain_dn, noise.read_dn)
    for rows, dark, (*local, _) in _spread_maps(burst):
        counts[rows] = camera.destabilise(camera.stabilise(counts[rows] - dark, *local), *whole) + dark
    restoration = restore_mosaic((replace(mosaic, counts=counts), noise, info), network, on_tile)
    own, least = burst.alone[1], max(LEADS, burst.maps[2].min()) + 0.01
    alone = _restore_alone(burst, burst.maps[2] > least, network, restoration)
    for rows, _, (gain, read, share) in _spread_maps(burst):
        light = camera.destabilise(restoration.stable[rows], gain[..., None], read[..., None])
        if alone is not None:
            single = camera.destabilise(alone[rows], own.gain_dn, own.read_dn)
            light = single + ((1 - share) / (1 - least)).clip(0, 1)[..., None] * (light - single)
        restoration.stable[rows] = camera.stabilise(light, *whole)
    if trust := restoration.trust:  # interpolation smooths noise, so that how much there is tells nothing
        trust = trust._replace(spread=trust.spread / np.median(trust.spread))
    return replace(restoration, mosaic=mosaic, stops=find_stops(mosaic, noise), trust=trust)


def _restore_alone(burst, wanted, network, restoration):
    """The stabilised picture of the reference in and beside the wanted cells, 0 elsewhere; None if there are none."""
    if not wanted.any():
        return None
    (mosaic, noise), stable = burst.alone, np.zeros_like(restoration.stable)
    side = max(wanted.shape) if wanted.mean() > 0.5 else ALONE
    down, right = np.indices(wanted.shape) // side
    for box in filter(None, ndimage.find_objects(wanted * (1 + down * len(wanted[0]) + right))):  # of each tile
        seen, part = (
            tuple(np.s_[2 * CELL * max(0, cells.start - more) : 2 * CELL * (cells.stop + more)] for cells in box)
            for more in (CONTEXT, 1)
        )
        found = restore_mosaic((replace(mosaic, counts=mosaic.counts[seen]), noise, None), network)
        inner = tuple(slice(to.start - of.start, to.stop - of.start) for of, to in zip(seen, part, strict=True))
        light = camera.destabilise(found.stable[inner], noise.gain_dn, noise.read_dn) * found.gains
        light /= np.maximum(restoration.gains, 0.01)  # 0 of a colour without light
        stable[part] = camera.stabilise(light, noise.gain_dn, noise.read_dn)
    return stable


def _spread_maps(burst):
    """Yield slices of rows, and of their pixels, (rows, W) each, the black level and the maps."""
    (height, width), (down, right) = burst.mosaic.counts.shape, camera.ORDERS[burst.mosaic.pattern]
    black = np.float32(burst.mosaic.black + burst.noise.black_dn).reshape(2, 2)
    columns = (np.arange(width) + right + 0.5) / (2 * CELL) - 0.5
    for top in range(0, height, 2 * STRIP_PX):
        rows = slice(top, min(height, top + 2 * STRIP_PX))
        at = np.meshgrid((np.arange(rows.start, rows.stop) + down + 0.5) / (2 * CELL) - 0.5, columns, indexing="ij")
        dark = np.tile(black, (STRIP_PX, -(-width // 2)))[: rows.stop - top, :width]
        yield rows, dark, [ndimage.map_coordinates(each, at, order=1, mode="nearest") for each in burst.maps]


def merge_burst(captures):
    """Return the Burst of RAW files, or of captures as those of read_capture.

    The reference is the sharpest of the bright frames of one scene that clip least. Frames of another scene or camera,
    damaged and blurred ones, and copies are left out.

    Raises:
        RawError: no file can be read, see read_capture.
    """
    captures, frames, errors, names = list(captures), [], [], {}
    if len(captures) == 1:
        return Burst(*_read(captures[0]))

    def look(numbered):
        number, capture = numbered
        try:
            return _look(_read(capture), number)
        except RawError as error:
            return error

    for frame in map_ahead(look, enumerate(captures, 1)):
        if isinstance(frame, RawError):
            errors.append(frame)
            continue
        fingerprint = frame.info and frame.info.fingerprint or frame  # of its counts, or itself
        if fingerprint in names:
            errors.append(f"{frame.name} is a copy of {names[fingerprint]}")
        else:
            names[fingerprint] = frame.name
            frames.append(frame)
    if not frames:
        raise errors[-1] if errors else RawError("A burst needs at least one RAW file")
    reference = _choose(frames)
    others = [frame for frame in frames if frame is not reference and not frame.misfit]
    _view(reference, others)
    _find_shares(reference, [frame for frame in frames if not frame.misfit])
    left_out = [*errors, *(f"{frame.name} {frame.misfit}" for frame in frames if frame.misfit)]
    kept = [reference, *(frame for frame in others if not frame.misfit)]
    return _add(kept, tuple(f"Left out: {reason}" for reason in left_out))


def _read(capture):
    return capture if isinstance(capture, tuple) else read_capture(capture)


def _look(capture, number):
    """The _Frame of a capture with its look and detail."""
    mosaic, noise, info = capture
    kind = {"camera": info and (info.make, info.model), "size": mosaic.counts.shape, "pattern": mosaic.pattern}
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the frame
    np.save(file, mosaic.counts)
    frame = _Frame(info.name if info else f"frame {number}", replace(mosaic, counts=None), noise, info, file, kind)
    packed = camera.pack(frame.load()[0]) - frame.black
    levels = align.make_levels(average(packed, 2).mean(axis=-1), noise)
    frame.clipped = average(packed > frame.full, 2) > 0
    steps = [[np.square(np.diff(level, axis=axis)).mean() - 2 for axis in (0, 1)] for level in levels]
    frame.detail = np.mean(steps, axis=1)  # noise alone has differences with a variance of 2
    look = ndimage.gaussian_filter(levels[-1], 1) - ndimage.gaussian_filter(levels[-1], 4)
    most = max(LOOK_CLIP, np.median(np.abs(look)))
    frame.look = look.clip(-most, most)
    return frame


def _choose(frames):
    """The reference; the others get their shift from it, or their misfit."""
    matches = [[_match(first, second) for second in frames] for first in frames]
    fits = np.array([[not misfit for misfit, _ in row] for row in matches])
    typical = max(range(len(frames)), key=lambda number: (fits[number].sum(), frames[number].detail[-1]))
    group = np.flatnonzero(fits[typical])
    clipped = np.array([frames[number].clipped.mean() for number in group])
    group = group[clipped <= clipped.min() + CLIPPED]
    detail = np.array([frames[number].detail for number in group])
    visible = np.median(detail, axis=0) > 2 * VISIBLE
    finest = visible.argmax() if visible.any() else -1
    sharpness = detail[:, finest] / np.maximum(detail[:, -1], 1)
    light = np.where(sharpness >= SHARP * sharpness.max(), detail[:, -1], 0)  # detail grows with the exposure
    best = group[np.argmax(np.where(2 * light >= light.max(), sharpness, -np.inf))]  # the sharpest of the brightest
    for frame, (misfit, shift) in zip(frames, matches[best], strict=True):
        frame.misfit, frame.shift = misfit, shift
    return frames[best]


def _match(first, second):
    """Why two frames do not belong together, or "", and the shift from the first to the second in squares."""
    if first is second:
        return "", (0, 0)
    for name, value in first.kind.items():
        if value != second.kind[name]:
            return f"has another {name}", (0, 0)
    farthest = math.ceil(SHIFT * max(first.look.shape))
    found = []
    for down, right in product(range(-farthest, farthest + 1), repeat=2):
        one, two = _overlap(first.look, second.look, down, right)
        energies = [max(np.square(look).mean() - LOOK_NOISE, LOOK_NOISE) for look in (one, two)]
        found.append(((one * two).mean() / math.prod(energies) ** 0.5, (down, right)))
    alike, shift = max(found)
    return "" if alike > ALIKE else "shows another scene", tuple(2 ** len(first.detail) * step for step in shift)


def _overlap(first, second, down, right):
    """The parts of two pictures that show the same, which lies down and right in the second."""
    height, width = first.shape[:2]
    one = first[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    return one, second[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]


def _view(reference, others):
    """Set what the reference sees of the others; those that are blurred or cannot be compared become misfits."""
    blocks, noise = reference.measure_blocks(), reference.noise
    bright = blocks.mean(axis=-1)
    levels = align.make_levels(bright, noise)
    reference.cells = average(blocks, BLOCKS)
    spread_out = average(np.square(bright), BLOCKS) - np.square(average(bright, BLOCKS))
    reference.texture = np.maximum(spread_out - noise.predict_variance(reference.cells).mean(axis=-1) / 16, 0)
    middle = (np.reshape(reference.cells.shape[:2], (2, 1, 1)) - 1) * CELL / 2

    def view(frame):
        whole = frame.measure_blocks()
        frame.ratio = _compare_light(reference, blocks, frame, whole)
        if not frame.ratio:
            frame.misfit = OVEREXPOSED if frame.clipped.mean() > CLIPPED else TOO_LITTLE
            return
        seen, sharpness = _align(reference, levels, frame, whole)
        if sharpness < SHARP:
            frame.misfit = MISFIT
            return
        frame.cells, motion = average(seen, BLOCKS), frame.motion
        outside = np.abs(np.indices(motion.shape[1:]) * CELL + motion - middle) - middle  # by how many squares
        torn = ndimage.maximum_filter(motion, (1, 3, 3)) - ndimage.minimum_filter(motion, (1, 3, 3)) > TORN
        unseen = torn.any(axis=0) | (outside > 0.5).any(axis=0) | np.isnan(frame.cells).any(axis=-1)
        frame.cells[unseen] = np.nan
        variance = sum(each.predict_variance(frame.cells) for each in (noise, frame.noise)).mean(axis=-1) / 16
        apart = seen.mean(axis=-1) - bright
        banding = _measure_banding(np.nan_to_num(apart)) / 2  # the reference has as much
        frame.banding = min(banding, BANDS**2 * frame.noise.read_dn**2 / (2 * CELL))
        variance += 2 * BLOCKS * frame.banding
        apart = average(np.square(apart), BLOCKS)
        frame.slack = np.minimum(TRIPOD + np.abs(motion).max(axis=0), 1) ** 2 * reference.texture
        frame.block_test = _test_blocks(apart, variance, MISPLACED[0] ** 2 * frame.slack)

    list(map_ahead(view, others))
    reference.banding = max((frame.banding for frame in others), default=0.0)


def _align(reference, levels, frame, whole):
    """Set the motion, ratio and noise of a frame; return its blocks as the reference sees them, and its sharpness.

    Where one of two unequal exposures clips, blocks are NaN. The first ratio is rough: that of frames that are aligned
    is better, and if it is another, they are aligned anew. levels: of the reference. whole: the frame's blocks.
    """
    noise, size = reference.noise, whole.shape[:2]
    for _ in range(2):
        ratio, seen, compared, first = frame.ratio, whole, whole, levels
        if not 1 / LONGER < ratio < LONGER:  # both are cut where one of them clips
            most = np.minimum(reference.full, frame.full / ratio)
            compared = frame.measure_blocks(most * ratio)
            first = align.make_levels(reference.measure_blocks(most).mean(axis=-1), noise)
            seen = np.where(compared < whole, np.nan, whole)
        own = align.make_levels(compared.mean(axis=-1) / ratio, noise)
        gain, read = frame.noise.gain_dn / ratio, frame.noise.read_dn / ratio
        motion = align.find_motion(first, own, frame.shift, max(gain / noise.gain_dn, (read / noise.read_dn) ** 2))
        displaced = spread(motion, BLOCKS, size) / 2
        planes = *np.moveaxis(seen, -1, 0), np.float32(frame.clipped.any(axis=-1))
        *seen, clipped = (align.fetch(plane, displaced, "nearest") for plane in planes)
        seen, clipped = np.stack(seen, axis=-1), average(reference.clipped.any(axis=-1) + clipped, BLOCKS) > 0
        one, two = reference.cells.mean(axis=-1), average(seen, BLOCKS).mean(axis=-1)
        frame.ratio = _find_ratio(one, np.where(clipped, np.nan, two), noise, 2 * CELL) or ratio
        if abs(frame.ratio / ratio - 1) < CLOSE:
            break
    sharpness = align.measure_sharpness(first, own, motion, VISIBLE)
    gain, read = frame.noise.gain_dn / frame.ratio, frame.noise.read_dn / frame.ratio
    frame.motion, frame.noise = motion, frame.noise._replace(gain_dn=gain, read_dn=read)
    return seen / frame.ratio, sharpness


def _measure_banding(apart):
    """Return the variance that rows and columns of cells have in common, from differences of blocks.

    The picture is cut into three parts: it is the least covariance of two of them, since what moves is seldom in all.
    """
    found = 0.0
    for lines in (apart, apart.T):
        steps = [np.diff(np.median(third, axis=1)) for third in np.array_split(lines, 3, axis=1)]
        pairs = [(one + two, one - two) for one, two in combinations(steps, 2)]
        spreads = np.square(median_abs_deviation(pairs, axis=-1, scale="normal"))
        found += max(0, np.min(spreads[:, 0] - spreads[:, 1])) / (8 * BLOCKS)
    return found


def _compare_light(reference, blocks, frame, whole):
    """How many times as bright as the reference a frame is, by blocks that clip in neither; 0 if they are too few."""
    unclipped = (np.where(by.clipped, np.nan, each) for by, each in ((reference, blocks), (frame, whole)))
    one, two = _overlap(*unclipped, *(step // 2 for step in frame.shift))
    known, (height, width) = np.isfinite(one + two), (length // CELL * CELL for length in one.shape[:2])
    one, two, share = (
        average(np.where(known, each, 0)[:height, :width], CELL).mean(axis=-1) for each in (one, two, np.float32(known))
    )
    return _find_ratio(one, np.where(share > UNCLIPPED, two, np.nan), reference.noise, 4 * CELL)


def _find_ratio(one, two, noise, side):
    """The ratio of another frame's light to the reference's, by parts of side × side pixels; 0 if too few are LIT.

    The median over parts, weighted by how surely they tell their light. two: NaN where it is unknown.
    """
    known = np.isfinite(two)
    one, two = one[known], two[known]
    roughly = max(two.sum() / one.sum(), 0.01) if one.sum() > 0 else 0.01
    light = (one + roughly * two) / (1 + roughly**2)  # nearest to both: parts do not count for their noise
    told = light > 0
    if told.sum() <= LIT * known.size:
        return 0.0
    one, two, light = one[told], two[told], light[told]
    weights = 1 / (noise.predict_variance(light) / (side * light) ** 2 + UNEVEN**2)
    angle = align.weighted_median(np.arctan2(two, one), weights)  # that of a ratio, also below black
    return max(float(np.tan(angle)), 0.01)


def _find_shares(reference, frames):
    """Set where each frame takes part, and the misfit of those that do so hardly anywhere.

    A frame is compared with the median of the others; it counts less the more they differ beyond noise, and not at all
    where it moved beyond doubt, in cells or in their blocks. Where the reference differs, only the reference counts.
    What moves by less than noise tells from frame to frame is seen over time: the mean of the frames before each moment
    is compared with that of those after it, and where they differ, only the reference's side counts.
    """
    reference.share = np.ones(reference.cells.shape[:2], np.float32)
    if len(frames) == 1:
        return
    cells = np.stack([np.where(np.isnan(frame.cells), reference.cells, frame.cells) for frame in frames])
    light, numbers, own = np.median(cells, axis=0), np.arange(len(frames)), frames.index(reference)
    variances = np.stack([frame.noise.predict_variance(light) for frame in frames]) / CELL**2
    bandings = np.array([frame.banding for frame in frames])
    slack = np.max([frame.slack for frame in frames if frame is not reference], axis=0)

    def compare(cells, some, statistic=np.mean):  # with the rest
        noise = [variances[side].mean(axis=0) / side.sum() for side in (some, ~some)]
        median = MEDIAN if statistic is np.median and (~some).sum() > 2 else 1
        apart = cells[some].mean(axis=0) - statistic(cells[~some], axis=0)
        common = bandings[some].mean() / some.sum() + median * bandings[~some].mean() / (~some).sum()
        return _test(apart, noise[0], median * noise[1], common, light, slack)

    compared = [compare(cells, numbers == number, np.median) for number in numbers]
    tests, worths = (np.stack(each) for each in zip(*compared, strict=True))
    more = np.log(2 * len(frames) - 3)  # for so many tests: twice that is what Bonferroni adds to χ²
    least, doubted = MOVED + 2 * more, DOUBTED + more
    shared = np.where((tests > least)[..., None], light, cells)  # what one frame alone shows tells nothing of others
    tests, worths = np.maximum(tests, tests[own]), np.minimum(worths, worths[own])
    for moment in numbers[1:]:
        before = numbers < moment
        beyond = before != before[own]
        tests[beyond] = np.maximum(tests[beyond], compare(shared, before)[0])
    others = [(frame, *each) for frame, *each in zip(frames, tests, worths, strict=True) if frame is not reference]
    others = [(frame, np.maximum(test, frame.block_test), worth) for frame, test, worth in others]
    near = ndimage.maximum_filter(np.max([test for _, test, _ in others], axis=0) > least, REACH)  # in all frames
    seen = taken = 0  # how many of the others see a cell, and take part in it
    for frame, test, _ in others:
        moved = ndimage.binary_propagation(near & (test > doubted), np.ones((3, 3)), test > doubted)
        unseen = ndimage.maximum_filter(np.isnan(frame.cells[..., 0]), 3)  # since shares fade between cells
        frame.share = 1 - np.float32(ndimage.maximum_filter(moved, 3) | unseen)
        if frame.share.mean() <= SEEN * (1 - unseen.mean()):
            frame.misfit = OVEREXPOSED if frame.clipped.mean() > CLIPPED else MISFIT
        else:
            seen, taken = seen + ~unseen, taken + frame.share
    for frame, _, worth in others:
        frame.share = np.where(taken < FEW * seen, 0, frame.share * worth)


def _test(apart, own, rest, banding, light, slack):
    """χ² of differences of cells (rows, columns, 4), the largest of CONTRASTS in WINDOWS, and a frame's worth.

    The worth is its variance over that with what its squared differences have beyond noise: so much less counts what
    moves too little for a test. own, rest: variances of what is compared; banding: of both, see _measure_banding.
    """
    noise, error = (own + rest) @ CONTRASTS.T**2, MISPLACED[1] ** 2 * slack[..., None] + (MISPLACED[2] * light) ** 2
    apart, error = apart @ CONTRASTS.T, error @ np.abs(CONTRASTS.T) / np.abs(CONTRASTS).sum(axis=1)
    found, squares, beyond = [], (apart**2 / (noise + error + banding))[..., 0], 0
    for window, chance in CHANCE_OF_CELLS.items():
        beyond = np.maximum(beyond, ndimage.uniform_filter(squares, window) - chance)
    worth = 1 / (1 + beyond * (1 + (rest / own).mean(axis=-1)))
    for window, weight in WINDOWS.items():
        inside = np.ones_like(apart)  # at the border, a window has fewer cells
        mean, unknown, wrong, inside = (
            ndimage.uniform_filter(each, (window, window, 0), mode="constant") for each in (apart, noise, error, inside)
        )
        variance = unknown / window**2 + banding / window + wrong * inside
        found.append(weight * (LIKELY * mean**2 / variance).max(axis=-1))
    return np.max(found, axis=0), worth


def _test_blocks(apart, noise, error):
    """χ² of mean squared differences of a cell's 16 blocks: the larger of that of the cell and of 3 × 3 cells.

    noise, error: what they are without motion; errors of alignment, unlike noise, are alike in neighbours.
    """
    seen = np.isfinite(apart + noise)
    around, known, cells = (
        ndimage.uniform_filter(np.where(seen, each, 0), 3, mode="constant") for each in (apart, noise + 2 * error, 1.0)
    )
    more = (around / np.maximum(known, 1e-9) - 1).clip(0)  # its χ² is 72 more² if noise is normal: tails are heavier
    return np.fmax(FINE[0] * (apart / (noise + error) - 0.5), FINE[1] * cells * more**2)


def _add(frames, remarks):
    """The Burst of frames with their shares; the first is the reference."""
    reference, black = frames[0], frames[0].black
    mosaic, noise, (counts, inner) = reference.mosaic, reference.noise, reference.load()
    if len(frames) == 1:
        return Burst(replace(mosaic, counts=counts[inner]), noise, reference.info, remarks)
    size = tuple(length // 2 for length in counts.shape)
    typical, total = max(float(reference.cells.mean()), 0), np.zeros((*size, 4), np.float32)
    sums, whole = np.zeros((3, *reference.cells.shape[:2])), np.zeros(3)  # of weights, and of variances
    first = align.displace(counts, black, mosaic.white_balance, None)
    for frame in frames:
        weight, share = 1 / frame.noise.predict_variance(typical), frame.share
        terms = np.array([weight, weight**2 * frame.noise.gain_dn, weight**2 * frame.noise.read_dn**2])
        seen = first
        if frame is not reference:
            seen = align.displace(frame.load()[0], frame.black, mosaic.white_balance, frame.motion)
            seen /= np.float32(frame.ratio)
            share = share * _weigh(seen, first, (frame.noise, noise))
        whole += terms
        sums += terms[:, None, None] * np.stack([share, share**2, share**2])
        total += seen * (spread(share, CELL, size) * np.float32(weight))[..., None]
    del first, seen
    merged, weights = np.empty(counts.shape, np.float32), spread(sums[0], CELL, size)
    for top in range(0, size[0], STRIP_PX):
        mean = total[top : top + STRIP_PX] / weights[top : top + STRIP_PX, :, None] + black
        merged[2 * top : 2 * (top + STRIP_PX)] = camera.unpack(np.minimum(mean, mosaic.white))
    gain, variance = whole[1:] / whole[0] ** 2
    noise = noise._replace(gain_dn=float(gain), read_dn=float(variance**0.5))
    own = 1 / reference.noise.predict_variance(typical)  # the reference's weight
    maps = np.stack([sums[1] / sums[0] ** 2, np.sqrt(sums[2]) / sums[0], own / sums[0]])
    alone, mosaic = (replace(mosaic, counts=each[inner]) for each in (counts, merged))
    info = reference.info and replace(reference.info, frames=len(frames))
    return Burst(mosaic, noise, info, remarks, maps.astype(np.float32), (alone, reference.noise))


def _weigh(seen, first, noises):
    """The weight of a frame by cell, over that which it has if it differs from the reference by the noises of both.

    A weight is the inverse of a variance: of the frame's noise, and of errors of interpolation and alignment, which are
    what else its squared difference from the reference has.
    """
    apart, light = average(np.square(seen - first), CELL), average(first, CELL)
    own, others = (noise.predict_variance(light).mean(axis=-1) for noise in noises)
    return own / (own + np.maximum(apart.mean(axis=-1) - CHANCE_OF_PIXELS * (own + others), 0))
