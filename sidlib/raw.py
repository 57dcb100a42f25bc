"""One RAW file: read it, reduce it, develop it to RGB.

Developing at a tenth of the size needs no demosaicing: every block of 10 × 10 pixels holds samples of each colour, and
their mean in linear light is what a demosaiced and then reduced picture would show.
"""

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rawpy
import tifffile

# Linear sRGB to CIE XYZ for a D65 white: IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
MAX_PIXELS = 250_000_000  # more than any camera has: a header that says so is damaged

_log = logging.getLogger(__name__)


class RawError(ValueError):
    """A file that cannot be read as a RAW photograph; the message names the file and the reason."""


@dataclass(frozen=True)
class Mosaic:
    """The raw counts of one capture and what is needed to interpret them.

    Attributes:
        counts: uint16 (H, W), as the sensor laid them, visible area only.
        pattern: the colours of the upper left 2 × 2 pixels, row by row: "RGGB", "BGGR", "GRBG" or "GBRG".
        black: float (4,), the black level in counts of each of these four pixels.
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


class Signal(NamedTuple):
    """What a capture recorded, reduced to its small size, and what turns it into colours: the arguments of render.

    Attributes:
        camera_rgb: float32 (h, w, 3), linear, upright; black 0 and white 1, noise below black negative.
        white_balance: float (3,), gains of R, G, B, the smallest being 1.
        to_srgb: float (3, 3), white-balanced camera RGB to linear sRGB.
        camera: maker and model as the file states them, "" where it does not.
    """

    camera_rgb: np.ndarray
    white_balance: np.ndarray
    to_srgb: np.ndarray
    camera: str = ""


@contextmanager
def open_raw(path):
    """Yield the rawpy object of a file; whatever LibRaw finds wrong with it becomes a RawError that names the file."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise RawError(f"{path}: {error.strerror}") from error
    if empty:
        raise RawError(f"{path}: the file is empty")
    announced, size = _announced_bytes(path), path.stat().st_size
    if announced > size:
        raise RawError(f"{path}: the file is cut off, {size} of at least {announced} bytes are there")
    try:
        with rawpy.imread(str(path)) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > MAX_PIXELS:
                raise RawError(f"{path}: its header says {raw.sizes.raw_width} × {raw.sizes.raw_height} pixels")
            yield raw
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise RawError(f"{path}: not a RAW file that LibRaw can read ({reason})") from error


def _announced_bytes(path):
    """How long a TIFF-like file (DNG, ARW, NEF …) has to be for the pixels that it announces; 0 for other formats.

    LibRaw fills what is missing of Sony's compressed pixels with the last row that it could read, and does not say so.
    """
    log = tifffile.logger()
    log.disabled = True
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for top in tiff.pages for page in (top, *(top.pages or ()))]  # raw pixels are in a SubIFD
            ends = [map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)) for page in pages]
            return max((end for of_page in ends for end in of_page), default=0)
    except Exception:  # whatever is wrong with the header, the verdict is LibRaw's
        return 0
    finally:
        log.disabled = False


def read_exposure(path):
    """Return how a capture was exposed, from its own metadata: a dict of exposure_s, iso and f_number.

    Raises:
        RawError: the file cannot be read, or does not say its exposure time.
    """
    with open_raw(path) as raw:
        other = raw.other
        if not other.shutter_speed > 0:
            raise RawError(f"{path}: its metadata has no exposure time")
        # LibRaw keeps single floats: six digits take 0.1 back from 0.10000000149.
        return {
            name: float(f"{value:.6g}")
            for name, value in (
                ("exposure_s", other.shutter_speed),
                ("iso", other.iso_speed),
                ("f_number", other.aperture),
            )
        }


def read_mosaic(path):
    """Return the Mosaic of a Bayer RAW file.

    Raises:
        RawError: the file cannot be read, or its sensor has no 2 × 2 Bayer pattern.
    """
    with open_raw(path) as raw:
        if not _is_bayer(raw):
            raise RawError(f"{path}: its sensor has no 2 × 2 Bayer pattern")
        mosaic = _interpret(path, raw)
        return replace(mosaic, counts=mosaic.counts.copy())


