"""One RAW file: read it, reduce it, develop it to RGB.

Developing at a tenth of the size needs no demosaicing, whatever pattern the sensor has: every block of 10 × 10 pixels
holds samples of each colour, and their mean in linear light is what a demosaiced and then reduced picture would show.
"""

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import rawpy
import tifffile

from sidlib.rawfile import RawError, find_raw_pages, open_raw, read_camera

# Linear sRGB to CIE XYZ for a D65 white: IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mosaic:
    """The raw counts of one capture and what is needed to interpret them.

    Attributes:
        counts: uint16 (H, W), as the sensor laid them, visible area only; (H, W, 3) where each pixel has all colours.
        pattern: the colours of the square that repeats over the sensor, row by row: "RGGB" or another of Bayer's
            orders, 36 letters of X-Trans; "W" of a monochrome sensor; "RGB" where each pixel has all colours.
        black: float, the black level in counts for each letter of the pattern.
        white: the count at which the sensor saturates.
        white_balance: float (3,), gains of R, G, B, the smallest being 1.
        to_srgb: float (3, 3), white-balanced camera RGB to linear sRGB; rows sum to 1.
        flip: LibRaw's orientation, see turn.
    """

    counts: np.ndarray
    pattern: str
    black: np.ndarray
    white: float
    white_balance: np.ndarray
    to_srgb: np.ndarray
    flip: int

    @property
    def side(self):
        """How many pixels the pattern is wide and high."""
        return math.isqrt(len(self.pattern)) if self.counts.ndim == 2 else 1


class Signal(NamedTuple):
    """What a capture recorded, reduced to its small size, and what turns it into colours: the arguments of render.

    Attributes:
        camera_rgb: float32 (h, w, 3), linear, upright; black 0 and white 1, noise below black negative.
        white_balance: float (3,), gains of R, G, B, the smallest being 1.
        to_srgb: float (3, 3), white-balanced camera RGB to linear sRGB.
        camera: maker and model as the file's TIFF header states them, "" where it does not or there is none.
    """

    camera_rgb: np.ndarray
    white_balance: np.ndarray
    to_srgb: np.ndarray
    camera: str = ""


def read_exposure(path):
    """Return a dict of exposure_s, iso and f_number of a capture, from its metadata; RawError if that cannot be."""
    with open_raw(path) as (raw, _):
        try:
            exposure_s, iso, f_number = raw.other.shutter_speed, raw.other.iso_speed, raw.other.aperture
        except (ValueError, OverflowError) as error:  # rawpy reads all or nothing
            raise RawError(f"{path}: its metadata has no possible date ({error})") from error
    if not exposure_s > 0:
        raise RawError(f"{path}: its metadata has no exposure time")
    # LibRaw keeps single floats: six digits take 0.1 back from 0.10000000149.
    exposure = {"exposure_s": exposure_s, "iso": iso, "f_number": f_number}
    return {name: float(f"{value:.6g}") for name, value in exposure.items()}


def read_mosaic(path):
    """Return the Mosaic of a RAW file; RawError if it cannot be read or its colours are not red, green and blue."""
    with open_raw(path) as (raw, pages):
        mosaic = interpret_raw(path, raw, pages)
        return replace(mosaic, counts=mosaic.counts.copy())


def interpret_raw(path, raw, pages):
    """Return the Mosaic of an open file, see open_raw; its counts live as long as the file is open."""
    counts, sizes, white = raw.raw_image_visible, raw.sizes, raw.white_level
    if counts.shape[:2] != (sizes.height, sizes.width):
        raise RawError(f"{path}: its pixels do not lie in upright rows and columns")  # Fujifilm's Super CCD
    if not any(row.any() for row in counts):  # row by row, to end early
        raise RawError(f"{path}: cut off or damaged (all pixels are 0)")
    if any(page.sampleformat == tifffile.SAMPLEFORMAT.IEEEFP for page in find_raw_pages(pages)):
        raise RawError(f"{path}: its pixels are floating point numbers, no counts")  # LibRaw scales by the brightest
    channels, pattern = _read_pattern(raw)
    if raw.num_colors > 3 or set(pattern) not in ({"W"}, set("RGB")):
        raise RawError(f"{path}: its colours, {pattern}, are not red, green and blue")
    black = np.array([raw.black_level_per_channel[channel] for channel in channels], float)
    black += _read_black_steps(pages, len(raw.raw_pattern)) if counts.ndim == 2 else 0
    if not white > black.max():
        raise RawError(f"{path}: its white level, {white}, is not above its black level, {black.max():g}")
    white_balance, to_srgb = (np.ones(3), np.eye(3)) if pattern == "W" else _read_colours(path, raw)
    counts = counts if counts.ndim == 2 else counts[..., : len(pattern)]
    return Mosaic(counts, pattern, black, float(white), white_balance, to_srgb, sizes.flip)


