"""Raw counts as a DNG file, with the metadata that a camera would leave and a mark of its own."""

import os
import struct
from fractions import Fraction

import tifffile

from sidlib.sample import camera

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7  # types of TIFF's fields
MARK = "simulated by sidlib: "


def write_dng(path, counts, exposure_s, scene, name="", unique_id=""):
    """Write raw counts as an uncompressed DNG with the metadata that a camera would leave.

    Args:
        path: of the file.
        counts: uint16 (H, W), see camera.expose; or (H, W, 3), linear camera RGB in 0…65535, black 0.
        exposure_s: the exposure time.
        scene: what has iso, f_number and white_balance.
        name, unique_id: text that read_mark finds again, for files that are made by plan.
    Source: Adobe's DNG specification 1.4: the tags that it requires, and those that strict readers miss. Exposure time,
        ISO and f-number go to an EXIF IFD of their own, where cameras write them and LibRaw looks.
    """
    exif_pointer = 34665
    reserved = 34664  # tifffile writes no pointers: this tag, next to it and in no use, keeps its place
    pattern = ["RGB".index(colour) for colour in camera.PATTERN]
    is_mosaic = counts.ndim == 2
    black, white, samples = (camera.BLACK, camera.WHITE, 1) if is_mosaic else (0, 65535, 3)
    matrix = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]
    gains = [Fraction(1 / gain).limit_denominator(10**6) for gain in scene.white_balance]
    neutral = [part for value in gains for part in value.as_integer_ratio()]
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
        ("ColorMatrix1", "2i", 9, matrix),
        ("CalibrationIlluminant1", "H", 1, 21),  # D65
        ("AnalogBalance", "2I", 3, (1, 1) * 3),
        ("AsShotNeutral", "2I", 3, neutral),
        (reserved, "I", 1, 0),
    ]
    if is_mosaic:
        tags += [
            ("CFARepeatPatternDim", "H", 2, (2, 2)),
            ("CFAPattern", "B", 4, pattern),
            ("CFAPlaneColor", "B", 3, (0, 1, 2)),
            ("CFALayout", "H", 1, 1),
        ]
    tifffile.imwrite(
        path,
        counts,
        photometric="cfa" if is_mosaic else "linear_raw",
        description=MARK + name,
        metadata=None,
        software=False,
        extratags=[(*tag, True) for tag in tags],
    )
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages[0].tags[reserved].offset
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.write(_exif_ifd(exposure_s, scene.iso, scene.f_number, unique_id, end))
        file.seek(entry)
        file.write(struct.pack("<HHII", exif_pointer, LONG, 1, end))


def read_mark(path):
    """Return the name and the unique ID that write_dng gave to a file; each is "" where it is not to be found.

    The ID is among the last bytes: a file that is cut off has none. Files of earlier versions bore neither name nor
    maker; they are taken at the name that they have.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            tags = {tag.name: tag.value for tag in tiff.pages[0].tags}
    except Exception:  # whatever is wrong with it, it was not written here
        return "", ""
    if tags.get("UniqueCameraModel") == camera.MODEL and "Make" not in tags:
        return f"{path.parent.name}/{path.name}", ""
    description, exif = tags.get("ImageDescription", ""), tags.get("ExifTag")
    name = description.removeprefix(MARK) if description.startswith(MARK) else ""
    return name, exif.get("ImageUniqueID", "") if isinstance(exif, dict) else ""


def _exif_ifd(exposure_s, iso, f_number, unique_id, offset):
    """The bytes of a little-endian EXIF IFD at a file offset."""
    fractions = [as_fraction(exposure_s), Fraction(f_number).limit_denominator(10)]
    exposure, aperture = (struct.pack("<2I", *fraction.as_integer_ratio()) for fraction in fractions)
    fields = [  # tag, type, count, value
        (33434, RATIONAL, 1, exposure),  # ExposureTime
        (33437, RATIONAL, 1, aperture),  # FNumber
        (34855, SHORT, 1, struct.pack("<H", iso)),  # ISOSpeedRatings
        (36864, UNDEFINED, 4, b"0230"),  # ExifVersion
        (42016, ASCII, len(unique_id) + 1, unique_id.encode() + b"\0"),  # ImageUniqueID
    ]
    entries, values = struct.pack("<H", len(fields)), b""
    after = offset + 2 + 12 * len(fields) + 4
    for tag, kind, count, value in fields:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", after + len(values))
        values += value if len(value) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, count) + place
    return entries + bytes(4) + values


def as_fraction(exposure_s):
    """An exposure time as cameras state it: 0.033 is 1/30 s."""
    return Fraction(1, round(1 / exposure_s)) if exposure_s < 1 else Fraction(exposure_s)