def _is_bayer(raw):
    """Whether each pixel holds one of three colours in a 2 × 2 pattern: not X-Trans, monochrome or demosaiced."""
    pattern = raw.raw_pattern
    return (
        raw.raw_type == rawpy.RawType.Flat and raw.num_colors == 3 and pattern is not None and pattern.shape == (2, 2)
    )


def _interpret(path, raw):
    """The Mosaic of an open Bayer file; its counts live as long as the file is open."""
    top, left = raw.sizes.top_margin, raw.sizes.left_margin
    places = [raw.raw_color(top + row, left + column) for row in (0, 1) for column in (0, 1)]
    pattern = "".join(chr(raw.color_desc[place]) for place in places)
    if set(pattern) != set("RGB"):
        raise RawError(f"{path}: its sensor's pattern, {pattern}, lacks a colour")
    black = np.array([raw.black_level_per_channel[place] for place in places], float)
    if not raw.white_level > black.max():
        raise RawError(f"{path}: its white level, {raw.white_level}, is not above its black level, {black.max():g}")
    return Mosaic(
        counts=raw.raw_image_visible,
        pattern=pattern,
        black=black,
        white=float(raw.white_level),
        white_balance=_white_balance(path, raw),
        to_srgb=_to_srgb(raw),
        flip=raw.sizes.flip,
    )


def _white_balance(path, raw):
    """The camera's gains for R, G, B, or daylight's where the file has none, scaled so that the smallest is 1."""
    gains = np.array(raw.camera_whitebalance[:3], float)
    if not (gains > 0).all():
        _log.warning("%s has no white balance: daylight is taken", path)
        gains = np.array(raw.daylight_whitebalance[:3], float)
    return gains / gains.min()


def _to_srgb(raw):
    """LibRaw's matrix for an open file; it keeps one or the other, and none for a camera that it does not know."""
    if raw.color_matrix.any():
        return raw.color_matrix[:, :3].astype(float)
    if raw.rgb_xyz_matrix.any():
        return camera_to_srgb(raw.rgb_xyz_matrix[:3])
    return np.eye(3)


def camera_to_srgb(xyz_to_camera):
    """Return the (3, 3) matrix from white-balanced camera RGB to linear sRGB; rows sum to 1, so grey stays grey.

    Args:
        xyz_to_camera: (3, 3), from CIE XYZ to camera RGB, as DNG files and LibRaw's tables state it.
    Source: dcraw's cam_xyz_coeff: rows of (XYZ to camera) · (sRGB to XYZ) are scaled to sum to 1, then inverted.
    """
    srgb_to_camera = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    return np.linalg.inv(srgb_to_camera / srgb_to_camera.sum(axis=1, keepdims=True))


def bin_mosaic(counts, scale):
    """Average a mosaic over scale × scale blocks, each of the four places in the 2 × 2 pattern apart.

    A block's samples of one place lie half a pixel off the block's centre, to another side for each place, which would
    leave coloured fringes. So each plane is interpolated linearly before it is averaged; see _sum_rows.

    Args:
        counts: (H, W), any real type. At the lower and right edge a block averages the pixels that it has.
        scale: block side in pixels, even.
    Returns:
        float32 in the unit of counts, shape (ceil(H / scale), ceil(W / scale), 4): upper left, upper right, lower left,
        lower right of the pattern.
    Raises:
        ValueError: scale is odd or below 2.
    """
    _check_scale(scale)
    # An odd last row or column would leave a block without some colour: its neighbour but one is of the same colour.
    odd_row, odd_column = (side % 2 for side in counts.shape)
    if odd_row or odd_column:
        counts = np.pad(counts, ((0, odd_row), (0, odd_column)), mode="reflect")
    halves = [_sum_rows(counts, scale, row) for row in (0, 1)]
    sums = [_sum_rows(half.T, scale, column).T for half in halves for column in (0, 1)]
    samples = [np.diff(np.append(np.arange(0, side, scale), side)) / 2 for side in counts.shape]
    return np.stack(sums, axis=-1) / np.outer(*samples)[..., None].astype(np.float32)