def _read_black_steps(pages, side):
    """What a DNG's black level has above LibRaw's at each place, which are whole counts, and steps only of Bayer's."""
    with suppress(IndexError, KeyError, TypeError, ValueError):  # none is stated, or what is stated makes no pattern
        tags = find_raw_pages(pages)[-1].tags
        rows, columns = tags.valueof("BlackLevelRepeatDim", (1, 1))
        levels = np.array(tags["BlackLevel"].value, float).reshape(rows * columns, -1)
        levels = (levels[:, 0] / levels[:, 1:].prod(axis=1)).reshape(rows, columns)  # integers or fractions
        known = levels if max(rows, columns) <= (2 if side == 2 else 1) else levels.min()
        # LibRaw drops one row or column more at an odd border, and the levels with it that it knows stay where they are
        odd = np.array(tags.valueof("ActiveArea", (0, 0))[:2]) % 2 * (side == 2)
        steps = np.tile(np.roll(levels, -odd, (0, 1)) - np.floor(known), (side, side)).reshape(
            rows, side, columns, side
        )
        return np.nan_to_num(steps.mean(axis=(0, 2)).ravel(), posinf=0, neginf=0)  # a fraction may be of nothing
    return 0


def _read_pattern(raw):
    """The number in LibRaw and the letter of each colour in an open file's pattern: see Mosaic."""
    if raw.raw_type == rawpy.RawType.Stack:
        channels = range(raw.num_colors)
    elif raw.raw_pattern.size == 1:
        return [0], "W"
    else:
        side, top, left = len(raw.raw_pattern), raw.sizes.top_margin, raw.sizes.left_margin
        channels = [raw.raw_color(top + row, left + column) for row in range(side) for column in range(side)]
    return channels, "".join(chr(raw.color_desc[channel]) for channel in channels)


def _read_colours(path, raw):
    """An open file's white balance and camera matrix: see Mosaic; the log says what replaces a missing one."""
    balances = [np.array(gains[:3]) for gains in (raw.camera_whitebalance, raw.daylight_whitebalance, (1, 1, 1))]
    choice, gains = next((n, gains) for n, gains in enumerate(balances) if all(0 < gain < np.inf for gain in gains))
    if choice:
        _log.warning("%s has no white balance: %s", path, "daylight is taken" if np.ptp(gains) else "all gains are 1")
    to_srgb = _to_srgb(raw)
    if to_srgb is None:
        _log.warning("%s has no colour matrix: its camera's colours are taken for sRGB's", path)
    return gains / gains.min(), np.eye(3) if to_srgb is None else to_srgb


def _to_srgb(raw):
    """LibRaw's matrix for an open file, or None; it keeps one or the other, and none for a camera it does not know."""
    with np.errstate(all="ignore"), suppress(np.linalg.LinAlgError):
        known = raw.color_matrix.any()
        matrix = raw.color_matrix[:, :3].astype(float) if known else camera_to_srgb(raw.rgb_xyz_matrix[:3])
        if np.allclose(matrix.sum(axis=1), 1, atol=0.01):  # else it cannot be inverted
            return matrix
    return None


def camera_to_srgb(xyz_to_camera):
    """Return the (3, 3) matrix from white-balanced camera RGB to linear sRGB; rows sum to 1, so grey stays grey.

    Args:
        xyz_to_camera: (3, 3), from CIE XYZ to camera RGB, as DNG files and LibRaw's tables state it.
    Source: dcraw's cam_xyz_coeff: rows of (XYZ to camera) · (sRGB to XYZ) are scaled to sum to 1, then inverted.
    """
    srgb_to_camera = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    return np.linalg.inv(srgb_to_camera / srgb_to_camera.sum(axis=1, keepdims=True))


