"""Raw counts as a DNG file, with the metadata that a camera would write."""

import os
import struct
from fractions import Fraction

import tifffile
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from sidlib import camera

EXIF_POINTER, RESERVED = 34665, 34664  # tifffile writes no pointers: the unused tag beside it keeps its place
MARK = "simulated by sidlib"


def write_dng(path, counts, exposure_s, scene):
    """Write raw counts as an uncompressed DNG file.

    Counts are uint16: (H, W) of camera.expose, or (H, W, 3), linear camera RGB in 0…65535, black 0. The scene has iso,
    f_number and white_balance. The tags are those that Adobe's DNG specification 1.4 requires, and those that strict
    readers miss. Exposure time, ISO and f-number go to an EXIF IFD of their own, where LibRaw looks.
    """
    is_mosaic = counts.ndim == 2
    black, white, samples = (camera.BLACK, camera.WHITE, 1) if is_mosaic else (0, 65535, 3)
    gains = [Fraction(1 / gain).limit_denominator(10**6) for gain in scene.white_balance]
    tags = [  # tag, type (B, H, I: unsigned of 8, 16, 32 bits; 2I, 2i: fractions; s: text), count, value
        ("NewSubfileType", "I", 1, 0),  # the picture itself, no preview
        ("Make", "s", 0, camera.MAKE_TAG),
        ("Model", "s", 0, camera.MODEL_TAG),
        ("Orientation", "H", 1, 1),
        ("DNGVersion", "B", 4, (1, 4, 0, 0)),
        ("DNGBackwardVersion", "B", 4, (1, 1, 0, 0)),
        ("UniqueCameraModel", "s", 0, camera.MODEL),
        ("BlackLevel", "H", samples, (black,) * samples),
        ("WhiteLevel", "H", samples, (white,) * samples),
        ("ActiveArea", "I", 4, (0, 0, *counts.shape[:2])),
        ("DefaultCropOrigin", "I", 2, (0, 0)),
        ("DefaultCropSize", "I", 2, counts.shape[1::-1]),
        ("ColorMatrix1", "2i", 9, [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]),
        ("CalibrationIlluminant1", "H", 1, 21),  # D65
        ("AnalogBalance", "2I", 3, (1, 1) * 3),
        ("AsShotNeutral", "2I", 3, [part for gain in gains for part in gain.as_integer_ratio()]),
        (RESERVED, "I", 1, 0),
    ]
    if is_mosaic:
        pattern = ["RGB".index(colour) for colour in camera.PATTERN]
        tags += [("CFARepeatPatternDim", "H", 2, (2, 2)), ("CFAPattern", "B", 4, pattern)]
        tags += [("CFAPlaneColor", "B", 3, (0, 1, 2)), ("CFALayout", "H", 1, 1)]
    options = {"photometric": "cfa" if is_mosaic else "linear_raw", "metadata": None, "software": False}
    tifffile.imwrite(path, counts, description=MARK, extratags=[(*tag, True) for tag in tags], **options)
    exif, exposure = ImageFileDirectory_v2(group=EXIF_POINTER), IFDRational(as_fraction(exposure_s))
    exif.update({33434: exposure, 33437: IFDRational(scene.f_number), 34855: scene.iso, 36864: b"0230"})
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags[RESERVED].offset
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.write(exif.tobytes(end))
        file.seek(place)
        file.write(struct.pack("<HHII", EXIF_POINTER, 4, 1, end))


def is_simulated(path):
    """Return whether a file was written by write_dng."""
    with open(path, "rb") as file:
        return MARK.encode() in file.read(4096)


def as_fraction(exposure_s):
    """Return an exposure time as cameras state it: 0.033 is 1/30 s."""
    return Fraction(1, round(1 / exposure_s)) if exposure_s < 1 else Fraction(exposure_s)
