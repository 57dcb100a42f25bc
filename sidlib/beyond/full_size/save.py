"""Restored pictures as files: a PNG of 16 bits and a JPEG to look at, with the capture's EXIF and an sRGB profile."""

import struct
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from sidlib import paths
from sidlib.rawfile import RawError

SOFTWARE, EXIF_IFD = 305, 34665
LARGE_PX = 40_000_000  # the JPEG of a larger picture is half as wide and high, for want of memory


@dataclass(frozen=True)
class Shot:
    """What is known of a capture beside its pixels.

    Attributes:
        path: of its file. make, model: of its camera, "" where the file does not say.
        other: rawpy's Other (exposure time, ISO, aperture, focal length, time), None where it cannot be read.
        content: the checksum of its file, see sum_up, which a Shot that is to be saved needs.
    """

    path: Path
    make: str = ""
    model: str = ""
    other: tuple | None = None
    content: int = 0

    @property
    def name(self):
        return Path(self.path).name


def name_pictures(path):
    """Return the files beside a RAW file that it is restored to: PNG and JPEG."""
    return [Path(path).with_name(f"{Path(path).stem} restored{suffix}") for suffix in (".png", ".jpg")]


def sum_up(path):
    """Return a checksum of a RAW file, for two cards have photographs of one name; RawError if it cannot be read."""
    try:
        return paths.checksum(Path(path))
    except OSError as error:
        raise RawError(f"{path}: {error.strerror}") from error


def check_free(path, content):
    """Raise a FileExistsError if a file that was not restored from this RAW file has the name of one that would be.

    Args:
        path: of the RAW file. content: see sum_up.
    """
    for file in name_pictures(path):
        if file.is_symlink() or file.exists() and _read_software(file) != _sign(path, content):
            raise FileExistsError(f"{file} is there and was not restored from this {Path(path).name}: move it away")


def _sign(path, content):
    return f"sidlib, restored from {Path(path).name} {content:08x}".encode("ascii", "backslashreplace").decode()


def _read_software(file):
    try:
        with Image.open(file) as image:
            return image.getexif().get(SOFTWARE)
    except Exception:  # whatever is wrong with it, it was not written here
        return None


def save_pictures(strips, shape, shot):
    """Write a picture beside its RAW file, as PNG and as JPEG: both whole, or neither.

    Args:
        strips: its parts from top to bottom, each with its first row: uint16 (rows, width, 3), sRGB.
        shape: of the picture: height, width, 3.
        shot: its Shot.
    Raises:
        FileExistsError: see check_free. OSError: a file cannot be written.
    """
    check_free(shot.path, shot.content)
    exif, profile = make_exif(shot), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    halved = 1 + (shape[0] * shape[1] > LARGE_PX)
    image = Image.new("RGB", [-(-side // halved) for side in shape[1::-1]])
    with ExitStack() as whole:
        png, jpeg = (whole.enter_context(paths.write_whole(file)) for file in name_pictures(shot.path))
        with write_png(png, shape, exif.tobytes().removeprefix(b"Exif\0\0"), profile) as write_rows:
            for top, strip in strips:
                write_rows(strip)
                levels = Image.fromarray(((strip + 128.0) // 257).astype(np.uint8))
                image.paste(levels.reduce(halved), (0, top // halved))
        image.save(jpeg, quality=95, subsampling=0, exif=exif, icc_profile=profile)


def make_exif(shot):
    """Return what a Shot is known by as Pillow's Exif; the picture is upright."""
    exif, other = Image.Exif(), shot.other
    known = {271: shot.make, 272: shot.model, 274: 1, SOFTWARE: _sign(shot.path, shot.content)}
    exif.update({tag: value for tag, value in known.items() if value})
    if other:
        taken = other.timestamp.strftime("%Y:%m:%d %H:%M:%S") if other.timestamp.year > 1970 else ""
        numbers = {33434: other.shutter_speed, 33437: other.aperture, 37386: other.focal_length, 34855: other.iso_speed}
        details = {36867: taken} | {tag: number for tag, number in numbers.items() if np.isfinite(number)}
        details |= {34855: min(round(details.get(34855, 0)), 65535)}
        exif.get_ifd(EXIF_IFD).update({tag: value for tag, value in details.items() if value})
    return exif


@contextmanager
def write_png(path, shape, exif, profile):
    """Yield a function that takes the next uint16 rows of a picture and writes them to a PNG.

    Pillow has no 16-bit colour, and TensorFlow's encoder neither metadata nor a large picture without copies of it.
    Each row is coded as differences to the pixel on the left, filter 1. Source: the PNG specification, third edition.
    """
    height, width = shape[:2]
    packer = zlib.compressobj(level=1)
    with open(path, "wb") as file:

        def write_chunk(kind, content):
            checked = kind + content
            file.write(struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked)))

        def write_rows(picture):
            rows = np.ascontiguousarray(picture, ">u2").view(np.uint8).reshape(-1, 6 * width)
            coded = np.ones((len(rows), 1 + 6 * width), np.uint8)
            coded[:, 1:7], coded[:, 7:] = rows[:, :6], rows[:, 6:] - rows[:, :-6]
            write_chunk(b"IDAT", packer.compress(coded))

        file.write(b"\x89PNG\r\n\x1a\n")
        write_chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0))  # 16 bits, RGB
        write_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(profile))
        write_chunk(b"eXIf", exif)
        yield write_rows
        write_chunk(b"IDAT", packer.flush())
        write_chunk(b"IEND", b"")