def bin_mosaic(counts, scale, side=2):
    """Average a mosaic over scale × scale blocks, each of the side × side places of its pattern apart.

    Args:
        counts: (H, W), any real type; (H, W, 3) with a side of 1 where each pixel has all colours.
        scale: block side in pixels, even. At the lower and right edge a block averages the pixels that it has.
    Returns:
        The means in the unit of counts, and of how many pixels each is the mean (see _sum_rows): float32, both of shape
        (places, ceil(H / scale), ceil(W / scale)).
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

    The rows of a phase do not lie evenly around a block's middle: of ten, 0, 2, 4, 6, 8 lie half a row above it and
    1, 3, 5, 7, 9 half a row below, which would leave coloured fringes. So a row beside a border counts ¾ for its own
    block and ¼ for the other: (¾ · 0 + 2 + 4 + 6 + 8 + ¼ · 10) / 5 = 4½ is the middle. It is what interpolating the
    rows between and summing all ten would give, halved. At the picture's edge a block that takes none gives none.
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
    """Return a Mosaic as camera RGB at 1 / scale of its size: black 0, white 1, linear, float32 (h, w, 3).

    Noise below black stays negative here: cutting it off before averaging would lift the shadows.

    Raises:
        ValueError: scale is odd, or so small that a block lacks a colour.
    """
    means, samples = bin_mosaic(mosaic.counts, scale, mosaic.side)
    blacks, spans = (levels.astype(np.float32) for levels in (mosaic.black, mosaic.white - mosaic.black))
    colours = []
    for colour in "RGB":
        places = [place for place, name in enumerate(mosaic.pattern) if name in (colour, "W")]
        total = sum(samples[place] for place in places)
        if not total.all():
            raise ValueError(f"scale must be so large that each block holds every colour. Received: {scale}")
        colours.append(sum((means[p] - blacks[p]) / spans[p] * (samples[p] / total) for p in places))
    return np.stack(colours, axis=-1)


def render(camera_rgb, white_balance, to_srgb, gain=1.0):
    """Return linear sRGB of linear camera RGB: gain, white balance, clip at white, camera matrix; float32, not clipped.

    Channels are cut before the matrix, at white or at what a saturated pixel is darkened to, so that a saturated
    highlight stays neutral.
    """
    balanced = np.minimum(camera_rgb * np.float32(gain) * white_balance.astype(np.float32), np.float32(min(gain, 1)))
    return balanced @ to_srgb.T.astype(np.float32)


def read_signal(path, scale=10):
    """Return the Signal of a RAW file at 1 / scale of its size, shape (ceil(H / scale), ceil(W / scale), 3).

    Raises:
        RawError: the file cannot be read. ValueError: scale is odd, or so small that a block lacks a colour.
    """
    with open_raw(path) as (raw, pages):
        mosaic = interpret_raw(path, raw, pages)
        camera_rgb = reduce_mosaic(mosaic, scale)
    camera = " ".join(read_camera(pages)).strip()
    return Signal(turn(camera_rgb, mosaic.flip), mosaic.white_balance, mosaic.to_srgb, camera)


def develop_linear(path, scale=10, gain=1.0):
    """Return linear sRGB of a RAW file at 1 / scale of its size: see read_signal and render."""
    return render(*read_signal(path, scale)[:3], gain)


def turn(picture, flip):
    """Return a picture (height, width, 3) in the orientation that LibRaw's flip states.

    Bit 2 swaps rows and columns after bit 1 has reversed the rows and bit 0 the columns, as in dcraw's flip_index.
    """
    picture = picture[::-1] if flip & 2 else picture
    picture = picture[:, ::-1] if flip & 1 else picture
    return picture.swapaxes(0, 1) if flip & 4 else picture


def develop(path, scale=10, gain=1.0):
    """Develop a RAW file to a viewable picture, with no automatic brightening: the dark stays dark.

    Args:
        path: a RAW file that LibRaw reads.
        scale: side in pixels of the blocks that become one pixel, even.
        gain: factor on the linear signal; the exposure ratio makes a short exposure as bright as its long one.
    Returns:
        uint8 (ceil(H / scale), ceil(W / scale), 3), sRGB.
    Raises:
        RawError: the file cannot be read. ValueError: scale is not even.
    """
    return quantize(develop_linear(path, scale, gain))


def quantize(linear, bits=8):
    """Return the sRGB picture of linear light, uint8 with 8 bits or uint16 with 16."""
    return np.rint(encode_srgb(linear) * (2**bits - 1)).astype(f"uint{bits}")


def encode_srgb(linear):
    """Return sRGB values in 0…1 of linear light, which is clipped to 0…1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(encoded):
    """Return linear light in 0…1 of sRGB values in 0…1: the inverse of encode_srgb."""
    encoded = np.asarray(encoded)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
