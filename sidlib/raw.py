"""One RAW file: read it, reduce it, develop it to RGB.

At a tenth of the size no pattern needs demosaicing: each block of 10 × 10 pixels holds samples of every colour.
"""

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import rawpy
import tifffile

from sidlib.camera import compute_ccm, quantize, render
from sidlib.rawfile import RawError, find_raw_pages, open_raw, read_black_deltas, read_black_fractions, read_camera

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mosaic:
    """The raw counts of one capture, and the levels, colours and orientation that are needed to develop them."""

    counts: np.ndarray  # uint16 (H, W), the visible area of the sensor; (H, W, 3) of a linear RAW file
    pattern: str  # of the CFA, row by row: "RGGB", 36 letters of X-Trans …; "W" of monochrome, "RGB" of linear files
    black: np.ndarray  # float, the black level in counts for each letter of the pattern
    white: float  # the count of saturation
    white_balance: np.ndarray  # float (3,), gains of R, G, B, the smallest being 1
    ccm: np.ndarray  # camera matrix, float (3, 3): white-balanced camera RGB to linear sRGB; rows sum to 1
    flip: int  # LibRaw's orientation, see turn

    @property
    def side(self):
        """Width and height of the pattern in pixels."""
        return math.isqrt(len(self.pattern)) if self.counts.ndim == 2 else 1


class Signal(NamedTuple):
    """A capture at reduced size, with the white balance and camera matrix of its Mosaic."""

    camera_rgb: np.ndarray  # float32 (h, w, 3), linear, upright; black 0 and white 1, noise below black negative
    white_balance: np.ndarray
    ccm: np.ndarray
    camera: str = ""  # maker and model as the file's TIFF header states them


def read_exposure(path):
    """Return a dict of exposure_s, iso and f_number from a capture's metadata; RawError if it has no exposure time."""
    with open_raw(path) as (raw, _):
        try:
            exposure_s, iso, f_number = raw.other.shutter_speed, raw.other.iso_speed, raw.other.aperture
        except (ValueError, OverflowError) as error:  # rawpy reads all or nothing
            raise RawError(f"{path}: its metadata has no possible date ({error})") from error
    if not exposure_s > 0:
        raise RawError(f"{path}: its metadata has no exposure time")
    exposure = {"exposure_s": exposure_s, "iso": iso, "f_number": f_number}
    return {name: float(f"{value:.6g}") for name, value in exposure.items()}  # LibRaw's 0.10000000149 is 0.1


def read_mosaic(path):
    """Return the Mosaic of a RAW file; RawError if it cannot be read or its colours are not red, green and blue."""
    with open_raw(path) as file:
        mosaic = interpret_raw(path, *file)
        return replace(mosaic, counts=mosaic.counts.copy())


def interpret_raw(path, raw, pages):
    """Return the Mosaic of an open file, see open_raw; its counts live as long as the file is open."""
    counts, sizes, white = raw.raw_image_visible, raw.sizes, raw.white_level
    if counts.shape[:2] != (sizes.height, sizes.width):
        raise RawError(f"{path}: its pixels do not lie in upright rows and columns")  # Fujifilm's Super CCD
    if not any(row.any() for row in counts):  # row by row, to end early
        raise RawError(f"{path}: cut off or damaged (all pixels are 0)")
    if any(page.sampleformat == tifffile.SAMPLEFORMAT.IEEEFP for page in find_raw_pages(pages)):
        raise RawError(f"{path}: its pixels are floating point numbers, no counts")  # LibRaw scales by the maximum
    channels, pattern = _read_pattern(raw)
    if raw.num_colors > 3 or set(pattern) not in ({"W"}, set("RGB")):
        raise RawError(f"{path}: its colours, {pattern}, are not red, green and blue")
    black = np.array([raw.black_level_per_channel[channel] for channel in channels], float)
    black += read_black_fractions(pages, len(raw.raw_pattern)) if counts.ndim == 2 else 0
    if not white > black.max():
        raise RawError(f"{path}: its white level, {white}, is not above its black level, {black.max():g}")
    counts = counts if counts.ndim == 2 else counts[..., : len(pattern)]
    if counts.ndim == 2 and (deltas := read_black_deltas(pages, counts.shape)).any():
        counts = np.clip(counts - deltas, 0, 65535).astype(np.uint16)
    mosaic = Mosaic(counts, pattern, black, float(white), np.ones(3), np.eye(3), sizes.flip)
    return mosaic if pattern == "W" else _read_colours(path, raw, mosaic)


