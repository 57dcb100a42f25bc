"""Raw counts as a DNG file, with the metadata that a camera would leave."""

import os
import struct
from fractions import Fraction

import tifffile

from sidlib.sample import camera

LONG, RATIONAL = 4, 5  # types of TIFF's fields


def write_dng(path, counts, exposure_s, scene):
    """Write raw counts as an uncompressed CFA DNG with the metadata that a camera would leave.

    Exposure time, ISO and f-number go to an EXIF IFD of their own, where cameras write them and LibRaw looks.
    """
    exif_pointer = 34665
    reserved = 34664  # tifffile writes no pointers: this tag, next to it and in no use, keeps its place
    pattern = ["RGB".index(colour) for colour in camera.PATTERN]
    matrix = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]
    gains = [Fraction(1 / gain).limit_denominator(10**6) for gain in scene.white_balance]
    neutral = [part for value in gains for part in value.as_integer_ratio()]
    tags = [  # tag, type (B, H, I: unsigned of 8, 16, 32 bits; 2I, 2i: fractions; s: text), count, value
        ("DNGVersion", "B", 4, (1, 4, 0, 0)),
        ("UniqueCameraModel", "s", 0, camera.MODEL),
        ("CFARepeatPatternDim", "H", 2, (2, 2)),
        ("CFAPattern", "B", 4, pattern),
        ("BlackLevel", "H", 1, camera.BLACK),
        ("WhiteLevel", "H", 1, camera.WHITE),
        ("ColorMatrix1", "2i", 9, matrix),
        ("CalibrationIlluminant1", "H", 1, 21),  # D65
        ("AsShotNeutral", "2I", 3, neutral),
        (reserved, "I", 1, 0),
    ]
    tifffile.imwrite(
        path, counts, photometric="cfa", metadata=None, software=False, extratags=[(*tag, True) for tag in tags]
    )
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages[0].tags[reserved].offset
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.write(_exif_ifd(exposure_s, scene.iso, scene.f_number, end))
        file.seek(entry)
        file.write(struct.pack("<HHII", exif_pointer, LONG, 1, end))


def _exif_ifd(exposure_s, iso, f_number, offset):
    """The bytes of a little-endian EXIF IFD at a file offset: ExposureTime, FNumber, ISOSpeedRatings."""
    values = offset + 2 + 3 * 12 + 4
    entries = [(33434, RATIONAL, values), (33437, RATIONAL, values + 8), (34855, LONG, iso)]
    ifd = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries
    )
    rationals = [as_fraction(exposure_s), Fraction(f_number).limit_denominator(10)]
    return ifd + struct.pack("<I4I", 0, *(part for value in rationals for part in value.as_integer_ratio()))


def as_fraction(exposure_s):
    """An exposure time as cameras state it: 0.033 is 1/30 s."""
    return Fraction(1, round(1 / exposure_s)) if exposure_s < 1 else Fraction(exposure_s)
