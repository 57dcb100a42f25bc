"""One RAW file: read it, reduce it, develop it to RGB.

Developing at a tenth of the size needs no demosaicing: every block of 10 × 10 pixels holds samples of each colour, and
their mean in linear light is what a demosaiced and then reduced picture would show.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rawpy

# Linear sRGB to CIE XYZ for a D65 white: IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


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
        flip: LibRaw's orientation: 0 upright, 3 turned by 180°, 5 by 90° left, 6 by 90° right.
    """

    counts: np.ndarray
    pattern: str
    black: np.ndarray
    white: float
    white_balance: np.ndarray
    to_srgb: np.ndarray
    flip: int


@contextmanager
def open_raw(path):
    """Yield the rawpy object of a file; whatever LibRaw finds wrong with it becomes a RawError that names the file."""
    path = Path(path)
    if not path.is_file():
        raise RawError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    if path.stat().st_size == 0:
        raise RawError(f"{path}: the file is empty")
    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise RawError(f"{path}: not a RAW file that LibRaw can read ({reason})") from error


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
        sizes = raw.sizes
        places = [
            raw.raw_color(sizes.top_margin + row, sizes.left_margin + column) for row in (0, 1) for column in (0, 1)
        ]
        return Mosaic(
            counts=raw.raw_image_visible.copy(),
            pattern="".join(chr(raw.color_desc[place]) for place in places),
            black=np.array([raw.black_level_per_channel[place] for place in places], float),
            white=float(raw.white_level),
            white_balance=_white_balance(raw),
            to_srgb=camera_to_srgb(raw.rgb_xyz_matrix[:3]),
            flip=sizes.flip,
        )


def _is_bayer(raw):
    return raw.raw_type == rawpy.RawType.Flat and raw.raw_pattern is not None and raw.raw_pattern.shape == (2, 2)


def _white_balance(raw):
    """The camera's gains for R, G, B, or daylight's where the file has none, scaled so that the smallest is 1."""
    gains = np.array(raw.camera_whitebalance[:3], float)
    if not (gains > 0).all():
        gains = np.array(raw.daylight_whitebalance[:3], float)
    return gains / gains.min()


def camera_to_srgb(xyz_to_camera):
    """Return the (3, 3) matrix from white-balanced camera RGB to linear sRGB; rows sum to 1, so grey stays grey.

    Args:
        xyz_to_camera: (3, 3), from CIE XYZ to camera RGB, as cameras' DNG and LibRaw state it.
    Source: dcraw's cam_xyz_coeff: rows of (XYZ to camera) · (sRGB to XYZ) are scaled to sum to 1, then inverted.
    """
    srgb_to_camera = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    return np.linalg.inv(srgb_to_camera / srgb_to_camera.sum(axis=1, keepdims=True))


def bin_mosaic(counts, scale):
    """Average a mosaic over scale × scale blocks, each of the four places in the 2 × 2 pattern apart.

    A block's samples of one place lie half a pixel off the block's centre, to another side for each place, which would
    leave coloured fringes. So each plane is interpolated linearly before it is averaged; see _bin_rows.

    Args:
        counts: (H, W), any real type. At the lower and right edge a block averages the pixels that it has.
        scale: block side in pixels, even.
    Returns:
        float32 in the unit of counts, shape (ceil(H / scale), ceil(W / scale), 4): upper left, upper right, lower left,
        lower right of the pattern.
    Raises:
        ValueError: scale is odd or below 2.
    """
    if scale < 2 or scale % 2:
        raise ValueError(f"scale must be even and at least 2, so that each block holds every colour. Received: {scale}")
    # An odd last row or column would leave a block without some colour: its neighbour but one is of the same colour.
    odd_row, odd_column = (side % 2 for side in counts.shape)
    if odd_row or odd_column:
        counts = np.pad(counts, ((0, odd_row), (0, odd_column)), mode="reflect")
    planes = [_bin_rows(_bin_rows(counts, scale, row).T, scale, column).T for row in (0, 1) for column in (0, 1)]
    return np.stack(planes, axis=-1)


def _bin_rows(values, scale, offset):
    """Average the rows offset, offset + 2, … over blocks of `scale` rows: (H, W) to (ceil(H / scale), W), float32.

    It is the mean of all rows of the block once those between are interpolated: the row between two blocks takes half
    of each neighbour, so a quarter of the neighbour's first (or last) sample stands in for a quarter of the own one.
    """
    samples = values[offset::2]
    starts = np.arange(0, len(samples), scale // 2)
    ends = np.append(starts[1:], len(samples))
    sums = np.add.reduceat(samples, starts, axis=0, dtype=np.float32)
    if offset == 0:
        firsts = samples[starts].astype(np.float32)
        sums[:-1] += (firsts[1:] - firsts[:-1]) / 4
    else:
        lasts = samples[ends - 1].astype(np.float32)
        sums[1:] += (lasts[:-1] - lasts[1:]) / 4
    return sums / (ends - starts)[:, None].astype(np.float32)


def reduce_mosaic(mosaic, scale):
    """Return a Mosaic as camera RGB at 1 / scale of its size: black 0, white 1, linear, float32 (h, w, 3).

    Noise below black stays negative here: cutting it off before averaging would lift the shadows.
    """
    places = (bin_mosaic(mosaic.counts, scale) - mosaic.black) / (mosaic.white - mosaic.black)  # (h, w, 4)
    colours = [[place for place, name in enumerate(mosaic.pattern) if name == colour] for colour in "RGB"]
    return np.stack([places[..., of].mean(axis=-1) for of in colours], axis=-1).astype(np.float32)


def render(camera_rgb, white_balance, to_srgb, gain=1.0):
    """Return linear sRGB of linear camera RGB: gain, white balance, clip at white, camera matrix; float32, not clipped.

    Channels are cut at white before the matrix, so that a saturated highlight stays neutral.
    """
    balanced = np.minimum(camera_rgb * np.float32(gain) * white_balance.astype(np.float32), 1)
    return balanced @ to_srgb.T.astype(np.float32)


def develop_linear(path, scale=10, gain=1.0):
    """Develop a RAW file to linear light at 1 / scale of its size.

    Returns:
        float32 (ceil(H / scale), ceil(W / scale), 3), linear sRGB, 0 black and 1 white, not clipped.
    Raises:
        RawError: the file cannot be read. ValueError: scale is not even.
    """
    mosaic = read_mosaic(path)
    linear = render(reduce_mosaic(mosaic, scale), mosaic.white_balance, mosaic.to_srgb, gain)
    return np.rot90(linear, {0: 0, 3: 2, 5: 1, 6: 3}[mosaic.flip])


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
    return np.rint(encode_srgb(develop_linear(path, scale, gain)) * 255).astype(np.uint8)


def encode_srgb(linear):
    """Return sRGB values in 0…1 of linear light, which is clipped to 0…1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(encoded):
    """Return linear light in 0…1 of sRGB values in 0…1: the inverse of encode_srgb."""
    encoded = np.asarray(encoded)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