def _read_pattern(raw):
    """LibRaw's channel number and the letter of each colour in an open file's pattern."""
    if raw.raw_type == rawpy.RawType.Stack:
        channels = range(raw.num_colors)
    elif raw.raw_pattern.size == 1:
        return [0], "W"
    else:
        side, top, left = len(raw.raw_pattern), raw.sizes.top_margin, raw.sizes.left_margin
        channels = [raw.raw_color(top + row, left + column) for row in range(side) for column in range(side)]
    return channels, "".join(chr(raw.color_desc[channel]) for channel in channels)


def _read_colours(path, raw, mosaic):
    """A Mosaic with its file's white balance and camera matrix; the log says what replaces a missing one."""
    gains, ccm = np.array(raw.camera_whitebalance[:3]), np.eye(3)
    if not all(0 < gain < np.inf for gain in gains):
        _log.warning("%s has no white balance: its mean is taken for grey", path)
        gains = balance_grey(mosaic)
    with np.errstate(all="ignore"), suppress(np.linalg.LinAlgError):
        in_file = raw.color_matrix.any()  # LibRaw keeps either this matrix or the other
        found = raw.color_matrix[:, :3].astype(float) if in_file else compute_ccm(raw.rgb_xyz_matrix[:3])
        if np.allclose(found.sum(axis=1), 1, atol=0.01):  # else it cannot be inverted
            return replace(mosaic, white_balance=gains / gains.min(), ccm=found)
    _log.warning("%s has no colour matrix: its camera's colours are taken for sRGB's", path)
    return replace(mosaic, white_balance=gains / gains.min(), ccm=ccm)