def _check_scale(scale):
    if scale < 2 or scale % 2:
        raise ValueError(f"scale must be even and at least 2, so that each block holds every colour. Received: {scale}")


def _sum_rows(values, scale, offset):
    """Sum the rows offset, offset + 2, … over blocks of `scale` rows: (H, W) to (ceil(H / scale), W), float32.

    Half the sum of all rows of the block once those between are interpolated: the row between two blocks takes half of
    each neighbour, so a quarter of the neighbour's first (or last) sample stands in for a quarter of the own one.
    """
    samples, half = values[offset::2], scale // 2
    starts = np.arange(0, len(samples), half)
    ends = np.append(starts[1:], len(samples))
    sums = samples[::half].astype(np.float32)  # in the memory order of values, transposed or not
    for place in range(1, half):  # whole rows at a time: many times as fast as a sum over a short axis
        part = samples[place::half]
        sums[: len(part)] += part
    edges = samples[starts if offset == 0 else ends - 1] * np.float32(0.25)
    own, other = (slice(None, -1), slice(1, None)) if offset == 0 else (slice(1, None), slice(None, -1))
    sums[own] += edges[other]
    sums[own] -= edges[own]
    return sums


def reduce_mosaic(mosaic, scale):
    """Return a Mosaic as camera RGB at 1 / scale of its size: black 0, white 1, linear, float32 (h, w, 3).

    Noise below black stays negative here: cutting it off before averaging would lift the shadows.
    """
    black, span = mosaic.black.astype(np.float32), (mosaic.white - mosaic.black).astype(np.float32)
    places = (bin_mosaic(mosaic.counts, scale) - black) / span  # (h, w, 4)
    colours = [[place for place, name in enumerate(mosaic.pattern) if name == colour] for colour in "RGB"]
    return np.stack([sum(places[..., place] for place in of) / len(of) for of in colours], axis=-1)


def render(camera_rgb, white_balance, to_srgb, gain=1.0):
    """Return linear sRGB of linear camera RGB: gain, white balance, clip at white, camera matrix; float32, not clipped.

    Channels are cut at white before the matrix, so that a saturated highlight stays neutral.
    """
    balanced = np.minimum(camera_rgb * np.float32(gain) * white_balance.astype(np.float32), 1)
    return balanced @ to_srgb.T.astype(np.float32)


def read_signal(path, scale=10):
    """Return the Signal of a RAW file at 1 / scale of its size, shape (ceil(H / scale), ceil(W / scale), 3).

    A file without a Bayer pattern is developed by LibRaw at full size and then reduced: its Signal is linear sRGB.

    Raises:
        RawError: the file cannot be read. ValueError: scale is not even.
    """
    _check_scale(scale)
    with open_raw(path) as raw:
        if not _is_bayer(raw):
            return Signal(turn(_develop_by_libraw(path, raw, scale), raw.sizes.flip), np.ones(3), np.eye(3))
        mosaic = _interpret(path, raw)
        camera_rgb = reduce_mosaic(mosaic, scale)
    return Signal(turn(camera_rgb, mosaic.flip), mosaic.white_balance, mosaic.to_srgb)


def _develop_by_libraw(path, raw, scale):
    """The linear sRGB of an open file that has no Bayer pattern, by LibRaw at full size, then reduced."""
    gains = [*_white_balance(path, raw), 0]
    full = raw.postprocess(gamma=(1, 1), no_auto_bright=True, user_wb=gains, output_bps=16, user_flip=0)
    height, width = (-(-side // scale) * scale for side in full.shape[:2])
    padded = np.pad(full, ((0, height - full.shape[0]), (0, width - full.shape[1]), (0, 0)), mode="edge")
    blocks = padded.reshape(height // scale, scale, width // scale, scale, full.shape[2])
    linear = blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(65535)
    return np.broadcast_to(linear, (*linear.shape[:2], 3))


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