def balance_grey(mosaic):
    """Return the white balance, (3,), that makes a Mosaic grey on average, but for blocks with a saturated pixel.

    Source: LibRaw's automatic white balance, which also cuts off noise below black and is biased in the dark by that.
    """
    side, planes = mosaic.side, np.moveaxis(np.atleast_3d(mosaic.counts), -1, 0)
    block = 8 if side <= 2 else 2 * side
    height, width = (length // block for length in mosaic.counts.shape[:2])
    blocks = planes[:, : height * block, : width * block].reshape(-1, height, block, width, block)
    kept, light = blocks.max(axis=(0, 2, 4), initial=0) < 0.998 * mosaic.white, {}
    for position, colour in enumerate(mosaic.pattern):
        row, column = divmod(position, side) if len(planes) == 1 else (0, 0)
        samples = blocks[position % len(planes), :, row::side, :, column::side].mean(axis=(1, 3), dtype=np.float32)
        light.setdefault(colour, []).append(samples[kept].sum() - mosaic.black[position] * kept.sum())
    means = np.array([np.mean(light[colour]) for colour in "RGB"])
    return means.max() / means if means.min() > 0 else np.ones(3)


def bin_mosaic(counts, scale, side=2):
    """Average a mosaic over scale × scale blocks, separately for each of its pattern's side × side CFA positions.

    Counts are (H, W), or (H, W, 3) with a side of 1; scale is even. The means and their sums of weights, see _sum_rows,
    are float32 (positions, ceil(H / scale), ceil(W / scale)).
    """
    if scale < 2 or scale % 2:
        raise ValueError(f"scale must be even and at least 2. Received: {scale}")
    for axis in (0, 1):
        rest = counts.shape[axis] % scale
        if missing := min(-rest % side, -rest % scale):  # a small last block repeats what it lacks of the pattern
            counts = np.concatenate([counts, np.take(counts, range(-side, missing - side), axis)], axis)
    planes, phases = np.moveaxis(np.atleast_3d(counts), -1, 0), range(side)
    halves = [_sum_rows(plane, scale, row, side) for plane in planes for row in phases]
    sums = np.stack([_sum_rows(half.T, scale, column, side).T for half in halves for column in phases])
    ones = (np.ones((length, 1)) for length in counts.shape[:2])
    rows, columns = ([_sum_rows(one, scale, phase, side) for phase in phases] for one in ones)
    samples = np.stack([row * column.T for row in rows for column in columns] * len(planes))
    sums /= np.maximum(samples, 1 / 16)
    return sums, samples


def _sum_rows(values, scale, phase, period):
    """Sum the rows phase, phase + period, … over blocks of `scale` rows: (H, W) to (ceil(H / scale), W), float32.

    Of ten rows, the even ones lie half a row above the block's middle, which would leave coloured fringes. So a row
    beside a border counts ¾ for its own block and ¼ for its neighbour: (¾ · 0 + 2 + 4 + 6 + 8 + ¼ · 10) / 5 = 4½ is
    the middle. This equals half the sum of all ten rows after interpolating the missing ones.
    """
    firsts, cycle = np.arange(0, len(values), scale), math.lcm(scale, period)
    lasts = np.append(firsts[1:], len(values)) - 1
    sums = np.zeros_like(values, np.float32, shape=(len(firsts), values.shape[1]))  # in the memory order of values
    for row in range(phase, cycle, period):  # whole rows at a time: many times as fast as a sum over a short axis
        part = values[row::cycle]
        sums[row // scale :: cycle // scale][: len(part)] += part
    for edges, own, other in ((firsts, np.s_[:-1], np.s_[1:]), (lasts, np.s_[1:], np.s_[:-1])):
        quarters = np.float32(0.25) * (edges % period == phase)
        if period > 1 and quarters.any():
            given = values[edges] * quarters[:, None]
            sums[own] += given[other]
            sums[own] -= given[own]
    return sums


def reduce_mosaic(mosaic, scale):
    """Return a Mosaic as linear camera RGB at 1 / scale of its size: black 0, white 1, float32 (h, w, 3).

    Noise below black stays negative: cutting it off before averaging would lift the shadows. The scale is even, and so
    large that each block holds every colour; else ValueError.
    """
    means, samples = bin_mosaic(mosaic.counts, scale, mosaic.side)
    blacks, spans = (levels.astype(np.float32) for levels in (mosaic.black, mosaic.white - mosaic.black))
    colours = []
    for colour in "RGB":
        positions = [position for position, name in enumerate(mosaic.pattern) if name in (colour, "W")]
        total = sum(samples[position] for position in positions)
        if not total.all():
            raise ValueError(f"scale must be so large that each block holds every colour. Received: {scale}")
        colours.append(sum((means[p] - blacks[p]) / spans[p] * (samples[p] / total) for p in positions))
    return np.stack(colours, axis=-1)


def read_signal(path, scale=10):
    """Return a RAW file's Signal at 1 / scale of its size; RawError, or ValueError for a scale as in reduce_mosaic."""
    with open_raw(path) as (raw, pages):
        mosaic = interpret_raw(path, raw, pages)
        camera_rgb = turn(reduce_mosaic(mosaic, scale), mosaic.flip)
    return Signal(camera_rgb, mosaic.white_balance, mosaic.ccm, " ".join(read_camera(pages)).strip())


def turn(picture, flip):
    """Return a picture (H, W, 3) in the orientation of LibRaw's flip, whose bits dcraw's flip_index defines."""
    picture = picture[::-1] if flip & 2 else picture
    picture = picture[:, ::-1] if flip & 1 else picture
    return picture.swapaxes(0, 1) if flip & 4 else picture


def develop_linear(path, scale=10, gain=1.0):
    """Return linear sRGB of a RAW file at 1 / scale of its size, see read_signal; the gain is a factor on it."""
    return render(*read_signal(path, scale)[:3], gain)


def develop(path, scale=10, gain=1.0):
    """Return develop_linear as a picture, uint8 sRGB, without automatic brightening: the dark stays dark."""
    return quantize(develop_linear(path, scale, gain))
